"""Scrambled Sobol points, one per path."""

import functools

import numpy as np
import tensorflow as tf

from hedgezoo.layers.rows import idle_rows

_INDEX_BITS = 30  # paths beyond 2**30 reuse points
MAX_DIMENSIONS = 1111
_SCRAMBLE = 0x5EED  # second word of the seed, so that scrambles share nothing with other draws


@functools.lru_cache(maxsize=16)
def direction_numbers(dimensions):
    """Direction numbers of the Sobol sequence as an int64 array of shape `(30, dimensions)`.

    They are read off TensorFlow's own sequence, which steps through the Gray code: point n differs
    from point n - 1 by exactly one direction number, the one of the lowest set bit of n.
    """
    if dimensions > MAX_DIMENSIONS:
        raise ValueError(
            f"Sobol draws offer at most {MAX_DIMENSIONS} dimensions (time steps x factors). "
            f"Received: {dimensions}"
        )
    rows = []
    with tf.init_scope(), tf.device("CPU:0"):
        for bit in range(_INDEX_BITS):
            previous = max(2**bit - 2, 0)
            points = tf.raw_ops.SobolSample(
                dim=dimensions, num_results=2, skip=previous, dtype=tf.float64
            ).numpy()
            points = np.round(points * 2.0**32).astype(np.int64)
            rows.append(points[0] if bit == 0 else points[0] ^ points[1])
    return np.stack(rows)


def sobol_integers(seed, paths, dimensions, first_path=0, first_dimension=0):
    """Scrambled Sobol points as signed 32-bit integers: u = (s + ½) / 2³² + ½.

    Each dimension is scrambled by a random lower triangular bit matrix and a random digital shift,
    both drawn from the seed (Matoušek's linear scrambling). Every point is then uniform on its own,
    so estimates are unbiased, and every aligned block of 2ᵐ points stays a digital net.

    Args:
        seed: Integer or scalar integer tensor.
        paths: Number of points B.
        dimensions: Number of coordinates, at most 1111.
        first_path: Index of the first point, an integer or a scalar integer tensor.
        first_dimension: Number of leading dimensions to leave out.

    Returns:
        int32 tensor of shape `(B, dimensions)`.

    Reference:
        Matoušek, "On the L2-discrepancy for anchored boxes", J. Complexity 14 (1998), section 4.
        Owen, "Randomly permuted (t,m,s)-nets and (t,s)-sequences" (1995).
    """
    scrambled, shift = _scrambled_directions(seed, dimensions, first_dimension)
    first = tf.cast(first_path, tf.int64) if tf.is_tensor(first_path) else first_path
    index = tf.range(tf.cast(paths, tf.int64), dtype=tf.int64) + first
    points = shift
    for low in range(0, _INDEX_BITS, 10):
        table = _xor_table(scrambled[low : low + 10])
        digits = tf.bitwise.bitwise_and(
            tf.bitwise.right_shift(index, tf.constant(low, tf.int64)), tf.constant(1023, tf.int64)
        )
        points = tf.bitwise.bitwise_xor(tf.gather(table, digits), points)
    return points


def sobol_uniforms(seed, paths, dimensions, first_path=0, first_dimension=0, dtype="float32"):
    """Scrambled Sobol points in the open unit cube.

    Args:
        seed, paths, dimensions, first_path, first_dimension: As in `sobol_integers`.
        dtype: `"float32"` or `"float64"`.

    Returns:
        Tensor of shape `(B, dimensions)`.
    """
    signed = sobol_integers(seed, paths, dimensions, first_path, first_dimension)
    top = tf.bitwise.right_shift(signed, 9)  # 23 bits and a half: a float32 inside (0, 1)
    return (tf.cast(top, dtype) + 0.5) * 2.0**-23 + 0.5


def sobol_normals(seed, paths, dimensions, first_path=0, first_dimension=0, dtype="float32"):
    """Standard normal numbers from scrambled Sobol points, by the inverse distribution function.

    Args:
        seed, paths, dimensions, first_path, first_dimension: As in `sobol_integers`.
        dtype: `"float32"` or `"float64"`.

    Returns:
        Tensor of shape `(B, dimensions)`.
    """
    # Idle rows behind the last path, as in `by_row`: the quantile uses a logarithm
    rows = paths + idle_rows(dimensions)
    signed = sobol_integers(seed, rows, dimensions, first_path, first_dimension)
    # The distance to the nearer end of (0, 1), in integers: a float32 keeps it to full relative
    # precision, where u itself would lose the upper tail. The quantile follows by symmetry.
    sign = tf.bitwise.right_shift(signed, 31)
    distance = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(signed, sign), 2**31 - 1)
    tail = tf.math.ndtri((tf.cast(distance, dtype) + 0.5) * 2.0**-32)
    return (tail * tf.cast(-1 - 2 * sign, dtype))[:paths]


def _scrambled_directions(seed, dimensions, first_dimension):
    """Direction numbers after the random bit matrices, (30, dimensions), and the digital shift."""
    last = first_dimension + dimensions
    seed = tf.cast(seed, tf.int64) if tf.is_tensor(seed) else tf.constant(seed, tf.int64)
    random = tf.random.stateless_uniform(
        (last, 33),
        seed=tf.stack([seed, tf.constant(_SCRAMBLE, tf.int64)]),
        minval=None,
        maxval=None,
        dtype=tf.int32,
        alg="philox",
    )[first_dimension:]
    matrix, shift = tf.transpose(random[:, :32]), random[:, 32]
    # Row r of the matrix makes output bit r, counted from the top: the parity of a random choice
    # of the input bits above it, and of bit r itself
    above = _as_int32([2**32 - 2 ** (32 - r) for r in range(32)])[:, None]
    own = _as_int32([2 ** (31 - r) for r in range(32)])[:, None]
    rows = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(matrix, above), own)
    directions = _as_int32(direction_numbers(last)[:, first_dimension:])
    overlap = tf.bitwise.bitwise_and(directions[:, None, :], rows[None])
    for width in (16, 8, 4, 2, 1):  # parity, folded into the lowest bit
        overlap = tf.bitwise.bitwise_xor(overlap, tf.bitwise.right_shift(overlap, width))
    bits = tf.bitwise.left_shift(
        tf.bitwise.bitwise_and(overlap, 1), np.arange(31, -1, -1, dtype=np.int32)[:, None]
    )
    return tf.reduce_sum(bits, axis=1), shift


def _as_int32(bits):
    """The 32 bits of unsigned integers as signed ones, which every TensorFlow kernel takes."""
    return np.asarray(bits, np.int64).astype(np.uint32).view(np.int32)


def _xor_table(directions):
    """All XOR combinations of k direction numbers, (2^k, dimensions)."""
    table = tf.zeros_like(directions[:1])
    for bit in range(directions.shape[0]):
        table = tf.concat([table, tf.bitwise.bitwise_xor(table, directions[bit])], axis=0)
    return table
