"""What a statistical arbitrageur may know: policies from features to actions, as Keras layers."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="hedgezoo")
class LinearPolicy(keras.layers.Layer):
    """Actions that are linear in the features: `a[t] = features[t] @ kernel + intercept[t]`.

    All weights start at zero: no trade.

    Args:
        instruments: Number D of instruments.
        steps: Number T of dates, for an intercept of each date and instrument; None for one
            intercept per instrument.
        **kwargs: Of `keras.layers.Layer`.

    Input shape:
        `(B, T, F)`.

    Output shape:
        `(B, T, D)`, units of the instruments.

    Raises:
        ValueError: If the features have another number of dates than `steps`.

    Example:

    >>> LinearPolicy(instruments=2)(keras.ops.ones((5, 30, 3))).shape
    TensorShape([5, 30, 2])
    """

    def __init__(self, instruments, steps=None, **kwargs):
        super().__init__(**kwargs)
        self.instruments = int(instruments)
        self.steps = None if steps is None else int(steps)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], self.instruments), initializer="zeros"
        )
        dates = () if self.steps is None else (self.steps,)
        self.intercept = self.add_weight(
            name="intercept", shape=(*dates, self.instruments), initializer="zeros"
        )

    def call(self, features):
        if self.steps is not None and features.shape[1] not in (None, self.steps):
            raise ValueError(
                f"`features` must have {self.steps} dates, one for each intercept. "
                f"Received: shape={tuple(features.shape)}"
            )
        return tf.matmul(features, self.kernel) + self.intercept

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.instruments)

    def get_config(self):
        return {**super().get_config(), "instruments": self.instruments, "steps": self.steps}


@keras.saving.register_keras_serializable(package="hedgezoo")
class RecurrentPolicy(keras.layers.Layer):
    """Actions of a stack of gated recurrent units: they may depend on the whole past.

    The output map starts at zero: no trade.

    Args:
        hidden_units: Widths of the recurrent layers.
        instruments: Number D of instruments.
        seed: Integer that all random initial weights follow from, or None.
        **kwargs: Of `keras.layers.Layer`.

    Input shape:
        `(B, T, F)`.

    Output shape:
        `(B, T, D)`, units of the instruments.

    Raises:
        ValueError: If a width is not a positive integer.

    Example:

    >>> RecurrentPolicy((8, 8), instruments=2)(keras.ops.ones((5, 30, 3))).shape
    TensorShape([5, 30, 2])

    Reference:
        K. Cho et al. (2014), Learning phrase representations using RNN encoder-decoder,
        arXiv:1406.1078, section 2.3.
    """

    def __init__(self, hidden_units=(32, 32), instruments=1, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.hidden_units = tuple(int(units) for units in hidden_units)
        if not self.hidden_units or min(self.hidden_units) < 1:
            raise ValueError(
                "`hidden_units` must be positive integers, at least one. "
                f"Received: hidden_units={hidden_units}"
            )
        self.instruments = int(instruments)
        self.seed = None if seed is None else int(seed)

    def build(self, input_shape):
        width = input_shape[-1]
        self.kernels, self.recurrent_kernels, self.biases = [], [], []
        for index, units in enumerate(self.hidden_units):
            seeds = [None if self.seed is None else self.seed + 2 * index + i for i in range(2)]
            for weights, name, rows, initializer in (
                (self.kernels, "kernel", width, keras.initializers.GlorotUniform(seeds[0])),
                (self.recurrent_kernels, "recurrent_kernel", units, _Gatewise(seeds[1])),
            ):
                weights.append(
                    self.add_weight(
                        name=f"{name}_{index}", shape=(rows, 3 * units), initializer=initializer
                    )
                )
            self.biases.append(
                self.add_weight(name=f"bias_{index}", shape=(3 * units,), initializer="zeros")
            )
            width = units
        self.output_kernel = self.add_weight(
            name="output_kernel", shape=(width, self.instruments), initializer="zeros"
        )
        self.output_bias = self.add_weight(
            name="output_bias", shape=(self.instruments,), initializer="zeros"
        )

    def call(self, features):
        sequence = tf.transpose(features, (1, 0, 2))
        for kernel, recurrent, bias in zip(
            self.kernels, self.recurrent_kernels, self.biases, strict=True
        ):
            # what does not depend on the state, for all dates at once
            driven = tf.matmul(sequence, kernel) + bias
            sequence = _over_time(driven, tf.convert_to_tensor(recurrent))
        actions = tf.matmul(sequence, self.output_kernel) + self.output_bias
        return tf.transpose(actions, (1, 0, 2))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.instruments)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_units": self.hidden_units,
            "instruments": self.instruments,
            "seed": self.seed,
        }


def _over_time(driven, recurrent):
    """States `(T, B, U)` of a gated unit whose driven part of the gates is `(T, B, 3U)`."""
    units = recurrent.shape[0]
    gates, candidate = recurrent[:, : 2 * units], recurrent[:, 2 * units :]

    def advance(now, state):
        update, reset = tf.split(
            tf.sigmoid(now[:, : 2 * units] + tf.matmul(state, gates)), 2, axis=1
        )
        new = tf.tanh(now[:, 2 * units :] + tf.matmul(reset * state, candidate))
        return new + update * (state - new)

    state = tf.zeros_like(driven[0, :, :units])
    if driven.shape[0] is not None:
        states = []
        for now in tf.unstack(driven):
            state = advance(now, state)
            states.append(state)
        return tf.stack(states)
    steps = tf.shape(driven)[0]
    states = tf.TensorArray(driven.dtype, steps, element_shape=state.shape)
    *_, states = tf.while_loop(
        lambda index, *_: index < steps,
        lambda index, state, states: (
            index + 1,
            new := advance(driven[index], state),
            states.write(index, new),
        ),
        (tf.constant(0), state, states),
    )
    return states.stack()


@keras.saving.register_keras_serializable(package="hedgezoo")
class _Gatewise(keras.initializers.Initializer):
    """An orthogonal matrix for each of the gates that lie side by side in a kernel."""

    def __init__(self, seed=None):
        self.seed = seed

    def __call__(self, shape, dtype=None):
        rows, columns = shape
        count = columns // rows
        return keras.ops.concatenate(
            [
                keras.initializers.Orthogonal(
                    seed=None if self.seed is None else 1000 * self.seed + gate
                )((rows, rows), dtype)
                for gate in range(count)
            ],
            axis=1,
        )

    def get_config(self):
        return {"seed": self.seed}
