"""Checks of constructor arguments; each raises a `ValueError` that names the argument."""

import difflib
import math
import numbers

import keras
import numpy as np
import tensorflow as tf


def check_number(name, value):
    """A finite real number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"`{name}` must be a finite number. Received: {name}={value!r}")


def check_positive(name, value):
    """A finite number above zero."""
    check_number(name, value)
    if value <= 0:
        raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}")


def check_not_negative(name, value):
    """A finite number, zero or above."""
    check_number(name, value)
    if value < 0:
        raise ValueError(f"`{name}` must not be negative. Received: {name}={value!r}")


def check_integer(name, value, minimum=0):
    """An integer, `minimum` or above."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(
            f"`{name}` must be an integer, {minimum} or above. Received: {name}={value!r}"
        )


def check_one_of(name, value, known):
    """One of a few names, or None among them; the closest ones are offered if it is not."""
    if value in known:
        return
    names = [name for name in known if isinstance(name, str)]
    close = difflib.get_close_matches(str(value), names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise ValueError(f"`{name}` must be one of {tuple(known)}. Received: {name}={value!r}.{hint}")


def per_instrument(name, value, check):
    """A number, or one for each of D instruments as a tuple; every entry is checked.

    Returns:
        The value as a float or as a tuple of floats, so that it can be compared and stored.
    """
    if isinstance(value, str) or not isinstance(value, (list, tuple, np.ndarray)):
        check(name, value)
        return float(value)
    if np.ndim(value) != 1 or len(value) == 0:
        raise ValueError(
            f"`{name}` must be a number or one number per instrument. Received: {name}={value!r}"
        )
    for index, entry in enumerate(value):
        check(f"{name}[{index}]", entry)
    return tuple(float(entry) for entry in value)


def number_or_range(name, value, check):
    """A number, or a range `(low, high)` with low ≤ high; both ends are checked.

    Returns:
        The value, a range as a tuple.
    """
    if isinstance(value, str) or not isinstance(value, (list, tuple, np.ndarray)):
        check(name, value)
        return value
    if len(value) != 2:
        raise ValueError(
            f"`{name}` must be a number or a range (low, high). Received: {name}={value!r}"
        )
    low, high = value
    check(f"{name}[0]", low)
    check(f"{name}[1]", high)
    if low > high:
        raise ValueError(f"`{name}` must have low <= high. Received: {name}={value!r}")
    return (low, high)


def check_array(name, value, shapes, finite=True):
    """A finite array of numbers of one of several shapes.

    Args:
        name: The argument's name.
        value: Array, tensor, variable or nested sequence.
        shapes: Dictionary from a shape in words to a tuple; None in it is any size.
        finite: False to leave NaN and infinity to the caller.

    Returns:
        A float64 array.
    """
    if tf.is_tensor(value) or isinstance(value, keras.Variable):
        value = keras.ops.convert_to_numpy(value)
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` must be an array of numbers. Received: {name} of type {type(value).__name__}"
        ) from None
    fits = any(
        array.ndim == len(shape)
        and all(want is None or want == size for size, want in zip(array.shape, shape, strict=True))
        for shape in shapes.values()
    )
    if not fits:
        expected = " or ".join(
            f"{letters} = {_spelled(shape)}" if any(shape) else letters
            for letters, shape in shapes.items()
        )
        raise ValueError(f"`{name}` must have shape {expected}. Received: shape {array.shape}")
    if finite and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"`{name}` must be finite. Received: {array[where]} at index {where}")
    return array


def _spelled(shape):
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def plain(value):
    """NumPy scalars as the Python numbers that JSON can hold; other values as they are."""
    if isinstance(value, tuple):
        return tuple(plain(entry) for entry in value)
    return value.item() if isinstance(value, np.generic) else value
