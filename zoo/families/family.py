"""What every family has to say about its models."""

import abc
from collections.abc import Callable
from typing import NamedTuple

NOTHING = "–"


class Column(NamedTuple):
    """A headline number in a table of presets.

    Args:
        heading: Above it; a line break is a space where there is room.
        cell: Function of `metadata.json`'s content to text.
    """

    heading: str
    cell: Callable


class Family(abc.ABC):
    """Sections of cards, columns of lists and the report of one family of models.

    Attributes:
        title: Above its table of presets.
        unit: What models are judged on, in the plural.
        tags: Of the cards, for catalogues.
        headlines: `Column`s of `hedgezoo list`.
        list_note: Below that table.
        readme_headlines: `Column`s of the table in the README.
        readme_note: Below that table.
    """

    title: str
    unit: str = "paths"
    tags: tuple
    headlines: tuple
    list_note: str
    readme_headlines: tuple
    readme_note: str

    @abc.abstractmethod
    def use(self, about):
        """The card's section on how the model is used, Markdown."""

    @abc.abstractmethod
    def results(self, about):
        """The card's section on what was measured, Markdown."""

    @abc.abstractmethod
    def training(self, about):
        """The card's section on how the model was made, Markdown."""

    @abc.abstractmethod
    def report(self, report, about, title, width):
        """A report of `hedgezoo.evaluate` on a preset, as a `rich.table.Table`.

        Args:
            report: Dictionary `{metric: {"value", "stderr"}}`.
            about: Content of `metadata.json`.
            title: Above the table.
            width: Characters across.
        """


def value_of(about, metric):
    """Value of a metric, or None."""
    found = about["metrics"].get(metric)
    return None if found is None else found["value"]


def number(metric, form, scale=1.0):
    """A column's function: a metric as text, or a dash.

    Args:
        metric: Name of the metric.
        form: Format, as in `"{:.2f} %"`.
        scale: Factor.

    Returns:
        Function of `metadata.json`'s content.

    Example:

    >>> cell = number("share", "{:.0f} %", scale=100.0)
    >>> cell({"metrics": {"share": {"value": 0.97, "stderr": 0.0}}}), cell({"metrics": {}})
    ('97 %', '–')
    """

    def cell(about):
        value = value_of(about, metric)
        return NOTHING if value is None else form.format(scale * value)

    return cell


def use_section(about, code, signatures):
    """A card's section on use.

    Args:
        about: Content of `metadata.json`.
        code: Lines of Python after the model is loaded as `model`.
        signatures: What the SavedModel answers: a sentence's end.

    Returns:
        Markdown.
    """
    lines = ["import hedgezoo", "", f'model = hedgezoo.load("{about["name"]}")', *code]
    return (
        "## Use\n\n```python\n" + "\n".join(lines) + "\n```\n\n"
        f"`1/` is the SavedModel for TensorFlow Serving, with {signatures}."
    )


def gradient_training(about, unit="paths", after="", market=None):
    """A card's section on training by gradient steps.

    Args:
        about: Content of `metadata.json`.
        unit: What a batch consists of.
        after: A sentence on what came before or after, with a space before it.
        market: A paragraph on what it was trained on. Default: the recipe's market.

    Returns:
        Markdown.
    """
    recipe, facts = about["recipe"], about["training"]
    seen = recipe["steps"] * recipe["batch_size"]
    market = market or f"Market: `{recipe['market']}`."
    return (
        "## Training\n\n"
        f"`hedgezoo train {about['name']}` (recipe `{recipe['module']}`): {recipe['steps']:,} "
        f"steps of {recipe['batch_size']:,} {unit} ({seen:,} in all, seed {recipe['seed']}), "
        f"{recipe.get('optimizer', 'Adam')} from {recipe['learning_rate']:g} with cosine decay. "
        f"{about['parameters']:,} parameters, {facts['cpu_seconds']:.0f} CPU-seconds on two "
        f"cores.{after}\n\n{market}\n\nBuilt with {versions(about)}."
    )


def versions(about):
    """Packages that the preset was built with, and their versions."""
    return ", ".join(f"{name} {version}" for name, version in about["built_with"].items())


def estimate(metric, form="{:.6f}"):
    """A metric as text, with its standard error where it has one."""
    if metric is None:
        return NOTHING
    value = form.format(metric["value"])
    return value if metric["stderr"] == 0 else f"{value} ± {metric['stderr']:.1e}"
