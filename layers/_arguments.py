"""Turning what a caller passed into tensors, and saying clearly what is wrong with it."""

import keras
import tensorflow as tf


def common_dtype(*values):
    """Float dtype of the tensors or arrays among `values`; Keras's default float without any.

    Tensors decide before NumPy arrays, so float64 constants do not promote a float32 graph.
    """
    for kinds in (tf.is_tensor, lambda value: hasattr(value, "dtype")):
        names = {tf.as_dtype(v.dtype).name for v in values if v is not None and kinds(v)}
        names = {name for name in names if tf.as_dtype(name).is_floating}
        if names:
            return keras.backend.result_type(*sorted(names))
    return keras.config.floatx()


def money_dtype(compute_dtype):
    """`compute_dtype`, or float32 if that has 16 bits: a daily return would drown in rounding."""
    return "float32" if tf.as_dtype(compute_dtype).size < 4 else compute_dtype


def as_tensor(value, dtype):
    """`value` as a tensor of `dtype`; casts tensors, converts everything else."""
    if tf.is_tensor(value):
        return tf.cast(value, dtype)
    return tf.convert_to_tensor(value, dtype=dtype)


def shape_of(value):
    """Static shape as a tuple with None for what is unknown, for messages and checks."""
    return tuple(value.shape) if value.shape.rank is not None else None


def require_rank(value, rank, name, expected):
    """Raises unless `value` has `rank` axes; `expected` is the shape to print, in letters."""
    if value.shape.rank != rank:
        raise ValueError(f"`{name}` must have shape {expected}. Received: shape={shape_of(value)}")


def require_broadcastable(value, target, name, expected):
    """Raises unless the static shape of `value` broadcasts to `target` (a tuple, None = any)."""
    shape = shape_of(value)
    if shape is None:
        return
    pairs = zip(reversed(shape), reversed(target), strict=False)
    fits = len(shape) <= len(target) and all(
        have is None or want is None or have in (1, want) for have, want in pairs
    )
    if not fits:
        raise ValueError(
            f"`{name}` must be a scalar or broadcast to {expected} = {tuple(target)}. "
            f"Received: shape={shape}"
        )


def is_concrete(value):
    """Whether the values are at hand (eager), so that looking at them costs no graph."""
    return tf.is_tensor(value) and hasattr(value, "numpy") and not tf.inside_function()


def require_values(condition, value, name, expected):
    """Raises when eager `value` has an entry outside `condition`; a traced one is not looked at.

    `condition` maps a tensor to booleans that are true where the entry is acceptable.
    """
    if not is_concrete(value):
        return
    good = condition(value)
    if not bool(tf.reduce_all(good)):
        bad = tf.reshape(value, (-1,))[tf.reshape(tf.logical_not(good), (-1,))]
        raise ValueError(
            f"`{name}` must be {expected}. Received: {float(bad[0])} "
            f"(the first of {len(bad)} such entries in shape={shape_of(value)})"
        )
