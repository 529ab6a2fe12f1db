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
