"""Rows of a finite data set in a new order every epoch, each computed from its index alone."""

import tensorflow as tf

from hedgezoo.layers.draws import PHILOX, as_int64, philox_counter, philox_key

_SHUFFLE_STREAM = 0x5EED
_ROUNDS = 8


def shuffled_rows(seed, paths, first_path, rows):
    """Row numbers of the paths `first_path ... first_path + paths − 1`.

    Paths e·rows ... (e+1)·rows − 1 are epoch e: a permutation of all rows. It comes from a block
    cipher with a key per (seed, epoch), so any part of it costs only that part.

    Args:
        seed: Integer, scalar integer tensor, or None for the rows in their order.
        paths: Number of paths B.
        first_path: Global index of the first path.
        rows: Number of rows.

    Returns:
        int64 tensor of shape `(B,)`.
    """
    index = tf.range(as_int64(paths), dtype=tf.int64) + as_int64(first_path)
    if not tf.is_tensor(paths):
        index = tf.ensure_shape(index, (paths,))
    epoch, position = index // rows, index % rows
    if seed is None or rows == 1:
        return position
    # One Philox counter value, four 32-bit words, is the key of one epoch
    first_epoch = epoch[0]
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=(epoch[-1] - first_epoch + 1, 2),
        key=philox_key(seed),
        counter=philox_counter(first_epoch, 1, _SHUFFLE_STREAM),
        alg=PHILOX,
        dtype=tf.int64,
    )
    keys = tf.concat([words, tf.bitwise.bitwise_xor(words[:, :1], words[:, 1:])], axis=1)
    return tf.raw_ops.RandomIndexShuffle(
        index=position,
        seed=tf.gather(keys, epoch - first_epoch),
        max_index=tf.constant(rows - 1, tf.int64),
        rounds=_ROUNDS,
    )
