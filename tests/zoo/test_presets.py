"""Presets: what is shipped is whole, says how it was made, and is what it says."""

import json
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import hedgezoo
from hedgezoo import presets
from hedgezoo.cards import card_text
from hedgezoo.recipe import recipe, recipe_names

NAMES = presets.list_presets()
SCHEMA = {
    "built_with": dict,
    "class": str,
    "description": str,
    "evaluation": dict,
    "experiments": dict,
    "family": str,
    "figures": list,
    "golden": dict,
    "licence": str,
    "limits": list,
    "metrics": dict,
    "name": str,
    "paper": dict,
    "parameters": int,
    "recipe": dict,
    "schema": int,
    "task": str,
    "training": dict,
}
CASES = ("clean", "gaussian_half_bp", "inside_15_bp_spread", "plus_minus_15_bp")
RECOVERY = (
    "error_to_clean_bp",
    "error_to_clean_p99_bp",
    "error_to_quotes_bp",
    "failures",
    "converged",
    "coverage",
    "pearson/rho",
    "rmse/kappa",
    "coverage/xi",
)
# of each family: metrics that every preset has, those with an error of their own, and how the
# headline ones are measured again
NEEDED = {
    "hedge": ("price", "naked/price", "delta/price", "whalley_wilmott/price"),
    "measure": (
        "relative_entropy",
        "effective_sample_share",
        "inside_band/p",
        "inside_band/q",
        "retrained/p",
        "retrained/q",
    ),
    "simulator": ("spectral_radius", "arbitrage_free_share"),
    "calibrator": (
        *(f"{noise}/{metric}" for noise in CASES for metric in RECOVERY),
        "levenberg_marquardt/clean/error_to_clean_bp",
        "cpu_milliseconds/batched",
        "cpu_milliseconds/single",
        "cpu_milliseconds/levenberg_marquardt",
    ),
    # kinds of neural SDEs
    "quotes": ("error_bp", "worst_bp", "missed", "martingale_z", "arbitrage_free"),
    "joint": ("error_bp", "hedge_deviation", "black_scholes_hedge_deviation", "variance_reduction"),
    "history": ("acf_1", "acf_5", "acf_20", "acf_1_history", "held_out_log_likelihood"),
    "amortised": ("error_bp", "error_90_bp", "flat_error_bp"),
}
UNCERTAIN = {
    "hedge": NEEDED["hedge"],
    "measure": ("relative_entropy", "retrained/p", "retrained/q"),
    "simulator": (),
    "calibrator": ("plus_minus_15_bp/error_to_quotes_bp", "plus_minus_15_bp/coverage"),
    "quotes": ("error_bp",),
    "joint": ("error_bp", "hedge_deviation"),
    "history": ("acf_1", "acf_1_history"),
    "amortised": ("error_bp", "error_90_bp"),
}
HEADLINES = {
    "hedge": (("price",), {"paths": 2**15, "exact": False, "baselines": False}),
    "measure": (("relative_entropy", "utility"), {"paths": 2**13}),
    "simulator": (("spectral_radius", "arbitrage_free_share"), {"paths": 2**8}),
    "calibrator": (
        (
            "gaussian_half_bp/error_to_clean_bp",
            "plus_minus_15_bp/error_to_clean_bp",
            "plus_minus_15_bp/error_to_quotes_bp",
            "plus_minus_15_bp/coverage",
        ),
        {"paths": 512, "noises": ("gaussian_half_bp", "plus_minus_15_bp")},
    ),
    "quotes": (("error_core_bp", "arbitrage_free"), {"paths": 2**16}),
    "joint": (("hedge_deviation", "exotic_price"), {"paths": 2**15}),
    "history": (("acf_1", "acf_20"), {"paths": 64}),
    "amortised": (("error_bp", "error_90_bp"), {"paths": 256}),
}
LEARNS_BY_STEPS = ("hedge", "measure", "calibrator")


def golden_outputs(name):
    """Triples of a signature, its inputs and its outputs, as kept with the preset."""
    with np.load(presets.root() / name / "golden.npz", allow_pickle=False) as golden:
        for signature, sides in presets.metadata(name)["golden"].items():
            inputs, outputs = (
                {tensor: golden[key] for tensor, key in sides[side].items()}
                for side in ("inputs", "outputs")
            )
            yield signature, inputs, outputs


def assert_same_outputs(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=2e-5, atol=2e-6, err_msg=key)


def test_every_recipe_is_shipped():
    assert recipe_names() == NAMES


def kind_of(about):
    """What decides which metrics there are: the family, or the kind of neural SDE."""
    return about["recipe"]["kind"] if about["family"] == "neural_sde" else about["family"]


@pytest.mark.parametrize("name", NAMES)
def test_files_are_those_of_the_manifest(name):
    assert hedgezoo.verify(name) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_metadata_has_the_schema(name):
    about = presets.metadata(name)
    for key, kind in SCHEMA.items():
        assert isinstance(about[key], kind), key
    assert about["name"] == name
    for metric in about["metrics"].values():
        assert set(metric) == {"value", "stderr"}
        assert np.isfinite(metric["value"])
        assert metric["stderr"] >= 0
    assert set(NEEDED[kind_of(about)]) <= set(about["metrics"])
    for needed in UNCERTAIN[kind_of(about)]:
        assert about["metrics"][needed]["stderr"] > 0
    assert about["training"]["cpu_seconds"] > 0
    assert about["limits"]
    assert about["golden"]


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_of_the_card_exists(name):
    about = presets.metadata(name)
    folder = presets.root() / name
    shown = re.findall(r"!\[([^\]]+)\]\((figures/[^)]+)\)", hedgezoo.card(name))
    for figure in about["figures"]:
        assert (figure["caption"], f"figures/{figure['name']}.png") in shown
    assert {path for _, path in shown} == {
        path.relative_to(folder).as_posix() for path in (folder / "figures").iterdir()
    }


@pytest.mark.parametrize("name", NAMES)
def test_metadata_agrees_with_recipe_and_card(name):
    about, made = presets.metadata(name), recipe(name)
    assert about["family"] == made.family
    assert about["description"] == made.description
    assert about["task"] == made.task
    assert about["paper"] == made.paper
    assert about["limits"] == list(made.limits)
    settings = json.loads(presets.json_text(made.settings()))
    assert about["recipe"] == {"module": f"hedgezoo.recipes.{name}", **settings}
    assert about["evaluation"]["paths"] == made.evaluation_paths
    assert about["evaluation"]["seed"] == made.evaluation_seed
    if made.family in LEARNS_BY_STEPS:
        assert about["training"]["curve"][-1][0] >= made.steps
    assert hedgezoo.card(name) == card_text(about)


@pytest.mark.parametrize("name", NAMES)
def test_rebuilt_model_gives_the_golden_outputs(name):
    model = hedgezoo.load(name)
    assert model.count_params() == presets.metadata(name)["parameters"]
    signatures = model.serving_signatures()
    for signature, inputs, outputs in golden_outputs(name):
        function, specs, _ = signatures[signature]
        assert_same_outputs(function(*(tf.constant(inputs[spec.name]) for spec in specs)), outputs)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_how_the_model_is_used(name, monkeypatch):
    judged = []  # elsewhere in earnest: exact prices take their time
    monkeypatch.setattr(hedgezoo, "evaluate", lambda preset, paths: judged.append(preset))
    card = hedgezoo.card(name)
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    found = {}
    exec(code, found)
    assert judged == [name]
    (sentence,) = re.findall(r"^`1/` is the SavedModel .*$", card, re.MULTILINE)
    signatures = set(re.findall(r"`(\w+)`", sentence))
    assert signatures
    assert signatures <= set(found["model"].serving_signatures())


@pytest.mark.serving
@pytest.mark.parametrize("name", NAMES)
def test_saved_model_loads_through_the_c_api_and_gives_the_golden_outputs(name):
    from hedgezoo.serving import check_saved_model, load_with_c_api

    directory = presets.root() / name / "1"
    check_saved_model(directory)
    served = load_with_c_api(directory)
    for signature, inputs, outputs in golden_outputs(name):
        assert_same_outputs(served.run(inputs, signature), outputs)


@pytest.mark.parametrize("name", NAMES)
def test_headline_metrics_are_measured_again(name):
    about = presets.metadata(name)
    metrics, settings = HEADLINES[kind_of(about)]
    report = hedgezoo.evaluate(name, seed=99, **settings)
    for metric in metrics:
        found, stated = report[metric], about["metrics"][metric]
        error = np.hypot(found["stderr"], stated["stderr"])
        assert abs(found["value"] - stated["value"]) <= 4.5 * error + 1e-6, metric


def test_first_preset_is_within_its_gap_of_the_exact_optimum():
    model = hedgezoo.load("no_transaction_band_european_v1")
    problem = hedgezoo.ExactHedge.from_market(model.market, risk_aversion=50.0)
    gap = problem.price_of(model) / problem.price() - 1
    assert -1e-7 < gap < 5e-4
    assert problem.price() == pytest.approx(0.024482, abs=1e-6)


def test_configs_name_no_code():
    for name in NAMES:
        text = (presets.root() / name / "preset.json").read_text(encoding="utf-8")
        for word in ("Lambda", "TFSMLayer", "TorchModuleWrapper", "module", "function"):
            assert word not in text


def test_presets_of_a_class():
    found = hedgezoo.NoTransactionBand.presets
    assert "no_transaction_band_european_v1" in found
    assert "feed_forward_european_v1" not in found


@pytest.fixture
def stored(tmp_path):
    model = hedgezoo.NoTransactionBand(hidden_units=(4,), risk_aversion=7.0)
    model.build()
    model.save_to_preset(tmp_path / "mine")
    return model, tmp_path / "mine"


def test_round_trip_of_a_users_preset(stored):
    model, directory = stored
    loaded = hedgezoo.NoTransactionBand.from_preset(directory)
    np.testing.assert_array_equal(loaded.band([0.9, 1.0], 0.1), model.band([0.9, 1.0], 0.1))
    assert loaded.constants["risk_aversion"] == 7.0


def test_existing_files_are_not_overwritten(stored):
    model, directory = stored
    before = (directory / "preset.json").read_bytes()
    with pytest.raises(ValueError, match="not an empty directory"):
        model.save_to_preset(directory)
    assert (directory / "preset.json").read_bytes() == before
    assert sorted(path.name for path in directory.parent.iterdir()) == ["mine"]


def test_failed_save_leaves_nothing(tmp_path, monkeypatch):
    model = hedgezoo.NoTransactionBand(hidden_units=(4,))
    model.build()
    monkeypatch.setattr(presets, "json_text", lambda content: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.save_to_preset(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_are_named(stored):
    _, directory = stored
    weights = directory / "model.weights.h5"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.weights\.h5 is damaged"):
        hedgezoo.load(directory)


def test_damaged_shipped_file_is_named(tmp_path, monkeypatch):
    name = "no_transaction_band_european_v1"
    shutil.copytree(presets.root(), tmp_path / "saved_models")
    monkeypatch.setattr(presets, "root", lambda: tmp_path / "saved_models")
    (tmp_path / "saved_models" / name / "golden.npz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"'golden\.npz' is damaged"):
        hedgezoo.load(name)
    (tmp_path / "saved_models" / name / "golden.npz").unlink()
    with pytest.raises(ValueError, match=r"'golden\.npz' is missing"):
        hedgezoo.verify(name)


def test_only_classes_of_the_library_are_built(stored):
    _, directory = stored
    path = directory / "preset.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "class": "Lambda"}))
    with pytest.raises(ValueError, match="'Lambda'"):
        hedgezoo.load(directory)
    path.write_text(json.dumps({**about, "schema": 99}))
    with pytest.raises(ValueError, match="schema 99"):
        hedgezoo.load(directory)
    path.write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        hedgezoo.load(directory)


def test_errors(stored):
    _, directory = stored
    with pytest.raises(ValueError, match="Did you mean 'feed_forward_european_v1'"):
        hedgezoo.load("feed_foward_european_v1")
    with pytest.raises(ValueError, match="holds a NoTransactionBand, not a FeedForwardHedge"):
        hedgezoo.FeedForwardHedge.from_preset(directory)
    with pytest.raises(ValueError, match="cannot be stored"):
        presets.save(keras.Sequential(), directory.parent / "other")
    with pytest.raises(ValueError, match="no weights yet"):
        hedgezoo.NoTransactionBand().save_to_preset(directory.parent / "other")
