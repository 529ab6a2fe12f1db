"""How far the law of a calibrated model is from the true one: chi-square between densities."""

import numpy as np

from hedgezoo.datasets.checks import check_array, check_positive
from hedgezoo.layers.heston.pricer import bates_call, heston_call

_PRICERS = {5: heston_call, 8: bates_call}


def bin_probabilities(parameters, maturities, low=0.5, high=2.0, width=0.01):
    """Risk-neutral probabilities of bins of strikes, from second differences of exact calls.

    By Breeden and Litzenberger the density is C_KK. Its mean over a bin about the strike K is
    p = (C(K + h) - 2 C(K) + C(K - h)) / h: the price of a butterfly, which weighs the density with
    a tent of height 1 from K - h to K + h. What lies below and above the strikes is added at the
    ends, so that the probabilities of a maturity sum to one.

    Args:
        parameters: Of Heston `(B, 5)` or Bates `(B, 8)`.
        maturities: Years, `(m,)` or `(B, m)`.
        low: Lowest strike divided by the forward.
        high: Highest one.
        width: Width h of a bin; 0.01 is 1 % of the forward.

    Returns:
        Float64 array `(B, m, k)`, k = (high - low) / h + 1.

    Raises:
        ValueError: If shapes do not match or the strikes are not positive and in order.

    Example:

    >>> found = bin_probabilities([[2.0, 0.04, 0.5, -0.7, 0.04]], [0.5, 1.0])
    >>> found.shape, found.sum(-1).round(9).tolist()
    ((1, 2, 151), [[1.0, 1.0]])

    Reference:
        Breeden and Litzenberger, "Prices of state-contingent claims implicit in option prices",
        1978.
    """
    shapes = {"(B, 5)": (None, 5), "(B, 8)": (None, 8)}
    parameters = check_array("parameters", parameters, shapes)
    maturities = _maturities(maturities, len(parameters))
    for name, value in (("low", low), ("width", width)):
        check_positive(name, value)
    count = round((high - low) / width) + 1
    if count < 3:
        raise ValueError(
            "`high` must be at least two widths above `low`. Received: "
            f"low={low}, high={high}, width={width}"
        )
    strikes = low + width * np.arange(count)
    price = _PRICERS[parameters.shape[1]]
    slope = np.diff(price(parameters, strikes, maturities).numpy(), axis=-1) / width
    edge = slope[..., :1]  # a call falls by one per unit of strike at 0, not at all far out
    slope = np.concatenate([np.full_like(edge, -1.0), slope, np.zeros_like(edge)], axis=-1)
    return np.diff(slope, axis=-1)


def density_distance(parameters, reference, maturities, low=0.5, high=2.0, width=0.01):
    """Chi-square distance between the laws of the underlying under two sets of parameters.

    ½ Σ (p - q)² / (p + q) over the bins of `bin_probabilities`, mean over the maturities: 0 for
    equal laws, 1 for laws that share no bin. Symmetric, unlike Σ (p - q)² / q, which bins without
    probability in the wings would decide alone.

    Args:
        parameters: Fitted parameters `(B, p)`, p = 5 (Heston) or 8 (Bates).
        reference: True parameters `(B, p)`.
        maturities: Years, `(m,)` or `(B, m)`.
        low: Lowest strike divided by the forward.
        high: Highest one.
        width: Width of a bin.

    Returns:
        Float64 array `(B,)`.

    Raises:
        ValueError: If shapes do not match or the strikes are not positive and in order.

    Example:

    >>> true = [[2.0, 0.04, 0.5, -0.7, 0.04]]
    >>> density_distance(true, true, [0.5, 1.0]).tolist()
    [0.0]
    >>> fitted = [[2.0, 0.05, 0.5, -0.7, 0.04]]
    >>> density_distance(fitted, true, [0.5, 1.0]).round(4).tolist()
    [0.0026]

    Reference:
        Song, "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
        section 4.5.
    """
    if np.shape(parameters) != np.shape(reference):
        raise ValueError(
            "`reference` must have the shape of `parameters`. Received: "
            f"{np.shape(reference)} and {np.shape(parameters)}"
        )
    p, q = (
        np.maximum(bin_probabilities(x, maturities, low, high, width), 0.0)
        for x in (parameters, reference)
    )
    both = p + q
    terms = np.divide((p - q) ** 2, both, out=np.zeros_like(both), where=both > 0)
    return 0.5 * terms.sum(-1).mean(-1)


def _maturities(maturities, panels):
    shapes = {"(m,)": (None,), "(B, m)": (panels, None)}
    maturities = check_array("maturities", maturities, shapes)
    if not (maturities > 0).all():
        raise ValueError(f"`maturities` must be positive. Received: {maturities.min()}")
    return maturities
