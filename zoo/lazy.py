"""Packages whose names are imported when they are first used, so that importing one is quick."""

import importlib
import sys


def lazy_names(package, homes, modules=()):
    """The functions `__getattr__` and `__dir__` of a package.

    Args:
        package: Its `__name__`.
        homes: Dictionary from a name to the module that defines it.
        modules: Names of modules of the package that are attributes, too.

    Returns:
        Pair of functions.
    """

    def attribute(name):
        if name in homes:
            value = getattr(importlib.import_module(homes[name]), name)
        elif name in modules:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    def names():
        return sorted({*vars(sys.modules[package]), *homes, *modules})

    return attribute, names
