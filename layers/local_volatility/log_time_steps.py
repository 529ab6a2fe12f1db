"""Time steps of Dupire's equation: equal in the logarithm of the maturity."""

import numpy as np

# Part of the first maturity after which the equation starts, with Black-Scholes prices.
START = 0.005
# Implicit half steps before Crank-Nicolson.
DAMPED = 2


def log_time_steps(maturities, density):
    """Steps between the maturities, of nearly equal length in log T.

    The first one starts at a small part of the first maturity: up to there prices are those of
    Black and Scholes.

    Args:
        maturities: Years, increasing, `(m,)`.
        density: Steps per factor e.

    Returns:
        Begin and end of each step in years, h of the step in log T and its c (see
        `dupire_sweeps`), all `(T,)`, and the index of the last step of each maturity, `(m,)`.

    Example:

    >>> begin, end, half, keep, last = log_time_steps([0.5, 1.0], 2.0)
    >>> end[last], len(end), keep[:3]
    (array([0.5, 1. ]), 14, array([0., 0., 1.]))
    """
    maturities = np.asarray(maturities, np.float64)
    clock = np.log(np.concatenate([[START * maturities[0]], maturities]))
    counts = np.ceil(np.diff(clock) * density - 1e-9).astype(int)
    counts[0] = max(counts[0], DAMPED)
    edges, keep = [clock[:1]], []
    for number, (left, right, count) in enumerate(zip(clock, clock[1:], counts, strict=False)):
        parts = np.linspace(left, right, count + 1)
        inner = np.ones(count)
        if number == 0:
            whole = (DAMPED + 1) // 2
            halves = np.linspace(parts[0], parts[whole], 2 * whole + 1)
            parts = np.concatenate([halves, parts[whole + 1 :]])
            inner = np.concatenate([np.zeros(2 * whole), inner[whole:]])
        edges.append(parts[1:])
        keep.append(inner)
    lasts = np.cumsum([len(part) for part in keep]) - 1
    edges, keep = np.concatenate(edges), np.concatenate(keep)
    # an implicit half step has h as its whole length
    half = np.where(keep == 0.0, 1.0, 0.5) * np.diff(edges)
    years = np.exp(edges)
    years[1:][lasts] = maturities
    return years[:-1], years[1:], half, keep, lasts
