"""Prices by simulation: unbiased, honest about their noise, free of arbitrage, parity exact."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import hedgezoo
from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.layers import black_scholes_call
from hedgezoo.neural_sde import NeuralSDE
from hedgezoo.neural_sde.evaluating import evaluate_on_quotes, free_of_arbitrage
from hedgezoo.neural_sde.simulated_prices import exercise_probability

STRIKES, MATURITIES = np.array([0.8, 0.9, 1.0, 1.1, 1.25]), np.array([1 / 6, 0.5, 1.0])


@functools.cache
def flat(**settings):
    """A local volatility that is constant, 0.2."""
    # steps of any length are exact
    model = NeuralSDE(units=(8,), steps_per_year=12, options={"seed": 1}, **settings)
    model.build()
    kernel = model.network.network.kernels[-1]
    kernel.assign(tf.zeros_like(kernel))
    return model


@functools.cache
def skewed(kind="local", scale=0.5, seed=0, **settings):
    """Weights far from those of the start: volatilities from 0.1 to 0.5."""
    steps = 96 if kind == "local" else 24
    model = NeuralSDE(kind, units=(16, 16), steps_per_year=steps, options={"seed": 1}, **settings)
    model.build()
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(-scale, scale, w.shape) for w in model.get_weights()])
    # so that the volatility at the money is 0.2 today
    network, bias = model.network, model.network.network.biases[-1]
    today = network.columns(tf.zeros((1, model.states)), tf.zeros((1, 1)))
    share = np.log(0.2 / 0.01) / np.log(2.0 / 0.01)
    wanted = float(np.log(share / (1 - share)))
    bias.assign(bias + wanted - tf.reshape(network.network(today), (1,)))
    return model


@pytest.mark.parametrize("control", [False, True])
def test_constant_volatility_gives_black_scholes_within_the_stated_error(control):
    model, exact = flat(), black_scholes_call(STRIKES, MATURITIES, 0.2).numpy()
    scores = []
    for seed in range(16):
        found = model.price(STRIKES, MATURITIES, paths=2**11, seed=seed, control=control)
        scores.append((found.price - exact) / found.standard_error)
    scores = np.array(scores)
    # Student's t with 15 degrees of freedom is within ±2 with probability 0.936
    assert 0.86 < np.mean(np.abs(scores) < 2) < 0.995
    assert np.abs(scores.mean(axis=0)).max() < 5 / np.sqrt(16)


def test_the_control_leaves_next_to_nothing_of_a_flat_surface():
    model = flat()
    with_control, without = (
        model.price(STRIKES, MATURITIES, paths=2**12, control=control) for control in (True, False)
    )
    assert (with_control.volatility_error[:, 1:4] < 5e-5).all()
    assert (with_control.standard_error < without.standard_error).all()
    np.testing.assert_allclose(with_control.implied_volatility[:, 1:4], 0.2, atol=2e-4)


@pytest.mark.parametrize("kind", ["local", "stochastic"])
def test_the_control_changes_no_price(kind):
    model = skewed(kind)
    pair = [
        model.price(STRIKES, MATURITIES, paths=2**13, seed=seed, control=control)
        for seed, control in ((0, True), (1, False))
    ]
    error = np.hypot(pair[0].standard_error, pair[1].standard_error)
    assert (np.abs(pair[0].price - pair[1].price) <= 5 * error).all()


@pytest.mark.parametrize("draws", ["plain", "antithetic"])
def test_other_draws_are_honest_too(draws):
    model, exact = flat(draws=draws), black_scholes_call(STRIKES, MATURITIES, 0.2).numpy()
    found = model.price(STRIKES, MATURITIES, paths=2**13, control=False)
    score = (found.price - exact) / found.standard_error
    assert np.abs(score).max() < 5
    assert found.standard_error[2, 2] > 3 * flat().price([1.0], [1.0], 2**13).standard_error[0, 0]


def test_simulation_and_partial_differential_equation_agree():
    model = skewed()
    found = model.price(STRIKES, MATURITIES, paths=2**15)
    exact = model.price_by_pde(STRIKES, MATURITIES)
    assert exact.paths == 0
    assert not exact.standard_error.any()
    gap = found.implied_volatility - exact.implied_volatility
    # a step of 1/96 year leaves a few basis points
    assert np.abs(gap).max() < 10e-4 + 4 * found.volatility_error.max()
    finer = model.rollout(MATURITIES, steps_per_year=384, grid={"points": 513, "volatility": 0.3})
    spot = np.exp(finer.simulate(0, 2**14).numpy().astype(float)[..., 0])
    calls = np.maximum(spot[..., None] - STRIKES, 0).mean(axis=0)
    np.testing.assert_allclose(calls[:, 1:4], exact.price[:, 1:4], atol=2e-4)


@pytest.mark.parametrize(("kind", "seed"), [("local", 0), ("local", 1), ("stochastic", 2)])
def test_martingale_and_no_arbitrage_for_any_weights(kind, seed):
    model = skewed(kind, scale=0.7, seed=seed)
    strikes = np.linspace(0.7, 1.4, 15)
    found = model.price(strikes, model.maturities, paths=2**13, seed=seed)
    assert (np.abs(found.forward_error) < 4 * found.forward_standard_error).all()
    assert free_of_arbitrage(strikes, found.replications)
    assert (found.price > np.maximum(1 - strikes, 0) - 1e-9).all()


def test_each_maturity_may_have_its_own_strikes():
    model = skewed()
    strikes = np.array([[0.95, 1.0, 1.05], [0.9, 1.0, 1.1], [0.8, 1.0, 1.3]])
    found = model.price(strikes, MATURITIES, paths=2**11)
    assert found.price.shape == (3, 3)
    for row in range(3):
        alone = model.price(strikes[row], MATURITIES, paths=2**11)
        np.testing.assert_allclose(found.price[row], alone.price[row], rtol=1e-9)
    np.testing.assert_array_equal(np.asarray(found), found.price)
    assert np.asarray(found, np.float32).dtype == np.float32


def test_a_seed_is_a_price_and_others_are_independent():
    model = skewed()
    one, same, other = (model.price([1.0], [0.5], 2**10, seed=seed) for seed in (0, 0, 1))
    assert one.price == same.price != other.price
    replications = np.concatenate([one.replications, other.replications]).ravel()
    assert len(np.unique(replications)) == 32


def test_paths_beyond_one_chunk(monkeypatch):
    from hedgezoo.neural_sde import simulated_prices

    model = flat()
    whole = model.price(STRIKES, MATURITIES, paths=2**13, control=False)
    monkeypatch.setattr(simulated_prices, "_CHUNK", 200)
    parts = model.price(STRIKES, MATURITIES, paths=2**13, control=False)
    np.testing.assert_allclose(parts.price, whole.price, atol=1e-9)
    assert parts.paths == whole.paths == 2**13


def test_maturities_beyond_the_last_and_options_that_no_path_reaches():
    model = flat(maturities=(0.25,))
    assert model.price(1.0, 0.25, paths=64).price.shape == (1, 1)
    found = model.price([1.0, 4.0], [0.02, 3.0], paths=2**12)
    np.testing.assert_allclose(found.implied_volatility[:, 0], 0.2, atol=1e-4)
    assert found.price[0, 1] == 0
    assert found.standard_error[0, 1] < 1e-12


def test_features_choose_the_surface():
    model = NeuralSDE(units=(8,), features=("a",), steps_per_year=24, options={"seed": 1})
    model.build()
    kernel = model.network.network.kernels[0]
    kernel.assign(kernel * 3)
    prices = [model.price(1.0, 0.5, 2**10, features=[x]).price[0, 0] for x in (-1.0, 1.0)]
    assert abs(prices[0] - prices[1]) > 1e-3
    exact = [model.price_by_pde([1.0], [0.5], features=[x]).price[0, 0] for x in (-1.0, 1.0)]
    np.testing.assert_allclose(prices, exact, atol=3e-4)  # of 24 steps a year
    with pytest.raises(ValueError, match="`features`"):
        model.price([1.0], [0.5])


def test_exercise_probability_is_that_of_black_scholes():
    step = 1e-5
    bumped = [black_scholes_call([1.1 + s], [0.5], 0.3).numpy()[0, 0] for s in (step, -step)]
    found = exercise_probability(np.array([[1.1]]), np.array([0.5]), np.array([[0.3]]))
    np.testing.assert_allclose(found[0, 0], (bumped[1] - bumped[0]) / (2 * step), rtol=1e-6)
    assert exercise_probability(np.array([[1.1]]), np.array([0.5]), np.array([[np.nan]])) == 0


# ----------------------------------------------------------------------------------------- judging


def test_report_on_quotes_of_its_own_prices():
    model = skewed()
    exact = model.price_by_pde(STRIKES, MATURITIES).implied_volatility
    quotes = SurfaceQuotes.from_grid(exact, STRIKES, MATURITIES)
    report = hedgezoo.evaluate(model, paths=2**13, seed=3, market=quotes)
    assert report["pde_error_bp"]["value"] < 1e-3
    assert report["error_bp"]["value"] < 10
    assert report["error_bp"]["value"] < report["worst_bp"]["value"]
    assert 0 < report["error_bp"]["stderr"] < report["standard_error_bp"]["value"]
    assert report["arbitrage_free"]["value"] == 1
    assert report["martingale_z"]["value"] < 5
    shifted = quotes.with_volatility(np.asarray(quotes.implied_volatility) + 30e-4)
    report = evaluate_on_quotes(model, shifted, 2**13, 3)
    assert abs(report["pde_error_bp"]["value"] - 30) < 1e-2
    assert report["missed"]["value"] >= len(quotes) - 2  # noise covers 30 bp in a wing


def test_the_error_of_the_report_is_that_of_repetitions():
    model, quotes = skewed(), SurfaceQuotes([0.9, 1.0, 1.1], [0.5] * 3, [0.25] * 3)
    reports = [evaluate_on_quotes(model, quotes, 2**10, seed) for seed in range(12)]
    values = [report["error_bp"]["value"] for report in reports]
    stated = np.mean([report["error_bp"]["stderr"] for report in reports])
    assert 0.5 < np.std(values, ddof=1) / stated < 1.8


def test_arbitrage_is_found():
    strikes = np.linspace(0.8, 1.2, 5)
    calls = black_scholes_call(strikes, [0.5, 1.0], [[0.2], [0.2]]).numpy()
    noise = 1e-6 * np.random.default_rng(0).normal(size=(16, 2, 5))
    assert free_of_arbitrage(strikes, calls + noise)
    assert not free_of_arbitrage(strikes, calls[::-1] + noise)
    bump = np.zeros((2, 5))
    bump[0, 2] = 0.02
    assert not free_of_arbitrage(strikes, calls + bump + noise)


@pytest.mark.parametrize("market", [None, "quotes"])
def test_a_market_must_be_quotes(market):
    with pytest.raises(ValueError, match="`market`"):
        hedgezoo.evaluate(skewed(), paths=64, market=market)
