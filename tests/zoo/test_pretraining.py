"""From a recipe to a preset, in small; and the text that cards are made of."""

import dataclasses
import json

import numpy as np
import pytest

import hedgezoo
from hedgezoo import presets, pretraining
from hedgezoo.cards import card_text, readme_text
from hedgezoo.datasets import BlackScholesMarket, VARMarket
from hedgezoo.datasets.payoffs import Nothing
from hedgezoo.experiments import no_transaction_band_paper as paper
from hedgezoo.measure_recipe import MeasureRecipe
from hedgezoo.recipe import recipe
from hedgezoo.risk_neutral_measure import RiskNeutralMeasure


@pytest.fixture(scope="module")
def small():
    full = recipe("no_transaction_band_european_v1")
    market = dataclasses.replace(full.market, steps=3)
    return dataclasses.replace(
        full,
        name="small_v1",
        market=market,
        train_market=dataclasses.replace(full.train_market, steps=3),
        steps=50,
        batch_size=64,
        evaluation_paths=512,
    )


@pytest.mark.slow
def test_a_preset_is_whole_and_replaced_as_a_whole(small, tmp_path, monkeypatch):
    root = tmp_path / "presets"
    directory = pretraining.build_preset(small, root, checkpoint=tmp_path / "run", verbose=0)
    assert directory == root / "small_v1"
    monkeypatch.setattr(presets, "root", lambda: root)
    assert presets.list_presets() == ["small_v1"]
    assert hedgezoo.verify("small_v1") >= 8
    about = json.loads((directory / "metadata.json").read_text())
    sides = about["golden"]["rollout"]
    with np.load(directory / "golden.npz") as golden:
        inputs = {name: golden[key] for name, key in sides["inputs"].items()}
        gains = golden[sides["outputs"]["gains"]]
    np.testing.assert_allclose(hedgezoo.load("small_v1")(inputs), gains, atol=1e-6)
    assert [step for step, _ in about["training"]["curve"]] == list(range(1, 51))

    monkeypatch.setattr(pretraining, "write_golden", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pretraining.build_preset(small, root, checkpoint=tmp_path / "run", verbose=0)
    assert hedgezoo.verify("small_v1") >= 8
    assert sorted(path.name for path in root.iterdir()) == ["manifest.json", "small_v1"]


@pytest.fixture(scope="module")
def small_measure():
    market = BlackScholesMarket(steps=4, drift=0.5, cost=0.0, payoff=Nothing())
    return MeasureRecipe(
        name="small_measure_v1",
        description="A small measure",
        task="Remove the drift.",
        model=lambda: RiskNeutralMeasure("feed_forward", market.features, hidden_units=(4,)),
        train_market=market,
        market=market,
        batch_size=256,
        steps=20,
        learning_rate=1e-3,
        initial_paths=2**12,
        normalising_paths=2**12,
        evaluation_paths=2**12,
        retraining_steps=60,
        limits=("It is only for tests.",),
    )


def assert_weights_agree(first, second):
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_training_is_decided_by_the_recipe(small):
    first, _ = small.train(verbose=0)
    again, _ = small.train(verbose=0)
    assert_weights_agree(first, again)


def test_a_measure_starts_at_the_linear_optimum_and_has_mean_one(small_measure):
    model, facts = small_measure.train(verbose=0)
    # -log E[exp(-gains)] of the best position, four independent Gaussian steps: mu^2 T / 2 sigma^2
    optimum = 0.5**2 * small_measure.market.maturity / (2 * 0.2**2)
    assert facts["curve"][0][1] == pytest.approx(-optimum, abs=0.05)
    inputs, _ = small_measure.train_market.simulate(small_measure.seed, 2**12)
    assert np.mean(np.exp(model.log_density(inputs))) == pytest.approx(1.0, abs=1e-4)
    assert model.market == small_measure.market


def test_new_policies_gain_under_p_and_not_under_q(small_measure):
    plan = dataclasses.replace(small_measure, learning_rate=1e-2)
    model, _ = plan.train(verbose=0)
    found = plan.retrained(model)
    optimum = 0.5**2 * plan.market.maturity / (2 * 0.2**2)
    assert found["retrained/p"]["value"] > 0.5 * optimum
    assert abs(found["retrained/q"]["value"]) < 0.2 * optimum
    assert 0 < found["retrained/q"]["stderr"] < 0.2 * optimum


def test_a_measure_killed_after_its_last_step_is_finished(small_measure, tmp_path, monkeypatch):
    whole, _ = small_measure.train(checkpoint=tmp_path / "whole", verbose=0)
    half = dataclasses.replace(small_measure)
    monkeypatch.setattr(MeasureRecipe, "finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        half.train(checkpoint=tmp_path / "run", verbose=0)
    monkeypatch.undo()
    again, facts = half.train(checkpoint=tmp_path / "run", verbose=0)
    assert_weights_agree(again, whole)
    assert len(facts["curve"]) == 20


@pytest.mark.slow
def test_a_measure_becomes_a_preset(small_measure, tmp_path, monkeypatch):
    directory = pretraining.build_preset(small_measure, tmp_path, verbose=0)
    monkeypatch.setattr(presets, "root", lambda: tmp_path)
    about = presets.metadata("small_measure_v1")
    assert about["figures"][-1]["name"] == "learning_curve"
    for figure in about["figures"]:
        assert (directory / "figures" / f"{figure['name']}.png").is_file()
    assert hedgezoo.card("small_measure_v1") == card_text(about)
    report = hedgezoo.evaluate("small_measure_v1", paths=2**12, seed=2021)
    assert report["relative_entropy"] == pytest.approx(about["metrics"]["relative_entropy"])
    assert "small_measure_v1" in RiskNeutralMeasure.presets
    with np.load(directory / "golden.npz") as golden:
        sides = about["golden"]["log_density"]
        inputs = {name: golden[key] for name, key in sides["inputs"].items()}
        expected = golden[sides["outputs"]["log_density"]]
    found = hedgezoo.load("small_measure_v1").log_density(inputs)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_a_simulator_becomes_a_preset(tmp_path, monkeypatch):
    small = dataclasses.replace(recipe("var_spx_v1"), name="small_var_v1", evaluation_paths=64)
    directory = pretraining.build_preset(small, tmp_path)
    monkeypatch.setattr(presets, "root", lambda: tmp_path)
    about = presets.metadata("small_var_v1")
    assert hedgezoo.card("small_var_v1") == card_text(about)
    model = hedgezoo.load("small_var_v1")
    assert isinstance(model.market, VARMarket)
    with np.load(directory / "golden.npz") as golden:
        sides = about["golden"]["simulate"]
        inputs = {name: golden[key] for name, key in sides["inputs"].items()}
        for name, key in sides["outputs"].items():
            np.testing.assert_allclose(model(inputs)[name], golden[key], rtol=1e-5)


def test_unknown_recipe():
    with pytest.raises(ValueError, match="Did you mean 'no_transaction_band_european_v1'"):
        recipe("no_transaction_band_europe_v1")


def test_readme_without_marks_is_refused():
    with pytest.raises(ValueError, match="must contain the lines"):
        readme_text("# hedgezoo")


def test_paper_costs_are_its_grid():
    assert len(paper.COSTS) == 21
    assert paper.COSTS[0] == pytest.approx(4.54e-5, rel=1e-3)
    assert paper.COSTS[-1] == pytest.approx(6.74e-3, rel=1e-3)


def test_reached_is_the_first_point_near_the_end():
    curve = [[10, 2.0], [20, 1.5], [30, 1.005], [40, 1.2], [50, 1.0]]
    assert paper.reached(curve) == 30
    assert paper.reached(curve, tolerance=0.5) == 20


@pytest.mark.slow
def test_price_against_cost_resumes(tmp_path):
    full = recipe("no_transaction_band_european_paper_v1")
    tiny = dataclasses.replace(full, market=dataclasses.replace(full.market, steps=2))
    settings = {"steps": 2, "batch_size": 32, "store": tmp_path / "x.json", "verbose": False}
    first = paper.price_against_cost(tiny, costs=(1e-4,), **settings)
    both = paper.price_against_cost(tiny, costs=(1e-4, 1e-3), **settings)
    assert both["rows"][0] == first["rows"][0]
    for row in both["rows"]:
        for name in ("network", "feed_forward", "naked", "delta", "whalley_wilmott"):
            assert row[name] >= row["optimum"] - 1e-9
        assert row["optimum"] >= both["zero_cost_price"] - 1e-9
    with pytest.raises(ValueError, match="another run"):
        paper.price_against_cost(tiny, **{**settings, "steps": 3})
