"""Networks for risk-neutral dynamics: local volatility, and volatility with a factor of its own."""

import math

import keras
import tensorflow as tf

from hedgezoo.datasets.checks import check_not_negative, check_positive
from hedgezoo.neural_sde.dynamics import CoefficientNetwork, bounded, check_bounds

_HIGHEST_CORRELATION = 0.999
_HIGHEST_DRIFT = 10.0  # of the factor, per year


@keras.saving.register_keras_serializable(package="hedgezoo")
class LocalVolatility(CoefficientNetwork):
    """dS / S = σ(x, t) dW with x = log(S / F) and a network for σ.

    `log σ = log a + log(b / a) · sigmoid(N(x, t, features))` with the bounds a and b.

    Args:
        **kwargs: Of `CoefficientNetwork`.

    Call arguments:
        state: x, `(B, 1)`.
        time: Years, `(B, 1)`.
        features: Market features `(B, f)`, if there are any.
        unit_scales: Optional factors per hidden unit, see `CoefficientNetwork.unit_scales`.

    Output shape:
        σ, `(B, 1)`.

    Example:

    >>> network = LocalVolatility(units=(8,), volatility=0.3, seed=1)
    >>> sigma = network(tf.zeros((2, 1)), tf.ones((2, 1)))
    >>> bool(tf.reduce_all(tf.abs(sigma - 0.3) < 0.05))
    True

    Reference:
        Dupire, "Pricing with a smile", Risk 7 (1994).
    """

    def call(self, state, time, features=None, unit_scales=None):
        columns = self.columns(state, time, features)
        return bounded(self.network(columns, unit_scales=unit_scales), self.bounds)


@keras.saving.register_keras_serializable(package="hedgezoo")
class StochasticVolatility(CoefficientNetwork):
    """dS / S = σ(x, y, t) dW, dy = b(x, y, t) dt + ν(x, y, t) dZ, d⟨W, Z⟩ = ρ dt, y_0 = 0.

    One network each for σ, ν and b; ρ is a weight. All are bounded whatever the weights are: σ and
    ν by a sigmoid of their logarithm, `|b| < 10` and `|ρ| < 0.999` by a tanh. Before training y is
    the logarithm of the volatility, relative to its start, and reverts to zero.

    Args:
        factor_volatility: ν before training, per √year.
        factor_bounds: Lowest and highest ν.
        mean_reversion: Speed per year at which y reverts to zero before training.
        correlation: ρ before training.
        **kwargs: Of `CoefficientNetwork`.

    Call arguments:
        state: (x, y), `(B, 2)`.
        time: Years, `(B, 1)`.
        features: Market features `(B, f)`, if there are any.
        unit_scales: Optional factors per hidden unit, see `CoefficientNetwork.unit_scales`.

    Output shape:
        Σ of (x, y) on two independent Brownian motions, `(B, 2, 2)`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> network = StochasticVolatility(units=(8,), volatility=0.3, seed=1)
    >>> network(tf.zeros((5, 2)), tf.ones((5, 1))).shape
    TensorShape([5, 2, 2])

    Reference:
        Gierjatowicz, Sabate-Vidales, Šiška, Szpruch, Žurič, "Robust pricing and hedging via neural
        SDEs" (2020).
    """

    initial = (0.0, 0.0)
    factors = 2
    scheme = "log_euler"
    gridded = False

    def __init__(
        self,
        factor_volatility=0.5,
        factor_bounds=(0.01, 4.0),
        mean_reversion=1.0,
        correlation=-0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive("factor_volatility", factor_volatility)
        check_not_negative("mean_reversion", mean_reversion)
        self.factor_volatility = float(factor_volatility)
        self.factor_bounds = check_bounds(
            "factor_bounds", factor_bounds, factor_volatility, "factor_volatility"
        )
        self.mean_reversion = float(mean_reversion)
        if not abs(correlation) < _HIGHEST_CORRELATION:
            raise ValueError(
                f"`correlation` must lie between ±{_HIGHEST_CORRELATION}. "
                f"Received: correlation={correlation!r}"
            )
        self.correlation = float(correlation)
        narrow = tuple(-(-width // 2) for width in self.units)
        self.factor_network = self.perceptron(self.factor_bounds, self.factor_volatility, narrow)
        self.drift = FactorDrift(self, narrow)
        # so that log σ moves with y one for one at the start
        low, high = (math.log(bound) for bound in self.bounds)
        share = (math.log(self.volatility) - low) / (high - low)
        self._rise = 1.0 / ((high - low) * share * (1.0 - share))

    def build(self, state_shape=None, time_shape=None, features_shape=None):
        start = math.atanh(self.correlation / _HIGHEST_CORRELATION)
        self.correlation_weight = self.add_weight(
            name="correlation", shape=(), initializer=keras.initializers.Constant(start)
        )
        self.factor_network.build((None, self.width))
        self.drift.build()
        super().build()

    @property
    def rho(self):
        """The correlation of W and Z, a scalar tensor."""
        return _HIGHEST_CORRELATION * tf.tanh(tf.convert_to_tensor(self.correlation_weight))

    def call(self, state, time, features=None, unit_scales=None):
        columns = self.columns(state, time, features)
        level = self.network(columns, unit_scales=unit_scales)
        sigma = bounded(tf.cast(level, state.dtype) + self._rise * state[:, 1:], self.bounds)
        nu = bounded(tf.cast(self.factor_network(columns), state.dtype), self.factor_bounds)
        rho = tf.cast(self.rho, nu.dtype)
        price = tf.concat([sigma, tf.zeros_like(sigma)], axis=-1)
        factor = tf.concat([rho * nu, tf.sqrt(1.0 - rho**2) * nu], axis=-1)
        return tf.stack([price, factor], axis=1)

    def get_config(self):
        return {
            **super().get_config(),
            "factor_volatility": self.factor_volatility,
            "factor_bounds": list(self.factor_bounds),
            "mean_reversion": self.mean_reversion,
            "correlation": self.correlation,
        }


class FactorDrift(keras.layers.Layer):
    """(0, b): the drift of (x, y) beside a `StochasticVolatility`, whose inputs it shares.

    Args:
        owner: The `StochasticVolatility`.
        units: Widths of the hidden layers.

    Input shape:
        state `(B, 2)`, time `(B, 1)` and, if there are any, features `(B, f)`.

    Output shape:
        `(B, 2)`.
    """

    def __init__(self, owner, units):
        super().__init__(autocast=False, dtype=owner.dtype_policy)
        self.columns = owner.columns
        self.inputs_width = owner.width
        self.mean_reversion = owner.mean_reversion
        self.network = owner.perceptron(None, None, units, bias=0.0)

    def build(self, *shapes):
        self.network.build((None, self.inputs_width))
        self.built = True

    def call(self, state, time, features=None):
        pull = tf.cast(self.network(self.columns(state, time, features)), state.dtype)
        pull -= self.mean_reversion / _HIGHEST_DRIFT * state[:, 1:]
        drift = _HIGHEST_DRIFT * tf.tanh(pull)
        return tf.concat([tf.zeros_like(drift), drift], axis=-1)
