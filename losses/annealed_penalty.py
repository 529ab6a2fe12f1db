"""A penalty beside any loss, with a weight that falls from epoch to epoch."""

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="hedgezoo")
class AnnealedPenalty(keras.losses.Loss):
    """A loss plus λ_t times a penalty of the prediction, with λ_t = λ₀ decay^(t-1) in epoch t.

    One value per sample b: loss(y_true_b, y_pred_b) + λ_t penalty(y_pred_b). The weight λ_t is a
    variable that no optimizer trains. The callback moves it, so pass `loss.callback()` to `fit`;
    without it the weight stays where it is, which is λ₀ in a new loss. The callback sets the weight
    from the number of the epoch, so a resumed run goes on with the right one, and it puts it into
    the logs and the history.

    A saved model (`.keras`, `.weights.h5`) and a checkpoint of `hedgezoo.training.fit` carry the
    weight. The validation loss contains it too: since it falls, compare models of different epochs
    by a metric without it.

    Args:
        loss: Keras loss, name of one, or function `(y_true, y_pred)`; if it leaves more axes than
            that of the samples, their mean is taken.
        penalty: Callable from `y_pred` to a tensor `(B,)`, such as `layers.NoArbitragePenalty`.
        initial_weight: λ₀ ≥ 0.
        decay: Factor in (0, 1] from one epoch to the next.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computations.

    Call arguments:
        y_true: Targets `(B, ...)`.
        y_pred: Predictions `(B, ...)`.

    Raises:
        ValueError: If `initial_weight` is negative, `decay` is outside (0, 1], `loss` or `penalty`
            cannot be called, or (when called) the penalty is not one number per sample.

    Example:

    >>> from hedgezoo.layers import NoArbitragePenalty
    >>> penalty = NoArbitragePenalty([0.9, 1.0, 1.1], [0.5, 1.0])
    >>> loss = AnnealedPenalty("mse", penalty, initial_weight=1000.0, decay=0.96)
    >>> round(loss.weight_in(epoch=1), 2)
    960.0
    >>> crossing = tf.constant([[[0.05, 0.05, 0.05], [0.04, 0.04, 0.04]]])
    >>> round(float(loss(crossing, crossing)), 3)
    4.347

    Reference:
        Song, "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
        equation (12) and section 4.2, with λ₀ = 1000 and decay 0.96.
    """

    def __init__(
        self,
        loss,
        penalty,
        initial_weight=1000.0,
        decay=0.96,
        reduction="sum_over_batch_size",
        name="annealed_penalty",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.initial_weight = _number("initial_weight", initial_weight)
        if self.initial_weight < 0:
            raise ValueError(
                f"`initial_weight` must not be negative. Received: {self.initial_weight}"
            )
        self.decay = _number("decay", decay)
        if not 0 < self.decay <= 1:
            raise ValueError(f"`decay` must lie in (0, 1]. Received: {self.decay}")
        if not callable(penalty):
            raise ValueError(
                "`penalty` must be callable: y_pred to one number per sample. "
                f"Received: {penalty!r}"
            )
        self.loss = keras.losses.get(loss)
        if not callable(self.loss):
            raise ValueError(f"`loss` must be a Keras loss or a function. Received: {loss!r}")
        self.penalty = penalty
        with tf.init_scope():
            self._weight = tf.Variable(
                self.initial_weight, trainable=False, dtype=self._wide, name="penalty_weight"
            )

    @property
    def _wide(self):
        return "float64" if self.dtype == "float64" else "float32"

    @property
    def weight(self):
        """The weight λ_t that is in force, a Python float."""
        return float(self._weight.numpy())

    @property
    def variables(self):
        """The `tf.Variable`s that a checkpoint of a training run has to include."""
        return [self._weight, *getattr(self.loss, "variables", ())]

    def weight_in(self, epoch):
        """The weight of an epoch, counted from 0 as Keras counts: λ₀ decay^epoch."""
        return self.initial_weight * self.decay**epoch

    def set_epoch(self, epoch):
        """Put the weight of an epoch, counted from 0, in force; what the callback does."""
        self._weight.assign(self.weight_in(epoch))

    def callback(self):
        """The `keras.callbacks.Callback` that moves this weight, for `fit`."""
        return PenaltyAnnealing(self)

    def call(self, y_true, y_pred):
        y_pred = tf.convert_to_tensor(y_pred)
        compare = self.loss.call if isinstance(self.loss, keras.losses.Loss) else self.loss
        values = tf.convert_to_tensor(compare(y_true, y_pred))
        if values.shape.rank == 0:
            raise ValueError(
                "`loss` must return at least one value per sample (B,), not one for the batch. "
                "Received: a scalar"
            )
        values = tf.reduce_mean(values, tf.range(1, tf.rank(values)))
        penalties = tf.convert_to_tensor(self.penalty(y_pred))
        batch = y_pred.shape[:1]
        if penalties.shape.rank != 1 or not penalties.shape.is_compatible_with(batch):
            raise ValueError(
                "`penalty` must return one number per sample, (B,). "
                f"Received: shape={penalties.shape} for y_pred.shape={y_pred.shape}"
            )
        weight = tf.convert_to_tensor(self._weight)
        total = tf.cast(values, self._wide) + weight * tf.cast(penalties, self._wide)
        return tf.cast(total, self.dtype)

    def save_own_variables(self, store):
        store["penalty_weight"] = self._weight.numpy()

    def load_own_variables(self, store):
        # files written by a model compiled with another loss hold nothing for this one
        if set(store.keys()) == {"penalty_weight"}:
            self._weight.assign(store["penalty_weight"][()])

    def get_config(self):
        return {
            **super().get_config(),
            "loss": keras.saving.serialize_keras_object(self.loss),
            "penalty": keras.saving.serialize_keras_object(self.penalty),
            "initial_weight": self.initial_weight,
            "decay": self.decay,
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config):
        nested = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("loss", "penalty")
        }
        return cls(**{**config, **nested})


class PenaltyAnnealing(keras.callbacks.Callback):
    """Sets the weight of every `AnnealedPenalty` at the beginning of each epoch, and logs it.

    The weight depends on the number of the epoch alone, so it is right after `initial_epoch`, after
    `BackupAndRestore` and after a resumption by `hedgezoo.training.fit`. The logs of each epoch
    contain it as `penalty_weight`; with several annealed losses, as `penalty_weight_0` and so on.

    Args:
        loss: The `AnnealedPenalty` to move. Default: all that the model is compiled with.

    Raises:
        ValueError: If `loss` is something else, or (when training begins) there is none.

    Example:

    >>> import keras
    >>> loss = AnnealedPenalty("mse", lambda y: tf.reduce_sum(y**2, -1), 8.0, decay=0.5)
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", loss=loss)
    >>> options = {"epochs": 3, "callbacks": [PenaltyAnnealing()], "verbose": 0}
    >>> model.fit(tf.ones((4, 1)), tf.ones((4, 1)), **options).history["penalty_weight"]
    [8.0, 4.0, 2.0]
    """

    def __init__(self, loss=None):
        super().__init__()
        if loss is not None and not isinstance(loss, AnnealedPenalty):
            raise ValueError(f"`loss` must be an AnnealedPenalty or None. Received: {loss!r}")
        self.loss = loss

    def on_train_begin(self, logs=None):
        if not self._losses():
            raise ValueError(
                "PenaltyAnnealing needs a model compiled with an AnnealedPenalty. "
                f"Received: loss={self.model.loss!r}"
            )

    def on_epoch_begin(self, epoch, logs=None):
        for loss in self._losses():
            loss.set_epoch(epoch)

    def on_epoch_end(self, epoch, logs=None):
        if logs is None:
            return
        losses = self._losses()
        for number, loss in enumerate(losses):
            logs["penalty_weight" if len(losses) == 1 else f"penalty_weight_{number}"] = loss.weight

    def _losses(self):
        if self.loss is not None:
            return [self.loss]
        compiled = keras.tree.flatten(self.model.loss)
        return [loss for loss in compiled if isinstance(loss, AnnealedPenalty)]


def _number(name, value):
    if isinstance(value, bool) or not np.isscalar(value) or not np.isreal(value):
        raise ValueError(f"`{name}` must be a number. Received: {value!r}")
    if not np.isfinite(value):
        raise ValueError(f"`{name}` must be finite. Received: {value!r}")
    return float(value)
