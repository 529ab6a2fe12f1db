"""The features that have a name: what each reads and how it is computed."""

import difflib
import inspect

import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor, require_broadcastable
from hedgezoo.layers.running_extremes import running_maximum, running_minimum

# name -> formula, of the arguments that it names
FEATURES = {
    "spot": lambda spot: spot,
    "log_spot": lambda spot: tf.math.log(spot),
    "moneyness": lambda spot, strike: spot / strike,
    "log_moneyness": lambda spot, strike: tf.math.log(spot / strike),
    "max_log_moneyness": lambda maximum, strike: tf.math.log(maximum / strike),
    "min_log_moneyness": lambda minimum, strike: tf.math.log(minimum / strike),
    "time_to_expiry": lambda time_to_expiry: time_to_expiry,
    "volatility": lambda volatility: volatility,
    "cost": lambda cost: cost,
    "risk_aversion": lambda risk_aversion: risk_aversion,
    "previous_position": lambda position: position,
}

# What of a path is computed here, unless a caller who has no path gives it.
RUNNING = {"maximum": running_maximum, "minimum": running_minimum}


def feature_index(features, name):
    """Column of the named feature, for a model that reads one of them.

    Args:
        features: Names and callables, as given to `hedge_features`. Callables must come after
            `name`, or return one column each.
        name: Name of the feature.

    Returns:
        Index into the last axis of the features.

    Raises:
        ValueError: If `name` is not among `features`.

    Example:

    >>> feature_index(("log_moneyness", "time_to_expiry"), "time_to_expiry")
    1
    """
    features = list(features)
    if name not in features:
        raise ValueError(f"Feature {name!r} is needed. Received: features={features}")
    return features.index(name)


def check_features(features):
    """`features` as a tuple, after making sure that each is a callable or a known name.

    Raises:
        ValueError: If a name is unknown; the message offers the closest ones.
    """
    if isinstance(features, str) or callable(features):
        raise ValueError(f"`features` must be a sequence of names. Received: {features!r}")
    features = tuple(features)
    if not features:
        raise ValueError("`features` must not be empty. Received: features=()")
    for feature in features:
        if callable(feature) or (isinstance(feature, str) and feature in FEATURES):
            continue
        close = difflib.get_close_matches(str(feature), FEATURES, n=3)
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(
            f"Unknown feature {feature!r} in `features`. {hint} Known: {', '.join(FEATURES)}"
        )
    return features


def named_column(name, state, spot):
    """Column of the feature `name` on the paths or at the step that `state` describes.

    Args:
        name: A key of `FEATURES`.
        state: Dictionary of what formulas may read: `"spot"`, `"strike"`, ... Entries broadcast
            with `spot`; `None` is the same as absent.
        spot: `(B, T)`, or `(B,)` for one step.

    Returns:
        Tensor of the shape of `spot`.

    Raises:
        ValueError: If the formula reads something that is absent or does not broadcast.
    """
    formula = FEATURES[name]
    arguments = {}
    for argument in inspect.signature(formula).parameters:
        value = state.get(argument)
        if value is None and argument in RUNNING and spot.shape.rank == 2:
            value = RUNNING[argument](spot)
        if value is None:
            raise ValueError(f"Feature {name!r} needs `{argument}`. Received: {argument}=None")
        arguments[argument] = _beside(spot, value, argument)
    column = formula(**arguments)
    if column.shape.is_fully_defined() and column.shape == spot.shape:
        return column
    return tf.broadcast_to(column, tf.shape(spot))


def _beside(spot, value, name):
    """`value` as a tensor that broadcasts with `spot`, `(B, T)` or `(B,)`."""
    if value is spot:
        return spot
    value = as_tensor(value, spot.dtype)
    if value.shape.rank == 1 and spot.shape.rank == 2 and name != "time_to_expiry":
        value = value[:, None]
    require_broadcastable(
        value, tuple(spot.shape), name, "(B, T)" if spot.shape.rank == 2 else "(B,)"
    )
    return value
