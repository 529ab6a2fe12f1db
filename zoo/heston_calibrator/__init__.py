"""Calibration of the Heston and Bates models by a network and a few exact Gauss-Newton steps."""

import importlib

_HOMES = {"HestonCalibrator": "hedgezoo.heston_calibrator.calibrator"}
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])
