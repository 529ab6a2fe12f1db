"""Recipes of neural SDEs that are fitted to a daily history by likelihood."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import keras
import tensorflow as tf

from hedgezoo.neural_sde_recipe import examples_of
from hedgezoo.recipe import Recipe
from hedgezoo.training.stopwatch import Stopwatch

COHEN_2021 = {
    "title": "Arbitrage-free neural-SDE market models",
    "authors": "Cohen, Reisinger, Wang",
    "year": 2021,
    "reference": "arXiv:2105.11053",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class HistoryRecipe(Recipe):
    """How a `NeuralSDE` is fitted to a `DailyHistory`, and held against it.

    Args:
        name, description, task, paper, seed, limits, report: As in `Recipe`.
        evaluation_paths, evaluation_seed, evaluation_options: As in `Recipe`; paths as long as the
            history.
        history: Function without arguments that returns the `DailyHistory`.
        data: What it is, in words; for the record.
        model: Options of `hedgezoo.neural_sde.historical.historical_model`.
        fit: Options of `hedgezoo.neural_sde.historical.fit_history`.
        beside: Name of a preset, a vector autoregression, whose autocorrelations of |daily return|
            are reported, too; or None.
    """

    history: Callable
    data: str
    model: dict = dataclasses.field(default_factory=dict)
    fit: dict = dataclasses.field(default_factory=dict)
    beside: str | None = None
    paper: dict = dataclasses.field(default_factory=lambda: COHEN_2021)
    evaluation_paths: int = 2**8

    family: ClassVar[str] = "neural_sde"

    def train(self, checkpoint=None, strategy=None, verbose="auto"):
        from hedgezoo.neural_sde.historical import fit_history, historical_model

        strategy = strategy or tf.distribute.get_strategy()
        history, stopwatch = self.history(), Stopwatch()
        with strategy.scope():
            keras.utils.set_random_seed(self.seed)
            model = historical_model(history, **{"options": {"seed": self.seed}, **self.model})
            model.build()
        found = fit_history(
            model,
            history,
            seed=self.seed,
            checkpoint=checkpoint,
            strategy=strategy,
            callbacks=[stopwatch],
            verbose=verbose,
            **self.fit,
        )
        model.market = history
        return model, {
            **{name: round(seconds, 1) for name, seconds in stopwatch.get_state().items()},
            "replicas": strategy.num_replicas_in_sync,
            "steps": found.steps,
            "best_epoch": found.best_epoch,
            "curve": [[epoch + 1, loss] for epoch, loss in enumerate(found.history["loss"])],
            "held_out_curve": [
                [epoch + 1, loss] for epoch, loss in enumerate(found.history.get("val_loss", []))
            ],
        }

    def evaluate(self, model):
        found = super().evaluate(model)
        if self.beside is not None:
            from hedgezoo.presets import metadata

            other = metadata(self.beside)["metrics"]
            for lag in (1, 5, 20):
                name = f"autocorrelation/absolute_return/{lag}/simulated"
                found[f"acf_{lag}_beside"] = other[name]
        return found

    def golden(self, model):
        return examples_of(model)

    def settings(self):
        return {
            "kind": "history",
            "data": self.data,
            "procedure": (
                "Maximum likelihood, one Gaussian Euler step per day, AdamW. The last fifth of the "
                "days was held out and decided which epoch's weights were kept."
            ),
            "seed": self.seed,
            "steps": None,
            "beside": self.beside,
            "model": _plain(self.model),
            "fit": _plain(self.fit),
        }


def _plain(options):
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in options.items()
    }
