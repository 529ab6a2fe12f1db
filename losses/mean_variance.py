"""Mean-variance risk."""

import keras
import tensorflow as tf

from hedgezoo.losses._sample import check_risk_aversion, on_sample
from hedgezoo.losses.trainable_intercept import TrainableInterceptLoss, sum_over_replicas


def mean_variance(pnl, risk_aversion, weights=None):
    """Mean-variance risk of a sample: `-mean(X) + a / 2 * var(X)`.

    The variance is that of the sample as a distribution (divided by `N`). The measure is convex
    and cash-invariant, but not monotone: it punishes large gains as well.

    Args:
        pnl: Outcomes `X` in money, `(N,)`, an array or a tensor; gains are positive.
        risk_aversion: `a > 0`, in 1 / money. For Gaussian outcomes the result is the entropic
            risk with the same `a`.
        weights: Optional weights of the paths, `(N,)`, normalised here.

    Returns:
        The risk in money, bigger is worse: a Python float computed in float64, or for tensors a
        scalar tensor of their dtype, differentiable.

    Raises:
        ValueError: If `risk_aversion` is not positive, `pnl` is not `(N,)` or not finite, or
            `weights` do not fit it.

    Example:

    >>> from hedgezoo.losses import mean_variance
    >>> mean_variance([3.0, 1.0], risk_aversion=0.5)
    -1.75

    Reference:
        A. Ben-Tal, M. Teboulle (2007), An old-new concept of convex risk measures: the optimized
        certainty equivalent, Mathematical Finance 17, section 2.
    """
    a = check_risk_aversion(risk_aversion)

    def measure(x, p):
        mean = tf.reduce_sum(p * x)
        return -mean + 0.5 * a * tf.reduce_sum(p * (x - mean) ** 2)

    return on_sample(measure, pnl, weights)


@keras.saving.register_keras_serializable(package="hedgezoo")
class MeanVariance(TrainableInterceptLoss):
    """Mean-variance risk of `gains - liability`, one value per path.

    With `X = y_pred - y_true` and risk aversion `a`,

    `rho(X) = -E[X] + a / 2 * Var[X] = inf_w E[-X + a / 2 * (X + w)^2]`.

    The best intercept `w = -E[X]` is taken from the global batch on every step, so training
    follows the exact gradient of the mean-variance risk of the batch.
    `hedgezoo.losses.mean_variance` is the exact value on a sample.

    Args:
        risk_aversion: `a > 0`, in 1 / money. Defaults to 1.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computations.

    Call arguments:
        y_true: Liability `(B,)`, in money.
        y_pred: Gains `(B,)`, in money.

    Raises:
        ValueError: If `risk_aversion` is not positive, or (when called) the shapes are not `(B,)`.

    Example:

    >>> import numpy as np
    >>> from hedgezoo.losses import MeanVariance
    >>> loss = MeanVariance(risk_aversion=0.5, dtype="float64")
    >>> float(loss(y_true=np.zeros(2), y_pred=np.array([3.0, 1.0])))
    -1.75

    Reference:
        A. Ben-Tal, M. Teboulle (2007), An old-new concept of convex risk measures: the optimized
        certainty equivalent, Mathematical Finance 17, section 2 (there truncated; see the
        utility "quadratic" of `OptimizedCertaintyEquivalent` for the truncated, monotone one).
    """

    def __init__(
        self,
        risk_aversion=1.0,
        reduction="sum_over_batch_size",
        name="mean_variance",
        dtype=None,
    ):
        self.risk_aversion = check_risk_aversion(risk_aversion)
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def penalty(self, x, state):
        return -x + 0.5 * self.risk_aversion * (x + state[0]) ** 2

    def slope(self, x, state):
        return -1.0 + self.risk_aversion * (x + state[0])

    def first_state(self, x):
        return self.next_state(x, tf.ones_like(x), (tf.zeros([], x.dtype),), None)

    def next_state(self, x, weights, state, gain):
        w = state[0]
        # X + w, not X: the difference from the last intercept is small, and keeps its digits
        sums = tf.stack([tf.reduce_sum(weights), tf.reduce_sum(weights * (x + w))])
        total, shift = tf.unstack(sum_over_replicas(sums))
        return (w - shift / total,)

    def get_config(self):
        return {**super().get_config(), "risk_aversion": self.risk_aversion}
