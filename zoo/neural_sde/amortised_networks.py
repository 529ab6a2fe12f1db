"""One network for the local volatilities of many surfaces."""

import keras
import tensorflow as tf

from hedgezoo.neural_sde.coefficient_networks import LocalVolatility

_LOWEST_LEVEL = 1e-3  # a volatility at the money below it counts as this


@keras.saving.register_keras_serializable(package="hedgezoo")
class AmortisedVolatility(LocalVolatility):
    """σ(x, t; features) in units of the volatility at the money, which is the first feature.

    With a that feature, `σ = a · r(x / (a √t), t, features)`: what the network has to learn is the
    shape of a surface, and surfaces of all levels look alike to it. r lies between
    `bounds / volatility`.

    Args:
        **kwargs: Of `CoefficientNetwork`; `features` is one or more.

    Call arguments:
        state: x, `(B, 1)`.
        time: Years, `(B, 1)`.
        features: Market features `(B, f)`, the first one the volatility at the money per √year.
        unit_scales: Optional factors per hidden unit, see `CoefficientNetwork.unit_scales`.

    Output shape:
        σ, `(B, 1)`.

    Raises:
        ValueError: If there are no features.

    Example:

    >>> network = AmortisedVolatility(units=(8,), features=1, volatility=0.2, seed=1)
    >>> sigma = network(tf.zeros((2, 1)), tf.ones((2, 1)), tf.constant([[0.1], [0.4]]))
    >>> bool(tf.reduce_all(tf.abs(sigma[:, 0] / [0.1, 0.4] - 1.0) < 0.3))
    True
    """

    evaluation = ("hedgezoo.neural_sde.amortised_report", "evaluate_surfaces", 2**8)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if self.features < 1:
            raise ValueError(
                "`features` must name one market feature or more, the volatility at the money "
                f"first. Received: {self.features} features"
            )

    def columns(self, state, time, features=None):
        return super().columns(self._at_usual_level(state, features), time, features)

    def call(self, state, time, features=None, unit_scales=None):
        ratio = super().call(state, time, features, unit_scales)
        return ratio * tf.cast(features[:, :1] / self.volatility, ratio.dtype)

    def _at_usual_level(self, state, features):
        """x where it would be at the volatility before training, in the same deviation."""
        if features is None:
            raise ValueError("`features` must be given. Received: None")
        level = tf.cast(features[:, :1], state.dtype)
        return state * (self.volatility / tf.maximum(level, _LOWEST_LEVEL))
