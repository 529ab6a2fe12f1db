"""Quotes of European options on one day: what a model is calibrated to and judged on."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import (
    check_array,
    check_integer,
    check_not_negative,
    check_positive,
)
from hedgezoo.layers.black_scholes import european_price, european_vega
from hedgezoo.layers.draws import normal_draws, uniform_draws
from hedgezoo.layers.heston.pricer import heston_call
from hedgezoo.layers.implied_volatility import implied_volatility

BASIS_POINT = 1e-4
HIGHEST_VOLATILITY = 4.0
_NOISE, _SPLIT = 11, 12  # streams of random numbers

# one of the test beds of the literature, with skew at all maturities
HESTON_PARAMETERS = (1.5, 0.04, 0.5, -0.7, 0.04)
HESTON_STRIKES = tuple(0.8 + 0.02 * i for i in range(21))
HESTON_MATURITIES = tuple((i + 1) / 6 for i in range(6))


@dataclasses.dataclass(frozen=True)
class SurfaceQuotes:
    """Implied volatilities of N options, sorted by maturity and then by strike.

    Every field is a number per quote, so maturities may have different strikes. They are tuples:
    two sets of quotes compare, and a preset can store them; `np.asarray` makes arrays of them.

    Args:
        strikes: Strikes divided by the forward of their maturity, `(N,)`; they increase at each
            maturity.
        maturities: Years to expiry, `(N,)`; they never decrease.
        implied_volatility: Per √year, `(N,)`; 0.2 for 20 %.
        spread: Ask minus bid in volatility, `(N,)`, or None if it is not known.
        name: What the quotes are, for tables and titles.

    Raises:
        ValueError: If an entry is not finite and positive, the quotes are not sorted or double, or
            the shapes do not match. The message has the first such quote.

    Example:

    >>> quotes = SurfaceQuotes([0.9, 1.0, 1.0], [0.5, 0.5, 1.0], [0.22, 0.20, 0.21])
    >>> quotes.calls.round(4), quotes.expiries
    (array([0.1219, 0.0564, 0.0836]), array([0.5, 1. ]))
    """

    strikes: tuple
    maturities: tuple
    implied_volatility: tuple
    spread: tuple | None = None
    name: str = ""

    def __post_init__(self):
        strikes = check_array("strikes", self.strikes, {"(N,)": (None,)})
        if not len(strikes):
            raise ValueError("`strikes` must hold at least one quote. Received: shape (0,)")
        shapes = {"(N,)": strikes.shape}
        arrays = {"strikes": strikes}
        for name in ("maturities", "implied_volatility"):
            arrays[name] = check_array(name, getattr(self, name), shapes, finite=False)
        if self.spread is not None:
            arrays["spread"] = check_array("spread", self.spread, shapes, finite=False)
        for name, array in arrays.items():
            _require(np.isfinite(array) & (array > 0), name, "positive", array)
        _require(
            arrays["implied_volatility"] <= HIGHEST_VOLATILITY,
            "implied_volatility",
            f"a fraction per √year, at most {HIGHEST_VOLATILITY:g}; 0.2 is 20 %",
            arrays["implied_volatility"],
        )
        step = np.diff(arrays["maturities"])
        _require(step >= 0, "maturities", "sorted", arrays["maturities"][1:], first=1)
        same = (step > 0) | (np.diff(strikes) > 0)
        _require(same, "strikes", "increasing at each maturity", strikes[1:], first=1)
        for name, array in arrays.items():
            object.__setattr__(self, name, tuple(array.tolist()))
        object.__setattr__(self, "name", str(self.name))

    @classmethod
    def from_grid(
        cls, implied_volatility, strikes, maturities, mask=None, spread=None, name="surface"
    ):
        """Quotes on a grid of maturities and strikes, some of them missing.

        Args:
            implied_volatility: Per √year, `(m, n)`; anything where there is no quote.
            strikes: Strikes divided by the forward, increasing, `(n,)` or `(m, n)`.
            maturities: Years to expiry, increasing, `(m,)`.
            mask: True where there is a quote, `(m, n)`; None for everywhere.
            spread: Ask minus bid in volatility, a number or `(m, n)`, or None.
            name: As in `SurfaceQuotes`.

        Returns:
            A `SurfaceQuotes`.

        Raises:
            ValueError: As for `SurfaceQuotes`.

        Example:

        >>> len(SurfaceQuotes.from_grid(np.full((2, 3), 0.2), [0.9, 1.0, 1.1], [0.5, 1.0]))
        6
        """
        shapes = {"(m, n)": (None, None)}
        volatility = check_array("implied_volatility", implied_volatility, shapes, finite=False)
        quoted, strikes, maturities = _grid(volatility.shape, strikes, maturities, mask)
        if spread is not None:
            shapes = {"()": (), "(m, n)": quoted.shape}
            spread = check_array("spread", spread, shapes, finite=False)
            spread = np.broadcast_to(spread, quoted.shape)[quoted]
        return cls(strikes, maturities, volatility[quoted], spread, name)

    @classmethod
    def from_calls(cls, calls, strikes, maturities, mask=None, spread=None, name="surface"):
        """Quotes in call prices.

        Args:
            calls: Undiscounted prices per unit of forward: `(m, n)` on a grid, or `(N,)` as a list
                with a strike and a maturity for each.
            strikes: Strikes divided by the forward: `(n,)` or `(m, n)` of a grid, `(N,)` of a list.
            maturities: Years to expiry: `(m,)` of a grid, `(N,)` of a list.
            mask: True where there is a quote, of the shape of `calls`; None for everywhere.
            spread: Ask minus bid in volatility, a number or of the shape of `calls`, or None.
            name: As in `SurfaceQuotes`.

        Returns:
            A `SurfaceQuotes`.

        Raises:
            ValueError: If a price is not above its intrinsic value and below the forward; and as
                for `SurfaceQuotes`.

        Example:

        >>> quotes = SurfaceQuotes.from_calls([[0.0797]], [1.0], [1.0])
        >>> round(quotes.implied_volatility[0], 4)
        0.2001
        """
        calls = check_array("calls", calls, {"(m, n)": (None, None), "(N,)": (None,)}, finite=False)
        if calls.ndim == 2:
            quoted, strikes, maturities = _grid(calls.shape, strikes, maturities, mask)
        else:
            quoted = _mask(mask, calls.shape)
            strikes, maturities = (
                check_array(name, value, {"(N,)": calls.shape})[quoted]
                for name, value in (("strikes", strikes), ("maturities", maturities))
            )
        for name, array in (("strikes", strikes), ("maturities", maturities)):
            _require(array > 0, name, "positive", array)
        prices = calls[quoted]
        intrinsic = np.maximum(1.0 - strikes, 0.0)
        with np.errstate(invalid="ignore"):
            inside = (prices > intrinsic) & (prices < 1.0)
        _require(
            inside,
            "calls",
            "above the intrinsic value (1 - K)⁺ and below the forward 1",
            prices,
            lambda i: f" with strike {strikes[i]:.6g} and maturity {maturities[i]:.6g}",
        )
        pairs = (prices[:, None], strikes[:, None], maturities)
        volatility = implied_volatility(*pairs).numpy()[:, 0]
        if spread is not None:
            spread = np.broadcast_to(np.asarray(spread, np.float64), calls.shape)[quoted]
        return cls(strikes, maturities, volatility, spread, name)

    @classmethod
    def heston(
        cls,
        parameters=HESTON_PARAMETERS,
        strikes=HESTON_STRIKES,
        maturities=HESTON_MATURITIES,
        name="Heston",
    ):
        """Exact quotes of a Heston model; the defaults are a test bed of 6 x 21 quotes.

        Args:
            parameters: κ, θ, ξ, ρ and v₀ as in `heston_call`, `(5,)`.
            strikes: Strikes divided by the forward, increasing, `(n,)` or `(m, n)`.
            maturities: Years to expiry, increasing, `(m,)`.
            name: As in `SurfaceQuotes`.

        Returns:
            A `SurfaceQuotes`.

        Raises:
            ValueError: As for `heston_call` and `SurfaceQuotes`.

        Example:

        >>> quotes = SurfaceQuotes.heston()
        >>> len(quotes), round(quotes.implied_volatility[10], 4)
        (126, 0.1918)
        """
        parameters = check_array("parameters", parameters, {"(5,)": (5,)})
        strikes = check_array("strikes", strikes, {"(n,)": (None,), "(m, n)": (None, None)})
        maturities = check_array("maturities", maturities, {"(m,)": (None,)})
        calls = heston_call(parameters, strikes, maturities).numpy()
        return cls.from_calls(calls, strikes, maturities, name=name)

    @classmethod
    def chain(cls, name):
        """The quotes of a shipped option chain, see `hedgezoo.datasets.market_data.option_chain`.

        Args:
            name: Name of the chain.

        Returns:
            A `SurfaceQuotes`.

        Raises:
            ValueError: If there is no chain of that name.

        Example:

        >>> len(SurfaceQuotes.chain("sx5e_2010-03-01"))
        155
        """
        from hedgezoo.datasets.market_data import option_chain

        chain = option_chain(name)
        order = np.lexsort((chain.moneyness, chain.maturities))
        columns = (chain.moneyness, chain.maturities, chain.implied_volatility)
        return cls(*(column[order] for column in columns), name=name)

    # ------------------------------------------------------------------------------- what they say

    def __len__(self):
        return len(self.strikes)

    def __repr__(self):
        return (
            f"SurfaceQuotes({self.name!r}: {len(self)} quotes, {len(self.expiries)} maturities "
            f"from {self.maturities[0]:.4g} to {self.maturities[-1]:.4g} years)"
        )

    @property
    def expiries(self):
        """The different maturities in years, float64 `(m,)`."""
        return np.unique(self.maturities)

    @property
    def expiry_index(self):
        """Index into `expiries` of each quote, integers `(N,)`."""
        return np.unique(self.maturities, return_inverse=True)[1]

    @property
    def is_put(self):
        """Whether the put, not the call, is out of the money, booleans `(N,)`."""
        return np.asarray(self.strikes) < 1.0

    @property
    def calls(self):
        """Undiscounted call prices per unit of forward, float64 `(N,)`."""
        return self._black_scholes(european_price)

    @property
    def out_of_the_money(self):
        """Prices of the put below the forward and of the call from there on, float64 `(N,)`."""
        put, call = (self._black_scholes(european_price, call=side) for side in (False, True))
        return np.where(self.is_put, put, call)

    @property
    def vega(self):
        """Black-Scholes vegas per unit of volatility and of forward, float64 `(N,)`."""
        return self._black_scholes(european_vega)

    def strike_grid(self):
        """The strikes as a grid with one row per maturity, for functions that price grids.

        Returns:
            Strikes `(m, n)`, a row filled up with its last strike, and booleans `(m, n)`: where the
            quotes are. Prices on the grid at these booleans are in the order of the quotes.

        Example:

        >>> quotes = SurfaceQuotes([0.9, 1.0, 1.0], [0.5, 0.5, 1.0], [0.22, 0.20, 0.21])
        >>> quotes.strike_grid()
        (array([[0.9, 1. ],
               [1. , 1. ]]), array([[ True,  True],
               [ True, False]]))
        """
        counts = np.bincount(self.expiry_index)
        mask = np.arange(counts.max()) < counts[:, np.newaxis]
        last = np.asarray(self.strikes)[np.cumsum(counts) - 1]
        grid = np.broadcast_to(last[:, np.newaxis], mask.shape).copy()
        grid[mask] = self.strikes
        return grid, mask

    def volatility_of(self, calls):
        """Implied volatilities of other call prices of these options.

        Args:
            calls: Undiscounted call prices per unit of forward, `(N,)`.

        Returns:
            float64 `(N,)`; NaN where no volatility gives the price.
        """
        calls = check_array("calls", calls, {"(N,)": (len(self),)}, finite=False)
        grid = (np.asarray(self.strikes)[:, None], np.asarray(self.maturities))
        with tf.init_scope():
            return implied_volatility(calls[:, None], *grid).numpy()[:, 0]

    # ------------------------------------------------------------------------------- other quotes

    def select(self, which):
        """Some of the quotes.

        Args:
            which: Booleans `(N,)`, or increasing indices.

        Returns:
            A `SurfaceQuotes`.

        Raises:
            ValueError: If none is left, or `which` is neither of the above.
        """
        which = np.asarray(which)
        if which.dtype == bool and which.shape == (len(self),):
            which = np.flatnonzero(which)
        inside = which.dtype.kind in "iu" and which.ndim == 1 and len(which) > 0
        if not (inside and which.min() >= 0 and which.max() < len(self)):
            raise ValueError(
                f"`which` must be booleans ({len(self)},) or indices of quotes, and choose at "
                f"least one. Received: {which.dtype} of shape {which.shape}"
            )

        def chosen(values):
            return None if values is None else np.asarray(values)[which]

        return dataclasses.replace(
            self,
            strikes=chosen(self.strikes),
            maturities=chosen(self.maturities),
            implied_volatility=chosen(self.implied_volatility),
            spread=chosen(self.spread),
        )

    def inside(self, maturities=(0.0, math.inf), strikes=(0.0, math.inf)):
        """Which quotes lie in a region, its ends included: booleans `(N,)`.

        Args:
            maturities: Shortest and longest maturity in years.
            strikes: Lowest and highest strike, divided by the forward.
        """
        inside = np.ones(len(self), bool)
        for (low, high), values in ((maturities, self.maturities), (strikes, self.strikes)):
            values = np.asarray(values)
            inside &= (values >= low - 1e-9) & (values <= high + 1e-9)
        return inside

    def where(self, low_maturity=0.0, high_maturity=math.inf, low_strike=0.0, high_strike=math.inf):
        """The quotes of a region, its ends included.

        Args:
            low_maturity: Shortest maturity in years.
            high_maturity: Longest maturity in years.
            low_strike: Lowest strike, divided by the forward.
            high_strike: Highest strike, divided by the forward.

        Returns:
            A `SurfaceQuotes`.

        Raises:
            ValueError: If there are none.

        Example:

        >>> len(SurfaceQuotes.heston().where(low_strike=0.9, high_strike=1.1, high_maturity=0.5))
        33
        """
        inside = self.inside((low_maturity, high_maturity), (low_strike, high_strike))
        if not inside.any():
            raise ValueError(
                "`where` must leave a quote. Received: maturities from "
                f"{low_maturity} to {high_maturity}, strikes from {low_strike} to {high_strike}"
            )
        return self.select(inside)

    def with_volatility(self, implied_volatility, name=None):
        """Other volatilities of the same options.

        Args:
            implied_volatility: Per √year, `(N,)`.
            name: As in `SurfaceQuotes`; None keeps it.

        Returns:
            A `SurfaceQuotes`.
        """
        name = self.name if name is None else name
        return dataclasses.replace(self, implied_volatility=implied_volatility, name=name)

    def with_spread(self, bp):
        """The same quotes with a width from bid to ask.

        Args:
            bp: Ask minus bid in basis points of volatility: a number or `(N,)`.

        Returns:
            A `SurfaceQuotes`.
        """
        bp = check_array("bp", bp, {"()": (), "(N,)": (len(self),)})
        return dataclasses.replace(self, spread=np.broadcast_to(BASIS_POINT * bp, (len(self),)))

    def with_noise(self, bp, seed):
        """The quotes with independent normal errors in implied volatility.

        Args:
            bp: Standard deviation in basis points: 1 bp = 1e-4 of volatility.
            seed: Integer.

        Returns:
            A `SurfaceQuotes`.

        Raises:
            ValueError: If an error makes a volatility negative.

        Example:

        >>> exact = SurfaceQuotes.heston()
        >>> noisy = exact.with_noise(bp=30, seed=0)
        >>> errors = np.subtract(noisy.implied_volatility, exact.implied_volatility)
        >>> bool(20e-4 < np.std(errors) < 40e-4)
        True
        """
        check_not_negative("bp", bp)
        check_integer("seed", seed)
        normals = normal_draws(seed, len(self), 1, stream=_NOISE, dtype="float64").numpy()
        errors = BASIS_POINT * bp * normals.reshape(-1)
        return self.with_volatility(np.asarray(self.implied_volatility) + errors)

    def split(self, share=0.2, seed=0, ends=False):
        """Two sets of quotes: one to fit, one to judge the fit.

        The lowest and highest strike of each maturity are fitted unless `ends` are free: beyond its
        ends a smile follows from nothing inside it, and one far quote outweighs all others.

        Args:
            share: Share of the quotes that are held out, between 0 and 1.
            seed: Integer.
            ends: Whether the lowest and highest strike of a maturity may be held out too.

        Returns:
            Tuple `(fitted, held_out)`, two `SurfaceQuotes`.

        Raises:
            ValueError: If one of the two would be empty, or the share is out of its range.

        Example:

        >>> fitted, held_out = SurfaceQuotes.heston().split(share=0.2)
        >>> len(fitted), len(held_out)
        (101, 25)
        """
        check_positive("share", share)
        check_integer("seed", seed)
        count = round(share * len(self))
        index = self.expiry_index
        free = np.ones(len(self), bool)
        if not ends:
            free[1:-1] = (np.diff(index)[:-1] == 0) & (np.diff(index)[1:] == 0)
            free[[0, -1]] = False
        if not 0 < count < len(self) or count > free.sum():
            raise ValueError(
                f"`share` must leave quotes on both sides. Received: share={share} of {len(self)} "
                f"quotes, {free.sum()} of them free to be held out"
            )
        draws = uniform_draws(seed, len(self), 1, stream=_SPLIT, dtype="float64").numpy()[:, 0]
        held = np.zeros(len(self), bool)
        held[np.argsort(np.where(free, draws, 2.0), kind="stable")[:count]] = True
        return self.select(~held), self.select(held)

    # ------------------------------------------------------------------------------------ storing

    def get_config(self):
        """The fields as a dictionary of values that JSON can hold."""
        config = dataclasses.asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in config.items()}

    @classmethod
    def from_config(cls, config):
        """The quotes whose `get_config` returned `config`."""
        return cls(**config)

    def _black_scholes(self, function, **side):
        columns = (self.strikes, self.maturities, self.implied_volatility)
        with tf.init_scope():  # also for a caller that is being traced
            return function(np.float64(1.0), *map(np.asarray, columns), **side).numpy()


def _mask(mask, shape):
    if mask is None:
        return np.ones(shape, bool)
    mask = np.asarray(mask)
    if mask.shape != shape or not np.isin(mask, (0, 1)).all() or not mask.any():
        raise ValueError(
            f"`mask` must be booleans of shape {shape}, true where there is a quote, and somewhere "
            f"true. Received: {mask.dtype} of shape {mask.shape}"
        )
    return mask.astype(bool)


def _grid(shape, strikes, maturities, mask):
    """Where there are quotes, `(m, n)`, and their strikes and maturities, `(N,)`."""
    quoted = _mask(mask, shape)
    strikes = check_array("strikes", strikes, {"(n,)": shape[1:], "(m, n)": shape})
    maturities = check_array("maturities", maturities, {"(m,)": shape[:1]})
    increasing = np.diff(maturities) > 0
    _require(increasing, "maturities", "increasing", maturities[1:], first=1)
    years = np.broadcast_to(maturities[:, np.newaxis], shape)
    return quoted, np.broadcast_to(strikes, shape)[quoted], years[quoted]


def _require(good, name, expected, values, about=lambda index: "", first=0):
    """Raises unless all is good; the message has the first value that is not."""
    if not np.all(good):
        index = int(np.argmin(good))
        raise ValueError(
            f"`{name}` must be {expected}. Received: {values[index]} at index {index + first}"
            f"{about(index)}, the first of {np.sum(~np.asarray(good))} such entries"
        )
