"""Training on several replicas: what would go wrong silently is refused here, with the reason."""

import contextlib
import warnings

import keras
import tensorflow as tf


def check_replica_safe(model, strategy):
    """Raise `ValueError` for a model that several replicas would train wrongly or not at all."""
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        raise ValueError("`strategy` must be synchronous. Received: ParameterServerStrategy")
    _check_made_in_scope(model, strategy)
    if strategy.num_replicas_in_sync > 1:
        _check_compile_options(model)


def check_built_replica_safe(model, strategy):
    """The same for what is known only of a built model."""
    _check_made_in_scope(model, strategy)
    if strategy.num_replicas_in_sync > 1:
        _warn_about_equal_draws(model)


def is_chief(strategy):
    """Whether this process writes files and shows progress: worker 0, or the only process."""
    cluster = strategy.cluster_resolver
    if cluster is None or not cluster.task_type:
        return True
    if "chief" in cluster.cluster_spec().jobs:
        return cluster.task_type == "chief"
    return cluster.task_type == "worker" and cluster.task_id == 0


class Consensus:
    """Two integers that the chief decides (its clock, its disk), so that workers stay in step."""

    def __init__(self, strategy):
        self._is_chief = is_chief(strategy)
        replicas = strategy.num_replicas_in_sync
        self._replicas_here = 1 if replicas == 1 else len(strategy.extended.worker_devices)
        self._alone = self._replicas_here == replicas

        @tf.function(autograph=False)
        def total(pair):
            return strategy.reduce("SUM", strategy.run(lambda: pair), axis=None)

        self._total = total

    def chief(self, first, second=0):
        """The chief's pair, on every worker."""
        if self._alone:
            return first, second
        return self._sum((first, second) if self._is_chief else (0, 0))

    def all_equal(self, first, second=0):
        """Whether all workers hold the same pair."""
        differs = (first, second) != self.chief(first, second)
        return self._alone or self._sum((int(differs), 0)) == (0, 0)

    def _sum(self, pair):
        total = self._total(tf.constant(pair, tf.int64)).numpy() // self._replicas_here
        return tuple(total.tolist())


def assign_summed(strategy, variables, values):
    """Set variables that replicas sum when they are read (metrics) to `values`.

    The first replica takes the value and the others zero. Assigning outside `strategy.run` would
    split the value over the replicas of one worker and so count it once per worker.
    """

    @tf.function(autograph=False)
    def assign():
        first = tf.equal(tf.distribute.get_replica_context().replica_id_in_sync_group, 0)
        for variable, value in zip(variables, values, strict=True):
            value = tf.constant(value)
            if variable.aggregation == "sum":
                value = tf.where(first, value, tf.zeros_like(value))
            variable.assign(value)

    strategy.run(assign)


@contextlib.contextmanager
def separate_added_losses(model, strategy):
    """Within this context, what `add_loss` collects on one replica stays on that replica.

    Keras keeps added losses on the layers. The replicas of one process are threads that share the
    layers, and while one of them waits in the compiled loss for a sum over replicas, the next one
    runs the model and replaces the added losses of the first. So the total that comes back is
    corrected from what the layers hold then to what they held before.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1 or type(model).compute_loss is not keras.Model.compute_loss:
        yield
        return
    compute_loss = model.compute_loss
    of_weights = sum(v.regularizer is not None for v in model.trainable_variables)

    def corrected(*args, **kwargs):
        own = model.losses
        total = compute_loss(*args, **kwargs)
        if len(own) == of_weights:
            return total
        return total + (_sum(own) - _sum(model.losses)) / replicas

    model.compute_loss = corrected
    try:
        yield
    finally:
        del model.compute_loss


def _sum(losses):
    return tf.add_n([tf.reduce_sum(loss) for loss in losses])


def _check_made_in_scope(model, strategy):
    groups = {
        "model": [model],
        "optimizer": [model.optimizer],
        "loss": [loss for loss in keras.tree.flatten(model.loss) if hasattr(loss, "variables")],
        "metrics": [metric for metric in model.metrics if hasattr(metric, "variables")],
    }
    for name, owners in groups.items():
        for variable in (v for owner in owners for v in owner.variables):
            tensor = variable.value if isinstance(variable, keras.Variable) else variable
            if not strategy.extended.variable_created_in_scope(tensor):
                raise ValueError(
                    f"The {name} must be created inside `with strategy.scope():`, and the model "
                    f"compiled there. Received: variable `{variable.name}` of the {name}, created "
                    f"outside the scope of {type(strategy).__name__}"
                )


def _check_compile_options(model):
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    clipping = [
        f"{name}={getattr(optimizer, name)}"
        for name in ("clipnorm", "global_clipnorm", "clipvalue")
        if getattr(optimizer, name) is not None
    ]
    if clipping:
        raise ValueError(
            "Keras clips the gradient of each replica before they are added, which is not clipping "
            "the gradient of the batch. Train on one device, or without clipping. "
            f"Received: {', '.join(clipping)}"
        )
    if optimizer.gradient_accumulation_steps:
        raise ValueError(
            "Keras cannot accumulate gradients under several replicas. Use a larger batch. "
            f"Received: gradient_accumulation_steps={optimizer.gradient_accumulation_steps}"
        )
    if model.jit_compile:
        raise ValueError(
            "A step that replicas share cannot be compiled by XLA: compile the model with "
            "jit_compile=False. Received: jit_compile=True"
        )
    for loss in keras.tree.flatten(model.loss):
        if getattr(loss, "reduction", None) == "mean_with_sample_weight":
            raise ValueError(
                "A loss reduced by 'mean_with_sample_weight' divides by the weights of one "
                "replica, not of the batch. Use 'sum_over_batch_size'. "
                f"Received: loss {getattr(loss, 'name', loss)}"
            )


def check_loss_per_path(loss, y_true, y_pred):
    """Raise `ValueError` if a compiled loss returns one number for a whole batch."""
    loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    compute = loss.call if isinstance(loss, keras.losses.Loss) else loss
    single_output = tf.is_tensor(y_true) and tf.is_tensor(y_pred)
    if callable(compute) and single_output and compute(y_true, y_pred).shape.rank == 0:
        raise ValueError(
            "The loss must return one value per path: replicas would add their batch values and "
            "multiply the gradient by their number. (Keras' own losses average over the last axis "
            "and need outputs of shape (B, 1).) Received: a loss that returns a scalar, "
            f"{getattr(loss, 'name', getattr(loss, '__name__', loss))}, for outputs of shape "
            f"{tuple(y_pred.shape)}"
        )


def _warn_about_equal_draws(model):
    drawing = [v.path for v in model.variables if v.name == "seed_generator_state"]
    if drawing:
        warnings.warn(
            "Every replica draws the same random numbers from a Keras seed generator (dropout, "
            "noise), so the draws of a batch repeat. Drawn by: " + ", ".join(drawing),
            stacklevel=4,
        )
