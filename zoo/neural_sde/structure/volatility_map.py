"""σ(S, t) on a grid, where there are paths."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_integer
from hedgezoo.neural_sde.structure.model_values import (
    checked_times,
    mean_and_error,
    replicated_paths,
    volatility_of,
)


@dataclasses.dataclass(frozen=True, eq=False)
class VolatilityMap:
    """The learned volatility and the region that the data can have taught.

    Args:
        times: Years, `(T,)`.
        log_spot: log(S/F), `(G,)`.
        volatility: σ per √year, `(T, G)`.
        low: Quantile of log(S/F) below which there are hardly any paths, `(T,)`.
        high: Quantile above which there are hardly any, `(T,)`.
        low_error: Standard error of `low`, `(T,)`.
        high_error: Standard error of `high`, `(T,)`.
    """

    times: np.ndarray
    log_spot: np.ndarray
    volatility: np.ndarray
    low: np.ndarray
    high: np.ndarray
    low_error: np.ndarray
    high_error: np.ndarray

    @property
    def visited(self):
        """Whether paths come by, booleans `(T, G)`."""
        x = self.log_spot
        return (x >= self.low[:, None]) & (x <= self.high[:, None])

    @property
    def masked(self):
        """σ where paths come by, NaN elsewhere, `(T, G)`."""
        return np.where(self.visited, self.volatility, np.nan)


def volatility_map(
    model, times, log_spot=None, share=0.01, points=201, paths=2**14, seed=0, features=None
):
    """σ(S, t) at equally spaced log spots, with the region that paths visit.

    Outside of it nothing in option prices depends on σ: what a network says there is
    extrapolation, and a picture should not show it.

    Args:
        model: With methods `diffusion(spot, time)` and `simulate(seed, paths, times)`; the latent
            factor of a `NeuralSDE` is 0.
        times: Years, increasing, `(T,)`.
        log_spot: log(S/F), increasing, `(G,)`; by default what paths visit at any of the times.
        share: Share of the paths that are left out at each time, half of it on either side.
        points: Number G of log spots, if they are not given.
        paths: Number of paths N, rounded up to a multiple of 16.
        seed: Integer.
        features: Optional market features `(f,)`.

    Returns:
        A `VolatilityMap`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    times = checked_times("times", times)
    check_integer("points", points, minimum=2)
    if not 0 < share < 1:
        raise ValueError(f"`share` must be between 0 and 1. Received: share={share}")
    levels = (0.5 * share, 1.0 - 0.5 * share)
    quantiles = [
        np.quantile(np.log(run["spot"]), levels, axis=0)
        for run in replicated_paths(model, times, paths, seed, features)
    ]
    (low, high), (low_error, high_error) = mean_and_error(quantiles)
    if log_spot is None:
        log_spot = np.linspace(low.min(), high.max(), points)
    log_spot = np.asarray(log_spot, np.float64)
    if log_spot.ndim != 1 or not (np.diff(log_spot) > 0).all():
        raise ValueError(f"`log_spot` must be increasing, (G,). Received: {log_spot}")
    volatility = volatility_of(model, log_spot, times[:, None], features)
    return VolatilityMap(times, log_spot, volatility, low, high, low_error, high_error)
