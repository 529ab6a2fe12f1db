"""Figures of changes of measure: how they are learned, what they weigh, what they remove.

Like `hedgezoo.plots`, every function returns a `matplotlib.figure.Figure` of its own.
"""

import numpy as np

from hedgezoo.figures import panels, styled

P_COLOUR, Q_COLOUR, EXACT = "#D55E00", "#0072B2", "#000000"
_DASHED = (0, (4, 2))


@styled
def convergence(cases):
    """Error of the density, relative entropy and error of call prices while a measure is learned.

    Args:
        cases: List of dictionaries `drift`, `curve` (dictionaries `step`, `density_error`,
            `relative_entropy`, `call_error`), `exact` and `exact_on_paths`; a row of panels each.

    Returns:
        `matplotlib.figure.Figure`.
    """
    figure, axes = panels(len(cases), 3, height=1.9, sharex=True)
    titles = ("density, mean squared error", "relative entropy", "calls, mean squared error")
    for row, case in zip(axes, cases, strict=True):
        steps = [point["step"] for point in case["curve"]]
        references = (
            case["exact"]["density_error"],
            case["exact"]["relative_entropy"],
            case["exact_on_paths"]["call_error"],
        )
        keys = ("density_error", "relative_entropy", "call_error")
        for axis, key, reference in zip(row, keys, references, strict=True):
            values = [point[key] for point in case["curve"]]
            axis.plot(steps, values, color=Q_COLOUR, label="network, on validation paths")
            axis.axhline(
                reference,
                color=EXACT,
                linestyle=_DASHED,
                linewidth=1.0,
                label="exact measure of the discrete market",
            )
            if key == "relative_entropy":
                late = [*values[len(values) // 5 :], reference]
                low, high = min(late), max(late)
                margin = max(0.5 * (high - low), 0.02 * reference)
                axis.set_ylim(low - margin, high + margin)
            else:
                axis.set_yscale("log")
            axis.set_xlim(0, steps[-1])
        row[0].set_ylabel(f"drift {case['drift']:g}")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    axes[-1, 1].set_xlabel("training steps")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@styled
def learning_curve(curve, relative_entropy, batch_size):
    """The loss while a measure is learned, and minus its entropy: what the loss is at the optimum.

    Args:
        curve: List of pairs of a step and the mean loss up to it.
        relative_entropy: Of the trained measure, `{"value", "stderr"}`.
        batch_size: Paths per step.

    Returns:
        `matplotlib.figure.Figure`.
    """
    figure, axes = panels()
    axis = axes[0, 0]
    axis.plot(*zip(*curve, strict=True), color=Q_COLOUR, label="policy, mean loss")
    entropy, error = relative_entropy["value"], relative_entropy["stderr"]
    axis.axhline(
        -entropy,
        color=EXACT,
        linestyle=_DASHED,
        linewidth=1.0,
        label="minus the relative entropy, ± one standard error",
    )
    axis.axhspan(-entropy - error, -entropy + error, color=EXACT, alpha=0.1, linewidth=0)
    axis.set_xlim(0, curve[-1][0])
    axis.set_xlabel(f"training steps of {batch_size:,} fresh paths")
    axis.set_ylabel("entropic risk, risk aversion 1")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@styled
def weights_against_volatility(cases, points=1500):
    """Weights of paths against their realised volatility, and its law under P and under Q.

    Args:
        cases: List of dictionaries `title`, `volatility` and `weight` of paths `(N,)`, `exact`
            weights `(N,)`, `implied_volatility` and `realised_volatility`; a column of panels each.
        points: Paths that are drawn.

    Returns:
        `matplotlib.figure.Figure`.
    """
    figure, axes = panels(2, len(cases), height=2.1, sharex="col", sharey="row")
    for (above, below), case in zip(axes.T, cases, strict=True):
        volatility, weight = np.asarray(case["volatility"]), np.asarray(case["weight"])
        shown = slice(None, None, max(1, len(volatility) // points))
        above.plot(
            100 * volatility[shown],
            weight[shown],
            ".",
            color=Q_COLOUR,
            alpha=0.35,
            markersize=2.5,
            markeredgewidth=0,
            label="weight of a path, network",
            rasterized=True,
        )
        edges = np.quantile(volatility, np.linspace(0.005, 0.995, 26))
        bins = np.digitize(volatility, edges)
        centres, exact = (
            [np.mean(x[bins == k]) for k in range(1, len(edges))]
            for x in (volatility, np.asarray(case["exact"]))
        )
        above.plot(
            100 * np.array(centres), exact, color=EXACT, linestyle=_DASHED, label="exact, mean"
        )
        above.set_yscale("log")
        above.set_title(case["title"])
        edges = np.linspace(*np.quantile(volatility, [1e-4, 1 - 2e-5]), 51)
        for label, colour, weights in (("P", P_COLOUR, None), ("Q", Q_COLOUR, weight)):
            share, _ = np.histogram(volatility, edges, weights=weights)
            height = share / len(volatility) / np.diff(100 * edges)
            below.stairs(height, 100 * edges, color=colour, fill=True, alpha=0.35, linewidth=0)
            below.stairs(height, 100 * edges, color=colour, label=f"paths under {label}")
        for axis, named in ((above, False), (below, True)):
            for key, line in (("realised_volatility", ":"), ("implied_volatility", "-")):
                axis.axvline(
                    100 * case[key],
                    color="#222222",
                    linestyle=line,
                    linewidth=0.9,
                    label=f"{key.split('_')[0]} volatility of the market" if named else None,
                )
    low, high = np.quantile(np.concatenate([case["weight"] for case in cases]), [1e-3, 1 - 1e-4])
    axes[0, 0].set_ylim(max(low, 1e-3) / 2, 2 * high)
    axes[0, 0].set_ylabel("weight dQ/dP")
    axes[1, 0].set_ylabel("density, per %")
    axes[1, len(cases) // 2].set_xlabel("realised volatility of the path, % per year")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    more = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles + more[0], labels + more[1], loc="outside upper center", ncols=3)
    return figure


@styled
def surfaces(strikes, days, cases, label):
    """Surfaces of volatilities on several dates, a line for each maturity.

    Args:
        strikes: Strikes divided by the spot, `(n,)`.
        days: Maturities, days of trading, `(m,)`.
        cases: Dictionary title -> volatilities `(m, n)`; a panel each.
        label: What the volatilities are.

    Returns:
        `matplotlib.figure.Figure`.
    """
    import matplotlib

    figure, axes = panels(1, len(cases), height=2.5)
    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, len(days)))
    for axis, (title, surface) in zip(axes[0], cases.items(), strict=True):
        for day, colour, volatilities in zip(days, colours, surface, strict=True):
            axis.plot(
                strikes,
                100 * np.asarray(volatilities),
                color=colour,
                marker="o",
                markersize=2.5,
                label=f"{day} days",
            )
        axis.set_title(title)
        axis.set_ylim(0, None)
        axis.set_xlabel("strike / spot")
    axes[0, 0].set_ylabel(f"{label}, % per year")
    named = axes[0, 0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=len(days))
    return figure


@styled
def gains_against_band(panels_of, names):
    """Expected gain of each instrument at each date against what trading it costs.

    Args:
        panels_of: List of lists (rows of panels) of dictionaries `title`, `gain` and `stderr`
            `(T, D)`, in units of the cost of trading one unit, and `share`, the share of them that
            is inside the band.
        names: Of the D instruments, such as `"call 20 0.95"`: kind, days to expiry, strike.

    Returns:
        `matplotlib.figure.Figure`.
    """
    rows, columns = len(panels_of), len(panels_of[0])
    figure, axes = panels(rows, columns, height=2.1, sharex=True, sharey="row")
    for row, cases in zip(axes, panels_of, strict=True):
        reach = 1.2 * max(np.abs(case["gain"]).max() for case in cases)
        for axis, case in zip(row, cases, strict=True):
            gain = np.asarray(case["gain"])
            dates, count = gain.shape
            axis.axhspan(-1, 1, color="#009E73", alpha=0.18, linewidth=0, label="cost band")
            x = np.repeat(np.arange(count), dates)
            colour = Q_COLOUR if "Q" in case["title"] else P_COLOUR
            y, bar = gain.T.ravel(), 2.5 * np.asarray(case["stderr"]).T.ravel()
            axis.vlines(x, y - bar, y + bar, color=colour, alpha=0.12, linewidth=0.6)
            axis.plot(
                x,
                y,
                ".",
                color=colour,
                markersize=2.0,
                markeredgewidth=0,
                label="an instrument, a date",
            )
            axis.axhline(0.0, color="#222222", linewidth=0.5)
            axis.set_title(f"{case['title']}: {100 * case['share']:.1f} % inside")
            axis.set_ylim(-reach, reach)
        row[0].set_ylabel("E[payoff] − price, / cost")
    groups = [tuple(name.split()[:2]) for name in names]
    starts = [d for d, group in enumerate(groups) if d == 0 or group != groups[d - 1]]
    ends = [*starts[1:], len(groups)]
    for axis in axes[-1]:
        axis.set_xticks(
            [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)],
            [groups[start][-1] if len(groups[start]) > 1 else "S" for start in starts],
        )
        axis.set_xlabel("spot, calls, puts; days to expiry; strikes upwards")
    named = axes[0, 0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=2)
    return figure


@styled
def gain_histograms(gains, bins=90, scale=100.0, unit="% of the spot"):
    """Laws of the gains of freshly trained policies under two measures.

    Args:
        gains: Dictionary title -> dictionary `gain` `(N,)`, money, `weight` `(N,)` or None, and
            `certainty_equivalent`, money.
        bins: Number of bins.
        scale: Factor from money to `unit`.
        unit: Unit of the axis.

    Returns:
        `matplotlib.figure.Figure`.
    """
    figure, axes = panels(1, len(gains), height=2.5, sharex=True, sharey=True)
    sample = np.concatenate([scale * np.asarray(case["gain"]) for case in gains.values()])
    low, high = np.quantile(sample, [2e-3, 1 - 2e-3])
    edges = np.linspace(low, high, bins + 1)
    for axis, (title, case) in zip(axes[0], gains.items(), strict=True):
        gain = scale * np.asarray(case["gain"])
        mean = np.average(gain, weights=case["weight"])
        weights = np.ones(len(gain)) if case["weight"] is None else np.asarray(case["weight"])
        share = np.histogram(gain, edges, weights=weights)[0] / weights.sum()
        colour = P_COLOUR if case["weight"] is None else Q_COLOUR
        axis.stairs(100 * share, edges, fill=True, color=colour, alpha=0.6, linewidth=0)
        axis.axvline(0.0, color="#222222", linewidth=0.6)
        axis.axvline(mean, color="#222222", linewidth=0.9, linestyle=_DASHED, label="mean")
        told = f"mean {mean:.3g}, certainty equivalent {scale * case['certainty_equivalent']:.3g}"
        axis.set_title(f"{title}\n{told.replace('-', '−')}")
        axis.set_xlabel(f"gain of the policy, {unit}")
    axes[0, 0].set_ylabel("share of paths, %")
    axes[0, -1].legend(loc="upper right")
    return figure


@styled
def prices_and_positions(prices, positions, names, points=1500):
    """Prices of a sold claim by several rules; and two ways to its positions under Q.

    Args:
        prices: Dictionary setting -> dictionary rule -> `(price, stderr)`, bp; the same rules in
            every setting.
        positions: Dictionary `under_q` and `difference`: positions `(N, T, D)`.
        names: Of the D instruments.
        points: Positions that are drawn, of each instrument.

    Returns:
        `matplotlib.figure.Figure`.
    """
    figure, axes = panels(1, 2, height=2.9, width_ratios=[1.25, 1.0])
    left, right = axes[0]
    rules = list(next(iter(prices.values())))
    for (setting, found), colour, marker, shift in zip(
        prices.items(), (Q_COLOUR, P_COLOUR), ("o", "s"), (0.12, -0.12), strict=False
    ):
        rows = np.arange(len(rules))[::-1] + shift
        values, errors = np.array([found[rule] for rule in rules]).T
        left.errorbar(
            values, rows, xerr=2 * errors, fmt=marker, color=colour, markersize=4, label=setting
        )
    left.axvline(0.0, color="#222222", linewidth=0.6)
    left.set_yticks(np.arange(len(rules))[::-1], rules)
    left.set_ylim(-0.6, len(rules) - 0.4)
    left.set_xlabel("bp of the spot, ± 2 standard errors")
    left.set_title("price of the sold call")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    x, y = (np.asarray(positions[key]).reshape(-1, len(names)) for key in ("difference", "under_q"))
    every = max(1, len(x) // points)
    colours = ("#0072B2", "#E69F00", "#009E73")
    for d, name in enumerate(names):
        right.plot(
            x[::every, d],
            y[::every, d],
            ".",
            color=colours[d % 3],
            markersize=2.5,
            alpha=0.5,
            markeredgewidth=0,
            label=name,
        )
    low, high = np.quantile(np.concatenate([x, y]), [0.001, 0.999])
    right.plot([low, high], [low, high], color=EXACT, linestyle=_DASHED, linewidth=1.0)
    right.set_xlim(low, high)
    right.set_ylim(low, high)
    right.set_xlabel("a$_P$(Z) − a*, units held")
    right.set_ylabel("a$_Q$(Z)")
    right.set_title("positions, without cost")
    right.legend(loc="upper left", markerscale=3)
    return figure
