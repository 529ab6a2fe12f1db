"""FloatingOptionMarket: gains against the spot path, the data contract, prices, bad terms."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets import FloatingOptionMarket, payoffs
from hedgezoo.layers.black_scholes import black_scholes_call
from hedgezoo.layers.draws import DRAWS
from hedgezoo.layers.trading_gains import trading_gains

GRID = FloatingOptionMarket(
    volatility=0.2,
    implied_volatility=0.25,
    drift=0.05,
    spot=50.0,
    steps=6,
    instruments=("spot", "calls", "puts", "straddles"),
    expiry_steps=(1, 4),
    strikes=(0.97, 1.0),
    cost=1e-3,
    payoff=payoffs.European(strike=50.0),
    dtype="float64",
)


def _value(kind, ratio, strike, years):
    """Value of an option per unit of spot at purchase, by Black-Scholes on the spot of now."""
    if years:
        call = ratio * black_scholes_call((strike / ratio)[:, None], years, 0.25).numpy()[:, 0]
    else:
        call = np.maximum(ratio - strike, 0.0)
    put = call - ratio + strike
    return {"call": call, "put": put, "straddle": call + put}[kind]


@pytest.mark.parametrize("unit", ["notional", "underlying"])
def test_gains_are_those_of_the_spot_path(unit):
    market = dataclasses.replace(GRID, unit=unit)
    inputs, liability = market.simulate(seed=3, paths=40)
    spot = market.spot_paths(seed=3, paths=40).numpy()[:, :, 0]
    assert market.instrument_names[:3] == ("spot", "call 1 0.97", "call 1 1")
    assert inputs["unit_gain"].shape == (40, 6, 13)
    contracts = [(k, n, x) for k in ("call", "put", "straddle") for n in (1, 4) for x in (0.97, 1)]
    scale = 1.0 if unit == "notional" else spot[:, :6, None]
    gains = inputs["unit_gain"].numpy() / scale
    for t in range(6):
        np.testing.assert_allclose(gains[:, t, 0], spot[:, t + 1] / spot[:, t] - 1, atol=1e-12)
        for column, (kind, life, strike) in enumerate(contracts, start=1):
            end = min(t + life, 6)
            ratio = spot[:, end] / spot[:, t]
            worth = _value(kind, ratio, strike, (t + life - end) / 250)
            paid = _value(kind, np.ones(1), strike, life / 250)
            np.testing.assert_allclose(gains[:, t, column], worth - paid, atol=1e-12)
    np.testing.assert_allclose(inputs["cost"], np.broadcast_to(1e-3 * scale, gains.shape))
    np.testing.assert_allclose(liability, np.maximum(spot[:, -1] - 50.0, 0.0))
    np.testing.assert_allclose(inputs["features"][:, :, 0], np.log(spot[:, :6] / 50.0), atol=1e-12)


def test_both_ways_of_holding_the_spot_reach_the_same_gains():
    stepwise = dataclasses.replace(GRID, instruments=("spot",), unit="underlying", cost=0.0)
    held = dataclasses.replace(stepwise, spot_gain="horizon")
    bought = np.random.default_rng(0).normal(size=(40, 6, 1))
    gains = trading_gains(bought, unit_gain=held.simulate(3, 40)[0]["unit_gain"])
    same = trading_gains(
        np.cumsum(bought, axis=1), unit_gain=stepwise.simulate(3, 40)[0]["unit_gain"]
    )
    np.testing.assert_allclose(gains, same, atol=1e-12)


def test_options_are_fair_where_implied_is_realised_and_not_where_it_differs():
    market = dataclasses.replace(GRID, drift=0.0, implied_volatility=0.2, steps=4, draws="sobol")
    means = tf.reduce_mean(market.simulate(0, 2**14)[0]["unit_gain"], axis=0).numpy()
    np.testing.assert_allclose(means, 0.0, atol=3e-5)
    dear = dataclasses.replace(market, implied_volatility=0.25)
    gains = tf.reduce_mean(dear.simulate(0, 2**14)[0]["unit_gain"], axis=0).numpy()[0]
    np.testing.assert_allclose(
        gains[[1, 2, 9, 10]],
        [
            _value(kind, np.ones(1), strike, 1 / 250)[0] * -1 + _price_at(kind, strike, 0.2)
            for kind in ("call", "straddle")
            for strike in (0.97, 1.0)
        ],
        atol=3e-5,
    )


def _price_at(kind, strike, volatility):
    call = float(black_scholes_call([strike], 1 / 250, volatility)[0])
    return call if kind == "call" else 2 * call - 1 + strike


def test_spots_are_those_of_the_black_scholes_market():
    from hedgezoo.datasets import BlackScholesMarket

    same = BlackScholesMarket(
        volatility=0.2, drift=0.05, spot=50.0, steps=6, time_step=1 / 250, dtype="float64"
    )
    np.testing.assert_allclose(GRID.spot_paths(5, 30), same.spot_paths(5, 30), rtol=1e-14)


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_path_has_the_same_bits_in_any_batch(draws, dtype):
    market = dataclasses.replace(GRID, draws=draws, dtype=dtype, unit="underlying")
    whole = tf.nest.flatten(market.simulate(seed=4, paths=2500))
    for first, paths in ((0, 1), (7, 1), (1234, 1001)):
        for a, b in zip(whole, tf.nest.flatten(market.simulate(4, paths, first)), strict=True):
            np.testing.assert_array_equal(a[first : first + paths], b)
    # a graph folds constants of Black-Scholes, so options marked at the horizon differ in rounding
    for expiries, rounding in (((1, 4), 4 * np.finfo(dtype).eps * 50), ((1,), 0.0)):
        market = dataclasses.replace(market, expiry_steps=expiries)
        whole = tf.nest.flatten(market.simulate(seed=4, paths=2500))
        batches = [tf.nest.flatten(batch) for batch in market.batches(1250, 2, seed=4)]
        for a, *b in zip(whole, *batches, strict=True):
            np.testing.assert_allclose(np.concatenate(b), a, rtol=0, atol=rounding)


def test_configuration_survives_json():
    stored = json.loads(json.dumps(GRID.get_config()))
    assert FloatingOptionMarket.from_config(stored) == GRID
    assert payoffs.deserialize(FloatingOptionMarket().get_config()["payoff"]) == payoffs.Nothing()


@pytest.mark.parametrize(
    ("terms", "word"),
    [
        ({"volatility": -0.2}, "volatility"),
        ({"implied_volatility": float("nan")}, "implied_volatility"),
        ({"expiry_steps": (0, 2)}, "expiry_steps"),
        ({"expiry_steps": ()}, "expiry_steps"),
        ({"strikes": (1.0, 1.0)}, "strikes"),
        ({"strikes": -1.0}, "strikes"),
        ({"instruments": ("spot", "call")}, "calls"),
        ({"spot_gain": "day"}, "spot_gain"),
        ({"unit": "share"}, "unit"),
        ({"features": ("vol",)}, "features"),
        ({"steps": 2000, "draws": "sobol"}, "steps"),
        ({"cost": -1e-3}, "cost"),
    ],
)
def test_bad_terms_are_named(terms, word):
    with pytest.raises(ValueError, match=word):
        FloatingOptionMarket(**terms)
