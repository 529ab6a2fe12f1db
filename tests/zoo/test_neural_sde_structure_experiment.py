"""The experiment on known dynamics: a small run, its files, its claims and its card."""

import copy
import json

import numpy as np
import pytest

from hedgezoo import experiments
from hedgezoo.cards import SECTIONS
from hedgezoo.experiments import neural_sde_cases, neural_sde_structure
from hedgezoo.experiments.neural_sde_claims import card_section, gates
from hedgezoo.experiments.results import read_numbers
from hedgezoo.layers import dupire_quotes

NAME = "neural_sde_structure"


@pytest.mark.parametrize("name", neural_sde_cases.CASES)
def test_the_truth_of_a_case_has_its_prices(name):
    case = neural_sde_cases.CASES[name]
    quotes = case.quotes().where(low_strike=0.9, high_strike=1.1)
    calls = dupire_quotes(case.volatility, quotes.strikes, quotes.maturities)
    errors = quotes.volatility_of(calls) - quotes.implied_volatility
    assert np.sqrt(np.mean(errors**2)) < 0.5e-4
    if case.variance is not None:
        assert case.variance(0.0) == pytest.approx(case.volatility(0.0, 0.0) ** 2, rel=1e-3)


def test_exact_slope():
    case = neural_sde_cases.CASES["cev"]
    np.testing.assert_allclose(
        neural_sde_structure.exact_slope(case.volatility, [0.5, 1.0]), -0.1, rtol=1e-6
    )


@pytest.mark.slow
def test_quick_run(tmp_path, monkeypatch):
    output = tmp_path / "out"
    results = experiments.run(NAME, output, quick=True)
    stored = json.loads((output / "numbers.json").read_text())["numbers"]
    assert stored == read_numbers(output) == json.loads(json.dumps(results))
    assert {path.stem for path in output.glob("*.png")} >= {
        "learned_volatility",
        "learned_leverage",
        "learned_mean_reversion",
        "learned_memory",
        "slices_heston",
    }
    # a small network and five steps find most of it
    found = {gate["claim"]: gate for gate in results["gates"]}
    assert len(found) == 10
    for claim, gate in found.items():
        if not claim.startswith(("history", "Heston: slope")):
            assert gate["passed"], gate
    text = card_section(**stored)
    assert all(claim in text for claim in found)
    assert all(f"figures/{name}.png" in text for name in ("slices_heston", "learned_memory"))

    # what is calibrated is kept; other settings are another calibration
    def refuse(*arguments, **options):
        raise AssertionError("calibrated again")

    case = neural_sde_cases.CASES["cev"]
    from hedgezoo.experiments.finished_runs import FinishedRuns
    from hedgezoo.neural_sde import NeuralSDE

    monkeypatch.setattr(NeuralSDE, "calibrate", refuse)
    runs = FinishedRuns(tmp_path / "out.runs" / "quick")
    sizes = neural_sde_cases.QUICK
    model, summary, kept = neural_sde_cases.calibrated(case, sizes, 0, runs, "cev")
    assert kept
    assert summary == results["cases"]["cev"]["calibration"]
    assert float(model.diffusion(0.8, 0.5)) == pytest.approx(0.2 / np.sqrt(0.8), rel=0.02)
    with pytest.raises(AssertionError, match="again"):
        neural_sde_cases.calibrated(case, sizes, 1, runs, "cev")


def known_numbers():
    """Numbers of an experiment that found the truth."""
    structure = {
        "rms_within_1_deviation": 0.001,
        "rms_within_2_deviations": 0.002,
        "slope": [-0.5, -0.4, -0.3],
        "exact_slope": [-0.5, -0.4, -0.3],
        "elasticity": 0.5,
        "kappa": 3.0,
        "theta": 0.04,
        "variance_moved": 0.5,
        "variance_rms": 0.001,
        "martingale_z": 1.0,
    }
    calibration = {"pde_error_bp": 0.1, "error_bp": 3.0, "cpu_seconds": 30.0}
    cases = {
        name: {"title": case.title, "calibration": dict(calibration), "structure": dict(structure)}
        for name, case in neural_sde_cases.CASES.items()
    }
    cases["black_scholes"]["structure"]["slope"] = [0.0, 0.0, 0.0]
    memory = {
        "lags": [1, 5, 20, 60],
        "clustering": {
            name: {"value": [0.2, 0.19, 0.15, 0.1]} for name in ("Heston", "neural SDE")
        },
    }
    return cases, memory


@pytest.mark.parametrize(
    ("case", "key", "value", "claims"),
    [
        (None, None, None, []),
        ("cev", "elasticity", 0.56, ["CEV: elasticity"]),
        ("cev", "rms_within_1_deviation", 0.011, ["CEV: σ within ±1"]),
        ("heston", "slope", [-0.5, -0.44, -0.34], ["Heston: slope"]),
        ("heston", "rms_within_2_deviations", 0.09, ["Heston: σ within ±2"]),
        ("black_scholes", "slope", [0.0, -0.03, 0.0], ["placebo"]),
        ("reverting", "kappa", None, ["mean reversion: speed"]),
        ("reverting", "kappa", 3.7, ["mean reversion: speed"]),
        ("reverting", "variance_rms", 0.06, ["mean reversion: expected"]),
        ("reverting", "martingale_z", 3.2, ["martingale"]),
        ("memory", "neural SDE", [0.2, 0.19, 0.09, 0.1], ["history"]),
    ],
)
def test_gates(case, key, value, claims):
    cases, memory = copy.deepcopy(known_numbers())
    if case == "memory":
        memory["clustering"][key]["value"] = value
    elif case is not None:
        cases[case]["structure"][key] = value
    found = gates(cases, memory)
    missed = [gate["claim"] for gate in found if not gate["passed"]]
    assert len(missed) == len(claims)
    assert all(claim.startswith(begin) for claim, begin in zip(missed, claims, strict=True))
    json.dumps(found, allow_nan=False)
    settings = {"units": [64, 64], "seed": 0, "history_years": 20.0}
    text = card_section(settings, cases, memory, found)
    assert text.count("**missed**") == len(claims)
    assert text.count("| passed |") == len(found) - len(claims)


def test_the_card_knows_the_experiment():
    assert SECTIONS[NAME] == "hedgezoo.experiments.neural_sde_structure"
    assert neural_sde_structure.card_section is card_section
