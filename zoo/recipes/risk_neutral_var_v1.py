"""The change of measure that removes the drift of spot and options from a simulated market."""

from hedgezoo.experiments import deep_hedging_under_q
from hedgezoo.experiments import risk_neutral_var as experiment
from hedgezoo.measure_recipe import MeasureRecipe

MARKET = experiment.market()


def _report(recipe, model, directory, checkpoint=None):
    found = [
        module.report(recipe, model, directory, checkpoint)["experiments"]
        for module in (experiment, deep_hedging_under_q)
    ]
    return {"experiments": {name: data for each in found for name, data in each.items()}}


RECIPE = MeasureRecipe(
    name="risk_neutral_var_v1",
    description="Change of measure of spot, calls and puts simulated from S&P 500 history",
    task=(
        "Remove the statistical arbitrage from a market that was learned: a vector autoregression "
        "of log return and discrete local volatilities, fitted to daily S&P 500 data from 2009 to "
        "2025, simulates spot, 32 calls and 32 puts (8 strikes, 4 maturities of 20 to 120 days, "
        "bought afresh each day) for 30 days. In it the spot rises and options cost more than they "
        "pay. The density exp(-G) / E[exp(-G)] belongs to the policy, a network of two layers of "
        "64 ReLU units with an intercept per date, that makes the most of that at a cost of 10 bp "
        "of the spot per unit of any instrument. Grid, lags and cost are ours; those of the paper "
        "are lost."
    ),
    model=lambda: experiment.measure(MARKET),
    train_market=experiment.market(draws="antithetic"),
    market=MARKET,
    retraining_market=experiment.market(cost=experiment.RETRAINED_COST),
    **experiment.TRAINING,
    normalising_paths=2**15,
    evaluation_paths=2**15,
    report=_report,
    limits=(
        "Paths start on a typical day, at the mean of the autoregression, and last 30 days.",
        "Level and term structure of the surfaces are closes of VIX and VIX3M; the shape of the "
        "skew is a fit to one EURO STOXX 50 option chain, the same on all days. The measure "
        "removes the drift of these surfaces, not of quoted S&P 500 options.",
        "Innovations are Gaussian and have the same size on all days: no jumps, thinner tails than "
        "the market's, no crashes like March 2020, and returns that do not become larger when "
        "options become dearer. The gain of selling options, above all dear ones, is overstated, "
        "and the measure removes all of it.",
        "Where options become very dear, few paths carry much weight: the effective sample varies "
        "from an eighth to a half of the paths from one sample to the next.",
        "Prices under the measure lie within the cost band only on paths of this market; another "
        "cost, history or horizon needs training again.",
    ),
)
