"""A fixed grid of strikes and maturities, and what the ends of each row are taken to be."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class PriceGrid:
    """Strikes and maturities of a surface, checked.

    Args:
        strikes: Strikes divided by the forward, `(n,)`, or `(m, n)` when each maturity has its
            own; increasing.
        maturities: Years to expiry, `(m,)`; increasing.
        ghost_strikes: `None`, or a lowest and a highest strike `(2,)` or `(m, 2)`, at and beyond
            which every option is worth its intrinsic value. The interval may widen with maturity
            but not narrow.

    Raises:
        ValueError: If an argument has a wrong shape or order or is not positive.
    """

    strikes: np.ndarray
    maturities: np.ndarray
    ghost_strikes: np.ndarray | None = None

    def __post_init__(self):
        maturities = _array("maturities", self.maturities, (1,))
        strikes = _array("strikes", self.strikes, (1, 2))
        if strikes.ndim == 2 and len(strikes) != len(maturities):
            raise ValueError(
                "`strikes` (m, n) must have one row per maturity. Received: "
                f"strikes.shape={strikes.shape}, maturities.shape={maturities.shape}"
            )
        for name, grid in (("strikes", strikes), ("maturities", maturities)):
            if not (grid > 0).all():
                raise ValueError(f"`{name}` must be positive. Received: {name}={grid.tolist()}")
            if not (np.diff(grid) > 0).all():
                raise ValueError(f"`{name}` must increase. Received: {name}={grid.tolist()}")
        object.__setattr__(self, "maturities", maturities)
        object.__setattr__(self, "strikes", strikes)
        if self.ghost_strikes is not None:
            ghosts = _array("ghost_strikes", self.ghost_strikes, (1, 2))
            _check_ghosts(ghosts, strikes, len(maturities))
            object.__setattr__(self, "ghost_strikes", ghosts)

    @property
    def common(self):
        """Whether all maturities have the same strikes."""
        return self.strikes.ndim == 1 or bool((self.strikes == self.strikes[:1]).all())

    def rows(self, dtype):
        """Strikes `(m, n)` as numbers of `dtype`, and the ends `(m, 2)`; without ghosts 0 and ∞.

        Prices were computed from strikes rounded to `dtype`, so differences of strikes are too.
        """
        m, n = len(self.maturities), self.strikes.shape[-1]
        strikes = np.broadcast_to(self.strikes, (m, n)).astype(dtype).astype("float64")
        ends = (0.0, np.inf) if self.ghost_strikes is None else self.ghost_strikes.astype(dtype)
        return strikes, np.broadcast_to(np.asarray(ends, "float64"), (m, 2))


def _array(name, values, ranks):
    grid = np.asarray(values, "float64")
    if grid.ndim not in ranks or grid.size == 0:
        raise ValueError(
            f"`{name}` must be a non-empty array of rank {' or '.join(map(str, ranks))}. "
            f"Received: {name}.shape={grid.shape}"
        )
    if not np.isfinite(grid).all():
        raise ValueError(f"`{name}` must be finite. Received: {name}={grid.tolist()}")
    return grid


def _check_ghosts(ghosts, strikes, m):
    if ghosts.shape not in ((2,), (m, 2)):
        raise ValueError(
            f"`ghost_strikes` must have shape (2,) or (m, 2) = {(m, 2)}. "
            f"Received: ghost_strikes.shape={ghosts.shape}"
        )
    low, high = ghosts[..., 0], ghosts[..., 1]
    inside = (low < strikes.min(-1)) & (high > strikes.max(-1)) & (low < 1) & (high > 1)
    if not (inside & (low >= 0)).all():
        raise ValueError(
            "`ghost_strikes` must be non-negative and have all strikes and the forward (1) "
            f"between them. Received: ghost_strikes={ghosts.tolist()}"
        )
    if ghosts.ndim == 2 and not ((np.diff(low) <= 0).all() and (np.diff(high) >= 0).all()):
        raise ValueError(
            "`ghost_strikes` must not narrow with maturity. "
            f"Received: ghost_strikes={ghosts.tolist()}"
        )
