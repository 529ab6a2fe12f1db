"""What a recipe is: everything that decides the weights and the numbers of a preset."""

import abc
import dataclasses
import importlib
import pkgutil
from collections.abc import Callable
from typing import ClassVar

from hedgezoo.suggestions import did_you_mean

IMAKI_2021 = {
    "title": "No-Transaction Band Network: "
    "A Neural Network Architecture for Efficient Deep Hedging",
    "authors": "Imaki, Imajo, Ito, Minami, Nakagawa",
    "year": 2021,
    "reference": "arXiv:2103.01775",
}
BUEHLER_2021 = {
    "title": "Deep Hedging: Learning Risk-Neutral Implied Volatility Dynamics",
    "authors": "Buehler, Murray, Pakkanen, Wood",
    "year": 2021,
    "reference": "arXiv:2103.11948",
}
SONG_2025 = {
    "title": "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
    "authors": "Song",
    "year": 2025,
    "reference": "manuscript",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(abc.ABC):
    """How one preset is made and judged: what every family of models has in common.

    A family derives a dataclass of its own that says how a model is trained (`train`), what of
    that goes on record (`settings`), and, where the defaults do not do, what is judged, drawn and
    kept as golden outputs.

    Args:
        name: Name of the preset.
        description: One line for lists.
        task: A paragraph for the card: what the model does, in which market.
        paper: Title, authors, year and reference of the source.
        seed: Seed of everything random in the training.
        evaluation_paths: Paths of the evaluation.
        evaluation_seed: Their seed; different from `seed`.
        evaluation_options: Options of the model's `evaluate_on`.
        limits: Sentences for the card on where not to use the model.
        report: Function of (recipe, model, directory, checkpoint) that returns further entries of
            `metadata.json` and may write files to the preset's directory; or None.
    """

    name: str
    description: str
    task: str
    paper: dict
    seed: int = 1
    evaluation_paths: int = 2**18
    evaluation_seed: int = 2021
    evaluation_options: dict = dataclasses.field(default_factory=dict)
    limits: tuple = ()
    report: Callable | None = None

    family: ClassVar[str]  # a key of `hedgezoo.families.FAMILIES`

    @abc.abstractmethod
    def train(self, checkpoint=None, strategy=None, verbose="auto"):
        """Makes the model.

        Args:
            checkpoint: Directory from which a killed run resumes.
            strategy: A `tf.distribute.Strategy`, or None for one device.
            verbose: As in `training.fit`.

        Returns:
            The trained model, which knows its `market`, and a dictionary of facts about the run;
            `cpu_seconds` is one of them.
        """

    @abc.abstractmethod
    def settings(self):
        """What of the recipe goes on record, a dictionary of values that JSON can hold."""

    def judging(self, model):
        """How the model is judged, for the record: paths, seed and options."""
        return {
            "paths": self.evaluation_paths,
            "seed": self.evaluation_seed,
            **self.evaluation_options,
        }

    def evaluate(self, model):
        """The metrics of the trained model, as of `hedgezoo.evaluate`."""
        from hedgezoo.evaluation import evaluate

        return evaluate(
            model, self.evaluation_paths, self.evaluation_seed, **self.evaluation_options
        )

    def golden(self, model):
        """Inputs whose outputs are kept: dictionary signature -> dictionary input -> array."""
        return {"serving_default": model.serving_signatures()["serving_default"].example}

    def pictures(self, model, about):
        """The figures of the card, in its order: a list of `hedgezoo.figures.Picture`."""
        return list(model.pictures(about))


def reports(*parts):
    """A recipe's `report` of several.

    Args:
        *parts: Functions like `Recipe.report`.

    Returns:
        Function like `Recipe.report`; its `experiments` are those of all parts.
    """

    def report(recipe, model, directory, checkpoint=None):
        found = [part(recipe, model, directory, checkpoint) for part in parts]
        experiments = {name: x for entry in found for name, x in entry["experiments"].items()}
        return {name: x for entry in found for name, x in entry.items()} | {
            "experiments": experiments
        }

    return report


def recipe_names():
    """Names of the recipes in the package, sorted."""
    import hedgezoo.recipes

    return sorted(module.name for module in pkgutil.iter_modules(hedgezoo.recipes.__path__))


def recipe(name):
    """The recipe of a preset; ValueError with the closest names if there is none."""
    names = recipe_names()
    if name not in names:
        raise ValueError(f"Unknown recipe {name!r}.{did_you_mean(name, names)} Recipes: {names}")
    return importlib.import_module(f"hedgezoo.recipes.{name}").RECIPE
