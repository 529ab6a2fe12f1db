"""Where the files of this package lie once it is installed."""

import importlib.resources


def shipped(name):
    """The file `name` of this package, to be opened like a path."""
    return importlib.resources.files("hedgezoo.datasets.market_data").joinpath("files", name)
