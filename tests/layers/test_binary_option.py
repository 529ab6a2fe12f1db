import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from hedgezoo.layers import (
    binary_delta,
    binary_gamma,
    binary_price,
    binary_theta,
    binary_vega,
    european_price,
    one_touch_delta,
    one_touch_gamma,
    one_touch_price,
    one_touch_theta,
    one_touch_vega,
)

SPOTS = np.array([0.8, 0.95, 1.0, 1.04, 1.3])
MARKETS = [(0.08, 0.2), (0.5, 0.35), (3.0, 0.15)]  # years, volatility


def check_greeks(price, delta, gamma, vega, theta, spots, years, volatility):
    """Closed forms against two autodiff passes over the price, and vega against differences."""
    spot, years, volatility = (
        tf.constant(np.broadcast_to(x, spots.shape), tf.float64) for x in (spots, years, volatility)
    )
    with tf.GradientTape() as outer:
        outer.watch(spot)
        with tf.GradientTape() as tape:
            tape.watch([spot, years, volatility])
            value = price(spot, years, volatility)
        by_spot, by_years, by_volatility = tape.gradient(value, [spot, years, volatility])
    by_spot_twice = outer.gradient(by_spot, spot)
    pairs = (delta, by_spot), (gamma, by_spot_twice), (vega, by_volatility), (theta, -by_years)
    for greek, expected in pairs:
        np.testing.assert_allclose(greek(spot, years, volatility), expected, rtol=1e-9, atol=1e-11)
    up, down = (price(spot, years, volatility + h) for h in (1e-5, -1e-5))
    np.testing.assert_allclose(vega(spot, years, volatility), (up - down) / 2e-5, atol=1e-6)


@pytest.mark.parametrize(("years", "volatility"), MARKETS)
@pytest.mark.parametrize("call", [True, False])
def test_binary_greeks(years, volatility, call):
    greeks = binary_price, binary_delta, binary_gamma, binary_vega, binary_theta
    fixed = [lambda s, t, v, f=f: f(s, 1.02, t, v, call) for f in greeks]
    check_greeks(*fixed, SPOTS, years, volatility)


def test_binary_is_the_slope_of_calls_in_the_strike():
    h = 1e-5
    for years, volatility in MARKETS:
        up, down = (european_price(SPOTS, 1.02 + d, years, volatility) for d in (h, -h))
        price = binary_price(SPOTS, 1.02, years, volatility)
        np.testing.assert_allclose(price, (down - up) / (2 * h), atol=1e-7)
        put = binary_price(SPOTS, 1.02, years, volatility, call=False)
        np.testing.assert_allclose(price + put, np.ones(5), rtol=1e-15)


def test_binary_gamma_off_one_year():
    # numbers by hand: a width of σT² instead of σ√T would give 95.6 for the first
    w = 0.2 * 0.5
    d2 = -w / 2
    expected = -np.exp(-d2 * d2 / 2) / np.sqrt(2 * np.pi) * (d2 + w) / w**2
    np.testing.assert_allclose(binary_gamma(1.0, 1.0, 0.25, 0.2), expected, rtol=1e-13)
    np.testing.assert_allclose(expected, -1.9922, atol=1e-4)


@pytest.mark.parametrize(("years", "volatility"), MARKETS)
@pytest.mark.parametrize("monitoring_step", [None, 1 / 250])
@pytest.mark.parametrize(("direction", "barrier"), [("up", 1.06), ("down", 0.9)])
def test_one_touch_greeks(years, volatility, direction, barrier, monitoring_step):
    greeks = one_touch_price, one_touch_delta, one_touch_gamma, one_touch_vega, one_touch_theta
    options = {"direction": direction, "monitoring_step": monitoring_step}
    fixed = [lambda s, t, v, f=f: f(s, barrier, t, v, **options) for f in greeks]
    check_greeks(*fixed, SPOTS, years, volatility)


@pytest.mark.parametrize(("direction", "barrier"), [("up", 1.2), ("down", 0.85)])
def test_one_touch_by_conditioning_on_the_end(direction, barrier):
    # a Brownian bridge from 0 to x of variance w² touches b with chance exp(-2b(b-x) / w²)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    for years, volatility in MARKETS:
        w, b = volatility * np.sqrt(years), np.log(barrier)
        total = 0.0
        for low, high in ((-12 * w, b), (b, 12 * w)):
            x = (low + high) / 2 + (high - low) / 2 * nodes
            density = np.exp(-(((x + w * w / 2) / w) ** 2) / 2) / (w * np.sqrt(2 * np.pi))
            touch = np.exp(-2 * np.maximum(b * (b - x), 0) / w**2)
            total += (high - low) / 2 * np.sum(weights * density * touch)
        price = one_touch_price(1.0, barrier, years, volatility, direction=direction)
        np.testing.assert_allclose(price, total, rtol=1e-9)


def test_one_touch_is_twice_the_binary_for_small_volatility():
    # reflection without drift
    price = one_touch_price(1.0, 1.001, 1.0, 1e-3)
    np.testing.assert_allclose(price, 2 * special.ndtr(-np.log(1.001) / 1e-3), rtol=2e-3)


def test_one_touch_pays_once_touched():
    spot = np.array([0.9, 1.0, 1.1, 1.2])
    for greek, touched in ((one_touch_price, 1.0), (one_touch_delta, 0.0), (one_touch_vega, 0.0)):
        value = greek(spot, 1.1, 0.5, 0.2).numpy()
        np.testing.assert_array_equal(value[2:], [touched] * 2)
        assert (value[:2] != touched).all()
        assert (greek(spot, 1.1, 0.5, 0.2, extremum=1.15).numpy() == touched).all()
        down = greek(spot, 1.0, 0.5, 0.2, extremum=[0.9, 1.0, 1.05, 1.1], direction="down")
        assert ((down.numpy() == touched) == [True, True, False, False]).all()


def test_one_touch_seen_daily_against_simulation():
    rng = np.random.default_rng(5)
    steps, volatility = 20, 0.3
    dt = 1 / 250
    normals = rng.standard_normal((40_000, steps))
    normals = np.concatenate([normals, -normals])
    paths = np.exp(np.cumsum(volatility * np.sqrt(dt) * normals - volatility**2 * dt / 2, axis=1))
    touched = (paths.max(axis=1) >= 1.05).mean()
    seen = one_touch_price(1.0, 1.05, steps * dt, volatility, monitoring_step=dt)
    watched = one_touch_price(1.0, 1.05, steps * dt, volatility)
    stderr = np.sqrt(touched * (1 - touched) / 80_000)
    assert abs(seen - touched) < 4 * stderr + 1e-3
    assert watched - touched > 20 * stderr


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_are_finite_everywhere(dtype):
    grid = np.meshgrid(
        [1e-3, 0.5, 1 - 1e-6, 1.0, 1 + 1e-6, 1.2, 50.0],
        [-1e-9, 0.0, 1e-12, 2e-12, 1e-6, 0.01, 30.0],
        [0.0, 1e-8, 1e-5, 0.2, 5.0],
    )
    inputs = [tf.constant(x.ravel(), dtype) for x in grid]
    for function in (
        *(binary_price, binary_delta, binary_gamma, binary_vega, binary_theta),
        *(one_touch_price, one_touch_delta, one_touch_gamma, one_touch_vega, one_touch_theta),
    ):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = function(inputs[0], 1.0, inputs[1], inputs[2])
        for number in (value, *tape.gradient(value, inputs)):
            assert np.isfinite(number).all(), function.__name__


def test_limits():
    spot = tf.constant([0.9, 1.0, 1.1])
    for years, volatility in ((0.0, 0.2), (0.5, 0.0)):
        np.testing.assert_allclose(binary_price(spot, 1.0, years, volatility), [0, 0.5, 1])
        np.testing.assert_array_equal(one_touch_price(spot, 1.0, years, volatility), [0, 1, 1])
        assert not binary_delta(spot, 1.0, years, volatility).numpy()[[0, 2]].any()


def test_wrong_direction():
    with pytest.raises(ValueError, match=r"`direction` must be .*Received: direction='left'"):
        one_touch_price(1.0, 1.1, 0.5, 0.2, direction="left")
