"""Control variates of simulated option prices: numbers of known mean that move with the payoff."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.layers import MultilayerPerceptron
from hedgezoo.layers.normal import normal_cdf

CONTROLS = (None, "black_scholes", "hedge")
_REBALANCINGS = 24  # a year; between them the hedge is held
_LAST = 1e-3  # years before expiry at which a hedge is at the latest looked up


class ShadowControl(keras.layers.Layer):
    """Payoffs in Black-Scholes models on the same increments, minus their exact prices.

    Each quote has a model of its own, whose volatility is the quoted one: the exact price is the
    quote itself, and no more random numbers are needed.

    Args:
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        steps: Indices of the quotes' maturities among the time steps, as in
            `SDERollout.maturity_steps`, `(m,)`.

    Call arguments:
        states: Not used. Any.
        increments: Of the Brownian motions, the first of which drives the spot, `(B, T, k)`.

    Output shape:
        `(B, N)`; its exact mean is zero.

    Example:

    >>> from hedgezoo.datasets import SurfaceQuotes
    >>> quotes = SurfaceQuotes([1.0], [1.0], [0.2])
    >>> control = ShadowControl(quotes, steps=[1])
    >>> control(None, tf.constant([[[0.5]], [[-0.5]]])).numpy().round(3)
    array([[ 0.004],
           [-0.08 ]], dtype=float32)
    """

    trains = False

    def __init__(self, quotes, steps):
        super().__init__(autocast=False, name="shadow_control")
        self.quotes, self.steps = quotes, np.asarray(steps)

    def call(self, states, increments):
        dtype = increments.dtype
        levels = tf.gather(tf.cumsum(increments[:, :, 0], axis=1), self.steps - 1, axis=1)
        levels = tf.gather(levels, self.quotes.expiry_index, axis=1)
        volatility = np.asarray(self.quotes.implied_volatility)
        shift = -0.5 * volatility**2 * np.asarray(self.quotes.maturities)
        spot = tf.exp(tf.constant(volatility, dtype) * levels + tf.constant(shift, dtype))
        return payoffs(spot, self.quotes) - tf.constant(self.quotes.out_of_the_money, dtype)


class HedgeControl(keras.layers.Layer):
    """Gains ∫ φ_n(x, t) dS of a learned hedge φ of each quote.

    φ is the delta of Black and Scholes at the quoted volatility, whose d₁ a network corrects; the
    network begins with no correction. A trading gain has mean zero whatever the hedge is, since
    S / F is a martingale in every scheme on its logarithm. Neither states nor gains pass a gradient
    on to the dynamics: the hedge learns from the paths, not the paths from the hedge.

    Args:
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        times: Years of the states, the start included, `(T + 1,)`.
        steps: Indices of the quotes' maturities among them, `(m,)`.
        units: Widths of the network's hidden layers.
        rebalancings: Trades per year, and at every maturity.

    Call arguments:
        states: log(S / F) first, `(B, T + 1, d)`.
        increments: Not used. Any.

    Output shape:
        `(B, N)`; its exact mean is zero.

    Reference:
        Gierjatowicz, Sabate-Vidales, Šiška, Szpruch, Žurič, "Robust pricing and hedging via neural
        SDEs" (2020).
    """

    trains = True

    def __init__(self, quotes, times, steps, units=(32, 32), rebalancings=_REBALANCINGS):
        super().__init__(autocast=False, name="hedge_control")
        self.quotes = quotes
        every = np.asarray(times, np.float64)
        # the first step in each interval between trades, and every maturity
        interval = np.floor(every * rebalancings + 1e-9)
        first = np.flatnonzero(np.diff(interval, prepend=-1.0) > 0)
        last = int(np.max(steps))
        self.at = np.union1d(first[first < last], [0, *np.asarray(steps)]).astype(int)
        self.times = every[self.at]
        maturities = np.asarray(quotes.maturities)
        self.level = float(np.median(quotes.implied_volatility))
        deviation = np.asarray(quotes.implied_volatility)
        left = maturities - self.times[:-1, np.newaxis]  # (T', N)
        self.alive = left > _LAST
        root = deviation * np.sqrt(np.maximum(left, _LAST))
        self.slope = 1.0 / root
        self.shift = -np.log(quotes.strikes) / root + 0.5 * root
        self.network = MultilayerPerceptron(
            tuple(units),
            outputs=len(quotes),
            activation="tanh",
            seed=0,
            output_initializer="zeros",
        )

    def build(self, states_shape=None, increments_shape=None):
        self.network.build((None, 2))
        self.built = True

    def call(self, states, increments):
        x = tf.stop_gradient(tf.gather(states[:, :, 0], self.at, axis=1))
        dtype = x.dtype
        spot = tf.exp(x)
        x = x[:, :-1, tf.newaxis]
        clock = np.sqrt(self.times[:-1] / self.times[-1])
        scale = self.level * np.sqrt(self.times[:-1] + 0.02 * self.times[-1])
        columns = [
            x / tf.constant(scale[:, np.newaxis], dtype),
            tf.zeros_like(x) + tf.constant(2.0 * clock[:, np.newaxis] - 1.0, dtype),
        ]
        correction = tf.cast(self.network(tf.concat(columns, axis=-1)), dtype)
        d1 = x * tf.constant(self.slope, dtype) + tf.constant(self.shift, dtype) + correction
        # a put's delta is that of the call minus one
        delta = normal_cdf(d1) - tf.constant(self.quotes.is_put, dtype)
        held = delta * tf.constant(self.alive, dtype)
        return tf.einsum("btn,bt->bn", held, spot[:, 1:] - spot[:, :-1])


def make_control(control, quotes, rollout):
    """The control variate of a name.

    Args:
        control: One of `CONTROLS`.
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        rollout: The `SDERollout` at the quotes' maturities.

    Returns:
        A layer of `(states, increments)`, or None.

    Raises:
        ValueError: If there is none of that name.
    """
    if control not in CONTROLS:
        raise ValueError(f"`control` must be one of {CONTROLS}. Received: control={control!r}")
    if control is None:
        return None
    if control == "black_scholes":
        return ShadowControl(quotes, rollout.maturity_steps)
    return HedgeControl(quotes, rollout.times, rollout.maturity_steps)


def payoffs(spot, quotes):
    """Payoffs of the options out of the money: puts below the forward, calls from there on.

    Args:
        spot: Spot at each quote's maturity divided by the forward, `(B, N)`.
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.

    Returns:
        Tensor `(B, N)`.
    """
    sign = tf.constant(np.where(quotes.is_put, -1.0, 1.0), spot.dtype)
    return tf.nn.relu(sign * (spot - tf.constant(quotes.strikes, spot.dtype)))
