"""Increments of Brownian motions that belong to a path, not to a moment."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import is_concrete, require_rank
from hedgezoo.layers.bridge import bridge_by_time
from hedgezoo.layers.correlation import check_correlation, correlation_factor
from hedgezoo.layers.draws import DRAWS, normal_draws
from hedgezoo.layers.sobol import MAX_DIMENSIONS, sobol_normals


def brownian_increments(
    seed,
    paths,
    times,
    factors=1,
    first_path=0,
    draws="sobol",
    nodes=(),
    correlation=None,
    stream=0,
    first_dimension=0,
    dtype="float32",
):
    """Increments of k Brownian motions for paths `first_path ... first_path + paths - 1`.

    The numbers of path i depend on the seed and on i alone: they are the same in any split into
    batches.

    Args:
        seed: Integer or scalar integer tensor.
        paths: Number of paths B, an integer or a scalar integer tensor.
        times: Times in years, increasing, the start included: NumPy array or sequence `(T + 1,)`.
        factors: Number k of Brownian motions.
        first_path: Global index of the first path, an integer or a scalar integer tensor.
        draws: `"plain"`; `"antithetic"`, where path 2i + 1 is the mirror image of path 2i; or
            `"sobol"`, where path i is point i of a randomly scrambled Sobol sequence in T·k
            dimensions, laid out along a Brownian bridge.
        nodes: Indices into `times` that the bridge knows first, e.g. those of the maturities.
        correlation: Optional `(k, k)` correlation matrix.
        stream: Integer. Another stream gives other, independent numbers (not for Sobol draws).
        first_dimension: Number of leading Sobol dimensions left to other uses on the same paths.
        dtype: `"float32"` or `"float64"`.

    Returns:
        Tensor of shape `(B, T, k)`; entries at step t have variance `times[t + 1] - times[t]`.

    Raises:
        ValueError: If the times do not increase, `draws` or `nodes` is unknown, or there are more
            Sobol dimensions than 1111.

    Example:

    >>> times = [0.0, 0.1, 0.5, 1.0]
    >>> whole = brownian_increments(seed=7, paths=64, times=times, factors=2)
    >>> part = brownian_increments(seed=7, paths=8, times=times, factors=2, first_path=40)
    >>> bool(tf.reduce_all(whole[40:48] == part))
    True
    """
    times = check_grid("times", times)
    steps = len(times) - 1
    if draws not in DRAWS:
        raise ValueError(f"`draws` must be one of {DRAWS}. Received: draws={draws!r}")
    nodes = [int(node) for node in nodes]
    if not all(0 < node <= steps for node in nodes):
        raise ValueError(f"`nodes` must be indices from 1 to {steps}. Received: {nodes}")
    if draws == "sobol" and first_dimension + steps * factors > MAX_DIMENSIONS:
        raise ValueError(
            f"`draws='sobol'` offers at most {MAX_DIMENSIONS} dimensions (time steps x factors). "
            f"Received: {steps} steps x {factors} factors"
        )
    gaps = np.diff(times)
    if draws == "sobol":
        normals = sobol_normals(seed, paths, steps * factors, first_path, first_dimension, dtype)
        # Flat steps (T, k * B) in between: two axes move faster than three
        levels = tf.reshape(tf.transpose(normals), (steps, -1))
        levels = bridge_by_time(levels, times[1:] - times[0], [node - 1 for node in nodes])
        change = tf.concat([levels[:1], levels[1:] - levels[:-1]], axis=0)
        increments = tf.transpose(tf.reshape(change, (steps * factors, -1)))
        increments = tf.reshape(increments, (-1, steps, factors))
    else:
        normals = normal_draws(seed, paths, steps, factors, first_path, draws, stream, dtype=dtype)
        increments = normals * tf.constant(np.sqrt(gaps)[:, np.newaxis], dtype)
    if not tf.is_tensor(paths):
        increments = tf.ensure_shape(increments, (paths, steps, factors))
    return increments if correlation is None else correlate(increments, correlation)


def correlate(increments, correlation):
    """Correlated increments `dW Lᵀ` of independent ones, with `L Lᵀ` the correlation matrix.

    Args:
        increments: Independent increments. Shape `(..., k)`.
        correlation: Correlation matrix `(k, k)`. A tensor, which may be a function of weights,
            must be positive definite; anything else may be singular.

    Returns:
        Tensor of shape `(..., k)`.

    Raises:
        ValueError: If the matrix is not a correlation matrix or does not have the size k.

    Example:

    >>> correlate(tf.constant([[1.0, 1.0]]), [[1.0, 0.6], [0.6, 1.0]]).numpy().round(3)
    array([[1. , 1.4]], dtype=float32)
    """
    factors = increments.shape[-1]
    if not tf.is_tensor(correlation) or is_concrete(correlation):
        check_correlation(np.asarray(correlation))
    if tf.is_tensor(correlation):
        require_rank(correlation, 2, "correlation", "(k, k)")
        factor = tf.linalg.cholesky(tf.cast(correlation, increments.dtype))
    else:
        matrix = np.asarray(correlation, np.float64)
        factor = tf.constant(correlation_factor(matrix, len(matrix)), increments.dtype)
    if not factor.shape.is_compatible_with((factors, factors)):
        raise ValueError(
            f"`correlation` must have shape (k, k) = {(factors, factors)}. "
            f"Received: shape={tuple(factor.shape)}"
        )
    return tf.linalg.matvec(factor, increments)


def check_grid(name, values):
    """Increasing numbers, at least two, as a float64 array.

    Raises:
        ValueError: If they are not.
    """
    try:
        times = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        times = np.empty(0)
    if times.ndim != 1 or times.size < 2 or not (np.diff(times) > 0).all():
        raise ValueError(
            f"`{name}` must be at least two increasing years (T + 1,). Received: {values}"
        )
    return times
