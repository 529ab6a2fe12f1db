"""Estimates with standard errors, from independent panels."""

import math

import numpy as np


def estimate(value, stderr):
    """A metric as `hedgezoo.evaluate` reports it."""
    return {"value": float(value), "stderr": float(stderr)}


def mean(values):
    """Mean, with the classical standard error.

    Args:
        values: `(N,)`.

    Returns:
        Dictionary of `value` and `stderr`.

    Example:

    >>> mean(np.array([1.0, 3.0]))
    {'value': 2.0, 'stderr': 1.0}
    """
    values = np.asarray(values, np.float64)
    return estimate(values.mean(), values.std(ddof=1) / math.sqrt(len(values)))


def quantile(values, level):
    """Quantile, with a standard error from order statistics.

    Half the distance between the quantiles at `level` ± √(level (1 - level) / N), which is how far
    the count of smaller observations strays: no assumption on the density. Near the ends the
    distance is one-sided.

    Args:
        values: `(N,)`.
        level: Between 0 and 1.

    Returns:
        Dictionary of `value` and `stderr`.
    """
    values = np.asarray(values, np.float64)
    width = math.sqrt(level * (1.0 - level) / len(values))
    low, high = max(level - width, 0.0), min(level + width, 1.0)
    lower, value, upper = np.quantile(values, [low, level, high])
    return estimate(value, (upper - lower) * width / (high - low))


def median(values):
    """Median; see `quantile`."""
    return quantile(values, 0.5)


def root_mean_square(values):
    """Root of the mean square, with a standard error by the delta method.

    Args:
        values: `(N,)`.

    Returns:
        Dictionary of `value` and `stderr`.
    """
    squares = mean(np.square(values))
    root = math.sqrt(squares["value"])
    return estimate(root, 0.5 * squares["stderr"] / root if root > 0.0 else 0.0)


def share(hits):
    """Share of true entries, with the binomial standard error.

    It is that of the posterior mean under Jeffreys' prior, so that 0 of N is not reported as
    certain.

    Args:
        hits: Booleans `(N,)`.

    Returns:
        Dictionary of `value` and `stderr`.
    """
    hits = np.asarray(hits, bool)
    yes, no = hits.sum() + 0.5, (~hits).sum() + 0.5
    total = yes + no
    return estimate(hits.mean(), math.sqrt(yes * no / (total * total * (total + 1.0))))


def coverage(inside):
    """Share of true entries over panels and parameters; panels are the independent draws.

    Args:
        inside: Booleans `(N, p)`.

    Returns:
        Dictionary of `value` and `stderr`.
    """
    per_panel = mean(np.asarray(inside, np.float64).mean(axis=1))
    certain = share(np.asarray(inside).all(axis=1))["stderr"] if not per_panel["stderr"] else 0.0
    return estimate(per_panel["value"], per_panel["stderr"] or certain)


def pearson(x, y):
    """Correlation, with a standard error by Fisher's z: (1 - r²) / √(N - 3).

    Args:
        x: `(N,)`.
        y: `(N,)`.

    Returns:
        Dictionary of `value` and `stderr`; NaN if one of them is constant.

    Example:

    >>> pearson([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 5.0, 7.0])
    {'value': 1.0, 'stderr': 0.0}
    """
    x, y = (np.asarray(values, np.float64) - np.mean(values) for values in (x, y))
    scale = math.sqrt((x @ x) * (y @ y))
    if scale == 0.0:
        return estimate(math.nan, math.nan)
    r = float(np.clip((x @ y) / scale, -1.0, 1.0))
    return estimate(r, (1.0 - r * r) / math.sqrt(len(x) - 3))
