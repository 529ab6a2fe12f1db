"""Empty figures in one restrained style, and how they are written."""

import functools
import io
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

DPI = 150
_WIDTH = 6.8  # inches: the text width of a page
_STYLE = {
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "axes.formatter.useoffset": False,
}


class Picture(NamedTuple):
    """A figure and what a reader is told about it.

    Args:
        name: Of the file, without `.png`.
        figure: A `matplotlib.figure.Figure`.
        caption: One sentence.
    """

    name: str
    figure: Any
    caption: str


def styled(draw):
    """Makes a function draw the same picture whatever the user's own matplotlib settings are."""

    @functools.wraps(draw)
    def styled(*arguments, **options):
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            return draw(*arguments, **options)

    return styled


@styled
def panels(rows=1, columns=1, height=2.6, width=_WIDTH, **options):
    """A figure with empty axes, to draw into.

    Args:
        rows: Number of rows of axes.
        columns: Number of columns.
        height: Inches per row.
        width: Inches.
        **options: Of `Figure.subplots`, such as `sharex=True`.

    Returns:
        `(figure, axes)`, axes an array `(rows, columns)`.

    Example:

    >>> figure, axes = panels(1, 2, sharey=True)
    >>> axes.shape
    (1, 2)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, rows * height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


@styled
def save(figure, path):
    """Writes a figure as PNG, whole or not at all; the same figure gives the same bytes.

    In at most 256 colours: the file is a third as large, and the cards are full of figures.

    Args:
        figure: A figure.
        path: Where to; the folder is made if it is missing.

    Returns:
        `pathlib.Path` of the file.
    """
    from PIL import Image

    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    with Image.open(drawn) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        few.save(temporary, format="png", optimize=True, dpi=(DPI, DPI))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def axes_for(axes, count, name, stacked=False, **options):
    """The axes that a drawing function was given, checked, or new ones.

    Args:
        axes: Axes, an array or list of them, or None.
        count: How many there must be.
        name: Argument that asks for so many.
        stacked: Whether new ones are above each other; else they are side by side.
        **options: Of `Figure.subplots`.

    Returns:
        Sequence of `count` axes.

    Raises:
        ValueError: If axes were given and there are not `count` of them.
    """
    if axes is None:
        if stacked:
            return panels(count, 1, height=1.0, **options)[1][:, 0]
        return panels(1, count, height=3.0, **options)[1][0]
    axes = np.ravel(axes)
    if len(axes) != count:
        raise ValueError(f"`axes` must be {count}, as `{name}` asks. Received: {len(axes)}")
    return axes
