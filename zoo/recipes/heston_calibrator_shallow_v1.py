"""The paper's shallow baseline: two dense layers from quotes to Heston parameters."""

from hedgezoo.calibrator_recipe import CalibratorRecipe
from hedgezoo.datasets.heston_panels import HestonPanels
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.heston_calibrator.price_loss import PriceLoss
from hedgezoo.recipes import heston_calibrator_paper_v1 as paper

RECIPE = CalibratorRecipe(
    name="heston_calibrator_shallow_v1",
    description="The paper's shallow baseline, 512 -> 256 ReLU: quotes to Heston parameters",
    task=(
        "Calibrate the Heston model to panels of the paper's 10 strikes x 8 maturities by two "
        "dense layers of 512 and 256 ReLU units: the baseline that the paper names. Trained as "
        "heston_calibrator_paper_v1."
    ),
    model=lambda: HestonCalibrator("shallow"),
    loss=lambda: PriceLoss(**paper.LOSS),
    train_market=paper.TRAINING_PANELS,
    market=HestonPanels(),
    batch_size=256,
    steps=5000,
    learning_rate=1e-3,
    weight_decay=1e-4,
    limits=(
        "A baseline, for comparison: use heston_calibrator_v1.",
        *paper.RECIPE.limits[1:],
    ),
)
