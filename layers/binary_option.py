"""Binary options at zero rates: cash-or-nothing at expiry, and one-touch."""

import tensorflow as tf

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

# ------------------------------------------------------------------------------ cash or nothing


def binary_price(spot, strike, time_to_expiry, volatility, call=True):
    """Price of a claim on 1 paid at expiry if S_T ≥ K (call) or S_T < K (put), Φ(±d₂).

    d₂ = log(S/K) / (σ√τ) - σ√τ / 2. At `time_to_expiry` or `volatility` zero the price is the
    payoff, and 1/2 on the strike. Values and gradients are finite everywhere.

    Args:
        spot: Spot S > 0, any shape.
        strike: Strike K > 0, in the money of `spot`.
        time_to_expiry: Years to expiry τ; zero or less means expired.
        volatility: Volatility σ ≥ 0 per √year.
        call: `True` for a call, `False` for a put.

    Returns:
        Tensor of the broadcast shape of the arguments.

    Example:

    >>> binary_price(100.0, [90.0, 100.0, 110.0], 0.25, 0.2).numpy().round(4)
    array([0.8422, 0.4801, 0.1579])
    """
    terms = _Binary(spot, strike, time_to_expiry, volatility)
    return normal_cdf(terms.d2 if call else -terms.d2)


def binary_delta(spot, strike, time_to_expiry, volatility, call=True):
    """Delta of a binary option, ±φ(d₂) / (S σ√τ).

    Args:
        spot, strike, time_to_expiry, volatility, call: As in `binary_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Binary(spot, strike, time_to_expiry, volatility)
    return _signed(call, terms.density / positive(terms.spot))


def binary_gamma(spot, strike, time_to_expiry, volatility, call=True):
    """Gamma of a binary option, ∓φ(d₂) d₁ / (S² σ² τ).

    Args:
        spot, strike, time_to_expiry, volatility, call: As in `binary_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Binary(spot, strike, time_to_expiry, volatility)
    gamma = terms.curvature / terms.floored / positive(terms.spot) / positive(terms.spot)
    return _signed(call, gamma)


def binary_vega(spot, strike, time_to_expiry, volatility, call=True):
    """Vega of a binary option, ∂price/∂σ = ∓φ(d₂) d₁ / σ.

    Args:
        spot, strike, time_to_expiry, volatility, call: As in `binary_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Binary(spot, strike, time_to_expiry, volatility)
    return _signed(call, terms.curvature * terms.root_time)


def binary_theta(spot, strike, time_to_expiry, volatility, call=True):
    """Theta of a binary option per year of calendar time, ±φ(d₂) d₁ / (2τ).

    The derivative in time, so minus the derivative in time to expiry.

    Args:
        spot, strike, time_to_expiry, volatility, call: As in `binary_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Binary(spot, strike, time_to_expiry, volatility)
    theta = -0.5 * tf.square(terms.volatility) * terms.curvature / terms.floored
    return _signed(call, theta)


class _Binary:
    """What the Greeks of a binary call share; `curvature` is S² σ√τ times its gamma."""

    def __init__(self, spot, strike, time_to_expiry, volatility):
        spot, strike, time_to_expiry, volatility = as_float_tensors(
            spot, strike, time_to_expiry, volatility
        )
        self.spot, self.volatility = spot, volatility
        self.root_time = total_deviation(time_to_expiry, tf.ones([], spot.dtype))
        self.deviation = volatility * self.root_time
        self.floored = tf.maximum(self.deviation, deviation_floor(spot.dtype))
        d1 = d1_of(log_ratio(spot, strike), self.deviation)
        self.d2 = d1 - self.deviation
        self.density = normal_pdf(self.d2) / self.floored
        self.curvature = -self.density * d1


def _signed(call, value):
    return value if call else -value


# ------------------------------------------------------------------------------------ one-touch


def one_touch_price(
    spot,
    barrier,
    time_to_expiry,
    volatility,
    extremum=None,
    direction="up",
    monitoring_step=None,
):
    """Price of a claim on 1 if the spot touches the barrier before expiry (American binary).

    Below an upper barrier H the price is Φ(d₂) + (S/H) Φ(d₁) with
    d₁,₂ = log(S/H) / (σ√τ) ± σ√τ / 2; above a lower barrier Φ(-d₂) + (S/H) Φ(-d₁). At zero rates it
    does not matter when the 1 is paid.

    Args:
        spot: Spot S > 0, any shape.
        barrier: Barrier H > 0. It is touched if the spot is at or beyond it.
        time_to_expiry: Years to expiry τ; zero or less means expired.
        volatility: Volatility σ ≥ 0 per √year.
        extremum: Running maximum (minimum for a lower barrier) of the spot so far; by default the
            spot itself.
        direction: `"up"` for an upper barrier, `"down"` for a lower one.
        monitoring_step: Years between observations. By default the barrier is watched
            continuously; otherwise it is moved away by exp(0.5826 σ √step), see the reference.

    Returns:
        Tensor of the broadcast shape of the arguments.

    Raises:
        ValueError: If `direction` is neither "up" nor "down",
            or `monitoring_step` is negative.

    Example:

    >>> one_touch_price(100.0, [105.0, 110.0, 120.0], 0.25, 0.2).numpy().round(4)
    array([0.6103, 0.3245, 0.0623])

    Reference:
        Reiner and Rubinstein, "Unscrambling the binary code", Risk 4(9), 1991.
        Broadie, Glasserman and Kou, "A continuity correction for discrete barrier options",
        Mathematical Finance 7(4), 1997, theorem 1.1.
    """
    terms = _OneTouch(
        spot, barrier, time_to_expiry, volatility, extremum, direction, monitoring_step
    )
    alive = normal_cdf(terms.sign * terms.d2) + terms.ratio * normal_cdf(terms.sign * terms.d1)
    return tf.where(terms.touched, tf.ones_like(alive), alive)


def one_touch_delta(
    spot,
    barrier,
    time_to_expiry,
    volatility,
    extremum=None,
    direction="up",
    monitoring_step=None,
):
    """Delta of a one-touch claim, ±2 φ(d₂) / (S σ√τ) + Φ(±d₁) / H, zero once touched.

    Args:
        spot, barrier, time_to_expiry, volatility,
            extremum, direction, monitoring_step: As in `one_touch_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _OneTouch(
        spot, barrier, time_to_expiry, volatility, extremum, direction, monitoring_step
    )
    return tf.where(terms.touched, 0.0, terms.spot_delta / positive(terms.spot))


def one_touch_gamma(
    spot,
    barrier,
    time_to_expiry,
    volatility,
    extremum=None,
    direction="up",
    monitoring_step=None,
):
    """Gamma of a one-touch claim, 2 |log(S/H)| φ(d₂) / (S² σ³ τ^(3/2)), zero once touched.

    Args:
        spot, barrier, time_to_expiry, volatility,
            extremum, direction, monitoring_step: As in `one_touch_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _OneTouch(
        spot, barrier, time_to_expiry, volatility, extremum, direction, monitoring_step
    )
    gamma = terms.curvature / terms.floored / positive(terms.spot) / positive(terms.spot)
    return tf.where(terms.touched, 0.0, gamma)


def one_touch_vega(
    spot,
    barrier,
    time_to_expiry,
    volatility,
    extremum=None,
    direction="up",
    monitoring_step=None,
):
    """Vega of a one-touch claim, ∂price/∂σ = 2 |log(S/H)| φ(d₂) / (σ² √τ), zero once touched.

    With a `monitoring_step` the barrier moves with the volatility, and vega includes that.

    Args:
        spot, barrier, time_to_expiry, volatility,
            extremum, direction, monitoring_step: As in `one_touch_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _OneTouch(
        spot, barrier, time_to_expiry, volatility, extremum, direction, monitoring_step
    )
    vega = terms.curvature * terms.root_time
    if monitoring_step is not None:
        vega -= terms.sign * terms.spot_delta * shift_slope(monitoring_step, vega.dtype)
    return tf.where(terms.touched, 0.0, vega)


def one_touch_theta(
    spot,
    barrier,
    time_to_expiry,
    volatility,
    extremum=None,
    direction="up",
    monitoring_step=None,
):
    """Theta of a one-touch claim per year of calendar time, -½ σ² S² gamma.

    The derivative in time, so minus the derivative in time to expiry.

    Args:
        spot, barrier, time_to_expiry, volatility,
            extremum, direction, monitoring_step: As in `one_touch_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _OneTouch(
        spot, barrier, time_to_expiry, volatility, extremum, direction, monitoring_step
    )
    theta = -0.5 * tf.square(terms.volatility) * terms.curvature / terms.floored
    return tf.where(terms.touched, 0.0, theta)


class _OneTouch:
    """What the Greeks of a one-touch claim share; `curvature` is S² σ√τ times its gamma."""

    def __init__(
        self, spot, barrier, time_to_expiry, volatility, extremum, direction, monitoring_step
    ):
        spot, barrier, time_to_expiry, volatility, extremum = as_float_tensors(
            spot, barrier, time_to_expiry, volatility, spot if extremum is None else extremum
        )
        self.touched = is_touched(spot, barrier, extremum, direction)
        self.sign = 1.0 if direction == "up" else -1.0
        self.spot, self.volatility = spot, volatility
        barrier *= tf.exp(self.sign * barrier_shift(volatility, monitoring_step))
        self.root_time = total_deviation(time_to_expiry, tf.ones([], spot.dtype))
        deviation = volatility * self.root_time
        self.floored = tf.maximum(deviation, deviation_floor(spot.dtype))
        self.ratio = spot / barrier
        log_moneyness = log_ratio(spot, barrier)
        self.d1 = d1_of(log_moneyness, deviation)
        self.d2 = self.d1 - deviation
        density = normal_pdf(self.d2) / self.floored
        self.curvature = 2.0 * density * tf.abs(log_moneyness) / self.floored
        self.spot_delta = self.sign * 2.0 * density + self.ratio * normal_cdf(self.sign * self.d1)


def is_touched(spot, barrier, extremum, direction):
    """Whether a barrier has been reached by the spot now or by its running extremum."""
    if direction not in ("up", "down"):
        raise ValueError(f'`direction` must be "up" or "down". Received: direction={direction!r}')
    if direction == "up":
        return (spot >= barrier) | (extremum >= barrier)
    return (spot <= barrier) | (extremum <= barrier)
