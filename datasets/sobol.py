"""Scrambled Sobol points and the Brownian bridge; they live in `hedgezoo.layers`."""

from hedgezoo.layers.bridge import brownian_bridge
from hedgezoo.layers.sobol import (
    MAX_DIMENSIONS,
    direction_numbers,
    sobol_integers,
    sobol_normals,
    sobol_uniforms,
)

__all__ = [
    "MAX_DIMENSIONS",
    "brownian_bridge",
    "direction_numbers",
    "sobol_integers",
    "sobol_normals",
    "sobol_uniforms",
]
