"""Gradients of training steps that are the same on one device and on several replicas."""

import tensorflow as tf

from hedgezoo.losses.trainable_intercept import sum_over_replicas


def mean_slopes(tape, objective, variables):
    """Gradient of the mean over the paths of all replicas, the share of this replica.

    Keras optimizers add up the shares.

    Args:
        tape: A `tf.GradientTape` that has watched the objective.
        objective: One value per path of this replica, `(B,)`.
        variables: List of variables.

    Returns:
        List of tensors, zeros of variables that do not matter.
    """
    count = tf.cast(tf.shape(objective)[0], objective.dtype)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    upstream = tf.ones_like(objective) / (count * replicas)
    sources = [variable.value for variable in variables]
    return tape.gradient(
        objective, sources, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )


def all_finite(tensors):
    """Whether all entries are finite, on every replica; a scalar boolean."""
    bad = tf.add_n([tf.reduce_sum(tf.cast(~tf.math.is_finite(x), tf.float32)) for x in tensors])
    return sum_over_replicas(bad) == 0.0


def guarded_apply(optimizer, slopes, variables, good):
    """A step of an optimizer, taken back unless it is good: weights and optimizer stay as before.

    Args:
        optimizer: A built Keras optimizer.
        slopes: Gradients, the share of this replica.
        variables: What they are the gradients of.
        good: Scalar boolean, the same on every replica.
    """
    slopes = [tf.where(good, slope, tf.zeros_like(slope)) for slope in slopes]
    moved = [variable.value for variable in (*variables, *optimizer.variables)]
    before = [tf.identity(variable) for variable in moved]
    optimizer.apply(slopes, variables)

    def restore(strategy, *before):
        for variable, old in zip(moved, before, strict=True):
            strategy.extended.update(
                variable,
                lambda variable, old, good: variable.assign(tf.where(good, variable, old)),
                args=(old, good),
                group=False,
            )

    # replicas wait for each other here: the variables are one for all of them
    tf.distribute.get_replica_context().merge_call(restore, args=before)
