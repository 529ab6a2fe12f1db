"""From a recipe to a preset, in small; and the text that cards are made of."""

import dataclasses
import json

import numpy as np
import pytest

import hedgezoo
from hedgezoo import presets, pretraining
from hedgezoo.cards import readme_text
from hedgezoo.experiments import no_transaction_band_paper as paper
from hedgezoo.recipe import recipe


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
    with np.load(directory / "golden.npz") as golden:
        inputs = {key: golden[key] for key in ("features", "price", "cost")}
        np.testing.assert_allclose(hedgezoo.load("small_v1")(inputs), golden["gains"], atol=1e-6)
    about = json.loads((directory / "metadata.json").read_text())
    assert [step for step, _ in about["training"]["curve"]] == list(range(1, 51))

    monkeypatch.setattr(pretraining, "write_golden", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pretraining.build_preset(small, root, checkpoint=tmp_path / "run", verbose=0)
    assert hedgezoo.verify("small_v1") >= 8
    assert sorted(path.name for path in root.iterdir()) == ["manifest.json", "small_v1"]


def test_training_is_decided_by_the_recipe(small):
    first, _ = pretraining.train(small, verbose=0)
    again, _ = pretraining.train(small, verbose=0)
    for one, two in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


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
