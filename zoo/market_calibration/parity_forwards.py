"""Forwards and discount factors that calls and puts imply, where nobody says them."""

import numpy as np

_DISCOUNTS = (0.2, 1.5)  # beyond these, it is no discount factor


def parity_forwards(table, prices, maturities, discounts=None):
    """Forward and discount factor of each row of a file of prices, by put-call parity.

    A call minus a put of strike K is D (F - K). At each maturity D is the median of the slopes of
    that line over all pairs of strikes, and F the median of K + (C - P)/D: one stale quote does no
    harm.

    Args:
        table: A `QuoteTable` with strikes and types.
        prices: Of the rows, `(N,)`; NaN where there is none.
        maturities: Years to expiry of the rows, `(N,)`.
        discounts: Discount factors of the rows, `(N,)`, or None if they are to be found, too.

    Returns:
        Forwards and discount factors, both `(N,)`.

    Raises:
        ValueError: If a maturity has too few strikes with a call and a put, or they imply no
            forward.

    Reference:
        Theil, "A rank-invariant method of linear and polynomial regression analysis", 1950.
    """
    forwards, found = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for years in np.unique(maturities[maturities > 0]):
        rows = maturities == years
        strikes, differences = _differences(table, prices, rows)
        needed = 2 if discounts is None else 1
        if len(strikes) < needed:
            raise ValueError(
                f"{table.path} has no forwards, and put-call parity needs a call and a put at "
                f"{needed} strike{'s' * (needed > 1)} of each maturity: a column 'forward', or the "
                f"option `forward`, or `spot` and `rate` must give them. Received: {len(strikes)} "
                f"at maturity {years:.6g}, line {table.lines[rows.argmax()]}"
            )
        if discounts is None:
            first, second = np.triu_indices(len(strikes), 1)
            steps = strikes[second] - strikes[first]
            discount = -np.median((differences[second] - differences[first]) / steps)
        else:
            discount = float(np.median(discounts[rows]))
        forward = np.median(strikes + differences / discount)
        if not (_DISCOUNTS[0] < discount < _DISCOUNTS[1] and forward > 0):
            raise ValueError(
                f"{table.path}: calls and puts must imply a forward by put-call parity; the "
                "options `forward` and `rate` can give it. Received: discount factor "
                f"{discount:.6g} and forward {forward:.6g} at maturity {years:.6g}"
            )
        forwards[rows], found[rows] = forward, discount
    return forwards, found


def _differences(table, prices, rows):
    """Strikes with a call and a put among some rows, and call minus put there."""
    usable = rows & np.isfinite(prices)
    calls, puts = ({}, {})
    for side, sign in ((calls, 1), (puts, -1)):
        for row in np.flatnonzero(usable & (table["type"] == sign)):
            side.setdefault(float(table["strike"][row]), float(prices[row]))
    both = sorted(calls.keys() & puts.keys())
    return np.array(both), np.array([calls[strike] - puts[strike] for strike in both])
