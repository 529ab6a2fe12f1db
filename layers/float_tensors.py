"""One rule for the floating type of a closed form."""

import keras
import numpy as np
import tensorflow as tf


def as_float_tensors(*arguments):
    """Convert arguments to tensors of one floating type.

    If any argument is a floating tensor (or variable), the widest floating tensor type wins and
    numbers and arrays follow it. Without a tensor the result is float64, as prices and
    calibration need it, unless every argument that has a floating type is a narrower NumPy array.
    Half precision is too coarse for a closed form and becomes float32.

    Args:
        arguments: Tensors, variables, NumPy arrays, numbers, or nested sequences of numbers.

    Returns:
        List of tensors, in the order of `arguments`, all of the same floating type.
    """
    tensors = [_plain(argument) for argument in arguments]
    types = [x.dtype for x in tensors if tf.is_tensor(x) and x.dtype.is_floating]
    if not types:
        types = [
            tf.as_dtype(x.dtype)
            for x in tensors
            if isinstance(x, np.ndarray | np.generic) and np.issubdtype(x.dtype, np.floating)
        ]
    dtype = max(types, key=lambda t: t.size, default=tf.float64)
    dtype = tf.float32 if dtype.size < 4 else dtype
    return [
        tf.cast(x, dtype) if tf.is_tensor(x) else tf.convert_to_tensor(np.asarray(x), dtype)
        for x in tensors
    ]


def _plain(x):
    if isinstance(x, keras.Variable):
        return tf.convert_to_tensor(x.value)
    if isinstance(x, tf.Variable):
        return tf.convert_to_tensor(x)
    return x
