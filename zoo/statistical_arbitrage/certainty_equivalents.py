"""What a claim is worth to a hedger, before and after the drift is removed."""

from typing import NamedTuple

import numpy as np

from hedgezoo.datasets.checks import check_array
from hedgezoo.statistical_arbitrage.linear_optimum import LinearOptimum, linear_optimum
from hedgezoo.statistical_arbitrage.traded_paths import TradedPaths


class CertaintyEquivalents(NamedTuple):
    """Optima over linear policies with and without a claim, under P and under Q.

    Args:
        claim: With the claim under P; its utility is `U_P(Z)`, its policy `a_P(Z)`.
        arbitrage: Without it under P: `U_P(0)` and the statistical arbitrage `a*`, whose weights
            are Q.
        claim_under_q: With the claim under Q: `U_Q(Z)` and `a_Q(Z)`.
    """

    claim: LinearOptimum
    arbitrage: LinearOptimum
    claim_under_q: LinearOptimum

    @property
    def drift_free(self):
        """`U_P(Z) - U_P(0)`: the value of the claim less that of trading on drift; money."""
        return self.claim.utility - self.arbitrage.utility


def certainty_equivalents(inputs, liability, **options):
    """Hedges a claim by linear policies with the drift of the market and without it.

    With the claim `Z = -liability`, `U_Q(Z) <= U_P(Z) - U_P(0)`; without cost both sides are
    equal, and the hedges differ by the statistical arbitrage: `a_Q = a_P(Z) - a*`.

    Args:
        inputs: Paths as in `linear_optimum`.
        liability: Payoff owed at the horizon, `(N,)`, money.
        **options: Of `linear_optimum`.

    Returns:
        `CertaintyEquivalents`.

    Raises:
        ValueError: As `linear_optimum`.

    Example:

    >>> gain = np.repeat([0.1, -0.1], [6, 4])[:, None, None]
    >>> market = {"features": np.zeros((10, 1, 1)), "unit_gain": gain}
    >>> found = certainty_equivalents(market, liability=np.repeat([0.1, 0.0], [6, 4]))
    >>> round(found.claim_under_q.utility, 6), round(found.drift_free, 6)
    (-0.05, -0.05)

    Reference:
        arXiv:2103.11948, Proposition 4.1 and Corollary 4.1.
    """
    paths = TradedPaths(inputs)
    liability = check_array("liability", liability, {"(N,)": (len(paths),)})
    weights = options.pop("sample_weight", None)
    arbitrage = linear_optimum(paths, None, weights, **options)
    weights = np.ones(len(paths)) if weights is None else np.asarray(weights, np.float64)
    return CertaintyEquivalents(
        claim=linear_optimum(paths, liability, weights, **options),
        arbitrage=arbitrage,
        claim_under_q=linear_optimum(paths, liability, arbitrage.weights, **options),
    )
