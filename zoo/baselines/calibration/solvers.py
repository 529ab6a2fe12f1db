"""Four minimisers of the same sum of squares, each a few lines around a well-known package.

A solver takes a `VolatilityErrors`, coordinates to start from, and `Limits`; it returns the
coordinates it stopped at, whether it converged, and why it stopped.
"""

import dataclasses
import importlib

import numpy as np

# of the price integral: where a calibration starts, and where it gives up refining
FIRST_NODES, MOST_NODES = 64, 1024
RESOLVED = 1e-5  # basis points by which twice the nodes may move a volatility
# radius of the first trust region, relative to the scaled start: with MINPACK's default of 100 one
# panel in a hundred is thrown to ξ = 0, where ρ means nothing, and stays there
_FIRST_STEP = 0.1
# codes of MINPACK; the last three say that no more digits are to be had
_REASONS = {
    1: "the sum of squares no longer changes",
    2: "the parameters no longer change",
    3: "neither the sum of squares nor the parameters change",
    4: "the gradient is zero",
    6: "the sum of squares is at the limit of rounding",
    7: "the parameters are at the limit of rounding",
    8: "the gradient is at the limit of rounding",
}


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a solver stops, and what it may use.

    Args:
        tolerance: Relative change of the sum of squares or of the coordinates that counts as none.
        evaluations: Largest number of evaluations of the whole panel, roughly.
        analytic: Whether derivatives are closed forms, or finite differences of the errors.
        seed: Of methods that draw random numbers.
    """

    tolerance: float
    evaluations: int
    analytic: bool
    seed: int


def levenberg_marquardt(errors, start, limits):
    """MINPACK's `lmder`, or `lmdif` with finite differences.

    It knows no bounds: where it leaves the range of a parameter, the trust region takes over from
    the start, and the better of the two is kept.
    """
    from scipy.optimize import leastsq

    found, _, _, _, code = leastsq(
        errors.residuals,
        start,
        args=() if limits.analytic else (False,),
        Dfun=errors.residual_jacobian if limits.analytic else None,
        full_output=True,
        ftol=limits.tolerance,
        xtol=limits.tolerance,
        gtol=0.0,
        factor=_FIRST_STEP,
        maxfev=limits.evaluations,
    )
    converged, message = code in _REASONS, _REASONS.get(code, "evaluations used up")
    low, high = errors.model.ranges
    if ((found <= low) | (found >= high)).any():
        bounded, *reason = trust_region(errors, start, limits)
        if errors.cost(bounded) < errors.cost(found):
            return bounded, reason[0], f"left the range, then trust region: {reason[1]}"
    return found, converged, message


def trust_region(errors, start, limits):
    """SciPy's bounded trust-region reflective method."""
    from scipy.optimize import least_squares

    bounds = errors.model.ranges
    result = least_squares(
        errors.residuals,
        np.clip(start, bounds[0] + 1e-9, bounds[1] - 1e-9),
        jac=errors.residual_jacobian if limits.analytic else "2-point",
        kwargs={} if limits.analytic else {"jacobian": False},
        bounds=bounds,
        method="trf",
        x_scale="jac",
        ftol=limits.tolerance,
        xtol=limits.tolerance,
        gtol=None,
        max_nfev=limits.evaluations,
    )
    return result.x, result.status > 0, result.message


def l_bfgs_b(errors, start, limits):
    """SciPy's L-BFGS-B on the sum of squares."""
    from scipy.optimize import minimize

    bounds = errors.model.ranges
    result = minimize(
        errors.cost_and_gradient if limits.analytic else errors.cost,
        np.clip(start, *bounds),
        jac=limits.analytic,
        method="L-BFGS-B",
        bounds=bounds.T,
        options={
            "ftol": limits.tolerance**1.2,  # a short step is not yet the last one
            "gtol": 1e-6,
            "maxcor": 20,
            "maxfun": limits.evaluations,
            "maxiter": limits.evaluations,
        },
    )
    # 2: the line search can go no further, at the limit of rounding
    return result.x, result.status in (0, 2), str(result.message)


def cma_es(errors, start, limits):
    """Covariance matrix adaptation with a population of 14, without derivatives."""
    import cma

    low, high = errors.model.ranges
    normal = np.random.Generator(np.random.Philox(key=limits.seed))
    start = np.clip(start, low, high)
    scale = errors.cost(start) or 1.0
    search = cma.CMAEvolutionStrategy(
        start,
        0.5,
        {
            "popsize": 14,
            "bounds": [low.tolist(), high.tolist()],
            "maxfevals": limits.evaluations,
            "tolfun": limits.tolerance**1.2,
            "tolfunhist": limits.tolerance**1.2,
            "tolx": limits.tolerance,
            "randn": lambda *shape: normal.standard_normal(shape),
            "seed": float("nan"),
            "verbose": -9,
        },
    )
    while not search.stop():
        points = search.ask()
        search.tell(points, [errors.cost(np.asarray(point)) / scale for point in points])
    reasons = search.stop()
    message = f"stopped by {', '.join(reasons)}"
    return np.asarray(search.result.xbest), "maxfevals" not in reasons, message


def require_packages(method, packages):
    """Raise unless the packages that a method needs, and that need not be installed, are.

    Args:
        method: The method of calibration that asks for them.
        packages: Names of modules; the package is called the same, but for underscores.

    Raises:
        ValueError: If one cannot be imported.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            # a package may be there and miss another one
            missing = error.name in (None, package)
            state = "is not installed" if missing else f"cannot be imported ({error})"
            raise ValueError(
                f"`method` {method!r} needs the package {package}, which {state}: "
                f"`pip install {' '.join(packages)}`. Received: method={method!r}"
            ) from None
