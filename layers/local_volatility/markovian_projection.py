"""The local volatility that has the same marginal laws as Heston's model."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers.heston.characteristic_function import (
    exponent_maturity_gradient,
    heston_exponent,
)
from hedgezoo.layers.heston.pricer import HESTON

# Below this many years the volatility is that of the limit T → 0, reached within rounding.
SHORTEST = 1e-6
# Deviations of log S beyond which the volatility is held constant.
FURTHEST = 12.0
# Contours, as shares of the way to where moments of S become infinite.
SHARES = np.array([-0.9, -0.7, -0.5, -0.3, -0.15, 0.0, 0.15, 0.3, 0.5, 0.7, 0.9])
NODES = 192
# Slope of the rays against the real axis.
TILT = np.tan(np.pi / 10.0)
# Points evaluated at once: bounds the memory.
BLOCK = 4096


def heston_local_volatility(parameters, log_moneyness, maturity):
    """Markovian projection of Heston's model: σ(x, T)² = E[v_T | log(S_T / F) = x].

    The local volatility model with this σ has Heston's law of S at every time, so all vanilla
    prices agree. With φ(u, T) = E[exp(iu log(S_T / F))], Itô's formula gives
    E[v_T exp(iu log(S_T / F))] = -2 ∂_T φ / (u² + iu), hence

        σ² = Re ∫ e^{-iux} [-2 ∂_T φ / (u² + iu)] du / Re ∫ e^{-iux} φ du

    along Im u = -p for any p with E[S^p] finite. Of several such lines each x takes the one
    where least cancels, which keeps full accuracy in the far wings: errors are below 1e-9 for usual
    parameters, and below 0.01 where the correlation is within a hundredth of ±1.

    It looks at values, so it does not run in a graph: tabulate it first, see `dupire_calls`.

    Args:
        parameters: κ, θ, ξ, ρ, v₀ as in `heston_call`, `(5,)`, with |ρ| < 1 and v₀ > 0.
        log_moneyness: x = log(S/F), any shape; beyond 12 deviations σ is that at 12.
        maturity: Years T ≥ 0, broadcasting with `log_moneyness`. Work grows with the number of
            different values.

    Returns:
        Relative volatilities per √year, float64 NumPy array of the broadcast shape.

    Raises:
        ValueError: If parameters are outside their domain, or x or T is not finite or T negative.

    Example:

    >>> parameters = [1.5, 0.04, 0.5, -0.7, 0.04]
    >>> heston_local_volatility(parameters, [-0.1, 0.0, 0.1], 0.5).round(4)
    array([0.2389, 0.1714, 0.1209])

    Reference:
        Gyöngy, "Mimicking the one-dimensional marginal distributions of processes having an Itô
        differential", 1986; Dupire, "A unified theory of volatility", 1996.
    """
    parameters = _checked_parameters(parameters)
    x, years = np.broadcast_arrays(
        _finite("log_moneyness", log_moneyness), _finite("maturity", maturity)
    )
    if years.size and years.min() < 0:
        raise ValueError(f"`maturity` must not be negative. Received: {years.min()}")
    flat = np.ascontiguousarray(x).ravel()
    times, row = np.unique(np.maximum(years, SHORTEST).ravel(), return_inverse=True)
    variance = np.empty(flat.size)
    if flat.size:
        contours = _Contours(parameters, times)
        for start in range(0, flat.size, BLOCK):
            block = slice(start, start + BLOCK)
            variance[block] = contours.variance(flat[block], row[block])
    return np.sqrt(variance).reshape(x.shape)


class _Contours:
    """φ and E[v e^{iu log S}] on rays u = -ip + h (1 ± it) of each maturity and each p.

    For large h, log φ approaches -a u (√(1-ρ²) + iρ) with a = (v₀ + κθT)/ξ. So e^{-iux} φ decays
    at the rate a √(1-ρ²) + t |x + aρ| on the ray that turns against the sign of x + aρ.
    """

    def __init__(self, parameters, times):
        kappa, theta, xi, rho, v0 = parameters
        average = theta + (v0 - theta) * _mean_decay(kappa * times)
        deviation = np.sqrt(average * times)
        self.furthest = FURTHEST * deviation
        # aρ, but not further out than any state: with ξ → 0 the ray need not turn for it
        turning = rho * (v0 + kappa * theta * times) / max(xi, 1e-12)
        self.turning = np.clip(turning, -self.furthest, self.furthest)
        low, high = (_moment_bounds(parameters, times, side) for side in (-1.0, 1.0))
        # no further than the furthest state needs
        width = 1.5 * FURTHEST / deviation
        low, high = np.maximum(low, 0.5 - width), np.minimum(high, 0.5 + width)
        reach = np.where(SHARES < 0, 0.5 - low[:, None], high[:, None] - 0.5)
        p = 0.5 + SHARES * reach  # (m, P)
        lines = (len(times), 2, len(SHARES))
        years, shift, p_of_line = (
            np.broadcast_to(value[:, None], lines).ravel()
            for value in (times[:, None], self.turning[:, None], p)
        )
        slope = 1.0 + 1j * TILT * np.broadcast_to([[1.0], [-1.0]], lines).ravel()

        def transform(h):
            """log of e^{iuaρ} φ, and -2 (log φ)' / (u² + iu)."""
            u = slope[:, None] * h - 1j * p_of_line[:, None]
            square = u * (u + 1j)
            arguments = (parameters[None], u, square, years)
            done = heston_exponent(*(tf.constant(value) for value in arguments))
            rate = exponent_maturity_gradient(done).numpy()[0]
            value = done.value.numpy()[0] + (1j * shift[:, None]) * h * slope[:, None]
            return value, -2.0 * rate / square

        scale, end = _extent(lambda h: transform(h)[0].real, len(slope))
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        half = 0.5 * np.arcsinh(end / scale)[:, None]
        angle = half * (nodes + 1.0)
        h = scale[:, None] * np.sinh(angle)
        value, expectation = transform(h)
        size = transform(np.full((len(slope), 1), 1e-9))[0].real
        self.p, self.size = p, size.reshape(lines)[:, 0]
        self.u = h * slope[:, None]
        weights = (slope / scale)[:, None] * (scale[:, None] * np.cosh(angle)) * weights
        bounded = np.minimum((value - size).real, 50.0) + 1j * value.imag
        self.density = np.exp(bounded) * weights
        self.weighted = self.density * expectation

    def variance(self, x, row):
        """E[v | x], `(B,)`, at the maturities with the indices `row`."""
        x = np.clip(x, -self.furthest[row], self.furthest[row])
        # the saddle point: where e^{-px} E[S^p] is least, the integrand does not cancel
        best = np.argmin(self.size[row] - self.p[row] * x[:, None], axis=1)
        distance = x + self.turning[row]
        line = (2 * row + (distance > 0)) * self.p.shape[1] + best
        wave = np.exp((-1j * distance)[:, None] * self.u[line])
        top = np.sum((wave * self.weighted[line]).real, axis=1)
        return top / np.sum((wave * self.density[line]).real, axis=1)


def _extent(log_size, lines):
    """Where an integrand falls to 1/e of its value at zero, and where below rounding."""
    trial = np.geomspace(1e-4, 1e9, 384)
    fallen = log_size(np.tile(trial, (lines, 1)))
    fallen = fallen[:, :1] - fallen
    scale = trial[np.argmax(fallen > 1.0, axis=1)]
    last = len(trial) - 1 - np.argmax(fallen[:, ::-1] < 38.0, axis=1)
    return scale, trial[np.minimum(last + 1, len(trial) - 1)]


def _moment_bounds(parameters, times, side):
    """The p furthest to one side with E[S_T^p] finite, per maturity, by bisection."""
    inner = np.full(times.shape, 0.5 + 0.5 * side)
    outer = inner + side
    for _ in range(60):
        outer = np.where(_explosion_time(parameters, outer) > times, 2.0 * outer - 0.5, outer)
    for _ in range(50):
        middle = 0.5 * (inner + outer)
        finite = _explosion_time(parameters, middle) > times
        inner, outer = np.where(finite, middle, inner), np.where(finite, outer, middle)
    return inner


def _explosion_time(parameters, p):
    """The time from which on E[S^p] is infinite: Andersen and Piterbarg, 2007, proposition 3.1."""
    kappa, _, xi, rho, _ = parameters
    growth, speed = p * p - p, rho * xi * p - kappa
    square = speed * speed - xi * xi * growth
    root = np.sqrt(np.abs(square)) + 1e-300
    with np.errstate(divide="ignore", invalid="ignore"):
        real = np.where(speed > 0, np.log((speed + root) / (speed - root)) / root, np.inf)
    turning = 2.0 / root * np.arctan2(root, speed)
    return np.where(growth <= 0, np.inf, np.where(square < 0, turning, real))


def _mean_decay(x):
    """(1 - e^{-x}) / x, 1 at zero."""
    return np.where(x > 0, -np.expm1(-x) / np.maximum(x, 1e-300), 1.0)


def _checked_parameters(parameters):
    parameters = _finite("parameters", parameters)
    if parameters.shape != (len(HESTON),):
        raise ValueError(
            f"`parameters` must have shape (5,): kappa, theta, xi, rho, v0. "
            f"Received: shape={parameters.shape}"
        )
    kappa, theta, xi, rho, v0 = parameters
    for name, value in (("kappa", kappa), ("theta", theta), ("xi", xi)):
        if value < 0:
            raise ValueError(f"`parameters`: {name} must not be negative. Received: {value}")
    if not abs(rho) < 1:
        raise ValueError(f"`parameters`: rho must be between -1 and 1. Received: {rho}")
    if v0 <= 0:
        raise ValueError(f"`parameters`: v0 must be positive. Received: {v0}")
    return parameters


def _finite(name, value):
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, NotImplementedError):  # the last one: a tensor of a graph
        array = np.array(np.nan)
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite numbers. Received: {value}")
    return array
