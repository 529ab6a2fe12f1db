"""Lee's bound on the slope of total variance in the wings, in the form that holds on any grid."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers.black_scholes import price_from_deviation
from hedgezoo.layers.normalised_price import total_deviation


def excess_wing_slopes(total_variance, calls, uncertainty, rounding, grid):
    """By how much total variance w rises faster in x = |log(K)| than any law allows.

    Lee: limsup w/x ≤ 2. On a finite grid: for every arbitrage-free smile x/√w - √w/2 increases with
    x in each wing, because calls fall with the strike and puts divided by the strike rise. Hence
    between an inner strike with w ≤ 2x and any outer one the chord of w has slope at most 2, also
    when the law has bounded support. Where w > 2x at the inner strike (x small, or w huge) the
    slope may be larger, up to the chord of the curve on which x/√w - √w/2 stays constant, which
    is below 4 and joins 2 at w = 2x. The larger of the two is the bound here.

    Args:
        total_variance: w = σ²T `(..., m, n)`; NaN where there is none, which bounds nothing.
        calls: Call prices at this total variance, `(..., m, n)`.
        uncertainty: What `price_uncertainty` returned. Excess that does not show in a price is
            rounding.
        rounding: Relative accuracy of the numbers.
        grid: `PriceGrid`.

    Returns:
        Tensor `(..., m, n - 1)`, one number per pair of neighbouring strikes; zero for a pair with
        the forward strictly between them.

    Reference:
        Lee, "The moment formula for implied volatility at extreme strikes", 2004, Lemmas 3.1 and
        3.3. Fukasawa, "The normalizing transformation of the implied volatility smile", 2012.
    """
    dtype = total_variance.dtype
    strikes, _ = grid.rows(dtype.name)
    x = np.abs(np.log(strikes))
    right = strikes[:, :-1] >= 1.0
    wing = right | (strikes[:, 1:] <= 1.0)

    def inner(values):
        return tf.where(right, values[..., :-1], values[..., 1:])

    def outer(values):
        return tf.where(right, values[..., 1:], values[..., :-1])

    known = tf.math.is_finite(total_variance)
    w = tf.where(known, tf.nn.relu(total_variance), 0.0)
    w_in, w_out = inner(w), outer(w)
    x_in, x_out, strikes = (
        tf.constant(np.where(right, *pair), dtype)
        for pair in (
            (x[:, :-1], x[:, 1:]),
            (x[:, 1:], x[:, :-1]),
            (strikes[:, 1:], strikes[:, :-1]),
        )
    )
    distance = tf.where(wing, x_out - x_in, 1.0)

    wide = w_in > 2.0 * x_in
    deviation = tf.sqrt(tf.where(wide, w_in, 1.0))
    level = 0.5 * deviation - x_in / deviation
    curve = tf.square(level + tf.sqrt(tf.square(level) + 2.0 * x_out))
    bound = tf.where(wide, tf.maximum(curve, w_in + 2.0 * distance), w_in + 2.0 * distance)

    one = tf.ones([], dtype)
    dearest = price_from_deviation(one, strikes, total_deviation(bound, one), True)
    shows = outer(calls) - dearest > rounding * outer(uncertainty)
    counts = wing & shows & inner(known) & outer(known)
    return tf.where(counts, tf.nn.relu(w_out - bound) / distance, 0.0)
