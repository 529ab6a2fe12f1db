"""Fitting a vector autoregression to a history of spot and surfaces, by least squares."""

import dataclasses
import numbers

import numpy as np

from hedgezoo.datasets.checks import check_array, check_integer, check_one_of
from hedgezoo.datasets.vector_autoregression import (
    VARCoefficients,
    check_stable,
    covariance_factor,
)

CRITERIA = ("aic", "bic", "hqic", "fpe")


@dataclasses.dataclass(frozen=True, eq=False)
class VARFit:
    """What least squares found, and how well it fits.

    Args:
        coefficients: The `VARCoefficients`.
        criterion: Name of the information criterion that chose the lags.
        criteria: Its value for each number of lags that was tried, a dictionary.
        standard_errors: Of the intercept and the lag matrices as one array `(1 + p·K, K)`: row 0
            is the intercept, row 1 + (l−1)·K + j the weight of series j at lag l, a column per
            series.
        series: Y, `(L−1, K)`.
        residuals: `(L−1−p, K)`.
        explained: Share of the variance of the log volatilities that the factors carry.
    """

    coefficients: VARCoefficients
    criterion: str
    criteria: dict
    standard_errors: np.ndarray
    series: np.ndarray
    residuals: np.ndarray
    explained: float


def fit_surfaces(spot, dlv, max_lags=5, criterion="bic", components=0.9999):
    """A stable vector autoregression of log return and log discrete local volatilities.

    The log volatilities of neighbouring cells move together, so that least squares on all of them
    at once is all but singular. The series are therefore the log return and the first principal
    components of the log volatilities. Mapped back, that is an autoregression on log return and all
    log volatilities, of reduced rank.

    Args:
        spot: Spot of L dates, one time step apart, `(L,)`.
        dlv: Discrete local volatilities, positive, `(L, m, n)`.
        max_lags: Largest number of lags p that is tried; at least one is taken.
        criterion: Information criterion that the number of lags minimises, `"aic"`, `"bic"`,
            `"hqic"` or `"fpe"`.
        components: Number of principal components; or the share of the variance that they carry
            together, a float below 1; or None for as many as the data has.

    Returns:
        A `VARFit`.

    Raises:
        ValueError: If a spot or a volatility is not positive and finite, there are not more
            observations than parameters, or the autoregression is not stable.

    Reference:
        Buehler, Murray, Pakkanen, Wood, arXiv:2103.11948, section 3.3; Seabold, Perktold,
        "Statsmodels: econometric and statistical modeling with Python", 2010.
    """
    spot = check_array("spot", spot, {"(dates,)": (None,)})
    dlv = check_array("dlv", dlv, {"(dates, m, n)": (len(spot), None, None)})
    for name, values in (("spot", spot), ("dlv", dlv)):
        if not (values > 0).all():
            where = tuple(int(i) for i in np.argwhere(~(values > 0))[0])
            raise ValueError(
                f"`{name}` must be positive. Received: {values[where]} at index {where}"
            )
    _check_components(components, dlv[0].size)
    log_dlv = np.log(dlv)[1:]  # the first date has no return
    mean, loadings, factors, explained = _principal_components(
        log_dlv.reshape(len(log_dlv), -1), components
    )
    series = np.concatenate([np.diff(np.log(spot))[:, None], factors], axis=1)
    intercept, lag_matrices, covariance, rest = fit_series(series, max_lags, criterion)
    check_stable(lag_matrices)
    coefficients = VARCoefficients(
        intercept=intercept,
        lag_matrices=lag_matrices,
        innovation_factor=covariance_factor(covariance),
        log_dlv_mean=mean.reshape(dlv.shape[1:]),
        loadings=loadings.reshape(-1, *dlv.shape[1:]),
        last_state=series[-len(lag_matrices) :],
    )
    return VARFit(coefficients, criterion, series=series, explained=explained, **rest)


def fit_series(series, max_lags=5, criterion="bic"):
    """Least squares with an intercept; the number of lags minimises an information criterion.

    Args:
        series: Y, `(L, K)`.
        max_lags: Largest number of lags p that is tried; at least one is taken.
        criterion: `"aic"`, `"bic"`, `"hqic"` or `"fpe"`.

    Returns:
        Intercept `(K,)`, lag matrices `(p, K, K)`, covariance of the innovations `(K, K)`, and a
        dictionary of `criteria`, `standard_errors` and `residuals` as in `VARFit`.

    Raises:
        ValueError: If there are not more observations than parameters, or the series are linearly
            dependent.
    """
    from statsmodels.tsa.api import VAR

    series = check_array("series", series, {"(dates, K)": (None, None)})
    check_integer("max_lags", max_lags, minimum=1)
    check_one_of("criterion", criterion, CRITERIA)
    count = series.shape[1]
    observations, parameters = max(len(series) - max_lags, 0), 1 + count * max_lags
    if observations <= parameters:
        raise ValueError(
            "There must be more observations than parameters per equation. Received: "
            f"{observations} observations for {parameters} parameters ({max_lags} lag(s) of "
            f"{count} series and an intercept). A longer history, a smaller `max_lags` or fewer "
            "`components` help."
        )
    # one scale for all series: a daily return is a hundred times smaller than a log volatility,
    # and the criteria take the determinant of the covariance
    scale = series.std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    model = VAR(series / scale)
    criteria = {
        lags: float(value) for lags, value in enumerate(model.select_order(max_lags).ics[criterion])
    }
    if not np.isfinite(list(criteria.values())).all():
        raise ValueError(
            "`series` must not be linearly dependent: the covariance of the innovations is "
            f"singular and {criterion!r} undefined. Fewer `components` help. Received: {criteria}"
        )
    lags = min((each for each in criteria if each), key=criteria.get)
    result = model.fit(lags, trend="c")
    weights = result.params * scale
    weights[1:] /= np.tile(scale, lags)[:, None]
    errors = np.asarray(result.stderr) * scale
    errors[1:] /= np.tile(scale, lags)[:, None]
    rest = {
        "criteria": criteria,
        "standard_errors": errors,
        "residuals": np.asarray(result.resid) * scale,
    }
    lag_matrices = weights[1:].reshape(lags, count, count).transpose(0, 2, 1)
    return weights[0], lag_matrices, result.sigma_u * np.outer(scale, scale), rest


def _principal_components(values, components):
    """Mean, loadings `(k, N)`, factors `(L, k)` and explained share of rows `(L, N)`."""
    mean = values.mean(axis=0)
    _, singular, directions = np.linalg.svd(values - mean, full_matrices=False)
    variance = np.cumsum(singular**2)
    total = variance[-1]
    if not total > 0.0:
        raise ValueError("`dlv` must vary over time. Received: the same surface on every date")
    rank = int((singular > singular[0] * 1e-12).sum())  # what is left beyond is rounding
    if components is None:
        kept = rank
    elif isinstance(components, numbers.Integral):
        kept = int(components)
        if kept > rank:
            raise ValueError(
                f"`components` must not exceed the rank {rank} of the log volatilities. "
                f"Received: components={components}"
            )
    else:
        kept = 1 + int(np.searchsorted(variance / total, components - 1e-15))
    # the sign of a direction is arbitrary: volatility up is a factor up
    loadings = directions[:kept] * np.where(directions[:kept].sum(axis=1) < 0, -1.0, 1.0)[:, None]
    return mean, loadings, (values - mean) @ loadings.T, float(variance[kept - 1] / total)


def _check_components(components, cells):
    if components is None:
        return
    if isinstance(components, bool) or not isinstance(components, numbers.Real):
        good = False
    elif isinstance(components, numbers.Integral):
        good = 1 <= components <= cells
    else:
        good = 0.0 < components < 1.0
    if not good:
        raise ValueError(
            f"`components` must be an integer from 1 to {cells}, a share of the variance below 1, "
            f"or None for all. Received: components={components!r}"
        )
