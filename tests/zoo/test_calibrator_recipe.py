"""Recipes of calibrators: what they are trained and judged on, and one in small from end to end."""

import dataclasses
import itertools
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import hedgezoo
from hedgezoo import calibrator_comparison, presets, pretraining
from hedgezoo.calibrator_recipe import NOISES, CalibratorRecipe, in_words
from hedgezoo.cards import card_text
from hedgezoo.datasets.heston_panels import (
    NOISE_CASES,
    FixedGrid,
    HestonPanels,
    MixedPanels,
    QuoteNoise,
    RandomGrid,
)
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.heston_calibrator.price_loss import PriceLoss
from hedgezoo.recipe import recipe, recipe_names

GRID = FixedGrid(strikes=(0.8, 0.9, 1.0, 1.1, 1.2), maturities=(0.25, 0.5, 1.0, 2.0))
TERMS = {"strikes": GRID.strikes, "maturities": GRID.maturities}
NAMES = [name for name in recipe_names() if recipe(name).family == "calibrator"]
SMALL = CalibratorRecipe(
    name="small_calibrator_v1",
    description="A small calibrator",
    task="Calibrate.",
    model=lambda: HestonCalibrator("shallow", **TERMS, options={"units": [8]}),
    loss=lambda: PriceLoss(**TERMS, penalty="correct", penalty_grid=(5, 4), nodes=16),
    train_market=MixedPanels(
        [HestonPanels(grid=GRID, noise=noise) for noise in ("clean", "plus_minus_15_bp")]
    ),
    market=HestonPanels(grid=GRID),
    batch_size=8,
    steps=6,
    epochs=3,
    learning_rate=1e-3,
    weight_decay=1e-4,
    evaluation_paths=16,
    evaluation_noises=("clean", "plus_minus_15_bp"),
    compared_panels=3,
    limits=("It is only for tests.",),
)


def assert_weights_agree(first, second, rtol=1e-6, atol=1e-7):
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_what_recipes_are_judged_on(name):
    made = recipe(name)
    assert made.name == name
    assert made.paper["year"] == 2025
    assert made.evaluation_paths == 10_000
    assert made.evaluation_noises == NOISES == tuple(NOISE_CASES)
    assert made.seed != made.evaluation_seed
    assert made.market.grid == HestonPanels().grid
    assert made.market.model == ("bates" if "bates" in name else "heston")
    assert made.train_market.model == made.market.model
    assert made.batch_size % len(made.train_market.parts) == 0  # no panel is made in vain
    assert len(made.limits) >= 3
    settings = json.loads(presets.json_text(made.settings()))
    assert settings["judged_on"].endswith("grid of 8 x 10")
    assert all("; noise " in words for words in settings["market"])
    assert (made.base == "heston_calibrator_v1") == ("quantile" in name)


def test_refined_calibrators_see_every_kind_of_panel():
    for name, boxes in (
        ("heston_calibrator_v1", {"paper", "wide"}),
        ("bates_calibrator_v1", {"bates", "wide_bates"}),
    ):
        words = in_words(recipe(name).train_market)
        assert {line.split()[0] for line in words} == boxes
        parts = recipe(name).train_market.parts
        wide = [part for part in parts if part.box == HestonPanels(max(boxes)).box]
        assert len(wide) == 4
        for part in wide:
            assert (part.noise.missing, part.noise.missing_maturities) == (0.2, 0.2)
        assert {part.noise.deviation_bp for part in wide} == {
            case.deviation_bp for case in NOISE_CASES.values()
        }


def test_panels_in_words():
    grid = RandomGrid(3, 2, scaled_range=(-0.8, 0.6))
    panels = HestonPanels(grid=grid, noise=QuoteNoise(2.0, (0, 15), missing=0.2))
    (words,) = in_words(panels)
    assert words == (
        "paper box, RandomGrid (strikes 3, maturities 2, strike_range 0.8-1.2, "
        "maturity_range 0.1-2, scaled_range -0.8-0.6) grid of 2 x 3; "
        "noise QuoteNoise (gaussian_bp 2.0, spread_bp 0-15, missing 0.2)"
    )
    clean, (noise, gaps) = HestonPanels(), (NOISE_CASES["gaussian_half_bp"], {"missing": 0.2})
    more_gaps = HestonPanels(noise=dataclasses.replace(noise, **gaps, missing_maturities=0.1))
    another = HestonPanels(grid=RandomGrid(10, 8, narrowing=0.5), noise=noise)
    assert in_words(MixedPanels([clean, more_gaps, another])) == [
        "paper box, paper grid of 8 x 10; noise clean, gaussian_half_bp but 20 % of the quotes and "
        "10 % of the maturities missing",
        "paper box, random grid of 8 x 10; noise gaussian_half_bp",
    ]


def test_optimizers():
    plain = dataclasses.replace(SMALL, weight_decay=None).optimizer()
    decaying = SMALL.optimizer()
    assert type(plain) is keras.optimizers.Adam
    assert type(decaying) is keras.optimizers.AdamW
    assert decaying.weight_decay == 1e-4
    for optimizer in (plain, decaying):
        rates = [float(optimizer._learning_rate(step)) for step in (0, SMALL.steps)]
        np.testing.assert_allclose(rates, [1e-3, 1e-5], rtol=1e-5)


@pytest.fixture(scope="module")
def trained():
    return SMALL.train(verbose=0)


@pytest.mark.slow
def test_training_is_decided_by_the_recipe_and_resumes(trained, tmp_path, monkeypatch):
    whole, facts = trained
    assert [step for step, _ in facts["curve"]] == [2, 4, 6]
    assert whole.market == SMALL.market
    # the penalty's weight followed the epochs
    assert whole.loss.weight == pytest.approx(1000.0 * 0.96**2)

    class Killed(Exception):
        pass

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise Killed

    callbacks = CalibratorRecipe.callbacks
    monkeypatch.setattr(
        CalibratorRecipe, "callbacks", lambda self, model: [*callbacks(self, model), Kill()]
    )
    # the state is saved after every epoch that takes a second
    clock = types.SimpleNamespace(monotonic=itertools.count(step=100).__next__)
    monkeypatch.setattr("hedgezoo.training.checkpointing.time", clock)
    with pytest.raises(Killed):
        SMALL.train(checkpoint=tmp_path, verbose=0)
    monkeypatch.undo()
    assert any(tmp_path.iterdir())
    again, facts = SMALL.train(checkpoint=tmp_path, verbose=0)
    assert_weights_agree(again, whole)
    assert len(facts["curve"]) == 3


def test_golden_requests_are_those_of_the_signatures(trained):
    model, _ = trained
    requests = SMALL.golden(model)
    assert set(requests) == {"serving_default", "price", "sensitivities"}
    for name, inputs in requests.items():
        specs = {spec.name: spec for spec in model.serving_signatures()[name].inputs}
        assert inputs.keys() == specs.keys()
        for key, array in inputs.items():
            assert array.dtype == specs[key].dtype.as_numpy_dtype
            assert len(array) == 8
    true = requests["price"]["parameters"]
    assert SMALL.market.box.contains(true).numpy().all()


def test_levenberg_marquardt_stands_beside(trained):
    model, _ = trained
    found = calibrator_comparison.beside(model, SMALL.market, 3, 7, SMALL.evaluation_noises)
    clean, noisy = (
        found[f"levenberg_marquardt/{noise}/error_to_clean_bp"]["value"] for noise in NOISES[::3]
    )
    assert clean < 1e-3 < 0.5 < noisy < 15.0
    to_quotes = found["levenberg_marquardt/plus_minus_15_bp/error_to_quotes_bp"]["value"]
    assert 3.0 < to_quotes < 10.0
    times = {name.partition("/")[2]: m for name, m in found.items() if name.startswith("cpu")}
    assert times.keys() == {"batched", "single", "levenberg_marquardt"}
    assert 0.0 < times["batched"]["value"] < times["single"]["value"]


def test_median_and_its_error():
    values = np.random.default_rng(0).normal(3.0, 2.0, (400, 101))
    found = [calibrator_comparison.median(row) for row in values]
    errors = [(each["value"] - 3.0) / each["stderr"] for each in found]
    assert 0.85 < np.std(errors) < 1.15


@pytest.mark.slow
def test_replicas_train_the_same_calibrator(two_replicas):
    plan = dataclasses.replace(
        SMALL,
        model=lambda: HestonCalibrator(
            "refined", steps=1, options={"width": 8, "blocks": 1, "heads": 2, "hidden": 8}
        ),
        loss=CalibratorRecipe.loss,
        steps=2,
        epochs=1,
    )
    one, alone = plan.train(verbose=0)
    two, facts = plan.train(strategy=two_replicas, verbose=0)
    assert facts["replicas"] == 2
    assert facts["curve"][0][1] == pytest.approx(alone["curve"][0][1], rel=1e-5)
    # steps are 1e-3 long; where a gradient is all rounding, so is the direction of Adam's step
    assert_weights_agree(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_calibrator_becomes_a_preset(tmp_path, monkeypatch):
    directory = pretraining.build_preset(SMALL, tmp_path, verbose=0)
    monkeypatch.setattr(presets, "root", lambda: tmp_path)
    about = presets.metadata(SMALL.name)
    assert hedgezoo.verify(SMALL.name) >= 8
    assert hedgezoo.card(SMALL.name) == card_text(about)
    assert about["evaluation"] == {
        "paths": 16,
        "seed": 2021,
        "noises": ["clean", "plus_minus_15_bp"],
    }
    assert about["figures"][-1]["name"] == "learning_curve"
    model = hedgezoo.load(SMALL.name)
    assert model.market == SMALL.market
    signatures = model.serving_signatures()
    with np.load(directory / "golden.npz") as golden:
        for name, sides in about["golden"].items():
            inputs = {key: golden[file] for key, file in sides["inputs"].items()}
            function, specs, _ = signatures[name]
            found = function(*(tf.constant(inputs[spec.name]) for spec in specs))
            for key, file in sides["outputs"].items():
                np.testing.assert_allclose(found[key], golden[file], rtol=2e-5, atol=2e-6)
    report = hedgezoo.evaluate(model, paths=16, seed=2021, noises=SMALL.evaluation_noises)
    for name, metric in report.items():
        assert about["metrics"][name]["value"] == pytest.approx(metric["value"], rel=1e-6)
    assert "levenberg_marquardt/clean/error_to_quotes_bp" in about["metrics"]
