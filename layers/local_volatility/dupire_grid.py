"""Dupire's equation on a grid that widens like a Brownian motion, for a list of options."""

import math

import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor, is_concrete
from hedgezoo.layers.black_scholes import european_price, european_vega
from hedgezoo.layers.heston.pricer import bounded
from hedgezoo.layers.local_volatility.dupire_sweeps import backward_sweep, forward_sweep
from hedgezoo.layers.local_volatility.log_time_steps import log_time_steps
from hedgezoo.layers.normal import normal_pdf

# Deviations beyond the furthest option that the grid reaches.
MARGIN = 2.0
# Width, in deviations, of the middle part where the nodes are dense.
DENSE = 2.0


class DupireGrid:
    """Prices of given options as a function of local volatilities at the nodes of a grid.

    Dupire's equation for undiscounted calls per unit of forward, C_T = ½ σ²(x, T)(C_xx - C_x) with
    x = log K, in the variables z = x / (v√T) and log T, in which options of all maturities look
    alike. What is solved for is the difference from the Black-Scholes price at the volatility v:
    it has no kink, vanishes in both wings, and is zero where σ = v everywhere. Second order in
    both variables.

    The grid is made once. Local volatilities at its nodes then give the prices, their gradient by
    one sweep backwards, or all derivatives at once by one sweep with a column per option.

    Args:
        strikes: Strikes K of the options divided by the forward, `(N,)`.
        maturities: Years to expiry of the options, `(N,)`, in any order.
        volatility: Typical volatility v; the grid is ±`deviations` v√T. A number, or a scalar
            tensor.
        points: Number G of nodes in x, odd, at least 15.
        deviations: Half-width of the grid in deviations v√T; more where an option lies further
            out.
        steps: Steps in time per factor e of maturity.

    Attributes:
        times: Years at which the local volatility is wanted, float64 array `(T,)`.
        log_strikes: States x = log K at which it is wanted, float64 tensor `(T, G)`.

    Raises:
        ValueError: If an argument is out of its range or a shape does not fit.

    Example:

    >>> grid = DupireGrid([0.9, 1.0, 1.1], [0.25, 0.25, 1.0], volatility=0.25)
    >>> grid.calls(0.2 * tf.ones_like(grid.log_strikes)).numpy().round(5)
    array([0.10712, 0.03988, 0.04292])

    Reference:
        Dupire, "Pricing with a smile", Risk, 1994.
    """

    def __init__(self, strikes, maturities, volatility=0.2, points=351, deviations=10.0, steps=16):
        years = positive_row("maturities", maturities)
        if points != int(points) or points < 15 or points % 2 == 0:
            raise ValueError(f"`points` must be odd and at least 15. Received: points={points}")
        for name, value in (("deviations", deviations), ("steps", steps)):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
        self.level = _checked_level(volatility)
        self.strikes = as_tensor(strikes, "float64")
        if is_concrete(self.strikes):
            positive_row("strikes", self.strikes.numpy())
        if self.strikes.shape.rank != 1 or self.strikes.shape[0] != len(years):
            raise ValueError(
                f"`strikes` must have shape (N,) = ({len(years)},), one per maturity. "
                f"Received: shape={tuple(self.strikes.shape)}"
            )
        self._years = years
        maturities, self._row = np.unique(years, return_inverse=True)
        begin, end, self._half, self._keep, self._last = log_time_steps(maturities, float(steps))
        self.times = np.sqrt(begin * end)
        self._z = tf.math.log(self.strikes) / (self.level * np.sqrt(years))
        self._scale = tf.asinh(tf.constant(self._half_width(float(deviations)) / DENSE, "float64"))
        self._xi = np.linspace(-1.0, 1.0, int(points) + 2)
        self._nodes = DENSE * tf.sinh(self._xi * self._scale)
        inner = self._nodes[1:-1]
        self._root = self.level * np.sqrt(self.times)[:, None]
        self.log_strikes = self._root * inner
        self._first_states = self.level * np.sqrt(begin[0]) * inner
        self._first_time = begin[0]
        # ∂²/∂z² - v√T ∂/∂z of the Black-Scholes price, the mean of both ends of a step
        roots = [self.level * np.sqrt(t)[:, None] for t in (begin, end)]
        bends = [root * normal_pdf(inner - 0.5 * root) for root in roots]
        self._bend = 0.5 * (bends[0] + bends[1])

    @property
    def states(self):
        """The nodes as two columns `(T G, 1)`, x and t, as a diffusion takes them."""
        time = tf.broadcast_to(self.times[:, None], tf.shape(self.log_strikes))
        return tf.reshape(self.log_strikes, (-1, 1)), tf.reshape(time, (-1, 1))

    def tabulate(self, diffusion, features=None):
        """Values of a function `(x (B, 1), t (B, 1)[, features (B, f)])` at the nodes.

        Args:
            diffusion: Layer or function that returns `(B, 1)` or `(B, 1, 1)`.
            features: Optional market features `(f,)`.

        Returns:
            Float64 tensor `(T, G)`.

        Raises:
            ValueError: If it returns another shape.
        """
        arguments = list(self.states)
        count = arguments[0].shape[0]
        if features is not None:
            row = tf.reshape(as_tensor(features, "float64"), (1, -1))
            arguments.append(tf.repeat(row, count, axis=0))
        values = tf.convert_to_tensor(diffusion(*arguments))
        if tuple(values.shape) not in ((count, 1), (count, 1, 1)):
            raise ValueError(
                "The volatility must be a function of (B, 1) states and times to (B, 1). "
                f"Received: shape={tuple(values.shape)} for B={count}"
            )
        return tf.reshape(tf.cast(values, "float64"), self.log_strikes.shape)

    def calls(self, sigma):
        """Call prices, differentiable in σ and in the strikes.

        Args:
            sigma: Local volatilities at the nodes, `(T, G)`.

        Returns:
            Undiscounted calls per unit of forward, float64 tensor `(N,)`.
        """
        ratio, start = self._ratio_and_start(self._checked(sigma))
        return self._prices(self._weights(), self._differences(ratio, start))

    def calls_and_jacobian(self, sigma):
        """Call prices and their derivatives in all local volatilities, by one sweep backwards.

        Args:
            sigma: Local volatilities at the nodes, `(T, G)`.

        Returns:
            Calls `(N,)` and Jacobian `(N, T, G)`, float64.
        """
        sigma = self._checked(sigma)
        ratio, start = self._ratio_and_start(sigma)
        differences, middles, diagonals = self._forward(ratio, start)
        weights = self._weights()
        calls = self._prices(weights, differences)
        chosen = tf.one_hot(self._row, len(self._last), dtype="float64")  # (N, m)
        upstream = tf.einsum("nm,ng->mgn", chosen, weights)
        by_ratio, by_start = self._backward(upstream, middles, diagonals)
        jacobian = tf.transpose(by_ratio, (2, 0, 1)) * (2.0 * sigma / tf.square(self.level))
        centre = (sigma.shape[1] - 1) // 2
        vega = european_vega(1.0, tf.exp(self._first_states), self._first_time, sigma[0, centre])
        by_centre = tf.linalg.matvec(by_start, vega, transpose_a=True)[:, None, None]
        at_centre = np.zeros(self.log_strikes.shape)
        at_centre[0, centre] = 1.0
        return calls, jacobian + by_centre * at_centre

    # -------------------------------------------------------------------------------- the options

    def _half_width(self, deviations):
        """Deviations to the ends: beyond all options, if their place is known."""
        if is_concrete(self._z):
            furthest = float(tf.reduce_max(tf.abs(self._z)))
            return max(deviations, furthest + MARGIN)
        return deviations

    def _prices(self, weights, differences):
        """Calls `(N,)`; where rounding takes one out of its bounds it is moved back."""
        calls = european_price(1.0, self.strikes, self._years, self.level)
        calls += tf.reduce_sum(weights * tf.gather(differences, self._row), axis=-1)
        return calls + tf.stop_gradient(bounded(calls, self.strikes) - calls)

    def _weights(self):
        """Cubic interpolation of each option between the nodes, `(N, G)`."""
        points = len(self._xi) - 2
        place = tf.asinh(self._z / DENSE) / self._scale
        inside = tf.abs(place) < 1.0
        place = (0.5 * tf.clip_by_value(place, -1.0, 1.0) + 0.5) * (points + 1)
        left = tf.clip_by_value(tf.floor(place), 1.0, points - 1.0)
        w = place - left
        stencil = tf.stack(
            [
                -w * (w - 1.0) * (w - 2.0) / 6.0,
                (w + 1.0) * (w - 1.0) * (w - 2.0) / 2.0,
                -(w + 1.0) * w * (w - 2.0) / 2.0,
                (w + 1.0) * w * (w - 1.0) / 6.0,
            ],
            axis=-1,
        )
        stencil *= tf.cast(inside, "float64")[:, None]
        index = tf.cast(left, "int32")[:, None] + tf.range(-1, 3)
        # the outermost nodes, where the difference is zero, are no unknowns
        spread = tf.one_hot(index - 1, points, dtype="float64")
        return tf.einsum("ns,nsg->ng", stencil, spread)

    # ------------------------------------------------------------------------------- the equation

    def _checked(self, sigma):
        sigma = as_tensor(sigma, "float64")
        if tuple(sigma.shape) != tuple(self.log_strikes.shape):
            raise ValueError(
                f"`sigma` must have shape (T, G) = {tuple(self.log_strikes.shape)}. "
                f"Received: shape={tuple(sigma.shape)}"
            )
        return sigma

    def _ratio_and_start(self, sigma):
        """σ²/v², and the difference at the start, where σ is that at the money."""
        strikes = tf.exp(self._first_states)
        at_money = sigma[0, (sigma.shape[1] - 1) // 2]
        now, level = (
            european_price(1.0, strikes, self._first_time, vol) for vol in (at_money, self.level)
        )
        return tf.square(sigma / self.level), now - level

    def _stencils(self):
        """Second and first difference at the inner nodes: below, on, above; `(3, G)` each."""
        gaps = self._nodes[1:] - self._nodes[:-1]
        below, above = gaps[:-1], gaps[1:]
        both = below + above
        second = tf.stack([2.0 / (below * both), -2.0 / (below * above), 2.0 / (above * both)])
        first = tf.stack(
            [-above / (below * both), (above - below) / (below * above), below / (above * both)]
        )
        return second, first

    def _operator(self):
        """Of the equation U' = ½ (p L + M) U: L `(T, 3, G)` and M `(3, G)`."""
        second, first = self._stencils()
        return second - self._root[:, None] * first, self._nodes[1:-1] * first

    def _forward(self, ratio, start):
        by_ratio, drift = self._operator()
        half = self._half[:, None]
        rates = (0.5 * half[:, None]) * (ratio[:, None] * by_ratio + drift)  # h A
        below, on, above = tf.unstack(rates, axis=1)
        diagonals = tf.stack([-above, 1.0 - on, -below], axis=1)
        sources = (0.5 * half) * (ratio - 1.0) * self._bend
        middles, ends = forward_sweep(diagonals, sources, start, self._keep)
        return tf.gather(ends, self._last), middles, diagonals

    def _backward(self, upstream, middles, diagonals):
        """Cotangents of the ratio `(T, G, N)` and of the start `(G, N)`; upstream `(m, G, N)`."""
        steps = len(self._half)
        number = np.full(steps, len(self._last))
        number[self._last] = np.arange(len(self._last))
        padded = tf.pad(upstream, [[0, 1], [0, 0], [0, 0]])
        entered, by_start = backward_sweep(diagonals, tf.gather(padded, number), self._keep)
        by_ratio, _ = self._operator()
        below, on, above = tf.unstack(by_ratio, axis=1)
        padded = tf.pad(middles, [[0, 0], [1, 1]])
        bend = below * padded[:, :-2] + on * middles + above * padded[:, 2:] + self._bend
        return entered * (0.5 * self._half[:, None] * bend)[..., None], by_start

    def _differences(self, ratio, start):
        """Differences from Black-Scholes prices at the nodes of all maturities, `(m, G)`."""

        @tf.custom_gradient
        def differences(ratio, start):
            result, middles, diagonals = self._forward(ratio, start)

            def gradient(upstream):
                upstream = tf.convert_to_tensor(upstream)[..., None]
                by_ratio, by_start = self._backward(upstream, middles, diagonals)
                return by_ratio[..., 0], by_start[..., 0]

            return result, gradient

        return differences(ratio, start)


def positive_row(name, values):
    """Positive, finite numbers as a float64 array `(N,)`, or a ValueError."""
    try:
        row = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        row = np.empty(0)
    if row.ndim != 1 or row.size == 0 or not (np.isfinite(row) & (row > 0)).all():
        raise ValueError(
            f"`{name}` must be positive, finite numbers of shape (N,). Received: {values}"
        )
    return row


def _checked_level(volatility):
    level = tf.stop_gradient(as_tensor(volatility, "float64"))
    if level.shape.rank != 0 or (is_concrete(level) and not 0 < float(level) < math.inf):
        raise ValueError(f"`volatility` must be a positive number. Received: {volatility}")
    return level
