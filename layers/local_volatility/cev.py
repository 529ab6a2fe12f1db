"""The constant elasticity of variance model, dS = σ S^β dW."""

import numpy as np


def cev_call(volatility, elasticity, strikes, maturities):
    """Undiscounted call prices per unit of forward in the CEV model.

    dS = σ S^β dW with S_0 = 1 and 0 < β ≤ 1, absorbed at zero. With ν = 1/(2(1-β)),
    q = 1/(σ²(1-β)²T) and χ²(·; k, λ) the non-central chi-square law,

        C = 1 - χ²(q K^{2(1-β)}; 2ν + 2, q) - K χ²(q; 2ν, q K^{2(1-β)}).

    β = 1 is Black-Scholes. Prices out of the money keep relative accuracy to about 1e-10 of the
    forward.

    Args:
        volatility: σ > 0, the relative volatility at S = 1, per √year.
        elasticity: β.
        strikes: Strikes divided by the forward, `(n,)`, or `(m, n)` if each maturity has its own.
        maturities: Years to expiry, `(m,)`.

    Returns:
        Prices, float64 NumPy array `(m, n)`.

    Raises:
        ValueError: If an argument is out of its range or a shape does not fit.

    Example:

    >>> cev_call(0.2, 0.5, [0.9, 1.0, 1.1], [0.25, 1.0]).round(4)
    array([[0.1077, 0.0399, 0.0089],
           [0.1377, 0.0797, 0.0412]])

    Reference:
        Cox, "Notes on option pricing I: constant elasticity of diffusions", 1975; Schroder,
        "Computing the constant elasticity of variance option pricing formula", 1989.
    """
    _check(volatility, elasticity)
    years = _positive("maturities", maturities, (1,))[:, None]
    strikes = _positive("strikes", strikes, (1, 2))
    if strikes.ndim == 2 and strikes.shape[0] != len(years):
        raise ValueError(
            f"`strikes` must have shape (n,) or (m, n) = ({len(years)}, n). "
            f"Received: shape={strikes.shape}"
        )
    from scipy.special import ndtr
    from scipy.stats import ncx2

    if elasticity == 1.0:
        deviation = volatility * np.sqrt(years)
        d1 = -np.log(strikes) / deviation + 0.5 * deviation
        return ndtr(d1) - strikes * ndtr(d1 - deviation)
    gap = 1.0 - elasticity
    q = 1.0 / (volatility**2 * gap**2 * years)
    moved = q * strikes ** (2.0 * gap)
    above = ncx2.sf(moved, 2.0 + 1.0 / gap, q)
    below = ncx2.cdf(q, 1.0 / gap, moved)
    return above - strikes * below


def cev_local_volatility(volatility, elasticity, log_moneyness):
    """Relative volatility of the CEV model, σ S^{β-1} = σ exp((β - 1) x).

    Args:
        volatility: σ > 0 per √year, the volatility at x = 0.
        elasticity: β, 0 < β ≤ 1.
        log_moneyness: x = log(S/F), any shape.

    Returns:
        Float64 NumPy array of the shape of `log_moneyness`.

    Raises:
        ValueError: If σ or β is out of its range.

    Example:

    >>> cev_local_volatility(0.2, 0.5, [-0.2, 0.0, 0.2]).round(4)
    array([0.221, 0.2  , 0.181])
    """
    _check(volatility, elasticity)
    x = np.asarray(log_moneyness, np.float64)
    return volatility * np.exp((elasticity - 1.0) * x)


def _check(volatility, elasticity):
    if not 0 < volatility < np.inf:
        raise ValueError(f"`volatility` must be positive and finite. Received: {volatility}")
    if not 0 < elasticity <= 1:
        raise ValueError(f"`elasticity` must be above 0 and at most 1. Received: {elasticity}")


def _positive(name, values, ranks):
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    good = np.isfinite(array) & (array > 0)
    if array.ndim not in ranks or not good.all():
        raise ValueError(f"`{name}` must be a row of positive, finite numbers. Received: {values}")
    return array
