"""Figures of what learned dynamics contain: σ(S, t), slices, leverage, mean reversion, memory.

Like `hedgezoo.plots`, every function returns a `matplotlib.figure.Figure` of its own.
"""

import numpy as np

from hedgezoo.figures import panels, styled
from hedgezoo.market_calibration.quote_panel import in_words

LEARNED, EXACT = "#0072B2", "#000000"
_COLOURS = (LEARNED, "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v")
_DASHED = (0, (4, 2))
_SHADE = "#7F7F7F"
_MOST_COLUMNS = 3
_LONG = 2.5  # years from which on a root of the time is shown, for its beginning to be seen
_MARKS = (2, 3, 5, 7, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200)  # of a scale of colours


@styled
def heat_maps(maps, quotes=None):
    """σ(S, t) in colours, where there are paths; white is what no path visits.

    Args:
        maps: Dictionary title -> `VolatilityMap`; a panel each, on one scale of colours.
        quotes: Optional `SurfaceQuotes`, whose strikes and maturities are marked.

    Returns:
        `matplotlib.figure.Figure`.
    """
    from matplotlib.colors import LogNorm

    columns = 1 if len(maps) == 1 else 2
    rows = -(-len(maps) // columns)
    figure, axes = panels(rows, columns, height=2.9 if rows == 1 else 2.4)
    values = np.concatenate([100 * found.masked.ravel() for found in maps.values()])
    low, high = np.nanquantile(values, [0.005, 0.995])
    if high < 1.05 * low:  # a flat volatility must not be blown up to all colours
        low, high = low / 1.025, high * 1.025
    for axis, (title, found) in zip(axes.flat, maps.items(), strict=False):
        lower, upper = np.exp(found.low), np.exp(found.high)
        margin = 0.03 * (upper.max() - lower.min())
        bottom, top = lower.min() - margin, upper.max() + margin
        image = axis.pcolormesh(
            found.times,
            np.exp(found.log_spot),
            100 * found.volatility.T,
            cmap="viridis",
            norm=LogNorm(low, high),
            shading="gouraud",
            rasterized=True,
        )
        for edge, end in ((lower, bottom), (upper, top)):
            axis.fill_between(found.times, edge, end, color="#FFFFFF", linewidth=0)
            axis.plot(found.times, edge, color=_SHADE, linewidth=0.8)
        if quotes is not None:
            axis.plot(
                quotes.maturities,
                quotes.strikes,
                ".",
                color="#FFFFFF",
                markeredgecolor="#222222",
                markeredgewidth=0.4,
                markersize=3.5,
                label="quotes",
            )
        if found.times[-1] > _LONG:
            axis.set_xscale("function", functions=(np.sqrt, np.square))
        axis.set_ylim(bottom, top)
        axis.set_xlim(found.times[0], 1.01 * found.times[-1])
        axis.set_title(title)
    _frame(axes, len(maps), "time, years", "spot / forward")
    bar = figure.colorbar(image, ax=axes, aspect=30, pad=0.02, extend="both")
    marks = [mark for mark in _MARKS if low <= mark <= high]
    if len(marks) < 3:
        marks = np.linspace(low, high, 4)
    bar.set_ticks(marks, labels=[f"{mark:.3g}" for mark in marks])
    bar.ax.minorticks_off()
    bar.set_label("volatility, % per √year")
    if quotes is not None:
        named = axes[0, 0].get_legend_handles_labels()
        figure.legend(*named, loc="outside upper center")
    return figure


@styled
def slices(comparison, which=None):
    """A learned σ beside the true one, a panel for each time; shaded: ±1 and ±2 deviations.

    Args:
        comparison: A `VolatilityComparison`.
        which: Indices of the times that are shown; by default up to six of them.

    Returns:
        `matplotlib.figure.Figure`.
    """
    count = len(comparison.times)
    if which is None:
        which = np.unique(np.linspace(0, count - 1, min(count, 6)).round().astype(int))
    columns = min(_MOST_COLUMNS, len(which))
    rows = -(-len(which) // columns)
    figure, axes = panels(rows, columns, height=2.1, sharey=True)
    for axis, j in zip(axes.flat, which, strict=False):
        unit = comparison.log_spot[j, -1] / comparison.deviations[-1]
        for multiple, alpha in ((2.0, 0.10), (1.0, 0.14)):
            reach = min(multiple, comparison.deviations[-1]) * unit
            axis.axvspan(np.exp(-reach), np.exp(reach), color=_SHADE, alpha=alpha, linewidth=0)
        spot = np.exp(comparison.log_spot[j])
        axis.plot(spot, 100 * comparison.learned[j], color=LEARNED, label="learned")
        axis.plot(spot, 100 * comparison.exact[j], color=EXACT, linestyle=_DASHED, label="exact")
        axis.set_title(in_words(comparison.times[j]))
        axis.set_xlim(spot[0], spot[-1])
    _frame(axes, len(which), "spot / forward", "volatility, % per √year")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@styled
def leverage_curves(cases):
    """The slope dσ / d log S at the money against time, learned and exact.

    Args:
        cases: Dictionary title -> pair of a `Leverage` and the exact slopes at its times `(n,)`,
            or None where they are not known. A panel each.

    Returns:
        `matplotlib.figure.Figure`.
    """
    columns = min(_MOST_COLUMNS, len(cases))
    figure, axes = panels(-(-len(cases) // columns), columns, height=2.1, sharey=True)
    for axis, (title, (found, exact)) in zip(axes.flat, cases.items(), strict=False):
        axis.axhline(0.0, color="#222222", linewidth=0.5)
        axis.errorbar(
            found.times,
            found.slope,
            yerr=2 * found.slope_error if np.any(found.slope_error) else None,
            fmt="o-",
            color=LEARNED,
            elinewidth=0.8,
            label="learned",
        )
        if exact is not None:
            axis.plot(found.times, exact, color=EXACT, linestyle=_DASHED, label="exact")
        axis.set_title(title)
    _frame(axes, len(cases), "time, years", "slope of σ in log S")
    handles, labels = _distinct(axes.flat)
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


@styled
def mean_reversion_curves(cases):
    """Expected variance against time: learned, its exponential fit, and the truth.

    Args:
        cases: Dictionary title -> pair of a `MeanReversion` and the exact variances at its times
            `(n,)`, or None where they are not known. A panel each.

    Returns:
        `matplotlib.figure.Figure`.
    """
    columns = min(2, len(cases))
    figure, axes = panels(-(-len(cases) // columns), columns, height=2.5)
    for axis, (title, (found, exact)) in zip(axes.flat, cases.items(), strict=False):
        axis.errorbar(
            found.times,
            found.variance,
            yerr=2 * found.variance_error,
            fmt="o",
            color=LEARNED,
            elinewidth=0.8,
            label="learned, E σ²",
        )
        fine = np.linspace(found.times[0], found.times[-1], 121)
        told = "no exponential fits"
        if np.isfinite(found.kappa):
            told = f"fit: κ = {found.kappa:.2f} ± {found.kappa_error:.2f}, θ = {found.theta:.4f}"
            axis.plot(fine, found.fitted(fine), color="#D55E00", label="exponential fit")
        if exact is not None:
            axis.plot(found.times, exact, color=EXACT, linestyle=_DASHED, label="exact")
        axis.text(0.97, 0.06, told, transform=axis.transAxes, ha="right")
        axis.set_title(title)
        top = np.max(found.variance)
        axis.set_ylim(0, 1.15 * top)
    _frame(axes, len(cases), "time, years", "variance per year")
    figure.legend(*_distinct(axes.flat), loc="outside upper center", ncols=3)
    return figure


@styled
def conditional_volatilities(cases):
    """Mean volatility given the spot, and ± one standard deviation of what the spot leaves open.

    Args:
        cases: Dictionary title -> `ConditionalVolatility`. A panel each.

    Returns:
        `matplotlib.figure.Figure`.
    """
    columns = min(_MOST_COLUMNS, len(cases))
    figure, axes = panels(-(-len(cases) // columns), columns, height=2.3, sharey=True)
    for axis, (title, found) in zip(axes.flat, cases.items(), strict=False):
        spot, middle, spread = np.exp(found.log_spot), found.volatility, found.deviation
        axis.fill_between(
            spot,
            100 * (middle - spread),
            100 * (middle + spread),
            color=LEARNED,
            alpha=0.18,
            linewidth=0,
            label="± one standard deviation given the spot",
        )
        axis.plot(spot, 100 * middle, color=LEARNED, label="expected given the spot")
        axis.set_title(title)
    _frame(axes, len(cases), "spot / forward", "volatility, % per √year")
    named = axes[0, 0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=2)
    return figure


@styled
def autocorrelations(clustering, leverage=None, references=None):
    """Memory of daily returns: correlation of |r| with later |r|, and of r with later |r|.

    Args:
        clustering: Dictionary name -> `Autocorrelation`, see `clustering`.
        leverage: Dictionary of the same names -> `Autocorrelation`, see `lagged_leverage`, for a
            second panel.
        references: Names that are drawn dashed, as what to compare with.

    Returns:
        `matplotlib.figure.Figure`.
    """
    shown = [("|r| and later |r|", clustering)]
    if leverage:
        shown.append(("r and later |r|", leverage))
    figure, axes = panels(1, len(shown), height=2.6)
    for axis, (title, cases) in zip(axes[0], shown, strict=True):
        axis.axhline(0.0, color="#222222", linewidth=0.5)
        for number, (name, found) in enumerate(cases.items()):
            dashed = name in (references or ())
            axis.errorbar(
                found.lags,
                found.value,
                yerr=2 * np.nan_to_num(found.standard_error),
                color=EXACT if dashed else _COLOURS[number % len(_COLOURS)],
                linestyle=_DASHED if dashed else "-",
                marker=_MARKERS[number % len(_MARKERS)],
                elinewidth=0.8,
                label=name,
            )
        axis.set_xscale("log")
        lags = next(iter(cases.values())).lags
        axis.set_xticks(lags, [str(lag) for lag in lags])
        axis.minorticks_off()
        axis.set_title(title)
        axis.set_xlabel("lag, days")
    axes[0, 0].set_ylabel("correlation")
    named = axes[0, 0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=min(4, len(clustering)))
    return figure


@styled
def error_map(quotes, cases):
    """Errors of all quotes by strike and maturity, in colours.

    Args:
        quotes: A `SurfaceQuotes` of N quotes.
        cases: Dictionary title -> errors in basis points, model minus quote, `(N,)`. A panel each.

    Returns:
        `matplotlib.figure.Figure`.
    """
    figure, axes = panels(1, len(cases), height=2.7, sharey=True)
    every = np.abs(np.concatenate([np.asarray(errors) for errors in cases.values()]))
    top = max(float(np.nanquantile(every, 0.98)), 5.0)
    strikes, maturities = np.asarray(quotes.strikes), np.asarray(quotes.maturities)
    for axis, (title, errors) in zip(axes[0], cases.items(), strict=True):
        image = axis.scatter(
            strikes,
            maturities,
            c=errors,
            cmap="RdBu_r",
            vmin=-top,
            vmax=top,
            s=26 if len(strikes) < 200 else 12,
            edgecolors="#555555",
            linewidths=0.3,
        )
        rms = float(np.sqrt(np.mean(np.square(errors))))
        axis.set_title(f"{title}: {rms:.1f} bp rms")
        axis.set_xlabel("strike / forward")
    axes[0, 0].set_ylabel("maturity, years")
    if maturities.max() > _LONG:
        axes[0, 0].set_yscale("function", functions=(np.sqrt, np.square))
    axes[0, 0].set_ylim(bottom=0)
    bar = figure.colorbar(image, ax=axes, aspect=30, pad=0.02, extend="both")
    bar.set_label("model less quote, bp")
    return figure


def _frame(axes, count, xlabel, ylabel):
    """Labels at the outside of a grid of panels, of which the last ones may be empty."""
    columns = axes.shape[1]
    for number, axis in enumerate(axes.flat):
        axis.set_visible(number < count)
        if number + columns >= count:
            axis.set_xlabel(xlabel)
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel)


def _distinct(axes):
    """Handles and labels of all axes, each label once."""
    found = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)
