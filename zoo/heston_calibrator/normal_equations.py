"""The linear algebra of a Gauss-Newton step with a prior, for a batch of panels."""

import dataclasses

import tensorflow as tf

from hedgezoo.heston_calibrator.residuals import BASIS_POINT

# relative to the diagonal: what keeps a singular matrix from stopping the program
_RIDGE = 1e-13
# residual deviation beyond which the model is wrong rather than the quotes noisy
_MODEL_ERROR = 20.0 * BASIS_POINT


@dataclasses.dataclass(frozen=True)
class NormalEquations:
    """Weighted least squares, linear in the coordinates u, of residuals r + J d.

    Everything is float64.

    Args:
        matrix: JᵀWJ, `(B, p, p)`.
        gradient: JᵀWr, `(B, p)`.
        squares: rᵀWr, `(B,)`.
        count: Number N of quotes, `(B,)`.
    """

    matrix: tf.Tensor
    gradient: tf.Tensor
    squares: tf.Tensor
    count: tf.Tensor

    @classmethod
    def of(cls, residuals, jacobian, weights):
        """From residuals `(B, m, n)`, Jacobian `(B, m, n, p)` and weights `(B, m, n)`."""
        p = jacobian.shape[-1]
        weights = tf.reshape(tf.cast(weights, tf.float64), [-1, _cells(weights), 1])
        residuals = tf.reshape(tf.cast(residuals, tf.float64), tf.shape(weights))
        jacobian = tf.reshape(tf.cast(jacobian, tf.float64), [-1, _cells(jacobian[..., 0]), p])
        weighted = jacobian * weights
        return cls(
            tf.matmul(weighted, jacobian, transpose_a=True),
            tf.matmul(weighted, residuals, transpose_a=True)[..., 0],
            tf.reduce_sum(weights * tf.square(residuals), axis=(-2, -1)),
            tf.reduce_sum(tf.cast(weights > 0.0, tf.float64), axis=(-2, -1)),
        )

    def noise_variance(self, floor):
        """Variance of a quote of weight one: what a linear step leaves, per degree of freedom.

        Args:
            floor: Smallest standard deviation, the accuracy of the prices.

        Returns:
            `(B,)`.
        """
        step = solve(self.matrix, self.gradient)
        left = self.squares - tf.reduce_sum(step * self.gradient, axis=-1)
        degrees = tf.maximum(self.count - self.matrix.shape[-1], 1.0)
        return tf.maximum(tf.nn.relu(left) / degrees, floor**2)


def prior_strength(noise_variance):
    """Factor of the prior's precision: 1 for noise, 0 where the model itself does not fit."""
    return 1.0 / (1.0 + tf.pow(noise_variance / _MODEL_ERROR**2, 4.0))


def solve(matrix, right):
    """x with A x = b for positive semidefinite A, in its natural scale.

    Args:
        matrix: `(B, p, p)`.
        right: `(B, p)`.

    Returns:
        `(B, p)`; zero for a matrix that is not finite.
    """
    scaled, scale = _scaled(matrix)
    right = tf.where(tf.math.is_finite(right), right, 0.0) * scale
    lower = tf.linalg.cholesky(scaled)
    return scale * tf.linalg.cholesky_solve(lower, right[..., tf.newaxis])[..., 0]


def inverse(matrix):
    """Inverse of a positive definite matrix, `(B, p, p)`."""
    scaled, scale = _scaled(matrix)
    lower = tf.linalg.cholesky(scaled)
    eye = tf.eye(matrix.shape[-1], batch_shape=tf.shape(matrix)[:1], dtype=matrix.dtype)
    found = tf.linalg.cholesky_solve(lower, eye)
    return found * scale[..., tf.newaxis] * scale[..., tf.newaxis, :]


def log_determinant(matrix):
    """Logarithm of the determinant of a positive definite matrix, `(B,)`."""
    scaled, scale = _scaled(matrix)
    diagonal = tf.linalg.diag_part(tf.linalg.cholesky(scaled))
    return 2.0 * tf.reduce_sum(tf.math.log(diagonal) - tf.math.log(scale), axis=-1)


def _scaled(matrix):
    """D A D with ones on the diagonal, and D."""
    diagonal = tf.linalg.diag_part(matrix)
    good = tf.reduce_all(tf.math.is_finite(matrix), axis=(-2, -1))[..., tf.newaxis]
    scale = tf.math.rsqrt(tf.where(good & (diagonal > 1e-200), diagonal, 1.0))
    scaled = matrix * scale[..., tf.newaxis] * scale[..., tf.newaxis, :]
    eye = tf.eye(matrix.shape[-1], dtype=matrix.dtype)
    scaled = tf.where(good[..., tf.newaxis], scaled, eye)
    lost = tf.where(diagonal > 1e-200, tf.cast(_RIDGE, matrix.dtype), 1.0)
    return scaled + tf.linalg.diag(tf.broadcast_to(lost, tf.shape(diagonal))), scale


def _cells(tensor):
    shape = tf.shape(tensor)
    return shape[-2] * shape[-1]
