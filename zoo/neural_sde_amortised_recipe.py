"""Recipes of neural SDEs that serve a family of surfaces."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import keras
import tensorflow as tf

from hedgezoo.neural_sde_recipe import ROBUST_2020, examples_of, learning_curve
from hedgezoo.recipe import Recipe
from hedgezoo.training.stopwatch import Stopwatch


@dataclasses.dataclass(frozen=True, kw_only=True)
class AmortisedRecipe(Recipe):
    """How a `NeuralSDE` with market features is trained on surfaces, and judged on fresh ones.

    Args:
        name, description, task, paper, seed, limits, report: As in `Recipe`.
        evaluation_paths, evaluation_seed, evaluation_options: As in `Recipe`; fresh surfaces.
        surfaces: Function without arguments that returns the `HestonSurfaces`.
        data: What they are, in words; for the record.
        count: Number of training surfaces.
        features: Names of the market features.
        steps, batch_size, learning_rate: As in `hedgezoo.neural_sde.amortised.fit_surfaces`.
        model: Options of `hedgezoo.neural_sde.amortised.amortised_model`.
    """

    surfaces: Callable
    data: str
    count: int
    features: tuple
    steps: int
    batch_size: int
    learning_rate: float
    model: dict = dataclasses.field(default_factory=dict)
    paper: dict = dataclasses.field(default_factory=lambda: ROBUST_2020)
    evaluation_paths: int = 2**9

    family: ClassVar[str] = "neural_sde"

    def train(self, checkpoint=None, strategy=None, verbose="auto"):
        from hedgezoo.neural_sde.amortised import SurfacePanels, amortised_model, fit_surfaces

        strategy = strategy or tf.distribute.get_strategy()
        surfaces, stopwatch = self.surfaces(), Stopwatch()
        panels = SurfacePanels.heston(surfaces, self.count, self.seed, self.features)
        with strategy.scope():
            keras.utils.set_random_seed(self.seed)
            options = {"options": {"seed": self.seed}, **self.model}
            model = amortised_model(panels, self.features, **options)
            model.build()
        found = fit_surfaces(
            model,
            panels,
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=self.seed,
            checkpoint=checkpoint,
            strategy=strategy,
            callbacks=[stopwatch],
            verbose=verbose,
        )
        model.market = surfaces
        losses = found.history["loss"]
        each = found.steps // len(losses)
        return model, {
            **{name: round(seconds, 1) for name, seconds in stopwatch.get_state().items()},
            "replicas": strategy.num_replicas_in_sync,
            "steps": found.steps,
            "curve": [[each * (part + 1), float(loss)] for part, loss in enumerate(losses)],
        }

    def settings(self):
        return {
            "kind": "amortised",
            "data": self.data,
            "procedure": (
                f"{self.batch_size} surfaces per step, priced by Dupire's equation; Adam from "
                f"{self.learning_rate:g} with cosine decay; per surface the root mean square "
                f"error, weighted by vega. {self.count:,} surfaces in memory. Features: "
                f"{', '.join(name.replace('_', ' ') for name in self.features)}."
            ),
            "seed": self.seed,
            "steps": self.steps,
            "features": list(self.features),
            "surfaces": self.surfaces().get_config(),
        }

    def golden(self, model):
        return examples_of(model)

    def pictures(self, model, about):
        from hedgezoo.datasets.surface_quotes import SurfaceQuotes
        from hedgezoo.neural_sde.market_features import MarketFeatures
        from hedgezoo.neural_sde.pictures import pictures

        quotes = SurfaceQuotes.heston()
        features = MarketFeatures(self.features).of(quotes)
        drawn = pictures(model, about, quotes=quotes, features=features)
        return [*drawn, *learning_curve(about)]
