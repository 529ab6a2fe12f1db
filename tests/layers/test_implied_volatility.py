import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import ImpliedVolatility, black_scholes_call, implied_volatility

STRIKES = np.concatenate([np.geomspace(0.3, 3, 31), [1.0, 1 + 1e-9, 1 - 1e-7]])
YEARS = np.array([1 / 365, 1 / 52, 0.1, 0.5, 1, 3, 10])
SIGMA = np.geomspace(1e-3, 5, 40)[:, None, None]


def round_trip():
    calls = black_scholes_call(STRIKES, YEARS, SIGMA).numpy()
    sigma = np.broadcast_to(SIGMA, calls.shape)
    w = sigma * np.sqrt(YEARS)[:, None]
    d1 = -np.log(STRIKES) / w + w / 2
    vega = np.exp(-d1 * d1 / 2) / np.sqrt(2 * np.pi) * np.sqrt(YEARS)[:, None]
    return calls, sigma, vega


def test_round_trip_is_as_exact_as_the_price_allows():
    calls, sigma, vega = round_trip()
    implied = implied_volatility(calls, STRIKES, YEARS).numpy()
    assert implied.dtype == np.float64
    time_value = calls - np.maximum(1 - STRIKES, 0)
    informed = (time_value > 1e-300) & (calls < 1)
    error = np.abs(implied / sigma - 1)
    # half a unit in the last place of what was stored, divided by the elasticity of the price
    rounding = np.finfo(float).eps * np.maximum(calls, STRIKES < 1)
    attainable = rounding / np.maximum(vega * sigma, 1e-308)
    assert (error[informed] <= np.maximum(5e-14, 4 * attainable[informed])).all()
    sharp = informed & (attainable < 1e-13)
    assert error[sharp].max() < 1e-12
    assert sharp.mean() > 0.45
    # elsewhere nothing is lost either: zero where the price is intrinsic, NaN at 1 only
    np.testing.assert_array_equal(implied == 0, time_value == 0)
    np.testing.assert_array_equal(np.isnan(implied), calls >= 1)


def test_implied_volatility_reprices():
    rng = np.random.default_rng(3)
    strikes = rng.uniform(0.3, 3, 1000)
    intrinsic = np.maximum(1 - strikes, 0)
    calls = intrinsic + (1 - intrinsic) * rng.beta(0.3, 0.3, 1000) * (1 - 1e-9)
    implied = implied_volatility(calls, strikes, 0.7)
    np.testing.assert_allclose(black_scholes_call(strikes, 0.7, implied), calls, atol=1e-15)


def test_nan_only_where_no_volatility_exists():
    below, at, above = 0.25 - 1e-12, 0.25, 0.25 + 1e-12
    calls = np.array([below, at, above, 0.5, 1 - 1e-12, 1.0, 1.5, -0.1, np.nan])
    implied = implied_volatility(calls, 0.75, 0.5).numpy()
    assert np.isnan(implied).tolist() == [True, *[False] * 4, *[True] * 4]
    assert implied[1] == 0
    assert (implied[2:5] > 0).all()
    # at maturity zero only the intrinsic value has a volatility
    expired = implied_volatility([below, at, above], 0.75, 0.0).numpy()
    assert np.isnan(expired).tolist() == [True, False, True]
    tiny = implied_volatility([1e-200, 1e-15], 1.0, 1.0)
    np.testing.assert_allclose(tiny, np.sqrt(2 * np.pi) * np.array([1e-200, 1e-15]), rtol=1e-12)


def test_gradient_against_differences(gradient_check):
    strikes, years = np.array([0.8, 0.95, 1.0, 1.3]), np.array([0.25, 2.0])
    calls = black_scholes_call(strikes, years, [[0.25], [0.2]])
    gradient_check(implied_volatility, calls, strikes, years, step=1e-7, rtol=2e-6)
    own = np.broadcast_to(strikes, (2, 4))
    gradient_check(implied_volatility, calls, own, years, step=1e-7, rtol=2e-6)


def test_second_derivatives_against_differences(gradient_check):
    strikes, years = tf.constant([0.8, 1.0, 1.3], tf.float64), tf.constant([0.25, 2.0], tf.float64)
    calls = black_scholes_call(strikes, years, [[0.25], [0.2]])

    def slopes(calls, strikes, years):
        with tf.GradientTape() as tape:
            tape.watch([calls, strikes, years])
            implied = implied_volatility(calls, strikes, years)
        return tf.concat(
            [tf.reshape(g, [-1]) for g in tape.gradient(implied, [calls, strikes, years])], 0
        )

    gradient_check(slopes, calls, strikes, years, step=1e-7, rtol=1e-4, atol=1e-4)


def test_gradient_is_one_over_vega_in_the_far_wing():
    strikes, years, sigma = np.array([3.0]), np.array([0.1]), 0.15
    calls = tf.constant(black_scholes_call(strikes, years, sigma))
    assert 0 < calls.numpy().item() < 1e-110
    with tf.GradientTape() as tape:
        tape.watch(calls)
        implied = implied_volatility(calls, strikes, years)
    w = sigma * np.sqrt(years)
    d1 = -np.log(strikes) / w + w / 2
    vega = np.exp(-d1 * d1 / 2) / np.sqrt(2 * np.pi) * np.sqrt(years)
    np.testing.assert_allclose(tape.gradient(implied, calls)[0], 1 / vega, rtol=1e-10)


def test_missing_volatilities_do_not_spoil_the_others():
    strikes, years = tf.constant([0.8, 0.9, 1.0, 1.1, 1.2]), tf.constant([0.5])
    calls = tf.constant([[1.2, 0.15, np.nan, 0.05, 0.0]])
    inputs = [calls, strikes, years]
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = tf.reduce_sum(implied_volatility(calls, strikes, years))
        gradients = tape.gradient(total, inputs)
        squares = sum(tf.reduce_sum(g * g) for g in gradients)
    for gradient in (*gradients, *outer.gradient(squares, inputs)):
        assert np.isfinite(gradient).all()
    assert gradients[0].numpy()[0].astype(bool).tolist() == [False, True, False, True, False]
    assert gradients[1].numpy().astype(bool).tolist() == [False, True, False, True, False]


def test_graph_and_xla_agree_with_eager():
    strikes, years = np.array([0.8, 1.0, 1.3]), np.array([0.25, 2.0])
    calls = np.array(black_scholes_call(strikes, years, np.full((4, 2, 3), 0.3)))
    expected = implied_volatility(calls, strikes, years)
    signature = [tf.TensorSpec((None, 2, 3), tf.float64)]

    def implied(calls):
        return implied_volatility(calls, strikes, years)

    np.testing.assert_allclose(tf.function(implied, signature)(calls), expected, rtol=1e-12)
    compiled = tf.function(implied, jit_compile=True)(calls)
    np.testing.assert_allclose(compiled, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("calls", "strikes", "years", "words"),
    [
        (0.1, [0.9, 0.0], [0.5], ["`strikes`", "positive", "0.0"]),
        (0.1, [0.9], [-1.0], ["`maturities`", "-1.0"]),
        (np.full((2, 4), 0.1), [0.9, 1.0, 1.1], [0.5, 1.0], ["`calls`", "(2, 4)"]),
    ],
)
def test_errors_name_the_culprit(calls, strikes, years, words):
    with pytest.raises(ValueError, match="Received") as error:
        implied_volatility(calls, strikes, years)
    for word in words:
        assert word in str(error.value)


# -------------------------------------------------------------------------------------- layer


def test_layer(check_layer):
    strikes, years = [0.9, 1.0, 1.1], [0.25, 1.0]
    sigma = np.random.default_rng(4).uniform(0.2, 0.4, (5, 2, 3))
    calls = black_scholes_call(strikes, years, sigma)
    layer = ImpliedVolatility(strikes=strikes, maturities=years)
    implied = check_layer(layer, calls, shape=(5, 2, 3), export=True, rtol=1e-4)
    np.testing.assert_allclose(implied, sigma, rtol=1e-4)
    double = ImpliedVolatility(strikes=[strikes, strikes], maturities=years, dtype="float64")
    np.testing.assert_allclose(double(calls), sigma, rtol=1e-12)


@pytest.mark.parametrize(
    ("strikes", "years", "words"),
    [
        (1.0, [1.0], "`strikes` must be a non-empty array of rank 1 or 2"),
        ([1.0], [[1.0]], "`maturities` must be a non-empty array of rank 1"),
        ([0.0], [1.0], "`strikes` must be positive"),
        ([1.0], [np.nan], "`maturities` must be positive"),
        ([[1.0], [1.1]], [1.0], "one row per maturity"),
    ],
)
def test_layer_errors(strikes, years, words):
    with pytest.raises(ValueError, match=words) as error:
        ImpliedVolatility(strikes=strikes, maturities=years)
    assert "Received" in str(error.value)
