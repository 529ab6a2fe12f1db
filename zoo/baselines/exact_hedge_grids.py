"""Grids under `ExactHedge`: one market step on log spot, interpolation over positions, trading.

Two values are carried backwards in time, both as certainty equivalents of an exponential utility,
for a spot `S` (rows) and a position `q` (columns), the stock held being counted at its price:

* `held_t(S, q)`: what is owed once the position of step `t` is taken,
  `held_t = (1/a) log E[exp(a owed_{t+1}(S', q)) | S]`;
* `owed_t(S, q)`: what is owed before that trade,
  `owed_t = held_t(S, q') + S (q' − q) + c S |q' − q|` for the new position `q'`.

The best `q'` moves `q` no further than to the band where `−(1+c) S <= d held / dq <= −(1−c) S`.
"""

import itertools

import numpy as np

GAUSS_POINTS = 6  # per unit of reach and smooth piece of the payoff: exact for a Gaussian
BLOCK = 96  # rows per matrix product
SMALLEST_SUM = 1e-250  # below it, a sum of scaled exponentials has lost digits to underflow


class SpotGrid:
    """Uniform grid in log spot, and the expectation over one step of geometric Brownian motion.

    The trapezoid rule on such a grid integrates a Gaussian times a smooth function to rounding
    once the spacing is half of a step's standard deviation; kinks are corrected separately.

    Args:
        node: a spot that is to be a node, in money.
        mean: mean of the log return of one step.
        deviation: standard deviation of the log return of one step.
        lowest: log spot that the grid reaches down to.
        highest: log spot that it reaches up to.
        nodes: nodes per `deviation`.
        reach: a step is cut off at this many standard deviations.
    """

    def __init__(self, node, mean, deviation, lowest, highest, nodes, reach):
        self.mean, self.deviation, self.nodes, self.reach = mean, deviation, nodes, reach
        self.spacing = deviation / nodes
        first = np.floor((lowest - np.log(node)) / self.spacing)
        last = np.ceil((highest - np.log(node)) / self.spacing)
        self.log_spot = np.log(node) + self.spacing * np.arange(first, last + 1)
        self.spot = np.exp(self.log_spot)
        self.margin = int(np.ceil(self.reach * nodes + abs(mean) / self.spacing)) + 1
        self._kernel = np.zeros((BLOCK, BLOCK + 2 * self.margin))
        self._log_weights = self.log_weights()
        for row in range(BLOCK):
            self._kernel[row, row : row + 2 * self.margin + 1] = np.exp(self._log_weights)

    def log_weights(self, place=0.0):
        """Logarithms of the weights of the nodes `-margin, ..., margin` for a step from `place`."""
        offset = self.spacing * (np.arange(-self.margin, self.margin + 1) - place)
        density = -0.5 * ((offset - self.mean) / self.deviation) ** 2
        return density - np.log(self.nodes * np.sqrt(2 * np.pi))

    def extend(self, owed, below=True, above=True):
        """Append `margin` rows at the ends, linear in spot, which keeps the spot a martingale."""
        n = self.nodes
        away = np.exp(self.spacing * np.arange(1, self.margin + 1)) - 1
        parts = [owed]
        if below:
            slope = (owed[n] - owed[0]) / (np.exp(self.spacing * n) - 1)
            parts.insert(0, owed[0] + ((1 / (1 + away) - 1)[::-1, None] * slope))
        if above:
            slope = (owed[-1] - owed[-1 - n]) / (1 - np.exp(-self.spacing * n))
            parts.append(owed[-1] + away[:, None] * slope)
        return np.concatenate(parts)

    def certainty_equivalent(self, owed, risk_aversion):
        """`(1/a) log E exp(a owed(S'))` from extended values `(rows + 2 margin, columns)`."""
        exponent = risk_aversion * owed
        rows = len(owed) - 2 * self.margin
        held = np.empty((rows, owed.shape[1]))
        for start in range(0, rows, BLOCK):
            size = min(BLOCK, rows - start)
            window = exponent[start : start + size + 2 * self.margin]
            top = window.max(axis=0)
            total = self._kernel[:size, : len(window)] @ np.exp(window - top)
            lost = total < SMALLEST_SUM
            held[start : start + size] = top + np.log(np.where(lost, 1.0, total))
            if lost.any():
                self._repair(held[start : start + size], window, *np.nonzero(lost))
        return held / risk_aversion

    def _repair(self, held, window, rows, columns):
        """Recompute single entries with a scale of their own; only for extreme risk aversion."""
        span = np.arange(2 * self.margin + 1)
        for start in range(0, rows.size, 4096):
            i, k = rows[start : start + 4096], columns[start : start + 4096]
            terms = window[i[:, None] + span, k[:, None]] + self._log_weights
            held[i, k] = _log_sum_exp(terms, axis=1)

    def certainty_equivalent_between(self, owed, place, risk_aversion):
        """The same from one spot between nodes, `place` spacings above the middle of the rows.

        Args:
            owed: `(2 margin + 1, columns)`.
            place: from 0 to 1.
            risk_aversion: a.

        Returns:
            `(1, columns)`.
        """
        terms = risk_aversion * owed + self.log_weights(place)[:, None]
        return _log_sum_exp(terms, axis=0)[None] / risk_aversion

    def last_certainty_equivalent(self, payoff, kinks, positions, risk_aversion, rows):
        """The same over the last step, in the first `rows` nodes, where the payoff is known.

        Rows from which a kink or jump of the payoff can be reached are integrated piece by piece
        with Gauss-Legendre points, all others on the grid.
        """
        reached = self.spacing * np.arange(-self.margin, rows + self.margin)
        end = np.exp(self.log_spot[0] + reached)
        owed = payoff(end)[:, None] - end[:, None] * positions
        held = self.certainty_equivalent(owed, risk_aversion)
        log_spot = self.log_spot[:rows]
        distance = np.log(np.asarray(kinks, float)) - log_spot[:, None] - self.mean
        near = (np.abs(distance) < self.reach * self.deviation).any(axis=1)
        held[near] = self.exact_certainty_equivalent(
            payoff, kinks, positions, risk_aversion, log_spot[near]
        )
        return held

    def exact_certainty_equivalent(self, payoff, kinks, positions, risk_aversion, log_spot):
        """The same over the last step from any log spots `(rows,)`, all of them piece by piece."""
        held = np.empty((len(log_spot), len(positions)))
        for start in range(0, len(held), 16):  # arrays of a size that the cache holds
            some = slice(start, start + 16)
            score = np.log(np.sort(np.asarray(kinks, float))) - log_spot[some, None] - self.mean
            held[some] = self._piecewise(
                payoff, score / self.deviation, log_spot[some], positions, risk_aversion
            )
        return held

    def _piecewise(self, payoff, score, log_spot, positions, risk_aversion):
        points, weights = np.polynomial.legendre.leggauss(round(GAUSS_POINTS * self.reach))
        cuts = np.pad(score, ((0, 0), (1, 1)), constant_values=((0, 0), (-np.inf, np.inf)))
        cuts = np.clip(cuts, -self.reach, self.reach)
        middle = (cuts[:, 1:] + cuts[:, :-1])[..., None] / 2
        half = (cuts[:, 1:] - cuts[:, :-1])[..., None] / 2
        normal = (middle + half * points).reshape(len(score), -1)
        weights = (half * weights).reshape(len(score), -1)
        weights *= np.exp(-0.5 * normal**2) / np.sqrt(2 * np.pi)
        end = np.exp(log_spot[:, None] + self.mean + self.deviation * normal)
        exponent = payoff(end)[..., None] - end[..., None] * positions
        exponent *= risk_aversion
        # the weight belongs into the scale: the largest payoff may be out of reach
        with np.errstate(divide="ignore"):
            exponent += np.log(weights)[..., None]
        return _log_sum_exp(exponent, axis=1) / risk_aversion


def _log_sum_exp(terms, axis):
    top = terms.max(axis=axis, keepdims=True)
    return top.squeeze(axis) + np.log(np.exp(terms - top).sum(axis=axis))


class PositionGrid:
    """Positions, and cubic spline interpolation of values over them.

    Args:
        breaks: increasing positions around which the nodes gather: a delta spends its time near
            its limits.
        density: nodes per unit of position between the breaks.
        more: further positions to have nodes at.
        kinks: whether values may have kinks at the breaks, so that each piece has its own spline.
    """

    def __init__(self, breaks, density, more=(), kinks=False):
        from scipy.interpolate import CubicSpline

        pieces = [np.asarray(breaks[:1], float)]
        for left, right in itertools.pairwise(breaks):
            count = max(6, int(np.ceil(density * (right - left))))
            angle = np.pi * np.arange(1, count) / count
            inside = left + (right - left) * (1 - np.cos(angle)) / 2
            inside = np.sort(np.append(inside, [x for x in more if left < x < right]))
            # nodes that all but coincide would spoil the spline
            inside = inside[np.diff(inside, prepend=left) > 1e-5 / density]
            pieces.append(np.append(inside[right - inside > 1e-5 / density], right))
        self.nodes = np.concatenate(pieces)
        self.zero = int(np.searchsorted(self.nodes, 0.0))
        # derivatives at the start and at the end of each cell, as linear maps of nodal values
        size = self.nodes.size
        self._starts, self._ends = np.zeros((2, size, max(size - 1, 1)))
        cuts = np.cumsum([len(piece) for piece in pieces]) - 1
        for first, last in itertools.pairwise(cuts if kinks else np.unique(cuts[[0, -1]])):
            nodes = self.nodes[first : last + 1]
            slopes = CubicSpline(nodes, np.eye(nodes.size))(nodes, 1).T
            self._starts[first : last + 1, first:last] = slopes[:, :-1]
            self._ends[first : last + 1, first:last] = slopes[:, 1:]

    def slopes(self, held):
        """Derivatives in the position at the starts and ends of cells, each `(rows, cells)`."""
        return held @ self._starts, held @ self._ends

    def clip(self, positions):
        return np.clip(positions, self.nodes[0], self.nodes[-1])

    def evaluate(self, held, slopes, positions):
        """Values at other positions, `(rows,)` or `(rows, any)`."""
        if self.nodes.size == 1:
            return np.broadcast_to(held[:, 0] if positions.ndim == 1 else held, positions.shape)
        rows = np.arange(len(held)) if positions.ndim == 1 else np.arange(len(held))[:, None]
        left = np.searchsorted(self.nodes, positions, side="right") - 1
        left = np.clip(left, 0, self.nodes.size - 2)
        length, value, rise, start, end = self._cell(held, slopes, rows, left)
        t = (positions - self.nodes[left]) / length
        return value + t * (start + t * (3 * rise - 2 * start - end + t * (start + end - 2 * rise)))

    def where_slope_is(self, target, held, slopes):
        """Position at which the derivative passes `target` `(rows,)`; the end if it never does."""
        below = slopes[0] < target[:, None]
        end_below = slopes[1][:, -1] < target
        left = np.maximum(below.sum(axis=1) - 1, 0)
        length, _, rise, start, end = self._cell(held, slopes, np.arange(len(held)), left)
        # the derivative is a parabola in the cell, monotone where the value is convex
        constant = start - target * length
        linear = 2 * (3 * rise - 2 * start - end)
        square = 3 * (start + end - 2 * rise)
        root = np.sqrt(np.maximum(linear**2 - 4 * square * constant, 0.0))
        denominator = linear + np.copysign(root, linear)
        t = -2 * constant / np.where(denominator == 0, 1.0, denominator)
        found = self.nodes[left] + length * np.clip(t, 0.0, 1.0)
        found = np.where(below[:, 0], found, self.nodes[0])
        return np.where(end_below, self.nodes[-1], found)

    def _cell(self, held, slopes, rows, left):
        length = self.nodes[left + 1] - self.nodes[left]
        value = held[rows, left]
        rise = held[rows, left + 1] - value
        return length, value, rise, slopes[0][rows, left] * length, slopes[1][rows, left] * length
