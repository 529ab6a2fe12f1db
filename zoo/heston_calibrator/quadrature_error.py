"""How far the volatilities of a panel may be off because a Fourier integral has few nodes."""

import math

import tensorflow as tf

# The vertical contour is cut off at u = 6.25 N. Its N nodes resolve a wave exp(iux) as far out as
# u = 0.6 N / |x|: beyond, they are further apart than about a third of its length.
_CUT_OFF, _RESOLVED = 6.25, 0.6
_NEAR = 1e-3  # log-moneyness below which waves are long in any case


def quadrature_error(coordinates, u, quotes, weights, nodes):
    """A bound, good in practice, for the error of volatilities on the vertical contour.

    The integrand φ/u² beyond the last useful node leaves about |φ| / (π u E), with E = -log |φ|.
    For large u the exponent is that of κ ≪ D, ρ = 0 up to the factor √(1 - ρ²) in D:
    E = v₀ D tanh(DT/2) / ξ² + 2 κθ log cosh(DT/2) / ξ², D = √(1 - ρ²) ξ u.

    Args:
        coordinates: A `Coordinates`.
        u: `(B, p)`.
        quotes: `Quotes`.
        weights: Of the quotes `(B, m, n)`.
        nodes: Number N of nodes.

    Returns:
        Root mean square over the quotes, weighted, `(B,)`.
    """
    parameters = coordinates.to_parameters(u)[:, :5]
    kappa, theta, xi, rho, v0 = (x[:, None, None] for x in tf.unstack(parameters, axis=-1))
    distance = quotes.distance
    last = tf.minimum(_RESOLVED * nodes / tf.maximum(distance, _NEAR), _CUT_OFF * nodes)
    rate = tf.sqrt(1.0 - tf.square(rho)) * xi * last
    half = 0.5 * rate * quotes.maturities[..., tf.newaxis]
    log_cosh = half + tf.math.log1p(tf.exp(-2.0 * half)) - math.log(2.0)
    exponent = (v0 * rate * tf.tanh(half) + 2.0 * kappa * theta * log_cosh) / tf.square(xi)
    error = tf.exp(-exponent) / (math.pi * tf.maximum(exponent, 0.5) * last)
    squares = weights * tf.square(error / tf.maximum(quotes.vega(), 1e-12))
    count = tf.reduce_sum(tf.cast(weights > 0.0, squares.dtype), axis=(-2, -1))
    return tf.sqrt(tf.math.divide_no_nan(tf.reduce_sum(squares, axis=(-2, -1)), count))
