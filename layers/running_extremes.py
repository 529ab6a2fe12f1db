"""Running maximum and minimum of a path."""

import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor, common_dtype

# Above this many steps the loop is written as one `while`, not step after step.
LONGEST_UNROLLED = 128


def running_maximum(path):
    """Largest value so far: `out[:, t] = max(path[:, 0], ..., path[:, t])`.

    Args:
        path: Tensor of shape `(B, T, ...)`.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If `path` has fewer than two axes.

    Example:

    >>> running_maximum(tf.constant([[1.0, 3.0, 2.0]])).numpy()
    array([[1., 3., 3.]], dtype=float32)
    """
    return _accumulate(tf.maximum, path)


def running_minimum(path):
    """Smallest value so far: `out[:, t] = min(path[:, 0], ..., path[:, t])`.

    Args:
        path: Tensor of shape `(B, T, ...)`.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If `path` has fewer than two axes.
    """
    return _accumulate(tf.minimum, path)


@tf.autograph.experimental.do_not_convert
def _accumulate(combine, path):
    path = as_tensor(path, common_dtype(path))
    if path.shape.rank is None or path.shape.rank < 2:
        raise ValueError(f"`path` must have shape (B, T, ...). Received: shape={path.shape}")
    time_first = (1, 0, *range(2, path.shape.rank))
    # Time leads inside: one step is then one contiguous block.
    values = tf.transpose(path, time_first)
    steps = values.shape[0]
    if steps is None or steps > LONGEST_UNROLLED:
        values = tf.scan(combine, values)
    else:
        so_far = []
        for value in tf.unstack(values):
            so_far.append(combine(so_far[-1], value) if so_far else value)
        values = tf.stack(so_far)
    values = tf.transpose(values, time_first)
    values.set_shape(path.shape)
    return values
