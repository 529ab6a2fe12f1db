"""ConditionalBlackScholesMarket: many contracts in one market, each as if it were alone."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import kstest, norm

from hedgezoo.datasets import BlackScholesMarket, ConditionalBlackScholesMarket, payoffs
from hedgezoo.layers.draws import DRAWS

BOX = {
    "volatility": (0.1, 0.4),
    "cost": (0.0, 0.01),
    "risk_aversion": (1.0, 100.0),
    "spot": (0.9, 1.1),
    "expiry_steps": (3, 12),
    "steps": 12,
}


def _numpy(tree):
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), tree)


def _call(spot, strike, deviation):
    d1 = np.log(spot / strike) / deviation + deviation / 2
    return spot * norm.cdf(d1) - strike * norm.cdf(d1 - deviation)


@pytest.mark.parametrize("draws", DRAWS)
def test_parameters_fill_the_box(draws):
    market = ConditionalBlackScholesMarket(**BOX, draws=draws)
    contracts = _numpy(market.contracts(seed=1, paths=8192))
    uniform = {
        "volatility": np.log(contracts["volatility"] / 0.1) / math.log(4),
        "cost": contracts["cost"] / 0.01,
        "risk_aversion": np.log(contracts["risk_aversion"]) / math.log(100),
        "spot": np.log(contracts["spot"] / 0.9) / math.log(1.1 / 0.9),
    }
    one_of_a_pair = slice(None, None, 2 if draws == "antithetic" else 1)
    for values in uniform.values():
        assert kstest(values[one_of_a_pair], "uniform").pvalue > 1e-4
    counts = np.bincount(contracts["expiry_steps"], minlength=13)
    assert counts[:3].sum() == 0
    assert np.abs(counts[3:] / 819.2 - 1).max() < (0.02 if draws == "sobol" else 0.25)
    correlation = np.corrcoef([*uniform.values(), contracts["expiry_steps"]])
    assert np.abs(correlation - np.eye(5)).max() < 4 / math.sqrt(4096)


def test_fixed_parameters_make_the_plain_market():
    fixed = {"volatility": 0.3, "cost": 0.002, "risk_aversion": 7.0, "spot": 1.2}
    market = ConditionalBlackScholesMarket(**fixed, steps=12, expiry_steps=12)
    inputs, liability = _numpy(market.simulate(seed=3, paths=100))
    plain = BlackScholesMarket(volatility=0.3, cost=0.002, spot=1.2, steps=12)
    expected, owed = _numpy(plain.simulate(seed=3, paths=100))
    np.testing.assert_allclose(inputs["price"], expected["price"], rtol=1e-6)
    np.testing.assert_allclose(inputs["cost"], expected["cost"], rtol=1e-6)
    np.testing.assert_allclose(inputs["features"][:, :, :3], expected["features"], atol=1e-6)
    np.testing.assert_allclose(inputs["features"][:, :, 3], 0.002, rtol=1e-6)
    np.testing.assert_allclose(inputs["features"][:, :, 4], 7.0, rtol=1e-6)
    np.testing.assert_allclose(liability, owed, atol=1e-6)


def test_nothing_happens_after_expiry():
    market = ConditionalBlackScholesMarket(**BOX, dtype="float64")
    contracts = _numpy(market.contracts(seed=3, paths=200))
    inputs, liability = _numpy(market.simulate(seed=3, paths=200))
    price, cost, features = (inputs[name] for name in ("price", "cost", "features"))
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(200, 12))
    traded = np.abs(np.diff(positions, axis=1, prepend=0.0))
    gains = positions * np.diff(price[:, :, 0], axis=1) - cost[:, :, 0] * traded
    for i, n in enumerate(contracts["expiry_steps"]):
        assert (price[i, n:] == price[i, n]).all()
        assert (np.diff(price[i, : n + 1, 0]) != 0).all()
        assert (cost[i, n:] == 0).all()
        np.testing.assert_allclose(cost[i, :n], contracts["cost"][i] * price[i, :n])
        left = np.maximum(n - np.arange(12), 0) / 250
        np.testing.assert_allclose(features[i, :, 1], left)
        assert liability[i] == max(price[i, n, 0] - 1.0, 0.0)
        assert gains[i].sum() == pytest.approx(gains[i, :n].sum())
    np.testing.assert_allclose(price[:, 0, 0], contracts["spot"])
    np.testing.assert_allclose(features[:, :, 0], np.log(price[:, :-1, 0]), atol=1e-12)
    for column, name in ((2, "volatility"), (3, "cost"), (4, "risk_aversion")):
        np.testing.assert_allclose(features[:, :, column], contracts[name][:, None] * np.ones(12))


def test_law_given_the_contract():
    market = ConditionalBlackScholesMarket(**BOX, dtype="float64")
    contracts = _numpy(market.contracts(seed=3, paths=40_000))
    price = market.spot_paths(seed=3, paths=40_000).numpy()[:, :, 0]
    time = contracts["expiry_steps"] / 250
    deviation = contracts["volatility"] * np.sqrt(time)
    standard = (np.log(price[:, -1] / contracts["spot"]) + deviation**2 / 2) / deviation
    assert kstest(standard, "norm").pvalue > 1e-4
    for name in ("volatility", "expiry_steps", "spot", "risk_aversion"):
        assert abs(np.corrcoef(standard, contracts[name])[0, 1]) < 4 / math.sqrt(40_000)


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize("draws", DRAWS)
def test_centred_liabilities_have_mean_zero(draws, call):
    payoff = payoffs.European(strike=1.0, call=call)
    terms = {**BOX, "draws": draws, "payoff": payoff, "dtype": "float64"}
    contracts = _numpy(ConditionalBlackScholesMarket(**terms).contracts(seed=2, paths=16384))
    owed = _numpy(ConditionalBlackScholesMarket(**terms).simulate(seed=2, paths=16384)[1])
    centred = _numpy(
        ConditionalBlackScholesMarket(**terms, centred=True).simulate(seed=2, paths=16384)[1]
    )
    deviation = contracts["volatility"] * np.sqrt(contracts["expiry_steps"] / 250)
    price = _call(contracts["spot"], 1.0, deviation) - (0 if call else contracts["spot"] - 1.0)
    np.testing.assert_allclose(owed - centred, price, atol=1e-12)
    assert abs(centred.mean()) < 4 * centred.std() / math.sqrt(8192)


def test_units_of_risk_tolerance():
    money = ConditionalBlackScholesMarket(**BOX, centred=True)
    scaled = ConditionalBlackScholesMarket(**BOX, centred=True, unit="risk_tolerance")
    a, owed = _numpy(money.simulate(seed=3, paths=500))
    b, owed_scaled = _numpy(scaled.simulate(seed=3, paths=500))
    aversion = money.contracts(seed=3, paths=500)["risk_aversion"].numpy()
    np.testing.assert_array_equal(a["features"], b["features"])
    np.testing.assert_allclose(b["price"], a["price"] * aversion[:, None, None], rtol=1e-6)
    np.testing.assert_allclose(b["cost"], a["cost"] * aversion[:, None, None], rtol=1e-6)
    np.testing.assert_allclose(owed_scaled, owed * aversion, rtol=1e-5)
    np.testing.assert_array_equal(scaled.spot_paths(seed=3, paths=500), a["price"])


@pytest.mark.parametrize("draws", DRAWS)
def test_a_path_has_the_same_bits_in_any_batch(draws):
    market = ConditionalBlackScholesMarket(
        **BOX, draws=draws, unit="risk_tolerance", features=("moneyness", "log_spot", "cost")
    )
    whole = tf.nest.flatten(market.simulate(seed=4, paths=4000))
    for first, paths in ((0, 1), (7, 1), (1234, 1001)):
        part = tf.nest.flatten(market.simulate(4, paths, first))
        for a, b in zip(whole, part, strict=True):
            np.testing.assert_array_equal(a[first : first + paths], b)
    batches = [tf.nest.flatten(batch) for batch in market.batches(1000, 4, seed=4)]
    for a, *b in zip(whole, *batches, strict=True):
        np.testing.assert_array_equal(a, np.concatenate(b))


def test_centring_is_the_same_in_any_batch():
    market = ConditionalBlackScholesMarket(**BOX, centred=True)
    whole = tf.concat([liability for _, liability in market.batches(4000, 1, seed=4)], 0)
    parts = tf.concat([liability for _, liability in market.batches(500, 8, seed=4)], 0)
    np.testing.assert_array_equal(whole, parts)


def test_antithetic_pairs_share_the_contract():
    market = ConditionalBlackScholesMarket(**BOX, draws="antithetic")
    for values in _numpy(market.contracts(seed=1, paths=100)).values():
        np.testing.assert_array_equal(values[0::2], values[1::2])


def test_static_shapes():
    spec = ConditionalBlackScholesMarket(steps=6).batches(8, 3, seed=0).element_spec
    shapes = [entry.shape.as_list() for entry in tf.nest.flatten(spec)]
    assert shapes == [[8, 6, 1], [8, 6, 5], [8, 7, 1], [8]]


def test_json_round_trip():
    market = ConditionalBlackScholesMarket(**BOX, unit="risk_tolerance", draws="sobol")
    stored = json.loads(json.dumps(market.get_config()))
    assert ConditionalBlackScholesMarket.from_config(stored) == market


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"volatility": (0.0, 0.4)}, r"volatility\[0\]=0.0"),
        ({"volatility": (0.4, 0.1)}, "low <= high"),
        ({"volatility": (0.1, 0.2, 0.3)}, "a number or a range"),
        ({"cost": -0.1}, "`cost` must not be negative"),
        ({"risk_aversion": 0.0}, "`risk_aversion` must be positive"),
        ({"spot": -1.0}, "`spot` must be positive"),
        ({"expiry_steps": (0, 5)}, r"expiry_steps\[0\]=0"),
        ({"expiry_steps": (1, 21)}, "must not exceed steps=20"),
        ({"expiry_steps": 2.5}, "expiry_steps=2.5"),
        ({"steps": 0}, "steps=0"),
        ({"time_step": -1.0}, "time_step=-1.0"),
        ({"unit": "risk"}, "`unit` must be one of"),
        ({"draws": "sobolo"}, "Did you mean 'sobol'"),
        ({"dtype": "half"}, "`dtype`"),
        ({"features": ("risk_aversoin",)}, "Did you mean 'risk_aversion'"),
        ({"payoff": payoffs.Asian()}, "must be a European payoff"),
        ({"payoff": payoffs.European(instrument=1)}, "instrument=1"),
        ({"draws": "sobol", "steps": 1107}, "at most 1106 steps"),
    ],
)
def test_wrong_terms_are_refused(terms, message):
    with pytest.raises(ValueError, match=message):
        ConditionalBlackScholesMarket(**terms)
