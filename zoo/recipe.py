"""What a recipe is: everything that decides the weights and the numbers of a preset."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable

from hedgezoo.datasets.market import Market
from hedgezoo.suggestions import did_you_mean

IMAKI_2021 = {
    "title": "No-Transaction Band Network: "
    "A Neural Network Architecture for Efficient Deep Hedging",
    "authors": "Imaki, Imajo, Ito, Minami, Nakagawa",
    "year": 2021,
    "reference": "arXiv:2103.01775",
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one preset is trained and judged.

    Args:
        name: Name of the preset.
        description: One line for lists.
        task: A paragraph for the card: market, contract, cost, risk.
        model: Function without arguments that returns a new model.
        loss: Function without arguments that returns a new loss.
        train_market: Market whose paths it is trained on.
        market: Market that it is made for and judged on.
        batch_size: Paths per training step.
        steps: Training steps.
        learning_rate: First learning rate of Adam; decays by a half cosine to 1 % of it.
        seed: Seed of the training paths.
        evaluation_paths: Paths of the evaluation.
        evaluation_seed: Their seed; different from `seed`.
        limits: Sentences for the card on where not to use the model.
        paper: Title, authors, year and reference of the source.
        report: Function of (recipe, model, directory, checkpoint) that returns further entries of
            `metadata.json` and may write files to the preset's directory; or None.
    """

    name: str
    description: str
    task: str
    model: Callable
    loss: Callable
    train_market: Market
    market: Market
    batch_size: int
    steps: int
    learning_rate: float
    seed: int = 1
    evaluation_paths: int = 2**18
    evaluation_seed: int = 2021
    limits: tuple = ()
    paper: dict = dataclasses.field(default_factory=lambda: IMAKI_2021)
    report: Callable | None = None


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
