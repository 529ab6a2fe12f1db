"""Volatility surfaces from two volatility indices, a spot and the shape of a smile."""

import functools

import numpy as np

from hedgezoo.datasets.checks import check_array
from hedgezoo.datasets.market_data.daily_closes import spy, vix, vix3m
from hedgezoo.datasets.market_data.skew_fit import EURO_STOXX_50_SKEW
from hedgezoo.datasets.market_data.ssvi import SSVISkew
from hedgezoo.datasets.market_data.surface_checks import checked_grid
from hedgezoo.datasets.market_data.surface_history import SurfaceHistory
from hedgezoo.datasets.market_data.variance_swap import at_the_money_variance

STRIKES = (0.85, 0.90, 0.95, 0.975, 1.0, 1.025, 1.05, 1.075)
MATURITIES = (20 / 250, 40 / 250, 60 / 250, 120 / 250)
VIX_YEARS = 30 / 365
VIX3M_YEARS = 93 / 365


def spx_surfaces(
    strikes=STRIKES,
    maturities=MATURITIES,
    ghost_strikes=None,
    start=None,
    end=None,
    skew=EURO_STOXX_50_SKEW,
):
    """Daily S&P 500 volatility surfaces, 2009-09-18 to 2025-11-12, free of static arbitrage.

    Level and term structure are market data: the daily closes of VIX and VIX3M. The shape of the
    smile is not: it is an SSVI surface fitted once to a real chain of EURO STOXX 50 options
    (1 March 2010, see `fit_skew`), the same on all days but for its dependence on the level of
    variance. So the history has two factors of volatility and no skew of its own. The spot is the
    exchange-traded fund SPY, about a tenth of the index, and its closes are not adjusted for
    dividends.

    VIX is a variance-swap rate, not an at-the-money volatility. Each day's at-the-money variances
    for 30 and 93 calendar days are those whose smile has the model-free variance of that day's
    VIX and VIX3M. Other maturities (in years; 250 trading days or 365 calendar days are a year)
    follow by a forward variance that is constant from zero to 30 days, and constant from there on.
    It was positive on all days: the lowest from 30 to 93 days was 12.1 % squared, on 2017-10-20.

    With this smile the at-the-money volatility for 30 days lies 0.5 points below VIX on the median
    day, 1.7 at the 95th percentile and 11.9 at the peak of March 2020.

    On the default grid the logarithms of the discrete local volatilities run from -3.5 to 0.4 and
    move by at most 1.1 in a day. Two principal components explain 99.6 % of their variance, three
    99.995 %. Strikes further out cost this: with 1.10 in place of 1.075, a call worth 1e-8 of the
    forward on the quietest days, they run from -5.3 and move by up to 1.7.

    One pair of ghost strikes serves all days, 0.2 and 1.6 on the default strikes. It is that of
    `choose_ghost_strikes` for the whole history, whatever part of it is asked for.

    Args:
        strikes: Strikes divided by the forward, `(n,)`.
        maturities: Years to expiry, `(m,)`.
        ghost_strikes: Strikes below and above the others at which options are worth their
            intrinsic value, `(2,)`. None for those of the rule above.
        start: First date of the history. Default: the first of VIX3M.
        end: Last date of the history. Default: the last of SPY.
        skew: An `SSVISkew`, the shape of the smile.

    Returns:
        A `SurfaceHistory`.

    Raises:
        ValueError: If an argument is out of its range, or if the ghost strikes are so near that
            a day's surface has arbitrage.

    Example:

    >>> history = spx_surfaces(start="2020-03-16", end="2020-03-18")
    >>> history.dates
    array(['2020-03-16', '2020-03-17', '2020-03-18'], dtype='datetime64[D]')
    >>> history.implied_volatility[0, 0].round(3)
    array([0.86 , 0.807, 0.756, 0.731, 0.708, 0.686, 0.666, 0.648])
    """
    strikes, maturities = checked_grid(strikes, maturities)
    ghosts = None if ghost_strikes is None else tuple(np.ravel(ghost_strikes).tolist())
    history = _whole_history(tuple(strikes.tolist()), tuple(maturities.tolist()), ghosts, skew)
    return history.between(start, end)


def volatility_index_surfaces(
    dates,
    spot,
    short_index,
    long_index,
    strikes=STRIKES,
    maturities=MATURITIES,
    ghost_strikes=None,
    skew=EURO_STOXX_50_SKEW,
    index_years=(VIX_YEARS, VIX3M_YEARS),
    source="",
):
    """Surfaces from the daily closes of two variance-swap indices, as `spx_surfaces` builds them.

    For a newer history than the shipped one, or another market whose indices are computed like
    VIX (VSTOXX, VDAX-NEW).

    Args:
        dates: Strictly increasing dates, `(L,)`.
        spot: Positive levels of the underlying, `(L,)`.
        short_index: Volatility index of the shorter horizon, in volatility points, `(L,)`.
        long_index: Volatility index of the longer horizon, in volatility points, `(L,)`.
        strikes: Strikes divided by the forward, `(n,)`.
        maturities: Years to expiry, `(m,)`.
        ghost_strikes: Strikes below and above the others, `(2,)`. None for those of
            `choose_ghost_strikes`.
        skew: An `SSVISkew`, the shape of the smile.
        index_years: The two horizons, in years.
        source: Where the data come from, in words.

    Returns:
        A `SurfaceHistory`.

    Raises:
        ValueError: If an argument is out of its range, or if on some date the forward variance
            between the horizons is not positive, which is calendar arbitrage; the date is named.
    """
    strikes, maturities = checked_grid(strikes, maturities)
    if not isinstance(skew, SSVISkew):
        raise ValueError(f"`skew` must be an SSVISkew. Received: skew={skew!r}")
    short_years, long_years = index_years
    if not 0.0 < short_years < long_years:
        raise ValueError(f"`index_years` must be positive and increasing. Received: {index_years}")
    days = len(np.atleast_1d(dates))
    short, long = (
        at_the_money_variance((_index(name, closes, days) / 100.0) ** 2 * years, skew)
        for name, closes, years in (
            ("short_index", short_index, short_years),
            ("long_index", long_index, long_years),
        )
    )
    forward = (long - short) / (long_years - short_years)
    if not (forward > 0.0).all():
        day = int(np.argmax(~(forward > 0.0)))
        raise ValueError(
            "The forward variance between the horizons of the two indices must be positive. "
            f"Received: {short_index[day]} and {long_index[day]} on {dates[day]}"
        )
    before = np.minimum(maturities, short_years) / short_years
    after = np.maximum(maturities - short_years, 0.0)
    theta = before * short[:, None] + after * forward[:, None]
    variance = skew.total_variance(np.log(strikes), theta[..., None])
    return SurfaceHistory.from_volatilities(
        dates,
        spot,
        np.sqrt(variance / maturities[:, None]),
        strikes,
        maturities,
        ghost_strikes,
        source=source,
    )


@functools.lru_cache(maxsize=4)
def _whole_history(strikes, maturities, ghost_strikes, skew):
    """All dates that VIX, VIX3M and SPY have in common; immutable, so it can be shared."""
    short, long, fund = vix(), vix3m(), spy()
    dates = functools.reduce(np.intersect1d, (short.dates, long.dates, fund.dates))

    def on_dates(series):
        return series.closes[np.searchsorted(series.dates, dates)]

    return volatility_index_surfaces(
        dates,
        on_dates(fund),
        on_dates(short),
        on_dates(long),
        strikes,
        maturities,
        ghost_strikes,
        skew,
        source="VIX and VIX3M closes, SPY closes, skew of the EURO STOXX 50 on 2010-03-01",
    )


def _index(name, closes, days):
    closes = check_array(name, closes, {"(L,)": (days,)})
    good = (closes >= 1.0) & (closes <= 1000.0)
    if not good.all():
        raise ValueError(
            f"`{name}` must be in volatility points, 20 for 20 %. Received: {closes[~good][0]}"
        )
    return closes
