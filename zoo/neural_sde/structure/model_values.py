"""Asking a model for volatilities and paths, as float64 arrays."""

import numpy as np

from hedgezoo.datasets.checks import check_array, check_integer

# Independent scrambles of a simulation, whose spread is the standard error.
REPLICATIONS = 16
# Seeds of the scrambles: far from those of a training and of prices.
_STRIDE, _FIRST = 2**20, 2**18


def volatility_of(model, log_spot, time, features=None):
    """σ(S, t) at log(S/F) and times that broadcast, float64."""
    log_spot, time = np.broadcast_arrays(log_spot, time)
    options = {} if features is None else {"features": features}
    spot = np.exp(log_spot).astype(np.float32)
    return np.asarray(model.diffusion(spot, time.astype(np.float32), **options), np.float64)


def replicated_paths(model, times, paths, seed, features=None):
    """The paths of each of the scrambles, one dictionary after the other.

    Args:
        model: With a method `simulate(seed, paths, times)`.
        times: Years, increasing, `(n,)`.
        paths: Number of paths in all, rounded up to a multiple of the number of scrambles.
        seed: Integer.
        features: Optional market features `(f,)`.

    Yields:
        Dictionaries of float64 arrays `(B, n)`: at least `spot` and `volatility`.

    Raises:
        ValueError: If there are fewer paths than scrambles.
    """
    check_integer("paths", paths, minimum=REPLICATIONS)
    check_integer("seed", seed, minimum=-(2**40))
    options = {} if features is None else {"features": features}
    for number in range(REPLICATIONS):
        each = model.simulate(
            seed * _STRIDE + _FIRST + number, -(-paths // REPLICATIONS), times, **options
        )
        yield {name: np.asarray(value, np.float64) for name, value in each.items()}


def mean_and_error(values):
    """Mean over the leading axis, and its standard error."""
    values = np.asarray(values, np.float64)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def checked_times(name, times, minimum=0.0):
    """Increasing years, `minimum` or above, as a float64 array `(n,)`.

    Raises:
        ValueError: If they are not.
    """
    array = check_array(name, np.atleast_1d(times), {"(n,)": (None,)})
    if not len(array) or array[0] < minimum or not (np.diff(array) > 0).all():
        raise ValueError(
            f"`{name}` must be increasing years of at least {minimum:g}. Received: {times}"
        )
    return array
