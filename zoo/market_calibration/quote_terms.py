"""What the columns of a file of quotes mean: maturities, forwards, discount factors, kind of quote.

All that can be wrong in the file itself is found here, without TensorFlow.
"""

import dataclasses

import numpy as np

from hedgezoo.market_calibration.parity_forwards import parity_forwards
from hedgezoo.market_calibration.quote_table import DAYS_A_YEAR, QuoteTable, read_table

_HIGHEST_VOLATILITY, _LOWEST_HIGHEST = 4.0, 0.02
# columns that make a quote; of several the first that a file has
_KINDS = (("bid_vol", "ask_vol"), ("implied_volatility",), ("bid", "ask"), ("price",))


@dataclasses.dataclass(frozen=True, eq=False)
class CheckedQuotes:
    """The quotes of one file and day beside the forwards they belong to; made by `check_quotes`.

    Args:
        table: The rows of the file, a `QuoteTable`.
        kind: Names of the columns that hold the quotes.
        maturities: Years to expiry, `(N,)`; not positive where the option has expired.
        strikes: In the money of the file, or relative to the forward if it has no other, `(N,)`.
        moneyness: Strikes divided by the forward, `(N,)`.
        forwards: Forwards, `(N,)`; NaN where only the moneyness is known.
        forwards_from: Where they are from, in a few words.
        discounts: Discount factors, `(N,)`, or None if they are not known and not needed.
        date: The day of the quotes, `datetime64[D]`, or None.
        unit: What volatilities in the file are multiples of: 1, or 0.01 for percent.
    """

    table: QuoteTable
    kind: tuple
    maturities: np.ndarray
    strikes: np.ndarray
    moneyness: np.ndarray
    forwards: np.ndarray
    forwards_from: str
    discounts: np.ndarray | None
    date: np.datetime64 | None
    unit: float

    @property
    def quoted_in_prices(self):
        """Whether the quotes are prices, not volatilities."""
        return self.kind[0] in ("bid", "price")


def check_quotes(
    path, *, forward=None, spot=None, rate=None, dividend=None, date=None, percent=False
):
    """The quotes of a file, read and checked, with prices still as they are.

    Args:
        path: File name.
        forward: As in `hedgezoo.market_calibration.quote_file.read_quotes`.
        spot: As in `hedgezoo.market_calibration.quote_file.read_quotes`.
        rate: As in `hedgezoo.market_calibration.quote_file.read_quotes`.
        dividend: As in `hedgezoo.market_calibration.quote_file.read_quotes`.
        date: As in `hedgezoo.market_calibration.quote_file.read_quotes`.
        percent: As in `hedgezoo.market_calibration.quote_file.read_quotes`.

    Returns:
        A `CheckedQuotes`.

    Raises:
        ValueError: See `hedgezoo.market_calibration.quote_file.read_quotes`.
        OSError: If the file cannot be opened.
    """
    given = {"forward": forward, "spot": spot, "rate": rate, "dividend": dividend}
    for name, value in given.items():
        _check_option(name, value)
    table = read_table(path)
    kind = next((kind for kind in _KINDS if all(name in table for name in kind)), None)
    if kind is None:
        raise table.missing("quotes", "implied_volatility", "bid_vol", "ask_vol", "bid", "price")
    if "strike" not in table and "moneyness" not in table:
        raise table.missing("strikes", "strike", "moneyness")
    table, day = _of_one_day(table, date)
    maturities = _maturities(table, day)
    in_prices = kind[0] in ("bid", "price")
    if in_prices:
        _require_types(table)
    else:
        _require_decimals(table, kind, percent)
    terms = {name: _term(table, name, value) for name, value in given.items()}
    discounts = _discounts(table, terms, maturities)
    forwards, forwards_from = _forwards(table, given, terms, maturities)
    if forwards is None and in_prices and "strike" in table:
        prices = np.mean([table[name] for name in kind], axis=0)
        forwards, discounts = parity_forwards(table, prices, maturities, discounts)
        forwards_from = "from put-call parity"
    elif forwards is None:
        raise ValueError(
            f"{table.path} has no forwards: a column 'forward', or the option `forward`, or `spot` "
            f"and `rate` must give them. Received: columns {list(table.all_headings)}"
        )
    elif discounts is None and in_prices:
        raise ValueError(
            f"{table.path}: prices need a column 'discount' or a `rate`; 0 if they are not "
            f"discounted. Received: columns {list(table.all_headings)}"
        )
    strikes = table["strike"] if "strike" in table else table["moneyness"]
    moneyness = strikes / forwards if "strike" in table else strikes
    _require_plausible(table, strikes, moneyness)
    return CheckedQuotes(
        table=table,
        kind=kind,
        maturities=maturities,
        strikes=strikes,
        moneyness=moneyness,
        forwards=forwards,
        forwards_from=forwards_from,
        discounts=discounts,
        date=day,
        unit=0.01 if percent else 1.0,
    )


def _check_option(name, value):
    if value is None:
        return
    positive = name in ("forward", "spot")
    try:
        bad = not np.isfinite(float(value)) or (positive and value <= 0)
    except (TypeError, ValueError):
        bad = True
    if bad:
        kind = "a positive number" if positive else "a finite number"
        raise ValueError(f"`{name}` must be {kind}. Received: {name}={value!r}")


def _of_one_day(table, date):
    """The rows of one day, and the day or None."""
    day = None
    if date is not None:
        try:
            day = np.datetime64(date, "D")
        except ValueError:
            day = np.datetime64("NaT")
        if np.isnat(day):
            raise ValueError(f"`date` must be a date such as 2019-01-10. Received: date={date!r}")
    if "date" not in table:
        return table, day
    days = np.unique(table["date"])
    if day is None:
        if len(days) > 1:
            raise ValueError(
                f"{table.path} has quotes of {len(days)} days, {days[0]} to {days[-1]}: `date` "
                "must say which to take. Received: date=None"
            )
        return table, days[0]
    if day not in days:
        raise ValueError(
            f"{table.path} has no quotes of `date`={day}. Received: quotes of {days[0]} to "
            f"{days[-1]}"
        )
    return table.select(table["date"] == day), day


def _maturities(table, day):
    if "maturity" in table:
        return table["maturity"]
    if "days" in table:
        return table["days"] / DAYS_A_YEAR
    if "expiry" not in table:
        raise table.missing("maturities", "maturity", "days", "expiry")
    if day is None:
        raise ValueError(
            f"{table.path} has expiries but no date of the quotes: a column 'date' or the option "
            "`date` must give it. Received: date=None"
        )
    return (table["expiry"] - day) / np.timedelta64(DAYS_A_YEAR, "D")


def _require_types(table):
    if "type" not in table:
        raise table.missing("option types, which prices need,", "type")
    missing = table["type"] == 0
    if missing.any():
        raise table.error("type", int(missing.argmax()), "a price needs the type of the option.")


def _require_decimals(table, kind, percent):
    highest = [np.nanmax(table[name], initial=0.0) for name in kind]
    name = kind[int(np.argmax(highest))]
    row = int(np.nanargmax(np.nan_to_num(table[name])))
    if not percent and max(highest) > _HIGHEST_VOLATILITY:
        raise table.error(
            name,
            row,
            "volatilities must be decimals, 0.25 for 25 % a year; `percent` (--percent) reads "
            "percent.",
        )
    if percent and 0.0 < max(highest) < 100 * _LOWEST_HIGHEST:
        raise table.error(
            name, row, "volatilities do not look like percent; read them without `percent`."
        )


def _term(table, name, value):
    """A column, or the option in all rows, or None; both is one too many."""
    if name in table:
        if value is not None:
            raise ValueError(
                f"`{name}` is in {table.path} already, column {table.headings[name]!r}. "
                f"Received: {name}={value!r}"
            )
        return table[name]
    return None if value is None else np.full(len(table), float(value))


def _forwards(table, given, terms, maturities):
    """Forwards of the rows, NaN if they need not be known, and their source; None for neither."""
    if terms["forward"] is not None:
        for name in ("spot", "dividend"):
            if given[name] is not None:
                raise ValueError(
                    f"`{name}` has no use beside a forward. Received: {name}={given[name]!r}"
                )
        return terms["forward"], "as given"
    if terms["spot"] is not None and terms["rate"] is not None:
        dividend, source = terms["dividend"], "from spot, rate and dividend"
        if dividend is None:
            dividend, source = 0.0, "from spot and rate, without dividend"
        return terms["spot"] * np.exp((terms["rate"] - dividend) * maturities), source
    if given["spot"] is not None:
        raise ValueError(
            f"{table.path}: the forward of a `spot` needs `rate`, and `dividend` if there is one. "
            "Received: rate=None"
        )
    if "moneyness" in table:
        unknown = np.full(len(table), np.nan)
        return (
            table["strike"] / table["moneyness"] if "strike" in table else unknown
        ), "from moneyness"
    return None, None


def _discounts(table, terms, maturities):
    if "discount" in table:
        return table["discount"]
    return None if terms["rate"] is None else np.exp(-terms["rate"] * maturities)


def _require_plausible(table, strikes, moneyness):
    """Strikes a hundred times the forward are a mistake of units."""
    wrong = (moneyness < 0.01) | (moneyness > 100)
    if wrong.any():
        name = "strike" if "strike" in table else "moneyness"
        row = int(wrong.argmax())
        raise table.error(
            name,
            row,
            f"strike and forward must be in the same units; the forward is "
            f"{strikes[row] / moneyness[row]:.6g}.",
        )
