"""A constraint kept while something else is optimised: the method of multipliers, in a layer."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="hedgezoo")
class AugmentedLagrangian(keras.layers.Layer):
    """The force that keeps `c <= 0` while a loss is minimised.

    The Lagrangian `loss + (max(0, m + r c)² - m²) / (2 r)` has the gradient of `loss + w c` with
    `w = max(0, m + r c)`. The multiplier m rises while the constraint is broken and falls while
    there is room: `m <- max(0, m + step c)` after every training step, so that the solution keeps
    the constraint and not a compromise with it.

    Args:
        stiffness: r, positive.
        step: Step of the multiplier, positive.
        multiplier: m before training.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        constraint: c, a scalar tensor.

    Output shape:
        w, a scalar, without gradient.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> force = AugmentedLagrangian(stiffness=10.0, step=1.0, multiplier=2.0)
    >>> float(force(tf.constant(-0.1))), float(force(tf.constant(-1.0)))
    (1.0, 0.0)

    Reference:
        Bertsekas, "Constrained Optimization and Lagrange Multiplier Methods" (1982), chapter 3.
    """

    def __init__(self, stiffness=10.0, step=0.1, multiplier=1.0, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        for name, value in (("stiffness", stiffness), ("step", step)):
            if not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}")
        if multiplier < 0:
            raise ValueError(f"`multiplier` must not be negative. Received: {multiplier!r}")
        self.stiffness = float(stiffness)
        self.step = float(step)
        self.start = float(multiplier)
        self.multiplier = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.start),
            trainable=False,
            name="multiplier",
            dtype="float32",
        )
        self.built = True

    def call(self, constraint):
        multiplier = tf.convert_to_tensor(self.multiplier)
        constraint = tf.cast(constraint, multiplier.dtype)
        return tf.stop_gradient(tf.nn.relu(multiplier + self.stiffness * constraint))

    def update(self, constraint):
        """Moves the multiplier by a step.

        Args:
            constraint: c, a scalar tensor, the same on every replica.
        """
        multiplier = tf.convert_to_tensor(self.multiplier)
        moved = tf.nn.relu(multiplier + self.step * tf.cast(constraint, multiplier.dtype))
        # a step that was not finite must not spoil those that follow
        self.multiplier.assign(tf.where(tf.math.is_finite(moved), moved, multiplier))

    def get_config(self):
        return {
            **super().get_config(),
            "stiffness": self.stiffness,
            "step": self.step,
            "multiplier": self.start,
        }
