"""Butterfly and calendar inequalities of call prices on a grid, with the rounding they allow.

In each row the strikes are completed by what every arbitrage-free row has: a call struck at 0
costs the forward, and no call costs less than nothing. Then prices are those of some law of the
underlying if and only if all probabilities below are non-negative. With ghost strikes the law must
live between them.
"""

import numpy as np
import tensorflow as tf

_UNITS_OF_ROUNDING = 4.0


def default_rounding(dtype):
    """Relative accuracy that prices, strikes and volatilities of `dtype` are credited with."""
    return _UNITS_OF_ROUNDING * float(np.finfo(dtype.as_numpy_dtype).eps)


def call_slopes(calls, grid):
    """Slopes ∂C/∂K of each row between neighbouring strikes, ends included.

    Args:
        calls: Call prices `(..., m, n)`.
        grid: `PriceGrid`.

    Returns:
        Slopes `(..., m, n)` from the left end to the last strike; with ghost strikes
        `(..., m, n + 1)`, to the right end.
    """
    strikes, ends = grid.rows(calls.dtype.name)
    left = (calls[..., :1] - (1.0 - ends[:, :1])) / (strikes[:, :1] - ends[:, :1])
    slopes = [left, (calls[..., 1:] - calls[..., :-1]) / np.diff(strikes)]
    if grid.ghost_strikes is not None:
        slopes.append(-calls[..., -1:] / (ends[:, 1:] - strikes[:, -1:]))
    return tf.concat(slopes, -1)


def probabilities(calls, grid):
    """Risk-neutral probabilities of the strikes and ends: the kinks of the call price.

    p_i = (C_{i+1} - C_i) / (K_{i+1} - K_i) - (C_i - C_{i-1}) / (K_i - K_{i-1}), where the slope is
    -1 before the left end and 0 after the right one.

    Args:
        calls: Call prices `(..., m, n)`.
        grid: `PriceGrid`.

    Returns:
        Tensor `(..., m, n + 1)` for the left end and the strikes; with ghost strikes
        `(..., m, n + 2)`. Each row sums to 1.
    """
    slopes = call_slopes(calls, grid)
    inner = slopes[..., 1:] - slopes[..., :-1]
    return tf.concat([slopes[..., :1] + 1.0, inner, -slopes[..., -1:]], -1)


def price_uncertainty(calls, vega_times_volatility, grid):
    """How far a call price moves when price, strike and volatility move by their own size.

    Times the relative accuracy of the numbers this is the rounding error of a price.

    Args:
        calls: Call prices `(..., m, n)`.
        vega_times_volatility: σ ∂C/∂σ `(..., m, n)`, or 0.0 if prices are what was given.
        grid: `PriceGrid`.

    Returns:
        Tensor `(..., m, n)`, without gradient.
    """
    strikes, _ = grid.rows(calls.dtype.name)
    steep = tf.abs(call_slopes(calls, grid))
    after = steep[..., 1:]
    if grid.ghost_strikes is None:
        after = tf.concat([after, steep[..., -1:]], -1)
        before = steep
    else:
        before = steep[..., :-1]
    by_strike = strikes * tf.maximum(before, after)
    return tf.stop_gradient(tf.abs(calls) + by_strike + vega_times_volatility)


def negative_probabilities(calls, uncertainty, rounding, grid):
    """Butterfly arbitrage: (-p)⁺ of every probability, beyond rounding.

    Args:
        calls: Call prices `(..., m, n)`.
        uncertainty: What `price_uncertainty` returned.
        rounding: Relative accuracy of the numbers.
        grid: `PriceGrid`.

    Returns:
        Tensor of the shape of `probabilities`.
    """
    strikes, ends = grid.rows(calls.dtype.name)
    slopes = call_slopes(calls, grid)
    gaps = [strikes[:, :1] - ends[:, :1], np.diff(strikes)]
    errors = [uncertainty[..., :1] + ends[:, :1], uncertainty[..., 1:] + uncertainty[..., :-1]]
    if grid.ghost_strikes is not None:
        gaps.append(ends[:, 1:] - strikes[:, -1:])
        errors.append(uncertainty[..., -1:] - slopes[..., -1:] * ends[:, 1:])
    errors = tf.concat(errors, -1) / np.concatenate(gaps, -1) + tf.abs(slopes)
    both = errors[..., 1:] + errors[..., :-1]
    errors = tf.stop_gradient(tf.concat([errors[..., :1], both, errors[..., -1:]], -1))
    return tf.nn.relu(-probabilities(calls, grid) - rounding * errors)


def negative_calendars(calls, uncertainty, rounding, grid):
    """Calendar arbitrage: how much less a later call costs than an earlier one, beyond rounding.

    The strikes are relative to the forward of each maturity, so calls of equal strike are compared.
    Each earlier price is held against the chord of the next row at its strike, which no
    arbitrage-free row exceeds; with common strikes that is the price itself. The first row is held
    against the payoff.

    Args:
        calls: Call prices `(..., m, n)`.
        uncertainty: What `price_uncertainty` returned.
        rounding: Relative accuracy of the numbers.
        grid: `PriceGrid`.

    Returns:
        Tensor `(..., m, n)`: row j compares maturities j - 1 and j.
    """
    strikes, ends = grid.rows(calls.dtype.name)
    payoff = np.maximum(1.0 - strikes[:1], 0.0)
    first = payoff - calls[..., :1, :]
    if grid.common:
        later, error = calls[..., 1:, :], uncertainty[..., 1:, :]
    else:
        later = _on_chords(calls, 1.0 - ends[:, :1], strikes, ends)
        error = _on_chords(uncertainty, ends[:, :1], strikes, ends)
    rest = calls[..., :-1, :] - later
    errors = [uncertainty[..., :1, :] + payoff, uncertainty[..., :-1, :] + error]
    gaps = tf.concat([first, rest], -2)
    return tf.nn.relu(gaps - rounding * tf.stop_gradient(tf.concat(errors, -2)))


def _on_chords(values, left, strikes, ends):
    """Rows 1.. of `values` on the strikes of the rows before them, linearly between nodes.

    Nodes are the left end, where the value is `left` `(m, 1)`, the strikes, and the right end,
    where it is zero; without a right end the value stays that of the last strike.
    """
    known = tf.concat([tf.zeros_like(values[..., :1]) + left, values], -1)
    finite = np.isfinite(ends[:, 1:]).all()
    known = tf.concat([known, tf.zeros_like(values[..., :1])] if finite else [known], -1)
    nodes = np.concatenate([ends[:, :1], strikes, *([ends[:, 1:]] if finite else [])], -1)
    size = nodes.shape[1]
    index, share = [], []
    for row, (after, before) in enumerate(zip(nodes[1:], strikes[:-1], strict=True)):
        at = np.interp(before, after, np.arange(size))
        lower = np.minimum(at.astype(int), size - 2)
        index.append(lower + (row + 1) * size)
        share.append(at - lower)
    index, share = np.stack(index), np.stack(share)
    flat = tf.reshape(known, tf.concat([tf.shape(known)[:-2], [len(nodes) * size]], 0))
    below, above = (tf.gather(flat, i, axis=-1) for i in (index, index + 1))
    return below * (1.0 - share) + above * share
