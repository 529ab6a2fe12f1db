"""Do nothing: what any hedge has to beat."""

import keras
import tensorflow as tf

from hedgezoo.band_hedge import BandHedge


@keras.saving.register_keras_serializable(package="hedgezoo")
class Naked(BandHedge):
    """Never trades.

    Args:
        features, strike, call, volatility, cost, risk_aversion, maturity: As in `HedgeModel`.
        **kwargs: Of `keras.Model`.

    Example:

    >>> [float(edge) for edge in Naked().band(1.0, 20 / 250)]
    [0.0, 0.0]
    """

    def bands(self, features):
        nothing = tf.zeros_like(features[..., :1])
        return nothing, nothing
