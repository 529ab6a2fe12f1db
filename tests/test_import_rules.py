"""Who may import what: one direction, absolute names, nothing slow before it is needed."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
# package -> packages of ours that it may import
ALLOWED = {
    "hedgezoo.layers": {"hedgezoo.layers"},
    "hedgezoo.losses": {"hedgezoo.losses"},
    "hedgezoo.datasets": {"hedgezoo.datasets", "hedgezoo.layers"},
    "hedgezoo.saved_models": set(),
    "hedgezoo": set(FOLDERS),
}
# what a module may import while it is itself imported; anything else waits inside a function
EAGER = {"hedgezoo", "keras", "numpy", "tensorflow"}
EAGER_IN = {"zoo/cli.py": {"rich", "typer"}}  # the command line is built from them; 0.2 s together
SLOW = ("keras", "tensorflow", "scipy", "matplotlib", "pandas")
SOURCES = [
    pytest.param(name, path, id=path.relative_to(ROOT).as_posix())
    for name, folder in FOLDERS.items()
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def package_of(module):
    """The package of ours a module belongs to, or None."""
    owners = [name for name in FOLDERS if module == name or module.startswith(f"{name}.")]
    return max(owners, key=len, default=None)


def imports(nodes):
    """Yields `(line, level, module)` of each import; for `from a import b` both `a` and `a.b`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # `from hedgezoo import layers` reaches hedgezoo.layers, not hedgezoo alone
            inner = [f"{module}.{alias.name}" for alias in node.names]
            reached = [name for name in inner if name in FOLDERS]
            for name in reached or [module]:
                yield node.lineno, node.level, name


def run_on_import(tree):
    """Nodes executed when the module is imported: all but function bodies and type-only blocks."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        pending.extend(ast.iter_child_nodes(node))


def broken_rules(package, path, source):
    """Descriptions of every import in `source` that breaks a rule."""
    tree = ast.parse(source, filename=str(path))
    found = []
    for line, level, module in imports(ast.walk(tree)):
        owner = package_of(module)
        if level:
            found.append(f"line {line}: relative import; write the whole name")
        elif module.partition(".")[0] in FOLDERS.values():
            found.append(f"line {line}: {module} is a folder here; import it as hedgezoo.{module}")
        elif owner is not None and owner not in ALLOWED[package]:
            found.append(f"line {line}: {package} may not import {module}")
    # a folder's bare name is reported above
    eager = EAGER | EAGER_IN.get(path, set()) | sys.stdlib_module_names | set(FOLDERS.values())
    for line, level, module in imports(run_on_import(tree)):
        if not level and module.partition(".")[0] not in eager:
            found.append(f"line {line}: import {module} inside the function that needs it")
    return found


@pytest.mark.parametrize(("package", "path"), SOURCES)
def test_imports(package, path):
    found = broken_rules(package, path.relative_to(ROOT).as_posix(), path.read_text())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name)
def test_tests_import_by_whole_names(path):
    for line, level, module in imports(ast.walk(ast.parse(path.read_text()))):
        assert level == 0, f"line {line}: relative import"
        assert module.partition(".")[0] not in FOLDERS.values(), f"line {line}: {module}"


@pytest.mark.parametrize(
    ("package", "source", "culprit"),
    [
        ("hedgezoo.losses", "from hedgezoo.layers.trading_gains import trading_gains", "may not"),
        ("hedgezoo.losses", "from hedgezoo import layers", "may not"),
        ("hedgezoo.layers", "import hedgezoo", "may not"),
        ("hedgezoo.layers", "def f():\n    from hedgezoo.training import fit", "may not"),
        ("hedgezoo.datasets", "import hedgezoo.losses", "may not"),
        ("hedgezoo.datasets", "from datasets.market import Market", "is a folder here"),
        ("hedgezoo", "from .training import fit", "relative"),
        ("hedgezoo", "from . import training", "relative"),
        ("hedgezoo", "import scipy.stats", "inside the function"),
        ("hedgezoo", "try:\n    import typer\nexcept ImportError:\n    raise", "inside"),
        ("hedgezoo", "class A:\n    from rich import print", "inside the function"),
    ],
)
def test_rules_see(package, source, culprit):
    (found,) = broken_rules(package, "zoo/some_module.py", source)
    assert culprit in found


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("hedgezoo.datasets", "from hedgezoo.layers.black_scholes import european_delta"),
        ("hedgezoo", "import json\nimport keras\nfrom hedgezoo import datasets"),
        ("hedgezoo", "def f():\n    import matplotlib.pyplot as plt\n    return plt"),
        ("hedgezoo", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import rich"),
    ],
)
def test_rules_allow(package, source):
    assert broken_rules(package, "zoo/some_module.py", source) == []


# what answers at once: none of SLOW is imported, and start to finish takes under a second of CPU
@pytest.mark.multiprocess
@pytest.mark.parametrize(
    "arguments",
    [[], ["list"], ["info", "no_transaction_band_european_v1"], ["experiment", "list"]],
    ids=" ".join,
)
def test_front_door_is_light(run_python, arguments):
    output = run_python(
        f"""
        import sys, time
        import hedgezoo
        sys.argv[1:] = {arguments}
        if sys.argv[1:]:
            from hedgezoo.cli import main
            try:
                main()
            except SystemExit as exit:
                assert not exit.code, exit.code
        print()
        print([name for name in {SLOW} if name in sys.modules], time.process_time())
        """
    )
    imported, seconds = output.splitlines()[-1].rsplit(maxsplit=1)
    assert imported == "[]"
    assert float(seconds) < 1.0
