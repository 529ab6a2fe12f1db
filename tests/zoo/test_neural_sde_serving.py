"""The SavedModel of a neural SDE answers as the model does, without TensorFlow's Python side."""

import time

import numpy as np
import pytest

from hedgezoo.layers import implied_volatility
from hedgezoo.neural_sde import NeuralSDE
from hedgezoo.serving import export, load_with_c_api, request_body
from hedgezoo.serving.neural_sde_signatures import DIRECT_PATHS, GRID_PATHS
from hedgezoo.serving.saved_model_checks import check_graph

pytestmark = [pytest.mark.serving, pytest.mark.slow]

FEATURES = ("level", "skew")


def trained(kind, **settings):
    """A model with a smile, as if it had been trained."""
    model = NeuralSDE(kind, units=(32, 32), options={"seed": 1}, **settings)
    model.build()
    kernel = model.network.network.kernels[-1]
    kernel.assign(5.0 * kernel)
    return model


class Served:
    """A model and its SavedModel."""

    def __init__(self, model, directory):
        self.model = model
        self.path = export(model, directory)
        self.session = load_with_c_api(self.path)

    def price(self, strike, maturity, seed=3, **others):
        strike, maturity, seed = np.broadcast_arrays(strike, maturity, seed)
        inputs = {
            "strike": strike.astype("float32"),
            "maturity": maturity.astype("float32"),
            "seed": seed.astype("int64"),
            **{name: np.asarray(value, "float32") for name, value in others.items()},
        }
        return self.session.run(inputs)


@pytest.fixture(scope="module", params=["local", "stochastic"])
def served(request, tmp_path_factory):
    found = Served(trained(request.param), tmp_path_factory.mktemp(request.param))
    yield found
    found.session.close()


@pytest.fixture(scope="module")
def served_with_features(tmp_path_factory):
    model = trained("local", features=FEATURES)
    found = Served(model, tmp_path_factory.mktemp("features"))
    yield found
    found.session.close()


def test_signatures(served):
    signatures = check_graph(served.path)["signatures"]
    assert set(signatures) == {"serving_default", "price", "coefficients"}
    assert signatures["serving_default"] == signatures["price"]
    assert {name: tuple(x.values()) for name, x in signatures["price"]["inputs"].items()} == {
        "strike": ("float32", [None]),
        "maturity": ("float32", [None]),
        "seed": ("int64", [None]),
    }
    outputs = {"price", "standard_error", "implied_volatility"}
    assert set(signatures["price"]["outputs"]) == outputs
    latent = {"factor"} if served.model.states > 1 else set()
    assert set(signatures["coefficients"]["inputs"]) == {"spot", "time"} | latent
    assert set(signatures["coefficients"]["outputs"]) == {"drift", "diffusion"}
    size = sum(file.stat().st_size for file in served.path.rglob("*") if file.is_file())
    assert size < 700_000
    assert set(request_body(served.path)["inputs"]) == {"strike", "maturity", "seed"}


def test_coefficients_are_those_of_the_model(served):
    random = np.random.default_rng(0)
    inputs = {"spot": random.uniform(0.7, 1.4, 50), "time": random.uniform(0, 1.2, 50)}
    if served.model.states > 1:
        inputs["factor"] = random.normal(size=50)
    inputs = {name: value.astype("float32") for name, value in inputs.items()}
    answer = served.session.run(inputs, "coefficients")
    np.testing.assert_allclose(answer["diffusion"], served.model.diffusion(**inputs), rtol=1e-5)
    assert not answer["drift"].any()


def test_at_the_maturities_prices_are_those_of_the_model(served):
    model = served.model
    strikes, maturities = np.array([0.9, 1.0, 1.15]), np.array(model.maturities)
    paths = GRID_PATHS if model.states == 1 else DIRECT_PATHS
    expected = model.price(strikes, maturities, paths=paths, seed=3, control=False)
    grid = np.meshgrid(strikes, maturities)
    answer = served.price(*(values.ravel() for values in grid))
    # strikes and maturities are float32 on the way
    np.testing.assert_allclose(answer["price"], expected.price.ravel(), atol=2e-6)
    np.testing.assert_allclose(
        answer["standard_error"], expected.standard_error.ravel(), rtol=0.02, atol=1e-7
    )
    np.testing.assert_allclose(
        answer["implied_volatility"], expected.implied_volatility.ravel(), atol=2e-5
    )


def test_between_the_maturities_within_the_stated_error(served):
    strikes, maturities = np.array([0.9, 1.0, 1.1]), np.array([0.05, 0.21, 0.77])
    answer = served.price(np.tile(strikes, 3), np.repeat(maturities, 3))
    expected = served.model.price(strikes, maturities, paths=2**14, seed=8)
    gap = answer["price"] - expected.price.ravel()
    error = np.hypot(answer["standard_error"], expected.standard_error.ravel())
    # and what other time steps make of it, half a basis point of the forward
    assert (np.abs(gap) < 4 * error + 5e-5).all()
    assert (answer["standard_error"] < 5e-4).all()


def test_price_and_volatility_belong_together_in_every_row(served):
    random = np.random.default_rng(1)
    strike, maturity = random.uniform(0.8, 1.2, 40), random.uniform(0.1, 1.0, 40)
    answer = served.price(strike, maturity)
    found = implied_volatility(
        answer["price"].astype(float)[:, None, None],
        strike.astype("float32").astype(float)[:, None, None],
        maturity.astype("float32").astype(float)[:, None],
    )
    np.testing.assert_allclose(np.ravel(found), answer["implied_volatility"], atol=1e-5)


def test_a_row_is_the_same_in_any_batch(served):
    strike, maturity, seed = np.array([0.9, 1.0, 1.1, 1.0]), 0.4, np.array([5, 7, 5, 5])
    together = served.price(strike, maturity, seed)
    for row in range(4):
        alone = served.price(strike[row : row + 1], maturity, seed[row : row + 1])
        for name, value in together.items():
            np.testing.assert_allclose(alone[name][0], value[row], rtol=1e-6)
    assert together["price"][1] != together["price"][3]
    gap = abs(together["price"][1] - together["price"][3])
    assert gap < 6 * together["standard_error"][[1, 3]].max()
    empty = served.price(np.zeros(0), np.zeros(0), np.zeros(0, int))
    assert all(value.shape == (0,) for value in empty.values())


def test_outside_the_range_it_says_so(served):
    answer = served.price([1.0, -1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.0, 1.01, np.nan])
    for value in answer.values():
        np.testing.assert_array_equal(np.isnan(value), [False, True, True, True, True])
    worthless = served.price([8.0], [0.02])
    assert worthless["price"] == worthless["implied_volatility"] == 0


def test_total_variance_never_falls_with_maturity(served):
    maturities = np.linspace(0.01, 1.0, 80)
    for strike in (0.9, 1.0, 1.1):
        answer = served.price(strike, maturities)
        variance = answer["implied_volatility"].astype(float) ** 2 * maturities
        vega = 0.3 * np.sqrt(maturities)
        noise = 2 * answer["implied_volatility"] * maturities * answer["standard_error"] / vega
        assert (np.diff(variance) > -5 * noise[1:] - 1e-6).all()


def test_one_request_of_64_options_is_answered_at_once(served):
    request = np.linspace(0.8, 1.2, 64), np.linspace(0.1, 1.0, 64)
    served.price(*request)
    start = time.process_time()
    served.price(*request)
    assert time.process_time() - start < 2.0


def test_features_choose_the_surface_of_each_row(served_with_features):
    features = np.array([[0.5, -0.5], [-0.5, 0.5], [0.5, -0.5]])
    strike, maturity = np.array([0.95, 0.95, 1.05]), 2 / 3
    answer = served_with_features.price(strike, maturity, features=features)
    model = served_with_features.model
    for row in range(3):
        expected = model.price(
            strike[row : row + 1],
            model.maturities,
            paths=GRID_PATHS,
            seed=3,
            features=features[row],
            control=False,
        )
        np.testing.assert_allclose(answer["price"][row], expected.price[3, 0], atol=2e-6)
    assert abs(answer["price"][0] - answer["price"][1]) > 1e-4
    sigma = served_with_features.session.run(
        {
            "spot": np.ones(3, "float32"),
            "time": np.full(3, 0.5, "float32"),
            "features": features.astype("float32"),
        },
        "coefficients",
    )["diffusion"]
    np.testing.assert_allclose(sigma, model.diffusion(1.0, 0.5, features), rtol=1e-5)
