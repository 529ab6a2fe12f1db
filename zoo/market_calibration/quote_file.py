"""From a CSV file of option quotes to a panel of implied volatilities."""

from hedgezoo.market_calibration.quote_filter import make_panel
from hedgezoo.market_calibration.quote_terms import check_quotes


def read_quotes(
    path, *, forward=None, spot=None, rate=None, dividend=None, date=None, percent=False
):
    """Implied volatilities of the option quotes in a CSV file, as a panel for calibration.

    One line per option. The columns, in any order and by their usual names (`strike` or `K`,
    `maturity` or `T`, ...; see `hedgezoo.market_calibration.quote_table`):

    - `strike`, or `moneyness` (strike divided by the forward);
    - `maturity` in years, or `days`, or `expiry` as a date beside the date of the quotes;
    - the quote: `bid_vol` and `ask_vol`, or `implied_volatility`, or the prices `bid` and `ask`,
      or `price`; the first of these that the file has is used;
    - `type`, call or put, of prices;
    - `forward`, or `spot`, `rate` and `dividend` (continuously compounded; no dividend if it is
      not said), and for prices `discount` or `rate`. Prices of calls and puts can do without:
      forward and discount factor of a maturity are then those of put-call parity.

    Options are taken to be European. Prices become volatilities per unit of the discounted
    forward; the volatility of a bid and an ask is that of their mean, and the spread the
    difference of theirs. Where a call and a put are quoted at one strike, the one out of the money
    is kept.

    Args:
        path: File name.
        forward: Forward of all maturities, where the file has no such column.
        spot: Level of the underlying, where the file has no such column.
        rate: Interest rate per year, continuously compounded, where the file has no such column.
        dividend: Dividend yield, likewise.
        date: Day of the quotes, an ISO date or `datetime64`; of a file of several days, the day
            to take.
        percent: Whether volatilities in the file are in percent.

    Returns:
        A `QuotePanel`. What it leaves out (empty, crossed, without a bid, below intrinsic value,
        worthless, expired, repeated) is in its `dropped`, line by line.

    Raises:
        ValueError: If a column is missing, a cell is unreadable or out of range, volatilities look
            like percent, forwards are not determined, or no quote is left; the message names the
            file, and line, column and value where there is one.
        OSError: If the file cannot be opened.

    Example:

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "quotes.csv")
    ...     _ = path.write_text("K,T,bid,ask,type\\n95,0.5,4.1,4.3,put\\n105,0.5,3.9,4.2,call\\n")
    ...     panel = read_quotes(path, forward=100.0, rate=0.0)
    >>> panel.strikes.tolist(), panel.implied_volatility.round(4).tolist()
    ([[0.95, 1.05]], [[0.2327, 0.2158]])
    """
    options = {"forward": forward, "spot": spot, "rate": rate, "dividend": dividend}
    return make_panel(check_quotes(path, **options, date=date, percent=percent))
