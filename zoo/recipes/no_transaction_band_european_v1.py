"""A sold at-the-money call, 20 daily steps, where hedging matters and the optimum is known."""

from hedgezoo.datasets import BlackScholesMarket
from hedgezoo.hedge_recipe import HedgeRecipe
from hedgezoo.losses import EntropicRisk
from hedgezoo.no_transaction_band import NoTransactionBand

MARKET = BlackScholesMarket(volatility=0.2, steps=20, time_step=1 / 250, cost=1e-3)
RISK_AVERSION = 50.0

RECIPE = HedgeRecipe(
    name="no_transaction_band_european_v1",
    description="No-transaction band for an at-the-money call, risk aversion 50, cost 10 bp",
    task=(
        "Hedge one sold European call (S = K = 1, volatility 0.2, 20 daily steps of 1/250 year) "
        "by trading the underlying at a proportional cost of 1e-3, so that the entropic risk at "
        "risk aversion 50 is smallest. In units of S = 100 the risk aversion is 0.5."
    ),
    model=lambda: NoTransactionBand(
        inputs="standardized", volatility=0.2, cost=1e-3, risk_aversion=RISK_AVERSION
    ),
    loss=lambda: EntropicRisk(RISK_AVERSION),
    train_market=BlackScholesMarket(
        volatility=0.2, steps=20, time_step=1 / 250, cost=1e-3, draws="sobol"
    ),
    market=MARKET,
    batch_size=4096,
    steps=1500,
    learning_rate=5e-3,
    limits=(
        "One volatility, cost rate, risk aversion and step: these are not inputs. "
        "Use no_transaction_band_universal_v1 where they differ.",
        "Black-Scholes paths without drift; no jumps, no volatility risk.",
    ),
)
