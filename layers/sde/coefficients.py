"""Calling the user's drift and diffusion: the right shapes in, the right type out."""

import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor


def coefficient(function, time, features, dtype, shape=None):
    """`function(state, time[, features])` as a function of the state alone, in `dtype`.

    Args:
        function: Layer or callable, or None.
        time: Scalar tensor; passed on as `(B, 1)`.
        features: `(B, f)` tensor, or None to call with two arguments.
        dtype: Type to return.
        shape: Static shape after the batch axis that the result must have, or None.
    """
    if function is None:
        return None

    def evaluate(state):
        rows = tf.fill((tf.shape(state)[0], 1), tf.cast(time, state.dtype))
        rows.set_shape((state.shape[0], 1))
        value = call(function, state, rows, features, dtype)
        if shape is not None and tuple(value.shape[1:]) != shape:
            raise ValueError(
                f"`drift` must return shape (B, d) = (B, {shape[0]}). "
                f"Received: shape={tuple(value.shape)}"
            )
        return value

    return evaluate


def call(function, state, time, features, dtype):
    """`function(state, time[, features])` as a tensor of `dtype`."""
    arguments = (state, time) if features is None else (state, time, features)
    return tf.cast(tf.convert_to_tensor(function(*arguments)), dtype)


def features_per_path(features, paths, dtype):
    """Features `(P, f)` repeated to `(paths, f)`: row p for the p-th of P equal blocks of paths.

    Raises:
        ValueError: If the features are not `(P, f)` with P a divisor of the number of paths.
    """
    if features is None:
        return None
    features = as_tensor(features, dtype)
    check_features_shape(features, paths)
    if features.shape[0] is not None and features.shape[0] == paths:
        return features
    block = paths // tf.shape(features)[0]
    return tf.repeat(features, block, axis=0)


def check_features_shape(features, paths):
    """Raises `ValueError` unless features are `(P, f)` with P a divisor of `paths`, if known."""
    panels = features.shape[0] if features.shape.rank == 2 else 0
    known = isinstance(paths, int)
    if panels == 0 or (known and panels is not None and paths % panels):
        raise ValueError(
            "`features` must have shape (P, f), where P divides the number of paths"
            f"{f' {paths}' if known else ''}. Received: shape={tuple(features.shape)}"
        )
