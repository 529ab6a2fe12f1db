"""Rebalance to the Black-Scholes delta at every date, whatever it costs."""

import keras

from hedgezoo.band_hedge import BandHedge


@keras.saving.register_keras_serializable(package="hedgezoo")
class DeltaHedge(BandHedge):
    """The Black-Scholes delta: a band of width zero.

    Args:
        features, strike, call, volatility, cost, risk_aversion, maturity: As in `HedgeModel`.
        **kwargs: Of `keras.Model`.

    Example:

    >>> lower, upper = DeltaHedge().band(1.0, 20 / 250)
    >>> print(f"{float(lower):.4f}", float(lower) == float(upper))
    0.5113 True
    """

    def bands(self, features):
        delta = self.delta(features)[..., None]
        return delta, delta
