"""Time grids of a simulation: they hit every maturity."""

import numpy as np


def time_grid(maturities, steps_per_year=96, first_steps=8, concentration=1.0):
    """Times at which to simulate, every maturity among them.

    Between two maturities the steps are equal and at most `1 / steps_per_year` years long. With
    `concentration` p > 1 that holds for u in t = T (u/T)^(1/p), so that steps are shorter early
    on, where the coefficients of a volatility surface vary most.

    Args:
        maturities: Years, positive and increasing. Shape `(m,)`.
        steps_per_year: Steps per year, a positive number.
        first_steps: Least number of steps up to the first maturity.
        concentration: p, one or above.

    Returns:
        Times as a float64 array of shape `(T + 1,)`, which begins with 0, and the indices of the
        maturities among them, an integer array of shape `(m,)`.

    Raises:
        ValueError: If the maturities are not positive and increasing, or another argument is out
            of its range.

    Example:

    >>> times, steps = time_grid([0.25, 1.0], steps_per_year=4, first_steps=2)
    >>> times
    array([0.   , 0.125, 0.25 , 0.5  , 0.75 , 1.   ])
    >>> steps
    array([2, 5])
    """
    maturities = check_times("maturities", maturities)
    if not steps_per_year > 0:
        raise ValueError(f"`steps_per_year` must be positive. Received: {steps_per_year}")
    if int(first_steps) != first_steps or first_steps < 1:
        raise ValueError(f"`first_steps` must be a positive integer. Received: {first_steps}")
    if not concentration >= 1:
        raise ValueError(f"`concentration` must be at least 1. Received: {concentration}")
    end = maturities[-1]
    clock = np.concatenate([[0.0], (maturities / end) ** (1 / concentration)])
    # a whole number of steps stays one after rounding
    counts = np.ceil(np.diff(clock) * steps_per_year * end - 1e-9).astype(int)
    counts = np.maximum(counts, [first_steps] + [1] * (len(counts) - 1))
    pieces = [np.zeros(1)]
    for start, stop, count, maturity in zip(clock, clock[1:], counts, maturities, strict=False):
        inner = start + (stop - start) * np.arange(1, count) / count
        pieces += [end * inner**concentration, [maturity]]
    return np.concatenate(pieces), np.cumsum(counts)


def check_times(name, values):
    """Positive, finite, increasing numbers as a float64 array of shape `(m,)`.

    Raises:
        ValueError: If they are not.
    """
    try:
        times = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        times = np.empty(0)
    good = times.ndim == 1 and times.size and np.isfinite(times).all()
    if not (good and times[0] > 0 and (np.diff(times) > 0).all()):
        raise ValueError(f"`{name}` must be positive years in increasing order. Received: {values}")
    return times
