"""Quantiles of quotes around a calibrated surface, each of them a Heston surface itself."""

import math
import statistics

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.heston_calibrator.coordinates import Coordinates
from hedgezoo.heston_calibrator.residuals import BASIS_POINT, Quotes, residuals_and_jacobian
from hedgezoo.heston_calibrator.smile_features import along_maturities, smiles
from hedgezoo.losses.pinball import Pinball, check_levels

_THETA, _V0 = 1, 4  # places among the parameters, of Bates models too
_NODES = 48
_SMALLEST_WIDTH = 0.02 * BASIS_POINT  # what prices in float32 resolve
# middle of the coordinates of usual markets: log of κ = 2, θ = .09, ξ = .6, v₀ = .06, and ρ = -.5
_USUAL = (0.7, -2.4, -0.5, -1.1, -2.8, -1.0, -0.1, -2.0)
_FEATURES = 8  # beside the coordinates
_RIDGE = 1e-3


@keras.saving.register_keras_serializable(package="hedgezoo")
class QuantileHead(keras.layers.Layer):
    """Heston parameters for each probability level, by widening a calibrated surface.

    At the level ½ they are the calibrated ones. At the others θ and v₀ are multiplied by

    `exp(Σ_i g_i δ_ik s d_k)`, k = θ, v₀,

    the sum over the levels i between ½ and the level, with a minus sign below ½. d ≥ 0 is the
    direction in (log θ, log v₀) that shifts the quoted volatilities most nearly by the same
    amount, one; s the standard deviation of bid and ask quotes around the surface, from spreads and
    remaining errors; δ > 0 what a small network says, in units of s; and g > 0 the correction of
    `calibrate_coverage`. Call prices increase in v₀ and in θ. So the surfaces of different levels
    do not cross, and as each is the surface of a Heston model, none of them has a static
    arbitrage, whatever the weights.

    Args:
        levels: Probabilities in (0, 1), increasing, ½ among them, `(q,)`.
        model: `"heston"` or `"bates"`.
        units: Units of the network.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        inputs: Dictionary of the calibrator.
        coordinates: Calibrated search coordinates `(B, p)`; no gradient passes through them.

    Output shape:
        Dictionary of `quantiles` `(B, q, p)`, natural parameters, and `quantile_volatility`
        `(B, m, n, q)`, their volatilities to first order.

    Raises:
        ValueError: If ½ is not among the levels, or they are no levels.

    Example:

    >>> from hedgezoo.datasets import HestonPanels
    >>> inputs, targets = HestonPanels(noise="plus_minus_15_bp").simulate(seed=0, panels=2)
    >>> head = QuantileHead((0.25, 0.5, 0.75))
    >>> found = head(inputs, Coordinates().from_parameters(targets["parameters"]))
    >>> found["quantiles"].shape, found["quantile_volatility"].shape
    (TensorShape([2, 3, 5]), TensorShape([2, 8, 10, 3]))
    >>> bool(tf.reduce_all(found["quantiles"][:, 1:, 4] > found["quantiles"][:, :-1, 4]))
    True

    Reference:
        Song, "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
        section 6.2: quantiles of quotes, free of butterfly arbitrage at every level.
    """

    def __init__(self, levels=(0.25, 0.5, 0.75), model="heston", units=32, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.levels = check_levels(levels)
        if 0.5 not in self.levels:
            raise ValueError(
                "`levels` must contain 0.5, the level of the calibrated surface itself. "
                f"Received: levels={levels!r}"
            )
        self.model, self.units = model, int(units)
        self.search = Coordinates(model)
        self.steps = _steps(self.levels)
        seeds = keras.initializers.GlorotUniform(seed=7)
        self.hidden = keras.layers.Dense(
            self.units,
            "gelu",
            kernel_initializer=seeds,
            dtype=self.dtype_policy,
            name="hidden",
        )
        # at the start normal quantiles, alike for both parameters
        first = np.log(np.expm1(np.repeat(self.steps, 2)))
        self.widths = keras.layers.Dense(
            2 * len(self.steps),
            kernel_initializer="zeros",
            bias_initializer=lambda shape, dtype=None: tf.constant(first, dtype),
            dtype=self.dtype_policy,
            name="widths",
        )

    def build(self, inputs_shape=None, coordinates_shape=None):
        if self.built:
            return
        self.hidden.build((None, _FEATURES + len(self.search)))
        self.widths.build((None, self.units))
        self.correction = self.add_weight(
            name="correction",
            shape=(len(self.steps),),
            initializer="ones",
            trainable=False,
            dtype="float32",
        )
        self.built = True

    def call(self, inputs, coordinates):
        coordinates = tf.stop_gradient(tf.convert_to_tensor(coordinates))
        quotes = Quotes.of(inputs, self._type)
        at = tf.cast(coordinates, quotes.dtype)
        errors, jacobian = (
            tf.stop_gradient(x)
            for x in residuals_and_jacobian(self.search, at, quotes, "vertical", _NODES)
        )
        slopes = tf.gather(jacobian, [_THETA, _V0], axis=-1)
        deviation, features = _features(quotes, errors, at)
        hidden = self.hidden(tf.cast(features, self.compute_dtype))
        steps = tf.nn.softplus(tf.cast(self.widths(hidden), quotes.dtype))
        steps = tf.reshape(steps, [-1, len(self.steps), 2])
        steps *= tf.cast(self.correction, quotes.dtype)[:, tf.newaxis]
        direction = deviation[:, tf.newaxis] * _direction(slopes, quotes.mask)
        shifts = _from_the_middle(steps * direction[:, tf.newaxis], self.levels)
        fitted = (quotes.volatility + errors)[..., tf.newaxis]
        return {
            "quantiles": self._parameters(coordinates, shifts),
            "quantile_volatility": fitted + tf.einsum("bmnk,bqk->bmnq", slopes, shifts),
        }

    def _parameters(self, coordinates, shifts):
        """Natural parameters `(B, q, p)`."""
        shifts = tf.cast(shifts, coordinates.dtype)
        moved = dict(zip((_THETA, _V0), tf.unstack(shifts, axis=-1), strict=True))
        nothing = tf.zeros_like(shifts[..., 0])
        columns = [moved.get(index, nothing) for index in range(len(self.search))]
        return self.search.to_parameters(coordinates[:, tf.newaxis] + tf.stack(columns, -1))

    @property
    def _type(self):
        return "float64" if self.compute_dtype == "float64" else "float32"

    def get_config(self):
        own = {"levels": list(self.levels), "model": self.model, "units": self.units}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="hedgezoo")
class QuantileLoss:
    """Pinball loss of quantiles of volatility, summed over bid and ask quotes, per panel.

    The mean over the quotes of a panel, in units of the standard deviation of bid and ask around
    the calibrated surface, so that panels with narrow spreads count as much as others. What
    minimises it are quantiles of bid and ask together.

    Args:
        levels: Those of the head.

    Call arguments:
        inputs: Of the calibrator.
        targets: With fresh `bid` and `ask` quotes `(B, m, n)`, 0 where there is none; see
            `hedgezoo.datasets.TwoSidedPanels`. Without, the quotes of the inputs minus and plus
            half their spread.
        outputs: With `quantile_volatility` `(B, m, n, q)`.

    Raises:
        ValueError: If `levels` are none.
    """

    def __init__(self, levels=(0.25, 0.5, 0.75)):
        self.pinball = Pinball(levels)

    def __call__(self, inputs, targets, outputs):
        predicted = outputs["quantile_volatility"]
        dtype = predicted.dtype
        if "bid" in targets:
            sides = [tf.cast(targets[side], dtype) for side in ("bid", "ask")]
            mask = sides[0] > 0.0
        else:
            quotes = tf.cast(inputs["implied_volatility"], dtype)
            half = 0.5 * tf.cast(inputs["spread"], dtype)
            sides, mask = [quotes - half, quotes + half], tf.cast(inputs["mask"], tf.bool)
        middle = predicted[..., self.pinball.levels.index(0.5)]
        known = tf.cast(mask, dtype)
        count = tf.reduce_sum(known, (1, 2))
        squares = sum(tf.reduce_sum(known * tf.square(side - middle), (1, 2)) for side in sides)
        scale = tf.sqrt(tf.math.divide_no_nan(squares, 2.0 * count)) + _SMALLEST_WIDTH
        total = sum(self.pinball.per_sample(side, predicted, mask=mask) for side in sides)
        return total / tf.stop_gradient(scale)

    def get_config(self):
        """Arguments of the constructor."""
        return {"levels": list(self.pinball.levels)}

    @classmethod
    def from_config(cls, config):
        """The loss with these arguments."""
        return cls(**config)


def adopt(model, base):
    """Copies the weights of a calibrator into one with a quantile head, and freezes them there.

    Args:
        model: A `HestonCalibrator` with a quantile head.
        base: A `HestonCalibrator` that is the same but for the head.

    Raises:
        ValueError: If the model has no head, or the two differ in more than that.

    Example:

    >>> from hedgezoo.heston_calibrator import HestonCalibrator
    >>> model = HestonCalibrator(quantiles=(0.25, 0.5, 0.75))
    >>> adopt(model, HestonCalibrator())
    >>> {weight.path.split("/")[-3] for weight in model.trainable_weights}
    {'quantile_head'}
    """
    if getattr(model, "quantile_head", None) is None:
        raise ValueError(f"`model` must have a quantile head. Received: {model!r}")
    configs = [
        {key: value for key, value in thing.get_config().items() if key not in _NOT_COMPARED}
        for thing in (model, base)
    ]
    different = [key for key in configs[0] if configs[0][key] != configs[1].get(key)]
    if different:
        raise ValueError(
            "`base` must be the same calibrator but for the quantile head. Received: another "
            + ", ".join(f"{key} ({configs[1].get(key)!r})" for key in different)
        )
    model.build()
    base.build()
    model.network.set_weights(base.network.get_weights())
    model.network.trainable = False
    if model.steps:
        model.log_damping.assign(base.log_damping)
        model.log_damping.trainable = False


# ------------------------------------------------------------------------------------- internals


_NOT_COMPARED = ("name", "quantiles", "trainable", "dtype")


def _steps(levels):
    """Distances of neighbouring normal quantiles, `(q - 1,)`: first guesses of the widths."""
    normal = statistics.NormalDist()
    return np.diff([normal.inv_cdf(level) for level in levels])


def _from_the_middle(steps, levels):
    """Steps between neighbouring levels `(B, q - 1, k)` to shifts from the level ½, `(B, q, k)`."""
    middle = levels.index(0.5)
    sums = tf.concat([tf.zeros_like(steps[:, :1]), tf.cumsum(steps, axis=1)], axis=1)
    return sums - sums[:, middle : middle + 1]


def _direction(slopes, mask):
    """d ≥ 0 with J d near one at all quotes in least squares, `(B, 2)`.

    Args:
        slopes: Derivatives J of the volatilities in log θ and log v₀, `(B, m, n, 2)`.
        mask: `(B, m, n)`.
    """
    rows = slopes * tf.cast(mask, slopes.dtype)[..., tf.newaxis]
    matrix = tf.einsum("bmni,bmnj->bij", rows, rows)
    right = tf.reduce_sum(rows, (1, 2))
    diagonal = tf.linalg.diag_part(matrix)
    # one of the two may hardly matter at the quoted maturities: it then stays where it is
    ridge = _RIDGE * tf.reduce_max(diagonal, -1, keepdims=True)
    a, c = tf.unstack(diagonal + ridge, axis=-1)
    b = matrix[:, 0, 1]
    x, y = tf.unstack(right, axis=-1)
    # a matrix of two rows by hand: the determinant is positive by the ridge
    both = [tf.math.divide_no_nan(p, a * c - b * b) for p in (c * x - b * y, a * y - b * x)]
    alone = [tf.math.divide_no_nan(p, q) for p, q in ((x, a), (y, c))]
    first = tf.where(both[1] < 0.0, alone[0], both[0])
    second = tf.where(both[0] < 0.0, alone[1], both[1])
    return tf.nn.relu(tf.stack([first, second], -1))


def _features(quotes, errors, coordinates):
    """Standard deviation of bid and ask around the surface `(B,)`, and what widths depend on."""
    dtype = quotes.dtype
    known = tf.cast(quotes.mask, dtype)
    count = tf.reduce_sum(known, (1, 2))

    def mean(values):
        return tf.math.divide_no_nan(tf.reduce_sum(known * values, (1, 2)), count)

    parameters = float(coordinates.shape[-1])
    freedom = tf.maximum(count - parameters, 1.0)
    noise = tf.reduce_sum(known * tf.square(errors), (1, 2)) / freedom
    spread, square = mean(quotes.spread), mean(tf.square(quotes.spread))
    deviation = tf.sqrt(0.25 * square + noise + _SMALLEST_WIDTH**2)
    there = tf.reduce_any(quotes.mask, -1)
    years = tf.broadcast_to(quotes.maturities, tf.shape(there))
    shortest = tf.reduce_min(tf.where(there, years, 100.0), -1)
    longest = tf.reduce_max(tf.where(there, years, 0.003), -1)
    levels = along_maturities(quotes, smiles(quotes)[..., :1])[..., 0]
    levels = tf.maximum(levels, 0.01)
    features = [
        0.3 * tf.math.log(deviation / (5.0 * BASIS_POINT)),
        0.5 * tf.sqrt(square) / deviation,
        spread / (tf.sqrt(square) + _SMALLEST_WIDTH),
        0.5 * tf.math.log(tf.maximum(count, 1.0) / 80.0),
        0.5 * (tf.math.log(shortest) - math.log(0.1)),
        0.5 * (tf.math.log(longest) - math.log(2.0)),
        tf.math.log(levels[:, 0]) + 1.2,
        tf.math.log(levels[:, -1]) + 1.2,
    ]
    usual = tf.constant(_USUAL[: coordinates.shape[-1]], dtype)
    columns = [column[:, tf.newaxis] for column in features]
    columns.append(tf.clip_by_value(coordinates - usual, -4.0, 4.0))
    return deviation, tf.concat(columns, -1)
