"""Correlation matrices and their triangular factors."""

import numpy as np

_ROUNDING = 1e-10


def check_correlation(correlation):
    """A correlation matrix as nested tuples, or None.

    Raises:
        ValueError: If the matrix is not square, symmetric, of unit diagonal and positive
            semi-definite.
    """
    if correlation is None:
        return None
    try:
        matrix = np.asarray(correlation, np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        fault = "a square matrix of numbers"
    elif not np.isfinite(matrix).all():
        fault = "finite"
    elif np.abs(matrix - matrix.T).max() > _ROUNDING:
        fault = "symmetric"
    elif np.abs(np.diag(matrix) - 1).max() > _ROUNDING:
        fault = "one on its diagonal"
    elif (lowest := np.linalg.eigvalsh(matrix).min()) < -_ROUNDING:
        fault = f"positive semi-definite, but its lowest eigenvalue is {lowest:.6g}"
    else:
        return tuple(tuple(float(entry) for entry in row) for row in matrix)
    raise ValueError(f"`correlation` must be {fault}. Received: correlation={correlation!r}")


def correlation_factor(correlation, instruments):
    """Lower triangular L with L Lᵀ = correlation; singular matrices (perfect correlation) too.

    Args:
        correlation: D x D nested tuples, or None for independence.
        instruments: Number of instruments D.

    Returns:
        Array of shape `(D, D)`.
    """
    if correlation is None:
        return np.eye(instruments)
    matrix = np.asarray(correlation, np.float64)
    factor = np.zeros_like(matrix)
    for k in range(len(matrix)):
        rest = matrix[:, k] - factor @ factor[k]
        if rest[k] > _ROUNDING:  # otherwise column k adds nothing to the ones before it
            factor[k:, k] = rest[k:] / np.sqrt(rest[k])
    return factor
