"""Strategies that trade only when the position leaves a band."""

import tensorflow as tf

from hedgezoo.hedge_model import HedgeModel
from hedgezoo.layers.clamp_band import clamp_band


class BandHedge(HedgeModel):
    """A strategy that is a band: δ_t = clamp(δ_{t−1}; lower_t, upper_t), δ_{−1} = 0.

    The band depends on the market and not on the position, so all of it is computed at once; see
    `hedgezoo.layers.clamp_band` for how positions follow. Subclasses implement `bands`.
    """

    def bands(self, features):
        """Lower and upper edge, each `(..., D)`, from features `(..., F)`."""
        raise TypeError(f"{type(self).__name__} does not say what its band is")

    def positions(self, inputs):
        lower, upper = self.bands(inputs["features"])
        return clamp_band(lower, upper)

    def step(self, features, position):
        """One hedge step.

        Args:
            features: Tensor `(B, F)`.
            position: Tensor `(B, D)`, units held before the step.

        Returns:
            Dictionary of `position`, `lower` and `upper`, each `(B, D)`.
        """
        lower, upper = self.bands(features)
        moved = clamp_band(lower[:, None, :], upper[:, None, :], initial=position)
        return {"position": moved[:, 0, :], "lower": lower, "upper": upper}

    def band(self, spot, time_to_expiry, **market):
        """The no-transaction band at given market states.

        Args:
            spot: Prices, money; broadcasts with every other argument.
            time_to_expiry: Years.
            **market: `strike`, `volatility`, `cost`, `risk_aversion`, `maximum`, `minimum`;
                whatever is left out has the value the model was made for.

        Returns:
            Tensors `(lower, upper)` of the broadcast shape, units of the underlying.

        Raises:
            ValueError: See `HedgeModel.assemble`.
        """
        features = self.assemble(spot, time_to_expiry, **market)
        lower, upper = self.bands(tf.reshape(features, (-1, features.shape[-1])))
        shape = features.shape[:-1]
        return tf.reshape(lower[:, 0], shape), tf.reshape(upper[:, 0], shape)
