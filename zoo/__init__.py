"""hedgezoo: neural hedging, pricing and calibration of derivatives on Keras and TensorFlow.

Everything is imported when it is first used, so `import hedgezoo` does not wait for TensorFlow.
"""

from hedgezoo.lazy import lazy_names

__version__ = "0.1.0"

_HOMES = {
    "load": "hedgezoo.presets",
    "list_presets": "hedgezoo.presets",
    "card": "hedgezoo.presets",
    "export": "hedgezoo.serving",
    "verify": "hedgezoo.presets",
    "evaluate": "hedgezoo.evaluation",
    "NoTransactionBand": "hedgezoo.no_transaction_band",
    "FeedForwardHedge": "hedgezoo.deep_hedge",
    "HestonCalibrator": "hedgezoo.heston_calibrator",
    "NeuralSDE": "hedgezoo.neural_sde",
    "RiskNeutralMeasure": "hedgezoo.risk_neutral_measure",
    "VectorAutoregression": "hedgezoo.vector_autoregression",
    "JointNeuralSDEHedge": "hedgezoo.neural_sde.joint",
    "DeltaHedge": "hedgezoo.baselines.delta",
    "ExactHedge": "hedgezoo.baselines.exact_hedge",
    "Naked": "hedgezoo.baselines.naked",
    "WhalleyWilmott": "hedgezoo.baselines.whalley_wilmott",
}
_MODULES = (
    "baselines",
    "datasets",
    "experiments",
    "layers",
    "losses",
    "plots",
    "presets",
    "serving",
    "training",
)
__all__ = [*_HOMES, *_MODULES]

__getattr__, __dir__ = lazy_names(__name__, _HOMES, _MODULES)
