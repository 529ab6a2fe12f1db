"""Networks that see the current position: Buehler, Gonon, Teichmann and Wood (2019)."""

import keras
import tensorflow as tf

from hedgezoo.hedge_model import HedgeModel
from hedgezoo.layers.multilayer_perceptron import MultilayerPerceptron


@keras.saving.register_keras_serializable(package="hedgezoo")
class FeedForwardHedge(HedgeModel):
    """The comparison of the no-transaction-band paper: δ_t = Δ + tanh(MLP(features, δ_{t−1})).

    The position is an input, so the dates of a path are evaluated one after the other.

    Args:
        features: Names of the columns of `inputs["features"]`.
        hidden_units: Widths of the hidden layers.
        activation: Hidden activation.
        seed: Seed of the initial weights.
        **kwargs: Of `HedgeModel`.

    Reference:
        Buehler, Gonon, Teichmann, Wood, "Deep hedging", Quantitative Finance 19 (2019); with the
        Black-Scholes delta added as in Imaki et al., arXiv:2103.01775.
    """

    def __init__(
        self,
        features=("log_moneyness", "time_to_expiry", "volatility"),
        hidden_units=(32, 32, 32, 32),
        activation="relu",
        seed=0,
        **kwargs,
    ):
        super().__init__(features=features, **kwargs)
        self.seed = int(seed)
        self.network = MultilayerPerceptron(
            hidden_units,
            outputs=1,
            activation=activation,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="network",
        )

    def build(self, input_shape=None):
        if not self.network.built:
            self.network.build((None, len(self.feature_names) + 1))
        self.built = True

    def positions(self, inputs):
        features = tf.convert_to_tensor(inputs["features"])
        delta = self.delta(features)[..., None]
        position = tf.zeros_like(delta[:, 0])
        if features.shape[1] is not None:
            path = []
            for now, reference in zip(
                tf.unstack(features, axis=1), tf.unstack(delta, axis=1), strict=True
            ):
                position = self._next(now, reference, position)
                path.append(position)
            return tf.stack(path, axis=1)
        steps = tf.shape(features)[1]
        path = tf.TensorArray(features.dtype, steps, element_shape=position.shape)

        def trade(index, position, path):
            position = self._next(features[:, index], delta[:, index], position)
            return index + 1, position, path.write(index, position)

        *_, path = tf.while_loop(
            lambda index, *_: index < steps, trade, (tf.constant(0), position, path)
        )
        return tf.transpose(path.stack(), (1, 0, 2))

    def step(self, features, position):
        """One hedge step: features `(B, F)`, position `(B, 1)` to `{"position": (B, 1)}`."""
        return {"position": self._next(features, self.delta(features)[..., None], position)}

    def policy(self, spot, time_to_expiry, position, **market):
        """Next positions at given market states and current positions, all broadcasting.

        Args:
            spot: Prices, money.
            time_to_expiry: Years.
            position: Units held.
            **market: As in `HedgeModel.assemble`.

        Returns:
            Tensor of the broadcast shape, units of the underlying.
        """
        features = self.assemble(spot, time_to_expiry, **market)
        position = tf.cast(position, features.dtype)
        shape = tf.broadcast_static_shape(features.shape[:-1], position.shape)
        features = tf.broadcast_to(features, (*shape, features.shape[-1]))
        moved = self.step(
            tf.reshape(features, (-1, features.shape[-1])),
            tf.reshape(tf.broadcast_to(position, shape), (-1, 1)),
        )
        return tf.reshape(moved["position"], shape)

    def _next(self, features, delta, position):
        return delta + tf.tanh(self.network(tf.concat([features, position], axis=-1)))

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_units": self.network.hidden_units,
            "activation": keras.activations.serialize(self.network.activation),
            "seed": self.seed,
        }
