"""Figures 5 and 6 of Buehler et al. (2021): the market of a vector autoregression without drift.

The autoregression is fitted to the shipped history of S&P 500 surfaces and simulates spot, calls
and puts for 30 days, on which spot and options have a drift: the spot rises, options cost more than
they pay. A measure is made at a cost of 10 bp of the spot per unit of any instrument. Under it

- the expected gain of every instrument at every date should lie inside its cost band (Figure 5);
- policies that are trained anew, at twice the cost, should have nothing to gain (Figure 6).

The paper's grid, lags, cost levels and numbers of paths are lost; these are ours.
"""

import functools
import pathlib

import numpy as np

from hedgezoo.experiments.measure_runs import said, train

NAME = "risk_neutral_var"
COST, RETRAINED_COST = 1e-3, 2e-3
STEPS = 30
ERRORS = 2.5  # weighted standard errors by which a gain may miss the band
FEATURES = ("state", "time_to_expiry", "log_moneyness")
TRADE_LIMIT = 5.0  # units a day, of any instrument: far from binding, but losses have a bound
TRAINING = {"steps": 1200, "batch_size": 1024, "learning_rate": 2e-3}
RETRAINING = {"epochs": 25, "batch_size": 1024, "learning_rate": 2e-3}
PATHS = {"in sample": 2**14, "fresh": 2**15}
SEEDS = {"in sample": 1, "fresh": 1_000_003}


@functools.cache
def simulator():
    """The autoregression of the preset `var_spx_v1`, fitted to the shipped history."""
    from hedgezoo.recipes.var_spx_v1 import fit

    return fit()


def market(cost=COST, draws="plain", **options):
    """Spot, calls and puts of the autoregression for 30 days, from its mean; nothing is owed."""
    terms = {"cost": cost, "draws": draws, "steps": STEPS, "features": FEATURES, **options}
    return simulator().make_market(**terms)


def measure(market_, seed=0, cls=None, trade_limit=TRADE_LIMIT):
    """The paper's policy, a network of two layers of 64 ReLU units, with an intercept per date.

    What is bought is held, so most of the spot is bought on the first date, at once: a smooth
    function of time would be slow to learn that.

    Args:
        market_: The market.
        seed: Of the initial weights.
        cls: Class of the model; default: `RiskNeutralMeasure`.
        trade_limit: Of the model.
    """
    from hedgezoo.risk_neutral_measure import RiskNeutralMeasure

    inputs, _ = market_.simulate(0, 2)
    return (cls or RiskNeutralMeasure)(
        "feed_forward",
        features=inputs["features"].shape[2],
        instruments=inputs["unit_gain"].shape[2],
        hidden_units=(64, 64),
        steps=STEPS,
        trade_limit=trade_limit,
        convention="unit_gain",
        seed=seed,
    )


def band(model, inputs, names):
    """Expected gains against the cost band, under P and under Q.

    Args:
        model: A `RiskNeutralMeasure`.
        inputs: Paths.
        names: Names of the instruments.

    Returns:
        Tuple of numbers: `P` and `Q`, each `share_inside`, `worst` and the mean gain over all dates
        of `instruments`, in units of the cost; and the arrays of the figure: `P` and `Q`, each
        `gain`, `stderr` `(T, D)` and `share`.
    """
    weights = model.path_weights(inputs)
    numbers, pictures = {}, {}
    for title, weight in (("P", np.ones(len(weights))), ("Q", weights)):
        found = model.band_check(inputs, weight)
        scaled = {name: getattr(found, name) / found.upper for name in ("gain", "stderr")}
        worst = np.unravel_index(np.argmax(found.excess), found.excess.shape)
        share = found.share_inside(ERRORS)
        numbers[title] = {
            "share_inside": share,
            "worst": {
                "instrument": names[worst[1]],
                "date": int(worst[0]),
                "gain": float(scaled["gain"][worst]),
                "stderr": float(scaled["stderr"][worst]),
                "excess": float(found.excess[worst]),
            },
            "instruments": dict(zip(names, scaled["gain"].mean(0).round(4).tolist(), strict=True)),
        }
        pictures[title] = {**scaled, "share": share}
    return numbers, pictures


def retrain(samples, weights, training, seed):
    """A new policy, from nothing, on given paths with given weights; and what it gains.

    Args:
        samples: Dictionary of `in sample` and `fresh` paths at the second level of cost.
        weights: Dictionary of the weights of both, arrays or None.
        training: `epochs`, `batch_size` and `learning_rate`.
        seed: Of the initial weights.

    Returns:
        Tuple of numbers, the certainty equivalents on both, and the gains on the fresh paths.
    """
    from hedgezoo.gradient_recipe import decaying_adam
    from hedgezoo.measure_diagnostics import certainty_equivalent

    paths = samples["in sample"]
    model = measure(market(), seed)
    steps = training["epochs"] * -(-len(paths["features"]) // training["batch_size"])
    model.compile(decaying_adam(training["learning_rate"], steps))
    model.fit(
        paths,
        sample_weight=weights["in sample"],
        epochs=training["epochs"],
        batch_size=training["batch_size"],
        verbose=0,
    )
    gains = {name: model.gains(inputs) for name, inputs in samples.items()}
    numbers = {name: certainty_equivalent(gain, weights[name]) for name, gain in gains.items()}
    return numbers, gains["fresh"]


def judge(model, sizes, retraining, seed=0, console=None):
    """Everything about a trained measure: weights, bands, and policies that are trained anew.

    Args:
        model: A `RiskNeutralMeasure` of `market()`.
        sizes: Numbers of paths `in sample` and `fresh`.
        retraining: Of the new policies.
        seed: Of the measure's training.
        console: For progress, or None.

    Returns:
        Tuple of numbers, and of the arrays behind the figures.
    """
    from hedgezoo.experiments.measure_runs import weight_numbers
    from hedgezoo.statistical_arbitrage.simulated_paths import simulated_paths

    whole = market()
    names = whole.instrument_names
    # in sample: the first of the paths that the measure was trained on
    sources = {"in sample": market(draws="antithetic"), "fresh": whole}
    samples = {
        name: simulated_paths(sources[name], SEEDS[name] + seed, size)
        for name, size in sizes.items()
    }
    results, pictures = {}, {"names": names, "band": [], "gains": {}}
    weights = {}
    for name, inputs in samples.items():
        weights[name] = model.path_weights(inputs)
        found, drawn = band(model, inputs, names)
        results[name] = {**weight_numbers(-model.gains(inputs)), **found}
        pictures["band"].append(
            [{"title": f"{title}, {name}", **drawn[title]} for title in ("P", "Q")]
        )
        said(
            console,
            f"{name}: relative entropy {results[name]['relative_entropy']:.4f}, effective sample "
            f"{results[name]['effective_sample_share']:.1%}, inside the band under P "
            f"{found['P']['share_inside']:.1%}, under Q {found['Q']['share_inside']:.1%}",
        )
    for inputs in samples.values():
        inputs["cost"] *= RETRAINED_COST / COST
    results["retrained"] = {}
    for title, weight in (("P", dict.fromkeys(samples)), ("Q", weights)):
        found, gains = retrain(samples, weight, retraining, seed=100 + seed)
        results["retrained"][title] = found
        pictures["gains"][f"under {title}"] = {
            "gain": gains,
            "weight": weight["fresh"],
            "certainty_equivalent": found["fresh"]["value"],
        }
        said(
            console,
            f"new policy under {title} at cost {RETRAINED_COST:g}: certainty equivalent "
            + ", ".join(
                f"{name} {x['value']:.5f} ± {x['stderr']:.5f}" for name, x in found.items()
            ),
        )
    return results, pictures


def settings(training, sizes, retraining, seed, quick):
    """What decides the numbers, for the record."""
    return {
        "cost": COST,
        "retrained_cost": RETRAINED_COST,
        "steps": STEPS,
        "trade_limit": TRADE_LIMIT,
        "training": training,
        "retraining": retraining,
        "paths": sizes,
        "seed": seed,
        "quick": quick,
    }


def draw(pictures, directory):
    """Writes `figure_5.png` and `figure_6.png`.

    Args:
        pictures: The arrays of `judge`.
        directory: Where to.
    """
    from hedgezoo import measure_plots, plots

    directory = pathlib.Path(directory)
    figure = measure_plots.gains_against_band(pictures["band"], pictures["names"])
    plots.save(figure, directory / "figure_5.png")
    plots.save(measure_plots.gain_histograms(pictures["gains"]), directory / "figure_6.png")


def report(recipe, model, directory, checkpoint=None):
    """The experiment with the measure of a preset: entries of `metadata.json`, and figures.

    Args:
        recipe: The recipe, whose numbers go on record.
        model: Its trained model.
        directory: Directory of the preset.
        checkpoint: Without effect: nothing here takes long.

    Returns:
        Dictionary with `experiments`; `card_section` says them in words.
    """
    training = {name: getattr(recipe, name) for name in TRAINING}
    told = settings(training, PATHS, RETRAINING, 0, False)
    results, pictures = judge(model, PATHS, RETRAINING)
    draw(pictures, pathlib.Path(directory) / "figures")
    return {"experiments": {NAME: {"settings": told, "results": results}}}


def card_section(settings, results):
    """The section of a model card on the experiment, Markdown."""
    retrained = results["retrained"]
    lines = [
        "## The paper's figures 5 and 6",
        "",
        f"Spot, calls and puts at a cost of {1e4 * settings['cost']:g} bp of the spot per unit. "
        "*Inside* is the share of instruments and dates whose expected gain is within the cost "
        f"band, up to {ERRORS} weighted standard errors.",
        "",
        "| paths | number | inside under P | inside under Q | relative entropy | effective sample "
        "| largest weight |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in PATHS:
        size, found = settings["paths"][name], results[name]
        lines.append(
            f"| {name} | {size:,} | {100 * found['P']['share_inside']:.1f} % "
            f"| {100 * found['Q']['share_inside']:.1f} % | {found['relative_entropy']:.4f} "
            f"| {100 * found['effective_sample_share']:.1f} % | {found['largest_weight']:.1f} |"
        )
    worst = results["fresh"]["Q"]["worst"]
    lines += [
        "",
        f"The worst on fresh paths under Q: {worst['instrument']}, date {worst['date']}, expected "
        f"gain {worst['gain']:.2f} ± {worst['stderr']:.2f} times the cost.",
        "",
        "![expected gains against the cost band](figures/figure_5.png)",
        "",
        f"Policies trained anew at a cost of {1e4 * settings['retrained_cost']:g} bp, each on "
        f"{settings['paths']['in sample']:,} paths, without the weights and with them; certainty "
        "equivalent −log E[exp(−gains)], money at a spot of 1:",
        "",
        "| measure | in sample | on fresh paths |",
        "|---|---:|---:|",
    ]
    for title, found in retrained.items():
        cells = [f"{found[name]['value']:.5f} ± {found[name]['stderr']:.5f}" for name in PATHS]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += ["", "![gains of policies trained anew](figures/figure_6.png)"]
    return "\n".join(lines)


def run(output, quick=False, seed=0, console=None):
    """Trains the measure and writes `figure_5.png`, `figure_6.png` and `numbers.json`.

    Args:
        output: Folder.
        quick: Whether to run it in small.
        seed: Seed of paths and initial weights.
        console: For progress, or None.

    Returns:
        Dictionary of numbers.
    """
    from hedgezoo.experiments.results import results_folder, write_numbers

    training, retraining, sizes = TRAINING, RETRAINING, PATHS
    if quick:
        training = {"steps": 20, "batch_size": 256, "learning_rate": 0.01}
        retraining = {**RETRAINING, "epochs": 2, "batch_size": 128}
        sizes = {"in sample": 256, "fresh": 512}
    with results_folder(output, experiment=NAME) as folder:
        source = market(draws="antithetic")
        model = measure(source, seed)
        train(model, source, **training, every=training["steps"], judge=dict, seed=seed + 1)
        results, pictures = judge(model, sizes, retraining, seed, console)
        draw(pictures, folder)
        told = settings(training, sizes, retraining, seed, quick)
        numbers = {"settings": told, "results": results}
        write_numbers(folder, NAME, numbers)
    return numbers
