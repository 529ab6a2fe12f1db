"""Backward induction of `ExactHedge` for a claim on the terminal spot."""

import numpy as np

from hedgezoo.baselines.exact_hedge_grids import PositionGrid, SpotGrid
from hedgezoo.baselines.exact_hedge_trade import trade

REACH = 8.0  # standard deviations at which a step is cut off
MORE_REACH = 16.0  # the most that is added for large risk aversion
CONE = 9.0  # spots further out, in standard deviations, do not widen the grid of positions
STARTS = 4.0  # starting spots that prices are asked for, in standard deviations of the horizon


class EuropeanProblem:
    """State (log spot, position) for a payoff of the terminal spot.

    Args:
        market: the `ExactHedge` with the terms of the market and the grid.
        payoff: function of terminal spots `(n,)`.
        kinks: spots at which the payoff has a kink or a jump.
    """

    def __init__(self, market, payoff, kinks):
        self.market, self.payoff, self.kinks = market, payoff, kinks
        self.spots = spot_grid(market, market.spot)
        spot = self.spots.spot
        # slopes of the claim one step before expiry bound the positions that can make sense
        neutral = 1e-2 / market.spot
        smooth = self.spots.last_certainty_equivalent(
            payoff, kinks, np.zeros(1), neutral, len(spot)
        )
        slopes = np.diff(smooth[:, 0]) / np.diff(spot)
        slopes = np.array([slopes.min(), slopes.max(), slopes[0], slopes[-1]])
        scale = np.abs(slopes).max() or 1.0
        self.slopes = np.round(slopes / scale, 4) * scale
        self.positions = position_grid(market, self.slopes)

    def solve(self, positions=None, choose=None):
        """Best strategy, or a given one.

        Args:
            positions: a `PositionGrid`; None for the problem's own.
            choose: function of the step to `{"band": ...}` or `{"target": ...}` as `trade` takes
                them; None for the best band.

        Returns:
            `(owed, bands)`: value at t = 0 with no position `(rows,)`; for each step what `trade`
            returns as band.
        """
        market, spot = self.market, self.spots.spot
        positions = positions or self.positions
        bands = [None] * market.steps
        integrand = None
        for step in reversed(range(market.steps)):
            held = self._held(integrand, positions)
            choice = choose(step) if choose else {}
            owed, integrand, bands[step] = trade(
                held, positions, spot, market.cost, market.risk_aversion, **choice
            )
        return owed[:, positions.zero], bands

    def _held(self, integrand, positions):
        """Certainty equivalents after the trade from those before the next, None at expiry."""
        risk_aversion = self.market.risk_aversion
        if integrand is None:
            return self.spots.last_certainty_equivalent(
                self.payoff, self.kinks, positions.nodes, risk_aversion, len(self.spots.spot)
            )
        return self.spots.certainty_equivalent(self.spots.extend(integrand), risk_aversion)

    def solve_band(self, rule):
        """Value `(rows,)` of the band `rule(spot, step) -> (lower, upper)`."""
        bands = [rule(self.spots.spot, step) for step in range(self.market.steps)]
        seen = []
        for step, (lower, upper) in enumerate(bands):
            inside, weight = cone(self.market, self.spots, step)
            seen.append((lower[inside], upper[inside], weight[inside]))
        positions = grid_for_bands(self.market, self.positions, self.slopes, seen)
        return self.solve(positions, lambda step: {"band": positions.clip(bands[step])})[0]

    def solve_policy(self, rule):
        """Value `(rows,)` of `rule(spot, step, previous) -> position`."""
        spot = self.spots.spot[:, None]

        def ask(step, previous):
            return rule(spot[cone(self.market, self.spots, step)[0]], step, previous)

        reached = reach_of_policy(ask, self.market.steps, self.positions)
        positions = grid_for_policy(self.market, self.positions, self.slopes, reached)

        def choose(step):
            return {"target": positions.clip(rule(spot, step, positions.nodes))}

        return self.solve(positions, choose)[0]

    def interpolate(self, log_spot, *edges):
        """Edges `(rows,)` of a band at other spots of any shape."""
        ends = self.spots.log_spot[[0, -1]]
        nodes = self.positions.nodes[[0, -1]]
        lower, upper = (
            np.clip(self.spline(edge)(np.clip(log_spot, *ends)), *nodes) for edge in edges
        )
        return lower, np.maximum(lower, upper)

    def spline(self, values):
        """Values `(rows,)` as a function of log spot."""
        from scipy.interpolate import CubicSpline

        return CubicSpline(self.spots.log_spot, values)


def cone(market, spots, step):
    """Which nodes of the spot grid can matter at a step, and a weight for how much they do."""
    distance = np.abs(spots.log_spot - np.log(market.spot) - spots.mean * step) / spots.deviation
    inside = distance <= CONE * np.sqrt(step) + STARTS * np.sqrt(market.steps)
    return inside, np.exp(-distance / (3 * np.sqrt(step + 1)))


def reach(bands):
    """Smallest and largest position that bands, in the order of time, can lead to from 0."""
    low = high = 0.0
    for lower, upper in bands:
        low = min(np.clip(low, lower, upper).min(), 0.0)
        high = max(np.clip(high, lower, upper).max(), 0.0)
    return low, high


def reach_of_policy(ask, steps, positions):
    """The same for a policy `ask(step, previous)`, which may widen what it was asked about."""
    low, high = positions.nodes[[0, -1]]
    for _ in range(4):
        previous = np.linspace(low, high, 9)
        for step in range(steps):
            found = ask(step, previous)
            low, high = min(low, found.min()), max(high, found.max())
        if low >= previous[0] and high <= previous[-1]:
            break
    return low, high


def spot_grid(market, node):
    """Grid wide enough for the horizon, and for the tail that an unhedged seller looks at."""
    variance = market.volatility**2 * market.time_step
    horizon = np.sqrt(variance * market.steps)
    mean = (market.drift - market.volatility**2 / 2) * market.time_step
    shift = mean * market.steps
    tilt = market.risk_aversion * market.spot * horizon
    below = market.width + _tail(tilt, -horizon)
    above = market.width + _tail(tilt, horizon)
    start, deviation = np.log(market.spot), np.sqrt(variance)
    return SpotGrid(
        node,
        mean,
        deviation,
        start - below * horizon + min(shift, 0.0),
        max(start + above * horizon + max(shift, 0.0), np.log(node) + deviation),
        market.spot_nodes,
        # half a unit is what the best hedge leaves open at the money on the last day
        REACH + min(tilt / np.sqrt(market.steps) / 2, MORE_REACH),
    )


def _tail(tilt, horizon):
    """Standard deviations to where `exp(a S_T)` times the normal density peaks, 10 at most."""
    peak = 0.0
    for _ in range(100):
        peak = min(tilt * np.exp(horizon * peak), 10.0)
        if horizon < 0:  # contracting, but alternating
            peak = (peak + min(tilt * np.exp(horizon * peak), 10.0)) / 2
    return peak


def position_grid(market, slopes):
    """Positions from 0 to the slopes of the claim, and a margin for the half-width of the band."""
    variance = market.volatility**2 * market.time_step
    low, high = min(slopes.min(), 0.0), max(slopes.max(), 0.0)
    # without a claim the best position lies within one step's half-width of Merton's
    merton = market.drift / (market.risk_aversion * market.volatility**2 * market.spot)
    ends = [low + min(2 * merton, 0.0), high + max(2 * merton, 0.0)]
    scale = max(ends[1] - ends[0], 1e-3)
    margin = 1.25 * market.cost / (market.risk_aversion * variance * market.spot)
    margin = np.clip(margin, 0.02 * scale, 0.25 * scale)
    breaks = merge([0.0, ends[0] - margin, ends[1] + margin], [*slopes, *ends], 0.01 * scale)
    return PositionGrid(breaks, market.position_nodes / scale)


def grid_for_bands(market, positions, slopes, bands):
    """Grid for given bands: wide enough, fine where the edges are, broken where they stay.

    Values have a kink at the edges of a band, as large as the band is bad. The next move of the
    spot smooths it as far as the edges move with the spot. So half of the nodes are quantiles
    of the edges, and an edge that stays where it is over many spots is a break of the grid.

    Args:
        market: the `ExactHedge`.
        positions: the problem's own `PositionGrid`.
        slopes: smallest, largest and limiting slopes of the claim.
        bands: in the order of time, `(lower, upper, weight)`, each `(states,)`, of groups of states
            that a move of the spot leads to.

    Returns:
        A `PositionGrid`.
    """
    low, high = reach([band[:2] for band in bands])
    if low == high:
        return PositionGrid([0.0], 1.0)
    scale = max(np.ptp([0.0, *slopes]), 1e-3)
    fixed = [
        value
        for band in bands
        for edge in band[:2]
        for value in plateaus(edge[(edge > low) & (edge < high)], 1e-4 * scale)
    ]
    ends = min(positions.nodes[0], low), max(positions.nodes[-1], high)
    breaks = merge([0.0, *ends], [*slopes, low, high, *fixed], 5e-3 * scale)
    values = np.concatenate([edge for band in bands for edge in band[:2]])
    weights = np.concatenate([band[2] for band in bands for _ in range(2)])
    right = np.clip(np.searchsorted(breaks, values), 1, len(breaks) - 1)
    moving = np.minimum(values - np.take(breaks, right - 1), np.take(breaks, right) - values)
    moving = moving > 1e-4 * scale
    more = quantiles(values[moving], weights[moving], market.position_nodes)
    return PositionGrid(breaks, market.position_nodes / scale / 2, more, kinks=True)


def quantiles(values, weights, number):
    """Weighted quantiles of `values` at `number` evenly spaced ranks."""
    if not values.size:
        return values
    order = np.argsort(values)
    rank = np.cumsum(weights[order])
    return np.interp((np.arange(number) + 0.5) / number * rank[-1], rank, values[order])


def plateaus(values, tolerance):
    """Values that at least a twentieth of all `values` are as good as equal to."""
    values, many = np.sort(values), max(len(values) // 20, 4)
    equal = np.flatnonzero(values[many:] - values[: max(len(values) - many, 0)] < tolerance)
    runs = np.split(equal, np.flatnonzero(np.diff(equal) > 1) + 1) if equal.size else []
    return [values[(run[0] + run[-1] + many) // 2] for run in runs]


def grid_for_policy(market, positions, slopes, reached):
    """Grid that holds the positions `reached`; the problem's own if it does already."""
    ends = positions.nodes[0], positions.nodes[-1]
    if ends[0] <= reached[0] and reached[1] <= ends[1]:
        return positions
    ends = min(ends[0], reached[0]), max(ends[1], reached[1])
    scale = max(np.ptp([0.0, *slopes]), 1e-3)
    breaks = merge([0.0, *ends], slopes, 1e-2 * scale)
    return PositionGrid(breaks, market.position_nodes / scale)


def merge(needed, wanted, distance):
    """Sorted breaks: all that are needed, and those wanted that keep a distance."""
    kept = {float(x) for x in needed}
    for candidate in wanted:
        if all(abs(candidate - other) >= distance for other in kept):
            kept.add(float(candidate))
    return sorted(kept)
