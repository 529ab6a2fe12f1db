"""The neural SDE and its hedges, trained together: objectives, gradients, training, storage."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import hedgezoo
from hedgezoo import serving, training
from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.neural_sde.exotics import lookback
from hedgezoo.neural_sde.joint import JointNeuralSDEHedge
from hedgezoo.neural_sde.joint_evaluation import hedge_metrics, hedge_outcomes

QUOTES = SurfaceQuotes(
    strikes=[0.9, 1.0, 1.1, 0.95, 1.05],
    maturities=[0.25, 0.25, 0.25, 0.5, 0.5],
    implied_volatility=[0.24, 0.2, 0.18, 0.22, 0.2],
)
SDE = {"units": (8,), "steps_per_year": 16, "concentration": 1.0, "options": {"seed": 0}}
LOCAL, STOCHASTIC = ({"kind": kind, **SDE} for kind in ("local", "stochastic"))
HEDGE = {"units": (8,), "rank": 3, "seed": 0}
# all that a step can have: two kinds of weights, an intercept, a multiplier
RICH = {"mode": "adversarial", "risk": "cvar", "cost": 1e-3}


def joint(mode="control", sde=LOCAL, **options):
    """A small built model, the same every time."""
    options = {"hedge": HEDGE, "hedge_every": 2, **options}
    model = JointNeuralSDEHedge(QUOTES, sde=sde, mode=mode, **options)
    model.build()
    return model


def weights_of(model):
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def fit(model, steps=4, epochs=2, paths=128, **options):
    model.compile(keras.optimizers.Adam(3e-3))
    return training.fit(
        model,
        model,
        epochs=epochs,
        steps_per_epoch=steps // epochs,
        batch_size=paths,
        seed=7,
        verbose=0,
        **options,
    )


@pytest.fixture(scope="module")
def trained():
    """A model after four steps, and the history."""
    model = joint(**RICH)
    return model, fit(model).history


def test_the_hedge_leaves_prices_unbiased():
    """Controlled and raw prices agree within three standard errors, trained hedge or not."""
    model = joint(sde=STOCHASTIC, exotic=lookback(0.5, 16))
    for _ in range(2):
        outcomes = hedge_outcomes(model, 2**13, seed=3)
        raw, raw_error, controlled, error = outcomes.prices()
        assert np.all(np.abs(raw - controlled) < 3 * np.hypot(raw_error, error))
        assert np.sqrt(np.mean(outcomes.control_bias() ** 2)) < 2.5
        rng = np.random.default_rng(1)
        for weight in model.hedge_network.trainable_variables:
            weight.assign(weight + 0.2 * rng.normal(size=weight.shape))


def test_call_returns_payoffs_less_gains():
    model = joint()
    inputs, target = model.simulate(seed=1, paths=64)
    controlled = model(inputs)
    assert controlled.shape == target.shape == (64, 5)
    np.testing.assert_allclose(target[0], QUOTES.out_of_the_money, rtol=1e-6)
    path = model.book.paths(inputs["increments"])
    payoff = model.book.payoffs(path).numpy()
    gains = model.book.gains(path, model.book.positions(path, model.hedge_network))[0]
    np.testing.assert_allclose(controlled, payoff - gains, atol=1e-6)
    # payoffs by hand, on the path at the expiries
    at_expiry = np.searchsorted(model.book.times, QUOTES.maturities)
    spot = np.exp(path.numpy()[:, at_expiry, 0])
    sign = np.where(QUOTES.is_put, -1.0, 1.0)
    np.testing.assert_allclose(payoff, np.maximum(sign * (spot - QUOTES.strikes), 0.0), atol=1e-6)


def test_paths_belong_to_seed_and_index():
    model = joint()
    whole = model.simulate(3, 32)[0]["increments"]
    part = model.simulate(3, 8, first_path=16)[0]["increments"]
    np.testing.assert_array_equal(whole[16:24], part)


def slopes_of(model, inputs, target):
    """Gradient of the mean objective in all trained weights."""
    variables = [*model.sde.trainable_variables, *model.hedge_network.trainable_variables]
    with tf.GradientTape() as tape:
        path = model.book.paths(inputs["increments"])
        objective = model._objective(path, target)[0]
        mean = tf.reduce_mean(objective)
    return variables, tape.gradient(
        mean, [v.value for v in variables], unconnected_gradients="zero"
    )


def test_cooperative_gradient_is_that_of_error_plus_risk():
    # smooth, so that differences are derivatives
    sde = {**LOCAL, "activation": "tanh"}
    model = joint("cooperative", sde=sde, coupling=300.0, dtype="float64")
    inputs, target = model.simulate(1, 64)
    variables, slopes = slopes_of(model, inputs, target)

    def exact():
        path = model.book.paths(inputs["increments"])
        payoff = model.book.payoffs(path)
        gains = model.book.gains(path, model.book.positions(path, model.hedge_network))[0]
        # the gains that control the noise of prices count as numbers
        error = tf.reduce_mean(payoff - fixed_gains, axis=0) - target[0]
        square = tf.reduce_sum(model.quote_error.weights * error**2)
        scale = tf.constant(model.hedge_risk.scale, tf.float64)
        return float(
            square
            + 300.0 * tf.reduce_mean(tf.math.reduce_variance((gains - payoff) / scale, axis=0))
        )

    path = model.book.paths(inputs["increments"])
    fixed_gains = model.book.gains(path, model.book.positions(path, model.hedge_network))[0]
    rng = np.random.default_rng(0)
    for variable, slope in zip(variables, slopes, strict=True):
        start = variable.numpy()
        direction = rng.normal(size=start.shape)
        ends = []
        for step in (1e-6, -1e-6):
            variable.assign(start + step * direction)
            ends.append(exact())
        variable.assign(start)
        expected = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(
            np.sum(slope * direction), expected, rtol=1e-5, atol=1e-3, err_msg=variable.path
        )


def test_control_mode_tells_the_sde_nothing_of_the_risk():
    """Its gradient is that of the pricing error alone: the same whatever the risk measure is."""
    slopes = []
    for options in ({}, {"risk": "cvar"}):
        model = joint(**options)
        inputs, target = model.simulate(1, 64)
        slopes.append(slopes_of(model, inputs, target)[1][: len(model.sde.trainable_variables)])
    for one, other in zip(*slopes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


def test_adversaries_pull_in_opposite_directions():
    """From quotes that are met, the SDE makes risk and the hedge takes it away."""
    model = joint("adversarial", tolerance_bp=1e4)
    model.compile(keras.optimizers.SGD(1e-2))
    inputs, target = model.simulate(1, 256)

    def risk():
        path = model.book.paths(inputs["increments"])
        return float(tf.reduce_mean(model._risk(path, model.book.payoffs(path))[0]))

    whole = model.get_weights()
    for part, sign in ((model.hedge_network, 1), (model.sde, -1)):
        before = risk()
        model.train_step((inputs, target))
        after = [weight.numpy() for weight in part.trainable_variables]
        model.set_weights(whole)
        for weight, value in zip(part.trainable_variables, after, strict=True):
            weight.assign(value)
        assert sign * (before - risk()) > 0
        model.set_weights(whole)


def test_training_prices_and_hedges_better():
    model = joint(exotic=lookback(0.5, 8))
    model.compile(keras.optimizers.Adam(1e-2))
    history = training.fit(
        model, model, epochs=4, steps_per_epoch=15, batch_size=512, seed=7, verbose=0
    ).history
    untrained = model.new_hedge_network()
    untrained.build()
    before, after = (
        hedge_metrics(hedge_outcomes(model, 2**12, seed=5, network=network), len(QUOTES))
        for network in (untrained, model.hedge_network)
    )
    assert history["error_bp"][-1] < 0.5 * history["error_bp"][0]
    for name in ("hedge_risk", "exotic_hedge_deviation"):
        assert after[name]["value"] < before[name]["value"]
    assert after["variance_reduction"]["value"] > 2.0


@pytest.mark.parametrize("mode", ["cooperative", "adversarial"])
def test_other_modes_train_with_other_risks_and_costs(mode):
    model = joint(mode, risk="cvar" if mode == "cooperative" else "entropic", cost=1e-3)
    model.compile(keras.optimizers.Adam(3e-3))
    start = weights_of(model)
    logs = model.train_step(model.simulate(0, 64))
    assert np.isfinite(logs["loss"])
    assert np.isfinite(weights_of(model)).all()
    assert np.any(weights_of(model) != start)
    costs = hedge_outcomes(model, 256, seed=0).costs
    assert np.all(costs >= 0)
    assert costs.max() > 0


def test_hedge_takes_several_steps_and_the_sde_one():
    model = joint(hedge_steps=3)
    model.compile(keras.optimizers.Adam(3e-3))
    data = model.simulate(0, 64)
    before = float(model.test_step(data)["hedge_risk"])
    model.train_step(data)
    assert int(model.optimizer.iterations) == 1
    assert int(model.hedge_optimizer.iterations) == 3
    model.reset_metrics()
    assert float(model.test_step(data)["hedge_risk"]) < before


def test_a_frozen_sde_stays_as_it_is():
    model = joint()
    model.sde.trainable = False
    model.compile(keras.optimizers.Adam(3e-3))
    dynamics = [weight.numpy() for weight in model.sde.weights]
    hedge = [weight.numpy() for weight in model.hedge_network.weights]
    model.train_step(model.simulate(0, 64))
    for weight, before in zip(model.sde.weights, dynamics, strict=True):
        np.testing.assert_array_equal(weight, before)
    assert any(np.any(w != b) for w, b in zip(model.hedge_network.weights, hedge, strict=True))


def test_a_step_that_is_not_finite_is_taken_back():
    model = joint()
    model.compile("adam")
    inputs, target = model.simulate(0, 32)
    start = weights_of(model)
    model.train_step(({"increments": inputs["increments"] * np.nan}, target))
    np.testing.assert_array_equal(weights_of(model), start)
    assert int(model.optimizer.iterations) == int(model.hedge_optimizer.iterations) == 0
    model.train_step((inputs, target))
    assert np.any(weights_of(model) != start)


def test_keras_fit_and_ours_arrive_at_the_same_weights(trained):
    model = joint(**RICH)
    model.compile(keras.optimizers.Adam(3e-3))
    data = tf.data.Dataset.range(4).map(lambda step: model.simulate(7, 128, step * 128))
    model.fit(data, verbose=0, shuffle=False)
    np.testing.assert_allclose(weights_of(trained[0]), weights_of(model), rtol=1e-4, atol=1e-6)


def test_two_replicas_train_as_one_device(two_replicas, trained):
    with two_replicas.scope():
        model = joint(**RICH)
        model.compile(keras.optimizers.Adam(3e-3))
    training.fit(
        model,
        model,
        strategy=two_replicas,
        epochs=2,
        steps_per_epoch=2,
        batch_size=128,
        seed=7,
        verbose=0,
    )
    np.testing.assert_allclose(weights_of(model), weights_of(trained[0]), rtol=2e-3, atol=2e-5)


def test_a_run_that_was_killed_goes_on(tmp_path, trained):
    class Killed(Exception):
        pass

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise Killed

    with pytest.raises(Killed):
        fit(joint(**RICH), checkpoint=tmp_path, checkpoint_every=1, callbacks=[Kill()])
    resumed = joint(**RICH)
    fit(resumed, checkpoint=tmp_path)
    np.testing.assert_allclose(weights_of(resumed), weights_of(trained[0]), rtol=1e-6, atol=1e-8)


def test_configuration_and_preset_round_trip(tmp_path):
    model = joint("cooperative", exotic=lookback(0.5, 8), risk="cvar", cost=1e-4)
    config = json.loads(json.dumps(model.get_config()))
    copy = JointNeuralSDEHedge.from_config(config)
    assert json.loads(json.dumps(copy.get_config())) == config
    model.market = QUOTES
    model.save_to_preset(tmp_path / "joint")
    loaded = hedgezoo.JointNeuralSDEHedge.from_preset(tmp_path / "joint")
    inputs = model.simulate(0, 16)[0]
    np.testing.assert_array_equal(model(inputs), loaded(inputs))
    assert loaded.market == QUOTES


def test_position_of_one_option():
    model = joint(sde=STOCHASTIC)
    position = model.hedge(spot=[0.9, 1.0, 1.1], time=0.0, strike=1.0, maturity=0.25)
    assert position.shape == (3,)
    assert np.all(np.diff(position) > 0)
    put = model.hedge(1.0, 0.1, 1.0, 0.25, factor=0.1, call=False)
    call = model.hedge(1.0, 0.1, 1.0, 0.25, factor=0.1)
    np.testing.assert_allclose(call - put, 1.0, rtol=1e-6)
    assert float(model.hedge(1.2, 0.25, 1.0, 0.25)) == 0.0


@pytest.mark.serving
def test_served_positions_are_those_of_the_model(tmp_path):
    model = joint()

    class OnlyTheHedge:
        def serving_signatures(self):
            return {"serving_default": model.serving_signatures()["hedge"]}

    path = serving.export(OnlyTheHedge(), tmp_path / "served")
    inputs = {
        "spot": [1.0, 1.1, -1.0],
        "time": [0.0, 0.1, 0.0],
        "strike": [1.0, 1.05, 1.0],
        "maturity": [0.25, 0.5, 0.5],
    }
    found = serving.query_locally(path, inputs)
    expected = model.hedge([1.0, 1.1], [0.0, 0.1], [1.0, 1.05], [0.25, 0.5])
    np.testing.assert_allclose(found["call_position"][:2], expected, rtol=1e-5)
    np.testing.assert_allclose(found["put_position"][:2], expected - 1.0, rtol=1e-5)
    assert np.isnan(found["call_position"][2])


def test_signatures_of_two_factors_take_the_factor():
    signature = joint(sde=STOCHASTIC).serving_signatures()["hedge"]
    answer = signature.function(*[tf.constant(x, tf.float32) for x in signature.example.values()])
    assert list(signature.example) == ["spot", "time", "strike", "maturity", "factor"]
    assert {name: value.shape for name, value in answer.items()} == {
        "call_position": (2,),
        "put_position": (2,),
    }


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"mode": "detached"}, "mode"),
        ({"risk": "var"}, "risk"),
        ({"coupling": 0.0}, "coupling"),
        ({"tolerance_bp": -1.0}, "tolerance_bp"),
        ({"cost": -1e-3}, "cost"),
        ({"hedge_steps": 0}, "hedge_steps"),
        ({"hedge_every": 1.5}, "hedge_every"),
        ({"exotic": "lookback"}, "exotic"),
        ({"sde": {"kind": "historical"}}, "sde"),
    ],
)
def test_bad_options_are_named(options, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        JointNeuralSDEHedge(QUOTES, **options)


def test_bad_calls_are_named():
    model = joint()
    with pytest.raises(ValueError, match="`loss`"):
        model.compile("adam", loss="mse")
    with pytest.raises(ValueError, match="`spot`"):
        model.hedge(-1.0, 0.0, 1.0, 0.25)
    with pytest.raises(ValueError, match="`quotes`"):
        JointNeuralSDEHedge([0.2])
    with pytest.raises(ValueError, match="`paths`"):
        hedge_outcomes(model, 4)
