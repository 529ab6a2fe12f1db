"""Call prices between the maturities of a surface, without arbitrage."""

import tensorflow as tf

from hedgezoo.layers._arguments import is_concrete, shape_of
from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.surfaces.checks import surface_arguments
from hedgezoo.layers.surfaces.dlv_recursion import (
    batch_first,
    batch_last,
    masses_of,
    rates_of,
    rates_to_neighbours,
    start_of_steps,
    time_value_of,
)
from hedgezoo.layers.surfaces.strike_grid import payoff
from hedgezoo.layers.surfaces.tridiagonal_sweep import diffuse


def interpolate_maturities(sigma, strikes, maturities, new_maturities, ghost_strikes=None):
    """Call prices between the maturities of a surface of discrete local volatilities.

    From the maturity before, T_{j-1}, one implicit step of length t - T_{j-1} with the volatilities
    of the slice that ends at T_j. Exact at the maturities, and free of static arbitrage between
    them: the step is one of `dlv_to_calls`, so prices are convex in the strike and not below those
    at T_{j-1}. They increase in t as well: with s = t - T_{j-1} prices obey (I - sB) C = C_{j-1},
    so (I - sB) ∂C/∂s = BC = (C - C_{j-1}) / s ≥ 0, and the inverse of I - sB has no negative entry.

    Args:
        sigma: Discrete local volatilities per √year, `(..., m, n)`.
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years to expiry, `(m,)`.
        new_maturities: Years to expiry, from 0 to the last maturity, `(q,)`, in any order.
        ghost_strikes: As in `dlv_to_calls`.

    Returns:
        Call prices per unit of forward, `(..., q, n)`. Where each maturity has strikes of its
        own, prices are at the strikes of the first maturity that is not before the new one.

    Raises:
        ValueError: As `dlv_to_calls`; also if `new_maturities` is not of shape `(q,)`, or outside
            of 0 and the last maturity.

    Example:

    >>> sigma, strikes = tf.fill((2, 3), 0.2), [0.9, 1.0, 1.1]
    >>> interpolate_maturities(sigma, strikes, [0.25, 0.5], [0.0, 0.1, 0.25, 0.4]).numpy().round(4)
    array([[0.1   , 0.    , 0.    ],
           [0.1018, 0.0149, 0.0024],
           [0.1064, 0.0286, 0.0078],
           [0.111 , 0.0411, 0.0132]], dtype=float32)

    Reference:
        Andreasen and Huge, "Volatility interpolation", Risk, 2011.
    """
    sigma, grid = surface_arguments(sigma, strikes, maturities, ghost_strikes, "sigma")
    new = tf.cast(as_float_tensors(new_maturities)[0], sigma.dtype)
    _require_between(new, grid)
    rates = rates_of(batch_last(sigma), grid)
    masses = masses_of(rates, grid)
    time_value = time_value_of(rates, masses, grid)
    # the slice that ends at a maturity contains it, so that its prices are met exactly
    row = tf.reduce_sum(tf.cast(grid.years[:-1] < new[:, None], tf.int32), axis=1)
    elapsed = new - tf.gather(grid.years - grid.steps, row)
    part = elapsed / tf.gather(grid.steps, row)
    part = tf.where(tf.equal(new, tf.gather(grid.years, row)), tf.ones_like(part), part)
    masses, time_value = start_of_steps(masses, time_value, grid)
    rates = tf.gather(rates, row) * part[:, None, None]
    moved = grid if grid.common else grid._replace(nodes=tf.gather(grid.nodes, row))
    # independent steps from as many starts: for the sweep, one step of a larger batch
    masses = tf.gather(masses, row)
    walk = *rates_to_neighbours(rates, moved), masses
    stepped = diffuse(*(_as_one_step(x) for x in walk))
    stepped = tf.reshape(stepped, tf.gather(tf.shape(masses), (1, 0, 2)))
    stepped = tf.transpose(stepped, (1, 0, 2))
    time_value = tf.gather(time_value, row) + rates * stepped[:, 1:-1]
    intrinsic = payoff(moved.strikes)[..., None]
    return batch_first(intrinsic + time_value, sigma)


def _as_one_step(values):
    """`(q, n, B)` as `(1, n, q B)`."""
    return tf.reshape(tf.transpose(values, (1, 0, 2)), (1, values.shape[1], -1))


def _require_between(new, grid):
    if new.shape.rank != 1:
        raise ValueError(f"`new_maturities` must have shape (q,). Received: shape={shape_of(new)}")
    if is_concrete(new) and is_concrete(grid.years):
        last = grid.years.numpy()[-1]
        bad = ~((new.numpy() >= 0) & (new.numpy() <= last))
        if bad.any():
            raise ValueError(
                f"`new_maturities` must lie between 0 and the last maturity {last}. "
                f"Received: {new.numpy()[bad][0]}"
            )
