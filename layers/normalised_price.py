"""The out-of-the-money Black-Scholes price in its two natural variables.

At zero rates an option depends on x = |log(S/K)| and on the total deviation w = σ√τ alone: the
option that is out of the money costs min(S, K) times c(x, w) = Φ(-x/w + w/2) - eˣ Φ(-x/w - w/2),
call or put.
"""

import math

import numpy as np
import tensorflow as tf

from hedgezoo.layers.normal import normal_cdf, normal_pdf

_TIME_FLOOR = {"float32": 1e-12, "float64": 1e-50}
_DEVIATION_FLOOR = {"float32": 1e-5, "float64": 1e-20}
_TINY = {"float32": 1e-12, "float64": 1e-30}


def time_floor(dtype):
    """Smallest time to expiry, in years, that the root sees; below it the slope is zero."""
    return _TIME_FLOOR[dtype.name]


def deviation_floor(dtype):
    """Smallest total deviation that is divided by.

    Large enough that second derivatives at the money do not overflow, small enough that a price
    or a delta does not notice.
    """
    return _DEVIATION_FLOOR[dtype.name]


def positive(x):
    """Floor a non-negative tensor to a positive number, to divide by it."""
    return tf.maximum(x, _TINY[x.dtype.name])


def log_ratio(spot, strike):
    """log(S/K), finite at S = 0."""
    return tf.math.log(positive(spot / strike))


def exact_log_ratio(spot, strike):
    """log(S/K) with its relative accuracy where S and K nearly agree; not differentiated."""
    excess = (spot - strike) / strike
    near = tf.abs(excess) < 0.5
    return tf.where(near, tf.math.log1p(excess), log_ratio(spot, strike))


def total_deviation(time_to_expiry, volatility):
    """σ√τ, exactly zero at or after expiry, with finite derivatives there."""
    floor = time_floor(time_to_expiry.dtype)
    root = tf.sqrt(tf.maximum(time_to_expiry, floor))
    return volatility * tf.where(time_to_expiry > floor, root, 0.0)


def d1_of(log_moneyness, deviation):
    """d₁ = log(S/K) / w + w/2 with w floored in the denominator."""
    floored = tf.maximum(deviation, deviation_floor(deviation.dtype))
    return log_moneyness / floored + 0.5 * deviation


def out_of_the_money_price(x, deviation):
    """c(x, w), the out-of-the-money price in units of min(S, K), accurate in the far wings.

    Written as Φ(d₁) - eˣ Φ(d₂) the price loses all its digits when w is small. There it is
    φ(d₁) [Y(m - w/2) - Y(m + w/2)] with m = x/w and Mills' ratio Y; expanded about m this is a sum
    of positive terms, see `_scaled_price`. The gradient belongs to the callers, who know it in
    closed form; this function is not meant to be differentiated.

    Args:
        x: |log(S/K)| ≥ 0.
        deviation: σ√τ ≥ 0.

    Returns:
        Tensor of the broadcast shape, between 0 and 1.
    """
    d1 = d1_of(-x, deviation)
    small = deviation * normal_pdf(d1) * _scaled_price(x, deviation)
    large = tf.maximum(normal_cdf(d1) - tf.exp(x) * normal_cdf(d1 - deviation), 0.0)
    return tf.where(deviation < _EXPANSION_LIMIT, small, large)


def log_out_of_the_money_price(x, deviation):
    """log c(x, w) for w > 0, also where c is far below the smallest floating number."""
    d1 = d1_of(-x, deviation)
    log_density = -0.5 * (d1 * d1 + math.log(2.0 * math.pi))
    small = tf.math.log(deviation * _scaled_price(x, deviation)) + log_density
    large = normal_cdf(d1) - tf.exp(x) * normal_cdf(d1 - deviation)
    large = tf.math.log(tf.maximum(large, np.finfo(large.dtype.as_numpy_dtype).tiny))
    return tf.where(deviation < _EXPANSION_LIMIT, small, large)


# Tail of the continued fraction below as a polynomial in u = m / √(m² + 4n), least maximal error
# of the price over m ≥ 0: 5e-17.
_TERMS = 14
_TAIL = (
    -0.017683822837354445075,
    0.00077819079650909434144,
    0.01741507240304714633,
    -0.001519698582923996904,
    0.00043789174371105142867,
    0.00067751642018160626699,
    -0.00023584803105788885679,
    0.00012283725283191885315,
)
_EXPANSION_LIMIT = 0.4  # the terms left out are below 1e-16 of the price for smaller w


def _scaled_price(x, deviation):
    """c(x, w) / (w φ(d₁)) for small w, a sum of positive terms.

    With Gₖ(m) = ∫₀^∞ tᵏ exp(-mt - t²/2) dt the difference of Mills' ratios is
    w (G₁ + G₃ (w/2)²/3! + G₅ (w/2)⁴/5! + ...). Integration by parts gives Gₖ₊₁ = k Gₖ₋₁ - m Gₖ, so
    the ratios rₖ = Gₖ / Gₖ₋₁ obey rₖ = k / (m + rₖ₊₁): run downwards, everything is positive and
    nothing cancels.
    """
    m = x / tf.maximum(deviation, deviation_floor(deviation.dtype))
    half_squared = 0.25 * deviation * deviation
    root = tf.sqrt(m * m + 4.0 * _TERMS)
    correction = horner(_TAIL, m / root)
    ratio = (1.0 + correction) * (2.0 * _TERMS) / (root + m)
    series = tf.ones_like(ratio)
    for k in range(_TERMS - 1, 0, -1):
        above, ratio = ratio, k / (m + ratio)
        if k % 2 == 0 and k + 1 < _TERMS:
            series = 1.0 + half_squared * ratio * above * series / (k * (k + 1.0))
    return ratio / (m + ratio) * series


def horner(coefficients, x):
    """Polynomial with `coefficients` in ascending order."""
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value
