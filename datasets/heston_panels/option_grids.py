"""Strikes and maturities of option panels: one grid for all, or a random one for each panel."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_integer, check_number, check_positive
from hedgezoo.layers.draws import uniform_draws
from hedgezoo.layers.rows import by_row

# streams of random numbers; those of the parameters and of the noise are others
_POSITIONS, _NARROWING = 1, 2
_MARGIN = 0.05  # share of its cell that a point leaves free on either side


@dataclasses.dataclass(frozen=True)
class FixedGrid:
    """The same strikes and maturities for every panel.

    Args:
        strikes: Strikes divided by the forward, increasing, `(n,)`; or `(m, n)`, a row for each
            maturity.
        maturities: Years to expiry, increasing, `(m,)`.

    Raises:
        ValueError: If the shapes do not match, or a grid is not positive and increasing.

    Example:

    >>> FixedGrid(strikes=(0.9, 1.0, 1.1), maturities=(0.5, 1.0)).shape
    (2, 3)
    """

    strikes: tuple
    maturities: tuple

    def __post_init__(self):
        grids = {}
        for name, ranks in (("strikes", (1, 2)), ("maturities", (1,))):
            try:
                grid = grids[name] = np.asarray(getattr(self, name), np.float64)
            except (TypeError, ValueError):
                grid = np.zeros(0)
            increasing = grid.size and np.isfinite(grid).all() and (grid > 0).all()
            if grid.ndim not in ranks or not increasing or not (np.diff(grid) > 0).all():
                raise ValueError(
                    f"`{name}` must be positive and increasing, of rank "
                    f"{' or '.join(map(str, ranks))}. Received: {name}={getattr(self, name)!r}"
                )
            object.__setattr__(self, name, _tuples(grid))
        strikes, maturities = grids["strikes"], grids["maturities"]
        if strikes.ndim == 2 and len(strikes) != len(maturities):
            raise ValueError(
                "`strikes` (m, n) must have one row per maturity. Received: "
                f"strikes.shape={strikes.shape}, maturities.shape={maturities.shape}"
            )

    @property
    def shape(self):
        """Numbers of maturities and of strikes `(m, n)`."""
        return len(self.maturities), np.shape(self.strikes)[-1]

    @property
    def shortest_maturity(self):
        """Shortest maturity in years."""
        return self.maturities[0]

    def draw(self, seed, panels, first_panel=0, dtype="float32"):
        """Strikes and maturities, the same for all panels.

        Args:
            seed: Not used.
            panels: Not used.
            first_panel: Not used.
            dtype: `"float32"` or `"float64"`.

        Returns:
            Strikes `(n,)` or `(m, n)`, and maturities `(m,)`.
        """
        del seed, panels, first_panel
        return tf.constant(self.strikes, dtype), tf.constant(self.maturities, dtype)


@dataclasses.dataclass(frozen=True)
class RandomGrid:
    """Strikes and maturities drawn anew for every panel, so that a network learns any grid.

    Maturities: `maturity_range` is cut into m cells, equal in √T, with a uniform point in each.
    Strikes: for each maturity the range is cut into n cells, equal in log K, with a uniform point
    in each. Points keep 5 % away from the ends of their cell: grids are increasing.

    Args:
        strikes: Number n of strikes per maturity.
        maturities: Number m of maturities.
        strike_range: Lowest and highest strike divided by the forward.
        maturity_range: Shortest and longest maturity in years.
        scaled_range: None, or lowest and highest log(K) / √T. Markets quote wider strikes at longer
            maturities: at each maturity, strikes lie in this range and in `strike_range`.
        shared_strikes: Whether the points in the cells are the same for all maturities of a panel;
            without `scaled_range` its strikes are then those of a rectangular grid.
        narrowing: In [0, 1). Each end of both ranges moves inwards by a uniform share, at most
            half of `narrowing`, of the range; drawn for every panel.

    Raises:
        ValueError: If an argument is out of its range; the message names it.

    Example:

    >>> strikes, maturities = RandomGrid(strikes=10, maturities=8).draw(seed=0, panels=256)
    >>> strikes.shape, maturities.shape
    (TensorShape([256, 8, 10]), TensorShape([256, 8]))

    Reference:
        Baschetti, Bormetti, Rossi, "Deep calibration with random grids", 2023, arXiv:2306.11061.
    """

    strikes: int = 10
    maturities: int = 8
    strike_range: tuple = (0.8, 1.2)
    maturity_range: tuple = (0.1, 2.0)
    scaled_range: tuple | None = None
    shared_strikes: bool = False
    narrowing: float = 0.0

    def __post_init__(self):
        check_integer("strikes", self.strikes, minimum=1)
        check_integer("maturities", self.maturities, minimum=1)
        self._check_range("strike_range", check_positive)
        self._check_range("maturity_range", check_positive)
        if self.scaled_range is not None:
            self._check_range("scaled_range", check_number)
            if not self.scaled_range[0] < 0.0 < self.scaled_range[1]:
                raise ValueError(
                    "`scaled_range` must have the forward, log(K) = 0, inside. "
                    f"Received: scaled_range={self.scaled_range}"
                )
            if not self.strike_range[0] < 1.0 < self.strike_range[1]:
                raise ValueError(
                    "With a `scaled_range`, `strike_range` must have the forward, K = 1, inside. "
                    f"Received: strike_range={self.strike_range}"
                )
        if not isinstance(self.shared_strikes, bool):
            raise ValueError(
                "`shared_strikes` must be True or False. "
                f"Received: shared_strikes={self.shared_strikes!r}"
            )
        check_number("narrowing", self.narrowing)
        if not 0.0 <= self.narrowing < 1.0:
            raise ValueError(
                f"`narrowing` must lie in [0, 1). Received: narrowing={self.narrowing!r}"
            )

    @property
    def shape(self):
        """Numbers of maturities and of strikes `(m, n)`."""
        return self.maturities, self.strikes

    @property
    def shortest_maturity(self):
        """Shortest maturity in years that can be drawn."""
        return self.maturity_range[0]

    def draw(self, seed, panels, first_panel=0, dtype="float32"):
        """Strikes and maturities of the panels `first_panel ... first_panel + panels - 1`.

        Args:
            seed: Integer or scalar integer tensor.
            panels: Number of panels B.
            first_panel: Global index of the first panel.
            dtype: `"float32"` or `"float64"`.

        Returns:
            Strikes `(B, m, n)` and maturities `(B, m)`, increasing along their last axis.
        """
        m, n = self.shape
        rows = 1 if self.shared_strikes else m
        uniforms = uniform_draws(
            seed, panels, m + rows * n, first_panel, stream=_POSITIONS, dtype="float64"
        )
        cells = _MARGIN + (1.0 - 2.0 * _MARGIN) * uniforms
        shortest, longest = (math.sqrt(x) for x in self.maturity_range)
        low, high = (math.log(x) for x in self.strike_range)
        ends = [shortest, longest, low, high]
        if self.narrowing:
            ends = self._narrowed(ends, seed, panels, first_panel)
        shortest, longest, low, high = ends
        place = (np.arange(m) + cells[:, :m]) / m
        root_years = shortest + (longest - shortest) * place
        low, high = (x + tf.zeros_like(root_years) for x in (low, high))
        if self.scaled_range is not None:
            low = tf.maximum(low, self.scaled_range[0] * root_years)
            high = tf.minimum(high, self.scaled_range[1] * root_years)
        place = (np.arange(n) + tf.reshape(cells[:, m:], (panels, rows, n))) / n
        low, high = low[..., tf.newaxis], high[..., tf.newaxis]
        strikes = by_row(tf.exp, low + (high - low) * place)
        return tf.cast(strikes, dtype), tf.cast(tf.square(root_years), dtype)

    def _narrowed(self, ends, seed, panels, first_panel):
        """Both ranges, each end moved inwards, as four tensors `(B, 1)`."""
        shares = uniform_draws(seed, panels, 4, first_panel, stream=_NARROWING, dtype="float64")
        shares = 0.5 * self.narrowing * shares
        signs = (1.0, -1.0, 1.0, -1.0)
        widths = (ends[1] - ends[0],) * 2 + (ends[3] - ends[2],) * 2
        moved = [
            end + sign * width * shares[:, i : i + 1]
            for i, (end, sign, width) in enumerate(zip(ends, signs, widths, strict=True))
        ]
        if self.scaled_range is not None:
            # the forward stays inside, where both ranges of strikes meet
            moved[2], moved[3] = tf.minimum(moved[2], 0.0), tf.maximum(moved[3], 0.0)
        return moved

    def _check_range(self, name, check):
        value = getattr(self, name)
        if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
            raise ValueError(f"`{name}` must be a pair (low, high). Received: {name}={value!r}")
        for index, end in enumerate(value):
            check(f"{name}[{index}]", end)
        if not value[0] < value[1]:
            raise ValueError(f"`{name}` must have low < high. Received: {name}={value!r}")
        object.__setattr__(self, name, tuple(float(end) for end in value))


def _tuples(array):
    return tuple(_tuples(row) for row in array) if array.ndim > 1 else tuple(array.tolist())


# 10 strikes and 8 maturities over the ranges that the paper names
PAPER_GRID = FixedGrid(
    strikes=np.linspace(0.8, 1.2, 10).round(12), maturities=(0.1, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.0)
)
# any grid over the same ranges
RANDOM_GRID = RandomGrid(narrowing=0.5)
# index options from a week to five years
WIDE_GRID = RandomGrid(
    strikes=13,
    maturities=12,
    strike_range=(0.5, 1.6),
    maturity_range=(0.02, 5.0),
    scaled_range=(-0.8, 0.6),
    narrowing=0.5,
)

GRIDS = {"paper": PAPER_GRID, "random": RANDOM_GRID, "wide": WIDE_GRID}
