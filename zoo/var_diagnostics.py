"""How a fitted vector autoregression compares with the history it was fitted to.

Simulated quantities are those of the long run: paths start from the stationary distribution, so
that all of history is what they should look like. Standard errors of historical ones are
those of a circular block bootstrap, because a history of volatility has few independent days.
"""

import numpy as np
import tensorflow as tf

from hedgezoo.bootstrap import block_bootstrap, quantile_with_error
from hedgezoo.datasets.checks import check_array
from hedgezoo.datasets.var_market import VARMarket
from hedgezoo.layers.implied_volatility import implied_volatility
from hedgezoo.layers.surfaces.discrete_local_volatility import dlv_to_calls, dlv_to_density

LEVELS = (0.05, 0.5, 0.95)
LAGS = (1, 5, 20)
WHITENESS_LAGS = 20
_CHUNK = 2**13  # paths at a time: bounds memory whatever `paths` is


def report(model, market=None, paths=2**16, seed=0, history=None):
    """Simulated against historical behaviour of a `VectorAutoregression`.

    - `observations`, `lags`, `series`, `spectral_radius`: of the fit; stable below 1;
    - `explained_variance`: share of the variance of the log volatilities that the components carry;
    - `arbitrage_free_share`: share of simulated surfaces whose densities are nowhere negative and
      whose call prices rise with maturity, to float32 rounding;
    - `quantiles/<quantity>/<level>/historical` and `/simulated`, of `daily_return` and, per
      √year, `atm_volatility` of the first maturity, `skew` (its volatility at the strike nearest
      to 0.95 less that nearest to 1.05) and `term_slope` (at-the-money volatility of the last less
      that of the first maturity);
    - `autocorrelation/<quantity>/<lag>/historical` and `/simulated`, of `daily_return`,
      `absolute_return` and `atm_volatility`;
    - `residual_ljung_box/<series>` and `squared_residual_ljung_box/<series>`: p-values of the
      Ljung-Box test at 20 lags; small ones say that something predictable is left;
    - `residual_skewness/<series>`, `residual_excess_kurtosis/<series>`: 0 if Gaussian;
    - `realised_volatility`, per √year, of paths that start on a mean day, and
      `start_atm_volatility`, what a 20-day option (the first maturity) then costs;
    - `mean_gain/<instrument>`: E_P[H_T − H_0] of one unit bought at time 0, money.

    Args:
        model: A `VectorAutoregression`.
        market: A `VARMarket` whose gains are judged; default: `model.make_market()`.
        paths: Number of simulated paths N.
        seed: Seed of the paths.
        history: The `SurfaceHistory` to compare with. Default: the one that the model was fitted
            to, if it was fitted in this process; else the shipped S&P 500 history on its grid.

    Returns:
        Dictionary `{metric: {"value": float, "stderr": float}}`.

    Raises:
        ValueError: If the history has another grid than the model, or the market is no `VARMarket`.
    """
    history = history_of(model, history)
    market = model.make_market() if market is None else market
    if not isinstance(market, VARMarket):
        raise ValueError(f"`market` must be a VARMarket. Received: {type(market).__name__}")
    residuals = residuals_of(model, history)
    metrics = _fit_metrics(model, history, residuals)
    metrics |= _behaviour(model, history, paths, seed)
    metrics |= _gains(market, paths, seed)
    return metrics


def history_of(model, history=None):
    """The history that a model is compared with, checked to be on its grid."""
    if history is None:
        history = model.history
    if history is None:
        from hedgezoo.datasets.market_data import spx_surfaces

        history = spx_surfaces(model.strikes, model.maturities, model.ghost_strikes)
    for name in ("strikes", "maturities"):
        want = getattr(model, name)
        have = check_array(f"history.{name}", getattr(history, name), {"(n,)": (None,)})
        if len(have) != len(want) or not np.allclose(have, want):
            raise ValueError(
                f"`history` must have the {name} of the model, {want}. Received: {have.tolist()}"
            )
    return history


def series_of(model, history):
    """The autoregression's series on the dates of a history but the first, `(L−1, K)`."""
    log_return = np.diff(np.log(history.spot))
    factors = model.coefficients.factors_of(np.log(history.dlv[1:]))
    return np.concatenate([log_return[:, None], factors], axis=1)


def residuals_of(model, history):
    """What the past did not predict, `(L−1−p, K)`."""
    found, series = model.coefficients, series_of(model, history)
    p = found.lags
    predicted = found.intercept + sum(
        series[p - lag : len(series) - lag] @ found.lag_matrices[lag - 1].T
        for lag in range(1, p + 1)
    )
    return series[p:] - predicted


def quantities(model, log_return, volatility):
    """What is compared: dictionary name -> numbers, one per date.

    Args:
        model: A `VectorAutoregression`, for its grid.
        log_return: `(N,)`.
        volatility: Implied volatilities, `(N, m, n)`.

    Returns:
        Dictionary of arrays `(N,)`.
    """
    strikes = np.asarray(model.strikes)
    low, middle, high = (int(np.abs(strikes - k).argmin()) for k in (0.95, 1.0, 1.05))
    return {
        "daily_return": np.asarray(log_return),
        "atm_volatility": volatility[:, 0, middle],
        "skew": volatility[:, 0, low] - volatility[:, 0, high],
        "term_slope": volatility[:, -1, middle] - volatility[:, 0, middle],
    }


def implied_volatilities(model, dlv):
    """Implied volatilities of surfaces `(..., m, n)`, in float64: wings keep their digits."""
    grid = (model.strikes, model.maturities)
    dlv = tf.constant(np.asarray(dlv), tf.float64)
    calls = dlv_to_calls(dlv, *grid, model.ghost_strikes)
    return implied_volatility(calls, *grid).numpy()


def stationary_paths(model, paths, seed, steps):
    """Chunks of `model.simulate` from the stationary distribution, as NumPy arrays."""
    for first in range(0, paths, _CHUNK):
        count = min(_CHUNK, paths - first)
        drawn = model.simulate(seed, count, steps, state="stationary", first_path=first)
        yield {name: values.numpy() for name, values in drawn.items()}


def is_arbitrage_free(model, dlv, calls):
    """Whether densities and calendar spreads of surfaces `(..., m, n)` are not negative."""
    density = dlv_to_density(dlv, model.strikes, model.maturities, model.ghost_strikes).numpy()
    rounding = 4.0 * np.finfo(calls.dtype).eps
    calendars = np.diff(calls, axis=-2)
    finite = np.isfinite(calls).all(axis=(-2, -1))
    return (
        finite
        & (density >= 0.0).all(axis=(-2, -1))
        & (calendars >= -rounding).all(axis=(-2, -1))
        & (np.abs(density.sum(axis=-1) - 1.0) <= 16.0 * rounding).all(axis=-1)
    )


def mean_gains(market, paths, seed):
    """Mean of the unit gains and its standard error, both `(T, D)`, money."""

    @tf.function(autograph=False)
    def sums(first_path, count):
        gain = tf.cast(market.simulate(seed, count, first_path)[0]["unit_gain"], tf.float64)
        return tf.reduce_sum(gain, axis=0), tf.reduce_sum(tf.square(gain), axis=0)

    total = square = 0.0
    for first in range(0, paths, _CHUNK):
        count = min(_CHUNK, paths - first)
        parts = sums(tf.constant(first, tf.int64), tf.constant(count))
        total, square = total + parts[0].numpy(), square + parts[1].numpy()
    mean = total / paths
    variance = np.maximum(square / paths - mean**2, 0.0)
    return mean, np.sqrt(variance / (paths - 1))


# -------------------------------------------------------------------------------------- the parts


def _fit_metrics(model, history, residuals):
    from scipy.stats import kurtosis, skew
    from statsmodels.stats.diagnostic import acorr_ljungbox

    found = model.coefficients
    log_dlv = np.log(history.dlv[1:])
    rebuilt = found.log_dlv_mean + np.tensordot(found.factors_of(log_dlv), found.loadings, 1)
    spread = log_dlv - log_dlv.mean(axis=0)
    metrics = {
        "observations": _exact(len(residuals)),
        "lags": _exact(found.lags),
        "series": _exact(found.series),
        "spectral_radius": _exact(found.stability),
        "explained_variance": _exact(1.0 - np.sum((log_dlv - rebuilt) ** 2) / np.sum(spread**2)),
    }
    count = len(residuals)
    for name, column in zip(series_names(model), residuals.T, strict=True):
        for label, values in (("residual", column), ("squared_residual", column**2)):
            test = acorr_ljungbox(values, lags=[WHITENESS_LAGS])
            metrics[f"{label}_ljung_box/{name}"] = _exact(test["lb_pvalue"].iloc[0])
        metrics[f"residual_skewness/{name}"] = _estimate(skew(column), np.sqrt(6.0 / count))
        metrics[f"residual_excess_kurtosis/{name}"] = _estimate(
            kurtosis(column), np.sqrt(24.0 / count)
        )
    return metrics


def series_names(model):
    """Names of the autoregression's series."""
    return ["log_return", *(f"component_{i + 1}" for i in range(model.components))]


def _behaviour(model, history, paths, seed):
    first, later, good, surfaces = [], {lag: [] for lag in LAGS}, 0, 0
    for drawn in stationary_paths(model, paths, seed, max(LAGS) + 1):
        returns = np.diff(np.log(drawn["spot"].astype(np.float64)), axis=1)
        free = is_arbitrage_free(model, drawn["dlv"], drawn["calls"])
        good, surfaces = good + free.sum(), surfaces + free.size
        for date, kept in ((1, first), *((1 + lag, later[lag]) for lag in LAGS)):
            volatility = implied_volatilities(model, drawn["dlv"][:, date])
            kept.append(quantities(model, returns[:, date - 1], volatility))
    share = good / surfaces
    metrics = {"arbitrage_free_share": _exact(share)}
    simulated = _joined(first)
    historical = quantities(model, np.diff(np.log(history.spot)), history.implied_volatility[1:])
    for name, values in historical.items():
        for level in LEVELS:
            key = f"quantiles/{name}/{level:g}"
            metrics[f"{key}/historical"] = _resampled(
                values, lambda x, level=level: np.quantile(x, level, axis=-1), seed
            )
            metrics[f"{key}/simulated"] = _quantile(simulated[name], level)
    history_series, start = _paired(historical), _paired(simulated)
    for lag in LAGS:
        end = _paired(_joined(later[lag]))
        for name, values in history_series.items():
            key = f"autocorrelation/{name}/{lag}"
            metrics[f"{key}/historical"] = _resampled(
                np.stack([values[:-lag], values[lag:]]), _correlation, seed
            )
            value = float(_correlation(np.stack([start[name], end[name]])))
            metrics[f"{key}/simulated"] = _estimate(value, (1 - value**2) / np.sqrt(paths))
    return metrics


def _gains(market, paths, seed):
    mean, stderr = mean_gains(market, paths, seed)
    metrics = {
        f"mean_gain/{name}": _estimate(value, error)
        for name, value, error in zip(market.instrument_names, mean[0], stderr[0], strict=True)
    }
    return metrics | _volatilities(market, seed)


def _volatilities(market, seed, paths=2**14):
    drawn = market.paths(seed, paths)
    returns = np.diff(np.log(drawn["spot"].numpy().astype(np.float64)), axis=1)
    per_year = 1.0 / market.time_step
    realised = np.sqrt(per_year * np.mean((returns - returns.mean(axis=0)) ** 2))
    middle = int(np.abs(np.asarray(market.strikes) - 1.0).argmin())
    volatility = implied_volatilities(market, drawn["dlv"][:, 0])[:, 0, middle]
    return {
        "realised_volatility": _estimate(realised, realised / np.sqrt(2.0 * returns.size)),
        "start_atm_volatility": _estimate(
            volatility.mean(), volatility.std() / np.sqrt(len(volatility))
        ),
    }


def _joined(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _paired(found):
    """The quantities whose autocorrelation is compared."""
    return {
        "daily_return": found["daily_return"],
        "absolute_return": np.abs(found["daily_return"]),
        "atm_volatility": found["atm_volatility"],
    }


def _correlation(pair):
    """Correlation of `pair[0]` and `pair[1]`, `(2, ..., N)` to `(...)`."""
    centred = pair - pair.mean(axis=-1, keepdims=True)
    products = (centred[0] * centred[1]).sum(axis=-1)
    return products / np.sqrt((centred**2).sum(axis=-1).prod(axis=0))


def _quantile(values, level):
    return _estimate(*quantile_with_error(values, level))


def _resampled(values, statistic, seed):
    """A statistic of a stationary series `(..., N)`, its error by circular block bootstrap."""
    return _estimate(statistic(values), block_bootstrap(values, statistic, seed))


def _exact(value):
    return _estimate(value, 0.0)


def _estimate(value, stderr):
    return {"value": float(value), "stderr": float(stderr)}
