"""Two historical chains of index options, quoted in implied volatility."""

import csv
import dataclasses
import pathlib

import numpy as np

from hedgezoo.datasets.checks import check_one_of
from hedgezoo.datasets.market_data.shipped import shipped

_SOURCES = {
    "sx5e_2010-03-01": "EURO STOXX 50; QuantLib, test-suite/andreasenhugevolatilityinterpl.cpp",
    "dax_2002-07-05": "DAX; QuantLib, test-suite/hestonmodel.cpp",
}


@dataclasses.dataclass(frozen=True, eq=False)
class OptionChain:
    """Quotes of European options on one index on one day; made by `option_chain`.

    Args:
        name: Name of the chain.
        date: The day, `datetime64[D]`.
        spot: Level of the index.
        maturities: Years to expiry of each of N quotes, `(N,)`.
        strikes: In the money of `spot`, `(N,)`.
        forwards: Forward of the index for each quote's maturity, `(N,)`.
        rates: Continuously compounded zero rates to each quote's maturity, `(N,)`.
        implied_volatility: Per √year, `(N,)`.
        source: Index and origin of the quotes.
    """

    name: str
    date: np.datetime64
    spot: float
    maturities: np.ndarray = dataclasses.field(repr=False)
    strikes: np.ndarray = dataclasses.field(repr=False)
    forwards: np.ndarray = dataclasses.field(repr=False)
    rates: np.ndarray = dataclasses.field(repr=False)
    implied_volatility: np.ndarray = dataclasses.field(repr=False)
    source: str

    def __len__(self):
        return len(self.maturities)

    @property
    def moneyness(self):
        """Strikes divided by the forward, `(N,)`."""
        return self.strikes / self.forwards

    def to_csv(self, path):
        """Writes the quotes, a line each, as `hedgezoo calibrate` reads them.

        Args:
            path: File name.

        Example:

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "quotes.csv")
        ...     option_chain("dax_2002-07-05").to_csv(path)
        ...     print(path.read_text().splitlines()[0])
        date,maturity,strike,forward,implied_volatility
        """
        columns = (self.maturities, self.strikes, self.forwards, self.implied_volatility)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        lines = ["date,maturity,strike,forward,implied_volatility"]
        lines += [f"{self.date},{','.join(map(repr, row))}" for row in rows]
        pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def option_chain(name):
    """One of the shipped option chains.

    - `"sx5e_2010-03-01"`: EURO STOXX 50 on 1 March 2010, 155 quotes at 12 maturities from 9 days
      to 5.8 years, normalised so that the forward is the spot at all maturities.
    - `"dax_2002-07-05"`: DAX on 5 July 2002, 13 strikes at each of 8 maturities from 13 days to
      1.9 years, with zero rates and no dividend yield.

    Both come from the test suite of QuantLib, under its BSD-style licence, which is shipped with
    them.

    Args:
        name: Name of the chain.

    Returns:
        An `OptionChain`.

    Raises:
        ValueError: If there is no chain of that name.

    Example:

    >>> chain = option_chain("dax_2002-07-05")
    >>> len(chain), len(np.unique(chain.maturities)), chain.spot
    (104, 8, 4468.17)

    Reference:
        Andreasen, Huge, "Volatility interpolation", Risk, 2011 (EURO STOXX 50); Sepp, "Pricing
        European-style options under jump diffusion processes with stochastic volatility", 2003
        (DAX).
    """
    check_one_of("name", name, tuple(_SOURCES))
    with shipped(f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def column(key):
        return np.array([float(row[key]) for row in rows])

    return OptionChain(
        name=name,
        date=np.datetime64(rows[0]["date"]),
        spot=float(rows[0]["S"]),
        maturities=column("T"),
        strikes=column("K"),
        forwards=column("F"),
        rates=column("r") if "r" in rows[0] else np.zeros(len(rows)),
        implied_volatility=column("iv"),
        source=_SOURCES[name],
    )
