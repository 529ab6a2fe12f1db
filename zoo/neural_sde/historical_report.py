"""How a neural SDE of a history is judged: does it move like the history, day after day."""

import numpy as np

from hedgezoo.bootstrap import block_bootstrap
from hedgezoo.datasets.checks import check_integer
from hedgezoo.datasets.daily_history import DailyHistory
from hedgezoo.neural_sde.likelihood import DailyCoefficients, Transitions, mean_loss
from hedgezoo.neural_sde.structure import clustering, daily_returns, lagged_leverage

LAGS = (1, 5, 20)
LONG_YEARS = 100.0
_LONG_PATHS = 32
_HELD_OUT = 0.2


def evaluate_history(model, history, paths, seed, held_out=_HELD_OUT, long_years=LONG_YEARS):
    """A historical neural SDE against the history that it was made for.

    - `acf_<lag>`: autocorrelation of |daily return| of simulated paths of 100 years, where it is
      that of the dynamics; `acf_<lag>_history`: of the history, its standard error by block
      bootstrap; `acf_<lag>_as_long`: mean of paths as long as the history, with the bias that one
      history has, too, and `acf_<lag>_spread`, how much single paths of that length differ;
    - `leverage_<lag>`, `leverage_<lag>_history`: correlation of a return with the size of later
      ones;
    - `volatility`, `excess_kurtosis`, each also with `_history`: of daily returns, per √year;
    - `log_likelihood`, mean per day of the first days, and `held_out_log_likelihood`, of the last
      ones; `constant_log_likelihood` of these under constant coefficients fitted to the first;
    - `largest_move`: largest |daily log return| of the long paths, and
      `largest_move_history`. A path that is not finite is an error.

    Args:
        model: A `NeuralSDE` of kind `"historical"`.
        history: A `DailyHistory`.
        paths: Number of simulated paths that are as long as the history.
        seed: Integer.
        held_out: Share of the days, the last ones, that the likelihood is also reported for.
        long_years: Length of the long paths.

    Returns:
        Dictionary `{metric: {"value": float, "stderr": float}}`.

    Raises:
        ValueError: If the model or the history is of another kind.
    """
    if not isinstance(history, DailyHistory):
        raise ValueError(
            f"`market` must be a hedgezoo.datasets.DailyHistory. Received: {type(history).__name__}"
        )
    check_integer("paths", paths, minimum=2)
    per_year = round(1.0 / history.time_step)
    years = len(history.returns) / per_year
    alike = daily_returns(model, years, paths, seed, days_per_year=per_year)
    long = daily_returns(model, long_years, _LONG_PATHS, seed + 1, days_per_year=per_year)
    metrics = {}
    for name, function in (("acf", clustering), ("leverage", lagged_leverage)):
        there, here, short = (function(x, LAGS) for x in (history.returns, long, alike))
        errors = _history_errors(function, history.returns, seed)
        for row, lag in enumerate(LAGS):
            metrics[f"{name}_{lag}"] = _metric(here.value[row], here.standard_error[row])
            metrics[f"{name}_{lag}_history"] = _metric(there.value[row], errors[row])
            metrics[f"{name}_{lag}_as_long"] = _metric(short.value[row], short.standard_error[row])
            metrics[f"{name}_{lag}_spread"] = _metric(short.deviation[row])
    for name, function in (("volatility", _deviation), ("excess_kurtosis", _excess_kurtosis)):
        scale = np.sqrt(per_year) if name == "volatility" else 1.0
        each = scale * function(alike)
        metrics[name] = _metric(each.mean(), each.std(ddof=1) / np.sqrt(paths))
        there = history.returns
        error = block_bootstrap(there, function, seed)
        metrics[f"{name}_history"] = _metric(scale * function(there), scale * error)
    metrics["largest_move"] = _metric(np.abs(long).max())
    metrics["largest_move_history"] = _metric(np.abs(history.returns).max())
    return metrics | _likelihoods(model, history, held_out)


def _history_errors(function, returns, seed):
    return block_bootstrap(
        returns, lambda copies: np.stack([function(x, LAGS).value for x in copies]), seed
    )


def _likelihoods(model, history, held_out):
    days = Transitions.of(history, model.network.memory)
    cut = len(days) - round(held_out * len(days))
    trained = DailyCoefficients(model)
    trained.build()
    parts = days.select(slice(0, cut)), days.select(slice(cut, None))
    first, last = parts
    root = np.sqrt(history.time_step)
    mean = first.increments.mean(axis=0)
    cholesky = np.linalg.cholesky(np.atleast_2d(np.cov(first.increments.T)))
    shocks = np.linalg.solve(cholesky, (last.increments - mean).T)
    constant = -0.5 * np.square(shocks).sum(axis=0) - np.log(np.diag(cholesky) / root).sum()
    constant -= 0.5 * len(cholesky) * np.log(2.0 * np.pi)
    return {
        "log_likelihood": _metric(-mean_loss(trained, first)),
        "held_out_log_likelihood": _metric(-mean_loss(trained, last)),
        "constant_log_likelihood": _metric(constant.mean()),
    }


def _deviation(returns):
    return np.std(returns, axis=-1)


def _excess_kurtosis(returns):
    centred = returns - np.mean(returns, axis=-1, keepdims=True)
    fourth = np.mean(centred**4, axis=-1)
    return fourth / np.square(np.mean(np.square(centred), axis=-1)) - 3.0


def _metric(value, stderr=0.0):
    return {"value": float(value), "stderr": float(stderr)}
