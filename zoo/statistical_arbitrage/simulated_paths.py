"""Many paths of a market at once, without the memory that simulating them at once would take."""

import numpy as np


def simulated_paths(market, seed, paths, chunk=4096):
    """Inputs of a market as NumPy arrays, simulated in chunks.

    Args:
        market: A market.
        seed: Seed of the paths.
        paths: Number of paths N.
        chunk: Paths at a time.

    Returns:
        Dictionary of arrays `(N, ...)`, as the inputs of `market.simulate`.
    """
    parts = [
        {
            name: value.numpy()
            for name, value in market.simulate(seed, min(chunk, paths - first), first)[0].items()
        }
        for first in range(0, paths, chunk)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
