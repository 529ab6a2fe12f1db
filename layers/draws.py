"""Standard normal draws that belong to a path, not to a moment.

Every function here is stateless: the numbers of path i depend on the seed and on i alone. They are
the same on one device or eight, in any split into batches and after any resume, eagerly and in a
graph. Two things are outside this promise: the last bit on another kind of device, and XLA
(`jit_compile=True`), which fills plain and antithetic draws in an order of its own. The batches of
a market are never compiled by XLA.
"""

import tensorflow as tf

from hedgezoo.layers.bridge import brownian_bridge
from hedgezoo.layers.sobol import sobol_normals, sobol_uniforms

DRAWS = ("plain", "antithetic", "sobol")

PHILOX = 1  # the value of tf.random.Algorithm.PHILOX, as the raw ops take it


def normal_draws(
    seed,
    paths,
    steps,
    factors=1,
    first_path=0,
    draws="plain",
    stream=0,
    first_dimension=0,
    dtype="float32",
):
    """Independent standard normal numbers for paths `first_path ... first_path + paths - 1`.

    Args:
        seed: Integer or scalar integer tensor.
        paths: Number of paths B, an integer or a scalar integer tensor.
        steps: Number of time steps T, a Python integer.
        factors: Number of independent factors D per time step.
        first_path: Global index of the first path, an integer or a scalar integer tensor.
        draws: `"plain"`; `"antithetic"`, where path 2i + 1 is the mirror image of path 2i; or
            `"sobol"`, where path i is point i of a randomly scrambled Sobol sequence in T·D
            dimensions, laid out along a Brownian bridge.
        stream: Integer. Another stream gives other, independent numbers for the same paths (plain
            and antithetic draws).
        first_dimension: Number of leading Sobol dimensions left to other uses. Two uses on the
            same paths must not share a dimension: no scrambling makes them independent.
        dtype: `"float32"` or `"float64"`.

    Returns:
        Tensor of shape `(B, T, D)`.

    Example:

    >>> whole = normal_draws(seed=7, paths=100, steps=20)
    >>> part = normal_draws(seed=7, paths=10, steps=20, first_path=40)
    >>> bool(tf.reduce_all(whole[40:50] == part))
    True
    """
    if draws == "sobol":
        level = brownian_paths(
            seed, paths, steps, factors, first_path, draws, stream, first_dimension, dtype
        )
        return tf.concat([level[:, :1], level[:, 1:] - level[:, :-1]], axis=1)
    if draws == "plain":
        flat = _plain(seed, paths, steps * factors, first_path, stream, dtype)
    elif draws == "antithetic":
        flat = _antithetic(seed, paths, steps * factors, first_path, stream, dtype)
    else:
        raise ValueError(f"`draws` must be one of {DRAWS}. Received: draws={draws!r}")
    return tf.reshape(flat, (paths, steps, factors))


def brownian_paths(
    seed,
    paths,
    steps,
    factors=1,
    first_path=0,
    draws="plain",
    stream=0,
    first_dimension=0,
    dtype="float32",
):
    """Brownian motion at the times 1, 2, ..., T: the running sum of `normal_draws`.

    Sobol paths are built level by level along the bridge, so the first dimensions, which are the
    most evenly spread ones, decide the terminal value and the next ones the midpoints.

    Args:
        seed, paths, steps, factors, first_path, draws, stream, dtype: As in `normal_draws`.

    Returns:
        Tensor of shape `(B, T, D)`; the variance at index t is t + 1.
    """
    if draws == "sobol":
        normals = sobol_normals(seed, paths, steps * factors, first_path, first_dimension, dtype)
        return brownian_bridge(tf.reshape(normals, (paths, steps, factors)))
    normals = normal_draws(seed, paths, steps, factors, first_path, draws, stream, dtype=dtype)
    return tf.cumsum(normals, axis=1)


def uniform_draws(
    seed,
    paths,
    width,
    first_path=0,
    draws="plain",
    stream=0,
    first_dimension=0,
    dtype="float32",
):
    """Independent uniform numbers on the open interval (0, 1), one row per path.

    Meant for what belongs to the path as a whole, such as the parameters of a contract: the two
    paths of an antithetic pair get the same numbers.

    Args:
        seed, paths, first_path, draws, stream, first_dimension, dtype: As in `normal_draws`.
        width: Numbers per path.

    Returns:
        Tensor of shape `(B, width)`.
    """
    if draws == "sobol":
        return sobol_uniforms(seed, paths, width, first_path, first_dimension, dtype)
    if draws == "antithetic":
        first_pair, offset, pairs = _pairs(paths, first_path)
        half = _plain_uniform(seed, pairs, width, first_pair, stream, dtype)
        return _rows(tf.repeat(half, 2, axis=0), offset, paths)
    return _plain_uniform(seed, paths, width, first_path, stream, dtype)


def as_int64(value):
    """An int64 tensor of an integer that may exceed 32 bits, or of an integer tensor."""
    if tf.is_tensor(value):
        return tf.cast(value, tf.int64)
    return tf.constant(value, tf.int64)


def philox_key(seed):
    """The 64-bit Philox key of a seed, scrambled so that neighbouring seeds are unrelated."""
    seed = as_int64(seed)
    key, _ = tf.raw_ops.StatelessRandomGetKeyCounter(seed=tf.stack([seed, tf.zeros_like(seed)]))
    return key


def philox_counter(first_row, groups, stream):
    """Philox counter (128 bits, low word first) at which row `first_row` begins."""
    low = tf.cast(as_int64(first_row) * groups, tf.uint64)
    return tf.stack([low, tf.constant(stream, tf.uint64)])


def _plain(seed, rows, width, first_row, stream, dtype):
    # One counter value makes four float32 or two float64 normals, and the op fills row by row.
    # Rows padded to whole counter values therefore start at a counter known in advance.
    dtype = tf.as_dtype(dtype)
    per_counter = 2 if dtype == tf.float64 else 4
    groups = -(-width // per_counter)
    normals = tf.raw_ops.StatelessRandomNormalV2(
        shape=(rows, groups * per_counter),
        key=philox_key(seed),
        counter=philox_counter(first_row, groups, stream),
        alg=PHILOX,
        dtype=dtype,
    )
    return normals if groups * per_counter == width else normals[:, :width]


def _antithetic(seed, paths, width, first_path, stream, dtype):
    first_pair, offset, pairs = _pairs(paths, first_path)
    half = _plain(seed, pairs, width, first_pair, stream, dtype)
    both = tf.reshape(tf.stack([half, -half], axis=1), (2 * pairs, width))
    return _rows(both, offset, paths)


def _plain_uniform(seed, rows, width, first_row, stream, dtype):
    groups = -(-width // 4)
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=(rows, 4 * groups),
        key=philox_key(seed),
        counter=philox_counter(first_row, groups, stream),
        alg=PHILOX,
        dtype=tf.uint32,
    )[:, :width]
    # 23 bits and a half: a float32 strictly inside (0, 1)
    bits = tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.int32)
    return (tf.cast(bits, dtype) + 0.5) * 2.0**-23


def _pairs(paths, first_path):
    """Antithetic pairs that hold the wanted paths: the first one, how far in, and how many."""
    first_pair = first_path // 2
    offset = first_path - 2 * first_pair
    if not tf.is_tensor(offset) and offset == 0:
        return first_pair, 0, (paths + 1) // 2
    return first_pair, offset, paths // 2 + 1  # one more, as the first path may be odd


def _rows(pairs, offset, paths):
    if not tf.is_tensor(offset) and offset == 0:
        return pairs[:paths]
    begin = tf.stack([tf.cast(offset, tf.int32), 0])
    return tf.slice(pairs, begin, (paths, pairs.shape[1]))
