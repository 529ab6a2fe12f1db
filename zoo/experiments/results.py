"""Where an experiment leaves its figures and numbers: a folder that is whole or not there."""

import json
import pathlib

from hedgezoo.presets import json_text, new_directory, write_text

NUMBERS = "numbers.json"


class results_folder(new_directory):
    """Context that fills a temporary folder and renames it to `output` when all went well.

    Args:
        output: Where to. An earlier result of the same experiment is replaced as a whole.
        experiment: Name of the experiment.

    Raises:
        ValueError: If `output` is something else than an empty folder or an earlier result.

    Example:

    ```python
    with results_folder("experiments/mine", "mine") as folder:
        write_numbers(folder, "mine", {"error": 0.01})
    ```
    """

    def __init__(self, output, experiment):
        super().__init__(output, replace=_written_by(pathlib.Path(output), experiment))


def keep_results(output, experiment, evaluate, quick=False, seed=0, console=None, text=None):
    """Runs an experiment that can resume, and leaves its figures and numbers in a folder.

    Args:
        output: Folder. Parts that are finished are kept beside it, in `<output>.runs`.
        experiment: Name of the experiment.
        evaluate: Function of (directory, store, quick, seed, console) that draws the figures into
            the directory and returns the numbers; finished parts are in the folder `store`.
        quick, seed, console: Passed on.
        text: Optional pair of a file name and a function of the numbers, as keywords, to its text.

    Returns:
        Dictionary of numbers.
    """
    output = pathlib.Path(output)
    store = output.with_name(f"{output.name}.runs") / ("quick" if quick else "full")
    with results_folder(output, experiment=experiment) as folder:
        numbers = evaluate(folder, store, quick, seed, console)
        if text is not None:
            write_text(pathlib.Path(folder) / text[0], text[1](**numbers) + "\n")
        write_numbers(folder, experiment, numbers)
    return numbers


def card_report(experiment, evaluate):
    """A recipe's `report` that runs an experiment for the card, whatever the model is.

    Args:
        experiment: Name of the experiment.
        evaluate: As in `keep_results`.

    Returns:
        Function like `hedgezoo.recipe.Recipe.report`.
    """

    def report(recipe, model, directory, checkpoint=None):
        del recipe, model
        figures = pathlib.Path(directory) / "figures"
        figures.mkdir(exist_ok=True)
        store = None if checkpoint is None else pathlib.Path(checkpoint) / experiment
        return {"experiments": {experiment: evaluate(figures, store)}}

    return report


def write_numbers(folder, experiment, numbers):
    """Writes the numbers of an experiment, `numbers.json`.

    Args:
        folder: What `results_folder` gave.
        experiment: Name of the experiment.
        numbers: Dictionary of values that JSON can hold.
    """
    text = json_text({"experiment": experiment, "numbers": numbers})
    write_text(pathlib.Path(folder) / NUMBERS, text)


def read_numbers(folder):
    """The dictionary that `write_numbers` wrote."""
    return json.loads((pathlib.Path(folder) / NUMBERS).read_text(encoding="utf-8"))["numbers"]


def _written_by(folder, experiment):
    try:
        content = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("experiment") == experiment
