"""One local-volatility network for a family of surfaces, with market features as inputs."""

from hedgezoo.datasets import HestonSurfaces
from hedgezoo.neural_sde.amortised import SHAPE_FEATURES
from hedgezoo.neural_sde_amortised_recipe import AmortisedRecipe

RECIPE = AmortisedRecipe(
    name="neural_sde_amortised_v1",
    description="One local-volatility network for all Heston-like surfaces of stock indices",
    task=(
        "Turn a surface of implied volatilities into a local volatility without calibrating: the "
        "network sees nine numbers of the day (volatility, skew and curvature at the money at two, "
        "six and twelve months) and gives σ(S, t) for it. Use it as it is, or as the start of a "
        "calibration."
    ),
    surfaces=HestonSurfaces,
    data=(
        "exact surfaces of Heston models with κ 0.5-5, θ 0.015-0.09, ξ 0.2-1, ρ -0.9 to -0.3, v₀ "
        "0.01-0.12 (log-uniform but for ρ) and 2κθ/ξ² of 0.2 or more; seven maturities from one "
        "month to 18, ten strikes from -2.5 to 2 standard deviations"
    ),
    count=4096,
    features=SHAPE_FEATURES,
    steps=14_000,
    batch_size=8,
    learning_rate=8e-3,
    limits=(
        "It knows surfaces that a Heston model of the box makes, at maturities from one month to "
        "18 and strikes within -2.5 to 2 standard deviations. Real surfaces have other shapes: "
        "calibrate from here, and look at the error.",
        "The features need quotes on both sides of the forward at maturities from about two months "
        "to a year. Noise in the quotes goes into skew and curvature.",
        "Prices of each day are those of a local volatility of that day: the features do not move "
        "along a path.",
        "Vanilla options fix the marginal laws of S alone: exotic options need more than this.",
    ),
)
