"""Quadratic CVaR: the coherent risk measure of second order in the tail."""

import math

import keras
import tensorflow as tf

from hedgezoo.losses._sample import check_level, on_sample, solve_decreasing
from hedgezoo.losses.trainable_intercept import (
    TrainableInterceptLoss,
    mean_and_deviation,
    sum_over_replicas,
)


def quadratic_cvar(pnl, level, weights=None):
    """Quadratic CVaR of a sample: `min_w w + sqrt(mean(max(-X - w, 0)^2)) / (1 - level)`.

    The coherent relative of CVaR with the tail in the root mean square instead of the mean, so
    the worst of the worst outcomes count more; it is never below the CVaR of the same level. (The
    form without the square root is not positively homogeneous, its parameter is in 1 / money; see
    the utility "quadratic" of `optimized_certainty_equivalent`.)

    Args:
        pnl: Outcomes `X` in money, `(N,)`, an array or a tensor; gains are positive.
        level: In (0, 1). The limits are the mean loss at 0 and the largest loss at 1. A sample of
            `N` equally likely paths reports its largest loss once `N <= 1 / (1 - level)^2`.
        weights: Optional weights of the paths, `(N,)`, normalised here.

    Returns:
        The risk in money, bigger is worse: a Python float computed in float64, or for tensors a
        scalar tensor of their dtype, differentiable.

    Raises:
        ValueError: If `level` is outside (0, 1), `pnl` is not `(N,)` or not finite, or `weights`
            do not fit it.

    Example:

    >>> from hedgezoo.losses import quadratic_cvar
    >>> round(quadratic_cvar([-1.0, 1.0], level=0.2), 6)
    0.75

    Reference:
        P. A. Krokhmal (2007), Higher moment coherent risk measures, Quantitative Finance 7,
        with p = 2.
    """
    level = check_level(level)

    def measure(x, p):
        losses, tail = -x, 1.0 - level
        mean = tf.reduce_sum(p * losses)
        deviation = tf.sqrt(tf.reduce_sum(p * (losses - mean) ** 2))
        worst = tf.reduce_max(tf.where(p > 0, losses, losses.dtype.min))
        best = tf.reduce_min(losses)
        # the minimum, if it lies where every path is in the tail
        low = tf.minimum(best, mean - deviation * tail / math.sqrt(1.0 - tail * tail))
        # envelope theorem: the best intercept counts as a constant in gradients
        fixed, weight = tf.stop_gradient(losses), tf.stop_gradient(p)

        def balance(w):
            excess = tf.nn.relu(fixed - w)
            mass = tf.reduce_sum(weight * tf.cast(fixed > w, p.dtype))
            first, second = tf.reduce_sum(weight * excess), tf.reduce_sum(weight * excess**2)
            value = tf.math.log(first**2 / second) - 2.0 * math.log(tail)
            return value, 0.5 * value / (mass / first - first / second)

        w = solve_decreasing(balance, tf.stop_gradient(low), tf.stop_gradient(worst))
        square = tf.reduce_sum(p * tf.nn.relu(losses - w) ** 2)
        # the worst path alone outweighs the tail (or all outcomes are equal): the limit w -> worst
        at_worst = tf.reduce_sum(tf.where(losses == worst, p, 0.0)) >= tail * tail
        root = tf.sqrt(tf.where(at_worst, tf.ones_like(square), square))
        return tf.where(at_worst, worst, w + root / tail)

    return on_sample(measure, pnl, weights)


@keras.saving.register_keras_serializable(package="hedgezoo")
class QuadraticCVaR(TrainableInterceptLoss):
    """Quadratic CVaR of `gains - liability`, one value per path.

    With `X = y_pred - y_true` and `Y = max(-X - w, 0)`,

    `rho(X) = inf_w w + sqrt(E[Y^2]) / (1 - level)
            = inf_(w, v) E[w + (v + Y^2 / v) / (2 (1 - level))]`.

    The second form is a mean over paths; the loss trains the intercept `w` and the tail scale
    `v`, whose best value is `sqrt(E[Y^2])`, by the same stochastic approximation as `CVaR`.
    Choose batches much larger than `1 / (1 - level)^2` paths, or the tail is hardly ever seen.
    `hedgezoo.losses.quadratic_cvar` is the exact value on a sample.

    Args:
        level: In (0, 1). Defaults to 0.9.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computations.

    Call arguments:
        y_true: Liability `(B,)`, in money.
        y_pred: Gains `(B,)`, in money.

    Raises:
        ValueError: If `level` is outside (0, 1), or (when called) the shapes are not `(B,)`.

    Example:

    >>> import keras
    >>> from hedgezoo.losses import QuadraticCVaR
    >>> layers = [keras.Input((1,)), keras.layers.Dense(1), keras.layers.Reshape(())]
    >>> model = keras.Sequential(layers)  # gains (B,)
    >>> model.compile(optimizer="adam", loss=QuadraticCVaR(level=0.9))

    Reference:
        P. A. Krokhmal (2007), Higher moment coherent risk measures, Quantitative Finance 7,
        with p = 2.
    """

    state_names = ("intercept", "tail_scale", "spread")

    def __init__(
        self,
        level=0.9,
        reduction="sum_over_batch_size",
        name="quadratic_cvar",
        dtype=None,
    ):
        self.level = check_level(level)
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        # what would be exact for a Gaussian, as in `CVaR`
        tail = 1.0 - self.level
        self._quantile = _gaussian_intercept(tail)
        mass, _, second = _gaussian_tail(self._quantile)
        self._tail_scale = math.sqrt(second)
        self._spread = math.hypot(1.0, self._quantile)
        self._newton = self._tail_scale * tail / ((mass - tail**2) * self._spread)

    def penalty(self, x, state):
        w, v, _ = state
        excess = tf.nn.relu(-x - w)
        return w + 0.5 * (v + excess * (excess / v)) / (1.0 - self.level)

    def slope(self, x, state):
        w, v, _ = state
        return -tf.nn.relu(-x - w) / (v * (1.0 - self.level))

    def first_state(self, x):
        mean, deviation = mean_and_deviation(x)
        spread = self._spread * deviation
        return self._quantile * deviation - mean, self._at_least(0.0, spread, 1.0), spread

    def next_state(self, x, weights, state, gain):
        w, v, spread = state
        excess = -x - w
        tail = tf.nn.relu(excess)
        moments = tf.stack([tf.ones_like(x), tail, tail**2, excess**2])
        sums = sum_over_replicas(tf.reduce_sum(weights * moments, axis=1))
        total, first, second, square = tf.unstack(sums)
        spread = tf.sqrt(spread**2 + gain * (square / total - spread**2))
        pull = first / (total * v * (1.0 - self.level)) - 1.0
        step = tf.clip_by_value(self._newton * pull, -1.0, 1.0)
        # batches without a path in the tail must not make the scale vanish
        v = tf.sqrt(v**2 + tf.minimum(gain, 0.5) * (second / total - v**2))
        return w + gain * spread * step, self._at_least(v, spread, 0.01), spread

    def _at_least(self, v, spread, share):
        return tf.maximum(share * self._tail_scale / self._spread * spread + 1e-20, v)

    def get_config(self):
        return {**super().get_config(), "level": self.level}


def _gaussian_tail(z):
    """`P(Z > z)`, `E[(Z - z)+]` and `E[(Z - z)+^2]` of a standard normal `Z`."""
    mass = 0.5 * math.erfc(z / math.sqrt(2.0))
    density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return mass, density - z * mass, (1.0 + z * z) * mass - z * density


def _gaussian_intercept(tail):
    """The `z` with `E[(Z - z)+] = tail * sqrt(E[(Z - z)+^2])`, by bisection."""
    low, high = -100.0, 8.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        _, first, second = _gaussian_tail(middle)
        low, high = (middle, high) if first > tail * math.sqrt(max(second, 0.0)) else (low, middle)
    return 0.5 * (low + high)
