"""Checks of quotes of option panels: messages name argument, place, value and expectation."""

import numpy as np

from hedgezoo.datasets.checks import check_array

# beyond these, a number is in another unit, or there is no such market
LARGEST_VOLATILITY, _LARGEST_YEARS = 10.0, 100.0
_STRIKES = (0.01, 100.0)
# at masked places, so that arithmetic stays finite
_ANY_STRIKE, _ANY_YEARS = 1.0, 1.0


class Places:
    """Where quotes are, and how a place is called in a message.

    Args:
        single: Whether the quotes came as one panel, without a panel axis.
        mask: Where there is a quote, booleans `(B, m, n)`.
    """

    def __init__(self, single, mask):
        self.single, self.mask = single, mask

    def require(self, name, array, good, expected):
        """Raises unless something holds wherever there is a quote.

        Args:
            name: The argument's name.
            array: Its values, of a shape that broadcasts to `(B, m, n)`.
            good: Where they are acceptable, booleans likewise.
            expected: What they must be, in words.

        Raises:
            ValueError: With the first place where it does not hold.
        """
        bad = self.mask & ~good
        if not bad.any():
            return
        where = np.unravel_index(int(np.argmax(bad)), bad.shape)
        value = np.broadcast_to(array, bad.shape)[where]
        hint = ""
        if name == "implied_vol" and np.isnan(value):
            hint = (
                " Where there is no quote `mask` must be False, as in mask=~np.isnan(implied_vol)."
            )
        raise ValueError(
            f"`{name}` must be {expected}. Received: {value} at {self.name(where)}, the first of "
            f"{bad.sum()} such entries.{hint}"
        )

    def name(self, where):
        """A place `(panel, maturity, strike)` in words; without a panel if there is only one."""
        parts = ("panel", "maturity", "strike")[: len(where)]
        words = [f"{part} {index}" for part, index in zip(parts, where, strict=True)]
        return ", ".join(words[1:] if self.single else words) + " (counted from 0)"


def checked_mask(mask, shapes, shape):
    """A mask as booleans `(B, m, n)`.

    Args:
        mask: Booleans or zeros and ones, or None for all true.
        shapes: Shapes it may have, see `check_array`.
        shape: `(B, m, n)`.

    Returns:
        A new array.

    Raises:
        ValueError: If it is none.
    """
    if mask is None:
        return np.ones(shape, bool)
    given = check_array("mask", mask, shapes, finite=False)
    boolean = (given == 0.0) | (given == 1.0)
    if not boolean.all():
        raise ValueError(
            "`mask` must be booleans, True where there is a quote. "
            f"Received: {given[~boolean][0]} among {given.size} entries"
        )
    return np.broadcast_to(given.astype(bool), shape).copy()


def checked_spread(spread, shapes, shape):
    """Spreads as an array `(B, m, n)`.

    Args:
        spread: A number, an array, or None for zero.
        shapes: Shapes it may have, see `check_array`.
        shape: `(B, m, n)`.

    Returns:
        Float64 array, perhaps a view.

    Raises:
        ValueError: If it has another shape.
    """
    if spread is None:
        return np.zeros(shape)
    spread = check_array("spread", spread, {"()": (), **shapes}, finite=False)
    return np.broadcast_to(spread, shape)


def checked_grids(strikes, years, places):
    """Strikes and maturities, increasing where there are quotes, harmless where they are none.

    Args:
        strikes: `(n,)`, `(m, n)` or `(B, m, n)`.
        years: `(m,)` or `(B, m)`.
        places: A `Places`.

    Returns:
        Booleans `(B, m, n)`, where they are as given; and both, of their own shapes.

    Raises:
        ValueError: If a quoted one is out of its range or order.
    """
    mask = places.mask
    low, high = _STRIKES
    good_strikes = (strikes > low) & (strikes < high)
    good_years = (years > 0.0) & (years < _LARGEST_YEARS)
    places.require(
        "strikes",
        strikes,
        np.broadcast_to(good_strikes, mask.shape),
        f"divided by the forward, so between {low:g} and {high:g}",
    )
    places.require(
        "maturities",
        years[..., np.newaxis],
        np.broadcast_to(good_years[..., np.newaxis], mask.shape),
        f"years, positive and below {_LARGEST_YEARS:g}",
    )
    # what no panel quotes may be in any order
    quoted_strikes = _any_of(mask, strikes.ndim)
    quoted_years = _any_of(mask.any(axis=2), years.ndim)
    _require_increasing("strikes", strikes, quoted_strikes)
    _require_increasing("maturities", years, quoted_years)
    known = good_strikes & np.broadcast_to(good_years[..., np.newaxis], mask.shape)
    strikes = np.where(good_strikes, strikes, _ANY_STRIKE)
    return known, strikes, np.where(good_years, years, _ANY_YEARS)


def _any_of(mask, rank):
    """Booleans of the last `rank` axes: whether any of the leading entries is true."""
    return mask.any(axis=tuple(range(mask.ndim - rank)))


def _require_increasing(name, grid, quoted):
    """Raises unless `grid` increases along its last axis over the quoted entries."""
    # the largest quoted number so far: of increasing ones, the last
    reached = np.maximum.accumulate(np.where(quoted, grid, -np.inf), axis=-1)
    bad = quoted[..., 1:] & (grid[..., 1:] <= reached[..., :-1])
    if not bad.any():
        return
    *outer, last = np.unravel_index(int(np.argmax(bad)), bad.shape)
    last += 1
    axes = ("panel", "maturity") if name == "maturities" else ("panel", "maturity", "strike")
    where = (*outer, last)
    words = [
        f"{axis} {index}" for axis, index in zip(axes[len(axes) - len(where) :], where, strict=True)
    ]
    before, value = float(reached[(*outer, last - 1)]), float(grid[where])
    what = "repeats" if value == before else f"comes after {before:g}"
    raise ValueError(
        f"`{name}` must be strictly increasing where there are quotes. Received: {value:g} at "
        f"{', '.join(words)} (counted from 0), which {what}"
    )


def require_enough(mask, unresolved, names, single):
    """Raises if a panel has fewer quotes than the model has parameters.

    Args:
        mask: Where there is a quote, `(B, m, n)`.
        unresolved: Which of them do not count, `(B, m, n)`.
        names: Names of the parameters.
        single: Whether the quotes came as one panel.

    Raises:
        ValueError: With the first such panel.
    """
    useful = (mask & ~unresolved).sum(axis=(1, 2))
    short = useful < len(names)
    if not short.any():
        return
    panel = int(np.argmax(short))
    where = "" if single else f" in panel {panel} (counted from 0), the first of {short.sum()}"
    quoted = int(mask[panel].sum())
    note = "" if quoted == useful[panel] else f", {useful[panel]} of them with a price that tells"
    raise ValueError(
        "`implied_vol` must hold at least as many quotes as the model has parameters, "
        f"{len(names)} ({', '.join(names)}). Received: {quoted} quotes{note}{where}"
    )
