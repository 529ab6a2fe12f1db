"""Figures of calibrations: surfaces, recovered parameters, errors, learning and times.

Like `hedgezoo.plots`, every function takes arrays and returns a `matplotlib.figure.Figure` of its
own.
"""

import numpy as np

from hedgezoo.figures import panels, styled

BASIS_POINTS = 1e4
_DASHED = (0, (4, 2))
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7F7F7F",
    "#000000",
    "#8C6D31",
)
SYMBOLS = {
    "kappa": "κ, per year",
    "theta": "θ",
    "xi": "ξ",
    "rho": "ρ",
    "v0": "v₀",
    "jump_intensity": "jumps per year",
    "jump_mean": "mean of a jump",
    "jump_deviation": "deviation of a jump",
}


@styled
def surface(cases, strikes, maturities):
    """Volatility surfaces beside what a calibration makes of them, in three dimensions.

    Black mesh: the panel; red: its reconstruction; green on the base plane: the distance between
    the two, in basis points.

    Args:
        cases: Dictionary title -> pair of volatilities `(m, n)`, of the panel and fitted; NaN where
            there is none. A plot each.
        strikes: Strikes divided by the forward, `(n,)`.
        maturities: Years, `(m,)`.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no case, or a surface has another shape.
    """
    strikes, maturities = np.asarray(strikes, float), np.asarray(maturities, float)
    cases = _surfaces("cases", cases, (2, len(maturities), len(strikes)))
    figure, axes = panels(1, len(cases), height=3.6, subplot_kw={"projection": "3d"})
    x, y = np.meshgrid(strikes, maturities)
    for axis, (title, (panel, fitted)) in zip(axes[0], cases.items(), strict=True):
        low, high = np.nanmin([panel, fitted]), np.nanmax([panel, fitted])
        room = max(high - low, 0.01)
        base = low - 0.4 * room
        residual = BASIS_POINTS * np.abs(fitted - panel)
        top = max(float(np.nanmax(residual)), 1e-12)
        filled = np.where(np.isfinite(residual), residual, 0.0)
        image = axis.contourf(
            x, y, filled, np.linspace(0.0, top, 11), zdir="z", offset=base, cmap="Greens", alpha=0.6
        )
        axis.plot_wireframe(x, y, panel, color="#000000", linewidth=0.9, label="panel")
        axis.plot_wireframe(
            x, y, fitted, color="#D62728", linewidth=0.7, linestyle=(0, (3, 1.5)), label="fitted"
        )
        axis.set_zlim(base, high + 0.05 * room)
        axis.set_title(title, y=1.02)
        axis.set_xlabel("strike / forward", labelpad=-2)
        axis.set_ylabel("maturity, years", labelpad=-2)
        axis.set_zlabel("implied volatility", labelpad=0)
        axis.tick_params(pad=-1, labelsize=7)
        axis.locator_params(nbins=5)
        axis.view_init(elev=24, azim=-58)
        axis.set_box_aspect((1, 1, 0.85), zoom=0.86)
        bar = figure.colorbar(
            image, ax=axis, orientation="horizontal", shrink=0.6, pad=0.08, aspect=28
        )
        bar.set_label("fitted less panel, absolute, bp")
        bar.set_ticks(np.linspace(0.0, top, 3), labels=["0", _short(top / 2), _short(top)])
    named = axes[0, 0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=2)
    return figure


@styled
def scatter(truth, fitted, names, colour, label="mean implied volatility of the panel", title=None):
    """Calibrated parameters against true ones, one sub-plot for each.

    Dashed: identity; shaded: errors up to 5 % of the true value; in the corner: Pearson's
    correlation. Points that miss the plot by far (the range is that of the truth) are counted.

    Args:
        truth: `(N, p)`.
        fitted: `(N, p)`.
        names: Of the p parameters.
        colour: Value of each panel that its dot's colour shows, `(N,)`.
        label: What this is.
        title: Above all.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the shapes do not match.
    """
    truth, fitted, colour = (np.asarray(x, float) for x in (truth, fitted, colour))
    if truth.ndim != 2 or fitted.shape != truth.shape or colour.shape != truth.shape[:1]:
        raise ValueError(
            "`truth` and `fitted` must be (N, p), `colour` (N,). Received: shapes "
            f"{truth.shape}, {fitted.shape}, {colour.shape}"
        )
    columns = 3 if len(names) <= 6 else 4
    figure, axes = panels(-(-len(names) // columns), columns, height=2.25)
    for axis, name, x, y in zip(axes.flat, names, truth.T, fitted.T, strict=False):
        low, high = x.min(), x.max()
        margin = 0.06 * (high - low) or 0.05 * max(abs(high), 1.0)
        ends = np.array([low - margin, high + margin])
        axis.fill_between(ends, 0.95 * ends, 1.05 * ends, color="#7F7F7F", alpha=0.25, linewidth=0)
        dots = axis.scatter(
            x, y, c=colour, s=16 * len(x) ** -0.25, cmap="viridis", alpha=0.7, linewidths=0
        )
        axis.plot(ends, ends, color="#000000", linestyle=_DASHED, linewidth=0.8)
        axis.set_xlim(ends)
        axis.set_ylim(ends)
        told = [f"Pearson {_pearson(x, y):.4f}"]
        if outside := int(np.sum((y < ends[0]) | (y > ends[1]) | ~np.isfinite(y))):
            told.append(f"{outside} not shown")
        axis.text(
            0.04, 0.96, "\n".join(told), transform=axis.transAxes, va="top", fontsize=7.5, zorder=5
        )
        axis.set_title(SYMBOLS.get(name, name.replace("_", " ")))
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("true")
    for axis in axes.flat[len(names) - columns : len(names)]:
        axis.set_xlabel("true")
    for axis in axes[:, 0]:
        axis.set_ylabel("calibrated")
    bar = figure.colorbar(dots, ax=axes, location="right", shrink=0.7, aspect=30)
    bar.solids.set_alpha(1.0)
    bar.set_label(label)
    figure.suptitle(title, fontsize=9)
    return figure


def _pearson(x, y):
    """Correlation of what is finite; NaN where one of the two does not vary."""
    good = np.isfinite(x) & np.isfinite(y)
    if good.sum() < 2 or np.ptp(x[good]) == 0 or np.ptp(y[good]) == 0:
        return np.nan
    return np.corrcoef(x[good], y[good])[0, 1]


@styled
def heat_map(cases, strikes, maturities, columns=2, label="mean absolute error, bp"):
    """Errors by strike and maturity, on one logarithmic scale of colours, with their numbers.

    Args:
        cases: Dictionary title -> errors `(m, n)` in basis points; NaN where there is none. A map
            each.
        strikes: Strikes divided by the forward, `(n,)`.
        maturities: Years, `(m,)`.
        columns: Maps beside each other.
        label: Of the scale.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no case, or a map has another shape.
    """
    from matplotlib.colors import LogNorm

    cases = _surfaces("cases", cases, (len(maturities), len(strikes)))
    columns = min(columns, len(cases))
    rows = -(-len(cases) // columns)
    figure, axes = panels(rows, columns, height=2.5, sharex=True, sharey=True)
    values = np.concatenate([np.ravel(errors) for errors in cases.values()])
    values = values[np.isfinite(values) & (values > 0)]
    # from 1 to 10 bp at least: a map of small errors alone must not be red
    low, high = np.min([1.0, *values]), np.max([10.0, *values])
    norm = LogNorm(low, high, clip=True)
    for axis, (title, errors) in zip(axes.flat, cases.items(), strict=False):
        image = axis.imshow(
            np.where(errors > 0, errors, np.where(np.isnan(errors), np.nan, low)),
            norm=norm,
            cmap="RdYlBu_r",
            origin="lower",
            aspect="auto",
        )
        for (row, column), value in np.ndenumerate(errors):
            if np.isfinite(value):
                share = float(norm(max(value, low)))
                ink = "#FFFFFF" if share < 0.15 or share > 0.85 else "#000000"
                axis.text(
                    column, row, _short(value), ha="center", va="center", fontsize=5.5, color=ink
                )
        axis.set_title(title)
        axis.set_xticks(np.arange(len(strikes)), [f"{k:.2f}" for k in strikes], rotation=90)
        axis.set_yticks(np.arange(len(maturities)), [f"{t:.3g}" for t in maturities])
        axis.tick_params(length=0, labelsize=7)
        for spine in axis.spines.values():
            spine.set_visible(False)
    for axis in axes.flat[len(cases) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("strike / forward")
    for axis in axes[:, 0]:
        axis.set_ylabel("maturity, years")
    bar = figure.colorbar(image, ax=axes, location="right", aspect=35)
    _plain_ticks(bar.ax.yaxis)
    bar.set_label(label)
    return figure


def _short(value):
    """A positive number in few signs, a leading zero left out."""
    if value < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-") if value else "0"
    if value < 0.995:
        return f"{value:.{2 if value >= 0.1 else 3}f}".lstrip("0")
    return f"{value:.{0 if value >= 9.95 else 1}f}"


@styled
def convergence(cases):
    """Validation errors while networks learn, and a penalty on a second axis.

    Thick lines: error, the mean over the seeds, with one standard deviation on either side; thin
    ones: penalty.

    Args:
        cases: List of plots, dictionaries of a `title`; `curves`, a dictionary label -> dictionary
            of `rmse_bp` and `penalty`, both `(seeds, epochs)`; and `references`, a dictionary
            label -> penalty of surfaces that need no learning.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no case, or one without curves.
    """
    if not cases or not all(case["curves"] for case in cases):
        raise ValueError("`cases` must hold at least one curve each. Received: none")
    figure, axes = panels(1, len(cases), height=3.0, sharey=True)
    styles, handles = {}, {}
    for axis, case in zip(axes[0], cases, strict=True):
        twin = axis.twinx()
        twin.spines["right"].set_visible(True)
        for label, curve in case["curves"].items():
            style = styles.setdefault(
                label, (_COLOURS[len(styles) % 6], ("-", ":", _DASHED)[len(styles) % 3])
            )
            colour, line = style
            errors = np.atleast_2d(np.asarray(curve["rmse_bp"], float))
            epochs = np.arange(1, errors.shape[1] + 1)
            mean = errors.mean(0)
            if len(errors) > 1:
                spread = errors.std(0, ddof=1)
                axis.fill_between(
                    epochs,
                    np.maximum(mean - spread, 0.5 * mean),
                    mean + spread,
                    color=colour,
                    alpha=0.2,
                    linewidth=0,
                )
            (handle,) = axis.plot(epochs, mean, color=colour, linestyle=line, linewidth=1.6)
            handles[label] = handle
            penalty = np.atleast_2d(np.asarray(curve["penalty"], float)).mean(0)
            (thin,) = twin.plot(
                epochs, penalty, color=colour, linestyle=line, linewidth=0.7, marker=".", ms=3
            )
            handles[f"penalty, {label}"] = thin
        for label, value in case.get("references", {}).items():
            handles[label] = twin.axhline(
                value, color="#000000", linewidth=0.8, linestyle=(0, (1, 1.5))
            )
        axis.set_yscale("log")
        _plain_ticks(axis.yaxis)
        axis.set_title(case["title"])
        axis.set_xlabel("epochs")
        axis.set_xlim(1, max(epochs[-1], 2))
        axis.locator_params(axis="x", integer=True)
        top = max(np.max(line.get_ydata()) for line in twin.get_lines())
        # less than that is rounding of prices: no scale to be read
        twin.set_ylim(0.0, 1.05 * top if top > 1e-6 else 1.0)
    twin.set_ylabel("penalty of the fitted surfaces")  # of all, but it fits on the right alone
    axes[0, 0].set_ylabel("validation RMSE, bp of volatility")
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
    return figure


@styled
def time_distribution(cases, title=None, label="time per panel"):
    """Empirical distributions of the time that a calibration takes, on a logarithmic axis.

    Dashed: the 95th percentiles.

    Args:
        cases: Dictionary label -> seconds of each panel `(N,)`.
        title: Above the axes.
        label: What the times are.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no case, or a time is not positive.
    """
    cases = {label: np.sort(np.asarray(times, float)) for label, times in cases.items()}
    if not cases or any(not len(times) or not (times > 0).all() for times in cases.values()):
        raise ValueError("`cases` must hold positive times. Received: none, or some that are not")
    figure, axes = panels(1, 1, height=4.0)
    axis = axes[0, 0]
    for number, (name, times) in enumerate(cases.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        line = "-" if number < len(_COLOURS) else (0, (3, 1))
        milliseconds = 1e3 * times
        share = np.arange(1, len(times) + 1) / len(times)
        axis.step(
            np.concatenate([milliseconds[:1], milliseconds]),
            np.concatenate([[0.0], share]),
            where="post",
            color=colour,
            linestyle=line,
            label=f"{name}: {_milliseconds(np.median(milliseconds))}",
        )
        axis.axvline(
            np.quantile(milliseconds, 0.95), color=colour, linestyle=_DASHED, linewidth=0.7
        )
    axis.set_xscale("log")
    _plain_ticks(axis.xaxis)
    axis.set_ylim(0, 1.01)
    axis.set_title(title)
    axis.set_xlabel(f"{label}, ms")
    axis.set_ylabel("share of panels")
    named = axis.get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=2, title="median")
    return figure


def _milliseconds(value):
    return f"{value / 1e3:.2g} s" if value >= 1e3 else f"{value:.3g} ms"


def pictures(model, about, panels=2000, seed=7):
    """The pictures of a calibrator's card: recovered parameters, and errors on the grid.

    Both on fresh panels of the box of the model's market, on its own grid of strikes and
    maturities or, where it takes any grid, on the paper's.

    Args:
        model: A `HestonCalibrator`.
        about: Content of its `metadata.json`; not used.
        panels: Number of panels.
        seed: Their seed.

    Returns:
        List of `Picture`.
    """
    from hedgezoo.datasets.heston_panels import PAPER_GRID, FixedGrid, HestonPanels
    from hedgezoo.figures import Picture

    del about
    grid = PAPER_GRID if model.strikes is None else FixedGrid(model.strikes, model.maturities)
    box = getattr(model.market, "box", None) or model.box
    source = HestonPanels(box=box, grid=grid, noise="inside_15_bp_spread", dtype="float64")
    drawn = source.simulate(seed, panels)
    quoted = drawn[0]["mask"].numpy().sum(axis=(1, 2)) > len(box.low)  # enough to be fitted
    arrays, targets = ({name: x.numpy()[quoted] for name, x in part.items()} for part in drawn)
    exact, true = targets["implied_volatility"], targets["parameters"]
    result = model.calibrate(
        arrays["implied_volatility"],
        grid.strikes,
        arrays["maturities"],
        mask=arrays["mask"],
        spread=arrays["spread"],
    )
    level = _mean_where(exact, exact > 0, axis=(1, 2))
    error = BASIS_POINTS * np.abs(result.implied_volatility - exact)
    to_clean = _mean_where(error, (exact > 0) & np.isfinite(error), axis=0)
    error = BASIS_POINTS * np.abs(result.implied_volatility - arrays["implied_volatility"])
    to_quotes = _mean_where(error, arrays["mask"] & np.isfinite(error), axis=0)
    strikes = np.asarray(grid.strikes)
    shown = strikes if strikes.ndim == 1 else np.mean(strikes, axis=0)
    noise = "quotes traded inside a spread of up to 15 bp, 5 % of them missing"
    return [
        Picture(
            "parameters",
            scatter(true, result.parameters, source.box.names, level),
            f"Calibrated against true parameters, {len(true):,} panels; {noise}. Dashed: identity; "
            "grey: 5 % of the true value.",
        ),
        Picture(
            "errors",
            heat_map(
                {"to the quotes": to_quotes, "to the exact surface": to_clean},
                shown,
                grid.maturities,
            ),
            f"Mean absolute error of the fitted volatility in basis points; {noise}.",
        ),
    ]


def _mean_where(values, where, axis):
    """Mean of what is wanted, NaN where there is none."""
    count = where.sum(axis=axis)
    total = np.where(where, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def _surfaces(name, cases, shape):
    """The cases as float arrays of the shape that the axes ask for."""
    cases = {title: np.asarray(values, float) for title, values in cases.items()}
    if not cases:
        raise ValueError(f"`{name}` must hold at least one case. Received: none")
    for title, values in cases.items():
        if values.shape != shape:
            raise ValueError(
                f"`{name}` must hold arrays of shape {shape}. Received: {title!r} of shape "
                f"{values.shape}"
            )
    return cases


def _plain_ticks(axis):
    """Numbers as they are on a logarithmic axis, not as powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    narrow = low > 0 and high / low < 100
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
