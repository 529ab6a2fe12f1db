"""What a served change of measure answers: the density of whole paths."""

import numpy as np
import tensorflow as tf

from hedgezoo.serving.saved_model import Signature


def measure_signatures(model):
    """The signature `log_density` of a `RiskNeutralMeasure`, which is also `serving_default`.

    `features` `(B, T, F)`, `price` `(B, T+1, D)` or `unit_gain` `(B, T, D)`,
    and `cost` `(B, T, D)` to `log_density` and `gains` `(B,)`. T is free, unless the policy has
    an intercept for each date.

    Args:
        model: A `RiskNeutralMeasure`.

    Returns:
        Dictionary from name to `Signature`.
    """
    model.build()
    traded = model.convention or "price"
    dtype, steps, count = model.compute_dtype, model.steps, model.instruments
    extra = 1 if traded == "price" else 0

    def spec(name, dates, last):
        return tf.TensorSpec((None, dates, last), dtype, name)

    def log_density(features, values, cost):
        gains = model({"features": features, traded: values, "cost": cost})
        return {
            "log_density": -gains - tf.cast(model.log_normaliser, gains.dtype),
            "gains": gains,
        }

    specs = (
        spec("features", steps, model.width),
        spec(traded, None if steps is None else steps + extra, count),
        spec("cost", steps, count),
    )
    # two paths of an ordinary size, features within a standard deviation
    dates = 2 if steps is None else steps
    mean, scale = (
        tf.convert_to_tensor(weight).numpy() for weight in (model.feature_mean, model.feature_scale)
    )
    values = np.linspace(-0.01, 0.01, 2 * (dates + extra)).reshape(2, dates + extra, 1)
    example = {
        "features": mean + scale * np.linspace(-1, 1, 2 * dates).reshape(2, dates, 1),
        traded: extra + values * np.ones(count),
        "cost": np.full((2, dates, count), 1e-3),
    }
    signature = Signature(log_density, specs, example)
    return {"log_density": signature, "serving_default": signature}
