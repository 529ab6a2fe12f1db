"""Contracts on the whole path, with their fixing dates: payoff, and what a hedge has to know."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from hedgezoo.datasets import payoffs
from hedgezoo.datasets.checks import check_array, check_integer, check_positive
from hedgezoo.layers.draws import normal_draws
from hedgezoo.layers.running_extremes import running_maximum, running_minimum

SAME_TIME = 1e-7  # years: three seconds


@dataclasses.dataclass(frozen=True)
class Exotic:
    """A payoff and the dates on which it looks at the forward.

    Args:
        payoff: One of `hedgezoo.datasets.payoffs`, on one instrument, or a callable from prices
            `(B, n, 1)` to `(B,)`. Prices are relative to the forward today.
        fixings: Years of the n fixings, `(n,)`: 0 first, increasing; the last is the maturity.

    Raises:
        ValueError: If the fixings do not start with 0 and increase, or the payoff does not fit
            them.

    Example:

    >>> contract = Exotic(payoffs.ForwardStart(start_step=1), fixings=(0.0, 0.5, 1.0))
    >>> contract.pay(tf.constant([[0.0, 0.0, 0.1]])).numpy().round(4)
    array([0.1052], dtype=float32)
    """

    payoff: Callable
    fixings: tuple

    def __post_init__(self):
        fixings = check_array("fixings", self.fixings, {"(n,)": (None,)})
        if len(fixings) < 2 or fixings[0] != 0 or not (np.diff(fixings) > 0).all():
            raise ValueError(
                "`fixings` must be at least two increasing years, 0 first. "
                f"Received: fixings={self.fixings}"
            )
        if not callable(self.payoff):
            raise ValueError(
                "`payoff` must be a payoff of hedgezoo.datasets.payoffs or a callable. "
                f"Received: payoff={self.payoff!r}"
            )
        if isinstance(self.payoff, payoffs.Payoff):
            self.payoff.check_path(len(fixings) - 1, 1)
        object.__setattr__(self, "fixings", tuple(fixings.tolist()))

    @property
    def maturity(self):
        """Years to the last fixing."""
        return self.fixings[-1]

    def pay(self, log_price):
        """The payoff of each path.

        Args:
            log_price: Logarithm of the price at the fixings, `(B, n)`.

        Returns:
            Tensor `(B,)`.
        """
        return self.payoff(tf.exp(log_price)[..., tf.newaxis])

    def steps_in(self, times):
        """Indices of the fixings in a time grid.

        Args:
            times: Years, increasing, `(T + 1,)`.

        Returns:
            Integers `(n,)`.

        Raises:
            ValueError: If a fixing is not among the times.
        """
        times = np.asarray(times, np.float64)
        steps = np.abs(times[:, np.newaxis] - np.asarray(self.fixings)).argmin(axis=0)
        missed = np.abs(times[steps] - self.fixings) > SAME_TIME
        if missed.any():
            raise ValueError(
                "`times` must have every fixing among them. Received: no "
                f"{np.asarray(self.fixings)[missed][0]} among {len(times)} times"
            )
        return steps

    def features(self, log_price, times):
        """What a hedge has to know of the past, at every time of a grid.

        A running extreme or average comes as its logarithm less that of the price now, so that it
        does not depend on the level of prices; see `path_state`.

        Args:
            log_price: Logarithm of the price at all times, `(B, T + 1)`.
            times: Years, the fixings among them, `(T + 1,)`.

        Returns:
            Tensor `(B, T + 1, f)`; f may be 0.
        """
        steps = self.steps_in(times)
        levels, others = path_state(self.payoff, tf.gather(log_price, steps, axis=1))
        # of the last fixing up to each time; nothing changes after the last one
        last = np.searchsorted(steps, np.arange(len(times)), side="right") - 1
        levels = tf.gather(levels, last, axis=1) - log_price[..., tf.newaxis]
        return tf.concat([levels, tf.gather(others, last, axis=1)], axis=-1)

    @property
    def feature_count(self):
        """Number f of features."""
        return sum(part.shape[-1] for part in path_state(self.payoff, tf.zeros((1, 2))))

    def get_config(self):
        """The contract as a dictionary of values that JSON can hold."""
        return {"payoff": payoffs.serialize(self.payoff), "fixings": list(self.fixings)}

    @classmethod
    def from_config(cls, config):
        """The contract whose `get_config` returned `config`."""
        return cls(payoffs.deserialize(config["payoff"]), tuple(config["fixings"]))


def lookback(maturity=1.0, fixings_per_year=96):
    """The right to sell at the highest fixing: pays max S - S_T.

    Args:
        maturity: Years.
        fixings_per_year: Number of fixings in a year, apart from that of today.

    Returns:
        An `Exotic`. Its price is that of a call on the maximum with strike S_0, too.

    Example:

    >>> len(lookback(maturity=0.5).fixings)
    49
    """
    check_positive("maturity", maturity)
    check_integer("fixings_per_year", fixings_per_year, minimum=1)
    count = max(1, round(maturity * fixings_per_year))
    dates = maturity * np.arange(count + 1) / count
    return Exotic(payoffs.Lookback(strike=None, call=False), tuple(dates))


def forward_start(start=0.5, maturity=1.0, strike=1.0):
    """A call on the return from a later date on: pays (S_T / S_start - K)⁺.

    Args:
        start: Years to the date on which the strike is set.
        maturity: Years to expiry.
        strike: K, relative to the price at the start.

    Returns:
        An `Exotic`.

    Example:

    >>> forward_start().fixings
    (0.0, 0.5, 1.0)
    """
    check_positive("start", start)
    return Exotic(payoffs.ForwardStart(start_step=1, strike=strike), (0.0, start, maturity))


def path_state(payoff, log_price):
    """What decides the rest of a contract besides the price now, fixing by fixing.

    Args:
        payoff: The payoff. Lookbacks and barriers have a running extreme, Asian options a running
            average, forward starts the price at the start, variance swaps the variance so far;
            others have nothing.
        log_price: Logarithm of the price at the fixings, `(B, n)`.

    Returns:
        Tensors `levels` `(B, n, a)`, logarithms of price levels, and `others` `(B, n, b)`.
    """
    levels, others = [], []
    if isinstance(payoff, payoffs.Lookback):
        highest = payoff.call == (payoff.strike is not None)
        levels = [running_maximum(log_price) if highest else running_minimum(log_price)]
    elif isinstance(payoff, payoffs.Barrier):
        up = payoff.direction == "up"
        extreme = running_maximum(log_price) if up else running_minimum(log_price)
        barrier = np.log(payoff.barrier)
        levels = [extreme]
        others = [tf.cast(extreme >= barrier if up else extreme <= barrier, log_price.dtype)]
    elif isinstance(payoff, payoffs.Asian):
        levels = [_running_average(payoff, log_price)]
    elif isinstance(payoff, payoffs.ForwardStart):
        # before the start nothing is known that matters: the price itself, a feature of zero
        begun = np.arange(log_price.shape[1]) >= payoff.start_step
        at_start = log_price[:, min(payoff.start_step, log_price.shape[1] - 1), tf.newaxis]
        levels = [tf.where(begun, at_start, log_price)]
    elif isinstance(payoff, payoffs.VarianceSwap):
        squares = tf.square(log_price[:, 1:] - log_price[:, :-1])
        others = [tf.cumsum(tf.pad(squares, ((0, 0), (1, 0))), axis=1)]
    none = tf.zeros_like(log_price)[..., tf.newaxis][..., :0]
    return tuple(tf.stack(part, axis=-1) if part else none for part in (levels, others))


def _running_average(payoff, log_price):
    """Logarithm of the average of the fixings so far; before the first one, that of the price."""
    first = 0 if payoff.include_start else 1
    count = np.arange(1, log_price.shape[1] - first + 1)
    fixed = log_price[:, first:]
    if payoff.average == "geometric":
        average = tf.cumsum(fixed, axis=1) / tf.constant(count, log_price.dtype)
    else:
        average = tf.math.log(tf.cumsum(tf.exp(fixed), axis=1) / tf.constant(count, fixed.dtype))
    return tf.concat([log_price[:, :first], average], axis=1)


def exotic_deviation(exotic, volatility, paths=4096):
    """Standard deviation of a payoff in the Black-Scholes model, by simulation.

    Args:
        exotic: An `Exotic`.
        volatility: Per √year.
        paths: Number of Sobol paths.

    Returns:
        A positive float.

    Example:

    >>> round(exotic_deviation(lookback(fixings_per_year=12), 0.2), 2)
    0.11
    """
    gaps = np.diff(exotic.fixings)
    normals = normal_draws(0, paths, len(gaps), draws="sobol")[..., 0].numpy()
    steps = volatility * np.sqrt(gaps) * normals - 0.5 * volatility**2 * gaps
    path = np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0)))
    paid = exotic.pay(tf.constant(path, tf.float32)).numpy()
    return float(max(paid.std(), 1e-6))


def merged_times(*parts):
    """All times in order, those once that differ by rounding alone.

    Args:
        *parts: Years, each `(n,)`.

    Returns:
        float64 array.

    Example:

    >>> merged_times([0.5, 1.0], [1.5 / 3])
    array([0.5, 1. ])
    """
    times = np.sort(np.concatenate([np.asarray(part, np.float64) for part in parts]))
    return times[np.diff(times, prepend=-np.inf) > SAME_TIME]
