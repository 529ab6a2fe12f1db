"""How a hedge is judged while it is trained: variance, CVaR or entropic risk of many hedges."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_one_of
from hedgezoo.layers.normal import normal_cdf
from hedgezoo.losses import CVaR, EntropicRisk
from hedgezoo.losses.trainable_intercept import sum_over_replicas

RISKS = ("variance", "cvar", "entropic")
_LEAST = 0.1  # of the deviation of the price itself: options that hardly ever pay weigh less


@keras.saving.register_keras_serializable(package="hedgezoo")
class HedgeRisk(keras.layers.Layer):
    """Risk of gains - payoff of N hedges in units of s, one value per path.

    - `"variance"`: `Var(gains - payoff) / s²`;
    - `"cvar"` and `"entropic"`: the risk of `(gains - payoff + E payoff) / s`. Written as the
      least value over an intercept, which is a weight that trains along with the hedge.

    The mean over the paths of all replicas is the risk; moments are those of the whole batch. The
    units are given and not those of the batch: of an option far out of the money a batch may have
    no payoff at all.

    Args:
        scale: s of each hedge in money, positive, `(N,)`; see `payoff_deviations`.
        risk: `"variance"`, `"cvar"` or `"entropic"`.
        level: Level of CVaR in (0, 1).
        risk_aversion: Of entropic risk, per s.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        payoff: What is owed, `(B, N)`.
        gains: What the hedge earned net of costs, `(B, N)`.

    Output shape:
        `(B, N)`.

    Raises:
        ValueError: If the risk is unknown, or a parameter out of its range.

    Example:

    >>> payoff = tf.constant([[0.0], [2.0]])
    >>> float(tf.reduce_mean(HedgeRisk([1.0])(payoff, 0.5 * payoff)))
    0.25

    Reference:
        Rockafellar, Uryasev, "Optimization of conditional value-at-risk" (2000); Ben-Tal,
        Teboulle, "An old-new concept of convex risk measures" (2007), for the intercepts.
    """

    def __init__(self, scale, risk="variance", level=0.95, risk_aversion=1.0, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        scale = check_array("scale", scale, {"(N,)": (None,)})
        if not len(scale) or not (scale > 0).all():
            raise ValueError(f"`scale` must be positive numbers. Received: scale={scale.tolist()}")
        check_one_of("risk", risk, RISKS)
        self.scale = tuple(scale.tolist())
        self.risk = risk
        self.level = level
        self.risk_aversion = risk_aversion
        # these say what is wrong with a parameter, and know the penalty of an outcome
        self._measures = {"cvar": CVaR(level), "entropic": EntropicRisk(risk_aversion)}

    def build(self, *shapes):
        if self.risk != "variance":
            self.intercept = self.add_weight(
                name="intercept", shape=(len(self.scale),), initializer="zeros", dtype="float32"
            )
        self.built = True

    def call(self, payoff, gains):
        scale = tf.constant(self.scale, payoff.dtype)
        residual = (gains - payoff) / scale
        if self.risk == "variance":
            # without the gradient of the mean, which would vanish
            return tf.square(residual - batch_mean(residual))
        mean = batch_mean(payoff) / scale
        intercept = tf.cast(tf.convert_to_tensor(self.intercept), residual.dtype)
        risk = self._measures[self.risk].penalty(residual + mean, (intercept,))
        # a certain payoff is no risk: where its mean moves with the weights, the risk does not
        return risk - (payoff - tf.stop_gradient(payoff)) / scale

    def get_config(self):
        return {
            **super().get_config(),
            "scale": list(self.scale),
            "risk": self.risk,
            "level": self.level,
            "risk_aversion": self.risk_aversion,
        }


def batch_mean(values):
    """Mean over the paths of all replicas, without gradient.

    Args:
        values: `(B, N)`.

    Returns:
        Tensor `(N,)`.
    """
    values = tf.stop_gradient(values)
    count = tf.cast(tf.shape(values)[0], values.dtype)
    sums = sum_over_replicas(tf.concat([tf.reduce_sum(values, axis=0), [count]], axis=0))
    return sums[:-1] / sums[-1]


def payoff_deviations(strikes, maturities, puts, volatility):
    """Standard deviations of option payoffs in the Black-Scholes model, in units of the forward.

    Those of options far out of the money are raised to a tenth of that of the price.

    Args:
        strikes: Strikes divided by the forward, `(N,)`.
        maturities: Years, `(N,)`.
        puts: Whether the option is a put, booleans `(N,)`.
        volatility: Per √year.

    Returns:
        float64 `(N,)`.

    Example:

    >>> payoff_deviations([1.0], [1.0], [False], 0.2).round(3)
    array([0.132])
    """
    strikes, maturities = (np.asarray(x, np.float64) for x in (strikes, maturities))
    deviation = volatility * np.sqrt(maturities)
    d1 = -np.log(strikes) / deviation + 0.5 * deviation
    sign = np.where(np.asarray(puts), -1.0, 1.0)
    second, first, zeroth = (
        normal_cdf(tf.constant(sign * (d1 + shift * deviation))).numpy() for shift in (1, 0, -1)
    )
    square = np.exp(deviation**2) * second - 2.0 * strikes * first + strikes**2 * zeroth
    mean = sign * (first - strikes * zeroth)
    return np.maximum(np.sqrt(np.maximum(square - mean**2, 0.0)), _LEAST * deviation)


def residual_deviations(payoff, gains):
    """How much a hedge leaves of each payoff's standard deviation.

    Args:
        payoff: `(B, N)`, an array.
        gains: `(B, N)`, an array.

    Returns:
        `sd(payoff - gains) / sd(payoff)`, float64 `(N,)`; NaN of an option that never pays.

    Example:

    >>> payoff = np.array([[0.0], [2.0]])
    >>> residual_deviations(payoff, 0.5 * payoff)
    array([0.5])
    """
    payoff, gains = (np.asarray(values, np.float64) for values in (payoff, gains))
    unhedged = payoff.std(axis=0)
    return (payoff - gains).std(axis=0) / np.where(unhedged > 0, unhedged, np.nan)
