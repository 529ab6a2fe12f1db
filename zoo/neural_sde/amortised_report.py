"""How one network for many surfaces is judged: on surfaces that it has never seen."""

import numpy as np

from hedgezoo.bootstrap import quantile_with_error
from hedgezoo.datasets.heston_surfaces import HestonSurfaces
from hedgezoo.datasets.surface_quotes import BASIS_POINT, SurfaceQuotes
from hedgezoo.neural_sde.amortised import SurfacePanels, panel_errors
from hedgezoo.neural_sde.evaluating import evaluate_on_quotes
from hedgezoo.neural_sde.market_features import MarketFeatures

NOISE_BP = 10.0


def evaluate_surfaces(model, market, paths, seed, features=None, realised=None):
    """Errors of a neural SDE with market features, on fresh surfaces or on one day's quotes.

    On `HestonSurfaces`: of each surface the root mean square error in basis points of volatility
    by Dupire's equation, features computed as in training (`SurfacePanels.heston`).

    - `error_bp`, the median over the surfaces, `error_90_bp`, their 90 % quantile, `error_mean_bp`;
    - `noisy_error_bp`, the median where the quotes that the features are computed from have
      independent errors of 10 bp;
    - `flat_error_bp`: of Black-Scholes with the volatility at the money;
    - `shape_error_bp`: of the network with all features but the volatility at the money at their
      mean, so what the others are good for.

    On `SurfaceQuotes`: as `evaluate_on_quotes`, with the features of these quotes.

    Args:
        model: A `NeuralSDE` with features.
        market: `HestonSurfaces`, or `SurfaceQuotes`.
        paths: Number of fresh surfaces; of one day's quotes, number of paths.
        seed: Integer.
        features: Market features `(f,)` of the day; default: computed from the quotes.
        realised: Realised volatility of the day, if it is a feature: a number or `DailyHistory`.

    Returns:
        Dictionary `{metric: {"value": float, "stderr": float}}`.

    Raises:
        ValueError: If the market is neither of the two.
    """
    if isinstance(market, SurfaceQuotes):
        if features is None:
            features = MarketFeatures(model.feature_names).of(market, realised)
        return evaluate_on_quotes(model, market, paths, seed, features)
    if not isinstance(market, HestonSurfaces):
        raise ValueError(
            "`market` must be hedgezoo.datasets.HestonSurfaces or SurfaceQuotes. "
            f"Received: {type(market).__name__}"
        )
    exact = SurfacePanels.heston(market, paths, seed, model.feature_names)
    noisy = SurfacePanels.heston(market, paths, seed, model.feature_names, NOISE_BP)
    level = exact.features[:, 0]
    usual = np.broadcast_to(model.network.feature_center, exact.features.shape).copy()
    usual[:, 0] = level
    flat = (level[:, np.newaxis, np.newaxis] - exact.implied_volatility) / BASIS_POINT
    found = _of_surfaces(panel_errors(model, exact))
    mean, spread = found.mean(), found.std(ddof=1)
    metrics = {
        "error_bp": _quantile(found, 0.5),
        "error_90_bp": _quantile(found, 0.9),
        "error_mean_bp": {"value": float(mean), "stderr": float(spread / np.sqrt(paths))},
    }
    for name, errors in (
        ("noisy_error_bp", panel_errors(model, noisy)),
        ("flat_error_bp", flat),
        ("shape_error_bp", panel_errors(model, exact.with_features(usual))),
    ):
        metrics[name] = _quantile(_of_surfaces(errors), 0.5)
    return metrics


def _of_surfaces(errors):
    return np.sqrt(np.mean(np.square(errors), axis=(1, 2)))


def _quantile(values, level):
    value, error = quantile_with_error(values, level)
    return {"value": float(value), "stderr": float(error)}
