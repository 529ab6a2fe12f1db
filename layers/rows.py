"""Row-wise functions whose last bit does not depend on where a batch ends.

Vectorised exp, log and erf work on whole registers; the numbers left over at the end of a tensor
go through a scalar formula that may round differently. A few idle rows behind the last one keep
every path inside the vectorised part, so that a path has the same bits in every batch.
"""

import tensorflow as tf

_REGISTER = 16  # float32 numbers in the widest vector register (AVX-512)


def idle_rows(width):
    """Number of rows of `width` numbers that fill a vector register."""
    return -(-_REGISTER // width)


def by_row(function, *tensors):
    """`function(*tensors)` for an elementwise function, the same bits for a row in any batch.

    Args:
        function: Elementwise function of tensors of one shape.
        tensors: Tensors of shape `(B, ...)`, all but the first axis known.

    Returns:
        Tensor of shape `(B, ...)`.
    """
    width = tensors[0].shape[1:].num_elements()

    def extended(tensor):
        return tf.concat([tensor, tf.repeat(tensor[-1:], idle_rows(width), axis=0)], axis=0)

    result = function(*map(extended, tensors))[: -idle_rows(width)]
    return tf.ensure_shape(result, tensors[0].shape)
