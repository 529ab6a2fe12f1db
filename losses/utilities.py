"""Concave utilities for the optimized certainty equivalent, normalised: u(0) = 0, u'(0) = 1."""

import itertools
import math

import keras
import tensorflow as tf


def exponential(t):
    """Exponential utility `1 - exp(-t)`; its certainty equivalent is the entropic risk.

    Where `exp(-t)` would overflow (or would ruin the second moments of an optimizer) the utility
    is continued by its tangent, so it stays increasing, concave and finite everywhere.

    Args:
        t: Floating tensor of any shape.

    Returns:
        Tensor of the shape of `t`.
    """
    cap = exponent_cap(t.dtype)
    z = -t
    return -tf.math.expm1(tf.minimum(z, cap)) - math.exp(cap) * tf.nn.relu(z - cap)


def exponential_slope(t):
    """Derivative of `exponential`: `exp(-t)`, constant where the utility is a straight line."""
    return tf.exp(tf.minimum(-t, exponent_cap(t.dtype)))


def exponent_cap(dtype):
    """Largest exponent in use: 40 in float32, 319 in float64."""
    # the square of exp(cap) must still be a number of the dtype
    return 0.45 * math.log(float(tf.as_dtype(dtype).max))


def quadratic(t):
    """Quadratic utility `t - t^2 / 2` up to its top at `t = 1`, and constant beyond.

    Its certainty equivalent is the monotone mean-variance preference of Maccheroni, Marinacci,
    Rustichini and Taboga (2009): mean-variance without punishing gains.

    Args:
        t: Floating tensor of any shape.

    Returns:
        Tensor of the shape of `t`.
    """
    t = tf.minimum(t, 1.0)
    return t - 0.5 * t * t


def hyperbolic(t):
    """Hyperbolic utility `1 + t - sqrt(1 + t^2)`, with marginal utility between 0 and 2.

    Gains are worth at most 1 and large losses count at most twice, so it cannot overflow and
    its gradients are bounded.

    Args:
        t: Floating tensor of any shape.

    Returns:
        Tensor of the shape of `t`.
    """
    root = tf.sqrt(1.0 + t * t)
    # for t > 0 the terms 1 + t and sqrt(1 + t^2) cancel; this form does not
    return tf.where(t > 0, 2.0 * t / (1.0 + tf.abs(t) + root), 1.0 + t - root)


BUILT_IN = {"exponential": exponential, "quadratic": quadratic, "hyperbolic": hyperbolic}


def get(utility):
    """The utility of that name, or `utility` itself if it is a normalised concave function.

    Args:
        utility: One of `"exponential"`, `"quadratic"`, `"hyperbolic"`; a callable from tensors to
            tensors, elementwise; or the serialised form of such a callable.

    Returns:
        A callable.

    Raises:
        ValueError: If the name is unknown, or the callable is not concave with `u(0) = 0` and
            `u'(0) = 1` (for a kink at zero: the slopes on its two sides enclose 1).
    """
    if isinstance(utility, str) and utility in BUILT_IN:
        return BUILT_IN[utility]
    if isinstance(utility, dict):
        utility = keras.saving.deserialize_keras_object(utility)
    if not callable(utility):
        raise ValueError(
            f"`utility` must be a callable or one of {sorted(BUILT_IN)}. Received: {utility!r}"
        )
    _check_normalised(utility)
    return utility


def serialize(utility):
    """A name or a Keras config from which `get` finds the utility again."""
    for name, known in BUILT_IN.items():
        if utility is known:
            return name
    if getattr(utility, "__name__", "") == "<lambda>":
        raise ValueError(
            "A lambda cannot be saved as `utility`. Use a named function decorated with "
            "`keras.saving.register_keras_serializable`. "
            f"Received: {utility!r}"
        )
    return keras.saving.serialize_keras_object(utility)


@tf.autograph.experimental.do_not_convert
def _check_normalised(utility):
    grid = [-1.0, -0.1, -1e-4, 0.0, 1e-4, 0.1, 1.0]
    with tf.init_scope():
        u = [float(v) for v in tf.cast(utility(tf.constant(grid, tf.float64)), tf.float64)]
    slopes = [(u[i + 1] - u[i]) / (grid[i + 1] - grid[i]) for i in range(len(grid) - 1)]
    concave = all(a >= b - 1e-9 for a, b in itertools.pairwise(slopes))
    if abs(u[3]) > 1e-9 or not concave or slopes[2] < 1 - 1e-2 or slopes[3] > 1 + 1e-2:
        raise ValueError(
            "`utility` must be concave with u(0) = 0 and u'(0) = 1. "
            f"Received: {utility!r} with u(0)={u[3]:.3g} and slopes {slopes[2]:.4g} just below "
            f"and {slopes[3]:.4g} just above zero"
        )
