"""Paths of a neural SDE from a seed: spot, volatility and factor."""

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array
from hedgezoo.datasets.market import check_draw_arguments
from hedgezoo.layers._arguments import as_tensor
from hedgezoo.layers.draws import as_int64
from hedgezoo.layers.sde.finite import finite_paths, require_finite


def simulated_paths(model, seed, paths, times, first_path, features, factor):
    """The paths of `NeuralSDE.simulate`, whose arguments these are."""
    check_draw_arguments(seed, paths, first_path)
    times = check_array("times", times, {"(n,)": (None,)})
    if not len(times) or times[0] < 0 or not (np.diff(times) > 0).all():
        raise ValueError(f"`times` must be increasing years, 0 or above. Received: {times}")
    features = model.blocks(features)
    start = _start(model, factor, paths)
    later = times[times > 0]
    if not len(later):
        return _along(model, start[:, tf.newaxis], times, features)
    rollout = model.rollout(later, **model.draws_for(later))

    def simulate(seed, paths, first_path, start, features):
        states = rollout.simulate(seed, paths, first_path, start, features)
        good = tf.reduce_all(finite_paths(states))
        if times[0] == 0:
            states = tf.concat([start[:, tf.newaxis], states], axis=1)
        return _along(model, states, times, features), good

    # times with and without a 0 share a rollout
    run = model.graph_of(rollout, ("simulate", len(times)), simulate)
    seed, first_path = as_int64(seed), as_int64(first_path)
    answer, good = run(seed, tf.cast(paths, tf.int32), first_path, start, features)
    if not tf.inside_function() and not bool(good):
        explain_explosion(model, rollout, seed, paths, first_path, start, features)
    return answer


def explain_explosion(model, rollout, seed, paths, first_path=0, start=None, features=None):
    """Raises `ValueError` with the step and the number of paths that are not finite.

    Args:
        model: A `NeuralSDE`.
        rollout: The `SDERollout` whose paths are not finite.
        seed, paths, first_path: Which paths.
        start: Initial states `(B, d)` or None.
        features: `(P, f)` or None.
    """
    changes = {"draws": rollout.draws, "output": "path", "check_finite": False}
    whole = model.rollout(rollout.maturities, **changes)
    states = whole.simulate(seed, paths, first_path, initial=start, features=features)
    require_finite(states, whole.times)


def _start(model, factor, paths):
    """Initial states `(B, d)`."""
    states = tf.repeat(tf.constant([model.network.initial], model.float_type), paths, axis=0)
    if factor is None:
        return states
    if model.states == 1:
        raise ValueError(
            f"a {model.kind!r} model has no latent `factor`. Received: factor={factor!r}"
        )
    factor = tf.broadcast_to(as_tensor(factor, model.float_type), tf.shape(states)[:1])
    return tf.concat([states[:, :1], factor[:, tf.newaxis], states[:, 2:]], axis=1)


def _along(model, states, times, features):
    """What `simulate` returns of states `(B, n, d)`."""
    rows, count, width = tf.shape(states)[0], len(times), model.states
    if features is not None:
        features = tf.repeat(features, rows * count // tf.shape(features)[0], axis=0)
    flat = tf.reshape(states, (-1, width))
    time = tf.tile(tf.constant(times, states.dtype)[:, tf.newaxis], (rows, 1))
    volatility = tf.reshape(model.volatility_at(flat, time, features), (-1, count))
    spot = tf.exp(states[..., 0])
    answer = {"spot": spot, "volatility": tf.ensure_shape(volatility, spot.shape)}
    return {**answer, "factor": states[..., 1]} if width > 1 else answer
