"""The paper's shallow baseline: two dense layers on the quotes."""

import keras

from hedgezoo.heston_calibrator.fixed_grid_network import PAPER_RANGES, FixedGridNetwork


@keras.saving.register_keras_serializable(package="hedgezoo")
class ShallowNetwork(FixedGridNetwork):
    """Dense network 512 → 256 with ReLU from the quotes of a fixed grid to Heston parameters.

    It reads all volatilities of the panel, missing ones interpolated, and the mask as one row of
    numbers.

    Args:
        strikes: Strikes divided by the forward, `(n,)`, increasing.
        maturities: Years to expiry, `(m,)`, increasing.
        units: Widths of the hidden layers.
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
    >>> network = ShallowNetwork([0.9, 1.0, 1.1], [0.5, 1.0])
    >>> inputs = {"implied_volatility": tf.fill((4, 2, 3), 0.3), "mask": tf.fill((4, 2, 3), True)}
    >>> network(inputs)["parameters"].shape
    TensorShape([4, 5])

    Reference:
        Song, "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
        section 4.6.
    """

    def __init__(
        self, strikes, maturities, units=(512, 256), ranges=PAPER_RANGES, seed=0, **kwargs
    ):
        super().__init__(strikes, maturities, ranges, seed, **kwargs)
        self.units = tuple(int(count) for count in units)
        if not self.units or min(self.units) < 1:
            raise ValueError(f"`units` must be positive integers. Received: units={units!r}")
        self.stack = [
            keras.layers.Flatten(dtype=self.dtype_policy),
            *(self.dense(count, "relu", number) for number, count in enumerate(self.units)),
            self.dense(5, None, len(self.units)),
        ]

    def get_config(self):
        return {**super().get_config(), "units": list(self.units)}
