"""Neural stochastic differential equations: learned dynamics, calibrated to option prices."""

import importlib

_HOMES = {
    "NeuralSDE": "hedgezoo.neural_sde.model",
    "SimulatedPrices": "hedgezoo.neural_sde.simulated_prices",
    "Exotic": "hedgezoo.neural_sde.exotics",
    "JointNeuralSDEHedge": "hedgezoo.neural_sde.joint",
    "MarketFeatures": "hedgezoo.neural_sde.market_features",
    "SurfacePanels": "hedgezoo.neural_sde.amortised",
    "amortised_model": "hedgezoo.neural_sde.amortised",
    "exotic_prices": "hedgezoo.neural_sde.exotic_pricing",
    "fit_history": "hedgezoo.neural_sde.historical",
    "fit_surfaces": "hedgezoo.neural_sde.amortised",
    "forward_start": "hedgezoo.neural_sde.exotics",
    "historical_model": "hedgezoo.neural_sde.historical",
    "hedge_outcomes": "hedgezoo.neural_sde.joint_evaluation",
    "lookback": "hedgezoo.neural_sde.exotics",
    "volatility_explained": "hedgezoo.neural_sde.identification",
}
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])
