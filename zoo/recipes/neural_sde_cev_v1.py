"""Local volatility learned from a CEV surface, whose volatility is a power of the spot."""

from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.datasets.surface_quotes import HESTON_MATURITIES, HESTON_STRIKES
from hedgezoo.layers import cev_call, cev_local_volatility
from hedgezoo.neural_sde import NeuralSDE
from hedgezoo.neural_sde.structure_card import structure_report
from hedgezoo.neural_sde_recipe import NeuralSDERecipe

VOLATILITY, ELASTICITY = 0.2, 0.5


def quotes():
    """Exact quotes of a CEV model on the grid of the Heston test bed."""
    grid = HESTON_STRIKES, HESTON_MATURITIES
    return SurfaceQuotes.from_calls(cev_call(VOLATILITY, ELASTICITY, *grid), *grid, name="CEV")


RECIPE = NeuralSDERecipe(
    name="neural_sde_cev_v1",
    description="Local volatility as a network, from the exact quotes of a CEV model",
    task=(
        "Price options with dS / S = σ(S, t) dW, where σ is a network that was calibrated to 126 "
        "exact quotes of the CEV model dS = 0.2 √S dW. The truth is σ = 0.2 / √S at all times: "
        "the network knows nothing of it but these prices."
    ),
    model=lambda: NeuralSDE(options={"seed": 1}),
    quotes=quotes,
    report=structure_report(
        lambda x, years: cev_local_volatility(VOLATILITY, ELASTICITY, x) + 0.0 * years
    ),
    data=(
        "exact prices of the CEV model with elasticity 0.5 and volatility 0.2 at S = 1, by the "
        "non-central chi-square law: 6 maturities from two months to a year, 21 strikes from 0.8 "
        "to 1.2 times the forward"
    ),
    limits=(
        "Calibrated to one surface. Between two months and a year and within about two standard "
        "deviations of the forward σ is determined by the quotes; elsewhere it is extrapolated.",
        "The CEV model is absorbed at zero, which log(S / F) never reaches: no quote depends on "
        "it here, options far below the forward would.",
    ),
)
