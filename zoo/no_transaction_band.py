"""The no-transaction-band network of Imaki, Imajo, Ito, Minami and Nakagawa (2021)."""

import keras
import tensorflow as tf

from hedgezoo.band_hedge import BandHedge
from hedgezoo.baselines.whalley_wilmott import vanishing_gamma_width, whalley_wilmott_width
from hedgezoo.layers.multilayer_perceptron import MultilayerPerceptron

WIDTHS = ("learned", "whalley_wilmott", "asymptotic")
INPUTS = ("raw", "standardized")
_LEAK = 0.01  # slope of the rectifier below zero, as in the paper's code


@keras.saving.register_keras_serializable(package="hedgezoo")
class NoTransactionBand(BandHedge):
    """A network that says how far the position may drift from the delta before it is worth a trade.

    With (o₁, o₂) = MLP(features) and the Black-Scholes delta Δ, the position is clamped to
    [Δ − w(o₁), Δ + w(o₂)]. The current position is not an input of the network, so all of a path
    is evaluated at once and training is fast; for convex utilities such a band is optimal.

    Args:
        features: Names of the columns of `inputs["features"]`.
        hidden_units: Widths of the hidden layers.
        activation: Hidden activation.
        width: How an output o becomes a half-width:
            `"learned"`: leaky_relu(o), the paper's;
            `"whalley_wilmott"`: leaky_relu(h + o) with the Whalley-Wilmott half-width h;
            `"asymptotic"`: leaky_relu(h + k + o·g), where k is the half-width that is right where
            gamma vanishes and g fades from 1 to 0 beyond three standard deviations, so that no
            network decides what no path of the training showed it.
        inputs: `"raw"` feeds the features as they are (the paper); `"standardized"` feeds
            log-moneyness in standard deviations of the terminal law and the logarithms of the
            positive features relative to the market's constants.
        clip: Standardized log-moneyness is cut at this many standard deviations, so that the
            network does not extrapolate where no path of the training went.
        seed: Seed of the initial weights.
        **kwargs: Of `HedgeModel`.

    Raises:
        ValueError: If `width` or `inputs` is unknown or `clip` not positive; see also `HedgeModel`.

    Example:

    >>> model = NoTransactionBand(risk_aversion=50.0, width="whalley_wilmott")
    >>> lower, upper = model.band(spot=[0.98, 1.0, 1.02], time_to_expiry=0.08)
    >>> lower.shape
    TensorShape([3])

    Reference:
        Imaki, Imajo, Ito, Minami, Nakagawa, "No-Transaction Band Network: A Neural Network
        Architecture for Efficient Deep Hedging", arXiv:2103.01775. The start from the
        Whalley-Wilmott width: Arzel and Lehdili, arXiv:2603.29994.
    """

    def __init__(
        self,
        features=("log_moneyness", "time_to_expiry", "volatility"),
        hidden_units=(32, 32, 32, 32),
        activation="relu",
        width="learned",
        inputs="raw",
        clip=8.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(features=features, **kwargs)
        if width not in WIDTHS:
            raise ValueError(f"`width` must be one of {WIDTHS}. Received: width={width!r}")
        if inputs not in INPUTS:
            raise ValueError(f"`inputs` must be one of {INPUTS}. Received: inputs={inputs!r}")
        if not clip > 0:
            raise ValueError(f"`clip` must be positive. Received: clip={clip}")
        self.width = width
        self.clip = float(clip)
        self.input_scaling = inputs
        self.seed = int(seed)
        self.network = MultilayerPerceptron(
            hidden_units,
            outputs=2,
            activation=activation,
            seed=self.seed,
            # a start from the asymptotic width should start there
            output_initializer="glorot_uniform" if width == "learned" else "zeros",
            dtype=self.dtype_policy,
            name="network",
        )

    def build(self, input_shape=None):
        if not self.network.built:
            self.network.build((None, len(self.feature_names)))
        self.built = True

    def bands(self, features):
        moneyness = self.column(features, "log_moneyness")
        left = self.column(features, "time_to_expiry")
        volatility = self.column(features, "volatility")
        delta = self.delta(features)
        outputs = self.network(self._coordinates(features))
        if self.width != "learned":
            terms = (
                volatility,
                self.column(features, "cost"),
                self.column(features, "risk_aversion") * self.strike,
            )
            start = whalley_wilmott_width(moneyness, left, *terms)
            if self.width == "asymptotic":
                start += vanishing_gamma_width(moneyness, left, *terms)
                deviations = tf.abs(moneyness) * self._per_deviation(features)
                outputs *= tf.exp(-0.5 * tf.nn.relu(deviations - 3.0) ** 2)[..., None]
            outputs += start[..., None]
        below, above = tf.unstack(tf.nn.leaky_relu(outputs, _LEAK), axis=-1)
        return (delta - below)[..., None], (delta + above)[..., None]

    def _coordinates(self, features):
        if self.input_scaling == "raw":
            return features
        per_deviation = self._per_deviation(features)
        columns = []
        for index, name in enumerate(self.feature_names):
            value = features[..., index]
            if name.endswith("log_moneyness"):
                deviations = tf.clip_by_value(value * per_deviation, -self.clip, self.clip)
                value = 0.5 * deviations
            elif name == "time_to_expiry":
                value = 0.5 * tf.math.log(tf.maximum(value, 1e-6) / self.maturity)
            elif name in self.constants:
                value = tf.math.log(tf.maximum(value, 1e-10) / self.constants[name])
            columns.append(value)
        return tf.stack(columns, axis=-1)

    def _per_deviation(self, features):
        left = self.column(features, "time_to_expiry")
        volatility = self.column(features, "volatility")
        return tf.math.rsqrt(tf.maximum(volatility * volatility * left, 1e-10))

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_units": self.network.hidden_units,
            "activation": keras.activations.serialize(self.network.activation),
            "width": self.width,
            "inputs": self.input_scaling,
            "clip": self.clip,
            "seed": self.seed,
        }
