"""What hedges leave of the risk, and what they do for prices, on fresh paths."""

import dataclasses

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_integer
from hedgezoo.neural_sde.hedge_risk import residual_deviations
from hedgezoo.neural_sde.simulated_prices import REPLICATIONS, scramble_seed

_CELLS = 2**24  # paths times options times dates at a time


@dataclasses.dataclass(frozen=True, eq=False)
class HedgeOutcomes:
    """Payoffs and gains of N options and perhaps an exotic, the last one, along P paths.

    Args:
        payoff: What the options out of the money pay, float32 `(P, N + E)`.
        gains: Of the hedges before costs, `(P, N + E)`.
        costs: Of the hedges, `(P, N + E)`.
        black_scholes: Gains of deltas at the quoted volatilities, before costs, `(P, N)`.
        groups: Number of the scramble of each path, integers `(P,)`.
    """

    payoff: np.ndarray
    gains: np.ndarray
    costs: np.ndarray
    black_scholes: np.ndarray
    groups: np.ndarray

    def deviations(self):
        """`sd(payoff - gains + costs) / sd(payoff)` of each hedge, `(N + E,)`."""
        return residual_deviations(self.payoff, self.gains - self.costs)

    def black_scholes_deviations(self):
        """The same of the Black-Scholes deltas without costs, `(N,)`."""
        count = self.black_scholes.shape[1]
        return residual_deviations(self.payoff[:, :count], self.black_scholes)

    def variance_reductions(self):
        """`Var(payoff) / Var(payoff - gains)` of each option, `(N + E,)`."""
        return 1.0 / residual_deviations(self.payoff, self.gains) ** 2

    def prices(self):
        """Raw and controlled prices with standard errors: four arrays `(N + E,)`."""
        raw, raw_error = self.mean(self.payoff)
        return raw, raw_error, *self.mean(self.payoff - self.gains)

    def control_bias(self):
        """Mean gain of each hedge in its standard errors, `(N + E,)`: noise, if all is right."""
        mean, error = self.mean(self.gains)
        return mean / error

    def mean(self, values):
        """Means over the paths, and their standard errors from the scrambles.

        Args:
            values: `(P, K)`.

        Returns:
            Pair of float64 arrays `(K,)`.
        """
        means = values.mean(axis=0, dtype=np.float64)
        return means, self.jackknife(lambda rows: values[rows].mean(axis=0, dtype=np.float64))

    def jackknife(self, statistic):
        """Standard errors of a statistic: it is taken of all scrambles but one, in turn.

        Args:
            statistic: Function of booleans `(P,)`, which paths count, to an array.

        Returns:
            Array of the shape of the statistic.
        """
        groups = np.unique(self.groups)
        without = np.stack([statistic(self.groups != group) for group in groups])
        return without.std(axis=0) * np.sqrt(len(groups) - 1)


def hedge_outcomes(model, paths=2**14, seed=0, network=None, sde=None):
    """Fresh paths of a model with the hedges along them.

    Args:
        model: A `JointNeuralSDEHedge`.
        paths: Number of paths P, rounded to a multiple of 16 scrambles.
        seed: Integer.
        network: Another `HedgeNetwork` than the model's.
        sde: Another `NeuralSDE` than the model's, of the same kind: a hedge may be wrong about
            the dynamics.

    Returns:
        `HedgeOutcomes`.

    Raises:
        ValueError: If there are fewer paths than scrambles.
    """
    check_integer("paths", paths, minimum=REPLICATIONS)
    check_integer("seed", seed)
    model.build()
    book = model.book if sde is None else model.book.along(sde)
    network = model.hedge_network if network is None else network

    @tf.function(autograph=False, reduce_retracing=True)
    def outcomes(seed, size, first):
        path = book.paths(book.rollout.draw(seed, size, first))
        gains, costs = book.gains(path, book.positions(path, network), model.cost)
        reference = book.gains(path, book.black_scholes_positions(path))[0]
        return book.payoffs(path), gains, costs, reference

    each = paths // REPLICATIONS
    cells = len(model.quotes) * len(book.times) // model.hedge_every
    chunk = max(1, min(each, _CELLS // cells))
    parts = [
        [array.numpy() for array in outcomes(own, min(chunk, each - first), first)]
        for own in _seeds(seed)
        for first in tf.range(0, each, chunk, dtype=tf.int64).numpy()
    ]
    arrays = [np.concatenate(part) for part in zip(*parts, strict=True)]
    return HedgeOutcomes(*arrays, groups=np.repeat(np.arange(REPLICATIONS), each))


def _seeds(seed):
    return [tf.constant(scramble_seed(seed, number), tf.int64) for number in range(REPLICATIONS)]


def evaluate_joint(model, market, paths, seed, hedge_paths=2**14):
    """Metrics of a `JointNeuralSDEHedge`: those of its neural SDE, and of the hedges.

    Hedges are judged on the options of the model. Shares are of the standard deviation of the
    unhedged payoff, averaged over the options.

    Args:
        model: A `JointNeuralSDEHedge`.
        market: `SurfaceQuotes` to price; None for those of the model.
        paths: Number of paths of the prices.
        seed: Integer.
        hedge_paths: Number of paths of the hedges, at most `paths`.

    Returns:
        Dictionary `{metric: {"value", "stderr"}}`.
    """
    found = model.sde.evaluate_on(model.quotes if market is None else market, paths, seed)
    outcomes = hedge_outcomes(model, min(paths, hedge_paths), seed)
    return {**found, **hedge_metrics(outcomes, len(model.quotes))}


def hedge_metrics(outcomes, options):
    """Numbers that sum up `HedgeOutcomes`.

    Args:
        outcomes: `HedgeOutcomes`.
        options: Number N of vanilla options; an exotic is reported by itself.

    Returns:
        Dictionary `{metric: {"value", "stderr"}}`; the errors are those of the scrambles.
    """
    payoff, gains = outcomes.payoff, outcomes.gains - outcomes.costs

    def shares(rows):
        left = residual_deviations(payoff[rows], gains[rows])
        reference = residual_deviations(payoff[rows, :options], outcomes.black_scholes[rows])
        free = residual_deviations(payoff[rows], outcomes.gains[rows])[:options]
        geometric = np.exp(-2.0 * np.mean(np.log(free)))
        return np.array(
            [
                left[:options].mean(),
                reference.mean(),
                np.mean(free**2),
                geometric,
                *left[options:],
            ]
        )

    names = [
        "hedge_deviation",
        "black_scholes_hedge_deviation",
        "hedge_risk",
        "variance_reduction",
        *["exotic_hedge_deviation"] * (payoff.shape[1] - options),
    ]
    values, errors = shares(np.ones(len(payoff), bool)), outcomes.jackknife(shares)
    found = {
        name: {"value": float(value), "stderr": float(error)}
        for name, value, error in zip(names, values, errors, strict=True)
    }
    reductions = outcomes.variance_reductions()[:options]
    found["least_variance_reduction"] = {"value": float(reductions.min()), "stderr": 0.0}
    bias = float(np.sqrt(np.mean(np.square(outcomes.control_bias()))))
    found["control_bias_z"] = {"value": bias, "stderr": 0.0}
    if payoff.shape[1] > options:
        _, _, price, error = (part[-1] for part in outcomes.prices())
        found["exotic_price"] = {"value": float(price), "stderr": float(error)}
    return found
