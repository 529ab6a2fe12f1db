"""Static arbitrage among the quotes of option panels, some of which may be missing."""

from typing import NamedTuple

import numpy as np

from hedgezoo.layers.black_scholes import black_scholes_call

_CHUNK = 1024  # panels at a time


class QuoteArbitrage(NamedTuple):
    """Quotes of one panel that can be traded against each other for a profit without risk.

    Attributes:
        kind: `"butterfly"`: the call is dearer than the portfolio of its two quoted neighbours (or
            the forward, below the first strike) that dominates it; `"spread"`: it is dearer than
            that at the lower strike before; `"calendar"`: it is dearer than calls of a later
            maturity that dominate it.
        panel: Index of the panel.
        maturity: Years to expiry of the call.
        strike: Its strike divided by the forward.
        size: By how much it is too dear, per unit of forward.
        later: The later maturity of a calendar arbitrage in years; else None.
    """

    kind: str
    panel: int
    maturity: float
    strike: float
    size: float
    later: float | None = None

    def __str__(self):
        against = "" if self.later is None else f" against maturity {self.later:.6g}"
        return (
            f"{self.kind} in panel {self.panel} at maturity {self.maturity:.6g}{against}, strike "
            f"{self.strike:.6g}: price off by {self.size:.3g}"
        )


def quote_arbitrage(quotes, tolerance=1e-8, first_panel=0):
    """Every static arbitrage among the quotes that are there.

    Exact whatever is missing: a call is compared with the cheapest portfolio of quoted calls of
    its own, or of one later maturity, and of the forward, that is a chord over two strikes around
    it. Between the maturities deterministic rates are all that is assumed.

    Args:
        quotes: A `PanelQuotes`.
        tolerance: Prices may be off by so much, per unit of forward.
        first_panel: Number of the first panel.

    Returns:
        List of `QuoteArbitrage`, by panel, maturity and strike; empty if there is none.

    Example:

    >>> from hedgezoo.heston_calibrator.panel_quotes import panel_quotes
    >>> for found in quote_arbitrage(panel_quotes([[0.3, 0.3], [0.2, 0.3]], [0.9, 1.1], [0.5, 1])):
    ...     print(found)
    calendar in panel 0 at maturity 0.5 against maturity 1, strike 0.9: price off by 0.00401
    """
    found = []
    for start in range(0, len(quotes), _CHUNK):
        chunk = quotes.panels(slice(start, start + _CHUNK))
        found += _of_chunk(chunk, tolerance, first_panel + start)
    return found


def _of_chunk(quotes, tolerance, first_panel):
    used, strikes, years = quotes.used, quotes.strike_panels, quotes.maturity_panels
    calls = black_scholes_call(strikes, years, quotes.implied_volatility).numpy()
    found = []

    def record(kind, excess, j, later=None):
        for b, i in np.argwhere(excess > tolerance):
            found.append(
                QuoteArbitrage(
                    kind,
                    first_panel + int(b),
                    float(years[b, j]),
                    float(strikes[b, j, i]),
                    float(excess[b, i]),
                    None if later is None else float(years[b, later]),
                )
            )

    for j in range(used.shape[1]):
        row = calls[:, j], strikes[:, j], used[:, j]
        chord, outermost = _chord(*row[:2], *row, itself=False)
        excess = np.where(row[2], row[0] - chord, 0.0)
        record("butterfly", np.where(outermost, 0.0, excess), j)
        record("spread", np.where(outermost, excess, 0.0), j)
        pending = row[2].copy()
        for k in range(j + 1, used.shape[1]):
            other = calls[:, k], strikes[:, k], used[:, k]
            chord, _ = _chord(*row[:2], *other, itself=True)
            excess = np.where(pending & other[2].any(axis=1, keepdims=True), row[0] - chord, 0.0)
            record("calendar", excess, j, k)
            pending &= ~(excess > tolerance)  # the nearest maturity will do
    return sorted(found, key=lambda each: (each.panel, each.maturity, each.strike))


def _chord(calls, strikes, other_calls, other_strikes, other_used, itself):
    """Cheapest dominating portfolio of two quoted calls, or of one and the forward.

    Args:
        calls: Only its shape matters, `(B, n)`.
        strikes: Where the portfolio is to dominate, `(B, n)`.
        other_calls: Prices of the calls in it, `(B, k)`.
        other_strikes: Their strikes, `(B, k)`.
        other_used: Which of them are quoted, `(B, k)`.
        itself: Whether a call of the same strike may be in it.

    Returns:
        Prices `(B, n)`, and where there is no higher strike, so that it is a single call or the
        forward, `(B, n)`.
    """
    strike, others = strikes[:, :, np.newaxis], other_strikes[:, np.newaxis, :]
    usable = other_used[:, np.newaxis, :]
    below = usable & ((others <= strike) if itself else (others < strike))
    above = usable & (others > strike)
    # outside the quotes: the forward, a call of strike 0, and nothing at an infinite strike
    last = below.shape[-1] - 1 - np.argmax(below[..., ::-1], axis=-1)
    first = np.argmax(above, axis=-1)
    has_below, has_above = below.any(axis=-1), above.any(axis=-1)
    low = np.where(has_below, np.take_along_axis(other_strikes, last, axis=1), 0.0)
    low_call = np.where(has_below, np.take_along_axis(other_calls, last, axis=1), 1.0)
    high = np.where(has_above, np.take_along_axis(other_strikes, first, axis=1), np.inf)
    high_call = np.where(has_above, np.take_along_axis(other_calls, first, axis=1), 0.0)
    share = np.where(has_above, (strikes - low) / np.where(has_above, high - low, 1.0), 0.0)
    return low_call + share * (high_call - low_call), ~has_above
