"""Figure 2 of Buehler et al. (2021): how the change of measure of Black-Scholes is learned.

A recurrent policy learns to trade a spot with drift; its gains give the density that removes the
drift. The paper watches three numbers on paths kept for that: the error of the density against
Girsanov's, the relative entropy, and the error of call prices. Here the exact measure of the
discrete market stands beside them: on daily steps Girsanov's density, made for continuous trading,
is itself a little wrong, and no policy can be closer to it than the exact one.

The paper's own drift, volatility and number of paths are lost; ours are a mild and a hard case.
"""

import pathlib

import numpy as np

from hedgezoo.experiments.measure_runs import said, train, weight_numbers

NAME = "risk_neutral_black_scholes"
DRIFTS = (0.1, 0.5)
VOLATILITY = 0.2
STEPS, TIME_STEP = 30, 1 / 250
FEATURES = ("log_moneyness", "time_to_expiry")
STRIKES = tuple(float(strike) for strike in np.linspace(0.9, 1.1, 9).round(3))
TRAINING = {"steps": 1000, "batch_size": 1024, "learning_rate": 5e-3}
VALIDATION_PATHS = 2**17


def market(drift, draws="sobol"):
    """The market without a claim: a spot with drift that is traded for free, 30 daily steps."""
    from hedgezoo.datasets import BlackScholesMarket
    from hedgezoo.datasets.payoffs import Nothing

    return BlackScholesMarket(
        volatility=VOLATILITY,
        drift=drift,
        steps=STEPS,
        time_step=TIME_STEP,
        cost=0.0,
        payoff=Nothing(),
        features=FEATURES,
        draws=draws,
    )


def measure(seed=0):
    """The paper's policy: two recurrent layers of 32 units."""
    from hedgezoo.risk_neutral_measure import RiskNeutralMeasure

    return RiskNeutralMeasure("recurrent", FEATURES, hidden_units=(32, 32), seed=seed)


class Validation:
    """Paths on which a density is held against Girsanov's, and calls against Black-Scholes.

    Args:
        market: The market.
        paths: Number of paths.
        seed: Their seed, not that of the training.
    """

    def __init__(self, market, paths, seed):
        from hedgezoo.baselines.black_scholes_measure import (
            BlackScholesMeasure,
            girsanov_log_density,
        )
        from hedgezoo.layers.black_scholes import black_scholes_call

        self.inputs, _ = market.simulate(seed, paths)
        spot = self.inputs["price"].numpy()[:, :, 0].astype(np.float64)
        self.girsanov = np.exp(girsanov_log_density(spot, market.drift, VOLATILITY, TIME_STEP))
        growth = spot[:, -1:] / spot[:, :1]
        self.payoffs = np.maximum(growth - np.array(STRIKES), 0.0)
        self.calls = black_scholes_call(STRIKES, market.maturity, VOLATILITY).numpy()
        self.exact = BlackScholesMeasure.from_market(market)
        self.exact_log_density = self.exact.log_density(spot)

    def judge(self, log_density):
        """Errors and entropy of a density, given up to a constant, `(N,)`."""
        from hedgezoo.measure_diagnostics import density

        weights = density(log_density)
        priced = weights @ self.payoffs / len(weights)
        return {
            "density_error": float(np.mean((weights - self.girsanov) ** 2)),
            "call_error": float(np.mean((priced - self.calls) ** 2)),
            **weight_numbers(log_density),
        }


def learn(drift, seed, steps, batch_size, learning_rate, validation_paths, looks=25, console=None):
    """One case: trains the policy and follows its density.

    Args:
        drift: Drift of the spot per year.
        seed: Seed of the initial weights and of the paths.
        steps, batch_size, learning_rate: Of the training.
        validation_paths: Paths that the density is judged on.
        looks: How often.
        console: For a line of progress.

    Returns:
        Dictionary: `drift`; `exact`, by quadrature; `exact_on_paths`, the exact measure judged as
        the network is; `curve`, a list of dictionaries; `final`, the last of them.
    """
    market_ = market(drift)
    validation = Validation(market_, validation_paths, seed=seed + 1_000_003)
    model = measure(seed)
    curve = train(
        model,
        market_,
        steps,
        batch_size,
        learning_rate,
        every=-(-steps // looks),
        judge=lambda: validation.judge(-model.gains(validation.inputs)),
        seed=seed + 1,
    )
    exact = validation.exact
    final = curve[-1]
    said(
        console,
        f"drift {drift:g}: relative entropy {final['relative_entropy']:.6f} "
        f"(exact {exact.relative_entropy:.6f}), density error {final['density_error']:.2e} "
        f"(of the exact measure {exact.girsanov_error():.2e})",
    )
    return {
        "drift": drift,
        "exact": {
            "relative_entropy": exact.relative_entropy,
            "effective_sample_share": exact.effective_sample_share,
            "density_error": exact.girsanov_error(),
            "position": float(exact.positions[0]),
        },
        "continuous_relative_entropy": drift**2 * market_.maturity / (2 * VOLATILITY**2),
        "exact_on_paths": validation.judge(validation.exact_log_density),
        "curve": curve,
        "final": final,
    }


def numbers(quick=False, seed=0, console=None):
    """All cases, as `run` writes them."""
    training, paths, looks, drifts = TRAINING, VALIDATION_PATHS, 25, DRIFTS
    if quick:
        training, paths, looks = {**TRAINING, "steps": 20, "batch_size": 256}, 2**11, 2
        drifts = DRIFTS[:1]
    return {
        "settings": {
            "volatility": VOLATILITY,
            "steps": STEPS,
            "time_step": TIME_STEP,
            "strikes": list(STRIKES),
            "training": training,
            "validation_paths": paths,
            "seed": seed,
            "quick": quick,
        },
        "cases": [
            learn(drift, seed, **training, validation_paths=paths, looks=looks, console=console)
            for drift in drifts
        ],
    }


def draw(results, directory):
    """Writes `figure_2.png`.

    Args:
        results: What `numbers` returns.
        directory: Where to.
    """
    from hedgezoo import measure_plots, plots

    plots.save(
        measure_plots.convergence(results["cases"]), pathlib.Path(directory) / "figure_2.png"
    )


def report(recipe, model, directory, checkpoint=None):
    """The experiment beside a preset: entries of `metadata.json`, and its figure.

    Args:
        recipe, model, checkpoint: Without effect: the experiment trains its own networks.
        directory: Directory of the preset.

    Returns:
        Dictionary with `experiments`; `card_section` says them in words.
    """
    results = numbers()
    draw(results, pathlib.Path(directory) / "figures")
    return {"experiments": {NAME: results}}


def card_section(settings, cases):
    """The section of a model card on the experiment, Markdown."""
    training = settings["training"]
    lines = [
        "## The paper's figure 2",
        "",
        f"A recurrent policy (32, 32) after {training['steps']:,} Adam steps of "
        f"{training['batch_size']:,} fresh Sobol paths, judged on {settings['validation_paths']:,} "
        "others. Errors of the density are against Girsanov's, which is made for continuous "
        "trading: the exact measure of the daily market has an error, too, and no policy can be "
        "expected to have less. Calls have strikes from "
        f"{settings['strikes'][0]:g} to {settings['strikes'][-1]:g}. Drifts are ours; the paper's "
        "are lost.",
        "",
        "| drift | relative entropy | exact | density error | of the exact measure | call error "
        "| of the exact measure | effective sample |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case in cases:
        final, exact = case["final"], case["exact"]
        lines.append(
            f"| {case['drift']:g} | {final['relative_entropy']:.6f} "
            f"| {exact['relative_entropy']:.6f} | {final['density_error']:.2e} "
            f"| {exact['density_error']:.2e} | {final['call_error']:.1e} "
            f"| {case['exact_on_paths']['call_error']:.1e} "
            f"| {100 * final['effective_sample_share']:.1f} % |"
        )
    lines += ["", "![density, entropy and call prices while learning](figures/figure_2.png)"]
    return "\n".join(lines)


def run(output, quick=False, seed=0, console=None):
    """Trains both cases and writes `figure_2.png` and `numbers.json`.

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
        results = numbers(quick, seed, console)
        draw(results, folder)
        write_numbers(folder, NAME, results)
    return results
