"""What every evaluation function needs: checked samples, and two numerically careful primitives."""

import numpy as np
import tensorflow as tf


def check_risk_aversion(risk_aversion, name="risk_aversion"):
    """Returns `risk_aversion` as a float, or raises `ValueError`."""
    if not np.isscalar(risk_aversion) or not 0 < float(risk_aversion) < np.inf:
        raise ValueError(f"`{name}` must be a positive finite number. Received: {risk_aversion!r}")
    return float(risk_aversion)


def check_level(level):
    """Returns `level` as a float, or raises `ValueError`."""
    if not np.isscalar(level) or not 0 < float(level) < 1:
        raise ValueError(
            "`level` must lie strictly between 0 and 1 (0.95 looks at the worst 5% of outcomes). "
            f"Received: {level!r}"
        )
    return float(level)


def on_sample(measure, pnl, weights=None):
    """Evaluates `measure` on a weighted sample, in float64.

    Args:
        measure: Callable `(x, p) -> scalar`; `x` and `p` are float64 tensors of shape `(N,)` and
            `p` is positive or zero and sums to one.
        pnl: Outcomes, `(N,)`, an array or a tensor.
        weights: `None` or weights of the paths, `(N,)`; they are normalised here.

    Returns:
        A Python float if `pnl` and `weights` are arrays, else a scalar tensor of the dtype of
        `pnl`, differentiable with respect to both.
    """
    as_tensor = tf.is_tensor(pnl) or tf.is_tensor(weights)
    x = _checked("pnl", pnl)
    if weights is None:
        n = tf.shape(x)[0]
        p = tf.fill([n], 1.0 / tf.cast(n, tf.float64))
    else:
        p = _checked("weights", weights)
        if not x.shape.is_compatible_with(p.shape):
            raise ValueError(
                "`weights` must have one entry per path. "
                f"Received: weights.shape={tuple(p.shape)}, pnl.shape={tuple(x.shape)}"
            )
        if tf.executing_eagerly():
            low, total = float(tf.reduce_min(p)), float(tf.reduce_sum(p))
            if low < 0 or not total > 0:
                raise ValueError(
                    "`weights` must not be negative, nor all zero. "
                    f"Received: smallest weight {low}, sum {total}"
                )
        p = p / tf.reduce_sum(p)
    value = measure(x, p)
    if not as_tensor:
        return float(value)
    dtype = tf.convert_to_tensor(pnl).dtype if tf.is_tensor(pnl) else tf.float64
    return tf.cast(value, dtype if dtype.is_floating else tf.float64)


def _checked(name, values):
    try:
        if tf.is_tensor(values):
            values = tf.cast(values, tf.float64)
        else:
            values = tf.convert_to_tensor(np.asarray(values, np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must hold real numbers. Received: {values!r}") from error
    if values.shape.rank not in (None, 1) or values.shape.num_elements() == 0:
        raise ValueError(
            f"`{name}` must have shape (N,) with at least one path. "
            f"Received: {name}.shape={tuple(values.shape)}"
        )
    if tf.executing_eagerly():
        finite = tf.math.is_finite(values)
        if not bool(tf.reduce_all(finite)):
            first = int(tf.argmin(tf.cast(finite, tf.int32)))
            bad = int(tf.reduce_sum(tf.cast(~finite, tf.int32)))
            raise ValueError(
                f"`{name}` must be finite. "
                f"Received: {bad} NaN or infinite entries, the first at index {first}"
            )
    return values


def log_mean_exp(x, p, k):
    """`log(sum_i p_i exp(k x_i)) / k` for a float `k` of either sign; the mean of `x` for `k = 0`.

    Centring on the mean keeps every digit as `k -> 0`, where the plain formula divides rounding
    errors by `k`; shifting by the largest exponent keeps it finite as `|k|` grows.
    """
    mean = tf.reduce_sum(p * x)
    if k == 0:
        return mean
    z = k * (x - mean)
    # a path of weight zero must not decide the shift
    top = tf.stop_gradient(tf.reduce_max(tf.where(p > 0, z, -np.inf)))
    near = tf.reduce_sum(p * tf.math.expm1(tf.minimum(z, 1.0)))
    small = tf.math.log1p(tf.where(top < 1.0, near, 0.0))
    large = top + tf.math.log(tf.reduce_sum(p * tf.exp(tf.minimum(z - top, 0.0))))
    return mean + tf.where(top < 1.0, small, large) / k


def solve_decreasing(function, lower, upper, iterations=200):
    """Root of a decreasing function inside `[lower, upper]`: Newton's method, kept in a bracket.

    Args:
        function: Callable `w -> (value, step)`: the function and the Newton-like step proposed
            from `w`. Only the sign of `value` is trusted; `step` may be NaN.
        lower, upper: Scalar tensors with the root between them. They and all that `function`
            uses should be without gradient, or an outer tape records every iteration.
        iterations: Largest number of evaluations.

    Returns:
        Scalar tensor.
    """
    # the minimum is flat: the value is more exact than its place (but not at a kink)
    tolerance = 1e-12 * (upper - lower)

    def unfinished(i, w, move, lower, upper):
        return (i < iterations) & (move > tolerance) & (upper - lower > tolerance)

    def improve(i, w, move, lower, upper):
        value, step = function(w)
        lower = tf.where(value > 0, w, lower)
        upper = tf.where(value > 0, upper, w)
        newton, middle = w + step, 0.5 * (lower + upper)
        # steps that do not shrink are of no use (at a kink, say): bisect instead
        use_newton = (newton >= lower) & (newton <= upper) & (tf.abs(step) < 0.5 * move)
        new = tf.where(use_newton, newton, middle)
        return i + 1, new, tf.abs(new - w), lower, upper

    start = 0.5 * (lower + upper)
    state = (tf.constant(0), start, tf.constant(np.inf, start.dtype), lower, upper)
    return tf.while_loop(unfinished, improve, state)[1]
