"""From a file of market quotes to a fitted model: reading, cleaning, fitting, showing.

Modules are imported when they are used: a file is checked before TensorFlow is loaded.
"""

import importlib

_HOMES = {"QuotePanel": "quote_panel", "read_quotes": "quote_file"}
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'hedgezoo.market_calibration' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
