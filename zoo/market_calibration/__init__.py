"""From a file of market quotes to a fitted model: reading, cleaning, fitting, showing.

Modules are imported when they are used: a file is checked before TensorFlow is loaded.
"""

from hedgezoo.lazy import lazy_names

_HOMES = {
    "QuotePanel": "hedgezoo.market_calibration.quote_panel",
    "read_quotes": "hedgezoo.market_calibration.quote_file",
}
__all__ = list(_HOMES)

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
