"""What calibration knows of a model: its parameters, their ranges and where to start."""

import dataclasses
import math

import numpy as np

# name, scale of the search, widest range, range of further starts (of θ and v₀: times the guess)
_HESTON = (
    ("kappa", "log", (1e-3, 100.0), (0.3, 15.0)),
    ("theta", "log", (1e-5, 4.0), (0.3, 3.0)),
    ("xi", "log", (1e-3, 20.0), (0.2, 3.0)),
    ("rho", "atanh", (-0.9999, 0.9999), (-0.95, 0.3)),
    ("v0", "log", (1e-5, 4.0), (0.3, 3.0)),
)
_JUMPS = (
    ("jump intensity", "log", (1e-4, 50.0), (0.05, 2.0)),
    ("jump mean", "linear", (-2.0, 2.0), (-0.3, 0.1)),
    ("jump deviation", "log", (1e-3, 2.0), (0.05, 0.3)),
)


@dataclasses.dataclass(frozen=True)
class Model:
    """Parameters of a model and the coordinates in which they are searched.

    A positive parameter is searched by its logarithm and a correlation by its inverse hyperbolic
    tangent (the logit of (1 + ρ)/2, halved), each within a wide range.

    Args:
        name: `"heston"` or `"bates"`.
        rows: For each parameter its name, scale, range and range of starts.
    """

    name: str
    rows: tuple

    def __len__(self):
        return len(self.rows)

    @property
    def names(self):
        """Names of the parameters."""
        return tuple(row[0] for row in self.rows)

    @property
    def ranges(self):
        """Lowest and highest coordinates of the search, `(2, p)`."""
        return np.array([self.to_free([row[2][end] for row in self.rows]) for end in (0, 1)])

    def to_free(self, parameters):
        """Coordinates of the search, `(p,)`, of parameters `(p,)`."""
        return np.array(
            [_TO_FREE[row[1]](value) for row, value in zip(self.rows, parameters, strict=True)]
        )

    def from_free(self, free):
        """Parameters, `(p,)`, and their derivatives each by its own coordinate, `(p,)`."""
        values, slopes = np.empty(len(self)), np.empty(len(self))
        for i, (row, value) in enumerate(zip(self.rows, free.tolist(), strict=True)):
            values[i], slopes[i] = _from_free(row[1], row[2], value)
        return values, slopes

    def at_end(self, parameters):
        """Which parameters lie at an end of their range, `(p,)` booleans."""
        low, high = np.array([row[2] for row in self.rows]).T
        slack = 1e-6 * np.abs([low, high])
        return (parameters <= low + slack[0]) | (parameters >= high - slack[1])

    def starts(self, quotes, count):
        """Parameters to start from, `(count, p)`.

        First κ = 2, θ and v₀ from the volatilities at the money at two years and at a tenth of a
        year, ξ = 0.6, ρ = -0.5 (and half a jump per year of -10 % ± 15 %); then a Sobol sequence
        around them.

        Args:
            quotes: A `Quotes`.
            count: How many.
        """
        long, short = np.square(at_the_money(quotes, (2.0, 0.1)))
        first = np.array([2.0, long, 0.6, -0.5, short, 0.5, -0.1, 0.15][: len(self)])
        if count == 1:
            return first[np.newaxis]
        from scipy.stats import qmc

        sequence = qmc.Sobol(len(self), scramble=False)
        power = math.ceil(math.log2(count))
        points = sequence.random_base2(power)[1:count]  # without the origin
        low, high = np.array([row[3] for row in self.rows]).T
        for i in (1, 4):
            low[i], high[i] = low[i] * first[i], high[i] * first[i]
        low, high = self.to_free(low), self.to_free(high)
        return np.stack([first, *(self.from_free(low + (high - low) * u)[0] for u in points)])


HESTON = Model("heston", _HESTON)
BATES = Model("bates", _HESTON + _JUMPS)
MODELS = {model.name: model for model in (HESTON, BATES)}


def at_the_money(quotes, years):
    """Volatilities at the forward, interpolated in strike and in maturity and flat outside.

    Args:
        quotes: A `Quotes`.
        years: Maturities, `(k,)`.

    Returns:
        `(k,)`.
    """
    maturities = np.unique(quotes.maturities)
    levels = []
    for maturity in maturities:
        here = quotes.maturities == maturity
        order = np.argsort(quotes.strikes[here])
        volatility = quotes.implied_volatility[here][order]
        levels.append(np.interp(1.0, quotes.strikes[here][order], volatility))
    return np.interp(years, maturities, levels)


_TO_FREE = {"log": math.log, "atanh": math.atanh, "linear": float}


def _from_free(scale, limits, value):
    """A parameter and its derivative; beyond the range the end of it, and zero."""
    low, high = limits
    if scale == "log":
        clipped = min(max(value, math.log(low)), math.log(high))
        result = math.exp(clipped)
        slope = result
    elif scale == "atanh":
        clipped = min(max(value, math.atanh(low)), math.atanh(high))
        result = math.tanh(clipped)
        slope = 1.0 - result * result
    else:
        clipped = result = min(max(value, low), high)
        slope = 1.0
    return result, slope if clipped == value else 0.0
