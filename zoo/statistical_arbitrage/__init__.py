"""Statistical arbitrage: policies that trade on drift, and their exact optimum where convex."""

from hedgezoo.statistical_arbitrage.certainty_equivalents import (
    CertaintyEquivalents,
    certainty_equivalents,
)
from hedgezoo.statistical_arbitrage.linear_optimum import LinearOptimum, linear_optimum
from hedgezoo.statistical_arbitrage.policies import LinearPolicy, RecurrentPolicy
from hedgezoo.statistical_arbitrage.traded_paths import TradedPaths

__all__ = [
    "CertaintyEquivalents",
    "LinearOptimum",
    "LinearPolicy",
    "RecurrentPolicy",
    "TradedPaths",
    "certainty_equivalents",
    "linear_optimum",
]
