"""Classical calibration of Heston and Bates models: what a neural calibrator is held against."""

from hedgezoo.baselines.calibration.classical import METHODS, calibrate
from hedgezoo.baselines.calibration.panels import PanelCalibrations, calibrate_panels
from hedgezoo.baselines.calibration.quotes import Quotes, as_quotes
from hedgezoo.baselines.calibration.result import Calibration

__all__ = [
    "METHODS",
    "Calibration",
    "PanelCalibrations",
    "Quotes",
    "as_quotes",
    "calibrate",
    "calibrate_panels",
]
