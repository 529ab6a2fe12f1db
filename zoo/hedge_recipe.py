"""Recipes of hedging strategies: one contract, one market, one measure of risk."""

import dataclasses
from typing import ClassVar

from hedgezoo.gradient_recipe import GradientRecipe
from hedgezoo.recipe import IMAKI_2021


@dataclasses.dataclass(frozen=True, kw_only=True)
class HedgeRecipe(GradientRecipe):
    """How a hedging strategy is trained, and judged beside its baselines and the optimum.

    Args:
        name, description, task, paper, seed, limits, report: As in `Recipe`.
        evaluation_paths, evaluation_seed, evaluation_options: As in `Recipe`.
        model, loss, train_market, market: As in `GradientRecipe`.
        batch_size, steps, learning_rate: As in `GradientRecipe`.
    """

    paper: dict = dataclasses.field(default_factory=lambda: IMAKI_2021)

    family: ClassVar[str] = "hedge"

    def judging(self, model):
        from hedgezoo.risk_report import default_risk_aversion

        spot = getattr(self.market, "spot", 1.0)
        return {
            "risk_aversion": default_risk_aversion(model, self.market),
            "spot": float(spot) if isinstance(spot, int | float) else 1.0,
            **super().judging(model),
        }

    def golden(self, model):
        inputs, _ = self.market.simulate(seed=12345, paths=8)
        names = model.serving_signatures()["rollout"].example
        return {"rollout": {name: inputs[name].numpy() for name in names}}

    def pictures(self, model, about):
        from hedgezoo.hedge_pictures import hedge_pictures

        return [*hedge_pictures(model, about), *super().pictures(model, about)]
