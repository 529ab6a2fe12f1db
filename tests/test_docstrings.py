"""Docstrings: their examples run, and they say what the arguments are and what is refused."""

import ast
import doctest
import importlib
import inspect
import re
import textwrap
import tomllib
from pathlib import Path

import keras
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# set by every Keras layer, loss or initializer, and explained there
COMMON = {"self", "name", "dtype", "reduction", "trainable"}


def modules():
    """Names of all modules of the package, found as files: its folders lie side by side."""
    for name, folder in sorted(FOLDERS.items()):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join([name, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def public(package):
    """`(name, object)` of the functions and classes in `__all__`."""
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            yield f"{package}.{name}", thing


def section(docstring, title):
    """Text of the section `Title:` of a docstring, or None."""
    match = re.search(rf"^{title}:\n((?:[ \t]+.*\n|\n)+)", f"{docstring}\n", re.MULTILINE)
    return match and match[1]


def raises(thing):
    """Whether the code of a function, or of a class's own methods, raises ValueError."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    return any(
        isinstance(node, ast.Raise)
        and node.exc is not None
        and "ValueError" in ast.unparse(node.exc)
        for node in ast.walk(tree)
    )


def missing(thing):
    """What the docstring of a public function or class leaves out."""
    docstring = inspect.cleandoc(thing.__doc__ or "")
    if not docstring:
        return ["a docstring"]
    found = []
    if not docstring.partition("\n\n")[0].rstrip().endswith("."):
        found.append("a summary that ends with a full stop")
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return found
    # Keras wraps __new__, which hides a class's own signature
    call = thing.__init__ if inspect.isclass(thing) else thing
    arguments = [
        parameter.name
        for parameter in inspect.signature(call).parameters.values()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name not in COMMON
    ]
    explained = section(docstring, "Args") or section(docstring, "Arguments") or ""
    found += [f"{name} in Args" for name in arguments if not re.search(rf"\b{name}\b", explained)]
    if raises(thing) and section(docstring, "Raises") is None:
        found.append("Raises")
    return found


@pytest.mark.parametrize("name", list(modules()))
def test_examples(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    keras.utils.set_random_seed(0)
    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


@pytest.mark.parametrize("package", sorted(FOLDERS))
def test_sections(package):
    lacking = {name: missing(thing) for name, thing in public(package)}
    assert not any(lacking.values()), "\n".join(
        f"{name} lacks {', '.join(items)}" for name, items in lacking.items() if items
    )


def test_missing_sees_what_is_missing():
    def good(strike):
        """Doubles a strike.

        Args:
            strike: in money.

        Raises:
            ValueError: if `strike` is negative.
        """
        if strike < 0:
            raise ValueError("strike")
        return 2 * strike

    class Silent(keras.layers.Layer):
        """A layer."""

        def __init__(self, strike, **kwargs):
            super().__init__(**kwargs)
            self.strike = strike

    def bad(strike, maturity):
        """Doubles

        Args:
            strike: in money.
        """
        if strike < 0:
            raise ValueError("strike")
        return 2 * strike

    assert missing(good) == []
    assert missing(bad) == ["a summary that ends with a full stop", "maturity in Args", "Raises"]
    assert missing(Silent) == ["strike in Args"]
    assert missing(lambda strike: strike) == ["a docstring"]
