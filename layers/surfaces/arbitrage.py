"""Static arbitrage in a surface of call prices: finding it and naming it."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import is_concrete, shape_of
from hedgezoo.layers.surfaces.checks import surface_arguments
from hedgezoo.layers.surfaces.price_differences import price_differences


class Arbitrage(NamedTuple):
    """One violated inequality of a surface of call prices.

    Attributes:
        kind: `"bound"` (the price is below intrinsic value, above 1, or not a number),
            `"butterfly"` (it lies above the chord between its neighbours), or `"calendar"` (it is
            below that of the maturity before).
        strike: Strike divided by the forward.
        maturity: Years to expiry.
        size: By how much the price is too high or too low, per unit of forward.
        batch: Indices of the surface in the leading axes.
    """

    kind: str
    strike: float
    maturity: float
    size: float
    batch: tuple = ()

    def __str__(self):
        where = f" of surface {self.batch}" if self.batch else ""
        return (
            f"{self.kind} at strike {self.strike:.6g}, maturity {self.maturity:.6g}{where}: "
            f"price off by {self.size:.3g}"
        )


def find_arbitrage(calls, strikes, maturities, ghost_strikes=None, tolerance=None):
    """Every static arbitrage in a surface of call prices.

    Prices are free of static arbitrage on the grid if at each maturity they are convex in the
    strike, between intrinsic values at the ghost strikes; if none is below that of the maturity
    before at the same strike, there taken to be linear between its strikes; and if they lie
    between intrinsic value and 1. Exactly then `calls_to_dlv` has an answer.

    Args:
        calls: Undiscounted call prices per unit of forward, `(..., m, n)`, any numbers.
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years to expiry, `(m,)`.
        ghost_strikes: As in `dlv_to_calls`.
        tolerance: Prices may be off by so much, per unit of forward. By default by what rounding
            explains.

    Returns:
        List of `Arbitrage` records, by surface, maturity and strike; empty if there is none.

    Raises:
        ValueError: If the grid is none (see `dlv_to_calls`), shapes do not match, or prices are
            symbolic.

    Example:

    >>> calls = [[0.1053, 0.0271, 0.0065], [0.1174, 0.0208, 0.0181]]
    >>> for violation in find_arbitrage(calls, [0.9, 1.0, 1.1], [0.25, 0.5]):
    ...     print(violation)
    butterfly at strike 0.9, maturity 0.5: price off by 0.007
    calendar at strike 1, maturity 0.5: price off by 0.0063
    butterfly at strike 1.1, maturity 0.5: price off by 0.0077
    """
    calls, grid = concrete_prices(calls, strikes, maturities, ghost_strikes)
    return _violations(calls, grid, tolerance)


def concrete_prices(calls, strikes, maturities, ghost_strikes):
    """Prices as a tensor and their grid, checked.

    Args:
        calls: `(..., m, n)`.
        strikes: As in `find_arbitrage`.
        maturities: As in `find_arbitrage`.
        ghost_strikes: As in `find_arbitrage`.

    Returns:
        Tensor and `StrikeGrid`.

    Raises:
        ValueError: See `find_arbitrage`.
    """
    calls, grid = surface_arguments(
        calls, strikes, maturities, ghost_strikes, "calls", check_cells=False
    )
    if not is_concrete(calls):
        raise ValueError(
            "`calls` must be prices at hand, not symbolic: call this outside of graphs. "
            f"Received: {calls}"
        )
    return calls, grid


def require_no_arbitrage(calls, grid, differences):
    """Raises on the first cell of concrete prices that fails by more than rounding.

    Args:
        calls: Prices `(..., m, n)`.
        grid: `StrikeGrid`.
        differences: `PriceDifferences` of the same prices.

    Raises:
        ValueError: If there is a static arbitrage.
    """
    if not bool(tf.reduce_any(differences.failing)):
        return
    found = _violations(calls, grid, None, differences)
    first = found[0]
    outer = (float(grid.strikes[0, 0]), float(grid.strikes[-1, -1]))
    hint = ""
    if first.kind == "butterfly" and first.strike in outer:
        hint = (
            " The neighbour of an outer strike is a ghost strike, priced at intrinsic value: "
            "`ghost_strikes` further out may be what is missing."
        )
    raise ValueError(
        "`calls` must be free of static arbitrage; `repair_calls` finds the nearest prices that "
        f"are. Received: {first} ({len(found)} violations in shape={shape_of(calls)}).{hint}"
    )


# ------------------------------------------------------------------------------------ internals


def _violations(calls, grid, tolerance, differences=None):
    m, n = calls.shape[-2:]
    leading = tuple(calls.shape[:-2])
    prices = tf.transpose(tf.reshape(calls, (-1, m, n)), (1, 2, 0))
    if differences is None:
        differences = price_differences(prices, grid)
    prices = prices.numpy().astype("float64")
    nodes = grid.nodes.numpy().astype("float64")
    strikes = nodes[:, 1:-1, None]
    below, above = np.diff(nodes)[:, :-1, None], np.diff(nodes)[:, 1:, None]
    chord = below * above / (below + above)  # price of a unit of probability
    butterflies = -differences.probabilities.numpy() * chord
    butterfly_rounding = differences.probability_rounding.numpy() * chord
    calendars = -differences.calendars.numpy()
    rounding = differences.calendar_rounding.numpy()
    bounds = np.maximum(np.maximum(1.0 - strikes, 0.0) - prices, prices - 1.0)
    found = []
    for kind, sizes, allowed in (
        ("bound", bounds, rounding),  # at the first maturity the calendar is this
        ("calendar", calendars[1:], rounding[1:]),
        ("butterfly", butterflies, butterfly_rounding),
    ):
        allowed = allowed if tolerance is None else tolerance
        wrong = sizes > allowed
        if kind == "bound":
            wrong |= np.isnan(prices)
        for j, i, b in np.argwhere(wrong):
            size = sizes[j, i, b]
            j += kind == "calendar"
            batch = tuple(int(x) for x in np.unravel_index(b, leading)) if leading else ()
            strike = float(nodes[min(j, len(nodes) - 1), 1 + i])
            found.append(Arbitrage(kind, strike, float(grid.years[j]), float(size), batch))
    return sorted(found, key=lambda a: (a.batch, a.maturity, a.strike))
