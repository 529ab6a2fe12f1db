"""The paper's European task, as its reference code simulates it."""

from hedgezoo.datasets import BlackScholesMarket
from hedgezoo.experiments import no_transaction_band_paper
from hedgezoo.hedge_recipe import HedgeRecipe
from hedgezoo.losses import EntropicRisk
from hedgezoo.no_transaction_band import NoTransactionBand

TERMS = {"volatility": 0.2, "steps": 28, "time_step": 1 / 365, "cost": 1e-3}
MARKET = BlackScholesMarket(**TERMS)
RISK_AVERSION = 1.0

RECIPE = HedgeRecipe(
    name="no_transaction_band_european_paper_v1",
    description="No-transaction band, the paper's European task: risk aversion 1, cost 10 bp",
    task=(
        "Hedge one sold European call (S = K = 1, volatility 0.2, daily steps of 1/365 year) at a "
        "proportional cost of 1e-3 under exponential utility with risk aversion 1. The paper says "
        "30 days; its reference code simulates 28 steps, and so does this preset, so that prices "
        "can be compared with the published ones. The task is nearly degenerate: at this risk "
        "aversion not hedging at all costs almost as little as the best hedge, and less than "
        "hedging with the Black-Scholes delta."
    ),
    model=lambda: NoTransactionBand(
        inputs="standardized",
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
    learning_rate=2e-3,
    report=no_transaction_band_paper.report,
    limits=(
        "A task from the literature, for comparison. At risk aversion 1 (on S = 1) the best hedge "
        "is worth a fraction of a percent of the price; see no_transaction_band_european_v1 for a "
        "task where hedging matters.",
    ),
)
