"""The nearest surface of call prices without static arbitrage."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from hedgezoo.layers.surfaces.arbitrage import concrete_prices, find_arbitrage
from hedgezoo.layers.surfaces.discrete_local_volatility import dlv_to_calls, volatility_of
from hedgezoo.layers.surfaces.price_differences import price_differences
from hedgezoo.layers.surfaces.strike_grid import in_float64


@dataclass(frozen=True)
class RepairedSurface:
    """What `repair_calls` returns.

    Attributes:
        calls: Prices without static arbitrage, in the shape and type of the input.
        largest_change: Largest absolute change of a price.
        total_change: Sum of the weighted absolute changes: the distance that was minimised.
        where: `(strike, maturity, batch)` of the largest change; None if nothing changed.
        violations: `find_arbitrage` of the input.
    """

    calls: tf.Tensor
    largest_change: float
    total_change: float
    where: tuple | None
    violations: list

    def __str__(self):
        if self.where is None:
            return "no arbitrage, nothing changed"
        strike, maturity, batch = self.where
        surface = f" of surface {batch}" if batch else ""
        return (
            f"{len(self.violations)} violations repaired; largest change {self.largest_change:.3g} "
            f"at strike {strike:.6g}, maturity {maturity:.6g}{surface}; "
            f"total {self.total_change:.3g}"
        )


def repair_calls(calls, strikes, maturities, ghost_strikes=None, weights=None, margin=0.0):
    """The nearest call prices without static arbitrage, and what had to change.

    Minimises the weighted sum of absolute price changes, surface by surface, as a linear program.
    Surfaces without arbitrage come back unchanged.

    Args:
        calls: Undiscounted call prices per unit of forward, `(..., m, n)`, finite.
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years to expiry, `(m,)`.
        ghost_strikes: As in `dlv_to_calls`.
        weights: Positive weights that broadcast to `(..., m, n)`, for example one over vega or
            over the bid-ask spread; by default all 1.
        margin: Price by which every butterfly and calendar spread must be positive at least. The
            nearest prices have several at zero, where volatilities are zero or infinite; with a
            margin these are positive and finite, as their logarithm needs it.

    Returns:
        `RepairedSurface`, with `.calls`, `.largest_change`, `.where`, `.violations`.

    Raises:
        ValueError: As `find_arbitrage`; also if prices are not finite, weights are not positive
            or do not fit, or `margin` is negative or leaves no room.

    Example:

    >>> calls = [[0.1053, 0.0271, 0.0065], [0.1174, 0.0208, 0.0181]]
    >>> print(repair_calls(calls, [0.9, 1.0, 1.1], [0.25, 0.5]))
    3 violations repaired; largest change 0.0063 at strike 1, maturity 0.5; total 0.0147
    """
    given, grid = concrete_prices(calls, strikes, maturities, ghost_strikes)
    if not np.isfinite(given.numpy()).all():
        raise ValueError("`calls` must be finite. Received: NaN or infinite prices")
    if not margin >= 0:
        raise ValueError(f"`margin` must not be negative. Received: margin={margin}")
    m, n = given.shape[-2:]
    prices = given.numpy().astype("float64").reshape(-1, m * n)
    weights = _weights(weights, given.shape).reshape(prices.shape)
    matrix, offset = _inequalities(grid)
    slack = prices @ matrix.T + offset
    broken = (slack < margin).any(axis=1)
    violations = find_arbitrage(calls, strikes, maturities, ghost_strikes)
    if margin == 0.0:
        bad = {violation.batch for violation in violations}
        index = [np.unravel_index(b, given.shape[:-2]) for b in range(len(prices))]
        broken = np.array([tuple(int(x) for x in batch) in bad for batch in index])
    repaired = prices.copy()
    for b in np.flatnonzero(broken):
        repaired[b] = _nearest(prices[b], weights[b], matrix, offset, margin)
    if broken.any():
        repaired[broken] = _exactly_feasible(repaired[broken].reshape(-1, m, n), grid)
    change = np.abs(repaired - prices)
    b, cell = np.unravel_index(np.argmax(change), change.shape)
    batch = tuple(int(x) for x in np.unravel_index(b, given.shape[:-2]))
    j, i = divmod(int(cell), n)
    where = (float(grid.row(j)[1 + i]), float(grid.years[j]), batch)
    return RepairedSurface(
        calls=tf.constant(repaired.reshape(given.shape), given.dtype),
        largest_change=float(change.max()),
        total_change=float((weights * change).sum()),
        where=where if broken.any() else None,
        violations=violations,
    )


# ------------------------------------------------------------------------------------ internals


def _weights(weights, shape):
    weights = np.ones(shape) if weights is None else np.asarray(weights, "float64")
    try:
        full = np.broadcast_to(weights, shape)
    except ValueError:
        full = None
    if full is None or not (full > 0).all():
        raise ValueError(
            "`weights` must be positive and broadcast to the shape of `calls`, "
            f"{tuple(shape)}. Received: shape={weights.shape}, smallest {weights.min()}"
        )
    return full


def _inequalities(grid):
    """Sparse matrix M and offset: flattened prices C are free of arbitrage if M C + offset ≥ 0.

    Rows are the amounts by which a price is below its chord and above the maturity before.
    """
    from scipy import sparse

    nodes = grid.nodes.numpy().astype("float64")
    m, n = len(grid.years), nodes.shape[1] - 2
    nodes = np.broadcast_to(nodes, (m, n + 2))
    blocks, offsets = [], []
    for j, row in enumerate(nodes):
        # prices at all nodes of a maturity are inner @ C + ghosts
        ghosts = np.zeros(n + 2)
        ghosts[0] = 1.0 - row[0]
        h = np.diff(row)
        low, high = h[1:] / (h[1:] + h[:-1]), h[:-1] / (h[1:] + h[:-1])
        chords = sparse.diags([low, -np.ones(n), high], [0, 1, 2], shape=(n, n + 2)).tocsr()
        blocks.append([None] * j + [chords[:, 1:-1]] + [None] * (m - 1 - j))
        offsets.append(chords @ ghosts)
    for j, row in enumerate(nodes):
        strikes = row[1:-1]
        line = [None] * m
        line[j] = sparse.identity(n, format="csr")
        if j == 0:
            offsets.append(-np.maximum(1.0 - strikes, 0.0))
        else:
            before = nodes[j - 1]
            cell = np.clip(np.searchsorted(before, strikes, "right") - 1, 0, n)
            share = (strikes - before[cell]) / (before[cell + 1] - before[cell])
            inside = (share >= 0) & (share <= 1)
            share = np.clip(share, 0, 1)
            weights = np.zeros((n, n + 2))
            weights[np.arange(n), cell] += (1 - share) * inside
            weights[np.arange(n), cell + 1] += share * inside
            line[j - 1] = sparse.csr_matrix(-weights[:, 1:-1])
            intrinsic = np.where(inside, 0.0, np.maximum(1.0 - strikes, 0.0))
            offsets.append(-weights[:, 0] * (1.0 - before[0]) - intrinsic)
        blocks.append(line)
    return sparse.bmat(blocks, format="csr"), np.concatenate(offsets)


def _nearest(prices, weights, matrix, offset, margin):
    """Linear program: prices plus rises less falls, at the least weighted sum of both."""
    from scipy.optimize import linprog
    from scipy.sparse import hstack

    solution = linprog(
        np.concatenate([weights, weights]),
        A_ub=hstack([-matrix, matrix]),
        b_ub=matrix @ prices + offset - margin,
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not solution.success:
        raise ValueError(
            f"`margin` must leave room for prices without arbitrage. Received: margin={margin} "
            f"({solution.message})"
        )
    rises, falls = np.split(solution.x, 2)
    return prices + rises - falls


def _exactly_feasible(calls, grid):
    """Removes what the solver's tolerance left over: through the discrete local volatilities."""
    grid = in_float64(grid)
    differences = price_differences(tf.transpose(tf.constant(calls), (1, 2, 0)), grid)
    sigma = tf.transpose(volatility_of(differences, grid), (2, 0, 1))
    ghosts = tf.stack([grid.nodes[:, 0], grid.nodes[:, -1]], 1)
    if grid.common:
        exact = dlv_to_calls(sigma, grid.strikes[0], grid.years, ghosts[0])
    else:
        exact = dlv_to_calls(sigma, grid.strikes, grid.years, ghosts)
    return exact.numpy().reshape(len(calls), -1)
