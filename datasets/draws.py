"""Normal and uniform draws per path; they live in `hedgezoo.layers.draws`."""

from hedgezoo.layers.draws import (
    DRAWS,
    PHILOX,
    as_int64,
    brownian_paths,
    normal_draws,
    philox_counter,
    philox_key,
    uniform_draws,
)

__all__ = [
    "DRAWS",
    "PHILOX",
    "as_int64",
    "brownian_paths",
    "normal_draws",
    "philox_counter",
    "philox_key",
    "uniform_draws",
]
