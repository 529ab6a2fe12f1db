"""The SavedModel of a calibrator answers as `calibrate`, `price` and `sensitivities` do."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets.heston_panels import PAPER_GRID, HestonPanels
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.heston_calibrator.pricing import price, sensitivities
from hedgezoo.layers import heston_call
from hedgezoo.serving import export, load_with_c_api
from hedgezoo.serving.calibrator_signatures import calibrator_signatures
from hedgezoo.serving.saved_model_checks import check_graph

pytestmark = [pytest.mark.serving, pytest.mark.slow]

OUTPUTS = ("parameters", "standard_error", "implied_volatility", "noise", "converged")


class Served:
    """A model, untrained, and its SavedModel, loaded without TensorFlow's Python side."""

    def __init__(self, model, directory):
        self.model = model
        self.path = export(model, directory)
        self.session = load_with_c_api(self.path)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    found = Served(HestonCalibrator(), tmp_path_factory.mktemp("refined"))
    yield found
    found.session.close()


def panels(count=6, grid="random", noise="plus_minus_15_bp"):
    """A request."""
    inputs, _ = HestonPanels(grid=grid, noise=noise, draws="plain").simulate(5, count)
    return {name: tensor.numpy() for name, tensor in inputs.items()}


def asked(parameters, count, m=3, n=4, seed=0):
    random = np.random.default_rng(seed)
    return {
        "parameters": parameters + 0.01 * np.arange(count)[:, np.newaxis],
        "strikes": np.sort(random.uniform(0.7, 1.4, (count, m, n)), axis=-1),
        "maturities": np.sort(random.uniform(0.1, 3.0, (count, m)), axis=-1),
    }


HESTON = np.array([2.0, 0.06, 0.5, -0.6, 0.04])


def test_signatures(served):
    report = check_graph(served.path)
    signatures = report["signatures"]
    assert set(signatures) == {"serving_default", "price", "sensitivities"}
    inputs = {name: (x["dtype"], x["shape"]) for name, x in signatures["price"]["inputs"].items()}
    assert inputs == {
        "parameters": ("float64", [None, 5]),
        "strikes": ("float64", [None, None, None]),
        "maturities": ("float64", [None, None]),
    }
    assert signatures["sensitivities"]["inputs"] == signatures["price"]["inputs"]
    default = signatures["serving_default"]
    assert default["inputs"]["mask"] == {"dtype": "bool", "shape": [None, None, None]}
    for name in ("implied_volatility", "strikes", "spread"):
        assert default["inputs"][name] == {"dtype": "float32", "shape": [None, None, None]}
    assert set(default["outputs"]) == set(OUTPUTS)
    assert default["outputs"]["parameters"] == {"dtype": "float32", "shape": [None, 5]}


def test_quotes_are_calibrated_as_by_the_model(served):
    request = panels()
    answer = served.session.run(request)
    result = served.model.calibrate(
        *(request[name] for name in ("implied_volatility", "strikes", "maturities")),
        request["mask"],
        request["spread"],
    )
    error = result.standard_error
    assert (np.abs(answer["parameters"] - result.parameters) < 0.02 * error + 1e-6).all()
    np.testing.assert_allclose(answer["standard_error"], error, rtol=0.02)
    np.testing.assert_allclose(answer["noise"], 1e-4 * result.noise_bp, rtol=1e-3)
    np.testing.assert_array_equal(answer["converged"], result.converged)
    quoted = result.quotes.used
    fitted = np.where(quoted, answer["implied_volatility"], 0.0)
    np.testing.assert_allclose(
        fitted, np.where(quoted, result.implied_volatility, 0.0), rtol=0, atol=2e-6
    )


@pytest.mark.parametrize(("batch", "m", "n"), [(1, 8, 10), (3, 4, 7), (2, 2, 3)])
def test_any_batch_and_any_grid(served, batch, m, n):
    request = panels(batch, noise="clean")
    cut = {name: value[:, -m:] for name, value in request.items()}
    for name in ("implied_volatility", "strikes", "mask", "spread"):
        cut[name] = cut[name][:, :, :n]
    answer = served.session.run(cut)
    assert answer["parameters"].shape == (batch, 5)
    assert answer["implied_volatility"].shape == (batch, m, n)
    errors = np.where(cut["mask"], answer["implied_volatility"] - cut["implied_volatility"], 0.0)
    assert np.median(np.abs(errors)) < 1e-5


def test_requests_may_be_batched(served):
    request = panels(8)
    whole = served.session.run(request)
    part = served.session.run({name: value[3:5] for name, value in request.items()})
    shift = np.abs(part["parameters"] - whole["parameters"][3:5])
    assert (shift < 0.02 * whole["standard_error"][3:5] + 1e-6).all()


def test_what_is_masked_does_not_matter(served):
    request = panels(4)
    answer = served.session.run(request)
    holes = ~request["mask"]
    assert holes.any()
    for value in (np.nan, -1.0, 1e9):
        for name in ("implied_volatility", "spread"):
            request[name] = np.where(holes, np.float32(value), request[name])
        again = served.session.run(request)
        np.testing.assert_allclose(again["parameters"], answer["parameters"], rtol=1e-5)
        assert np.isfinite(again["implied_volatility"]).all()


@pytest.mark.parametrize(
    ("signature", "function"), [("price", price), ("sensitivities", sensitivities)]
)
@pytest.mark.parametrize("count", [1, 5])
def test_prices_and_sensitivities(served, signature, function, count):
    request = asked(HESTON, count)
    answer = served.session.run(request, signature)
    expected = function(*request.values())
    assert set(answer) == set(expected)
    for name, value in expected.items():
        assert answer[name].dtype == np.float64
        value = np.nan_to_num(value.numpy())
        np.testing.assert_allclose(answer[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(answer["calls"], heston_call(*request.values()), rtol=0, atol=1e-13)


def test_there_is_no_nan_in_an_answer(served):
    """JSON has none: a worthless option has volatility 0."""
    request = {
        "parameters": np.array([[2.0, 0.0025, 0.05, 0.0, 0.0025]]),
        "strikes": np.array([[[0.5, 1.0, 2.0]]]),
        "maturities": np.array([[0.1]]),
    }
    answer = served.session.run(request, "price")
    assert answer["implied_volatility"][0, 0, [0, 2]].tolist() == [0.0, 0.0]
    assert answer["implied_volatility"][0, 0, 1] == pytest.approx(0.05, rel=0.01)
    for value in served.session.run(request, "sensitivities").values():
        assert np.isfinite(value).all()


def test_a_fixed_grid_is_part_of_the_signature():
    signatures = calibrator_signatures(HestonCalibrator("shallow"))
    shapes = {spec.name: tuple(spec.shape) for spec in signatures["serving_default"].inputs}
    assert shapes["implied_volatility"] == shapes["strikes"] == (None, 8, 10)
    assert shapes["maturities"] == (None, 8)
    example = signatures["serving_default"].example
    np.testing.assert_array_equal(example["strikes"][0, 0], PAPER_GRID.strikes)
    assert signatures["price"].inputs[1].shape.as_list() == [None, None, None]
    answer = signatures["serving_default"].function(
        *(
            example[spec.name].astype(spec.dtype.as_numpy_dtype)
            for spec in signatures["serving_default"].inputs
        )
    )
    assert answer["parameters"].shape == (2, 5)
    assert answer["implied_volatility"].shape == (2, 8, 10)


def test_a_quantile_head_is_served():
    signatures = calibrator_signatures(HestonCalibrator("shallow", quantiles=(0.25, 0.5, 0.75)))
    function, inputs, example = signatures["serving_default"]
    answer = function(*(tf.constant(example[spec.name], spec.dtype) for spec in inputs))
    assert answer["quantiles"].shape == (2, 3, 5)
    np.testing.assert_allclose(answer["quantiles"][:, 1], answer["parameters"], rtol=1e-5)
    assert (np.diff(answer["quantiles"].numpy()[:, :, 4], axis=1) > 0).all()


def test_bates_is_priced_by_eight_parameters():
    signatures = calibrator_signatures(HestonCalibrator(model="bates"))
    assert signatures["price"].inputs[0].shape.as_list() == [None, 8]
    example = signatures["price"].example
    answer = signatures["price"].function(*(example[s.name] for s in signatures["price"].inputs))
    assert np.isfinite(answer["calls"]).all()
    assert (answer["implied_volatility"].numpy() > 0).all()
