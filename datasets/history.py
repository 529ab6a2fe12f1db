"""A market made of one price history, cut into windows."""

import csv
import math

import numpy as np

from hedgezoo.datasets.arrays import from_arrays
from hedgezoo.datasets.checks import check_array, check_integer, check_one_of


def from_csv(path, column, steps, stride=None, newest_first=False, delimiter=",", **arguments):
    """A market of windows of a price history in a CSV file with a header line.

    Args:
        path: The file.
        column: Name of the price column, or a sequence of names for several instruments.
        steps: Number T of time steps per window.
        stride: Rows from the start of one window to the next; see `windows`.
        newest_first: Whether the file lists the latest price first.
        delimiter: Character between the columns.
        **arguments: Further arguments of `from_arrays`. Prices are relative to the first one of
            their window, so strikes are, too.

    Returns:
        An `ArrayMarket`.

    Raises:
        ValueError: If a column is missing or a cell is not a positive number; the message names
            its line.
    """
    columns = (column,) if isinstance(column, str) else tuple(column)
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        for name in columns:
            check_one_of("column", name, tuple(reader.fieldnames or ()))
        history = [
            [_cell(path, reader.line_num, name, line[name]) for name in columns] for line in reader
        ]
    history = np.asarray(history[::-1] if newest_first else history).reshape(-1, len(columns))
    return from_arrays(windows(history, steps, stride), **arguments)


def windows(prices, steps, stride=None):
    """Paths cut from one series, each divided by its first price.

    Args:
        prices: Series `(L,)` or `(L, D)`, oldest first.
        steps: Number T of time steps per window.
        stride: Rows from the start of one window to the next. Default: T, so that windows share
            no price change. A smaller stride gives more, overlapping windows, whose outcomes are
            correlated: standard errors computed from them are too small.

    Returns:
        Array `(N, T+1, D)`.

    Raises:
        ValueError: If the series is too short, or a price is not positive; the first is named.

    Example:

    >>> windows([1.0, 2.0, 4.0, 2.0, 1.0], steps=2).squeeze(-1)
    array([[1.  , 2.  , 4.  ],
           [1.  , 0.5 , 0.25]])
    """
    check_integer("steps", steps, minimum=1)
    stride = steps if stride is None else stride
    check_integer("stride", stride, minimum=1)
    series = check_array("prices", prices, {"(L,)": (None,), "(L, D)": (None, None)}, finite=False)
    series = series.reshape(len(series), -1)
    if len(series) < steps + 1:
        raise ValueError(
            f"A window of {steps} steps takes {steps + 1} prices. "
            f"Received: prices of length {len(series)}"
        )
    good = np.isfinite(series) & (series > 0)
    if not good.all():
        row, instrument = np.argwhere(~good)[0]
        raise ValueError(
            "`prices` must be positive and finite. "
            f"Received: {series[row, instrument]} in row {row}, instrument {instrument}"
        )
    starts = np.arange(0, len(series) - steps, stride)
    cut = series[starts[:, None] + np.arange(steps + 1)]
    return cut / cut[:, :1]


def _cell(path, line, name, text):
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(
            f"Column {name!r} must hold positive numbers. "
            f"Received: {text!r} in line {line} of {path}"
        )
    return value
