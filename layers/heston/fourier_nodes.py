"""One fixed set of nodes for the Fourier integrals of option prices, on three straight contours.

A price is an integral over h = u (1 + i tan φ), u > 0. The nodes are u = s sinh(t) with t at the
Gauss-Legendre nodes of [0, asinh(U/s)]: dense where the integrand bends, and far enough out for one
day to expiry. They depend neither on the model's parameters nor on maturity or strike.
"""

import dataclasses
import functools
import math

import numpy as np

CONTOURS = ("auto", "vertical", "tilted")
TILT = math.pi / 12.0


@dataclasses.dataclass(frozen=True)
class FourierNodes:
    """Nodes of all contours one after the other, N on each, in double precision.

    Attributes:
        tilts: tan φ of each contour, `(c,)`: 0, or 0, tan(π/12) and -tan(π/12).
        u: Real nodes, `(N,)`.
        z: h - i/2, the arguments of the characteristic function, `(c N,)` complex.
        denominator: h² + 1/4 = z (z + i), `(c N,)` complex.
        weights: Quadrature weight times dh/du / (π (h² + 1/4)), `(c N,)` complex.
    """

    tilts: tuple
    u: np.ndarray
    z: np.ndarray
    denominator: np.ndarray
    weights: np.ndarray


@functools.lru_cache(maxsize=32)
def fourier_nodes(contour, nodes):
    """Nodes and weights of a contour.

    Args:
        contour: `"vertical"` (φ = 0) or `"tilted"` (φ = 0, π/12 and -π/12).
        nodes: Number of nodes N of each contour; the cut-off U grows with it.

    Returns:
        A `FourierNodes`.
    """
    if contour == "vertical":
        tilts, cut_off, scale = (0.0,), 6.25 * nodes, 8.0
    else:
        tilts, cut_off, scale = (0.0, math.tan(TILT), -math.tan(TILT)), nodes**2 / 4.0, 20.0
    t, weights = np.polynomial.legendre.leggauss(nodes)
    half = 0.5 * math.asinh(cut_off / scale)
    t, weights = half * (t + 1.0), half * weights
    u, weights = scale * np.sinh(t), scale * np.cosh(t) * weights
    slopes = 1.0 + 1j * np.array(tilts)[:, np.newaxis]
    h = (slopes * u).ravel()
    denominator = h * h + 0.25
    weights = (slopes * weights).ravel() / (math.pi * denominator)
    for array in (u, weights):
        array.flags.writeable = False
    return FourierNodes(tilts, u, h - 0.5j, denominator, weights)
