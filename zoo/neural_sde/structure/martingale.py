"""Whether the simulated forward stays where it is."""

import dataclasses

import numpy as np

from hedgezoo.neural_sde.structure.model_values import (
    checked_times,
    mean_and_error,
    replicated_paths,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Martingale:
    """E[S_t] / F - 1 from simulated paths.

    Args:
        times: Years, `(n,)`.
        error: Mean of S / F minus one, `(n,)`.
        standard_error: Of that, `(n,)`.
    """

    times: np.ndarray
    error: np.ndarray
    standard_error: np.ndarray

    @property
    def worst(self):
        """Largest |error| in standard errors: below 3 for a martingale, but for chance."""
        return float(np.max(np.abs(self.error) / np.maximum(self.standard_error, 1e-300)))


def martingale(model, times, paths=2**16, seed=0, features=None):
    """Mean of the simulated spot per unit of forward, beside 1.

    Args:
        model: With a method `simulate(seed, paths, times)`.
        times: Years above 0, increasing, `(n,)`.
        paths: Number of paths N, rounded up to a multiple of 16.
        seed: Integer.
        features: Optional market features `(f,)`.

    Returns:
        A `Martingale`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    times = checked_times("times", times)
    if times[0] <= 0:
        raise ValueError(f"`times` must be above 0. Received: {times}")
    runs = replicated_paths(model, times, paths, seed, features)
    means = [run["spot"].mean(axis=0) for run in runs]
    mean, error = mean_and_error(means)
    return Martingale(times, mean - 1.0, error)
