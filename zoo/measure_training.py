"""How a change of measure is found: by gradients, or exactly where the policy is linear."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.losses import EntropicRisk, entropic_risk
from hedgezoo.statistical_arbitrage.linear_optimum import linear_optimum


class MeasureTraining:
    """Training of a `RiskNeutralMeasure`, of which this is a part.

    It sets the weights `feature_mean`, `feature_scale`, `unit`, `adapted`, `log_normaliser` and
    `fingerprint`, and those of `linear` and `network`.
    """

    def compile(self, optimizer="adam", loss=None, **kwargs):
        """As in Keras, with `EntropicRisk(1.0)` for the default loss.

        Args:
            optimizer: Keras optimizer or its name.
            loss: Loss of (gains, 0); the measure is made by the default.
            **kwargs: Of `keras.Model.compile`.
        """
        loss = EntropicRisk(1.0) if loss is None else loss
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build()
        self.optimizer.build(self.trainable_variables)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of the gains alone: what the market owes somebody does not concern Q."""
        nothing = tf.zeros_like(y_pred)
        return super().compute_loss(x, nothing, y_pred, sample_weight, training)

    def fit(self, x=None, y=None, *args, sample_weight=None, **kwargs):
        """As in Keras; then the density is normalised on the same paths, if they can be read again.

        Args:
            x: Dictionary of arrays, or a data set of `(inputs, liability)`, such as
                `market.batches(...)`. The liability is ignored.
            y: Ignored; None will do.
            *args: Of `keras.Model.fit`.
            sample_weight: Weights of the paths `(N,)`, e.g. of another measure.
            **kwargs: Of `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`.
        """
        finite = isinstance(x, tf.data.Dataset) and int(x.cardinality()) > 0
        arrays = hasattr(x, "keys")
        if not self.adapted_to_data and (finite or arrays):
            self.adapt(x if arrays else x.take(1))
        if arrays:
            x = {name: x[name] for name in self.known(x)}
            y = np.zeros(len(x["features"]), self.compute_dtype)
        else:
            kwargs.setdefault("shuffle", False)  # which Keras would warn about
        history = super().fit(x, y, *args, sample_weight=sample_weight, **kwargs)
        if finite or arrays:
            self.normalise(x, sample_weight)
        return history

    @property
    def adapted_to_data(self):
        """Whether `adapt` has set the scales of features and actions."""
        self.build()
        return bool(array_of(self.adapted))

    def adapt(self, inputs):
        """Measures the scales of features and gains, as inputs and outputs of the networks.

        `fit` and `fit_linear` do it by themselves the first time. `hedgezoo.training.fit` does
        not: call it before.

        Args:
            inputs: Dictionary of arrays, or a finite `tf.data.Dataset`.

        Raises:
            ValueError: If the inputs do not fit the model.
        """
        self._adapt(self.paths_of(inputs))

    def _adapt(self, paths):
        flat = paths.features.reshape(-1, self.width)
        mean, deviation = (f(flat, axis=0, dtype=np.float64) for f in (np.mean, np.std))
        square = np.zeros(self.instruments)
        for part in paths.parts(self.rows_per_chunk(paths.shape[1])):
            gain = paths.gain_of(part)
            # a unit of all dates, or the one position from start to end
            whole = gain.sum(1) if paths.floating else gain[:, 0]
            square += (whole**2).sum(0)
        size = np.sqrt(square / len(paths))
        self.feature_mean.assign(mean)
        # rounding of a constant is no signal
        self.feature_scale.assign(np.where(deviation > 1e-6 * np.abs(mean), deviation, 1.0))
        self.unit.assign(np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 1.0))
        self.adapted.assign(1.0)

    def fit_linear(self, inputs, sample_weight=None, ridge=0.0, tolerance=1e-12, newton_steps=300):
        """Sets the linear part to its exact optimum, and the network to zero.

        Args:
            inputs: Paths, a dictionary of arrays or a finite `tf.data.Dataset`.
            sample_weight: Weights of the paths `(N,)`; equal by default.
            ridge: As in `linear_optimum`.
            tolerance: As in `linear_optimum`; money.
            newton_steps: As in `linear_optimum`.

        Returns:
            The `LinearOptimum`.

        Raises:
            ValueError: If the inputs do not fit the model, hold an arbitrage, or if there is a
                `trade_limit`, which the linear problem knows nothing of.
        """
        if self.trade_limit is not None:
            raise ValueError(
                "`fit_linear` solves the problem without limits; use `fit`. "
                f"Received: trade_limit={self.trade_limit}"
            )
        paths = self.paths_of(inputs)
        optimum = linear_optimum(
            paths,
            sample_weight=sample_weight,
            per_date=self.steps is not None,
            ridge=ridge,
            tolerance=tolerance,
            newton_steps=newton_steps,
        )
        if not self.adapted_to_data:
            self._adapt(paths)
        mean, scale, unit = (
            array_of(weight) for weight in (self.feature_mean, self.feature_scale, self.unit)
        )
        self.linear.kernel.assign(optimum.kernel * scale[:, None] / unit)
        self.linear.intercept.assign((optimum.intercept + mean @ optimum.kernel) / unit)
        if self.policy_name == "recurrent":
            self.network.output_kernel.assign(tf.zeros_like(self.network.output_kernel))
            self.network.output_bias.assign(tf.zeros_like(self.network.output_bias))
        elif self.policy_name == "feed_forward":
            for weight in (self.network.kernels[-1], self.network.biases[-1]):
                weight.assign(tf.zeros_like(weight))
        self.normalise(inputs, sample_weight)
        return optimum

    def normalise(self, inputs, sample_weight=None):
        """Stores `log E_P[exp(-G)]`, so that the density has mean one on these paths.

        Args:
            inputs: Paths, a dictionary of arrays or a finite `tf.data.Dataset`.
            sample_weight: Weights of the paths `(N,)`; equal by default. A data set may have them
                as the third component.

        Returns:
            The normaliser, a Python float.

        Raises:
            ValueError: If the inputs do not fit the model.
        """
        gains, weights = self.gains_and_weights(inputs, sample_weight)
        value = entropic_risk(gains, 1.0, weights=weights)
        self.log_normaliser.assign(value)
        self.fingerprint.assign(self._fingerprint())
        return float(value)

    @property
    def is_normalised(self):
        """Whether the policy is still the one that the density was normalised for."""
        stored = array_of(self.fingerprint)
        return bool(np.isclose(self._fingerprint(), stored, rtol=1e-6, atol=0.0))

    def _fingerprint(self):
        """A number that changes with the policy."""
        total = 0.0
        for weight in (self.feature_mean, self.feature_scale, self.unit, *self.trainable_variables):
            flat = array_of(weight).ravel()
            total += float(flat @ np.cos(np.arange(flat.size)))
        return np.float32(total)


def array_of(weight):
    """Values of a weight, float64."""
    return tf.convert_to_tensor(weight).numpy().astype(np.float64)
