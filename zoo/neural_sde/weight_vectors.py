"""All trainable weights of a model as one vector, and derivatives with respect to it."""

import numpy as np
import tensorflow as tf


class WeightVector:
    """The trainable weights of a model as one float64 vector.

    Args:
        model: A built Keras model or layer.

    Example:

    >>> import keras
    >>> layer = keras.layers.Dense(2, kernel_initializer="ones")
    >>> layer.build((None, 3))
    >>> vector = WeightVector(layer)
    >>> vector.read()
    array([1., 1., 1., 1., 1., 1., 0., 0.])
    """

    def __init__(self, model):
        self.variables = list(model.trainable_variables)
        self._sizes = [int(np.prod(variable.shape)) for variable in self.variables]

    def __len__(self):
        return sum(self._sizes)

    def read(self):
        """The weights, float64 `(P,)`."""
        values = [np.asarray(variable.numpy(), np.float64).ravel() for variable in self.variables]
        return np.concatenate(values)

    def write(self, vector):
        """Sets the weights to a vector `(P,)`."""
        parts = np.split(np.asarray(vector), np.cumsum(self._sizes)[:-1])
        for variable, part in zip(self.variables, parts, strict=True):
            variable.assign(part.reshape(variable.shape))

    def jacobian(self, function):
        """Values and Jacobian of a function, in a graph or eagerly.

        Args:
            function: Function without arguments to a tensor `(n,)`.

        Returns:
            The tensor, and its derivatives `(n, P)`.
        """
        sources = [variable.value for variable in self.variables]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            values = function()
        parts = tape.jacobian(values, sources, unconnected_gradients="zero")
        count = tf.shape(values)[0]
        return values, tf.concat([tf.reshape(part, (count, -1)) for part in parts], axis=1)
