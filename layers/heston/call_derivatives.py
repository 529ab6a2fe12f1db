"""Call prices with every first derivative and the second in the strike, in one pass."""

from typing import NamedTuple

import tensorflow as tf

from hedgezoo.layers.heston.fourier_nodes import fourier_nodes
from hedgezoo.layers.heston.lewis_integral import contract, evaluate, parameter_jacobian
from hedgezoo.layers.heston.panel_blocks import Panels, fit_into_one_block, map_blocks
from hedgezoo.layers.heston.pricer import BATES, HESTON, bounded, require_scheme, run
from hedgezoo.layers.normal import normal_cdf, normal_pdf


class CallDerivatives(NamedTuple):
    """Call prices per unit of forward and their derivatives.

    Attributes:
        calls: C(K, T), `(..., m, n)`.
        jacobian: In the parameters, `(..., m, n, p)`.
        slope: K C_K, the derivative in log K, `(..., m, n)`.
        curvature: K² C_KK, `(..., m, n)`.
    """

    calls: tf.Tensor
    jacobian: tf.Tensor
    slope: tf.Tensor
    curvature: tf.Tensor


def call_derivatives(parameters, strikes, maturities, contour="auto", nodes=128):
    """Heston or Bates call prices and their derivatives in the parameters and the strike.

    With y = log K and x = -y the price is BS + √K I(x), see `lewis_integral`, so that
    C_y = BS_y + √K (I/2 - I') and C_yy = BS_yy + √K (I/4 - I' + I''), where differentiating I
    brings a factor ih below the integral. All from one evaluation of the characteristic function.

    Args:
        parameters: `(..., 5)` of Heston, `(..., 8)` of Bates models.
        strikes: Strikes divided by the forward, `(n,)`, `(m, n)` or `(..., m, n)`.
        maturities: Years to expiry, `(m,)` or `(..., m)`.
        contour: `"auto"`, `"vertical"` or `"tilted"`, see `heston_call`.
        nodes: Quadrature nodes per contour.

    Returns:
        A `CallDerivatives`.

    Raises:
        ValueError: As `heston_call`.

    Example:

    >>> found = call_derivatives([2.0, 0.04, 0.5, -0.7, 0.04], [0.9, 1.0, 1.1], [1.0])
    >>> (found.calls - found.slope).numpy().round(4)  # delta
    array([[0.8058, 0.6276, 0.3722]])
    """
    domains = BATES if tf.convert_to_tensor(parameters).shape[-1] == len(BATES) else HESTON
    require_scheme(contour, nodes)
    panels = Panels(domains, parameters, strikes, maturities)
    found = run(_derivatives, panels, contour, nodes)
    return CallDerivatives(*(panels.restore(values) for values in found))


def _derivatives(parameters, strikes, years, contour, nodes):
    scheme = fourier_nodes(contour, nodes)
    arguments = parameters, strikes, years

    def block(*block):
        done = evaluate(*block, scheme)
        return [done.price, parameter_jacobian(done), *_strike_derivatives(done)]

    if fit_into_one_block(parameters, years, len(scheme.z)):
        calls, *derivatives = block(*arguments)
    else:
        calls, *derivatives = map_blocks(block, arguments, [], 4, len(scheme.z))
    return bounded(calls, strikes), *derivatives


def _strike_derivatives(e):
    """K C_K and K² C_KK of an `Evaluation`, `(b, m, n)`."""
    by_x = (e.control - e.characteristic) * (e.weights * (1j * e.h))
    first = contract(by_x, e.waves, e.chosen, e.strikes)
    second = contract(by_x * (1j * e.h), e.waves, e.chosen, e.strikes)
    slope = e.root_strikes * (0.5 * e.integral - first)
    slope -= e.strikes * normal_cdf(e.d1 - e.deviation)
    # C_yy - C_y; of the control it is φ(d₁) / w
    curvature = e.root_strikes * (second - 0.25 * e.integral) + normal_pdf(e.d1) / e.deviation
    return slope, curvature
