"""Paths of the Heston model at any dates, by the schemes of `variance_schemes`."""

import functools

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_integer, check_one_of
from hedgezoo.datasets.heston_panels.variance_schemes import SCHEMES
from hedgezoo.layers.draws import normal_draws


def heston_log_prices(
    parameters,
    times,
    seed,
    paths,
    first_path=0,
    steps_per_year=96,
    scheme="qe_m",
    variance=False,
):
    """log(S_t / F) of Heston paths at given times, on scrambled Sobol points along a bridge.

    Args:
        parameters: κ, θ, ξ, ρ, v₀, `(5,)`; all but ρ positive.
        times: Years, 0 first, increasing, `(n,)`.
        seed: Integer.
        paths: Number of paths B.
        first_path: Global index of the first path.
        steps_per_year: Between two times the steps are equal and at most `1 / steps_per_year`.
        scheme: `"euler"` or `"qe_m"`, as in `path_calls`.
        variance: Whether the variances are returned, too.

    Returns:
        float64 tensor `(B, n)`; with `variance` a pair of them.

    Raises:
        ValueError: If an argument has a wrong shape or is out of its range, or there are more
            than 555 time steps.

    Example:

    >>> path = heston_log_prices([2.0, 0.04, 0.5, -0.7, 0.04], [0.0, 0.5, 1.0], 0, 4096)
    >>> tf.reduce_mean(tf.exp(path), axis=0).numpy().round(3)
    array([1., 1., 1.])

    Reference:
        See `hedgezoo.datasets.heston_panels.variance_schemes`.
    """
    check_one_of("scheme", scheme, tuple(SCHEMES))
    for name, value, least in (
        ("paths", paths, 1),
        ("steps_per_year", steps_per_year, 1),
        ("seed", seed, 0),
        ("first_path", first_path, 0),
    ):
        check_integer(name, value, least)
    parameters = check_array("parameters", parameters, {"(5,)": (5,)})
    if not (parameters[[0, 1, 2, 4]] > 0).all() or abs(parameters[3]) > 1:
        raise ValueError(
            "`parameters` κ, θ, ξ, v₀ must be positive and ρ between -1 and 1. "
            f"Received: parameters={parameters.tolist()}"
        )
    times = check_array("times", times, {"(n,)": (None,)})
    if len(times) < 2 or times[0] != 0 or not (np.diff(times) > 0).all():
        raise ValueError(f"`times` must start with 0 and increase. Received: {times.tolist()}")
    gaps = np.diff(times)
    counts = np.maximum(np.ceil(gaps * steps_per_year - 1e-9).astype(int), 1)
    lengths, saved = np.repeat(gaps / counts, counts), np.cumsum(counts) - 1
    simulate = _simulator(scheme, len(lengths))
    path = simulate(
        tf.constant(seed, tf.int64),
        tf.constant(first_path, tf.int64),
        tf.constant(paths),
        tf.constant(lengths),
        tf.constant(parameters[:, np.newaxis, np.newaxis]),
    )
    starts = (0.0, parameters[4])
    found = [
        tf.pad(tf.transpose(tf.gather(values, saved)), ((0, 0), (1, 0)), constant_values=start)
        for values, start in zip(path, starts, strict=True)
    ]
    return tuple(found) if variance else found[0]


@functools.lru_cache(maxsize=8)
def _simulator(scheme, steps):
    """Log prices and variances after every step, `(T, B)` each, compiled once."""
    signature = [
        tf.TensorSpec((), tf.int64),
        tf.TensorSpec((), tf.int64),
        tf.TensorSpec((), tf.int32),
        tf.TensorSpec((steps,), tf.float64),
        tf.TensorSpec((5, 1, 1), tf.float64),
    ]

    @tf.function(autograph=False, input_signature=signature)
    def simulate(seed, first_path, paths, lengths, parameters):
        normals = normal_draws(seed, paths, steps, 2, first_path, draws="sobol", dtype="float64")
        by_time = tf.transpose(normals, (1, 2, 0))
        parameters = tf.unstack(parameters)

        def step(state, inputs):
            length, normals = inputs
            log_price, variance = SCHEMES[scheme](*state, parameters, length, tf.unstack(normals))
            return log_price, variance

        zeros = tf.zeros((1, paths), tf.float64)
        path = tf.scan(step, (lengths, by_time), (zeros, zeros + parameters[4]))
        return tuple(tf.squeeze(values, 1) for values in path)

    return simulate
