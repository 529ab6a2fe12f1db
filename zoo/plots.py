"""Figures of bands, outcomes, learning curves and prices; only `save` writes anything.

Every function returns a `matplotlib.figure.Figure` of its own, outside pyplot's global state, or
draws into `axes` made by `panels`, to compose figures.
"""

import numpy as np

from hedgezoo.figures import axes_for, panels, save, styled
from hedgezoo.styles import STYLES, styles

__all__ = [
    "band",
    "learning_curves",
    "panels",
    "price_against_cost",
    "profit_histograms",
    "save",
]


@styled
def band(model, time_to_expiry=None, spots=None, references=None, axes=None, **market):
    """The no-transaction band of a model against the spot: inside the shaded area it does nothing.

    Args:
        model: A model with a method `band(spot, time_to_expiry, **market)`.
        time_to_expiry: Years; several values give a panel each. Default: the model's maturity.
        spots: Prices, money. Default: 3 standard deviations of the model's horizon about its
            strike.
        references: Dictionary name -> further models, or an `ExactHedge`, whose edges are drawn
            as lines.
        axes: Axes to draw into, one for each time to expiry. Default: a new figure.
        **market: Passed on to `model.band`. `maximum`, the path's so far, is raised to each spot
            where it is lower, and passed on to an `ExactHedge` of a lookback too.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: If an `ExactHedge` does not trade at a time to expiry, or `axes` are not one
            for each.

    Example:

    >>> from hedgezoo.baselines.whalley_wilmott import WhalleyWilmott
    >>> figure = band(WhalleyWilmott(risk_aversion=50.0), time_to_expiry=[0.08, 0.02])
    >>> [axis.get_title() for axis in figure.axes]
    ['0.08 years to expiry', '0.02 years to expiry']
    """
    from hedgezoo.layers.black_scholes import european_delta

    times = np.atleast_1d(model.maturity if time_to_expiry is None else time_to_expiry)
    strike = market.get("strike", model.strike)
    volatility = market.get("volatility", model.constants["volatility"])
    if spots is None:
        reach = 3.0 * np.max(volatility) * np.sqrt(model.maturity)
        spots = strike * np.exp(np.linspace(-reach, reach, 241))
    spots = np.asarray(spots, float)
    if "maximum" in market:
        market["maximum"] = np.maximum(market["maximum"], spots)
    whole = axes is None
    axes = axes_for(axes, len(times), "time_to_expiry", sharex=True, sharey=True)
    for axis, left in zip(axes, times, strict=True):
        style = STYLES["network"]
        lower, upper = _edges(model, spots, left, market)
        axis.fill_between(
            spots,
            lower,
            upper,
            color=style.colour,
            alpha=0.18,
            linewidth=0,
            label="no trade (network)",
        )
        for edge in (lower, upper):
            axis.plot(spots, edge, color=style.colour, linewidth=1.0)
        delta = european_delta(spots, strike, left, volatility, model.call_option)
        style = STYLES["delta"]
        axis.plot(spots, delta, color=style.colour, linestyle=style.line, label=style.label)
        for name, style in styles(references or {}).items():
            lower, upper = _edges(references[name], spots, left, market)
            line = {"color": style.colour, "linestyle": style.line, "linewidth": 1.1}
            axis.plot(spots, lower, label=style.label, **line)
            axis.plot(spots, upper, **line)
        axis.set_title(f"{left:.3g} years to expiry")
        axis.set_xlabel(f"spot price (strike {strike:g})")
        axis.set_xlim(spots[0], spots[-1])
    middle = 0.5 if model.call_option else -0.5
    for axis in axes:  # bands far wider than the delta's range run out of the picture
        low, high = axis.get_ylim()
        axis.set_ylim(max(low, middle - 1.1), min(high, middle + 1.1))
    axes[0].set_ylabel("position, underlying per option")
    if whole:
        named = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(*named, loc="outside upper center", ncols=4)
    else:
        axes[0].legend(loc="upper left" if model.call_option else "lower right")
    return axes[0].figure


def _edges(strategy, spots, left, market):
    """Lower and upper edge of a model or an `ExactHedge`, NumPy."""
    from hedgezoo.baselines.exact_hedge import ExactHedge

    if not isinstance(strategy, ExactHedge):
        return (np.asarray(edge) for edge in strategy.band(spots, left, **market))
    step = strategy.steps - left / strategy.time_step
    if not 0 <= round(step) < strategy.steps or abs(step - round(step)) > 1e-6:
        raise ValueError(
            f"the exact hedge trades every {strategy.time_step:g} years, for the first time "
            f"{strategy.steps * strategy.time_step:g} before expiry. "
            f"Received: time_to_expiry={left}"
        )
    maximum = market.get("maximum") if strategy.option == "lookback" else None
    return strategy.band(spots, round(step), maximum=maximum)


@styled
def profit_histograms(
    profits,
    prices=None,
    compare="network",
    limits=None,
    bins=100,
    scale=1.0,
    unit="money",
    axes=None,
):
    """Outcomes, gains minus liability, of several strategies on common axes and bins.

    Shares of paths are on a logarithmic axis, on which tails can be seen.

    Args:
        profits: Dictionary name -> outcomes `(N,)`, money.
        prices: Dictionary name -> price, money: marked at minus the price, the sure outcome that
            is as good.
        compare: Name of the strategy whose outline is repeated in the panels of the others, where
            it is among them.
        limits: Smallest and largest outcome shown, money; how much lies beyond is said. Default:
            from the best outcome down twice as far as the worst one, those strategies left aside
            that range more than three times as far as the narrowest.
        bins: Number of bins.
        scale: Factor from money to `unit`.
        unit: Unit of the axis.
        axes: Axes to draw into, one for each strategy. Default: a new figure.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no strategy, an outcome is not finite, `limits` are not in order,
            or `axes` are not one for each strategy.

    Example:

    >>> profits = {"naked": [-0.04, 0.0, 0.0], "delta": [-0.03, -0.02, -0.02]}
    >>> figure = profit_histograms(profits, scale=1e4, unit="bp of the spot")
    >>> figure.axes[-1].get_xlabel()
    'gains minus liability, bp of the spot'
    """
    profits = {name: scale * np.asarray(values, float) for name, values in profits.items()}
    if not profits:
        raise ValueError("`profits` must hold at least one strategy. Received: {}")
    for name, values in profits.items():
        if values.ndim != 1 or not values.size or not np.isfinite(values).all():
            raise ValueError(
                f"`profits` must be finite, of shape (N,). Received: {name!r} of shape "
                f"{values.shape}"
            )
    low, high = _range(profits.values()) if limits is None else scale * np.asarray(limits, float)
    if not low < high:
        raise ValueError(f"`limits` must be two numbers in order. Received: limits={limits}")
    edges = np.linspace(low, high, bins + 1)
    digits = int(np.clip(5 - np.ceil(np.log10(high - low)), 0, 8))

    def number(value):
        return f"{value:.{digits}f}".replace("-", "−")

    shares = {name: np.histogram(x, edges)[0] / x.size for name, x in profits.items()}
    axes = axes_for(axes, len(profits), "profits", stacked=True, sharex=True, sharey=True)
    known = styles(profits)
    for axis, (name, style) in zip(axes, known.items(), strict=True):
        values = profits[name]
        axis.stairs(shares[name], edges, fill=True, color=style.colour, alpha=0.7, linewidth=0)
        if compare in profits and compare != name:
            other = known[compare]
            axis.stairs(
                shares[compare],
                edges,
                color=other.colour,
                linewidth=0.8,
                label=f"{other.label}, for comparison",
            )
        told = [style.label, f"mean {number(values.mean())}", f"worst {number(values.min())}"]
        axis.axvline(values.mean(), color="#222222", linewidth=0.9, label="mean")
        if prices and name in prices:
            price = scale * prices[name]
            told.insert(1, f"price {number(price)}")
            axis.axvline(
                -price, color="#222222", linewidth=0.9, linestyle=(0, (3, 1.5)), label="minus price"
            )
        if (beyond := np.mean((values < low) | (values > high))) > 0:
            told.append(f"{100 * beyond:.2g} % not shown")
        axis.text(1.015, 0.98, "\n".join(told), transform=axis.transAxes, va="top", linespacing=1.3)
        axis.set_yscale("log")
    axes[0].set_xlim(low, high)
    axes[0].set_ylim(0.5 / min(values.size for values in profits.values()), 1.0)
    labelled = axes[1] if len(axes) > 1 else axes[0]  # the first one may lack the outline
    axes[0].figure.legend(*labelled.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    axes[-1].set_xlabel(f"gains minus liability, {unit}")
    axes[len(axes) // 2].set_ylabel("share of paths")
    return axes[0].figure


def _range(samples):
    """Range that shows all but the far losses of samples far wider than the narrowest."""
    ranges = [(values.min(), values.max()) for values in samples]
    widths = [high - low for low, high in ranges]
    kept = [pair for pair, width in zip(ranges, widths, strict=True) if width <= 3 * min(widths)]
    low, high = min(low for low, _ in kept), max(high for _, high in ranges)
    if max(widths) > 3 * min(widths):
        low = max(high - 2 * (high - low), min(low for low, _ in ranges))
    margin = 0.01 * (high - low) or 0.5
    return low - margin, high + margin


@styled
def learning_curves(
    curves,
    references=None,
    xlabel="training steps",
    scale=1.0,
    unit="money",
    title=None,
    axes=None,
):
    """Losses of several models while they learn, beside prices that need no learning.

    Args:
        curves: Dictionary name -> list of pairs (number of steps or simulations, loss in money).
        references: Dictionary name -> price, money: horizontal lines.
        xlabel: What the first of each pair counts; its axis is logarithmic.
        scale: Factor from money to `unit`.
        unit: Unit of the losses.
        title: Above the axes.
        axes: Axes to draw into. Default: a new figure.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no curve, or a curve is not a list of pairs.

    Example:

    >>> curves = {"network": [(1, 0.030), (10, 0.025)]}
    >>> figure = learning_curves(curves, references={"optimum": 0.0245})
    >>> [line.get_label() for line in figure.axes[0].get_lines()]
    ['band network', 'exact optimum']
    """
    curves = {name: np.asarray(curve, float) for name, curve in curves.items()}
    if not curves:
        raise ValueError("`curves` must hold at least one curve. Received: {}")
    for name, curve in curves.items():
        if curve.ndim != 2 or curve.shape[1] != 2 or not len(curve):
            raise ValueError(
                f"`curves` must be lists of pairs. Received: {name!r} of shape {curve.shape}"
            )
    (axis,) = axes_for(axes, 1, "curves")
    levels = []
    for name, style in styles(curves).items():
        steps, losses = curves[name].T
        axis.plot(steps, scale * losses, color=style.colour, label=style.label)
        levels += [scale * np.median(losses), scale * losses[-1]]
    for name, style in styles(references or {}).items():
        levels.append(scale * references[name])
        axis.axhline(
            levels[-1], color=style.colour, linestyle=style.line, linewidth=1.0, label=style.label
        )
    # the first losses may be of another size; the end is what is compared
    low, high = min(levels), max(levels)
    margin = 0.15 * (high - low or abs(high) or 1.0)
    axis.set_ylim(low - margin, high + margin)
    axis.set_xscale("log")
    _label_a_few(axis.xaxis)
    steps = np.concatenate([curve[:, 0] for curve in curves.values()])
    axis.set_xlim(steps.min(), steps.max() if steps.max() > steps.min() else None)
    axis.set_title(title)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(f"loss (entropic risk), {unit}")
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return axis.figure


@styled
def price_against_cost(
    costs, prices, zero_cost_price, scale=1.0, unit="money", title=None, legend=True, axes=None
):
    """What the trading cost adds to the price, against the cost rate, for several strategies.

    Both axes are logarithmic: on them, Whalley and Wilmott's law, cost to the power 2/3, is a
    straight line. Points at or below the zero-cost price cannot be shown and are left out.

    Args:
        costs: Proportional cost rates `(C,)`.
        prices: Dictionary name -> prices `(C,)`, money, or a pair of prices `(C,)` and
            their standard errors `(C,)`, which are drawn as bars.
        zero_cost_price: Price without trading cost, money.
        scale: Factor from money to `unit`.
        unit: Unit of the spread.
        title: Above the axes.
        legend: Whether to name the strategies; once is enough in a figure of several panels.
        axes: Axes to draw into. Default: a new figure.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: If costs are not positive, or prices do not fit them.

    Example:

    >>> prices = {"network": ([0.0222, 0.0226], [1e-5, 1e-5]), "naked": [0.0226, 0.0226]}
    >>> figure = price_against_cost([1e-4, 1e-3], prices, zero_cost_price=0.0221)
    >>> figure.axes[0].get_yscale()
    'log'

    Reference:
        Imaki, Imajo, Ito, Minami, Nakagawa, arXiv:2103.01775, whose figures show this spread.
    """
    costs = np.asarray(costs, float)
    if costs.ndim != 1 or not np.all(costs > 0):
        raise ValueError(f"`costs` must be positive, of shape (C,). Received: costs={costs}")
    (axis,) = axes_for(axes, 1, "prices")
    for order, (name, style) in enumerate(styles(prices).items()):
        value, error = _with_error(name, prices[name], len(costs))
        spread = scale * (value - zero_cost_price)
        seen = spread > 0
        axis.errorbar(
            costs[seen],
            spread[seen],
            yerr=None if error is None else scale * error[seen],
            color=style.colour,
            marker=style.marker,
            linestyle=style.line,
            linewidth=1.0,
            elinewidth=0.8,
            capsize=1.5,
            label=style.label,
            zorder=2 + order / 100,
        )
    axis.set_xscale("log")
    axis.set_yscale("log", nonpositive="clip")
    axis.set_title(title)
    axis.set_xlabel("proportional cost rate")
    axis.set_ylabel(f"price above the zero-cost price,\n{unit}")
    if len(axis.get_shared_y_axes().get_siblings(axis)) > 1:
        axis.label_outer()
    if legend:
        axis.legend(loc="upper left")
    return axis.figure


def _label_a_few(axis):
    """Labels 1, 2 and 5 of each power of ten: more of them would overlap."""
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False))
    axis.set_minor_formatter(NullFormatter())


def _with_error(name, given, count):
    """Prices and standard errors, or None without them, as arrays `(count,)`."""
    pair = isinstance(given, (tuple, list)) and len(given) == 2 and np.ndim(given[0]) == 1
    arrays = [np.asarray(array, float) for array in (given if pair else (given,))]
    for array in arrays:
        if array.shape != (count,):
            raise ValueError(
                f"`prices` must have one value for each of {count} costs. "
                f"Received: {name!r} of shape {array.shape}"
            )
    return arrays[0], arrays[1] if pair else None
