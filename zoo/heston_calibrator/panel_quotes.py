"""Quotes of option panels, checked and brought to one form: what a calibration starts from."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_array
from hedgezoo.heston_calibrator.quote_checks import (
    LARGEST_VOLATILITY,
    Places,
    checked_grids,
    checked_mask,
    checked_spread,
    require_enough,
)

# per unit of the smaller of strike and forward: a cheaper option says nothing about volatility,
# nor does one that costs all but this share of what it can cost
SMALLEST_PRICE, SMALLEST_DISTANCE_TO_BOUND = 1e-10, 1e-6
_ANY_VOLATILITY = 0.2  # at masked places, so that arithmetic stays finite


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PanelQuotes:
    """Quotes of B panels of m maturities and n strikes; made by `panel_quotes`.

    Grids that the panels share stay shared: pricing them is cheaper. At masked places there are
    harmless numbers.

    Args:
        implied_volatility: Per √year, `(B, m, n)`.
        strikes: Divided by the forward, `(n,)`, `(m, n)` or `(B, m, n)`.
        maturities: Years, `(m,)` or `(B, m)`.
        mask: Where there is a quote, booleans `(B, m, n)`.
        spread: Bid-ask widths in volatility, `(B, m, n)`; 0 where there is no quote.
        unresolved: Which quotes are left out because the option is worth next to nothing, or all
            that it can be worth: its price does not determine a volatility; booleans `(B, m, n)`.
        known: Where strike and maturity are as they were given, booleans `(B, m, n)`; at other
            (masked) places they were no strikes and maturities.
    """

    implied_volatility: np.ndarray
    strikes: np.ndarray
    maturities: np.ndarray
    mask: np.ndarray
    spread: np.ndarray
    unresolved: np.ndarray
    known: np.ndarray

    def __len__(self):
        return len(self.implied_volatility)

    @property
    def used(self):
        """Where there is a quote that counts, booleans `(B, m, n)`."""
        return self.mask & ~self.unresolved

    @property
    def strike_panels(self):
        """Strikes `(B, m, n)`, also of a shared grid (a view)."""
        return np.broadcast_to(self.strikes, self.mask.shape)

    @property
    def maturity_panels(self):
        """Maturities `(B, m)`, also of a shared grid (a view)."""
        return np.broadcast_to(self.maturities, self.mask.shape[:2])

    def panels(self, rows):
        """Some of the panels.

        Args:
            rows: A slice, or an array of indices or of booleans `(B,)`.

        Returns:
            A `PanelQuotes`; shared grids stay shared.
        """
        chosen = {}
        for field in dataclasses.fields(self):
            array, batched = getattr(self, field.name), 2 if field.name == "maturities" else 3
            chosen[field.name] = array[rows] if array.ndim == batched else array
        return PanelQuotes(**chosen)

    def on_grid(self, strikes, maturities):
        """The same quotes on the grid of a network, which they must be given on.

        Args:
            strikes: Of the network, `(n,)` or `(m, n)`.
            maturities: Of the network, `(m,)`.

        Returns:
            A `PanelQuotes` with these shared grids.

        Raises:
            ValueError: If a strike or a maturity that is quoted is another one.
        """
        strikes, maturities = np.asarray(strikes, float), np.asarray(maturities, float)
        quoted = self.mask.any(axis=2)
        for name, given, wanted, places in (
            ("maturities", self.maturity_panels, maturities, quoted),
            ("strikes", self.strike_panels, strikes, self.mask),
        ):
            rows = len(maturities)
            shape = (rows,) if name == "maturities" else (rows, strikes.shape[-1])
            expected = f"those of the network's fixed grid, {wanted.tolist()}"
            if given.shape[1:] != shape:
                raise ValueError(
                    f"`{name}` must be {expected}. Received: a grid of shape {given.shape[1:]} "
                    f"instead of {shape}; the refined variant takes any grid"
                )
            wrong = places & (np.abs(given - wanted) > 1e-6)
            if wrong.any():
                where = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
                raise ValueError(
                    f"`{name}` must be {expected}. Received: {given[where]} in place of "
                    f"{np.broadcast_to(wanted, given.shape)[where]}; the refined variant takes any "
                    "grid"
                )
        known = np.ones(self.mask.shape, bool)
        return dataclasses.replace(self, strikes=strikes, maturities=maturities, known=known)

    def __repr__(self):
        b, m, n = self.mask.shape
        left_out = int(self.unresolved.sum())
        note = f", {left_out} of them without information" if left_out else ""
        return f"PanelQuotes({b} x {m} maturities x {n} strikes, {self.mask.sum()} quotes{note})"


def panel_quotes(implied_vol, strikes, maturities, mask=None, spread=None, names=()):
    """Checks quotes and brings them to one form.

    Args:
        implied_vol: Quotes per √year (0.2 is 20 %), `(m, n)` or `(B, m, n)`.
        strikes: Divided by the forward, increasing, `(n,)`, `(m, n)` or `(B, m, n)`.
        maturities: Years, increasing, `(m,)` or `(B, m)`.
        mask: True where there is a quote, `(m, n)` or `(B, m, n)`. What lies elsewhere, NaN
            included, is not looked at. None: everywhere.
        spread: Bid-ask widths in volatility: a number, `(m, n)` or `(B, m, n)`. None: zero.
        names: Names of the model's parameters: every panel must have at least as many quotes.

    Returns:
        A `PanelQuotes` of float64 arrays.

    Raises:
        ValueError: If a shape does not fit, a quoted number is out of its domain, strikes or
            maturities do not increase, or a panel has too few quotes. The message names argument,
            place, value, and what is expected.

    Example:

    >>> quotes = panel_quotes([[0.2, 0.21], [0.22, np.nan]], [0.9, 1.0], [0.5, 1.0],
    ...                       mask=[[True, True], [True, False]])
    >>> quotes
    PanelQuotes(1 x 2 maturities x 2 strikes, 3 quotes)
    """
    volatility = check_array(
        "implied_vol", implied_vol, {"(m, n)": (None, None), "(B, m, n)": (None,) * 3}, finite=False
    )
    single = volatility.ndim == 2
    volatility = volatility[np.newaxis] if single else volatility
    if volatility.size == 0:
        raise ValueError(
            f"`implied_vol` must hold at least one quote. Received: shape {volatility.shape}"
        )
    b, m, n = shape = volatility.shape
    of_panel = {"(m, n)": (m, n)} if single else {"(m, n)": (m, n), "(B, m, n)": shape}
    own_years = {"(m,)": (m,)} if single else {"(m,)": (m,), "(B, m)": (b, m)}
    strikes = check_array("strikes", strikes, {"(n,)": (n,), **of_panel}, finite=False)
    years = check_array("maturities", maturities, own_years, finite=False)
    mask = checked_mask(mask, of_panel, shape)
    spread = checked_spread(spread, of_panel, shape)

    places = Places(single, mask)
    places.require(
        "implied_vol",
        volatility,
        (volatility > 0.0) & (volatility < LARGEST_VOLATILITY),
        f"positive and below {LARGEST_VOLATILITY:g} (0.2 is 20 %); missing quotes are masked",
    )
    places.require(
        "spread", spread, (spread >= 0.0) & np.isfinite(spread), "a width, zero or positive"
    )
    known, strikes, years = checked_grids(strikes, years, places)
    volatility = np.where(mask, volatility, _ANY_VOLATILITY)
    without = mask & unresolved(volatility, strikes, years)
    require_enough(mask, without, names, single)
    return PanelQuotes(
        implied_volatility=volatility,
        strikes=strikes,
        maturities=years,
        mask=mask,
        spread=np.where(mask, spread, 0.0),
        unresolved=without,
        known=known,
    )


def unresolved(volatility, strikes, years):
    """Where the price of a volatility is at a bound, as far as a calibration can see.

    Args:
        volatility: `(B, m, n)`.
        strikes: Divided by the forward, `(n,)`, `(m, n)` or `(B, m, n)`.
        years: `(m,)` or `(B, m)`.

    Returns:
        Booleans `(B, m, n)`: the option out of the money is worth less than 1e-10 of the smaller
        of strike and forward, or all of it but 1e-6.
    """
    from scipy.special import ndtr

    distance = np.abs(np.log(strikes))
    deviation = volatility * np.sqrt(years)[..., np.newaxis]
    d1 = 0.5 * deviation - distance / deviation
    doubtful = (d1 < -3.0) | (deviation > 3.0) | (deviation < 1e-6)
    result = np.zeros(volatility.shape, bool)
    if doubtful.any():
        x = np.broadcast_to(distance, result.shape)[doubtful]
        d1, w = d1[doubtful], deviation[doubtful]
        price = ndtr(d1) - np.exp(x) * ndtr(d1 - w)
        to_bound = ndtr(-d1) + np.exp(x) * ndtr(d1 - w)
        result[doubtful] = (price < SMALLEST_PRICE) | (to_bound < SMALLEST_DISTANCE_TO_BOUND)
    return result
