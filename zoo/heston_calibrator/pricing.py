"""Prices of calibrated models and everything that a desk differentiates them by."""

import tensorflow as tf

from hedgezoo.heston_calibrator.panel_quotes import SMALLEST_PRICE
from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.heston.call_derivatives import call_derivatives
from hedgezoo.layers.heston.pricer import bates_call, heston_call
from hedgezoo.layers.implied_volatility import implied_volatility
from hedgezoo.layers.normal import normal_pdf
from hedgezoo.layers.normalised_price import d1_of


def price(parameters, strikes, maturities):
    """Call prices and implied volatilities of Heston or Bates models, in float64.

    Args:
        parameters: `(B, 5)` of Heston models, `(B, 8)` of Bates models, see
            `hedgezoo.layers.heston_call` and `bates_call`.
        strikes: Divided by the forward, `(n,)`, `(m, n)` or `(B, m, n)`.
        maturities: Years, `(m,)` or `(B, m)`.

    Returns:
        Dictionary of `calls`, undiscounted per unit of forward, and `implied_volatility`, both
        `(B, m, n)`. NaN where the option out of the money is worth less than 1e-10: there is no
        volatility to that.

    Raises:
        ValueError: As `hedgezoo.layers.heston_call`.

    Example:

    >>> priced = price([[2.0, 0.04, 0.5, -0.7, 0.04]], [0.9, 1.0, 1.1], [1.0])
    >>> priced["implied_volatility"].numpy().round(4)
    array([[[0.2048, 0.1805, 0.1596]]])
    """
    parameters, strikes, maturities = _in_float64(parameters, strikes, maturities)
    calls = _pricer(parameters)(parameters, strikes, maturities)
    return {"calls": calls, "implied_volatility": _volatility(calls, strikes, maturities)}


def sensitivities(parameters, strikes, maturities):
    """Derivatives of call prices and of implied volatilities, in float64.

    All of prices per unit of forward, C(K, T) with K the strike divided by the forward F. The price
    in money is F C(k/F, T), of degree one in strike k and forward, so its derivatives by the
    forward at a fixed strike follow from those by K: delta = C - K C_K, gamma = K² C_KK / F.

    Args:
        parameters: `(B, p)`, p = 5 or 8, as in `price`.
        strikes: Divided by the forward, `(n,)`, `(m, n)` or `(B, m, n)`.
        maturities: Years, `(m,)` or `(B, m)`.

    Returns:
        Dictionary of

        - `calls` `(B, m, n)`;
        - `jacobian` `(B, m, n, p)`: derivatives of the calls in the parameters;
        - `implied_volatility_jacobian` `(B, m, n, p)`: of the implied volatilities; NaN where the
          option is worthless;
        - `delta` `(B, m, n)`: of a call, by the forward;
        - `gamma` `(B, m, n)`: second derivative by the forward, times the forward;
        - `vega` `(B, m, n)`: by the volatility now, √v₀.

    Raises:
        ValueError: As `hedgezoo.layers.heston_call`.

    Example:

    >>> greeks = sensitivities([[2.0, 0.04, 0.5, -0.7, 0.04]], [0.9, 1.0, 1.1], [1.0])
    >>> greeks["delta"].numpy().round(4)
    array([[[0.8058, 0.6276, 0.3722]]])
    """
    parameters, strikes, maturities = _in_float64(parameters, strikes, maturities)
    _pricer(parameters)
    found = call_derivatives(parameters, strikes, maturities)
    sigma = _volatility(found.calls, strikes, maturities)
    root_years = tf.sqrt(maturities)[..., tf.newaxis]
    d1 = d1_of(-tf.math.log(strikes), sigma * root_years)
    black_vega = normal_pdf(d1) * root_years
    by_root_variance = 2.0 * tf.sqrt(parameters[:, 4])[:, tf.newaxis, tf.newaxis]
    return {
        "calls": found.calls,
        "jacobian": found.jacobian,
        "implied_volatility_jacobian": found.jacobian / black_vega[..., tf.newaxis],
        "delta": found.calls - found.slope,
        "gamma": found.curvature,
        "vega": by_root_variance * found.jacobian[..., 4],
    }


def _in_float64(*arguments):
    """Each by itself: one of them in float32 must not round the others."""
    return [tf.cast(as_float_tensors(argument)[0], tf.float64) for argument in arguments]


def _pricer(parameters):
    """The function that prices the model with these parameters."""
    if parameters.shape.rank == 2 and parameters.shape[-1] == 5:
        return heston_call
    if parameters.shape.rank == 2 and parameters.shape[-1] == 8:
        return bates_call
    raise ValueError(
        "`parameters` must have shape (B, 5) (Heston) or (B, 8) (Bates). "
        f"Received: shape={tuple(parameters.shape)}"
    )


def _volatility(calls, strikes, maturities):
    """Implied volatilities, NaN where the price does not determine one."""
    time_value = calls - tf.nn.relu(1.0 - strikes)
    worth = time_value > SMALLEST_PRICE * tf.minimum(strikes, 1.0)
    sigma = implied_volatility(calls, strikes, maturities)
    return tf.where(worth, sigma, tf.constant(float("nan"), sigma.dtype))
