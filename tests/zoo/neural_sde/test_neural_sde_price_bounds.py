"""Bounds of exotic prices, and measures of what vanilla prices leave open."""

import keras
import numpy as np
import pytest

from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.datasets.heston_panels.heston_paths import heston_log_prices
from hedgezoo.neural_sde.exotics import forward_start, lookback
from hedgezoo.neural_sde.identification import (
    explained_share,
    volatility_dynamics,
    volatility_explained,
    volatility_noise,
)
from hedgezoo.neural_sde.model import NeuralSDE
from hedgezoo.neural_sde.price_bounds import ExtremePrice, copied, price_bounds

QUOTES = SurfaceQuotes([0.9, 1.0, 1.1], [0.5, 0.5, 0.5], [0.23, 0.2, 0.18])


def stochastic():
    model = NeuralSDE(
        "stochastic",
        units=(8,),
        volatility=0.2,
        maturities=(0.5,),
        steps_per_year=16,
        concentration=1.0,
        options={"seed": 0},
    )
    model.build()
    return model


def price_and_error(extreme, inputs):
    payoff = np.mean(extreme(inputs), axis=0)
    return payoff[-1], np.max(np.abs(payoff[:-1] - QUOTES.out_of_the_money))


@pytest.mark.parametrize("direction", [1, -1])
def test_steps_move_the_price_where_they_should(direction):
    start = stochastic()
    model = copied(start)
    extreme = ExtremePrice(model, QUOTES, lookback(0.5, 8), direction, tolerance_bp=1e5)
    extreme.compile(keras.optimizers.Adam(3e-3))
    inputs, target = extreme.simulate(0, 256)
    before = price_and_error(extreme, inputs)[0]
    for _ in range(3):
        extreme.train_step((inputs, target))
    assert direction * (price_and_error(extreme, inputs)[0] - before) > 3e-5
    for weight, other in zip(start.get_weights(), stochastic().get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)  # the copy was trained, not the model


def test_a_tight_tolerance_pulls_towards_the_quotes():
    model = stochastic()
    extreme = ExtremePrice(model, QUOTES, lookback(0.5, 8), 1, tolerance_bp=1.0)
    extreme.compile(keras.optimizers.Adam(1e-2))
    inputs, target = extreme.simulate(0, 256)
    before = price_and_error(extreme, inputs)[1]
    multiplier = float(extreme.force.multiplier)
    for _ in range(5):
        extreme.train_step((inputs, target))
    assert price_and_error(extreme, inputs)[1] < 0.8 * before
    assert float(extreme.force.multiplier) > multiplier


@pytest.mark.slow
def test_bounds_hold_the_model_that_they_start_from(tmp_path):
    model = stochastic()
    calls = model.price(QUOTES.strikes, [0.5], paths=2**14).price
    own = SurfaceQuotes.from_calls(calls, QUOTES.strikes, [0.5])
    bounds = price_bounds(
        model,
        own,
        forward_start(0.25, 0.5),
        tolerance_bp=100.0,
        steps=40,
        paths=512,
        evaluation_paths=2**14,
        checkpoint=tmp_path,
    )
    noise = 3 * np.hypot(bounds.lower_standard_error, bounds.upper_standard_error)
    assert bounds.lower + noise < bounds.start < bounds.upper - noise
    assert bounds.start_error_bp < 5.0
    assert max(bounds.lower_error_bp, bounds.upper_error_bp) < 200.0
    assert {path.name for path in tmp_path.iterdir()} == {"lower", "upper"}  # to go on from


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"tolerance_bp": 0.0}, "tolerance_bp"),
        ({"steps": 0}, "steps"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_bad_options_of_bounds_are_named(options, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        price_bounds(stochastic(), QUOTES, lookback(0.5, 8), **options)


def test_bounds_need_quotes_and_a_contract():
    with pytest.raises(ValueError, match="`exotic`"):
        price_bounds(stochastic(), QUOTES, "lookback")
    with pytest.raises(ValueError, match="`model`"):
        ExtremePrice(NeuralSDE("historical", units=(8,)), QUOTES, lookback(0.5, 8), 1, 30.0)


class Heston:
    def simulate(self, seed, paths, times):
        log_price, variance = heston_log_prices(
            (1.5, 0.04, 0.5, -0.7, 0.04), [0.0, *times], seed, paths, variance=True
        )
        return {"spot": np.exp(log_price[:, 1:]), "volatility": np.sqrt(variance[:, 1:]) + 1e-3}


def test_local_volatility_has_no_life_of_its_own():
    model = NeuralSDE("local", units=(8,), steps_per_year=24, options={"seed": 3})
    model.build()
    model.network.network.kernels[-1].assign(3.0 * model.network.network.kernels[-1])
    found = volatility_dynamics(model, paths=4096)
    assert found.explained > 0.97
    assert found.noise < 0.2 * found.total


def test_heston_volatility_has_one():
    found = volatility_dynamics(Heston(), paths=4096)
    assert 0.3 < found.explained < 0.65  # the spot explains about half, see rho = -0.7
    assert 0.5 * found.total < found.noise < found.total
    assert volatility_explained(Heston(), paths=4096) == found.explained
    assert volatility_noise(Heston(), paths=4096) == found.noise


def test_share_that_is_explained():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 20_000))
    assert abs(explained_share(x, np.sin(2 * x) + noise) - 0.33) < 0.03
    assert explained_share(x, noise) < 0.01


def test_bad_options_of_dynamics_are_named():
    for options, name in (({"maturity": 0.0}, "maturity"), ({"paths": 100}, "paths")):
        with pytest.raises(ValueError, match=f"`{name}`"):
            volatility_dynamics(Heston(), **options)
