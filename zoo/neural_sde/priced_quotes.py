"""The Keras model that is trained when a neural SDE is calibrated."""

import keras
import tensorflow as tf

from hedgezoo.losses.trainable_intercept import sum_over_replicas
from hedgezoo.neural_sde.control_variates import make_control, payoffs
from hedgezoo.neural_sde.replicated_steps import guarded_apply


class PricedQuotes(keras.Model):
    """Payoffs of the quoted options along the paths of a neural SDE.

    With the loss `QuoteError` and the batches of `QuotedPaths` any Keras optimizer trains the SDE,
    by `fit` or by `hedgezoo.training.fit`. A training step whose loss or gradient is not finite is
    taken back: weights and optimizer are those of the step before.

    Args:
        dynamics: A `NeuralSDE` under the pricing measure.
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        control: None, `"black_scholes"` or `"hedge"`, see
            `hedgezoo.neural_sde.control_variates`.
        **kwargs: Of `keras.Model`.

    Attributes:
        skipped: Four integers: steps that were taken back; of these the last ones in a row; the
            number of the first one; and its paths that were not finite.

    Call arguments:
        inputs: Dictionary of `increments` `(B, T, k)` and, with features, `features`.
        training: Whether units are dropped.

    Output shape:
        Payoffs out of the money `(B, N)`; with a control `(B, N, 2)`, the control second.

    Raises:
        ValueError: If an argument is unknown, or the dynamics have a drift.

    Example:

    >>> from hedgezoo import NeuralSDE
    >>> from hedgezoo.datasets import SurfaceQuotes
    >>> from hedgezoo.neural_sde.objective import QuoteError, quote_weights
    >>> from hedgezoo.neural_sde.quoted_paths import QuotedPaths
    >>> quotes = SurfaceQuotes([0.9, 1.0, 1.1], [0.5, 0.5, 0.5], [0.25, 0.22, 0.2])
    >>> dynamics = NeuralSDE(units=(8,), maturities=[0.5])
    >>> model = PricedQuotes(dynamics, quotes)
    >>> model.compile("adam", loss=QuoteError(quote_weights(quotes)))
    >>> batches = QuotedPaths(dynamics, quotes).batches(batch_size=256, steps=2, seed=0)
    >>> history = model.fit(batches, verbose=0)
    >>> sorted(history.history)
    ['error_bp', 'loss']
    """

    def __init__(self, dynamics, quotes, control=None, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        if not dynamics.risk_neutral:
            raise ValueError(
                "`dynamics` must be under the pricing measure. "
                f"Received: a model of kind {dynamics.kind!r}"
            )
        self.dynamics = dynamics
        self.quotes = quotes
        self.control = control
        # a non-finite path is a step to take back, not an error
        self.changes = {"check_finite": False, **dynamics.draws_for(quotes.expiries)}
        rollout = dynamics.rollout(quotes.expiries, **self.changes)
        self.maturity_steps = rollout.maturity_steps
        self.control_layer = make_control(control, quotes, rollout)
        self.error = RootOfMean(name="error_bp")
        self.skipped = self.add_weight(
            name="skipped",
            shape=(4,),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        if self.trains_control:
            self.control_layer.build()

    @property
    def trains_control(self):
        """Whether the control variate has weights of its own."""
        return self.control_layer is not None and self.control_layer.trains

    @property
    def loss_control(self):
        """How `QuoteError` takes the control variate."""
        return {None: None, "black_scholes": "regression", "hedge": "fixed"}[self.control]

    def build(self, input_shape=None):
        self.dynamics.build()
        self.built = True

    def call(self, inputs, training=False):
        increments = inputs["increments"]
        changes = dict(self.changes)
        if self.trains_control:
            changes["output"] = "path"
        states = self.dynamics.states_at(
            increments, self.quotes.expiries, inputs.get("features"), training, **changes
        )
        control = None
        if self.control_layer is not None:
            control = self.control_layer(states, tf.convert_to_tensor(increments))
        if self.trains_control:
            states = tf.gather(states, self.maturity_steps, axis=1)
        spot = tf.gather(tf.exp(states[:, :, 0]), self.quotes.expiry_index, axis=1)
        payoff = payoffs(spot, self.quotes)
        return payoff if control is None else tf.stack([payoff, control], axis=-1)

    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = self._compute_loss(x=x, y=y, y_pred=predicted, training=True)
        weights = self.trainable_variables
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        gradients = [
            tf.zeros_like(weight.value) if gradient is None else tf.convert_to_tensor(gradient)
            for gradient, weight in zip(gradients, weights, strict=True)
        ]
        finite = [tf.reduce_all(tf.math.is_finite(part)) for part in (loss, *gradients)]
        lost = tf.reduce_any(~tf.math.is_finite(predicted), axis=tf.range(1, tf.rank(predicted)))
        lost = tf.reduce_sum(tf.cast(lost, tf.int64))
        bad = tf.cast(~tf.reduce_all(finite), tf.int64)
        bad, lost = tf.unstack(sum_over_replicas(tf.stack([bad, lost])))
        good = tf.equal(bad, 0)
        if not self.optimizer.built:
            self.optimizer.build(weights)
        guarded_apply(self.optimizer, gradients, weights, good)
        self._count(good, lost)
        replicas = tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, loss.dtype)
        return self._log(loss * replicas, good, tf.shape(predicted)[0])

    def test_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        predicted = self(x, training=False)
        loss = self._compute_loss(x=x, y=y, y_pred=predicted, training=False)
        replicas = tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, loss.dtype)
        return self._log(loss * replicas, True, tf.shape(predicted)[0])

    def _count(self, good, lost):
        total, row, first, paths = tf.unstack(tf.convert_to_tensor(self.skipped.value))
        skip = tf.cast(~good, tf.int64)
        new = tf.equal(total, 0) & ~good
        step = tf.cast(self.optimizer.iterations.value, tf.int64) + total
        counts = [
            total + skip,
            (row + skip) * skip,
            tf.where(new, step, first),
            tf.where(new, lost, paths),
        ]
        self.skipped.assign(tf.stack(counts))

    def _log(self, loss, good, paths):
        """Updates the logs, to which a step that was taken back does not belong."""
        count = tf.where(good, tf.cast(paths, loss.dtype), 0.0)
        loss = tf.where(good, loss, tf.zeros_like(loss))
        self._loss_tracker.update_state(loss, sample_weight=count)
        self.error.update_state(loss, sample_weight=count)
        return self.get_metrics_result()

    def get_config(self):
        return {
            "dynamics": keras.saving.serialize_keras_object(self.dynamics),
            "quotes": self.quotes.get_config(),
            "control": self.control,
        }


class RootOfMean(keras.metrics.Mean):
    """Root of a mean of squares: the error in basis points of a loss in their square."""

    def result(self):
        return keras.ops.sqrt(super().result())
