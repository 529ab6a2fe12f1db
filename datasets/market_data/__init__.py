"""Real markets: daily closes, option chains, histories of implied-volatility surfaces."""

from hedgezoo.datasets.market_data.daily_closes import DailyCloses, read_closes, spy, vix, vix3m
from hedgezoo.datasets.market_data.ghost_strikes import choose_ghost_strikes
from hedgezoo.datasets.market_data.loader import load_surfaces
from hedgezoo.datasets.market_data.option_chains import OptionChain, option_chain
from hedgezoo.datasets.market_data.skew_fit import EURO_STOXX_50_SKEW, SkewFit, fit_skew
from hedgezoo.datasets.market_data.spx import spx_surfaces, volatility_index_surfaces
from hedgezoo.datasets.market_data.ssvi import SSVISkew
from hedgezoo.datasets.market_data.surface_history import SurfaceHistory, SurfaceRepair

__all__ = [
    "EURO_STOXX_50_SKEW",
    "DailyCloses",
    "OptionChain",
    "SSVISkew",
    "SkewFit",
    "SurfaceHistory",
    "SurfaceRepair",
    "choose_ghost_strikes",
    "fit_skew",
    "load_surfaces",
    "option_chain",
    "read_closes",
    "spx_surfaces",
    "spy",
    "vix",
    "vix3m",
    "volatility_index_surfaces",
]
