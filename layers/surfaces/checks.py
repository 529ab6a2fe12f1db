"""What a surface of volatilities or prices on a grid must look like, and names for its cells."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import is_concrete, shape_of
from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.surfaces.strike_grid import strike_grid


def surface_arguments(surface, strikes, maturities, ghost_strikes, name, check_cells=True):
    """The arguments of the public functions as tensors of one type, checked.

    Args:
        surface: Volatilities or prices, `(..., m, n)`.
        strikes: `(n,)` or `(m, n)`.
        maturities: `(m,)`.
        ghost_strikes: `(2,)`, `(m, 2)` or None.
        name: Name of `surface`, for messages.
        check_cells: Whether to refuse negative and missing entries of a concrete surface.

    Returns:
        The surface as a tensor, and its `StrikeGrid`.

    Raises:
        ValueError: See `strike_grid`; also if the surface has another shape than the grid, or is
            concrete and has negative or missing entries.
    """
    ghosts = () if ghost_strikes is None else (ghost_strikes,)
    if isinstance(surface, np.ndarray) and np.issubdtype(surface.dtype, np.floating):
        # prices in float32 stay what they are, also on a grid of float64 arrays
        surface = tf.constant(surface)
    surface, strikes, maturities, *ghosts = as_float_tensors(surface, strikes, maturities, *ghosts)
    grid = strike_grid(strikes, maturities, *ghosts)
    shape = (grid.steps.shape[0], grid.strikes.shape[1])
    if surface.shape.rank is None or not surface.shape[-2:].is_compatible_with(shape):
        raise ValueError(
            f"`{name}` must have shape (..., m, n) = (..., {shape[0]}, {shape[1]}), with m "
            f"maturities and n strikes. Received: shape={shape_of(surface)}"
        )
    if check_cells and is_concrete(surface):
        _require_cells(surface.numpy(), grid, name)
    return tf.ensure_shape(surface, [*surface.shape[:-2], *shape]), grid


def cell_name(grid, batch, j, i):
    """A cell in words, for messages.

    Args:
        grid: `StrikeGrid` of concrete tensors.
        batch: Indices of the surface in the leading axes.
        j: Index of the maturity.
        i: Index of the strike.

    Returns:
        `"strike k, maturity T (surface b)"`.
    """
    surface = f" (surface {tuple(batch)})" if len(batch) else ""
    return f"strike {float(grid.row(j)[1 + i]):.6g}, maturity {float(grid.years[j]):.6g}{surface}"


def _require_cells(values, grid, name):
    bad = ~(values >= 0)
    if bad.any():
        *batch, j, i = (int(x) for x in np.argwhere(bad)[0])
        raise ValueError(
            f"`{name}` must be non-negative numbers. Received: {values[(*batch, j, i)]} at "
            f"{cell_name(grid, batch, j, i)} ({bad.sum()} such entries in shape={values.shape})"
        )
