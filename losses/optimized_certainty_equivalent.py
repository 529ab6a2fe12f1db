"""Optimized certainty equivalents: the risk measure of any concave utility."""

import keras
import tensorflow as tf

from hedgezoo.losses import utilities
from hedgezoo.losses._sample import check_risk_aversion, on_sample, solve_decreasing
from hedgezoo.losses.trainable_intercept import (
    TrainableInterceptLoss,
    mean_and_deviation,
    sum_over_replicas,
)


def optimized_certainty_equivalent(pnl, utility, weights=None, risk_aversion=1.0):
    """Optimized certainty equivalent of a sample, as a risk: `min_w w - mean(u(X + w))`.

    An investor who may borrow `w` today at the price `w` borrows as much as suits; what remains
    is a convex, cash-invariant and (if `u` is non-decreasing) monotone risk measure. The utility
    `u(t) = -expm1(-a t) / a` gives the entropic risk, `u(t) = min(t, 0) / (1 - level)` the CVaR.

    Args:
        pnl: Outcomes `X` in money, `(N,)`, an array or a tensor; gains are positive.
        utility: `"exponential"`, `"quadratic"`, `"hyperbolic"` (see `hedgezoo.losses.utilities`)
            or a concave callable from tensors to tensors, elementwise, built from TensorFlow or
            Keras operations, with `u(0) = 0` and `u'(0) = 1` (or a kink at zero around 1).
        weights: Optional weights of the paths, `(N,)`, normalised here.
        risk_aversion: `a > 0` in 1 / money; the utility in use is `u(a t) / a`. Defaults to 1.

    Returns:
        The risk in money, bigger is worse: a Python float computed in float64, or for tensors a
        scalar tensor of their dtype, differentiable (where a path lies on a kink of the utility,
        with the slope on one side of it; `cvar` splits that path correctly).

    Raises:
        ValueError: If `utility` is unknown, not concave or not normalised, `risk_aversion` is not
            positive, `pnl` is not `(N,)` or not finite, or `weights` do not fit it.

    Example:

    >>> from hedgezoo.losses import optimized_certainty_equivalent
    >>> round(optimized_certainty_equivalent([1.0, -1.0], "exponential"), 6)
    0.433781

    Reference:
        A. Ben-Tal, M. Teboulle (2007), An old-new concept of convex risk measures: the optimized
        certainty equivalent, Mathematical Finance 17, Definition 2.1 (with the opposite sign) and
        Theorem 2.1.
    """
    a = check_risk_aversion(risk_aversion)
    utility = utilities.get(utility)

    def measure(x, p):
        # envelope theorem: the best intercept counts as a constant in gradients
        fixed, weight = tf.stop_gradient(x), tf.stop_gradient(p)

        def marginal_excess(w):
            _, slope, curvature = _derivatives(utility, a * (fixed + w))
            slope, curvature = tf.reduce_sum(weight * slope), tf.reduce_sum(weight * curvature)
            # Newton's method for the logarithm: exact for the exponential utility
            return slope - 1.0, tf.math.log(slope) * slope / (-a * curvature)

        losses = tf.boolean_mask(-fixed, weight > 0)
        w = solve_decreasing(marginal_excess, tf.reduce_min(losses), tf.reduce_max(losses))
        return w - tf.reduce_sum(p * utility(a * (x + w))) / a

    return on_sample(measure, pnl, weights)


def _derivatives(utility, t):
    """`u(t)`, `u'(t)` and `u''(t)`, elementwise."""
    with tf.GradientTape() as outer:
        outer.watch(t)
        with tf.GradientTape() as inner:
            inner.watch(t)
            value = utility(t)
        slope = inner.gradient(value, t, unconnected_gradients="zero")
    return value, slope, outer.gradient(slope, t, unconnected_gradients="zero")


@keras.saving.register_keras_serializable(package="hedgezoo")
class OptimizedCertaintyEquivalent(TrainableInterceptLoss):
    """Optimized certainty equivalent of `gains - liability`, one value per path.

    With `X = y_pred - y_true`,

    `rho(X) = inf_w E[w - u(X + w)]`

    for any concave utility `u`. The loss trains the intercept `w` while the model trains, by
    Newton steps on `E[u'(X + w)] = 1` with a falling gain, so that a utility with kinks (CVaR is
    one) converges as well. `EntropicRisk`, `CVaR` and `MeanVariance` are the members with a
    better method of their own. `hedgezoo.losses.optimized_certainty_equivalent` is the exact
    value on a sample.

    Args:
        utility: `"exponential"`, `"quadratic"`, `"hyperbolic"` or a concave callable `u`, as for
            the function; to save a model, decorate the callable with
            `keras.saving.register_keras_serializable`.
        risk_aversion: `a > 0` in 1 / money; the utility in use is `u(a t) / a`. Defaults to 1.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computations.

    Call arguments:
        y_true: Liability `(B,)`, in money.
        y_pred: Gains `(B,)`, in money.

    Raises:
        ValueError: If `utility` is unknown, not concave or not normalised, `risk_aversion` is not
            positive, or (when called) the shapes are not `(B,)`.

    Example:

    >>> import tensorflow as tf
    >>> from hedgezoo.losses import OptimizedCertaintyEquivalent
    >>> def cautious(t):  # a lost unit counts twice, a gained one half
    ...     return tf.minimum(2.0 * t, 0.5 * t)
    >>> loss = OptimizedCertaintyEquivalent(cautious)
    >>> loss = OptimizedCertaintyEquivalent("hyperbolic", risk_aversion=50.0)

    Reference:
        A. Ben-Tal, M. Teboulle (2007), An old-new concept of convex risk measures: the optimized
        certainty equivalent, Mathematical Finance 17, Definition 2.1 (with the opposite sign).
    """

    state_names = ("intercept", "spread")

    def __init__(
        self,
        utility,
        risk_aversion=1.0,
        reduction="sum_over_batch_size",
        name="optimized_certainty_equivalent",
        dtype=None,
    ):
        self.utility = utilities.get(utility)
        self.risk_aversion = check_risk_aversion(risk_aversion)
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def penalty(self, x, state):
        a, w = self.risk_aversion, state[0]
        return w - self.utility(a * (x + w)) / a

    def slope(self, x, state):
        t = self.risk_aversion * (x + state[0])
        with tf.GradientTape() as tape:
            tape.watch(t)
            value = self.utility(t)
        return -tape.gradient(value, t, unconnected_gradients="zero")

    def first_state(self, x):
        mean, deviation = mean_and_deviation(x)
        return -mean, deviation

    def next_state(self, x, weights, state, gain):
        w, spread = state
        t = self.risk_aversion * (x + w)
        _, slope, curvature = _derivatives(self.utility, t)
        moments = tf.stack([tf.ones_like(x), slope, -self.risk_aversion * curvature, (x + w) ** 2])
        sums = sum_over_replicas(tf.reduce_sum(weights * moments, axis=1))
        total, slope, curvature, square = tf.unstack(sums)
        slope, curvature = slope / total, curvature / total

        tiny = x.dtype.as_numpy_dtype(1e-30)
        log_slope = tf.math.log(tf.maximum(slope, tiny))
        # outcomes that have become much worse are followed at once: exploding slopes would
        # spoil the moments of the optimizer
        gain = tf.where(log_slope > 3.0, tf.ones_like(gain), gain)
        spread = tf.sqrt(spread**2 + gain * (square / total - spread**2))
        # steps in units of the spread; the best w is where the mean slope is 1
        bend = spread * curvature / tf.maximum(slope, tiny)
        newton = tf.clip_by_value(log_slope / tf.maximum(bend, tiny), -4.0, 4.0)
        kinked = tf.clip_by_value(slope - 1.0, -1.0, 1.0)
        return w + gain * spread * tf.where(bend > 1e-3, newton, kinked), spread

    def get_config(self):
        return {
            **super().get_config(),
            "utility": utilities.serialize(self.utility),
            "risk_aversion": self.risk_aversion,
        }
