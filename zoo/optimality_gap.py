"""How far a band that takes its market as input is from the exact optimum, over a box."""

import itertools

import numpy as np

from hedgezoo.figures import panels, save, styled
from hedgezoo.styles import styles

NAMES = ("volatility", "cost", "risk_aversion", "expiry_steps")


def gaps_over_box(model, box, contracts=64, seed=0, time_step=1 / 250):
    """Optimality gaps of a band over a box of at-the-money calls, without Monte Carlo error.

    Args:
        model: A `BandHedge` that takes volatility, cost and risk aversion as inputs.
        box: Ranges `(low, high)` of `volatility`, `cost`, `risk_aversion` (log-uniform) and
            `expiry_steps` (uniform).
        contracts: Number of contracts inside: points of a scrambled Sobol sequence. The 16 corners
            of the box are added.
        seed: Seed of the points.
        time_step: Years between trades.

    Returns:
        `{"box": {...}}` for `metadata.json`: the ranges, every contract with its optimal price and
        the gaps of the model and of the Whalley-Wilmott band in percent of it, and quantiles.
    """
    from scipy.stats import qmc

    from hedgezoo.baselines.exact_hedge import ExactHedge

    # points come in powers of two; the first of them are spread evenly, too
    power = max(contracts - 1, 1).bit_length()
    inside = qmc.Sobol(len(NAMES), seed=seed).random_base2(power)[:contracts]
    corners = itertools.product((0.0, 1.0), repeat=len(NAMES))
    rows = []
    for point in (*inside, *corners):
        terms = {
            name: _at(box[name], share, name) for name, share in zip(NAMES, point, strict=True)
        }
        steps = terms.pop("expiry_steps")
        problem = ExactHedge(**terms, steps=steps, time_step=time_step)
        optimum = problem.price()

        def gap(strategy, problem=problem, optimum=optimum):
            return 100.0 * (problem.price_of(strategy) / optimum - 1.0)

        rows.append(
            {
                **terms,
                "expiry_steps": steps,
                "optimum": optimum,
                "gap_percent": gap(model),
                "gap_percent_whalley_wilmott": gap("whalley_wilmott"),
            }
        )
    quantiles = {
        key: {str(q): float(np.quantile([row[key] for row in rows], q)) for q in (0, 0.5, 0.9, 1)}
        for key in ("gap_percent", "gap_percent_whalley_wilmott")
    }
    return {"box": {"ranges": box, "contracts": rows, "quantiles": quantiles}}


def report(recipe, model, directory, checkpoint=None):
    """The gaps over the box of a recipe's training market: entries of `metadata.json`, a figure.

    Args:
        recipe: A recipe whose `train_market` is a `ConditionalBlackScholesMarket`.
        model: The trained model.
        directory: Directory of the preset.
        checkpoint: Not needed.

    Returns:
        What `gaps_over_box` returns, under `experiments`.
    """
    box = {name: getattr(recipe.train_market, name) for name in NAMES}
    found = gaps_over_box(model, box, contracts=48, seed=7, time_step=recipe.train_market.time_step)
    figures = directory / "figures"
    figures.mkdir(exist_ok=True)
    save(draw(found["box"]["contracts"]), figures / "gaps.png")
    return {"experiments": {"optimality_gap": found}}


@styled
def draw(contracts):
    """Optimality gaps against each parameter of the contracts, model and Whalley-Wilmott band.

    Args:
        contracts: Rows of `gaps_over_box`.

    Returns:
        `matplotlib.figure.Figure`.
    """
    figure, axes = panels(2, 2)
    axes = axes.ravel()
    labels = ("volatility", "proportional cost rate", "risk aversion × strike", "days to expiry")
    series = {"network": "gap_percent", "whalley_wilmott": "gap_percent_whalley_wilmott"}
    for axis, name, label in zip(axes, NAMES, labels, strict=True):
        for key, style in styles(series).items():
            axis.plot(
                [row[name] for row in contracts],
                [max(row[series[key]], 1e-5) for row in contracts],
                linestyle="",
                marker=style.marker,
                color=style.colour,
                label=style.label,
            )
        axis.set_xscale("log" if name in ("cost", "risk_aversion") else "linear")
        axis.set_yscale("log")
        axis.set_xlabel(label)
    for axis in axes[::2]:
        axis.set_ylabel("gap to the optimum, % of price")
    axes[0].legend(loc="upper left", bbox_to_anchor=(0.0, 1.2), ncols=2)
    return figure


def card_section(box):
    """The section of a model card on what `gaps_over_box` found, Markdown."""
    rows, quantiles = box["contracts"], box["quantiles"]
    lines = [
        "## Gap to the exact optimum over the box",
        "",
        f"{len(rows)} contracts: the 16 corners of the box, and points spread inside. Gap of the "
        "exact price to the exact optimum, in percent of the optimum, without Monte Carlo error.",
        "",
        "| | best | median | 90 % of contracts | worst |",
        "|---|---:|---:|---:|---:|",
    ]
    labels = {"gap_percent": "this model", "gap_percent_whalley_wilmott": "Whalley-Wilmott band"}
    for key, label in labels.items():
        cells = " | ".join(f"{quantiles[key][q]:.4f}" for q in ("0", "0.5", "0.9", "1"))
        lines.append(f"| {label} | {cells} |")
    worst = max(rows, key=lambda row: row["gap_percent"])
    lines += [
        "",
        f"The worst: volatility {worst['volatility']:.3g}, cost {worst['cost']:.3g}, risk aversion "
        f"{worst['risk_aversion']:.3g}, {worst['expiry_steps']} days; all contracts are in "
        "`metadata.json`.",
        "",
        "![gaps over the box](figures/gaps.png)",
    ]
    return "\n".join(lines)


def _at(limits, share, name):
    low, high = limits
    if name == "expiry_steps":
        return min(int(low + share * (high + 1 - low)), high)
    return float(low * (high / low) ** share)
