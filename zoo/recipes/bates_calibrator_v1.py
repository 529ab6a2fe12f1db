"""Bates parameters from any panel of quotes: a network and Gauss-Newton steps."""

from hedgezoo.calibrator_recipe import CalibratorRecipe
from hedgezoo.datasets.heston_panels import HestonPanels
from hedgezoo.experiments import heston_real_markets
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.recipes.heston_calibrator_v1 import training_panels

RECIPE = CalibratorRecipe(
    name="bates_calibrator_v1",
    description="Bates parameters (Heston with jumps) with standard errors from any grid of quotes",
    task=(
        "Calibrate the Bates model, Heston with lognormal jumps, to a panel of implied "
        "volatilities: any strikes and maturities, with gaps and bid-ask spreads. As "
        "heston_calibrator_v1, for eight parameters. The paper names this extension and leaves it "
        "open."
    ),
    model=lambda: HestonCalibrator("refined", model="bates", box="bates"),
    train_market=training_panels("bates", "wide_bates", nodes=128),
    market=HestonPanels("bates"),
    batch_size=240,
    steps=1500,
    learning_rate=1.5e-3,
    report=heston_real_markets.report,
    limits=(
        "Trained on the ranges of heston_calibrator_v1, jump intensities from 0.05 to 2 per year, "
        "mean log jumps from -0.3 to 0.1 and deviations from 0.02 to 0.3.",
        "Eighty quotes do not determine eight parameters at noise of some basis points: jumps that "
        "are rare or small cannot be told from the volatility of volatility. The surface is well "
        "determined, the parameters are not; the standard errors say so.",
        "Stated standard errors rest on a linearisation and are less reliable than those of "
        "heston_calibrator_v1; the coverage in the table was measured.",
        "Real surfaces differ from every Bates surface in a systematic way: there the standard "
        "errors are too small.",
    ),
)
