"""Where to end a grid of strikes, so that no surface of a history has arbitrage at its ends."""

import numpy as np

_ROUND = 0.05


def choose_ghost_strikes(calls, strikes):
    """One pair of ghost strikes for a whole history of surfaces.

    At the ghost strikes options are worth their intrinsic value, so the price of the put falls
    from its value at the lowest strike to zero at the lower ghost. If the ghost is too near, that
    fall is steeper than the one before, which is butterfly arbitrage. The nearest ghost that no
    surface forbids is k₁ - max P(k₁) / s, where s is the slope of the put between the two lowest
    strikes and the maximum is taken over all surfaces and maturities; above the strikes it is the
    same with calls. The rule takes twice that distance, so that the end strikes keep at least
    half of the probability that a far ghost would leave them, and rounds it outwards to 0.05.
    The lower ghost stays above zero, halfway to the nearest one allowed if the rule leads below.

    Args:
        calls: Call prices per unit of forward, `(..., m, n)`, with n ≥ 2.
        strikes: Strikes divided by the forward, `(n,)`.

    Returns:
        Array `(2,)`: a strike below and one above the others.

    Example:

    >>> from hedgezoo.layers import black_scholes_call
    >>> strikes = np.array([0.8, 0.9, 1.0, 1.1])
    >>> choose_ghost_strikes(black_scholes_call(strikes, [0.25, 1.0], 0.2), strikes)
    array([0.7 , 1.35])
    """
    calls, strikes = np.asarray(calls, "float64"), np.asarray(strikes, "float64")
    puts = calls - 1.0 + strikes
    below = _longest_fall(puts[..., 0], puts[..., 1], strikes[1] - strikes[0])
    above = _longest_fall(calls[..., -1], calls[..., -2], strikes[-1] - strikes[-2])
    lower = np.floor(round((strikes[0] - 2.0 * below) / _ROUND, 9)) * _ROUND
    if lower <= 0.0:
        lower = max(0.5 * (strikes[0] - below), 0.01 * strikes[0])
    upper = np.ceil(round((strikes[-1] + 2.0 * above) / _ROUND, 9)) * _ROUND
    return np.round([lower, upper], 12)


def _longest_fall(outer, inner, distance):
    """Largest distance over which a price falls to zero at the slope between its last two."""
    fall = inner - outer
    sloping = (fall > 0.0) & (outer > 0.0)  # the others are refused later, or have no price
    reach = outer[sloping] / fall[sloping] * distance
    return reach.max(initial=distance * 0.5)
