"""Drift and volatility of the S&P 500 under the real measure, from daily closes and the VIX."""

from hedgezoo.datasets import DailyHistory
from hedgezoo.neural_sde_history_recipe import HistoryRecipe

RECIPE = HistoryRecipe(
    name="neural_sde_history_v1",
    description="Drift and volatility of the S&P 500 with the VIX as a state, from daily closes",
    task=(
        "Simulate daily paths of an index together with its volatility index, under the real-world "
        "measure. Drift and volatility of the price, drift and volatility of the log index, and "
        "the correlation of the two are networks of the index and of its averages over one week "
        "and three months, fitted by likelihood to closes of SPY and VIX. Large moves come in "
        "clusters and follow falls, as in the data."
    ),
    history=DailyHistory.spx,
    data="4,064 daily closes of the fund SPY and of the index VIX, September 2009 to November 2025",
    beside="var_spx_v1",
    limits=(
        "Under the historical measure: its prices are not prices. Expected returns of 16 years are "
        "known to within several per cent a year at best; do not trade on the drift.",
        "Increments of a day are Gaussian given the day before: there are no jumps, and a crash "
        "out of a calm market is rarer than in the data.",
        "Autocorrelations of the history have standard errors of 0.03 to 0.08, mostly because of "
        "March 2020. Long paths are within 0.05 of them; paths as long as the history lie up to "
        "0.06 below on average, and differ from each other by 0.05.",
        "Beyond the range of the VIX in these years the coefficients stay as they are at its edge.",
        "SPY is not adjusted for dividends: its drift lacks about 2 % a year.",
    ),
)
