"""The paper's network alone, without refinement."""

from hedgezoo.calibrator_recipe import NOISES, CalibratorRecipe
from hedgezoo.datasets.heston_panels import PAPER_GRID, HestonPanels, MixedPanels
from hedgezoo.experiments import heston_calibration_paper
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.heston_calibrator.price_loss import PriceLoss

# 1e4: errors of a basis point must not be lost in the constant that Adam adds to gradients
LOSS = {
    "strikes": PAPER_GRID.strikes,
    "maturities": PAPER_GRID.maturities,
    "error": "volatility",
    "scale": 1e4,
}
# without noise, and with every reading of the noise that the paper adds
TRAINING_PANELS = MixedPanels([HestonPanels(noise=noise) for noise in NOISES])

RECIPE = CalibratorRecipe(
    name="heston_calibrator_paper_v1",
    description="The paper's CNN-Transformer: quotes to Heston parameters in one pass",
    task=(
        "Calibrate the Heston model to panels of the paper's 10 strikes x 8 maturities by the "
        "paper's network alone: four convolutional blocks with residual connections, 2-D "
        "sinusoidal positions, a Transformer encoder layer and two dense layers onto the printed "
        "ranges, trained by AdamW. The text is impossible in places, as 10 x 8 cannot be halved "
        "three times: the nearest reading is taken. Two things are changed in its favour. Price "
        "errors are divided by vega, which trains faster (of the shallow baseline 2,000 steps left "
        "58 bp instead of 82). Labels are exact prices instead of simulated ones, whose bias is as "
        "large as the error that the paper reports."
    ),
    model=lambda: HestonCalibrator("paper"),
    loss=lambda: PriceLoss(**LOSS),
    train_market=TRAINING_PANELS,
    market=HestonPanels(),
    batch_size=256,
    steps=6500,
    learning_rate=1e-3,
    weight_decay=1e-4,
    report=heston_calibration_paper.report,
    limits=(
        "The paper's system, for comparison: heston_calibrator_v1 is better in every respect but "
        "the time of a single pass.",
        "Only the grid of the paper: strikes 0.8 to 1.2, maturities 0.1 to 2 years. Missing quotes "
        "are interpolated before the network sees them.",
        "A network that only regresses parameters leaves an error of tens of basis points, however "
        "clean the quotes. Its standard errors take that error for noise of the quotes, as if it "
        "were independent from quote to quote: see the coverage in the table.",
        "The no-arbitrage penalty of the paper is left out: Heston prices are free of arbitrage, "
        "and the penalty as printed pulls parameters away from the quotes.",
        "Trained on far fewer panels than the paper's million times a hundred epochs.",
    ),
)
