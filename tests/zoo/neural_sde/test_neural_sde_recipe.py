"""Recipes of neural SDEs: what is fitted, what is held out, what goes on record."""

import dataclasses
import json

import numpy as np
import pytest

from hedgezoo import cards
from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.neural_sde import NeuralSDE, structure_card
from hedgezoo.neural_sde.beside_heston import heston_errors, heston_fit
from hedgezoo.neural_sde.calibration_result import root_mean_square
from hedgezoo.neural_sde_recipe import LIQUID, NeuralSDERecipe, learning_curve
from hedgezoo.pretraining import describe
from hedgezoo.recipe import recipe

OURS = ("local", "cev", "sx5e", "stochastic")


def small(**changes):
    settings = {
        "name": "small_neural_sde_v1",
        "description": "Small",
        "task": "Be small.",
        "model": lambda: NeuralSDE(units=(8,), options={"seed": 1}),
        "quotes": lambda: SurfaceQuotes.heston(
            strikes=[0.85, 0.9, 1.0, 1.1, 1.15], maturities=[0.25, 1.0]
        ),
        "data": "ten quotes",
        "held_out": 0.2,
        "region": {"low_strike": 0.9, "high_strike": 1.1},
        "calibration": {"steps": 4, "paths": 128, "polish_steps": 6, "evaluation_paths": 512},
        "evaluation_paths": 1024,
        "beside_heston": True,
    }
    return NeuralSDERecipe(**settings | changes)


@pytest.fixture(scope="module")
def trained():
    small_one = small()
    return small_one, *small_one.train(verbose=0)


def test_training_leaves_facts_and_the_market(trained):
    _, model, facts = trained
    assert model.market == small().quotes()
    assert facts["steps"] == 4
    assert facts["curve"][-1][0] == 4
    assert facts["cpu_seconds"] > 0
    assert isinstance(json.loads(json.dumps(facts))["converged"], bool)


def test_quotes_held_out_are_neither_fitted_nor_forgotten(trained):
    recipe, model, _ = trained
    found = recipe.evaluate(model)
    fitted, held_out = recipe.parts()
    assert (len(fitted), len(held_out)) == (8, 2)
    # one mean square over all is that over both parts
    squares = [
        len(part) * found[name]["value"] ** 2
        for part, name in ((fitted, "fitted_error_bp"), (held_out, "held_out_error_bp"))
    ]
    assert sum(squares) == pytest.approx(10 * found["error_bp"]["value"] ** 2, rel=0.02)
    assert found["region_error_bp"]["value"] <= found["worst_bp"]["value"]
    # a Heston surface is one of Heston's
    assert found["heston_error_bp"]["value"] < 1e-3
    assert found["heston_region_error_bp"] == {"value": pytest.approx(0, abs=1e-3), "stderr": 0.0}
    assert found["heston_held_out_error_bp"]["value"] < 1.0


def test_card_is_written_from_the_record(trained):
    recipe, model, facts = trained
    metrics = {"error_bp": {"value": 3.0, "stderr": 0.1}}
    about = json.loads(json.dumps(describe(recipe, model, facts, metrics)))
    card = cards.card_text(about)
    assert "4 steps" in card
    assert "128 paths per step" in card
    assert "squared price errors of 8 quotes" in card
    assert "2 quotes, drawn at random among all (seed 0), were held out" in card
    assert "Data: ten quotes." in card
    (picture,) = learning_curve(about)
    assert picture.name == "learning_curve"
    assert learning_curve({"training": {}}) == []


def test_nothing_held_out_and_no_heston(trained):
    _, model, _ = trained
    bare = small(held_out=0.0, region=None, beside_heston=False)
    assert bare.parts() == (bare.quotes(), None)
    assert not any("held_out" in name or "heston" in name for name in bare.evaluate(model))
    assert "held out" not in bare.settings()["procedure"]


@pytest.mark.parametrize("kind", OURS)
def test_recipes_say_what_they_do(kind):
    found = recipe(f"neural_sde_{kind}_v1")
    assert found.family == "neural_sde"
    settings = json.loads(json.dumps(found.settings()))
    assert settings["steps"] == found.options()["steps"] > 100
    fitted, _ = found.parts()
    assert f"{len(fitted)} quotes" in settings["procedure"]
    # what the model serves reaches as far as what it is fitted to
    model = found.model()
    assert model.maturities[-1] == pytest.approx(found.quotes().maturities[-1])
    assert len(found.limits) >= 2


def test_real_surface_and_its_region():
    found = recipe("neural_sde_sx5e_v1")
    whole = found.quotes()
    fitted, held_out = found.parts()
    assert (len(whole), len(fitted), len(held_out)) == (155, 124, 31)
    region = whole.where(**LIQUID)
    assert len(region) == 82
    # known errors of the best Heston models
    assert heston_fit(whole).rms_bp == pytest.approx(61.7, abs=0.1)
    assert heston_fit(region).rms_bp == pytest.approx(29.73, abs=0.01)
    part = heston_fit(fitted)
    assert root_mean_square(heston_errors(part.parameters, fitted)) == pytest.approx(part.rms_bp)


def test_structure_beside_the_truth(trained):
    """The truth itself, dressed as a model, makes no errors."""

    class Truth:
        states = 1

        def diffusion(self, spot, time):
            return 0.2 * np.asarray(spot) ** -0.5 + 0.0 * np.asarray(time)

    exact = recipe("neural_sde_cev_v1")
    numbers = structure_card.numbers(Truth(), lambda x, t: 0.2 * np.exp(-0.5 * x) + 0.0 * t)
    np.testing.assert_allclose(numbers["slope"], numbers["exact_slope"], rtol=1e-4)
    np.testing.assert_allclose(numbers["exact_slope"], -0.1, atol=1e-3)
    assert numbers["elasticity"] == pytest.approx(0.5, abs=0.01)
    assert max(numbers["volatility_error"].values()) < 1e-6
    card = structure_card.card_section(**json.loads(json.dumps(numbers)))
    assert "| slope of σ in log S at the money, 0.5 years | -0.100 | -0.100 |" in card
    # as a recipe calls it, of a model that was hardly trained
    _, model, _ = trained
    content = exact.report(exact, model, None)["experiments"]
    assert list(content) == ["neural_sde_truth"]
    assert content["neural_sde_truth"]["volatility_error"]["1.0"] > 0.01
    assert "## What it found" in "".join(cards._experiments({"experiments": content}))


def test_mean_reversion_beside_the_truth(trained):
    _, model, _ = trained
    numbers = structure_card.numbers(model, lambda x, t: 0.2 + 0.0 * x * t, (3.0, 0.04, 0.09))
    assert numbers["mean_reversion"]["kappa"][2] == 3.0
    card = structure_card.card_section(**numbers)
    assert "speed at which the expected variance reverts, per year" in card
    assert "| its level today |" in card


def test_changes_of_a_recipe_are_on_record():
    changed = dataclasses.replace(small(), calibration={"steps": 7, "weights": (1.0, 2.0)})
    assert changed.settings()["steps"] == 7
    assert changed.settings()["calibration"]["weights"] == [1.0, 2.0]
