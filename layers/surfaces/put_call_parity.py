"""Puts from calls and back, at zero rates."""

import tensorflow as tf

from hedgezoo.layers.float_tensors import as_float_tensors


def calls_to_puts(calls, strikes):
    """Put prices from call prices by parity, P = C - 1 + k.

    Args:
        calls: Undiscounted call prices per unit of forward, `(..., m, n)`.
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.

    Returns:
        Put prices `(..., m, n)`.

    Raises:
        ValueError: If the shapes do not match.

    Example:

    >>> calls_to_puts([[0.125, 0.0625, 0.03125]], [0.9375, 1.0, 1.0625]).numpy()
    array([[0.0625 , 0.0625 , 0.09375]])
    """
    calls, strikes = _matching("calls", calls, strikes)
    return calls - (1.0 - strikes)


def puts_to_calls(puts, strikes):
    """Call prices from put prices by parity, C = P + 1 - k.

    Args:
        puts: Undiscounted put prices per unit of forward, `(..., m, n)`.
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.

    Returns:
        Call prices `(..., m, n)`.

    Raises:
        ValueError: If the shapes do not match.

    Example:

    >>> puts_to_calls([[0.0625, 0.0625, 0.09375]], [0.9375, 1.0, 1.0625]).numpy()
    array([[0.125  , 0.0625 , 0.03125]])
    """
    puts, strikes = _matching("puts", puts, strikes)
    return puts + (1.0 - strikes)


def _matching(name, prices, strikes):
    prices, strikes = as_float_tensors(prices, strikes)
    try:
        shape = tf.broadcast_static_shape(prices.shape, strikes.shape)
        fits = shape.is_compatible_with(prices.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"Expected `{name}` (..., m, n) and `strikes` (n,) or (m, n). Received: "
            f"{name}.shape={prices.shape}, strikes.shape={strikes.shape}"
        )
    return prices, strikes
