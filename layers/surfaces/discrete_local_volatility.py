"""Discrete local volatilities: surfaces of call prices without static arbitrage, and back."""

import math

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import is_concrete
from hedgezoo.layers.implied_volatility import implied_volatility
from hedgezoo.layers.surfaces.arbitrage import require_no_arbitrage
from hedgezoo.layers.surfaces.checks import surface_arguments
from hedgezoo.layers.surfaces.dlv_recursion import (
    batch_first,
    batch_last,
    masses_of,
    prices_of,
    rates_of,
)
from hedgezoo.layers.surfaces.price_differences import price_differences
from hedgezoo.layers.surfaces.put_call_parity import calls_to_puts
from hedgezoo.layers.surfaces.strike_grid import in_float64, strike_grid


def dlv_to_calls(sigma, strikes, maturities, ghost_strikes=None):
    """Call prices of discrete local volatilities, free of static arbitrage whatever these are.

    Prices of a maturity solve one implicit step from those of the maturity before,
    C_j(k_i) - ½ k_i² σ_ji² (T_j - T_{j-1}) Γ_i(C_j) = C_{j-1}(k_i), with Γ_i the second difference
    on the grid, C_0 = (1 - k)⁺, and intrinsic value at a ghost strike on either side. Where
    maturities have strikes of their own, C_{j-1} is linear between its strikes.

    Each step is the transition of a Markov chain that is a martingale on the nodes. So prices are
    convex and decreasing in the strike and increase with maturity, and every such surface is
    reached. In large steps σ is not the local volatility of a diffusion; as the grid is refined
    it becomes that.

    The recursion runs in probabilities and time values, where nothing is ever subtracted: both
    keep their relative precision in the far wings, in float32 too. The gradient, in all arguments
    and to any order, takes one more sweep with the transposed matrices. Where a strike lies on the
    forward, or on a strike of the maturity before, moving it makes a kink; there the gradient is
    the mean of both sides.

    Args:
        sigma: Volatilities per √year, `(..., m, n)`, zero and infinity included.
        strikes: Strikes divided by the forward, positive and increasing, `(n,)`, or `(m, n)` when
            each maturity has its own. They contain the forward, 1, between the outer ones.
        maturities: Years to expiry, positive and increasing, `(m,)`.
        ghost_strikes: Strikes below and above the others where options are worth their intrinsic
            value, `(2,)` or `(m, 2)`. By default one spacing outside the strikes, not below 0. All
            the probability lies between them, so they should be far out. Rows of strikes and
            ghosts must not become narrower with maturity.

    Returns:
        Undiscounted call prices per unit of forward, `(..., m, n)`, of the floating type of
        `sigma` and of the tensors among the other arguments, or float64 when there are only
        Python numbers.

    Raises:
        ValueError: If shapes do not match; for concrete arguments also if volatilities are
            negative or NaN (the first cell is named), strikes unsorted or not around the forward,
            maturities not increasing from above zero, ghosts inside the strikes, or rows that
            become narrower.

    Example:

    >>> dlv_to_calls(np.full((2, 3), 0.2), [0.9, 1.0, 1.1], [0.25, 0.5]).numpy().round(4)
    array([[0.1064, 0.0286, 0.0078],
           [0.114 , 0.0469, 0.0164]])

    Reference:
        Buehler and Ryskin, "Discrete local volatility for large time steps", 2017; Andreasen and
        Huge, "Volatility interpolation", Risk, 2011.
    """
    sigma, grid = surface_arguments(sigma, strikes, maturities, ghost_strikes, "sigma")
    return batch_first(prices_of(rates_of(batch_last(sigma), grid), grid), sigma)


def dlv_to_density(sigma, strikes, maturities, ghost_strikes=None):
    """Risk-neutral probabilities of discrete local volatilities, at strikes and ghost strikes.

    The difference of the slopes of `dlv_to_calls` above and below each node. Computed first, not
    from prices, so each is non-negative and has its full relative precision. They sum to one and
    have mean one, the forward.

    Args:
        sigma: Volatilities per √year, `(..., m, n)`.
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years to expiry, `(m,)`.
        ghost_strikes: As in `dlv_to_calls`.

    Returns:
        Probabilities `(..., m, n+2)`: lower ghost, strikes, upper ghost.

    Raises:
        ValueError: As `dlv_to_calls`.

    Example:

    >>> dlv_to_density(np.full((2, 3), 0.2), [0.9, 1.0, 1.1], [0.25, 0.5]).numpy().round(4)
    array([[0.0639, 0.1577, 0.571 , 0.1292, 0.0782],
           [0.1402, 0.1884, 0.3664, 0.1414, 0.1637]])

    Reference:
        Buehler and Ryskin, "Discrete local volatility for large time steps", 2017.
    """
    sigma, grid = surface_arguments(sigma, strikes, maturities, ghost_strikes, "sigma")
    return batch_first(masses_of(rates_of(batch_last(sigma), grid), grid), sigma)


def calls_to_dlv(calls, strikes, maturities, ghost_strikes=None):
    """Discrete local volatilities of a surface of call prices, the inverse of `dlv_to_calls`.

    σ² = 2Θ / (k²Γ) with Γ the second difference of the prices in the strike, and Θ their change
    since the maturity before, per year. Finite or not, they exist exactly where prices are free
    of static arbitrage. In the far wings, where Γ and Θ are differences of nearly equal prices,
    no formula can do better than the rounding of the prices: a relative error up to
    2ε(1/(hp) + 1/(Θ dt)), where p is the probability of the strike and h the spacing.

    Differences within rounding of zero count as zero, and 0/0 as zero. Γ = 0 < Θ has the
    volatility infinity, which `dlv_to_calls` takes as well.

    Args:
        calls: Undiscounted call prices per unit of forward, `(..., m, n)`.
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years to expiry, `(m,)`.
        ghost_strikes: As in `dlv_to_calls`. Beyond them prices are taken to be intrinsic.

    Returns:
        Volatilities per √year, `(..., m, n)`. In graphs NaN in the cells where prices have a
        static arbitrage: a negative butterfly around that strike, or a negative calendar spread.

    Raises:
        ValueError: As `dlv_to_calls`. For concrete prices also if one is negative or missing, or
            has a static arbitrage; the message names kind, strike and maturity.

    Example:

    >>> strikes, maturities = [0.9, 1.0, 1.1], [0.25, 0.5]
    >>> calls = dlv_to_calls(np.full((2, 3), 0.2), strikes, maturities)
    >>> calls_to_dlv(calls, strikes, maturities).numpy().round(12)
    array([[0.2, 0.2, 0.2],
           [0.2, 0.2, 0.2]])

    Reference:
        Buehler, Murray, Pakkanen, Wood, "Deep hedging: learning risk-neutral implied volatility
        dynamics", 2021, equations 14 and 15.
    """
    calls, grid = surface_arguments(calls, strikes, maturities, ghost_strikes, "calls")
    differences = price_differences(batch_last(calls), grid)
    if is_concrete(calls):
        require_no_arbitrage(calls, grid, differences)
    sigma = volatility_of(differences, in_float64(grid))
    sigma = tf.where(differences.failing, tf.constant(math.nan, sigma.dtype), sigma)
    return tf.cast(batch_first(sigma, calls), calls.dtype)


def volatility_of(differences, grid):
    """√(2Θ / (k²Γ)) with 0/0 = 0; what is negative counts as zero.

    Args:
        differences: `PriceDifferences`.
        grid: `StrikeGrid` in float64.

    Returns:
        Tensor `(m, n, B)`.
    """
    widths = grid.widths
    middle = 0.5 * (widths[:, :-1] + widths[:, 1:])
    gained, moved = differences.calendars > 0.0, differences.probabilities > 0.0
    known = gained & moved
    ratio = tf.where(known, differences.calendars, 1.0)
    ratio /= tf.where(known, differences.probabilities, 1.0)
    scale = 2.0 * middle / (tf.square(grid.strikes) * grid.steps[:, None])
    sigma = tf.sqrt(scale[..., None] * ratio)
    # a gain within rounding at no probability: nothing is known, zero is as good as anything
    infinite = ~moved & (differences.calendars > differences.calendar_rounding)
    rest = tf.where(infinite, tf.constant(math.inf, sigma.dtype), tf.zeros_like(sigma))
    return tf.where(known, sigma, rest)


@keras.saving.register_keras_serializable(package="hedgezoo")
class DiscreteLocalVolatility(keras.layers.Layer):
    """Call prices from discrete local volatilities as a layer, see `dlv_to_calls`.

    It has no weights. Its methods give what else a surface of volatilities determines.

    Args:
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
        maturities: Years to expiry, `(m,)`.
        ghost_strikes: As in `dlv_to_calls`, `(2,)`, `(m, 2)` or None.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        Volatilities per √year, non-negative, `(..., m, n)`.

    Output shape:
        Call prices per unit of forward, in the shape of the input.

    Raises:
        ValueError: If strikes, maturities or ghost strikes are no grid, see `dlv_to_calls`.

    Example:

    >>> layer = DiscreteLocalVolatility(strikes=[0.9, 1.0, 1.1], maturities=[0.25, 0.5])
    >>> layer(np.full((1, 2, 3), 0.2)).numpy().round(4)
    array([[[0.1064, 0.0286, 0.0078],
            [0.114 , 0.0469, 0.0164]]], dtype=float32)
    """

    def __init__(self, strikes, maturities, ghost_strikes=None, **kwargs):
        super().__init__(**kwargs)
        self.strikes = np.asarray(strikes, "float64")
        self.maturities = np.asarray(maturities, "float64")
        self.ghost_strikes = None if ghost_strikes is None else np.asarray(ghost_strikes, "float64")
        # refuses a bad grid here, not at the first call
        strike_grid(*(None if x is None else tf.constant(x) for x in self._grid))

    def call(self, sigma):
        calls = dlv_to_calls(sigma, *self._grid)
        return tf.cast(calls, self.compute_dtype)  # half precision is computed in float32

    def inverse(self, calls):
        """Discrete local volatilities of call prices, see `calls_to_dlv`."""
        return calls_to_dlv(calls, *self._grid)

    def density(self, sigma):
        """Probabilities of ghost, strikes, ghost, `(..., m, n+2)`, see `dlv_to_density`."""
        return dlv_to_density(sigma, *self._grid)

    def implied_volatility(self, sigma):
        """Black-Scholes volatilities of the call prices, `(..., m, n)`."""
        calls = dlv_to_calls(sigma, *self._grid)
        return implied_volatility(calls, self.strikes, self.maturities)

    def puts(self, sigma):
        """Put prices, `(..., m, n)`."""
        return calls_to_puts(dlv_to_calls(sigma, *self._grid), self.strikes)

    @property
    def _grid(self):
        return self.strikes, self.maturities, self.ghost_strikes

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        ghosts = self.ghost_strikes
        return {
            **super().get_config(),
            "strikes": self.strikes.tolist(),
            "maturities": self.maturities.tolist(),
            "ghost_strikes": None if ghosts is None else ghosts.tolist(),
        }
