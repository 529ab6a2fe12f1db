"""Networks for the dynamics of a daily history: drift and volatility under the real measure."""

import math

import keras
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_one_of, check_positive
from hedgezoo.neural_sde.dynamics import CoefficientNetwork, bounded, check_bounds
from hedgezoo.neural_sde.historical_memory import MEMORIES

_HIGHEST_CORRELATION = 0.99
_HIGHEST_RETURN = 2.0  # expected return per year
_HIGHEST_PULL = 30.0  # of the log index per year, beside its mean reversion


@keras.saving.register_keras_serializable(package="hedgezoo")
class HistoricalCoefficients(CoefficientNetwork):
    """dS / S = μ dt + σ dW, with μ and σ functions of what the path remembers.

    With `memory="index"` the logarithm y of an observed volatility index moves too,

        dy = (b - κ y) dt + ν dZ,   d⟨W, Z⟩ = ρ dt,

    and μ, σ, ν, b, ρ are functions of y and its averages; κ > 0 is a weight. With
    `memory="returns"` there is no index: they are functions of the realised volatility and the
    trend of the path itself. Time and the level of S play no part.

    Everything is bounded whatever the weights are: σ and ν by a sigmoid of their logarithm,
    μ, b and ρ by a tanh. The networks see no more than the range of the history: beyond it the
    coefficients stay as they are at its edge, and κ y alone grows. So long simulations stay.

    Args:
        memory: `"index"` or `"returns"`, see `hedgezoo.neural_sde.historical_memory`.
        windows: Lengths of the averages in time steps.
        level: Typical index, or typical volatility, per √year.
        time_step: Years between two days.
        center: Mean of the inputs in the history, one number each; 0 if not given.
        scale: Their standard deviations; 1 if not given.
        low: Their lowest values; center less 3 deviations if not given.
        high: Their highest values; center and 3 deviations if not given.
        factor_volatility: ν before training, per √year.
        factor_bounds: Lowest and highest ν.
        mean_reversion: κ before training, per year.
        correlation: ρ before training.
        expected_return: μ before training, per year.
        **kwargs: Of `CoefficientNetwork`. There are no market features.

    Call arguments:
        state: `(B, d)`, see the memory.
        time: Years, `(B, 1)`; not used.
        unit_scales: Optional factors per hidden unit, see `CoefficientNetwork.unit_scales`.

    Output shape:
        Σ, `(B, d, k)`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> network = HistoricalCoefficients(units=(8,), volatility=0.15, seed=1)
    >>> network(tf.zeros((5, 4)), tf.zeros((5, 1))).shape
    TensorShape([5, 4, 2])

    Reference:
        Guyon, Lekeufack, "Volatility is (mostly) path-dependent", Quantitative Finance (2023), for
        realised volatility and trend as inputs.
    """

    log_states = (0,)
    scheme = "log_euler"
    gridded = False
    risk_neutral = False
    first_steps = 1  # a memory counts in days
    evaluation = ("hedgezoo.neural_sde.historical_report", "evaluate_history", 2**8)

    def __init__(
        self,
        memory="index",
        windows=(5.0, 60.0),
        level=0.18,
        time_step=1 / 252,
        center=None,
        scale=None,
        low=None,
        high=None,
        factor_volatility=1.0,
        factor_bounds=(0.05, 5.0),
        mean_reversion=3.0,
        correlation=-0.7,
        expected_return=0.05,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if self.features:
            raise ValueError(
                "a historical model has no market `features`: it sees its own path. "
                f"Received: features={self.features}"
            )
        check_one_of("memory", memory, tuple(MEMORIES))
        self.memory_name = memory
        self.memory = MEMORIES[memory](float(level), tuple(windows), float(time_step))
        count = len(self.memory.names)
        self.center = _row("center", center, count, [0.0] * count)
        self.scale = _row("scale", scale, count, [1.0] * count)
        if min(self.scale) <= 0:
            raise ValueError(f"`scale` must be positive. Received: {scale}")
        edges = zip(self.center, self.scale, strict=True)
        low_edges, high_edges = zip(*((c - 3 * s, c + 3 * s) for c, s in edges), strict=True)
        self.low = _row("low", low, count, list(low_edges))
        self.high = _row("high", high, count, list(high_edges))
        if not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ValueError(f"`low` must be below `high`. Received: {self.low}, {self.high}")
        check_positive("factor_volatility", factor_volatility)
        check_positive("mean_reversion", mean_reversion)
        self.factor_volatility = float(factor_volatility)
        self.factor_bounds = check_bounds(
            "factor_bounds", factor_bounds, factor_volatility, "factor_volatility"
        )
        self.mean_reversion = float(mean_reversion)
        for name, value, limit in (
            ("correlation", correlation, _HIGHEST_CORRELATION),
            ("expected_return", expected_return, _HIGHEST_RETURN),
        ):
            if not abs(value) < limit:
                raise ValueError(f"`{name}` must lie between ±{limit}. Received: {name}={value!r}")
        self.correlation = float(correlation)
        self.expected_return = float(expected_return)
        self.initial = self.memory.initial
        self.factors = self.memory.factors
        # μ, and of an index b, ν and ρ
        self.others = self.perceptron(None, None, outputs=1 + 3 * (self.factors - 1), bias=0.0)
        self.drift = HistoricalDrift(self)

    def build(self, state_shape=None, time_shape=None, features_shape=None):
        if self.factors > 1:
            self.mean_reversion_weight = self.add_weight(
                name="mean_reversion",
                shape=(),
                initializer=keras.initializers.Constant(math.log(self.mean_reversion)),
            )
        self.others.build((None, self.width))
        super().build()

    @property
    def width(self):
        """Number of columns that `columns` returns."""
        return len(self.memory.names)

    @property
    def kappa(self):
        """The speed κ per year at which the log index reverts to its level, a scalar tensor."""
        return tf.exp(tf.convert_to_tensor(self.mean_reversion_weight))

    def columns(self, state, time, features=None):
        """What the networks see: the inputs of the memory, standardised and within their range."""
        del time, features
        inputs = self.memory.inputs(state)
        low, high, center, scale = (
            tf.constant(x, state.dtype) for x in (self.low, self.high, self.center, self.scale)
        )
        return (tf.clip_by_value(inputs, low, high) - center) / scale

    def coefficients(self, state, unit_scales=None):
        """Drift and Cholesky factor of what is observed: S and, with an index, y.

        Args:
            state: `(B, d)`.
            unit_scales: As in a call.

        Returns:
            Drift `(B, k)` per year, of S relative; and the factor `(B, k, k)` per √year, lower
            triangular with a positive diagonal.
        """
        columns = self.columns(state, None)
        sigma = bounded(self.network(columns, unit_scales=unit_scales), self.bounds)
        rest = tf.cast(self.others(columns), sigma.dtype)
        start = math.atanh(self.expected_return / _HIGHEST_RETURN)
        mu = _HIGHEST_RETURN * tf.tanh(start + rest[:, :1])
        if self.factors == 1:
            return mu, sigma[..., tf.newaxis]
        y = state[:, 1:2]
        kappa = tf.cast(self.kappa, y.dtype)
        pull = _HIGHEST_PULL * tf.tanh(rest[:, 1:2] / 3.0) - kappa * y
        low, high = self.factor_bounds
        share = math.log(self.factor_volatility / low) / math.log(high / low)
        nu = bounded(math.log(share / (1.0 - share)) + rest[:, 2:3], self.factor_bounds)
        start = math.atanh(self.correlation / _HIGHEST_CORRELATION)
        rho = _HIGHEST_CORRELATION * tf.tanh(start + rest[:, 3:4])
        price = tf.concat([sigma, tf.zeros_like(sigma)], axis=-1)
        index = tf.concat([rho * nu, tf.sqrt(1.0 - tf.square(rho)) * nu], axis=-1)
        return tf.concat([mu, pull], axis=-1), tf.stack([price, index], axis=1)

    def call(self, state, time, features=None, unit_scales=None):
        del time, features
        return self.memory.diffusion(state, self.coefficients(state, unit_scales)[1])

    def index_of(self, factor):
        """The volatility index, or the realised volatility, of a factor: `level · e^factor`.

        Args:
            factor: Any shape.

        Returns:
            Of the same shape, per √year.
        """
        return self.memory.level * tf.exp(factor)

    def factor_of(self, index):
        """The factor of a volatility index, or of a realised volatility, per √year."""
        return tf.math.log(tf.convert_to_tensor(index) / self.memory.level)

    def get_config(self):
        return {
            **super().get_config(),
            "memory": self.memory_name,
            "windows": list(self.memory.windows),
            "level": self.memory.level,
            "time_step": self.memory.time_step,
            "center": self.center,
            "scale": self.scale,
            "low": self.low,
            "high": self.high,
            "factor_volatility": self.factor_volatility,
            "factor_bounds": list(self.factor_bounds),
            "mean_reversion": self.mean_reversion,
            "correlation": self.correlation,
            "expected_return": self.expected_return,
        }


class HistoricalDrift(keras.layers.Layer):
    """The drift of the whole state, with the networks of a `HistoricalCoefficients`.

    Args:
        owner: The `HistoricalCoefficients`.

    Input shape:
        state `(B, d)` and time `(B, 1)`.

    Output shape:
        `(B, d)`, the first component relative to S.
    """

    def __init__(self, owner):
        super().__init__(autocast=False, dtype=owner.dtype_policy)
        # bound methods, so that Keras does not count the networks twice
        self._coefficients = owner.coefficients
        self._memory = owner.memory

    def call(self, state, time, features=None):
        del time, features
        drift, factor = self._coefficients(state)
        return self._memory.drift(state, drift, factor[:, 0, :1])


def _row(name, values, count, default):
    if values is None:
        return default
    return check_array(name, values, {"(q,)": (count,)}).tolist()
