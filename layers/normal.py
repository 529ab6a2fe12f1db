"""Standard normal density and distribution function."""

import math

import tensorflow as tf


def normal_pdf(x):
    """Density of the standard normal law, exp(-x²/2) / √(2π).

    Args:
        x: Floating tensor.

    Returns:
        Tensor of the shape of `x`.
    """
    return tf.exp(-0.5 * x * x) * (1.0 / math.sqrt(2.0 * math.pi))


def normal_cdf(x):
    """Distribution function of the standard normal law, erfc(-x/√2) / 2.

    The complementary error function keeps the relative accuracy of the left tail, where
    1 + erf(x/√2) cancels.

    Args:
        x: Floating tensor.

    Returns:
        Tensor of the shape of `x`.
    """
    return 0.5 * tf.math.erfc(x * -math.sqrt(0.5))
