"""Gauss-Newton steps through the pricer, unrolled: from a network's start to the best fit."""

import dataclasses

import tensorflow as tf

from hedgezoo.heston_calibrator.normal_equations import NormalEquations, prior_strength, solve
from hedgezoo.heston_calibrator.residuals import BASIS_POINT, residuals_and_jacobian

# accuracy of volatilities by precision of the prices
NOISE_FLOOR = {"float32": 0.02 * BASIS_POINT, "float64": 1e-4 * BASIS_POINT}
# no coordinate moves further in one step
_LARGEST_STEP = 1.0
_AT_END = 1e-9
# degrees of freedom ν of the prior
_DEGREES = 4.0


@dataclasses.dataclass(frozen=True)
class Prior:
    """What is believed before the quotes are compared with prices.

    A Student t density with few degrees of freedom ν: where quotes contradict it, it gives way. Its
    -2 log density is (ν + p) log(1 + D / ν), D = (u - μ)ᵀ P (u - μ), up to a constant. For a
    step it is a Gaussian one with precision P (ν + p) / (ν + D), which bounds it from above.

    Args:
        mean: Coordinates μ `(B, p)`, float64.
        precision: P `(B, p, p)`, float64; None for no belief.
    """

    mean: tf.Tensor
    precision: tf.Tensor | None

    def distance(self, u):
        """D, `(B,)`."""
        if self.precision is None:
            return tf.zeros_like(u[:, 0])
        away = u - self.mean
        return tf.reduce_sum(away * tf.linalg.matvec(self.precision, away), axis=-1)

    def penalty(self, u):
        """-2 log density up to a constant, `(B,)`."""
        return (_DEGREES + u.shape[-1]) * tf.math.log1p(self.distance(u) / _DEGREES)

    def around(self, u):
        """Precision `(B, p, p)` of the Gaussian that replaces it for a step from u."""
        precision = self.tensors()[1]
        factor = (_DEGREES + u.shape[-1]) / (_DEGREES + tf.stop_gradient(self.distance(u)))
        return factor[:, tf.newaxis, tf.newaxis] * precision

    def tensors(self):
        """Mean `(B, p)` and precision `(B, p, p)`; without a belief the precision is zero."""
        if self.precision is not None:
            return self.mean, self.precision
        p = self.mean.shape[-1]
        return self.mean, tf.zeros([tf.shape(self.mean)[0], p, p], self.mean.dtype)

    def rows(self, index):
        """Those of some of the panels."""
        precision = None if self.precision is None else tf.gather(self.precision, index)
        return Prior(tf.gather(self.mean, index), precision)


def hessian(equations, u, noise_variance, prior):
    """JᵀWJ / s² + P, `(B, p, p)`, and P alone: that of the prior around u, or less, or nothing."""
    strength = prior_strength(noise_variance)
    belief = strength[:, tf.newaxis, tf.newaxis] * prior.around(u)
    return equations.matrix / noise_variance[:, tf.newaxis, tf.newaxis] + belief, belief


def gauss_newton_step(coordinates, u, equations, noise_variance, prior, damping):
    """One damped step towards the posterior mode of the linearised problem.

    (JᵀWJ/s² + P + λ diag(JᵀWJ)/s²) d = -(JᵀWr/s² + P (u - μ)), shortened so that no coordinate
    moves by more than one, and kept in the ranges. Coordinates at an end of their range that would
    leave it are held.

    Args:
        coordinates: A `Coordinates`.
        u: `(B, p)`, float64.
        equations: `NormalEquations` at u.
        noise_variance: s², `(B,)`.
        prior: A `Prior`.
        damping: λ, a scalar or `(B,)`.

    Returns:
        New coordinates `(B, p)`.
    """
    matrix, belief = hessian(equations, u, noise_variance, prior)
    inverse_noise = 1.0 / noise_variance[:, tf.newaxis]
    diagonal = tf.linalg.diag_part(equations.matrix) * inverse_noise
    damping = tf.reshape(tf.cast(damping, tf.float64), [-1, 1])
    matrix += tf.linalg.diag(damping * diagonal)
    gradient = equations.gradient * inverse_noise + tf.linalg.matvec(belief, u - prior.mean)
    step = -solve(matrix, gradient)
    # what is at an end of its range, and would leave it, stays, and the others go their best way
    low, high = (tf.constant(end, u.dtype) for end in (coordinates.low, coordinates.high))
    stays = ((u <= low + _AT_END) & (step < 0.0)) | ((u >= high - _AT_END) & (step > 0.0))
    free = 1.0 - tf.cast(stays, u.dtype)
    kept = matrix * free[:, tf.newaxis] * free[:, :, tf.newaxis] + tf.linalg.diag(1.0 - free)
    step = -solve(kept, free * gradient)
    longest = tf.reduce_max(tf.abs(step), axis=-1, keepdims=True)
    step *= tf.stop_gradient(_LARGEST_STEP / tf.maximum(longest, _LARGEST_STEP))
    return coordinates.clip(u + step)


def unrolled(coordinates, quotes, start, prior, dampings, nodes=64):
    """A fixed number of steps that gradients flow through, for training.

    Residuals are linear in the coordinates to first order, r + J (u - u₀) with r, J and the noise
    held fixed, so that no gradient passes through the Fourier integral.

    Args:
        coordinates: A `Coordinates`.
        quotes: `Quotes`; their type is that of the prices.
        start: Coordinates `(B, p)`, float64.
        prior: A `Prior`.
        dampings: One λ per step.
        nodes: Quadrature nodes.

    Returns:
        Lists of coordinates `(B, p)` and of residuals `(B, m, n)`, before the first step and after
        each; Hessian `(B, p, p)` and noise variance `(B,)` at the end.
    """
    weights = tf.stop_gradient(quotes.weights())
    u, path, errors = start, [start], []
    for damping in [*dampings, None]:
        here = tf.stop_gradient(u)
        at = tf.cast(here, quotes.dtype)
        r, jacobian = (
            tf.stop_gradient(x)
            for x in residuals_and_jacobian(coordinates, at, quotes, "vertical", nodes)
        )
        moved = tf.cast(u - here, quotes.dtype)
        r += tf.linalg.matvec(jacobian, moved[:, tf.newaxis, :])
        errors.append(r)
        equations = NormalEquations.of(r, jacobian, weights)
        noise = tf.stop_gradient(equations.noise_variance(NOISE_FLOOR[quotes.dtype.name]))
        if damping is None:
            break
        u = gauss_newton_step(coordinates, u, equations, noise, prior, damping)
        path.append(u)
    return path, errors, hessian(equations, u, noise, prior)[0], noise
