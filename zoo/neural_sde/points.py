"""Points (S, t, features, factor) that a user asks about, as the networks take them."""

import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor, is_concrete


def checked_features(names, features, dtype):
    """Market features as a tensor `(..., f)`, or None for a model without.

    Args:
        names: Names of the features of the model, f of them.
        features: Array, tensor or None.
        dtype: Type of the result.

    Returns:
        Tensor or None.

    Raises:
        ValueError: If they are missing, not wanted, or have another width.

    Example:

    >>> checked_features(("skew",), [[0.1], [0.2]], "float32").shape
    TensorShape([2, 1])
    """
    if not names:
        if features is not None:
            raise ValueError(f"this model has no `features`. Received: features={features}")
        return None
    if features is None:
        raise ValueError(f"this model needs `features`, {names}. Received: features=None")
    features = as_tensor(features, dtype)
    if features.shape.rank == 0 or features.shape[-1] != len(names):
        raise ValueError(
            f"`features` must have {len(names)} columns, {names}. "
            f"Received: shape {tuple(features.shape)}"
        )
    return features


def flat_points(spot, time, features, factor, initial, dtype):
    """Arguments that broadcast as rows for a coefficient network.

    Args:
        spot: Spot divided by the forward, any shape.
        time: Years, any shape.
        features: `(..., f)` or None.
        factor: Latent factor, any shape, or None.
        initial: Initial state, d numbers, for the components that are not given.
        dtype: Type of the results.

    Returns:
        State `(N, d)`, time `(N, 1)`, features `(N, f)` or None, and the shape of the answer.

    Raises:
        ValueError: If a concrete spot is not positive.

    Example:

    >>> state, time, _, shape = flat_points([1.0, 1.0], [[0.5]], None, None, (0.0,), "float32")
    >>> state.numpy().ravel(), time.shape, shape.numpy()
    (array([0., 0.], dtype=float32), TensorShape([2, 1]), array([1, 2], dtype=int32))
    """
    spot, time = as_tensor(spot, dtype), as_tensor(time, dtype)
    if is_concrete(spot) and not bool(tf.reduce_all(spot > 0)):
        raise ValueError(f"`spot` must be positive. Received: {tf.reduce_min(spot).numpy()}")
    columns = [tf.math.log(spot)]
    if factor is not None:
        columns.append(as_tensor(factor, dtype))
    columns += [tf.constant(value, dtype) for value in initial[len(columns) :]]
    shape = tf.shape(time)
    for column in columns:
        shape = tf.broadcast_dynamic_shape(shape, tf.shape(column))
    if features is not None:
        width = features.shape[-1]
        shape = tf.broadcast_dynamic_shape(shape, tf.shape(features)[:-1])
        features = tf.broadcast_to(features, tf.concat([shape, [width]], 0))
        features = tf.reshape(features, (-1, width))
    state = [tf.reshape(tf.broadcast_to(column, shape), (-1,)) for column in columns]
    time = tf.reshape(tf.broadcast_to(time, shape), (-1, 1))
    return tf.stack(state, axis=-1), time, features, shape
