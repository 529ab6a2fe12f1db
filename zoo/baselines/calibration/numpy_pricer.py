"""Heston and Bates prices of one panel with derivatives in the parameters, in NumPy.

The integral, nodes and closed forms are those of `hedgezoo.layers.heston_call` on the vertical
contour. One panel is too little work for TensorFlow: at a tenth of a millisecond per panel most of
the time would go into starting its operations.
"""

import dataclasses
import math

import numpy as np

from hedgezoo.layers.heston.fourier_nodes import fourier_nodes

# |w| below which a difference that cancels is a power series
_SERIES = 1e-4


class PanelPricer:
    """Prices of N quotes as a function of the parameters; everything else is computed once.

    Args:
        strikes: Strikes divided by the forward, `(N,)`.
        maturities: Years to expiry, `(N,)`.
        nodes: Quadrature nodes.

    Example:

    >>> pricer = PanelPricer(np.array([0.9, 1.0, 1.1]), np.array([0.25, 0.25, 1.0]), nodes=128)
    >>> values, jacobian = pricer(np.array([2.0, 0.04, 0.5, -0.7, 0.04]))
    >>> (values + np.maximum(1.0 - pricer.strikes, 0.0)).round(6)
    array([0.110308, 0.037733, 0.028311])
    >>> jacobian.shape
    (3, 5)
    """

    def __init__(self, strikes, maturities, nodes):
        self.strikes = strikes
        scheme = fourier_nodes("vertical", nodes)
        self._z, self._d, self._weights = scheme.z, scheme.denominator.real, scheme.weights
        self._years, self._row = np.unique(maturities, return_inverse=True)
        self._column = _position_in_group(self._row)
        x = -np.log(strikes)
        self._distance = np.abs(x)
        self._unit = np.minimum(strikes, 1.0)
        self._root_strikes = np.sqrt(strikes)
        # Re Σ e^{iux} f as a product of reals: [Re f, Im f, ...] with [cos ux, -sin ux, ...]
        distinct, which = np.unique(x, return_inverse=True)
        angle = scheme.u * distinct[:, np.newaxis]
        wave = np.stack([np.cos(angle), -np.sin(angle)], axis=-1).reshape(len(distinct), -1)
        shape = (len(self._years), self._column.max() + 1, 2 * len(scheme.u))
        padded = np.zeros(shape)
        padded[self._row, self._column] = wave[which]
        self._waves = padded.transpose(0, 2, 1)

    def __call__(self, parameters, jacobian=True):
        """Out-of-the-money prices per unit of forward and derivatives of the prices.

        Args:
            parameters: `(5,)`, or `(8,)` with jumps.
            jacobian: Whether derivatives are wanted.

        Returns:
            `(N,)`, and `(N, p)` or None.
        """
        kappa, theta, _, _, v0 = parameters[:5]
        variance, by_kappa, by_theta, by_v0 = average_variance(kappa, theta, v0, self._years)
        exponent = _exponent(parameters, self._z, self._d, self._years[:, np.newaxis])
        weighted = self._weights * np.exp(exponent.value)
        control = self._weights * np.exp((-0.5 * self._d) * variance[:, np.newaxis])
        deviation = np.sqrt(variance)[self._row]
        d1 = 0.5 * deviation - self._distance / deviation
        price = self._unit * out_of_the_money(d1, deviation)
        if not jacobian:
            integral = self._integrate((control - weighted)[:, np.newaxis])[:, 0]
            return price + self._root_strikes * integral, None
        gradient = _exponent_gradient(exponent)
        rows = np.empty((len(self._years), len(gradient) + 2, len(self._z)), complex)
        rows[:, 0] = control - weighted
        rows[:, 1] = (-0.5 * self._d) * control
        for i, row in enumerate(gradient):
            np.multiply(weighted, row, out=rows[:, i + 2])
        integrals = self._root_strikes[:, np.newaxis] * self._integrate(rows)
        density = self._unit * np.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
        by_variance = integrals[:, 1] + density / (2.0 * deviation)
        derivatives = -integrals[:, 2:]
        for i, slope in ((0, by_kappa), (1, by_theta), (4, by_v0)):
            derivatives[:, i] += by_variance * slope[self._row]
        return price + integrals[:, 0], derivatives

    def _integrate(self, rows):
        """Complex `(m, p, nodes)` to `(N, p)`."""
        values = np.ascontiguousarray(rows).view(float) @ self._waves
        return values[self._row, :, self._column]


def out_of_the_money(d1, deviation):
    """Φ(d₁) - eˣ Φ(d₁ - w), per unit of the smaller of strike and forward."""
    return np.exp(-0.5 * d1 * d1) * _mills_difference(d1, deviation)


def _mills_difference(d1, deviation):
    """The same divided by exp(-d₁²/2): it does not underflow."""
    from scipy.special import erfcx

    half = math.sqrt(0.5)
    return 0.5 * (erfcx(-half * d1) - erfcx(half * (deviation - d1)))


def total_deviation(price, distance, guess, iterations=20):
    """Total deviation w = σ√T of out-of-the-money prices, by Halley's method on their logarithm.

    Args:
        price: Per unit of the smaller of strike and forward, in (0, 1), `(N,)`.
        distance: |log K|, `(N,)`.
        guess: First guesses, positive, `(N,)`.
        iterations: At most so many; two or three are usual.

    Returns:
        `(N,)`.

    Example:

    >>> w = np.array([0.1, 0.2])
    >>> price = out_of_the_money(0.5 * w - 0.05 / w, w)
    >>> total_deviation(price, np.array([0.05, 0.05]), np.array([0.15, 0.15])).round(12)
    array([0.1, 0.2])
    """
    target, w = np.log(price), guess
    for _ in range(iterations):
        d1 = 0.5 * w - distance / w
        mills = _mills_difference(d1, w)
        width = math.sqrt(2.0 * math.pi) * mills  # c / c'
        step = (target + 0.5 * d1 * d1 - np.log(mills)) * width
        curve = (distance / w) ** 2 / w - 0.25 * w - 1.0 / width  # of log c, per slope
        step /= np.maximum(1.0 + 0.5 * step * curve, 0.5)
        w = w + np.clip(step, -0.6 * w, 2.0 * w)
        if (np.abs(step) <= 1e-6 * w).all():  # the next error is of third order
            break
    return w


# ----------------------------------------------------------------------- characteristic function


@dataclasses.dataclass
class _Exponent:
    """log φ(z), `(m, nodes)`, and what its derivatives share; see `heston_exponent`."""

    parameters: np.ndarray
    z: np.ndarray
    d: np.ndarray
    years: np.ndarray
    beta: np.ndarray
    root: np.ndarray
    q: np.ndarray
    y: np.ndarray
    decay: np.ndarray
    w: np.ndarray
    ratio: np.ndarray
    inverse: np.ndarray
    drift: np.ndarray
    variance: np.ndarray
    value: np.ndarray


def _exponent(parameters, z, d, years):
    kappa, theta, xi, rho, v0 = parameters[:5]
    beta = kappa - (1j * rho * xi) * z
    root = np.sqrt(beta * beta + xi * xi * d)
    q = -d / (beta + root)
    decay = np.exp(-root * years)
    y = (decay - 1.0) * (0.5 / root)
    w = (-xi * xi * q) * y
    ratio = _log1p(w) / w
    inverse = 1.0 / (1.0 + w)
    drift = q * (years + 2.0 * y * ratio)
    variance = d * (y * inverse)
    value = (kappa * theta) * drift + v0 * variance
    if len(parameters) == 8:
        value += parameters[5] * years * _jump_exponent(parameters, z)
    return _Exponent(
        parameters, z, d, years, beta, root, q, y, decay, w, ratio, inverse, drift, variance, value
    )


def _exponent_gradient(e):
    """Derivatives of log φ in the parameters; the formulas of `exponent_gradient` in layers."""
    kappa, theta, xi, rho, v0 = e.parameters[:5]
    level = kappa * theta
    reciprocal = 1.0 / e.root
    y_over = e.y * e.inverse
    average = e.years + 2.0 * y_over
    c1 = level * average + (xi * xi * v0) * (e.variance * y_over)
    slope = (-0.5 * e.years * e.decay - e.y) * reciprocal
    c2 = ((2.0 * level) * e.q + (v0 * e.d) * e.inverse) * (e.inverse * slope)
    through_beta = c2 * (e.beta * reciprocal) - c1 * (e.q * reciprocal)
    bend = c2 * e.d + (level * e.q * e.q) * average - v0 * (e.variance * e.variance)
    bend = bend * reciprocal
    bend += (4.0 * level) * (e.q * e.y) ** 2 * _log1p_bend(e.w, e.ratio, e.inverse)
    by_z = through_beta * (-1j * e.z)
    rows = [
        theta * e.drift + through_beta,
        kappa * e.drift,
        rho * by_z + xi * bend,
        xi * by_z,
        e.variance,
    ]
    if len(e.parameters) == 8:
        intensity, mean, deviation = e.parameters[5:]
        z = e.z
        jump = np.exp(1j * z * mean - 0.5 * (deviation * z) ** 2)
        expected = math.exp(mean + 0.5 * deviation**2)
        rows.append(e.years * _jump_exponent(e.parameters, z))
        rows.append(e.years * (intensity * (1j * z * (jump - expected))))
        rows.append(e.years * (-intensity * deviation * (z * z * jump + 1j * z * expected)))
    return rows


def _jump_exponent(parameters, z):
    """Per unit of time and intensity, with the drift that keeps the forward a martingale."""
    mean, deviation = parameters[6:]
    jump = np.exp(1j * z * mean - 0.5 * (deviation * z) ** 2)
    return jump - 1.0 - 1j * z * math.expm1(mean + 0.5 * deviation**2)


def _log1p(w):
    real, imaginary = w.real, w.imag
    result = np.empty_like(w)
    result.real = 0.5 * np.log1p(real * (2.0 + real) + imaginary * imaginary)
    result.imag = np.arctan2(imaginary, 1.0 + real)
    return result


def _log1p_bend(w, ratio, inverse):
    """(log(1 + w) / w - 1 / (1 + w)) / w, where it cancels as a power series."""
    bend = (ratio - inverse) / w
    small = np.abs(w) < _SERIES
    if small.any():
        s = w[small]
        bend[small] = 1 / 2 - s * (2 / 3 - s * (3 / 4 - s * (4 / 5 - s * 5 / 6)))
    return bend


def average_variance(kappa, theta, v0, years):
    """∫₀ᵀ E[v_t] dt and its derivatives in κ, θ and v₀.

    Args:
        kappa: Speed, positive.
        theta: Long-run variance.
        v0: Variance now.
        years: Maturities, `(m,)`.

    Returns:
        Four arrays `(m,)`.

    Example:

    >>> average_variance(2.0, 0.04, 0.04, np.array([0.5, 1.0]))[0]
    array([0.02, 0.04])
    """
    x = kappa * years
    mean = -np.expm1(-x) / x
    memory = years * mean
    by_kappa = (v0 - theta) * years * years * ((np.exp(-x) - mean) / x)
    return theta * (years - memory) + v0 * memory, by_kappa, years - memory, memory


def _position_in_group(row):
    """How many earlier entries of `row` are equal to each."""
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], np.arange(row.max() + 1))
    position = np.empty_like(row)
    position[order] = np.arange(len(row)) - starts[row[order]]
    return position
