"""Experiments: found by name, written whole or not at all, never over something else."""

import importlib
import inspect
import json
import sys
import types

import pytest
from typer.testing import CliRunner

from hedgezoo import cli, experiments
from hedgezoo.experiments import EXPERIMENTS, Experiment
from hedgezoo.experiments.results import read_numbers, results_folder, write_numbers


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_protocol(name):
    parameters = inspect.signature(importlib.import_module(EXPERIMENTS[name].module).run).parameters
    assert list(parameters)[:4] == ["output", "quick", "seed", "console"]
    defaults = [parameters[key].default for key in ("quick", "seed", "console")]
    assert defaults == [False, 0, None]
    # more than the command line passes may be there for callers from Python
    assert all(rest.default is not rest.empty for rest in list(parameters.values())[4:])


def test_results_are_replaced_as_a_whole(tmp_path):
    output = tmp_path / "a" / "b"
    for number in (1, 2):
        with results_folder(output, "mine") as folder:
            (folder / f"figure_{number}.png").write_bytes(b"")
            write_numbers(folder, "mine", {"error": number})
    assert read_numbers(output) == {"error": 2}
    assert sorted(path.name for path in output.iterdir()) == ["figure_2.png", "numbers.json"]
    assert [path.name for path in output.parent.iterdir()] == ["b"]


def test_a_failed_run_leaves_what_was_there(tmp_path):
    with results_folder(tmp_path / "x", "mine") as folder:
        write_numbers(folder, "mine", {"error": 1})
    with pytest.raises(ZeroDivisionError), results_folder(tmp_path / "x", "mine") as folder:
        write_numbers(folder, "mine", {"error": 1 / 0})
    assert read_numbers(tmp_path / "x") == {"error": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    "content", [None, "not json", '["numbers"]', '{"experiment": "another", "numbers": {}}']
)
def test_what_another_has_written_is_not_replaced(tmp_path, content):
    kept = tmp_path / ("thesis.tex" if content is None else "numbers.json")
    kept.write_text(content or "years of work")
    with pytest.raises(ValueError, match="not an empty directory"):
        results_folder(tmp_path, "mine")
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


@pytest.fixture
def pretend(monkeypatch):
    """An experiment that says what it was asked."""

    def run(output, quick=False, seed=0, console=None):
        numbers = {"quick": quick, "seed": seed}
        with results_folder(output, "pretend") as folder:
            (folder / "figure.png").write_bytes(b"")
            write_numbers(folder, "pretend", numbers)
        return numbers

    module = types.ModuleType("pretended_experiment")
    module.run = run
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(EXPERIMENTS, "pretend", Experiment(module.__name__, "Of nothing"))


def command(*arguments, status=0):
    result = CliRunner().invoke(
        cli.app, ["experiment", *map(str, arguments)], env={"COLUMNS": "120"}
    )
    assert result.exit_code == status, result.output
    return result


def test_run_by_name(pretend, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert experiments.run("pretend", quick=True) == {"quick": True, "seed": 0}
    assert read_numbers(tmp_path / "experiments" / "pretend") == {"quick": True, "seed": 0}


def test_command_lists_and_runs(pretend, tmp_path):
    for output in (command().stdout, command("list").stdout):
        for name, experiment in EXPERIMENTS.items():
            (line,) = (line for line in output.splitlines() if name in line.split())
            assert experiment.description in line
    output = command("pretend", "--output", tmp_path / "x", "--seed", 7).stdout
    assert output.splitlines() == [
        f"Wrote {tmp_path / 'x' / name}" for name in ("figure.png", "numbers.json")
    ]
    content = json.loads((tmp_path / "x" / "numbers.json").read_text())
    assert content == {"experiment": "pretend", "numbers": {"quick": False, "seed": 7}}


def test_unknown_experiment_is_one_line(tmp_path):
    (line,) = command("no_transaction_band_papr", status=2).stderr.splitlines()
    assert line.startswith("Error: Unknown experiment")
    assert "Did you mean 'no_transaction_band_paper'" in line
