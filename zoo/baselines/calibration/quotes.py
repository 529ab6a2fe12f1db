"""Quotes of one panel, checked: what every calibration method starts from."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_array
from hedgezoo.datasets.market_data import OptionChain


@dataclasses.dataclass(frozen=True, eq=False)
class Quotes:
    """N implied volatilities of one day; made by `as_quotes`.

    Args:
        strikes: Strikes divided by the forward, `(N,)`.
        maturities: Years to expiry, `(N,)`.
        implied_volatility: Per √year, `(N,)`.
        weights: Weight of each squared error, mean one, `(N,)`.
        quoted: Where the quotes are in the arrays they came from, booleans of their shape.
    """

    strikes: np.ndarray
    maturities: np.ndarray
    implied_volatility: np.ndarray
    weights: np.ndarray
    quoted: np.ndarray

    def __len__(self):
        return len(self.strikes)

    def restore(self, values):
        """`(N,)` values in the arrays the quotes came from, NaN where there was none."""
        filled = np.full(self.quoted.shape, np.nan)
        filled[self.quoted] = values
        return filled


def as_quotes(
    implied_volatility, strikes=None, maturities=None, mask=None, spread=None, weights=None
):
    """Quotes from a grid, a list, a table or a chain.

    Args:
        implied_volatility: `(m, n)` on a grid, `(N,)` as a list, or alone: an `OptionChain`, or
            rows (strike relative to the forward, maturity, volatility) `(N, 3)`, with a weight
            `(N, 4)`.
        strikes: Divided by the forward: `(n,)` or `(m, n)` of a grid, `(N,)` of a list.
        maturities: Years: `(m,)` of a grid, `(N,)` of a list.
        mask: True where there is a quote, of the shape of `implied_volatility`. What lies
            elsewhere is not looked at.
        spread: Widths of bid to ask in volatility, of that shape: weights 1 / spread².
        weights: Weights of the squared errors, of that shape.

    Returns:
        A `Quotes`.

    Raises:
        ValueError: If shapes do not match or a quoted number is out of its domain.

    Example:

    >>> quotes = as_quotes([[0.2, 0.21], [0.22, np.nan]], [0.9, 1.0], [0.5, 1.0],
    ...                    mask=[[True, True], [True, False]])
    >>> quotes.maturities.tolist(), quotes.strikes.tolist()
    ([0.5, 0.5, 1.0], [0.9, 1.0, 0.9])
    """
    if strikes is None and maturities is None:
        implied_volatility, strikes, maturities, weights = _columns(implied_volatility, weights)
    if strikes is None or maturities is None:
        name = "strikes" if strikes is None else "maturities"
        raise ValueError(
            f"`{name}` is missing. Received: {name}=None; expected both `strikes` and "
            "`maturities`, or neither beside a chain or rows (strike, maturity, volatility)"
        )
    shapes = {"(m, n)": (None, None), "(N,)": (None,)}
    volatility = check_array("implied_volatility", implied_volatility, shapes, finite=False)
    shape = volatility.shape
    quoted = _mask(mask, shape)
    if not quoted.any():
        raise ValueError(f"`mask` must leave a quote. Received: none of shape {shape}")
    strikes, maturities = _on_grid(strikes, maturities, shape)
    _require(quoted, volatility, volatility > 0, "implied_volatility", "positive and finite")
    chosen = _weights(spread, weights, quoted)
    quotes = Quotes(*(array[quoted] for array in (strikes, maturities, volatility, chosen)), quoted)
    _require_distinct(quotes)
    return quotes


def _columns(source, weights):
    """Volatilities, strikes, maturities and weights of a chain or of rows."""
    if isinstance(source, OptionChain):
        return source.implied_volatility, source.moneyness, source.maturities, weights
    shapes = {"(N, 3)": (None, 3), "(N, 4)": (None, 4)}
    rows = check_array("implied_volatility", source, shapes, finite=False)
    if rows.shape[1] == 4:
        if weights is not None:
            raise ValueError(
                "`weights` must not be given twice. Received: rows with a fourth column and "
                "`weights`"
            )
        weights = rows[:, 3]
    return rows[:, 2], rows[:, 0], rows[:, 1], weights


def _mask(mask, shape):
    if mask is None:
        return np.ones(shape, bool)
    array = np.asarray(mask)
    if array.shape != shape or not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"`mask` must be booleans of shape {shape}, true where there is a quote. Received: "
            f"{array.dtype} of shape {array.shape}"
        )
    return array.astype(bool)


def _on_grid(strikes, maturities, shape):
    """Strikes and maturities of every entry of the volatilities."""
    if len(shape) == 1:
        expected = {"(N,)": shape}
        strikes = check_array("strikes", strikes, expected)
        maturities = check_array("maturities", maturities, expected)
    else:
        strikes = check_array("strikes", strikes, {"(n,)": shape[1:], "(m, n)": shape})
        maturities = check_array("maturities", maturities, {"(m,)": shape[:1]})[:, np.newaxis]
        for name, grid in (("strikes", strikes), ("maturities", maturities.T)):
            if (np.diff(grid) <= 0).any():
                raise ValueError(
                    f"`{name}` of a grid must increase. Received: {name}={grid.tolist()}"
                )
    for name, array in (("strikes", strikes), ("maturities", maturities)):
        if (array <= 0).any():
            raise ValueError(f"`{name}` must be positive. Received: {array.min()}")
    return np.broadcast_to(strikes, shape), np.broadcast_to(maturities, shape)


def _weights(spread, weights, quoted):
    if spread is not None and weights is not None:
        raise ValueError("Give `spread` or `weights`, not both. Received: both")
    if spread is None and weights is None:
        return np.ones(quoted.shape)
    name, given = ("weights", weights) if spread is None else ("spread", spread)
    given = check_array(name, given, {"of the quotes": quoted.shape}, finite=False)
    _require(quoted, given, given > 0, name, "positive and finite; mask quotes to leave them out")
    chosen = np.where(quoted, given, 1.0)
    chosen = chosen if spread is None else (chosen[quoted].min() / chosen) ** 2
    return chosen / chosen[quoted].mean()


def _require(quoted, array, condition, name, expected):
    bad = quoted & ~(condition & np.isfinite(array))
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"`{name}` must be {expected}. Received: {array[where]} at index {where}, the first "
            f"of {bad.sum()} such entries"
        )


def _require_distinct(quotes):
    pairs = np.stack([quotes.maturities, quotes.strikes], axis=1)
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)
    if (counts > 1).any():
        maturity, strike = distinct[counts > 1][0]
        raise ValueError(
            f"`strikes` must not repeat at a maturity. Received: strike {strike} at maturity "
            f"{maturity} {counts.max()} times; average such quotes first"
        )
