"""Local volatility learned from a Heston surface: skew at all maturities."""

from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.datasets.surface_quotes import HESTON_PARAMETERS
from hedgezoo.experiments import neural_sde_overfitting, neural_sde_structure
from hedgezoo.layers import heston_local_volatility
from hedgezoo.neural_sde import NeuralSDE
from hedgezoo.neural_sde.structure_card import structure_report
from hedgezoo.neural_sde_recipe import NeuralSDERecipe
from hedgezoo.recipe import reports

RECIPE = NeuralSDERecipe(
    name="neural_sde_local_v1",
    description="Local volatility as a network, from the exact quotes of a Heston model",
    task=(
        "Price options with dS / S = σ(S, t) dW, where σ is a network that was calibrated to 126 "
        "exact quotes of a Heston model with skew (mean reversion 1.5, long-run variance 0.04, "
        "volatility of variance 0.5, correlation -0.7). The local volatility that gives these "
        "prices is known exactly, so what the network has found can be checked point by point."
    ),
    model=lambda: NeuralSDE(options={"seed": 1}),
    quotes=SurfaceQuotes.heston,
    report=reports(
        structure_report(lambda x, years: heston_local_volatility(HESTON_PARAMETERS, x, years)),
        neural_sde_structure.report,
        neural_sde_overfitting.report,
    ),
    data=(
        "exact prices of the Heston model with κ = 1.5, θ = 0.04, ξ = 0.5, ρ = -0.7 and v₀ = 0.04, "
        "by Fourier integrals: 6 maturities from two months to a year, 21 strikes from 0.8 to 1.2 "
        "times the forward"
    ),
    limits=(
        "Calibrated to one surface. Between two months and a year and within about two standard "
        "deviations of the forward σ is determined by the quotes; elsewhere it is extrapolated.",
        "Vanilla options fix the marginal laws of S alone. Forward-start, lookback and barrier "
        "options have other prices here than in the Heston model with the same vanilla prices.",
        "σ(S, t) cannot stay high after a shock unless S moved: there is no volatility clustering "
        "but through S.",
    ),
)
