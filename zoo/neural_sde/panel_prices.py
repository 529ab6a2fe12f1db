"""Dupire's equation for many surfaces at once, to train one network on all of them."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers.black_scholes import european_price
from hedgezoo.layers.local_volatility.dupire_grid import DENSE
from hedgezoo.layers.local_volatility.dupire_sweeps import backward_sweep, forward_sweep
from hedgezoo.layers.local_volatility.log_time_steps import log_time_steps
from hedgezoo.layers.normal import normal_pdf

# Times and states at which the network is asked, for each surface.
LATTICE = (22, 33)


class PanelPrices:
    """Call prices of P surfaces under σ(x, t; features), on one set of maturities.

    The equation, the grid and the steps are those of `DupireGrid`, in deviations z = x / (v√T)
    with v the volatility at the money of each surface. The P systems of a step are solved as one
    long tridiagonal system. And the network is asked on a coarser lattice of times and z, between
    which σ is a cubic spline: it is smooth, and the equation needs more nodes than it does.

    Args:
        maturities: Years to expiry, `(m,)`, increasing.
        points: Nodes of the equation per surface, odd.
        deviations: Half-width of the grid in deviations.
        steps: Steps in time per factor e of maturity.

    Raises:
        ValueError: If `points` is not odd.
    """

    def __init__(self, maturities, points=101, deviations=7.0, steps=12.0):
        if points % 2 == 0 or points < 15:
            raise ValueError(f"`points` must be odd and at least 15. Received: points={points}")
        self.maturities = np.asarray(maturities, np.float64)
        self.points = int(points)
        begin, end, self._half, self._keep, self._last = log_time_steps(
            self.maturities, float(steps)
        )
        self._start_time, times = begin[0], np.sqrt(begin * end)
        self._roots = np.sqrt(times)[:, None, None]
        self._edges = [np.sqrt(t)[:, None, None] for t in (begin, end)]
        self._scale = np.arcsinh(deviations / DENSE)
        place = np.linspace(-1.0, 1.0, self.points + 2)
        nodes = DENSE * np.sinh(self._scale * place)
        self._nodes = nodes[1:-1]
        self._second, self._first = _differences(nodes)

        log_times, self._by_time = _lattice(np.log(times), LATTICE[0])
        places, self._by_place = _lattice(place[1:-1], LATTICE[1])
        self._lattice_times = np.exp(log_times)
        self._lattice_z = DENSE * np.sinh(self._scale * places)

    def calls(self, diffusion, level, features, strikes):
        """Call prices, differentiable in what `diffusion` depends on.

        Args:
            diffusion: Layer or function `(x (N, 1), t (N, 1), features (N, f))` to `(N, 1)`.
            level: Volatilities at the money, `(P,)`.
            features: `(P, f)`.
            strikes: Strikes divided by the forward, `(P, m, n)`.

        Returns:
            float64 `(P, m, n)`.
        """
        level = tf.cast(level, tf.float64)
        strikes = tf.cast(strikes, tf.float64)
        ratio = self._volatilities(diffusion, level, features) / level[:, None]
        differences = self._differences(ratio, level)
        known = european_price(1.0, strikes, self.maturities[:, None], level[:, None, None])
        return known + tf.einsum("pmng,mpg->pmn", self._weights(strikes, level), differences)

    def _volatilities(self, diffusion, level, features):
        """σ at the nodes, `(T, P, G)`."""
        z = np.sqrt(self._lattice_times)[:, None] * self._lattice_z
        state = level[:, None, None] * z
        time = tf.broadcast_to(self._lattice_times[:, None], tf.shape(state))
        rows = tf.repeat(features, z.size, axis=0)
        state, time = (tf.cast(tf.reshape(x, (-1, 1)), features.dtype) for x in (state, time))
        sigma = tf.reshape(tf.cast(diffusion(state, time, rows), tf.float64), (-1, *LATTICE))
        return tf.einsum("tj,pjc,gc->tpg", self._by_time, sigma, self._by_place)

    def _differences(self, ratio, level):
        """Differences from the Black-Scholes price at v at all maturities, `(m, P, G)`."""
        half = self._half[:, None, None]
        square = tf.square(ratio)
        root = level[:, None] * self._roots  # (T, P, 1)
        below, on, above = (
            0.5 * half * (square * (second - root * first) + self._nodes * first)
            for second, first in zip(self._second, self._first, strict=True)
        )
        # surfaces lie side by side: the last node of one does not see the first of the next
        inner = np.ones(self.points)
        inner[-1] = 0.0
        diagonals = tf.stack([-above * inner, 1.0 - on, -below * inner[::-1]], axis=1)
        # the mean of both ends of a step
        bends = [
            level[:, None] * edge * normal_pdf(self._nodes - 0.5 * level[:, None] * edge)
            for edge in self._edges
        ]
        sources = 0.25 * half * (square - 1.0) * (bends[0] + bends[1])
        strikes = tf.exp(level[:, None] * np.sqrt(self._start_time) * self._nodes)
        centre = (self.points - 1) // 2
        now, known = (
            european_price(1.0, strikes, self._start_time, sigma[:, None])
            for sigma in (level * ratio[0, :, centre], level)
        )
        long = (len(self._half), -1)
        ends = diffused(
            tf.reshape(diagonals, (long[0], 3, -1)),
            tf.reshape(sources, long),
            tf.reshape(now - known, (-1,)),
            self._keep,
            self._last,
        )
        return tf.reshape(ends, (len(self._last), -1, self.points))

    def _weights(self, strikes, level):
        """Cubic interpolation of each option between the nodes, `(P, m, n, G)`."""
        root = level[:, None, None] * np.sqrt(self.maturities)[:, None]
        place = tf.asinh(tf.math.log(strikes) / root / DENSE) / self._scale
        inside = tf.cast(tf.abs(place) < 1.0, tf.float64)
        place = (0.5 * tf.clip_by_value(place, -1.0, 1.0) + 0.5) * (self.points + 1)
        left = tf.clip_by_value(tf.floor(place), 1.0, self.points - 1.0)
        w = place - left
        stencil = (
            -w * (w - 1.0) * (w - 2.0) / 6.0,
            (w + 1.0) * (w - 1.0) * (w - 2.0) / 2.0,
            -(w + 1.0) * w * (w - 2.0) / 2.0,
            (w + 1.0) * w * (w - 1.0) / 6.0,
        )
        # the outermost nodes, where the difference is zero, are no unknowns
        return tf.add_n(
            [
                (value * inside)[..., None]
                * tf.one_hot(tf.cast(left, tf.int32) + shift - 2, self.points, dtype=tf.float64)
                for shift, value in enumerate(stencil)
            ]
        )


def diffused(diagonals, sources, start, keep, last):
    """Values after the steps `last`, `(m, G)`; see `dupire_sweeps.forward_sweep`.

    The gradient, to the diagonals, the sources and the start, is one sweep backwards.
    """

    @tf.custom_gradient
    def ends_of(diagonals, sources, start):
        middles, ends = forward_sweep(diagonals, sources, start, keep)

        def gradient(upstream):
            number = np.full(len(keep), len(last))
            number[last] = np.arange(len(last))
            padded = tf.pad(tf.convert_to_tensor(upstream), [[0, 1], [0, 0]])
            entered, by_start = backward_sweep(
                diagonals, tf.gather(padded, number)[..., None], keep
            )
            entered, padded = entered[..., 0], tf.pad(middles, [[0, 0], [1, 1]])
            by_diagonal = [padded[:, 2:], middles, padded[:, :-2]]
            by_diagonal = -tf.stack([entered * x for x in by_diagonal], axis=1)
            return by_diagonal, entered, by_start[:, 0]

        return tf.gather(ends, last), gradient

    return ends_of(diagonals, sources, start)


def _lattice(axis, count):
    """Points of a coarser axis, and the weights of a cubic spline from them to `axis`."""
    from scipy.interpolate import CubicSpline

    coarse = np.linspace(axis[0], axis[-1], count)
    return coarse, CubicSpline(coarse, np.eye(count))(axis)


def _differences(nodes):
    """Second and first difference at the inner nodes: below, on, above."""
    gaps = np.diff(nodes)
    below, above = gaps[:-1], gaps[1:]
    both = below + above
    second = (2.0 / (below * both), -2.0 / (below * above), 2.0 / (above * both))
    first = (-above / (below * both), (above - below) / (below * above), below / (above * both))
    return second, first
