"""Implied volatilities and prices between the strikes and maturities of a surface."""

import tensorflow as tf

from hedgezoo.layers._arguments import shape_of
from hedgezoo.layers.black_scholes import european_price
from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.implied_volatility import implied_volatility


def volatility_at(implied_volatility, strikes, maturities, at_strikes, at_maturities):
    """Implied volatilities at any strikes and maturities, from those on a grid.

    Total variance σ²T is linear in maturity at a fixed strike (per unit of forward), with zero at
    maturity zero, and along the strikes of one maturity a cubic in log k whose slopes keep it
    between its neighbours: positive, once differentiable, without wiggles. Beyond the outer
    strikes, before the first and after the last maturity the volatility is constant.

    Prices are not interpolated themselves: linearly between strikes 5 % apart a chord lies about
    20 basis points above the true price, because prices are convex.

    Args:
        implied_volatility: Volatilities per √year on the grid, `(..., m, n)`.
        strikes: Strikes divided by the forward, increasing, `(n,)` or `(m, n)`.
        maturities: Years to expiry, positive and increasing, `(m,)`.
        at_strikes: Strikes divided by the forward, positive, `(..., q)`: the leading axes are
            those of the surfaces, so each surface is asked at strikes of its own.
        at_maturities: Years to expiry, not negative, `(q,)`, the same for all surfaces.

    Returns:
        Volatilities per √year, `(..., q)`.

    Raises:
        ValueError: If the shapes do not match.

    Example:

    >>> surface = [[0.20, 0.18, 0.17], [0.22, 0.20, 0.19]]
    >>> strikes, maturities, at = [0.9, 1.0, 1.1], [0.25, 0.5], [0.25, 0.375, 1.0]
    >>> volatility_at(surface, strikes, maturities, [1.0, 1.0, 0.8], at).numpy().round(4)
    array([0.18  , 0.1936, 0.22  ])
    """
    vols, strikes, maturities, at_strikes, at_maturities = as_float_tensors(
        implied_volatility, strikes, maturities, at_strikes, at_maturities
    )
    _require_shapes(vols, strikes, maturities, at_strikes, at_maturities)
    m, n = vols.shape[-2:]
    points = at_strikes.shape[-1]
    leading = tf.broadcast_dynamic_shape(tf.shape(vols)[:-2], tf.shape(at_strikes)[:-1])
    static = tf.broadcast_static_shape(vols.shape[:-2], at_strikes.shape[:-1])
    variance = tf.square(vols) * maturities[:, None]
    variance = tf.reshape(tf.broadcast_to(variance, tf.concat([leading, [m, n]], 0)), (-1, m, n))
    log_strikes = tf.math.log(tf.broadcast_to(strikes, (m, n)))
    x = tf.reshape(
        tf.broadcast_to(tf.math.log(at_strikes), tf.concat([leading, [points]], 0)), (-1, points)
    )
    lower, upper, from_lower, from_upper = _maturity_weights(maturities, at_maturities)
    cubics = _cubics(log_strikes, variance)
    # a variance per year: weights carry the division by the maturity, also at maturity zero
    per_year = from_lower * _evaluate(cubics, log_strikes, lower, x)
    per_year += from_upper * _evaluate(cubics, log_strikes, upper, x)
    out = tf.reshape(_root(per_year), tf.concat([leading, [points]], 0))
    return tf.ensure_shape(out, [*static, points])


def call_prices_at(calls, strikes, maturities, at_strikes, at_maturities):
    """Call prices at any strikes and maturities, from those on a grid.

    The Black-Scholes prices of `volatility_at`.

    Args:
        calls: Undiscounted call prices per unit of forward, `(..., m, n)`.
        strikes: Strikes divided by the forward, increasing, `(n,)` or `(m, n)`.
        maturities: Years to expiry, positive and increasing, `(m,)`.
        at_strikes: Strikes divided by the forward, positive, `(..., q)`.
        at_maturities: Years to expiry, not negative, `(q,)`.

    Returns:
        Call prices per unit of forward, `(..., q)`.

    Raises:
        ValueError: If the shapes do not match.

    Example:

    >>> from hedgezoo.layers import black_scholes_call
    >>> strikes, maturities = [0.8, 0.9, 1.0, 1.1], [0.25, 0.5]
    >>> calls = black_scholes_call(strikes, maturities, 0.2)
    >>> call_prices_at(calls, strikes, maturities, [1.0, 0.95], [0.25, 0.4]).numpy().round(4)
    array([0.0399, 0.0781])
    """
    calls, strikes, maturities, at_strikes, at_maturities = as_float_tensors(
        calls, strikes, maturities, at_strikes, at_maturities
    )
    vols = implied_volatility(calls, strikes, maturities)
    at = volatility_at(vols, strikes, maturities, at_strikes, at_maturities)
    return european_price(1.0, at_strikes, at_maturities, at)


# ------------------------------------------------------------------------------------ internals


def _maturity_weights(maturities, at):
    """Rows below and above each maturity, and their weights in variance per year."""
    count = maturities.shape[0]
    above = tf.reduce_sum(tf.cast(maturities < at[:, None], tf.int32), axis=1)
    lower = tf.maximum(above - 1, 0)
    upper = tf.minimum(above, count - 1)
    early, late = tf.gather(maturities, lower), tf.gather(maturities, upper)
    between = (at > early) & (at < late)
    share = tf.where(between, (at - early) / tf.where(between, late - early, 1.0), 1.0)
    years = tf.where(between, at, late)
    return lower, upper, (1.0 - share) / years, share / years


def _cubics(x, y):
    """Coefficients of the cubic in each cell from its left node, `(B, m, n-1, 4)`.

    Slopes at the nodes are those of the parabola through three neighbours, limited so that the
    cubic stays between its end values.
    """
    widths = x[:, 1:] - x[:, :-1]
    chords = (y[..., 1:] - y[..., :-1]) / widths
    left, right = chords[..., :-1], chords[..., 1:]
    before, after = widths[:, :-1], widths[:, 1:]
    parabola = (left * after + right * before) / (before + after)
    steepest = 2.0 * tf.minimum(tf.abs(left), tf.abs(right))
    limited = tf.sign(parabola) * tf.minimum(tf.abs(parabola), steepest)
    inner = tf.where(left * right > 0.0, limited, tf.zeros_like(limited))
    first, last = chords[..., :1], chords[..., -1:]
    slopes = tf.concat([first, inner, last], -1)
    start, end = slopes[..., :-1], slopes[..., 1:]
    quadratic = (3.0 * chords - 2.0 * start - end) / widths
    cubic = (start + end - 2.0 * chords) / tf.square(widths)
    return tf.stack([y[..., :-1], start, quadratic, cubic], -1)


def _evaluate(cubics, knots, rows, x):
    """Cubics of row `rows[i]` at `x[:, i]`, `(B, q)`."""
    knots = tf.gather(knots, rows)
    cells = knots.shape[1] - 1
    x = tf.clip_by_value(x, knots[:, 0], knots[:, -1])
    cell, left = tf.zeros_like(x, tf.int32), tf.broadcast_to(knots[:, 0], tf.shape(x))
    for i in range(1, cells):
        beyond = x >= knots[:, i]
        cell += tf.cast(beyond, tf.int32)
        left = tf.where(beyond, knots[:, i], left)
    table = tf.reshape(cubics, (-1, cubics.shape[1] * cells, 4))
    found = tf.gather(table, rows * cells + cell, batch_dims=1)
    a, b, c, d = tf.unstack(found, axis=-1)
    x -= left
    return a + x * (b + x * (c + x * d))


def _root(x):
    """√x with a finite derivative at zero."""
    positive = x > 0.0
    return tf.where(positive, tf.sqrt(tf.where(positive, x, tf.ones_like(x))), tf.zeros_like(x))


def _require_shapes(vols, strikes, maturities, at_strikes, at_maturities):
    shapes = (vols.shape, strikes.shape, maturities.shape, at_strikes.shape, at_maturities.shape)
    fits = all(shape.rank is not None for shape in shapes)
    if fits:
        m = maturities.shape[0] if maturities.shape.rank == 1 else None
        n = strikes.shape[-1] if strikes.shape.rank in (1, 2) else None
        q = at_maturities.shape[0] if at_maturities.shape.rank == 1 else None
        fits = (
            None not in (m, n, q)
            and n > 1
            and vols.shape[-2:].is_compatible_with((m, n))
            and at_strikes.shape[-1:].is_compatible_with((q,))
            and (strikes.shape.rank == 1 or strikes.shape[0] == m)
        )
    if not fits:
        raise ValueError(
            "Expected a surface (..., m, n) with n > 1, `strikes` (n,) or (m, n), `maturities` "
            "(m,), `at_strikes` (..., q) and `at_maturities` (q,). Received shapes: "
            + ", ".join(
                str(shape_of(x)) for x in (vols, strikes, maturities, at_strikes, at_maturities)
            )
        )
