"""`hedgezoo.training.fit`: the same numbers on any devices, after any interruption, at any pace."""

import functools
import json
import os
import signal
import socket
import sys
import time
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import training
from hedgezoo.training import checkpointing, feeding, replicas

sys.path.insert(0, str(Path(__file__).parent))
try:
    import training_cases as cases
finally:
    sys.path.pop(0)

CASES = ("market", "dataset", "function", "band")
KEYED = {"batch_size": cases.BATCH, "seed": 3}
RUN = {**KEYED, "epochs": cases.EPOCHS, "steps_per_epoch": cases.STEPS}
WITH_CASES = {"PYTHONPATH": str(Path(__file__).parent)}


@functools.cache
def on_one_device(case):
    return cases.fit_case(case)


@functools.cache
def uninterrupted():
    return cases.fit_case("market", callbacks=(Memory(), *schedulers()))


def schedulers():
    """Callbacks that change the course of training, each with something to remember."""
    return [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.8 * rate),
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=1.0),
        keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True),
    ]


class Memory(keras.callbacks.Callback):
    """Logs how many steps it has heard of, over all resumptions, and an array."""

    def __init__(self):
        super().__init__()
        self.steps, self.last = 0, np.zeros(1)

    def on_epoch_end(self, epoch, logs=None):
        self.steps += 1
        self.last = self.last + logs["loss"]
        logs.update(epochs_heard=self.steps, sum_of_losses=float(self.last[0]))

    def get_state(self):
        return {"steps": self.steps, "last": [self.last]}

    def set_state(self, state):
        self.steps, (self.last,) = state["steps"], state["last"]


class Interruption(Exception):
    """What stands for a kill in the tests that need not be a process of their own."""


class InterruptAfter(keras.callbacks.Callback):
    """Raises after so many steps; has batch methods, so that it hears of every step."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        self.steps -= 1
        if self.steps == 0:
            raise Interruption


# The same numbers on any devices


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_replicas_train_as_one_device(case, two_replicas):
    cases.assert_same(cases.fit_case(case, two_replicas), on_one_device(case))


@pytest.mark.slow
@pytest.mark.multiprocess
def test_two_workers_train_as_one_device(start_python, tmp_path):
    source = """
        import sys
        import keras, tensorflow as tf
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        import training_worker
        training_worker.main(strategy, sys.argv[1])
    """
    ports = free_ports(2)
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    workers = []
    for index in (0, 1):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        environment = {**WITH_CASES, "TF_CONFIG": json.dumps(task)}
        workers.append(start_python(source, tmp_path, env=environment))
    for worker in workers:
        output, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0, output
    for index in (0, 1):
        results = json.loads((tmp_path / f"results_{index}.json").read_text())
        for case in CASES:
            cases.assert_same(results[case], on_one_device(case))
        assert "all workers see" in results["own directories"]
    # the callback that writes a file was given to both, for the last two epochs
    assert len((tmp_path / "log_0.csv").read_text().splitlines()) == 3
    assert not (tmp_path / "log_1.csv").exists()


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.slow
def test_one_device_trains_as_keras_fit():
    model, data = cases.tiny_model(), cases.weighted_batches()
    history = model.fit(
        data.repeat(),
        epochs=cases.EPOCHS,
        steps_per_epoch=cases.STEPS,
        validation_data=data.take(2),
        verbose=0,
    )
    cases.assert_same(cases.outcome(model, history), on_one_device("dataset"))


@pytest.mark.slow
def test_keras_fit_on_two_replicas_trains_as_one_device(two_replicas):
    # Keras mixes up the added losses of replicas while they wait in the compiled loss
    plain = functools.partial(cases.TinyHedge, added_loss=0)
    model, data = cases.tiny_model(two_replicas, model=plain), cases.weighted_batches()
    history = model.fit(data, epochs=2, verbose=0)
    one = cases.tiny_model(model=plain)
    expected = cases.outcome(one, training.fit(one, data, epochs=2))
    cases.assert_same(cases.outcome(model, history), expected)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", ["simulate", "batches", "dataset", "function"])
def test_replicas_share_out_the_global_batch(kind, count, two_replicas):
    class Numbers:  # a market whose paths are their indices
        def simulate(self, seed, paths, first_path=0):
            return (seed + tf.cast(first_path, tf.int64) + tf.range(paths, dtype=tf.int64),)

    class Batches:
        def batches(self, batch_size, steps, seed, first_step=0):
            return numbers(seed).batch(batch_size, True).skip(first_step).take(steps or -1)

    def numbers(first):
        return tf.data.Dataset.range(first, 10**6).map(lambda i: (i,))

    def function(context):
        share = numbers(100).batch(8 // context.num_replicas_in_sync, drop_remainder=True)
        return share.shard(context.num_input_pipelines, context.input_pipeline_id)

    strategy = two_replicas if count == 2 else tf.distribute.get_strategy()
    keyed = {"batch_size": 8, "seed": 100}
    feed = {
        "simulate": lambda: feeding.make_feed(Numbers(), strategy, 5, **keyed),
        "batches": lambda: feeding.make_feed(Batches(), strategy, 5, **keyed),
        "dataset": lambda: feeding.make_feed(numbers(100).batch(8, True), strategy, 5),
        "function": lambda: feeding.make_feed(function, strategy, 5),
    }[kind]()
    assert feed.batch_spec[0].shape[0] == 8 // count
    # resumed at step 3 on any number of replicas; an input function counts batches by itself
    source = feed.open(3)
    for step in (3, 4):
        taken = feed.take(source, tf.constant(step))
        (loaded,) = strategy.run(feed.load, (taken,))
        shares = strategy.experimental_local_results(loaded)
        paths = np.concatenate([share.numpy() for share in shares])
        np.testing.assert_array_equal(np.sort(paths), 100 + np.arange(step * 8, step * 8 + 8))


# Pace


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"steps_per_execution": 1}, {"steps_per_execution": 3}])
def test_steps_per_execution_changes_no_bit(options):
    result = cases.fit_case("market", **options)
    cases.assert_same(result, on_one_device("market"), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"jit_compile": True}, {"run_eagerly": True}])
def test_compile_options_are_honoured(how):
    model = cases.tiny_model(**how)
    history = training.fit(
        model, cases.TinyMarket(), validation_data=cases.TinyMarket().simulate(9, 48), **RUN
    )
    result = cases.outcome(model, history)
    cases.assert_same(result, on_one_device("market"), rtol=1e-4, atol=1e-5)


class Calls(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.heard = []

    def on_train_batch_begin(self, batch, logs=None):
        self.heard.append([batch])

    def on_train_batch_end(self, batch, logs=None):
        assert logs["loss"] > 0
        self.heard[-1].append(batch)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]]),
        ({"steps_per_execution": 2}, [[0, 1], [2, 3], [4, 4]]),
    ],
)
def test_callbacks_hear_of_the_first_and_last_step_of_a_call(options, expected):
    calls = Calls()
    training.fit(
        cases.tiny_model(), cases.TinyMarket(), callbacks=[calls], **{**RUN, "epochs": 1}, **options
    )
    assert calls.heard == expected


def test_calls_grow_to_a_tenth_of_a_second():
    from hedgezoo.training.stepping import Pace

    pace = Pace("auto", cases.tiny_model(), [keras.callbacks.TerminateOnNaN()])
    lengths = []
    for _ in range(8):
        lengths.append(pace.steps)
        pace.time(lambda source, first, count: time.sleep(0.001 * count), (), 0, pace.steps)
    assert lengths[:3] == [1, 4, 16]
    assert 16 <= lengths[-1] <= 100
    assert Pace("auto", cases.tiny_model(steps_per_execution=7), []).steps == 7


# Ordinary Keras


@pytest.mark.slow
def test_keras_callbacks_work_as_in_keras(tmp_path):
    def callbacks(folder):
        folder.mkdir()
        return [
            *schedulers(),
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.CSVLogger(folder / "log.csv"),
            keras.callbacks.ModelCheckpoint(
                folder / "{epoch}.weights.h5",
                "val_loss",
                save_best_only=True,
                save_weights_only=True,
            ),
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: (folder / "epochs").open("a").write(f"{epoch} ")
            ),
        ]

    data, ours, theirs = cases.weighted_batches(), cases.tiny_model(), cases.tiny_model()
    history = training.fit(
        ours, data, epochs=3, validation_data=data.take(2), callbacks=callbacks(tmp_path / "ours")
    )
    expected = theirs.fit(
        data,
        epochs=3,
        validation_data=data.take(2),
        callbacks=callbacks(tmp_path / "theirs"),
        verbose=0,
    )
    cases.assert_same(cases.outcome(ours, history), cases.outcome(theirs, expected))
    assert history.epoch == expected.epoch
    names = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == names
    assert (tmp_path / "ours" / "epochs").read_text() == "0 1 2 "
    lines = [(tmp_path / who / "log.csv").read_text().splitlines() for who in ("ours", "theirs")]
    assert len(lines[0]) == len(lines[1]) == 4


def test_early_stopping_stops_and_restores():
    stopping = keras.callbacks.EarlyStopping(
        "loss", patience=1, min_delta=10.0, restore_best_weights=True
    )
    weights = []
    remember = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(stopping.model.get_weights())
    )
    model = cases.tiny_model()
    history = training.fit(
        model, cases.TinyMarket(), callbacks=[stopping, remember], **{**RUN, "epochs": 9}
    )
    assert history.epoch == [0, 1]
    np.testing.assert_array_equal(model.get_weights()[0], weights[0][0])
    assert np.any(weights[1][0] != weights[0][0])


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_own_train_step_and_its_logs(count, two_replicas):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

        def call(self, inputs):
            return self.factor * inputs["features"][:, -1, 0]

        def train_step(self, batch):
            inputs, liability = batch
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(inputs) - liability) ** 2)
                scaled = loss / count
            gradients = tape.gradient(scaled, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"squares": loss}

    strategy = two_replicas if count == 2 else tf.distribute.get_strategy()
    with strategy.scope():
        model = Own()
        model.compile(keras.optimizers.SGD(1.0))
    history = training.fit(model, cases.TinyMarket(), steps_per_execution=2, **{**RUN, "epochs": 2})
    factor, losses = 1.0, []
    for step in range(2 * cases.STEPS):
        inputs, liability = cases.TinyMarket().simulate(3, cases.BATCH, step * cases.BATCH)
        x, y = inputs["features"][:, -1, 0].numpy(), liability.numpy()
        losses.append(np.mean((factor * x - y) ** 2))
        factor -= np.mean(2 * (factor * x - y) * x)
    assert list(history.history) == ["squares"]
    np.testing.assert_allclose(history.history["squares"], losses[4::5], rtol=1e-5)
    np.testing.assert_allclose(model.factor.numpy(), factor, rtol=1e-6)


@pytest.mark.slow
def test_moving_average_of_weights_replaces_them_once(tmp_path):
    optimizer = functools.partial(keras.optimizers.Adam, 0.02, use_ema=True, ema_momentum=0.9)
    data = cases.weighted_batches()
    keras_model = cases.tiny_model(optimizer=optimizer)
    keras_model.fit(data, epochs=2, verbose=0)
    for epochs in (1, 2):  # kept in the checkpoint are the weights, not their average
        model = cases.tiny_model(optimizer=optimizer)
        training.fit(model, data, epochs=epochs, checkpoint=tmp_path)
    np.testing.assert_allclose(model.get_weights()[0], keras_model.get_weights()[0], rtol=1e-6)


# Resuming


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 7, 10])
def test_interrupted_run_ends_with_the_same_bits(steps, tmp_path):
    with pytest.raises(Interruption):
        cases.fit_case(
            "market",
            callbacks=(Memory(), *schedulers(), InterruptAfter(steps)),
            checkpoint=tmp_path,
            checkpoint_every=2,
        )
    resumed = cases.fit_case(
        "market", callbacks=(Memory(), *schedulers()), checkpoint=tmp_path, checkpoint_every=2
    )
    cases.assert_same(resumed, uninterrupted(), rtol=0, atol=0)
    assert resumed["epochs_heard"] == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.multiprocess
def test_killed_run_ends_with_the_same_bits(start_python, tmp_path):
    source = """
        import sys
        import training_cases as cases
        cases.fit_case("market", checkpoint=sys.argv[1], checkpoint_every=1, epochs=400)
    """
    process = start_python(source, tmp_path, env=WITH_CASES)
    deadline = time.monotonic() + 120
    while process.poll() is None and not (tmp_path / checkpointing.FILE_NAME).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)  # somewhere in the middle: the state is written after each step
    assert process.poll() is None, process.communicate()[0]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with np.load(tmp_path / checkpointing.FILE_NAME) as file:
        position = json.loads(str(file["record"]))["position"]
    epochs = position["epoch"] + 2
    resumed = cases.fit_case("market", checkpoint=tmp_path, epochs=epochs)
    expected = cases.fit_case("market", epochs=epochs)
    assert len(resumed["loss"]) == epochs
    cases.assert_same(resumed, expected, rtol=0, atol=0)


@pytest.mark.slow
def test_one_device_may_continue_what_two_replicas_began(two_replicas, tmp_path):
    with pytest.raises(Interruption):
        cases.fit_case(
            "market",
            two_replicas,
            callbacks=[InterruptAfter(8)],
            checkpoint=tmp_path,
            checkpoint_every=4,
        )
    resumed = cases.fit_case("market", checkpoint=tmp_path)
    cases.assert_same(resumed, on_one_device("market"))


@pytest.mark.slow
def test_finished_run_is_read_and_may_be_prolonged(tmp_path):
    first = cases.fit_case("market", checkpoint=tmp_path, epochs=2)
    written = (tmp_path / checkpointing.FILE_NAME).read_bytes()
    calls = Calls()
    again = cases.fit_case("market", checkpoint=tmp_path, epochs=2, callbacks=[calls])
    assert calls.heard == []
    cases.assert_same(again, first, rtol=0, atol=0)
    assert (tmp_path / checkpointing.FILE_NAME).read_bytes() == written
    longer = cases.fit_case("market", checkpoint=tmp_path, epochs=3)
    cases.assert_same(longer, on_one_device("market"), rtol=0, atol=0)
    with pytest.raises(ValueError, match="holds a run of 3 epochs"):
        cases.fit_case("market", checkpoint=tmp_path, epochs=2)


def test_dropout_continues_where_it_was(tmp_path):
    def run(epochs, checkpoint=None):
        model = cases.tiny_model(model=functools.partial(cases.TinyHedge, dropout=0.5))
        options = {**RUN, "epochs": epochs, "checkpoint": checkpoint}
        return cases.outcome(model, training.fit(model, cases.TinyMarket(), **options))

    run(1, tmp_path)
    cases.assert_same(run(2, tmp_path), run(2), rtol=0, atol=0)


@pytest.fixture(scope="module")
def finished_state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    options = {**RUN, "epochs": 1, "checkpoint": folder}
    training.fit(cases.tiny_model(), cases.TinyMarket(), **options)
    return (folder / checkpointing.FILE_NAME).read_bytes()


@pytest.fixture
def finished(finished_state, tmp_path):
    path = tmp_path / checkpointing.FILE_NAME
    path.write_bytes(finished_state)
    return {**RUN, "epochs": 1, "checkpoint": tmp_path}, path


def test_another_run_is_refused_and_left_alone(finished):
    options, path = finished
    written = path.read_bytes()

    wider = functools.partial(cases.TinyHedge, 5)
    faster = functools.partial(keras.optimizers.Adam, 0.03)
    averse = functools.partial(cases.EntropicRisk, 6.0)
    for model, market, changed, message in [
        (
            cases.tiny_model(model=wider),
            cases.TinyMarket(),
            {},
            r"model.units: saved 4, now 5; .*kernel \(1, 4\)",
        ),
        (
            cases.tiny_model(optimizer=faster),
            cases.TinyMarket(),
            {},
            "optimizer.learning_rate: saved",
        ),
        (cases.tiny_model(loss=averse), cases.TinyMarket(), {}, "loss.risk_aversion: saved 5.0"),
        (cases.tiny_model(), cases.TinyMarket(0.1), {}, "data.volatility: saved 0.05, now 0.1"),
        (cases.tiny_model(), cases.TinyMarket(), {"seed": 4}, "seed: saved 3, now 4"),
        (cases.tiny_model(), cases.TinyMarket(), {"batch_size": 8}, "batch_size: saved 16"),
        (cases.tiny_model(), cases.TinyMarket(), {"steps_per_epoch": 6}, "steps_per_epoch: sav"),
    ]:
        with pytest.raises(ValueError, match=f"another run.*{message}"):
            training.fit(model, market, **{**options, **changed})
    assert path.read_bytes() == written


def test_learning_rate_may_have_moved_since_the_run_began(finished):
    options, _ = finished
    model = cases.tiny_model()
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    training.fit(model, cases.TinyMarket(), **{**options, "epochs": 2}, callbacks=[halve])
    history = training.fit(model, cases.TinyMarket(), **{**options, "epochs": 3})
    assert history.epoch == [0, 1, 2]
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_state_is_saved_by_the_clock_or_by_the_step(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpointing.time, "monotonic", lambda: now[0])
    saved = []
    state = types.SimpleNamespace(save=saved.append)
    consensus = replicas.Consensus(tf.distribute.get_strategy())

    def positions(every):
        saver, now[0] = checkpointing.Saver(state, every, consensus), 0.0
        for step, now[0] in enumerate((10.0, 29.0, 30.5, 31.0, 61.0), start=1):
            saver.step_done(f"step {step}", step)
        for epoch, now[0] in enumerate((61.5, 62.5, 62.6), start=1):
            saver.epoch_done(f"epoch {epoch}", 6, last=epoch == 3)
        said, saved[:] = list(saved), []
        return said

    assert positions(None) == ["step 3", "step 5", "epoch 2", "epoch 3"]
    assert positions(2) == ["step 2", "step 4", "epoch 1", "epoch 2", "epoch 3"]
    assert checkpointing.Saver(state, 4, consensus).steps_left(6) == 2


def test_damaged_state_is_named(finished):
    options, path = finished
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"training_state\.npz is damaged"):
        training.fit(cases.tiny_model(), cases.TinyMarket(), **options)


def test_a_kill_while_saving_leaves_the_last_state(finished, monkeypatch):
    options, path = finished
    written = path.read_bytes()

    def half_written(file, **arrays):
        file.write(written[: len(written) // 2])
        raise Interruption

    monkeypatch.setattr(np, "savez", half_written)
    with pytest.raises(Interruption):
        training.fit(cases.tiny_model(), cases.TinyMarket(), **{**options, "epochs": 2})
    assert path.read_bytes() == written


def test_a_failed_run_does_not_replace_a_good_state(finished):
    options, path = finished
    written = path.read_bytes()
    model = cases.tiny_model()
    spoil = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: model.out.bias.assign([np.nan])
    )
    callbacks = [spoil, keras.callbacks.TerminateOnNaN()]
    history = training.fit(
        model, cases.TinyMarket(), **{**options, "epochs": 9}, callbacks=callbacks
    )
    assert history.epoch == [0, 1]
    assert path.read_bytes() == written


# What cannot be right is refused


def scalar_loss(y_true, y_pred):
    return tf.reduce_mean((y_true - y_pred) ** 2)


@pytest.mark.parametrize(
    ("compile_options", "message"),
    [
        ({"optimizer": functools.partial(keras.optimizers.SGD, clipnorm=1.0)}, "clipnorm=1.0"),
        (
            {"optimizer": functools.partial(keras.optimizers.SGD, global_clipnorm=2.0)},
            "before they are added.*global_clipnorm=2.0",
        ),
        ({"optimizer": functools.partial(keras.optimizers.SGD, clipvalue=3.0)}, "clipvalue=3.0"),
        (
            {"optimizer": functools.partial(keras.optimizers.SGD, gradient_accumulation_steps=2)},
            "gradient_accumulation_steps=2",
        ),
        ({"jit_compile": True}, "jit_compile=True"),
        ({"loss": lambda: scalar_loss}, r"one value per path.*scalar_loss.*\(8,\)"),
        ({"loss": lambda: "mse"}, r"outputs of shape \(B, 1\).*mean_squared_error"),
        (
            {"loss": functools.partial(cases.EntropicRisk, reduction="mean_with_sample_weight")},
            "mean_with_sample_weight",
        ),
    ],
)
def test_what_replicas_train_wrongly_is_refused(compile_options, message, two_replicas):
    model = cases.tiny_model(two_replicas, **compile_options)
    with pytest.raises(ValueError, match=message):
        training.fit(model, cases.TinyMarket(), **RUN)


@pytest.mark.parametrize("what", ["model", "optimizer", "loss", "metrics"])
def test_what_was_made_outside_the_scope_is_named(what, two_replicas):
    def make(part, function):
        if part == what:
            return function()
        with two_replicas.scope():
            return function()

    def built():
        model = cases.TinyHedge()
        model(cases.TinyMarket().simulate(0, 2)[0])
        return model

    model = make("model", built)
    optimizer = make("optimizer", keras.optimizers.SGD)
    loss = make("loss", cases.EntropicRisk)
    metric = make("metrics", keras.metrics.MeanAbsoluteError)
    with two_replicas.scope():
        model.compile(optimizer, loss=loss, metrics=[metric])
    with pytest.raises(ValueError, match=f"The {what} must be created inside"):
        training.fit(model, cases.TinyMarket(), strategy=two_replicas, **RUN)


def test_asynchronous_training_is_refused():
    strategy = object.__new__(tf.distribute.ParameterServerStrategy)  # a real one takes servers
    with pytest.raises(ValueError, match="must be synchronous"):
        training.fit(cases.tiny_model(), cases.TinyMarket(), strategy=strategy, **RUN)


def test_equal_draws_on_replicas_are_warned_of(two_replicas):
    dropout = functools.partial(cases.TinyHedge, dropout=0.5)
    model = cases.tiny_model(two_replicas, model=dropout)
    with pytest.warns(UserWarning, match=r"same random numbers.*dropout.*seed_generator_state"):
        training.fit(model, cases.TinyMarket(), **{**RUN, "epochs": 1})


def data(**changes):
    return {**RUN, **changes}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (data(batch_size=15), "divisible by the number of replicas, 2.*batch_size=15"),
        (data(batch_size=None), "Missing: batch_size"),
        (data(seed=None, steps_per_epoch=None), "Missing: steps_per_epoch, seed"),
        (data(batch_size=0), "`batch_size` must be a positive"),
        (data(steps_per_epoch=0), "`steps_per_epoch` must be a positive"),
        (data(steps_per_execution=0), "`steps_per_execution` must be"),
        (data(checkpoint="here", checkpoint_every=0), "`checkpoint_every` must be"),
        (data(checkpoint=__file__), "`checkpoint` must be a directory"),
        (data(verbose=3), "`verbose` must be"),
        (data(validation_data=5), "`validation_data` must be"),
        (data(callbacks=[keras.callbacks.BackupAndRestore("x")]), "Use `checkpoint=directory`"),
        (
            data(callbacks=[keras.callbacks.SwapEMAWeights()], checkpoint="here"),
            "SwapEMAWeights",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message, two_replicas):
    model = cases.tiny_model(two_replicas)
    with pytest.raises(ValueError, match=message):
        training.fit(model, cases.TinyMarket(), **arguments)


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        (cases.weighted_batches().unbatch().batch(16), {}, "steps_per_epoch|drop_remainder"),
        (
            cases.weighted_batches().unbatch().batch(16),
            {"steps_per_epoch": 2},
            "drop_remainder=True",
        ),
        (
            cases.weighted_batches().unbatch().batch(15, drop_remainder=True),
            {"steps_per_epoch": 2},
            "batch_size=15",
        ),
        (cases.weighted_batches().repeat(), {}, "no end.*`steps_per_epoch`"),
        (cases.weighted_batches().filter(lambda *_: True), {}, "does not know its length"),
        (cases.weighted_batches().take(0), {}, "is empty"),
        (cases.weighted_batches(), {"seed": 3}, "belong to a market.*seed=3"),
        (cases.share_of_batches, {}, "`steps_per_epoch` is required"),
        (np.zeros((4, 1)), {}, "`data` must be.*ndarray"),
    ],
)
def test_bad_data_is_named(dataset, options, message, two_replicas):
    model = cases.tiny_model(two_replicas)
    with pytest.raises(ValueError, match=message):
        training.fit(model, dataset, **options)


def test_validation_data_is_named():
    data = cases.weighted_batches()
    with pytest.raises(ValueError, match="`validation_data`: `data` has no end"):
        training.fit(cases.tiny_model(), data, validation_data=data.repeat())
    inputs, liability = cases.TinyMarket().simulate(0, 4)
    with pytest.raises(ValueError, match=r"equal lengths. Received: \[3, 4\]"):
        training.fit(cases.tiny_model(), data, validation_data=(inputs, liability[:3]))


def test_uncompiled_model_is_refused():
    with pytest.raises(ValueError, match="must be compiled"):
        training.fit(cases.TinyHedge(), cases.TinyMarket(), **RUN)


def test_errors_of_a_model_arrive_as_they_are():
    class Sulking(cases.TinyHedge):
        def build(self, shapes):
            self.built = True

        def call(self, inputs):
            raise ZeroDivisionError("no hedge today")

    with pytest.raises(ZeroDivisionError, match="no hedge today") as caught:
        training.fit(cases.tiny_model(model=Sulking), cases.TinyMarket(), **RUN)
    assert "compute_output_spec" not in str(caught.value)


# Validation and progress


def test_validation_arrays_need_not_fill_their_last_batch():
    arrays = cases.TinyMarket().simulate(9, 2 * cases.BATCH + 5)
    model = cases.tiny_model()
    history = training.fit(model, cases.TinyMarket(), validation_data=arrays, **RUN)
    expected = model.evaluate(*arrays, batch_size=cases.BATCH, verbose=0, return_dict=True)
    assert history.history["val_error"][-1] == pytest.approx(expected["error"], rel=1e-5)
    assert history.history["val_loss"][-1] == pytest.approx(expected["loss"], rel=1e-5)


def test_progress_lines_and_silence(capfd):
    training.fit(cases.tiny_model(), cases.TinyMarket(), **RUN)
    assert capfd.readouterr().out == ""
    training.fit(cases.tiny_model(), cases.TinyMarket(), **RUN, verbose=2)
    lines = capfd.readouterr().out.splitlines()
    assert [line.split("  ")[0].strip() for line in lines] == [f"epoch {k}/3" for k in (1, 2, 3)]
    assert "loss 0.0" in lines[0]
    assert lines[-1].endswith("0 s left")


def test_progress_bar_counts_steps_and_gives_the_terminal_back(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(Interruption):
        training.fit(
            cases.tiny_model(),
            cases.TinyMarket(),
            **RUN,
            verbose=1,
            callbacks=[InterruptAfter(7)],
        )
    shown = capfd.readouterr().out
    assert "epoch 2/3" in shown
    assert "6/15" in shown
    assert "loss" in shown
    assert "left" in shown
