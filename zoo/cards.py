"""The model card, Markdown, made from `metadata.json` and nothing else."""

import importlib
import textwrap

from hedgezoo.experiments import EXPERIMENTS
from hedgezoo.families import family_of, grouped

# who renders what a recipe's `report` has put into `metadata.json`, under "experiments"
SECTIONS = {
    "optimality_gap": "hedgezoo.optimality_gap",
    "neural_sde_truth": "hedgezoo.neural_sde.structure_card",
    **{name: experiment.module for name, experiment in EXPERIMENTS.items()},
}


def card_text(about):
    """The model card of a preset.

    Args:
        about: Content of its `metadata.json`.

    Returns:
        Markdown with a YAML head.
    """
    family = family_of(about)
    parts = [
        _head(about, family),
        f"# {about['name']}\n\n{about['description']}.\n\n{about['task']}",
        family.use(about),
        family.results(about),
        _figures(about),
        *_experiments(about),
        family.training(about),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in about["limits"]),
        _source(about),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(about, family):
    lines = [
        "---",
        f"license: {about['licence'].lower()}",
        "library_name: keras",
        f"tags: [{', '.join(family.tags)}]",
        f"model_name: {about['name']}",
        "---",
    ]
    return "\n".join(lines)


def _figures(about):
    return "\n\n".join(
        f"![{figure['caption']}](figures/{figure['name']}.png)" for figure in about["figures"]
    )


def _experiments(about):
    """Sections on what was measured for some presets only, by the modules that measured it."""
    for name, data in about["experiments"].items():
        if name not in SECTIONS:
            raise ValueError(f"Unknown section {name!r}; known: {sorted(SECTIONS)}")
        yield importlib.import_module(SECTIONS[name]).card_section(**data)


def _source(about):
    paper = about["paper"]
    return (
        f"## Source\n\n{paper['authors']} ({paper['year']}), *{paper['title']}*, "
        f"{paper['reference']}. Weights: {about['licence']}."
    )


_BEGIN = "<!-- presets: written by `make readme` -->"
_END = "<!-- end of presets -->"


def presets_table():
    """Headline numbers of all shipped presets, Markdown: a table for each family."""
    from hedgezoo.presets import list_presets, metadata

    parts = []
    for family, members in grouped([metadata(name) for name in list_presets()]):
        columns = family.readme_headlines
        headings = " | ".join(
            column.heading.replace("-\n", "-").replace("\n", " ") for column in columns
        )
        lines = [
            f"**{family.title}**",
            "",
            f"| preset | what it is | {headings} |",
            "|---|---|" + "---:|" * len(columns),
        ]
        for about in members:
            cells = " | ".join(column.cell(about) for column in columns)
            lines.append(f"| `{about['name']}` | {about['description']} | {cells} |")
        parts.append("\n".join([*lines, "", textwrap.fill(family.readme_note, 100)]))
    return "\n\n".join(parts)


def readme_text(text):
    """The README with its table of presets brought up to date.

    Args:
        text: The README as it is.

    Returns:
        The README as it should be.

    Raises:
        ValueError: If the marks around the table are missing.
    """
    if _BEGIN not in text or _END not in text:
        raise ValueError(f"the README must contain the lines {_BEGIN!r} and {_END!r}")
    head, rest = text.split(_BEGIN)
    return f"{head}{_BEGIN}\n{presets_table()}\n{_END}{rest.split(_END)[1]}"
