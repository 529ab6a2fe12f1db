"""Mean reversion: the variance that is expected later, and the speed at which it gets there."""

import dataclasses

import numpy as np

from hedgezoo.neural_sde.structure.model_values import (
    checked_times,
    mean_and_error,
    replicated_paths,
)

_LEAST_MOVE = 0.01  # range of the variance relative to its mean, below which no speed is sought


@dataclasses.dataclass(frozen=True, eq=False)
class MeanReversion:
    """Expected variance ξ(t) = E σ(S_t, t)² and the exponential that fits it best.

    The speed has a meaning only while the variance moves, see `moved`: with v₀ near θ noise or a
    small error of the model decides. What no exponential fits is NaN. Standard errors are those of
    the simulation alone.

    Args:
        times: Years, `(n,)`.
        variance: ξ(t) per year, `(n,)`.
        variance_error: Standard errors, `(n,)`.
        kappa: Speed κ per year of ξ(t) ≈ θ + (v₀ - θ) e^{-κt}.
        theta: Long-run variance θ per year.
        v0: Variance now v₀ per year.
        kappa_error: Standard error of κ.
        theta_error: Standard error of θ.
        v0_error: Standard error of v₀.
        residual: Root mean square of the fit's relative error.
    """

    times: np.ndarray
    variance: np.ndarray
    variance_error: np.ndarray
    kappa: float
    theta: float
    v0: float
    kappa_error: float
    theta_error: float
    v0_error: float
    residual: float

    @property
    def moved(self):
        """Share of ξ that is gone, or was added, from the first time to the last."""
        return float(abs(self.variance[-1] / self.variance[0] - 1.0))

    def fitted(self, times):
        """θ + (v₀ - θ) e^{-κt}, of the shape of `times`."""
        return self.theta + (self.v0 - self.theta) * np.exp(-self.kappa * np.asarray(times))


def mean_reversion(model, times, paths=2**14, seed=0, features=None):
    """Expected variance along simulated paths, and the speed and level to which it reverts.

    In Heston's model E v_t = θ + (v₀ - θ) e^{-κt}, and a local volatility with the same prices has
    the same E σ². So one surface tells the speed, if the variance has a way to go.

    Args:
        model: With a method `simulate(seed, paths, times)`.
        times: Years, increasing, at least 4; not beyond the last quoted maturity, and not much
            before the first: there σ is extrapolated.
        paths: Number of paths N, rounded up to a multiple of 16.
        seed: Integer.
        features: Optional market features `(f,)`.

    Returns:
        A `MeanReversion`.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        Heston, "A closed-form solution for options with stochastic volatility", 1993.
    """
    times = checked_times("times", times)
    if len(times) < 4:
        raise ValueError(f"`times` must be at least 4 years. Received: {len(times)}")
    runs = replicated_paths(model, times, paths, seed, features)
    curves = np.array([(run["volatility"] ** 2).mean(axis=0) for run in runs])
    variance, error = mean_and_error(curves)
    kappa, theta, v0 = exponential_fit(times, variance)
    still = np.ptp(variance) < _LEAST_MOVE * variance.mean()
    if still or not (_slowest(times) * 1.02 < kappa < _fastest(times) / 1.02):
        # constant, a line or a step: an exponential with any speed, or with none that is sought
        unknown = float("nan")
        return MeanReversion(times, variance, error, *([unknown] * 7))
    decay = np.exp(-kappa * times)
    slopes = np.stack([(theta - v0) * times * decay, 1.0 - decay, decay], axis=1)
    _, errors = mean_and_error((curves - variance) @ np.linalg.pinv(slopes, rcond=1e-13).T)
    residual = float(np.sqrt(np.mean(((theta + (v0 - theta) * decay) / variance - 1.0) ** 2)))
    return MeanReversion(
        times, variance, error, kappa, theta, v0, *(float(e) for e in errors), residual
    )


def exponential_fit(times, variance):
    """κ, θ and v₀ of the curve θ + (v₀ - θ) e^{-κt} that fits best in least squares.

    Given κ the rest is linear, so κ is found by scanning and then refining one dimension. It is
    sought where the curve bends in the given times and is not over before the second of them.

    Args:
        times: Years, `(n,)`.
        variance: `(n,)`.

    Returns:
        Tuple of three floats.

    Example:

    >>> t = np.linspace(0, 1, 9)
    >>> [round(x, 4) for x in exponential_fit(t, 0.04 + 0.05 * np.exp(-3 * t))]
    [3.0, 0.04, 0.09]
    """
    from scipy.optimize import minimize_scalar

    def solve(log_kappa):
        decay = np.exp(-np.exp(log_kappa) * times)
        basis = np.stack([1.0 - decay, decay], axis=1)
        coefficients, *_ = np.linalg.lstsq(basis, variance, rcond=None)
        return coefficients, float(np.sum((basis @ coefficients - variance) ** 2))

    grid = np.linspace(np.log(_slowest(times)), np.log(_fastest(times)), 41)
    errors = [solve(value)[1] for value in grid]
    best = int(np.argmin(errors))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(
        lambda value: solve(value)[1], bounds=(low, high), method="bounded", options={"xatol": 1e-9}
    )
    (theta, v0), _ = solve(found.x)
    return float(np.exp(found.x)), float(theta), float(v0)


def _slowest(times):
    """Smallest κ that is sought: below, the curve is a line to within a percent."""
    return 0.2 / (times[-1] - times[0])


def _fastest(times):
    """Largest κ that is sought: above, it is over before the second time."""
    return 5.0 / (times[1] - times[0])
