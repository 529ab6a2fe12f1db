"""From the rows of a file to volatilities, and which rows are left out for which reason."""

import numpy as np

from hedgezoo.market_calibration.quote_panel import SAME, DroppedQuote, arrange

_ROUNDING = 1e-12  # of prices per unit of forward


def make_panel(quotes):
    """The panel of a `CheckedQuotes`; see `hedgezoo.market_calibration.quote_file.read_quotes`.

    Args:
        quotes: A `hedgezoo.market_calibration.quote_terms.CheckedQuotes`.

    Returns:
        A `QuotePanel`.

    Raises:
        ValueError: If no quote is left.
    """
    reasons = np.full(len(quotes.table), "", dtype=object)
    reasons[quotes.maturities <= 0] = "expired"
    volatility, spread = (_from_prices if quotes.quoted_in_prices else _as_quoted)(quotes, reasons)
    _drop_worthless(quotes, volatility, reasons)
    _drop_repeated(quotes, reasons)
    kept = reasons == ""
    dropped = tuple(
        DroppedQuote(
            int(quotes.table.lines[row]),
            float(quotes.strikes[row]),
            float(quotes.maturities[row]),
            reasons[row],
        )
        for row in np.flatnonzero(~kept)
    )
    if not kept.any():
        first = dropped[0]
        raise ValueError(
            f"{quotes.table.path} has no quote that can be used. Received: {len(dropped)} quotes, "
            f"the first, in line {first.line}: {first.reason}"
        )
    return arrange(
        str(quotes.table.path),
        quotes.maturities[kept],
        quotes.moneyness[kept],
        volatility[kept],
        quotes.forwards[kept],
        quotes.table.lines[kept],
        spread=None if spread is None else spread[kept],
        date=quotes.date,
        quoted_as=tuple(quotes.table.headings[name] for name in quotes.kind),
        forwards_from=quotes.forwards_from,
        dropped=dropped,
    )


def _mark(reasons, rows, reason):
    """Gives a reason to rows that have none yet."""
    reasons[(reasons == "") & rows] = reason


def _as_quoted(quotes, reasons):
    columns = [quotes.unit * quotes.table[name] for name in quotes.kind]
    for name, column in zip(quotes.kind, columns, strict=True):
        _mark(reasons, np.isnan(column), f"no {name.replace('_', ' ')}")
    if len(columns) == 1:
        return columns[0], None
    bid, ask = columns
    _mark(reasons, bid > ask, "crossed: bid above ask")
    return 0.5 * (bid + ask), ask - bid


def _from_prices(quotes, reasons):
    table, kind = quotes.table, quotes.kind
    unit = quotes.discounts * quotes.forwards
    prices = [table[name] / unit for name in kind]
    for name, price in zip(kind, prices, strict=True):
        _mark(reasons, np.isnan(price), f"no {name}")
    if len(prices) == 1:
        volatility = _implied(quotes, prices[0])
        _mark_unpriceable(quotes, prices[0], volatility, "price", reasons)
        return volatility, None
    bid, ask = prices
    _mark(reasons, bid > ask, "crossed: bid above ask")
    _mark(reasons, bid == 0, "no bid")
    low, middle, high = (_implied(quotes, price) for price in (bid, 0.5 * (bid + ask), ask))
    _mark_unpriceable(quotes, bid, low, "bid", reasons)
    _mark_unpriceable(quotes, ask, high, "ask", reasons)
    return middle, high - low


def _implied(quotes, price):
    """Volatilities of undiscounted prices per unit of forward, NaN or 0 where there are none."""
    from hedgezoo.layers.implied_volatility import implied_volatility

    usable = np.isfinite(price) & (quotes.maturities > 0)
    price, years = np.where(usable, price, 0.0), np.where(usable, quotes.maturities, 1.0)
    # a put of strike k is k calls of strike 1/k: nothing is subtracted where it has little value
    put = quotes.table["type"] < 0
    strikes = np.where(put, 1.0 / quotes.moneyness, quotes.moneyness)
    calls = np.where(put, price / quotes.moneyness, price)
    found = implied_volatility(calls[:, np.newaxis], strikes[:, np.newaxis], years).numpy()[:, 0]
    return np.where(usable, found, np.nan)


def _mark_unpriceable(quotes, price, volatility, name, reasons):
    sign = quotes.table["type"]
    intrinsic = np.maximum(sign * (1.0 - quotes.moneyness), 0.0)
    _mark(reasons, (price == 0) & (intrinsic == 0), "worthless: price 0")
    _mark(reasons, price < intrinsic - _ROUNDING, f"{name} below intrinsic value")
    _mark(reasons, price < intrinsic + _ROUNDING, f"{name} at intrinsic value")
    _mark(reasons, np.isnan(volatility), f"{name} above what the option can pay")


def _drop_worthless(quotes, volatility, reasons):
    """Quotes whose price is so small that it says nothing about a model."""
    from hedgezoo.heston_calibrator.panel_quotes import SMALLEST_PRICE
    from hedgezoo.layers.black_scholes import black_scholes_call

    usable = reasons == ""
    k = np.where(usable, quotes.moneyness, 1.0)
    years = np.where(usable, quotes.maturities, 1.0)
    # the put of strike k is k calls of strike 1/k
    distant = np.maximum(k, 1.0 / k)
    sigma = np.where(usable, volatility, 1.0)
    price = black_scholes_call(distant[:, np.newaxis], years, sigma[:, np.newaxis]).numpy()[:, 0]
    _mark(reasons, price < SMALLEST_PRICE, f"worthless: price below {SMALLEST_PRICE:g}")


def _drop_repeated(quotes, reasons):
    """Of several quotes at one maturity and strike keeps the out-of-the-money, then the first."""
    table = quotes.table
    types = table["type"] if "type" in table else np.zeros(len(table))
    in_the_money = types * (1.0 - quotes.moneyness) > 0
    rows = np.flatnonzero(reasons == "")
    rows = rows[np.argsort(in_the_money[rows], kind="stable")]
    keepers = {}
    for row in rows:
        key = (round(quotes.maturities[row], SAME), round(quotes.moneyness[row], SAME))
        keeper = keepers.setdefault(key, row)
        if keeper == row:
            continue
        line = table.lines[keeper]
        if in_the_money[row] and not in_the_money[keeper]:
            reasons[row] = f"in the money; line {line} has the other side of it"
        else:
            reasons[row] = f"repeats the strike of line {line}"
