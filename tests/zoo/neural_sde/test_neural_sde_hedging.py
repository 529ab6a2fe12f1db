"""Parts of the joint model: hedge network, gains, risks, the method of multipliers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import losses
from hedgezoo.layers import trading_gains
from hedgezoo.layers.black_scholes import european_delta
from hedgezoo.neural_sde.augmented_lagrangian import AugmentedLagrangian
from hedgezoo.neural_sde.hedge_network import HedgeNetwork
from hedgezoo.neural_sde.hedge_risk import HedgeRisk, payoff_deviations, residual_deviations
from hedgezoo.neural_sde.hedged_paths import hedge_costs, hedge_dates, hedge_gains

RNG = np.random.default_rng(0)
TIMES = tf.constant([0.0, 0.2, 0.5])
LOG_STRIKES, MATURITIES = np.log([0.9, 1.0, 1.1]), np.array([0.3, 0.5, 1.0])


def network(factors=0, **options):
    hedge = HedgeNetwork(volatility=0.25, factors=factors, seed=1, **options)
    hedge.build()
    return hedge


def moved(hedge, size=0.3):
    """The same network with weights away from their start."""
    rng = np.random.default_rng(5)
    for weight in hedge.trainable_variables:
        weight.assign(weight + size * rng.normal(size=weight.shape))
    return hedge


def test_untrained_positions_are_black_scholes_deltas():
    log_spot = tf.constant(RNG.normal(0.0, 0.1, (4, 3)), tf.float32)
    hedge = network()
    for weight in (hedge.option_network.kernels[-1], hedge.option_network.biases[-1]):
        weight.assign(tf.zeros_like(weight))
    positions = hedge(TIMES, log_spot, None, LOG_STRIKES, MATURITIES).numpy()
    left = MATURITIES[:, None] - TIMES.numpy()
    for option, (log_strike, years) in enumerate(zip(LOG_STRIKES, left, strict=True)):
        alive = years > 0
        exact = european_delta(
            np.exp(log_spot.numpy()[:, alive], dtype="float64"),
            np.exp(log_strike),
            years[alive],
            0.25,
        )
        np.testing.assert_allclose(positions[:, option, alive], exact, atol=2e-6)
        assert not positions[:, option, ~alive].any()


def test_one_option_at_a_time_gives_the_same_positions():
    hedge = moved(network(factors=1))
    log_spot, factor = (tf.constant(RNG.normal(0.0, 0.1, (5, 3)), tf.float32) for _ in range(2))
    positions = hedge(TIMES, log_spot, factor, LOG_STRIKES, MATURITIES)
    single = hedge.position(
        tf.exp(log_spot)[:, None],
        TIMES,
        np.exp(LOG_STRIKES)[:, None].astype("float32"),
        MATURITIES[:, None].astype("float32"),
        factor[:, None],
    )
    assert single.shape == (5, 3, 3)
    np.testing.assert_allclose(single, positions, atol=1e-6)


def test_network_round_trip_and_bad_input():
    hedge = network(factors=1, path_features=1, units=(8,), rank=3)
    copy = HedgeNetwork.from_config(hedge.get_config())
    copy.build()
    assert copy.get_config() == hedge.get_config()
    for one, other in zip(hedge.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # the seed decides
    with pytest.raises(ValueError, match="`factor`"):
        hedge(TIMES, tf.zeros((2, 3)), None, LOG_STRIKES, MATURITIES)
    with pytest.raises(ValueError, match="`path_features`"):
        network().path_position(TIMES, tf.zeros((2, 3)), None, tf.zeros((2, 3, 1)))
    for name, value in (("volatility", 0.0), ("factors", 2), ("rank", 0)):
        with pytest.raises(ValueError, match=f"`{name}`"):
            HedgeNetwork(**{name: value})


def test_path_position_ends_with_the_contract():
    hedge = network(path_features=1, path_maturity=0.5)
    position = hedge.path_position(TIMES, tf.zeros((2, 3)), None, tf.ones((2, 3, 1)))
    assert position.shape == (2, 3)
    assert np.all(position[:, :2] != 0)
    assert not np.any(position[:, 2])


def test_gains_and_costs_are_those_of_trading_gains():
    positions = tf.constant(RNG.normal(size=(6, 2, 4)))
    price = tf.constant(np.exp(RNG.normal(0.0, 0.1, (6, 5))))
    for cost in (0.0, 1e-2):
        found = hedge_gains(positions, price) - hedge_costs(positions, price, [4, 4], cost)
        for option in range(2):
            exact = trading_gains(
                positions[:, option, :, None], price[..., None], cost=cost * price[:, :-1, None]
            )
            np.testing.assert_allclose(found[:, option], exact, rtol=1e-12)


def test_no_cost_after_the_end_of_a_hedge():
    positions = tf.constant([[[0.5, 0.7, 0.0, 0.0]]])
    price = tf.constant([[1.0, 1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(hedge_costs(positions, price, [2], 0.1), [[0.07]], rtol=1e-6)


def test_dates_hold_every_expiry():
    times = np.arange(13) / 12
    dates, ends = hedge_dates(times, [0.25, 1.0, 5 / 12], every=4)
    assert dates.tolist() == [0, 3, 4, 5, 8, 12]
    np.testing.assert_allclose(times[dates[ends]], [0.25, 1.0, 5 / 12])
    with pytest.raises(ValueError, match="`maturities`"):
        hedge_dates(times, [0.3])


PAYOFF = tf.constant(RNG.normal(1.0, 0.5, (4000, 2)))
GAINS = tf.constant(RNG.normal(0.0, 0.3, (4000, 2)))


def test_variance_risk_is_the_variance_in_units_of_the_scale():
    found = HedgeRisk([0.5, 2.0], dtype="float64")(PAYOFF, GAINS)
    exact = np.var(PAYOFF - GAINS, axis=0) / [0.25, 4.0]
    np.testing.assert_allclose(np.mean(found, axis=0), exact, rtol=1e-12)


@pytest.mark.parametrize("risk", ["cvar", "entropic"])
def test_other_risks_are_those_of_the_losses_at_the_best_intercept(risk):
    layer = HedgeRisk([0.5, 2.0], risk=risk, level=0.9, risk_aversion=1.5, dtype="float64")
    layer.build()
    outcome = (GAINS - PAYOFF + tf.reduce_mean(PAYOFF, axis=0)) / [0.5, 2.0]
    if risk == "cvar":
        exact = [losses.cvar(outcome[:, i].numpy(), 0.9) for i in range(2)]
        best = [losses.value_at_risk(outcome[:, i].numpy(), 0.9) for i in range(2)]
    else:
        exact = [losses.entropic_risk(outcome[:, i].numpy(), 1.5) for i in range(2)]
        best = exact
    layer.intercept.assign(best)
    np.testing.assert_allclose(np.mean(layer(PAYOFF, GAINS), axis=0), exact, rtol=1e-5)
    layer.intercept.assign(np.array(best) + 0.1)
    assert np.all(np.mean(layer(PAYOFF, GAINS), axis=0) > exact)


@pytest.mark.parametrize("risk", ["variance", "cvar", "entropic"])
def test_gradient_of_a_risk_is_that_of_its_mean(gradient_check, risk):
    # along a parameter that moves payoffs and gains, the mean of the payoff included
    layer = HedgeRisk([0.5, 2.0], risk=risk, dtype="float64")
    layer.build()

    def exact(weight):
        payoff, gains = PAYOFF * (1.0 + 0.2 * weight[0]), GAINS * weight[0]
        outcome = (gains - payoff + tf.reduce_mean(payoff, axis=0)) / [0.5, 2.0]
        if risk == "variance":
            return tf.reduce_mean(tf.math.reduce_variance(outcome, axis=0))[None]
        measure = losses.cvar if risk == "cvar" else losses.entropic_risk
        value = {"cvar": 0.95, "entropic": 1.0}[risk]
        return tf.reduce_mean([measure(outcome[:, i], value) for i in range(2)])[None]

    if risk != "variance":
        outcome = (GAINS - PAYOFF + tf.reduce_mean(PAYOFF * 1.2, axis=0) - 0.2 * PAYOFF) / [0.5, 2]
        measure = losses.value_at_risk if risk == "cvar" else losses.entropic_risk
        value = {"cvar": 0.95, "entropic": 1.0}[risk]
        layer.intercept.assign([measure(outcome[:, i].numpy(), value) for i in range(2)])
    weight = tf.Variable([1.0], dtype="float64")
    with tf.GradientTape() as tape:
        found = tf.reduce_mean(layer(PAYOFF * (1.0 + 0.2 * weight[0]), GAINS * weight[0]))
    (expected,) = gradient_check(exact, np.array([1.0]))
    # `gradient_check` weights the one output by a number between 0.5 and 1.5
    cotangent = np.random.default_rng(0).uniform(0.5, 1.5, 1)
    tolerance = 0.02 if risk == "cvar" else 1e-5  # the quantile path counts whole
    np.testing.assert_allclose(tape.gradient(found, weight), expected / cotangent, rtol=tolerance)


def test_deviations_of_black_scholes_payoffs_by_simulation():
    strikes, maturities = np.array([0.9, 1.1]), np.array([1.0, 0.5])
    normals = RNG.normal(size=200_000)
    for index, put in enumerate([True, False]):
        deviation = 0.2 * np.sqrt(maturities[index])
        price = np.exp(deviation * normals - 0.5 * deviation**2)
        sign = -1 if put else 1
        paid = np.maximum(sign * (price - strikes[index]), 0.0)
        found = payoff_deviations(strikes, maturities, [True, False], 0.2)[index]
        np.testing.assert_allclose(found, paid.std(), rtol=0.01)


def test_residual_deviations():
    payoff = np.array([[0.0, 1.0], [2.0, 3.0]])
    np.testing.assert_allclose(residual_deviations(payoff, 0.25 * payoff), [0.75, 0.75])


def test_method_of_multipliers_solves_a_constrained_problem():
    """min (x - 2)² subject to x <= 1: x = 1 with the multiplier 2."""
    force = AugmentedLagrangian(stiffness=1.0, step=0.2, multiplier=0.0)
    x = 0.0
    for _ in range(400):
        weight = float(force(tf.constant(x - 1.0)))
        x -= 0.1 * (2.0 * (x - 2.0) + weight)
        force.update(tf.constant(x - 1.0))
    assert abs(x - 1.0) < 1e-3
    assert abs(float(force.multiplier) - 2.0) < 0.02
    force.update(tf.constant(np.nan, tf.float32))  # teaches nothing
    assert np.isfinite(float(force.multiplier))


@pytest.mark.parametrize(
    ("cls", "options", "name"),
    [
        (HedgeRisk, {"scale": [1.0], "risk": "var"}, "risk"),
        (HedgeRisk, {"scale": [0.0]}, "scale"),
        (HedgeRisk, {"scale": [1.0], "risk": "cvar", "level": 1.5}, "level"),
        (AugmentedLagrangian, {"stiffness": 0.0}, "stiffness"),
        (AugmentedLagrangian, {"multiplier": -1.0}, "multiplier"),
    ],
)
def test_bad_parameters_are_named(cls, options, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        cls(**options)


def test_layers_are_registered():
    for layer in (network(), HedgeRisk([1.0], risk="cvar"), AugmentedLagrangian()):
        saved = keras.saving.serialize_keras_object(layer)
        assert saved["registered_name"].startswith("hedgezoo>")
        assert keras.saving.deserialize_keras_object(saved).get_config() == layer.get_config()
