"""Own paths go through the same contract as simulated ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets import BlackScholesMarket, Market, from_arrays, payoffs

PRICE = np.random.default_rng(0).lognormal(sigma=0.2, size=(10, 5))


def test_contract():
    market = from_arrays(PRICE, payoff=payoffs.European(strike=1.1), cost=0.01, time_step=0.1)
    assert isinstance(market, Market)
    assert (market.steps, market.rows, market.instruments) == (4, 10, 1)
    assert market.maturity == pytest.approx(0.4)
    inputs, liability = market.simulate(seed=None, paths=10)
    np.testing.assert_allclose(inputs["price"][:, :, 0], PRICE, rtol=1e-6)
    np.testing.assert_allclose(inputs["cost"][:, :, 0], 0.01 * PRICE[:, :-1], rtol=1e-6)
    np.testing.assert_allclose(liability, np.maximum(PRICE[:, -1] - 1.1, 0), atol=1e-6)
    features = inputs["features"].numpy()
    np.testing.assert_allclose(features[:, :, 0], np.log(PRICE[:, :-1] / 1.1), atol=1e-6)
    np.testing.assert_allclose(features[:, :, 1], [[0.4, 0.3, 0.2, 0.1]] * 10, rtol=1e-6)
    assert market.features == ("log_moneyness", "time_to_expiry")


def test_simulated_paths_come_back():
    market = BlackScholesMarket(features=("log_moneyness", "time_to_expiry", "cost"))
    inputs, liability = market.simulate(seed=0, paths=50)
    again = from_arrays(inputs["price"], payoff=market.payoff, features=market.features)
    served, owed = again.simulate(seed=None, paths=50)
    for name in inputs:
        np.testing.assert_allclose(served[name], inputs[name], atol=1e-6)
    np.testing.assert_array_equal(owed, liability)


def test_given_arrays_are_served_as_they_are():
    rng = np.random.default_rng(1)
    price = rng.uniform(1, 2, (6, 4, 2))
    cost, features, owed = (
        rng.uniform(size=(6, 3, 2)),
        rng.normal(size=(6, 3, 7)),
        rng.normal(size=6),
    )
    market = from_arrays(price, liability=owed, cost=cost, features=features, dtype="float64")
    inputs, liability = market.simulate(seed=None, paths=4, first_path=1)
    np.testing.assert_array_equal(inputs["price"], price[1:5])
    np.testing.assert_array_equal(inputs["cost"], cost[1:5])
    np.testing.assert_array_equal(inputs["features"], features[1:5])
    np.testing.assert_array_equal(liability, owed[1:5])
    rates = from_arrays(price, liability=owed, cost=(0.1, 0.2), dtype="float64")
    np.testing.assert_allclose(rates.inputs["cost"], price[:, :-1] * [0.1, 0.2])
    one = from_arrays(PRICE, liability=PRICE[:, 0], cost=PRICE[:, 1:], features=PRICE[:, 1:])
    np.testing.assert_allclose(one.inputs["cost"][:, :, 0], PRICE[:, 1:], rtol=1e-6)
    np.testing.assert_allclose(one.inputs["features"][:, :, 0], PRICE[:, 1:], rtol=1e-6)


def test_moneyness_and_volatility():
    owed = np.zeros(10)
    names = ("log_moneyness", "volatility")

    def features(**terms):
        market = from_arrays(PRICE, liability=owed, features=names, dtype="float64", **terms)
        return market.inputs["features"].numpy()

    surface = np.random.default_rng(2).uniform(0.1, 0.3, (10, 4))
    own = features(volatility=surface)
    np.testing.assert_allclose(own[:, :, 0], np.log(PRICE[:, :-1] / PRICE[:, :1]), atol=1e-12)
    np.testing.assert_array_equal(own[:, :, 1], surface)
    strikes = np.linspace(0.8, 1.2, 10)
    per_path = features(volatility=surface[:, 0], strike=strikes)
    np.testing.assert_allclose(per_path[:, :, 0], np.log(PRICE[:, :-1] / strikes[:, None]))
    np.testing.assert_array_equal(per_path[:, :, 1], np.tile(surface[:, :1], 4))
    fixed = features(volatility=0.2, strike=2.0)
    np.testing.assert_allclose(fixed[:, :, 0], np.log(PRICE[:, :-1] / 2.0))
    assert (fixed[:, :, 1] == 0.2).all()


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 64])
def test_every_epoch_holds_every_row_once(rows):
    market = from_arrays(np.ones((rows, 2)), liability=np.arange(rows))
    whole = market.simulate(seed=3, paths=4 * rows)[1].numpy().reshape(4, rows)
    np.testing.assert_array_equal(np.sort(whole, axis=1), np.tile(np.arange(rows), (4, 1)))
    if rows > 9:
        assert len({tuple(order) for order in whole}) == 4
        other = market.simulate(seed=4, paths=rows)[1].numpy()
        assert (other != whole[0]).any()


def test_order_is_random():
    market = from_arrays(np.ones((10, 2)), liability=np.arange(10))
    orders = market.simulate(seed=0, paths=20_000)[1].numpy().reshape(2000, 10).astype(int)
    for position in (0, 1, 9):
        counts = np.bincount(orders[:, position], minlength=10)
        assert ((counts - 200) ** 2 / 200).sum() < 35  # chi-square with 9 degrees of freedom
    follows = np.mean(np.diff(orders, axis=1) == 1)
    assert abs(follows - 0.1) < 0.01


def test_batches_may_straddle_epochs_and_resume():
    market = from_arrays(PRICE, liability=np.arange(10))
    whole = market.simulate(seed=5, paths=28)[1].numpy()
    served = [liability.numpy() for _, liability in market.batches(7, 4, seed=5)]
    np.testing.assert_array_equal(np.concatenate(served), whole)
    resumed = [liability.numpy() for _, liability in market.batches(7, 4, seed=5, first_step=2)]
    np.testing.assert_array_equal(np.concatenate(resumed), whole[14:])
    spec = tf.nest.flatten(market.batches(7, 4, seed=5).element_spec)
    assert [entry.shape[0] for entry in spec] == [7] * 4
    in_order = [liability.numpy() for _, liability in market.batches(5, 3, seed=None)]
    np.testing.assert_array_equal(np.concatenate(in_order), [*range(10), *range(5)])


def test_model_fit_accepts_batches():
    shapes = {"features": (4, 2), "price": (5, 1), "cost": (4, 1)}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    position = keras.layers.Dense(1)(inputs["features"])
    moves = inputs["price"][:, 1:] - inputs["price"][:, :-1]
    model = keras.Model(inputs, keras.ops.sum(position * moves, axis=(1, 2)))
    model.compile(keras.optimizers.Adam(0.1), loss="mse")
    market = from_arrays(PRICE, payoff=lambda price: price[:, -1, 0] - price[:, 0, 0])
    model.fit(market.batches(10, 300, seed=0), verbose=0, shuffle=False)
    assert model.evaluate(market.batches(10, 1, seed=None), verbose=0) < 1e-3


def _bad(**changes):
    arguments = {"price": PRICE, "liability": np.zeros(10), **changes}
    return lambda: from_arrays(**arguments)


def _with(value, *index):
    price = PRICE.copy()
    price[index] = value
    return price


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (_bad(price=_with(np.nan, 3, 2)), "Received: nan at path 3, time 2"),
        (_bad(price=_with(0.0, 7, 4)), "Received: 0.0 at path 7, time 4"),
        (_bad(price=_with(-1.0, slice(2, 4), 1)), r"path 2, time 1, instrument 0 \(2 such"),
        (_bad(price=PRICE[0]), r"`price` must have shape .* Received: shape \(5,\)"),
        (_bad(price=PRICE[:, :1]), "at least one path, one step"),
        (_bad(price="prices"), "`price` must be an array of numbers"),
        (_bad(liability=np.zeros(9)), r"`liability` must have shape .*\(10\).*\(9,\)"),
        (_bad(liability=np.zeros((10, 1))), r"Received: shape \(10, 1\)"),
        (_bad(liability=np.full(10, np.inf)), "`liability` must be finite. Received: inf at index"),
        (_bad(liability=None), "either `liability` or `payoff`"),
        (_bad(payoff=payoffs.European()), "either `liability` or `payoff`"),
        (_bad(features=np.zeros((10, 5, 2))), r"`features` must have shape .*\(10, 5, 2\)"),
        (_bad(features=np.full((10, 4), np.nan)), r"`features` must be finite.*\(0, 0\)"),
        (_bad(features=("log_moneynes",)), "Did you mean 'log_moneyness'"),
        (_bad(features=("volatility",)), "takes the argument `volatility`"),
        (_bad(cost=-0.1), "`cost` must not be negative. Received: -0.1"),
        (_bad(cost=np.full((10, 4), -0.1)), r"`cost` must not be negative.*\(0, 0\)"),
        (_bad(cost=np.zeros((10, 5))), r"`cost` must have shape .* Received: shape \(10, 5\)"),
        (_bad(cost=np.nan), "`cost` must be finite"),
        (_bad(volatility=-0.2), "`volatility` must be positive. Received: -0.2"),
        (_bad(volatility=np.full((10, 5), 0.2)), "`volatility` must have shape"),
        (_bad(strike=0.0), "`strike` must be positive"),
        (_bad(strike=np.ones(3)), "`strike` must have shape"),
        (_bad(time_step=0), "`time_step` must be positive"),
        (_bad(dtype="float16"), "`dtype`"),
        (_bad(liability=None, payoff=payoffs.ForwardStart(start_step=4)), "start_step=4"),
        (_bad(liability=None, payoff=3.0), "`payoff` must be a payoff"),
        (lambda: from_arrays(PRICE, liability=np.zeros(10)).get_config(), "keep the arrays"),
        (lambda: from_arrays(PRICE, liability=np.zeros(10)).simulate(0, 0), "paths=0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
