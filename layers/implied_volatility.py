"""Black-Scholes implied volatility with its implicit gradient."""

import math

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.layers.black_scholes import grid_maturities, require_grid
from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.normal import normal_cdf, normal_pdf
from hedgezoo.layers.normalised_price import d1_of, horner, log_out_of_the_money_price


def implied_volatility(calls, strikes, maturities):
    """Volatility at which `black_scholes_call` returns a given call price.

    Solved in float64 for the total deviation w = σ√T of the out-of-the-money option, from an
    explicit first guess by three Householder steps of fourth order on the log-odds of its price;
    no data-dependent loop. The volatility is as exact as the price determines it, also in the far
    wings (prices out of the money down to 1e-300).

    The gradient is that of the implicit function: ∂σ/∂C = 1/vega, ∂σ/∂K = -C_K/vega,
    ∂σ/∂T = -C_T/vega. It can be differentiated again.

    Args:
        calls: Undiscounted call prices per unit of forward, `(..., m, n)`.
        strikes: Strikes divided by the forward, `(n,)`, or `(..., m, n)` when each maturity has
            its own.
        maturities: Years to expiry, `(m,)` or `(..., m)`. A scalar stands for a single maturity
            without an axis of its own.

    Returns:
        Volatilities per √year, `(..., m, n)`, of the floating type of the tensors among the
        arguments, or float64 when there are none but NumPy float64 arrays and Python numbers.
        Zero where the price equals the intrinsic value (1 - K)⁺. NaN, with gradient zero, where no
        volatility gives the price: below intrinsic value, at or above 1, above intrinsic value at
        maturity zero, or NaN.

    Raises:
        ValueError: If the shapes do not match, or if a concrete (not symbolic) argument has NaN
            or non-positive strikes, or NaN or negative maturities.

    Example:

    >>> from hedgezoo.layers import black_scholes_call
    >>> calls = black_scholes_call([0.9, 1.0, 1.1], [0.25, 1.0], 0.2)
    >>> implied_volatility(calls, [0.9, 1.0, 1.1], [0.25, 1.0]).numpy().round(12)
    array([[0.2, 0.2, 0.2],
           [0.2, 0.2, 0.2]])

    Reference:
        The variables follow Jaeckel, "Let's be rational", Wilmott, 2015.
    """
    calls, strikes, maturities = as_float_tensors(calls, strikes, maturities)
    maturities = grid_maturities(strikes, maturities, "calls", calls)
    require_grid(strikes, maturities)
    shape = tf.broadcast_dynamic_shape(tf.shape(strikes), tf.shape(maturities))
    shape = tf.broadcast_dynamic_shape(shape, tf.shape(calls))
    calls, strikes, maturities = (tf.broadcast_to(x, shape) for x in (calls, strikes, maturities))
    root = _solve(*(tf.stop_gradient(x) for x in (calls, strikes, maturities)))
    return _with_implicit_gradient(root, calls, strikes, maturities)


@keras.saving.register_keras_serializable(package="hedgezoo")
class ImpliedVolatility(keras.layers.Layer):
    """Implied volatilities of call prices on a fixed grid, see `implied_volatility`.

    Args:
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years to expiry, `(m,)`.
        **kwargs: Keyword arguments of `keras.layers.Layer`. Use `dtype="float64"` for prices
            whose far wings matter: in float32 a price below about 1e-38 is zero.

    Input shape:
        Call prices per unit of forward, `(..., m, n)`.

    Output shape:
        The shape of the input. NaN where no volatility gives the price.

    Raises:
        ValueError: If strikes or maturities have a wrong rank, do not match, or are not positive.

    Example:

    >>> from hedgezoo.layers import black_scholes_call
    >>> layer = ImpliedVolatility(strikes=[0.9, 1.0, 1.1], maturities=[0.25, 1.0])
    >>> calls = black_scholes_call([0.9, 1.0, 1.1], [0.25, 1.0], 0.2)
    >>> layer(calls).numpy().round(4)
    array([[0.2, 0.2, 0.2],
           [0.2, 0.2, 0.2]], dtype=float32)
    """

    def __init__(self, strikes, maturities, **kwargs):
        super().__init__(**kwargs)
        self.strikes = np.asarray(strikes, "float64")
        self.maturities = np.asarray(maturities, "float64")
        for name, grid, ranks in (
            ("strikes", self.strikes, (1, 2)),
            ("maturities", self.maturities, (1,)),
        ):
            if grid.ndim not in ranks or grid.size == 0:
                raise ValueError(
                    f"`{name}` must be a non-empty array of rank {' or '.join(map(str, ranks))}. "
                    f"Received: {name}.shape={grid.shape}"
                )
            if not (np.isfinite(grid) & (grid > 0)).all():
                raise ValueError(f"`{name}` must be positive. Received: {name}={grid.tolist()}")
        if self.strikes.ndim == 2 and len(self.strikes) != len(self.maturities):
            raise ValueError(
                "`strikes` (m, n) must have one row per maturity. Received: "
                f"strikes.shape={self.strikes.shape}, maturities.shape={self.maturities.shape}"
            )

    def call(self, calls):
        volatility = implied_volatility(calls, self.strikes, self.maturities)
        return tf.cast(volatility, self.compute_dtype)  # half precision is computed in float32

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        grid = {"strikes": self.strikes.tolist(), "maturities": self.maturities.tolist()}
        return {**super().get_config(), **grid}


# ------------------------------------------------------------------------------ implicit gradient


def _with_implicit_gradient(root, calls, strikes, maturities):
    """`root` as a function of prices, strikes and maturities, to any order of differentiation."""

    @tf.custom_gradient
    def implied(calls, strikes, maturities):
        def gradient(upstream):
            # the same implicit function again, so that the gradient can be differentiated
            sigma = _with_implicit_gradient(root, calls, strikes, maturities)
            solved = tf.math.is_finite(root) & (maturities > 0)
            sigma = tf.where(solved, sigma, 1.0)
            years = tf.where(solved, maturities, 1.0)
            deviation = sigma * tf.sqrt(years)
            d1 = d1_of(-tf.math.log(strikes), deviation)
            vega = normal_pdf(d1) * tf.sqrt(years)
            solved &= vega > 1.0 / vega.dtype.max
            slope = tf.where(solved, upstream, 0.0) / tf.where(solved, vega, 1.0)
            by_maturity = tf.where(solved, -0.5 * upstream * sigma / years, 0.0)
            return slope, slope * normal_cdf(d1 - deviation), by_maturity

        return tf.identity(root), gradient

    return implied(calls, strikes, maturities)


# ------------------------------------------------------------------------------------- root search


def _solve(calls, strikes, maturities):
    dtype = calls.dtype
    # differences in the arithmetic of the prices, so that intrinsic value is met exactly
    time_value = calls - tf.nn.relu(1.0 - strikes)
    to_bound = 1.0 - calls
    time_value, to_bound, strikes, maturities = (
        tf.cast(x, tf.float64) for x in (time_value, to_bound, strikes, maturities)
    )
    inside = (time_value > 0.0) & (to_bound > 0.0) & (maturities > 0.0)
    unit = tf.minimum(strikes, 1.0)
    price = tf.where(inside, time_value / unit, 0.5)
    to_bound = tf.where(inside, to_bound / unit, 0.5)
    x = tf.where(inside, tf.abs(tf.math.log(strikes)), 0.0)
    deviation = _total_deviation(x, price, to_bound)
    sigma = deviation / tf.sqrt(tf.where(inside, maturities, 1.0))
    none = tf.where(tf.equal(time_value, 0.0) & (to_bound > 0.0), tf.zeros_like(sigma), math.nan)
    return tf.cast(tf.where(inside, sigma, none), dtype)


_STEPS = 3


def _total_deviation(x, price, to_bound):
    """w with c(x, w) = `price`, where `to_bound` is 1 - price without cancellation."""
    target = tf.math.log(price) - tf.math.log(to_bound)
    deviation = _first_guess(x, price, to_bound)
    for _ in range(_STEPS):
        deviation = _householder_step(x, deviation, target)
    return deviation


def _householder_step(x, w, target):
    """One step of fourth order on f(w) = log(c / (1 - c)) - target.

    With g = φ(d₁) = ∂c/∂w the derivatives of f are rational in g/c, g/(1 - c), x and w.
    """
    d1 = -x / w + 0.5 * w
    log_price = log_out_of_the_money_price(x, w)
    to_bound = normal_cdf(-d1) + tf.exp(x) * normal_cdf(d1 - w)
    down = tf.exp(-0.5 * (d1 * d1 + math.log(2.0 * math.pi)) - log_price)
    up = normal_pdf(d1) / to_bound
    newton = (target - log_price + tf.math.log(to_bound)) / (down + up)
    # the n-th derivative comes with the n-1st power of the Newton step, so that none overflows
    down, up = newton * down, newton * up
    curve = newton * (tf.square(x / w) / w - 0.25 * w)  # g' / g
    bend = curve * curve - 3.0 * tf.square(newton * x / w / w) - 0.25 * newton * newton  # g'' / g
    second = up - down + curve
    third = 2.0 * (down * down + up * up - down * up) + 3.0 * (up - down) * curve + bend
    return w + newton * (1.0 + 0.5 * second) / (1.0 + second + third / 6.0)


# m as a function of v = √log(1 + m / J(-m)), J(z) = zΦ(z) + φ(z), fitted to 5e-4 for m < 37
_GUESS_NUMERATOR = (0.39886, 0.017476, 0.037403, 0.020604)
_GUESS_DENOMINATOR = (1.0, 0.038345, 0.11499, 0.025548, 0.014603)


def _first_guess(x, price, to_bound):
    """w within 12 % for strikes from a third to thrice the forward, 25 % for any strike.

    Small prices: for small w, c is close to eˣᐟ² w J(-x/w), whose inverse is a fitted function of
    one variable. Taking for c the w that it implies at x = 0 makes this exact at the money too.
    Large prices: 1 - c is close to 2 eˣᐟ² Φ(-r) with r² = (x/w)² + (w/2)².
    """
    at_the_money = tf.where(price < 1e-4, price * math.sqrt(2.0 * math.pi), _two_tails(to_bound))
    bachelier = at_the_money / math.sqrt(2.0 * math.pi)
    distance = tf.maximum(x, 1e-8 * bachelier)  # the limit at the money, without 0/0
    ratio = tf.math.log(bachelier) - 0.5 * x - tf.math.log(distance)
    v = tf.sqrt(tf.nn.softplus(-ratio))
    m = v * v * horner(_GUESS_NUMERATOR, v) / horner(_GUESS_DENOMINATOR, v)
    small = distance / m

    r_squared = 0.25 * tf.square(_two_tails(to_bound * tf.exp(-0.5 * x)))
    spread = tf.sqrt(tf.nn.relu(tf.square(r_squared) - tf.square(x)))
    large = tf.sqrt(2.0 * (r_squared + spread))
    return tf.where(price > 0.5, tf.maximum(small, large), small)


def _two_tails(probability):
    """w with 2 Φ(-w/2) = probability, to 0.2 % (Winitzki's inverse of the error function)."""
    a = 0.147
    log_term = -tf.math.log(probability) - tf.math.log1p(1.0 - probability)
    middle = 2.0 / (math.pi * a) - 0.5 * log_term
    squared = (log_term / a) / (tf.sqrt(middle * middle + log_term / a) + middle)
    return 2.0 * tf.sqrt(2.0 * squared)
