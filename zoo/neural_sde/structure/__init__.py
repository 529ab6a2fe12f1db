"""What learned dynamics contain, as numbers: leverage, mean reversion, clustering, and errors.

The functions take a `NeuralSDE`, or any object with the same `diffusion(spot, time)` and
`simulate(seed, paths, times)`. What is simulated comes with a standard error.
"""

from hedgezoo.neural_sde.structure.comparison import (
    VolatilityComparison,
    compare_volatility,
    implied_deviations,
)
from hedgezoo.neural_sde.structure.leverage import Leverage, conditional_leverage, leverage
from hedgezoo.neural_sde.structure.martingale import Martingale, martingale
from hedgezoo.neural_sde.structure.mean_reversion import MeanReversion, mean_reversion
from hedgezoo.neural_sde.structure.persistence import (
    Autocorrelation,
    clustering,
    daily_returns,
    lagged_leverage,
)
from hedgezoo.neural_sde.structure.spot_dependence import (
    ConditionalVolatility,
    conditional_volatility,
    explained_by_spot,
)
from hedgezoo.neural_sde.structure.volatility_map import VolatilityMap, volatility_map

__all__ = [
    "Autocorrelation",
    "ConditionalVolatility",
    "Leverage",
    "Martingale",
    "MeanReversion",
    "VolatilityComparison",
    "VolatilityMap",
    "clustering",
    "compare_volatility",
    "conditional_leverage",
    "conditional_volatility",
    "daily_returns",
    "explained_by_spot",
    "implied_deviations",
    "lagged_leverage",
    "leverage",
    "martingale",
    "mean_reversion",
    "volatility_map",
]
