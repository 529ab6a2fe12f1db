"""Payoffs on paths made by hand and against closed forms."""

import itertools
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from hedgezoo.datasets import BlackScholesMarket, payoffs
from hedgezoo.datasets.payoffs import (
    Asian,
    Barrier,
    Basket,
    Binary,
    European,
    ForwardStart,
    Lookback,
    Nothing,
    VarianceSwap,
)

# two paths: up to 1.5 and back to 1.2; down to 0.5 and back to 0.8
PRICE = np.array([[1.0, 1.5, 0.9, 1.2], [1.0, 0.5, 1.1, 0.8]])[:, :, None]

BY_HAND = [
    (European(strike=1.0), [0.2, 0.0]),
    (European(strike=1.0, call=False), [0.0, 0.2]),
    (Binary(strike=1.2), [1.0, 0.0]),
    (Binary(strike=1.2, call=False), [0.0, 1.0]),
    (Lookback(strike=1.1), [0.4, 0.0]),
    (Lookback(strike=0.8), [0.7, 0.3]),
    (Lookback(strike=0.95, call=False), [0.05, 0.45]),
    (Lookback(strike=None), [0.3, 0.3]),
    (Lookback(strike=None, call=False), [0.3, 0.3]),
    (Asian(strike=1.0), [0.2, 0.0]),
    (Asian(strike=1.0, include_start=True), [0.15, 0.0]),
    (Asian(strike=1.0, call=False), [0.0, 0.2]),
    (Asian(strike=None), [0.0, 0.0]),
    (Asian(strike=None, call=False, include_start=True), [0.0, 0.05]),
    (
        Asian(strike=0.5, average="geometric"),
        [(1.5 * 0.9 * 1.2) ** (1 / 3) - 0.5, 0.44 ** (1 / 3) - 0.5],
    ),
    (Barrier(barrier=1.5, strike=1.0, direction="up", knock="out"), [0.0, 0.0]),
    (Barrier(barrier=1.5, strike=1.0, direction="up", knock="in"), [0.2, 0.0]),
    (Barrier(barrier=1.51, strike=1.0, direction="up", knock="out"), [0.2, 0.0]),
    (Barrier(barrier=0.5, strike=1.0, direction="down", knock="in", call=False), [0.0, 0.2]),
    (Barrier(barrier=0.5, strike=1.0, direction="down", knock="out", call=False), [0.0, 0.0]),
    (Barrier(barrier=0.49, strike=1.0, direction="down", knock="out", call=False), [0.0, 0.2]),
    (ForwardStart(start_step=2, strike=1.0), [1.2 / 0.9 - 1, 0.0]),
    (ForwardStart(start_step=2, strike=1.0, call=False), [0.0, 1 - 0.8 / 1.1]),
    (
        VarianceSwap(strike=0.04, time_step=0.5),
        [
            sum(math.log(b / a) ** 2 for a, b in itertools.pairwise(x)) / 1.5 - 0.04
            for x in PRICE[:, :, 0].tolist()
        ],
    ),
    (Basket(weights=(2.0,), strike=1.0), [1.4, 0.6]),
    (Nothing(), [0.0, 0.0]),
]


@pytest.mark.parametrize(("payoff", "expected"), BY_HAND, ids=lambda value: str(value)[:70])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_by_hand(payoff, expected, dtype):
    paid = payoff(tf.constant(PRICE, dtype))
    assert paid.dtype == dtype
    np.testing.assert_allclose(paid, expected, atol=1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("payoff", [payoff for payoff, _ in BY_HAND], ids=lambda p: str(p)[:70])
def test_json_round_trip(payoff):
    stored = json.loads(json.dumps(payoffs.serialize(payoff)))
    assert payoffs.deserialize(stored) == payoff


def test_numpy_scalars_are_stored_as_plain_numbers():
    stored = json.dumps(payoffs.serialize(European(strike=np.float32(2.0))))
    assert payoffs.deserialize(json.loads(stored)) == European(strike=2.0)


def test_several_instruments():
    price = np.concatenate([PRICE, 2 * PRICE], axis=-1)
    np.testing.assert_allclose(European(strike=2.0, instrument=1)(price), [0.4, 0.0])
    spread = Basket(weights=(-1.0, 1.0), strike=1.0)
    np.testing.assert_allclose(spread(price), [0.2, 0.0], atol=1e-12)


def test_in_and_out_make_the_vanilla_option():
    price = BlackScholesMarket(volatility=0.4, drift=0.1).spot_paths(seed=1, paths=2000)
    for direction, barrier in (("up", 1.05), ("down", 0.93)):
        for call in (True, False):
            terms = {"barrier": barrier, "strike": 0.98, "direction": direction, "call": call}
            both = Barrier(knock="in", **terms)(price) + Barrier(knock="out", **terms)(price)
            np.testing.assert_array_equal(both, European(strike=0.98, call=call)(price))


def _call(forward, strike, deviation):
    d1 = math.log(forward / strike) / deviation + deviation / 2
    return forward * norm.cdf(d1) - strike * norm.cdf(d1 - deviation)


def _mean_and_error(payoff, **market):
    market = BlackScholesMarket(payoff=payoff, draws="sobol", dtype="float64", **market)
    means = [float(tf.reduce_mean(market.simulate(seed, 4096)[1])) for seed in range(12)]
    return np.mean(means), np.std(means, ddof=1) / math.sqrt(len(means))


@pytest.mark.parametrize("include_start", [False, True])
def test_geometric_asian_closed_form(include_start):
    steps, dt, volatility = 20, 1 / 50, 0.3
    start = 0 if include_start else 1
    times = dt * np.arange(start, steps + 1)
    # log of the average is normal
    variance = volatility**2 * np.minimum.outer(times, times).mean()
    forward = math.exp(-(volatility**2) / 2 * times.mean() + variance / 2)
    payoff = Asian(strike=1.02, average="geometric", include_start=include_start)
    mean, error = _mean_and_error(payoff, steps=steps, time_step=dt, volatility=volatility)
    assert error < 2e-5
    assert abs(mean - _call(forward, 1.02, math.sqrt(variance))) < 5 * error


def test_forward_start_is_an_option_on_the_remaining_time():
    payoff = ForwardStart(start_step=8, strike=1.01)
    mean, error = _mean_and_error(payoff, steps=20, time_step=1 / 50, volatility=0.3, spot=5.0)
    assert error < 5e-5
    assert abs(mean - _call(1.0, 1.01, 0.3 * math.sqrt(12 / 50))) < 5 * error


def test_variance_swap_expectation():
    # E log(S'/S)² = σ² dt + (σ² dt / 2)²
    mean, error = _mean_and_error(VarianceSwap(strike=0.05), volatility=0.2)
    expected = 0.04 + 0.04**2 / 250 / 4 - 0.05
    assert error < 1e-4
    assert abs(mean - expected) < 5 * error


def test_binary_is_a_probability():
    mean, error = _mean_and_error(Binary(strike=1.02), volatility=0.2)
    deviation = 0.2 * math.sqrt(20 / 250)
    assert abs(mean - norm.cdf(math.log(1 / 1.02) / deviation - deviation / 2)) < 5 * error


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: European(strike=0.0), "`strike` must be positive. Received: strike=0.0"),
        (lambda: European(strike="1"), "`strike` must be a finite number"),
        (lambda: European(strike=math.nan), "`strike` must be a finite number"),
        (lambda: Lookback(strike=-1.0), "strike=-1.0"),
        (lambda: Asian(average="harmonic"), "`average` must be one of"),
        (lambda: Asian(average="geometrical"), "Did you mean 'geometric'"),
        (lambda: Barrier(barrier=-1.0), "barrier=-1.0"),
        (lambda: Barrier(barrier=1.1, knock="up"), "`knock`"),
        (lambda: Barrier(barrier=1.1, direction="left"), "`direction`"),
        (lambda: ForwardStart(start_step=0), "start_step=0"),
        (lambda: VarianceSwap(time_step=0.0), "time_step=0.0"),
        (lambda: Basket(weights=(1.0, "a")), r"weights\[1\]='a'"),
        (lambda: European(instrument=-1), "instrument=-1"),
        (lambda: European()(PRICE[:, :, 0]), r"shape \(2, 4\)"),
        (lambda: European(instrument=1)(PRICE), "instrument=1"),
        (lambda: Basket(weights=(1.0, 1.0))(PRICE), "`weights` must have one entry for each"),
        (lambda: ForwardStart(start_step=3)(PRICE), "start_step=3"),
        (lambda: payoffs.serialize(lambda price: price[:, -1, 0]), "callable of your own"),
        (lambda: payoffs.deserialize({"class_name": "Europaen"}), "Did you mean 'European'"),
    ],
)
def test_wrong_terms_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
