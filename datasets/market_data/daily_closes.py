"""Daily closes of the volatility indices VIX and VIX3M and of the fund SPY."""

import csv
import datetime
import math
import pathlib
import typing

import numpy as np

from hedgezoo.datasets.market_data.shipped import shipped


class DailyCloses(typing.NamedTuple):
    """One number per trading day.

    Attributes:
        dates: Strictly increasing, `(L,)`, of type `datetime64[D]`.
        closes: Positive, `(L,)`.
    """

    dates: np.ndarray
    closes: np.ndarray


def vix():
    """Daily closes of the Cboe Volatility Index, September 2009 to July 2026.

    VIX is 100 times the square root of the annual variance-swap rate over the next 30 calendar
    days, computed from S&P 500 options of all strikes. It is not an at-the-money volatility, but
    lies above it when the smile is skewed.

    Source: github.com/datasets/finance-vix. Licence: ODC Public Domain Dedication and Licence 1.0.

    Returns:
        `DailyCloses`, in volatility points per √year.

    Example:

    >>> dates, closes = vix()
    >>> float(closes[dates == np.datetime64("2020-03-16")][0])
    82.69
    """
    return read_closes(shipped("vix_daily.csv"))


def vix3m():
    """Daily closes of the Cboe S&P 500 3-Month Volatility Index, September 2009 to February 2026.

    VIX3M is VIX for a horizon of 93 calendar days.

    Source: github.com/FMarkiv/SPXVIX. Licence: MIT.

    Returns:
        `DailyCloses`, in volatility points per √year.

    Example:

    >>> dates, closes = vix3m()
    >>> str(dates[0]), float(closes[0])
    ('2009-09-18', 26.54)
    """
    return read_closes(shipped("vix3m_daily.csv"))


def spy():
    """Daily closes of the exchange-traded fund SPY, September 2009 to November 2025.

    SPY follows the S&P 500 at about a tenth of its level. The closes are not adjusted for
    dividends: on four days a year the return lacks the dividend, about 0.4 % of the price.

    Source: github.com/FMarkiv/SPXVIX. Licence: MIT.

    Returns:
        `DailyCloses`, in US dollars.

    Example:

    >>> dates, closes = spy()
    >>> str(dates[-1]), float(closes[-1])
    ('2025-11-12', 683.38)
    """
    return read_closes(shipped("spy_daily.csv"))


def read_closes(path, date_column="date", close_column="close"):
    """Daily closes from a CSV file with a header line, such as a newer download of an index.

    Dates may be ISO (2020-03-16) or month/day/year (3/16/2020). The names of the columns are
    matched without regard to case; a byte-order mark is skipped.

    Args:
        path: The file.
        date_column: Name of the column of dates.
        close_column: Name of the column of numbers.

    Returns:
        `DailyCloses`.

    Raises:
        ValueError: If a column is missing, a cell cannot be read, a number is not positive or the
            dates do not increase; the message names file and line.
    """
    path = pathlib.Path(path) if isinstance(path, str) else path
    dates, closes = [], []
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = [name.strip().lower() for name in next(reader, [])]
        for argument, name in (("date_column", date_column), ("close_column", close_column)):
            if name.lower() not in header:
                raise ValueError(
                    f"{path} has no column `{argument}`={name!r}. Received: columns {header}"
                )
        date_at, close_at = header.index(date_column.lower()), header.index(close_column.lower())
        for row in reader:
            if not row:
                continue
            where = f"line {reader.line_num} of {path}"
            if len(row) <= max(date_at, close_at):
                raise ValueError(f"Too few columns in {where}. Received: {row}")
            dates.append(_date(row[date_at], where))
            closes.append(_positive(row[close_at], where))
            if len(dates) > 1 and dates[-1] <= dates[-2]:
                raise ValueError(
                    f"Dates must increase. Received: {dates[-1]} after {dates[-2]} in {where}"
                )
    return DailyCloses(np.array(dates, "datetime64[D]"), np.array(closes, "float64"))


def _date(text, where):
    try:
        if "/" in text:
            month, day, year = map(int, text.split("/"))
            return datetime.date(year, month, day)
        return datetime.date.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"A date must read YYYY-MM-DD or MM/DD/YYYY. Received: {text!r} in {where}"
        ) from None


def _positive(text, where):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise ValueError(f"A close must be a positive number. Received: {text!r} in {where}")
    return value
