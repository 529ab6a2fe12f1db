"""Prices of exotics by simulation: in a neural SDE, and in the Heston model."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_integer
from hedgezoo.neural_sde.exotics import Exotic, merged_times
from hedgezoo.neural_sde.simulated_prices import REPLICATIONS, scramble_seed


class ExoticPrices(NamedTuple):
    """Prices of exotics by simulation.

    Args:
        price: Undiscounted, per unit of forward, float64 `(E,)`.
        standard_error: Of independent scrambles, float64 `(E,)`.
    """

    price: np.ndarray
    standard_error: np.ndarray


def mean_of_scrambles(pays, seed, paths):
    """Means over Sobol paths of independent scrambles, and their standard error.

    Args:
        pays: Function of a seed and a number of paths to payoffs `(B, E)`.
        seed: Integer.
        paths: Number of paths in all, split evenly over the scrambles.

    Returns:
        `ExoticPrices`.

    Raises:
        ValueError: If there are fewer paths than scrambles, or the seed is no integer.
    """
    check_integer("paths", paths, minimum=REPLICATIONS)
    check_integer("seed", seed)
    means = []
    for number in range(REPLICATIONS):
        paid = pays(int(scramble_seed(seed, number)), paths // REPLICATIONS)
        means.append(np.asarray(paid, np.float64).mean(axis=0))
    means = np.stack(means)
    return ExoticPrices(means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(REPLICATIONS))


def exotic_prices(model, exotics, paths=2**16, seed=0):
    """Prices of exotics along the simulated paths of a model.

    Args:
        model: A `NeuralSDE`, or anything with its `simulate(seed, paths, times)`.
        exotics: `Exotic`s, E of them, on the same paths.
        paths: Number of paths, best a power of two.
        seed: Integer.

    Returns:
        `ExoticPrices`.

    Raises:
        ValueError: If there is no contract, or fewer paths than scrambles.
    """
    exotics = check_exotics(exotics)
    times, steps = union_of_fixings(exotics)

    def pays(own_seed, size):
        spot = model.simulate(own_seed, size, times)["spot"]
        return payoffs_on(exotics, tf.math.log(tf.convert_to_tensor(spot)), steps)

    return mean_of_scrambles(pays, seed, paths)


def heston_exotic_prices(parameters, exotics, paths=2**16, seed=0, steps_per_year=192):
    """Prices of exotics in the Heston model, by the scheme of Andersen on Sobol paths.

    Args:
        parameters: κ, θ, ξ, ρ, v₀, `(5,)`.
        exotics: `Exotic`s, E of them.
        paths: Number of paths, best a power of two.
        seed: Integer.
        steps_per_year: Time steps per year at least; every fixing is a time.

    Returns:
        `ExoticPrices`. The bias of the scheme is far below a basis point of the forward at 192
        steps a year.

    Raises:
        ValueError: If there is no contract, or too many time steps for Sobol paths.
    """
    from hedgezoo.datasets.heston_panels.heston_paths import heston_log_prices

    exotics = check_exotics(exotics)
    times, steps = union_of_fixings(exotics)

    def pays(own_seed, size):
        path = heston_log_prices(parameters, times, own_seed, size, steps_per_year=steps_per_year)
        return payoffs_on(exotics, path, steps)

    return mean_of_scrambles(pays, seed, paths)


def check_exotics(exotics):
    """A tuple of `Exotic`s; one alone will do.

    Raises:
        ValueError: If there is something else among them, or nothing.
    """
    exotics = (exotics,) if isinstance(exotics, Exotic) else tuple(exotics)
    if not exotics or not all(isinstance(each, Exotic) for each in exotics):
        raise ValueError(f"`exotics` must be at least one `Exotic`. Received: {exotics}")
    return exotics


def union_of_fixings(exotics):
    """All fixings in order, float64 `(T + 1,)`, and the indices of each contract's own."""
    times = merged_times(*(each.fixings for each in exotics))
    return times, [each.steps_in(times) for each in exotics]


def payoffs_on(exotics, log_price, steps):
    """What all contracts pay on the same paths, `(B, E)`.

    Args:
        exotics: E contracts.
        log_price: Logarithm of the price, `(B, T + 1)`.
        steps: Indices of each contract's fixings.
    """
    paid = [
        each.pay(tf.gather(log_price, own, axis=1))
        for each, own in zip(exotics, steps, strict=True)
    ]
    return tf.stack(paid, axis=1)
