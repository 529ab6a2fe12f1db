"""What a daily model remembers of its path: averages of a volatility index, or of past returns.

A memory is part of the state of the stochastic differential equation. It says what the networks
see of a state (`inputs`), how the coefficients of what is observed become those of the whole state
(`diffusion`, `drift`), and which states a history went through (`states_of`).

All volatilities are relative to a typical one, the `level`: the factor of a state is
log(volatility / level).
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_positive


@dataclasses.dataclass(frozen=True)
class IndexMemory:
    """An observed index of volatility, and its averages.

    The state is (x, y, m₁, ...): x = log S, y = log(index / level), and m = Y - y for each
    exponentially weighted average dY = (y - Y) dt / τ. A state without memory, m = 0, has been
    where it is for long.

    Args:
        level: Typical index per √year.
        windows: Lengths τ of the averages in time steps.
        time_step: Years between two days.

    Attributes:
        observed: Number of components, the first ones, that have a likelihood.
        factors: Number of Brownian motions.
    """

    level: float
    windows: tuple
    time_step: float
    observed = 2
    factors = 2

    def __post_init__(self):
        _check(self)

    @property
    def initial(self):
        """The state that a simulation starts from: the typical day."""
        return (0.0,) * (2 + len(self.windows))

    @property
    def names(self):
        """Of the inputs of the networks."""
        return ("log_index", *(f"log_average_{window:g}_less_index" for window in self.windows))

    def inputs(self, state):
        """What the networks see, `(B, q)`."""
        return state[:, 1:]

    def diffusion(self, state, factor):
        """Σ `(B, d, 2)`, from `factor` `(B, 2, 2)`, that of (x, y)."""
        del state
        return tf.concat([factor, *[-factor[:, 1:]] * len(self.windows)], axis=1)

    def drift(self, state, drift, sigma):
        """Drift `(B, d)`, from `drift` `(B, 2)`, that of (S, y)."""
        del sigma
        rates = tf.constant([1.0 / (window * self.time_step) for window in self.windows])
        pull = -tf.cast(rates, state.dtype) * state[:, 2:] - drift[:, 1:]
        return tf.concat([drift, pull], axis=1)

    def states_of(self, history):
        """States of the days of a `DailyHistory`, `(L, d)`, in float64."""
        if history.volatility is None:
            raise ValueError(
                "`history` must have a volatility index for memory='index'. Received: None"
            )
        y = np.log(history.volatility / self.level)
        columns = [np.log(history.spot / history.spot[0]), y]
        for window in self.windows:
            average = np.empty_like(y)
            average[0] = y[0]
            for day in range(len(y) - 1):
                average[day + 1] = average[day] + (y[day] - average[day]) / window
            columns.append(average - y)
        return np.stack(columns, axis=-1)


@dataclasses.dataclass(frozen=True)
class ReturnMemory:
    """Realised volatility and trend of the path's own past: one factor, no index.

    The state is (x, z₁, ..., r, s): x = log S; z = log(realised volatility / level), one for each
    exponentially weighted average of squared returns, up to yesterday; r the average of returns up
    to today, in deviations; and s the last return in units of the first realised volatility. What
    the networks see are the realised volatilities with the last return in them. So the state of
    tomorrow is a linear function of today's shock, as a simulation step wants it, and the average
    is exactly that of the history. That takes steps of one `time_step`.

    Args:
        level: Typical volatility per √year.
        windows: Lengths of the averages of squares in time steps; the last one is that of the
            trend, too.
        time_step: Years between two days.

    Attributes:
        observed: Number of components, the first ones, that have a likelihood.
        factors: Number of Brownian motions.
    """

    level: float
    windows: tuple
    time_step: float
    observed = 1
    factors = 1

    def __post_init__(self):
        _check(self)
        if not self.windows:
            raise ValueError("`windows` must not be empty for memory='returns'. Received: ()")

    @property
    def initial(self):
        """The state that a simulation starts from: a typical day after a typical return."""
        return (0.0,) * (2 + len(self.windows)) + (1.0,)

    @property
    def names(self):
        """Of the inputs of the networks."""
        return (*(f"log_realised_{window:g}" for window in self.windows), "trend")

    @property
    def _unit(self):
        """Typical return of a time step."""
        return self.level * math.sqrt(self.time_step)

    def inputs(self, state):
        """What the networks see, `(B, q)`."""
        return tf.concat([self._realised(state), state[:, -2:-1]], axis=1)

    def diffusion(self, state, factor):
        """Σ `(B, d, 1)`, from `factor` `(B, 1, 1)`, that of x."""
        sigma = factor[:, 0]
        parts = [sigma, tf.zeros_like(state[:, 1:-2]), *self._by_return(state, sigma)]
        return tf.concat(parts, axis=1)[..., tf.newaxis]

    def drift(self, state, drift, sigma):
        """Drift `(B, d)`, from `drift` `(B, 1)`, that of S."""
        _, keep, _ = self._trend
        ahead = drift - 0.5 * tf.square(sigma)  # of x
        trend, last = self._by_return(state, ahead)
        after = self._realised(state)
        parts = [
            drift,
            (after - state[:, 1:-2]) / self.time_step,
            trend - (1.0 - keep) / self.time_step * state[:, -2:-1],
            last - state[:, -1:] / self.time_step,
        ]
        return tf.concat(parts, axis=1)

    def states_of(self, history):
        """States of the days of a `DailyHistory`, `(L, d)`, in float64."""
        returns = np.log(history.spot[1:] / history.spot[:-1]) / self._unit
        shares = self._shares
        _, keep, gain = self._trend
        count = min(len(returns), math.ceil(max(self.windows)))
        start = max(np.mean(returns[:count] ** 2), 1e-4)
        square, trend = np.full(len(shares), start), 0.0
        rows = [[*0.5 * np.log(square), trend, 1.0]]
        known = square
        for change in returns:
            rows.append(
                [
                    *0.5 * np.log(known),
                    keep * trend + gain * change,
                    change / math.sqrt(known[0]),
                ]
            )
            trend = rows[-1][-2]
            known = (1.0 - shares) * known + shares * change**2
        return np.column_stack([np.log(history.spot / history.spot[0]), np.array(rows)])

    @property
    def _shares(self):
        """Share of the last square in each average."""
        return -np.expm1(-1.0 / np.array(self.windows))

    @property
    def _trend(self):
        """Length, share that is kept, and share of the last return; unit variance in the end."""
        keep = math.exp(-1.0 / self.windows[-1])
        return self.windows[-1], keep, math.sqrt(1.0 - keep**2)

    def _realised(self, state):
        """Log realised volatilities, the last return included, `(B, w)`."""
        shares = tf.constant(self._shares, state.dtype)
        squares = tf.square(state[:, -1:]) * tf.exp(2.0 * state[:, 1:2])
        return 0.5 * tf.math.log((1.0 - shares) * tf.exp(2.0 * state[:, 1:-2]) + shares * squares)

    def _by_return(self, state, x):
        """Coefficients of the trend and of the last return, for a coefficient of x."""
        _, _, gain = self._trend
        unit = tf.exp(self._realised(state)[:, :1])
        return x * (gain / self._unit), x / (self._unit * unit)


MEMORIES = {"index": IndexMemory, "returns": ReturnMemory}


def _check(memory):
    check_positive("level", memory.level)
    check_positive("time_step", memory.time_step)
    for window in memory.windows:
        check_positive("windows", window)
        if window < 1:
            raise ValueError(f"`windows` must be one time step or more. Received: {window}")
    object.__setattr__(memory, "windows", tuple(float(window) for window in memory.windows))
