"""Training by a loss that sees inputs, targets and all outputs, panel by panel."""

import keras
import tensorflow as tf


class PanelTraining:
    """Keras training of a model whose loss is a function of three dictionaries.

    A subclass says in `default_loss()` what it is trained for if nothing else is said.
    """

    def compile(self, optimizer="adam", loss=None, **kwargs):
        """As in Keras, with a loss of (inputs, targets, outputs).

        Args:
            optimizer: Keras optimizer or its name.
            loss: Callable from three dictionaries to one number per panel `(B,)`. Default: that
                of the model.
            **kwargs: Of `keras.Model.compile`.
        """
        # Keras would call a loss with targets and outputs alone
        super().compile(optimizer=optimizer, **{"jit_compile": False, **kwargs})
        self._chosen_loss = loss
        self.loss = self.default_loss() if loss is None else loss

    def get_compile_config(self):
        chosen = getattr(self, "_chosen_loss", None)
        config = super().get_compile_config()
        if config is None:
            return None
        loss = None if chosen is None else keras.saving.serialize_keras_object(chosen)
        return {**config, "loss": loss}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build()
        self.optimizer.build(self.trainable_variables)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean over the panels of the loss of (inputs, targets, outputs)."""
        del training
        values = tf.convert_to_tensor(self.loss(with_mask(x), y, y_pred))
        # a Keras loss knows how replicas share a mean
        return _MEAN(tf.zeros_like(values), values, sample_weight)


def with_mask(inputs):
    """Inputs of a calibrator with the mask and the spreads that may be missing."""
    inputs = {name: array for name, array in inputs.items() if array is not None}
    quotes = tf.convert_to_tensor(inputs["implied_volatility"])
    inputs.setdefault("mask", tf.ones_like(quotes, tf.bool))
    inputs.setdefault("spread", tf.zeros_like(quotes))
    return inputs


class _Values(keras.losses.Loss):
    """Its prediction: values that are losses already."""

    def call(self, y_true, y_pred):
        return y_pred


_MEAN = _Values(name="panels", dtype="float32")
