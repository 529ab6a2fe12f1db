"""Recipes of neural SDEs that are trained together with the hedges of their options."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import keras

from hedgezoo.gradient_recipe import GradientRecipe
from hedgezoo.neural_sde_recipe import ROBUST_2020, learning_curve


def own_loss():
    """No loss in particular: a joint model has its own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointHedgeRecipe(GradientRecipe):
    """How a `JointNeuralSDEHedge` is trained on quotes, and judged on them along fresh paths.

    Args:
        name, description, task, paper, seed, limits, report: As in `Recipe`.
        evaluation_paths, evaluation_seed, evaluation_options: As in `Recipe`.
        model, batch_size, steps, learning_rate, epochs: As in `GradientRecipe`.
        loss: The model's own.
        train_market: None: the paths are the model's own.
        market: The `SurfaceQuotes` that it is made for and judged on.
        data: What the quotes are, in words; for the record.
    """

    data: str
    loss: Callable = own_loss
    train_market: object = None
    epochs: int = 20
    paper: dict = dataclasses.field(default_factory=lambda: ROBUST_2020)
    evaluation_paths: int = 2**17

    family: ClassVar[str] = "neural_sde"

    def training_data(self, model):
        return model

    def train(self, checkpoint=None, strategy=None, verbose="auto"):
        keras.utils.set_random_seed(self.seed)  # of weights whose layers have no seed
        model, facts = super().train(checkpoint, strategy, verbose)
        steps = [step for step, _ in facts["curve"]]
        errors = model.history.history["error_bp"]
        facts["curve"] = [list(map(float, pair)) for pair in zip(steps, errors, strict=True)]
        return model, facts

    def settings(self):
        model = self.model()
        words = {
            "control": "the hedge as a control variate, from which the dynamics learn nothing",
            "cooperative": f"with the hedge's risk times {model.coupling:g} bp² in the objective",
            "adversarial": f"against the hedge, within {model.tolerance_bp:g} bp of the quotes",
        }
        procedure = (
            f"{self.batch_size:,} paths per step, Adam from {self.learning_rate:g} with cosine "
            f"decay; squared price errors of {len(model.quotes)} quotes, weighted by vega, "
            f"{words[model.mode]}. {model.hedge_steps} step(s) of the hedge per step."
        )
        return {
            "kind": "joint",
            "data": self.data,
            "procedure": procedure,
            "seed": self.seed,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "mode": model.mode,
        }

    def golden(self, model):
        signatures = model.serving_signatures()
        return {name: signatures[name].example for name in ("serving_default", "hedge")}

    def pictures(self, model, about):
        return [*super().pictures(model, about), *learning_curve(about)]
