"""A market seen under another measure: the same paths, with weights."""

from typing import Any, NamedTuple

import tensorflow as tf


class ReweightedMarket(NamedTuple):
    """Paths of a market with the density of a measure as sample weights, for `training.fit`.

    Args:
        market: A market.
        measure: A trained `RiskNeutralMeasure` of that market.

    Example:

    ```python
    training.fit(policy, ReweightedMarket(market, measure), steps_per_epoch=100, batch_size=1024)
    ```
    """

    market: Any
    measure: Any

    def simulate(self, seed, paths, first_path=0):
        """Inputs, liability and weights dQ/dP of the paths `first_path ...`."""
        inputs, liability = self.market.simulate(seed, paths, first_path)
        return inputs, liability, tf.exp(self.measure.log_density(inputs))
