"""A table of local volatilities as a function of state and time."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor, is_concrete


def table_function(table, log_strikes, times):
    """The function of state and time that is linear between the entries of a table.

    It takes x `(B, 1)` and t `(B, 1)` and returns `(B, 1)`, constant beyond the first and last row
    and column, differentiable in the table and in x, t.

    Args:
        table: Volatilities `(T, G)`.
        log_strikes: States x of its columns, increasing, `(G,)`.
        times: Years of its rows, increasing, not negative, `(T,)`.

    Returns:
        A function.

    Raises:
        ValueError: If a shape does not fit, an axis is not increasing, or a volatility is
            negative or not finite.

    Example:

    >>> sigma = table_function([[0.2, 0.3], [0.2, 0.1]], [0.0, 1.0], [0.0, 1.0])
    >>> sigma(tf.constant([[0.5], [9.0]]), tf.constant([[0.5], [0.5]])).numpy().ravel()
    array([0.2, 0.2])
    """
    try:
        table = as_tensor(table, "float64")
    except (TypeError, ValueError):
        raise ValueError(
            "`volatility` must be a layer, a function or a table (T, G). "
            f"Received: {type(table).__name__}"
        ) from None
    columns = _axis("log_strikes", log_strikes)
    rows = _axis("times", times)
    if rows[0] < 0:
        raise ValueError(f"`times` must not be negative. Received: {times}")
    if tuple(table.shape) != (len(rows), len(columns)):
        raise ValueError(
            "A table `volatility` must have one row per time and one column per log strike, "
            f"({len(rows)}, {len(columns)}). Received: shape={tuple(table.shape)}"
        )
    good = (table >= 0) & tf.math.is_finite(table)
    if is_concrete(table) and not bool(tf.reduce_all(good)):
        raise ValueError("`volatility` must be a table of finite, non-negative numbers.")

    def sigma(state, time):
        column, right = _place(state[:, 0], columns)
        row, later = _place(time[:, 0], rows)
        value = 0.0
        for i, weight in ((0, 1.0 - later), (1, later)):
            for j, share in ((0, 1.0 - right), (1, right)):
                at = tf.stack(
                    [
                        tf.minimum(row + i, len(rows) - 1),
                        tf.minimum(column + j, len(columns) - 1),
                    ],
                    axis=1,
                )
                value += weight * share * tf.gather_nd(table, at)
        return value[:, tf.newaxis]

    return sigma


def _place(value, axis):
    """Index of the entry to the left and the share of the way to the next, within the axis."""
    value = tf.clip_by_value(tf.cast(value, "float64"), axis[0], axis[-1])
    left = tf.searchsorted(tf.constant(axis), value, side="right") - 1
    left = tf.clip_by_value(left, 0, max(len(axis) - 2, 0))
    gaps = np.diff(axis) if len(axis) > 1 else np.ones(1)
    return left, (value - tf.gather(axis, left)) / tf.gather(gaps, left)


def _axis(name, values):
    try:
        axis = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        axis = np.empty(0)
    increasing = axis.ndim == 1 and axis.size and np.isfinite(axis).all()
    if not (increasing and (np.diff(axis) > 0).all()):
        raise ValueError(f"`{name}` of a table must be increasing numbers. Received: {values}")
    return axis
