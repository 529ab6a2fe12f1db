"""How a neural SDE is judged: its prices against quotes, and what must hold for any weights."""

import numpy as np

from hedgezoo.datasets.surface_quotes import BASIS_POINT, SurfaceQuotes
from hedgezoo.neural_sde.calibration_result import (
    core,
    missed_quotes,
    pde_errors,
    root_mean_square,
)

_STRIKES = 21  # of the grid on which arbitrage is looked for
_TOLERANCE = 5.0  # standard errors: a few hundred inequalities are looked at


def evaluate_on_quotes(model, quotes, paths, seed, features=None):
    """Errors of a model under the pricing measure on the quotes of one day.

    Errors are model minus quote in basis points of implied volatility; those of the simulation
    contain its discretisation error and its noise, Dupire's equation neither.

    Args:
        model: A `NeuralSDE` under the pricing measure.
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        paths: Number of paths.
        seed: Integer.
        features: Market features `(f,)` of the day, only of a model with features.

    Returns:
        Dictionary `{metric: {"value": float, "stderr": float}}`:

        - `error_bp`, root mean square over all quotes; `error_core_bp`, over those with a vega
          above 0.1 √maturity; `worst_bp`, the largest; `pde_error_bp`, all quotes by Dupire's
          equation (one factor);
        - `standard_error_bp`, root mean square of the standard errors; `missed`, number of quotes
          further off than half their spread (or 10 bp) and three standard errors;
        - `martingale_z`, the largest |mean of S / F - 1| at a maturity, in standard errors;
        - `arbitrage_free`, 1 if no butterfly and no calendar spread on a grid that covers the
          quotes is worth less than nothing by five standard errors, else 0;
        - `correlation` of price and factor (two factors).

    Raises:
        ValueError: If the market is no `SurfaceQuotes`, or the model has a drift.

    Example:

    >>> from hedgezoo import NeuralSDE
    >>> quotes = SurfaceQuotes([0.9, 1.0, 1.1], [0.5] * 3, [0.2] * 3)
    >>> report = evaluate_on_quotes(NeuralSDE(units=(8,), options={"seed": 1}), quotes, 4096, 0)
    >>> report["error_bp"]["value"] < 200, report["arbitrage_free"]["value"]
    (True, 1.0)
    """
    if not isinstance(quotes, SurfaceQuotes):
        raise ValueError(
            f"`market` must be a hedgezoo.datasets.SurfaceQuotes. Received: {type(quotes).__name__}"
        )
    strikes, mask = quotes.strike_grid()
    common = np.linspace(min(quotes.strikes), max(quotes.strikes), _STRIKES)
    grid = np.broadcast_to(common, (len(strikes), _STRIKES))
    both = np.concatenate([strikes, grid], axis=1)
    found = model.price(both, quotes.expiries, paths=paths, seed=seed, features=features)
    quoted = np.concatenate([mask, np.zeros(grid.shape, bool)], axis=1)
    volatility = found.implied_volatility[quoted]
    errors = (volatility - np.asarray(quotes.implied_volatility)) / BASIS_POINT
    # in the 16 scrambles prices vary so little that volatilities are linear in them
    by_volatility = found.volatility_error[quoted] / found.standard_error[quoted]
    shifts = (found.replications[:, quoted] - found.price[quoted]) * by_volatility / BASIS_POINT
    noise = found.volatility_error[quoted] / BASIS_POINT
    worst = int(np.argmax(np.abs(errors)))
    inner = core(quotes)
    report = {
        "error_bp": _root_mean_square(errors, shifts),
        "error_core_bp": _root_mean_square(errors[inner], shifts[:, inner]),
        "worst_bp": _metric(abs(errors[worst]), noise[worst]),
        "standard_error_bp": _metric(root_mean_square(noise)),
        "missed": _metric(len(missed_quotes(quotes, errors, noise))),
        "martingale_z": _metric(np.max(np.abs(found.forward_error) / found.forward_standard_error)),
        "arbitrage_free": _metric(free_of_arbitrage(common, found.replications[:, :, -_STRIKES:])),
    }
    exact = pde_errors(model, quotes, features)
    if exact is not None:
        report["pde_error_bp"] = _metric(root_mean_square(exact))
    if hasattr(model.network, "rho"):
        report["correlation"] = _metric(model.network.rho)
    return report


def free_of_arbitrage(strikes, replications):
    """Whether simulated prices have no butterfly or calendar spread of negative value.

    Args:
        strikes: Strikes divided by the forward, the same at all maturities, increasing, `(n,)`.
        replications: Call prices by independent simulations, `(R, m, n)`.

    Returns:
        Boolean: no value is negative by more than five standard errors.

    Example:

    >>> prices = np.array([[[0.21, 0.11, 0.04]]])
    >>> noise = 1e-4 * np.array([-1.0, 1.0]).reshape(2, 1, 1)
    >>> free_of_arbitrage([0.8, 0.9, 1.0], prices + noise)
    True
    >>> free_of_arbitrage([0.8, 0.9, 1.0], prices[..., ::-1] + noise)
    False
    """
    slopes = np.diff(replications, axis=2) / np.diff(strikes)
    values = (
        -slopes[:, :, -1],  # a call spread
        1.0 + slopes[:, :, 0],
        np.diff(slopes, axis=2),
        np.diff(replications, axis=1),
    )
    for value in values:
        error = value.std(axis=0, ddof=1) / np.sqrt(len(value))
        # 1e-7: paths are rounded to float32
        if (value.mean(axis=0) < -_TOLERANCE * error - 1e-7).any():
            return False
    return True


def _root_mean_square(errors, shifts):
    """Root mean square over quotes and its standard error, from the shifts `(R, N)` of each."""
    value = root_mean_square(errors)
    directions = errors / (value * len(errors)) if value > 0 else np.zeros_like(errors)
    spread = np.std(shifts @ directions, ddof=1) / np.sqrt(len(shifts))
    return _metric(value, spread)


def _metric(value, stderr=0.0):
    return {"value": float(value), "stderr": float(stderr)}
