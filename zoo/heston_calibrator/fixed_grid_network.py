"""What the networks have in common that see a panel of fixed strikes and maturities as an image."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.heston_calibrator.encoder_blocks import initial_kernel
from hedgezoo.heston_calibrator.missing_quotes import fill_missing

# admissible parameters as printed: kappa, theta, xi, rho, v0
PAPER_RANGES = ((0.1, 10.0), (0.01, 0.5), (0.05, 2.0), (-1.0, 0.0), (0.01, 0.5))
# about the mean and the deviation of the volatilities of panels from the paper's box
_CENTRE, _SCALE = 0.45, 0.15
_MARGIN = 1e-3  # share of its range by which a parameter stays away from either end


class FixedGridNetwork(keras.layers.Layer):
    """Base of networks from the quotes of a fixed grid to the five parameters of Heston's model.

    A subclass makes `stack`, the layers from the panel as an image `(B, m, n, 2)` to the five raw
    outputs `(B, 5)`; one that is no stack has `build` and `features` of its own. The channels are
    the volatility, missing quotes interpolated (`fill_missing`), minus 0.45 and divided by 0.15;
    and 1 where a quote is present, 0 where it is not.

    Outputs go through tanh and are scaled to the ranges. They stay a thousandth of the range away
    from its ends, where tanh is 1 to rounding: ρ = -1 is no correlation of a Heston model that can
    be priced.
    """

    def __init__(self, strikes, maturities, ranges=PAPER_RANGES, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.strikes = _axis("strikes", strikes, "(n,)")
        self.maturities = _axis("maturities", maturities, "(m,)")
        self.ranges = _ranges(ranges)
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
            raise ValueError(f"`seed` must be an integer or None. Received: seed={seed!r}")
        self.seed = seed

    def call(self, inputs, training=False):
        raw = self.features(self.image(inputs), training)
        return {"parameters": self.to_parameters(raw)}

    def dense(self, units, activation, number):
        """A dense layer with the initial weights of kernel `number` of this network."""
        kernel = initial_kernel(self.seed, number)
        return keras.layers.Dense(
            units, activation, kernel_initializer=kernel, dtype=self.dtype_policy
        )

    def build(self, input_shape=None):
        make_weights(self.stack, (None, len(self.maturities), len(self.strikes), 2))

    def features(self, image, training):
        """The raw outputs `(B, 5)`."""
        for layer in self.stack:
            image = layer(image)
        return image

    def image(self, inputs):
        """The panel as the network sees it, `(B, m, n, 2)`."""
        mask = tf.cast(inputs["mask"], tf.bool)
        quotes = tf.cast(inputs["implied_volatility"], self.compute_dtype)
        shape = len(self.maturities), len(self.strikes)
        if not quotes.shape[1:].is_compatible_with(shape):
            raise ValueError(
                f"This network reads panels of {shape[0]} maturities and {shape[1]} strikes. "
                f"Received: implied_volatility.shape={tuple(quotes.shape)}"
            )
        quotes = tf.ensure_shape(quotes, (None, *shape))
        mask = tf.ensure_shape(mask, (None, *shape))
        quotes = fill_missing(quotes, mask, np.log(self.strikes), np.sqrt(self.maturities), _CENTRE)
        return tf.stack([(quotes - _CENTRE) / _SCALE, tf.cast(mask, quotes.dtype)], axis=-1)

    def to_parameters(self, raw):
        """Parameters `(B, 5)` inside their ranges, of raw outputs `(B, 5)`."""
        low, high = np.transpose(self.ranges)
        middle, half = 0.5 * (low + high), (0.5 - _MARGIN) * (high - low)
        # half precision would round a parameter onto the end of its range
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        return tf.constant(middle, wide) + tf.constant(half, wide) * tf.tanh(tf.cast(raw, wide))

    def get_config(self):
        return {
            **super().get_config(),
            "strikes": self.strikes.tolist(),
            "maturities": self.maturities.tolist(),
            "ranges": [list(ends) for ends in self.ranges],
            "seed": self.seed,
        }


def make_weights(layers, shape):
    """Builds layers that follow each other.

    Args:
        layers: Keras layers.
        shape: Shape of the input of the first, a tuple.

    Returns:
        Shape of the output of the last.
    """
    for layer in layers:
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape


def _axis(name, values, letters):
    axis = np.asarray(values, "float64")
    if axis.ndim != 1 or axis.size < 2 or not np.isfinite(axis).all():
        raise ValueError(
            f"`{name}` must be at least two numbers, {letters}. Received: {name}={values!r}"
        )
    if not (axis > 0).all() or not (np.diff(axis) > 0).all():
        raise ValueError(f"`{name}` must be positive and increasing. Received: {name}={values!r}")
    return axis


def _ranges(ranges):
    ends = np.asarray(ranges, "float64")
    if ends.shape != (5, 2) or not np.isfinite(ends).all() or not (ends[:, 0] < ends[:, 1]).all():
        raise ValueError(
            "`ranges` must be five pairs (low, high) of kappa, theta, xi, rho and v0. "
            f"Received: ranges={ranges!r}"
        )
    low, high = ends.T
    if (low[[0, 1, 2, 4]] < 0).any() or low[3] < -1 or high[3] > 1:
        raise ValueError(
            "`ranges` must keep kappa, theta, xi and v0 non-negative and rho in [-1, 1]. "
            f"Received: ranges={ranges!r}"
        )
    return tuple(map(tuple, ends.tolist()))
