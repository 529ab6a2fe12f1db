"""One view of both trading conventions: what each unit traded at each date earns and costs."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array

CONVENTIONS = ("price", "unit_gain")


class TradedPaths:
    """Paths as seen by a trader: `gain = sum_t trade[t] * unit_gain[t] - cost[t] * |trade[t]|`.

    A unit of a floating instrument traded at t earns `unit_gain[t]`. A unit of a fixed instrument
    traded at t is held to the horizon, so it earns `price[T] - price[t]`; trades are the changes
    of the position. Where selling costs other than buying, half the difference moves from the
    cost to the gain, which leaves one cost for both:

    `c+ a^+ + c- a^- = (c+ + c-)/2 |a| + (c+ - c-)/2 a`.

    Args:
        inputs: Dictionary of arrays: `features` `(N, T, F)`, `price` `(N, T+1, D)` or
            `unit_gain` `(N, T, D)`, and optionally `cost` and `sell_cost` `(N, T, D)`, money per
            unit bought and sold (one for both without `sell_cost`). Or a finite
            `tf.data.Dataset` of batches, whose first component is such a dictionary. Other keys
            are ignored.

    Raises:
        ValueError: If a key is missing, shapes do not fit each other, a value is not finite or a
            cost is negative.
    """

    def __init__(self, inputs):
        arrays = _arrays(inputs)
        check_keys(arrays)
        self.floating = "price" not in arrays
        self.features = _checked("features", arrays["features"], "(N, T, F)", (None,) * 3)
        rows, steps, _ = self.features.shape
        if self.floating:
            shape, letters = (rows, steps, None), "(N, T, D)"
            self._gain = _checked("unit_gain", arrays["unit_gain"], letters, shape)
        else:
            shape, letters = (rows, steps + 1, None), "(N, T+1, D)"
            self._gain = _checked("price", arrays["price"], letters, shape)
        shape = (rows, steps, self._gain.shape[2])
        self._buy, self._sell = (
            None if arrays.get(name) is None else _checked(name, arrays[name], "(N, T, D)", shape)
            for name in ("cost", "sell_cost")
        )
        for name, cost in (("cost", self._buy), ("sell_cost", self._sell)):
            if cost is not None and cost.min() < 0:
                where = tuple(int(i) for i in np.argwhere(cost < 0)[0])
                raise ValueError(
                    f"`{name}` must not be negative. Received: {cost[where]} at index {where}"
                )
        # a market without cost is smooth, and is worth recognising
        self.has_cost = any(cost is not None and cost.any() for cost in (self._buy, self._sell))
        self.shape = shape

    def __len__(self):
        return self.shape[0]

    def parts(self, rows):
        """Slices of at most `rows` paths, in order."""
        return (slice(start, start + rows) for start in range(0, len(self), rows))

    def features_of(self, part):
        """Features `(n, T, F)` of some paths, float64."""
        return np.asarray(self.features[part], np.float64)

    def trades_of(self, action, axis=1):
        """What is traded, `(n, T, ...)`, to follow actions `(n, T, ...)`: linear in them."""
        if self.floating:
            return action
        first = np.take(action, [0], axis)
        return np.concatenate([first, np.diff(action, axis=axis)], axis)

    def actions_of(self, trades, axis=1):
        """The inverse of `trades_of`."""
        return trades if self.floating else np.cumsum(trades, axis)

    def gain_of(self, part):
        """Value at the end less mid price of a unit traded at each date, `(n, T, D)`, float64."""
        gain = np.asarray(self._gain[part], np.float64)
        return gain if self.floating else gain[:, -1:] - gain[:, :-1]

    def spread_of(self, part):
        """Money per unit bought and per unit sold, each `(n, T, D)` or 0.0, float64."""
        if not self.has_cost:
            return 0.0, 0.0
        buy = np.asarray(self._buy[part], np.float64) if self._buy is not None else 0.0
        sell = buy if self._sell is None else np.asarray(self._sell[part], np.float64)
        return buy, sell

    def symmetric(self, part):
        """Gain of a unit traded and cost per unit, the same for both signs of the trade."""
        buy, sell = self.spread_of(part)
        return self.gain_of(part) - (buy - sell) / 2, (buy + sell) / 2


def check_keys(inputs):
    """Raises `ValueError` unless `inputs` has features and exactly one of the two conventions."""
    if not hasattr(inputs, "keys"):
        raise ValueError(
            "`inputs` must be a dictionary of arrays: features, price or unit_gain, cost. "
            f"Received: {type(inputs).__name__}"
        )
    given = [name for name in CONVENTIONS if inputs.get(name) is not None]
    if inputs.get("features") is None or len(given) != 1:
        raise ValueError(
            "`inputs` must have 'features' and exactly one of 'price' and 'unit_gain'. "
            f"Received: keys {sorted(inputs)}"
        )


def sample_weights(weights, rows, name="sample_weight"):
    """Weights `(N,)` that sum to one, float64; equal ones for None."""
    if weights is None:
        return np.full(rows, 1 / rows)
    weights = check_array(name, weights, {"(N,)": (rows,)})
    if weights.min() < 0 or weights.sum() <= 0:
        raise ValueError(
            f"`{name}` must not be negative, nor all zero. "
            f"Received: smallest {weights.min()}, sum {weights.sum()}"
        )
    return weights / weights.sum()


def finite(dataset):
    """The data set, which has an end and at least one batch; else `ValueError`."""
    if int(dataset.cardinality()) <= 0:
        raise ValueError(
            "`inputs` must be a data set with an end and at least one batch. "
            f"Received: {dataset} of cardinality {int(dataset.cardinality())}"
        )
    return dataset


def _arrays(inputs):
    if not isinstance(inputs, tf.data.Dataset):
        return inputs
    batches = []
    for batch in finite(inputs):
        batch = keras.utils.unpack_x_y_sample_weight(batch)[0]
        check_keys(batch)
        batches.append({name: np.asarray(batch[name]) for name in batch})
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _checked(name, value, letters, shape):
    """`value` as an array of its own floating type: float64 of everything would fill memory."""
    array = np.asarray(value)
    if array.dtype.kind != "f" or array.dtype.itemsize < 4:
        return check_array(name, value, {letters: shape})
    fits = array.ndim == len(shape) and all(
        want in (None, size) for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits or not array.size:
        check_array(name, array, {letters: shape})
        raise ValueError(f"`{name}` must not be empty. Received: shape {array.shape}")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"`{name}` must be finite. Received: {array[where]} at index {where}")
    return array
