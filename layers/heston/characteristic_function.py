"""Characteristic function of the log price in the models of Heston and Bates, with derivatives.

Everything here is written so that no branch has to be counted and no limit has to be taken: the
principal square root and logarithm are the right ones, and ξ = 0, κ → 0, ρ = ±1 and T = 0 are
ordinary values.
"""

import dataclasses

import numpy as np
import tensorflow as tf

# added to w where it is divided by: its square must not underflow
_TINY = {"float32": 1e-15, "float64": 1e-100}
# |w| below which differences that cancel are power series
_SERIES = {"float32": 1e-2, "float64": 1e-4}
# κ is not smaller than this: D = √(β² + ...) is divided by, and vanishes only with κ and ξ
_SMALLEST_SPEED = {"float32": 1e-4, "float64": 1e-12}
# largest real part of an exponent; only reached where a tilted contour is not used
_LARGEST_EXPONENT = {"float32": 40.0, "float64": 300.0}


@dataclasses.dataclass
class Exponent:
    """log φ(z) and what its derivatives share; shapes `(b, m, N)` unless said otherwise."""

    kappa: tf.Tensor  # parameters (b, 1, 1), complex
    theta: tf.Tensor
    xi: tf.Tensor
    rho: tf.Tensor
    v0: tf.Tensor
    jumps: tuple | None
    years: tf.Tensor  # (b or 1, m, 1), complex
    z: tf.Tensor  # (N,)
    denominator: tf.Tensor  # (N,)
    beta: tf.Tensor  # (b, 1, N)
    root: tf.Tensor  # (b, 1, N)
    q: tf.Tensor  # (b, 1, N)
    y: tf.Tensor
    log_ratio: tf.Tensor
    inverse: tf.Tensor
    drift: tf.Tensor
    variance: tf.Tensor
    log_jumps: tf.Tensor | None
    value: tf.Tensor


def heston_exponent(parameters, z, denominator, years):
    """log E[exp(i z log(S_T/F))] in the Heston model, or in the Bates model with 8 parameters.

    With β = κ - iρξz, D = √(β² + ξ²d), d = z(z + i), q = -d / (β + D), y = (e^{-DT} - 1) / (2D),
    w = -ξ²qy and W = 1 + w,

        log φ = κθ q (T + 2y log(1 + w) / w) + v₀ d y / W.

    This is the form of Andersen and Lake with 1/ξ² cancelled: it holds at ξ = 0 as it stands.

    Args:
        parameters: `(b, 5)` or `(b, 8)`: κ, θ, ξ, ρ, v₀ and λ, μ, σ of the jumps.
        z: Complex arguments, `(N,)`.
        denominator: d = z(z + i), `(N,)`.
        years: Maturities, `(m,)` or `(b, m)`.

    Returns:
        An `Exponent`; its `value` has shape `(b, m, N)`.

    Reference:
        Andersen and Lake, "Robust high-precision option pricing by Fourier transforms", 2018.
    """
    dtype = parameters.dtype
    complex_type = z.dtype
    columns = [tf.cast(p, complex_type) for p in _columns(parameters)]
    kappa, theta, xi, rho, v0 = columns[:5]
    years = tf.cast(years[..., tf.newaxis], complex_type)
    if years.shape.rank == 2:
        years = years[tf.newaxis]
    speed = tf.cast(tf.maximum(parameters[:, :1], _SMALLEST_SPEED[dtype.name]), complex_type)
    beta = speed[:, :, tf.newaxis] - (1j * z) * (rho * xi)
    root = _sqrt(beta * beta + xi * xi * denominator)
    q = -denominator / (beta + root)
    y = tf.math.expm1(-root * years) / (root + root)
    w = (-xi * xi * q) * y
    log_ratio = _log1p_ratio(w)
    inverse = 1.0 / (1.0 + w)
    drift = q * (years + 2.0 * y * log_ratio)
    variance = denominator * y * inverse
    value = (kappa * theta) * drift + v0 * variance
    jumps = tuple(columns[5:]) or None
    log_jumps = None
    if jumps is not None:
        log_jumps = _jump_exponent(jumps, z)
        value += jumps[0] * years * log_jumps
    return Exponent(
        *(kappa, theta, xi, rho, v0, jumps, years, z, denominator),
        *(beta, root, q, y, log_ratio, inverse, drift, variance, log_jumps, value),
    )


def characteristic_function(exponent, tilted):
    """φ = exp(log φ); off the vertical contour bounded, so that no product with it overflows."""
    value = exponent.value
    if not tilted:
        return tf.exp(value)
    largest = _LARGEST_EXPONENT[tf.math.real(value).dtype.name]
    modulus = tf.minimum(tf.math.real(value), largest)
    return tf.exp(tf.complex(modulus, tf.math.imag(value)))


def exponent_gradient(exponent):
    """Derivatives of log φ in the parameters, in closed form.

    As functions of β and D alone (q, y and W depend on nothing else besides ξ) all three of κ, ξ, ρ
    act through S = (c₂β - c₁q) / D, where

        c₁ = κθ (T + 2y/W) + ξ²v₀ d y²/W²,    c₂ = (2κθ q + v₀ d/W) y' / W,    y' = ∂y/∂D.

    Then ∂κ = θ q (T + 2y log(1 + w)/w) + S and ∂ρ = -iξz S, and ∂ξ = -iρz S + ξ X with

        X = (c₂ d + κθ q² (T + 2y/W) - v₀ d²y²/W²) / D + 4κθ q²y² (log(1 + w)/w - 1/W) / w.

    Args:
        exponent: What `heston_exponent` returned.

    Returns:
        List of 5 (8 with jumps) tensors that broadcast to `(b, m, N)`, in the order of the
        parameters.
    """
    e = exponent
    level = e.kappa * e.theta
    y_over = e.y * e.inverse
    average = e.years + 2.0 * y_over
    c1 = level * average + (e.xi * e.xi * e.v0) * (e.variance * y_over)
    # y' = -(T e^{-DT} / 2 + y) / D with e^{-DT} = 1 + 2 D y
    slope = -(0.5 * e.years + e.y * (1.0 + e.root * e.years)) / e.root
    c2 = ((2.0 * level) * e.q + e.v0 * e.denominator * e.inverse) * e.inverse * slope
    reciprocal = 1.0 / e.root
    through_beta = c2 * (e.beta * reciprocal) - c1 * (e.q * reciprocal)
    bend = c2 * e.denominator + (level * e.q * e.q) * average - e.v0 * tf.square(e.variance)
    bend *= reciprocal
    w = (-e.xi * e.xi * e.q) * e.y
    bend += (4.0 * level) * tf.square(e.q * e.y) * _log1p_bend(w, e.log_ratio, e.inverse)
    by_z = through_beta * (-1j * e.z)
    rows = [
        e.theta * e.drift + through_beta,
        e.kappa * e.drift,
        e.rho * by_z + e.xi * bend,
        e.xi * by_z,
        e.variance,
    ]
    if e.jumps is not None:
        intensity, _, deviation = e.jumps
        jump, mean = _jump_transforms(e.jumps, e.z)
        z = e.z
        rows.append(e.years * e.log_jumps)
        rows.append(intensity * e.years * (1j * z * (jump - mean)))
        rows.append(-intensity * e.years * deviation * (z * z * jump + 1j * z * mean))
    return rows


def exponent_maturity_gradient(exponent):
    """Derivative of log φ in the maturity: κθ q (1 + 2ẏ/W) + v₀ d ẏ/W², ẏ = -e^{-DT}/2."""
    e = exponent
    speed = -(0.5 + e.root * e.y) * e.inverse
    rate = (e.kappa * e.theta) * e.q * (1.0 + 2.0 * speed)
    rate += e.v0 * e.denominator * speed * e.inverse
    return rate if e.jumps is None else rate + e.jumps[0] * e.log_jumps


# ---------------------------------------------------------------------------------------- jumps


def _jump_transforms(jumps, z):
    """exp(izμ - σ²z²/2) and exp(μ + σ²/2), their moduli bounded."""
    _, mean, deviation = jumps
    exponent = 1j * z * mean - 0.5 * tf.square(deviation * z)
    modulus = tf.math.real(exponent)
    modulus = tf.minimum(modulus, 0.1 * _LARGEST_EXPONENT[modulus.dtype.name])
    exponent = tf.complex(modulus, tf.math.imag(exponent))
    return tf.exp(exponent), tf.exp(mean + 0.5 * deviation * deviation)


def _jump_exponent(jumps, z):
    """Per unit of time and intensity, with the drift that keeps the forward a martingale."""
    jump, mean = _jump_transforms(jumps, z)
    return jump - 1.0 - 1j * z * (mean - 1.0)


# ------------------------------------------------------------------------------------ internals


def _columns(parameters):
    """Each parameter as `(b, 1, 1)`."""
    return [p[:, tf.newaxis, tf.newaxis] for p in tf.unstack(parameters, axis=-1)]


def _sqrt(z):
    """Principal square root; the library's has a wrong gradient (not conjugated) under XLA."""

    @tf.custom_gradient
    def root(z):
        return tf.sqrt(z), lambda upstream: 0.5 * upstream / tf.math.conj(_sqrt(z))

    return root(z)


def _log1p(w):
    """log(1 + w) of a complex number, exact near zero; half the time of the library's."""
    real, imaginary = tf.math.real(w), tf.math.imag(w)
    modulus = 0.5 * tf.math.log1p(real * (2.0 + real) + imaginary * imaginary)
    return tf.complex(modulus, tf.math.atan2(imaginary, 1.0 + real))


def _is_small(w):
    limit = _SERIES[tf.math.real(w).dtype.name]
    return tf.square(tf.math.real(w)) + tf.square(tf.math.imag(w)) < limit * limit


def _log1p_ratio(w):
    """log(1 + w) / w; at zero, too, since the logarithm is exact near it."""

    @tf.custom_gradient
    def ratio(w):
        def gradient(upstream):
            slope = -_log1p_bend(w, _log1p_ratio(w), 1.0 / (1.0 + w))
            return upstream * tf.math.conj(slope)

        nonzero = w + _TINY[tf.math.real(w).dtype.name]
        return _log1p(nonzero) / nonzero, gradient

    return ratio(w)


def _log1p_bend(w, ratio, inverse):
    """(log(1 + w) / w - 1 / (1 + w)) / w, where it cancels as a power series."""
    limit = _SERIES[tf.math.real(w).dtype.name]
    small = tf.square(tf.math.real(w)) + tf.square(tf.math.imag(w)) < limit * limit
    safe = tf.where(small, tf.ones_like(w), w)
    series = 1.0 / 2 - w * (2.0 / 3 - w * (3.0 / 4 - w * (4.0 / 5 - w * 5.0 / 6)))
    return tf.where(small, series, (ratio - inverse) / safe)


def average_variance(kappa, theta, v0, years):
    """∫₀ᵀ E[v_t] dt = θT + (v₀ - θ)(1 - e^{-κT})/κ and its derivatives.

    Args:
        kappa: Speeds `(b, 1)`, zero included.
        theta: Long-run variances `(b, 1)`.
        v0: Variances now `(b, 1)`.
        years: Maturities `(m,)` or `(b, m)`.

    Returns:
        The integral and its derivatives in κ, θ, v₀ and T, each `(b, m)`.
    """
    x = kappa * years
    limit = np.float64({"float32": 3e-2, "float64": 1e-3}[x.dtype.name])
    small = x < tf.cast(limit, x.dtype)
    safe = tf.where(small, tf.ones_like(x), x)
    # (1 - e^{-x})/x and its derivative
    decay = tf.exp(-x)
    mean = tf.where(small, _alternating(x, (1, 2, 6, 24, 120, 720)), -tf.math.expm1(-safe) / safe)
    slope = tf.where(small, -_alternating(x, (2, 3, 8, 30, 144, 840)), (decay - mean) / safe)
    memory = years * mean
    return (
        theta * (years - memory) + v0 * memory,
        (v0 - theta) * tf.square(years) * slope,
        years - memory,
        memory,
        theta + (v0 - theta) * decay,
    )


def _alternating(x, divisors):
    """1/d₀ - x/d₁ + x²/d₂ - ..."""
    value = tf.zeros_like(x)
    for divisor in reversed(divisors):
        value = 1.0 / divisor - x * value
    return value
