"""Hedging along simulated paths: when positions change, what they earn, what they cost."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers.trading_costs import proportional_cost


def hedge_dates(times, maturities, every=1):
    """Indices of the times at which positions change, and of the options' maturities among them.

    Args:
        times: Years of a simulation, 0 first, `(T + 1,)`.
        maturities: Years to expiry of the options, `(N,)`; every one is a time.
        every: Positions change at every so many-th step, and where an option expires.

    Returns:
        Increasing indices into `times`, the first and the last maturity included, `(H + 1,)`; and
        the index of each option's maturity among these, `(N,)`.

    Raises:
        ValueError: If a maturity is not among the times.

    Example:

    >>> dates, ends = hedge_dates([0.0, 0.1, 0.2, 0.3, 0.4], [0.3, 0.4], every=2)
    >>> dates, ends
    (array([0, 2, 3, 4]), array([2, 3]))
    """
    times = np.asarray(times, np.float64)
    maturities = np.asarray(maturities, np.float64)
    steps = np.abs(times[:, np.newaxis] - maturities).argmin(axis=0)
    missed = np.abs(times[steps] - maturities) > 1e-6
    if missed.any():
        raise ValueError(
            "`maturities` must be times of the simulation. Received: no "
            f"{maturities[missed][0]} among {len(times)} times"
        )
    dates = np.union1d(np.arange(0, steps.max(), every), steps)
    return dates, np.searchsorted(dates, steps)


def hedge_gains(positions, price):
    """What positions in one instrument earn before costs, for many hedges along the same paths.

    `gains[i] = sum_t position[i, t] (price[t + 1] - price[t])`

    Args:
        positions: Units held from each date on, zero from the end of the hedge on. `(B, N, H)`.
        price: Prices at the dates, `(B, H + 1)`.

    Returns:
        Money, `(B, N)`.

    Example:

    >>> price = tf.constant([[1.0, 2.0, 4.0]])
    >>> hedge_gains(tf.constant([[[1.0, 0.5]]]), price).numpy()
    array([[2.]], dtype=float32)
    """
    return tf.linalg.matvec(positions, price[:, 1:] - price[:, :-1])


def hedge_costs(positions, price, ends, cost):
    """Proportional costs of the same hedges: `cost price[t] |trade[i, t]|` at every date.

    The last position is settled at the end of the hedge at the mid price, as `trading_gains` has
    it at the horizon.

    Args:
        positions, price: As in `hedge_gains`.
        ends: Index of the date at which each hedge ends, `(N,)`.
        cost: Cost of a trade per amount of money traded.

    Returns:
        Money, `(B, N)`.

    Example:

    >>> price = tf.constant([[1.0, 2.0, 4.0]])
    >>> hedge_costs(tf.constant([[[1.0, 0.5]]]), price, ends=[2], cost=0.1).numpy()
    array([[0.2]], dtype=float32)
    """
    trade = positions - tf.pad(positions[..., :-1], ((0, 0), (0, 0), (1, 0)))
    paid = proportional_cost(trade, cost * price[:, tf.newaxis, :-1])
    open_ = np.arange(positions.shape[-1]) < np.asarray(ends)[:, np.newaxis]
    return tf.reduce_sum(tf.where(open_, paid, tf.zeros_like(paid)), axis=-1)
