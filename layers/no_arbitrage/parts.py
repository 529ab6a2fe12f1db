"""The inequalities of a surface without static arbitrage, part by part."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers.black_scholes import d1_of, price_from_deviation
from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.implied_volatility import implied_volatility
from hedgezoo.layers.no_arbitrage.price_grid import PriceGrid
from hedgezoo.layers.no_arbitrage.price_inequalities import (
    default_rounding,
    negative_calendars,
    negative_probabilities,
    price_uncertainty,
)
from hedgezoo.layers.no_arbitrage.variance_inequalities import printed_inequalities
from hedgezoo.layers.no_arbitrage.wing_slopes import excess_wing_slopes
from hedgezoo.layers.normal import normal_pdf
from hedgezoo.layers.normalised_price import exact_log_ratio, total_deviation

PARTS = {
    "correct": ("butterfly", "calendar", "wings"),
    "paper": ("convexity", "calendar", "monotonicity"),
}
_INPUTS = ("total_variance", "calls", "implied_volatility")
# standard deviations out of the money
_FAR, _FARTHEST = 4.0, 8.0
_REDUCTIONS = {"mean": tf.reduce_mean, "sum": tf.reduce_sum}


def no_arbitrage_parts(
    surface,
    strikes,
    maturities,
    form="correct",
    on="total_variance",
    ghost_strikes=None,
    reduction="mean",
    rounding=None,
):
    """The parts of `no_arbitrage_penalty`, each a number per surface.

    Args:
        surface: `(..., m, n)`, see `no_arbitrage_penalty`.
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`; increasing.
        maturities: Years to expiry `(m,)`; increasing.
        form: `"correct"` or `"paper"`.
        on: `"total_variance"`, `"calls"` or `"implied_volatility"`: what `surface` holds.
        ghost_strikes: `None`, or `(2,)` or `(m, 2)`.
        reduction: `"mean"` or `"sum"` over the cells of a surface.
        rounding: Relative accuracy of the numbers in `surface`, or `None`.

    Returns:
        Dict of tensors `(...,)`: `butterfly`, `calendar` and `wings` for the correct form;
        `convexity`, `calendar` and `monotonicity` for the printed one.

    Raises:
        ValueError: If an argument is not one of those above, or shapes do not match.

    Example:

    >>> crossing = [[0.05, 0.05, 0.05], [0.04, 0.04, 0.04]]
    >>> parts = no_arbitrage_parts(crossing, [0.9, 1.0, 1.1], [0.5, 1.0])
    >>> {name: round(float(part), 4) for name, part in parts.items()}
    {'butterfly': 0.0, 'calendar': 0.0043, 'wings': 0.0}
    """
    grid = PriceGrid(strikes, maturities, ghost_strikes)
    check_options(form, on, reduction, rounding, grid)
    return compute_parts(surface, grid, form, on, reduction, rounding, PARTS[form])


def compute_parts(surface, grid, form, on, reduction, rounding, names):
    """What `no_arbitrage_parts` returns, for a checked grid and only the parts in `names`."""
    (surface,) = as_float_tensors(surface)
    _check_shape(surface, grid)
    if form == "paper":
        variance = _total_variance(surface, grid, on)
        if on == "calls":
            far = variance < _variance_at(_FARTHEST, grid, surface.dtype)
            variance = tf.where(far, tf.stop_gradient(variance), variance)
        cells = printed_inequalities(variance, grid)
        cells = {name: cells[name] for name in names}
    else:
        cells = _inequalities(surface, grid, on, rounding, names)
    return {name: _reduce(violations, reduction) for name, violations in cells.items()}


def _reduce(violations, reduction):
    if 0 in violations.shape[-2:].as_list():
        return tf.zeros_like(tf.reduce_sum(violations, (-2, -1)))
    return _REDUCTIONS[reduction](violations, (-2, -1))


def _inequalities(surface, grid, on, rounding, names):
    dtype = surface.dtype
    strikes = tf.constant(grid.rows(dtype.name)[0], dtype)
    rounding = default_rounding(dtype) if rounding is None else rounding
    calls, vega_times_volatility, negative = surface, 0.0, None
    if on != "calls":
        one = tf.ones([], dtype)
        deviation = _deviation(surface, grid, on)
        calls = price_from_deviation(one, strikes, deviation, True)
        d1 = d1_of(exact_log_ratio(one, strikes), deviation)
        vega_times_volatility = deviation * normal_pdf(d1)
        negative = tf.nn.relu(-surface)
    uncertainty = price_uncertainty(calls, vega_times_volatility, grid)
    common = uncertainty, rounding, grid
    cells = {}
    if "butterfly" in names:
        cells["butterfly"] = negative_probabilities(calls, *common)
    if "calendar" in names:
        cells["calendar"] = negative_calendars(calls, *common)
        if negative is not None:
            cells["calendar"] += negative
    if "wings" in names:
        variance = _total_variance(surface, grid, on)
        if on == "calls":
            # loosens the bound where the price says next to nothing, and keeps 1 / vega small
            variance = tf.maximum(variance, _variance_at(_FAR, grid, dtype))
        cells["wings"] = excess_wing_slopes(variance, calls, *common)
    return cells


def _deviation(surface, grid, on):
    """σ√T `(..., m, n)`, zero where volatility or total variance is negative."""
    if on == "total_variance":
        return total_deviation(surface, tf.ones([], surface.dtype))
    years = tf.constant(grid.maturities[:, None], surface.dtype)
    return total_deviation(years, tf.nn.relu(surface))


def _total_variance(surface, grid, on):
    """σ²T `(..., m, n)`; zero where a call has no implied volatility."""
    if on == "total_variance":
        return surface
    years = tf.constant(grid.maturities[:, None], surface.dtype)
    if on == "calls":
        volatility = implied_volatility(surface, grid.strikes, grid.maturities)
        missing = tf.math.is_nan(volatility) & ~tf.math.is_nan(surface)
        surface = tf.where(missing, tf.zeros_like(volatility), volatility)
    return years * tf.square(surface)


def _variance_at(deviations, grid, dtype):
    """Total variance `(m, n)` at which a strike is that many standard deviations from 1."""
    return tf.constant(np.square(np.log(grid.rows(dtype.name)[0]) / deviations), dtype)


# ----------------------------------------------------------------------------------- validation


def check_options(form, on, reduction, rounding, grid):
    """Raise if an option is not one that `no_arbitrage_penalty` knows, or does not suit `grid`."""
    for name, value, choices in (
        ("form", form, tuple(PARTS)),
        ("on", on, _INPUTS),
        ("reduction", reduction, tuple(_REDUCTIONS)),
    ):
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")
    if rounding is not None and not 0 <= rounding < 1:
        raise ValueError(f"`rounding` must lie in [0, 1). Received: rounding={rounding!r}")
    if form == "paper" and not grid.common:
        raise ValueError(
            "`strikes` must be common to all maturities in the printed form. "
            f"Received: strikes.shape={grid.strikes.shape} with rows that differ"
        )
    if form == "paper" and grid.ghost_strikes is not None:
        raise ValueError(
            "`ghost_strikes` have no meaning in the printed form. "
            f"Received: ghost_strikes={grid.ghost_strikes.tolist()}"
        )


def _check_shape(surface, grid):
    m, n = len(grid.maturities), grid.strikes.shape[-1]
    shape = surface.shape
    if shape.rank is None or shape.rank < 2 or not shape[-2:].is_compatible_with((m, n)):
        raise ValueError(
            f"`surface` must have shape (..., m, n) = (..., {m}, {n}). "
            f"Received: surface.shape={shape}"
        )
