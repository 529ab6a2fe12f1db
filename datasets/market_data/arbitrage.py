"""Static arbitrage in a history of surfaces: refused by its date, or repaired."""

import numpy as np

from hedgezoo.datasets.checks import check_one_of
from hedgezoo.layers.surfaces.arbitrage import find_arbitrage
from hedgezoo.layers.surfaces.discrete_local_volatility import calls_to_dlv
from hedgezoo.layers.surfaces.repair import repair_calls

# Repaired surfaces keep this distance, per unit of forward, from the nearest arbitrage. On the
# boundary itself a discrete local volatility is zero or infinite.
MARGIN = 1e-6


def days_without_arbitrage(calls, strikes, maturities):
    """Which surfaces are free of arbitrage whatever the ghost strikes, `(L,)` booleans.

    That is between strikes 0 and infinity, where options have their intrinsic value in any model.
    """
    everywhere = np.array([0.0, 1e3 * strikes[-1]])
    found = find_arbitrage(calls, strikes, maturities, everywhere)
    free = np.ones(len(calls), bool)
    free[[violation.batch[0] for violation in found]] = False
    return free


def surfaces_without_arbitrage(calls, dates, strikes, maturities, ghost_strikes, arbitrage):
    """Call prices with finite discrete local volatilities, and these.

    Args:
        calls: Call prices per unit of forward, `(L, m, n)`.
        dates: Their dates, `(L,)`, for messages.
        strikes: Strikes divided by the forward, `(n,)`.
        maturities: Years to expiry, `(m,)`.
        ghost_strikes: Strikes below and above the others, `(2,)`.
        arbitrage: "raise" or "repair".

    Returns:
        Call prices and discrete local volatilities, both `(L, m, n)`; days that have nothing to
        repair keep their prices.

    Raises:
        ValueError: If a surface has arbitrage and is not to be repaired.
    """
    check_one_of("arbitrage", arbitrage, ("raise", "repair"))
    grid = (strikes, maturities, ghost_strikes)
    found = find_arbitrage(calls, *grid)
    if found and arbitrage == "raise":
        first, days = found[0], len({violation.batch for violation in found})
        raise ValueError(
            "The surfaces must be free of static arbitrage. "
            f"Received: {dates[first.batch[0]]}, {first._replace(batch=())} "
            f"({len(found)} violations on {days} of {len(dates)} dates, with ghost strikes "
            f"{np.round(ghost_strikes, 6).tolist()}). arbitrage='repair' takes the nearest "
            "surfaces without"
        )
    calls = calls.copy()
    _repair(calls, sorted({violation.batch[0] for violation in found}), grid)
    dlv = calls_to_dlv(calls, *grid).numpy()
    infinite = np.flatnonzero(~np.isfinite(dlv).all(axis=(1, 2)))
    if len(infinite) and arbitrage == "raise":
        day = infinite[0]
        maturity, strike = np.argwhere(~np.isfinite(dlv[day]))[0]
        raise ValueError(
            "A strike without probability must have no calendar spread: no finite discrete local "
            f"volatility gives these prices. Received: {dates[day]}, strike {strikes[strike]:.6g}, "
            f"maturity {maturities[maturity]:.6g}"
        )
    if len(infinite):
        _repair(calls, infinite, grid)
        dlv = calls_to_dlv(calls, *grid).numpy()
    return calls, dlv


def _repair(calls, days, grid):
    if len(days):
        calls[days] = repair_calls(calls[days], *grid, margin=MARGIN).calls
