"""Finding paths that exploded, and saying where."""

import numpy as np
import tensorflow as tf


def finite_paths(states):
    """Which paths stayed finite.

    A state that is not finite never becomes finite again, so the last saved state decides.

    Args:
        states: Saved states in order of time. Shape `(B, n, d)`.

    Returns:
        Booleans. Shape `(B,)`.

    Example:

    >>> finite_paths(tf.constant([[[0.1], [0.2]], [[0.1], [float("nan")]]])).numpy()
    array([ True, False])
    """
    return tf.reduce_all(tf.math.is_finite(states[:, -1]), axis=-1)


def non_finite_counts(states):
    """How many paths are not finite, per saved time.

    Args:
        states: Saved states in order of time. Shape `(B, n, d)`.

    Returns:
        int32 tensor of shape `(n,)`, never falling; all zero if all went well.

    Example:

    >>> non_finite_counts(tf.constant([[[0.1], [0.2]], [[0.1], [float("nan")]]])).numpy()
    array([0, 1], dtype=int32)
    """
    finite = tf.reduce_all(tf.math.is_finite(states), axis=-1)
    return tf.reduce_sum(tf.cast(tf.logical_not(finite), tf.int32), axis=0)


def require_finite(states, times):
    """Raises unless every eager path is finite.

    Args:
        states: States after every step, the initial one first. Shape `(B, T + 1, d)`.
        times: Their times in years. Shape `(T + 1,)`.

    Raises:
        ValueError: If a state is not finite; the message has the step, the time and the number
            of paths.

    Example:

    >>> require_finite(tf.zeros((3, 2, 1)), [0.0, 1.0])
    """
    counts = non_finite_counts(states).numpy()
    if not counts[-1]:
        return
    step = int(np.argmax(counts > 0))
    raise ValueError(
        f"The simulation is not finite from step {step} (t = {float(times[step]):.4g} years) on: "
        f"{counts[step]} of {states.shape[0]} paths there, {counts[-1]} at the end. "
        "Bound the diffusion (e.g. by a sigmoid) or take shorter steps"
    )
