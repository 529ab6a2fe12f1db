"""Entropic risk: the certainty equivalent of exponential utility, seen as a loss."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.losses._sample import check_risk_aversion, log_mean_exp, on_sample
from hedgezoo.losses.trainable_intercept import TrainableInterceptLoss, gather_over_replicas
from hedgezoo.losses.utilities import exponential, exponential_slope


def entropic_risk(pnl, risk_aversion, weights=None):
    """Entropic risk of a sample: `log(mean(exp(-a X))) / a`.

    The amount of cash that makes the outcome as good as nothing for an investor with exponential
    utility. It lies between `-mean(X)` (`a -> 0`) and `-min(X)` (`a -> inf`), and is computed
    without overflow and without loss of digits in between.

    Args:
        pnl: Outcomes `X` in money, `(N,)`, an array or a tensor; gains are positive.
        risk_aversion: `a > 0`, in 1 / money.
        weights: Optional weights of the paths, `(N,)`, normalised here.

    Returns:
        The risk in money, bigger is worse: a Python float computed in float64, or for tensors a
        scalar tensor of their dtype, differentiable.

    Raises:
        ValueError: If `risk_aversion` is not positive, `pnl` is not `(N,)` or not finite, or
            `weights` do not fit it.

    Example:

    >>> from hedgezoo.losses import entropic_risk
    >>> round(entropic_risk([1.0, -1.0], risk_aversion=1.0), 6)
    0.433781
    >>> entropic_risk([2.0, 2.0], risk_aversion=1e6)
    -2.0

    Reference:
        H. Föllmer, A. Schied, Stochastic Finance, 4th ed. (2016), chapter 4.
    """
    a = check_risk_aversion(risk_aversion)
    return on_sample(lambda x, p: log_mean_exp(-x, p, a), pnl, weights)


def effective_sample_size(pnl, risk_aversion, weights=None):
    """Number of paths that decide the entropic risk: `1 / sum(q^2)`, `q ~ exp(-a X)`.

    Where it is small against `N` (below a few hundred, say) the estimate rests on a handful of
    extreme paths: it is then biased downwards, and its standard error is too small as well.

    Args:
        pnl: Outcomes `X` in money, `(N,)`.
        risk_aversion: `a > 0`, in 1 / money.
        weights: Optional weights of the paths, `(N,)`.

    Returns:
        A number between 1 and `N`; a Python float or, for tensors, a scalar tensor.

    Raises:
        ValueError: As for `entropic_risk`.

    Example:

    >>> from hedgezoo.losses import effective_sample_size
    >>> effective_sample_size([0.3, 0.3, 0.3], risk_aversion=50.0)
    3.0
    """
    a = check_risk_aversion(risk_aversion)

    def measure(x, p):
        worst = tf.reduce_min(tf.where(p > 0, x, np.inf))
        q = p * tf.exp(-a * tf.maximum(x - worst, 0.0))
        return tf.reduce_sum(q) ** 2 / tf.reduce_sum(q * q)

    return on_sample(measure, pnl, weights)


@keras.saving.register_keras_serializable(package="hedgezoo")
class EntropicRisk(TrainableInterceptLoss):
    """Entropic risk of `gains - liability`, one value per path.

    With `X = y_pred - y_true` and risk aversion `a`,

    `rho(X) = log(E[exp(-a X)]) / a = inf_w E[w + (exp(-a (X + w)) - 1) / a]`.

    The intercept `w` is re-optimised in closed form on every batch, over all replicas, whatever
    its scale. So training follows the exact gradient of the entropic risk of the global batch,
    from the first step on, and at the optimum the reported loss is the entropic risk; before, it
    is an upper bound. `hedgezoo.losses.entropic_risk` is the exact value on a sample. Batches
    should hold many more paths than the tail needs: the risk of a batch is biased by the order of
    `1 / B`.

    Above an exponent of 40 (in float32) the exponential is continued by its tangent: no value
    overflows. Where `a |X|` exceeds about 1e5, float32 itself has no digits left for
    `exp(-a X)`; use `dtype="float64"`.

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

    >>> import keras
    >>> from hedgezoo.losses import EntropicRisk
    >>> layers = [keras.Input((1,)), keras.layers.Dense(1), keras.layers.Reshape(())]
    >>> model = keras.Sequential(layers)  # gains (B,)
    >>> model.compile(optimizer="adam", loss=EntropicRisk(risk_aversion=50.0))

    Reference:
        A. Ben-Tal, M. Teboulle (2007), An old-new concept of convex risk measures: the optimized
        certainty equivalent, Mathematical Finance 17, section 2.
    """

    def __init__(
        self,
        risk_aversion=1.0,
        reduction="sum_over_batch_size",
        name="entropic_risk",
        dtype=None,
    ):
        self.risk_aversion = check_risk_aversion(risk_aversion)
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def penalty(self, x, state):
        a, w = self.risk_aversion, state[0]
        return w - exponential(a * (x + w)) / a

    def slope(self, x, state):
        return -exponential_slope(self.risk_aversion * (x + state[0]))

    def first_state(self, x):
        return self.next_state(x, tf.ones_like(x), None, None)

    def next_state(self, x, weights, state, gain):
        a = self.risk_aversion
        worst = tf.reduce_min(tf.where(weights != 0, x, x.dtype.max))
        mass = tf.where(weights != 0, tf.exp(-a * (x - worst)), 0.0)
        row = tf.stack([worst, tf.reduce_sum(weights), tf.reduce_sum(weights * mass)])
        worsts, total, mass = tf.unstack(gather_over_replicas(row), axis=1)
        worst = tf.reduce_min(worsts)
        mass = tf.reduce_sum(mass * tf.exp(-a * (worsts - worst)))
        return (tf.math.log(mass / tf.reduce_sum(total)) / a - worst,)

    def get_config(self):
        return {**super().get_config(), "risk_aversion": self.risk_aversion}
