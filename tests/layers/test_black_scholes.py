import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from hedgezoo.layers import (
    BlackScholesDelta,
    black_scholes_call,
    european_delta,
    european_gamma,
    european_price,
    european_theta,
    european_vega,
    log_moneyness_delta,
)
from hedgezoo.layers.float_tensors import as_float_tensors

SPOTS = np.array([0.7, 0.93, 1.0, 1.04, 1.5])
MARKETS = [(0.08, 0.2), (0.5, 0.35), (3.0, 0.15)]  # years, volatility


def by_expectation(spot, strike, years, volatility, call):
    sign, w = (1 if call else -1), volatility * np.sqrt(years)

    def integrand(x):
        return sign * (spot * np.exp(x) - strike) * stats.norm.pdf(x, -w * w / 2, w)

    kink = np.log(strike / spot)
    ends = (max(kink, -12 * w), 12 * w) if call else (-12 * w, min(kink, 12 * w))
    return integrate.quad(integrand, *ends, epsabs=1e-13)[0]


@pytest.mark.parametrize(("years", "volatility"), MARKETS)
@pytest.mark.parametrize("call", [True, False])
def test_price_is_the_expected_payoff(years, volatility, call):
    for spot in SPOTS:
        np.testing.assert_allclose(
            european_price(spot, 1.1, years, volatility, call),
            by_expectation(spot, 1.1, years, volatility, call),
            atol=1e-12,
        )


@pytest.mark.parametrize(("years", "volatility"), MARKETS)
@pytest.mark.parametrize("call", [True, False])
def test_greeks_are_derivatives_of_the_price(years, volatility, call, gradient_check):
    # gradient_check holds the gradient of the price to finite differences of the price
    strike = 1.02
    market = [np.full(SPOTS.shape, x) for x in (years, volatility)]
    inputs = [tf.constant(x) for x in (SPOTS, *market)]
    with tf.GradientTape() as outer:
        outer.watch(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            price = european_price(inputs[0], strike, *inputs[1:], call)
        by_spot, by_years, by_volatility = tape.gradient(price, inputs)
    by_spot_twice = outer.gradient(by_spot, inputs[0])
    greeks = {
        european_delta: by_spot,
        european_gamma: by_spot_twice,
        european_vega: by_volatility,
        european_theta: -by_years,
    }
    for greek, expected in greeks.items():
        np.testing.assert_allclose(
            greek(SPOTS, strike, years, volatility, call), expected, rtol=1e-11, atol=1e-13
        )

    def price_of(spot, strike, years, volatility):
        return european_price(spot, strike, years, volatility, call)

    gradient_check(price_of, SPOTS, np.full(5, strike), *market)
    gradient_check(lambda *x: european_delta(x[0], strike, *x[1:], call), SPOTS, *market, rtol=1e-5)
    gradient_check(lambda *x: european_gamma(x[0], strike, *x[1:]), SPOTS, *market, rtol=1e-5)


def test_gradient_of_the_price_sums_over_broadcast_axes(gradient_check):
    gradient_check(
        european_price, np.array([[0.9], [1.1]]), np.array([0.8, 1.0, 1.3]), 0.3, np.array([0.25])
    )


def test_put_call_parity_and_homogeneity():
    spot, strike = SPOTS[:, None], np.array([0.6, 1.0, 1.7])
    call, put = (european_price(spot, strike, 0.4, 0.3, side) for side in (True, False))
    np.testing.assert_allclose(call - put, spot - strike, atol=1e-15)
    np.testing.assert_allclose(european_price(100 * spot, 100 * strike, 0.4, 0.3), 100 * call)
    np.testing.assert_allclose(
        european_delta(spot, strike, 0.4, 0.3) - european_delta(spot, strike, 0.4, 0.3, False),
        np.ones((5, 3)),
        rtol=1e-14,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("years", [0.0, -1e-9, 0.5])
def test_limits_at_expiry_and_without_volatility(dtype, years):
    volatility = 0.0 if years > 0 else 0.2
    spot = tf.constant([0.0, 0.9, 0.999, 1.0, 1.001, 1.1], dtype)
    arguments = spot, 1.0, years, volatility
    np.testing.assert_array_equal(european_price(*arguments), tf.nn.relu(spot - 1.0))
    np.testing.assert_array_equal(european_price(*arguments, call=False), tf.nn.relu(1.0 - spot))
    step = [0.0, 0.0, 0.0, 0.5, 1.0, 1.0]
    np.testing.assert_allclose(european_delta(*arguments), step, atol=1e-6)
    np.testing.assert_allclose(
        european_delta(*arguments, call=False), np.subtract(step, 1), atol=1e-6
    )
    away = np.array([0, 1, 2, 4, 5])
    gamma, vega, theta = (
        greek(*arguments).numpy() for greek in (european_gamma, european_vega, european_theta)
    )
    assert not gamma[away].any()
    assert not vega[away].any()
    assert not theta[away].any()
    assert gamma[3] > 1e3
    assert np.isfinite(gamma[3])
    # without volatility, vega on the strike is that of the straddle limit; at expiry it is zero
    np.testing.assert_allclose(vega[3], 0.398942 * np.sqrt(max(years, 0)), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("call", [True, False])
def test_values_and_two_derivatives_are_finite_everywhere(dtype, call):
    grid = np.meshgrid(
        [0.0, 1e-3, 0.5, 1 - 1e-6, 1.0, 1 + 1e-6, 1.2, 50.0],
        [-1e-9, 0.0, 1e-30, 1e-14, 1e-12, 2e-12, 1e-9, 1e-6, 0.01, 30.0],
        [0.0, 1e-8, 1e-5, 1e-3, 0.2, 5.0],
    )
    inputs = [tf.constant(x.ravel(), dtype) for x in grid]
    for function in (european_price, european_delta, european_gamma, european_vega, european_theta):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(inputs)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                value = function(inputs[0], 1.0, inputs[1], inputs[2], call)
            gradient = tape.gradient(value, inputs)
        numbers = [value, *gradient]
        if function in (european_price, european_delta):
            for row in gradient:
                numbers += outer.gradient(row, inputs, unconnected_gradients="zero")
        for number in numbers:
            assert number.dtype == dtype
            assert np.isfinite(number).all(), function.__name__


def test_gradient_on_the_strike_at_expiry_is_half():
    spot = tf.constant([1.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch(spot)
        price = european_price(spot, 1.0, 0.0, 0.2)
    np.testing.assert_allclose(tape.gradient(price, spot), [0.5, 0.5], atol=1e-6)


# ------------------------------------------------------------------------------- strike grids


def test_grid_prices_against_scipy():
    strikes, years = np.linspace(0.5, 2.0, 7), np.array([0.1, 0.5, 2.0])
    sigma = np.random.default_rng(1).uniform(0.1, 0.6, (4, 3, 7))
    w = sigma * np.sqrt(years)[:, None]
    d1 = -np.log(strikes) / w + w / 2
    expected = special.ndtr(d1) - strikes * special.ndtr(d1 - w)
    calls = black_scholes_call(strikes, years, sigma)
    assert calls.dtype == tf.float64
    np.testing.assert_allclose(calls, expected, rtol=1e-12, atol=1e-15)
    own_strikes = np.broadcast_to(strikes, (3, 7))
    np.testing.assert_array_equal(black_scholes_call(own_strikes, years, sigma), calls)
    own_years = np.broadcast_to(years, (4, 3))
    np.testing.assert_array_equal(black_scholes_call(strikes, own_years, sigma), calls)
    np.testing.assert_array_equal(black_scholes_call(strikes, 0.5, sigma[:, 1]), calls[:, 1])
    np.testing.assert_allclose(european_price(1.0, strikes, 0.5, sigma[:, 1]), calls[:, 1])


def test_grid_limits():
    strikes = np.array([0.5, 1.0, 1.5])
    intrinsic = np.maximum(1 - strikes, 0)
    np.testing.assert_array_equal(black_scholes_call(strikes, [1.0], 0.0), intrinsic[None])
    np.testing.assert_array_equal(black_scholes_call(strikes, [0.0], 0.4), intrinsic[None])
    np.testing.assert_allclose(black_scholes_call(strikes, [1.0], 40.0), np.ones((1, 3)))
    one_missing = black_scholes_call(strikes, [1.0], [0.2, np.nan, 0.2]).numpy()
    assert np.isnan(one_missing).tolist() == [[False, True, False]]


def test_grid_gradient(gradient_check):
    sigma = np.random.default_rng(2).uniform(0.1, 0.6, (2, 2, 3))
    gradient_check(black_scholes_call, np.array([0.8, 1.0, 1.3]), np.array([0.3, 2.0]), sigma)


def test_grid_in_a_graph_with_unknown_batch():
    strikes, years = [0.9, 1.0, 1.1], [0.25, 1.0]

    @tf.function(input_signature=[tf.TensorSpec((None, 2, 3), tf.float32)])
    def price(sigma):
        return black_scholes_call(strikes, years, sigma)

    sigma = np.full((5, 2, 3), 0.3, "float32")
    np.testing.assert_allclose(price(sigma), black_scholes_call(strikes, years, sigma), rtol=1e-6)


@pytest.mark.parametrize(
    ("strikes", "years", "sigma", "words"),
    [
        ([0.9, -1.0], [0.5], 0.2, ["`strikes`", "positive", "-1.0"]),
        ([0.9, np.nan], [0.5], 0.2, ["`strikes`", "nan"]),
        ([0.9], [-0.5], 0.2, ["`maturities`", "-0.5"]),
        ([0.9], [np.nan], 0.2, ["`maturities`", "nan"]),
        ([0.9], [0.5], -0.2, ["`sigma`", "-0.2"]),
        (np.ones((3, 2)), [0.5, 1.0], 0.2, ["(3, 2)", "(2,)", "strikes", "maturities"]),
        (np.ones(3), [0.5, 1.0], np.ones((2, 4)), ["(2, 4)", "`sigma`"]),
    ],
)
def test_grid_errors_name_the_culprit(strikes, years, sigma, words):
    with pytest.raises(ValueError, match="Received") as error:
        black_scholes_call(strikes, years, sigma)
    for word in words:
        assert word in str(error.value)


# -------------------------------------------------------------------------------------- layer


def test_delta_layer(check_layer):
    log_moneyness = np.linspace(-0.3, 0.3, 12).reshape(4, 3)
    years, volatility = np.full((4, 1), 0.25), np.full((4, 3), 0.2)
    for call in (True, False):
        layer = BlackScholesDelta(call=call)
        delta = check_layer(layer, log_moneyness, years, volatility, shape=(4, 3), export=call)
        expected = european_delta(np.exp(log_moneyness), 1.0, years, volatility, call)
        np.testing.assert_allclose(delta, expected, atol=1e-6)
        np.testing.assert_array_equal(
            log_moneyness_delta(np.float32(log_moneyness), 0.25, 0.2, call), delta
        )


def test_delta_layer_in_half_precision():
    layer = BlackScholesDelta(dtype="mixed_float16")
    delta = layer(np.array([[-0.1, 0.0, 0.1]]), time_to_expiry=0.25, volatility=0.2)
    assert delta.dtype == tf.float16
    np.testing.assert_allclose(delta, [[0.1711, 0.5199, 0.8531]], atol=2e-3)


# ----------------------------------------------------------------------------- floating types


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [
        ((1, 2.0, [3.0]), tf.float64),
        ((np.float64(1), np.ones(2)), tf.float64),
        ((np.ones(2, "float32"), 1.0), tf.float32),
        ((np.ones(2, "float32"), np.ones(2)), tf.float64),
        ((tf.constant(1.0), np.ones(2)), tf.float32),
        ((tf.constant(1.0), tf.constant(1.0, tf.float64)), tf.float64),
        ((tf.constant(1), 0.5), tf.float64),
        ((tf.constant(1.0, tf.float16), 0.5), tf.float32),
        ((keras.Variable([1.0]), np.ones(2)), tf.float32),
    ],
)
def test_tensors_decide_the_floating_type(arguments, dtype):
    assert [x.dtype for x in as_float_tensors(*arguments)] == [dtype] * len(arguments)
