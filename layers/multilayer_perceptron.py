"""A dense network for millions of rows: cache-sized chunks, bounded memory, exact gradients."""

import itertools

import keras
import tensorflow as tf


def dense_stack(rows, kernels, biases, activation):
    """`x -> activation(x K_1 + b_1) -> ... -> x K_n + b_n`; the last map is linear.

    Args:
        rows: Tensor of shape `(N, F)`.
        kernels: Sequence of tensors `(F, U_1), (U_1, U_2), ..., (U_{n-1}, O)`.
        biases: Sequence of tensors `(U_1,), ..., (O,)`.
        activation: Function applied after every map but the last.

    Returns:
        Tensor of shape `(N, O)`.
    """
    last = len(kernels) - 1
    for index, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        rows = tf.nn.bias_add(tf.matmul(rows, kernel), bias)
        if index < last:
            rows = activation(rows)
    return rows


def recomputed_dense_stack(rows, kernels, biases, activation, chunk):
    """`dense_stack` whose activations are computed again in the backward pass, chunk by chunk.

    Memory is that of one chunk of `chunk` rows whatever `N` is; the price is one more forward
    pass. Gradients are the same to rounding. (`tf.recompute_grad` does not bound the memory of
    a graph: nothing there makes the second forward pass wait for the backward one.)

    Args:
        rows: Tensor of shape `(N, F)`.
        kernels: As in `dense_stack`.
        biases: As in `dense_stack`.
        activation: As in `dense_stack`.
        chunk: Rows in one chunk, a positive integer.

    Returns:
        Tensor of shape `(N, O)`.
    """
    depth = len(kernels)

    @tf.custom_gradient
    def stack(rows, *weights):
        count = tf.shape(rows)[0]
        chunks = (count + chunk - 1) // chunk
        width = weights[depth - 1].shape[-1]

        def forward(index, parts):
            part = rows[index * chunk : (index + 1) * chunk]
            return index + 1, parts.write(
                index, dense_stack(part, weights[:depth], weights[depth:], activation)
            )

        parts = tf.TensorArray(
            rows.dtype, chunks, infer_shape=False, element_shape=tf.TensorShape([None, width])
        )
        outputs = _sequential(forward, chunks, parts).concat()

        def gradient(upstream):
            def backward(index, parts, *sums):
                part = rows[index * chunk : (index + 1) * chunk]
                with tf.GradientTape() as tape:
                    tape.watch([part, *weights])
                    out = dense_stack(part, weights[:depth], weights[depth:], activation)
                slopes = tape.gradient(
                    out,
                    [part, *weights],
                    upstream[index * chunk : (index + 1) * chunk],
                )
                parts = parts.write(index, slopes[0])
                return index + 1, parts, *(s + g for s, g in zip(sums, slopes[1:], strict=True))

            parts = tf.TensorArray(
                rows.dtype,
                chunks,
                infer_shape=False,
                element_shape=tf.TensorShape([None, rows.shape[-1]]),
            )
            parts, *sums = _sequential(backward, chunks, parts, *map(tf.zeros_like, weights))
            return parts.concat(), *sums

        return outputs, gradient

    return stack(rows, *kernels, *biases)


def _sequential(body, chunks, *state):
    loop = (tf.constant(0), *state)
    _, *state = tf.while_loop(lambda index, *_: index < chunks, body, loop, parallel_iterations=1)
    return state[0] if len(state) == 1 else state


@keras.saving.register_keras_serializable(package="hedgezoo")
class MultilayerPerceptron(keras.layers.Layer):
    """Dense network on the last axis, made for the `(B, T, F)` tensors of a hedging problem.

    The same function as a stack of `keras.layers.Dense`. What differs is how many rows it takes:
    on a CPU the `B*T` rows go through in chunks that fit the cache, and beyond `resident_rows`
    the activations are computed again in the backward pass instead of being kept.

    Args:
        hidden_units: Widths of the hidden layers, e.g. `(32, 32, 32, 32)`.
        outputs: Width of the (linear) output.
        activation: Name of, or function for, the hidden activation.
        kernel_initializer: Initializer of the hidden kernels.
        seed: Integer that all random initial weights follow from, or None.
        output_initializer: Initializer of the last kernel; defaults to `kernel_initializer`.
        output_bias: Initial value(s) of the last bias, a number or one per output.
        rows_per_chunk: Rows per chunk; `"auto"` is 2500 for many rows on a CPU, else unlimited;
            `None` is unlimited.
        resident_rows: Up to so many rows, all activations are kept for the backward pass; of more
            rows, those of half as many.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(..., F)`.
        unit_scales: Optional sequence of one tensor `(U,)` per hidden layer that multiplies its
            activations, the same for all rows: dropout of whole units, where the result must stay
            a function of the row.

    Input shape:
        `(..., F)`.

    Output shape:
        `(..., outputs)`.

    Raises:
        ValueError: If a width, `rows_per_chunk` or `resident_rows` is not a positive integer.

    Example:

    >>> network = MultilayerPerceptron((32, 32), outputs=2)
    >>> network(keras.ops.zeros((5, 20, 3))).shape
    TensorShape([5, 20, 2])
    """

    def __init__(
        self,
        hidden_units=(32, 32, 32, 32),
        outputs=1,
        activation="relu",
        kernel_initializer="glorot_uniform",
        seed=None,
        output_initializer=None,
        output_bias=0.0,
        rows_per_chunk="auto",
        resident_rows=2**18,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_units = tuple(int(units) for units in hidden_units)
        self.outputs = int(outputs)
        if min((*self.hidden_units, self.outputs)) < 1:
            raise ValueError(
                "`hidden_units` and `outputs` must be positive. "
                f"Received: hidden_units={hidden_units}, outputs={outputs}"
            )
        if rows_per_chunk not in ("auto", None) and int(rows_per_chunk) < 1:
            raise ValueError(
                "`rows_per_chunk` must be 'auto', None or a positive integer. "
                f"Received: rows_per_chunk={rows_per_chunk}"
            )
        if int(resident_rows) < 1:
            raise ValueError(
                f"`resident_rows` must be a positive integer. Received: {resident_rows}"
            )
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(
            output_initializer
            if output_initializer is not None
            else self.kernel_initializer.clone()
        )
        self.seed = None if seed is None else int(seed)
        self.output_bias = output_bias
        self.rows_per_chunk = rows_per_chunk
        self.resident_rows = int(resident_rows)

    def build(self, input_shape):
        widths = (input_shape[-1], *self.hidden_units, self.outputs)
        self.kernels, self.biases = [], []
        for index, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            last = index == len(self.hidden_units)
            self.kernels.append(
                self.add_weight(
                    name=f"kernel_{index}",
                    shape=(fan_in, fan_out),
                    initializer=self._initializer(index, last),
                )
            )
            self.biases.append(
                self.add_weight(
                    name=f"bias_{index}",
                    shape=(fan_out,),
                    initializer=self._initial_output_bias if last else "zeros",
                )
            )

    def _initializer(self, index, last):
        """The initializer of one kernel: equal shapes must not start with equal weights."""
        initializer = self.output_initializer if last else self.kernel_initializer
        config = initializer.get_config()
        if self.seed is None or "seed" not in config:
            return initializer.clone()
        return type(initializer).from_config({**config, "seed": self.seed + index})

    def _initial_output_bias(self, shape, dtype=None):
        return keras.ops.broadcast_to(keras.ops.cast(self.output_bias, dtype), shape)

    def call(self, inputs, unit_scales=None):
        inputs = tf.convert_to_tensor(inputs)
        shape = inputs.shape
        kernels = [tf.convert_to_tensor(kernel) for kernel in self.kernels]
        if unit_scales is not None:
            # what leaves a unit meets its row of the next kernel alone
            scaled = [
                tf.cast(scale, kernel.dtype)[:, tf.newaxis] * kernel
                for scale, kernel in zip(unit_scales, kernels[1:], strict=True)
            ]
            kernels = [kernels[0], *scaled]
        biases = [tf.convert_to_tensor(bias) for bias in self.biases]
        rows = tf.reshape(inputs, (-1, shape[-1]))
        outputs = self._map_rows(rows, kernels, biases)
        leading = [tf.shape(inputs)[axis] if n is None else n for axis, n in enumerate(shape[:-1])]
        return tf.reshape(outputs, (*leading, self.outputs))

    def _map_rows(self, rows, kernels, biases):
        count = rows.shape[0]
        chunk = self._chunk(count)
        if chunk is None or count is None or count <= chunk:
            return dense_stack(rows, kernels, biases, self.activation)
        kept = count if count <= self.resident_rows else self.resident_rows // 2
        parts = [
            dense_stack(rows[start : min(start + chunk, kept)], kernels, biases, self.activation)
            for start in range(0, kept, chunk)
        ]
        if kept < count:
            parts.append(
                recomputed_dense_stack(rows[kept:], kernels, biases, self.activation, chunk)
            )
        return tf.concat(parts, 0)

    def _chunk(self, count):
        if self.rows_per_chunk != "auto":
            return self.rows_per_chunk
        # few rows fit the cache anyway, and chunks take time to trace
        whole = count is None or count <= 40_000 or tf.config.list_logical_devices("GPU")
        return None if whole else 2500

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_units": self.hidden_units,
            "outputs": self.outputs,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "seed": self.seed,
            "output_initializer": keras.initializers.serialize(self.output_initializer),
            "output_bias": self.output_bias,
            "rows_per_chunk": self.rows_per_chunk,
            "resident_rows": self.resident_rows,
        }
