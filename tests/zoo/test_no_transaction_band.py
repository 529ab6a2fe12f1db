"""The band network: what it starts as, what it learns, what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import DeltaHedge, ExactHedge, NoTransactionBand, WhalleyWilmott
from hedgezoo.datasets import BlackScholesMarket
from hedgezoo.layers import clamp_band
from hedgezoo.losses import EntropicRisk

FEATURES = ("log_moneyness", "time_to_expiry", "volatility", "cost", "risk_aversion")


def paths(count=64, **terms):
    return BlackScholesMarket(**terms).simulate(seed=1, paths=count)


@pytest.mark.parametrize("width", ["learned", "whalley_wilmott", "asymptotic"])
@pytest.mark.parametrize("inputs", ["raw", "standardized"])
def test_positions_are_the_clamp_of_its_band(width, inputs):
    model = NoTransactionBand(hidden_units=(8,), width=width, inputs=inputs, risk_aversion=50.0)
    batch, _ = paths()
    lower, upper = model.bands(batch["features"])
    np.testing.assert_allclose(model.positions(batch), clamp_band(lower, upper))
    gains = model(batch)
    positions, price = model.positions(batch).numpy(), batch["price"].numpy()
    trades = np.diff(np.pad(positions, ((0, 0), (1, 0), (0, 0))), axis=1)
    costs = batch["cost"].numpy() * np.abs(trades)
    expected = (positions * np.diff(price, axis=1) - costs).sum((1, 2))
    np.testing.assert_allclose(gains, expected, atol=1e-6)


def test_one_step_is_one_date_of_a_path():
    model = NoTransactionBand(hidden_units=(8,), width="whalley_wilmott", risk_aversion=50.0)
    batch, _ = paths(16)
    positions = model.positions(batch)
    held = tf.zeros((16, 1))
    for date in range(positions.shape[1]):
        moved = model.step(batch["features"][:, date], held)
        held = moved["position"]
        np.testing.assert_allclose(held, positions[:, date], atol=1e-6)
        assert np.all(moved["lower"] - 1e-6 <= held)
        assert np.all(held <= moved["upper"] + 1e-6)


def test_starts_as_whalley_wilmott():
    terms = {"features": FEATURES, "strike": 2.0, "call": False}
    model = NoTransactionBand(width="whalley_wilmott", inputs="standardized", **terms)
    market = {"volatility": [0.1, 0.4], "cost": 2e-3, "risk_aversion": 30.0}
    found = model.band(1.9, 0.1, **market)
    for edge, expected in zip(found, WhalleyWilmott(**terms).band(1.9, 0.1, **market), strict=True):
        assert edge.shape == (2,)
        np.testing.assert_allclose(edge, expected, rtol=1e-5)


def test_far_from_the_strike_no_network_decides():
    model = NoTransactionBand(FEATURES, width="asymptotic", inputs="standardized")
    model.build()
    model.network.biases[-1].assign([5.0, -5.0])
    market = {"volatility": 0.2, "cost": 1e-3, "risk_aversion": 50.0}
    lower, upper = model.band([0.5, 2.0], 0.02, **market)
    np.testing.assert_allclose(lower, [0.0, 1.0], atol=0.06)
    np.testing.assert_allclose(upper, [0.0, 1.0], atol=0.06)
    assert float(model.band(1.0, 0.02, **market)[0]) < -1


def test_band_broadcasts_and_brackets_the_delta():
    model = NoTransactionBand(width="whalley_wilmott")
    spot = np.linspace(0.8, 1.2, 5)
    left = np.array([[0.01], [0.08]])
    lower, upper = model.band(spot, left)
    delta, _ = DeltaHedge().band(spot, left)
    assert lower.shape == upper.shape == (2, 5)
    assert np.all(lower <= delta)
    assert np.all(delta <= upper)


def test_standardized_inputs_do_not_depend_on_the_money_unit():
    small = NoTransactionBand(inputs="standardized", strike=1.0, risk_aversion=50.0, seed=3)
    large = NoTransactionBand(inputs="standardized", strike=100.0, risk_aversion=0.5, seed=3)
    spot = np.array([0.95, 1.0, 1.05])
    np.testing.assert_allclose(small.band(spot, 0.05), large.band(100 * spot, 0.05), atol=1e-6)


def test_a_few_seconds_of_training_come_close_to_the_optimum():
    market = BlackScholesMarket(draws="sobol")
    model = NoTransactionBand(inputs="standardized", risk_aversion=50.0)
    problem = ExactHedge.from_market(market, risk_aversion=50.0, spot_nodes=3, position_nodes=64)
    before = problem.price_of(model)
    rate = keras.optimizers.schedules.CosineDecay(1e-2, 60, alpha=0.01)
    model.compile(keras.optimizers.Adam(rate), EntropicRisk(50.0), steps_per_execution=20)
    model.fit(market.batches(1024, 60, seed=1), verbose=0, shuffle=False)
    after = problem.price_of(model)
    optimum = problem.price()
    assert after / optimum - 1 < 1.2e-3 < before / optimum - 1
    assert after >= optimum - 1e-9


def test_put_and_call_hedges_differ_by_one_unit():
    call = NoTransactionBand(width="whalley_wilmott", call=True)
    put = NoTransactionBand(width="whalley_wilmott", call=False)
    for c, p in zip(call.band([0.9, 1.0], 0.1), put.band([0.9, 1.0], 0.1), strict=True):
        np.testing.assert_allclose(c - p, 1.0, atol=1e-6)


def test_round_trip_through_config_and_keras_file(tmp_path):
    model = NoTransactionBand(FEATURES, (8, 4), "tanh", "whalley_wilmott", "standardized", seed=5)
    model.build()
    twin = NoTransactionBand.from_config(model.get_config())
    assert twin.get_config() == model.get_config()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    market = {"volatility": 0.3, "cost": 1e-3, "risk_aversion": 5.0}
    np.testing.assert_array_equal(loaded.band(1.0, 0.1, **market), model.band(1.0, 0.1, **market))


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"width": "wide"}, "width"),
        ({"inputs": "scaled"}, "inputs"),
        ({"features": ("log_moneyness",)}, "time_to_expiry"),
        ({"cost": -1e-3}, "cost"),
        ({"volatility": 0.0}, "volatility"),
        ({"risk_aversion": float("nan")}, "risk_aversion"),
    ],
)
def test_constructor_errors(arguments, culprit):
    with pytest.raises(ValueError, match=culprit):
        NoTransactionBand(**arguments)


def test_band_refuses_what_it_cannot_know():
    model = NoTransactionBand()
    with pytest.raises(ValueError, match="Did you mean 'volatility'"):
        model.band(1.0, 0.1, volatilty=0.2)
    with pytest.raises(ValueError, match=r"made for cost=0.001 .* Received: cost=0.01"):
        model.band(1.0, 0.1, cost=0.01)
    lookback = NoTransactionBand(("log_moneyness", "max_log_moneyness", "time_to_expiry"))
    with pytest.raises(ValueError, match="maximum"):
        lookback.band(1.0, 0.1)
