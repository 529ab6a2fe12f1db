"""A neural SDE with a second factor, and the hedges of its options and of a lookback."""

from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.experiments import joint_neural_sde_hedge
from hedgezoo.neural_sde.exotics import lookback
from hedgezoo.neural_sde.joint import JointNeuralSDEHedge
from hedgezoo.neural_sde_hedge_recipe import JointHedgeRecipe

QUOTES = SurfaceQuotes.heston()

RECIPE = JointHedgeRecipe(
    name="joint_neural_sde_hedge_v1",
    description="Stochastic volatility and the hedges of its options, learned together",
    task=(
        "Price and hedge the options of a surface, and a lookback. A neural SDE with a latent "
        "factor of its own is calibrated to the quotes; a second network gives the position in the "
        "forward that hedges any of the options at any time, as a function of spot, time and "
        "factor, and another one that of a lookback, from its running maximum too. The hedges are "
        "the control variates of the calibration; the dynamics learn nothing else from them."
    ),
    model=lambda: JointNeuralSDEHedge(
        QUOTES,
        sde={"units": (64, 64), "concentration": 1.0, "options": {"seed": 1}},
        exotic=lookback(1.0, 48),
        mode="control",
        hedge_every=4,
        hedge={"seed": 1},
    ),
    market=QUOTES,
    data="the exact surface of a Heston model, 6 maturities from 2 to 12 months, 21 strikes each",
    batch_size=2048,
    steps=400,
    learning_rate=1e-2,
    report=joint_neural_sde_hedge.report,
    limits=(
        "Vanilla options do not fix the dynamics of the volatility: other models fit them as well "
        "and hedge and price exotics differently. The section on what vanilla options leave open "
        "has the numbers.",
        "The hedge is in the forward alone and without costs. It is one for the dynamics that were "
        "learned; the latent factor has to be read off the volatility of the day.",
        "Hedges are trained for maturities up to a year and strikes from 80 % to 120 % of the "
        "forward, and change positions every fourth step, some two dozen times a year.",
    ),
)
