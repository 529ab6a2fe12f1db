"""Prices from local volatilities: closed forms, gradients, tables, no arbitrage, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import (
    DupireGrid,
    black_scholes_call,
    cev_call,
    cev_local_volatility,
    dupire_calls,
    dupire_quotes,
    find_arbitrage,
    heston_call,
    heston_local_volatility,
    implied_volatility,
)
from hedgezoo.layers.local_volatility.log_time_steps import log_time_steps

STRIKES = np.linspace(0.8, 1.2, 21)
MATURITIES = np.arange(1, 7) / 6
BASIS_POINT = 1e-4


def errors(calls, exact, strikes=STRIKES, maturities=MATURITIES):
    """Differences of implied volatilities in basis points, where the option has a price."""
    vols = [implied_volatility(x, strikes, maturities).numpy() for x in (calls, exact)]
    return (vols[0] - vols[1]) / BASIS_POINT


def skew(x, t):
    return 0.2 - 0.15 * tf.tanh(3.0 * x) + 0.05 * t


@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.8])
def test_flat_volatility_is_black_scholes(sigma):
    strikes = np.exp(sigma * np.linspace(-1.5, 1.5, 13))
    calls = dupire_calls(lambda x, t: sigma * tf.ones_like(x), strikes, MATURITIES)
    exact = black_scholes_call(strikes, MATURITIES, sigma)
    assert abs(errors(calls, exact, strikes)).max() < 0.01


def test_flat_volatility_does_not_need_the_right_level():
    # what is solved for then is not zero
    strikes = np.linspace(0.9, 1.1, 9)
    exact = black_scholes_call(strikes, MATURITIES, 0.2)
    for level in (0.15, 0.3):
        calls = dupire_calls(
            lambda x, t: 0.2 * tf.ones_like(x), strikes, MATURITIES, volatility_level=level
        )
        assert abs(errors(calls, exact, strikes)).max() < 0.5


@pytest.mark.parametrize("elasticity", [0.3, 0.5, 0.9])
def test_cev(elasticity):
    calls = dupire_calls(lambda x, t: cev_local_volatility(0.2, elasticity, x), STRIKES, MATURITIES)
    found = errors(calls, cev_call(0.2, elasticity, STRIKES, MATURITIES))
    assert abs(found).max() < 0.5
    assert np.sqrt(np.mean(found**2)) < 0.05


@pytest.mark.parametrize("parameters", [(1.5, 0.04, 0.5, -0.7, 0.04), (3.0, 0.04, 0.5, -0.7, 0.09)])
def test_heston_projection_has_the_prices_of_heston(parameters):
    calls = dupire_calls(
        lambda x, t: heston_local_volatility(parameters, x, t), STRIKES, MATURITIES
    )
    found = errors(calls, heston_call(parameters, STRIKES, MATURITIES))
    assert np.sqrt(np.mean(found**2)) < 0.3
    assert abs(found).max() < 1.5


def test_second_order():
    """Twice the points and steps, a quarter of the error."""
    exact = cev_call(0.2, 0.3, STRIKES, MATURITIES)

    def error(points, steps):
        calls = dupire_calls(
            lambda x, t: cev_local_volatility(0.2, 0.3, x),
            STRIKES,
            MATURITIES,
            points=points,
            steps=steps,
        )
        return np.sqrt(np.mean(errors(calls, exact) ** 2))

    coarse, fine = error(51, 8), error(103, 16)
    assert 3.0 < coarse / fine < 5.5


def test_volatility_that_changes_with_time_only():
    # total variance is the integral of the square, the smile is flat
    calls = dupire_calls(
        lambda x, t: tf.sqrt(0.04 + 0.06 * t) + 0.0 * x, [0.9, 1.0, 1.1], MATURITIES
    )
    exact = np.sqrt(0.04 + 0.03 * MATURITIES)[:, None]
    found = implied_volatility(calls, [0.9, 1.0, 1.1], MATURITIES).numpy()
    assert abs(found - exact).max() < 0.3 * BASIS_POINT


def test_no_static_arbitrage():
    strikes = np.linspace(0.6, 1.5, 46)
    maturities = np.array([0.02, 0.1, 0.3, 1.0, 3.0])
    calls = dupire_calls(skew, strikes, maturities)
    assert not find_arbitrage(calls, strikes, maturities, ghost_strikes=[0.01, 10.0])


def test_quotes_in_any_order_are_those_of_the_grid():
    calls = dupire_calls(skew, STRIKES, MATURITIES).numpy()
    rows, columns = [5, 0, 3, 0], [2, 20, 10, 0]
    quotes = dupire_quotes(skew, STRIKES[columns], MATURITIES[rows], volatility_level=0.22).numpy()
    expected = dupire_calls(skew, STRIKES, MATURITIES, volatility_level=0.22).numpy()
    # the time grid has other stops, because some maturities are missing
    np.testing.assert_allclose(quotes, expected[rows, columns], atol=3e-6)
    own = dupire_calls(skew, np.tile(STRIKES, (6, 1)), MATURITIES).numpy()
    np.testing.assert_allclose(own, calls, atol=1e-14)


def test_strikes_beyond_the_grid_widen_it():
    # 12 deviations out of the money: nothing but intrinsic value is left, and no NaN
    strikes = [0.5, 0.7, 1.0, 1.4, 2.0]
    calls = dupire_calls(skew, strikes, [0.05]).numpy()[0]
    np.testing.assert_allclose(calls[[0, 1, 3, 4]], [0.5, 0.3, 0.0, 0.0], atol=1e-6)
    assert (calls >= np.maximum(1.0 - np.array(strikes), 0.0)).all()


def test_table_is_the_function_it_was_made_from():
    x, t = np.linspace(-1.5, 1.5, 601), np.linspace(0.0, 1.0, 101)
    table = skew(tf.constant(x[None, :]), tf.constant(t[:, None]))
    calls = dupire_calls(table, STRIKES, MATURITIES, log_strikes=x, times=t)
    exact = dupire_calls(skew, STRIKES, MATURITIES)
    assert abs(errors(calls, exact)).max() < 0.3


def test_features_reach_the_layer():
    def level(x, t, features):
        return features[:, :1] + 0.0 * x + features[:, 1:] * t

    calls = dupire_calls(level, [0.9, 1.1], [0.5], features=[0.3, 0.0])
    exact = black_scholes_call([0.9, 1.1], [0.5], 0.3)
    np.testing.assert_allclose(calls, exact, atol=1e-9)


# ---------------------------------------------------------------------------------- derivatives


def small_grid():
    return DupireGrid(
        [0.8, 1.0, 1.1, 1.2], [0.25, 0.25, 0.5, 1.0], volatility=0.25, points=15, steps=2
    )


def test_gradient_in_the_local_volatilities(gradient_check):
    grid = small_grid()
    gradient_check(tf.function(grid.calls), grid.tabulate(skew).numpy(), atol=1e-9)


def test_gradient_in_the_strikes(gradient_check):
    years = [0.5, 1.0, 1.0]
    gradient_check(
        lambda k: dupire_quotes(skew, k, years, volatility_level=0.2), np.array([0.9, 1.03, 1.2])
    )


def test_jacobian_is_all_gradients():
    grid = small_grid()
    sigma = grid.tabulate(skew)
    calls, jacobian = grid.calls_and_jacobian(sigma)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(sigma)
        same = grid.calls(sigma)
        each = tf.unstack(same)
    expected = [tape.gradient(call, sigma) for call in each]
    np.testing.assert_array_equal(calls, same)
    np.testing.assert_allclose(jacobian, expected, rtol=1e-10, atol=1e-15)
    assert jacobian.shape == (4, *sigma.shape)


def test_gradient_in_weights_and_in_graphs():
    """A volatility level moved by a weight moves prices by the sum of the vegas."""
    layer = keras.layers.Dense(
        1, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(0.2)
    )
    layer.build((None, 2))

    def sigma(x, t):
        return layer(tf.concat([x, t], axis=1))

    def gradients():
        with tf.GradientTape() as tape:
            calls = dupire_calls(sigma, [0.9, 1.0], [0.5, 1.0], volatility_level=0.2)
        return calls, tape.gradient(calls, layer.bias.value)

    calls, eager = gradients()
    graph_calls, graph = tf.function(gradients)()
    np.testing.assert_allclose(graph_calls, calls, atol=1e-14)
    np.testing.assert_allclose(graph, eager, rtol=1e-6)
    level = tf.constant(0.2, "float64")
    with tf.GradientTape() as tape:
        tape.watch(level)
        exact = black_scholes_call([0.9, 1.0], [0.5, 1.0], level)
    np.testing.assert_allclose(eager, [tape.gradient(exact, level)], rtol=1e-4)


def test_level_in_a_graph():
    # what an eager call reads off the volatility is a tensor there
    calls = tf.function(lambda: dupire_calls(skew, STRIKES, MATURITIES))()
    assert abs(errors(calls, dupire_calls(skew, STRIKES, MATURITIES))).max() < 0.1


# --------------------------------------------------------------------------------------- errors


def flat(x, t):
    return 0.2 * tf.ones_like(x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((flat, [1.0], [0.0]), "`maturities`"),
        ((flat, [1.0], [[0.5]]), "`maturities`"),
        ((flat, [0.0], [0.5]), "`strikes`"),
        ((flat, [[1.0], [1.0]], [0.5]), "`strikes`"),
        ((lambda x, t: tf.zeros_like(x), [1.0], [0.5]), "`volatility`"),
        ((lambda x, t: tf.zeros((3, 1)), [1.0], [0.5]), "`volatility`"),
        (("flat", [1.0], [0.5]), "`volatility`"),
        (([[0.2, 0.2]], [1.0], [0.5]), "`log_strikes`"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        dupire_calls(*arguments)


@pytest.mark.parametrize(
    ("table", "log_strikes", "times", "message"),
    [
        ([[0.2, 0.2]], [0.0], [0.5], "one row per time"),
        ([[0.2, 0.2]], [0.1, 0.0], [0.5], "`log_strikes`"),
        ([[0.2, 0.2]], [0.0, 0.1], [-0.5], "`times`"),
        ([[0.2, np.nan]], [0.0, 0.1], [0.5], "`volatility`"),
        (flat, [0.0, 0.1], [0.5], "function"),
    ],
)
def test_table_errors(table, log_strikes, times, message):
    with pytest.raises(ValueError, match=message):
        dupire_calls(table, [1.0], [0.5], log_strikes=log_strikes, times=times)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": 16}, "`points`"),
        ({"deviations": 0.0}, "`deviations`"),
        ({"steps": np.inf}, "`steps`"),
        ({"volatility": -0.2}, "`volatility`"),
        ({"strikes": [1.0, 1.1]}, "`strikes`"),
    ],
)
def test_grid_errors(changes, message):
    arguments = {"strikes": [1.0], "maturities": [0.5], **changes}
    with pytest.raises(ValueError, match=message):
        DupireGrid(**arguments)


def test_grid_refuses_another_table():
    with pytest.raises(ValueError, match="`sigma`"):
        small_grid().calls(tf.ones((3, 15), "float64"))


def test_time_steps_hit_the_maturities():
    maturities = np.array([0.1, 0.11, 0.5, 2.0])
    begin, end, half, keep, last = log_time_steps(maturities, 10.0)
    np.testing.assert_array_equal(end[last], maturities)
    np.testing.assert_array_equal(begin[1:], end[:-1])
    length = np.log(end / begin)
    # an implicit half step has its whole length as h
    np.testing.assert_allclose(half, np.where(keep == 0, 1.0, 0.5) * length)
    assert (keep[:2] == 0).all()
    assert (keep[2:] == 1).all()
    assert length.max() < 0.1 + 1e-9
