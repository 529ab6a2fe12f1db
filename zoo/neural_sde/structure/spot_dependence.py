"""How much of the volatility the spot alone explains."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_integer
from hedgezoo.neural_sde.structure.model_values import (
    checked_times,
    mean_and_error,
    replicated_paths,
)


@dataclasses.dataclass(frozen=True, eq=False)
class ConditionalVolatility:
    """√E[σ² | S] in groups of paths with neighbouring spots, at one time.

    Args:
        time: Years.
        log_spot: Mean log(S/F) of each group, `(g,)`.
        volatility: Root of the mean variance of each group, per √year, `(g,)`.
        standard_error: Of the volatility, `(g,)`.
        deviation: Standard deviation of σ within each group, `(g,)`: 0 if the spot tells it.
    """

    time: float
    log_spot: np.ndarray
    volatility: np.ndarray
    standard_error: np.ndarray
    deviation: np.ndarray


def conditional_volatility(model, time, groups=20, paths=2**15, seed=0, features=None):
    """The volatility that is expected given the spot, from simulated paths.

    A model with a latent factor has the marginal laws, and so the vanilla prices, of the local
    volatility √E[σ² | S].

    Args:
        model: With a method `simulate(seed, paths, times)`.
        time: Years, above 0.
        groups: Number g of groups with equally many paths.
        paths: Number of paths N, rounded up to a multiple of 16; at least 16 a group.
        seed: Integer.
        features: Optional market features `(f,)`.

    Returns:
        A `ConditionalVolatility`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    (time,) = checked_times("time", time)
    check_integer("groups", groups, minimum=1)
    if paths < 16 * groups:
        raise ValueError(
            f"`paths` must be at least 16 a group, {16 * groups}. Received: paths={paths}"
        )
    spot, volatility = _gathered(model, time, paths, seed, features)
    # the same edges for all scrambles, so that their spread is that of the estimate
    edges = np.quantile(spot, np.linspace(0.0, 1.0, groups + 1)[1:-1])
    index = np.searchsorted(edges, spot)  # (R, B)

    def by_group(values):
        sums = [np.bincount(i, v, minlength=groups) for i, v in zip(index, values, strict=True)]
        return np.array(sums)

    counts = by_group(np.ones_like(spot))
    total = counts.sum(axis=0)
    variance = by_group(volatility**2)
    mean_variance = variance.sum(axis=0) / total
    # a ratio of two sums: the spread of its residuals over the scrambles
    residual = variance - mean_variance * counts
    error = np.sqrt(len(residual) * residual.var(axis=0, ddof=1)) / total
    mean = by_group(volatility).sum(axis=0) / total
    expected = np.sqrt(mean_variance)
    return ConditionalVolatility(
        float(time),
        by_group(np.log(spot)).sum(axis=0) / total,
        expected,
        error / (2.0 * expected),
        np.sqrt(np.maximum(mean_variance - mean**2, 0.0)),
    )


def explained_by_spot(model, time, groups=32, paths=2**15, seed=0, features=None):
    """R² of σ given S: the share of its variance that a function of the spot explains.

    1 for a local volatility; about 0.5 for Heston's model with usual parameters. Vanilla options
    do not tell it: they fix E[σ² | S] only. σ is fitted by a line in log S within each of several
    groups of paths with neighbouring spots; the R² is corrected for their number.

    Args:
        model: With a method `simulate(seed, paths, times)`.
        time: Years, above 0.
        groups: Number of groups with equally many paths.
        paths: Number of paths N, at least 512 a group; rounded up to a multiple of 16.
        seed: Integer.
        features: Optional market features `(f,)`.

    Returns:
        Tuple of R² and its standard error. NaN if σ does not vary at all.

    Raises:
        ValueError: If an argument is out of its range.
    """
    (time,) = checked_times("time", time)
    check_integer("groups", groups, minimum=1)
    if paths < 512 * groups:
        raise ValueError(
            f"`paths` must be at least 512 a group, {512 * groups}. Received: paths={paths}"
        )
    spot, volatility = _gathered(model, time, paths, seed, features)
    shares = [_r_squared(np.log(s), v, groups) for s, v in zip(spot, volatility, strict=True)]
    mean, error = mean_and_error(shares)
    return float(mean), float(error)


def _gathered(model, time, paths, seed, features):
    """Spots and volatilities of all scrambles, `(R, B)` each."""
    if time <= 0:
        raise ValueError(f"`time` must be above 0. Received: time={time}")
    runs = list(replicated_paths(model, [time], paths, seed, features))
    return (np.stack([run[name][:, 0] for run in runs]) for name in ("spot", "volatility"))


def _r_squared(x, values, groups):
    left = 0.0
    for part in np.array_split(np.argsort(x), groups):
        basis = np.stack([np.ones(len(part)), x[part] - x[part].mean()], axis=1)
        coefficients, *_ = np.linalg.lstsq(basis, values[part], rcond=None)
        left += float(np.sum((values[part] - basis @ coefficients) ** 2))
    total = float(np.sum((values - values.mean()) ** 2))
    # below rounding there is nothing to explain
    if total <= len(values) * (1e-5 * values.mean()) ** 2:
        return np.nan
    freedom = len(values) - 2 * groups
    return 1.0 - (left / freedom) / (total / (len(values) - 1))
