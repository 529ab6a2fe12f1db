"""A history of implied-volatility surfaces on one grid, with their discrete local volatilities."""

import dataclasses
import typing

import numpy as np

from hedgezoo.datasets.checks import check_array
from hedgezoo.datasets.market_data.arbitrage import (
    days_without_arbitrage,
    surfaces_without_arbitrage,
)
from hedgezoo.datasets.market_data.ghost_strikes import choose_ghost_strikes
from hedgezoo.datasets.market_data.surface_checks import (
    as_date,
    checked_dates,
    checked_ghosts,
    checked_grid,
    checked_spot,
    require_cells,
)
from hedgezoo.layers.black_scholes import black_scholes_call
from hedgezoo.layers.implied_volatility import implied_volatility as implied_volatility_of


class SurfaceRepair(typing.NamedTuple):
    """What the repair of one day's surface changed.

    Attributes:
        date: The day.
        largest_price_change: Largest change of a call price, per unit of forward.
        largest_volatility_change: Largest change of an implied volatility, per √year.
    """

    date: np.datetime64
    largest_price_change: float
    largest_volatility_change: float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SurfaceHistory:
    """Spot and option surface of L dates, on one grid of n relative strikes and m maturities.

    Strikes are divided by the forward and prices are undiscounted per unit of forward. The
    surfaces have no static arbitrage: `dlv` is finite, see `hedgezoo.layers.calls_to_dlv`.
    Made by `spx_surfaces`, `volatility_index_surfaces`, `load_surfaces` or `from_volatilities`.
    The arrays cannot be written to.

    Args:
        dates: Strictly increasing dates, `(L,)`.
        spot: Positive levels of the underlying, `(L,)`.
        strikes: Increasing relative strikes around 1, `(n,)`.
        maturities: Increasing years to expiry, `(m,)`.
        ghost_strikes: Strikes below and above the others at which options are worth their
            intrinsic value, `(2,)`.
        implied_volatility: Black-Scholes volatilities per √year, `(L, m, n)`.
        calls: Call prices, `(L, m, n)`.
        dlv: Discrete local volatilities per √year, `(L, m, n)`.
        source: Where the data come from, in words.
        repairs: A `SurfaceRepair` for each day whose surface was changed to remove arbitrage.

    Raises:
        ValueError: If a shape, an order or a number is wrong; the message names it.
    """

    dates: np.ndarray
    spot: np.ndarray
    strikes: np.ndarray
    maturities: np.ndarray
    ghost_strikes: np.ndarray
    implied_volatility: np.ndarray
    calls: np.ndarray
    dlv: np.ndarray
    source: str = ""
    repairs: tuple = ()

    def __post_init__(self):
        dates = checked_dates(self.dates)
        strikes, maturities = checked_grid(self.strikes, self.maturities)
        shape = (len(dates), len(maturities), len(strikes))
        arrays = {
            "dates": dates,
            "spot": checked_spot(self.spot, dates),
            "strikes": strikes,
            "maturities": maturities,
            "ghost_strikes": checked_ghosts(self.ghost_strikes, strikes),
        }
        for name in ("implied_volatility", "calls", "dlv"):
            arrays[name] = check_array(name, getattr(self, name), {"(L, m, n)": shape})
        lowest = np.maximum(1.0 - strikes, 0.0) - 1e-12
        for name, good, expected in (
            ("implied_volatility", arrays["implied_volatility"] > 0.0, "positive"),
            (
                "calls",
                (arrays["calls"] >= lowest) & (arrays["calls"] < 1.0),
                "at least intrinsic value and below 1",
            ),
            ("dlv", arrays["dlv"] >= 0.0, "non-negative"),
        ):
            require_cells(name, arrays[name], good, expected, dates, maturities, strikes)
        for name, array in arrays.items():
            array = np.array(array)  # a copy of its own, so that nobody else can write to it
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def from_volatilities(
        cls,
        dates,
        spot,
        implied_volatility,
        strikes,
        maturities,
        ghost_strikes=None,
        arbitrage="raise",
        source="",
    ):
        """A history from implied volatilities; prices and local volatilities are computed.

        Args:
            dates: Strictly increasing dates, `(L,)`.
            spot: Positive levels of the underlying, `(L,)`.
            implied_volatility: Black-Scholes volatilities per √year, `(L, m, n)`.
            strikes: Increasing relative strikes around 1, `(n,)`.
            maturities: Increasing years to expiry, `(m,)`.
            ghost_strikes: Strikes below and above the others, `(2,)`. None for those of
                `choose_ghost_strikes`.
            arbitrage: What to do with a surface that has static arbitrage: "raise" an error, or
                "repair" it to the nearest one without and report it in `repairs`.
            source: Where the data come from, in words.

        Returns:
            A `SurfaceHistory`.

        Raises:
            ValueError: If a shape, an order or a number is wrong, or a surface has arbitrage and
                is not to be repaired; the message names date, maturity and strike.

        Example:

        >>> history = SurfaceHistory.from_volatilities(
        ...     dates=["2024-01-02", "2024-01-03"], spot=[100.0, 101.0],
        ...     implied_volatility=[[[0.21, 0.20, 0.19]], [[0.22, 0.21, 0.20]]],
        ...     strikes=[0.9, 1.0, 1.1], maturities=[0.25],
        ... )
        >>> history
        SurfaceHistory(2 dates from 2024-01-02 to 2024-01-03, maturities 0.25,
            strikes 0.9 1 1.1, ghost strikes 0.8 1.2)
        >>> history.log_returns.round(5)
        array([0.00995])
        """
        dates = checked_dates(dates)
        spot = checked_spot(spot, dates)
        strikes, maturities = checked_grid(strikes, maturities)
        shape = (len(dates), len(maturities), len(strikes))
        volatility = check_array("implied_volatility", implied_volatility, {"(L, m, n)": shape})
        require_cells(
            *("implied_volatility", volatility, volatility > 0.0, "positive"),
            *(dates, maturities, strikes),
        )
        calls = black_scholes_call(strikes, maturities, volatility).numpy()
        if ghost_strikes is None:
            free = days_without_arbitrage(calls, strikes, maturities)
            ghost_strikes = choose_ghost_strikes(calls[free] if free.any() else calls, strikes)
        ghost_strikes = checked_ghosts(ghost_strikes, strikes)
        repaired, dlv = surfaces_without_arbitrage(
            calls, dates, strikes, maturities, ghost_strikes, arbitrage
        )
        changed = np.flatnonzero((repaired != calls).any(axis=(1, 2)))
        repairs = ()
        if len(changed):
            before = volatility[changed]
            volatility = volatility.copy()
            volatility[changed] = implied_volatility_of(repaired[changed], strikes, maturities)
            repairs = tuple(
                SurfaceRepair(dates[day], float(price), float(vol))
                for day, price, vol in zip(
                    changed,
                    np.abs(repaired - calls)[changed].max(axis=(1, 2)),
                    np.abs(volatility[changed] - before).max(axis=(1, 2)),
                    strict=True,
                )
            )
        return cls(
            dates=dates,
            spot=spot,
            strikes=strikes,
            maturities=maturities,
            ghost_strikes=ghost_strikes,
            implied_volatility=volatility,
            calls=repaired,
            dlv=dlv,
            source=source,
            repairs=repairs,
        )

    def __len__(self):
        return len(self.dates)

    @property
    def log_returns(self):
        """Changes of log spot from one date to the next, `(L-1,)`."""
        return np.diff(np.log(self.spot))

    def between(self, start=None, end=None):
        """The part of the history from `start` to `end`, both included; None for no limit.

        Args:
            start: First date, `datetime64`, `date` or ISO string.
            end: Last date.

        Returns:
            A `SurfaceHistory` on the same grid.

        Raises:
            ValueError: If a date cannot be read, or no date of the history lies between them.
        """
        first = self.dates[0] if start is None else as_date("start", start)
        last = self.dates[-1] if end is None else as_date("end", end)
        chosen = (self.dates >= first) & (self.dates <= last)
        if not chosen.any():
            raise ValueError(
                f"The history runs from {self.dates[0]} to {self.dates[-1]}; `start` and `end` "
                f"must leave a part of it. Received: start={start!r}, end={end!r}"
            )
        return dataclasses.replace(
            self,
            **{
                name: getattr(self, name)[chosen]
                for name in ("dates", "spot", "implied_volatility", "calls", "dlv")
            },
            repairs=tuple(repair for repair in self.repairs if first <= repair.date <= last),
        )

    def to_frame(self):
        """The volatilities as a pandas DataFrame of one line per option, for `load_surfaces`.

        Returns:
            Columns date, maturity, moneyness, implied_volatility and spot; L·m·n lines.
        """
        import pandas

        days, years, strikes = self.calls.shape
        return pandas.DataFrame(
            {
                "date": np.repeat(self.dates, years * strikes),
                "maturity": np.tile(np.repeat(self.maturities, strikes), days),
                "moneyness": np.tile(self.strikes, days * years),
                "implied_volatility": self.implied_volatility.ravel(),
                "spot": np.repeat(self.spot, years * strikes),
            }
        )

    def __repr__(self):
        parts = [
            f"{len(self)} dates from {self.dates[0]} to {self.dates[-1]}",
            f"maturities {_listed(self.maturities)}",
            f"strikes {_listed(self.strikes)}",
            f"ghost strikes {_listed(self.ghost_strikes)}",
        ]
        if self.repairs:
            parts.append(f"repaired dates: {len(self.repairs)}")
        if self.source:
            parts.append(f"source={self.source!r}")
        return f"SurfaceHistory({', '.join(parts)})"


def _listed(numbers):
    return " ".join(f"{number:.6g}" for number in numbers)
