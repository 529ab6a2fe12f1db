"""Durrleman's condition: when the smile of one maturity has a density."""

import tensorflow as tf

from hedgezoo.layers.black_scholes import price_from_deviation
from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.normalised_price import total_deviation


def durrleman(total_variance, strikes):
    """Durrleman's function g of a smile, in the discrete form whose sign is that of a butterfly.

    With x = log(K), the density of the underlying at K is g(x) φ(d₂) / (K √w), and
    g(x) = (1 - x w'/2w)² - w'²/4 (1/w + 1/4) + w''/2. Differences of w lose the connection to
    prices on a coarse grid. Here g_i is the price of the butterfly K_{i-1}, K_i, K_{i+1} at the
    smile, divided by its price at the one volatility of K_i: it is 1 for a flat smile, it tends
    to g as the strikes get dense, and it is negative exactly where call prices are not convex.

    Args:
        total_variance: w = σ²T ≥ 0 `(..., n)` with n ≥ 3.
        strikes: Strikes divided by the forward, `(n,)` or any shape that broadcasts to
            `(..., n)`; increasing.

    Returns:
        Tensor `(..., n - 2)` for the strikes between the first and the last; zero where the
        butterfly at one volatility is too cheap for the floating type.

    Raises:
        ValueError: If there are fewer than three strikes, or shapes do not match.

    Example:

    >>> durrleman([0.04, 0.04, 0.04], [0.9, 1.0, 1.1]).numpy().round(6)
    array([1.])
    >>> durrleman([0.04, 0.08, 0.04], [0.9, 1.0, 1.1]).numpy().round(2)
    array([-3.33])

    Reference:
        Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces", 2014, Lemma 2.2.
    """
    total_variance, strikes = as_float_tensors(total_variance, strikes)
    n = strikes.shape[-1] if strikes.shape.rank else None
    if n is None or n < 3 or total_variance.shape[-1:].as_list() not in ([n], [None]):
        raise ValueError(
            "Expected `total_variance` (..., n) and `strikes` (n,) or (..., n) with n >= 3. "
            f"Received: total_variance.shape={total_variance.shape}, strikes.shape={strikes.shape}"
        )
    one = tf.ones([], strikes.dtype)
    deviation = total_deviation(total_variance, one)
    middle, flat = strikes[..., 1:-1], deviation[..., 1:-1]
    nodes = [(strikes[..., i : n - 2 + i], deviation[..., i : n - 2 + i]) for i in range(3)]

    def butterfly(deviations):
        # out-of-the-money options have no intrinsic value to cancel; both kinds agree
        low, mid, high = (
            tf.where(
                middle < 1.0,
                price_from_deviation(one, k, v, False),
                price_from_deviation(one, k, v, True),
            )
            for (k, _), v in zip(nodes, deviations, strict=True)
        )
        return (high - mid) / (nodes[2][0] - middle) - (mid - low) / (middle - nodes[0][0])

    return tf.math.divide_no_nan(butterfly([v for _, v in nodes]), butterfly([flat] * 3))
