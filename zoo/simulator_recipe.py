"""Recipes of market simulators that are fitted to history, without gradient steps."""

import dataclasses
import time
from collections.abc import Callable
from typing import ClassVar

from hedgezoo.recipe import BUEHLER_2021, Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatorRecipe(Recipe):
    """How a market simulator is fitted, and held against the history that it was fitted to.

    Args:
        name, description, task, paper, seed, limits, report: As in `Recipe`.
        evaluation_paths, evaluation_seed, evaluation_options: As in `Recipe`.
        fit: Function without arguments that returns the fitted, built model.
        history: What it is fitted to, in words and numbers that JSON can hold; for the record.
        market: Function of the model that returns the market it stands for; or None.
    """

    fit: Callable
    history: dict
    market: Callable | None = None
    paper: dict = dataclasses.field(default_factory=lambda: BUEHLER_2021)

    family: ClassVar[str] = "simulator"

    def train(self, checkpoint=None, strategy=None, verbose="auto"):
        """Fits the model: seconds, so there is nothing to resume and one device will do."""
        start = time.process_time(), time.perf_counter()
        model = self.fit()
        if self.market:
            model.market = self.market(model)
        spent = time.process_time() - start[0], time.perf_counter() - start[1]
        return model, {"cpu_seconds": round(spent[0], 2), "wall_seconds": round(spent[1], 2)}

    def settings(self):
        # pairs keep their order in JSON that is sorted by name
        return {"history": [list(pair) for pair in self.history.items()]}

    def golden(self, model):
        return {"simulate": model.serving_signatures()["simulate"].example}
