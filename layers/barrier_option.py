"""European options with one continuously watched barrier, at zero rates and without rebate.

At zero rates the image principle gives the knock-out before it is touched,

    out(S) = V(S) - (S/H) V(H²/S),

where V is the European price of the payoff cut off at and beyond the barrier H, a sum of vanilla
and binary options struck at K or H. The knock-in is the vanilla option minus the knock-out.
"""

import tensorflow as tf

from hedgezoo.layers.binary_option import (
    binary_delta,
    binary_gamma,
    binary_price,
    is_touched,
)
from hedgezoo.layers.black_scholes import european_delta, european_gamma, european_price
from hedgezoo.layers.discrete_monitoring import barrier_shift, shift_slope
from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.normalised_price import (
    deviation_floor,
    positive,
    total_deviation,
)


def barrier_price(
    spot,
    strike,
    barrier,
    time_to_expiry,
    volatility,
    extremum=None,
    direction="up",
    knock="out",
    call=True,
    monitoring_step=None,
):
    """Price of a European option that a barrier ends (out) or brings to life (in).

    Once touched, a knock-out is worth 0 and a knock-in is the vanilla option; in plus out is the
    vanilla option always. At `time_to_expiry` or `volatility` zero the price is the payoff. Values
    and gradients are finite everywhere.

    Args:
        spot: Spot S > 0, any shape.
        strike: Strike K > 0, in the money of `spot`.
        barrier: Barrier H > 0. It is touched if the spot is at or beyond it.
        time_to_expiry: Years to expiry τ; zero or less means expired.
        volatility: Volatility σ ≥ 0 per √year.
        extremum: Running maximum (minimum for a lower barrier) of the spot so far; by default the
            spot itself.
        direction: `"up"` for an upper barrier, `"down"` for a lower one.
        knock: `"out"` or `"in"`.
        call: `True` for a call, `False` for a put.
        monitoring_step: Years between observations. By default the barrier is watched
            continuously; otherwise it is moved away by exp(0.5826 σ √step), see the reference.

    Returns:
        Tensor of the broadcast shape of the arguments.

    Raises:
        ValueError: If `direction` is neither "up" nor "down", `knock` neither "in" nor "out",
            or `monitoring_step` is negative.

    Example:

    >>> barrier_price(100.0, 100.0, [105.0, 110.0, 120.0], 0.25, 0.2).numpy().round(4)
    array([0.0647, 0.6343, 2.7421])

    Reference:
        Reiner and Rubinstein, "Breaking down the barriers", Risk 4(8), 1991.
        Broadie, Glasserman and Kou, "A continuity correction for discrete barrier options",
        Mathematical Finance 7(4), 1997, theorem 1.1.
    """
    terms = _Barrier(
        (spot, strike, barrier, time_to_expiry, volatility, extremum),
        (direction, knock, call),
        monitoring_step,
    )
    image = terms.ratio * terms.cut_off(_PRICE, terms.image)
    return terms.knocked(_PRICE, image)


def barrier_delta(
    spot,
    strike,
    barrier,
    time_to_expiry,
    volatility,
    extremum=None,
    direction="up",
    knock="out",
    call=True,
    monitoring_step=None,
):
    """Delta of a barrier option, V'(S) - V(H²/S) / H + (H/S) V'(H²/S) for a living knock-out.

    Args:
        spot, strike, barrier, time_to_expiry, volatility, extremum,
            direction, knock, call, monitoring_step: As in `barrier_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Barrier(
        (spot, strike, barrier, time_to_expiry, volatility, extremum),
        (direction, knock, call),
        monitoring_step,
    )
    image = terms.cut_off(_INTERCEPT, terms.image) / terms.barrier
    return terms.knocked(_DELTA, image)


def barrier_gamma(
    spot,
    strike,
    barrier,
    time_to_expiry,
    volatility,
    extremum=None,
    direction="up",
    knock="out",
    call=True,
    monitoring_step=None,
):
    """Gamma of a barrier option, V''(S) - (H/S)³ V''(H²/S) for a living knock-out.

    Args:
        spot, strike, barrier, time_to_expiry, volatility, extremum,
            direction, knock, call, monitoring_step: As in `barrier_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Barrier(
        (spot, strike, barrier, time_to_expiry, volatility, extremum),
        (direction, knock, call),
        monitoring_step,
    )
    return terms.gamma()


def barrier_vega(
    spot,
    strike,
    barrier,
    time_to_expiry,
    volatility,
    extremum=None,
    direction="up",
    knock="out",
    call=True,
    monitoring_step=None,
):
    """Vega of a barrier option, ∂price/∂σ = σ τ S² gamma.

    With a `monitoring_step` the barrier moves with the volatility, and vega includes that.

    Args:
        spot, strike, barrier, time_to_expiry, volatility, extremum,
            direction, knock, call, monitoring_step: As in `barrier_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Barrier(
        (spot, strike, barrier, time_to_expiry, volatility, extremum),
        (direction, knock, call),
        monitoring_step,
    )
    # gamma times the floored σ√τ: keeps the vega at volatility zero
    vega = terms.gamma() * tf.square(terms.spot) * terms.floored * terms.root_time
    if monitoring_step is not None:
        vega += terms.barrier_slope() * shift_slope(monitoring_step, vega.dtype)
    return vega


def barrier_theta(
    spot,
    strike,
    barrier,
    time_to_expiry,
    volatility,
    extremum=None,
    direction="up",
    knock="out",
    call=True,
    monitoring_step=None,
):
    """Theta of a barrier option per year of calendar time, -½ σ² S² gamma.

    The derivative in time, so minus the derivative in time to expiry.

    Args:
        spot, strike, barrier, time_to_expiry, volatility, extremum,
            direction, knock, call, monitoring_step: As in `barrier_price`.

    Returns:
        Tensor of the broadcast shape of the arguments.
    """
    terms = _Barrier(
        (spot, strike, barrier, time_to_expiry, volatility, extremum),
        (direction, knock, call),
        monitoring_step,
    )
    return -0.5 * tf.square(terms.volatility * terms.spot) * terms.gamma()


def _european_intercept(spot, strike, time_to_expiry, volatility, call):
    """Price - S delta = ∓K Φ(±d₂)."""
    binary = strike * binary_price(spot, strike, time_to_expiry, volatility, call)
    return -binary if call else binary


def _binary_intercept(*arguments):
    """Price - S delta."""
    return binary_price(*arguments) - arguments[0] * binary_delta(*arguments)


# what a vanilla and a binary option contribute
_PRICE = european_price, binary_price
_DELTA = european_delta, binary_delta
_GAMMA = european_gamma, binary_gamma
_INTERCEPT = _european_intercept, _binary_intercept


class _Barrier:
    """The image principle for a price and, term by term, for its derivatives."""

    def __init__(self, numbers, words, monitoring_step):
        spot, strike, barrier, time_to_expiry, volatility, extremum = numbers
        direction, knock, call = words
        if knock not in ("in", "out"):
            raise ValueError(f'`knock` must be "in" or "out". Received: knock={knock!r}')
        extremum = spot if extremum is None else extremum
        spot, strike, barrier, time_to_expiry, volatility, extremum = as_float_tensors(
            spot, strike, barrier, time_to_expiry, volatility, extremum
        )
        self.touched = is_touched(spot, barrier, extremum, direction)
        self.out, self.call, self.up = knock == "out", call, direction == "up"
        shift = barrier_shift(volatility, monitoring_step)
        self.barrier = barrier * tf.exp(shift if self.up else -shift)
        self.spot, self.strike = spot, strike
        self.time_to_expiry, self.volatility = time_to_expiry, volatility
        self.ratio = spot / self.barrier
        self.image = tf.square(self.barrier) / positive(spot)
        self.root_time = total_deviation(time_to_expiry, tf.ones([], spot.dtype))
        self.floored = tf.maximum(volatility * self.root_time, deviation_floor(spot.dtype))

    def european(self, function, spot, strike):
        return function(spot, strike, self.time_to_expiry, self.volatility, self.call)

    def cut_off(self, functions, spot):
        """V or a derivative of it: the payoff where the spot ends short of the barrier."""
        vanilla, binary = functions
        barrier = self.barrier
        strike = (tf.minimum if self.up else tf.maximum)(self.strike, barrier)
        if self.call == self.up:  # the payoff is largest at the barrier and cut off there
            return (
                self.european(vanilla, spot, strike)
                - self.european(vanilla, spot, barrier)
                - tf.abs(barrier - strike) * self.european(binary, spot, barrier)
            )
        # the payoff is largest away from the barrier, which may cut off its low end
        return self.european(vanilla, spot, strike) + tf.abs(strike - self.strike) * self.european(
            binary, spot, strike
        )

    def knocked(self, functions, image):
        """Knock-in or knock-out from its vanilla term and its image term, alive or touched."""
        vanilla = self.european(functions[0], self.spot, self.strike)
        here = self.cut_off(functions, self.spot)
        if self.out:
            return tf.where(self.touched, 0.0, here - image)
        return tf.where(self.touched, vanilla, vanilla - here + image)

    def gamma(self):
        cubed = tf.pow(self.barrier / positive(self.spot), 3.0)
        return self.knocked(_GAMMA, cubed * self.cut_off(_GAMMA, self.image))

    def barrier_slope(self):
        """Derivative of the price in the logarithm by which the barrier recedes.

        The terms in ∂V/∂H cancel between a spot and its image.
        """
        intercept = self.ratio * self.cut_off(_INTERCEPT, self.image)
        out = intercept - self.barrier * self.cut_off(_DELTA, self.image)
        sign = (1.0 if self.up else -1.0) * (1.0 if self.out else -1.0)
        return tf.where(self.touched, 0.0, sign * out)
