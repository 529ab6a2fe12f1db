"""Where to tabulate the coefficients of a one-factor model, and the tables."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor
from hedgezoo.layers.sde.coefficients import call, check_features_shape

INTERPOLATIONS = ("linear", "cubic")


@dataclasses.dataclass(frozen=True)
class SpotGrid:
    """Equally spaced states per time step, on an interval that widens like a Brownian motion.

    The interval at time t is `center ± deviations · volatility · √max(t, t_1)`, with t_1 the end
    of the first step. Beyond it the coefficients stay at their value at the edge.

    Args:
        points: Number of states G per time step, at least 4.
        deviations: Half-width in standard deviations.
        volatility: Typical volatility of the state per square root of a year: of returns for a
            logarithm.
        center: Middle of the grid.
        interpolation: `"linear"`, or `"cubic"` (Catmull-Rom: continuous slope) for smooth
            coefficients on few points.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> low, high = SpotGrid(volatility=0.2, deviations=5.0).bounds([0.0, 0.25, 1.0])
    >>> low, high
    (array([-0.5, -0.5]), array([0.5, 0.5]))
    """

    points: int = 257
    deviations: float = 6.0
    volatility: float = 0.2
    center: float = 0.0
    interpolation: str = "linear"

    def __post_init__(self):
        if int(self.points) != self.points or self.points < 4:
            raise ValueError(f"`points` must be an integer, at least 4. Received: {self.points}")
        for name in ("deviations", "volatility"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"`{name}` must be positive. Received: {getattr(self, name)}")
        if not math.isfinite(self.center):
            raise ValueError(f"`center` must be finite. Received: {self.center}")
        check_interpolation(self.interpolation)

    def bounds(self, times):
        """Ends of the interval at the start of each step.

        Args:
            times: Times in years, the start included. Shape `(T + 1,)`.

        Returns:
            Lower and upper ends, float64 arrays of shape `(T,)`.
        """
        times = np.asarray(times, np.float64)
        elapsed = np.maximum(times[:-1], times[1]) - times[0]
        half = self.deviations * self.volatility * np.sqrt(elapsed)
        return self.center - half, self.center + half


def check_interpolation(interpolation):
    """Raises `ValueError` unless `interpolation` is known."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"`interpolation` must be one of {INTERPOLATIONS}. "
            f"Received: interpolation={interpolation!r}"
        )


def tabulate(function, times, low, high, points, features=None, dtype="float32"):
    """A drift or diffusion at equally spaced states, for all time steps in one call.

    Args:
        function: Layer or function `(state (N, 1), time (N, 1)[, features (N, f)])` to `(N, 1)`
            or `(N, 1, 1)`.
        times: Years, the start included. Shape `(T + 1,)`.
        low: Lowest state at the start of each step. Shape `(T,)`.
        high: Highest state at the start of each step. Shape `(T,)`.
        points: Number of states G.
        features: Optional market features `(P, f)`, one table for each row.
        dtype: `"float32"` or `"float64"`.

    Returns:
        Tables of shape `(P, T, G)`; P = 1 without features.

    Raises:
        ValueError: If the function returns another shape.

    Example:

    >>> tabulate(lambda x, t: x + t, [0.0, 0.5, 1.0], [-1.0, -2.0], [1.0, 2.0], 3).numpy()
    array([[[-1. ,  0. ,  1. ],
            [-1.5,  0.5,  2.5]]], dtype=float32)
    """
    times = as_tensor(times, dtype)[:-1]
    low, high = (as_tensor(x, dtype)[:, tf.newaxis] for x in (low, high))
    share = tf.constant(np.linspace(0.0, 1.0, points), dtype)
    state = low + (high - low) * share
    time = tf.broadcast_to(times[:, tf.newaxis], tf.shape(state))
    steps = low.shape[0]
    state, time = (tf.reshape(x, (-1, 1)) for x in (state, time))
    panels = 1
    if features is not None:
        features = as_tensor(features, dtype)
        check_features_shape(features, None)
        panels = tf.shape(features)[0] if features.shape[0] is None else features.shape[0]
        rows = state.shape[0]
        state, time = (tf.tile(x, (panels, 1)) for x in (state, time))
        features = tf.repeat(features, rows, axis=0)
    value = call(function, state, time, features, dtype)
    if tuple(value.shape[1:]) not in ((1,), (1, 1)):
        raise ValueError(
            "A grid takes one-factor models: `drift` and `diffusion` must return (B, 1) or "
            f"(B, 1, 1). Received: shape={tuple(value.shape)}"
        )
    return tf.reshape(value, (panels, steps, points))


def cell_coefficients(tables, interpolation):
    """Polynomials in w ∈ [0, 1], one per cell: c_0 + c_1 w (+ c_2 w² + c_3 w³).

    A flat cell is added at either end, so that whatever lies beyond the grid has the value of its
    edge, and slope zero.

    Args:
        tables: Values on the grid. Shape `(..., G)`.
        interpolation: `"linear"` or `"cubic"`.

    Returns:
        Tensor of shape `(..., G + 1, K)` with K = 2 or 4.
    """
    left, right = tables[..., :-1], tables[..., 1:]
    if interpolation == "linear":
        cells = [left, right - left]
    else:
        # neighbours beyond the ends by the parabola through the last three values
        ends = [
            3.0 * (tables[..., a] - tables[..., b]) + tables[..., c]
            for a, b, c in ((0, 1, 2), (-1, -2, -3))
        ]
        before = tf.concat([ends[0][..., tf.newaxis], tables[..., :-2]], axis=-1)
        after = tf.concat([tables[..., 2:], ends[1][..., tf.newaxis]], axis=-1)
        cells = [
            left,
            0.5 * (right - before),
            before - 2.5 * left + 2.0 * right - 0.5 * after,
            0.5 * (after - before) + 1.5 * (left - right),
        ]
    first, last = tables[..., :1], tables[..., -1:]
    zero = tf.zeros_like(first)
    cells = [
        tf.concat([zero if k else first, cell, zero if k else last], axis=-1)
        for k, cell in enumerate(cells)
    ]
    return tf.stack(cells, axis=-1)
