"""The paper's evaluation: what it measures, going on after a kill, and all of it in small."""

import dataclasses
import json

import numpy as np
import pytest

from hedgezoo.datasets.heston_panels import NOISE_CASES
from hedgezoo.experiments import heston_calibration_paper as experiment
from hedgezoo.experiments.finished_runs import FinishedRuns
from hedgezoo.experiments.heston_calibration import accuracy, claims, timing, training_runs
from hedgezoo.experiments.heston_calibration.sizes import FULL, QUICK
from hedgezoo.experiments.heston_calibration.training_cases import ABLATIONS, CONVERGENCE


@pytest.fixture(scope="module")
def panels():
    return accuracy.HeldOut.draw("plus_minus_15_bp", 24)


# ---------------------------------------------------------------------------------------- accuracy


def test_true_parameters_have_no_error_but_that_of_the_quotes(panels):
    numbers, maps = accuracy.judge(panels.parameters, panels, density_panels=4)
    assert numbers["rmse_bp"] < 1e-4
    assert numbers["chi_square"] == 0
    assert numbers["mape_percent"] < 1e-6
    noise = NOISE_CASES["plus_minus_15_bp"].deviation_bp
    assert numbers["rmse_to_quotes_bp"] == pytest.approx(noise, rel=0.05)
    assert numbers["centre_bp"] == pytest.approx(7.5, rel=0.1)  # of ± U[0, 15]
    assert all(value == pytest.approx(1) for value in numbers["pearson"].values())
    assert not any(numbers["parameter_rmse"].values())
    assert maps["to_clean"].shape == maps["to_quotes"].shape == (8, 10)
    assert maps["to_clean"].max() < 1e-4


def test_a_flat_error_is_measured_in_basis_points():
    """Black-Scholes panels fitted 20 bp too high."""
    panels = accuracy.HeldOut.draw("clean", 4)
    flat = np.tile([2.0, 0.09, 1e-6, -0.5, 0.09], (4, 1))
    panels = dataclasses.replace(
        panels,
        quotes=np.full((4, 8, 10), 0.3),
        exact=np.full((4, 8, 10), 0.3),
        mask=np.ones((4, 8, 10), bool),
        parameters=flat,
    )
    higher = flat * [1, (0.302 / 0.3) ** 2, 1, 1, (0.302 / 0.3) ** 2]
    with np.errstate(invalid="ignore"):  # parameters that do not vary have no correlation
        numbers, maps = accuracy.judge(higher, panels, density_panels=1)
    for name in ("rmse_bp", "median_bp", "rmse_to_quotes_bp", "centre_bp", "wings_bp"):
        assert numbers[name] == pytest.approx(20, abs=0.01), name
    assert numbers["mape_percent"] == pytest.approx(100 * 0.002 / 0.3, rel=1e-3)
    np.testing.assert_allclose(maps["to_clean"], 20, atol=0.05)


def test_levenberg_marquardt_is_told_how_exact_quotes_are():
    panels = accuracy.HeldOut.draw("inside_15_bp_spread", 3)
    found, seconds = accuracy.by_classical_method(panels)
    numbers, _ = accuracy.judge(found, panels, density_panels=1)
    assert numbers["median_bp"] < 1 < numbers["median_to_quotes_bp"] < 4
    assert (seconds > 0).all()


# ----------------------------------------------------------------------------------- training runs


def test_stored_panels_are_gone_through_once_per_epoch():
    stored = training_runs.StoredPanels(12, epochs=3)
    seen = []
    for step in range(9):
        inputs, targets = stored.simulate(0, 4, 4 * step)
        assert inputs["strikes"].shape == (4, 8, 10)
        assert inputs["maturities"].shape == (4, 8)
        seen.append(targets["parameters"].numpy())
    epochs = np.concatenate(seen).reshape(3, 12, 5)
    for epoch in epochs[1:]:
        assert not np.array_equal(epoch, epochs[0])
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(epochs[0], axis=0))
    stored.reorder(0, 3)
    np.testing.assert_array_equal(stored.simulate(0, 4)[1]["parameters"], seen[0])
    stored.reorder(1, 3)
    assert not np.array_equal(stored.simulate(0, 4)[1]["parameters"], seen[0])


def test_validation_knows_the_truth():
    validation = training_runs.Validation(16)
    found = validation.judge(validation.panels.parameters)
    assert found["rmse_bp"] < 1e-4
    assert found["correct_penalty"] < 1e-6  # Heston's prices are free of arbitrage
    assert found["paper_penalty"] > 1e-4  # which is not what is printed
    moved = validation.panels.parameters * [1, 1.1, 1, 1, 1.1]
    assert validation.judge(moved)["rmse_bp"] > 50


def test_runs_cover_what_the_paper_compares():
    assert set(FULL.convergence) == set(CONVERGENCE)
    assert {case.initial_weight for case in ABLATIONS.values() if case.penalty} == {
        1,
        10,
        100,
        1000,
    }
    assert all(case.decay == 1 for case in ABLATIONS.values() if case.penalty)
    changed = [case.options for case in ABLATIONS.values() if case.options]
    assert changed == [{"blocks": 1}, {"positions": False}]
    assert len(FULL.seeds) == 3


def test_finished_runs_are_kept_by_their_settings(tmp_path):
    runs = FinishedRuns(tmp_path / "runs")
    answers = iter([[1.0], [2.0]])
    assert runs.result("a", {"seed": (0,)}, lambda: next(answers)) == ([1.0], False)
    assert runs.result("a", {"seed": (0,)}, lambda: next(answers)) == ([1.0], True)
    assert runs.result("a", {"seed": (1,)}, lambda: next(answers)) == ([2.0], False)
    assert FinishedRuns(None).result("a", {}, lambda: 3) == (3, False)


def test_a_killed_experiment_goes_on_where_it_was(tmp_path, monkeypatch):
    made, limit = [], 3

    def train(case, panels, validation, epochs, batch_size, seed):
        if len(made) == limit:
            raise KeyboardInterrupt
        made.append((case.name, seed))
        return {
            "rmse_bp": [1.0 + len(made)] * epochs,
            "correct_penalty": [0.0],
            "paper_penalty": [0.0],
            "cpu_seconds": 1.0,
        }

    monkeypatch.setattr(training_runs, "train", train)
    sizes = dataclasses.replace(QUICK, seeds=(0, 1), ablations=("one_block",))
    arguments = {"stored": list, "say": lambda text: None}
    with pytest.raises(KeyboardInterrupt):
        experiment.training(sizes, FinishedRuns(tmp_path), **arguments)
    limit = 100
    found = experiment.training(sizes, FinishedRuns(tmp_path), **arguments)
    assert made == [
        *(("proposed", 0), ("proposed", 1)),
        *(("baseline", 0), ("baseline", 1)),
        ("one_block", 0),
    ]
    assert [run["rmse_bp"][-1] for run in found["convergence"]["baseline"]] == [4.0, 5.0]
    assert found["cpu_seconds"] == 5
    assert experiment.training(sizes, FinishedRuns(tmp_path), **arguments) == found


# ------------------------------------------------------------------------------------------ times


def test_classical_methods_are_timed_one_panel_after_the_other(panels, tmp_path):
    arrays = {"quotes": panels.quotes, "mask": panels.mask, "spread": panels.spread}
    np.savez(tmp_path / "panels.npz", **arrays)
    request = {"networks": {}, "counts": {"levenberg_marquardt": 4}, "at_once": 8}
    (tmp_path / "request.json").write_text(json.dumps(request))
    timing.answer(tmp_path)
    found = json.loads((tmp_path / "answer.json").read_text())["levenberg_marquardt"]
    assert len(found["seconds"]) == len(found["cpu_seconds"]) == 4
    assert min(found["seconds"]) > 0
    assert all(found["converged"])
    assert np.median(found["rms_bp"]) == pytest.approx(8.4, rel=0.15)


# ------------------------------------------------------------------------------------ all of it


@pytest.mark.slow
def test_in_small(tmp_path):
    from hedgezoo.experiments.results import read_numbers

    output = tmp_path / "x"
    numbers = experiment.run(output, quick=True)
    assert json.loads(json.dumps(numbers)) == read_numbers(output)
    figures = ["1", "2_paper", "2_refined", "3", "4", "5"]
    assert sorted(path.name for path in output.iterdir()) == [
        *(f"figure_{number}.png" for number in figures),
        "numbers.json",
    ]
    assert list(numbers["accuracy"]) == list(NOISE_CASES)
    for methods in numbers["accuracy"].values():
        for found in methods.values():
            assert np.isfinite(list(found["pearson"].values())).all()
            assert np.isfinite([found["rmse_bp"], found["mape_percent"], found["chi_square"]]).all()
    # a network that has not learned anything, refined, is as good as least squares
    clean = numbers["accuracy"]["clean"]
    assert clean["refined"]["median_bp"] < 0.01 < 100 < clean["paper"]["median_bp"]
    assert set(numbers["times"]["methods"]) == {
        *("paper", "paper_batched"),
        *("levenberg_marquardt", "l_bfgs_b"),
    }
    assert sorted(path.name for path in (tmp_path / "x.runs" / "quick").iterdir()) == [
        "baseline-0-2.json",
        "proposed-0-2.json",
    ]
    text = experiment.card_section(**numbers)
    assert text.count("| claim of the paper | measured |") == 1
    assert len(claims.rows(**numbers)) == 8
    assert "28 bp" in text
    assert "nan" not in text
