"""The leverage effect: volatility falls as the spot rises."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_positive
from hedgezoo.neural_sde.structure.model_values import (
    checked_times,
    mean_and_error,
    replicated_paths,
    volatility_of,
)

_POINTS = 61


@dataclasses.dataclass(frozen=True, eq=False)
class Leverage:
    """How the volatility at the money depends on the spot, at each time.

    Args:
        times: Years, `(n,)`.
        volatility: σ at S = F, per √year, `(n,)`.
        slope: dσ / d log S there, `(n,)`.
        slope_error: Standard error of the slope, `(n,)`; 0 where nothing was simulated.
    """

    times: np.ndarray
    volatility: np.ndarray
    slope: np.ndarray
    slope_error: np.ndarray

    @property
    def elasticity(self):
        """β of the CEV model with this slope, 1 + slope / σ, `(n,)`: 1 without leverage."""
        return 1.0 + self.slope / self.volatility

    @property
    def mean_elasticity(self):
        """β over all times, each slope and σ counting alike."""
        return float(1.0 + np.mean(self.slope) / np.mean(self.volatility))


def leverage(model, times, features=None, width=1.0):
    """Slope of the learned σ(S, t) in log S, at the money.

    A network may be piecewise linear, so that its derivative at one point says little. The slope is
    that at zero of the cubic that fits σ best within `width` standard deviations σ√t of the
    forward, weighted by the normal density of the spot.

    Args:
        model: With a method `diffusion(spot, time)`; the latent factor of a `NeuralSDE` is 0.
        times: Years above 0, increasing, `(n,)`.
        features: Optional market features `(f,)`.
        width: Half-width of the fitted range in standard deviations.

    Returns:
        A `Leverage`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import types
    >>> cev = types.SimpleNamespace(diffusion=lambda spot, time: 0.2 * spot**-0.5 + 0 * time)
    >>> found = leverage(cev, [0.5, 1.0])
    >>> found.slope.round(3), round(found.mean_elasticity, 3)
    (array([-0.1, -0.1]), 0.5)
    """
    times = checked_times("times", times)
    check_positive("width", width)
    if times[0] <= 0:
        raise ValueError(f"`times` must be above 0. Received: {times}")
    now = volatility_of(model, 0.0, times, features)
    share = np.linspace(-width, width, _POINTS)
    deviation = (now * np.sqrt(times))[:, None]
    values = volatility_of(model, share * deviation, times[:, None], features)
    level, slope = _fit(share, values, np.exp(-0.25 * share**2))
    return Leverage(times, level, slope / deviation[:, 0], np.zeros(len(times)))


def conditional_leverage(model, times, paths=2**16, seed=0, features=None, width=1.0):
    """Slope of √E[σ² | S] in log S at the money, from simulated paths.

    The local volatility that has the same marginal laws as a model with a latent factor; of a
    one-factor model it is σ(S, t) itself, up to noise.

    Args:
        model: With a method `simulate(seed, paths, times)`.
        times: As in `leverage`.
        paths: Number of paths N, at least 1,600; rounded up to a multiple of 16.
        seed: Integer.
        features: Optional market features `(f,)`.
        width: As in `leverage`.

    Returns:
        A `Leverage` with standard errors.

    Raises:
        ValueError: If an argument is out of its range.
    """
    times = checked_times("times", times)
    check_positive("width", width)
    if times[0] <= 0:
        raise ValueError(f"`times` must be above 0. Received: {times}")
    if paths < 1600:
        raise ValueError(f"`paths` must be at least 1,600. Received: {paths}")
    fits = []
    for run in replicated_paths(model, times, paths, seed, features):
        x, variance = np.log(run["spot"]), run["volatility"] ** 2
        rows = []
        for column, years in enumerate(times):
            # the scale of the range only: the fit is to the conditional mean
            deviation = np.sqrt(variance[:, column].mean() * years)
            share = x[:, column] / deviation
            near = np.abs(share) < width
            level, slope = _fit(share[near], variance[None, near, column], None)
            rows.append((np.sqrt(level[0]), slope[0] / deviation / (2.0 * np.sqrt(level[0]))))
        fits.append(rows)
    (mean, error) = mean_and_error(fits)
    return Leverage(times, mean[:, 0], mean[:, 1], error[:, 1])


def _fit(x, values, weights):
    """Value and slope at zero of the cubics that fit each row of `values` best."""
    basis = np.vander(x, 4, increasing=True)
    weights = np.ones(len(x)) if weights is None else weights
    coefficients, *_ = np.linalg.lstsq(basis * weights[:, None], (values * weights).T, rcond=None)
    return coefficients[0], coefficients[1]
