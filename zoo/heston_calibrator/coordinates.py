"""Coordinates in which parameters are searched: every point is a model, scales are comparable."""

import dataclasses

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_one_of
from hedgezoo.datasets.heston_panels.parameter_box import BATES_NAMES, HESTON_NAMES
from hedgezoo.layers.heston.pricer import (
    bates_call,
    bates_call_and_jacobian,
    heston_call,
    heston_call_and_jacobian,
)

# scale of the search and widest range
_RANGES = {
    "kappa": ("log", 1e-3, 100.0),
    "theta": ("log", 1e-5, 4.0),
    "xi": ("log", 1e-3, 20.0),
    "rho": ("correlation", -0.9999, 0.9999),
    "v0": ("log", 1e-5, 4.0),
    "jump_intensity": ("log", 1e-4, 50.0),
    "jump_mean": ("linear", -2.0, 2.0),
    "jump_deviation": ("log", 1e-3, 2.0),
}
_TO_COORDINATE = {"log": np.log, "correlation": lambda x: 2.0 * np.arctanh(x), "linear": np.array}


@dataclasses.dataclass(frozen=True)
class Coordinates:
    """Search coordinates u of a model's parameters.

    u = log p for the positive ones, log((1 + ρ)/(1 - ρ)) for the correlation, and the mean of a
    jump as it is. Each stays in a wide range.

    Args:
        model: `"heston"` (κ, θ, ξ, ρ, v₀) or `"bates"` (with λ, μ, σ of the jumps).

    Raises:
        ValueError: If there is no such model.

    Example:

    >>> coordinates = Coordinates("heston")
    >>> u = coordinates.from_parameters([[2.0, 0.04, 0.5, -0.5, 0.09]])
    >>> u.numpy().round(3).tolist()
    [[0.693, -3.219, -0.693, -1.099, -2.408]]
    >>> coordinates.to_parameters(u).numpy().round(9).tolist()
    [[2.0, 0.04, 0.5, -0.5, 0.09]]
    """

    model: str = "heston"

    def __post_init__(self):
        check_one_of("model", self.model, ("heston", "bates"))

    def __len__(self):
        return len(self.names)

    @property
    def names(self):
        """Names of the parameters."""
        return HESTON_NAMES if self.model == "heston" else BATES_NAMES

    @property
    def price(self):
        """Function of (parameters, strikes, maturities, contour, nodes) to call prices."""
        return heston_call if self.model == "heston" else bates_call

    @property
    def price_and_jacobian(self):
        """The same with the derivatives in the parameters."""
        return heston_call_and_jacobian if self.model == "heston" else bates_call_and_jacobian

    @property
    def low(self):
        """Lowest coordinates, NumPy `(p,)`."""
        return self._ends(1)

    @property
    def high(self):
        """Highest coordinates, NumPy `(p,)`."""
        return self._ends(2)

    def clip(self, coordinates):
        """Coordinates `(..., p)` moved into their ranges."""
        dtype = coordinates.dtype
        return tf.clip_by_value(
            coordinates, tf.constant(self.low, dtype), tf.constant(self.high, dtype)
        )

    def from_parameters(self, parameters):
        """Coordinates of parameters.

        Args:
            parameters: `(..., p)`; what is out of range counts as the end of the range.

        Returns:
            `(..., p)`, of the type of a floating tensor, else float64.
        """
        if not tf.is_tensor(parameters):
            parameters = tf.convert_to_tensor(np.asarray(parameters, np.float64))
        columns = []
        for name, x in zip(self.names, tf.unstack(parameters, axis=-1), strict=True):
            scale, low, high = _RANGES[name]
            x = tf.clip_by_value(x, low, high)
            columns.append(
                {
                    "log": tf.math.log,
                    "correlation": lambda x: tf.math.log1p(x) - tf.math.log1p(-x),
                    "linear": tf.identity,
                }[scale](x)
            )
        return tf.stack(columns, axis=-1)

    def to_parameters(self, coordinates):
        """Parameters `(..., p)` of coordinates `(..., p)`."""
        return self._columns(
            coordinates, {"log": tf.exp, "correlation": lambda u: tf.tanh(0.5 * u)}, tf.identity
        )

    def slopes(self, coordinates):
        """Derivatives of the parameters, each by its own coordinate, `(..., p)`."""
        return self._columns(
            coordinates,
            {"log": tf.exp, "correlation": lambda u: 0.5 - 0.5 * tf.square(tf.tanh(0.5 * u))},
            tf.ones_like,
        )

    def box(self, box):
        """Middle and half widths of a `ParameterBox` in coordinates, two NumPy arrays `(p,)`."""
        low, high = (self.from_parameters(end).numpy() for end in (box.low, box.high))
        return 0.5 * (low + high), 0.5 * (high - low)

    def _columns(self, coordinates, functions, otherwise):
        columns = tf.unstack(coordinates, axis=-1)
        scales = [_RANGES[name][0] for name in self.names]
        return tf.stack(
            [functions.get(s, otherwise)(u) for s, u in zip(scales, columns, strict=True)], axis=-1
        )

    def _ends(self, which):
        return np.array([_TO_COORDINATE[_RANGES[n][0]](_RANGES[n][which]) for n in self.names])
