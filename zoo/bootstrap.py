"""Standard errors of statistics that have no formula: of one history, and of quantiles."""

import numpy as np

BLOCK = 60  # days
_RESAMPLES = 200


def block_bootstrap(values, statistic, seed, block=BLOCK, resamples=_RESAMPLES):
    """Standard error of a statistic of a stationary series, by circular block bootstrap.

    Args:
        values: Series `(..., N)`.
        statistic: Function of series `(..., R, N)`, of which there are R, to R numbers `(R,)`, or
            to R arrays `(R, k)`.
        seed: Integer.
        block: Length of the blocks that are drawn.
        resamples: Number R of copies.

    Returns:
        Standard deviation over the copies, of the shape of one result.

    Example:

    >>> noise = np.random.default_rng(0).normal(size=400)
    >>> error = block_bootstrap(noise, lambda x: x.mean(axis=-1), seed=1, block=1)
    >>> bool(0.04 < error < 0.06)
    True

    Reference:
        Politis and Romano, "A circular block-resampling procedure for stationary data" (1992).
    """
    values = np.asarray(values)
    count = values.shape[-1]
    block = min(block, count)
    generator = np.random.default_rng(seed)
    starts = generator.integers(count, size=(resamples, -(-count // block), 1))
    rows = ((starts + np.arange(block)) % count).reshape(resamples, -1)[:, :count]
    return statistic(values[..., rows]).std(axis=0, ddof=1)


def quantile_with_error(values, level):
    """A quantile of independent values; its error from the order statistics around it.

    Args:
        values: `(N,)`.
        level: Between 0 and 1.

    Returns:
        Tuple of two numbers.

    Example:

    >>> value, error = quantile_with_error(np.arange(101), 0.5)
    >>> float(value), round(float(error), 3)
    (50.0, 4.975)
    """
    reach = np.sqrt(level * (1.0 - level) / len(values))
    low, value, high = np.quantile(values, np.clip([level - reach, level, level + reach], 0, 1))
    return value, (high - low) / 2.0
