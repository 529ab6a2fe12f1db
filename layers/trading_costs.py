"""What a trade costs: money per instrument and step, as a function of the units traded.

All four broadcast, are zero for no trade and symmetric in buying and selling; add them up as
needed. The derivative of `|trade|` at zero is zero.
"""

import tensorflow as tf


def proportional_cost(trade, unit_cost):
    """`unit_cost * |trade|`: a bid-ask spread.

    Args:
        trade: Units bought (positive) or sold (negative). Shape `(B, T, D)`.
        unit_cost: Money per unit traded, e.g. a rate times the price.

    Returns:
        Money. Shape `(B, T, D)`.
    """
    return unit_cost * tf.abs(trade)


def fixed_cost(trade, fee, smoothing=0.0):
    """`fee` for each trade, however small: a ticket charge.

    With `smoothing = 0` the fee is charged exactly when `trade != 0`, and its derivative is
    zero everywhere, so a network cannot learn to avoid it. With `smoothing = w > 0` it is
    `fee * trade^2 / (trade^2 + w^2)`: half the fee at a trade of `w` units, the exact fee
    for trades much larger than that.

    Args:
        trade: Units bought or sold. Shape `(B, T, D)`.
        fee: Money per trade.
        smoothing: Width `w` in units of the instrument.

    Returns:
        Money. Shape `(B, T, D)`.
    """
    if isinstance(smoothing, int | float) and smoothing == 0.0:
        return fee * tf.cast(tf.not_equal(trade, 0), trade.dtype)
    square = tf.square(trade)
    return fee * tf.math.divide_no_nan(square, square + smoothing**2)


def quadratic_cost(trade, impact):
    """`impact * trade^2`: a market that moves against the trade in proportion to its size.

    Args:
        trade: Units bought or sold. Shape `(B, T, D)`.
        impact: Money per squared unit.

    Returns:
        Money. Shape `(B, T, D)`.
    """
    return impact * tf.square(trade)


def vega_cost(trade, vega, vega_rate):
    """`vega_rate * |vega * trade|`: options are quoted in volatility, so the spread is too.

    Args:
        trade: Units bought or sold. Shape `(B, T, D)`.
        vega: Derivative of the price of one unit with respect to its implied volatility.
        vega_rate: Half the bid-ask spread in implied volatility (0.005 is half a vol point).

    Returns:
        Money. Shape `(B, T, D)`.
    """
    return vega_rate * tf.abs(vega * trade)
