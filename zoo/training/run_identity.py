"""What makes a training run that run: a description to keep in its checkpoint and to compare."""

import contextlib
import dataclasses
import hashlib
import re

import keras
import numpy as np
import tensorflow as tf


def state_variables(model):
    """Variables of model, optimizer and losses, each once, in a fixed order."""
    # a model that trains its parts by optimizers of their own says so
    further = getattr(model, "further_optimizers", ())
    owners = [model, model.optimizer, *further, *keras.tree.flatten(model.loss)]
    variables = [v for owner in owners for v in getattr(owner, "variables", ())]
    return list({id(variable): variable for variable in variables}.values())


def describe_run(model, data, **settings):
    """What must be equal for a run to be the same run."""

    def shapes(variables):
        return [f"{_describe(v.name)} {tuple(v.shape)}" for v in variables]

    return {
        "model": _describe(model),
        "optimizer": _describe(model.optimizer),
        "loss": _describe(model.loss),
        "variables": shapes(state_variables(model)),
        "metrics": shapes(model.metrics_variables),
        "data": str(data.element_spec) if isinstance(data, tf.data.Dataset) else _describe(data),
        **settings,
    }


def _describe(thing):
    """JSON-able configuration, without the numbers that Keras appends to automatic names."""
    if isinstance(thing, (bool, int, float, type(None))):
        return thing
    if isinstance(thing, str):
        return re.sub(r"_\d+(?=_|/|$)", "", thing)
    if isinstance(thing, dict):
        return {str(key): _describe(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_describe(value) for value in thing]
    if isinstance(thing, (np.ndarray, np.generic)):
        return f"{thing.dtype} {thing.shape} sha256 {hashlib.sha256(thing.tobytes()).hexdigest()}"
    if hasattr(thing, "get_config"):
        # a subclassed model may have none
        with contextlib.suppress(NotImplementedError):
            return {"class": type(thing).__name__, **_describe(thing.get_config())}
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
        return {"class": type(thing).__name__, **_describe(fields)}
    return getattr(thing, "__qualname__", type(thing).__name__)


def leaves(tree, path=""):
    """Pairs of a dotted path and a value, for all values of nested dictionaries and lists."""
    if isinstance(tree, (dict, list)):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in items:
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree
