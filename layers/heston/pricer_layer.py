"""Heston and Bates prices on a fixed grid as Keras layers."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.layers.black_scholes import require_grid
from hedgezoo.layers.heston.pricer import BATES, HESTON, prices, require_scheme
from hedgezoo.layers.implied_volatility import implied_volatility

_OUTPUTS = ("call", "put", "implied_volatility")


class _FourierPricer(keras.layers.Layer):
    """What the layers below share; `model` says which."""

    model = ()

    def __init__(
        self,
        strikes,
        maturities,
        output="call",
        contour="auto",
        nodes=128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.strikes = np.asarray(strikes, "float64")
        self.maturities = np.asarray(maturities, "float64")
        self.output_kind = output
        self.contour = contour
        self.nodes = nodes
        if output not in _OUTPUTS:
            raise ValueError(f"`output` must be one of {_OUTPUTS}. Received: output={output!r}")
        require_scheme(contour, nodes)
        if self.maturities.ndim != 1 or self.strikes.ndim not in (1, 2):
            raise ValueError(
                "Expected `strikes` (n,) or (m, n) and `maturities` (m,). Received: "
                f"strikes.shape={self.strikes.shape}, maturities.shape={self.maturities.shape}"
            )
        if self.strikes.ndim == 2 and len(self.strikes) != len(self.maturities):
            raise ValueError(
                "`strikes` (m, n) must have one row per maturity. Received: "
                f"strikes.shape={self.strikes.shape}, maturities.shape={self.maturities.shape}"
            )
        require_grid(tf.constant(self.strikes), tf.constant(self.maturities))

    def call(self, parameters):
        strikes, years = self.strikes, self.maturities
        calls = prices(self.model, parameters, strikes, years, self.contour, self.nodes)
        result = calls
        if self.output_kind == "put":
            result = tf.maximum(calls - tf.constant(1.0 - strikes, calls.dtype), 0.0)
        elif self.output_kind == "implied_volatility":
            result = implied_volatility(calls, strikes, years)
        return tf.cast(result, self.compute_dtype)  # half precision is computed in float32

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], len(self.maturities), self.strikes.shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "strikes": self.strikes.tolist(),
            "maturities": self.maturities.tolist(),
            "output": self.output_kind,
            "contour": self.contour,
            "nodes": self.nodes,
        }


@keras.saving.register_keras_serializable(package="hedgezoo")
class HestonPricer(_FourierPricer):
    """Heston prices on a fixed grid as a layer, see `heston_call`. It has no weights.

    Args:
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years to expiry, `(m,)`.
        output: `"call"`, `"put"` or `"implied_volatility"`.
        contour: `"auto"`, `"vertical"` or `"tilted"`, see `heston_call`.
        nodes: Quadrature nodes per contour.
        **kwargs: Keyword arguments of `keras.layers.Layer`. `dtype="float64"` for prices that are
            exact to rounding in double precision.

    Input shape:
        Parameters κ, θ, ξ, ρ, v₀, `(..., 5)`.

    Output shape:
        `(..., m, n)`, per unit of forward, undiscounted.

    Raises:
        ValueError: If an argument is none of the above.

    Example:

    >>> layer = HestonPricer(strikes=[0.9, 1.0, 1.1], maturities=[1.0], output="implied_volatility")
    >>> layer(tf.constant([[2.0, 0.04, 0.5, -0.7, 0.04]])).numpy().round(3)
    array([[[0.205, 0.181, 0.16 ]]], dtype=float32)
    """

    model = HESTON


@keras.saving.register_keras_serializable(package="hedgezoo")
class BatesPricer(_FourierPricer):
    """Bates prices on a fixed grid as a layer, see `bates_call`. It has no weights.

    Args:
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years to expiry, `(m,)`.
        output: `"call"`, `"put"` or `"implied_volatility"`.
        contour: `"auto"`, `"vertical"` or `"tilted"`, see `heston_call`.
        nodes: Quadrature nodes per contour.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        Parameters κ, θ, ξ, ρ, v₀, λ, μ, σ, `(..., 8)`.

    Output shape:
        `(..., m, n)`, per unit of forward, undiscounted.

    Raises:
        ValueError: If an argument is none of the above.
    """

    model = BATES
