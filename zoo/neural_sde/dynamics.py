"""What every kind of neural SDE has in common: a bounded volatility network, and how to step it."""

import importlib
import math

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_one_of, check_positive
from hedgezoo.layers import MultilayerPerceptron
from hedgezoo.layers._arguments import money_dtype

# kind -> home and name of its `CoefficientNetwork`
KINDS = {
    "local": ("hedgezoo.neural_sde.coefficient_networks", "LocalVolatility"),
    "stochastic": ("hedgezoo.neural_sde.coefficient_networks", "StochasticVolatility"),
    "amortised": ("hedgezoo.neural_sde.amortised_networks", "AmortisedVolatility"),
    "historical": ("hedgezoo.neural_sde.historical_networks", "HistoricalCoefficients"),
}
_DEVIATIONS = 6.0  # beyond so many standard deviations a volatility stays as it is there
_START = 0.02  # share of the horizon that keeps the standardised state finite at time 0


def network_class(kind):
    """The `CoefficientNetwork` of a kind of model.

    Args:
        kind: A key of `KINDS`.

    Returns:
        A subclass of `CoefficientNetwork`.

    Raises:
        ValueError: If there is no such kind; the closest names are offered.

    Example:

    >>> network_class("local").__name__
    'LocalVolatility'
    """
    check_one_of("kind", kind, KINDS)
    home, name = KINDS[kind]
    return getattr(importlib.import_module(home), name)


class CoefficientNetwork(keras.layers.Layer):
    """A network for the coefficients of dS / S = μ dt + σ dW, as a diffusion of `SDERollout`.

    The state begins with x = log(S / F). A subclass says what Σ is (`call`) and what the drift
    is (`drift`, a layer like the network, or None), and how it is simulated (the attributes
    below). Its volatilities are bounded: log σ is a sigmoid between the logarithms of `bounds`.

    The network sees x / √T, √t, x / √t (each scaled by `volatility` and the horizon T) and the
    features. (Without x / √T or without x / √t the errors on a Heston surface are within 0.2 bp of
    those with both.) Both x and t are cut off: beyond six standard deviations, and after the
    horizon, a volatility stays as it is there.

    Args:
        units: Widths of the hidden layers.
        activation: Hidden activation, a name or a function.
        volatility: Level of σ per √year before training.
        bounds: Lowest and highest σ.
        features: Number f of market features.
        dropout: Share of hidden units that are dropped while training.
        horizon: T in years, the last maturity of the data.
        onset: Years below which nothing changes any more, such as half the first maturity, for data
            from weeks to years: x / √t then keeps its scale down to there, and the network also
            sees log t. None for 2 % of the horizon, and no log t.
        span: Lowest and highest spot over forward, such as a little beyond the quoted strikes:
            outside, coefficients stay as at the edge. None to let the network extrapolate; its
            volatility may then grow with the spot, and the price's mean rest on a few paths.
        seed: Integer that the initial weights follow from, or None.
        feature_center: What is subtracted from the features, a number or one per feature.
        feature_scale: What they are then divided by, a positive number or one per feature.
        **kwargs: Of `keras.layers.Layer`.

    Attributes:
        initial: Initial state, one number per component.
        factors: Number k of Brownian motions.
        log_states: Indices of the components that are logarithms.
        scheme: Default scheme of the simulation.
        first_steps: Least number of steps up to the first maturity.
        gridded: Whether the coefficients may be interpolated from a grid of x.
        risk_neutral: Whether S / F is a martingale, so that prices are expectations.
        drift: Layer of the arguments of `call` to μ `(B, d)`, or None.
        evaluation: Home and name of the function that judges a model, and how many paths (or
            whatever it judges on) it takes unless told.

    Raises:
        ValueError: If an argument is out of its range.
    """

    initial = (0.0,)
    factors = 1
    log_states = (0,)
    scheme = "log_milstein"
    first_steps = 8
    gridded = True
    risk_neutral = True
    drift = None
    evaluation = ("hedgezoo.neural_sde.evaluating", "evaluate_on_quotes", 2**17)

    def __init__(
        self,
        units=(64, 64),
        activation="relu",
        volatility=0.2,
        bounds=(0.01, 2.0),
        features=0,
        dropout=0.0,
        horizon=1.0,
        onset=None,
        span=None,
        seed=None,
        feature_center=0.0,
        feature_scale=1.0,
        **kwargs,
    ):
        super().__init__(**{"autocast": False, **kwargs})
        check_positive("volatility", volatility)
        check_positive("horizon", horizon)
        if onset is not None:
            check_positive("onset", onset)
        if isinstance(units, int) or not all(int(width) > 0 for width in units):
            raise ValueError(f"`units` must be a sequence of positive integers. Received: {units}")
        self.units = tuple(int(width) for width in units)
        self.activation = keras.activations.get(activation)
        self.volatility = float(volatility)
        self.bounds = check_bounds("bounds", bounds, volatility, "volatility")
        self.features = int(features)
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must lie in [0, 1). Received: dropout={dropout!r}")
        self.dropout = float(dropout)
        self.horizon = float(horizon)
        self.onset = None if onset is None else float(onset)
        self.span = None
        if span is not None:
            low, high = check_array("span", span, {"(2,)": (2,)}).tolist()
            if not 0 < low < 1 < high:
                raise ValueError(
                    f"`span` must be two spots over forward, one below and one above 1. "
                    f"Received: span={span}"
                )
            self.span = (low, high)
        self.seed = seed
        shapes = {"()": (), "(f,)": (self.features,)}
        self.feature_center = check_array("feature_center", feature_center, shapes).tolist()
        scale = check_array("feature_scale", feature_scale, shapes)
        if not (scale > 0).all():
            raise ValueError(f"`feature_scale` must be positive. Received: {feature_scale}")
        self.feature_scale = scale.tolist()
        self.network = self.perceptron(self.bounds, self.volatility)

    def perceptron(self, bounds, start, units=None, outputs=1, bias=None):
        """A network whose `bounded` output is nearly `start` before training.

        Args:
            bounds: As for `bounded`.
            start: Between the bounds.
            units: Widths of the hidden layers, by default those of the volatility.
            outputs: Width of the output.
            bias: Initial bias of the output where it is not meant for `bounded`.

        Returns:
            A `MultilayerPerceptron`; its output weights are a tenth of the usual ones.
        """
        if bias is None:
            share = math.log(start / bounds[0]) / math.log(bounds[1] / bounds[0])
            bias = math.log(share / (1.0 - share))
        return MultilayerPerceptron(
            self.units if units is None else units,
            outputs=outputs,
            activation=self.activation,
            seed=self.seed,
            output_initializer=keras.initializers.VarianceScaling(
                0.01, "fan_avg", "uniform", seed=self.seed
            ),
            output_bias=bias,
            dtype=self.dtype_policy,
        )

    def build(self, state_shape=None, time_shape=None, features_shape=None):
        self.network.build((None, self.width))
        if self.dropout:
            self.draw_number = self.add_weight(
                name="draw_number",
                shape=(),
                dtype="int64",
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
            )
        self.built = True

    @property
    def width(self):
        """Number of columns that `columns` returns for the whole state."""
        return 2 + len(self.initial) + self.features + (self.onset is not None)

    def columns(self, state, time, features=None):
        """What a network sees: `(B, width)`, numbers of the order of one.

        Args:
            state: `(B, d)`.
            time: Years, `(B, 1)`.
            features: `(B, f)` or None.

        Returns:
            Tensor `(B, width)`.
        """
        if (features is None) != (self.features == 0):
            raise ValueError(
                f"`features` must have {self.features} columns. "
                f"Received: {None if features is None else tuple(features.shape)}"
            )
        share = tf.clip_by_value(time / self.horizon, 0.0, 1.0)
        unit = self.volatility * math.sqrt(self.horizon)
        start = _START if self.onset is None else self.onset / self.horizon
        deviation = tf.sqrt(share + start)
        spot = state[:, :1]
        if self.span is not None:
            spot = tf.clip_by_value(spot, *map(math.log, self.span))
        standard = tf.clip_by_value(spot / (unit * deviation), -_DEVIATIONS, _DEVIATIONS)
        columns = [
            0.8 * standard * deviation,
            # a smooth function of t would not tell the first weeks apart
            2.0 * tf.sqrt(share) - 1.0,
            standard,
            state[:, 1:],
        ]
        if self.onset is not None:
            span = math.log1p(1.0 / start)
            columns.append(2.0 / span * tf.math.log1p(share / start) - 1.0)
        if features is not None:
            center, scale = (
                tf.constant(x, state.dtype) for x in (self.feature_center, self.feature_scale)
            )
            columns.append((tf.cast(features, state.dtype) - center) / scale)
        return tf.concat(columns, axis=-1)

    def call(self, state, time, features=None, unit_scales=None):
        raise TypeError(f"{type(self).__name__} does not say what its diffusion is")

    def volatility_of(self, diffusion):
        """σ `(B, 1)`, the length of the row of log(S / F) in Σ as `call` returns it."""
        return (
            diffusion if diffusion.shape.rank == 2 else tf.norm(diffusion[:, 0], axis=-1)[:, None]
        )

    def unit_scales(self):
        """Factors 0 or 1 / (1 - dropout) per unit of each hidden layer of the volatility network.

        One draw belongs to all paths and times of a simulation: with a draw per step the
        volatility would be noise, and not a function. It depends on the number of the draw alone
        (see `thinned`), so that it is the same on every replica and in a run that was resumed.

        Returns:
            List of tensors `(U,)`, or None without dropout.
        """
        if not self.dropout:
            return None
        number = tf.convert_to_tensor(self.draw_number)
        kept = 1.0 - self.dropout
        scales = []
        for layer, width in enumerate(self.network.hidden_units):
            key = tf.stack([number, tf.constant(layer, number.dtype)])
            uniform = tf.random.stateless_uniform((width,), key, alg="philox")
            scales.append(tf.cast(uniform < kept, tf.float32) / kept)
        return scales

    def thinned(self):
        """The diffusion with new units dropped, as a function for `SDERollout`."""
        if not self.dropout:
            return self
        self.draw_number.assign(self.draw_number + 1)
        scales = self.unit_scales()

        def diffusion(state, time, features=None):
            return self(state, time, features, unit_scales=scales)

        return diffusion

    def get_config(self):
        return {
            **super().get_config(),
            "units": list(self.units),
            "activation": keras.activations.serialize(self.activation),
            "volatility": self.volatility,
            "bounds": list(self.bounds),
            "features": self.features,
            "dropout": self.dropout,
            "horizon": self.horizon,
            "onset": self.onset,
            "span": self.span,
            "seed": self.seed,
            "feature_center": self.feature_center,
            "feature_scale": self.feature_scale,
        }


def bounded(value, bounds):
    """A number between two positive bounds whose logarithm is a sigmoid of `value`.

    Args:
        value: Tensor of any shape.
        bounds: Lowest and highest result.

    Returns:
        Tensor of the shape of `value`, float32 at least.

    Example:

    >>> bounded(tf.constant([-1e9, 0.0, 1e9]), (0.01, 1.0)).numpy().round(6)
    array([0.01, 0.1 , 1.  ], dtype=float32)
    """
    value = tf.cast(value, money_dtype(value.dtype))
    low, high = (math.log(bound) for bound in bounds)
    return tf.exp(low + (high - low) * tf.sigmoid(value))


def check_bounds(name, bounds, inside, what):
    """Two positive bounds with the start of training between them, as a tuple of floats.

    Raises:
        ValueError: If they are not.
    """
    shape = np.shape(bounds)
    if shape != (2,) or not 0 < bounds[0] < inside < bounds[1] < math.inf:
        raise ValueError(
            f"`{name}` must be two positive numbers with `{what}` {inside} between them. "
            f"Received: {bounds}"
        )
    return tuple(float(bound) for bound in bounds)
