"""Figure 3 of Buehler et al. (2021): a change of measure that moves realised volatility.

The spot has no drift, but options are dearer or cheaper than the volatility that is realised:
selling (buying) and hedging them is a statistical arbitrage. In discrete time an equivalent measure
can have another volatility, so Q gives weight to the paths that realise what is implied.

The paper's volatilities are lost. Ours are a realised volatility of 20 % with options at 18 % and
22 %, and at 25 %, where the weights degenerate: the gap is too wide for 30 days of data, and the
effective sample says so. Spot and a one-day at-the-money straddle span the same gains as spot, call
and put.
"""

import pathlib
import warnings

import numpy as np

from hedgezoo.experiments.measure_runs import said, train, weight_numbers

NAME = "risk_neutral_realized_vol"
VOLATILITY = 0.2
IMPLIED = (0.18, 0.22, 0.25)
PRESET = 0.22  # implied volatility of the preset
STEPS, TIME_STEP = 30, 1 / 250
FEATURES = ("log_moneyness", "time_to_expiry")
TRAINING = {"steps": 800, "batch_size": 1024, "learning_rate": 5e-3}
VALIDATION_PATHS = 2**17


def market(implied_volatility, draws="sobol"):
    """The market without a claim: spot and one-day at-the-money straddles, traded for free."""
    from hedgezoo.datasets import FloatingOptionMarket

    return FloatingOptionMarket(
        volatility=VOLATILITY,
        implied_volatility=implied_volatility,
        steps=STEPS,
        time_step=TIME_STEP,
        instruments=("spot", "straddles"),
        features=FEATURES,
        draws=draws,
    )


def measure(seed=0):
    """A policy of two recurrent layers of 32 units for both instruments."""
    from hedgezoo.risk_neutral_measure import RiskNeutralMeasure

    return RiskNeutralMeasure(
        "recurrent", FEATURES, instruments=2, hidden_units=(32, 32), seed=seed
    )


def judge(model, market_, paths, seed):
    """A measure on fresh paths, beside the exact one.

    Args:
        model: A `RiskNeutralMeasure`.
        market_: The market.
        paths: Number of paths.
        seed: Their seed.

    Returns:
        Tuple of a dictionary of numbers, and of the arrays behind the figure: `volatility` that is
        realised on each path, `weight` and `exact`, `(N,)`.
    """
    from hedgezoo.baselines.black_scholes_measure import BlackScholesMeasure
    from hedgezoo.measure_diagnostics import density

    spot = market_.spot_paths(seed, paths).numpy()[:, :, 0].astype(np.float64)
    volatility = np.sqrt(np.mean(np.diff(np.log(spot), axis=1) ** 2, axis=1) / TIME_STEP)
    inputs = market_.simulate(seed, paths)[0]
    exact = BlackScholesMeasure.from_market(market_)
    exact_log_density = exact.log_density(spot)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        weight = model.path_weights(inputs)
    log_density = -model.gains(inputs)
    gain = (weight @ inputs["unit_gain"].numpy().reshape(paths, -1)).reshape(STEPS, -1) / paths

    def told(weight, log_density):
        return {
            **weight_numbers(log_density),
            "realised_volatility": float(np.sqrt(np.average(volatility**2, weights=weight))),
        }

    own = density(exact_log_density)
    return {
        "implied_volatility": market_.implied_volatility,
        "exact": {
            "relative_entropy": exact.relative_entropy,
            "effective_sample_share": exact.effective_sample_share,
            "realised_volatility": exact.realised_volatility,
            "positions": exact.positions.tolist(),
        },
        "exact_on_paths": told(own, exact_log_density),
        "network": told(weight, log_density),
        "density_error": float(np.mean((weight - own) ** 2)),
        "expected_gain": np.mean(gain, axis=0).tolist(),
        "price": float(market_.option_prices[1]),
        "warnings": [str(each.message) for each in caught],
    }, {"volatility": volatility, "weight": weight, "exact": own}


def numbers(quick=False, seed=0, console=None):
    """All cases as `run` writes them, and the arrays that only the figure needs."""
    training, paths, all_implied = TRAINING, VALIDATION_PATHS, IMPLIED
    if quick:
        training, paths = {**TRAINING, "steps": 20, "batch_size": 256}, 2**12
        all_implied = (PRESET,)
    cases, samples = [], []
    for implied in all_implied:
        market_, model = market(implied), measure(seed)
        train(model, market_, **training, every=training["steps"], judge=dict, seed=seed + 1)
        case, sample = judge(model, market_, paths, seed + 1_000_003)
        cases.append(case)
        samples.append(sample)
        said(
            console,
            f"implied {implied:.0%}: relative entropy {case['network']['relative_entropy']:.4f} "
            f"(exact {case['exact']['relative_entropy']:.4f}), effective sample "
            f"{case['network']['effective_sample_share']:.1%}, realised volatility under Q "
            f"{case['network']['realised_volatility']:.2%} "
            f"(exact {case['exact']['realised_volatility']:.2%})",
        )
        for text in case["warnings"]:
            said(console, f"  warning: {text}")
    settings = {
        "volatility": VOLATILITY,
        "steps": STEPS,
        "time_step": TIME_STEP,
        "training": training,
        "validation_paths": paths,
        "seed": seed,
        "quick": quick,
    }
    return {"settings": settings, "cases": cases}, samples


def draw(results, samples, directory):
    """Writes `figure_3.png`.

    Args:
        results: Numbers of `numbers`.
        samples: Its arrays.
        directory: Where to.
    """
    from hedgezoo import measure_plots, plots

    cases = []
    for case, sample in zip(results["cases"], samples, strict=True):
        implied, size = case["implied_volatility"], case["network"]["effective_sample_share"]
        cases.append(
            {
                "title": f"options at {100 * implied:.0f} %"
                + (": degenerate" if case["warnings"] else "")
                + f"\neffective sample {100 * size:.1f} %",
                "implied_volatility": implied,
                "realised_volatility": VOLATILITY,
                **sample,
            }
        )
    figure = measure_plots.weights_against_volatility(cases)
    plots.save(figure, pathlib.Path(directory) / "figure_3.png")


def report(recipe, model, directory, checkpoint=None):
    """The experiment beside a preset: entries of `metadata.json`, and its figure.

    Args:
        recipe, model, checkpoint: Without effect: the experiment trains its own networks.
        directory: Directory of the preset.

    Returns:
        Dictionary with `experiments`; `card_section` says them in words.
    """
    results, samples = numbers()
    draw(results, samples, pathlib.Path(directory) / "figures")
    return {"experiments": {NAME: results}}


def card_section(settings, cases):
    """The section of a model card on the experiment, Markdown."""
    training = settings["training"]
    lines = [
        "## The paper's figure 3",
        "",
        f"Realised volatility {100 * settings['volatility']:g} %, no drift; one-day at-the-money "
        f"straddles at an implied volatility above or below it. A recurrent policy (32, 32) after "
        f"{training['steps']:,} Adam steps of {training['batch_size']:,} fresh Sobol paths, on "
        f"{settings['validation_paths']:,} others, beside the exact measure (quadrature of one "
        "step; the steps are independent). Volatilities are ours; the paper's are lost.",
        "",
        "| implied | realised under Q | exact | relative entropy | exact | effective sample "
        "| exact | largest weight |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case in cases:
        network, exact = case["network"], case["exact"]
        lines.append(
            f"| {100 * case['implied_volatility']:.0f} % "
            f"| {100 * network['realised_volatility']:.2f} % "
            f"| {100 * exact['realised_volatility']:.2f} % "
            f"| {network['relative_entropy']:.4f} | {exact['relative_entropy']:.4f} "
            f"| {100 * network['effective_sample_share']:.1f} % "
            f"| {100 * exact['effective_sample_share']:.1f} % | {network['largest_weight']:.1f} |"
        )
    for case in cases:
        for text in case["warnings"]:
            implied = 100 * case["implied_volatility"]
            lines += ["", f"The library warns of the case of {implied:.0f} %: *{text}*"]
    lines += ["", "![weights against realised volatility](figures/figure_3.png)"]
    return "\n".join(lines)


def run(output, quick=False, seed=0, console=None):
    """Trains all cases and writes `figure_3.png` and `numbers.json`.

    Args:
        output: Folder.
        quick: Whether to run it in small.
        seed: Seed of paths and initial weights.
        console: For progress, or None.

    Returns:
        Dictionary of numbers.
    """
    from hedgezoo.experiments.results import results_folder, write_numbers

    with results_folder(output, experiment=NAME) as folder:
        results, samples = numbers(quick, seed, console)
        draw(results, samples, folder)
        write_numbers(folder, NAME, results)
    return results
