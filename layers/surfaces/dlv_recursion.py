"""The recursion behind discrete local volatilities: rates, probabilities, time values, prices.

Everything here has the axes `(m, n, B)`: maturities, strikes, batch.
"""

import itertools

import numpy as np
import tensorflow as tf

from hedgezoo.layers.surfaces.strike_grid import carry_time_value, hat_weights, payoff
from hedgezoo.layers.surfaces.tridiagonal_sweep import diffuse, factorise


def batch_last(surface):
    """`(..., m, n)` as `(m, n, B)`."""
    m, n = surface.shape[-2:]
    return tf.reshape(tf.transpose(tf.reshape(surface, (-1, m * n))), (m, n, -1))


def batch_first(values, like):
    """`(m, n, B)` with the leading axes of `like`, `(..., m, n)`."""
    m, n = values.shape[:2]
    shape = tf.concat([tf.shape(like)[:-2], [m, n]], 0)
    values = tf.reshape(tf.transpose(tf.reshape(values, (m * n, -1))), shape)
    return tf.ensure_shape(values, [*like.shape[:-2], m, n])


def rates_of(sigma, grid):
    """Time value gained per probability in each step, `(m, n, B)`."""
    widths = grid.widths
    middle = 0.5 * (widths[:, :-1] + widths[:, 1:])
    scale = 0.5 * tf.square(grid.strikes) / middle * grid.steps[:, None]
    return scale[..., None] * _finite_square(sigma)


@tf.custom_gradient
def _finite_square(sigma):
    """σ², where σ beyond the inverse precision counts as infinite: nobody stays at that strike."""

    def gradient(upstream):
        return 2.0 * upstream * bounded

    bounded = tf.minimum(sigma, 1.0 / np.finfo(sigma.dtype.as_numpy_dtype).eps)
    return tf.square(bounded), gradient


def masses_of(rates, grid, factors=None):
    """Probabilities at the nodes, ghosts included, `(m, n+2, B)`, maturity after maturity."""
    transfer = None
    if not grid.common:
        rows = tf.unstack(grid.nodes)
        moves = [hat_weights(*pair) for pair in itertools.pairwise(rows)]
        transfer = tf.stack([tf.eye(rows[0].shape[0], dtype=rates.dtype), *moves])
    start = tf.broadcast_to(_start(grid), (grid.nodes.shape[1], tf.shape(rates)[2]))
    return diffuse(*rates_to_neighbours(rates, grid), start[None], transfer, factors=factors)


def rates_to_neighbours(rates, grid):
    """Rates to the nodes below and above, each `(m, n, B)`."""
    widths = grid.widths[..., None]
    return rates / widths[:, :-1], rates / widths[:, 1:]


def prices_of(rates, grid):
    """Call prices, `(m, n, B)`."""
    factors = factorise(*rates_to_neighbours(rates, grid))
    masses = masses_of(rates, grid, factors)
    calls = payoff(grid.strikes)[..., None] + time_value_of(rates, masses, grid)
    return _with_short_gradient(calls, masses, rates, grid, factors) if grid.common else calls


def _with_short_gradient(calls, masses, rates, grid, factors):
    """`calls` with a gradient that is shorter than the one through probabilities.

    Prices obey A_j C_j = C_{j-1}. With the adjoint A'_j y_j = y_{j+1} + upstream_j the slope in a
    rate is y_j times the second difference of C_j, which is the probability.
    """
    calls = tf.stop_gradient(calls)

    @tf.custom_gradient
    def prices(rates, nodes):
        def gradient(upstream):
            row = grid._replace(nodes=nodes)
            sources = tf.pad(upstream, [[0, 0], [1, 1], [0, 0]])
            rates_to = rates_to_neighbours(rates, row)
            adjoint = diffuse(*rates_to, sources, backwards=True, factors=factors)
            inner = adjoint[:, 1:-1]
            # as functions of the arguments again, so that the gradient can be differentiated
            values = _with_short_gradient(calls, masses, rates, row, factors)
            ends = payoff(nodes)[..., None] + tf.zeros_like(masses[:, :1])
            values = tf.concat([ends[:, :1], values, ends[:, -1:]], 1)
            flow = tf.pad(inner * rates, [[0, 0], [1, 1], [0, 0]])
            slopes = (values[:, 1:] - values[:, :-1]) / row.widths[..., None]
            moved = (flow[:, :-1] - flow[:, 1:]) * slopes / row.widths[..., None]
            by_width = -tf.reduce_sum(moved, (0, 2))
            by_payoff = 0.5 * (tf.sign(nodes - 1.0) - 1.0) * tf.reduce_sum(adjoint[0], -1)
            by_node = tf.pad(by_width, [[1, 0]]) - tf.pad(by_width, [[0, 1]]) + by_payoff
            return inner * masses[:, 1:-1], by_node

        return tf.identity(calls), gradient

    return prices(rates, grid.nodes)


def time_value_of(rates, masses, grid):
    gained = tf.unstack(rates * masses[:, 1:-1])
    values = gained[:1]
    for j, gain in enumerate(gained[1:], 1):
        value = values[-1]
        if not grid.common:
            value = carry_time_value(value, grid.row(j - 1), grid.row(j)[1:-1])
        values.append(value + gain)
    return tf.stack(values)


def start_of_steps(masses, time_value, grid):
    """Probabilities and time values at the start of each step, on its own nodes."""
    starts = [tf.broadcast_to(_start(grid), tf.shape(masses[0]))]
    values = [tf.zeros_like(time_value[0])]
    for j in range(1, masses.shape[0]):
        mass, value = masses[j - 1], time_value[j - 1]
        if not grid.common:
            mass = tf.matmul(hat_weights(grid.row(j - 1), grid.row(j)), mass)
            value = carry_time_value(value, grid.row(j - 1), grid.row(j)[1:-1])
        starts.append(mass)
        values.append(value)
    return tf.stack(starts), tf.stack(values)


def _start(grid):
    """All the mass at the forward, split between the nodes around it, `(n+2, 1)`."""
    return hat_weights(tf.ones((1,), grid.nodes.dtype), grid.row(0))
