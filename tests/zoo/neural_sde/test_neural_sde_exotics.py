"""Exotics: payoffs on their fixings, what a hedge knows of the past, known prices."""

import json

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets import payoffs
from hedgezoo.datasets.heston_panels.heston_paths import heston_log_prices
from hedgezoo.layers.heston.pricer import heston_call
from hedgezoo.neural_sde.exotic_pricing import exotic_prices, heston_exotic_prices
from hedgezoo.neural_sde.exotics import (
    Exotic,
    exotic_deviation,
    forward_start,
    lookback,
    merged_times,
    path_state,
)

HESTON = (1.5, 0.04, 0.5, -0.7, 0.04)
# a path with its highest point in the middle, at fixings 0, 1/4, ..., 1
PATH = np.log([[1.0, 1.2, 1.1, 0.9, 1.0]])
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


class ConstantVolatility:
    """Black-Scholes in the clothes of a neural SDE."""

    def __init__(self, sigma):
        self.sigma = sigma

    def simulate(self, seed, paths, times):
        from hedgezoo.layers.sde.increments import brownian_increments

        times = np.asarray(times, np.float64)
        steps = brownian_increments(seed, paths, times, dtype="float64")[..., 0]
        log_price = tf.cumsum(steps, axis=1) * self.sigma - 0.5 * self.sigma**2 * times[1:]
        return {"spot": tf.exp(tf.pad(log_price, ((0, 0), (1, 0))))}


def test_a_contract_survives_json():
    for contract in (lookback(0.5), forward_start(0.25, 1.0, 1.1)):
        copy = Exotic.from_config(json.loads(json.dumps(contract.get_config())))
        assert copy == contract


@pytest.mark.parametrize(
    ("payoff", "expected"),
    [
        (payoffs.Lookback(strike=None, call=False), 0.2),
        (payoffs.Lookback(strike=1.0), 0.2),
        (payoffs.Lookback(strike=None, call=True), 0.1),
        (payoffs.ForwardStart(start_step=2, strike=0.8), 1.0 / 1.1 - 0.8),
        (payoffs.Asian(strike=None, call=False), 0.05),
        (payoffs.Barrier(barrier=1.2, strike=0.9, knock="in"), 0.1),
        (payoffs.Barrier(barrier=1.2, strike=0.9, knock="out"), 0.0),
    ],
)
def test_payoff_of_a_known_path(payoff, expected):
    paid = Exotic(payoff, QUARTERS).pay(tf.constant(PATH, tf.float32))
    np.testing.assert_allclose(paid, [expected], atol=1e-6)


@pytest.mark.parametrize(
    ("payoff", "levels", "others"),
    [
        (payoffs.Lookback(strike=None, call=False), [1, 1.2, 1.2, 1.2, 1.2], None),
        (payoffs.Lookback(strike=None, call=True), [1, 1, 1, 0.9, 0.9], None),
        (payoffs.Barrier(barrier=1.15), [1, 1.2, 1.2, 1.2, 1.2], [0, 1, 1, 1, 1]),
        (payoffs.Barrier(barrier=0.9, direction="down"), [1, 1, 1, 0.9, 0.9], [0, 0, 0, 1, 1]),
        (payoffs.Asian(), [1, 1.2, 1.15, 3.2 / 3, 1.05], None),
        (payoffs.ForwardStart(start_step=2), [1, 1.2, 1.1, 1.1, 1.1], None),
        (payoffs.European(), None, None),
    ],
)
def test_what_is_remembered_is_known_at_the_time(payoff, levels, others):
    found = path_state(payoff, tf.constant(PATH))
    for tensor, expected, scale in zip(found, (levels, others), (np.exp, np.asarray), strict=True):
        if expected is None:
            assert tensor.shape == (1, 5, 0)
        else:
            np.testing.assert_allclose(scale(tensor[0, :, 0]), expected, rtol=1e-6)
    # nothing of the future: a path that goes on differently remembers the same
    other = PATH.copy()
    other[:, 3:] += 0.3
    for tensor, changed in zip(found, path_state(payoff, tf.constant(other)), strict=True):
        np.testing.assert_array_equal(tensor[:, :3], changed[:, :3])


def test_variance_swap_remembers_the_sum_of_squares():
    found = path_state(payoffs.VarianceSwap(time_step=0.25), tf.constant(PATH))[1]
    np.testing.assert_allclose(found[0, 1:, 0], np.cumsum(np.diff(PATH[0]) ** 2))


def test_features_between_fixings_use_the_last_fixing():
    times = np.linspace(0.0, 1.0, 9)  # two steps per fixing
    log_price = tf.constant(np.log([[1.0, 2.0, 1.2, 0.5, 1.1, 1.0, 0.9, 1.0, 1.0]]))
    contract = Exotic(payoffs.Lookback(strike=None, call=False), QUARTERS)
    features = contract.features(log_price, times)[0, :, 0]
    # the 2.0 between two fixings is never seen
    highest = np.array([1.0, 1.0, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2])
    np.testing.assert_allclose(features, np.log(highest) - log_price[0])
    assert contract.feature_count == 1


def test_forward_start_and_calls_are_black_scholes_prices():
    contracts = [forward_start(0.5, 1.0, 1.1), Exotic(payoffs.European(0.9), (0.0, 1.0))]
    found = exotic_prices(ConstantVolatility(0.3), contracts, paths=2**15, seed=1)
    from hedgezoo.layers.black_scholes import black_scholes_call

    exact = [
        float(black_scholes_call([1.1], [0.5], 0.3)[0, 0]),
        float(black_scholes_call([0.9], [1.0], 0.3)[0, 0]),
    ]
    assert np.all(np.abs(found.price - exact) < 4 * found.standard_error)
    assert np.all(found.standard_error < 3e-4)


def test_heston_paths_price_options_and_keep_the_forward():
    times = [0.0, 0.5, 1.0]
    log_price, variance = heston_log_prices(HESTON, times, 3, 2**14, variance=True)
    strikes = np.array([0.8, 1.0, 1.2])
    exact = heston_call(HESTON, strikes, times[1:]).numpy()
    price = np.exp(log_price.numpy())[:, 1:]
    found = np.maximum(price[..., None] - strikes, 0.0).mean(axis=0)
    np.testing.assert_allclose(found, exact, atol=4e-4)
    mean = 0.04  # v0 = theta
    np.testing.assert_allclose(variance.numpy().mean(axis=0), [mean] * 3, rtol=0.02)


def test_heston_paths_do_not_depend_on_the_split():
    whole = heston_log_prices(HESTON, [0.0, 1.0], 5, 64)
    part = heston_log_prices(HESTON, [0.0, 1.0], 5, 16, first_path=32)
    np.testing.assert_allclose(whole[32:48], part, rtol=1e-12)


def test_heston_exotics_agree_between_step_sizes():
    contracts = [lookback(1.0, 12), forward_start()]
    coarse, fine = (
        heston_exotic_prices(HESTON, contracts, 2**13, seed=2, steps_per_year=steps)
        for steps in (24, 96)
    )
    error = np.hypot(coarse.standard_error, fine.standard_error)
    assert np.all(np.abs(coarse.price - fine.price) < 5 * error + 3e-4)


def test_deviation_of_a_forward_is_that_of_a_lognormal():
    forward = Exotic(lambda price: price[:, -1, 0], (0.0, 1.0))
    exact = np.sqrt(np.expm1(0.2**2))
    np.testing.assert_allclose(exotic_deviation(forward, 0.2), exact, rtol=5e-3)


def test_times_that_differ_by_rounding_are_one():
    merged = merged_times([1 / 6, 0.5], 96 * [0.5 + 1e-12], [i / 96 for i in range(1, 97)])
    assert len(merged) == 96


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: Exotic(payoffs.European(), (0.1, 1.0)), "fixings"),
        (lambda: Exotic(payoffs.European(), (0.0, 1.0, 0.5)), "fixings"),
        (lambda: Exotic("lookback", (0.0, 1.0)), "payoff"),
        (lambda: Exotic(payoffs.ForwardStart(start_step=3), (0.0, 1.0)), "start_step"),
        (lambda: lookback(maturity=-1.0), "maturity"),
        (lambda: lookback().steps_in([0.0, 0.5, 1.0]), "times"),
        (lambda: exotic_prices(ConstantVolatility(0.2), []), "exotics"),
        (lambda: exotic_prices(ConstantVolatility(0.2), lookback(), paths=4), "paths"),
        (lambda: heston_log_prices(HESTON, [0.5, 1.0], 0, 8), "times"),
        (lambda: heston_log_prices((1.5, 0.04, 0.5, -1.7, 0.04), [0.0, 1.0], 0, 8), "parameters"),
    ],
)
def test_bad_input_is_named(build, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        build()
