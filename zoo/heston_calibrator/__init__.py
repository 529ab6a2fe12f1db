"""Calibration of the Heston and Bates models by a network and a few exact Gauss-Newton steps."""

from hedgezoo.lazy import lazy_names

_HOMES = {"HestonCalibrator": "hedgezoo.heston_calibrator.calibrator"}
__all__ = list(_HOMES)

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
