"""Black-Scholes prices and Greeks of European options at zero rates."""

import keras
import tensorflow as tf

from hedgezoo.layers._arguments import require_values
from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.normal import normal_cdf, normal_pdf
from hedgezoo.layers.normalised_price import (
    d1_of,
    deviation_floor,
    exact_log_ratio,
    log_ratio,
    out_of_the_money_price,
    positive,
    time_floor,
    total_deviation,
)

# ------------------------------------------------------------------ price per unit of forward


def black_scholes_call(strikes, maturities, sigma):
    """Undiscounted call prices per unit of forward on a grid of maturities and strikes.

    C(K, T) = Φ(d₁) - K Φ(d₂) with d₁,₂ = -log(K) / (σ√T) ± σ√T / 2. Calls out of the money keep
    their relative accuracy in the far wings; calls in the money are intrinsic value plus the put.

    Args:
        strikes: Strikes divided by the forward, `(n,)`, or `(..., m, n)` when each maturity has
            its own.
        maturities: Years to expiry, `(m,)` or `(..., m)`. A scalar stands for a single maturity
            without an axis of its own.
        sigma: Volatilities per √year, a scalar or anything that broadcasts to `(..., m, n)`.

    Returns:
        Prices `(..., m, n)`, of the floating type of the tensors among the arguments, or float64
        when there are none but NumPy float64 arrays and Python numbers. NaN where `sigma` is NaN.

    Raises:
        ValueError: If the shapes do not match, or if a concrete (not symbolic) argument has NaN
            or non-positive strikes, NaN or negative maturities, or negative volatilities.

    Example:

    >>> black_scholes_call([0.9, 1.0, 1.1], [0.25, 1.0], 0.2).numpy().round(4)
    array([[0.1071, 0.0399, 0.0095],
           [0.1359, 0.0797, 0.0429]])

    Reference:
        Black, "The pricing of commodity contracts", 1976.
    """
    strikes, maturities, sigma = as_float_tensors(strikes, maturities, sigma)
    maturities = grid_maturities(strikes, maturities, "sigma", sigma)
    require_grid(strikes, maturities)
    require_values(lambda x: ~(x < 0), sigma, "sigma", "non-negative")
    return price_from_deviation(
        tf.ones([], strikes.dtype), strikes, total_deviation(maturities, sigma), True
    )


# ------------------------------------------------------------------------- spot, strike, Greeks


def european_price(spot, strike, time_to_expiry, volatility, call=True):
    """Price of a European option, S Φ(d₁) - K Φ(d₂) for a call.

    d₁,₂ = log(S/K) / (σ√τ) ± σ√τ / 2. At `time_to_expiry` or `volatility` zero the price is the
    payoff. All derivatives of the price, in every argument, are finite everywhere.

    Args:
        spot: Spot S ≥ 0, any shape.
        strike: Strike K > 0, in the money of `spot`.
        time_to_expiry: Years to expiry τ; zero or less means expired.
        volatility: Volatility σ ≥ 0 per √year.
        call: `True` for a call, `False` for a put.

    Returns:
        Tensor of the broadcast shape of the arguments.

    Example:

    >>> round(float(european_price(100.0, 100.0, 0.25, 0.2)), 4)
    3.9878
    """
    spot, strike, time_to_expiry, volatility = as_float_tensors(
        spot, strike, time_to_expiry, volatility
    )
    return price_from_deviation(spot, strike, total_deviation(time_to_expiry, volatility), call)


def european_delta(spot, strike, time_to_expiry, volatility, call=True):
    """Delta of a European option, Φ(d₁) for a call and -Φ(-d₁) for a put.

    At expiry the call has delta 1 above the strike, 0 below and 1/2 on it. Values and gradients
    are finite everywhere, because σ√τ is floored in the denominator of d₁.

    Args:
        spot: Spot S ≥ 0, any shape.
        strike: Strike K > 0, in the money of `spot`.
        time_to_expiry: Years to expiry τ; zero or less means expired.
        volatility: Volatility σ ≥ 0 per √year.
        call: `True` for a call, `False` for a put.

    Returns:
        Tensor of the broadcast shape of the arguments.

    Example:

    >>> european_delta(100.0, [90.0, 100.0, 110.0], 0.25, 0.2).numpy().round(4)
    array([0.8651, 0.5199, 0.1832])
    """
    spot, strike, time_to_expiry, volatility = as_float_tensors(
        spot, strike, time_to_expiry, volatility
    )
    return _delta(log_ratio(spot, strike), time_to_expiry, volatility, call)


def european_gamma(spot, strike, time_to_expiry, volatility, call=True):
    """Gamma of a European option, φ(d₁) / (S σ√τ), the same for call and put.

    At expiry gamma is zero away from the strike and large but finite on it (σ√τ is floored).

    Args:
        spot: Spot S ≥ 0, any shape.
        strike: Strike K > 0, in the money of `spot`.
        time_to_expiry: Years to expiry τ; zero or less means expired.
        volatility: Volatility σ ≥ 0 per √year.
        call: Ignored: call and put have the same gamma.

    Returns:
        Tensor of the broadcast shape of the arguments, per unit of money squared.

    Example:

    >>> european_gamma(100.0, [90.0, 100.0, 110.0], 0.25, 0.2).numpy().round(4)
    array([0.0217, 0.0398, 0.0265])
    """
    del call
    spot, strike, time_to_expiry, volatility = as_float_tensors(
        spot, strike, time_to_expiry, volatility
    )
    deviation = volatility * tf.sqrt(tf.maximum(time_to_expiry, time_floor(spot.dtype)))
    deviation = tf.maximum(deviation, deviation_floor(spot.dtype))
    d1 = log_ratio(spot, strike) / deviation + 0.5 * deviation
    return normal_pdf(d1) / deviation / positive(spot)


def european_vega(spot, strike, time_to_expiry, volatility, call=True):
    """Vega of a European option, ∂price/∂σ = S φ(d₁) √τ, the same for call and put.

    Args:
        spot: Spot S ≥ 0, any shape.
        strike: Strike K > 0, in the money of `spot`.
        time_to_expiry: Years to expiry τ; zero or less means expired.
        volatility: Volatility σ ≥ 0 per √year.
        call: Ignored: call and put have the same vega.

    Returns:
        Tensor of the broadcast shape of the arguments, money per unit of volatility (divide by
        100 for a volatility point).

    Example:

    >>> round(float(european_vega(100.0, 100.0, 0.25, 0.2)), 4)
    19.9222
    """
    del call
    spot, strike, time_to_expiry, volatility = as_float_tensors(
        spot, strike, time_to_expiry, volatility
    )
    d1 = d1_of(log_ratio(spot, strike), total_deviation(time_to_expiry, volatility))
    one = tf.ones([], spot.dtype)
    return spot * normal_pdf(d1) * total_deviation(time_to_expiry, one)


def european_theta(spot, strike, time_to_expiry, volatility, call=True):
    """Theta of a European option: the change of its price per year of calendar time.

    Theta is the derivative in time, so minus the derivative in time to expiry:
    -½ σ² S² gamma = -S φ(d₁) σ / (2√τ), the same for call and put at zero rates, never positive.

    Args:
        spot: Spot S ≥ 0, any shape.
        strike: Strike K > 0, in the money of `spot`.
        time_to_expiry: Years to expiry τ; zero or less means expired.
        volatility: Volatility σ ≥ 0 per √year.
        call: Ignored: call and put have the same theta.

    Returns:
        Tensor of the broadcast shape of the arguments, money per year.

    Example:

    >>> round(float(european_theta(100.0, 100.0, 0.25, 0.2)), 4)
    -7.9689
    """
    spot, strike, time_to_expiry, volatility = as_float_tensors(
        spot, strike, time_to_expiry, volatility
    )
    gamma = european_gamma(spot, strike, time_to_expiry, volatility, call)
    return -0.5 * tf.square(volatility * spot) * gamma


@keras.saving.register_keras_serializable(package="hedgezoo")
class BlackScholesDelta(keras.layers.Layer):
    """Black-Scholes delta of a European option as a layer, Φ(d₁) or -Φ(-d₁).

    The reference position around which a band network puts its band. It has no weights.

    Args:
        call: `True` for a call, `False` for a put.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Call arguments:
        log_moneyness: log(S/K), any shape.
        time_to_expiry: Years to expiry, broadcasting against `log_moneyness`.
        volatility: Volatility per √year, broadcasting against `log_moneyness`.

    Output shape:
        The broadcast shape of the inputs.

    Example:

    >>> layer = BlackScholesDelta()
    >>> log_moneyness = tf.constant([[-0.1, 0.0, 0.1]])
    >>> layer(log_moneyness, time_to_expiry=0.25, volatility=0.2).numpy().round(4)
    array([[0.1711, 0.5199, 0.8531]], dtype=float32)
    """

    def __init__(self, call=True, **kwargs):
        super().__init__(**kwargs)
        self.call_option = bool(call)

    def call(self, log_moneyness, time_to_expiry, volatility):
        delta = log_moneyness_delta(
            log_moneyness, time_to_expiry, volatility, call=self.call_option
        )
        return tf.cast(delta, self.compute_dtype)  # half precision is computed in float32

    def get_config(self):
        return {**super().get_config(), "call": self.call_option}


def log_moneyness_delta(log_moneyness, time_to_expiry, volatility, call=True):
    """Delta of a European option from its log-moneyness, see `european_delta`.

    Args:
        log_moneyness: log(S/K), any shape.
        time_to_expiry: Years to expiry τ; zero or less means expired.
        volatility: Volatility σ ≥ 0 per √year.
        call: `True` for a call, `False` for a put.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    log_moneyness, time_to_expiry, volatility = as_float_tensors(
        log_moneyness, time_to_expiry, volatility
    )
    return _delta(log_moneyness, time_to_expiry, volatility, call)


# ------------------------------------------------------------------------------------ internals


def _delta(log_moneyness, time_to_expiry, volatility, call):
    # the hot path of a band network: as few operations as possible, no branch
    deviation = volatility * tf.sqrt(tf.maximum(time_to_expiry, time_floor(log_moneyness.dtype)))
    d1 = d1_of(log_moneyness, deviation)
    return normal_cdf(d1) if call else -normal_cdf(-d1)


def price_from_deviation(spot, strike, deviation, call):
    """European price from w = σ√τ, its gradient in closed form.

    The closed form is right at the kinks (S = K at expiry), cheap, and differentiable again.
    """

    @tf.custom_gradient
    def price(spot, strike, deviation):
        def gradient(upstream):
            d1 = d1_of(log_ratio(spot, strike), deviation)
            d2 = d1 - deviation
            sign = 1.0 if call else -1.0
            return (
                _sum_to(spot, upstream * sign * normal_cdf(sign * d1)),
                _sum_to(strike, upstream * -sign * normal_cdf(sign * d2)),
                _sum_to(deviation, upstream * spot * normal_pdf(d1)),
            )

        intrinsic = tf.nn.relu(spot - strike if call else strike - spot)
        time_value = out_of_the_money_price(tf.abs(exact_log_ratio(spot, strike)), deviation)
        return intrinsic + tf.minimum(spot, strike) * time_value, gradient

    return price(spot, strike, deviation)


def _sum_to(x, gradient):
    """Sum a gradient over the axes along which `x` was broadcast."""
    axes = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(x), s1=tf.shape(gradient)).r0
    return tf.reshape(tf.reduce_sum(gradient, axes), tf.shape(x))


# ----------------------------------------------------------------------------------- validation


def grid_maturities(strikes, maturities, name, values):
    """Give maturities the trailing strike axis and check that the three shapes broadcast."""
    expanded = maturities if maturities.shape.rank == 0 else maturities[..., tf.newaxis]
    try:
        shape = tf.broadcast_static_shape(strikes.shape, expanded.shape)
        tf.broadcast_static_shape(shape, values.shape)
    except ValueError:
        raise ValueError(
            "Expected `strikes` (n,) or (..., m, n), `maturities` (m,) or (..., m), and "
            f"`{name}` that broadcasts to (..., m, n). Received: strikes.shape={strikes.shape}, "
            f"maturities.shape={maturities.shape}, {name}.shape={values.shape}"
        ) from None
    return expanded


def require_grid(strikes, maturities):
    """Raise if concrete strikes or maturities cannot be the grid of a price surface."""
    finite = tf.math.is_finite
    require_values(lambda x: (x > 0) & finite(x), strikes, "strikes", "positive and finite")
    require_values(
        lambda x: (x >= 0) & finite(x), maturities, "maturities", "non-negative and finite"
    )
