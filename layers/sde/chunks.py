"""Means over many paths, and their gradients, in the memory of a few paths.

The first pass goes through the paths in chunks and keeps nothing but the sum. Once the loss has
said how it depends on the mean, the second pass goes through the chunks again, this time with
gradients, which add up.
"""

import keras
import tensorflow as tf


def chunked_mean(function, variables, paths, chunk, gradient_function=None):
    """The mean of `function` over paths, differentiable in `variables`, chunk by chunk.

    Equal to `function(0, paths)` and its gradient up to rounding; memory is that of one chunk, time
    that of one more forward pass.

    With `gradient_function` the second pass runs on paths of its own. The mean and its derivative
    are then independent, and the gradient of a square of (mean - target) has no bias: with the
    same paths it contains the gradient of the variance of the mean.

    Args:
        function: Maps `(first_path, paths)`, a scalar integer tensor and an integer, to means over
            the paths `first_path ... first_path + paths - 1`: a tensor of fixed shape.
        variables: The variables on which the result depends; the gradient goes to these alone.
        paths: Number of paths, a positive integer.
        chunk: Paths in one chunk, a positive integer.
        gradient_function: Optional function like `function`, for the second pass.

    Returns:
        Tensor of the shape that `function` returns.

    Raises:
        ValueError: If `paths` or `chunk` is not a positive integer, or there are no variables.

    Example:

    >>> scale = tf.Variable(2.0)
    >>> def second_moment(first_path, paths):
    ...     return tf.reduce_mean((scale * tf.cast(first_path + tf.range(paths), "float32")) ** 2)
    >>> with tf.GradientTape() as tape:
    ...     mean = chunked_mean(second_moment, [scale], paths=5, chunk=2)
    >>> mean.numpy(), tape.gradient(mean, scale).numpy()
    (np.float32(24.0), np.float32(24.0))

    Reference:
        Sabate-Vidales, Šiška, Szpruch, "Unbiased deep solvers for parametric PDEs" (2018) and
        Gierjatowicz et al., "Robust pricing and hedging via neural SDEs" (2020), for the two
        independent batches.
    """
    for name, value in (("paths", paths), ("chunk", chunk)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
    variables = list(variables)
    if not variables:
        raise ValueError("`variables` must not be empty. Received: []")
    again = function if gradient_function is None else gradient_function
    tensors = [tf.convert_to_tensor(variable) for variable in variables]
    mean = tf.stop_gradient(_forward(function, paths, chunk))

    @tf.custom_gradient
    def attach(mean, *weights):
        def gradient(upstream):
            return None, *_backward(again, variables, paths, chunk, upstream)

        return tf.identity(mean), gradient

    return attach(mean, *tensors)


def _forward(function, paths, chunk):
    def add(first, size, total=None):
        part = function(first, size) * (size / paths)
        return part if total is None else tf.ensure_shape(total + part, total.shape)

    return _over_chunks(add, paths, chunk)


def _backward(function, variables, paths, chunk, upstream):
    """The gradient of the mean, one dense tensor per variable."""
    sources = [v.value if isinstance(v, keras.Variable) else v for v in variables]

    def add(first, size, *totals):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            part = function(first, size)
        weights = upstream * (size / paths)
        slopes = tape.gradient(part, sources, weights, tf.UnconnectedGradients.ZERO)
        slopes = [tf.convert_to_tensor(slope) for slope in slopes]
        return [a + b for a, b in zip(totals, slopes, strict=True)] if totals else slopes

    return _over_chunks(add, paths, chunk)


def _over_chunks(add, paths, chunk):
    """`add(first_path, paths, *totals)` for one chunk after the other.

    The odd one comes first, so that all in the loop are of one size.
    """
    first = (paths - 1) % chunk + 1
    totals = add(tf.constant(0), first)
    if first == paths:
        return totals
    single = tf.is_tensor(totals)

    def body(start, *totals):
        totals = add(start, chunk, *totals)
        return start + chunk, *([totals] if single else totals)

    _, *totals = tf.while_loop(
        lambda start, *_: start < paths,
        body,
        (tf.constant(first), *([totals] if single else totals)),
        parallel_iterations=1,
    )
    return totals[0] if single else totals
