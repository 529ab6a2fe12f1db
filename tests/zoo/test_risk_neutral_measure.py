"""The change of measure: exact answers, training, density, diagnostics, files."""

import dataclasses
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import training
from hedgezoo.datasets import BlackScholesMarket
from hedgezoo.measure_diagnostics import density
from hedgezoo.risk_neutral_measure import RiskNeutralMeasure
from hedgezoo.serving import export, query_locally
from hedgezoo.statistical_arbitrage import linear_optimum

SMALL = BlackScholesMarket(
    drift=0.5, steps=5, time_step=6 / 250, cost=0.0, draws="sobol", features=("log_moneyness",)
)


def binomial(cost, counts=(6, 4), dtype="float32"):
    gain = np.repeat([0.1, -0.1], counts)[:, None, None].astype(dtype)
    return {
        "features": np.zeros_like(gain),
        "unit_gain": gain,
        "cost": np.full_like(gain, cost),
    }


def girsanov(price, drift, volatility, maturity):
    """Density of the martingale measure of continuous trading on paths (N, T+1, 1)."""
    ratio = drift / volatility
    growth = np.log(np.asarray(price)[:, -1, 0].astype(float) / np.asarray(price)[:, 0, 0])
    brownian = (growth - (drift - volatility**2 / 2) * maturity) / volatility
    return np.exp(-ratio * brownian - ratio**2 * maturity / 2)


@pytest.mark.parametrize(
    ("cost", "action", "up", "utility"),
    [(0.0, 2.027326, 0.5, 0.020411), (0.01, 1.023972, 0.55, 0.005146), (0.02, 0, 0.6, 0)],
)
def test_binomial(cost, action, up, utility):
    inputs = binomial(cost)
    measure = RiskNeutralMeasure("linear", features=1)
    measure.fit_linear(inputs)
    np.testing.assert_allclose(measure.actions(inputs["features"])[:, 0, 0], action, atol=1e-4)
    probabilities = np.exp(measure.log_density(inputs)) / 10
    np.testing.assert_allclose(probabilities[:6].sum(), up, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(), 1.0, atol=1e-6)
    # the entropy of Q is the utility of the best policy, with proportional cost as well
    np.testing.assert_allclose(measure.relative_entropy(inputs)["value"], utility, atol=1e-6)
    np.testing.assert_allclose(measure.utility(inputs)["value"], utility, atol=1e-6)
    check = measure.band_check(inputs)
    np.testing.assert_allclose(check.gain, 0.02 if utility == 0 else cost, atol=1e-6)
    np.testing.assert_allclose([check.lower[0, 0], check.upper[0, 0]], [-cost, cost], atol=1e-8)


@pytest.mark.parametrize("policy", ["recurrent", "feed_forward", "linear"])
def test_gradients_find_the_binomial_optimum(policy):
    inputs = binomial(0.01)
    hidden = {} if policy == "linear" else {"hidden_units": (4, 4)}
    measure = RiskNeutralMeasure(policy, features=1, **hidden)
    measure.adapt(inputs)
    rate = keras.optimizers.schedules.CosineDecay(0.05, 200)
    measure.compile(keras.optimizers.Adam(rate), steps_per_execution=50)
    endless = tf.data.Dataset.from_tensors((inputs, np.zeros(10))).repeat()
    measure.fit(endless, steps_per_epoch=200, verbose=0)
    measure.normalise(inputs)
    actions = measure.actions(inputs["features"])
    np.testing.assert_allclose(actions, 1.023972, rtol=2e-3)
    np.testing.assert_allclose(np.mean(np.exp(measure.log_density(inputs))), 1.0, atol=1e-6)


def test_trade_limit_binds():
    inputs = binomial(0.0)
    measure = RiskNeutralMeasure("linear", features=1, trade_limit=1.0)
    measure.compile(keras.optimizers.Adam(0.05))
    dataset = tf.data.Dataset.from_tensors((inputs, np.zeros(10))).repeat(60)
    measure.fit(dataset, verbose=0)
    actions = np.asarray(measure.actions(inputs["features"]))
    assert np.all((actions > 0.9) & (actions <= 1.0))
    # what a limit leaves to be gained cannot be traded away: the drift stays positive
    assert measure.band_check(inputs).gain[0, 0] > 0.005
    with pytest.raises(ValueError, match="trade_limit"):
        measure.fit_linear(inputs)


def test_limits_are_smooth_and_per_instrument():
    measure = RiskNeutralMeasure("linear", 1, instruments=2, trade_limit=(1.0, 5.0))
    measure.build()
    measure.linear.kernel.assign([[1.0, 1.0]])
    actions = measure.actions(np.array([[[0.01], [100.0]]], "float32"))[0]
    np.testing.assert_allclose(actions[0], 0.01, rtol=1e-4)
    np.testing.assert_allclose(actions[1], [1.0, 5.0], rtol=1e-4)


def test_other_costs_do_not_enter():
    inputs = binomial(0.005)
    measure = RiskNeutralMeasure("linear", features=1)
    measure.fit_linear(inputs)
    before = measure.log_density(inputs)
    impact = {**inputs, "quadratic_cost": np.full_like(inputs["cost"], 0.5)}
    np.testing.assert_array_equal(measure.log_density(impact), before)
    # under this measure no size of trade pays, with impact on top or without
    weights, gain = measure.path_weights(inputs), inputs["unit_gain"][:, 0, 0]
    sizes = np.linspace(-3, 3, 61)[:, None]
    for extra in (0.0, 0.5):
        gains = sizes * gain - 0.005 * abs(sizes) - extra * sizes**2
        utility = -np.log(np.mean(weights * np.exp(-gains), 1))
        assert utility.max() <= 1e-7
    # a measure made with the impact would leave statistical arbitrage
    gains = sizes * gain - 0.005 * abs(sizes) - 0.05 * sizes**2
    best = gains[np.argmin(np.mean(np.exp(-gains), 1))]
    other = density(-best)
    utility = -np.log(np.mean(other * np.exp(-(sizes * gain - 0.005 * abs(sizes))), 1))
    assert utility.max() > 1e-3


@pytest.mark.parametrize(
    ("drift", "entropy", "floor"), [(0.1, 0.014999, 2.5e-6), (0.5, 0.374970, 1.3e-4)]
)
def test_black_scholes_solved_exactly(drift, entropy, floor):
    market = BlackScholesMarket(
        drift=drift,
        steps=30,
        cost=0.0,
        draws="sobol",
        features=(lambda price: 1 / price[:, :-1, 0],),
    )
    inputs, _ = market.simulate(seed=0, paths=2**14)
    fresh, _ = market.simulate(seed=1, paths=2**14)
    measure = RiskNeutralMeasure("linear", features=1)
    measure.fit_linear(inputs)
    np.testing.assert_allclose(np.exp(measure.log_density(inputs)).mean(), 1.0, atol=2e-6)
    np.testing.assert_allclose(measure.relative_entropy(fresh)["value"], entropy, rtol=0.01)
    error = np.exp(measure.log_density(fresh)) - girsanov(fresh["price"], drift, 0.2, 30 / 250)
    assert np.mean(error**2) < 1.25 * floor
    report = measure.report(fresh)
    assert report["inside_band/q"]["value"] == 1.0
    share = np.exp(-((drift / 0.2) ** 2) * 30 / 250)
    np.testing.assert_allclose(report["effective_sample_share"]["value"], share, rtol=0.05)
    # a call costs its Black-Scholes price
    price = np.asarray(fresh["price"])[:, -1, 0]
    call = measure.expectation(np.maximum(price - 1.0, 0), fresh)
    np.testing.assert_allclose(call["value"], 0.0276326, rtol=2e-3)
    assert call["stderr"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "units", "batch", "steps"),
    [("recurrent", 8, 512, 200), ("feed_forward", 16, 2048, 300)],
)
def test_networks_learn_the_measure_from_zero(policy, units, batch, steps):
    inputs, _ = SMALL.simulate(seed=3, paths=2**15)
    exact = linear_optimum(
        {**inputs, "features": 1 / np.asarray(inputs["price"])[:, :-1]}, tolerance=1e-9
    )
    measure = RiskNeutralMeasure(policy, SMALL.features, hidden_units=(units, units), seed=1)
    rate = keras.optimizers.schedules.CosineDecay(1e-2, steps)
    measure.compile(keras.optimizers.Adam(rate), steps_per_execution=50)
    history = measure.fit(SMALL.batches(batch, steps, seed=0), verbose=0)
    assert history.history["loss"][0] < -0.2
    np.testing.assert_allclose(measure.utility(inputs)["value"], exact.utility, rtol=0.01)
    np.testing.assert_allclose(measure.relative_entropy(inputs)["value"], exact.utility, rtol=0.02)


def test_training_starts_at_the_exact_linear_optimum():
    inputs, _ = SMALL.simulate(seed=3, paths=2**11)
    measure = RiskNeutralMeasure("feed_forward", SMALL.features, hidden_units=(8,), steps=5)
    optimum = measure.fit_linear(inputs)
    np.testing.assert_allclose(measure.gains(inputs), optimum.gains, atol=2e-5)
    np.testing.assert_allclose(measure.path_weights(inputs), optimum.weights, rtol=1e-4)
    start = measure.utility(inputs)["value"]
    measure.compile(keras.optimizers.Adam(1e-3))
    measure.fit(inputs, batch_size=2**11, epochs=15, shuffle=False, verbose=0)
    assert measure.utility(inputs)["value"] > start


def test_expected_gains_on_fresh_paths_of_several_instruments():
    market = BlackScholesMarket(
        volatility=(0.2, 0.3, 0.25),
        drift=(0.4, -0.5, 0.0),
        spot=(1.0, 10.0, 100.0),
        correlation=((1, 0.4, 0.2), (0.4, 1, 0.3), (0.2, 0.3, 1)),
        steps=8,
        time_step=2 / 250,
        cost=1e-3,
        features=("log_moneyness", "time_to_expiry"),
    )
    inputs, _ = market.simulate(seed=0, paths=16000)
    fresh, _ = market.simulate(seed=1, paths=4000)
    measure = RiskNeutralMeasure("linear", features=4, instruments=3, steps=8)
    measure.fit_linear(inputs, tolerance=1e-7)
    inside = measure.band_check(inputs)
    assert inside.gain.shape == (8, 3)
    slack = 1e-3 * inside.upper
    assert np.all((inside.gain <= inside.upper + slack) & (inside.gain >= inside.lower - slack))
    report = measure.report(fresh, detail=True)
    assert report["inside_band/q"]["value"] >= 0.97
    assert report["inside_band/p"]["value"] < 0.7
    check = measure.band_check(fresh)
    np.testing.assert_allclose(report["gain/q/2/1"]["value"], check.gain[2, 1])
    # a fresh policy gains nothing under Q that it would have gained under P
    again = RiskNeutralMeasure("linear", features=4, instruments=3)
    double = {name: 2 * x if name == "cost" else x for name, x in inputs.items()}
    weights = measure.path_weights(inputs)
    before = again.fit_linear(double, tolerance=1e-7).utility
    after = again.fit_linear(double, sample_weight=weights, tolerance=1e-7).utility
    assert before > 0.02
    assert after < 1e-4


def test_band_check_counts_what_lies_outside():
    rng = np.random.default_rng(0)
    gain = rng.normal(size=(4000, 1, 2)) * 0.1 + [0.0, 0.03]
    inputs = {"features": gain[..., :1], "unit_gain": gain, "cost": np.full(gain.shape, 0.02)}
    measure = RiskNeutralMeasure("linear", features=1, instruments=2)
    check = measure.band_check(inputs, sample_weight=np.ones(4000))
    np.testing.assert_allclose(check.gain[0], gain.mean(0)[0], rtol=1e-10)
    np.testing.assert_allclose(check.stderr[0], gain.std(0, ddof=1)[0] / np.sqrt(4000), rtol=1e-9)
    outside = (gain.mean(0)[0, 1] - 0.02) / check.stderr[0, 1]
    np.testing.assert_allclose(check.excess[0, 1], outside, rtol=1e-9)
    assert check.excess[0, 0] < 0
    assert check.share_inside() == 0.5


def test_bound_on_what_an_imperfect_measure_leaves():
    inputs = binomial(0.0, dtype="float64")
    best = RiskNeutralMeasure("linear", features=1, dtype="float64")
    best.fit_linear(inputs)
    worse = RiskNeutralMeasure("linear", features=1, dtype="float64")
    worse.build()
    worse.linear.intercept.assign([1.3])
    worse.normalise(inputs)
    bound = worse.improvement_bound(inputs, best)
    np.testing.assert_allclose(bound["value"], 0.020411 - worse.utility(inputs)["value"], atol=1e-6)
    weights = worse.path_weights(inputs)
    left = linear_optimum(inputs, sample_weight=weights)
    # without cost the bound is reached, at every risk aversion
    np.testing.assert_allclose(left.utility, bound["value"], rtol=1e-7)
    half = worse.improvement_bound(inputs, best.gains(inputs), risk_aversion=0.5)
    gain = inputs["unit_gain"][:, 0, 0]
    sizes = np.linspace(0, 3, 3001)[:, None]
    utility = -np.log(np.mean(weights * np.exp(-0.5 * sizes * gain), 1)) / 0.5
    np.testing.assert_allclose(utility.max(), half["value"], rtol=1e-5)


def test_expectation_has_the_error_of_a_weighted_mean():
    inputs, _ = SMALL.simulate(seed=3, paths=512)
    measure = RiskNeutralMeasure("linear", SMALL.features)
    measure.fit_linear(inputs)
    values = np.asarray(inputs["price"])[:, -1, 0]
    one = measure.expectation(values, inputs)
    p = measure.path_weights(inputs) / 512
    assert p.sum() == pytest.approx(1.0)
    mean = p @ values
    error = np.sqrt(np.sum((p * (values - mean)) ** 2) * 512 / 511)
    np.testing.assert_allclose([one["value"], one["stderr"]], [mean, error], rtol=1e-6)
    many = measure.expectation(np.stack([values, 2 * values], 1), inputs)
    np.testing.assert_allclose(many["value"], [mean, 2 * mean], rtol=1e-6)
    size = measure.effective_sample_size(inputs)
    np.testing.assert_allclose(size, 1 / np.sum(p**2), rtol=1e-9)


def test_degenerate_weights_are_announced_once():
    inputs, _ = dataclasses.replace(SMALL, drift=1.1).simulate(seed=0, paths=512)
    measure = RiskNeutralMeasure("linear", SMALL.features)
    measure.fit_linear(inputs)
    with pytest.warns(UserWarning, match="degenerate: .* of 512 paths decide"):
        report = measure.report(inputs)
    assert report["degenerate"]["value"] == 1.0
    assert report["effective_sample_share"]["value"] < 0.05
    assert report["largest_weight"]["value"] > 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure.path_weights(inputs)


def test_a_density_out_of_date_is_announced():
    inputs = binomial(0.0)
    measure = RiskNeutralMeasure("linear", features=1)
    measure.fit_linear(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure.log_density(inputs)
    measure.linear.intercept.assign([1.0])
    with pytest.warns(UserWarning, match="not normalised"):
        measure.log_density(inputs)
    measure.normalise(inputs)
    np.testing.assert_allclose(np.mean(np.exp(measure.log_density(inputs))), 1.0, atol=1e-6)


def test_the_claim_of_the_market_does_not_enter():
    inputs, liability = SMALL.simulate(seed=3, paths=64)
    results = []
    for owed in (liability, 100 * liability, None):
        measure = RiskNeutralMeasure("feed_forward", SMALL.features, hidden_units=(4,))
        measure.compile("adam")
        measure.fit(inputs, owed, batch_size=32, epochs=2, shuffle=False, verbose=0)
        results.append(measure.gains(inputs))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    assert np.abs(results[0]).max() > 0


def test_sample_weights_train_under_another_measure():
    inputs = binomial(0.0)
    first = RiskNeutralMeasure("linear", features=1)
    first.fit_linear(inputs)
    second = RiskNeutralMeasure("linear", features=1)
    second.compile(keras.optimizers.Adam(0.02))
    weights = first.path_weights(inputs)
    second.fit(inputs, sample_weight=weights, batch_size=10, epochs=5, verbose=0)
    # the first step has a size of its own; from there it returns to nothing
    np.testing.assert_allclose(second.gains(inputs), 0.0, atol=0.02)
    assert abs(second.utility(inputs, sample_weight=weights)["value"]) < 1e-3


@pytest.mark.parametrize("policy", ["recurrent", "feed_forward"])
def test_two_replicas_train_as_one_device(two_replicas, policy):
    inputs, _ = SMALL.simulate(seed=3, paths=128)
    results = []
    for strategy in (None, two_replicas):
        scope = tf.distribute.get_strategy() if strategy is None else strategy
        with scope.scope():
            measure = RiskNeutralMeasure(policy, SMALL.features, hidden_units=(4,))
            measure.adapt(inputs)
            measure.compile(keras.optimizers.Adam(1e-2))
        training.fit(
            measure,
            SMALL,
            strategy=strategy,
            steps_per_epoch=3,
            batch_size=128,
            seed=0,
            steps_per_execution=3,
        )
        measure.normalise(inputs)
        results.append(np.asarray(measure.log_density(inputs)))
    assert np.abs(results[0]).max() > 1e-3
    np.testing.assert_allclose(results[1], results[0], atol=1e-5)


@pytest.mark.serving
@pytest.mark.parametrize("policy", ["recurrent", "feed_forward", "linear"])
def test_saved_model_answers_as_the_model(tmp_path, policy):
    market = dataclasses.replace(SMALL, cost=1e-3)
    inputs, _ = market.simulate(seed=3, paths=50)
    steps = 5 if policy == "linear" else None
    measure = RiskNeutralMeasure(policy, SMALL.features, steps=steps)
    measure.fit_linear(inputs, tolerance=1e-6)
    if policy != "linear":
        measure.network.set_weights([w + 0.01 for w in measure.network.get_weights()])
        measure.normalise(inputs)
    version = export(measure, tmp_path / "served")
    request = {name: inputs[name] for name in ("features", "price", "cost")}
    answer = query_locally(version, request)
    np.testing.assert_allclose(answer["log_density"], measure.log_density(inputs), atol=1e-5)
    np.testing.assert_allclose(answer["gains"], measure.gains(inputs), atol=1e-5)


def test_saved_model_of_floating_instruments(tmp_path):
    inputs = binomial(0.005)
    measure = RiskNeutralMeasure("linear", features=1)
    measure.fit_linear(inputs)
    answer = query_locally(export(measure, tmp_path / "served"), inputs)
    np.testing.assert_allclose(answer["log_density"], measure.log_density(inputs), atol=1e-6)


@pytest.mark.parametrize("policy", ["recurrent", "feed_forward", "linear"])
def test_round_trip_through_config_and_keras_file(tmp_path, policy):
    inputs, _ = SMALL.simulate(seed=3, paths=64)
    measure = RiskNeutralMeasure(policy, SMALL.features, trade_limit=30.0, seed=5)
    measure.compile(keras.optimizers.Adam(1e-2))
    measure.fit(inputs, batch_size=64, epochs=2, verbose=0)
    measure.save(tmp_path / "measure.keras")
    again = keras.saving.load_model(tmp_path / "measure.keras")
    assert again.get_config() == measure.get_config()
    assert again.convention == "price"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(again.log_density(inputs), measure.log_density(inputs))
    again.fit(inputs, batch_size=64, epochs=1, verbose=0)


def test_float64_and_chunks(monkeypatch):
    market = dataclasses.replace(SMALL, dtype="float64")
    inputs, _ = market.simulate(seed=3, paths=300)
    measure = RiskNeutralMeasure("recurrent", SMALL.features, dtype="float64")
    optimum = measure.fit_linear(inputs)
    np.testing.assert_allclose(measure.gains(inputs), optimum.gains, rtol=1e-9, atol=1e-11)
    whole = measure.log_density(inputs)
    assert whole.dtype == tf.float64
    monkeypatch.setattr("hedgezoo.path_measure._CHUNK", 5000)
    np.testing.assert_allclose(measure.log_density(inputs), whole, atol=1e-12)
    dataset = tf.data.Dataset.from_tensor_slices((inputs, np.zeros(300))).batch(64)
    np.testing.assert_allclose(measure.gains(dataset), measure.gains(inputs), atol=1e-12)


def test_other_cost_of_selling():
    gain = np.array([0.1, -0.1])[:, None, None]
    inputs = {"features": gain * 0, "unit_gain": gain, "cost": gain * 0 + 0.01}
    measure = RiskNeutralMeasure("linear", features=1, dtype="float64")
    measure.build()
    for units, paid in ((2.0, 0.02), (-2.0, 0.06)):
        measure.linear.intercept.assign([units])
        gains = measure.gains({**inputs, "sell_cost": gain * 0 + 0.03})
        np.testing.assert_allclose(gains, [0.1 * units - paid, -0.1 * units - paid], rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": "recurent"}, "Did you mean 'recurrent'"),
        ({"features": 0}, "`features`"),
        ({"features": ()}, "`features`"),
        ({"instruments": 0}, "`instruments`"),
        ({"steps": 0}, "`steps`"),
        ({"trade_limit": -1.0}, "`trade_limit`"),
        ({"trade_limit": (1.0, 2.0)}, "`trade_limit`"),
        ({"convention": "prices"}, "Did you mean 'price'"),
        ({"policy": "linear", "hidden_units": (3,)}, "`hidden_units`"),
        ({"hidden_units": ()}, "`hidden_units`"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RiskNeutralMeasure(**{"features": 1, **arguments})


def test_wrong_inputs():
    measure = RiskNeutralMeasure("linear", features=1)
    inputs = binomial(0.0)
    measure.fit_linear(inputs)
    for change, message in (
        ({"features": np.zeros((10, 1, 2))}, "F = 1 features"),
        ({"unit_gain": np.zeros((10, 1, 2)), "cost": None}, "D = 1 instruments"),
        ({"unit_gain": np.full((10, 1, 1), np.nan)}, "`unit_gain` must be finite"),
        ({"cost": np.full((10, 1, 1), -1.0)}, "`cost` must not be negative"),
        ({"unit_gain": None}, "exactly one of"),
        ({"unit_gain": None, "price": np.ones((10, 2, 1))}, "markets with 'unit_gain'"),
    ):
        with pytest.raises(ValueError, match=message):
            measure.log_density({**inputs, **change})
    with pytest.raises(ValueError, match="`values` must"):
        measure.expectation(np.zeros(3), inputs)
    with pytest.raises(ValueError, match="`better` must"):
        measure.improvement_bound(inputs, np.zeros(3))
    with pytest.raises(ValueError, match="`market`"):
        measure.evaluate_on(None, paths=10, seed=0)
    with pytest.raises(ValueError, match="T = 3 dates"):
        RiskNeutralMeasure("linear", features=1, steps=3).fit_linear(inputs)
