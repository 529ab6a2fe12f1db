"""Results of long runs, kept so that a killed experiment goes on where it was."""

import json
import pathlib

from hedgezoo.presets import json_text, write_text


class FinishedRuns:
    """A folder with a JSON file for each finished run: what it was asked, and what came out.

    Args:
        folder: The folder, made when the first run is done; None to keep nothing.
    """

    def __init__(self, folder):
        self.folder = None if folder is None else pathlib.Path(folder)

    def result(self, name, settings, compute):
        """The result of a run, from the folder if it is there, else computed and put there.

        A file of other settings is not a result: the run is made again.

        Args:
            name: Of the file.
            settings: Everything that decides the result, values that JSON can hold.
            compute: Function without arguments that returns values that JSON can hold.

        Returns:
            Tuple of the result and of whether it was there.
        """
        settings = json.loads(json.dumps(settings))  # as it comes back from a file
        path = None if self.folder is None else self.folder / f"{name}.json"
        if path is not None and path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["settings"] == settings:
                return kept["result"], True
        result = json.loads(json.dumps(compute()))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json_text({"settings": settings, "result": result}))
        return result, False
