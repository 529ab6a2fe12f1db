"""One training loop that is right on one device, on several replicas and on several workers."""

import contextlib

import keras
import tensorflow as tf

from hedgezoo.training.checkpointing import Position, Saver, TrainingState
from hedgezoo.training.feeding import make_feed
from hedgezoo.training.progress import progress_callbacks
from hedgezoo.training.replicas import (
    Consensus,
    check_built_replica_safe,
    check_replica_safe,
    is_chief,
    separate_added_losses,
)
from hedgezoo.training.run_identity import describe_run
from hedgezoo.training.stepping import Pace, build, make_stepper

_ONLY_WRITE_FILES = (
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.TensorBoard,
)


def fit(
    model,
    data,
    *,
    strategy=None,
    epochs=1,
    steps_per_epoch=None,
    batch_size=None,
    seed=None,
    validation_data=None,
    callbacks=(),
    checkpoint=None,
    checkpoint_every=None,
    steps_per_execution="auto",
    initial_epoch=0,
    verbose="auto",
):
    """Train a compiled Keras model; losses, metrics and weights do not depend on the devices.

    What `model.fit` does on one device, with the same numbers, and in addition: under
    `MirroredStrategy` and `MultiWorkerMirroredStrategy`; paths simulated inside the training graph;
    many steps per call; and runs that can be killed and started again.

    Weights are a function of `model`, `data`, `epochs` and `steps_per_epoch` alone. Neither the
    number of replicas (up to rounding), nor `steps_per_execution`, nor an interruption changes
    them.

    Args:
        model: compiled `keras.Model` of any kind. Its own `train_step` and `test_step` are run.
            With a strategy, create and compile it inside `with strategy.scope():`. Under several
            replicas its loss must return one value per path, and batch normalisation needs
            `synchronized=True`.
        data: one of

            * a market: an object with `simulate(seed, paths, first_path)`. Step k trains on paths
              `k * batch_size ... (k + 1) * batch_size - 1`, counted over all epochs, and each
              replica simulates its own share. An object that only has `batches(batch_size, steps,
              seed, first_step)` works too.
            * a `tf.data.Dataset` of batches `(x, y)` or `(x, y, sample_weight)`. A batch is the
              *global* batch: replicas split it. It is repeated without end. It must be
              deterministic to be resumed, and its shuffling seeded to be split over workers.
            * a function of a `tf.distribute.InputContext` that returns a data set of batches for
              *one replica*.
        strategy: a `tf.distribute.Strategy`; None for the one that the model was created under.
        epochs: number of the epoch to end before, as in Keras.
        steps_per_epoch: steps in an epoch. Default for a data set: its length.
        batch_size: paths per step, over all replicas; for a market only.
        seed: integer that keys the paths; for a market only. Fitting again with the same seed
            repeats the same paths, unless `initial_epoch` continues after them.
        validation_data: a finite `tf.data.Dataset`, or arrays `(x, y)` or `(x, y, sample_weight)`,
            such as `market.simulate(seed, paths)`. Evaluated after every epoch, logged as
            `val_...`.
        callbacks: `keras.callbacks.Callback`s. On workers other than the first, Keras' callbacks
            that only write files are left out.
        checkpoint: directory from which the run resumes if it holds an earlier state of this run,
            and where its state is kept: weights, optimizer, losses, metrics, position, history;
            and the memory of `EarlyStopping`, `ReduceLROnPlateau`, `ModelCheckpoint` and of any
            callback with `get_state()` (scalars, strings, arrays, lists, dicts) and
            `set_state(state)`. Other callbacks start afresh; give `CSVLogger` `append=True`.
            A state with a weight that is not finite is not saved, and a run that a callback
            stopped stays stopped. Workers need to see the same directory; only the first writes.
        checkpoint_every: number of steps after which to save. Default: every 30 seconds, at the
            end of epochs if a second has passed, and at the end.
        steps_per_execution: steps per call of the compiled function, as in `model.compile`.
            Default: as compiled if more than 1, else as many as fit into a tenth of a second.
            Callbacks hear about the first and the last step of a call. With a callback of your
            own that has batch methods the default is 1.
        initial_epoch: epoch to start with, if not resumed.
        verbose: 0 for silence, 1 for a bar with the time left, 2 for one line per epoch. Default:
            a bar on a terminal, else silence.

    Returns:
        The `keras.callbacks.History`, including the epochs before a resumption.

    Raises:
        ValueError: if arguments are missing or contradict each other; if batches cannot be split
            evenly; if the model cannot be trained rightly on several replicas (created outside the
            scope, gradient clipping or accumulation, XLA, a loss that returns a scalar); or if
            `checkpoint` holds a different run.

    Example:

    >>> import keras, tensorflow as tf
    >>> from hedgezoo import training
    >>> data = tf.data.Dataset.from_tensor_slices((tf.ones((8, 1)), tf.ones((8,)))).batch(4)
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    >>> model.compile("sgd", loss="mse")
    >>> history = training.fit(model, data, epochs=3)
    >>> len(history.history["loss"])
    3
    """
    strategy = model.distribute_strategy if strategy is None else strategy
    if not model.compiled or model.optimizer is None:
        raise ValueError("`model` must be compiled: `model.compile(optimizer, loss=...)`.")
    check_replica_safe(model, strategy)
    callbacks = _check_callbacks(callbacks, checkpoint, strategy)
    feed = make_feed(data, strategy, steps_per_epoch, batch_size, seed)
    validation = _validation_feed(validation_data, strategy, feed)
    build(model, strategy, feed.batch_spec)
    check_built_replica_safe(model, strategy)

    pace = Pace(steps_per_execution, model, callbacks)
    bar = progress_callbacks(verbose) if is_chief(strategy) else []
    callbacks = keras.callbacks.CallbackList(
        [*callbacks, *bar],
        add_history=True,
        model=model,
        epochs=epochs,
        steps=feed.steps_per_epoch,
    )

    def describe():
        settings = {"batch_size": batch_size, "seed": seed, "steps_per_epoch": feed.steps_per_epoch}
        return describe_run(model, data, **settings)

    state = None
    if checkpoint is not None:
        state = TrainingState(checkpoint, model, strategy, callbacks, describe, is_chief(strategy))
    consensus = Consensus(strategy)
    saver = Saver(state, checkpoint_every, consensus)
    with contextlib.ExitStack() as stack:
        stack.enter_context(separate_added_losses(model, strategy))
        for callback in bar:
            stack.callback(callback.close)
        _run(
            model,
            train=make_stepper(model, strategy, feed, model.train_step),
            validate=_make_validator(model, strategy, validation, callbacks),
            feed=feed,
            callbacks=callbacks,
            saver=saver,
            pace=pace,
            consensus=consensus,
            start=saver.read(Position(initial_epoch), epochs),
            epochs=epochs,
        )
    return model.history


def _run(model, *, train, validate, feed, callbacks, saver, pace, consensus, start, epochs):
    """The loop over epochs and calls."""
    steps = feed.steps_per_epoch
    model.stop_training = start.stopped
    callbacks.on_train_begin()
    if start.step:
        callbacks.on_epoch_begin(start.epoch)
    saver.restore()  # only now: the hooks above ran before the state was saved
    source = feed.open(start.epoch * steps + start.step)
    epoch, step, logs = start.epoch, start.step, {}
    while epoch < epochs and not model.stop_training:
        done = epoch * steps  # steps of the whole run before this epoch
        if step == 0:
            model.reset_metrics()
            callbacks.on_epoch_begin(epoch)
        while step < steps and not model.stop_training:
            count, _ = consensus.chief(min(pace.steps, steps - step, saver.steps_left(done + step)))
            callbacks.on_train_batch_begin(step)
            logs = pace.time(train, source, done + step, count)
            step += count
            callbacks.on_train_batch_end(step - 1, logs)
            if step < steps:
                saver.step_done(Position(epoch, step), done + step)
        logs = {**logs, **validate()}
        callbacks.on_epoch_end(epoch, logs)
        epoch, step = epoch + 1, 0
        last = epoch == epochs or model.stop_training
        saver.epoch_done(Position(epoch, stopped=model.stop_training), done + steps, last)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    callbacks.on_train_end(logs)


def _make_validator(model, strategy, feed, callbacks):
    """A function that evaluates the model on `feed` and returns logs named `val_...`."""
    if feed is None:
        return dict
    run = make_stepper(model, strategy, feed, model.test_step)
    source = feed.open(0)  # it repeats, so every evaluation sees all of it

    def validate():
        model.reset_metrics()
        callbacks.on_test_begin()
        callbacks.on_test_batch_begin(0)
        logs = run(source, 0, feed.steps_per_epoch)
        callbacks.on_test_batch_end(feed.steps_per_epoch - 1, logs)
        callbacks.on_test_end(logs)
        return {f"val_{name}": value for name, value in logs.items()}

    return validate


def _validation_feed(data, strategy, training_feed):
    if data is None:
        return None
    if isinstance(data, (tuple, list)):
        leaf = tf.nest.flatten(training_feed.batch_spec)[0]
        data = _slices(data, (leaf.shape[0] or 1024) * strategy.num_replicas_in_sync)
    elif not isinstance(data, tf.data.Dataset):
        raise ValueError(
            "`validation_data` must be a `tf.data.Dataset` or arrays `(x, y)` or "
            f"`(x, y, sample_weight)`. Received: {type(data).__name__}"
        )
    try:
        return make_feed(data, strategy)
    except ValueError as error:
        raise ValueError(f"`validation_data`: {error}") from error


def _slices(arrays, batch_size):
    """A data set of consecutive rows; much faster than `from_tensor_slices(...).batch(...)`."""
    arrays = tf.nest.map_structure(tf.convert_to_tensor, tuple(arrays))
    rows = {array.shape[0] for array in tf.nest.flatten(arrays)}
    if len(rows) != 1:
        raise ValueError(f"`validation_data` must have equal lengths. Received: {sorted(rows)}")
    (rows,) = rows
    size = min(batch_size, rows)

    def batch(start):
        part = tf.nest.map_structure(lambda array: array[start : start + size], arrays)
        if rows % size:
            return part
        return tf.nest.map_structure(lambda p: tf.ensure_shape(p, (size, *p.shape[1:])), part)

    return tf.data.Dataset.range(0, rows, size).map(batch)


def _check_callbacks(callbacks, checkpoint, strategy):
    callbacks = keras.tree.flatten(callbacks)
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ValueError("Use `checkpoint=directory` instead of the callback BackupAndRestore.")
        if isinstance(callback, keras.callbacks.SwapEMAWeights) and checkpoint is not None:
            raise ValueError("`checkpoint` cannot be combined with the callback SwapEMAWeights.")
    if is_chief(strategy):
        return callbacks
    return [callback for callback in callbacks if not isinstance(callback, _ONLY_WRITE_FILES)]
