"""Training and test steps: built once, many to a call of the compiled function."""

import time

import keras
import tensorflow as tf

from hedgezoo.training.replicas import check_loss_per_path

_SECONDS_PER_CALL = 0.1  # long against the overhead of a call, short for someone who watches
_BATCH_METHODS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


def make_stepper(model, strategy, feed, step_function):
    """`run(source, first, count) -> logs`: `count` steps of `model.train_step` or `test_step`.

    `source` is from `feed.open`; it is an argument because TensorFlow never frees a function with
    collectives, nor what it has captured.

    The logs are the model's metrics over all replicas; where `step_function` returns other values,
    they are its last ones, averaged over the replicas, as in Keras.
    """
    if model.jit_compile:
        step_function = tf.function(step_function, jit_compile=True)

    def replica_step(taken):
        logs = step_function(feed.load(taken))
        metrics = model.get_metrics_result()
        return {} if isinstance(logs, dict) and logs.keys() == metrics.keys() else logs

    def one_step(source, step):
        logs = strategy.run(replica_step, (feed.take(source, step),))
        return tf.nest.map_structure(lambda v: strategy.reduce("MEAN", v, axis=None), logs)

    def run_eagerly(source, first, count):
        for step in range(first, first + count):
            logs = one_step(source, step)
        return _to_python(logs or model.get_metrics_result())

    if model.run_eagerly:
        return run_eagerly
    one_step = tf.function(one_step, autograph=False)  # traced once, called at two places

    @tf.function(autograph=False)
    def many_steps(source, first, count):
        _, logs = tf.while_loop(
            lambda done, _: done < count,
            lambda done, _: (done + 1, one_step(source, first + done)),
            (tf.constant(1), one_step(source, first)),
        )
        return logs or model.get_metrics_result()

    def run(source, first, count):
        return _to_python(many_steps(source, tf.constant(first), tf.constant(count)))

    return run


def build(model, strategy, batch_spec):
    """Create all variables of model, loss, metrics and optimizer, without running a step."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(
        tf.nest.map_structure(
            lambda spec: keras.KerasTensor(spec.shape, spec.dtype.name), batch_spec
        )
    )

    def outcome(x, y, sample_weight):
        y_pred = model(x, training=True) if model._call_has_training_arg else model(x)
        if model.loss is not None:
            if strategy.num_replicas_in_sync > 1:
                check_loss_per_path(model.loss, y, y_pred)
            model.compute_loss(x, y, y_pred, sample_weight)
            model.compute_metrics(x, y, y_pred, sample_weight)
        return y_pred

    with strategy.scope():
        _call_on_shapes(outcome, x, y, sample_weight)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)


class Pace:
    """How many steps to run in one call.

    Args:
        steps_per_execution: a number, or "auto" for about a tenth of a second.
        model: its own `steps_per_execution`, if more than 1, is what "auto" means.
        callbacks: the user's; one with batch methods of its own hears about every step.
    """

    def __init__(self, steps_per_execution, model, callbacks):
        if steps_per_execution == "auto" and model.steps_per_execution > 1:
            steps_per_execution = model.steps_per_execution
        self._measure = steps_per_execution == "auto" and not any(map(_follows_batches, callbacks))
        self.steps = 1 if steps_per_execution == "auto" else steps_per_execution
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(
                '`steps_per_execution` must be a positive integer or "auto". '
                f"Received: {steps_per_execution!r}"
            )

    def time(self, run, source, first, count):
        """`run(source, first, count)`; its duration decides the length of the next call."""
        start = time.perf_counter()
        logs = run(source, first, count)
        if self._measure:
            per_step = (time.perf_counter() - start) / count
            # the first call compiles and tells nothing, so do not trust one call too far
            self.steps = max(1, min(4 * self.steps, int(_SECONDS_PER_CALL / per_step)))
        return logs


def _call_on_shapes(function, *args):
    class Call(keras.Operation):
        error = None

        def call(self, *args):
            try:
                return function(*args)
            except Exception as error:
                self.error = error
                raise

    operation = Call()
    try:
        operation.symbolic_call(*args)
    except Exception:
        if operation.error is None:
            raise
        raise operation.error from None  # without what Keras says about operations


def _follows_batches(callback):
    if isinstance(callback, keras.callbacks.LambdaCallback):
        return any(name in vars(callback) for name in _BATCH_METHODS)
    if type(callback).__module__.partition(".")[0] == "keras":
        return False  # these know `steps_per_execution`
    default = keras.callbacks.Callback
    return any(getattr(type(callback), n) is not getattr(default, n) for n in _BATCH_METHODS)


def _to_python(logs):
    arrays = {name: tf.convert_to_tensor(value).numpy() for name, value in logs.items()}
    return {name: array.item() if array.size == 1 else array for name, array in arrays.items()}
