"""Two factors learned from a Heston surface whose volatility is far above its long-run level."""

from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.layers import heston_local_volatility
from hedgezoo.neural_sde import NeuralSDE
from hedgezoo.neural_sde.structure_card import structure_report
from hedgezoo.neural_sde_recipe import NeuralSDERecipe

HESTON = (3.0, 0.04, 0.5, -0.7, 0.09)


def quotes():
    """Exact quotes of a Heston model with v₀ = 0.09 far above θ = 0.04."""
    return SurfaceQuotes.heston(HESTON)


RECIPE = NeuralSDERecipe(
    name="neural_sde_stochastic_v1",
    description="Stochastic volatility as networks, from Heston quotes with v₀ far above θ",
    task=(
        "Price options with dS / S = σ(S, y, t) dW and a latent factor y with a drift, a "
        "volatility and a correlation of its own, all of them learned from 126 exact quotes of a "
        "Heston model whose variance starts at 0.09 and falls to 0.04 at a speed of 3 per year. "
        "How fast, the term structure tells; what y does beyond that, vanilla options do not."
    ),
    model=lambda: NeuralSDE("stochastic", volatility=0.25, options={"seed": 1}),
    quotes=quotes,
    report=structure_report(
        lambda x, years: heston_local_volatility(HESTON, x, years),
        variance=(HESTON[0], HESTON[1], HESTON[4]),
    ),
    data=(
        "exact prices of the Heston model with κ = 3, θ = 0.04, ξ = 0.5, ρ = -0.7 and v₀ = 0.09, "
        "by Fourier integrals: 6 maturities from two months to a year, 21 strikes from 0.8 to 1.2 "
        "times the forward"
    ),
    calibration={"steps": 1000},
    evaluation_paths=2**16,
    limits=(
        "Vanilla options fix the marginal laws of S alone. The latent factor is one of many with "
        "these prices: its volatility and correlation are where training left them.",
        "Prices of forward-start, lookback and barrier options depend on that choice; look at the "
        "range of models with the same vanilla prices before using one.",
        "Simulated by log-Euler steps, 96 a year: prices are those of the scheme.",
    ),
)
