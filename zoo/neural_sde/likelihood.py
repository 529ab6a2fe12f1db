"""Likelihood of a daily history under a neural SDE: Gaussian, one Euler step per day."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_positive
from hedgezoo.datasets.market import simulated_batches
from hedgezoo.datasets.shuffle import shuffled_rows

_LOG_2_PI = float(np.log(2.0 * np.pi))


@keras.saving.register_keras_serializable(package="hedgezoo")
class GaussianEuler(keras.losses.Loss):
    """Negative log-likelihood of increments Δ under Δ ~ N(m h, L Lᵀ h).

    `½ k log 2π + Σ log L_ii + ½ |L⁻¹ (Δ - m h)|² / h`, the density being that of Δ / √h, so that
    it does not depend on the unit of time.

    Args:
        time_step: h in years.
        **kwargs: Of `keras.losses.Loss`.

    Input shape:
        Increments `(B, k)`; and, as the prediction, the drift m followed by the rows of the lower
        triangle of L, `(B, k + k(k + 1)/2)`, see `pack`.

    Output shape:
        One value per day, `(B,)`, before the reduction.

    Raises:
        ValueError: If the time step is not positive, or the widths do not fit.

    Example:

    >>> loss = GaussianEuler(time_step=0.25)
    >>> print(loss(np.array([[0.1]]), np.array([[0.0, 0.2]])).numpy().round(4))
    -0.1905
    """

    def __init__(self, time_step=1 / 252, **kwargs):
        super().__init__(**{"name": "gaussian_euler", **kwargs})
        check_positive("time_step", time_step)
        self.time_step = float(time_step)

    def call(self, y_true, y_pred):
        y_pred = tf.convert_to_tensor(y_pred)
        increments = tf.cast(y_true, y_pred.dtype)
        count = increments.shape[-1]
        if y_pred.shape[-1] != count + count * (count + 1) // 2:
            raise ValueError(
                "`y_pred` must have k + k(k + 1)/2 columns for `y_true` with k. "
                f"Received: shapes {tuple(y_pred.shape)} and {tuple(increments.shape)}"
            )
        root = self.time_step**0.5
        rest = increments / root - y_pred[:, :count] * root
        entries = iter(tf.unstack(y_pred[:, count:], axis=-1))
        shocks, value = [], 0.5 * count * _LOG_2_PI
        for row in range(count):
            left = rest[:, row]
            for shock in shocks:
                left -= next(entries) * shock
            scale = next(entries)
            shocks.append(left / scale)
            value += tf.math.log(scale) + 0.5 * tf.square(shocks[-1])
        return value

    def get_config(self):
        return {**super().get_config(), "time_step": self.time_step}


def pack(drift, factor):
    """Drift `(B, k)` and Cholesky factor `(B, k, k)` as one prediction `(B, k + k(k + 1)/2)`."""
    rows = [factor[:, row, : row + 1] for row in range(factor.shape[1])]
    return tf.concat([drift, *rows], axis=-1)


@keras.saving.register_keras_serializable(package="hedgezoo")
class DailyCoefficients(keras.Model):
    """What a historical `NeuralSDE` says of the next day, as a model that Keras can fit.

    Compile it with `GaussianEuler` and fit it to the days of a `Transitions`; the networks are
    those of the neural SDE, which is fitted with it.

    Args:
        model: A `NeuralSDE` of kind `"historical"`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: States `(B, d)`.

    Output shape:
        Drift and Cholesky factor of log S and, with an index, of its logarithm, see `pack`.

    Raises:
        ValueError: If the model is of another kind.
    """

    def __init__(self, model, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        if getattr(model, "kind", None) != "historical":
            raise ValueError(
                "`model` must be a NeuralSDE of kind 'historical'. "
                f"Received: {getattr(model, 'kind', model)!r}"
            )
        self.model = model

    def build(self, input_shape=None):
        if self.built:
            return
        self.model.build()
        self.built = True

    def call(self, inputs, training=False):
        network = self.model.network
        scales = network.unit_scales() if training else None
        drift, factor = network.coefficients(inputs, scales)
        # of log S, not of S
        first = drift[:, :1] - 0.5 * tf.square(factor[:, 0, :1])
        return pack(tf.concat([first, drift[:, 1:]], axis=1), factor)

    def get_config(self):
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})


@dataclasses.dataclass(frozen=True, eq=False)
class Transitions:
    """Days of a history in a new order every epoch, as batches of (state, increments).

    Day i of the order belongs to (seed, i) alone, so that a resumed training sees the same days.

    Args:
        states: State at the beginning of each day, `(N, d)`.
        increments: What is observed to change until the next day, `(N, k)`.

    Raises:
        ValueError: If the shapes do not fit.
    """

    states: np.ndarray
    increments: np.ndarray

    def __post_init__(self):
        for name in ("states", "increments"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32))
        if self.states.ndim != 2 or self.increments.shape[:1] != self.states.shape[:1]:
            raise ValueError(
                "`states` (N, d) and `increments` (N, k) must have a row per day. "
                f"Received: shapes {self.states.shape} and {self.increments.shape}"
            )

    @classmethod
    def of(cls, history, memory):
        """All days of a `DailyHistory`, seen by a memory of `historical_memory`."""
        states = memory.states_of(history)
        observed = states[:, : memory.observed]
        return cls(states[:-1], np.diff(observed, axis=0))

    def __len__(self):
        return len(self.states)

    def batch(self):
        """All days as a data set of one batch."""
        return tf.data.Dataset.from_tensors((self.states, self.increments))

    def select(self, rows):
        """The days of a slice or of booleans `(N,)`."""
        return Transitions(self.states[rows], self.increments[rows])

    def simulate(self, seed, paths, first_path=0):
        """Days `first_path ... first_path + paths - 1` of the shuffled order.

        Args:
            seed: Integer or scalar integer tensor; None for the order of time.
            paths: Number of days B.
            first_path: Position of the first one, an integer or a scalar integer tensor.

        Returns:
            Tuple of states `(B, d)` and increments `(B, k)`.
        """
        rows = shuffled_rows(seed, paths, first_path, len(self))
        return tf.gather(tf.constant(self.states), rows), tf.gather(
            tf.constant(self.increments), rows
        )

    def batches(self, batch_size, steps, seed, first_step=0):
        """Batches for `model.fit`, see `hedgezoo.datasets.Market.batches`."""
        return simulated_batches(self.simulate, batch_size, steps, seed, first_step)


def mean_loss(trained, days):
    """Mean negative log-likelihood per day of a `DailyCoefficients` on `Transitions`."""
    loss = GaussianEuler(trained.model.network.memory.time_step)
    return float(loss(days.increments, trained(days.states)))
