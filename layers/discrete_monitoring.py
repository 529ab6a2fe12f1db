"""Continuity correction for a path that is looked at every so often."""

import tensorflow as tf

# -ζ(1/2) / √(2π): mean overshoot of a Gaussian random walk over a distant level
_OVERSHOOT = 0.5825971579390107


def barrier_shift(volatility, monitoring_step):
    """Logarithm β σ √step by which a level, seen every `monitoring_step` years, recedes.

    The maximum over discrete dates is about exp(-β σ √step) times the continuous one, with
    β = -ζ(1/2) / √(2π) ≈ 0.5826.

    Args:
        volatility: Volatility per √year, a tensor.
        monitoring_step: Years between observations, or `None` for continuous monitoring.

    Returns:
        Tensor that broadcasts to `volatility`, zero for continuous monitoring.

    Reference:
        Broadie, Glasserman and Kou, "A continuity correction for discrete barrier options",
        Mathematical Finance 7(4), 1997, and "Connecting discrete and continuous path-dependent
        options", Finance and Stochastics 3, 1999.
    """
    if monitoring_step is None:
        return tf.zeros([], volatility.dtype)
    return volatility * shift_slope(monitoring_step, volatility.dtype)


def shift_slope(monitoring_step, dtype):
    """Derivative of `barrier_shift` in the volatility, β √step."""
    if isinstance(monitoring_step, int | float) and not monitoring_step >= 0:
        raise ValueError(
            "`monitoring_step` must be a non-negative number of years or None. "
            f"Received: monitoring_step={monitoring_step}"
        )
    return _OVERSHOOT * tf.sqrt(tf.cast(monitoring_step, dtype))
