"""The paper's lookback task, as its reference code simulates it."""

from hedgezoo.datasets import BlackScholesMarket
from hedgezoo.datasets.payoffs import Lookback
from hedgezoo.experiments import no_transaction_band_paper
from hedgezoo.hedge_recipe import HedgeRecipe
from hedgezoo.losses import EntropicRisk
from hedgezoo.no_transaction_band import NoTransactionBand

FEATURES = ("log_moneyness", "max_log_moneyness", "time_to_expiry", "volatility")
TERMS = {
    "volatility": 0.2,
    "steps": 28,
    "time_step": 1 / 365,
    "cost": 1e-3,
    "payoff": Lookback(strike=1.03),
    "features": FEATURES,
}
MARKET = BlackScholesMarket(**TERMS)
RISK_AVERSION = 1.0

RECIPE = HedgeRecipe(
    name="no_transaction_band_lookback_paper_v1",
    description="No-transaction band, the paper's lookback task: risk aversion 1, cost 10 bp",
    task=(
        "Hedge one sold lookback call that pays max(S) - 1.03 if positive (S = 1, volatility 0.2, "
        "28 daily steps of 1/365 year, as in the paper's reference code) at a proportional cost of "
        "1e-3 under exponential utility with risk aversion 1. As in the reference code the band is "
        "put around the delta of the European call; the running maximum is an input. The task is "
        "nearly degenerate: not hedging costs almost as little as the best hedge."
    ),
    model=lambda: NoTransactionBand(
        features=FEATURES,
        inputs="standardized",
        strike=1.03,
        volatility=0.2,
        cost=1e-3,
        risk_aversion=RISK_AVERSION,
        maturity=MARKET.maturity,
    ),
    loss=lambda: EntropicRisk(RISK_AVERSION),
    train_market=BlackScholesMarket(**TERMS, draws="sobol"),
    market=MARKET,
    batch_size=4096,
    steps=1500,
    learning_rate=1e-3,
    report=no_transaction_band_paper.report,
    limits=(
        "A task from the literature, for comparison; see no_transaction_band_european_v1 for one "
        "where hedging matters.",
        "The rows 'delta' and 'Whalley-Wilmott' use the Greeks of the European call, as the "
        "paper's reference code does for its delta.",
    ),
)
