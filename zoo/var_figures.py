"""Figures of a fitted vector autoregression: its paths and surfaces beside the history."""

import numpy as np

from hedgezoo.figures import Picture, panels, styled
from hedgezoo.var_diagnostics import (
    history_of,
    implied_volatilities,
    mean_gains,
    quantities,
    residuals_of,
    series_names,
)

_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7F7F7F"
_COLOURS = (_BLUE, _ORANGE, _GREEN, _PURPLE)
_TITLES = {
    "daily_return": "daily log return",
    "atm_volatility": "at-the-money volatility",
    "skew": "skew, volatility at 0.95 less at 1.05",
    "term_slope": "term slope, longest less shortest",
}


def pictures(model, history=None, paths=4096, seed=0):
    """All figures of a model's card.

    Args:
        model: A `VectorAutoregression`.
        history: As in `hedgezoo.var_diagnostics.report`.
        paths: Simulated paths behind each of them.
        seed: Their seed.

    Returns:
        List of `Picture`.
    """
    history = history_of(model, history)
    return [
        Picture(
            "quantiles",
            quantile_fans(model, history, paths, seed),
            "Quantiles (5, 25, 50, 75, 95 %) of simulated paths from a mean day, against those of "
            "all of history (dashed: 5, 50, 95 %).",
        ),
        Picture(
            "autocorrelations",
            autocorrelations(model, history),
            "Autocorrelation of what the fit leaves over, and of its square; the band holds 95 % "
            "of white noise. Squares that stay correlated are volatility clustering, which "
            "Gaussian innovations miss.",
        ),
        Picture(
            "surfaces",
            sample_surfaces(model, history, seed=seed),
            "Implied and discrete local volatilities: a day of history and three simulated ones, "
            "30 days after a mean day.",
        ),
        Picture(
            "gains",
            gains(model.make_market(), paths, seed),
            "Mean gain of one unit bought on day 0 under the historical measure, with two standard "
            "errors, against the cost of trading it (grey).",
        ),
    ]


@styled
def quantile_fans(model, history=None, paths=4096, seed=0, steps=30):
    """Quantiles of simulated paths over time, beside those of history.

    Args:
        model: A `VectorAutoregression`.
        history: As in `hedgezoo.var_diagnostics.report`.
        paths: Number of simulated paths, which start on a mean day.
        seed: Their seed.
        steps: Time steps shown.

    Returns:
        `matplotlib.figure.Figure`.
    """
    history = history_of(model, history)
    drawn = {name: x.numpy() for name, x in model.simulate(seed, paths, steps).items()}
    returns = np.diff(np.log(drawn["spot"].astype(np.float64)), axis=1)
    volatility = implied_volatilities(model, drawn["dlv"][:, 1:])
    cells = volatility.shape[2:]
    found = quantities(model, returns.ravel(), volatility.reshape(-1, *cells))
    past = quantities(model, np.diff(np.log(history.spot)), history.implied_volatility[1:])
    figure, axes = panels(2, 2, height=2.2, sharex=True)
    days = np.arange(1, steps + 1)
    for axis, (name, values) in zip(axes.flat, found.items(), strict=True):
        levels = np.quantile(values.reshape(paths, steps), (0.05, 0.25, 0.5, 0.75, 0.95), axis=0)
        axis.fill_between(days, levels[0], levels[4], color=_BLUE, alpha=0.2, linewidth=0)
        axis.fill_between(days, levels[1], levels[3], color=_BLUE, alpha=0.3, linewidth=0)
        axis.plot(days, levels[2], color=_BLUE, label="simulated")
        for number, level in enumerate(np.quantile(past[name], (0.05, 0.5, 0.95))):
            label = "history" if number == 0 else None
            axis.axhline(level, color=_ORANGE, linestyle=(0, (4, 2)), linewidth=1.0, label=label)
        axis.set_title(_TITLES[name])
    for axis in axes[-1]:
        axis.set_xlabel("time steps")
        axis.set_xlim(1, steps)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


@styled
def autocorrelations(model, history=None, lags=30):
    """Autocorrelations of the residuals and of their squares.

    Args:
        model: A `VectorAutoregression`.
        history: As in `hedgezoo.var_diagnostics.report`.
        lags: Largest lag shown.

    Returns:
        `matplotlib.figure.Figure`.
    """
    from statsmodels.tsa.stattools import acf

    residuals = residuals_of(model, history_of(model, history))
    names = series_names(model)
    figure, axes = panels(len(names), 2, height=1.15, sharex=True, sharey=True)
    band = 1.96 / np.sqrt(len(residuals))
    for row, name, column in zip(axes, names, residuals.T, strict=True):
        for axis, values in zip(row, (column, column**2), strict=True):
            heights = acf(values, nlags=lags)[1:]
            axis.axhspan(-band, band, color=_GREY, alpha=0.25, linewidth=0)
            axis.bar(np.arange(1, lags + 1), heights, width=0.5, color=_BLUE)
            axis.axhline(0.0, color="#222222", linewidth=0.6)
        row[0].set_ylabel(name.replace("_", " "))
    axes[0, 0].set_title("residuals")
    axes[0, 1].set_title("squared residuals")
    for axis in axes[-1]:
        axis.set_xlabel("lag, time steps")
    return figure


@styled
def sample_surfaces(model, history=None, samples=3, seed=0, steps=30):
    """Volatilities against strikes: the last day of history and simulated days.

    Args:
        model: A `VectorAutoregression`.
        history: As in `hedgezoo.var_diagnostics.report`.
        samples: Number of simulated days.
        seed: Seed of their paths.
        steps: Time steps from a mean day to the simulated ones.

    Returns:
        `matplotlib.figure.Figure`.
    """
    history = history_of(model, history)
    dlv = model.simulate(seed, samples, steps)["dlv"].numpy()[:, -1]
    local = np.concatenate([history.dlv[-1:], dlv])
    implied = implied_volatilities(model, local)
    titles = [f"history, {history.dates[-1]}", *(f"path {i}" for i in range(samples))]
    figure, axes = panels(2, samples + 1, height=2.0, sharex=True, sharey="row")
    days = np.rint(np.asarray(model.maturities) / model.time_step).astype(int)
    for row, surfaces in zip(axes, (implied, local), strict=True):
        for axis, surface in zip(row, surfaces, strict=True):
            for number, (steps_left, line) in enumerate(zip(days, surface, strict=True)):
                axis.plot(
                    model.strikes,
                    line,
                    color=_COLOURS[number % len(_COLOURS)],
                    marker=".",
                    label=f"{steps_left} steps",
                )
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    for axis in axes[1]:
        axis.set_xlabel("strike / spot")
    axes[0, 0].set_ylabel("implied volatility")
    axes[1, 0].set_ylabel("discrete local volatility")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=4)
    return figure


@styled
def gains(market, paths=4096, seed=0):
    """Mean gain of one unit of each instrument bought at time 0, in basis points of the spot.

    Args:
        market: A `VARMarket`.
        paths: Number of simulated paths.
        seed: Their seed.

    Returns:
        `matplotlib.figure.Figure`.
    """
    mean, stderr = (1e4 / market.spot * values[0] for values in mean_gains(market, paths, seed))
    rate = 1e4 * np.broadcast_to(market.cost, mean.shape)
    columns = np.arange(len(mean))
    figure, axes = panels(height=2.8)
    axis = axes[0, 0]
    axis.fill_between(columns, -rate, rate, step="mid", color=_GREY, alpha=0.3, linewidth=0)
    axis.errorbar(
        columns, mean, yerr=2.0 * stderr, color=_BLUE, marker="o", linestyle="", elinewidth=0.8
    )
    axis.axhline(0.0, color="#222222", linewidth=0.6)
    # one label per kind and maturity; the strikes rise from left to right
    groups = [name.rpartition(" ")[0] or name for name in market.instrument_names]
    starts = [i for i, group in enumerate(groups) if i == 0 or group != groups[i - 1]]
    ends = [*starts[1:], len(groups)]
    for start in starts[1:]:
        axis.axvline(start - 0.5, color=_GREY, linewidth=0.4)
    middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
    labels = [groups[start].replace(" ", "\n") for start in starts]
    axis.set_xticks(middles, labels)
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-0.5, len(groups) - 0.5)
    axis.set_xlabel("option and steps to its expiry; strikes rise from left to right")
    axis.set_ylabel("mean gain, bp of the spot")
    return figure
