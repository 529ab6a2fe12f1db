"""The mapped folders as an installed package: wheel, sdist, editable install, and their guards."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import hedgezoo

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = PYPROJECT["tool"]["setuptools"]["package-dir"]
CACHES = shutil.ignore_patterns("__pycache__", "*.pyc")
# unrelated packages whose names are those of our folders, as a user may have them installed
NEIGHBOURS = ("datasets", "layers", "losses")


def run(*command, cwd):
    """Output of a command that must succeed, with no trace of this checkout in its environment."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV")
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command} exits {done.returncode}:\n{done.stdout}"
    return done.stdout


def files_in(folder):
    """Every file below a folder that is not a cache, as relative paths."""
    return {
        path.relative_to(folder)
        for path in Path(folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def copy_sources(folder):
    """A copy of what a build reads, so that it leaves nothing behind in the real checkout."""
    for name in ("pyproject.toml", PYPROJECT["project"]["readme"], "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in (*FOLDERS.values(), "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=CACHES)
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copy_sources(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def archives(checkout, tmp_path_factory):
    """The source distribution, and the wheel built from it."""
    stray = checkout / "saved_models" / "__pycache__" / "stray.pyc"
    stray.parent.mkdir()
    stray.write_bytes(b"")
    folder = tmp_path_factory.mktemp("dist")
    run(
        *(sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", folder, checkout),
        cwd=folder,
    )
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def install(folder, *arguments):
    """A fresh environment with this package installed, without downloads; returns its Python.

    Its dependencies are those of the running environment, at the end of the module search path.
    (A `.pth` file found there is not read, so the running environment's own hedgezoo is not seen.)
    """
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder)[:-1])
    current = sysconfig.get_paths()
    (site / "dependencies.pth").write_text(f"{current['purelib']}\n{current['platlib']}\n")
    for name in NEIGHBOURS:
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("NEIGHBOUR = True\n")
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", "--quiet")
    run(python, "-m", "pip", "install", *options, *arguments, cwd=folder)
    return python


# Prints where each sub-package of ours was loaded from.
PROBE = f"""
import importlib
for name in {NEIGHBOURS}:
    assert importlib.import_module(name).NEIGHBOUR, name
for name in {sorted(FOLDERS)}:
    module = importlib.import_module(name)
    assert module.__name__ == name
    print(name, module.__file__, sep="=")
"""


def locations(output):
    pairs = (line.partition("=")[::2] for line in output.splitlines() if "=" in line)
    return {name: Path(path).resolve() for name, path in pairs if name in FOLDERS}


def test_every_package_is_listed():
    found = {
        ".".join([name, *path.relative_to(ROOT / folder).parent.parts])
        for name, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert found == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_every_module_belongs_to_a_package():
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), f"{path}: no __init__.py beside it"


def test_version_is_stated_once():
    assert PYPROJECT["project"]["version"] == hedgezoo.__version__


@pytest.mark.multiprocess
@pytest.mark.parametrize("folder", ["layers", "losses", "datasets", "saved_models"])
def test_folder_refuses_its_bare_name(folder):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, "-c", f"import {folder}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert f"ImportError: {folder}/ is the source of hedgezoo.{folder}" in done.stderr


@pytest.mark.multiprocess
def test_wheel_holds_the_five_folders_and_nothing_else(checkout, archives):
    sdist, wheel = archives
    expected = {
        "/".join([*name.split("."), *path.parts])
        for name, folder in FOLDERS.items()
        for path in files_in(checkout / folder)
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"hedgezoo-{hedgezoo.__version__}.dist-info"
        assert {name for name in names if not name.startswith(f"{info}/")} == expected
        assert f"{info}/licenses/LICENSE" in names
        assert "hedgezoo = hedgezoo.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
        metadata = archive.read(f"{info}/METADATA").decode()
        assert "License-Expression: Apache-2.0" in metadata
        assert "Requires-Python: <3.14,>=3.11" in metadata
    with tarfile.open(sdist) as archive:
        inside = {Path(*Path(name).parts[1:]).as_posix() for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md"} <= inside
    assert all((folder + "/__init__.py") in inside for folder in FOLDERS.values())


@pytest.mark.multiprocess
@pytest.mark.slow
def test_wheel_beside_packages_of_the_same_names(archives, tmp_path):
    python = install(tmp_path / "venv", archives[1])
    found = locations(run(python, "-c", PROBE, cwd=tmp_path))
    assert set(found) == set(FOLDERS)
    site = (tmp_path / "venv").resolve()
    assert all(site in path.parents for path in found.values()), found
    assert "evaluate" in run(python.with_name("hedgezoo"), "--help", cwd=tmp_path)


@pytest.mark.multiprocess
@pytest.mark.slow
def test_editable_install_beside_packages_of_the_same_names(tmp_path):
    checkout = copy_sources(tmp_path)
    python = install(tmp_path / "venv", "--editable", checkout)
    # written after the install: a module and a sub-package in a mapped folder
    (checkout / "layers" / "added_later.py").write_text("VALUE = 17\n")
    (checkout / "zoo" / "added_later").mkdir()
    (checkout / "zoo" / "added_later" / "__init__.py").write_text("VALUE = 18\n")
    probe = PROBE + (
        "import hedgezoo.added_later, hedgezoo.layers.added_later\n"
        "assert (hedgezoo.layers.added_later.VALUE, hedgezoo.added_later.VALUE) == (17, 18)\n"
    )
    found = locations(run(python, "-P", "-c", probe, cwd=tmp_path))
    assert found == {
        name: (checkout / folder / "__init__.py").resolve() for name, folder in FOLDERS.items()
    }
