"""The three inequalities on total variance that the calibration paper prints."""

import numpy as np
import tensorflow as tf


def printed_inequalities(total_variance, grid):
    """Violations of w_KK ≥ 0, w_T ≥ 0, and w_K ≤ 0 for K > S₀, in finite differences.

    w_K is the slope between neighbouring strikes, w_KK twice the second divided difference of
    three neighbours, w_T the slope between neighbouring maturities in one column of strikes. A
    slope counts as K > S₀ if both its strikes are at least 1.

    Args:
        total_variance: w = σ²T `(..., m, n)`.
        grid: `PriceGrid` with common strikes.

    Returns:
        Dict of `convexity` `(..., m, n - 2)`, `calendar` `(..., m - 1, n)` and `monotonicity`
        `(..., m, q)` for the `q` slopes with K > S₀; an axis may be empty.
    """
    strikes, _ = grid.rows(total_variance.dtype.name)
    strikes = strikes[0]
    slopes = (total_variance[..., 1:] - total_variance[..., :-1]) / np.diff(strikes)
    curvatures = (slopes[..., 1:] - slopes[..., :-1]) / (0.5 * (strikes[2:] - strikes[:-2]))
    years = np.diff(grid.maturities)[:, np.newaxis]
    growth = (total_variance[..., 1:, :] - total_variance[..., :-1, :]) / years
    first = int(np.searchsorted(strikes, 1.0))
    return {
        "convexity": tf.nn.relu(-curvatures),
        "calendar": tf.nn.relu(-growth),
        "monotonicity": tf.nn.relu(slopes[..., first:]),
    }
