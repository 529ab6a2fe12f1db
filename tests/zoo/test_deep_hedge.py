"""The feed-forward comparison, whose decision depends on the position."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import ExactHedge, FeedForwardHedge
from hedgezoo.datasets import BlackScholesMarket
from hedgezoo.losses import EntropicRisk


@pytest.fixture(scope="module")
def model():
    model = FeedForwardHedge(hidden_units=(8, 8), risk_aversion=50.0)
    model.build()
    return model


def test_path_is_a_sequence_of_steps(model):
    inputs, _ = BlackScholesMarket(steps=6).simulate(seed=1, paths=9)
    held, expected = tf.zeros((9, 1)), []
    for date in range(6):
        held = model.step(inputs["features"][:, date], held)["position"]
        expected.append(held)
    np.testing.assert_allclose(model.positions(inputs), tf.stack(expected, 1), atol=1e-6)


def test_unknown_number_of_dates_gives_the_same_path(model):
    inputs, _ = BlackScholesMarket(steps=6).simulate(seed=1, paths=9)

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3))])
    def positions(features):
        return model.positions({"features": features})

    np.testing.assert_allclose(positions(inputs["features"]), model.positions(inputs), atol=1e-6)


def test_policy_broadcasts(model):
    spot, held = np.linspace(0.9, 1.1, 4)[:, None], np.linspace(0.0, 1.0, 3)
    moved = model.policy(spot, 0.05, held)
    assert moved.shape == (4, 3)
    np.testing.assert_allclose(moved[1, 2], model.policy(spot[1, 0], 0.05, held[2]), atol=1e-6)


def test_training_lowers_the_exact_price():
    market = BlackScholesMarket(steps=5, draws="sobol")
    model = FeedForwardHedge(hidden_units=(16, 16), risk_aversion=50.0, maturity=market.maturity)
    problem = ExactHedge.from_market(market, risk_aversion=50.0, spot_nodes=3, position_nodes=48)
    model.build()
    before = problem.price_of_policy(model)
    model.compile(keras.optimizers.Adam(5e-3), EntropicRisk(50.0), steps_per_execution=20)
    model.fit(market.batches(1024, 80, seed=1), verbose=0, shuffle=False)
    assert problem.price() - 1e-9 <= problem.price_of_policy(model) < before


def test_round_trip(model, tmp_path):
    assert FeedForwardHedge.from_config(model.get_config()).get_config() == model.get_config()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.policy(1.0, 0.1, 0.3), model.policy(1.0, 0.1, 0.3))
