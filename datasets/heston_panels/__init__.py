"""Option panels of the Heston and Bates models with their parameters, for calibration."""

from hedgezoo.datasets.heston_panels.label_bias import LabelBias, label_bias
from hedgezoo.datasets.heston_panels.mixed_panels import MixedPanels
from hedgezoo.datasets.heston_panels.option_grids import (
    GRIDS,
    PAPER_GRID,
    RANDOM_GRID,
    WIDE_GRID,
    FixedGrid,
    RandomGrid,
)
from hedgezoo.datasets.heston_panels.panels import SMALLEST_PRICE, HestonPanels
from hedgezoo.datasets.heston_panels.parameter_box import (
    BATES_BOX,
    BOXES,
    PAPER_BOX,
    WIDE_BATES_BOX,
    WIDE_BOX,
    ParameterBox,
)
from hedgezoo.datasets.heston_panels.path_prices import path_calls
from hedgezoo.datasets.heston_panels.quote_noise import NOISE_CASES, QuoteNoise
from hedgezoo.datasets.heston_panels.two_sided_panels import TwoSidedPanels

__all__ = [
    "BATES_BOX",
    "BOXES",
    "GRIDS",
    "NOISE_CASES",
    "PAPER_BOX",
    "PAPER_GRID",
    "RANDOM_GRID",
    "SMALLEST_PRICE",
    "WIDE_BATES_BOX",
    "WIDE_BOX",
    "WIDE_GRID",
    "FixedGrid",
    "HestonPanels",
    "LabelBias",
    "MixedPanels",
    "ParameterBox",
    "QuoteNoise",
    "RandomGrid",
    "TwoSidedPanels",
    "label_bias",
    "path_calls",
]
