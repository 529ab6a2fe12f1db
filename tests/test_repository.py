"""The checkout as others receive it: nothing of one machine in it, and a lock that fits."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = PYPROJECT["tool"]["setuptools"]["package-dir"].values()
LOCK = (ROOT / "requirements.lock").read_text()
PYTHONS = ("3.11", "3.12", "3.13")

# directories of one machine, and addresses of one package index (in brackets: not found here)
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home|tmp/w)(?:/|\b)")
INDEX = re.compile(r"[p]ypi\.org|[f]iles\.pythonhosted|--(?:extra-)?[i]ndex-url|--[f]ind-links")


def text_files():
    """Every text file of the checkout, walked as files so that this needs no git."""
    for name in ("README.md", "LICENSE", "Makefile", "pyproject.toml", ".gitignore", ".ci/run"):
        yield ROOT / name
    for folder in (*FOLDERS, "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".md", ".json", ".toml", ".txt", ".csv"}:
                yield path


def pins():
    """`{package: [(Requirement, number of hashes)]}` of the lock."""
    found = {}
    for entry in re.split(r"\n(?=[a-zA-Z])", re.sub(r"^ *#.*\n", "", LOCK, flags=re.MULTILINE)):
        requirement = Requirement(entry.partition("\\")[0].strip())
        hashes = len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))
        found.setdefault(canonical(requirement.name), []).append((requirement, hashes))
    return found


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_machine_and_no_index_is_named():
    for path in text_files():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            where = f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            assert not MACHINE.search(line), where
            assert not INDEX.search(line), where


def test_lock_has_versions_and_hashes_and_no_addresses():
    assert "//" not in LOCK
    assert not re.search(r"^\s*-(?!-hash=sha256:)", LOCK, re.MULTILINE), "an option in the lock"
    for entries in pins().values():
        for requirement, hashes in entries:
            assert re.fullmatch(r"==[^=*,]+", str(requirement.specifier)), requirement
            assert hashes >= 1, requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_satisfies_pyproject(python):
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    wanted = PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"]
    for requirement in map(Requirement, wanted):
        chosen = [
            pin
            for pin, _ in pins().get(canonical(requirement.name), [])
            if pin.marker is None or pin.marker.evaluate(environment)
        ]
        assert len(chosen) == 1, f"{requirement}: {chosen} in requirements.lock; run make lock"
        (version,) = [specifier.version for specifier in chosen[0].specifier]
        assert requirement.specifier.contains(version), f"{requirement} against {chosen[0]}"
