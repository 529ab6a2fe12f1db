"""Implicit diffusion steps on a grid, one after the other: batched, without pivots, with adjoint.

A step of a diffusion on nodes 1..n between two absorbing ends 0 and n+1 has the matrix A with

    (A x)_i = x_i + lower_i (x_i - x_{i-1}) + upper_i (x_i - x_{i+1}),    lower, upper >= 0

inside and the identity at the ends. Prices x obey A x_new = x_old, probabilities q obey
A' q_new = q_old. A is diagonally dominant with non-positive entries off the diagonal, so
elimination needs no pivoting. And since its rows sum to one, the pivots are sums of what leaves
a node for good (never 1 minus something close to 1): nothing is ever subtracted, and all results
have the full relative precision of the type, however small they are.

Axes are `(m, n, B)`: steps, nodes, batch. The batch is last, so that a sweep is made of
operations on whole, contiguous batches.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from hedgezoo.layers.surfaces import tridiagonal_loop, tridiagonal_unrolled
from hedgezoo.layers.surfaces.xla_context import compiled_by_xla

# Up to this many nodes in all steps together, steps and sweeps are written out; beyond, they are
# loops, because tracing time grows with the graph.
MOST_UNROLLED = 600


def factorise(lower, upper):
    """The elimination that `diffuse` does first, to be shared between several calls of it.

    Args:
        lower: As in `diffuse`.
        upper: As in `diffuse`.

    Returns:
        An opaque object.
    """
    m, n = lower.shape[:2]
    # XLA would fuse a written-out sweep into kernels that compute everything many times over
    small = m * n <= MOST_UNROLLED and not compiled_by_xla()
    method = tridiagonal_unrolled if small else tridiagonal_loop
    elimination = method.eliminate(tf.stop_gradient(lower), tf.stop_gradient(upper))
    return functools.partial(method.run, elimination=elimination)


def diffuse(lower, upper, sources, transfer=None, backwards=False, factors=None):
    """Probabilities after each implicit step.

    A'_j q_j = T_j q_{j-1} + sources_j, where q before the first step is zero. The adjoint are
    prices, which run the other way: A_j x_j = T'_{j+1} x_{j+1} + upstream_j. So a gradient costs
    one more run with the same elimination; it can be differentiated again.

    Args:
        lower: Rates to the node below, non-negative, `(m, n, B)`.
        upper: Rates to the node above, `(m, n, B)`.
        sources: What enters before each step, at all nodes and both ends, `(m, n+2, B)`; or
            `(1, n+2, B)` for what enters before the first step only.
        transfer: Matrices T, `(m, n+2, n+2)`, if nodes move between steps; the first is not used.
        backwards: Whether the last step comes first; without transfer.
        factors: `factorise` of the same rates, if it is at hand.

    Returns:
        Tensor `(m, n+2, B)`.
    """
    run = factorise(lower, upper) if factors is None else factors
    transfer = () if transfer is None else (transfer,)
    return _Run(run, False, backwards).solution(lower, upper, sources, *transfer)


class _Run(NamedTuple):
    """One of the two runs that are adjoint to each other, and how to do it."""

    run: Callable
    prices: bool
    backwards: bool

    @property
    def adjoint(self):
        return self._replace(prices=not self.prices, backwards=not self.backwards)

    def solution(self, lower, upper, sources, *transfer):
        known = [tf.stop_gradient(x) for x in (lower, upper, sources)]
        moves = tf.stop_gradient(transfer[0]) if transfer else None
        result = self.run(*known, moves, prices=self.prices, backwards=self.backwards)
        return self.as_function(tf.stop_gradient(result), lower, upper, sources, *transfer)

    def as_function(self, result, lower, upper, sources, *transfer):
        """`result`, known already, as a function of the rest, to any order of differentiation."""

        @tf.custom_gradient
        def solution(lower, upper, sources, *transfer):
            def gradient(upstream):
                # the same function again, so that the gradient can be differentiated
                again = self.as_function(result, lower, upper, sources, *transfer)
                adjoint = self.adjoint.solution(lower, upper, upstream, *transfer)
                value, mass = (again, adjoint) if self.prices else (adjoint, again)
                rises = value[:, 1:] - value[:, :-1]
                inner = mass[:, 1:-1]
                entered = adjoint if sources.shape[0] == adjoint.shape[0] else adjoint[:1]
                slopes = -rises[:, :-1] * inner, rises[:, 1:] * inner, entered
                if not transfer:
                    return slopes
                moved = tf.matmul(value[1:], mass[:-1], transpose_b=True)
                return *slopes, tf.pad(moved, [[1, 0], [0, 0], [0, 0]])

            return tf.identity(result), gradient

        return solution(lower, upper, sources, *transfer)
