import itertools

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import (
    lookback_delta,
    lookback_gamma,
    lookback_price,
    lookback_theta,
    lookback_vega,
)

MARKETS = [(0.08, 0.2), (0.5, 0.35), (3.0, 0.15)]  # years, volatility
# strike (None: floating), call, running extremum
CONTRACTS = [
    (1.1, True, 1.05),
    (1.02, True, 1.08),
    (0.95, False, 0.97),
    (1.01, False, 0.92),
    (None, True, 0.94),
    (None, False, 1.07),
]


def by_expectation(spot, strike, years, volatility, extremum, call):
    """Exact joint law of the end x and the extremum: e = 2M(M - x)/w² is exponential given x."""
    w = volatility * np.sqrt(years)
    upper = call == (strike is not None)
    level = extremum if strike is None else (max if upper else min)(extremum, strike)
    b = np.log(level / spot)
    nodes, weights = np.polynomial.legendre.leggauss(120)

    def panel(low, high):
        half = (high - low) / 2
        return (low + high) / 2 + half * nodes, half * weights

    excess = 0.0
    for low, high in ((-11 * w, b), (b, 11 * w)):
        x, x_weight = panel(low, high)
        density = np.exp(-(((x + w * w / 2) / w) ** 2) / 2) / (w * np.sqrt(2 * np.pi))
        # the extremum passes the level once e exceeds this; beyond 45 nothing is left
        start = np.where((x < b) == upper, np.maximum(2 * b * (b - x) / w**2, 0.0), 0.0)
        root_e = np.sqrt(start)[:, None] + (np.sqrt(start + 45) - np.sqrt(start))[:, None] * (
            (1 + nodes) / 2
        )
        e_weight = (np.sqrt(start + 45) - np.sqrt(start))[:, None] * weights / 2 * 2 * root_e
        e = root_e**2
        root = np.sqrt(x[:, None] ** 2 + 2 * w * w * e)
        reached = spot * np.exp((x[:, None] + (root if upper else -root)) / 2)
        beyond = np.maximum((reached - level) * (1 if upper else -1), 0.0)
        excess += np.sum(x_weight * density * np.sum(beyond * np.exp(-e) * e_weight, axis=1))
    if strike is None:
        return excess + ((spot - extremum) if call else (extremum - spot))
    return excess + max((extremum - strike) if call else (strike - extremum), 0.0)


@pytest.mark.parametrize(("strike", "call", "extremum"), CONTRACTS)
def test_price_is_the_expected_payoff(strike, call, extremum):
    for years, volatility in MARKETS:
        np.testing.assert_allclose(
            lookback_price(1.0, strike, years, volatility, extremum, call),
            by_expectation(1.0, strike, years, volatility, extremum, call),
            rtol=1e-7,
        )


@pytest.mark.parametrize(("strike", "call", "extremum"), CONTRACTS)
@pytest.mark.parametrize("monitoring_step", [None, 1 / 250])
def test_greeks_are_derivatives_of_the_price(strike, call, extremum, monitoring_step):
    options = {"extremum": extremum, "call": call, "monitoring_step": monitoring_step}
    spots = np.array([0.85, 0.95, 1.0, 1.03, 1.2])
    for years, volatility in MARKETS:
        inputs = [tf.constant(np.full(5, x)) for x in (1.0, years, volatility)]
        inputs[0] = spot = tf.constant(spots)
        with tf.GradientTape() as outer:
            outer.watch(spot)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                price = lookback_price(spot, strike, *inputs[1:], **options)
            by_spot, by_years, by_volatility = tape.gradient(price, inputs)
        by_spot_twice = outer.gradient(by_spot, spot)
        for greek, expected in (
            (lookback_delta, by_spot),
            (lookback_gamma, by_spot_twice),
            (lookback_vega, by_volatility),
            (lookback_theta, -by_years),
        ):
            value = greek(spots, strike, years, volatility, **options)
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-11)


def test_vega_against_finite_differences():
    for (strike, call, extremum), step in itertools.product(CONTRACTS, (None, 0.01)):
        options = {"extremum": extremum, "call": call, "monitoring_step": step}
        up, down = (lookback_price(1.0, strike, 0.3, 0.2 + h, **options) for h in (1e-5, -1e-5))
        vega = lookback_vega(1.0, strike, 0.3, 0.2, **options)
        np.testing.assert_allclose(vega, (up - down) / 2e-5, rtol=1e-7)


def test_a_fresh_option_holds_its_extremum_fixed():
    # at the maximum the price does not depend on the maximum, so both deltas agree
    spot = tf.constant(1.0, tf.float64)
    for strike, call in ((0.9, True), (1.0, False), (None, True), (None, False)):
        with tf.GradientTape() as tape:
            tape.watch(spot)
            price = lookback_price(spot, strike, 0.5, 0.3, call=call)
        delta = lookback_delta(spot, strike, 0.5, 0.3, call=call)
        np.testing.assert_allclose(tape.gradient(price, spot), delta, rtol=1e-12)
        np.testing.assert_allclose(price, lookback_price(1.0, strike, 0.5, 0.3, 1.0, call))
    # a floating-strike option is then proportional to the spot
    fresh = lookback_price(1.0, None, 0.5, 0.3)
    np.testing.assert_allclose(lookback_delta(1.0, None, 0.5, 0.3), fresh, rtol=1e-12)


def test_an_extremum_that_the_spot_has_passed_is_moved_to_it():
    np.testing.assert_array_equal(
        lookback_price(1.2, 1.0, 0.5, 0.3, extremum=1.1), lookback_price(1.2, 1.0, 0.5, 0.3)
    )


@pytest.mark.parametrize(("strike", "call"), [(1.0, True), (1.0, False), (None, True)])
def test_daily_fixings_against_simulation(strike, call):
    rng = np.random.default_rng(7)
    steps, dt, volatility = 20, 1 / 250, 0.2
    normals = rng.standard_normal((40_000, steps))
    normals = np.concatenate([normals, -normals])
    log_paths = np.cumsum(volatility * np.sqrt(dt) * normals - volatility**2 * dt / 2, axis=1)
    paths = np.exp(np.concatenate([np.zeros((80_000, 1)), log_paths], axis=1))
    low, high, last = paths.min(axis=1), paths.max(axis=1), paths[:, -1]
    if strike is None:
        payoff = last - low
    else:
        payoff = np.maximum(high - strike, 0) if call else np.maximum(strike - low, 0)
    pairs = (payoff[:40_000] + payoff[40_000:]) / 2
    mean, stderr = pairs.mean(), pairs.std() / 200
    seen = lookback_price(1.0, strike, steps * dt, volatility, call=call, monitoring_step=dt)
    watched = lookback_price(1.0, strike, steps * dt, volatility, call=call)
    assert abs(seen - mean) < 4 * stderr + 3e-4  # the correction is of order √dt, its error of dt
    assert watched - mean > 20 * stderr


def test_limits():
    spot = tf.constant([0.9, 1.0, 1.1])
    for years, volatility in ((0.0, 0.2), (0.5, 0.0)):
        fixed = lookback_price(spot, 1.0, years, volatility, extremum=[0.95, 1.05, 1.1])
        np.testing.assert_allclose(fixed, [0.0, 0.05, 0.1], atol=1e-7)
        floating = lookback_price(spot, None, years, volatility, extremum=[0.8, 1.0, 1.0])
        np.testing.assert_allclose(floating, [0.1, 0.0, 0.1], atol=1e-7)
        delta = lookback_delta(spot, None, years, volatility, extremum=[0.8, 0.9, 1.0])
        np.testing.assert_array_equal(delta, [1, 1, 1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("strike", [1.0, None])
@pytest.mark.parametrize("call", [True, False])
def test_values_and_gradients_are_finite_everywhere(dtype, strike, call):
    grid = np.meshgrid(
        [1e-3, 0.5, 1 - 1e-6, 1.0, 1 + 1e-6, 1.2, 50.0],
        [-1e-9, 0.0, 1e-12, 2e-12, 1e-6, 0.01, 30.0],
        [0.0, 1e-8, 1e-5, 0.2, 5.0],
    )
    inputs = [tf.constant(x.ravel(), dtype) for x in grid]
    for function in (
        lookback_price,
        lookback_delta,
        lookback_gamma,
        lookback_vega,
        lookback_theta,
    ):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = function(
                inputs[0], strike, *inputs[1:], extremum=1.0, call=call, monitoring_step=0.004
            )
        gradients = tape.gradient(value, inputs, unconnected_gradients="zero")
        for number in (value, *gradients):
            assert number.dtype == dtype
            assert np.isfinite(number).all(), function.__name__
