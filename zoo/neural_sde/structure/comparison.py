"""A learned σ(S, t) beside the true one."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_positive
from hedgezoo.neural_sde.structure.model_values import checked_times, volatility_of

_POINTS = 161


@dataclasses.dataclass(frozen=True, eq=False)
class VolatilityComparison:
    """Relative errors of σ on a grid of times and standard deviations of log S.

    Args:
        times: Years, `(n,)`.
        deviations: Multiples of the standard deviation of log S, `(g,)`.
        log_spot: The log spots they stand for, `(n, g)`.
        learned: σ of the model, `(n, g)`.
        exact: The true σ, `(n, g)`.
    """

    times: np.ndarray
    deviations: np.ndarray
    log_spot: np.ndarray
    learned: np.ndarray
    exact: np.ndarray

    @property
    def relative_error(self):
        """learned / exact - 1, `(n, g)`."""
        return self.learned / self.exact - 1.0

    def rms(self, deviations):
        """Root mean square of the relative error within ±`deviations`, over all times.

        Args:
            deviations: Number of standard deviations, at most those of the grid.

        Returns:
            A float.

        Raises:
            ValueError: If it is not positive or beyond the grid.
        """
        return float(np.sqrt(np.mean(self.rms_by_time(deviations) ** 2)))

    def rms_by_time(self, deviations):
        """The same at each time, `(n,)`."""
        if not 0 < deviations <= self.deviations[-1] + 1e-12:
            raise ValueError(
                f"`deviations` must be above 0 and at most {self.deviations[-1]:g}. "
                f"Received: {deviations}"
            )
        inside = np.abs(self.deviations) <= deviations + 1e-12
        return np.sqrt(np.mean(self.relative_error[:, inside] ** 2, axis=1))


def compare_volatility(model, exact, times, deviations=2.0, features=None):
    """σ of a model beside the true one, within a few standard deviations of the forward.

    Args:
        model: With a method `diffusion(spot, time)`.
        exact: Function of log(S/F) `(n, g)` and years `(n, 1)` to the true σ.
        times: Years above 0, increasing, `(n,)`.
        deviations: Half-width of the grid in standard deviations of log S, those of the truth at
            the money.
        features: Optional market features `(f,)`.

    Returns:
        A `VolatilityComparison`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import types
    >>> flat = types.SimpleNamespace(diffusion=lambda spot, time: 0.202 + 0.0 * spot * time)
    >>> found = compare_volatility(flat, lambda x, t: 0.2 + 0.0 * x * t, [0.25, 1.0])
    >>> round(found.rms(1.0), 4)
    0.01
    """
    times = checked_times("times", times)
    check_positive("deviations", deviations)
    if times[0] <= 0:
        raise ValueError(f"`times` must be above 0. Received: {times}")
    multiples = np.linspace(-deviations, deviations, _POINTS)
    log_spot = implied_deviations(exact, times)[:, None] * multiples
    truth = np.asarray(exact(log_spot, times[:, None]), np.float64)
    learned = volatility_of(model, log_spot, times[:, None], features)
    return VolatilityComparison(times, multiples, log_spot, learned, truth)


def implied_deviations(exact, times):
    """√∫σ(0, s)² ds, the standard deviation of log S if the spot stayed at the money, `(n,)`."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    share = 0.5 * (nodes + 1.0)
    at = np.asarray(times)[:, None] * share
    variance = np.asarray(exact(np.zeros_like(at), at), np.float64) ** 2
    return np.sqrt(np.asarray(times) * (0.5 * weights * variance).sum(axis=1))
