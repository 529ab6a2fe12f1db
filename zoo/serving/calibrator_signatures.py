"""What a served calibrator answers: parameters of quotes, prices of parameters, derivatives."""

import numpy as np
import tensorflow as tf

from hedgezoo.heston_calibrator.pricing import price, sensitivities
from hedgezoo.serving.saved_model import Signature

# of the example, and of the model it is made from; the jumps only for Bates
_STRIKES, _YEARS = (0.8, 0.9, 1.0, 1.1, 1.2), (0.25, 1.0, 2.0)
_PARAMETERS = (
    (2.0, 0.06, 0.5, -0.6, 0.04, 0.8, -0.12, 0.15),
    (1.0, 0.1, 0.8, -0.4, 0.06, 1.5, -0.08, 0.2),
)
_NUMBERS = ("parameters", "standard_error", "implied_volatility", "noise", "quantiles")


def calibrator_signatures(model):
    """The signatures of a `HestonCalibrator`; B, m and n are free, or m and n are the network's.

    - `serving_default`: `implied_volatility`, `strikes` and `spread` `(B, m, n)`, `maturities`
      `(B, m)`, `mask` `(B, m, n)` (true where there is a quote; what stands elsewhere does not
      matter) to `parameters` and `standard_error` `(B, p)`, `implied_volatility` `(B, m, n)` of the
      calibrated model, `noise` `(B,)`, the estimated deviation of a quote in volatility, and
      `converged` `(B,)`; with a quantile head also `quantiles` `(B, q, p)`, parameters that
      `price` turns into surfaces. float32, computed in float64 where it matters.
    - `price`: `parameters` `(B, p)`, `strikes` `(B, m, n)`, `maturities` `(B, m)` to `calls`,
      undiscounted per unit of forward, and `implied_volatility`, both `(B, m, n)`, 0 where an
      option is worthless. float64.
    - `sensitivities`: the same inputs to `calls`, `jacobian`, `implied_volatility_jacobian`,
      `delta`, `gamma` and `vega`, see `hedgezoo.heston_calibrator.pricing.sensitivities`; 0
      instead of NaN. float64.

    Args:
        model: A `HestonCalibrator`.

    Returns:
        Dictionary from name to `Signature`.
    """
    model.build()
    p = len(model.names)
    fixed = model.strikes is not None
    strikes = np.asarray(model.strikes if fixed else _STRIKES)
    years = np.asarray(model.maturities if fixed else _YEARS)
    m, n = (len(years), strikes.shape[-1]) if fixed else (None, None)

    def spec(name, *shape, dtype=tf.float32):
        return tf.TensorSpec((None, *shape), dtype, name)

    def calibrate(implied_volatility, strikes, maturities, mask, spread):
        inputs = {
            "implied_volatility": implied_volatility,
            "strikes": strikes,
            "maturities": maturities,
            "mask": mask,
            "spread": spread,
        }
        found = model(inputs, training=False)
        numbers = {name: tf.cast(found[name], tf.float32) for name in _NUMBERS if name in found}
        return {**numbers, "converged": found["converged"]}

    def price_calls(parameters, strikes, maturities):
        return _finite(price(parameters, strikes, maturities))

    def differentiate(parameters, strikes, maturities):
        return _finite(sensitivities(parameters, strikes, maturities))

    panels = (
        spec("implied_volatility", m, n),
        spec("strikes", m, n),
        spec("maturities", m),
        spec("mask", m, n, dtype=tf.bool),
        spec("spread", m, n),
    )
    grids = (
        spec("parameters", p, dtype=tf.float64),
        spec("strikes", None, None, dtype=tf.float64),
        spec("maturities", None, dtype=tf.float64),
    )
    parameters = np.array(_PARAMETERS)[:, :p]
    request = _panel_example(parameters, strikes, years)
    asked = {name: request[name] for name in ("strikes", "maturities")}
    asked["parameters"] = parameters
    return {
        "serving_default": Signature(calibrate, panels, request),
        "price": Signature(price_calls, grids, asked),
        "sensitivities": Signature(differentiate, grids, asked),
    }


def _finite(outputs):
    """0 instead of NaN, which JSON does not know."""
    return {
        name: tf.where(tf.math.is_nan(value), tf.zeros_like(value), value)
        for name, value in outputs.items()
    }


def _panel_example(parameters, strikes, years):
    """Two panels of exact quotes, one of which misses a quote."""
    strikes = np.tile(np.broadcast_to(strikes, (len(years), strikes.shape[-1])), (2, 1, 1))
    maturities = np.tile(years, (2, 1))
    mask = np.ones(strikes.shape, bool)
    mask[1, 0, 0] = False
    volatility = price(parameters, strikes, maturities)["implied_volatility"].numpy()
    return {
        "implied_volatility": np.where(mask, volatility, 0.0),
        "strikes": strikes,
        "maturities": maturities,
        "mask": mask,
        "spread": np.where(mask, 1e-3, 0.0),
    }
