"""The sentence every hedging model says: market state -> positions -> trading gains."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers.black_scholes import log_moneyness_delta
from hedgezoo.layers.trading_gains import trading_gains
from hedgezoo.preset_model import PresetModel
from hedgezoo.suggestions import did_you_mean

# what a model may be told about the contract and the market besides the paths
MARKET_NAMES = ("strike", "volatility", "cost", "risk_aversion", "maximum", "minimum")


class HedgeModel(PresetModel):
    """A strategy as a Keras model: `model(inputs)` are the trading gains net of cost.

    Subclasses say how positions follow from features (`positions`) and what they do in one step
    (`step`). Train with `compile(optimizer, loss=EntropicRisk(...))`, `fit(market.batches(...))`.

    Args:
        features: Names of the columns of `inputs["features"]`, in order.
        strike: Strike K, money.
        call: True for a call, False for a put: the option whose delta is the reference.
        volatility: Annual volatility, used where `"volatility"` is not a feature.
        cost: Proportional cost rate, used where `"cost"` is not a feature.
        risk_aversion: Absolute risk aversion a, 1/money, used where it is not a feature.
        maturity: Time to expiry at the start, years; a scale for inputs.
        **kwargs: Of `keras.Model`.

    Input shape:
        Dictionary of `features` `(B, T, F)`, `price` `(B, T+1, D)` (or `unit_gain` `(B, T, D)`)
        and `cost` `(B, T, D)`.

    Output shape:
        `(B,)`, money.

    Raises:
        ValueError: If `"log_moneyness"` or `"time_to_expiry"` is missing from `features`, or
            a market parameter is not positive (`cost` may be zero).
    """

    def __init__(
        self,
        features=("log_moneyness", "time_to_expiry", "volatility"),
        strike=1.0,
        call=True,
        volatility=0.2,
        cost=1e-3,
        risk_aversion=1.0,
        maturity=20 / 250,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_names = tuple(features)
        for name in ("log_moneyness", "time_to_expiry"):
            if name not in self.feature_names:
                raise ValueError(f"`features` must contain {name!r}. Received: {features}")
        for name, value in {
            "strike": strike,
            "volatility": volatility,
            "risk_aversion": risk_aversion,
            "maturity": maturity,
        }.items():
            if not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
        if not cost >= 0:
            raise ValueError(f"`cost` must not be negative. Received: cost={cost}")
        self.strike = float(strike)
        self.call_option = bool(call)
        self.constants = {
            "volatility": float(volatility),
            "cost": float(cost),
            "risk_aversion": float(risk_aversion),
        }
        self.maturity = float(maturity)

    def positions(self, inputs):
        """Positions `(B, T, D)` held from each decision time to the next."""
        raise TypeError(f"{type(self).__name__} does not say what its positions are")

    def step(self, features, position):
        """One hedge step: features `(B, F)` and position `(B, D)` to a dictionary of tensors."""
        raise TypeError(f"{type(self).__name__} does not say what it does in one step")

    def call(self, inputs):
        return trading_gains(
            self.positions(inputs),
            price=inputs.get("price"),
            unit_gain=inputs.get("unit_gain"),
            cost=inputs.get("cost"),
        )

    def column(self, features, name):
        """One named feature `(...)`, or the model's constant where it is not a feature."""
        if name in self.feature_names:
            return features[..., self.feature_names.index(name)]
        return tf.constant(self.constants[name], features.dtype)

    def delta(self, features):
        """Black-Scholes delta `(...)` of the option at features `(..., F)`."""
        return log_moneyness_delta(
            self.column(features, "log_moneyness"),
            self.column(features, "time_to_expiry"),
            self.column(features, "volatility"),
            self.call_option,
        )

    def assemble(self, spot, time_to_expiry, **market):
        """Features `(..., F)` of one decision from market quantities that broadcast.

        Args:
            spot: Prices, money.
            time_to_expiry: Years.
            **market: `strike`, `volatility`, `cost`, `risk_aversion`, and the path's `maximum`
                or `minimum` so far where the model looks at them.

        Returns:
            Tensor `(..., F)` of the model's dtype.

        Raises:
            ValueError: If a name is unknown, a needed one is missing, or a value is given that
                the model cannot take into account because it was trained for another one.
        """
        for name, value in market.items():
            if name not in MARKET_NAMES:
                hint = did_you_mean(name, MARKET_NAMES)
                raise ValueError(f"Unknown market quantity {name!r}; known: {MARKET_NAMES}.{hint}")
            fixed = name in self.constants and name not in self.feature_names
            if fixed and not _all_close(value, self.constants[name]):
                raise ValueError(
                    f"this model was made for {name}={self.constants[name]} and does not take "
                    f"{name!r} as an input. Received: {name}={value}"
                )
        dtype = self.compute_dtype
        strike = tf.cast(market.get("strike", self.strike), dtype)
        columns = []
        for name in self.feature_names:
            if name == "log_moneyness":
                value = tf.math.log(tf.cast(spot, dtype) / strike)
            elif name == "time_to_expiry":
                value = time_to_expiry
            elif name in ("max_log_moneyness", "min_log_moneyness"):
                extreme = "maximum" if name.startswith("max") else "minimum"
                if extreme not in market:
                    raise ValueError(f"this model needs the path's `{extreme}` so far")
                value = tf.math.log(tf.cast(market[extreme], dtype) / strike)
            elif name in self.constants:
                value = market.get(name, self.constants[name])
            else:
                raise ValueError(f"feature {name!r} cannot be made from market quantities")
            columns.append(tf.cast(value, dtype))
        shape = columns[0].shape
        for value in columns[1:]:
            shape = tf.broadcast_static_shape(shape, value.shape)
        return tf.stack([tf.broadcast_to(value, shape) for value in columns], axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "features": self.feature_names,
            "strike": self.strike,
            "call": self.call_option,
            **self.constants,
            "maturity": self.maturity,
        }

    def evaluate_on(self, market, paths, seed, risk_aversion=None, baselines=True, exact=True):
        """Risk report beside the baselines and the optimum, as of `hedgezoo.risk_report`."""
        from hedgezoo.risk_report import risk_report

        return risk_report(self, market, paths, seed, risk_aversion, baselines, exact)

    def serving_signatures(self):
        """One hedge step, whole paths and sensitivities; see `hedgezoo.serving`."""
        from hedgezoo.serving.hedge_signatures import hedge_signatures

        return hedge_signatures(self)


def _all_close(value, reference):
    return bool(np.allclose(np.asarray(value, dtype=float), reference, rtol=1e-6, atol=0.0))
