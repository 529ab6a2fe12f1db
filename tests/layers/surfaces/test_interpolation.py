import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import (
    black_scholes_call,
    call_prices_at,
    dlv_to_calls,
    european_price,
    find_arbitrage,
    implied_volatility,
    interpolate_maturities,
    volatility_at,
)

STRIKES = np.array([0.7, 0.85, 0.95, 1.0, 1.08, 1.2, 1.3])
YEARS = np.array([0.1, 0.25, 0.5])
WIDENING = 1 + (STRIKES - 1) * np.array([[1.0], [1.2], [1.5]])


def volatilities(*batch, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 0.5, (*batch, 3, 7))


# ------------------------------------------------------------------------------- between maturities


@pytest.mark.parametrize("strikes", [STRIKES, WIDENING], ids=["common", "widening"])
def test_exact_at_the_maturities_and_at_zero(strikes):
    sigma = volatilities(20)
    calls = dlv_to_calls(sigma, strikes, YEARS)
    new = [0.5, 0.25, 0.0, 0.1]
    between = interpolate_maturities(sigma, strikes, YEARS, new).numpy()
    assert between.shape == (20, 4, 7)
    np.testing.assert_allclose(between[:, [3, 1, 0]], calls, atol=1e-15)
    intrinsic = np.maximum(1 - np.broadcast_to(strikes, (3, 7))[0], 0)
    np.testing.assert_allclose(between[:, 2], np.broadcast_to(intrinsic, (20, 7)), atol=1e-16)
    # no jump just after a maturity
    after = interpolate_maturities(sigma, STRIKES, YEARS, YEARS[:2] + 1e-9)
    at = interpolate_maturities(sigma, STRIKES, YEARS, YEARS[:2])
    np.testing.assert_allclose(after, at, atol=1e-8)


def test_convex_and_increasing_in_between():
    sigma = volatilities(50)
    new = np.sort(np.concatenate([YEARS, np.random.default_rng(1).uniform(0.005, 0.5, 30)]))
    calls = interpolate_maturities(sigma, STRIKES, YEARS, new)
    assert find_arbitrage(calls, STRIKES, new) == []
    assert np.diff(calls, axis=1).min() >= -1e-16


def test_volatilities_of_the_interpolated_surface_price_it():
    # one step of length t is by definition a slice with the same volatilities
    sigma = volatilities()
    calls = interpolate_maturities(sigma, STRIKES, YEARS, [0.04, 0.1, 0.17])
    first = dlv_to_calls(sigma[:1], STRIKES, [0.04])
    np.testing.assert_allclose(calls[0], first[0], atol=1e-16)
    third = dlv_to_calls(sigma[:2], STRIKES, [0.1, 0.17])
    np.testing.assert_allclose(calls[2], third[1], atol=1e-16)


@pytest.mark.parametrize("strikes", [STRIKES + 0.01, WIDENING * 1.003], ids=["common", "widening"])
def test_gradients_between_maturities(gradient_check, strikes):
    def calls(sigma, years):
        return interpolate_maturities(sigma, strikes, years, [0.05, 0.25, 0.33])

    gradient_check(tf.function(calls), volatilities(2), YEARS + 0.003, rtol=1e-6, atol=1e-8)


def test_between_maturities_in_a_graph():
    sigma = volatilities(4).astype("float32")
    signature = [tf.TensorSpec((None, 3, 7), tf.float32), tf.TensorSpec((3,), tf.float32)]
    graph = tf.function(
        lambda s, t: interpolate_maturities(s, STRIKES, YEARS, t), input_signature=signature
    )
    new = np.array([0.03, 0.3, 0.5], "float32")
    expected = interpolate_maturities(sigma, STRIKES, YEARS, new)
    assert expected.dtype == tf.float32
    np.testing.assert_allclose(graph(sigma, new), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("new", "words"),
    [([0.6], ["0.5", "0.6"]), ([-0.1], ["-0.1"]), ([np.nan], ["nan"]), (0.3, ["(q,)", "()"])],
)
def test_new_maturities_are_checked(new, words):
    with pytest.raises(ValueError, match="`new_maturities`") as error:
        interpolate_maturities(volatilities(), STRIKES, YEARS, new)
    for word in words:
        assert word in str(error.value)


# ------------------------------------------------------------------------------------- any point


def smile(strikes, years):
    """A skewed smile that flattens like 1/√T, with σ²T increasing in T."""
    x = np.log(strikes) / np.sqrt(years)
    return 0.2 - 0.05 * x + 0.04 * np.sqrt(0.04 + x * x)


def test_exact_at_the_nodes():
    sigma = volatilities(3, 2)
    strikes, years = np.meshgrid(STRIKES, YEARS)
    at = np.broadcast_to(strikes.ravel(), (3, 2, 21))
    found = volatility_at(sigma, STRIKES, YEARS, at, years.ravel())
    np.testing.assert_allclose(found, sigma.reshape(3, 2, 21), rtol=1e-13)
    own = np.broadcast_to(WIDENING.ravel(), (3, 2, 21))
    found = volatility_at(sigma, WIDENING, YEARS, own, years.ravel())
    np.testing.assert_allclose(found, sigma.reshape(3, 2, 21), rtol=1e-12)


def test_total_variance_is_linear_in_maturity_and_flat_outside():
    sigma = volatilities()
    new = np.array([0.0, 0.03, 0.1, 0.16, 0.4, 0.5, 2.0])
    found = volatility_at(sigma, STRIKES, YEARS, np.full(7, 0.95), new).numpy()
    column = sigma[:, 2]
    variance = np.interp(new[1:6], np.r_[0, YEARS], np.r_[0, column**2 * YEARS])
    np.testing.assert_allclose(found[1:6], np.sqrt(variance / new[1:6]), rtol=1e-13)
    np.testing.assert_allclose(found[[0, 6]], column[[0, 2]], rtol=1e-13)
    outside = volatility_at(sigma, STRIKES, YEARS, [0.2, 5.0], [0.25, 0.25])
    np.testing.assert_allclose(outside, sigma[1, [0, -1]], rtol=1e-13)


def test_stays_between_neighbours():
    rng = np.random.default_rng(2)
    sigma, at = volatilities(40), np.sort(rng.uniform(0.7, 1.3, (40, 300)), axis=1)
    found = volatility_at(sigma, STRIKES, YEARS, at, np.full(300, 0.25)).numpy()
    cell = np.searchsorted(STRIKES, at, "right") - 1
    ends = np.take_along_axis(sigma[:, 1], cell, 1), np.take_along_axis(sigma[:, 1], cell + 1, 1)
    assert (found >= np.minimum(*ends) - 1e-12).all()
    assert (found <= np.maximum(*ends) + 1e-12).all()


def test_prices_of_a_smile_within_a_basis_point_where_chords_are_far_off():
    strikes, years = np.linspace(0.8, 1.2, 9), np.array([20, 40, 60, 120]) / 250
    sigma = np.stack([smile(strikes, t) for t in years])
    calls = black_scholes_call(strikes, years, sigma)
    rng = np.random.default_rng(3)
    at, new = rng.uniform(0.85, 1.15, 500), rng.uniform(0.08, 0.48, 500)
    exact = european_price(1.0, at, new, smile(at, new)).numpy()
    found = call_prices_at(calls, strikes, years, at, new).numpy()
    assert np.abs(found - exact).max() < 1e-4
    chord = np.interp(at, strikes, black_scholes_call(strikes, years[:1], sigma[:1]).numpy()[0])
    curve = european_price(1.0, at, years[0], smile(at, years[0])).numpy()
    assert (chord - curve).max() > 1e-3


def test_gradients_of_the_interpolation(gradient_check):
    at, new = np.array([[0.8, 1.03, 1.4], [0.9, 0.97, 1.25]]), np.array([0.05, 0.3, 0.7])

    def found(sigma, strikes, years, at, new):
        return volatility_at(sigma, strikes, years, at, new)

    gradient_check(found, volatilities(2), STRIKES, YEARS, at, new, rtol=1e-6, atol=1e-7)


def test_surfaces_broadcast_and_unknown_batches():
    sigma = volatilities(5).astype("float32")
    at = np.random.default_rng(4).uniform(0.6, 1.4, (5, 11)).astype("float32")
    new = np.linspace(0.0, 0.6, 11).astype("float32")
    signature = [tf.TensorSpec((None, 3, 7), tf.float32), tf.TensorSpec((None, 11), tf.float32)]
    graph = tf.function(
        lambda s, k: volatility_at(s, STRIKES, YEARS, k, new), input_signature=signature
    )
    expected = volatility_at(sigma.astype(float), STRIKES, YEARS, at, new)
    assert graph(sigma, at).dtype == tf.float32
    np.testing.assert_allclose(graph(sigma, at), expected, rtol=2e-6)
    shared = volatility_at(sigma[0], STRIKES, YEARS, at, new)
    np.testing.assert_allclose(shared[0], expected[0], rtol=2e-6)
    calls = black_scholes_call(STRIKES, YEARS, sigma)
    np.testing.assert_allclose(
        implied_volatility(call_prices_at(calls, STRIKES, YEARS, at, new)[:, 3], at[:, 3], new[3]),
        expected[:, 3],
        rtol=1e-3,
    )


def test_zero_volatility_has_finite_gradients():
    sigma = tf.zeros((1, 3, 7))
    with tf.GradientTape() as tape:
        tape.watch(sigma)
        total = tf.reduce_sum(volatility_at(sigma, STRIKES, YEARS, [[1.01]], [0.2]))
    assert float(total) == 0.0
    assert np.isfinite(tape.gradient(total, sigma)).all()


@pytest.mark.parametrize(
    ("shapes", "culprit"),
    [
        (((3, 6), (7,), (3,), (5,), (5,)), r"\(3, 6\)"),
        (((3, 7), (7,), (3,), (4,), (5,)), r"\(4,\)"),
        (((3, 7), (2, 7), (3,), (5,), (5,)), r"\(2, 7\)"),
        (((3, 1), (1,), (3,), (5,), (5,)), "n > 1"),
    ],
)
def test_wrong_shapes_are_named(shapes, culprit):
    with pytest.raises(ValueError, match=culprit):
        volatility_at(*(np.ones(shape) for shape in shapes))
