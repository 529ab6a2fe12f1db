"""The linear optimum against closed forms, first-order conditions and brute force."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets import BlackScholesMarket
from hedgezoo.statistical_arbitrage import (
    TradedPaths,
    certainty_equivalents,
    linear_optimum,
    linear_problem,
)


def one_period(outcomes, counts, cost, sell_cost=None):
    """A floating instrument with finitely many outcomes, each with its number of paths."""
    gain = np.repeat(outcomes, counts)[:, None, None]
    inputs = {"features": np.zeros_like(gain), "unit_gain": gain, "cost": np.full_like(gain, cost)}
    if sell_cost is not None:
        inputs["sell_cost"] = np.full_like(gain, sell_cost)
    return inputs


def noisy_market(paths=3000, steps=4, instruments=3, cost=0.01, price=False, seed=0):
    """Gains with drifts that depend on the date, the instrument and a feature."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(paths, steps, 2)) * [1.0, 5.0] + [0.0, 100.0]
    drift = 0.02 * rng.normal(size=(steps, instruments)) + 0.01 * features[..., :1]
    gain = drift + 0.1 * rng.normal(size=(paths, steps, instruments))
    inputs = {"features": features, "cost": np.full(gain.shape, cost)}
    if price:
        inputs["price"] = 10 + np.pad(np.cumsum(gain, 1), ((0, 0), (1, 0), (0, 0)))
    else:
        inputs["unit_gain"] = gain
    return inputs


@pytest.mark.parametrize(
    ("cost", "action", "up", "utility"),
    [
        (0.0, 2.027326, 0.5, 0.020411),
        (0.005, 1.526908, 0.525, 0.011525),
        (0.01, 1.023972, 0.55, 0.005146),
        (0.02, 0.0, 0.6, 0.0),
        (0.03, 0.0, 0.6, 0.0),
    ],
)
def test_binomial(cost, action, up, utility):
    found = linear_optimum(one_period([0.1, -0.1], [6, 4], cost))
    np.testing.assert_allclose(found.intercept, action, atol=2e-5)
    np.testing.assert_allclose(0.6 * found.weights[0], up, atol=1e-6)
    np.testing.assert_allclose(found.utility, utility, atol=1e-6)
    # the other way round everything is mirrored
    mirrored = linear_optimum(one_period([0.1, -0.1], [4, 6], cost))
    np.testing.assert_allclose(mirrored.intercept, -action, atol=2e-5)


def test_binomial_with_other_cost_of_selling():
    # only the side that is traded counts
    for sell in (0.0, 0.05):
        found = linear_optimum(one_period([0.1, -0.1], [6, 4], 0.005, sell))
        np.testing.assert_allclose(found.intercept, 1.526908, atol=1e-6)
        np.testing.assert_allclose(found.utility, 0.011525, atol=1e-6)


@pytest.mark.parametrize("cost", [0.0, 0.005])
def test_symmetric_trinomial(cost):
    h, (up, middle, down) = 0.1, (0.45, 0.3, 0.25)
    root = np.sqrt(middle**2 * cost**2 + 4 * up * down * (h**2 - cost**2))
    action = np.log((root - middle * cost) / (2 * down * (h + cost))) / h
    found = linear_optimum(one_period([h, 0.0, -h], [9, 6, 5], cost))
    np.testing.assert_allclose(found.intercept, action, rtol=1e-7)
    gain = np.repeat([h, 0.0, -h], [9, 6, 5])
    np.testing.assert_allclose(np.mean(found.weights * gain), cost, atol=1e-12)


@pytest.mark.parametrize("price", [False, True])
def test_expected_gains_end_in_the_cost_band(price):
    inputs = noisy_market(paths=1000, price=price)
    found = linear_optimum(inputs, per_date=True)
    assert found.gap <= 1e-12
    paths = TradedPaths(inputs)
    mean = np.einsum("n,ntd->td", found.weights, paths.gain_of(slice(None))) / len(paths)
    assert np.abs(mean).max() <= 0.01 + 1e-9
    # traded instruments sit at the edge in the direction of the trade; both kinds occur
    intercept = paths.trades_of(found.intercept, axis=0)
    kernel = paths.trades_of(np.asarray(inputs["features"])) @ found.kernel
    trades = kernel + intercept
    one_way = np.where((trades > 0).all(0), 1, np.where((trades < 0).all(0), -1, 0))
    np.testing.assert_allclose(mean[one_way != 0], 0.01 * one_way[one_way != 0], atol=1e-9)


@pytest.mark.parametrize("price", [False, True])
def test_no_small_change_helps(price):
    inputs = noisy_market(paths=400, price=price, seed=3)
    found = linear_optimum(inputs)
    paths = TradedPaths(inputs)

    def utility(kernel, intercept):
        trades = paths.trades_of(inputs["features"] @ kernel + intercept)
        gain, cost = paths.symmetric(slice(None))
        gains = (trades * gain - cost * np.abs(trades)).sum((1, 2))
        return -np.log(np.mean(np.exp(-gains))), gains

    best, gains = utility(found.kernel, found.intercept)
    np.testing.assert_allclose(best, found.utility, atol=1e-12)
    np.testing.assert_allclose(gains, found.gains, atol=1e-12)
    rng = np.random.default_rng(0)
    for size in (1e-4, 1e-2, 1.0):
        for _ in range(10):
            kernel = found.kernel + size * rng.normal(size=(2, 3)) * [[1.0], [0.1]]
            assert utility(kernel, found.intercept + size * rng.normal(size=3))[0] <= best + 1e-11


def test_fixed_instruments_are_floating_ones_held_to_the_horizon():
    inputs = noisy_market(paths=300, price=True)
    price = inputs.pop("price")
    # with dates alone, trades of one are trades of the other
    inputs["features"] = np.zeros((300, 4, 1))
    fixed = linear_optimum({**inputs, "price": price}, per_date=True)
    floating = linear_optimum({**inputs, "unit_gain": price[:, -1:] - price[:, :-1]}, per_date=True)
    np.testing.assert_allclose(fixed.utility, floating.utility, atol=1e-12)
    np.testing.assert_allclose(fixed.intercept, np.cumsum(floating.intercept, 0), atol=1e-4)


def test_weights_are_repeated_paths():
    inputs = noisy_market(paths=200, cost=0.0)
    counts = np.random.default_rng(1).integers(0, 4, 200)
    weighted = linear_optimum(inputs, sample_weight=counts)
    repeated = linear_optimum({name: np.repeat(a, counts, 0) for name, a in inputs.items()})
    np.testing.assert_allclose(weighted.utility, repeated.utility, rtol=1e-12)
    np.testing.assert_allclose(weighted.kernel, repeated.kernel, rtol=1e-7, atol=1e-9)


def test_chunks_and_data_sets_change_nothing(monkeypatch):
    inputs = noisy_market(paths=300)
    whole = linear_optimum(inputs, per_date=True)
    monkeypatch.setattr(linear_problem, "_ENTRIES", 500)
    dataset = tf.data.Dataset.from_tensor_slices((inputs, np.zeros(300))).batch(128)
    for again in (inputs, dataset):
        found = linear_optimum(again, per_date=True)
        np.testing.assert_allclose(found.utility, whole.utility, rtol=1e-10)
        np.testing.assert_allclose(found.weights, whole.weights, rtol=1e-6)


def test_redundant_instruments_and_features_do_no_harm():
    inputs = noisy_market(paths=500, cost=0.0, instruments=2)
    twice = {
        "features": np.concatenate([inputs["features"], np.ones((500, 4, 1))], -1),
        "unit_gain": np.concatenate([inputs["unit_gain"], -2 * inputs["unit_gain"]], -1),
    }
    one, two = linear_optimum(inputs), linear_optimum(twice)
    np.testing.assert_allclose(two.utility, one.utility, rtol=1e-10)
    np.testing.assert_allclose(two.weights, one.weights, rtol=1e-5)


@pytest.mark.parametrize(
    "outcomes", [[0.2, 0.1], [0.1, 0.0], [-0.1, -0.2]], ids=["strong", "weak", "selling"]
)
def test_arbitrage_is_named(outcomes):
    with pytest.raises(ValueError, match="arbitrage"):
        linear_optimum(one_period(outcomes, [1, 1], 0.0))
    # with a cost above the gains there is nothing to be had
    assert abs(linear_optimum(one_period(outcomes, [1, 1], 0.3)).utility) < 1e-11


def test_arbitrage_hidden_among_other_instruments():
    inputs = noisy_market(paths=100, cost=0.0, instruments=2)
    gain = inputs["unit_gain"]
    # a third instrument that is the first one, and sometimes better
    better = gain[..., :1] + (np.arange(100) % 5 == 0)[:, None, None] * 0.05
    richer = {**inputs, "unit_gain": np.concatenate([gain, better], -1), "cost": None}
    with pytest.raises(ValueError, match="arbitrage"):
        linear_optimum(richer)
    poor, rich = (linear_optimum(market, ridge=1e-3).utility for market in (inputs, richer))
    assert poor + 0.01 < rich < 1.0


def test_hedging_without_cost_under_q_is_hedging_without_drift():
    market = BlackScholesMarket(
        drift=(0.6, -0.2), steps=6, cost=0.0, dtype="float64", correlation=((1, 0.5), (0.5, 1))
    )
    inputs, liability = market.simulate(seed=2, paths=1500)
    liability = 20 * liability.numpy()
    found = certainty_equivalents(inputs, liability, per_date=True)
    assert found.arbitrage.utility > 0.01
    np.testing.assert_allclose(found.claim_under_q.utility, found.drift_free, atol=1e-8)
    features = inputs["features"].numpy()
    actions = [features @ part.kernel + part.intercept for part in found]
    np.testing.assert_allclose(actions[2], actions[0] - actions[1], atol=1e-6)


def test_hedging_with_cost_under_q_is_worth_no_more():
    inputs = noisy_market(paths=500, cost=0.01)
    liability = np.maximum(inputs["unit_gain"].sum((1, 2)), 0)
    found = certainty_equivalents(inputs, liability)
    assert found.claim_under_q.utility <= found.drift_free + 1e-10
    assert found.claim_under_q.utility < found.drift_free - 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": None}, "'features'"),
        ({"unit_gain": None}, "exactly one of"),
        ({"price": np.ones((50, 5, 3))}, "exactly one of"),
        ({"cost": np.full((50, 4, 3), -1e-3)}, "`cost` must not be negative"),
        ({"sell_cost": np.full((50, 4, 3), -1e-3)}, "`sell_cost` must not be negative"),
        ({"cost": np.ones((50, 4, 2))}, "`cost` must have shape"),
        ({"features": np.ones((50, 3, 2)), "unit_gain": np.ones((50, 4, 3))}, "`unit_gain` must"),
        ({"features": np.full((50, 4, 2), np.nan)}, "`features` must be finite"),
        ({"unit_gain": np.full((50, 4, 3), np.inf)}, "`unit_gain` must be finite"),
        ({"features": np.ones((0, 4, 2))}, "`features` must not be empty"),
    ],
)
def test_bad_paths_are_refused(change, message):
    inputs = {**noisy_market(paths=50), **change}
    with pytest.raises(ValueError, match=message):
        linear_optimum({name: a for name, a in inputs.items() if a is not None})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"liability": np.zeros(3)}, "`liability` must have shape"),
        ({"sample_weight": -np.ones(50)}, "`sample_weight` must not be negative"),
        ({"sample_weight": np.zeros(50)}, "nor all zero"),
        ({"ridge": -1.0}, "`ridge`"),
        ({"tolerance": 0.0}, "`tolerance`"),
        ({"newton_steps": 1}, "No optimum found"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        linear_optimum(noisy_market(paths=50), **options)


def test_endless_data_sets_are_refused():
    inputs = noisy_market(paths=4)
    dataset = tf.data.Dataset.from_tensors((inputs, np.zeros(4))).repeat()
    with pytest.raises(ValueError, match="with an end"):
        TradedPaths(dataset)
    with pytest.raises(ValueError, match="dictionary"):
        TradedPaths(np.zeros((4, 4, 3)))
