"""Backward induction of `ExactHedge` for the fixed strike lookback call.

The state gains the running maximum. Its levels are the first spot and the nodes of the spot grid
above it. After a step to `x'` the level is still `m` if `x' <= m`, else it is `x'` itself: the path
of integration follows the level up to `m` and the diagonal of the state from there on, with a kink
at `m`. Another kink is on the diagonal at the strike, where a larger maximum begins to cost money.
"""

import numpy as np

from hedgezoo.baselines.exact_hedge_european import (
    cone,
    grid_for_bands,
    grid_for_policy,
    position_grid,
    reach_of_policy,
    spot_grid,
)
from hedgezoo.baselines.exact_hedge_trade import add_masses, kink_masses, relative_exp, trade

STENCIL = 6  # nodes for derivatives on one side of a kink
NODES = np.arange(STENCIL)


class LookbackProblem:
    """State (log spot, running maximum, position) for `(max_t S_t − strike)⁺`, fixing 0 included.

    Args:
        market: the `ExactHedge` with the terms of the market and the grid.
    """

    def __init__(self, market):
        self.market = market
        # the strike on a node if the maximum has yet to reach it, else the first spot
        self.spots = spot_grid(market, max(market.strike, market.spot))
        log_spot, spacing = self.spots.log_spot, self.spots.spacing
        row = (np.log(market.spot) - log_spot[0]) / spacing
        first = int(row + 1e-9)
        self.place = max(row - first, 0.0)  # of the first spot above the node at or below it
        # last row at or below each level; after the first, levels are nodes
        self.tops = np.arange(first, len(log_spot))
        self.levels = np.exp(log_spot[self.tops])
        self.levels[0] = market.spot
        self.strike_level = max(round((np.log(market.strike) - log_spot[first]) / spacing), 0)
        total = market.volatility * np.sqrt(market.time_step * market.steps)
        # the delta is E[max/S] > 1 where the spot is at its maximum
        self.slopes = np.array([0.0, 1.0, 1.0 + total + total**2 / 2])
        self.positions = position_grid(market, self.slopes)

    def solve(self, positions=None, choose=None):
        """Best strategy, or a given one.

        Args:
            positions: a `PositionGrid`; None for the problem's own.
            choose: function of (step, level, rows) to `{"band": ...}` or `{"target": ...}` as
                `trade` takes them, where rows None stand for the start; None for the best band.

        Returns:
            `(owed, bands)`: value at t = 0 with no position; bands `(steps, 2, levels, rows)`,
            where rows above a level hold the diagonal, None if they were given.
        """
        market, spots = self.market, self.spots
        positions = positions or self.positions
        bands = None
        if choose is None:
            bands = np.empty((market.steps, 2, len(self.tops), len(spots.spot)))
        after = None

        def traded(held, spot, *state):
            choice = choose(*state) if choose else {}
            return trade(held, positions, spot, market.cost, market.risk_aversion, **choice)

        for step in reversed(range(market.steps)):
            if step == 0:
                held = self._held_at_start(positions, after)
                start = traded(held, np.array([market.spot]), step, 0, None)[0]
                if choose is not None:
                    break
            now, diagonal = [], []
            for level, top in enumerate(self.tops):
                held = self._held(level, positions, after)
                rows = np.arange(top + 1)
                owed, integrand, band = traded(held, spots.spot[rows], step, level, rows)
                now.append((owed[-STENCIL:], integrand))
                diagonal.append(held[-1])
                if bands is not None:
                    bands[step, :, level, : top + 1] = band
                    bands[step, :, : level + 1, top] = np.stack(band)[:, -1:]
            levels, rows = np.arange(1, len(self.tops)), self.tops[1:]
            owed, integrand, _ = traded(
                np.stack(diagonal[1:]), spots.spot[rows], step, levels, rows
            )
            after = self._after(now, owed, integrand)
        return start[0, positions.zero], bands

    def _held(self, level, positions, after):
        """Certainty equivalents `(top + 1, positions)` at one level, from those a step later."""
        risk_aversion, top = self.market.risk_aversion, self.tops[level]
        if after is None:
            payoff, kinks = self._payoff(level)
            return self.spots.last_certainty_equivalent(
                payoff, kinks, positions.nodes, risk_aversion, top + 1
            )
        path = self.spots.extend(self._path(level, after), above=False)
        return self.spots.certainty_equivalent(path, risk_aversion)

    def _held_at_start(self, positions, after):
        """Certainty equivalents `(1, positions)` at the first spot, which may lie between nodes."""
        market, margin = self.market, self.spots.margin
        if after is None:
            payoff, kinks = self._payoff(0)
            start = np.log([market.spot])
            return self.spots.exact_certainty_equivalent(
                payoff, kinks, positions.nodes, market.risk_aversion, start
            )
        path = self.spots.extend(self._path(0, after), above=False)[-2 * margin - 1 :]
        return self.spots.certainty_equivalent_between(path, self.place, market.risk_aversion)

    def _payoff(self, level):
        strike = self.market.strike
        floor = max(self.levels[level], strike)
        return lambda end: np.maximum(end, floor) - strike, [floor]

    def _after(self, now, owed, integrand):
        """What `_path` needs: levels, diagonal (values, integrand), and its kink at the strike."""
        risk_aversion, strike = self.market.risk_aversion, self.strike_level
        owed = self.spots.extend(owed, below=False)
        integrand = self.spots.extend(integrand, below=False)
        if strike == 0:
            return now, owed, integrand, None
        # nodes up to the first spot from the first level: below the strike, levels do not matter
        around = np.concatenate([now[0][0], owed])[strike : strike + 2 * STENCIL - 1]
        scale = around[STENCIL - 1]
        values = relative_exp(risk_aversion * (around - scale))
        jumps = _jumps(values[:STENCIL], values[STENCIL - 1 :])
        return now, owed, integrand, (scale, kink_masses(jumps, 0.0))

    def _path(self, level, after):
        """Values to integrate `(top + 1 + margin, positions)`: the level, then the diagonal."""
        now, diagonal_owed, diagonal, strike_kink = after
        owed, integrand = now[level]
        top, risk_aversion = self.tops[level], self.market.risk_aversion
        path = np.concatenate([integrand, diagonal[level : level + self.spots.margin]])
        kinks = []
        # nodes of the diagonal from the level on; at the first level it starts above
        place = self.place if level == 0 else 0.0
        start = 1 if level == 0 else 0
        if level >= self.strike_level or level + start + STENCIL - 1 <= self.strike_level:
            right = diagonal_owed[level + start - 1 :][:STENCIL]
            left, right = (relative_exp(risk_aversion * (x - owed[-1])) for x in (owed, right))
            kinks.append((top, owed[-1], kink_masses(_jumps(left, right, place, start), place)))
        if level < self.strike_level < level + self.spots.margin - 2:
            kinks.append((self.tops[self.strike_level], *strike_kink))
        for node, scale, masses in kinks:
            some = slice(node - 1, node + 3)
            relative = 1 + relative_exp(risk_aversion * (scale - path[some]))
            path[some] = add_masses(path[some], np.stack(masses) * relative, risk_aversion)
        return path

    def solve_band(self, rule):
        """Value of the band `rule(spot, step, maximum) -> (lower, upper)`."""
        market, spot = self.market, self.spots.spot
        shape = len(self.tops), len(spot)
        states = np.arange(len(spot)) <= self.tops[:, None]
        asked = np.broadcast_to(spot, shape)[states]
        maximum = np.broadcast_to(self.levels[:, None], shape)[states]
        bands = np.full((market.steps, 2, *shape), np.nan)
        level, row = np.nonzero(states)
        seen = []
        for step in range(market.steps):
            bands[step, :, states] = np.stack(rule(asked, step, maximum), axis=-1)
            inside, weight = cone(market, self.spots, step)
            # all states, then the diagonal, to which every new maximum leads
            top = self.tops[inside[self.tops]]
            for levels, rows in ((level[inside[row]], row[inside[row]]), (top - self.tops[0], top)):
                weights = weight[rows] * weight[self.tops[levels]]
                seen.append((*bands[step][:, levels, rows], weights))
        start = np.stack(rule(np.array([market.spot]), 0, np.array([market.spot])))
        positions = grid_for_bands(
            market, self.positions, self.slopes, [(*start, np.ones(1)), *seen]
        )

        def choose(step, level, rows):
            return {"band": positions.clip(start if rows is None else bands[step][:, level, rows])}

        return self.solve(positions, choose)[0]

    def solve_policy(self, rule):
        """Value of `rule(spot, step, previous, maximum) -> position`."""
        market, spots = self.market, self.spots
        some = self.levels[::4, None, None]

        def ask(step, previous):
            spot = spots.spot[cone(market, spots, step)[0]][::4, None]
            return rule(spot, step, previous, np.maximum(some, spot))

        reached = reach_of_policy(ask, market.steps, self.positions)
        positions = grid_for_policy(market, self.positions, self.slopes, reached)

        def choose(step, level, rows):
            spot = np.array([market.spot]) if rows is None else spots.spot[rows]
            maximum = np.broadcast_to(self.levels[level], spot.shape)[:, None]
            return {"target": positions.clip(rule(spot[:, None], step, positions.nodes, maximum))}

        return self.solve(positions, choose)[0]

    def interpolate(self, spot, maximum, *edges):
        """Edges `(levels, rows)` of a band at other spots and maxima, linear between nodes."""
        from scipy.interpolate import RegularGridInterpolator

        axes = np.log(self.levels), self.spots.log_spot
        points = np.stack(
            [np.clip(np.log(x), *ax[[0, -1]]) for x, ax in zip((maximum, spot), axes, strict=True)],
            axis=-1,
        )
        return tuple(RegularGridInterpolator(axes, edge)(points) for edge in edges)


def _jumps(left, right, place=0.0, start=0):
    """Jumps of the first three derivatives at `place`, from values at nodes on both sides.

    Args:
        left: values at the nodes `..., −1, 0`.
        right: values at the nodes `start, start + 1, ...`.
        place: where, from 0 to 1.
        start: 0 or 1.
    """
    before, after = (
        np.linalg.solve(np.vander(nodes - place, STENCIL, increasing=True), values)
        for nodes, values in ((NODES - STENCIL + 1, left), (NODES + start, right))
    )
    return [factor * (after[n] - before[n]) for n, factor in ((1, 1), (2, 2), (3, 6))]
