import itertools

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import (
    barrier_delta,
    barrier_gamma,
    barrier_price,
    barrier_theta,
    barrier_vega,
    european_delta,
    european_price,
)

MARKETS = [(0.08, 0.2), (0.5, 0.35), (3.0, 0.15)]  # years, volatility
BARRIERS = [("up", 1.15), ("down", 0.88)]
STRIKES = [0.8, 0.95, 1.05, 1.3]  # on both sides of both barriers
CONTRACTS = list(itertools.product(BARRIERS, ("in", "out"), (True, False)))


def by_expectation(spot, strike, barrier, years, volatility, direction, knock, call):
    """Condition on the end x: a Brownian bridge touches b with chance exp(-2b(b-x) / w²)."""
    w, b, kink = volatility * np.sqrt(years), np.log(barrier / spot), np.log(strike / spot)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    ends = sorted({-11 * w, *np.clip([b, kink], -11 * w, 11 * w), 11 * w})
    total = 0.0
    for low, high in itertools.pairwise(ends):
        x = (low + high) / 2 + (high - low) / 2 * nodes
        density = np.exp(-(((x + w * w / 2) / w) ** 2) / 2) / (w * np.sqrt(2 * np.pi))
        payoff = np.maximum((spot * np.exp(x) - strike) * (1 if call else -1), 0.0)
        touch = np.exp(-2 * np.maximum(b * (b - x), 0.0) / w**2)
        weight = touch if knock == "in" else 1 - touch
        total += (high - low) / 2 * np.sum(weights * density * payoff * weight)
    return total


@pytest.mark.parametrize(("barrier", "knock", "call"), CONTRACTS)
def test_price_is_the_expected_payoff(barrier, knock, call):
    direction, level = barrier
    options = {"direction": direction, "knock": knock, "call": call}
    cases = list(itertools.product(STRIKES, MARKETS))
    strikes = np.array([strike for strike, _ in cases])
    years, volatility = np.array([market for _, market in cases]).T
    expected = [by_expectation(1.0, strike, level, *market, **options) for strike, market in cases]
    price = barrier_price(1.0, strikes, level, years, volatility, **options)
    np.testing.assert_allclose(price, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(("barrier", "knock", "call"), CONTRACTS)
@pytest.mark.parametrize("monitoring_step", [None, 1 / 250])
def test_greeks_are_derivatives_of_the_price(barrier, knock, call, monitoring_step):
    direction, level = barrier
    options = {
        "direction": direction,
        "knock": knock,
        "call": call,
        "monitoring_step": monitoring_step,
    }
    for years, volatility in MARKETS:
        # one row per strike; the first spot has touched one of the barriers, the last the other
        spots = np.broadcast_to([0.85, 0.93, 1.0, 1.1, 1.2], (4, 5))
        strikes = np.array(STRIKES)[:, None]
        inputs = [
            tf.constant(spots),
            *(tf.fill((4, 5), tf.constant(x, tf.float64)) for x in (years, volatility)),
        ]
        with tf.GradientTape() as outer:
            outer.watch(inputs[0])
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                price = barrier_price(inputs[0], strikes, level, *inputs[1:], **options)
            by_spot, by_years, by_volatility = tape.gradient(price, inputs)
        by_spot_twice = outer.gradient(by_spot, inputs[0])
        for greek, expected in (
            (barrier_delta, by_spot),
            (barrier_gamma, by_spot_twice),
            (barrier_vega, by_volatility),
            (barrier_theta, -by_years),
        ):
            value = greek(spots, strikes, level, years, volatility, **options)
            np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-11)
    up, down = (
        barrier_price(spots, strikes, level, years, volatility + h, **options)
        for h in (1e-5, -1e-5)
    )
    vega = barrier_vega(spots, strikes, level, years, volatility, **options)
    np.testing.assert_allclose(vega, (up - down) / 2e-5, atol=1e-7)


@pytest.mark.parametrize(("direction", "level"), BARRIERS)
@pytest.mark.parametrize("monitoring_step", [None, 1 / 250])
def test_in_plus_out_is_the_vanilla_option(direction, level, monitoring_step):
    spots = np.linspace(0.8, 1.25, 10)
    strikes = np.array(STRIKES)[:, None]
    options = {"direction": direction, "monitoring_step": monitoring_step}
    for call, (barrier_function, vanilla) in itertools.product(
        (True, False), ((barrier_price, european_price), (barrier_delta, european_delta))
    ):
        parts = [
            barrier_function(spots, strikes, level, 0.5, 0.2, knock=knock, call=call, **options)
            for knock in ("in", "out")
        ]
        np.testing.assert_allclose(
            sum(parts), vanilla(spots, strikes, 0.5, 0.2, call), rtol=1e-12, atol=1e-14
        )
        if vanilla is european_price:
            assert (np.array(parts) >= -1e-15).all()


def test_touched():
    spots = np.array([0.8, 1.0, 1.2])
    arguments = 1.0, 1.15, 0.5, 0.2
    out = barrier_price(spots, *arguments)
    assert (out.numpy() == 0).tolist() == [False, False, True]
    assert not barrier_price(spots, *arguments, extremum=1.15).numpy().any()
    assert not barrier_delta(spots, *arguments, extremum=1.15).numpy().any()
    np.testing.assert_allclose(
        barrier_price(spots, *arguments, extremum=1.15, knock="in"),
        european_price(spots, 1.0, 0.5, 0.2),
    )
    down = barrier_price(spots, 1.0, 0.9, 0.5, 0.2, extremum=[0.8, 0.95, 0.85], direction="down")
    assert (down.numpy() == 0).tolist() == [True, False, True]


def test_limits():
    spot = tf.constant([0.95, 1.05, 1.1])
    for years, volatility in ((0.0, 0.2), (0.5, 0.0)):
        np.testing.assert_allclose(
            barrier_price(spot, 1.0, 1.2, years, volatility), [0.0, 0.05, 0.1], atol=1e-6
        )
        knocked_in = barrier_price(
            spot, 1.0, 1.2, years, volatility, knock="in", extremum=[1.0, 1.3, 1.1]
        )
        np.testing.assert_allclose(knocked_in, [0.0, 0.05, 0.0], atol=1e-6)


def test_daily_fixings_against_simulation():
    rng = np.random.default_rng(11)
    steps, dt, volatility, level = 20, 1 / 250, 0.3, 1.08
    normals = rng.standard_normal((40_000, steps))
    normals = np.concatenate([normals, -normals])
    paths = np.exp(np.cumsum(volatility * np.sqrt(dt) * normals - volatility**2 * dt / 2, axis=1))
    payoff = np.maximum(paths[:, -1] - 0.95, 0) * (paths.max(axis=1) < level)
    mean, stderr = payoff.mean(), payoff.std() / np.sqrt(80_000)
    seen = barrier_price(1.0, 0.95, level, steps * dt, volatility, monitoring_step=dt)
    watched = barrier_price(1.0, 0.95, level, steps * dt, volatility)
    assert abs(seen - mean) < 4 * stderr
    assert mean - watched > 10 * stderr


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("barrier", "knock", "call"), [CONTRACTS[0], CONTRACTS[7]])
def test_values_and_gradients_are_finite_everywhere(dtype, barrier, knock, call):
    direction, level = barrier
    grid = np.meshgrid(
        [1e-3, 0.5, 0.88, 1 - 1e-6, 1.0, 1 + 1e-6, 1.15, 50.0],
        [-1e-9, 0.0, 1e-12, 2e-12, 1e-6, 0.01, 30.0],
        [0.0, 1e-8, 1e-5, 0.2, 5.0],
    )
    inputs = [tf.constant(x.ravel(), dtype) for x in grid]
    options = {"direction": direction, "knock": knock, "call": call, "monitoring_step": 0.004}
    for function in (barrier_price, barrier_delta, barrier_gamma, barrier_vega, barrier_theta):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = function(inputs[0], 1.0, level, *inputs[1:], **options)
        for number in (value, *tape.gradient(value, inputs)):
            assert number.dtype == dtype
            assert np.isfinite(number).all(), function.__name__


@pytest.mark.parametrize("option", ["direction", "knock"])
def test_wrong_words(option):
    with pytest.raises(ValueError, match=rf"`{option}` must be .*Received: {option}='left'"):
        barrier_price(1.0, 1.0, 1.1, 0.5, 0.2, **{option: "left"})
