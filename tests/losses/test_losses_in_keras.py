"""The losses inside plain Keras training on one device."""

import math
from statistics import NormalDist

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.losses import (
    CVaR,
    EntropicRisk,
    MeanVariance,
    QuadraticCVaR,
    cvar,
    entropic_risk,
)

# One instrument with Gaussian moves N(M, S^2), a liability that moves with B units of it, and an
# unhedgeable rest N(0, E^2): gains - liability = (h - B) move - rest.
M, S, B, E = 0.05, 0.3, 0.7, 0.2


@pytest.fixture(autouse=True)
def _order_of_batches():
    """`fit` shuffles."""
    keras.utils.set_random_seed(0)


def task(paths, seed=0):
    rng = np.random.default_rng(seed)
    # antithetic, so that the sample means are exact
    z = np.concatenate([z := rng.normal(size=(paths // 2, 2)), -z])
    z = rng.permutation(z)
    move = M + S * z[:, :1]
    return move.astype("float32"), (B * move[:, 0] + E * z[:, 1]).astype("float32")


def hedge(loss, optimizer=None, **options):
    """A model that holds a constant position, trained by `loss`."""
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
            keras.layers.Reshape(()),
        ]
    )
    model.compile(optimizer or keras.optimizers.SGD(0.5), loss=loss, **options)
    return model


def position(model):
    return float(model.get_weights()[0][0, 0])


def test_fit_finds_the_entropic_optimum():
    a = 4.0
    loss = EntropicRisk(a)
    model = hedge(loss, keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(1.0, 96)))
    model.fit(*task(8192), batch_size=1024, epochs=12, verbose=0)
    d = M / (a * S**2)
    assert position(model) == pytest.approx(B + d, abs=0.03)
    risk = -d * M + a / 2 * (d**2 * S**2 + E**2)
    assert loss.intercept == pytest.approx(risk, abs=0.025)  # of the last batch


def test_fit_finds_the_cvar_optimum():
    level = 0.9
    loss = CVaR(level)
    schedule = keras.optimizers.schedules.CosineDecay(0.5, 240)
    model = hedge(loss, keras.optimizers.SGD(schedule))
    move, liability = task(16384)
    model.fit(move, liability, batch_size=512, epochs=8, verbose=0)
    normal = NormalDist()
    q = normal.inv_cdf(level)
    k = normal.pdf(q) / (1 - level)
    d = M * E / (S * math.sqrt(k**2 * S**2 - M**2))
    deviation = math.hypot(d * S, E)
    assert position(model) == pytest.approx(B + d, abs=0.04)
    assert loss.intercept == pytest.approx(-d * M + q * deviation, abs=0.02)
    assert cvar(position(model) * move[:, 0] - liability, level) == pytest.approx(
        -d * M + k * deviation, rel=0.02
    )


def test_evaluate_and_predict_leave_the_intercept_alone():
    loss = EntropicRisk(4.0)
    model = hedge(loss)
    move, liability = task(512)
    # before training: the risk of each batch, not a number that depends on an arbitrary intercept
    before = model.evaluate(move, liability, batch_size=512, verbose=0)
    assert before == pytest.approx(entropic_risk(-liability, 4.0), rel=1e-5)
    assert loss.intercept is None
    model.fit(move, liability, batch_size=128, verbose=0)
    state = [v.numpy() for v in loss.variables]
    assert state[-1] == 4
    model.evaluate(move, liability - 1.0, batch_size=100, verbose=0)
    model.predict(move, verbose=0)
    assert [v.numpy() for v in loss.variables] == state
    model.fit(move, liability, batch_size=128, verbose=0, validation_data=(move, liability + 9))
    assert loss.intercept < 1.0


@pytest.mark.parametrize(
    "options", [{"steps_per_execution": 16}, {"run_eagerly": True}, {"jit_compile": True}], ids=str
)
def test_execution_modes_agree(options):
    results = []
    for chosen in ({}, options):
        loss = CVaR(0.8)
        model = hedge(loss, **chosen)
        history = model.fit(*task(2048), batch_size=64, epochs=1, shuffle=False, verbose=0).history
        results.append([position(model), history["loss"][0], *(v.numpy() for v in loss.variables)])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)


@pytest.mark.parametrize(
    "make", [lambda: EntropicRisk(3.0), lambda: CVaR(0.8), lambda: MeanVariance(3.0)]
)
def test_sample_weights_act_as_repetitions(make):
    move, liability = task(64)
    counts = np.random.default_rng(1).integers(0, 4, 64)
    results = []
    for x, y, weights in (
        (move, liability, counts.astype("float32")),
        (np.repeat(move, counts, axis=0), np.repeat(liability, counts), None),
    ):
        loss = make()
        # start from the same trained state: the first guess before it knows no weights
        for variable in loss.variables:
            variable.assign(tf.ones_like(variable))
        model = hedge(loss, keras.optimizers.SGD(0.5 * len(x)))
        model.fit(x, y, batch_size=len(x), sample_weight=weights, verbose=0)
        results.append([position(model), *(v.numpy() for v in loss.variables)])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)


def test_two_outputs_with_a_loss_each():
    inputs = keras.Input((1,))
    outputs = {
        name: keras.layers.Reshape((), name=name)(keras.layers.Dense(1)(inputs))
        for name in ("mild", "strict")
    }
    model = keras.Model(inputs, outputs)
    losses = {"mild": CVaR(0.5), "strict": CVaR(0.9)}
    model.compile("sgd", loss=losses)
    move, liability = task(512)
    model.fit(move, {"mild": liability, "strict": liability}, batch_size=64, verbose=0)
    assert losses["strict"].intercept > losses["mild"].intercept


def test_saved_models_carry_the_intercept(tmp_path):
    loss = CVaR(0.9)
    model = hedge(loss)
    data = task(512)
    model.fit(*data, batch_size=64, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.loss) is CVaR
    assert loaded.loss.get_config() == loss.get_config()
    assert [v.numpy() for v in loaded.loss.variables] == [v.numpy() for v in loss.variables]
    assert loaded.evaluate(*data, verbose=0) == model.evaluate(*data, verbose=0)
    # and both go on in the same way
    for m in (model, loaded):
        m.fit(*data, batch_size=64, shuffle=False, verbose=0)
    assert position(loaded) == position(model)
    assert loaded.loss.intercept == loss.intercept


def test_weights_of_a_model_with_another_loss_load(tmp_path):
    model = hedge(CVaR(0.9))
    model.fit(*task(128), verbose=0)
    model.save_weights(tmp_path / "cvar.weights.h5")
    other = hedge("mse")
    other.fit(*task(128), verbose=0)
    other.save_weights(tmp_path / "mse.weights.h5")
    loss = EntropicRisk(2.0)
    fresh = hedge(loss)
    fresh.fit(*task(128), verbose=0)
    intercept = loss.intercept
    for name in ("cvar", "mse"):
        fresh.load_weights(tmp_path / f"{name}.weights.h5")
        assert loss.intercept == intercept
    assert position(fresh) == position(other)


def test_checkpoint_of_variables(tmp_path):
    loss = QuadraticCVaR(0.8)
    model = hedge(loss)
    model.fit(*task(128), verbose=0)
    state = [v.numpy() for v in loss.variables]
    path = tf.train.Checkpoint(loss=loss.variables).write(str(tmp_path / "checkpoint"))
    loss.reset()
    tf.train.Checkpoint(loss=loss.variables).read(path).assert_consumed()
    assert [v.numpy() for v in loss.variables] == state


def test_fit_names_the_shapes_it_cannot_use():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", loss=CVaR(0.9))
    with pytest.raises(ValueError, match=r"y_true.shape=\(32,\), y_pred.shape=\(32, 1\)"):
        model.fit(*task(64), batch_size=32, verbose=0)
