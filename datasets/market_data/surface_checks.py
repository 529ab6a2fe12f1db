"""Checks of the axes of a history of surfaces; each returns the array it accepts."""

import numpy as np

from hedgezoo.datasets.checks import check_array


def checked_grid(strikes, maturities):
    """Strikes that increase around the forward and maturities that increase, as arrays."""
    strikes = check_array("strikes", strikes, {"(n,)": (None,)})
    maturities = check_array("maturities", maturities, {"(m,)": (None,)})
    if len(strikes) < 2 or len(maturities) == 0:
        raise ValueError(
            "A surface takes at least two strikes and one maturity. "
            f"Received: {len(strikes)} strikes, {len(maturities)} maturities"
        )
    for name, grid in (("strikes", strikes), ("maturities", maturities)):
        if not (grid > 0.0).all() or not (np.diff(grid) > 0.0).all():
            raise ValueError(
                f"`{name}` must be positive and increasing. Received: {name}={grid.tolist()}"
            )
    if not strikes[0] < 1.0 < strikes[-1]:
        raise ValueError(
            "`strikes` must contain the forward, which is 1: they are strikes divided by the "
            f"forward. Received: strikes={strikes.tolist()}"
        )
    return strikes, maturities


def as_date(name, value):
    """A date as `datetime64[D]`."""
    try:
        date = np.datetime64(value, "D")
    except (TypeError, ValueError):
        date = np.datetime64("NaT")
    if np.isnat(date):
        raise ValueError(f"`{name}` must be a date such as '2020-03-16'. Received: {value!r}")
    return date


def checked_dates(dates):
    """Strictly increasing dates, as `datetime64[D]`."""
    try:
        dates = np.asarray(dates, "datetime64[D]")
    except (TypeError, ValueError):
        raise ValueError(f"`dates` must be an array of dates. Received: {dates!r}") from None
    if dates.ndim != 1 or len(dates) == 0 or np.isnat(dates).any():
        raise ValueError(
            "`dates` must have shape (L,), with at least one date and none missing. "
            f"Received: shape {dates.shape}"
        )
    back = np.flatnonzero(np.diff(dates) <= np.timedelta64(0, "D"))
    if len(back):
        raise ValueError(
            "`dates` must be strictly increasing. "
            f"Received: {dates[back[0] + 1]} after {dates[back[0]]}"
        )
    return dates


def checked_spot(spot, dates):
    """One positive number per date."""
    spot = check_array("spot", spot, {"(L,)": (len(dates),)})
    if not (spot > 0.0).all():
        day = np.flatnonzero(~(spot > 0.0))[0]
        raise ValueError(f"`spot` must be positive. Received: {spot[day]} on {dates[day]}")
    return spot


def checked_ghosts(ghosts, strikes):
    """A strike below and one above the others."""
    ghosts = check_array("ghost_strikes", ghosts, {"(2,)": (2,)})
    if not 0.0 <= ghosts[0] < strikes[0] or not strikes[-1] < ghosts[1]:
        raise ValueError(
            "`ghost_strikes` must lie outside the strikes, the lower one not below 0. "
            f"Received: ghost_strikes={ghosts.tolist()} around strikes from {strikes[0]} to "
            f"{strikes[-1]}"
        )
    return ghosts


def require_cells(name, surfaces, good, expected, dates, maturities, strikes):
    """Raises unless all of `good` `(L, m, n)` is true, and names the first cell that is not."""
    if good.all():
        return
    day, maturity, strike = np.argwhere(~good)[0]
    raise ValueError(
        f"`{name}` must be {expected}. Received: {surfaces[day, maturity, strike]} on "
        f"{dates[day]}, maturity {maturities[maturity]:.6g}, strike {strikes[strike]:.6g}"
    )
