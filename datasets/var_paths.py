"""Paths of a vector autoregression on log return and log discrete local volatilities.

Sums are taken column by column and not as matrix products, whose rounding depends on the number
of paths, and which a GPU would round to fewer digits. All functions work on one floating type,
that of the draws.
"""

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.vector_autoregression import covariance_factor
from hedgezoo.layers.draws import normal_draws
from hedgezoo.layers.surfaces.discrete_local_volatility import dlv_to_calls

STARTS = ("mean", "last", "stationary")


def surface_paths(tensors, past, draws, strikes, maturities, ghost_strikes=None, spot=1.0):
    """Spot, volatilities and option prices that follow from a past and from normal draws.

    Args:
        tensors: The fields of `VARCoefficients` by name, tensors.
        past: The last p values of Y, oldest first, `(B, p, K)` or `(1, p, K)`.
        draws: Standard normal numbers, `(B, T, K)`.
        strikes: Strikes divided by the spot, `(n,)`.
        maturities: Years, `(m,)`.
        ghost_strikes: `(2,)`, or None for one spacing outside the grid.
        spot: Spot at time 0, money.

    Returns:
        Dictionary of `states` `(B, T+1, K)`, `growth` log(S_t / S_0) `(B, T+1)`, `spot` `(B, T+1)`,
        `dlv` and `calls` `(B, T+1, m, n)`.
    """
    dtype = draws.dtype
    states = simulate_states(
        tensors["intercept"], tensors["lag_matrices"], tensors["innovation_factor"], past, draws
    )
    growth = tf.pad(tf.cumsum(states[:, 1:, 0], axis=1), ((0, 0), (1, 0)))
    dlv = simulate_surfaces(states, tensors["log_dlv_mean"], tensors["loadings"])
    calls = dlv_to_calls(dlv, *grid_tensors(strikes, maturities, ghost_strikes, dtype))
    return {
        "states": states,
        "growth": growth,
        "spot": spot * tf.exp(growth),
        "dlv": dlv,
        "calls": calls,
    }


def grid_tensors(strikes, maturities, ghost_strikes, dtype):
    """The grid of a surface as tensors of one type; None stays None."""
    return tuple(
        None if array is None else tf.constant(array, dtype)
        for array in (strikes, maturities, ghost_strikes)
    )


def past_states(
    coefficients, start, seed, paths, first_path, steps, draws="plain", dtype="float32"
):
    """The last p values of Y on every path, oldest first.

    Args:
        coefficients: A stable `VARCoefficients`.
        start: `"mean"`, `"last"`, `"stationary"` or an array `(p, K)`.
        seed, paths, first_path, draws, dtype: As in `normal_draws`.
        steps: Number of time steps that will follow: Sobol draws share no dimension with them.

    Returns:
        Tensor `(B, p, K)` for `"stationary"`, else `(1, p, K)`.
    """
    p, k = coefficients.lags, coefficients.series
    if isinstance(start, str) and start == "stationary":
        numbers = normal_draws(
            seed, paths, p, k, first_path, draws, stream=1, first_dimension=steps * k, dtype=dtype
        )
        return _stationary_states(coefficients, numbers)
    if isinstance(start, str):
        mean = np.tile(coefficients.stationary_mean, (p, 1))
        start = {"mean": mean, "last": coefficients.last_state}[start]
    return tf.constant(np.asarray(start)[None], dtype)


def simulate_states(intercept, lag_matrices, innovation_factor, state, draws):
    """Paths of Y from the past that `state` tells.

    Args:
        intercept: c, `(K,)`, a tensor.
        lag_matrices: A, `(p, K, K)`.
        innovation_factor: L, `(K, K)`.
        state: The last p values of Y, oldest first, `(B, p, K)` or `(1, p, K)`.
        draws: Standard normal numbers ε, `(B, T, K)`.

    Returns:
        Tensor `(B, T+1, K)`; index 0 is the last value of `state`.
    """
    p, k, _ = lag_matrices.shape
    steps = draws.shape[1]
    # paths on the last axis: a row of a matrix product is then a sum of a few long vectors
    shocks = _combine(innovation_factor, tf.transpose(draws, (1, 2, 0)))
    shocks += intercept[:, None]
    newest_first = tf.transpose(state[:, ::-1], (1, 2, 0))
    lagged = tf.reshape(newest_first, (p * k, -1))
    lagged = tf.broadcast_to(lagged, (p * k, tf.shape(draws)[0]))
    matrix = tf.reshape(tf.transpose(lag_matrices, (1, 0, 2)), (k, p * k))
    path = tf.TensorArray(draws.dtype, size=steps + 1, element_shape=(k, None))
    path = path.write(0, lagged[:k])

    def step(t, lagged, path):
        new = shocks[t] + _combine(matrix, lagged)
        return t + 1, tf.concat([new, lagged[: (p - 1) * k]], axis=0), path.write(t + 1, new)

    _, _, path = tf.while_loop(
        lambda t, *_: t < steps, step, (0, lagged, path), parallel_iterations=1
    )
    states = tf.transpose(path.stack(), (2, 0, 1))
    return tf.ensure_shape(states, (draws.shape[0], steps + 1, k))


def simulate_surfaces(states, log_dlv_mean, loadings):
    """Discrete local volatilities of paths of Y.

    Args:
        states: Y, `(B, T+1, K)`.
        log_dlv_mean: `(m, n)`, a tensor.
        loadings: `(K−1, m, n)`.

    Returns:
        Tensor `(B, T+1, m, n)`, positive.
    """
    factors = states[..., 1:, None, None]
    log_dlv = log_dlv_mean
    for number in range(loadings.shape[0]):
        log_dlv = log_dlv + factors[:, :, number] * loadings[number]
    shape = (tf.shape(states)[0], states.shape[1], *log_dlv_mean.shape)
    return tf.exp(tf.broadcast_to(log_dlv, shape))


def _stationary_states(coefficients, draws):
    """States from the distribution of Y in the long run, which is normal, `(B, p, K)`."""
    p, k = coefficients.lags, coefficients.series
    factor = covariance_factor(coefficients.stationary_covariance)
    flat = tf.transpose(tf.reshape(draws, (-1, p * k)))
    deviation = tf.transpose(_combine(tf.constant(factor, draws.dtype), flat))
    newest_first = tf.reshape(deviation, (-1, p, k)) + tf.constant(
        coefficients.stationary_mean, draws.dtype
    )
    return newest_first[:, ::-1]


def _combine(matrix, vectors):
    """Σ_j matrix[:, j] vectors[..., j, :], shapes (k, j) and (..., j, B) to (..., k, B)."""
    total = matrix[:, :1] * vectors[..., :1, :]
    for j in range(1, matrix.shape[1]):
        total += matrix[:, j : j + 1] * vectors[..., j : j + 1, :]
    return total
