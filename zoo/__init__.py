"""hedgezoo: neural hedging, pricing and calibration of derivatives on Keras and TensorFlow.

Everything is imported when it is first used, so `import hedgezoo` does not wait for TensorFlow.
"""

import importlib

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


def __getattr__(name):
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"hedgezoo.{name}")
    else:
        raise AttributeError(f"module 'hedgezoo' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])
