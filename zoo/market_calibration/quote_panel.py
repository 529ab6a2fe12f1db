"""A panel of implied volatilities on the strikes that were quoted at each maturity."""

import dataclasses
from typing import NamedTuple

import numpy as np

SAME = 9  # decimals: maturities and strikes that agree to 1e-9 are one


class DroppedQuote(NamedTuple):
    """A quote that is not in the panel.

    Args:
        line: Its line in the file.
        strike: As in the file.
        maturity: Years to expiry.
        reason: Why, in a few words.
    """

    line: int
    strike: float
    maturity: float
    reason: str


@dataclasses.dataclass(frozen=True, eq=False)
class QuotePanel:
    """Quotes at m maturities of up to n strikes each; made by `read_quotes`.

    Args:
        source: File the quotes come from.
        quoted_as: Columns of the file they were read from.
        date: Their day, `datetime64[D]`, or None.
        maturities: Years to expiry, increasing, `(m,)`.
        forwards: Forward of each maturity, `(m,)`; NaN if only moneyness is known.
        forwards_from: Where they are from, in a few words.
        strikes: Strikes divided by the forward, increasing, `(m, n)`; any where `mask` is False.
        implied_volatility: Per √year, `(m, n)`; 0 where `mask` is False.
        mask: True where there is a quote, `(m, n)`.
        spread: Ask minus bid in volatility, `(m, n)`, or None if only one number is quoted.
        lines: Line of each quote in the file, `(m, n)`; 0 where `mask` is False.
        dropped: Tuple of `DroppedQuote`.
    """

    source: str
    quoted_as: tuple
    date: np.datetime64 | None
    maturities: np.ndarray
    forwards: np.ndarray
    forwards_from: str
    strikes: np.ndarray
    implied_volatility: np.ndarray
    mask: np.ndarray
    spread: np.ndarray | None
    lines: np.ndarray
    dropped: tuple

    def __len__(self):
        return int(self.mask.sum())

    @property
    def arguments(self):
        """Volatilities, strikes, maturities, mask and spread: what a calibration takes."""
        return self.implied_volatility, self.strikes, self.maturities, self.mask, self.spread

    def __repr__(self):
        m, n = self.mask.shape
        return (
            f"QuotePanel({self.source!r}: {len(self)} quotes, {m} maturities of up to {n} strikes, "
            f"{len(self.dropped)} dropped)"
        )


def in_words(years):
    """A maturity for readers.

    Example:

    >>> in_words(0.1), in_words(1.5)
    ('36 days', '1.50 years')
    """
    return f"{365 * years:.0f} days" if years < 0.25 else f"{years:.2f} years"


def arrange(
    source, maturities, moneyness, volatility, forwards, lines, spread=None, date=None, **facts
):
    """Quotes in any order as a panel, by maturity and strike.

    Args:
        source: Where they come from.
        maturities: Years to expiry, `(N,)`.
        moneyness: Strikes divided by the forward, `(N,)`; different ones at each maturity.
        volatility: Per √year, `(N,)`.
        forwards: `(N,)`.
        lines: Lines in the source, `(N,)`.
        spread: Ask minus bid in volatility, `(N,)`, or None.
        date: Day of the quotes, or None.
        **facts: `quoted_as`, `forwards_from` and `dropped`, as in `QuotePanel`.

    Returns:
        A `QuotePanel`.
    """
    _, first, member = np.unique(maturities.round(SAME), return_index=True, return_inverse=True)
    counts = np.bincount(member)
    order = np.lexsort((moneyness, member))
    mask = np.arange(counts.max()) < counts[:, np.newaxis]

    def grid(values):
        filled = np.zeros(mask.shape, values.dtype)
        filled[mask] = values[order]
        return filled

    # beyond the last quote: strikes that increase, as on any grid
    strikes = grid(moneyness)
    beyond = np.arange(1, mask.shape[1] + 1) - counts[:, np.newaxis]
    strikes = np.where(mask, strikes, strikes.max(axis=1, keepdims=True) * (1.0 + 0.01 * beyond))
    return QuotePanel(
        source=source,
        date=date,
        maturities=maturities[first],
        forwards=forwards[first],
        strikes=strikes,
        implied_volatility=grid(volatility),
        mask=mask,
        spread=None if spread is None else grid(spread),
        lines=grid(lines),
        **facts,
    )


def panel_within(panel, strikes, maturities=(0.0, np.inf)):
    """The quotes of a panel whose strikes and maturities lie in given ranges, ends included.

    Args:
        panel: A `QuotePanel`.
        strikes: Lowest and highest strike, divided by the forward.
        maturities: Shortest and longest maturity, years.

    Returns:
        A `QuotePanel`.

    Raises:
        ValueError: If there are none.
    """
    years = panel.maturities[:, np.newaxis]
    chosen = panel.mask & (panel.strikes >= strikes[0]) & (panel.strikes <= strikes[1])
    chosen &= (years >= maturities[0]) & (years <= maturities[1])
    if not chosen.any():
        raise ValueError(
            f"{panel.source} has no quotes with strikes from {strikes[0]} to {strikes[1]} at "
            f"`maturities` {maturities}. Received: strikes={strikes}"
        )
    rows, _ = np.nonzero(chosen)
    return arrange(
        panel.source,
        panel.maturities[rows],
        panel.strikes[chosen],
        panel.implied_volatility[chosen],
        panel.forwards[rows],
        panel.lines[chosen],
        spread=None if panel.spread is None else panel.spread[chosen],
        date=panel.date,
        quoted_as=panel.quoted_as,
        forwards_from=panel.forwards_from,
        dropped=panel.dropped,
    )


def panel_of_chain(chain, rows=None):
    """An `OptionChain` as a panel.

    Args:
        chain: A `hedgezoo.datasets.market_data.OptionChain`.
        rows: Which quotes to take, booleans `(N,)`; None for all.

    Returns:
        A `QuotePanel`.

    Example:

    >>> from hedgezoo.datasets.market_data import option_chain
    >>> panel_of_chain(option_chain("dax_2002-07-05"))
    QuotePanel('dax_2002-07-05': 104 quotes, 8 maturities of up to 13 strikes, 0 dropped)
    """
    rows = np.arange(len(chain)) if rows is None else np.flatnonzero(rows)
    return arrange(
        chain.name,
        chain.maturities[rows],
        chain.moneyness[rows],
        chain.implied_volatility[rows],
        chain.forwards[rows],
        rows + 2,  # of its file, below the heading
        date=chain.date,
        quoted_as=("iv",),
        forwards_from="as given",
        dropped=(),
    )
