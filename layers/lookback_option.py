"""Lookback options at zero rates, fixed and floating strike.

With M the running maximum and m the running minimum of the spot, all four are sums of what is
already locked in and of the excess of the future maximum over a level H ≥ S, or of the shortfall of
the future minimum under a level H ≤ S:

    fixed call  (M - K)⁺ + E(max - H)⁺,  H = max(M, K)        floating put   M - S + E(max - M)⁺
    fixed put   (K - m)⁺ + E(H - min)⁺,  H = min(m, K)        floating call  S - m + E(m - min)⁺

and at zero rates, with d₁,₂ = log(S/H) / (σ√τ) ± σ√τ / 2 and J(z) = zΦ(z) + φ(z),

    E(max - H)⁺ = call(S, H) + S σ√τ J(d₁),          E(H - min)⁺ = put(S, H) + S σ√τ J(-d₁).

Seen every Δt years only, these become e^(-b) E(max - e^b H)⁺ and e^b E(e^(-b) H - min)⁺ with
b = 0.5826 σ √Δt.
"""

import tensorflow as tf

from hedgezoo.layers.black_scholes import price_from_deviation
from hedgezoo.layers.discrete_monitoring import barrier_shift, shift_slope
from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.normal import normal_cdf, normal_pdf
from hedgezoo.layers.normalised_price import (
    d1_of,
    deviation_floor,
    log_ratio,
    positive,
    total_deviation,
)


def lookback_price(
    spot, strike, time_to_expiry, volatility, extremum=None, call=True, monitoring_step=None
):
    """Price of a lookback option on the maximum M or the minimum m of the spot.

    Fixed strike: the call pays (M - K)⁺, the put (K - m)⁺. Floating strike (`strike=None`): the
    call pays S_T - m, the put M - S_T. At `time_to_expiry` or `volatility` zero the price is the
    payoff. Values and gradients are finite everywhere.

    Args:
        spot: Spot S > 0, any shape.
        strike: Strike K > 0, in the money of `spot`, or `None` for a floating strike.
        time_to_expiry: Years to expiry τ; zero or less means expired.
        volatility: Volatility σ ≥ 0 per √year.
        extremum: The running extremum that the payoff looks at: the maximum so far for a fixed
            call and a floating put, the minimum so far for a fixed put and a floating call. By
            default the spot. Derivatives hold it fixed.
        call: `True` for a call, `False` for a put.
        monitoring_step: Years between observations of the spot. By default the extremum is
            continuous; otherwise the continuity correction of the second reference is applied.

    Returns:
        Tensor of the broadcast shape of the arguments.

    Raises:
        ValueError: If `monitoring_step` is negative.

    Example:

    >>> round(float(lookback_price(1.0, 1.0, 20 / 250, 0.2)), 5)
    0.04594
    >>> round(float(lookback_price(1.0, 1.0, 20 / 250, 0.2, monitoring_step=1 / 250)), 5)
    0.03866

    Reference:
        Conze and Viswanathan, "Path dependent options: the case of lookback options", Journal of
        Finance 46(5), 1991; Goldman, Sosin and Gatto, Journal of Finance 34(5), 1979.
        Broadie, Glasserman and Kou, "Connecting discrete and continuous path-dependent options",
        Finance and Stochastics 3, 1999, theorem 3.
    """
    terms = _Lookback(spot, strike, time_to_expiry, volatility, extremum, call, monitoring_step)
    vanilla = price_from_deviation(terms.spot, terms.level, terms.deviation, terms.upper)
    z = terms.sign * terms.d1
    overshoot = z * normal_cdf(z) + normal_pdf(z)
    return terms.locked_in + terms.scale * (vanilla + terms.spot * terms.deviation * overshoot)


def lookback_delta(
    spot, strike, time_to_expiry, volatility, extremum=None, call=True, monitoring_step=None
):
    """Delta of a lookback option, the running extremum held fixed.

    ±2Φ(±d₁) + σ√τ J(±d₁) with the upper sign for payoffs on the maximum, plus 1 for a floating
    call and minus 1 for a floating put.

    Args:
        spot, strike, time_to_expiry, volatility,
            extremum, call, monitoring_step: As in `lookback_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Lookback(spot, strike, time_to_expiry, volatility, extremum, call, monitoring_step)
    return terms.locked_in_delta + terms.scale * terms.excess_delta


def lookback_gamma(
    spot, strike, time_to_expiry, volatility, extremum=None, call=True, monitoring_step=None
):
    """Gamma of a lookback option, (2φ(d₁) / (σ√τ) ± Φ(±d₁)) / S.

    Args:
        spot, strike, time_to_expiry, volatility,
            extremum, call, monitoring_step: As in `lookback_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Lookback(spot, strike, time_to_expiry, volatility, extremum, call, monitoring_step)
    return terms.scale * terms.curvature / terms.floored / positive(terms.spot)


def lookback_vega(
    spot, strike, time_to_expiry, volatility, extremum=None, call=True, monitoring_step=None
):
    """Vega of a lookback option, ∂price/∂σ = S √τ (2φ(d₁) ± σ√τ Φ(±d₁)).

    With a `monitoring_step` the correction moves with the volatility, and vega includes that.

    Args:
        spot, strike, time_to_expiry, volatility,
            extremum, call, monitoring_step: As in `lookback_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Lookback(spot, strike, time_to_expiry, volatility, extremum, call, monitoring_step)
    vega = terms.curvature * terms.root_time
    if monitoring_step is not None:
        vega -= terms.sign * terms.excess_delta * shift_slope(monitoring_step, vega.dtype)
    return terms.scale * terms.spot * vega


def lookback_theta(
    spot, strike, time_to_expiry, volatility, extremum=None, call=True, monitoring_step=None
):
    """Theta of a lookback option per year of calendar time, -½ σ² S² gamma.

    The derivative in time, so minus the derivative in time to expiry.

    Args:
        spot, strike, time_to_expiry, volatility,
            extremum, call, monitoring_step: As in `lookback_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Lookback(spot, strike, time_to_expiry, volatility, extremum, call, monitoring_step)
    theta = -0.5 * tf.square(terms.volatility) * terms.curvature / terms.floored
    return terms.scale * terms.spot * theta


class _Lookback:
    """What price and Greeks share.

    `scale` and `level` belong to the excess or shortfall of the module docstring, `excess_delta` is
    its delta and `curvature` is S σ√τ times its gamma, both before scaling.
    """

    def __init__(self, spot, strike, time_to_expiry, volatility, extremum, call, monitoring_step):
        floating, fresh = strike is None, extremum is None
        self.upper = bool(call) != floating  # payoffs on the maximum
        self.sign = 1.0 if self.upper else -1.0
        spot, strike, time_to_expiry, volatility, extremum = as_float_tensors(
            spot,
            1.0 if floating else strike,
            time_to_expiry,
            volatility,
            spot if fresh else extremum,
        )
        if fresh:
            extremum = tf.stop_gradient(extremum)
        further = tf.maximum if self.upper else tf.minimum
        # the spot counts as seen; derivatives in the spot hold the extremum fixed
        extremum = further(extremum, tf.stop_gradient(spot))
        level = extremum if floating else further(extremum, strike)
        gap = self.sign * (extremum - (spot if floating else strike))
        self.locked_in = gap if floating else tf.nn.relu(gap)
        self.locked_in_delta = -self.sign if floating else 0.0

        shift = self.sign * barrier_shift(volatility, monitoring_step)
        self.scale, self.level = tf.exp(-shift), level * tf.exp(shift)
        self.spot, self.volatility = spot, volatility
        self.root_time = total_deviation(time_to_expiry, tf.ones([], spot.dtype))
        self.deviation = volatility * self.root_time
        self.floored = tf.maximum(self.deviation, deviation_floor(spot.dtype))
        self.d1 = d1_of(log_ratio(spot, self.level), self.deviation)

        z = self.sign * self.d1
        tail, density = normal_cdf(z), normal_pdf(z)
        self.excess_delta = self.sign * 2.0 * tail + self.deviation * (z * tail + density)
        self.curvature = 2.0 * density + self.sign * self.deviation * tail
