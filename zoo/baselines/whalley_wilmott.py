"""The asymptotically optimal band of Whalley and Wilmott (1997)."""

import math

import keras
import tensorflow as tf

from hedgezoo.band_hedge import BandHedge


def whalley_wilmott_width(log_moneyness, time_to_expiry, volatility, cost, risk_aversion):
    """Half-width of the band around the Black-Scholes delta as the cost rate goes to zero.

    w = (3 c S Γ² / (2 a))^{1/3} with Γ = φ(d₁)/(S σ√τ). It is evaluated as
    (3c / (4π a σ²τ))^{1/3} exp(−(d₁² + log(S/K))/3), whose gradient stays finite where the gamma
    vanishes (the cube root of a square does not).

    Args:
        log_moneyness: log(S/K). All arguments broadcast.
        time_to_expiry: τ, years.
        volatility: σ, per √year.
        cost: Proportional cost rate c.
        risk_aversion: Risk aversion a times the strike K, dimensionless.

    Returns:
        Half-widths, units of the underlying per option.

    Reference:
        Whalley and Wilmott, "An asymptotic analysis of an optimal hedging model for option
        pricing with transaction costs", Mathematical Finance 7 (1997), equation 3.10.
    """
    variance = tf.maximum(volatility * volatility * time_to_expiry, 1e-10)
    d1 = (log_moneyness + 0.5 * variance) * tf.math.rsqrt(variance)
    scale = tf.pow(3.0 * cost / (4.0 * math.pi * risk_aversion * variance), 1.0 / 3.0)
    return scale * tf.exp(-(d1 * d1 + log_moneyness) / 3.0)


def vanishing_gamma_width(log_moneyness, time_to_expiry, volatility, cost, risk_aversion):
    """Half-width of the optimal band far from the strike, where the delta is 0 or 1 for good.

    k = c / (a σ² τ S). To hold ε units too many until expiry adds a ε² S² σ² τ / 2 to the risk, to
    trade them away costs c ε S; k is where the next bit of either costs the same. (Whalley and
    Wilmott's width vanishes there with the gamma, which trades too much.) At most 2 units.

    Args:
        log_moneyness: log(S/K). All arguments broadcast.
        time_to_expiry: τ, years.
        volatility: σ, per √year.
        cost: Proportional cost rate c.
        risk_aversion: Risk aversion a times the strike K, dimensionless.

    Returns:
        Half-widths, units of the underlying per option.
    """
    variance = tf.maximum(volatility * volatility * time_to_expiry, 1e-10)
    per_strike = tf.exp(-tf.cast(log_moneyness, variance.dtype))
    return tf.minimum(cost * per_strike / (risk_aversion * variance), 2.0)


@keras.saving.register_keras_serializable(package="hedgezoo")
class WhalleyWilmott(BandHedge):
    """Black-Scholes delta ± the Whalley-Wilmott half-width: optimal as the cost goes to zero.

    Args:
        features, strike, call, volatility, cost, risk_aversion, maturity: As in `HedgeModel`.
        **kwargs: Of `keras.Model`.

    Example:

    >>> lower, upper = WhalleyWilmott(cost=1e-3, risk_aversion=50.0).band(1.0, 20 / 250)
    >>> print(f"{float(lower):.3f} {float(upper):.3f}")
    0.397 0.626
    """

    def bands(self, features):
        moneyness = self.column(features, "log_moneyness")
        left = self.column(features, "time_to_expiry")
        volatility = self.column(features, "volatility")
        delta = self.delta(features)
        width = whalley_wilmott_width(
            moneyness,
            left,
            volatility,
            self.column(features, "cost"),
            self.column(features, "risk_aversion") * self.strike,
        )
        return (delta - width)[..., None], (delta + width)[..., None]
