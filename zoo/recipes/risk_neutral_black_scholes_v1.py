"""The change of measure that removes the drift of a Black-Scholes spot."""

from hedgezoo.experiments import risk_neutral_black_scholes as experiment
from hedgezoo.measure_recipe import MeasureRecipe

RECIPE = MeasureRecipe(
    name="risk_neutral_black_scholes_v1",
    description="Change of measure of a Black-Scholes spot with drift 10 %, 30 daily steps",
    task=(
        "Remove the drift of a spot (S = 1, volatility 0.2, drift 0.1 per year, 30 daily steps of "
        "1/250 year, no cost) by the density exp(-G) / E[exp(-G)], where G are the gains of the "
        "policy that makes the most of the drift: two recurrent layers of 32 units. The exact "
        "measure of the discrete market is known: relative entropy 0.014999. Drift and volatility "
        "are ours; those of the paper are lost."
    ),
    model=experiment.measure,
    train_market=experiment.market(0.1),
    market=experiment.market(0.1, draws="antithetic"),
    batch_size=1024,
    steps=600,
    learning_rate=1e-3,
    evaluation_paths=2**17,
    report=experiment.report,
    limits=(
        "One drift, volatility, step and horizon: these are not inputs.",
        "A toy whose answer is known: it shows that the method is right, not what a market does.",
    ),
)
