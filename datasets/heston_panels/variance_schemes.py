"""One time step of price and variance in the Heston model: truncated Euler, and Andersen's QE-M.

A step takes `(log price, variance)`, the parameters and two independent normal numbers per path,
and returns the next pair. Arrays are `(b, paths)`, parameters `(b, 1)`.
"""

import tensorflow as tf

from hedgezoo.layers.normal import normal_cdf

_SWITCH = 1.5  # ψ above which QE draws from the mixture with an atom at zero


def euler_step(log_price, variance, parameters, dt, normals):
    """Full-truncation Euler: the variance may become negative, only its positive part acts.

    Args:
        log_price: log(S_t / F), `(b, paths)`.
        variance: Variances, `(b, paths)`.
        parameters: κ, θ, ξ, ρ, v₀, each `(b, 1)`.
        dt: Length of the step in years.
        normals: Of the variance and of the rest of the price, each `(paths,)`.

    Returns:
        Next log prices and variances.

    Reference:
        Lord, Koekkoek, van Dijk, "A comparison of biased simulation schemes for stochastic
        volatility models", 2010.
    """
    kappa, theta, xi, rho, _ = parameters
    own, other = normals
    positive = tf.nn.relu(variance)
    deviation = tf.sqrt(positive * dt)
    shock = rho * own + tf.sqrt(1.0 - rho * rho) * other
    return (
        log_price - 0.5 * positive * dt + deviation * shock,
        variance + kappa * (theta - positive) * dt + xi * deviation * own,
    )


def qe_m_step(log_price, variance, parameters, dt, normals):
    """Quadratic-exponential scheme with the martingale correction.

    The next variance has the exact conditional mean m and variance s². With ψ = s²/m² at most 1.5
    it is a (b + Z)², otherwise zero with probability p and exponential beyond. The price takes the
    mean of both variances over the step, and a drift that makes it a martingale exactly.

    Args:
        log_price: log(S_t / F), `(b, paths)`.
        variance: Variances, `(b, paths)`.
        parameters: κ, θ, ξ, ρ, v₀, each `(b, 1)`.
        dt: Length of the step in years.
        normals: Of the variance and of the rest of the price, each `(paths,)`.

    Returns:
        Next log prices and variances.

    Reference:
        Andersen, "Simple and efficient simulation of the Heston stochastic volatility model",
        2008, sections 3.2 and 4.
    """
    kappa, theta, xi, rho, _ = parameters
    own, other = normals
    decay = tf.exp(-kappa * dt)
    grown = -tf.math.expm1(-kappa * dt) / kappa  # (1 - e^{-κΔ}) / κ
    mean = theta + (variance - theta) * decay
    spread = xi * xi * (variance * decay * grown + 0.5 * theta * kappa * grown * grown)
    psi = spread / tf.square(mean)

    # exponents of E[S_{t+Δ} | v_{t+Δ}], with both variances weighted by one half
    lean = rho / xi
    half = 0.5 * dt * (kappa * lean - 0.5)
    noise = 0.5 * dt * (1.0 - rho * rho)
    from_now, from_next = half - lean, half + lean
    exponent = from_next + 0.5 * noise

    # a (b + Z)²
    inverse = 2.0 / tf.minimum(psi, _SWITCH)
    b_squared = inverse - 1.0 + tf.sqrt(inverse * (inverse - 1.0))
    a = mean / (1.0 + b_squared)
    quadratic = a * tf.square(tf.sqrt(b_squared) + own)
    room = 1.0 - 2.0 * exponent * a
    log_moment_quadratic = exponent * b_squared * a / room - 0.5 * tf.math.log(room)

    # zero with probability p, else exponential with rate β
    wide = tf.maximum(psi, _SWITCH)
    atom = (wide - 1.0) / (wide + 1.0)
    rate = (1.0 - atom) / mean
    survival = normal_cdf(-own)
    exponential = tf.nn.relu(tf.math.log((1.0 - atom) / survival)) / rate
    log_moment_exponential = tf.math.log(atom + (1.0 - atom) * rate / (rate - exponent))

    small = psi <= _SWITCH
    next_variance = tf.where(small, quadratic, exponential)
    log_moment = tf.where(small, log_moment_quadratic, log_moment_exponential)
    corrected = -log_moment - 0.5 * noise * variance
    # for ρ > 0 the moment may not exist; it always does for ρ <= 0, where `exponent` is negative
    exists = tf.where(small, room > 0.0, rate > exponent)
    drift = tf.where(exists, corrected, from_now * variance - lean * kappa * theta * dt)
    deviation = tf.sqrt(noise * (variance + next_variance))
    step = drift + from_next * next_variance + deviation * other
    return log_price + step, next_variance


SCHEMES = {"euler": euler_step, "qe_m": qe_m_step}
