"""How an outcome is judged: risk measures of `gains - liability`, to evaluate and to train."""

if __name__ != "hedgezoo.losses":
    raise ImportError(
        "losses/ is the source of hedgezoo.losses; import it by that name "
        "(run with `python -P`, or from outside the checkout)"
    )

from hedgezoo.losses.annealed_penalty import AnnealedPenalty, PenaltyAnnealing
from hedgezoo.losses.cvar import CVaR, cvar, value_at_risk
from hedgezoo.losses.entropic_risk import EntropicRisk, effective_sample_size, entropic_risk
from hedgezoo.losses.isoelastic import IsoelasticLoss, isoelastic_risk
from hedgezoo.losses.mean_variance import MeanVariance, mean_variance
from hedgezoo.losses.optimized_certainty_equivalent import (
    OptimizedCertaintyEquivalent,
    optimized_certainty_equivalent,
)
from hedgezoo.losses.pinball import Pinball, pinball
from hedgezoo.losses.quadratic_cvar import QuadraticCVaR, quadratic_cvar
from hedgezoo.losses.standard_error import influence, standard_error

__all__ = [
    "AnnealedPenalty",
    "CVaR",
    "EntropicRisk",
    "IsoelasticLoss",
    "MeanVariance",
    "OptimizedCertaintyEquivalent",
    "PenaltyAnnealing",
    "Pinball",
    "QuadraticCVaR",
    "cvar",
    "effective_sample_size",
    "entropic_risk",
    "influence",
    "isoelastic_risk",
    "mean_variance",
    "optimized_certainty_equivalent",
    "pinball",
    "quadratic_cvar",
    "standard_error",
    "value_at_risk",
]
