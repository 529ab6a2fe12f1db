"""A CSV file of option quotes as columns of numbers; every cell can be found again by its line."""

import csv
import dataclasses
import datetime
import io
import math
import pathlib
import re

import numpy as np

DAYS_A_YEAR = 365
# what a column may be called; anything but letters and digits in a heading counts as "_"
NUMBERS = {
    "strike": ("strike", "k", "strike_price", "exercise_price"),
    "moneyness": ("moneyness", "k_f", "strike_over_forward", "relative_strike"),
    "maturity": (
        "maturity",
        "t",
        "ttm",
        "tau",
        "years",
        "time_to_expiry",
        "time_to_maturity",
        "maturity_years",
    ),
    "days": ("days", "dte", "days_to_expiry", "days_to_maturity"),
    "implied_volatility": (
        "implied_volatility",
        "implied_vol",
        "iv",
        "vol",
        "volatility",
        "sigma",
        "mid_vol",
        "mid_iv",
        "impl_volatility",
    ),
    "bid_vol": ("bid_vol", "bid_iv", "vol_bid", "iv_bid", "bid_volatility"),
    "ask_vol": ("ask_vol", "ask_iv", "vol_ask", "iv_ask", "ask_volatility"),
    "bid": ("bid", "bid_price", "best_bid"),
    "ask": ("ask", "ask_price", "best_ask", "offer", "best_offer"),
    "price": ("price", "mid", "mid_price", "premium", "option_price", "settlement"),
    "forward": ("forward", "f", "fwd", "forward_price"),
    "spot": ("spot", "s", "underlying", "underlying_price", "spot_price"),
    "rate": ("rate", "r", "zero_rate", "interest_rate", "risk_free_rate"),
    "dividend": ("dividend", "q", "dividend_yield", "div_yield"),
    "discount": ("discount", "df", "discount_factor"),
}
DATES = {
    "expiry": ("expiry", "expiration", "expiry_date", "expiration_date", "exdate", "maturity_date"),
    "date": ("date", "quote_date", "trade_date", "valuation_date"),
}
TYPES = {"type": ("type", "option_type", "call_put", "put_call", "cp", "cp_flag", "right")}
_HEADINGS = {
    heading: name
    for columns in (NUMBERS, DATES, TYPES)
    for name, headings in columns.items()
    for heading in headings
}
_SIGNS = {"c": 1, "call": 1, "p": -1, "put": -1}
_EMPTY = ("", "-", "na", "n/a", "nan", "none", "null")
_POSITIVE = (
    "strike",
    "moneyness",
    "implied_volatility",
    "bid_vol",
    "ask_vol",
    "forward",
    "spot",
    "discount",
)
_NOT_NEGATIVE = ("bid", "ask", "price")
_MAY_BE_EMPTY = ("implied_volatility", "bid_vol", "ask_vol", *_NOT_NEGATIVE)


@dataclasses.dataclass(frozen=True, eq=False)
class QuoteTable:
    """The columns of a file that are known here; made by `read_table`.

    Args:
        path: The file.
        lines: Line of each of N rows in the file, `(N,)`, the heading's being 1.
        columns: Dictionary name -> array `(N,)`: numbers (NaN where a quote is empty), dates
            `datetime64[D]`, or for `type` 1 (call), -1 (put) and 0 (empty).
        headings: Dictionary name -> what the column is called in the file.
        all_headings: All columns of the file.
    """

    path: pathlib.Path
    lines: np.ndarray
    columns: dict
    headings: dict
    all_headings: tuple

    def __len__(self):
        return len(self.lines)

    def __contains__(self, name):
        return name in self.columns

    def __getitem__(self, name):
        return self.columns[name]

    def select(self, rows):
        """The table of some of the rows, booleans `(N,)`."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return dataclasses.replace(self, lines=self.lines[rows], columns=columns)

    def error(self, name, row, message):
        """A `ValueError` on one cell: file, line, column and value after the message."""
        value = self.columns[name][row]
        return ValueError(
            f"{self.path}, line {self.lines[row]}: {message} "
            f"Received: {value} in column {self.headings[name]!r}"
        )

    def missing(self, what, *names):
        """A `ValueError` on columns that are not there."""
        known = [(NUMBERS | DATES | TYPES)[name][0] for name in names]
        return ValueError(
            f"{self.path} has no column of {what}: {' or '.join(map(repr, known))}. "
            f"Received: columns {list(self.all_headings)}"
        )


def read_table(path):
    """Reads a CSV file of option quotes, one line each, without interpreting them.

    Columns are known by their headings, in any order and in upper or lower case; others are
    ignored. The separator may be a comma, a semicolon, a tab or a bar.

    Args:
        path: File name.

    Returns:
        A `QuoteTable`.

    Raises:
        ValueError: If the file is no table, two columns mean the same, or a cell is not a number,
            a date or an option type, or out of range; the message names file, line and column.
        OSError: If the file cannot be opened.
    """
    path = pathlib.Path(path)
    try:
        heading, rows, lines = _cells(path, path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path} must be a text file of comma-separated values. Received: {error}"
        ) from None
    names = _names(path, heading)
    columns = {}
    for name, index in names.items():
        kind = _number if name in NUMBERS else _date if name in DATES else _type
        cells = []
        for line, row in zip(lines, rows, strict=True):
            try:
                cells.append(kind(name, row[index].strip()))
            except ValueError as error:
                raise ValueError(
                    f"{path}, line {line}: {error}. "
                    f"Received: {row[index]!r} in column {heading[index]!r}"
                ) from None
        columns[name] = np.array(cells, _dtype(name))
    headings = {name: heading[index] for name, index in names.items()}
    return QuoteTable(path, np.array(lines), columns, headings, tuple(heading))


def _cells(path, text):
    """The heading, rows of as many cells, and their lines."""
    first = text.lstrip().split("\n", 1)[0]
    separator = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    heading, rows, lines = None, [], []
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if heading is None:
            heading = [cell.strip() for cell in row]
            continue
        if len(row) != len(heading):
            raise ValueError(
                f"{path}, line {reader.line_num}: expected {len(heading)} cells, as in the "
                f"heading. Received: {len(row)}"
            )
        rows.append(row)
        lines.append(reader.line_num)
    if not rows:
        raise ValueError(f"{path} must have a heading and at least one quote. Received: no quote")
    return heading, rows, lines


def _names(path, heading):
    """Dictionary name -> index of the column."""
    names = {}
    for index, title in enumerate(heading):
        plain = re.sub(r"[^a-z0-9%]+", "_", title.lower()).strip("_")
        name = _HEADINGS.get(plain)
        if name is None:
            continue
        if name in names:
            raise ValueError(
                f"{path} must have one column of each kind. Received: {heading[names[name]]!r} "
                f"and {title!r}, which both mean {name!r}"
            )
        names[name] = index
    return names


def _number(name, cell):
    if cell.lower() in _EMPTY:
        if name in _MAY_BE_EMPTY:
            return math.nan
        raise ValueError(f"the {name} is missing")
    if cell.endswith("%"):
        raise ValueError("numbers must be decimals, 0.25 for 25 %")
    try:
        value = float(cell)
    except ValueError:
        raise ValueError("expected a number with a decimal point, such as 0.25") from None
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    if name in _POSITIVE and value <= 0:
        raise ValueError(f"the {name.replace('_', ' ')} must be positive")
    if name in _NOT_NEGATIVE and value < 0:
        raise ValueError(f"the {name} must not be negative")
    return value


def _date(name, cell):
    try:
        return datetime.datetime.fromisoformat(cell).date()
    except ValueError:
        raise ValueError(f"expected the {name} as an ISO date, such as 2019-01-10") from None


def _type(name, cell):
    if cell.lower() in _EMPTY:
        return 0
    if cell.lower() not in _SIGNS:
        raise ValueError("expected the type 'call' or 'put', or 'C' or 'P'")
    return _SIGNS[cell.lower()]


def _dtype(name):
    return "datetime64[D]" if name in DATES else "int8" if name in TYPES else "float64"
