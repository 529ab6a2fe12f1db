"""A surface of implied volatilities, and a history, in a few numbers: what a network sees of today.

They are computed the same way for training and for use, from any quotes: each expiry's smile is
fitted by a polynomial around the money, and its level, slope and curvature there are interpolated
to a few tenors.
"""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_array, check_one_of, check_positive
from hedgezoo.datasets.daily_history import DailyHistory
from hedgezoo.datasets.surface_quotes import SurfaceQuotes

SURFACE_FEATURES = (
    "atm_volatility",
    "skew_slope",
    "term_slope",
    "curvature",
    "short_slope",
    "long_slope",
    "short_skew_slope",
    "long_skew_slope",
    "short_curvature",
    "long_curvature",
)
FEATURES = (*SURFACE_FEATURES, "realised_volatility")
_REALISED_DAYS = 21
_WIDTH = 1.5  # deviations from the money at which a quote counts e^{-1/2}
# of the third and fourth power of the deviation, per quote: noise must not pass for them
_SHRINKAGE = (0.0, 0.0, 0.0, 0.05, 0.2)


@dataclasses.dataclass(frozen=True)
class MarketFeatures:
    """Numbers that describe an implied-volatility surface σ(k, T), k = log(K / F).

    With the tenors short, middle and long (by default 2, 6 and 12 months):

    - `atm_volatility`: σ at k = 0 and the middle tenor, per √year;
    - `skew_slope`: ∂σ/∂k there; `short_skew_slope` and `long_skew_slope` at the other tenors;
    - `curvature`: σ ∂²σ/∂k² T there, the second derivative in standard deviations relative to σ;
      `short_curvature` and `long_curvature`;
    - `term_slope`: log of the volatility at the money at the long tenor over that at the short one;
      `short_slope`: short over middle; `long_slope`: long over middle;
    - `realised_volatility`: per √year, of the last 21 daily returns.

    Smiles are fitted in k / (σ √T) by a polynomial of degree four, its highest two coefficients
    shrunk, with weights that fall off like a Gaussian of 1.5 standard deviations; by less with
    less than five quotes. Between expiries level, slope and curvature are linear in √T; beyond the
    first and the last they stay.

    Args:
        names: Which of them, in the order of the network's inputs.
        tenors: Short, middle and long tenor in years, increasing.

    Raises:
        ValueError: If a name is unknown or double, or the tenors do not increase.

    Example:

    >>> features = MarketFeatures(("atm_volatility", "skew_slope"))
    >>> features.of(SurfaceQuotes.heston()).round(3)
    array([ 0.181, -0.341])
    """

    names: tuple = ("atm_volatility", "skew_slope", "term_slope", "realised_volatility")
    tenors: tuple = (1 / 6, 0.5, 1.0)

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "tenors", tuple(float(tenor) for tenor in self.tenors))
        for name in self.names:
            check_one_of("names", name, FEATURES)
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(f"`names` must be different names. Received: {self.names}")
        for tenor in self.tenors:
            check_positive("tenors", tenor)
        if len(self.tenors) != 3 or not (np.diff(self.tenors) > 0).all():
            raise ValueError(f"`tenors` must be three increasing years. Received: {self.tenors}")

    @property
    def needs_history(self):
        """Whether a surface alone does not do."""
        return "realised_volatility" in self.names

    def of(self, quotes, realised=None):
        """Features of one surface.

        Args:
            quotes: A `SurfaceQuotes`.
            realised: Realised volatility per √year, or the `DailyHistory` up to today; needed for
                the feature of that name.

        Returns:
            float64 `(f,)`.

        Raises:
            ValueError: If the realised volatility is missing.
        """
        if not isinstance(quotes, SurfaceQuotes):
            raise ValueError(f"`quotes` must be a SurfaceQuotes. Received: {type(quotes).__name__}")
        smiles = []
        for index, years in enumerate(quotes.expiries):
            at = quotes.expiry_index == index
            strikes, vol = np.asarray(quotes.strikes)[at], np.asarray(quotes.implied_volatility)[at]
            smiles.append(fitted_smile(np.log(strikes), vol, years))
        return self._assembled(np.stack(smiles, axis=-2), quotes.expiries, realised)

    def of_grid(self, implied_volatility, strikes, maturities, realised=None):
        """Features of many surfaces at once.

        Args:
            implied_volatility: Per √year, `(..., m, n)`.
            strikes: Strikes divided by the forward, increasing: `(n,)`, `(m, n)` or `(..., m, n)`.
            maturities: Years, increasing, `(m,)`.
            realised: Realised volatilities per √year, `(...)`, if they are a feature.

        Returns:
            float64 `(..., f)`.

        Raises:
            ValueError: If a shape does not fit, a number is not positive, or the realised
                volatility is missing.
        """
        volatility = np.asarray(implied_volatility, np.float64)
        maturities = check_array("maturities", maturities, {"(m,)": volatility.shape[-2:-1]})
        strikes = np.broadcast_to(np.asarray(strikes, np.float64), volatility.shape)
        for name, array in (("implied_volatility", volatility), ("strikes", strikes)):
            if not (array > 0).all():
                raise ValueError(f"`{name}` must be positive. Received: {np.min(array)}")
        smiles = fitted_smile(np.log(strikes), volatility, maturities[:, np.newaxis])
        return self._assembled(smiles, maturities, realised)

    def _assembled(self, smiles, maturities, realised):
        """Features of smiles `(..., m, 3)`: level, slope and curvature in deviations."""
        at = [_at_tenor(smiles, maturities, tenor) for tenor in self.tenors]
        found = {}
        for prefix, smile, tenor in zip(("short_", "", "long_"), at, self.tenors, strict=True):
            level, slope, curvature = np.moveaxis(smile, -1, 0)
            found[prefix + "volatility"] = level
            found[prefix + "skew_slope"] = slope / (level * np.sqrt(tenor))
            found[prefix + "curvature"] = curvature / level
        found["atm_volatility"] = found["volatility"]
        found["term_slope"] = np.log(found["long_volatility"] / found["short_volatility"])
        for side in ("short", "long"):
            found[f"{side}_slope"] = np.log(found[f"{side}_volatility"] / found["volatility"])
        if self.needs_history:
            found["realised_volatility"] = _realised(realised, smiles.shape[:-2])
        return np.stack([found[name] for name in self.names], axis=-1)


def fitted_smile(log_strikes, volatility, years):
    """Level, slope and curvature at the money of a polynomial through implied volatilities.

    Args:
        log_strikes: k, increasing along the last axis, `(..., n)`.
        volatility: σ, `(..., n)`.
        years: T, of a shape that broadcasts with both.

    Returns:
        `(..., 3)`: σ at k = 0, and its first and second derivative in k / (σ √T).
    """
    at_money = np.take_along_axis(
        volatility, np.abs(log_strikes).argmin(axis=-1)[..., np.newaxis], axis=-1
    )
    deviation = log_strikes / (at_money * np.sqrt(years))
    # an expiry may be quoted far from the money only: its nearest quote still counts
    nearest = np.abs(deviation).min(axis=-1, keepdims=True)
    weights = np.exp(-0.5 * (np.square(deviation) - np.square(nearest)) / _WIDTH**2)
    order = min(len(_SHRINKAGE) - 1, volatility.shape[-1] - 1)
    columns = np.stack([deviation**power for power in range(order + 1)], axis=-1)
    weighted = columns * weights[..., np.newaxis]
    penalty = 1e-10 + np.array(_SHRINKAGE[: order + 1]) * weights.sum(axis=-1)[..., np.newaxis]
    left = np.swapaxes(weighted, -1, -2) @ columns + penalty[..., np.newaxis] * np.eye(order + 1)
    right = np.swapaxes(weighted, -1, -2) @ volatility[..., np.newaxis]
    found = np.linalg.solve(left, right)[..., 0]
    smile = np.zeros((*found.shape[:-1], 3))
    smile[..., : order + 1] = found[..., :3]
    smile[..., 2] *= 2.0
    return smile


def _at_tenor(smiles, maturities, tenor):
    """Smiles `(..., m, 3)` interpolated to a tenor, linear in √T and constant beyond."""
    roots = np.sqrt(maturities)
    place = np.interp(np.sqrt(tenor), roots, np.arange(len(roots)))
    below = int(min(np.floor(place), len(roots) - 1))
    above = min(below + 1, len(roots) - 1)
    share = place - below
    return (1.0 - share) * smiles[..., below, :] + share * smiles[..., above, :]


def _realised(realised, shape):
    if isinstance(realised, DailyHistory):
        returns = realised.returns[-_REALISED_DAYS:]
        realised = np.sqrt(np.mean(np.square(returns)) / realised.time_step)
    if realised is None:
        raise ValueError(
            "`realised` must be given for the feature 'realised_volatility': a number per √year or "
            "a DailyHistory. Received: None"
        )
    realised = check_array("realised", realised, {"()": (), "(...)": shape})
    if not (realised > 0).all():
        raise ValueError(f"`realised` must be positive. Received: {realised.min()}")
    return np.broadcast_to(realised, shape)


def realised_noise(generator, shape):
    """Ratio of the realised volatility of 21 daily returns to the one they were drawn with.

    Args:
        generator: `numpy.random.Generator`.
        shape: Of the result.

    Returns:
        Positive numbers around 1.
    """
    return np.sqrt(generator.chisquare(_REALISED_DAYS, shape) / _REALISED_DAYS)
