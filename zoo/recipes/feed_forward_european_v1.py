"""The task of no_transaction_band_european_v1, hedged by a network that sees its position."""

from hedgezoo.deep_hedge import FeedForwardHedge
from hedgezoo.hedge_recipe import HedgeRecipe
from hedgezoo.losses import EntropicRisk
from hedgezoo.recipes import no_transaction_band_european_v1 as band

RECIPE = HedgeRecipe(
    name="feed_forward_european_v1",
    description="Feed-forward network with the position as input, the band network's comparison",
    task=(
        f"{band.RECIPE.task} The next position is the Black-Scholes delta plus "
        "tanh(network(features, position)): the comparison of the no-transaction-band paper."
    ),
    model=lambda: FeedForwardHedge(volatility=0.2, cost=1e-3, risk_aversion=band.RISK_AVERSION),
    loss=lambda: EntropicRisk(band.RISK_AVERSION),
    train_market=band.RECIPE.train_market,
    market=band.MARKET,
    batch_size=4096,
    steps=1500,
    learning_rate=1e-3,
    limits=(
        "Kept for comparison: the band network is cheaper on the same task.",
        *band.RECIPE.limits,
    ),
)
