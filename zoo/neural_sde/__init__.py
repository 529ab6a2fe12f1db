"""Neural stochastic differential equations: learned dynamics, calibrated to option prices."""

from hedgezoo.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
