"""Models, markets and runs that test_training.py and its worker processes have in common."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from hedgezoo import training
from hedgezoo.datasets import BlackScholesMarket
from hedgezoo.losses import EntropicRisk
from hedgezoo.no_transaction_band import NoTransactionBand

EPOCHS, STEPS, BATCH = 3, 5, 16


@dataclasses.dataclass(frozen=True)
class TinyMarket:
    """Random walks of three steps; path i of a seed is the same wherever it is simulated."""

    volatility: float = 0.05
    pace: float = 1.0  # relative price of trading

    def simulate(self, seed, paths, first_path=0):
        index = tf.cast(first_path, tf.int64) + tf.range(paths, dtype=tf.int64)
        # a chaotic function of the index, vectorised, with the bits of no neighbour in it
        phase = tf.cast((index[:, None] * 7919 + [1, 2, 3]) * (seed + 12347) % 104729, "float32")
        walk = self.volatility * tf.cumsum(tf.sin(phase), axis=1)
        price = tf.exp(tf.pad(walk, ((0, 0), (1, 0))))[..., None]
        inputs = {
            "features": price[:, :-1] - 1.0,
            "price": price,
            "cost": 1e-3 * self.pace * price[:, :-1],
        }
        return inputs, tf.nn.relu(price[:, -1, 0] - 1.0)


@keras.saving.register_keras_serializable("hedgezoo_tests")
class TinyHedge(keras.Model):
    """Position = network(price); penalises weights (regularizer) and positions (`add_loss`)."""

    def __init__(self, units=4, dropout=0.0, added_loss=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.units, self.dropout, self.added_loss = units, dropout, added_loss
        self.hidden = keras.layers.Dense(
            units,
            "tanh",
            kernel_initializer=keras.initializers.GlorotUniform(1),
            kernel_regularizer=keras.regularizers.L2(1e-3),
        )
        self.drop = keras.layers.Dropout(dropout, seed=5) if dropout else None
        self.out = keras.layers.Dense(
            1,
            kernel_initializer=keras.initializers.GlorotUniform(2),
            activity_regularizer=keras.regularizers.L2(added_loss) if added_loss else None,
        )

    def call(self, inputs, training=False):
        hidden = self.hidden(inputs["features"])
        if self.drop is not None:
            hidden = self.drop(hidden, training=training)
        position = self.out(hidden)
        price = inputs["price"]
        trade = position - tf.pad(position[:, :-1], ((0, 0), (1, 0), (0, 0)))
        gains = position * (price[:, 1:] - price[:, :-1]) - tf.abs(trade) * inputs["cost"]
        return tf.reduce_sum(gains, (1, 2))

    def get_config(self):
        own = {"units": self.units, "dropout": self.dropout, "added_loss": self.added_loss}
        return {**super().get_config(), **own}


def tiny_model(strategy=None, optimizer=None, loss=None, model=None, **compile_options):
    """A compiled `TinyHedge`, the same every time; `optimizer` ... `model` make another part."""
    with (strategy or tf.distribute.get_strategy()).scope():
        model = (model or TinyHedge)()
        model.compile(
            optimizer() if optimizer else keras.optimizers.Adam(0.02),
            loss=loss() if loss else EntropicRisk(5.0),
            metrics=[keras.metrics.MeanMetricWrapper(absolute_error, name="error")],
            **compile_options,
        )
    return model


def absolute_error(y_true, y_pred):
    """One value per path; Keras' own would count a batch, not its paths."""
    return tf.abs(y_true - y_pred)


def band_model(strategy=None):
    """A compiled model of the zoo, the same every time."""
    with (strategy or tf.distribute.get_strategy()).scope():
        keras.utils.set_random_seed(0)
        model = NoTransactionBand(hidden_units=(4,), risk_aversion=5.0)
        model.compile(keras.optimizers.Adam(0.01), loss=EntropicRisk(5.0))
    return model


def weighted_batches():
    """The global batches of `TinyMarket` with sample weights, as an ordinary data set."""

    def batch(step):
        inputs, liability = TinyMarket().simulate(3, BATCH, step * BATCH)
        return inputs, liability, 1.0 + liability / 0.02

    return tf.data.Dataset.range(EPOCHS * STEPS).map(batch)


def share_of_batches(context):
    """Batches of one replica, from the pipeline of this worker."""
    share = weighted_batches().unbatch().batch(BATCH // context.num_replicas_in_sync)
    return share.shard(context.num_input_pipelines, context.input_pipeline_id)


def fit_case(case, strategy=None, **options):
    """Train one of the cases; what must not depend on the devices, as plain lists of floats."""
    market = TinyMarket()
    options = {"epochs": EPOCHS, "steps_per_epoch": STEPS, "strategy": strategy, **options}
    keyed = {"batch_size": BATCH, "seed": 3}
    model = band_model(strategy) if case == "band" else tiny_model(strategy)
    if case == "market":
        validation = market.simulate(9, 3 * BATCH)
        history = training.fit(model, market, validation_data=validation, **keyed, **options)
    elif case == "band":
        history = training.fit(model, BlackScholesMarket(steps=3), **keyed, **options)
    elif case == "dataset":
        validation = weighted_batches().take(2)
        history = training.fit(model, weighted_batches(), validation_data=validation, **options)
    elif case == "function":
        history = training.fit(model, share_of_batches, **options)
    return outcome(model, history)


def outcome(model, history):
    """Losses, metrics, weights and the intercept of the loss, as lists of floats."""
    return {
        **history.history,
        "weights": np.concatenate([np.ravel(w) for w in model.get_weights()]).tolist(),
        "intercept": [float(v.numpy()) for v in model.loss.variables],
    }


def assert_same(actual, expected, rtol=1e-6, atol=1e-7):
    assert actual.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values, rtol=rtol, atol=atol, err_msg=name)
