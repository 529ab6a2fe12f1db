"""The options that are hedged: their paths, payoffs, positions and gains, all on one time grid."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers.normal import normal_cdf
from hedgezoo.neural_sde.control_variates import payoffs
from hedgezoo.neural_sde.exotics import merged_times
from hedgezoo.neural_sde.hedged_paths import hedge_costs, hedge_dates, hedge_gains


class HedgeBook:
    """N quoted options and perhaps an exotic along the paths of a neural SDE.

    Args:
        sde: A `NeuralSDE` without features.
        quotes: `SurfaceQuotes` of the N options, each held to expiry.
        exotic: Optional `Exotic`; it comes last wherever options are counted.
        every: Positions change at every so many-th step of the simulation, and where an option
            expires.

    Attributes:
        maturities: Years that the simulation hits: expiries and fixings.
        times: Years of all its steps, `(T + 1,)`.
        prices: Quoted prices of the options out of the money, float64 `(N,)`.
    """

    def __init__(self, sde, quotes, exotic=None, every=1):
        self.sde, self.quotes, self.exotic, self.every = sde, quotes, exotic, every
        fixings = [] if exotic is None else exotic.fixings[1:]
        self.maturities = tuple(merged_times(quotes.expiries, fixings).tolist())
        self.prices = quotes.out_of_the_money
        self.times = self.rollout.times
        ends = [*quotes.maturities, *([] if exotic is None else [exotic.maturity])]
        self._dates, self._ends = hedge_dates(self.times, ends, every)
        self._years = self.times[self._dates[:-1]]
        self._log_strikes = np.log(quotes.strikes)
        self._expiries = np.asarray(quotes.maturities)
        # a put is hedged with one forward less, until it expires
        alive = np.arange(len(self._years)) < self._ends[: len(quotes), np.newaxis]
        self._less = quotes.is_put[:, np.newaxis] & alive
        self._fixings = None if exotic is None else exotic.steps_in(self.times)

    def along(self, sde):
        """The same options along the paths of another neural SDE."""
        return type(self)(sde, self.quotes, self.exotic, self.every)

    @property
    def rollout(self):
        """The simulation: an `SDERollout` of whole paths."""
        return self.sde.rollout(
            self.maturities,
            output="path",
            check_finite=False,
            **self.sde.draws_for(self.maturities),
        )

    def paths(self, increments, training=False):
        """States at all times, `(B, T + 1, d)`.

        Args:
            increments: Of the Brownian motions, `(B, T, k)`.
            training: Whether the networks are being trained.
        """
        return self.sde.states_at(
            increments, self.maturities, training=training, output="path", check_finite=False
        )

    def payoffs(self, path):
        """What the options out of the money pay and, last, the exotic: `(B, N + E)`.

        Args:
            path: As `paths` returns it.
        """
        at_expiry = tf.gather(self._dates, self._ends[: len(self.quotes)])
        paid = payoffs(tf.exp(tf.gather(path[..., 0], at_expiry, axis=1)), self.quotes)
        if self.exotic is None:
            return paid
        last = self.exotic.pay(tf.gather(path[..., 0], self._fixings, axis=1))
        return tf.concat([paid, last[:, tf.newaxis]], axis=1)

    def positions(self, path, network):
        """Positions at the dates of the hedge, `(B, N + E, H)`.

        Args:
            path: As `paths` returns it.
            network: A `HedgeNetwork`.
        """
        at_dates = tf.gather(path, self._dates[:-1], axis=1)
        log_spot = at_dates[..., 0]
        factor = at_dates[..., 1] if self.sde.states > 1 else None
        found = network(self._years, log_spot, factor, self._log_strikes, self._expiries)
        found -= tf.cast(self._less, found.dtype)
        if self.exotic is None:
            return found
        features = self.exotic.features(path[..., 0], self.times)
        features = tf.gather(features, self._dates[:-1], axis=1)
        last = network.path_position(self._years, log_spot, factor, features)
        return tf.concat([found, last[:, tf.newaxis]], axis=1)

    def gains(self, path, positions, cost=0.0):
        """What positions earn before costs, and the costs: `(B, N + E)` each.

        Args:
            path: As `paths` returns it.
            positions: `(B, N + E, H)`.
            cost: Cost of a trade per amount of money traded.
        """
        price = tf.exp(tf.gather(path[..., 0], self._dates, axis=1))
        gains = hedge_gains(positions, price)
        if cost == 0.0:
            return gains, tf.zeros_like(gains)
        return gains, hedge_costs(positions, price, self._ends, cost)

    def black_scholes_positions(self, path):
        """Deltas of the N options at their own quoted volatilities, `(B, N, H)`.

        Args:
            path: As `paths` returns it.
        """
        log_spot = tf.gather(path[..., 0], self._dates[:-1], axis=1)
        left = self._expiries[:, np.newaxis] - self._years
        deviation = np.asarray(self.quotes.implied_volatility)[:, np.newaxis]
        deviation = deviation * np.sqrt(np.maximum(left, 1e-6))
        known = (-self._log_strikes[:, np.newaxis] / deviation + 0.5 * deviation, 1.0 / deviation)
        shift, slope = (tf.constant(x, log_spot.dtype) for x in known)
        delta = normal_cdf(shift + slope * log_spot[:, tf.newaxis])
        return delta * tf.cast(left > 1e-6, delta.dtype) - tf.cast(self._less, delta.dtype)
