"""The plain convolutional baseline of the paper's convergence figure."""

import keras

from hedgezoo.heston_calibrator.encoder_blocks import initial_kernel
from hedgezoo.heston_calibrator.fixed_grid_network import PAPER_RANGES, FixedGridNetwork


@keras.saving.register_keras_serializable(package="hedgezoo")
class TwoLayerCNN(FixedGridNetwork):
    """Two 3 x 3 convolutions with ReLU, then a linear map of their output to Heston parameters.

    The paper calls it "a vanilla 2-layer CNN" and says no more: no normalisation, no skip
    connections, no pooling, no attention, and 8 and 16 channels as in the first two blocks of the
    network it is compared with.

    Args:
        strikes: Strikes divided by the forward, `(n,)`, increasing.
        maturities: Years to expiry, `(m,)`, increasing.
        channels: Channels of the two convolutions.
        ranges: Five pairs (low, high) that κ, θ, ξ, ρ and v₀ lie between.
        seed: Integer that the initial weights follow from, or None.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Dictionary with `implied_volatility` and `mask`, both `(B, m, n)`.
        training: Not used.

    Output shape:
        Dictionary with `parameters` `(B, 5)`.

    Raises:
        ValueError: If an argument is not one of those above, or panels have another shape.

    Example:

    >>> import tensorflow as tf
    >>> network = TwoLayerCNN([0.9, 1.0, 1.1], [0.5, 1.0])
    >>> inputs = {"implied_volatility": tf.fill((4, 2, 3), 0.3), "mask": tf.fill((4, 2, 3), True)}
    >>> network(inputs)["parameters"].shape
    TensorShape([4, 5])

    Reference:
        Song, "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
        section 5.4.
    """

    def __init__(
        self, strikes, maturities, channels=(8, 16), ranges=PAPER_RANGES, seed=0, **kwargs
    ):
        super().__init__(strikes, maturities, ranges, seed, **kwargs)
        self.channels = tuple(int(count) for count in channels)
        if len(self.channels) != 2 or min(self.channels) < 1:
            raise ValueError(
                f"`channels` must be two positive integers. Received: channels={channels!r}"
            )
        options = {"padding": "same", "activation": "relu", "dtype": self.dtype_policy}
        self.stack = [
            *(
                keras.layers.Conv2D(
                    count, 3, kernel_initializer=initial_kernel(seed, number), **options
                )
                for number, count in enumerate(self.channels)
            ),
            keras.layers.Flatten(dtype=self.dtype_policy),
            self.dense(5, None, 2),
        ]

    def get_config(self):
        return {**super().get_config(), "channels": list(self.channels)}
