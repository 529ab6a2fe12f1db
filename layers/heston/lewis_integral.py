"""Call prices from a characteristic function: Lewis's integral with a Black-Scholes control.

With x = log(F/K), d = h² + 1/4 and the average variance V of the diffusion,

    C/F = BS(x, V) + √(K/F)/π Re ∫ e^{ihx} (e^{-Vd/2} - φ(h - i/2)) / d dh.

The integrand is small, smooth and without a pole, so that one fixed set of nodes serves every
parameter, maturity and strike.
"""

import dataclasses
import math

import tensorflow as tf

from hedgezoo.layers.black_scholes import price_from_deviation
from hedgezoo.layers.heston.characteristic_function import (
    Exponent,
    average_variance,
    characteristic_function,
    exponent_gradient,
    exponent_maturity_gradient,
    heston_exponent,
)
from hedgezoo.layers.heston.fourier_nodes import TILT
from hedgezoo.layers.normal import normal_cdf, normal_pdf
from hedgezoo.layers.normalised_price import deviation_floor

# strikes shared by all maturities, by all panels, or by none
_TO_STRIKES = {1: "bmk,kn->bmn", 2: "bmk,mkn->bmn", 3: "bmk,bmkn->bmn"}
_TO_NODES = {1: "bmn,kn->bmk", 2: "bmn,mkn->bmk", 3: "bmn,bmkn->bmk"}
_ROWS_TO_STRIKES = {1: "bmpk,kn->bmnp", 2: "bmpk,mkn->bmnp", 3: "bmpk,bmkn->bmnp"}


@dataclasses.dataclass
class Evaluation:
    """Prices and what their derivatives share."""

    exponent: Exponent
    strikes: tf.Tensor  # (n,), (m, n) or (b, m, n)
    root_strikes: tf.Tensor
    variance: tuple  # average_variance: V (b, m) and its derivatives
    deviation: tf.Tensor  # (b, m, 1)
    d1: tf.Tensor  # (b, m, n)
    tilts: tuple
    h: tf.Tensor  # (c N,)
    weights: tf.Tensor  # (c N,)
    characteristic: tf.Tensor  # φ, (b, m, c N)
    control: tf.Tensor  # e^{-Vd/2}, (b, m, c N)
    waves: list  # of (2N, n), (m, 2N, n) or (b, m, 2N, n) per contour
    chosen: list  # of (b, m, n) per contour: 1 where the price is taken from it
    integral: tf.Tensor  # (b, m, n)
    price: tf.Tensor  # (b, m, n)


def evaluate(parameters, strikes, years, nodes):
    """Prices of a block of panels.

    Args:
        parameters: `(b, 5)`, or `(b, 8)` with jumps.
        strikes: `(n,)`, `(m, n)` or `(b, m, n)`, relative to the forward.
        years: `(m,)` or `(b, m)`.
        nodes: A `FourierNodes`.

    Returns:
        An `Evaluation`.
    """
    dtype = parameters.dtype
    complex_type = tf.complex128 if dtype == tf.float64 else tf.complex64
    z, denominator, weights = (
        tf.constant(x, complex_type) for x in (nodes.z, nodes.denominator, nodes.weights)
    )
    exponent = heston_exponent(parameters, z, denominator, years)
    kappa, theta, v0 = (parameters[:, i, tf.newaxis] for i in (0, 1, 4))
    variance = average_variance(kappa, theta, v0, years)
    floored = tf.maximum(variance[0], deviation_floor(dtype) ** 2)
    deviation = tf.sqrt(floored)[..., tf.newaxis]
    log_moneyness = -tf.math.log(strikes)

    characteristic = characteristic_function(exponent, len(nodes.tilts) > 1)
    control = tf.exp(tf.cast(variance[0], complex_type)[..., tf.newaxis] * (-0.5 * denominator))
    integrand = (control - characteristic) * weights
    waves = _waves(log_moneyness, nodes)
    chosen = _choose(parameters, log_moneyness, years, nodes.tilts)
    integral = contract(integrand, waves, chosen, strikes)
    root_strikes = tf.sqrt(strikes)
    one = tf.ones([], dtype)
    black_scholes = price_from_deviation(one, strikes, deviation, True)
    return Evaluation(
        exponent=exponent,
        strikes=strikes,
        root_strikes=root_strikes,
        variance=variance,
        deviation=deviation,
        d1=log_moneyness / deviation + 0.5 * deviation,
        tilts=nodes.tilts,
        h=z + tf.constant(0.5j, complex_type),
        weights=weights,
        characteristic=characteristic,
        control=control,
        waves=waves,
        chosen=chosen,
        integral=integral,
        price=black_scholes + root_strikes * integral,
    )


def parameter_jacobian(evaluation):
    """Derivatives of the prices in the parameters, `(b, m, n, p)`."""
    e = evaluation
    rows = [-e.weights * e.characteristic * row for row in exponent_gradient(e.exponent)]
    rows.append(-0.5 * e.weights * e.exponent.denominator * e.control)
    integrals = _contract_rows(tf.stack(rows, axis=2), e.waves, e.chosen, e.strikes)
    integrals *= e.root_strikes[..., tf.newaxis]
    # through the control both terms of the price depend on V
    by_variance = integrals[..., -1] + _by_variance(e)
    slopes = tf.stack(_variance_rows(e), axis=-1)[:, :, tf.newaxis, :]
    return integrals[..., :-1] + by_variance[..., tf.newaxis] * slopes


def pull_back(evaluation, upstream, grid=True):
    """Cotangents of the parameters, and of strikes and maturities.

    Args:
        evaluation: An `Evaluation`.
        upstream: Cotangent of its prices, `(b, m, n)`.
        grid: Whether strikes and maturities are differentiated.

    Returns:
        List of cotangents: `(b, p)`, and if `grid` `(b, m, n)` and `(b, m)`, not yet summed over
        the panels and maturities that share a strike or a maturity.
    """
    e = evaluation
    at_nodes = _spread(upstream * e.root_strikes, e.waves, e.chosen, e.strikes) * e.weights
    by_exponent = -at_nodes * e.characteristic
    through_control = tf.math.real(at_nodes * e.control * (-0.5 * e.exponent.denominator))
    by_variance = tf.reduce_sum(through_control, axis=-1)
    by_variance += tf.reduce_sum(upstream * _by_variance(e), axis=-1)  # (b, m)

    columns = []
    for row, slope in zip(exponent_gradient(e.exponent), _variance_rows(e), strict=True):
        column = tf.reduce_sum(tf.math.real(by_exponent * row), axis=(1, 2))
        columns.append(column + tf.reduce_sum(by_variance * slope, axis=1))
    cotangents = [tf.stack(columns, axis=-1)]
    if grid:
        turned = (e.control - e.characteristic) * (e.weights * (-1j * e.h))
        slope = contract(turned, e.waves, e.chosen, e.strikes) + 0.5 * e.integral
        cotangents.append(upstream * (slope / e.root_strikes - normal_cdf(e.d1 - e.deviation)))
        rate = exponent_maturity_gradient(e.exponent)
        by_maturity = tf.reduce_sum(tf.math.real(by_exponent * rate), axis=-1)
        cotangents.append(by_maturity + by_variance * e.variance[4])
    return cotangents


# ------------------------------------------------------------------------------------ internals


def _by_variance(e):
    """∂BS/∂V = φ(d₁) / (2√V)."""
    return normal_pdf(e.d1) / (2.0 * e.deviation)


def _variance_rows(e):
    """∂V by each parameter, `(b, m)`; zero for those that V does not see."""
    _, by_kappa, by_theta, by_v0, _ = e.variance
    zero = tf.zeros_like(by_kappa)
    rows = [by_kappa, by_theta, zero, zero, by_v0]
    return rows if e.exponent.jumps is None else rows + 3 * [zero]


def _waves(log_moneyness, nodes):
    """Per contour the rows that turn [Re f, Im f] into Re Σ e^{ihx} f."""
    dtype = log_moneyness.dtype
    u = tf.constant(nodes.u[:, None], dtype)
    x = log_moneyness[..., tf.newaxis, :]
    cosine, sine = tf.cos(u * x), tf.sin(u * x)
    waves = []
    for tilt in nodes.tilts:
        if tilt == 0.0:
            waves.append(tf.concat([cosine, -sine], axis=-2))
            continue
        # a tilted contour serves one sign of x; on the other the wave would overflow
        side = math.copysign(1.0, tilt) * x
        side = tf.where(side >= 0.0, side, 0.0)  # with slope one at the money
        damping = tf.exp(-abs(tilt) * u * side)
        waves.append(tf.concat([cosine * damping, -sine * damping], axis=-2))
    return waves


def _choose(parameters, log_moneyness, years, tilts):
    """Contour of each price.

    For large u the integrand decays as exp(-a u √(1-ρ²)), a = (v₀ + κθT)/ξ, and turns as
    exp(i u (x - aρ)). Tilting by φ towards the sign of x makes the rate of decay
    a √(1-ρ²) cos φ + (x - aρ) sin φ. That is done unless it more than halves the rate.
    """
    if len(tilts) == 1:
        return [None]
    kappa, theta, xi, rho, v0 = (p[:, tf.newaxis, tf.newaxis] for p in _first_five(parameters))
    years = years[..., tf.newaxis]
    level = v0 + kappa * theta * years
    decay = level * tf.sqrt(tf.nn.relu(1.0 - rho * rho))
    # at the money either sign will do
    upwards = (log_moneyness > 0.0) | (tf.equal(log_moneyness, 0.0) & (rho <= 0.0))
    sign = tf.where(upwards, tf.ones_like(level), -tf.ones_like(level))
    turning = log_moneyness
    if parameters.shape[-1] == 8:
        # the drift that compensates the jumps turns the integrand, too
        rate, mean, deviation = (parameters[:, i, tf.newaxis, tf.newaxis] for i in (5, 6, 7))
        turning -= rate * years * tf.math.expm1(mean + 0.5 * deviation * deviation)
    drift = sign * (xi * turning - level * rho)
    tilted = (drift > 0.0) | (decay * (math.cos(TILT) - 0.5) + drift * math.sin(TILT) >= 0.0)
    up, down = tilted & upwards, tilted & ~upwards
    if parameters.shape[-1] == 8:
        # jumps of one size grow without bound on a contour that is tilted against them
        up &= mean * math.tan(TILT) >= -2.0 * deviation
        down &= mean * math.tan(TILT) <= 2.0 * deviation
    masks = [~(up | down), up, down]
    return [tf.stop_gradient(tf.cast(mask, parameters.dtype)) for mask in masks]


def _first_five(parameters):
    return tf.unstack(parameters[:, :5], axis=-1)


def _stack(values):
    return tf.concat([tf.math.real(values), tf.math.imag(values)], axis=-1)


def contract(values, waves, chosen, strikes):
    """Re Σ e^{ihx} f over the nodes of each price's contour, `(b, m, n)`."""
    equation = _TO_STRIKES[strikes.shape.rank]
    parts = tf.split(values, len(waves), axis=-1)
    total = None
    for part, wave, mask in zip(parts, waves, chosen, strict=True):
        term = tf.einsum(equation, _stack(part), wave)
        term = term if mask is None else mask * term
        total = term if total is None else total + term
    return total


def _contract_rows(rows, waves, chosen, strikes):
    """The same for `(b, m, p, c N)`, to `(b, m, n, p)`."""
    equation = _ROWS_TO_STRIKES[strikes.shape.rank]
    parts = tf.split(rows, len(waves), axis=-1)
    total = None
    for part, wave, mask in zip(parts, waves, chosen, strict=True):
        term = tf.einsum(equation, _stack(part), wave)
        term = term if mask is None else mask[..., tf.newaxis] * term
        total = term if total is None else total + term
    return total


def _spread(values, waves, chosen, strikes):
    """The transpose of `_contract`: `(b, m, n)` to complex `(b, m, c N)`."""
    equation = _TO_NODES[strikes.shape.rank]
    parts = []
    for wave, mask in zip(waves, chosen, strict=True):
        term = tf.einsum(equation, values if mask is None else mask * values, wave)
        real, imaginary = tf.split(term, 2, axis=-1)
        parts.append(tf.complex(real, -imaginary))
    return tf.concat(parts, axis=-1)
