"""Butterflies and calendar spreads of a surface of calls, with their rounding errors.

Computed in float64 from time values, prices less the intrinsic value (1 - k)⁺, so that little is
lost beyond the rounding of the prices themselves.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hedgezoo.layers.surfaces.strike_grid import carry_time_value, hat_weights, in_float64, payoff

# Rounding errors in a price of a surface that was itself computed, in units of its last place.
ROUNDINGS = 4.0


class PriceDifferences(NamedTuple):
    """What absence of arbitrage bounds below by zero, each `(m, n, B)`.

    Attributes:
        probabilities: Difference of the price slopes above and below a strike: the probability
            of that strike under piecewise linear prices.
        calendars: Price less the price of the maturity before, at the same strike.
        probability_rounding: Error in `probabilities` that rounded prices explain.
        calendar_rounding: Error in `calendars` that rounded prices explain.
    """

    probabilities: tf.Tensor
    calendars: tf.Tensor
    probability_rounding: tf.Tensor
    calendar_rounding: tf.Tensor

    @property
    def failing(self):
        """Where one of them is negative by more than rounding, or not a number."""
        fine = self.probabilities >= -self.probability_rounding
        return ~(fine & (self.calendars >= -self.calendar_rounding))


def price_differences(calls, grid):
    """`PriceDifferences` of call prices on a grid.

    Args:
        calls: Prices `(m, n, B)`; the type says to which precision they are rounded.
        grid: `StrikeGrid`.

    Returns:
        `PriceDifferences`, float64.
    """
    rounding = ROUNDINGS * np.finfo(calls.dtype.as_numpy_dtype).eps
    calls = tf.cast(calls, tf.float64)
    grid = in_float64(grid)
    below, above = 1.0 / grid.widths[:, :-1, None], 1.0 / grid.widths[:, 1:, None]
    time_value = calls - payoff(grid.strikes)[..., None]

    outer = [[0, 0], [1, 1], [0, 0]]
    slopes = tf.pad(time_value, outer)
    slopes = (slopes[:, 1:] - slopes[:, :-1]) / grid.widths[..., None]
    probabilities = slopes[:, 1:] - slopes[:, :-1] + _intrinsic_probabilities(grid)
    ghosts = payoff(grid.nodes)[..., None]
    padded = tf.pad(tf.abs(calls), outer)
    sizes = tf.concat(
        [padded[:, :1] + ghosts[:, :1], padded[:, 1:-1], padded[:, -1:] + ghosts[:, -1:]], 1
    )
    probability_rounding = (sizes[:, :-2] + sizes[:, 1:-1]) * below
    probability_rounding += (sizes[:, 1:-1] + sizes[:, 2:]) * above
    return PriceDifferences(
        probabilities,
        time_value - _time_value_before(time_value, grid),
        rounding * probability_rounding,
        rounding * 2.0 * tf.abs(calls),
    )


def _intrinsic_probabilities(grid):
    """Those of the prices (1 - k)⁺: the forward, split between the strikes around it."""
    forward = tf.ones((1,), tf.float64)
    return tf.stack([hat_weights(forward, row)[1:-1] for row in tf.unstack(grid.nodes)])


def _time_value_before(time_value, grid):
    """Time values of the maturity before at the strikes of each maturity."""
    nothing = tf.zeros_like(time_value[:1])
    if grid.common:
        return tf.concat([nothing, time_value[:-1]], 0)
    carried = [
        carry_time_value(time_value[j - 1], grid.row(j - 1), grid.row(j)[1:-1])[None]
        for j in range(1, time_value.shape[0])
    ]
    return tf.concat([nothing, *carried], 0)
