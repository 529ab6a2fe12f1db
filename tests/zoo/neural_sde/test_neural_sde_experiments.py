"""The experiments on joint training and identification: verdicts, cards, resumption."""

import dataclasses

import numpy as np
import pytest

from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.experiments import joint_neural_sde_hedge as joint
from hedgezoo.experiments import neural_sde_identification as identification
from hedgezoo.experiments.finished_runs import FinishedRuns
from hedgezoo.experiments.results import read_numbers


def rows(change, runs=4):
    """Runs apart and together, the errors together lower by `change` up to noise."""
    rng = np.random.default_rng(0)
    found = []
    for seed in range(runs):
        level = 30.0 + rng.normal()
        for mode, coupling, shift in (("control", None, 0.0), ("cooperative", 3000.0, change)):
            row = {name: level + shift + 0.1 * rng.normal() for name in joint.MEASURES}
            row |= {"mode": mode, "coupling": coupling, "seed": seed, "cpu_seconds": 1.0}
            found.append({**row, "afterwards_hedge": None if seed else 20.0})
    return found


@pytest.mark.parametrize("change", [-2.0, 0.0, 2.0])
def test_verdict_says_what_the_runs_say(change):
    found = joint.summary(rows(change))
    assert found["holds"] == ([3000.0] if change < 0 else [])
    words = joint.verdict(found["arms"], found["holds"])
    assert ("here they do" in words) == (change < 0)
    assert ("not so here" in words) == (change >= 0)
    apart, together = found["arms"]
    assert apart["difference"]["held_out_bp"] == 0.0
    assert abs(together["difference"]["held_out_bp"] - change) < 0.3
    assert together["difference_stderr"]["held_out_bp"] < 0.2


def test_one_run_proves_nothing():
    assert joint.summary(rows(-2.0, runs=1))["holds"] == []


def test_card_and_figure_of_joint_training(tmp_path):
    numbers = {"runs": rows(-1.0), **joint.summary(rows(-1.0))}
    card = joint.card_section(**numbers, settings=dataclasses.asdict(joint.Sizes()))
    assert "together, coupling 3000" in card
    assert "regularize each other" in card
    joint.draw(numbers, tmp_path / "coupling.png")
    assert (tmp_path / "coupling.png").stat().st_size > 10_000


def test_quotes_with_noise_are_not_held_out():
    surface = SurfaceQuotes.heston()
    known = joint.quoted(surface)
    assert known.sum() == len(joint.STRIKES) * len(joint.MATURITIES)
    given = surface.select(known)
    exact = SurfaceQuotes.heston(strikes=joint.STRIKES, maturities=joint.MATURITIES)
    np.testing.assert_allclose(given.implied_volatility, exact.implied_volatility, rtol=1e-9)


def identified():
    """Numbers as `measure` returns them."""

    def model(kind, lookback):
        return {
            "kind": kind,
            "start": 0.5 if kind == "stochastic" else None,
            "seed": 1,
            "lookback": lookback,
            "lookback_standard_error": 1e-4,
            "forward_start_volatility": [0.19, 0.17, 0.16],
            "error_bp": 7.0,
            "volatility_explained": 0.7,
        }

    bounds = {"lower": 0.105, "upper": 0.127, "lower_error_bp": 25.0, "upper_error_bp": 28.0}
    bounds |= {"lower_standard_error": 1e-4, "upper_standard_error": 1e-4}
    return {
        "truth": model("truth", 0.114),
        "runs": [model("stochastic", 0.118), model("local", 0.125)],
        "bounds": bounds,
    }


def test_card_and_figure_of_identification(tmp_path):
    card = identification.card_section(**identified())
    assert "0.1140 lies between them" in card
    assert "two factors, from ν = 0.5" in card
    identification.draw(identified(), tmp_path / "identification.png")
    assert (tmp_path / "identification.png").stat().st_size > 10_000


@pytest.mark.parametrize("module", [joint, identification])
def test_finished_runs_are_not_made_again(tmp_path, monkeypatch, module):
    """A killed experiment goes on where it was: what is on file is not computed."""
    calls = []

    def counted(sizes, **options):
        calls.append(options)
        result = dict.fromkeys(joint.MEASURES, 1.0) | identified()["runs"][0]
        bounds = {"bounds": identified()["bounds"]} if options.get("bounds") else {}
        return {**result, **bounds, "cpu_seconds": 0.0}

    name = {joint: "trained", identification: "fitted"}[module]
    monkeypatch.setattr(module, name, counted)
    if module is identification:
        monkeypatch.setattr(module, "truth", lambda sizes: identified()["truth"])
    said = []
    for _ in range(2):
        module.measure(module.QUICK, FinishedRuns(tmp_path), say=said.append)
    assert len(said) == 2 * len(calls)
    assert all("kept from before" in line for line in said[len(calls) :])


@pytest.mark.slow
def test_quick_run_from_end_to_end(tmp_path):
    found = joint.run(tmp_path / "out", quick=True)
    assert read_numbers(tmp_path / "out")["runs"] == found["runs"]
    assert (tmp_path / "out" / "coupling.png").exists()
    assert joint.card_section(**found).startswith("## ")
