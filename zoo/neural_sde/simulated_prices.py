"""Prices of European options as means along simulated paths, with honest standard errors."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_integer
from hedgezoo.layers.black_scholes import black_scholes_call
from hedgezoo.layers.draws import as_int64
from hedgezoo.layers.implied_volatility import implied_volatility
from hedgezoo.layers.normal import normal_cdf
from hedgezoo.layers.sde.finite import non_finite_counts
from hedgezoo.layers.sde.time_grid import check_times
from hedgezoo.neural_sde.points import checked_features
from hedgezoo.neural_sde.simulated_paths import explain_explosion

REPLICATIONS = 16  # independent scrambles, whose spread is the standard error
_PILOT = REPLICATIONS  # number of the scramble that the controls are made from
_PILOT_PATHS = 4096
_STRIDE, _FIRST = 2**20, 2**19  # seeds of the scrambles: far from those of a training
_CHUNK = 2**15  # paths at a time
_CELLS = 2**22  # paths times strikes at a time


@dataclasses.dataclass(frozen=True, eq=False)
class SimulatedPrices:
    """Call prices at m maturities and n strikes, and how far off they may be.

    `np.asarray` of it is `price`.

    Args:
        strikes: Strikes divided by the forward, `(m, n)`.
        maturities: Years, `(m,)`.
        price: Undiscounted call prices per unit of forward, `(m, n)`.
        standard_error: Of the prices, `(m, n)`; zero if they were not simulated.
        implied_volatility: Per √year, `(m, n)`; NaN where no volatility has the price.
        forward_error: Mean of S / F at each maturity minus one, `(m,)`: nought up to noise.
        forward_standard_error: Its standard error, `(m,)`.
        replications: Prices by each of the 16 scrambles, `(16, m, n)`, independent of each other;
            the spread of what follows from them is its standard error. None without simulation.
        paths: Number of simulated paths N.
    """

    strikes: np.ndarray
    maturities: np.ndarray
    price: np.ndarray
    standard_error: np.ndarray
    implied_volatility: np.ndarray
    forward_error: np.ndarray
    forward_standard_error: np.ndarray
    replications: np.ndarray | None = dataclasses.field(default=None, repr=False)
    paths: int = 0

    def __array__(self, dtype=None, copy=None):
        return np.array(self.price, dtype=dtype, copy=copy)

    @property
    def volatility_error(self):
        """Standard error of the implied volatilities, `(m, n)`; NaN where these are."""
        years = np.sqrt(self.maturities)[..., np.newaxis]
        with np.errstate(divide="ignore", invalid="ignore"):
            d1 = -np.log(self.strikes) / (self.implied_volatility * years)
            d1 += 0.5 * self.implied_volatility * years
            vega = years * np.exp(-0.5 * d1**2) / np.sqrt(2.0 * np.pi)
            return self.standard_error / vega


def check_strikes(strikes, maturities):
    """Strikes as `(m, n)` and maturities as `(m,)`, positive and finite, these increasing.

    Args:
        strikes: A number, `(n,)` or `(m, n)`.
        maturities: A number or `(m,)`.

    Returns:
        float64 arrays.

    Raises:
        ValueError: If they are not.

    Example:

    >>> strikes, maturities = check_strikes([0.9, 1.0], 0.5)
    >>> strikes.shape, maturities.shape
    ((1, 2), (1,))
    """
    maturities = check_times("maturities", np.atleast_1d(maturities))
    shapes = {"()": (), "(n,)": (None,), "(m, n)": (len(maturities), None)}
    strikes = check_array("strikes", strikes, shapes)
    if not strikes.size or not (strikes > 0).all():
        raise ValueError(f"`strikes` must be positive, divided by the forward. Received: {strikes}")
    strikes = np.atleast_1d(strikes)
    return np.array(np.broadcast_to(strikes, (len(maturities), strikes.shape[-1]))), maturities


def simulated_prices(model, strikes, maturities, paths, seed=0, features=None, control=True):
    """Prices along paths of a risk-neutral `NeuralSDE`.

    The option out of the money is simulated, and the call follows from put-call parity. The paths
    are 16 independent scrambles of Sobol's sequence: each gives one unbiased estimate, and the
    spread of the 16 is the standard error.

    With `control`, the same increments also drive a Black-Scholes model, whose price is exact, at
    the volatility that a pilot simulation implies for each option; its error, times a regression
    coefficient from the pilot, is subtracted.

    Args:
        model: A `NeuralSDE`.
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years, increasing, `(m,)`.
        paths: Number of paths N; rounded up to a multiple of 16.
        seed: Integer.
        features: `(f,)`, only of a model with features.
        control: Whether to use the control.

    Returns:
        A `SimulatedPrices`.

    Raises:
        ValueError: If an argument is out of its range, or paths are not finite.
    """
    strikes, maturities = check_strikes(strikes, maturities)
    check_integer("paths", paths, minimum=REPLICATIONS)
    check_integer("seed", seed, minimum=-(2**62))
    rollout = model.rollout(maturities, check_finite=False, **model.draws_for(maturities))
    simulation = _Simulation(model, rollout, strikes, features, seed)
    each = -(-paths // REPLICATIONS)
    shadow, slope = simulation.pilot(min(each, _PILOT_PATHS)) if control else (None, None)
    means = [simulation.means(number, each, shadow) for number in range(REPLICATIONS)]
    forward, payoff, *controls = (np.stack(part) for part in zip(*means, strict=True))
    if control:
        exact = out_of_the_money(strikes, maturities, shadow)
        controlled = payoff - slope * (controls[0] - exact)
        # in a far wing the noise of the control may be larger than the price
        payoff = np.where(controlled.mean(axis=0) > 0, controlled, payoff)
    replications = call_from(payoff, strikes)
    price = replications.mean(axis=0)
    volatility = implied_volatility(price, strikes, maturities).numpy()
    in_the_money = exercise_probability(strikes, maturities, volatility)
    return SimulatedPrices(
        strikes,
        maturities,
        price,
        _standard_error(payoff, model.float_type, in_the_money),
        volatility,
        forward.mean(axis=0) - 1.0,
        _standard_error(forward, model.float_type, 1.0),
        replications,
        each * REPLICATIONS,
    )


def _standard_error(values, dtype, weight):
    """Standard error of the mean of R values, and no less than paths in `dtype` are exact.

    Args:
        values: `(R, ...)`.
        dtype: Type in which paths are simulated; a step rounds log(S / F) to it.
        weight: Share of the paths that matter.

    Returns:
        Array `(...)`.
    """
    spread = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return np.hypot(spread, np.finfo(dtype).eps * weight)


def exercise_probability(strikes, maturities, volatility):
    """Black-Scholes probability that the option out of the money ends in it, `(m, n)`.

    Args:
        strikes: `(m, n)`.
        maturities: `(m,)`.
        volatility: `(m, n)`; 0 or NaN for a probability of 0.

    Returns:
        float64 `(m, n)`.
    """
    deviation = volatility * np.sqrt(maturities)[:, np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = -np.abs(np.log(strikes)) / deviation
    distance = np.where(deviation > 0, distance - 0.5 * deviation, -np.inf)
    return normal_cdf(tf.constant(np.where(distance > -np.inf, distance, -40.0))).numpy()


def pde_prices(model, strikes, maturities, features=None, options=None):
    """Prices of a local volatility model by Dupire's equation, as a `SimulatedPrices`.

    Args:
        model: A `NeuralSDE` of kind `"local"`.
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years, increasing, `(m,)`.
        features: `(f,)`, only of a model with features.
        options: Further arguments of `dupire_calls`.

    Returns:
        A `SimulatedPrices` without errors and paths.
    """
    from hedgezoo.layers import dupire_calls

    model.build()
    strikes, maturities = check_strikes(strikes, maturities)
    features = checked_features(model.feature_names, features, model.float_type)
    price = dupire_calls(
        model.network, strikes, maturities, features=features, **(options or {})
    ).numpy()
    nought = np.zeros(len(maturities))
    return SimulatedPrices(
        strikes,
        maturities,
        price,
        np.zeros_like(price),
        implied_volatility(price, strikes, maturities).numpy(),
        nought,
        nought,
    )


def scramble_seed(seed, number):
    """Seed of one of the scrambles of a price, far from the seeds of a training."""
    return seed * _STRIDE + _FIRST + number


def call_from(price, strikes):
    """Calls by parity from options out of the money: puts below the forward."""
    return np.where(strikes < 1.0, price + 1.0 - strikes, price)


def out_of_the_money(strikes, maturities, volatility):
    """Black-Scholes prices of the options out of the money, `(m, n)`."""
    calls = black_scholes_call(strikes, maturities, volatility).numpy()
    # a put is a call of the inverse strike
    puts = strikes * black_scholes_call(1.0 / strikes, maturities, volatility).numpy()
    return np.where(strikes < 1.0, puts, calls)


class _Simulation:
    """Means over the paths of one scramble after the other, chunk by chunk."""

    def __init__(self, model, rollout, strikes, features, seed):
        self.model, self.rollout, self.strikes = model, rollout, strikes
        self.features = model.blocks(features)
        self.seed = seed
        self.chunk = int(min(_CHUNK, max(256, _CELLS // strikes.shape[1])))

    def pilot(self, paths):
        """Volatilities of the shadow `(m, n)` and the regression on it, from other paths."""
        _, raw = self.means(_PILOT, paths)
        years = np.array(self.rollout.maturities)
        shadow = implied_volatility(call_from(raw, self.strikes), self.strikes, years).numpy()
        # an option that no path of the pilot reaches has no volatility of its own
        low, high = self.model.network.bounds
        shadow = np.where(shadow > 0, shadow, self.model.volatility).clip(low, high)
        _, f, g, gg, fg = self.means(_PILOT, paths, shadow, squares=True)
        variance = gg - g**2
        slope = np.divide(fg - f * g, variance, out=np.zeros_like(g), where=variance > 0)
        return shadow, slope.clip(0.0, 2.0)

    def means(self, number, paths, shadow=None, squares=False):
        """Means of S / F `(m,)`, and of payoffs f, shadow payoffs g, g² and f g `(m, n)`."""
        seed = scramble_seed(self.seed, number)
        chunks = [
            self._sums(seed, first, min(self.chunk, paths - first), shadow, squares)
            for first in range(0, paths, self.chunk)
        ]
        return [sum(parts) / paths for parts in zip(*chunks, strict=True)]

    def _sums(self, seed, first, count, shadow, squares):
        arguments = [tf.constant(self.strikes)]
        arguments += [] if shadow is None else [tf.constant(shadow)]
        run = self.model.graph_of(
            self.rollout,
            ("sums", squares),
            functools.partial(sums_of_payoffs, self.rollout, squares),
        )
        *sums, broken = run(
            as_int64(seed), as_int64(first), tf.constant(count), self.features, *arguments
        )
        if int(broken):
            features = self.features
            explain_explosion(self.model, self.rollout, seed, count, first, features=features)
        return [x.numpy() for x in sums]


def sums_of_payoffs(rollout, squares, seed, first, count, features, strikes, shadow=None):
    """Sums over paths of S / F, payoffs f and, with a shadow, g and, with `squares`, g² and f g.

    Args:
        rollout: An `SDERollout` of log(S / F).
        squares: Whether sums of g² and f g are wanted.
        seed, first, count: Which paths: scalar integer tensors.
        features: `(P, f)` or None.
        strikes: `(m, n)`, float64.
        shadow: Volatilities of the Black-Scholes model on the same increments `(m, n)`, or None.

    Returns:
        Tuple of `(m,)`, and up to four of `(m, n)`, float64; and the number of paths that are not
        finite.
    """
    increments = rollout.draw(seed, count, first)
    states = rollout(increments, features=features)
    spot = tf.exp(tf.cast(states[..., 0], tf.float64))
    levels = tf.cumsum(tf.cast(increments[..., 0], tf.float64), axis=1)
    brownian = tf.gather(levels, rollout.maturity_steps - 1, axis=1)
    years = tf.constant(rollout.maturities, tf.float64)
    by_maturity = [tf.transpose(spot), strikes]
    if shadow is not None:
        by_maturity += [tf.transpose(brownian), years, shadow]

    def sums(spot, strikes, brownian=None, years=None, shadow=None):
        payoffs = [_out_of_the_money_payoff(spot[:, tf.newaxis], strikes)]
        if brownian is not None:
            deviation = brownian[:, tf.newaxis] - 0.5 * years * shadow
            payoffs.append(_out_of_the_money_payoff(tf.exp(shadow * deviation), strikes))
        if squares:
            payoffs += [payoffs[1] ** 2, payoffs[0] * payoffs[1]]
        return tuple(tf.reduce_sum(payoff, axis=0) for payoff in payoffs)

    outputs = (1 if shadow is None else 2) + 2 * squares
    totals = tf.map_fn(
        lambda parts: sums(*parts),
        tuple(by_maturity),
        fn_output_signature=(tf.TensorSpec(strikes.shape[1:], tf.float64),) * outputs,
        parallel_iterations=1,  # the payoffs of one maturity in memory at a time
    )
    return tf.reduce_sum(spot, axis=0), *totals, non_finite_counts(states)[-1]


def _out_of_the_money_payoff(spot, strikes):
    """Payoffs of calls, and of puts where the strike is below the forward."""
    side = tf.where(strikes < 1.0, -tf.ones_like(strikes), tf.ones_like(strikes))
    return tf.nn.relu(side * (spot - strikes))
