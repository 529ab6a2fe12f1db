"""Levenberg-Marquardt on a batch of panels, each until it has converged."""

import functools

import numpy as np
import tensorflow as tf

from hedgezoo.heston_calibrator.normal_equations import NormalEquations, prior_strength
from hedgezoo.heston_calibrator.refinement import NOISE_FLOOR, Prior, gauss_newton_step
from hedgezoo.heston_calibrator.residuals import APART, BASIS_POINT, Quotes, residuals_and_jacobian

# A step that moves volatilities, in root mean square, by less than this plus this share of the
# noise is the last one. Its own error is of second order: it is not worth new prices.
SETTLED, SETTLED_SHARE = 0.03 * BASIS_POINT, 0.02
LONG = 0.3  # a step of a coordinate along which nothing is linear
_FIRST_DAMPING, _LAST_DAMPING = 1e-4, 1e8
_RAISE, _LOWER, _NEGLIGIBLE = 10.0, 0.05, 1e-7


def levenberg_marquardt(coordinates, quotes, u, prior, contour, nodes, max_steps):
    """The posterior mode, or the least-squares fit, of each panel.

    A step that does not lower -2 log posterior, at the noise estimated before it, is taken back
    and damped more. Panels that have converged are left out of further steps. The last step is
    small enough for residuals to be linear in it.

    Args:
        coordinates: A `Coordinates`.
        quotes: `Quotes` in float64.
        u: Where to start, `(B, p)`.
        prior: A `Prior`.
        contour: Of the Fourier integrals.
        nodes: Of the Fourier integrals.
        max_steps: Largest number of steps.

    Returns:
        Coordinates `(B, p)`, residuals `(B, m, n)` and Jacobian `(B, m, n, p)` there, which panels
        have converged, and numbers of steps, int32, `(B,)`.
    """
    ranks = quotes.strikes.shape.rank, quotes.maturities.shape.rank
    steps = tf.convert_to_tensor(max_steps, tf.int32)
    fit = _compiled(coordinates, contour, nodes, ranks)
    return fit(u, *prior.tensors(), *quotes.tensors(), steps)


@functools.lru_cache(maxsize=32)
def _compiled(coordinates, contour, nodes, ranks):
    """The loop as a function of its own, traced once for every use."""
    p = len(coordinates)
    shapes = [[None, p], [None, p], [None, p, p], *([None] * rank for rank in (3, *ranks, 3, 3, 0))]
    types = [tf.float64] * 6 + [tf.bool, tf.float64, tf.int32]
    signature = [tf.TensorSpec(*pair) for pair in zip(shapes, types, strict=True)]

    @tf.function(input_signature=signature, autograph=False, experimental_attributes=APART)
    def fit(u, mean, precision, *arguments):
        quotes, max_steps = Quotes(*arguments[:-1]), arguments[-1]
        prior = Prior(mean, precision)
        return _loop(coordinates, quotes, u, prior, contour, nodes, max_steps)

    return fit


def _loop(coordinates, quotes, u, prior, contour, nodes, max_steps):
    weights = quotes.weights()
    r = tf.zeros_like(quotes.volatility)
    jacobian = tf.zeros(tf.concat([tf.shape(r), [len(coordinates)]], 0), r.dtype)
    ones = tf.ones_like(u[:, 0])
    # the first point is a proposal, too, which nothing can be worse than
    state = (
        u,
        r,
        jacobian,
        u,
        ones,
        ones * np.inf,
        ones * 0.0,
        ones > 2.0,
        tf.cast(0.0 * ones, tf.int32),
    )

    def unfinished(step, *state):
        return (step < max_steps) & ~tf.reduce_all(state[-2])

    def one_step(step, *state):
        rows = tf.where(~state[-2])[:, 0]
        here, w, belief = quotes.rows(rows), tf.gather(weights, rows), prior.rows(rows)
        u, r, jacobian, trial, noise, before, damping, _, count = (
            tf.gather(x, rows) for x in state
        )
        r_trial, jacobian_trial = residuals_and_jacobian(coordinates, trial, here, contour, nodes)
        after = tf.reduce_sum(w * tf.square(r_trial), axis=(-2, -1)) / noise
        better = after + prior_strength(noise) * belief.penalty(trial) <= before
        u = choose(better, trial, u)
        r = choose(better, r_trial, r)
        jacobian = choose(better, jacobian_trial, jacobian)
        lower = _LOWER * tf.where(_LOWER * damping < _NEGLIGIBLE, tf.zeros_like(damping), damping)
        damping = tf.where(better, lower, tf.maximum(_RAISE * damping, _FIRST_DAMPING))

        equations = NormalEquations.of(r, jacobian, w)
        noise = equations.noise_variance(NOISE_FLOOR["float64"])
        before = equations.squares / noise + prior_strength(noise) * belief.penalty(u)
        trial = gauss_newton_step(coordinates, u, equations, noise, belief, damping)
        # a damped step is small for another reason
        done = settled(equations, trial - u, noise) & tf.equal(damping, 0.0)
        moved = tf.where(done[:, tf.newaxis], trial - u, 0.0)
        u += moved
        r += tf.linalg.matvec(jacobian, moved[:, tf.newaxis, :])
        met = equations.squares < SETTLED**2 * tf.reduce_sum(w, axis=(-2, -1))
        done |= met | (damping > _LAST_DAMPING)
        new = (u, r, jacobian, trial, noise, before, damping, done, count + 1)
        return (step + 1, *replace(state, rows, new))

    _, u, r, jacobian, *_, done, count = tf.while_loop(
        unfinished, one_step, (tf.constant(0), *state), parallel_iterations=1
    )
    return u, r, jacobian, done, count


def settled(equations, step, noise):
    """Whether a step is so small that it is the last one, `(B,)`.

    Args:
        equations: `NormalEquations` that it solves.
        step: `(B, p)`.
        noise: Variance of a quote, `(B,)`.
    """
    squares = tf.einsum("bi,bij,bj->b", step, equations.matrix, step)
    moved = tf.sqrt(tf.nn.relu(squares) / tf.maximum(equations.count, 1.0))
    small = moved < SETTLED + SETTLED_SHARE * tf.sqrt(noise)
    return small & (tf.reduce_max(tf.abs(step), axis=-1) < LONG)


def choose(condition, new, old):
    """Rows of one or the other tensor by booleans `(B,)`."""
    shape = tf.concat([tf.shape(condition), tf.ones([tf.rank(new) - 1], tf.int32)], 0)
    return tf.where(tf.reshape(condition, shape), new, old)


def replace(tensors, rows, values):
    """Tensors with some rows replaced."""
    rows = rows[:, tf.newaxis]
    pairs = zip(tensors, values, strict=True)
    return tuple(tf.tensor_scatter_nd_update(x, rows, y) for x, y in pairs)
