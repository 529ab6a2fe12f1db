"""The change of measure under which realised volatility is the implied one."""

from hedgezoo.experiments import risk_neutral_realized_vol as experiment
from hedgezoo.measure_recipe import MeasureRecipe

RECIPE = MeasureRecipe(
    name="risk_neutral_realized_vol_v1",
    description="Change of measure where options cost 22 % volatility and 20 % is realised",
    task=(
        "Remove the gain of selling and hedging options: the spot has no drift and realises a "
        "volatility of 20 %, one-day at-the-money straddles are traded at 22 %, for 30 daily steps "
        "of 1/250 year, without cost. Under the new measure paths with a high realised volatility "
        "have more weight. The exact measure is known: relative entropy 0.2520, effective sample "
        "59 %. Volatilities are ours; those of the paper are lost."
    ),
    model=experiment.measure,
    train_market=experiment.market(experiment.PRESET),
    market=experiment.market(experiment.PRESET, draws="antithetic"),
    batch_size=1024,
    steps=600,
    learning_rate=1e-3,
    evaluation_paths=2**17,
    report=experiment.report,
    limits=(
        "One pair of volatilities: implied and realised volatility are not inputs.",
        "Weights degenerate where implied and realised volatility are more than 15 to 20 % apart "
        "over 30 days: see the third case below.",
    ),
)
