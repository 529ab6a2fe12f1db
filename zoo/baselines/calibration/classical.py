"""The front door: one panel of quotes in, the parameters of a model out."""

import importlib
import time

import numpy as np

from hedgezoo.baselines.calibration import batched_l_bfgs, solvers
from hedgezoo.baselines.calibration.models import MODELS
from hedgezoo.baselines.calibration.quantlib import quantlib
from hedgezoo.baselines.calibration.quotes import as_quotes
from hedgezoo.baselines.calibration.result import Calibration
from hedgezoo.baselines.calibration.volatility_errors import BASIS_POINTS, VolatilityErrors
from hedgezoo.datasets.checks import check_array, check_integer, check_one_of, check_positive

METHODS = {
    "levenberg_marquardt": solvers.levenberg_marquardt,
    "trust_region": solvers.trust_region,
    "l_bfgs_b": solvers.l_bfgs_b,
    "batched_l_bfgs": batched_l_bfgs.attempts,
    "cma_es": solvers.cma_es,
    "quantlib": quantlib,
}
# TensorFlow Probability imports tf_keras, without which it does not start
PACKAGES = {
    "batched_l_bfgs": ("tf_keras", "tensorflow_probability"),
    "cma_es": ("cma",),
    "quantlib": ("QuantLib",),
}
_MOST_EVALUATIONS = {"l_bfgs_b": 2000, "batched_l_bfgs": 2000, "cma_es": 20_000}


def calibrate(
    implied_volatility,
    strikes=None,
    maturities=None,
    mask=None,
    spread=None,
    weights=None,
    *,
    method="levenberg_marquardt",
    model="heston",
    starts=1,
    start=None,
    derivatives="analytic",
    tolerance=1e-10,
    max_evaluations=None,
    seed=0,
):
    """Fit a Heston or Bates model to one panel of implied volatilities, by a classical method.

    Minimises Σ w (σ_model - σ_quoted)² over the quotes: errors in volatility itself, no vega
    approximation. Prices are Fourier integrals with as many nodes as it takes for twice as many
    to change no volatility by 1e-5 bp.

    Args:
        implied_volatility: Quotes per √year: a grid `(m, n)`, a list `(N,)`, or, alone, an
            `OptionChain` or rows `(N, 3)` of (strike, maturity, volatility), with a weight
            `(N, 4)`.
        strikes: Divided by the forward: `(n,)` or `(m, n)` of a grid, `(N,)` of a list.
        maturities: Years: `(m,)` of a grid, `(N,)` of a list.
        mask: True where there is a quote, of the shape of the quotes.
        spread: Bid-ask widths in volatility, of the shape of the quotes: w = 1 / spread².
        weights: The weights w themselves; only their ratios matter.
        method: `"levenberg_marquardt"`, `"trust_region"` (bounded), `"l_bfgs_b"`,
            `"batched_l_bfgs"` (all starts in one batch, made for `calibrate_panels`; needs the
            packages tensorflow_probability and tf_keras), `"cma_es"` (population 14, needs the
            package cma) or `"quantlib"` (its own engines and Levenberg-Marquardt, needs the package
            QuantLib).
        model: `"heston"` or `"bates"`.
        starts: Number of starts, of which the best result is returned.
        start: Parameters to start from instead, `(p,)` or `(starts, p)`. Default: κ = 2, ξ = 0.6,
            ρ = -0.5, θ and v₀ from volatilities at the money, then a Sobol sequence around.
        derivatives: `"analytic"`, or `"finite_differences"` for comparison; of the first three
            methods.
        tolerance: Relative change of the sum of squares at which a method stops; QuantLib has its
            own.
        max_evaluations: Per start and number of nodes. Default: 200, for both L-BFGS
            2000, for CMA-ES 20 000.
        seed: Of CMA-ES.

    Returns:
        A `Calibration`.

    Raises:
        ValueError: If an argument is none of the above, a quote is not a positive number, there
            are fewer quotes than parameters, or a package is missing.

    Example:

    >>> from hedgezoo.layers import heston_call, implied_volatility
    >>> strikes, maturities = [0.8, 0.9, 1.0, 1.1, 1.2], [0.25, 1.0, 2.0]
    >>> calls = heston_call([1.5, 0.05, 0.7, -0.6, 0.03], strikes, maturities)
    >>> fit = calibrate(implied_volatility(calls, strikes, maturities), strikes, maturities)
    >>> fit.parameters.round(6), fit.rms_bp < 1e-6
    (array([ 1.5 ,  0.05,  0.7 , -0.6 ,  0.03]), True)

    Reference:
        Moré, "The Levenberg-Marquardt algorithm", 1978; Byrd, Lu, Nocedal and Zhu, "A limited
        memory algorithm for bound constrained optimization", 1995; Hansen, "The CMA evolution
        strategy", 2006; Cui, del Baño Rollin and Germano, "Full and fast calibration of the Heston
        stochastic volatility model", 2017.
    """
    check_one_of("method", method, tuple(METHODS))
    solvers.require_packages(method, PACKAGES.get(method, ()))
    check_one_of("model", model, tuple(MODELS))
    check_one_of("derivatives", derivatives, ("analytic", "finite_differences"))
    check_integer("starts", starts, minimum=1)
    check_integer("seed", seed)
    check_positive("tolerance", tolerance)
    if max_evaluations is None:
        max_evaluations = {"l_bfgs_b": 2000, "batched_l_bfgs": 2000, "cma_es": 20_000}.get(
            method, 200
        )
    check_integer("max_evaluations", max_evaluations, minimum=1)
    quotes = as_quotes(implied_volatility, strikes, maturities, mask, spread, weights)
    kind = MODELS[model]
    points = kind.starts(quotes, starts) if start is None else _given(start, kind)
    importlib.import_module("scipy.optimize")  # not on the clock
    began = time.perf_counter()
    errors = VolatilityErrors(quotes, kind)
    useful = len(quotes) - int(errors.worthless.sum())
    if useful < len(kind):
        raise ValueError(
            f"`implied_volatility` must hold at least as many quotes as {model} has parameters, "
            f"{len(kind)}. Received: {len(quotes)} quotes, {useful} of them with a price above "
            "rounding"
        )
    limits = solvers.Limits(tolerance, max_evaluations, derivatives == "analytic", seed)
    free = np.array([kind.to_free(point) for point in points])
    if method == "batched_l_bfgs":
        attempts = batched_l_bfgs.attempts(errors, free, limits)
    else:
        attempts = [_refined(METHODS[method], errors, row, limits) for row in free]
    reached = np.array([cost for cost, *_ in attempts])
    _, nodes, free, converged, message = attempts[int(np.argmin(reached))]
    errors.use_nodes(nodes)
    fit = errors.at(free)
    seconds = time.perf_counter() - began
    parameters, _ = kind.from_free(free)
    at_end = kind.at_end(parameters)
    covariance = errors.covariance(fit, at_end)
    compared = fit.errors[~errors.worthless]
    fitted = quotes.implied_volatility + fit.errors / BASIS_POINTS
    return Calibration(
        model=model,
        method=method,
        names=kind.names,
        parameters=parameters,
        standard_error=np.sqrt(np.diag(covariance)),
        covariance=covariance,
        implied_volatility=quotes.restore(np.where(errors.worthless, np.nan, fitted)),
        quotes=quotes,
        rms_bp=float(np.sqrt(np.mean(compared**2))),
        max_bp=float(np.abs(compared).max()),
        evaluations=errors.evaluations,
        seconds=seconds,
        converged=bool(converged),
        message=_message(message, kind, at_end, errors),
        starts_rms_bp=np.sqrt(reached / errors.weights.sum()),
    )


def _refined(solve, errors, free, limits):
    """Solve with ever more quadrature nodes until they do not matter.

    Returns:
        Sum of squares, nodes, coordinates, whether it converged, and why the solver stopped.
    """
    nodes = solvers.FIRST_NODES
    while True:
        errors.use_nodes(nodes)
        if solve is not quantlib or nodes == solvers.FIRST_NODES:  # it has quadratures of its own
            free, converged, message = solve(errors, free, limits)
        before = errors.at(free, jacobian=False).errors
        if nodes == solvers.MOST_NODES:
            message += f"; prices may need more than {nodes} nodes"
            break
        errors.use_nodes(2 * nodes)
        after = errors.at(free, jacobian=False).errors
        if np.abs(after - before).max() <= solvers.RESOLVED:
            errors.use_nodes(nodes)
            break
        nodes *= 2
    return errors.cost(free), nodes, free, converged, message


def _given(start, model):
    size = len(model)
    shapes = {"(p,)": (size,), "(starts, p)": (None, size)}
    points = np.atleast_2d(check_array("start", start, shapes))
    for row in points:
        for (name, _, (low, high), _), value in zip(model.rows, row, strict=True):
            if not low <= value <= high:
                raise ValueError(
                    f"`start` must have {name} between {low} and {high}. Received: {value}"
                )
    return points


def _message(message, model, at_end, errors):
    """Why the method stopped, with a sentence on whatever a user should know."""
    sentences = [message.rstrip(".")]
    ends = [name for name, at in zip(model.names, at_end, strict=True) if at]
    if ends:
        sentences.append(f"{' and '.join(ends)} at the end of the range")
    worthless = int(errors.worthless.sum())
    if worthless:
        sentences.append(f"{worthless} quotes with a price below rounding were left out")
    return "; ".join(sentences)
