"""Two blocks of encoders: a residual convolution of images, and a Transformer encoder layer."""

import keras
import tensorflow as tf


def initial_kernel(seed, number):
    """Glorot's initializer for kernel `number` of a network, reproducible unless `seed` is None."""
    return keras.initializers.GlorotUniform(None if seed is None else 1000 * seed + number)


@keras.saving.register_keras_serializable(package="hedgezoo")
class ResidualConvolution(keras.layers.Layer):
    """Two 3 x 3 convolutions with a skip connection around them; the size may be halved after.

    Each convolution (stride 1) is followed by batch normalisation; ELU comes after the first one
    and after the sum with the skip, a 1 x 1 convolution where the channels change. Halving is
    average pooling 2 x 2; an odd last row or column is kept. Statistics of batch normalisation are
    those of the batch of all replicas.

    Args:
        channels: Channels of the output.
        halve: Whether the image is halved in both directions.
        seed: Integer that the initial weights follow from, or None.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(B, m, n, c)`.

    Output shape:
        `(B, m, n, channels)`, or `(B, ⌈m/2⌉, ⌈n/2⌉, channels)`.
    """

    def __init__(self, channels, halve=False, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.halve, self.seed = int(channels), bool(halve), seed
        options = {"dtype": self.dtype_policy}

        def convolution(size, number):
            kernel = initial_kernel(seed, number)
            return keras.layers.Conv2D(
                self.channels,
                size,
                padding="same",
                use_bias=False,
                kernel_initializer=kernel,
                **options,
            )

        self.convolutions = [convolution(3, 0), convolution(3, 1)]
        self.normalisations = [
            keras.layers.BatchNormalization(synchronized=True, **options) for _ in range(2)
        ]
        self.skip = convolution(1, 2)
        self.pool = keras.layers.AveragePooling2D(2, padding="same", **options)

    def build(self, input_shape):
        self.same_channels = input_shape[-1] == self.channels
        shape = tuple(input_shape)
        for convolution, normalisation in zip(self.convolutions, self.normalisations, strict=True):
            convolution.build(shape)
            shape = (*shape[:-1], self.channels)
            normalisation.build(shape)
        if not self.same_channels:
            self.skip.build(tuple(input_shape))

    def call(self, inputs, training=False):
        first, second = self.normalisations
        x = tf.nn.elu(first(self.convolutions[0](inputs), training=training))
        x = second(self.convolutions[1](x), training=training)
        x = tf.nn.elu(x + (inputs if self.same_channels else self.skip(inputs)))
        return self.pool(x) if self.halve else x

    def compute_output_shape(self, input_shape):
        batch, rows, columns, _ = input_shape
        if self.halve:
            rows, columns = (None if size is None else -(-size // 2) for size in (rows, columns))
        return batch, rows, columns, self.channels

    def get_config(self):
        config = {"channels": self.channels, "halve": self.halve, "seed": self.seed}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="hedgezoo")
class TransformerEncoder(keras.layers.Layer):
    """A Transformer encoder layer: self-attention and a dense network, each added and normalised.

    x ← norm(x + attention(x)), x ← norm(x + W₂ relu(W₁ x)), normalised over the channels; in each
    of the heads softmax(q kᵀ / √d) v of a share of the channels, d of them.

    Args:
        heads: Number of attention heads, a divisor of the width of the tokens.
        feed_forward: Width of the hidden layer of the dense network.
        seed: Integer that the initial weights follow from, or None.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        Tokens `(B, L, width)`.

    Output shape:
        `(B, L, width)`.

    Raises:
        ValueError: If `heads` does not divide the width of the tokens.

    Reference:
        Vaswani et al., "Attention is all you need", 2017, section 3.1.
    """

    def __init__(self, heads, feed_forward, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.feed_forward, self.seed = int(heads), int(feed_forward), seed
        self.norms = [
            keras.layers.LayerNormalization(epsilon=1e-6, dtype=self.dtype_policy) for _ in range(2)
        ]

    def build(self, input_shape):
        width = input_shape[-1]
        if width % self.heads:
            raise ValueError(
                "`heads` must divide the width of the tokens. "
                f"Received: heads={self.heads}, width={width}"
            )
        maps = []
        for number, (fan_in, fan_out, activation) in enumerate(
            (
                *4 * ((width, width, None),),  # query, key, value, and the heads together
                (width, self.feed_forward, "relu"),
                (self.feed_forward, width, None),
            )
        ):
            kernel = initial_kernel(self.seed, number)
            dense = keras.layers.Dense(
                fan_out, activation, kernel_initializer=kernel, dtype=self.dtype_policy
            )
            dense.build((*input_shape[:-1], fan_in))
            maps.append(dense)
        self.maps = maps
        for norm in self.norms:
            norm.build(input_shape)

    def call(self, inputs):
        *to_heads, join, widen, narrow = self.maps
        query, key, value = (self._split(dense(inputs)) for dense in to_heads)
        scores = tf.matmul(query, key, transpose_b=True) * query.shape[-1] ** -0.5
        attended = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), (0, 2, 1, 3))
        x = self.norms[0](inputs + join(tf.reshape(attended, tf.shape(inputs))))
        return self.norms[1](x + narrow(widen(x)))

    def _split(self, tokens):
        """`(B, L, width)` to `(B, heads, L, width / heads)`."""
        length, width = tokens.shape[1:]
        tokens = tf.reshape(tokens, (-1, length, self.heads, width // self.heads))
        return tf.transpose(tokens, (0, 2, 1, 3))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        config = {"heads": self.heads, "feed_forward": self.feed_forward, "seed": self.seed}
        return {**super().get_config(), **config}
