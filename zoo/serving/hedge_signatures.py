"""What a served hedging model answers: one step, whole paths, and the derivatives of a step."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers.hedge_features import FEATURES, hedge_features
from hedgezoo.layers.trading_gains import trading_gains
from hedgezoo.serving.saved_model import Signature


def hedge_signatures(model):
    """The signatures of a `HedgeModel` with one instrument.

    - `serving_default`, one hedge step: `features` `(B, F)` and `position` `(B, 1)` to what
      `model.step` returns: the new `position` `(B, 1)` and, of a band, `lower` and `upper`.
    - `rollout`, whole paths from no position: `features` `(B, T, F)`, `price` `(B, T+1, 1)` and
      `cost` `(B, T, 1)` to `positions` `(B, T, 1)` and `gains` `(B,)`.
    - `sensitivities`, derivatives of one step: inputs as for `serving_default`, to
      `position_gradient` (and `lower_gradient`, `upper_gradient`) `(B, F)` with respect to the
      features, and `position_feedback` `(B, 1)` of the new position with respect to the old.

    Args:
        model: A `HedgeModel`.

    Returns:
        Dictionary from name to `Signature`.

    Raises:
        ValueError: If the model holds more than one instrument.
    """
    dtype, width = model.compute_dtype, len(model.feature_names)

    def spec(name, *shape):
        return tf.TensorSpec((None, *shape), dtype, name)

    features, position = spec("features", width), spec("position", 1)
    example = _example(model)
    now = {
        "features": example["features"][:, 0],
        "position": np.array([[0.0], [0.5]], dtype),
    }
    outputs = model.step(tf.constant(now["features"]), tf.constant(now["position"]))
    if outputs["position"].shape[-1] != 1:
        raise ValueError(
            "the signatures are those of one instrument. Received: a model whose positions have "
            f"shape {tuple(outputs['position'].shape)}"
        )

    def rollout(features, price, cost):
        positions = model.positions({"features": features, "price": price, "cost": cost})
        return {
            "positions": positions,
            "gains": trading_gains(positions, price=price, cost=cost),
        }

    def sensitivities(features, position):
        # within the graph: a gradient of a loaded SavedModel is not always possible
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([features, position])
            outputs = model.step(features, position)

        def gradient(output, source):
            return tape.gradient(output, source, unconnected_gradients="zero")

        return {
            **{f"{name}_gradient": gradient(value, features) for name, value in outputs.items()},
            "position_feedback": gradient(outputs["position"], position),
        }

    return {
        "serving_default": Signature(model.step, (features, position), now),
        "rollout": Signature(
            rollout,
            (spec("features", None, width), spec("price", None, 1), spec("cost", None, 1)),
            example,
        ),
        "sensitivities": Signature(sensitivities, (features, position), now),
    }


def _example(model):
    """Two paths with two decisions, one from at the money and one from below."""
    dtype, constants = model.compute_dtype, model.constants
    price = model.strike * np.array([[1.0, 1.01, 1.02], [0.98, 0.97, 0.99]])[..., None]
    known = [name for name in model.feature_names if name in FEATURES]
    columns = hedge_features(
        price,
        model.maturity * np.array([1.0, 0.5]),
        known,
        strike=model.strike,
        position=0.0,
        **constants,
    ).numpy()
    # a feature of the user's own has no known value, but zero has the right type
    features = np.zeros((*columns.shape[:2], len(model.feature_names)))
    features[..., [model.feature_names.index(name) for name in known]] = columns
    return {
        "features": features.astype(dtype),
        "price": price.astype(dtype),
        "cost": (constants["cost"] * price[:, :-1]).astype(dtype),
    }
