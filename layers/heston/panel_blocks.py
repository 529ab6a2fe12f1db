"""Option panels in blocks of bounded size: all leading axes become one, which is cut in pieces."""

import tensorflow as tf

from hedgezoo.layers._arguments import is_concrete, require_values
from hedgezoo.layers.black_scholes import require_grid
from hedgezoo.layers.float_tensors import as_float_tensors

# complex numbers in the largest arrays of a block: a few of them fit into a processor's cache
_BLOCK = 2**17


class Panels:
    """Parameters and grids of option panels, flattened to one leading axis.

    Args:
        domains: Per parameter `(name, condition, expected)`, see `require_values`.
        parameters: `(..., p)`.
        strikes: `(n,)`, `(m, n)` or `(..., m, n)`.
        maturities: `(m,)` or `(..., m)`; a scalar stands for a single maturity without an axis.

    Attributes:
        parameters: `(b, p)`.
        strikes: `(n,)`, `(m, n)` or `(b, m, n)`.
        years: `(m,)` or `(b, m)`.

    Raises:
        ValueError: If shapes do not match, or a concrete value is outside its domain.
    """

    def __init__(self, domains, parameters, strikes, maturities):
        parameters, strikes, years = as_float_tensors(parameters, strikes, maturities)
        self._scalar = years.shape.rank == 0
        if self._scalar:
            years = years[tf.newaxis]
            strikes = strikes if strikes.shape.rank == 1 else strikes[..., tf.newaxis, :]
        names = [domain[0] for domain in domains]
        self._static_batch = _require_shapes(names, parameters, strikes, years)
        require_grid(strikes, years)
        if is_concrete(parameters):
            for index, (name, condition, expected) in enumerate(domains):
                label = f"parameters[..., {index}] ({name})"
                require_values(condition, parameters[..., index], label, expected)

        self._batch = tf.shape(parameters)[:-1]
        if strikes.shape.rank > 2:
            self._batch = tf.broadcast_dynamic_shape(self._batch, tf.shape(strikes)[:-2])
        if years.shape.rank > 1:
            self._batch = tf.broadcast_dynamic_shape(self._batch, tf.shape(years)[:-1])
        self.parameters = self._flat(parameters, 1)
        self.strikes = self._flat(strikes, 2) if strikes.shape.rank > 2 else strikes
        self.years = self._flat(years, 1) if years.shape.rank > 1 else years

    def restore(self, values):
        """`(b, m, n, ...)` with the leading axes, and the maturity axis, of the arguments."""
        static = values.shape[1:]
        values = tf.reshape(values, tf.concat([self._batch, tf.shape(values)[1:]], 0))
        values = tf.ensure_shape(values, self._static_batch.concatenate(static))
        return tf.squeeze(values, axis=self._static_batch.rank) if self._scalar else values

    def _flat(self, tensor, axes):
        static, tail = tensor.shape[-axes:], tf.shape(tensor)[-axes:]
        tensor = tf.broadcast_to(tensor, tf.concat([self._batch, tail], 0))
        tensor = tf.reshape(tensor, tf.concat([[tf.reduce_prod(self._batch)], tail], 0))
        panels = self._static_batch.num_elements()
        return tf.ensure_shape(tensor, tf.TensorShape([panels]) + static)


def fit_into_one_block(parameters, years, nodes):
    """Whether the panels are known to need no cutting, at `nodes` complex numbers per maturity."""
    panels, slices = parameters.shape[0], years.shape[-1]
    return None not in (panels, slices) and panels * slices * nodes <= _BLOCK


def map_blocks(function, arguments, arrays, outputs, nodes):
    """Apply a function to one block of panels after the other.

    Args:
        function: Takes blocks of `arguments` and `arrays`; returns a list of tensors with the axis
            of the panels in front.
        arguments: Parameters `(b, p)`, strikes `(n,)`, `(m, n)` or `(b, m, n)`, years `(m,)` or
            `(b, m)`. Grids without the axis of the panels go to every block.
        arrays: More tensors with the axis of the panels in front.
        outputs: Number of tensors that `function` returns.
        nodes: Complex numbers per panel and maturity.

    Returns:
        List of the tensors, for all panels.
    """
    parameters, strikes, years = arguments
    panels = tf.shape(parameters)[0]
    most = tf.maximum(1, _BLOCK // (tf.shape(years)[-1] * nodes))
    blocks = -(-panels // most)
    size = -(-panels // tf.maximum(blocks, 1))
    # the last block is filled up with copies of the last panel
    rows = tf.reshape(tf.minimum(tf.range(blocks * size), panels - 1), [blocks, size])
    batched = [True, strikes.shape.rank == 3, years.shape.rank == 2] + [True] * len(arrays)

    def block(rows):
        pairs = zip((*arguments, *arrays), batched, strict=True)
        return function(*(tf.gather(array, rows) if own else array for array, own in pairs))

    results = tf.map_fn(
        block,
        rows,
        fn_output_signature=[parameters.dtype] * outputs,
        parallel_iterations=2,
    )
    return [
        tf.reshape(x, tf.concat([[blocks * size], tf.shape(x)[2:]], 0))[:panels] for x in results
    ]


def _require_shapes(names, parameters, strikes, years):
    """Static shape of the leading axes of a panel; raises if the arguments do not fit."""
    count = len(names)
    try:
        if parameters.shape.rank is None or strikes.shape.rank is None or years.shape.rank is None:
            raise ValueError
        if parameters.shape[-1:] != [count] or not strikes.shape.rank:
            raise ValueError
        batch = parameters.shape[:-1]
        if strikes.shape.rank > 1:
            strikes.shape[-2:-1].assert_is_compatible_with(years.shape[-1:])
            batch = tf.broadcast_static_shape(batch, strikes.shape[:-2])
        if years.shape.rank > 1:
            batch = tf.broadcast_static_shape(batch, years.shape[:-1])
        return batch
    except ValueError:
        raise ValueError(
            f"Expected `parameters` (..., {count}) with {', '.join(names)} on the last axis, "
            "`strikes` (n,), (m, n) or (..., m, n), and `maturities` (m,) or (..., m). Received: "
            f"parameters.shape={parameters.shape}, strikes.shape={strikes.shape}, "
            f"maturities.shape={years.shape}"
        ) from None
