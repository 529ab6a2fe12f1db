"""Option prices in the models of Heston and Bates, by Fourier integrals with exact gradients."""

import functools

import keras
import tensorflow as tf

from hedgezoo.layers.heston.fourier_nodes import CONTOURS, fourier_nodes
from hedgezoo.layers.heston.lewis_integral import evaluate, parameter_jacobian, pull_back
from hedgezoo.layers.heston.panel_blocks import Panels, fit_into_one_block, map_blocks


def _non_negative(x):
    return (x >= 0) & tf.math.is_finite(x)


# name, condition and description of each parameter
_NOT_NEGATIVE = (_non_negative, "non-negative and finite")
HESTON = (
    ("kappa", *_NOT_NEGATIVE),
    ("theta", *_NOT_NEGATIVE),
    ("xi", *_NOT_NEGATIVE),
    ("rho", lambda x: tf.abs(x) <= 1, "between -1 and 1"),
    ("v0", *_NOT_NEGATIVE),
)
BATES = (
    *HESTON,
    ("jump intensity", *_NOT_NEGATIVE),
    ("jump mean", tf.math.is_finite, "finite"),
    ("jump deviation", *_NOT_NEGATIVE),
)


def heston_call(parameters, strikes, maturities, contour="auto", nodes=128):
    """Undiscounted call prices per unit of forward in the Heston model.

    dS = √v S dW, dv = κ(θ - v) dt + ξ√v dZ, d⟨W, Z⟩ = ρ dt. The price is Lewis's Fourier integral
    with a Black-Scholes control, on fixed nodes. Errors in float64 with 128 nodes: tilted, below
    1e-11 for one day to ten years, strikes from half to twice the forward and usual parameters;
    vertical, below 1e-9 for 0.1 to 2 years and strikes within 20 %. The integrand decays as
    exp(-√(1-ρ²) u (v₀ + κθT)/ξ), or faster when tilted: where (v₀ + κθT)/ξ is below about 0.01,
    prices at the money lose digits (1e-5 at 1e-4) and more nodes help. float32 adds rounding of
    about 1e-7. What the error leaves outside (1 - K)⁺ ≤ C ≤ 1 is moved to the bound.

    Gradients in all arguments are closed forms that ignore that last step, and can be
    differentiated again. Panels are priced in blocks, so that memory does not grow with the batch.

    Args:
        parameters: `(..., 5)`: speed κ ≥ 0 per year, long-run variance θ ≥ 0, volatility of
            variance ξ ≥ 0, correlation -1 ≤ ρ ≤ 1, variance now v₀ ≥ 0.
        strikes: Strikes divided by the forward, `(n,)`, `(m, n)` or `(..., m, n)`.
        maturities: Years to expiry, `(m,)` or `(..., m)`.
        contour: `"vertical"`, `"tilted"` (three contours, one of them for each price; three times
            the work), or `"auto"`: tilted in float64 and vertical in float32.
        nodes: Quadrature nodes per contour, at least 16.

    Returns:
        Prices `(..., m, n)`, of the floating type of the tensors among the arguments, or float64
        when there are none but NumPy float64 arrays and Python numbers.

    Raises:
        ValueError: If the shapes do not match, `contour` or `nodes` is none of the above, or a
            concrete (not symbolic) argument is NaN or outside its domain.

    Example:

    >>> parameters = [2.0, 0.04, 0.5, -0.7, 0.04]
    >>> heston_call(parameters, [0.9, 1.0, 1.1], [0.25, 1.0]).numpy().round(6)
    array([[0.110308, 0.037733, 0.004371],
           [0.137456, 0.071926, 0.028311]])

    Reference:
        Heston, "A closed-form solution for options with stochastic volatility", 1993; Lewis,
        "A simple option formula for general jump-diffusion processes", 2001; Andersen and Lake,
        "Robust high-precision option pricing by Fourier transforms", 2018.
    """
    return prices(HESTON, parameters, strikes, maturities, contour, nodes)


def heston_call_and_jacobian(parameters, strikes, maturities, contour="auto", nodes=128):
    """Heston call prices and their derivatives in the parameters, in one pass.

    For Gauss-Newton steps. Both results can be differentiated.

    Args:
        parameters: `(..., 5)`, see `heston_call`.
        strikes: Strikes divided by the forward, `(n,)`, `(m, n)` or `(..., m, n)`.
        maturities: Years to expiry, `(m,)` or `(..., m)`.
        contour: `"auto"`, `"vertical"` or `"tilted"`, see `heston_call`.
        nodes: Quadrature nodes per contour.

    Returns:
        Prices `(..., m, n)` and Jacobian `(..., m, n, 5)`.

    Raises:
        ValueError: As `heston_call`.

    Example:

    >>> calls, jacobian = heston_call_and_jacobian([2.0, 0.04, 0.5, -0.7, 0.04], [1.0], [1.0])
    >>> jacobian.numpy().round(4)
    array([[[ 0.0029,  0.6038, -0.0228,  0.0058,  0.4147]]])
    """
    return prices_and_jacobian(HESTON, parameters, strikes, maturities, contour, nodes)


def bates_call(parameters, strikes, maturities, contour="auto", nodes=128):
    """Undiscounted call prices per unit of forward in the Bates model.

    Heston's model with jumps of log S, at rate λ per year and normal with mean μ and deviation σ,
    the drift corrected so that the forward is a martingale. λ = 0 is Heston's model; ξ = 0 with
    v₀ = θ is Merton's.

    Args:
        parameters: `(..., 8)`: κ, θ, ξ, ρ, v₀ as in `heston_call`, then the jump intensity λ ≥ 0,
            the mean μ and the deviation σ ≥ 0 of a jump of the log price.
        strikes: Strikes divided by the forward, `(n,)`, `(m, n)` or `(..., m, n)`.
        maturities: Years to expiry, `(m,)` or `(..., m)`.
        contour: `"auto"`, `"vertical"` or `"tilted"`, see `heston_call`.
        nodes: Quadrature nodes per contour.

    Returns:
        Prices `(..., m, n)`, with gradients as those of `heston_call`.

    Raises:
        ValueError: As `heston_call`.

    Example:

    >>> parameters = [2.0, 0.04, 0.5, -0.7, 0.04, 0.3, -0.1, 0.15]
    >>> bates_call(parameters, [0.9, 1.0, 1.1], [1.0]).numpy().round(6)
    array([[0.144547, 0.081196, 0.036818]])

    Reference:
        Bates, "Jumps and stochastic volatility", 1996.
    """
    return prices(BATES, parameters, strikes, maturities, contour, nodes)


def bates_call_and_jacobian(parameters, strikes, maturities, contour="auto", nodes=128):
    """Bates call prices and their derivatives in the parameters, in one pass.

    Args:
        parameters: `(..., 8)`, see `bates_call`.
        strikes: Strikes divided by the forward, `(n,)`, `(m, n)` or `(..., m, n)`.
        maturities: Years to expiry, `(m,)` or `(..., m)`.
        contour: `"auto"`, `"vertical"` or `"tilted"`, see `heston_call`.
        nodes: Quadrature nodes per contour.

    Returns:
        Prices `(..., m, n)` and Jacobian `(..., m, n, 8)`.

    Raises:
        ValueError: As `heston_call`.
    """
    return prices_and_jacobian(BATES, parameters, strikes, maturities, contour, nodes)


# -------------------------------------------------------------------------------- prices in blocks


def prices(domains, parameters, strikes, maturities, contour, nodes):
    """Call prices of the model whose parameters are `domains`: `HESTON` or `BATES`."""
    # in eager mode what is no tensor cannot be differentiated, and need not be
    kinds = tf.Variable | keras.Variable
    grid = any(tf.is_tensor(x) or isinstance(x, kinds) for x in (strikes, maturities))
    require_scheme(contour, nodes)
    panels = Panels(domains, parameters, strikes, maturities)
    return panels.restore(run(_prices, panels, contour, nodes, grid))


def prices_and_jacobian(domains, parameters, strikes, maturities, contour, nodes):
    """The same with the derivatives in the parameters."""
    require_scheme(contour, nodes)
    panels = Panels(domains, parameters, strikes, maturities)
    calls, jacobian = run(_prices_and_jacobian, panels, contour, nodes)
    return panels.restore(calls), panels.restore(jacobian)


def run(function, panels, contour, nodes, *options):
    """`function(parameters, strikes, years, contour, nodes, *options)` of flattened panels."""
    if contour == "auto":
        contour = "tilted" if panels.parameters.dtype == tf.float64 else "vertical"
    arguments = panels.parameters, panels.strikes, panels.years
    total = len(fourier_nodes(contour, nodes).z)
    if tf.executing_eagerly() and not fit_into_one_block(*arguments[::2], total):
        # many blocks: leave no time to Python between their operations
        ranks = [x.shape.rank for x in arguments]
        function = _compiled(function, panels.parameters.shape[-1], *ranks)
    return function(*arguments, contour, nodes, *options)


@functools.lru_cache
def _compiled(function, *static):
    """One per model and combination of ranks: tracing relaxes all other sizes."""
    del static
    return tf.function(function, reduce_retracing=True, autograph=False)


def _prices(parameters, strikes, years, contour, nodes, grid):
    scheme = fourier_nodes(contour, nodes)
    total = len(scheme.z)
    outputs = 3 if grid else 1

    @tf.custom_gradient
    def prices(*arguments):
        if fit_into_one_block(*arguments[::2], total):
            done = evaluate(*arguments, scheme)

            def gradient(upstream):
                return _to_arguments(arguments, pull_back(done, upstream, grid))

            return bounded(done.price, arguments[1]), gradient

        def gradient(upstream):
            # evaluated again block by block: keeping the arrays of all blocks is what is avoided
            def block(*block):
                return pull_back(evaluate(*block[:3], scheme), block[3], grid)

            cotangents = map_blocks(block, arguments, [upstream], outputs, total)
            return _to_arguments(arguments, cotangents)

        def block(*block):
            return [evaluate(*block, scheme).price]

        fixed = [tf.stop_gradient(x) for x in arguments]
        return bounded(map_blocks(block, fixed, [], 1, total)[0], arguments[1]), gradient

    return prices(parameters, strikes, years)


def _prices_and_jacobian(parameters, strikes, years, contour, nodes):
    scheme = fourier_nodes(contour, nodes)
    total = len(scheme.z)
    arguments = parameters, strikes, years

    def block(*block):
        done = evaluate(*block, scheme)
        return [done.price, parameter_jacobian(done)]

    if fit_into_one_block(parameters, years, total):
        prices, jacobian = block(*arguments)
    else:
        prices, jacobian = map_blocks(block, arguments, [], 2, total)
    return prices + tf.stop_gradient(bounded(prices, strikes) - prices), jacobian


def bounded(prices, strikes):
    """Prices moved into [(1 - K)⁺, 1]."""
    return tf.minimum(tf.maximum(prices, tf.nn.relu(1.0 - strikes)), 1.0)


def _to_arguments(arguments, cotangents):
    """Sum the cotangents of strikes and maturities over the panels and rows that share them."""
    results = [cotangents[0]]
    for argument, cotangent in zip(arguments[1:], cotangents[1:], strict=False):
        axes = range(cotangent.shape.rank - argument.shape.rank)
        results.append(tf.reduce_sum(cotangent, axis=tuple(axes)))
    results += [tf.zeros_like(argument) for argument in arguments[len(results) :]]
    return tuple(results)


# -------------------------------------------------------------------------------------- arguments


def require_scheme(contour, nodes):
    """Raise unless there are such nodes."""
    if contour not in CONTOURS:
        raise ValueError(f"`contour` must be one of {CONTOURS}. Received: contour={contour!r}")
    if not isinstance(nodes, int) or nodes < 16:
        raise ValueError(f"`nodes` must be an integer of at least 16. Received: nodes={nodes!r}")
