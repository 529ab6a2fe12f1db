"""The experiment on thin, noisy surfaces: what it compares, and that it can be resumed."""

import dataclasses
import json

import numpy as np
import pytest

from hedgezoo import experiments
from hedgezoo.experiments import neural_sde_overfitting as overfitting
from hedgezoo.experiments.finished_runs import FinishedRuns


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("experiments") / "thin"
    experiments.run(overfitting.NAME, output, quick=True)
    return output


def test_quick_run_writes_everything(folder):
    written = sorted(path.name for path in folder.iterdir())
    assert written == ["numbers.json", "overfitting.png", "table.md"]
    kept = sorted(path.name for path in (folder.parent / "thin.runs" / "quick").iterdir())
    assert kept == ["early_stopping-1.json", "none-1.json", "relu-1.json"]
    numbers = json.loads((folder / "numbers.json").read_text())["numbers"]
    none = numbers["arms"]["none"]["mean"]
    # as many weights as it takes: the noise is met, the surface behind it is not
    assert none["fitted_bp"] < 15
    assert none["same_bp"] > 20
    assert none["least_volatility"] < 0.2 < none["most_volatility"]
    assert numbers["settings"]["noise_bp"] == 30.0
    text = (folder / "table.md").read_text()
    assert "15 quotes of the Heston surface with 30 bp of noise; 1 seeds" in text
    assert f"| none, to the minimum | {none['fitted_bp']:.1f} |" in text
    assert "The closest to the surface" in text or "No regularisation helped" in text


def test_a_second_run_computes_nothing(folder, monkeypatch):
    monkeypatch.setattr(overfitting, "trained", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(overfitting, "by_activation", lambda *_: pytest.fail("trained again"))
    before = (folder / "numbers.json").read_text()
    experiments.run(overfitting.NAME, folder, quick=True)
    assert (folder / "numbers.json").read_text() == before


def test_other_sizes_are_other_runs(tmp_path, monkeypatch):
    asked = []

    def trained(sizes, arm, seed):
        asked.append((sizes.steps, arm, seed))
        return {
            "fitted_bp": 1.0,
            "same_bp": 2.0,
            "elsewhere_bp": 3.0 if arm == "none" else 2.0,
            "least_volatility": 0.1,
            "most_volatility": 0.3,
            "cpu_seconds": 1.0,
        }

    result = {"error_bp": 4.0, "curve": [[1, 4.0]], "cpu_seconds": 1.0}
    monkeypatch.setattr(overfitting, "trained", trained)
    monkeypatch.setattr(overfitting, "by_activation", lambda *_: result)
    small = dataclasses.replace(overfitting.QUICK, seeds=(1, 2), arms=("none", "dropout"))
    said = []
    for sizes in (small, small, dataclasses.replace(small, steps=5)):
        runs = FinishedRuns(tmp_path)
        numbers = overfitting.measure(sizes, runs, seed=10, say=said.append)
    assert len(asked) == 8
    assert asked[0] == (4, "none", 11)
    assert sum("(kept)" in line for line in said) == 4
    assert "dropout, 2.0 bp instead of 3.0 bp" in overfitting.verdict(numbers["arms"])
    assert "better in 2 of 2 runs" in overfitting.verdict(numbers["arms"])
    numbers["arms"]["dropout"]["mean"]["elsewhere_bp"] = 9.0
    assert overfitting.verdict(numbers["arms"]).startswith("No regularisation helped")


def test_elsewhere_is_the_rest_of_the_surface():
    rest = overfitting.elsewhere()
    assert len(rest) == 126 - 15
    seen = np.isclose(np.asarray(rest.maturities)[:, None], overfitting.MATURITIES).any(axis=1)
    strikes = np.asarray(rest.strikes)[seen]
    assert not np.isclose(strikes[:, None], overfitting.STRIKES).any()
