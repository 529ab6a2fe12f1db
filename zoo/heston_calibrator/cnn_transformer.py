"""The paper's network: residual convolutions, positions, attention, and bounded parameters."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.heston_calibrator.encoder_blocks import ResidualConvolution, TransformerEncoder
from hedgezoo.heston_calibrator.fixed_grid_network import (
    PAPER_RANGES,
    FixedGridNetwork,
    make_weights,
)
from hedgezoo.layers.sinusoidal_positions_2d import SinusoidalPositions2D


@keras.saving.register_keras_serializable(package="hedgezoo")
class CNNTransformer(FixedGridNetwork):
    """Heston parameters of the panels of a fixed grid: the network of the paper, made possible.

    Four residual blocks of 3 x 3 convolutions with batch normalisation and ELU, 8, 16, 32 and 64
    channels; the cells of the last image are the tokens, to which sinusoidal encodings of their
    log-strike and root maturity are added; a Transformer encoder layer (width 128, 8 heads, feed
    forward 512); their mean; dense layers 128 → 64 → 5 with tanh, scaled to the printed ranges.

    Where the text cannot be followed or leaves something open, the nearest reading was taken:

    * "3-D" kernels 3 x 3 x 1 on one channel are 3 x 3 kernels on an image.
    * Kernels of stride 1 do not "halve spatial resolution": average pooling 2 x 2 does, after a
      block. It rounds up, as 10 strikes and 8 maturities cannot be halved three or four times.
    * The printed H = N_K / 8, W = N_T / 8 are three halvings and would leave two tokens of a panel
      of 10 x 8, so that attention and positions had next to nothing to do. The default is two
      halvings, 3 x 2 = 6 tokens, which is also much faster than one. `halvings=3` is the printed
      size, `halvings=4` one halving per block.
    * A dense layer maps the 64 channels to the 128 of the encoder layer.
    * Missing quotes, of which the text says nothing, are interpolated, and a second channel says
      which they are.

    Args:
        strikes: Strikes divided by the forward, `(n,)`, increasing.
        maturities: Years to expiry, `(m,)`, increasing.
        blocks: Number of residual blocks; the paper's ablation has 1.
        halvings: Number of blocks, from the first, after which the image is halved; at most
            `blocks`. Default: 2, or 1 with a single block.
        positions: Whether tokens know where they are; the paper's ablation has False.
        channels: Channels of the first block; each next one has twice as many.
        width: Width of the tokens; a multiple of 4 and of `heads`.
        heads: Number of attention heads.
        feed_forward: Width of the hidden layer of the encoder layer.
        head_units: Width of the dense layer before the parameters.
        ranges: Five pairs (low, high) that κ, θ, ξ, ρ and v₀ lie between.
        seed: Integer that the initial weights follow from, or None.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Dictionary with `implied_volatility` and `mask`, both `(B, m, n)`.
        training: Whether batch normalisation uses the statistics of the batch.

    Output shape:
        Dictionary with `parameters` `(B, 5)`.

    Raises:
        ValueError: If an argument is not one of those above, or panels have another shape.

    Example:

    >>> import tensorflow as tf
    >>> network = CNNTransformer([0.9, 1.0, 1.1], [0.5, 1.0], blocks=1, width=16)
    >>> inputs = {"implied_volatility": tf.fill((4, 2, 3), 0.3), "mask": tf.fill((4, 2, 3), True)}
    >>> network(inputs)["parameters"].shape
    TensorShape([4, 5])

    Reference:
        Song, "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
        section 4.1.
    """

    def __init__(
        self,
        strikes,
        maturities,
        blocks=4,
        halvings=None,
        positions=True,
        channels=8,
        width=128,
        heads=8,
        feed_forward=512,
        head_units=64,
        ranges=PAPER_RANGES,
        seed=0,
        **kwargs,
    ):
        super().__init__(strikes, maturities, ranges, seed, **kwargs)
        sizes = {
            "blocks": blocks,
            "channels": channels,
            "width": width,
            "heads": heads,
            "feed_forward": feed_forward,
            "head_units": head_units,
        }
        for name, value in sizes.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
        halvings = min(2, blocks) if halvings is None else halvings
        if not isinstance(halvings, int) or not 0 <= halvings <= blocks:
            raise ValueError(
                "`halvings` must be an integer from 0 to the number of blocks. "
                f"Received: halvings={halvings!r}, blocks={blocks}"
            )
        if width % 4 or width % heads:
            raise ValueError(
                "`width` must be a multiple of 4 and of `heads`. "
                f"Received: width={width}, heads={heads}"
            )
        self.sizes = sizes
        self.halvings = halvings
        self.positions = bool(positions)

        options = {"dtype": self.dtype_policy}
        seeds = [None if seed is None else 100 * seed + 1 + number for number in range(blocks + 1)]
        self.residual_blocks = [
            ResidualConvolution(
                channels * 2**block, halve=block < halvings, seed=seeds[block], **options
            )
            for block in range(blocks)
        ]
        self.to_tokens = self.dense(width, None, 0)
        self.place = SinusoidalPositions2D(*self._token_coordinates(), **options)
        self.encoder = TransformerEncoder(heads, feed_forward, seed=seeds[-1], **options)
        self.head = [self.dense(head_units, "tanh", 1), self.dense(5, None, 2)]

    def build(self, input_shape=None):
        shape = (None, len(self.maturities), len(self.strikes), 2)
        shape = make_weights([*self.residual_blocks, self.to_tokens], shape)
        _, rows, columns, width = shape
        self.encoder.build((None, rows * columns, width))
        make_weights(self.head, (None, width))

    def features(self, image, training):
        for block in self.residual_blocks:
            image = block(image, training=training)
        tokens = self.to_tokens(image)
        if self.positions:
            tokens = self.place(tokens)
        _, rows, columns, width = tokens.shape
        tokens = tf.reshape(tokens, (-1, rows * columns, width))
        context = tf.reduce_mean(self.encoder(tokens), axis=1)
        for layer in self.head:
            context = layer(context)
        return context

    def _token_coordinates(self):
        """√T and log(K) of the tokens in units of the mean spacing of the grid, from zero."""
        coordinates = []
        for axis in (np.sqrt(self.maturities), np.log(self.strikes)):
            places = (axis - axis[0]) / (axis[-1] - axis[0]) * (len(axis) - 1)
            for _ in range(self.halvings):
                ends = np.arange(0, len(places), 2)
                places = np.add.reduceat(places, ends) / np.diff([*ends, len(places)])
            coordinates.append(places)
        return coordinates

    def get_config(self):
        config = {"halvings": self.halvings, "positions": self.positions, **self.sizes}
        return {**super().get_config(), **config}
