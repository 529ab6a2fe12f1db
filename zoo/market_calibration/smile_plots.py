"""Figures of calibrated smiles beside their quotes, and of errors by maturity."""

import numpy as np

from hedgezoo.figures import panels, styled
from hedgezoo.market_calibration.quote_panel import in_words

_MOST_COLUMNS = 4
_FINE = 61  # points of a curve
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_LINES = ("-", (0, (4, 2)), (0, (1, 1.2)), (0, (6, 1, 1, 1)))


@styled
def smiles(panel, fits):
    """Fitted smiles through the quotes, an axis for each maturity.

    Args:
        panel: A `QuotePanel`.
        fits: Dictionary label -> `Fit`, or anything with a method `curve` like its.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    >>> from hedgezoo.datasets.market_data import option_chain
    >>> from hedgezoo.market_calibration.model_fit import fit_by_classical
    >>> from hedgezoo.market_calibration.quote_panel import panel_of_chain
    >>> panel = panel_of_chain(option_chain("dax_2002-07-05"))
    >>> figure = smiles(panel, {"Levenberg-Marquardt": fit_by_classical(panel, "heston")})
    >>> len([axis for axis in figure.axes if axis.get_visible()])
    8
    """
    m = len(panel.maturities)
    columns = min(_MOST_COLUMNS, m)
    rows = -(-m // columns)
    figure, axes = panels(rows, columns, height=1.7)
    quoted = [panel.strikes[j, panel.mask[j]] for j in range(m)]
    ends = np.array([[strikes[0], strikes[-1]] for strikes in quoted])
    strikes = np.exp(np.linspace(*np.log(ends.T), _FINE, axis=1))
    curves = {label: fit.curve(strikes, panel.maturities) for label, fit in fits.items()}
    for j, axis in enumerate(axes.ravel()):
        if j >= m:
            axis.set_visible(False)
            continue
        _quotes(axis, panel, j)
        for number, (label, curve) in enumerate(curves.items()):
            axis.plot(
                strikes[j],
                100 * curve[j],
                color=_COLOURS[number % len(_COLOURS)],
                linestyle=_LINES[number % len(_LINES)],
                label=label,
            )
        axis.set_title(in_words(panel.maturities[j]))
        if j % columns == 0:
            axis.set_ylabel("volatility, %")
        if j + columns >= m:
            axis.set_xlabel("strike / forward")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


@styled
def errors_by_maturity(maturities, errors):
    """Root mean square errors at each maturity as bars.

    Args:
        maturities: Years, `(m,)`.
        errors: Dictionary label -> basis points `(m,)`.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    >>> figure = errors_by_maturity([0.1, 1.0], {"network": [20.0, 5.0]})
    >>> figure.axes[0].get_ylabel()
    'error, bp'
    """
    figure, axes = panels(1, 1, height=2.4)
    (axis,) = axes[0]
    places, width = np.arange(len(maturities)), 0.8 / len(errors)
    for number, (label, values) in enumerate(errors.items()):
        offset = (number - 0.5 * (len(errors) - 1)) * width
        colour = _COLOURS[number % len(_COLOURS)]
        axis.bar(places + offset, values, 0.92 * width, color=colour, label=label)
    axis.set_xticks(places, [in_words(years) for years in maturities])
    axis.tick_params(axis="x", length=0, labelrotation=30 if len(maturities) > 8 else 0)
    axis.set_ylabel("error, bp")
    axis.set_xlabel("maturity")
    axis.legend()
    return figure


def _quotes(axis, panel, j):
    mask = panel.mask[j]
    strikes, volatility = panel.strikes[j, mask], 100 * panel.implied_volatility[j, mask]
    if panel.spread is None:
        axis.plot(strikes, volatility, "o", color="#000000", markersize=2.5, label="quotes")
        return
    half = 50 * panel.spread[j, mask]
    axis.errorbar(
        strikes,
        volatility,
        half,
        fmt="none",
        ecolor="#000000",
        elinewidth=1.0,
        capsize=1.5,
        label="bid and ask",
    )
