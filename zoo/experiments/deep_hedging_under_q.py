"""Section 4 of Buehler et al. (2021): a sold option, hedged with the drift and without it.

A hedger who minimises risk under P also trades on the drift of the market. What selling a claim
costs is then hidden behind what that trading earns: minus the certainty equivalent with the claim
may well be negative. Under Q nothing is earned without a claim, so it is a price.

Two settings, both on the market of the vector autoregression:

- frictionless, the spot alone: with the claim Z = −liability,
  `U_Q(Z) = U_P(Z) − U_P(0)` and `a_Q(Z) = a_P(Z) − a*`, for linear policies by Newton's method (to
  rounding) and for networks (as well as they are trained);
- with cost, spot, all calls and all puts, by networks: `U_Q(Z) ≤ U_P(Z) − U_P(0)`.
"""

import dataclasses
import pathlib

import numpy as np

from hedgezoo.experiments import risk_neutral_var as var
from hedgezoo.experiments.measure_runs import error_bar, said, train

NAME = "deep_hedging_under_q"
NOTIONAL = 10.0  # calls sold; risk aversion is 1 per unit of the spot
FREE = {"cost": 0.0, "instruments": ("spot",)}  # options for free are too good a trade
LINEAR_PATHS = 2**13
FRESH_PATHS = 2**14
SEED = 2_000_003  # of the fresh paths
TRAINING = {
    "frictionless": {"steps": 600, "batch_size": 1024, "learning_rate": 5e-3},
    "with_cost": {"steps": 600, "batch_size": 1024, "learning_rate": 2e-3},
}


def sold_calls(price):
    """What the sold at-the-money calls owe on spots `(B, T+1, 1)`."""
    from hedgezoo.datasets.payoffs import European

    return NOTIONAL * European(strike=1.0)(price)


def claims(market, paths, seed):
    """Paths of a market as arrays, and what the sold calls owe on them, `(N,)` float64."""
    from hedgezoo.statistical_arbitrage.simulated_paths import simulated_paths

    owed = sold_calls(market.spot_paths(seed, paths)).numpy().astype(np.float64)
    return simulated_paths(market, seed, paths), owed


def linear_identities(paths=LINEAR_PATHS, seed=0, console=None):
    """Both identities for linear policies in sample, where they hold to rounding.

    Args:
        paths: Number of paths.
        seed: Added to their seed.
        console: For progress, or None.

    Returns:
        Dictionary of floats, money.
    """
    from hedgezoo.statistical_arbitrage.certainty_equivalents import certainty_equivalents

    inputs, owed = claims(var.market(**FREE), paths, SEED + seed)
    found = certainty_equivalents(inputs, owed, tolerance=1e-12)
    gap, largest = 0.0, 0.0
    for part in ("kernel", "intercept"):
        with_claim, own, under_q = (
            getattr(each, part) for each in (found.claim, found.arbitrage, found.claim_under_q)
        )
        gap = max(gap, np.abs(under_q - (with_claim - own)).max())
        largest = max(largest, np.abs(with_claim).max())
    result = {
        "paths": paths,
        "with_claim_under_p": found.claim.utility,
        "without_claim_under_p": found.arbitrage.utility,
        "with_claim_under_q": found.claim_under_q.utility,
        "utility_gap": found.claim_under_q.utility - found.drift_free,
        "policy_gap": float(gap / largest),
    }
    said(
        console,
        f"linear policies, no cost: U_Q(Z) - (U_P(Z) - U_P(0)) = {result['utility_gap']:.1e}, "
        f"largest relative difference of policies {result['policy_gap']:.1e}",
    )
    return result


def hedge(market, training, seed, measure=None):
    """A network that hedges the sold calls, trained on fresh paths.

    Args:
        market: Market without a claim.
        training: `steps`, `batch_size` and `learning_rate`.
        seed: Of the initial weights and of the paths.
        measure: The `RiskNeutralMeasure` whose density weighs the paths; None for P.

    Returns:
        The model, whose call gives the gains.
    """
    import keras
    import tensorflow as tf

    from hedgezoo.risk_neutral_measure import RiskNeutralMeasure

    class ClaimHedge(RiskNeutralMeasure):
        """The policy of a measure, judged by its gains less what is owed, under the weights."""

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            if measure is not None:
                sample_weight = tf.stop_gradient(tf.exp(measure.log_density(x)))
            return keras.Model.compute_loss(self, x, y, y_pred, sample_weight, training)

    model = var.measure(market, seed, ClaimHedge, _limit(market))
    source = dataclasses.replace(market, payoff=sold_calls, draws="antithetic")
    train(model, source, **training, every=training["steps"], judge=dict, seed=seed + 1)
    return model


def _limit(market):
    """Limit of a day's trade: none without cost, where the identities need trading to be free."""
    return var.TRADE_LIMIT if np.max(market.cost) > 0 else None


def networks(measure, market, training, paths, seed=0, console=None):
    """The claim hedged by networks under P and under Q.

    Args:
        measure: The `RiskNeutralMeasure` of the market.
        market: Market without a claim.
        training: Of each network.
        paths: Number of fresh paths on which all is judged.
        seed: Of the initial weights and paths.
        console: For progress, or None.

    Returns:
        Tuple of numbers; and of positions `(N, T, D)` on some of the paths: `under_q`, and
        `difference`, a_P(Z) − a*.
    """
    from hedgezoo.experiments.measure_runs import weight_numbers
    from hedgezoo.measure_diagnostics import (
        certainty_equivalent,
        density,
        estimate,
        paired_difference,
    )
    from hedgezoo.statistical_arbitrage.simulated_paths import simulated_paths

    if not measure.is_normalised:  # a preset's own density stays as it is
        normalising = dataclasses.replace(market, draws="antithetic")
        measure.normalise(simulated_paths(normalising, seed + 1, paths))
    under_p = hedge(market, training, seed)
    under_q = hedge(market, training, seed, measure)
    inputs, owed = claims(market, paths, SEED + seed)
    own, with_p, with_q = (model.gains(inputs) for model in (measure, under_p, under_q))
    weight = density(-own)
    features = inputs["features"][:1024]
    star, p, q = (model.actions(features).numpy() for model in (measure, under_p, under_q))

    def size(values):
        return np.sqrt(np.average(values**2, axis=(0, 1), weights=_like(weight, values)))

    numbers = {
        "with_claim_under_p": certainty_equivalent(with_p - owed),
        "without_claim_under_p": certainty_equivalent(own),
        "difference_under_p": paired_difference(with_p - owed, own),
        "with_claim_under_q": certainty_equivalent(with_q - owed, weight),
        **weight_numbers(-own),
        "expected_payoff": {
            "P": estimate("mean", owed),
            "Q": estimate("mean", owed, weight),
        },
        "policy_gap": float(np.sqrt(np.sum(size(q - p + star) ** 2) / np.sum(size(p) ** 2))),
    }
    said(
        console,
        f"networks, cost {np.max(market.cost):g}: U_Q(Z) "
        f"{numbers['with_claim_under_q']['value']:.4f}, U_P(Z) - U_P(0) "
        f"{numbers['difference_under_p']['value']:.4f}, U_P(Z) "
        f"{numbers['with_claim_under_p']['value']:.4f}",
    )
    return numbers, {"under_q": q, "difference": p - star}


def _like(weight, values):
    return np.broadcast_to(weight[: len(values), None, None], values.shape)


def draw(results, actions, directory):
    """Writes `section_4.png`.

    Args:
        results: Numbers of `run`.
        actions: Units bought by the frictionless networks, `(N, T, D)`.
        directory: Where to.
    """
    from hedgezoo import measure_plots, plots

    prices = {}
    for title, found in (
        ("without cost", results["frictionless"]),
        (f"cost {1e4 * var.COST:g} bp", results["with_cost"]),
    ):
        prices[title] = {
            "−U$_P$(Z): with the drift": _price(found["with_claim_under_p"]),
            "U$_P$(0) − U$_P$(Z): indifference price": _price(found["difference_under_p"]),
            "−U$_Q$(Z): under Q": _price(found["with_claim_under_q"]),
            "E$_Q$[payoff]": _price(found["expected_payoff"]["Q"], sign=1.0),
            "E$_P$[payoff]": _price(found["expected_payoff"]["P"], sign=1.0),
        }
    # what is bought is held, so that the position is the sum of the trades
    held = {name: np.cumsum(bought, axis=1) for name, bought in actions.items()}
    figure = measure_plots.prices_and_positions(prices, held, FREE["instruments"])
    plots.save(figure, pathlib.Path(directory) / "section_4.png")


def _price(estimate, sign=-1.0, scale=1e4 / NOTIONAL):
    return sign * scale * estimate["value"], scale * estimate["stderr"]


def card_section(settings, linear, frictionless, with_cost):
    """The section of a model card on the experiment, Markdown."""
    scale = 1e4 / NOTIONAL

    def row(title, found):
        columns = (
            (found["with_claim_under_p"], -scale),
            (found["without_claim_under_p"], scale),
            (found["difference_under_p"], -scale),
            (found["with_claim_under_q"], -scale),
            (found["expected_payoff"]["Q"], scale),
        )
        return f"| {title} | " + " | ".join(error_bar(*each, digits=1) for each in columns) + " |"

    return "\n".join(
        [
            "## Deep hedging under Q",
            "",
            f"{settings['notional']:g} sold at-the-money calls of {var.STEPS} days, risk aversion "
            "1 per unit of the spot; prices per call in bp of the spot, on "
            f"{settings['fresh_paths']:,} fresh paths. Under P a hedger trades on the drift as "
            "well, and what that earns hides the price.",
            "",
            "| setting | −U_P(Z) | statistical arbitrage U_P(0) | U_P(0) − U_P(Z) | −U_Q(Z) "
            "| E_Q[payoff] |",
            "|---|---:|---:|---:|---:|---:|",
            row("no cost, spot alone", frictionless),
            row(f"cost {1e4 * settings['cost']:g} bp, all instruments", with_cost),
            "",
            "Without cost the two prices are equal in theory, with cost that under Q is the higher "
            "one. Networks reach that as far as they are trained. For linear policies without "
            "cost, on the "
            f"{linear['paths']:,} paths that were fitted, U_Q(Z) − (U_P(Z) − U_P(0)) = "
            f"{linear['utility_gap']:.1e} and a_Q differs from a_P(Z) − a* by "
            f"{linear['policy_gap']:.1e} of the largest coefficient.",
            "",
            "![prices and positions](figures/section_4.png)",
        ]
    )


def numbers(measure=None, quick=False, seed=0, console=None):
    """All settings as `run` writes them, and the positions that only the figure needs.

    Args:
        measure: The trained measure of `risk_neutral_var.market()`; None to train one.
        quick: Whether to run it in small.
        seed: Of paths and initial weights.
        console: For progress, or None.

    Returns:
        Tuple of numbers and positions.
    """
    training, linear_paths, fresh_paths = TRAINING, LINEAR_PATHS, FRESH_PATHS
    whole = {"frictionless": TRAINING["frictionless"], "with_cost": var.TRAINING}
    if quick:
        small = {"steps": 5, "batch_size": 128, "learning_rate": 1e-3}
        whole = training = dict.fromkeys(TRAINING, small)
        linear_paths = fresh_paths = 256
    results = {
        "settings": {
            "notional": NOTIONAL,
            "cost": var.COST,
            "linear_paths": linear_paths,
            "fresh_paths": fresh_paths,
            "training": training,
            "seed": seed,
            "quick": quick,
        },
        "linear": linear_identities(linear_paths, seed, console),
    }
    actions = {}
    for setting, market in (("frictionless", var.market(**FREE)), ("with_cost", var.market())):
        model = measure if setting == "with_cost" else None
        if model is None:
            model = var.measure(market, seed, trade_limit=_limit(market))
            source = dataclasses.replace(market, draws="antithetic")
            steps = whole[setting]["steps"]
            train(model, source, **whole[setting], every=steps, judge=dict, seed=seed + 1)
        results[setting], actions[setting] = networks(
            model, market, training[setting], fresh_paths, seed, console
        )
    return results, actions["frictionless"]


def report(recipe, model, directory, checkpoint=None):
    """The experiment beside a preset: entries of `metadata.json`, and its figure.

    Args:
        recipe, checkpoint: Without effect.
        model: The trained measure.
        directory: Directory of the preset.

    Returns:
        Dictionary with `experiments`; `card_section` says them in words.
    """
    results, actions = numbers(model)
    draw(results, actions, pathlib.Path(directory) / "figures")
    return {"experiments": {NAME: results}}


def run(output, quick=False, seed=0, console=None):
    """Hedges the claim in both settings and writes `section_4.png` and `numbers.json`.

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
        results, actions = numbers(None, quick, seed, console)
        draw(results, actions, folder)
        write_numbers(folder, NAME, results)
    return results
