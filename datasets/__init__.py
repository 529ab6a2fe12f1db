"""What happens: simulated markets, payoffs, and a user's own paths, ready for `model.fit`."""

if __name__ != "hedgezoo.datasets":
    raise ImportError(
        "datasets/ is the source of hedgezoo.datasets; import it by that name "
        "(run with `python -P`, or from outside the checkout)"
    )

from hedgezoo.datasets import heston_panels, market_data, payoffs
from hedgezoo.datasets.arrays import from_arrays
from hedgezoo.datasets.black_scholes_market import BlackScholesMarket
from hedgezoo.datasets.conditional_black_scholes_market import ConditionalBlackScholesMarket
from hedgezoo.datasets.daily_history import DailyHistory
from hedgezoo.datasets.floating_option_market import FloatingOptionMarket
from hedgezoo.datasets.heston_panels import HestonPanels
from hedgezoo.datasets.heston_surfaces import HestonSurfaces
from hedgezoo.datasets.history import from_csv, windows
from hedgezoo.datasets.market import Market
from hedgezoo.datasets.surface_quotes import SurfaceQuotes
from hedgezoo.datasets.var_market import VARMarket

__all__ = [
    "BlackScholesMarket",
    "ConditionalBlackScholesMarket",
    "DailyHistory",
    "FloatingOptionMarket",
    "HestonPanels",
    "HestonSurfaces",
    "Market",
    "SurfaceQuotes",
    "VARMarket",
    "from_arrays",
    "from_csv",
    "heston_panels",
    "market_data",
    "payoffs",
    "windows",
]
