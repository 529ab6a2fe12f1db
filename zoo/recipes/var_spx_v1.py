"""A market simulator of the S&P 500 and its options: a vector autoregression on history."""

from hedgezoo.datasets import market_data
from hedgezoo.simulator_recipe import SimulatorRecipe
from hedgezoo.vector_autoregression import VectorAutoregression

MAX_LAGS = 10
CRITERION = "bic"
COMPONENTS = 0.9999


def fit():
    """The autoregression of the shipped history."""
    return VectorAutoregression.from_history(
        market_data.spx_surfaces(),
        max_lags=MAX_LAGS,
        criterion=CRITERION,
        components=COMPONENTS,
    )


RECIPE = SimulatorRecipe(
    name="var_spx_v1",
    description="S&P 500 with 8 x 4 calls and puts: vector autoregression on 2009-2025",
    task=(
        "Simulate daily paths of the spot and of floating calls and puts with 8 strikes from 85 % "
        "to 107.5 % of the spot and maturities of 20, 40, 60 and 120 days (of 1/250 year). The log "
        "return and the first principal components of the log discrete local volatilities follow a "
        "vector autoregression with Gaussian innovations. Every surface is free of static "
        "arbitrage; the market is not free of statistical arbitrage, which "
        "`RiskNeutralMeasure` removes."
    ),
    fit=fit,
    history={
        "source": "daily closes of VIX, VIX3M and SPY; smile of a EURO STOXX 50 chain, 2010-03-01",
        "first date": "2009-09-18",
        "last date": "2025-11-12",
        "max lags": MAX_LAGS,
        "criterion": CRITERION,
        "share of variance kept": COMPONENTS,
    },
    market=lambda model: model.make_market(),
    evaluation_paths=2**16,
    limits=(
        "The smile is not that of the S&P 500: its shape was fitted once to EURO STOXX 50 options "
        "and depends on the level of variance alone. Level and term structure are market data.",
        "Innovations are Gaussian: the crashes, the fat tails and the volatility clustering of "
        "daily returns are missing. Volatility moves, but the returns do not follow it.",
        "Under the historical measure, options and spot have the drift of 2009 to 2025; selling "
        "puts far out of the money looks better than it is.",
        "The spot is an exchange-traded fund whose closes are not adjusted for dividends.",
        "Daily steps; the paper fits EURO STOXX 50 data that is not public, and states neither "
        "lags, grid nor parameters.",
    ),
)
