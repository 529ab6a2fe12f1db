"""The calibrator as a model: accuracy, masks, standard errors, configuration, export."""

import json

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets.heston_panels import PAPER_GRID, HestonPanels, ParameterBox
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.heston_calibrator.inference import infer, judge
from hedgezoo.heston_calibrator.refinement import Prior
from hedgezoo.heston_calibrator.residuals import Quotes, residuals_and_jacobian
from hedgezoo.layers import heston_call, implied_volatility

BASIS_POINT = 1e-4


def simulate(noise, panels=16, seed=4, **options):
    inputs, targets = HestonPanels(noise=noise, dtype="float64", **options).simulate(seed, panels)
    numpy = [{name: tensor.numpy() for name, tensor in part.items()} for part in (inputs, targets)]
    return numpy[0], numpy[1]


@pytest.fixture(scope="module")
def model():
    model = HestonCalibrator(steps=2)
    model.build()
    return model


def test_an_untrained_network_already_calibrates_clean_panels(model):
    inputs, targets = simulate("clean", panels=48)
    fit = model.solve(inputs)
    exact = targets["implied_volatility"]
    error = np.where(exact > 0, fit["implied_volatility"] - exact, 0.0)
    assert np.sqrt(np.mean(error**2, axis=(1, 2))).max() < 0.1 * BASIS_POINT
    assert fit["converged"].numpy().all()
    # the surface is that of the parameters
    calls = heston_call(fit["parameters"], inputs["strikes"], inputs["maturities"])
    again = implied_volatility(calls, inputs["strikes"], inputs["maturities"])
    np.testing.assert_allclose(fit["implied_volatility"], again, atol=0.05 * BASIS_POINT)


def test_wide_grids_and_missing_maturities(model):
    from hedgezoo.datasets.heston_panels import QuoteNoise

    noise = QuoteNoise(gaussian_bp=0.5, missing=0.1, missing_maturities=0.3)
    inputs, targets = simulate(noise, panels=12, box="wide", grid="wide")
    fit = model.solve(inputs)
    quoted = inputs["mask"]
    error = np.where(quoted, fit["implied_volatility"] - targets["implied_volatility"], 0.0)
    rms = np.sqrt((error**2).sum((1, 2)) / quoted.sum((1, 2)))
    assert rms.max() < 0.5 * BASIS_POINT


def test_what_is_masked_has_no_influence(model):
    inputs, _ = simulate("plus_minus_15_bp", panels=6)
    mask = inputs["mask"].copy()
    mask[2, 3] = False  # a whole maturity
    inputs["mask"] = mask
    rng = np.random.default_rng(0)
    other = dict(inputs)
    for name, wild in (("implied_volatility", np.nan), ("spread", 7.0), ("strikes", 2.5)):
        other[name] = np.where(mask, inputs[name], wild * rng.uniform(0.5, 1.0, mask.shape))
    other["strikes"] = np.where(
        rng.uniform(size=mask.shape) < 0.5, other["strikes"], inputs["strikes"]
    )
    a, b = model.solve(inputs), model.solve(other)
    for name in ("parameters", "standard_error", "coordinates", "residuals", "noise"):
        np.testing.assert_allclose(b[name], a[name], rtol=1e-9, atol=1e-12)
    # leaving the maturity out is the same
    kept = [0, 1, 2, 4, 5, 6, 7]
    short = {name: array[2:3, kept] for name, array in inputs.items()}
    np.testing.assert_allclose(
        model.solve(short)["parameters"][0], a["parameters"][2], rtol=1e-4, atol=1e-6
    )


def test_panels_are_calibrated_one_by_one(model):
    inputs, _ = simulate("gaussian_half_bp", panels=6)
    order = [3, 0, 5, 1, 4, 2]
    a = model.solve(inputs)
    b = model.solve({name: array[order] for name, array in inputs.items()})
    np.testing.assert_allclose(
        b["parameters"], a["parameters"].numpy()[order], rtol=1e-5, atol=1e-7
    )
    # a grid that all panels share may be given once
    shared = {**inputs, "strikes": np.array(PAPER_GRID.strikes)}
    shared["maturities"] = np.array(PAPER_GRID.maturities)
    c = model.solve(shared)
    np.testing.assert_allclose(c["parameters"], a["parameters"], rtol=1e-5, atol=1e-7)


def test_standard_errors_are_those_of_the_normal_equations(model):
    inputs, _ = simulate("plus_minus_15_bp", panels=3)
    fit = model.solve(inputs, prior=False)
    quotes = Quotes.of(inputs, "float64")
    u = fit["coordinates"][:, -1]
    r, jacobian = residuals_and_jacobian(model.search, u, quotes, "tilted", 128)
    for b in range(3):
        root = np.sqrt(quotes.weights()[b].numpy().ravel())
        rows, left = root[:, None] * jacobian[b].numpy().reshape(-1, 5), root * r[b].numpy().ravel()
        variance = left @ left / (inputs["mask"][b].sum() - 5)
        covariance = variance * np.linalg.inv(rows.T @ rows)
        expected = np.sqrt(np.diag(covariance)) * model.search.slopes(u)[b].numpy()
        np.testing.assert_allclose(fit["standard_error"][b], expected, rtol=2e-2)
        assert float(fit["noise"][b]) == pytest.approx(variance**0.5, rel=1e-3)
        # a minimum: the gradient vanishes on the scale of the errors
        gradient = rows.T @ left / variance
        assert gradient @ covariance @ gradient < 0.05**2


def test_the_prior_matters_only_where_quotes_are_noisy(model):
    clean, _ = simulate("clean", panels=4)
    noisy, _ = simulate("plus_minus_15_bp", panels=4)
    shift = [
        np.abs(model.solve(x)["parameters"] / model.solve(x, prior=False)["parameters"] - 1).max()
        for x in (clean, noisy)
    ]
    assert shift[0] < 1e-5 < shift[1]


def test_a_bad_start_is_replaced(model):
    inputs, _ = simulate("clean", panels=8)
    quotes = Quotes.of(inputs, "float64")
    bad = tf.constant(np.tile(model.search.low + 0.05, (8, 1)))
    prior = Prior(bad, 1e2 * tf.eye(5, batch_shape=[8], dtype=tf.float64))
    found = infer(model.search, quotes, bad, prior, [1e-3, 1e-5], 50)
    rms = np.sqrt(np.mean(np.square(found.residuals[:, -1]), axis=(1, 2)))
    assert np.median(rms) < 0.01 * BASIS_POINT


def test_what_the_network_alone_says_is_judged_without_steps():
    inputs, targets = simulate("clean", panels=5)
    model = HestonCalibrator(steps=0)
    fit = model(inputs)
    assert fit["coordinates"].shape == (5, 1, 5)
    np.testing.assert_allclose(fit["parameters"], model.start(inputs)["parameters"], rtol=1e-5)
    true = model.search.from_parameters(targets["parameters"])
    right = judge(model.search, Quotes.of(inputs, "float64"), true)
    assert np.abs(right.residuals).max() < 0.01 * BASIS_POINT


def test_panels_without_quotes_get_the_middle_of_the_box(model):
    inputs, _ = simulate("clean", panels=2)
    inputs["mask"] = np.zeros_like(inputs["mask"])
    fit = model.solve(inputs)
    assert all(np.isfinite(value).all() for value in fit.values())
    middle = model.search.to_parameters(tf.constant(model.search.box(model.box)[0]))
    np.testing.assert_allclose(fit["parameters"], [middle, middle], rtol=1e-2)


def test_bates():
    box = ParameterBox(
        (1.0, 0.03, 0.3, -0.8, 0.02, 0.2, -0.2, 0.1), (4.0, 0.1, 0.9, -0.3, 0.1, 0.6, -0.05, 0.2)
    )
    inputs, targets = simulate("clean", panels=4, box=box)
    model = HestonCalibrator(model="bates", box=box, steps=2)
    fit = model.solve(inputs)
    error = fit["implied_volatility"] - targets["implied_volatility"]
    assert np.sqrt(np.mean(np.square(error), axis=(1, 2))).max() < 0.1 * BASIS_POINT
    assert fit["parameters"].shape == (4, 8)


def test_configuration_and_presets(model, tmp_path):
    config = model.get_config()
    assert HestonCalibrator.from_config(json.loads(json.dumps(config))).get_config() == config
    model.save_to_preset(tmp_path / "preset")
    twin = HestonCalibrator.from_preset(str(tmp_path / "preset"))
    inputs, _ = simulate("clean", panels=2)
    for name, value in model.start(inputs).items():
        np.testing.assert_array_equal(twin.start(inputs)[name], value)


def test_export_with_any_batch_and_grid(model, tmp_path):
    inputs, _ = simulate("gaussian_half_bp", panels=3)
    shapes = {"implied_volatility": 3, "strikes": 3, "maturities": 2, "mask": 3, "spread": 3}
    signature = {
        name: tf.TensorSpec([None] * rank, tf.bool if name == "mask" else tf.float64, name=name)
        for name, rank in shapes.items()
    }

    @tf.function(input_signature=[signature])
    def calibrate(inputs):
        return model(inputs)

    module = tf.Module()
    module.model, module.calibrate = model, calibrate
    tf.saved_model.save(module, tmp_path / "saved")
    loaded = tf.saved_model.load(tmp_path / "saved")
    tensors = {name: tf.constant(array) for name, array in inputs.items()}
    expected = model.solve(inputs)["parameters"]
    np.testing.assert_allclose(loaded.calibrate(tensors)["parameters"], expected, rtol=1e-5)
    smaller = {name: tensor[:1, :5] for name, tensor in tensors.items()}
    assert loaded.calibrate(smaller)["implied_volatility"].shape == (1, 5, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "deep"}, "`variant` must be one of"),
        ({"model": "sabr"}, "`model` must be one of"),
        ({"steps": -1}, "`steps`"),
        ({"variant": "shallow", "model": "bates"}, 'needs `variant="refined"`'),
        ({"strikes": [1.0]}, "takes any grid"),
        ({"box": "tiny"}, "`box` must be one of"),
        ({"box": "bates"}, "`box` must be a ParameterBox of heston"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        HestonCalibrator(**arguments)
