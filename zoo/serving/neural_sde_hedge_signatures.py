"""What a served neural SDE with a hedge answers: prices, coefficients, and positions."""

import numpy as np
import tensorflow as tf

from hedgezoo.serving.neural_sde_signatures import neural_sde_signatures
from hedgezoo.serving.saved_model import Signature


def neural_sde_hedge_signatures(model):
    """The signatures of a `JointNeuralSDEHedge`.

    - `coefficients`, `price` and `serving_default`: those of its neural SDE.
    - `hedge`: `spot` `(B,)` and `strike` `(B,)`, divided by the forward, `time` `(B,)` and
      `maturity` `(B,)` in years from the calibration and, with a latent factor, `factor` `(B,)`, to
      `call_position` and `put_position` `(B,)`: units of the forward that hedge one sold option.
      Zero from the maturity on; NaN where spot, strike or maturity is not positive, or the time
      is negative.

    Args:
        model: A `JointNeuralSDEHedge`.

    Returns:
        Dictionary from name to `Signature`.
    """
    latent = model.sde.states > 1

    def hedge(spot, time, strike, maturity, *factor):
        good = (spot > 0) & (strike > 0) & (maturity > 0) & (time >= 0)
        safe = [tf.where(good, x, tf.ones_like(x)) for x in (spot, time, strike, maturity)]
        nowhere = tf.fill(tf.shape(spot), tf.constant(np.nan, spot.dtype))

        def position(call):
            found = model.hedge(*safe, *factor, call=call)
            return tf.where(good, tf.cast(found, spot.dtype), nowhere)

        return {"call_position": position(True), "put_position": position(False)}

    last = model.quotes.maturities[-1]
    example = {
        "spot": np.array([0.95, 1.05]),
        "time": np.array([0.0, 0.25]) * last,
        "strike": np.array([1.0, 1.1]),
        "maturity": np.array([0.5, 1.0]) * last,
        **({"factor": np.array([0.0, 0.1])} if latent else {}),
    }
    specs = tuple(tf.TensorSpec((None,), tf.float32, name) for name in example)
    return {**neural_sde_signatures(model.sde), "hedge": Signature(hedge, specs, example)}
