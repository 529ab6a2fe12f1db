"""Volatilities in place of missing quotes, for networks that see a panel as an image."""

import numpy as np
import tensorflow as tf


def fill_missing(values, mask, log_strikes, root_maturities, otherwise):
    """Panels in which every missing quote is interpolated between those that are there.

    Along the strikes first: linearly between the nearest quotes on either side, constant beyond the
    last one. A maturity without any quote is then interpolated between its neighbours in the same
    way, strike by strike. What a masked cell holds, NaN included, has no influence; quotes stay as
    they are; the result is linear in the quotes.

    Args:
        values: Quotes `(B, m, n)`.
        mask: Booleans `(B, m, n)`, False where a quote is missing.
        log_strikes: Where the strikes lie, `(n,)`, increasing numbers.
        root_maturities: Where the maturities lie, `(m,)`, increasing numbers.
        otherwise: The value of all cells of a panel without any quote.

    Returns:
        Tensor `(B, m, n)` of the dtype of `values`.
    """
    known = tf.where(mask, values, tf.zeros_like(values))
    along_strikes = interpolation_weights(mask, log_strikes, values.dtype)
    rows = tf.linalg.matvec(along_strikes, known)
    has_quotes = tf.reduce_any(mask, axis=-1)
    along_maturities = interpolation_weights(has_quotes, root_maturities, values.dtype)
    # all weights are zero without a quote; otherwise they sum to one
    some = tf.reduce_any(has_quotes, axis=-1)[:, tf.newaxis, tf.newaxis]
    return tf.where(some, tf.matmul(along_maturities, rows), tf.cast(otherwise, values.dtype))


def interpolation_weights(known, places, dtype):
    """The matrix of linear interpolation from the known of n points to all of them.

    Args:
        known: Booleans `(..., n)`.
        places: Increasing numbers `(n,)`.
        dtype: Dtype of the weights.

    Returns:
        Weights `(..., n, n)`; row i holds those of point i. The unit matrix where all are known,
        zero where none is.
    """
    n = len(places)
    index = np.arange(n)
    places = tf.constant(places, dtype)
    candidates = known[..., tf.newaxis, :]
    before = tf.where(candidates & (index <= index[:, np.newaxis]), index, -1)
    after = tf.where(candidates & (index >= index[:, np.newaxis]), index, n)
    before, after = tf.reduce_max(before, -1), tf.reduce_min(after, -1)
    none_before, none_after = before < 0, after >= n
    first = tf.where(none_before, after, before)  # n, the class of no weight, where none is known
    last = tf.where(none_after, before, after)  # -1 likewise
    left, right = (tf.gather(places, tf.clip_by_value(end, 0, n - 1)) for end in (first, last))
    share = tf.math.divide_no_nan(places - left, right - left)[..., tf.newaxis]
    return (1.0 - share) * tf.one_hot(first, n, dtype=dtype) + share * tf.one_hot(
        last, n, dtype=dtype
    )
