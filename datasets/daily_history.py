"""A daily history of a price and of a volatility index: observed, or simulated with known truth."""

import dataclasses

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import (
    check_array,
    check_integer,
    check_number,
    check_one_of,
    check_positive,
)
from hedgezoo.datasets.heston_panels.variance_schemes import qe_m_step
from hedgezoo.layers.draws import normal_draws

TRADING_DAY = 1 / 252
_INDEX_YEARS = 30 / 365  # what a volatility index looks ahead
_PRICES, _DATES = 31, "2000-01-03"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class DailyHistory:
    """Closes of a price and of a volatility index on L days, one time step apart.

    Args:
        dates: Strictly increasing dates, `(L,)`.
        spot: Positive prices, `(L,)`.
        volatility: Volatility index per √year, 0.2 for 20 %, `(L,)`; or None.
        time_step: Years between two days.
        source: Where the data come from, in words.
        maker: Name and arguments of the class method that made it, so that a preset can name it
            and need not hold it; None for arrays of one's own.

    Raises:
        ValueError: If a shape, an order or a number is wrong; the message names it.

    Example:

    >>> history = DailyHistory.spx()
    >>> len(history), round(float(history.volatility.max()), 4)
    (4064, 0.8269)
    """

    dates: np.ndarray
    spot: np.ndarray
    volatility: np.ndarray | None = None
    time_step: float = TRADING_DAY
    source: str = ""
    maker: tuple | None = None

    def __post_init__(self):
        from hedgezoo.datasets.market_data.surface_checks import checked_dates

        check_positive("time_step", self.time_step)
        dates = checked_dates(self.dates)
        if len(dates) < 3:
            raise ValueError(f"`dates` must hold at least three days. Received: {len(dates)}")
        arrays = {"dates": dates}
        for name in ("spot", "volatility"):
            if getattr(self, name) is not None:
                array = check_array(name, getattr(self, name), {"(L,)": dates.shape}, finite=False)
                good = np.isfinite(array) & (array > 0)
                if not good.all():
                    day = int(np.argmin(good))
                    raise ValueError(
                        f"`{name}` must be positive. Received: {array[day]} on {dates[day]}"
                    )
                arrays[name] = array
        if self.volatility is not None and arrays["volatility"].min() > 3.0:
            raise ValueError(
                "`volatility` must be a fraction per √year, not in percent: 0.2 is 20 %. "
                f"Received: {arrays['volatility'].min()} as its lowest value"
            )
        for name, array in arrays.items():
            array = np.array(array)  # a copy of its own, so that nobody else can write to it
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def spx(cls):
        """Shipped closes of the fund SPY with the index VIX, September 2009 to November 2025.

        Returns:
            A `DailyHistory` of the days that both have.
        """
        from hedgezoo.datasets.market_data import spy, vix

        prices, index = spy(), vix()
        dates, rows, columns = np.intersect1d(prices.dates, index.dates, return_indices=True)
        return cls(
            dates,
            prices.closes[rows],
            index.closes[columns] / 100.0,
            source="daily closes of SPY and VIX",
            maker=("spx", {}),
        )

    @classmethod
    def heston(cls, parameters, years=10.0, seed=0, drift=0.0, index_years=_INDEX_YEARS):
        """A simulated history of a Heston model, with its volatility index.

        One path of Andersen's scheme with a step per day. The index is exact: its square is the
        mean variance expected over the next `index_years`,
        `θ + (v - θ)(1 - e^{-κτ}) / (κτ)`, so it shows the variance v without error.

        Args:
            parameters: κ, θ, ξ, ρ and v₀ as in `heston_call`, `(5,)`; all but ρ positive.
            years: Length of the history.
            seed: Integer.
            drift: Expected return per year.
            index_years: What the index looks ahead, τ. 0 for √v, the volatility itself.

        Returns:
            A `DailyHistory` that starts with the price 1.

        Raises:
            ValueError: If an argument is out of its range.

        Example:

        >>> history = DailyHistory.heston((3.0, 0.04, 0.4, -0.7, 0.04), years=1.0, seed=1)
        >>> len(history), bool(0.1 < np.median(history.volatility) < 0.3)
        (253, True)
        """
        parameters = check_array("parameters", parameters, {"(5,)": (5,)})
        positive = parameters[[0, 1, 2, 4]]
        if not (positive > 0).all() or not abs(parameters[3]) <= 1:
            raise ValueError(
                "`parameters` must be κ, θ, ξ, ρ and v₀, positive but for ρ in [-1, 1]. "
                f"Received: {parameters.tolist()}"
            )
        check_positive("years", years)
        check_integer("seed", seed)
        check_number("drift", drift)
        check_number("index_years", index_years)
        if index_years < 0:
            raise ValueError(f"`index_years` must not be negative. Received: {index_years}")
        days = round(years / TRADING_DAY)
        log_price, variance = (x.numpy() for x in _heston_path(parameters, days, seed))
        kappa, theta = parameters[:2]
        clock = kappa * index_years
        share = -np.expm1(-clock) / clock if clock else 1.0
        index = np.sqrt(np.maximum(theta + share * (variance - theta), 1e-12))
        return cls(
            np.datetime64(_DATES) + np.arange(days + 1),
            np.exp(log_price + drift * TRADING_DAY * np.arange(days + 1)),
            index,
            source=f"simulated Heston model, {parameters.tolist()}",
            maker=(
                "heston",
                {
                    "parameters": parameters.tolist(),
                    "years": float(years),
                    "seed": int(seed),
                    "drift": float(drift),
                    "index_years": float(index_years),
                },
            ),
        )

    def __len__(self):
        return len(self.dates)

    def __repr__(self):
        return f"DailyHistory({self.source!r}: {len(self)} days to {self.dates[-1]})"

    @property
    def returns(self):
        """Log returns from each day to the next, `(L - 1,)`."""
        return np.diff(np.log(self.spot))

    def split(self, share=0.2):
        """The first and the last part of the history; they have one day in common.

        Args:
            share: Share of the days that the last part has, between 0 and 1.

        Returns:
            Tuple of two `DailyHistory`.

        Raises:
            ValueError: If a part would have less than three days.

        Example:

        >>> first, last = DailyHistory.spx().split(0.2)
        >>> len(first), len(last), str(last.dates[0])
        (3251, 814, '2022-08-17')
        """
        check_positive("share", share)
        last = round(share * len(self))
        if not 2 <= last <= len(self) - 3:
            raise ValueError(
                f"`share` must leave three days on both sides. Received: {share} of {len(self)}"
            )
        cut = len(self) - last
        return self._rows(slice(0, cut)), self._rows(slice(cut - 1, None))

    def _rows(self, rows):
        volatility = None if self.volatility is None else self.volatility[rows]
        return dataclasses.replace(
            self, dates=self.dates[rows], spot=self.spot[rows], volatility=volatility, maker=None
        )

    def get_config(self):
        """What makes this history again, as values that JSON can hold."""
        if self.maker is not None:
            name, arguments = self.maker
            return {"maker": name, **arguments}
        return {
            "dates": [str(date) for date in self.dates],
            "spot": self.spot.tolist(),
            "volatility": None if self.volatility is None else self.volatility.tolist(),
            "time_step": self.time_step,
            "source": self.source,
        }

    @classmethod
    def from_config(cls, config):
        """The history whose `get_config` returned `config`."""
        config = dict(config)
        maker = config.pop("maker", None)
        if maker is None:
            return cls(**config)
        check_one_of("maker", maker, ("spx", "heston"))
        return getattr(cls, maker)(**config)


def _heston_path(parameters, days, seed):
    """log(S) and v of one path, `(days + 1,)` each."""
    normals = normal_draws(seed, days, 2, stream=_PRICES, dtype="float64")[..., 0]
    return tf.unstack(_run(tf.constant(parameters), normals), axis=-1)


@tf.function(autograph=False, reduce_retracing=True)
def _run(parameters, normals):
    """States `(days + 1, 2)` of one path, from independent normal numbers `(days, 2)`."""
    columns = [value[tf.newaxis, tf.newaxis] for value in tf.unstack(parameters)]
    dt = tf.constant(TRADING_DAY, tf.float64)

    def step(state, shocks):
        now = [value[tf.newaxis, tf.newaxis] for value in tf.unstack(state)]
        shocks = [shock[tf.newaxis] for shock in tf.unstack(shocks)]
        return tf.reshape(tf.stack(qe_m_step(*now, columns, dt, shocks)), (2,))

    start = tf.stack([tf.zeros((), tf.float64), parameters[4]])
    return tf.concat([start[tf.newaxis], tf.scan(step, normals, start)], axis=0)
