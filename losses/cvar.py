"""Conditional value at risk (expected shortfall): the mean of the worst outcomes."""

import math
from statistics import NormalDist

import keras
import tensorflow as tf

from hedgezoo.losses._sample import check_level, on_sample
from hedgezoo.losses.trainable_intercept import (
    TrainableInterceptLoss,
    mean_and_deviation,
    sum_over_replicas,
)


def cvar(pnl, level, weights=None):
    """Conditional value at risk of a sample: minus the mean of its worst outcomes.

    The worst share `1 - level` of the outcomes counts exactly: where `N (1 - level)` is not an
    integer, the path on the boundary counts with the fraction that is left. It equals
    `min_w w + mean(max(-X - w, 0)) / (1 - level)`.

    Args:
        pnl: Outcomes `X` in money, `(N,)`, an array or a tensor; gains are positive.
        level: In (0, 1); 0.95 averages the worst 5%. The limits are the mean loss at 0 and the
            largest loss at 1.
        weights: Optional weights of the paths, `(N,)`, normalised here.

    Returns:
        The risk in money, bigger is worse: a Python float computed in float64, or for tensors a
        scalar tensor of their dtype, differentiable.

    Raises:
        ValueError: If `level` is outside (0, 1), `pnl` is not `(N,)` or not finite, or `weights`
            do not fit it.

    Example:

    >>> from hedgezoo.losses import cvar
    >>> cvar([-4.0, -1.0, 0.0, 2.0], level=0.5)
    2.5
    >>> round(cvar([-4.0, -1.0, 0.0, 2.0], level=0.6), 6)  # (4 * 0.25 + 1 * 0.15) / 0.4
    2.875

    Reference:
        R. T. Rockafellar, S. Uryasev (2002), Conditional value-at-risk for general loss
        distributions, Journal of Banking & Finance 26, Proposition 8.
    """
    level = check_level(level)

    def measure(x, p):
        order, sorted_p, above = _from_worst(x, p)
        tail = 1.0 - level
        share = tf.minimum(tf.maximum(tail - above, 0.0), sorted_p)
        # back in the order of the paths, so that the gradient is dense
        share = tf.scatter_nd(order[:, None], share, tf.shape(x, tf.int32))
        return -tf.reduce_sum(share * x) / tail

    return on_sample(measure, pnl, weights)


def value_at_risk(pnl, level, weights=None):
    """Value at risk of a sample: the smallest loss that is not exceeded with probability `level`.

    Args:
        pnl: Outcomes `X` in money, `(N,)`, an array or a tensor; gains are positive.
        level: In (0, 1), the probability that the loss stays at or below the result.
        weights: Optional weights of the paths, `(N,)`, normalised here.

    Returns:
        The lower `level`-quantile of `-X` in money: a Python float, or for tensors a scalar
        tensor of their dtype.

    Raises:
        ValueError: As for `cvar`.

    Example:

    >>> from hedgezoo.losses import value_at_risk
    >>> value_at_risk([-4.0, -1.0, 0.0, 2.0], level=0.75)
    1.0

    Reference:
        H. Föllmer, A. Schied, Stochastic Finance, 4th ed. (2016), section 4.4.
    """
    level = check_level(level)

    def measure(x, p):
        order, p, above = _from_worst(x, p)
        # the tolerance absorbs the rounding of 1 - level and of the running sum
        reached = (above <= 1.0 - level + 1e-12) & (p > 0)
        return -tf.reduce_max(tf.where(reached, tf.gather(x, order), x.dtype.min))

    return on_sample(measure, pnl, weights)


def _from_worst(x, p):
    """The order of the paths, worst first; their weights; the weight of all worse ones."""
    order = tf.argsort(x)
    p = tf.gather(p, order)
    return order, p, tf.cumsum(p, exclusive=True)


@keras.saving.register_keras_serializable(package="hedgezoo")
class CVaR(TrainableInterceptLoss):
    """Conditional value at risk of `gains - liability`, one value per path.

    With `X = y_pred - y_true`,

    `rho(X) = inf_w E[w + max(-X - w, 0) / (1 - level)]`,

    the mean of the worst share `1 - level` of the outcomes; the best `w` is the value at risk.
    The loss finds it by stochastic approximation while the model trains: a damped step per batch,
    in units of the spread of the outcomes (also learned), with a gain that falls like `n^-0.6`.
    So `w` averages over batches, and small batches, in which the tail is a path or two, train the
    right measure too. The mean over the batch of the worst paths of the batch, which is often
    used instead, is biased there. `hedgezoo.losses.cvar` is the exact value on a sample.

    Call `reset()` if the same loss object goes on to train on outcomes of a very different size.

    Args:
        level: In (0, 1). Defaults to 0.95.
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
    >>> from hedgezoo.losses import CVaR
    >>> layers = [keras.Input((1,)), keras.layers.Dense(1), keras.layers.Reshape(())]
    >>> model = keras.Sequential(layers)  # gains (B,)
    >>> model.compile(optimizer="adam", loss=CVaR(level=0.95))

    Reference:
        R. T. Rockafellar, S. Uryasev (2000), Optimization of conditional value-at-risk, Journal
        of Risk 2, Theorem 1. O. Bardou, N. Frikha, G. Pagès (2009), Computing VaR and CVaR using
        stochastic approximation and adaptive unconstrained importance sampling, Monte Carlo
        Methods and Applications 15.
    """

    state_names = ("intercept", "spread")

    def __init__(self, level=0.95, reduction="sum_over_batch_size", name="cvar", dtype=None):
        self.level = check_level(level)
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        # what would be exact for a Gaussian: the quantile and the Newton step, where `spread` is
        # the root mean square distance of the losses from the quantile
        normal = NormalDist()
        self._quantile = normal.inv_cdf(self.level)
        self._spread_at_quantile = math.hypot(1.0, self._quantile)
        self._newton = 1.0 / (normal.pdf(self._quantile) * self._spread_at_quantile)

    def penalty(self, x, state):
        return state[0] + tf.nn.relu(-x - state[0]) / (1.0 - self.level)

    def slope(self, x, state):
        return -tf.cast(-x > state[0], x.dtype) / (1.0 - self.level)

    def first_state(self, x):
        mean, deviation = mean_and_deviation(x)
        return self._quantile * deviation - mean, self._spread_at_quantile * deviation

    def next_state(self, x, weights, state, gain):
        w, spread = state
        excess = -x - w
        moments = tf.stack([tf.ones_like(x), tf.cast(excess > 0, x.dtype), excess**2])
        total, tail, square = tf.unstack(sum_over_replicas(tf.reduce_sum(weights * moments, 1)))
        spread = tf.sqrt(spread**2 + gain * (square / total - spread**2))
        step = tf.clip_by_value(self._newton * (tail / total - (1.0 - self.level)), -1.0, 1.0)
        return w + gain * spread * step, spread

    def get_config(self):
        return {**super().get_config(), "level": self.level}
