"""Heston prices from Sobol paths: what a simulator makes of them, to be held against exact ones."""

import functools

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_integer, check_one_of
from hedgezoo.datasets.heston_panels.variance_schemes import SCHEMES
from hedgezoo.layers.draws import normal_draws
from hedgezoo.layers.sobol import MAX_DIMENSIONS, sobol_normals

# prices of all panels, paths and strikes of one block: 8 MiB an array in float64
_BLOCK = 2**20


def path_calls(
    parameters,
    strikes,
    maturities,
    scheme="qe_m",
    paths=2**16,
    steps_per_year=52,
    seed=0,
    bridge=False,
):
    """Heston call prices per unit of forward from scrambled Sobol paths.

    Between two maturities all steps are equal and at most `1 / steps_per_year` long. Options out
    of the money are averaged, and calls in the money follow from them by parity. All in float64;
    paths come in blocks, so that memory does not grow with their number.

    Args:
        parameters: κ, θ, ξ, ρ, v₀, `(5,)` or `(b, 5)`; all but ρ positive. The paths are shared by
            the panels.
        strikes: Strikes divided by the forward, `(n,)`, `(m, n)` or `(b, m, n)`.
        maturities: Years to expiry, increasing, `(m,)` or `(b, m)`.
        scheme: `"euler"` (full truncation) or `"qe_m"` (Andersen's quadratic-exponential scheme
            with martingale correction).
        paths: Number of paths; a power of two is the most evenly spread.
        steps_per_year: Time steps per year; 52 are weekly steps.
        seed: Integer, of the scrambling.
        bridge: False: Sobol dimensions follow the time steps. True: the first ones, the most
            evenly spread, decide the terminal values (a Brownian bridge); that leaves little but
            the bias of the time steps.

    Returns:
        Prices `(m, n)` or `(b, m, n)`, a NumPy array.

    Raises:
        ValueError: If an argument has a wrong shape or is out of its range, or there are more than
            555 time steps.

    Example:

    >>> parameters = [2.0, 0.04, 0.5, -0.7, 0.04]
    >>> path_calls(parameters, [0.9, 1.0, 1.1], [0.25], paths=2**14, bridge=True).round(3)
    array([[0.11 , 0.038, 0.004]])

    Reference:
        See `hedgezoo.datasets.heston_panels.variance_schemes`.
    """
    check_one_of("scheme", scheme, tuple(SCHEMES))
    check_integer("paths", paths, minimum=1)
    check_integer("steps_per_year", steps_per_year, minimum=1)
    check_integer("seed", seed)
    parameters, strikes, maturities, single = _checked(parameters, strikes, maturities)
    gaps = np.diff(maturities, axis=-1, prepend=0.0)
    # the same number of steps for every panel; a whole number of steps stays one after rounding
    counts = np.ceil(gaps.max(axis=0) * steps_per_year - 1e-9).astype(int)
    counts = np.maximum(counts, 1)
    if 2 * counts.sum() > MAX_DIMENSIONS:
        raise ValueError(
            f"Sobol paths offer at most {MAX_DIMENSIONS // 2} time steps; take shorter "
            f"`maturities` or fewer `steps_per_year`. Received: {counts.sum()} steps"
        )
    block = max(1, _BLOCK // (len(parameters) * strikes.shape[-1]))
    block = min(paths, 2 ** int(np.log2(block)))
    average = _averager(scheme, bool(bridge), block, int(counts.sum()))
    calls = average(
        tf.constant(paths),
        tf.constant(seed, tf.int64),
        tf.constant(counts, tf.int64),
        tf.constant((gaps / counts).T[..., np.newaxis]),
        tf.constant(parameters.T[..., np.newaxis]),
        tf.constant(strikes),
    ).numpy()
    return calls[0] if single else calls


@functools.lru_cache(maxsize=8)
def _averager(scheme, bridge, block, steps):
    """Mean price over all paths as a function for any grid, compiled once."""

    def tensor(*shape, dtype=tf.float64):
        return tf.TensorSpec(shape, dtype)

    signature = [
        tensor(dtype=tf.int32),
        tensor(dtype=tf.int64),
        tensor(None, dtype=tf.int64),
        tensor(None, None, 1),
        tensor(5, None, 1),
        tensor(None, None, None),
    ]

    @tf.function(autograph=False, input_signature=signature)
    def average(paths, seed, counts, dt, parameters, strikes):
        puts = strikes < 1.0
        sign = tf.where(puts, -tf.ones_like(strikes), tf.ones_like(strikes))
        by_maturity = [tf.transpose(x, (1, 0, 2))[..., tf.newaxis] for x in (strikes, sign)]

        def add(first, total):
            size = tf.minimum(block, paths - first)  # the last block may be shorter
            if bridge:
                normals = normal_draws(seed, size, steps, 2, first, draws="sobol", dtype="float64")
            else:
                normals = sobol_normals(seed, size, 2 * steps, first, dtype="float64")
            by_time = tf.transpose(tf.reshape(normals, (size, steps, 2)), (1, 2, 0))
            log_prices = _log_prices(SCHEMES[scheme], by_time, counts, dt, parameters)

            def payoffs(arguments):
                log_price, strike, sign = arguments
                excess = tf.exp(log_price)[:, tf.newaxis] - strike
                return tf.reduce_sum(tf.nn.relu(sign * excess), axis=-1)

            terms = (log_prices, *by_maturity)
            sums = tf.map_fn(payoffs, terms, fn_output_signature=tf.float64)
            return first + size, total + tf.transpose(sums, (1, 0, 2))

        start = tf.constant(0), tf.zeros_like(strikes)
        _, total = tf.while_loop(lambda first, _: first < paths, add, start, parallel_iterations=1)
        otm = total / tf.cast(paths, tf.float64)
        return otm + tf.where(puts, 1.0 - strikes, tf.zeros_like(strikes))

    return average.get_concrete_function()


def _log_prices(step, normals, counts, dt, parameters):
    """log(S_T / F) at all maturities, `(m, b, paths)`, from normals `(steps, 2, paths)`."""
    parameters = tf.unstack(parameters)
    shape = tf.stack([tf.shape(parameters[0])[0], tf.shape(normals)[2]])
    ends = tf.cumsum(counts)

    def to_maturity(state, maturity):
        number, log_price, variance = state

        def one_step(number, log_price, variance):
            pair = step(log_price, variance, parameters, dt[maturity], tf.unstack(normals[number]))
            return number + 1, *pair

        return tf.while_loop(
            lambda number, *_: number < ends[maturity],
            one_step,
            (number, log_price, variance),
            parallel_iterations=1,
        )

    zeros = tf.zeros(shape, tf.float64)
    start = (tf.zeros_like(ends[0]), zeros, zeros + parameters[4])
    return tf.scan(to_maturity, tf.range(tf.shape(counts)[0]), start, parallel_iterations=1)[1]


def _checked(parameters, strikes, maturities):
    """Parameters `(b, 5)`, strikes `(b, m, n)`, maturities `(b, m)`; and whether b was absent."""
    parameters = check_array("parameters", parameters, {"(5,)": (5,), "(b, 5)": (None, 5)})
    single = parameters.ndim == 1
    parameters = np.atleast_2d(parameters)
    b = len(parameters)
    batch = {} if single else {"(b, m)": (b, None)}
    maturities = check_array("maturities", maturities, {"(m,)": (None,), **batch})
    m = maturities.shape[-1]
    batch = {} if single else {"(b, m, n)": (b, m, None)}
    shapes = {"(n,)": (None,), "(m, n)": (m, None), **batch}
    strikes = check_array("strikes", strikes, shapes)
    positive = parameters[:, [0, 1, 2, 4]]
    if not (positive > 0).all() or not (np.abs(parameters[:, 3]) <= 1).all():
        raise ValueError(
            "`parameters` κ, θ, ξ, v₀ must be positive and ρ between -1 and 1. "
            f"Received: parameters={parameters.tolist()}"
        )
    for name, grid in (("strikes", strikes), ("maturities", maturities)):
        if not grid.size or not (grid > 0).all():
            raise ValueError(f"`{name}` must be positive and not empty. Received: {grid.tolist()}")
    if not (np.diff(maturities) > 0).all():
        raise ValueError(f"`maturities` must increase. Received: {maturities.tolist()}")
    maturities = np.broadcast_to(maturities, (b, m))
    return parameters, np.broadcast_to(strikes, (b, m, strikes.shape[-1])), maturities, single
