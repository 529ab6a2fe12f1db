"""A measure without statistical arbitrage: Buehler, Murray, Pakkanen and Wood (2021)."""

import warnings

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import (
    check_integer,
    check_one_of,
    check_positive,
    per_instrument,
)
from hedgezoo.layers.multilayer_perceptron import MultilayerPerceptron
from hedgezoo.layers.trading_gains import trading_gains
from hedgezoo.measure_training import MeasureTraining
from hedgezoo.path_measure import PathMeasure
from hedgezoo.preset_model import PresetModel
from hedgezoo.statistical_arbitrage.policies import LinearPolicy, RecurrentPolicy
from hedgezoo.statistical_arbitrage.traded_paths import CONVENTIONS, check_keys

POLICIES = ("recurrent", "feed_forward", "linear")
HIDDEN_UNITS = {"recurrent": (32, 32), "feed_forward": (64, 64), "linear": ()}


@keras.saving.register_keras_serializable(package="hedgezoo")
class RiskNeutralMeasure(MeasureTraining, PathMeasure, PresetModel):
    """The change of measure `dQ/dP = exp(-G*) / E_P[exp(-G*)]` that removes statistical arbitrage.

    `G*` are the gains, net of proportional cost, of the policy with the highest certainty
    equivalent `-log E_P[exp(-G)]`: the best that can be made of the drift of the market. Under Q
    the expected gain of every instrument lies within what trading it costs, so no policy gains
    anything there; without cost Q is the martingale measure of minimal entropy.

    `model(inputs)` are the gains of the policy. Train by `compile("adam")` and `fit`, which needs
    no liability, or solve the linear policy exactly by `fit_linear`. Then `log_density`,
    `path_weights` (sample weights for any later `fit`), `expectation` and `report`.

    A policy is linear in the features, plus for `"recurrent"` and `"feed_forward"` a network that
    starts at zero: training starts at the exact linear optimum if `fit_linear` came first.

    The cost is the marginal proportional one, money per unit bought and sold; only for such a
    cost is the market under Q free of statistical arbitrage. Impact or fixed cost on top of it
    make trading worse still, and do not enter.

    Args:
        policy: `"recurrent"` (gated units, sees the past), `"feed_forward"` (ReLU) or `"linear"`.
        features: Number F of features, or their names.
        instruments: Number D of instruments.
        hidden_units: Widths of the network; default `(32, 32)` recurrent, `(64, 64)` feed-forward.
        steps: Number T of dates, for an intercept of the linear part per date and instrument;
            None for one per instrument, on paths of any length.
        trade_limit: Largest action, in units, one number or one per instrument: actions `x`
            become `l tanh(x / l)`. An action is a position held (`price`) or the units bought
            (`unit_gain`). None for no limit.
        convention: `"price"` or `"unit_gain"`; None for whatever the first inputs have.
        seed: Seed of the initial weights.
        **kwargs: Of `keras.Model`.

    Input shape:
        Dictionary of `features` `(B, T, F)`, `price` `(B, T+1, D)` or `unit_gain` `(B, T, D)`,
        and `cost` `(B, T, D)`; optionally `sell_cost` `(B, T, D)`, if selling costs other than
        buying. Other keys are ignored.

    Output shape:
        `(B,)`, money.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> from hedgezoo.datasets import BlackScholesMarket
    >>> market = BlackScholesMarket(drift=0.5, cost=0.0, steps=30)
    >>> inputs, _ = market.simulate(seed=0, paths=2000)
    >>> measure = RiskNeutralMeasure("linear", market.features)
    >>> optimum = measure.fit_linear(inputs)
    >>> bool(abs(np.exp(measure.log_density(inputs)).mean() - 1) < 1e-5)
    True

    Reference:
        Buehler, Murray, Pakkanen, Wood, "Deep Hedging: Learning Risk-Neutral Implied Volatility
        Dynamics", arXiv:2103.11948, equations (2), (9) and (10).
    """

    def __init__(
        self,
        policy="recurrent",
        features=("log_moneyness", "time_to_expiry", "volatility"),
        instruments=1,
        hidden_units=None,
        steps=None,
        trade_limit=None,
        convention=None,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_one_of("policy", policy, POLICIES)
        check_integer("instruments", instruments, minimum=1)
        if steps is not None:
            check_integer("steps", steps, minimum=1)
        if convention is not None:
            check_one_of("convention", convention, CONVENTIONS)
        self.policy_name = policy
        if isinstance(features, int):
            check_integer("features", features, minimum=1)
            self.feature_names, self.width = None, features
        else:
            self.feature_names = tuple(str(name) for name in features)
            self.width = len(self.feature_names)
            check_integer("number of `features`", self.width, minimum=1)
        self.instruments, self.steps = int(instruments), steps
        hidden_units = HIDDEN_UNITS[policy] if hidden_units is None else hidden_units
        self.hidden_units = tuple(int(units) for units in hidden_units)
        if bool(self.hidden_units) == (policy == "linear"):
            raise ValueError(
                f"`hidden_units` must be widths for a network, and none for a linear policy. "
                f"Received: hidden_units={hidden_units}, policy={policy!r}"
            )
        self.trade_limit = trade_limit
        if trade_limit is not None:
            self.trade_limit = per_instrument("trade_limit", trade_limit, check_positive)
            if np.size(self.trade_limit) not in (1, self.instruments):
                raise ValueError(
                    f"`trade_limit` must be one number or {self.instruments}, one per "
                    f"instrument. Received: trade_limit={trade_limit}"
                )
        self.convention = convention
        self.seed = int(seed)
        self.linear = LinearPolicy(instruments, steps, dtype=self.dtype_policy, name="linear")
        self.network = None
        if policy == "recurrent":
            self.network = RecurrentPolicy(
                self.hidden_units,
                instruments,
                seed=self.seed,
                dtype=self.dtype_policy,
                name="network",
            )
        elif policy == "feed_forward":
            self.network = MultilayerPerceptron(
                self.hidden_units,
                outputs=self.instruments,
                output_initializer="zeros",
                seed=self.seed,
                dtype=self.dtype_policy,
                name="network",
            )

    def build(self, input_shape=None):
        if self.built:
            return

        def fixed(name, shape, initializer, dtype=None):
            return self.add_weight(
                name=name, shape=shape, initializer=initializer, trainable=False, dtype=dtype
            )

        self.feature_mean = fixed("feature_mean", (self.width,), "zeros")
        self.feature_scale = fixed("feature_scale", (self.width,), "ones")
        self.unit = fixed("unit", (self.instruments,), "ones")
        self.adapted = fixed("adapted", (), "zeros")
        # of the density; and of the policy it belongs to, to notice a later change
        self.log_normaliser = fixed("log_normaliser", (), "zeros")
        self.fingerprint = fixed("fingerprint", (), "zeros")
        for layer in (self.linear, self.network):
            if layer is not None and not layer.built:
                layer.build((None, None, self.width))
        self.built = True

    def actions(self, features):
        """Positions held, or units bought of floating instruments, `(B, T, D)`.

        Args:
            features: `(B, T, F)`.
        """
        self.build()
        features = tf.cast(features, self.compute_dtype)
        if features.shape.rank != 3 or features.shape[2] not in (None, self.width):
            raise ValueError(
                f"`features` must have shape (B, T, F) with F = {self.width}. "
                f"Received: shape={tuple(features.shape)}"
            )
        columns = (features - self.feature_mean) / self.feature_scale
        actions = self.linear(columns)
        if self.network is not None:
            actions += self.network(columns)
        actions *= self.unit
        if self.trade_limit is None:
            return actions
        limit = tf.constant(self.trade_limit, actions.dtype)
        return limit * tf.tanh(actions / limit)

    def call(self, inputs):
        check_keys(inputs)
        self.remember_convention(inputs)
        cost = inputs.get("cost")
        if inputs.get("sell_cost") is not None:
            buy = 0.0 if cost is None else tf.cast(cost, self.compute_dtype)
            sell = tf.cast(inputs["sell_cost"], self.compute_dtype)

            def cost(trade):
                return (buy + sell) / 2 * tf.abs(trade) + (buy - sell) / 2 * trade

        market = {
            name: tf.cast(inputs[name], self.compute_dtype)
            for name in CONVENTIONS
            if inputs.get(name) is not None
        }
        return trading_gains(self.actions(inputs["features"]), cost=cost, **market)

    def remember_convention(self, inputs):
        """Takes over the convention of the first inputs, and refuses the other one later."""
        given = next(name for name in CONVENTIONS if inputs.get(name) is not None)
        if self.convention is None:
            self.convention = given
        if given != self.convention:
            raise ValueError(
                f"this measure is one of markets with {self.convention!r}. "
                f"Received: inputs with {given!r}"
            )

    def log_density(self, inputs):
        """`log dQ/dP = -G - log E_P[exp(-G)]` of paths.

        Its exponential has mean one on the paths that the measure was fitted (or `normalise`d)
        on.

        Args:
            inputs: Dictionary of arrays or tensors; see the class.

        Returns:
            Tensor `(B,)`.

        Raises:
            ValueError: If the inputs do not fit the model.
        """
        self.build()
        if not tf.executing_eagerly():
            gains = self(inputs)
        else:
            if not self.is_normalised:
                warnings.warn(
                    "The density is not normalised for the present policy: call "
                    "`normalise(inputs)` with the paths it was trained on.",
                    stacklevel=2,
                )
            gains = self.gains_tensor(inputs)
        return -gains - tf.cast(self.log_normaliser, gains.dtype)

    def serving_signatures(self):
        """`serving_default`: whole paths to `log_density` and `gains`; see `hedgezoo.serving`."""
        from hedgezoo.serving.measure_signatures import measure_signatures

        return measure_signatures(self)

    def get_config(self):
        return {
            **super().get_config(),
            "policy": self.policy_name,
            "features": self.width if self.feature_names is None else self.feature_names,
            "instruments": self.instruments,
            "hidden_units": self.hidden_units,
            "steps": self.steps,
            "trade_limit": self.trade_limit,
            "convention": self.convention,
            "seed": self.seed,
        }
