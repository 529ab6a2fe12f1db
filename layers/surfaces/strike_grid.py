"""Grids of strikes and maturities: ghost strikes, checks, and passing from one row to the next.

A grid has one row of nodes for all maturities, or one row each. A row is the strikes between two
ghost strikes, at which options are worth their intrinsic value. Where rows differ they widen with
maturity, so that what is known at one maturity can be carried to the nodes of the next.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import is_concrete, shape_of


class StrikeGrid(NamedTuple):
    """Strikes with their ghosts, and times between maturities.

    Attributes:
        nodes: Ghost, strikes, ghost, `(1, n+2)` for all maturities or `(m, n+2)`.
        years: Maturities, `(m,)`.
        steps: Years since the maturity before, `(m,)`.
    """

    nodes: tf.Tensor
    years: tf.Tensor
    steps: tf.Tensor

    @property
    def strikes(self):
        return self.nodes[:, 1:-1]

    @property
    def widths(self):
        """Distances between neighbouring nodes, `(1 or m, n+1)`."""
        return self.nodes[:, 1:] - self.nodes[:, :-1]

    @property
    def common(self):
        """Whether all maturities share one row."""
        return self.nodes.shape[0] == 1

    def row(self, maturity):
        """Nodes at a maturity, by its index."""
        return self.nodes[0 if self.common else maturity]


def strike_grid(strikes, maturities, ghost_strikes=None):
    """Checks strikes and maturities, and adds ghost strikes if there are none.

    Values are checked where they are at hand; shapes always.

    Args:
        strikes: Strikes per unit of forward, a tensor `(n,)` or `(m, n)`.
        maturities: Years, a tensor `(m,)`.
        ghost_strikes: Strikes below and above the others, a tensor `(2,)` or `(m, 2)`. None for
            one spacing outside the grid, but not below zero, and not inside an earlier row.

    Returns:
        `StrikeGrid`.

    Raises:
        ValueError: For a wrong shape, unsorted or non-positive strikes, strikes that do not
            contain the forward 1, maturities that do not increase from above zero, ghosts inside
            the strikes, or rows that do not widen.
    """
    _require_shapes(strikes, maturities, ghost_strikes)
    _require_increasing(maturities, "maturities")
    _require_increasing(strikes, "strikes")
    _require_forward(strikes)
    rows = tf.reshape(strikes, (-1, strikes.shape[-1]))
    if ghost_strikes is None:
        _require_widening(rows, "strikes")
        ghosts = _default_ghosts(rows)
    else:
        _require_ghosts_outside(rows, ghost_strikes)
        ghosts = tf.reshape(ghost_strikes, (-1, 2))
        _require_widening(ghosts, "ghost_strikes")
    count = max(rows.shape[0], ghosts.shape[0])
    rows = tf.broadcast_to(rows, (count, rows.shape[1]))
    ghosts = tf.broadcast_to(ghosts, (count, 2))
    nodes = tf.concat([ghosts[:, :1], rows, ghosts[:, 1:]], 1)
    steps = maturities - tf.concat([tf.zeros_like(maturities[:1]), maturities[:-1]], 0)
    return StrikeGrid(nodes, maturities, steps)


def in_float64(grid):
    """The same grid in float64."""
    return StrikeGrid(*(tf.cast(x, tf.float64) for x in grid))


# ----------------------------------------------------------------------- between rows of nodes
#
# Strikes often lie exactly on the forward, or on strikes of the row before: at kinks. There the
# derivatives are the mean of those on either side, which is that of |x| at zero, so they are taken
# from formulas in |x|, and the values from formulas without cancellation.


def payoff(strikes):
    """Value (1 - k)⁺ of a call at expiry, with slope -1/2 at the forward.

    Args:
        strikes: Any shape.

    Returns:
        Tensor of the shape of `strikes`.
    """
    return 0.5 * (1.0 - strikes + tf.abs(1.0 - strikes))


def hat_weights(points, nodes):
    """Weights of linear interpolation between nodes.

    Args:
        points: Strikes, `(k,)`. Beyond the nodes the value is that of the outer node.
        nodes: Increasing strikes, `(n,)`.

    Returns:
        Tensor `(n, k)` of non-negative numbers. Its columns sum to one.
    """
    cell = tf.reduce_sum(tf.cast(nodes[1:-1] <= points[:, None], tf.int32), axis=1)
    low, high = tf.gather(nodes, cell), tf.gather(nodes, cell + 1)
    share = tf.clip_by_value((points - low) / (high - low), 0.0, 1.0)
    count = nodes.shape[0]
    at_low = tf.one_hot(cell, count, axis=0, dtype=nodes.dtype)
    at_high = tf.one_hot(cell + 1, count, axis=0, dtype=nodes.dtype)
    values = at_low * (1.0 - share) + at_high * share

    distances = 0.5 * tf.abs(points - nodes[:, None])
    slopes = (distances[1:] - distances[:-1]) / (nodes[1:] - nodes[:-1])[:, None]
    half = tf.fill([1, points.shape[0]], tf.constant(0.5, nodes.dtype))
    slopes = tf.concat([-half, slopes, half], 0)
    return _with_slope_of(values, slopes[1:] - slopes[:-1])


def carry_time_value(time_value, nodes, strikes):
    """Time values at `strikes` of calls that are linear between `nodes`.

    Beyond the nodes it is zero. In the cell around the forward the chord lies above intrinsic
    value, so a time value appears there.

    Args:
        time_value: At all nodes but the outer two, `(n, B)`.
        nodes: Nodes with ghosts, `(n+2,)`.
        strikes: Where to interpolate, `(k,)`.

    Returns:
        Time values `(k, B)`.
    """
    weights = hat_weights(strikes, nodes)
    cell = tf.reduce_sum(tf.cast(nodes[1:-1] <= strikes[:, None], tf.int32), axis=1)
    low, high = tf.gather(nodes, cell), tf.gather(nodes, cell + 1)
    chord = (tf.minimum(strikes, 1.0) - low) * (high - tf.maximum(strikes, 1.0)) / (high - low)
    chord = tf.where((low < 1.0) & (high > 1.0), tf.nn.relu(chord), 0.0)
    inside = (nodes[0] <= strikes) & (strikes <= nodes[-1])
    formula = tf.linalg.matvec(weights, payoff(nodes), transpose_a=True) - payoff(strikes)
    chord = _with_slope_of(chord, tf.where(inside, formula, 0.0))
    return tf.matmul(weights[1:-1], time_value, transpose_a=True) + chord[:, None]


def _with_slope_of(value, formula):
    return tf.stop_gradient(value) + (formula - tf.stop_gradient(formula))


# ----------------------------------------------------------------------------------- validation


def _require_shapes(strikes, maturities, ghosts):
    if maturities.shape.rank != 1 or not maturities.shape[0]:
        raise ValueError(
            "`maturities` must have shape (m,), m known and positive. "
            f"Received: shape={shape_of(maturities)}"
        )
    m = maturities.shape[0]
    known = strikes.shape.rank in (1, 2) and bool(strikes.shape[-1])
    if not known or (strikes.shape.rank == 2 and strikes.shape[0] != m):
        raise ValueError(
            f"`strikes` must have shape (n,) or (m, n) with m = {m} maturities and n known. "
            f"Received: shape={shape_of(strikes)}"
        )
    if ghosts is not None and shape_of(ghosts) not in ((2,), (m, 2)):
        raise ValueError(
            f"`ghost_strikes` must have shape (2,) or (m, 2) with m = {m} maturities. "
            f"Received: shape={shape_of(ghosts)}"
        )
    if ghosts is None and strikes.shape[-1] == 1:
        raise ValueError(
            "`ghost_strikes` must be given for a single strike, which has no spacing. "
            f"Received: ghost_strikes=None, strikes of shape {shape_of(strikes)}"
        )


def _values(tensor):
    """The values if they are at hand, else None; constants of a graph are."""
    if is_concrete(tensor):
        return tensor.numpy()
    return tf.get_static_value(tensor)


def _require_increasing(tensor, name):
    values = _values(tensor)
    if values is None:
        return
    acceptable = np.isfinite(values) & (values > 0)
    if not acceptable.all():
        raise ValueError(
            f"`{name}` must be positive and finite. Received: {values[~acceptable][0]} "
            f"in {name}={values.tolist()}"
        )
    if not (np.diff(values) > 0).all():
        raise ValueError(
            f"`{name}` must be strictly increasing. Received: {name}={values.tolist()}"
        )


def _require_forward(strikes):
    values = _values(strikes)
    if values is None:
        return
    rows = values.reshape(-1, values.shape[-1])
    outside = (rows[:, 0] > 1) | (rows[:, -1] < 1)
    if outside.any():
        row = rows[outside][0]
        raise ValueError(
            "`strikes` must contain the forward, which is 1: they are strikes divided by the "
            f"forward. Received: strikes from {row[0]} to {row[-1]}"
        )


def _require_ghosts_outside(rows, ghosts):
    rows, ghosts = _values(rows), _values(ghosts)
    if rows is None or ghosts is None:
        return
    ghosts = ghosts.reshape(-1, 2)
    outside = (ghosts[:, 0] >= 0) & (ghosts[:, 0] < rows[:, 0])
    outside &= (ghosts[:, 1] > rows[:, -1]) & np.isfinite(ghosts[:, 1])
    if not outside.all():
        raise ValueError(
            "`ghost_strikes` must lie outside the strikes, the lower one not below 0. Received: "
            f"ghost_strikes={ghosts.tolist()} around strikes from {rows[:, 0].tolist()} to "
            f"{rows[:, -1].tolist()}"
        )


def _require_widening(rows, name):
    values = _values(rows)
    if values is None:
        return
    narrower = (np.diff(values[:, 0]) > 0) | (np.diff(values[:, -1]) < 0)
    if narrower.any():
        j = int(np.argmax(narrower))
        raise ValueError(
            f"`{name}` must widen with maturity: each row must reach as far as the one before. "
            f"Received: row {j} from {values[j, 0]} to {values[j, -1]}, then row {j + 1} from "
            f"{values[j + 1, 0]} to {values[j + 1, -1]}"
        )


def _default_ghosts(rows):
    low = tf.nn.relu(2.0 * rows[:, 0] - rows[:, 1])
    high = 2.0 * rows[:, -1] - rows[:, -2]
    # a finer row after a coarser one must not fall behind its ghosts
    for j in range(1, rows.shape[0]):
        low = tf.concat([low[:j], tf.minimum(low[j:], low[j - 1])], 0)
        high = tf.concat([high[:j], tf.maximum(high[j:], high[j - 1])], 0)
    return tf.stack([low, high], 1)
