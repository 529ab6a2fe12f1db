"""Local volatility learned from a real surface: EURO STOXX 50 on 1 March 2010."""

from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.neural_sde import NeuralSDE
from hedgezoo.neural_sde_recipe import LIQUID, NeuralSDERecipe

SPAN = (0.4, 2.0)  # of spots over forward; quoted strikes lie from 0.5 to 1.5


def quotes():
    """The chain that is shipped: 155 quotes at 12 maturities, 9 days to 5.8 years."""
    return SurfaceQuotes.chain("sx5e_2010-03-01")


RECIPE = NeuralSDERecipe(
    name="neural_sde_sx5e_v1",
    description="Local volatility as a network, from EURO STOXX 50 options of 2010-03-01",
    task=(
        "Price options on the EURO STOXX 50 with dS / S = σ(S, t) dW, where S is the index over "
        "its forward and σ a network that was calibrated to four fifths of the 155 quotes of "
        "1 March 2010, 9 days to 5.8 years. The other fifth, quotes between two others of their "
        "smile, judges it. A Heston model that is fitted to the same quotes stands beside it."
    ),
    model=lambda: NeuralSDE(
        volatility=0.25,
        maturities=quotes().expiries.tolist(),
        concentration=2.0,
        options={"seed": 1, "span": SPAN},
    ),
    quotes=quotes,
    data=(
        "implied volatilities of EURO STOXX 50 options on 2010-03-01: 155 quotes at 12 maturities "
        "from 9 days to 5.8 years, strikes from 0.5 to 1.5 times the forward"
    ),
    held_out=0.2,
    split_ends=False,
    calibration={"vega_floor": 0.002, "polish_steps": 80},
    region=LIQUID,
    beside_heston=True,
    limits=(
        "One day of one index. Strikes are relative to the forward of their maturity, prices "
        "undiscounted and per unit of that forward.",
        "Beyond the quoted strikes and maturities σ is extrapolated: below 0.4 and above 2 times "
        "the forward it stays as there, and after the last maturity as at that.",
        "Vanilla options fix the marginal laws of S alone, not the dynamics: prices of exotic "
        "options are those of local volatility, one model among many with these quotes.",
    ),
)
