"""What one unit of an option earns that is bought afresh at every date and held to its expiry.

A floating option is fixed relative to the day it is bought: a call of relative strike k and
maturity τ bought at t has the strike k S_t and expires at t + τ. Its unit gain is its value at the
end less its price at t. The end is its expiry where that is not beyond the horizon T; otherwise
it is marked at mid at T, when it has τ − (T − t) years left and the relative strike k S_t / S_T.
"""

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_one_of, check_positive
from hedgezoo.layers.black_scholes import european_price
from hedgezoo.layers.surfaces.interpolation import volatility_at

INSTRUMENTS = ("spot", "calls", "puts")
_WING = np.array((0.03, 0.1, 0.3))  # distances of the strikes that `extend_wings` adds


def floating_gains(spot, calls, strikes, steps_to_expiry, mark, instruments=INSTRUMENTS):
    """Unit gains H_T^(t) − H_t of the spot and of floating options, at mid prices.

    A call bought at t costs `calls[t] · S_t`. It ends with (S_{t+τ} − k S_t)⁺ if it expires by the
    horizon and with S_T · `mark` otherwise. The put of the same strike and expiry costs and ends
    with what parity says, so it earns what the call earns less what the spot earns from t to
    the earlier of expiry and horizon. The spot bought at t earns S_T − S_t.

    Args:
        spot: Spot S, money, `(B, T+1)`.
        calls: Prices of the calls of each decision time, divided by the spot of that time; anything
            that broadcasts to `(B, T, m, n)`.
        strikes: Strikes k divided by the spot at purchase, `(n,)`.
        steps_to_expiry: Maturities in time steps, m positive integers.
        mark: Function of strikes divided by S_T, `(B, q)`, and of time steps left, an integer
            array `(q,)`, to call prices divided by S_T, `(B, q)`: the market at the horizon. It is
            not called if every option expires by then.
        instruments: Names among `"spot"`, `"calls"` and `"puts"`, in the order of the columns.

    Returns:
        Tensor `(B, T, D)`, money per unit: one column for `"spot"`, m·n for `"calls"` and `"puts"`
        by maturity and then strike, as `instrument_names` lists them.

    Example: the spot stands still, so a straddle bought one step before its expiry loses its price.

    >>> spot = tf.constant([[1.0, 1.0, 1.0]])
    >>> gains = floating_gains(spot, [[0.02]], [1.0], (1,), None, ("calls", "puts"))
    >>> gains.numpy().round(4)
    array([[[-0.02, -0.02],
            [-0.02, -0.02]]], dtype=float32)

    Reference:
        Buehler, Murray, Pakkanen, Wood, arXiv:2103.11948, equation (2).
    """
    spot = tf.convert_to_tensor(spot)
    steps = spot.shape[1] - 1
    bought, last = spot[:, :steps], spot[:, steps:]
    columns = {"spot": (last - bought)[..., None]}
    if "calls" in instruments or "puts" in instruments:
        strikes = tf.constant(np.asarray(strikes, np.float64), spot.dtype)
        calls = tf.cast(tf.convert_to_tensor(calls), spot.dtype)
        gain = _value_at_the_end(spot, strikes, steps_to_expiry, mark)
        gain -= bought[..., None, None] * calls
        shape = (-1, steps, len(steps_to_expiry) * strikes.shape[0])
        columns["calls"] = tf.reshape(gain, shape)
        if "puts" in instruments:
            until = tf.stack([_held_until(spot, expiry) for expiry in steps_to_expiry], axis=2)
            columns["puts"] = tf.reshape(gain - (until - bought[..., None])[..., None], shape)
    parts = [columns[name] for name in instruments]
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)


def flat_mark(volatility, time_step):
    """A market at the horizon with one implied volatility for all options: a `mark`.

    Args:
        volatility: Annual volatility, a number or `(B, 1)`.
        time_step: Years per time step.

    Returns:
        Function of strikes divided by the spot `(B, q)` and time steps left `(q,)` to call prices
        divided by the spot `(B, q)`.

    Example:

    >>> mark = flat_mark(volatility=0.2, time_step=1 / 250)
    >>> mark(tf.constant([[0.9, 1.0]]), np.array([10, 20])).numpy().round(4)
    array([[0.1   , 0.0226]], dtype=float32)
    """

    def mark(strikes, steps_left):
        years = tf.constant(np.asarray(steps_left) * time_step, strikes.dtype)
        return european_price(tf.ones([], strikes.dtype), strikes, years, volatility)

    return mark


def surface_mark(implied_volatility, strikes, maturities, time_step):
    """A market at the horizon with a surface of implied volatilities: a `mark`.

    Between the points of the grid total implied variance is interpolated, not the price: on a grid
    of a few strikes the chord of a convex price lies far above it. Beyond the outer strikes the
    smile goes on as `extend_wings` says: a volatility that was constant from there on would put a
    kink there, and whoever buys an option at a kink has an arbitrage.

    Args:
        implied_volatility: Annual volatilities at the horizon, `(B, m, n)`.
        strikes: Strikes of the grid divided by the spot, `(n,)`.
        maturities: Its maturities in years, `(m,)`.
        time_step: Years per time step.

    Returns:
        Function of strikes divided by the spot `(B, q)` and time steps left `(q,)` to call prices
        divided by the spot `(B, q)`.
    """

    volatilities, wider = extend_wings(implied_volatility, strikes, maturities)

    def mark(relative_strikes, steps_left):
        years = np.asarray(steps_left) * time_step
        volatility = volatility_at(volatilities, wider, maturities, relative_strikes, years)
        return flat_mark(volatility, time_step)(relative_strikes, steps_left)

    return mark


def extend_wings(implied_volatility, strikes, maturities):
    """A surface of implied volatilities with a few more strikes on both sides.

    With d the distance from the outer strike in log strike, v its variance and s the slope of the
    variance in d there: a wing that rises goes on as v + s d (in the limit smiles are linear; s is
    at most Lee's bound, 2 / maturity), and one that falls levels off, as
    v + s L (1 − exp(−d/L)) with L = 0.05, or less so that it keeps half of v.

    Args:
        implied_volatility: Annual volatilities, `(B, m, n)`.
        strikes: Strikes divided by the spot, `(n,)`.
        maturities: Years, `(m,)`.

    Returns:
        Volatilities `(B, m, n + 6)` and their strikes, an array `(n + 6,)`.

    Example:

    >>> smile = tf.constant([[[0.25, 0.2, 0.15]]], tf.float64)
    >>> volatility, strikes = extend_wings(smile, [0.9, 1.0, 1.1], [0.1])
    >>> strikes.round(2)
    array([0.67, 0.81, 0.87, 0.9 , 1.  , 1.1 , 1.13, 1.22, 1.48])
    >>> volatility[0, 0].numpy().round(3)
    array([0.356, 0.29 , 0.263, 0.25 , 0.2  , 0.15 , 0.135, 0.121, 0.116])
    """
    variance = tf.square(tf.convert_to_tensor(implied_volatility))
    x = np.log(np.asarray(strikes, np.float64))
    steepest = tf.constant(2.0 / np.asarray(maturities, np.float64)[:, None], variance.dtype)

    def wing(outer, inner, width):
        slope = (outer - inner) / width
        length = outer / tf.maximum(-2.0 * slope, 20.0 * outer)
        distance = tf.constant(_WING, variance.dtype)
        falling = length * -tf.math.expm1(-distance / length)
        rising = slope >= 0.0
        reach = tf.where(rising, distance, falling)
        return outer + tf.minimum(slope, steepest) * reach

    if len(x) > 1:
        below = wing(variance[..., :1], variance[..., 1:2], x[1] - x[0])
        above = wing(variance[..., -1:], variance[..., -2:-1], x[-1] - x[-2])
    else:
        below = above = tf.repeat(variance, len(_WING), axis=-1)
    wider = np.concatenate([x[0] - _WING[::-1], x, x[-1] + _WING])
    return tf.sqrt(tf.concat([below[..., ::-1], variance, above], axis=-1)), np.exp(wider)


def instrument_names(strikes, steps_to_expiry, instruments=INSTRUMENTS):
    """Names of the columns of `floating_gains`.

    Args:
        strikes: Strikes divided by the spot, `(n,)`.
        steps_to_expiry: Maturities in time steps, m positive integers.
        instruments: Names among `"spot"`, `"calls"` and `"puts"`.

    Returns:
        Tuple of D strings.

    Example:

    >>> instrument_names([0.95, 1.0], (20,), ("spot", "puts"))
    ('spot', 'put 20 0.95', 'put 20 1')
    """
    names = []
    for kind in instruments:
        if kind == "spot":
            names.append(kind)
        else:
            names += [f"{kind[:-1]} {m} {k:.6g}" for m in steps_to_expiry for k in strikes]
    return tuple(names)


def whole_steps(maturities, time_step):
    """Maturities in time steps.

    Args:
        maturities: Years, `(m,)`, positive and increasing.
        time_step: Years per time step.

    Returns:
        Tuple of m integers.

    Raises:
        ValueError: If a maturity is not a positive whole number of time steps, or they do not
            increase.

    Example:

    >>> whole_steps([0.08, 0.16], 1 / 250)
    (20, 40)
    """
    check_positive("time_step", time_step)
    years = check_array("maturities", maturities, {"(m,)": (None,)})
    steps = np.rint(years / time_step)
    off = (np.abs(years - steps * time_step) > 1e-6 * time_step) | (steps < 1)
    if off.any():
        raise ValueError(
            "`maturities` must be whole numbers of time steps, at least one, so that an option "
            "bought at one date expires at another. Received: "
            f"{float(years[off][0])} years, that is {years[off][0] / time_step:.6g} steps of "
            f"time_step={time_step!r}"
        )
    if (np.diff(steps) <= 0).any():
        raise ValueError(f"`maturities` must increase. Received: maturities={years.tolist()}")
    return tuple(int(step) for step in steps)


def check_instruments(instruments):
    """Names among `INSTRUMENTS`, each at most once, as a tuple."""
    instruments = (instruments,) if isinstance(instruments, str) else tuple(instruments)
    for name in instruments:
        check_one_of("instruments", name, INSTRUMENTS)
    if not instruments or len(set(instruments)) < len(instruments):
        raise ValueError(
            f"`instruments` must name at least one of {INSTRUMENTS}, none of them twice. "
            f"Received: instruments={instruments}"
        )
    return instruments


def _value_at_the_end(spot, strikes, steps_to_expiry, mark):
    """Value of each call at the earlier of its expiry and the horizon, `(B, T, m, n)`, money."""
    steps = spot.shape[1] - 1
    last = spot[:, steps:]
    relative = spot[:, :steps] / last
    paid, left, open_strikes = [], [], []
    for expiry in steps_to_expiry:
        expired = max(steps + 1 - expiry, 0)  # bought early enough to expire by the horizon
        end, start = spot[:, expiry : expiry + expired], spot[:, :expired]
        paid.append(tf.nn.relu(end[..., None] - strikes * start[..., None]))
        dates = np.arange(expired, steps)
        left.append(np.repeat(expiry - (steps - dates), strikes.shape[0]))
        open_strikes.append(relative[:, expired:, None] * strikes)
    sizes = [len(each) for each in left]
    if not sum(sizes):
        return tf.stack(paid, axis=2)
    # one call for all of them: the market at the horizon is looked up once
    flat = [tf.reshape(each, (-1, size)) for each, size in zip(open_strikes, sizes, strict=True)]
    marks = last * mark(tf.concat(flat, axis=1), np.concatenate(left))
    values = [
        tf.concat([done, tf.reshape(part, tf.shape(strike))], axis=1)
        for done, part, strike in zip(
            paid, tf.split(marks, sizes, axis=1), open_strikes, strict=True
        )
    ]
    return tf.stack(values, axis=2)


def _held_until(spot, expiry):
    """Spot at the earlier of t + `expiry` and the horizon, `(B, T)`."""
    steps = spot.shape[1] - 1
    return tf.gather(spot, np.minimum(np.arange(steps) + expiry, steps), axis=1)
