"""Memory of volatility in daily returns: clustering, and the leverage effect with a lag."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_array, check_integer, check_positive
from hedgezoo.neural_sde.structure.model_values import mean_and_error

LAGS = (1, 5, 20, 60)
DAYS_PER_YEAR = 252
_BLOCK = 128  # paths at a time, ten years of days each


@dataclasses.dataclass(frozen=True, eq=False)
class Autocorrelation:
    """A correlation of daily returns with later ones, by lag.

    Args:
        lags: Days, `(l,)`.
        value: Mean over the paths of the correlation of each, `(l,)`.
        standard_error: Of the mean, `(l,)`; NaN with a single path.
        deviation: Standard deviation from path to path, `(l,)`: by how much one history of this
            length may miss the mean.
    """

    lags: np.ndarray
    value: np.ndarray
    standard_error: np.ndarray
    deviation: np.ndarray


def daily_returns(model, years=10.0, paths=256, seed=0, features=None, days_per_year=DAYS_PER_YEAR):
    """Log returns of simulated days.

    Args:
        model: With a method `simulate(seed, paths, times, first_path=0)`.
        years: Length of each path.
        paths: Number of paths N.
        seed: Integer.
        features: Optional market features `(f,)`.
        days_per_year: Trading days.

    Returns:
        float64 array `(N, D)` of D = years times days per year.

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_positive("years", years)
    check_integer("paths", paths, minimum=1)
    check_integer("days_per_year", days_per_year, minimum=1)
    days = round(years * days_per_year)
    times = np.arange(days + 1) / days_per_year
    options = {} if features is None else {"features": features}
    blocks = []
    for first in range(0, paths, _BLOCK):
        count = min(_BLOCK, paths - first)
        run = model.simulate(seed, count, times, first_path=first, **options)
        blocks.append(np.diff(np.log(np.asarray(run["spot"], np.float64)), axis=1))
    return np.concatenate(blocks)


def clustering(returns, lags=LAGS):
    """Autocorrelation of |r|: large moves are followed by large moves.

    Of each path's own correlation the mean is taken over the paths, as an estimate from one history
    of that length would be, its small-sample bias included.

    Args:
        returns: Daily log returns `(N, D)` of N paths, or `(D,)` of a history.
        lags: Days, `(l,)`.

    Returns:
        An `Autocorrelation`.

    Raises:
        ValueError: If returns are not finite, or a lag does not leave 8 days.

    Example:

    >>> noise = np.random.default_rng(0).normal(size=(50, 2520))
    >>> bool(np.all(np.abs(clustering(noise).value) < 0.01))
    True

    Reference:
        Cont, "Empirical properties of asset returns: stylized facts and statistical issues", 2001.
    """
    returns, lags = _checked(returns, lags)
    size = np.abs(returns)
    return _correlations(size, size, lags)


def lagged_leverage(returns, lags=LAGS):
    """Correlation of a return with the size of later ones: after a fall, moves are larger.

    corr(r_t, |r_{t+L}|), of each path, averaged over the paths.

    Args:
        returns: As in `clustering`.
        lags: Days, `(l,)`.

    Returns:
        An `Autocorrelation`.

    Raises:
        ValueError: As `clustering`.

    Reference:
        Bouchaud, Matacz and Potters, "Leverage effect in financial markets", 2001.
    """
    returns, lags = _checked(returns, lags)
    return _correlations(returns, np.abs(returns), lags)


def _correlations(first, later, lags):
    """corr(first_t, later_{t+L}) per path; means and deviations are those of the whole path."""
    first, later = (x - x.mean(axis=1, keepdims=True) for x in (first, later))
    scale = np.sqrt((first**2).mean(axis=1) * (later**2).mean(axis=1))
    days = first.shape[1]
    each = np.stack(
        [(first[:, : days - lag] * later[:, lag:]).sum(axis=1) / (days * scale) for lag in lags],
        axis=1,
    )
    if len(each) == 1:
        unknown = np.full(len(lags), np.nan)
        return Autocorrelation(lags, each[0], unknown, unknown)
    mean, error = mean_and_error(each)
    return Autocorrelation(lags, mean, error, each.std(axis=0, ddof=1))


def _checked(returns, lags):
    returns = check_array("returns", returns, {"(N, D)": (None, None), "(D,)": (None,)})
    returns = np.atleast_2d(returns)
    lags = np.atleast_1d(lags)
    if lags.ndim != 1 or not np.issubdtype(lags.dtype, np.integer) or (lags < 1).any():
        raise ValueError(f"`lags` must be positive integers. Received: {lags}")
    if lags.max() + 8 > returns.shape[1]:
        raise ValueError(
            f"`lags` must leave 8 days of {returns.shape[1]}. Received: lags={lags.tolist()}"
        )
    if (returns.std(axis=1) == 0).any():
        raise ValueError("`returns` must vary along each path. Received: a constant path")
    return returns, lags
