"""heston_calibrator_v1 with quantiles of quotes around its surface."""

from hedgezoo.calibrator_recipe import NOISES, CalibratorRecipe
from hedgezoo.datasets.heston_panels import HestonPanels, MixedPanels, TwoSidedPanels
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.heston_calibrator.quantiles import QuantileLoss
from hedgezoo.recipes.heston_calibrator_v1 import RECIPE as BASE

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

RECIPE = CalibratorRecipe(
    name="heston_calibrator_quantile_v1",
    description="heston_calibrator_v1 with quantile surfaces of bid and ask quotes",
    task=(
        "Calibrate the Heston model as heston_calibrator_v1, whose weights it has, and say how far "
        "quotes lie from the surface: for each probability level the parameters of a Heston "
        "surface below which that share of fresh bid and ask quotes lies. Surfaces of different "
        "levels do not cross, and each is free of arbitrage. The head is trained for the pinball "
        "loss, the widths between levels are corrected on panels not seen in training. The paper "
        "proposes this as future work, with three levels."
    ),
    model=lambda: HestonCalibrator("refined", box="paper", quantiles=LEVELS),
    loss=lambda: QuantileLoss(LEVELS),
    base=BASE.name,
    train_market=MixedPanels(
        [
            TwoSidedPanels(grid=grid, noise=noise)
            for grid in ("paper", "random")
            for noise in NOISES[1:]
        ]
    ),
    market=HestonPanels(),
    batch_size=240,
    steps=1500,
    learning_rate=3e-3,
    limits=(
        *BASE.limits,
        "The share of quotes below a level is right on average over the noise cases that it was "
        "corrected on; of each single case it is in the table. All quotes of a panel are taken to "
        "be equally noisy but for their spreads.",
        "Quantile surfaces move theta and v0 only: they are parallel bands, not densities of each "
        "quote on its own.",
    ),
)
