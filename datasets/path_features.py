"""Features of whole paths, computed from the logarithm that a simulation already has."""

import itertools

import tensorflow as tf

from hedgezoo.datasets.checks import check_one_of
from hedgezoo.layers.rows import by_row
from hedgezoo.layers.running_extremes import running_maximum, running_minimum

# Columns per instrument, from x = log(S_t / S_0) and the initial values of the logarithm of the
# price and of the moneyness. Names and meaning are those of hedgezoo.layers.HedgeFeatures.
_OF_PRICE = {
    "spot": lambda price, x, log_spot, log_moneyness: price[:, :-1],
    "log_spot": lambda price, x, log_spot, log_moneyness: x + log_spot,
    "moneyness": lambda price, x, log_spot, log_moneyness: by_row(tf.exp, x + log_moneyness),
    "log_moneyness": lambda price, x, log_spot, log_moneyness: x + log_moneyness,
    "max_log_moneyness": lambda price, x, log_spot, log_moneyness: (
        running_maximum(x) + log_moneyness
    ),
    "min_log_moneyness": lambda price, x, log_spot, log_moneyness: (
        running_minimum(x) + log_moneyness
    ),
}


def check_features(features, given):
    """Feature names and callables as a tuple.

    Args:
        features: Sequence of names or callables.
        given: The names beside the price's own that the market can tell.

    Raises:
        ValueError: If there are none, or one is unknown.
    """
    features = (features,) if isinstance(features, str) or callable(features) else tuple(features)
    if not features:
        raise ValueError("`features` must name at least one feature. Received: features=()")
    for feature in features:
        if not callable(feature):
            check_one_of("features", feature, (*_OF_PRICE, *given))
    return features


def path_features(features, price, log_growth, log_spot, log_moneyness, given):
    """Features known at the decision times t = 0 ... T−1.

    Args:
        features: Names or callables; a callable maps `price` to `(B, T)` or `(B, T, k)` and must
            not look ahead.
        price: Prices, `(B, T+1, D)`.
        log_growth: log(S_t / S_0) at the decision times, `(B, T, D)`.
        log_spot: log S_0, an array or tensor that broadcasts to `(B, T, D)`.
        log_moneyness: log(S_0 / K) for the price level K of moneyness, likewise.
        given: Dictionary of the features that are not read off the price: tensors `(B, T, k)`, or
            arrays `(T, k)` if they are the same on all paths.

    Returns:
        Tensor of shape `(B, T, F)`.
    """
    log_spot = tf.convert_to_tensor(log_spot, price.dtype)
    log_moneyness = tf.convert_to_tensor(log_moneyness, price.dtype)
    columns = []
    for feature in features:
        if callable(feature):
            columns.append(_own_feature(feature, price))
        elif feature in _OF_PRICE:
            columns.append(_OF_PRICE[feature](price, log_growth, log_spot, log_moneyness))
        else:
            columns.append(tf.convert_to_tensor(given[feature], price.dtype))
    return _join(columns, price)


def _join(columns, price):
    paths = tf.shape(price)[0] if price.shape[0] is None else price.shape[0]
    blocks = []
    # Neighbouring columns that are the same on all paths are spread over the paths in one go
    for on_paths, group in itertools.groupby(columns, key=lambda column: column.shape.rank == 3):
        if on_paths:
            blocks.extend(group)
        else:
            block = tf.concat(list(group), axis=-1)
            blocks.append(tf.broadcast_to(block, (paths, *block.shape)))
    return tf.concat(blocks, axis=-1)


def _own_feature(feature, price):
    values = tf.cast(feature(price), price.dtype)
    columns = values[:, :, None] if values.shape.rank == 2 else values
    expected = (price.shape[0], price.shape[1] - 1)
    if columns.shape.rank != 3 or not columns.shape[:2].is_compatible_with(expected):
        raise ValueError(
            "A function in `features` must map prices (paths, steps + 1, instruments) to "
            "(paths, steps) or (paths, steps, k). "
            f"Received: {feature!r}, which returned shape {tuple(values.shape)} "
            f"for prices of shape {tuple(price.shape)}"
        )
    return columns
