"""The penalised loss, its weight over the epochs, and what survives saving and resumption."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import training
from hedgezoo.layers import NoArbitragePenalty
from hedgezoo.losses import AnnealedPenalty, EntropicRisk, PenaltyAnnealing

STRIKES, YEARS = [0.8, 0.9, 1.0, 1.1, 1.2], [0.25, 1.0]


@keras.saving.register_keras_serializable(package="hedgezoo_tests")
def sum_of_squares(y_pred):
    return tf.reduce_sum(tf.square(y_pred), range(1, y_pred.shape.rank))


@keras.saving.register_keras_serializable(package="hedgezoo_tests")
def square(gains):
    return tf.square(gains)


@keras.saving.register_keras_serializable(package="hedgezoo_tests")
def squared_error(y_true, y_pred):
    return tf.square(y_true - y_pred)


def surfaces(samples=16, seed=0):
    """Inputs, and total variances in which the second maturity may lie below the first."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(samples, 3)).astype("float32")
    levels = np.stack([0.06 + 0.05 * x[:, 0], 0.09 + 0.01 * x[:, 1]], 1)
    return x, np.repeat(levels[..., None], 5, -1).astype("float32")


def surface_model(loss, optimizer="sgd", seed=1, **options):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(10, activation="softplus", bias_initializer="ones"),
            keras.layers.Reshape((2, 5)),
        ]
    )
    model.compile(optimizer, loss=loss, **options)
    return model


def surface_loss(**options):
    options = {"initial_weight": 8.0, "decay": 0.5, **options}
    return AnnealedPenalty("mse", NoArbitragePenalty(STRIKES, YEARS), **options)


def dataset():
    return tf.data.Dataset.from_tensor_slices(surfaces()).batch(8, drop_remainder=True)


# ------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("base", ["mse", keras.losses.MeanSquaredError(), squared_error])
def test_value_per_sample(base):
    penalty = NoArbitragePenalty(STRIKES, YEARS)
    loss = AnnealedPenalty(base, penalty, initial_weight=100.0, decay=0.9)
    _, y_true = surfaces()
    y_pred = y_true * np.random.default_rng(1).uniform(0.5, 1.5, y_true.shape).astype("float32")
    expected = np.mean((y_true - y_pred) ** 2, (1, 2)) + 100 * penalty(y_pred).numpy()
    values = loss.call(tf.constant(y_true), tf.constant(y_pred))
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert float(np.min(penalty(y_pred))) > 0
    loss.set_epoch(2)
    expected = np.mean((y_true - y_pred) ** 2, (1, 2)) + 81 * penalty(y_pred).numpy()
    assert float(loss(y_true, y_pred)) == pytest.approx(expected.mean(), rel=1e-5)
    graph = tf.function(loss, input_signature=[tf.TensorSpec((None, 2, 5), "float32")] * 2)
    assert float(graph(y_true, y_pred)) == pytest.approx(expected.mean(), rel=1e-5)
    loss.set_epoch(0)  # read when run, not when traced
    assert float(graph(y_true, y_pred)) > 1.1 * expected.mean()


def test_a_loss_of_a_path_stays_one(check_loss):
    loss = AnnealedPenalty(squared_error, square, initial_weight=0.5, decay=1.0)
    gains, liability = np.random.default_rng(2).normal(size=(2, 7))
    values = check_loss(loss, liability, gains)
    np.testing.assert_allclose(values, (gains - liability) ** 2 + gains**2 / 2, rtol=1e-5)
    weighted = loss(liability, gains, sample_weight=np.arange(7))
    expected = np.mean(np.arange(7) * ((gains - liability) ** 2 + gains**2 / 2))
    assert float(weighted) == pytest.approx(expected, rel=1e-5)


def test_gradient_is_that_of_the_sum(gradient_check):
    loss = AnnealedPenalty(squared_error, sum_of_squares, 3.0, dtype="float64")
    y = np.random.default_rng(3).normal(size=(2, 4, 2, 3))
    _, by_prediction = gradient_check(loss.call, y[0], y[1])
    assert loss._weight.dtype == "float64"
    ratio = by_prediction / (2 * (y[1] - y[0]) / 6 + 6 * y[1])
    np.testing.assert_allclose(ratio, ratio[:, :1, :1] * np.ones((2, 3)), rtol=1e-6)


# ------------------------------------------------------------------------------------- the weight


def test_weight_follows_the_epochs_and_shows_in_the_history():
    loss = surface_loss(initial_weight=1000.0, decay=0.96)
    model = surface_model(loss)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(loss.weight)

    callbacks = [loss.callback(), Watch()]
    history = model.fit(dataset(), epochs=5, callbacks=callbacks, verbose=0).history
    expected = 1000 * 0.96 ** np.arange(5)
    np.testing.assert_allclose(history["penalty_weight"], expected, rtol=1e-6)
    np.testing.assert_allclose(seen, np.repeat(expected, 2), rtol=1e-6)
    more = model.fit(dataset(), initial_epoch=3, epochs=4, callbacks=callbacks, verbose=0).history
    assert more["penalty_weight"] == history["penalty_weight"][3:4]
    assert not loss._weight.trainable
    assert all(v.name != loss._weight.name for v in model.trainable_variables)


def test_loss_of_the_history_is_the_penalised_one():
    loss = surface_loss()
    model = surface_model(loss, keras.optimizers.SGD(0.0), metrics=["mse"])
    history = model.fit(dataset(), epochs=3, callbacks=[PenaltyAnnealing()], verbose=0).history
    x, _ = surfaces()
    penalty = float(np.mean(loss.penalty(model(x))))
    assert penalty > 0
    np.testing.assert_allclose(
        np.array(history["loss"]) - history["mse"],
        penalty * np.array(history["penalty_weight"]),
        rtol=1e-4,
    )


def test_training_removes_the_arbitrage_of_the_data():
    def fit(initial_weight):
        loss = surface_loss(initial_weight=initial_weight, decay=0.97)
        model = surface_model(loss, keras.optimizers.Adam(0.02))
        callbacks = [loss.callback()]
        model.fit(dataset(), epochs=40, callbacks=callbacks, verbose=0)
        return float(np.mean(loss.penalty(model(surfaces()[0]))))

    assert fit(100.0) < 0.2 * fit(0.0)


def test_two_losses_are_logged_apart():
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(2, name=name)(inputs) for name in ("a", "b")}
    model = keras.Model(inputs, outputs)
    losses = {
        "a": AnnealedPenalty("mse", sum_of_squares, 4.0, 0.5),
        "b": AnnealedPenalty("mse", sum_of_squares, 9.0, 1.0),
    }
    model.compile("sgd", loss=losses)
    x, _ = surfaces()
    y = {"a": x[:, :2], "b": x[:, 1:]}
    callbacks = [PenaltyAnnealing()]
    history = model.fit(x, y, epochs=2, callbacks=callbacks, verbose=0).history
    assert history["penalty_weight_0"] == [4.0, 2.0]
    assert history["penalty_weight_1"] == [9.0, 9.0]


# -------------------------------------------------------------------------- saving and resumption


def test_saved_models_carry_the_weight(tmp_path):
    loss = surface_loss()
    model = surface_model(loss)
    model.fit(dataset(), epochs=3, callbacks=[loss.callback()], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.loss) is AnnealedPenalty
    assert type(loaded.loss.penalty) is NoArbitragePenalty
    assert loaded.loss.get_config() == loss.get_config()
    json.dumps(loss.get_config())
    assert loaded.loss.weight == loss.weight == 2.0
    assert loaded.evaluate(*surfaces(), verbose=0) == model.evaluate(*surfaces(), verbose=0)
    model.save_weights(tmp_path / "own.weights.h5")
    fresh = surface_model(surface_loss())
    fresh.load_weights(tmp_path / "own.weights.h5")
    assert fresh.loss.weight == 2.0
    # files of a model with another loss load too, and leave the weight alone
    surface_model("mse").save_weights(tmp_path / "other.weights.h5")
    fresh.load_weights(tmp_path / "other.weights.h5")
    assert fresh.loss.weight == 2.0


def test_a_loss_with_state_inside_keeps_it(tmp_path):
    layers = [keras.Input((3,)), keras.layers.Dense(1), keras.layers.Reshape(())]
    model = keras.Sequential(layers)
    loss = AnnealedPenalty(EntropicRisk(2.0), tf.square, 0.1, 0.5)
    assert len(loss.variables) == 3
    model.compile("sgd", loss=loss)
    x, _ = surfaces()
    model.fit(x, x[:, 0], epochs=2, callbacks=[loss.callback()], verbose=0)
    intercept = loss.loss.intercept
    assert intercept is not None
    model.save_weights(tmp_path / "model.weights.h5")
    loss.loss.reset()
    loss.set_epoch(0)
    model.load_weights(tmp_path / "model.weights.h5")
    assert loss.loss.intercept == intercept
    assert loss.weight == pytest.approx(0.05)


class Kill(keras.callbacks.Callback):
    """Raises in the middle of an epoch, once."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch
        self.epoch = -1

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.at:
            raise KeyboardInterrupt


def killed_and_resumed(fit):
    """Weights and history of an uninterrupted run, and of one killed in its fourth epoch."""

    def make():
        return AnnealedPenalty("mse", sum_of_squares, initial_weight=8.0, decay=0.7)

    results = []
    for kill in (None, 3):
        callbacks = [] if kill is None else [Kill(kill)]
        loss = make()
        if kill is not None:
            with pytest.raises(KeyboardInterrupt):
                fit(surface_model(loss), [loss.callback(), *callbacks], "killed")
            loss = make()  # a new process knows nothing of the old one
        model = surface_model(loss)
        history = fit(model, [loss.callback()], "whole" if kill is None else "killed").history
        results.append((model.get_weights(), history, loss.weight))
    return results


def test_resumed_by_the_training_loop(tmp_path):
    def fit(model, callbacks, folder):
        return training.fit(
            model,
            dataset(),
            epochs=6,
            callbacks=callbacks,
            checkpoint=tmp_path / folder,
            checkpoint_every=1,
        )

    (weights, history, weight), (again, resumed, weight_again) = killed_and_resumed(fit)
    np.testing.assert_allclose(resumed["penalty_weight"], 8 * 0.7 ** np.arange(6), rtol=1e-6)
    assert resumed == history
    assert weight == weight_again
    for a, b in zip(weights, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_resumed_by_backup_and_restore(tmp_path):
    def fit(model, callbacks, folder):
        backup = keras.callbacks.BackupAndRestore(tmp_path / folder)
        return model.fit(
            dataset(), epochs=6, callbacks=[*callbacks, backup], shuffle=False, verbose=0
        )

    (weights, history, weight), (again, resumed, weight_again) = killed_and_resumed(fit)
    np.testing.assert_allclose(resumed["penalty_weight"], history["penalty_weight"][3:], rtol=1e-7)
    np.testing.assert_allclose(resumed["loss"], history["loss"][3:], rtol=1e-5)
    assert weight == weight_again
    for a, b in zip(weights, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("loop", ["keras", "hedgezoo"])
def test_two_replicas_agree_with_one_device(two_replicas, loop):
    results = []
    for strategy in (None, two_replicas):
        with strategy.scope() if strategy else tf.device(None):
            loss = surface_loss()
            model = surface_model(loss, keras.optimizers.SGD(0.1))
        callbacks = [loss.callback()]
        if loop == "keras":
            history = model.fit(dataset(), epochs=2, callbacks=callbacks, verbose=0).history
        else:
            history = training.fit(model, dataset(), epochs=2, callbacks=callbacks).history
        assert history["penalty_weight"] == [8.0, 4.0]
        results.append([np.concatenate([w.ravel() for w in model.get_weights()]), history["loss"]])
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-4)


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"initial_weight": -1.0}, "`initial_weight` must not be negative"),
        ({"initial_weight": np.nan}, "`initial_weight` must be finite"),
        ({"initial_weight": "1"}, "`initial_weight` must be a number"),
        ({"decay": 0.0}, r"`decay` must lie in \(0, 1\]"),
        ({"decay": 1.01}, r"`decay` must lie in \(0, 1\]"),
        ({"penalty": 3.0}, "`penalty` must be callable"),
        ({"loss": None}, "`loss` must be a Keras loss"),
    ],
)
def test_arguments_are_checked(change, words):
    with pytest.raises(ValueError, match=words) as error:
        AnnealedPenalty(**{"loss": "mse", "penalty": sum_of_squares, **change})
    assert "Received" in str(error.value)


def test_penalties_that_are_not_one_number_per_sample_are_refused():
    y = tf.zeros((4, 2, 5))
    for penalty, shape in (
        (tf.square, r"\(4, 2, 5\)"),
        (tf.reduce_sum, r"\(\)"),
        (lambda y: tf.zeros(3), r"\(3,\)"),
    ):
        with pytest.raises(ValueError, match=rf"`penalty` must return.*{shape} for y_pred.shape"):
            AnnealedPenalty("mse", penalty)(y, y)
    with pytest.raises(ValueError, match=r"`loss` must return at least one value per sample"):
        AnnealedPenalty(lambda a, b: tf.reduce_mean(a - b), sum_of_squares)(y, y)


def test_callback_without_its_loss_is_refused():
    model = surface_model("mse")
    with pytest.raises(ValueError, match=r"compiled with an AnnealedPenalty.*Received"):
        model.fit(dataset(), callbacks=[PenaltyAnnealing()], verbose=0)
    with pytest.raises(ValueError, match=r"`loss` must be an AnnealedPenalty"):
        PenaltyAnnealing("mse")
