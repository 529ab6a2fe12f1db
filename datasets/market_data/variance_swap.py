"""From the rate of a variance swap to the at-the-money variance of an SSVI slice, and back."""

import functools

import numpy as np

_NODES = 1024
_RANGE = (1e-7, 10.0)  # at-the-money total variance: a volatility of 0.1 % for a month to 316 %


def variance_swap_variance(theta, skew):
    """Model-free total variance of an SSVI slice, the fair strike of a variance swap times T.

    2 ∫ OTM(K) / K² dK = ∫ w(k) n(d₂(k)) |d₂'(k)| dk with d₂ = -k/√w - √w/2 and n the normal
    density, over strikes relative to the forward. The second form is what is summed, on nodes
    k ∝ √θ sinh(u) and equidistant in u, which converge faster than any power of their distance.

    Args:
        theta: At-the-money total variance, any shape, 1e-7 to 10.
        skew: An `SSVISkew`.

    Returns:
        Array of the shape of `theta`.

    Example:

    >>> from hedgezoo.datasets.market_data import EURO_STOXX_50_SKEW
    >>> theta = 0.15**2 * 30 / 365
    >>> swap = variance_swap_variance(theta, EURO_STOXX_50_SKEW)
    >>> round(float(np.sqrt(swap * 365 / 30)), 4)
    0.154

    Reference:
        Fukasawa, "The normalizing transformation of the implied volatility smile", Mathematical
        Finance, 2012; Gatheral, "The Volatility Surface", 2006, Chapter 11.
    """
    theta = np.asarray(theta, "float64")[..., None]
    u = np.linspace(-_REACH, _REACH, 1201)
    k = np.sqrt(theta) * np.sinh(u)
    variance = skew.total_variance(k, theta)
    slope = skew.slope(k, theta)
    deviation = np.sqrt(variance)
    d2 = -k / deviation - 0.5 * deviation
    steepness = (1.0 - 0.5 * k * slope / variance) / deviation + 0.25 * slope / deviation
    density = np.exp(-0.5 * d2 * d2) / np.sqrt(2.0 * np.pi)
    integrand = variance * density * steepness * np.sqrt(theta) * np.cosh(u)
    return np.sum(integrand, axis=-1) * (u[1] - u[0])


_REACH = 14.0  # sinh(14) = 6e5 standard deviations: the wings are linear in k, not quadratic


def at_the_money_variance(variance, skew):
    """At-the-money total variance of the SSVI slice with a given model-free total variance.

    The inverse of `variance_swap_variance`, by cubic interpolation of a table of 1024 values.

    Args:
        variance: Model-free total variance, any shape.
        skew: An `SSVISkew`.

    Returns:
        Array of the shape of `variance`.

    Raises:
        ValueError: If a variance is outside the table or NaN.
    """
    variance = np.asarray(variance, "float64")
    inverse, lowest, highest = _inverse(skew)
    good = (variance >= lowest) & (variance <= highest)
    if not good.all():
        raise ValueError(
            f"`variance` must lie between {lowest:.3g} and {highest:.3g}. "
            f"Received: {variance[~good].ravel()[0]}"
        )
    return np.exp(inverse(np.log(variance)))


@functools.lru_cache(maxsize=8)
def _inverse(skew):
    """log θ as a function of the log of the model-free variance, and its range."""
    from scipy.interpolate import CubicSpline

    theta = np.geomspace(*_RANGE, _NODES)
    variance = variance_swap_variance(theta, skew)
    return CubicSpline(np.log(variance), np.log(theta)), variance[0], variance[-1]
