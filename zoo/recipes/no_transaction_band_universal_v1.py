"""One band network for every volatility, cost, risk aversion and time to expiry in a box."""

from hedgezoo import optimality_gap
from hedgezoo.datasets import ConditionalBlackScholesMarket
from hedgezoo.hedge_recipe import HedgeRecipe
from hedgezoo.losses import EntropicRisk
from hedgezoo.no_transaction_band import NoTransactionBand

FEATURES = ("log_moneyness", "time_to_expiry", "volatility", "cost", "risk_aversion")
BOX = {
    "volatility": (0.1, 0.5),
    "cost": (1e-4, 5e-3),
    "risk_aversion": (1.0, 100.0),
    "expiry_steps": (1, 60),
}

RECIPE = HedgeRecipe(
    name="no_transaction_band_universal_v1",
    description="No-transaction band with volatility, cost, risk aversion and expiry as inputs",
    task=(
        "Hedge one sold European call, rebalancing daily (1/250 year), for any volatility from 0.1 "
        "to 0.5, spot from 0.75 to 1.35 strikes, proportional cost from 1 to 50 bp, risk aversion "
        "(times strike) from 1 to 100 and 1 to 60 days to expiry: all of these are inputs. The "
        "table is for the contract of "
        "no_transaction_band_european_v1 (volatility 0.2, cost 10 bp, risk aversion 50, 20 days)."
    ),
    # constants are the centre of the box: the network sees the inputs relative to them
    model=lambda: NoTransactionBand(
        features=FEATURES,
        hidden_units=(64, 64, 64),
        width="asymptotic",
        inputs="standardized",
        clip=4.0,
        volatility=0.22,
        cost=7e-4,
        risk_aversion=10.0,
        maturity=0.1,
    ),
    loss=lambda: EntropicRisk(1.0),
    train_market=ConditionalBlackScholesMarket(
        **BOX,
        # the tails of the at-the-money contracts, seen often
        spot=(0.75, 1.35),
        steps=60,
        features=FEATURES,
        unit="risk_tolerance",
        centred=True,
        draws="sobol",
    ),
    market=ConditionalBlackScholesMarket(
        volatility=0.2, cost=1e-3, risk_aversion=50.0, steps=20, expiry_steps=20, features=FEATURES
    ),
    batch_size=2048,
    steps=4000,
    learning_rate=4e-3,
    report=optimality_gap.report,
    limits=(
        "Outside the box the network extrapolates; nothing was measured there.",
        "Daily rebalancing: the band depends on the step, and the step is not an input.",
        "Black-Scholes paths without drift; no jumps, no volatility risk.",
    ),
)
