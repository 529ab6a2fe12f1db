"""Classical calibration of many panels: one batch where the method can, one by one elsewhere."""

import dataclasses
import time

import numpy as np

from hedgezoo.baselines.calibration import batched_l_bfgs
from hedgezoo.baselines.calibration.classical import METHODS, PACKAGES, calibrate
from hedgezoo.baselines.calibration.models import MODELS
from hedgezoo.baselines.calibration.quotes import Quotes
from hedgezoo.baselines.calibration.solvers import require_packages
from hedgezoo.datasets.checks import check_integer, check_one_of, check_positive

_AT_A_TIME = 1024  # searches; their Jacobians are in memory together


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PanelCalibrations:
    """Parameters of a model fitted to B panels; made by `calibrate_panels`.

    Args:
        model: Name of the model.
        method: Name of the method.
        names: Names of the parameters.
        parameters: `(B, p)`.
        standard_error: `(B, p)`, NaN where a parameter is at an end of its range or the quotes do
            not determine it.
        covariance: `(B, p, p)`.
        implied_volatility: Fitted volatilities `(B, m, n)`, NaN where no quote counts.
        rms_bp: Root mean square of fitted minus quoted volatility, basis points, `(B,)`.
        max_bp: Largest such error, `(B,)`.
        evaluations: Number of times that the quotes of a panel were priced, `(B,)`.
        converged: Whether the method says that it has found a minimum, booleans `(B,)`.
        seconds: Elapsed time for all panels together.
    """

    model: str
    method: str
    names: tuple
    parameters: np.ndarray
    standard_error: np.ndarray
    covariance: np.ndarray
    implied_volatility: np.ndarray
    rms_bp: np.ndarray
    max_bp: np.ndarray
    evaluations: np.ndarray
    converged: np.ndarray
    seconds: float

    def __len__(self):
        return len(self.parameters)

    def __repr__(self):
        return (
            f"{self.model.capitalize()} by {self.method} on {len(self)} panels: "
            f"{np.median(self.rms_bp):.4g} bp rms (median), {self.rms_bp.max():.4g} at most, "
            f"{self.converged.sum()} converged, {1e3 * self.seconds / len(self):.3g} ms per panel"
        )


def calibrate_panels(
    implied_vol,
    strikes,
    maturities,
    mask=None,
    spread=None,
    *,
    method="batched_l_bfgs",
    model="heston",
    starts=1,
    tolerance=1e-10,
    max_evaluations=None,
    **options,
):
    """Fit a Heston or Bates model to each of many panels of implied volatilities.

    Minimises for each panel Σ w (σ_model - σ_quoted)², as `calibrate` does. `"batched_l_bfgs"`
    prices all panels and starts in one batch; other methods take one panel after the other.

    Args:
        implied_vol: Quotes per √year, `(B, m, n)`, or `(m, n)` for one panel.
        strikes: Divided by the forward, increasing, `(n,)`, `(m, n)` or `(B, m, n)`.
        maturities: Years, increasing, `(m,)` or `(B, m)`.
        mask: True where there is a quote, `(m, n)` or `(B, m, n)`.
        spread: Bid-ask widths in volatility, positive, a number or as `mask`: w = 1 / spread².
        method: As in `calibrate`.
        model: `"heston"` or `"bates"`.
        starts: Number of starts per panel, of which the best result is returned.
        tolerance: Relative change of the sum of squares at which a search stops.
        max_evaluations: Per start and number of nodes. Default: that of `calibrate`.
        **options: Of `calibrate`, for methods that take one panel at a time.

    Returns:
        `PanelCalibrations`.

    Raises:
        ValueError: If an argument is none of the above, a quote is not a positive number, a panel
            has fewer quotes than the model parameters, or a package is missing.

    Example:

    >>> from hedgezoo.layers import heston_call, implied_volatility
    >>> strikes, maturities = [0.8, 0.9, 1.0, 1.1, 1.2], [0.25, 1.0, 2.0]
    >>> parameters = [[1.5, 0.05, 0.7, -0.6, 0.03], [3.0, 0.09, 0.9, -0.4, 0.06]]
    >>> calls = heston_call(parameters, strikes, maturities)
    >>> quotes = implied_volatility(calls, strikes, maturities)
    >>> fits = calibrate_panels(quotes, strikes, maturities, method="levenberg_marquardt")
    >>> fits.parameters.round(6).tolist() == parameters
    True

    Reference:
        Nocedal and Wright, "Numerical Optimization", 2nd ed., 2006, algorithm 7.5.
    """
    from hedgezoo.heston_calibrator.panel_quotes import panel_quotes

    check_one_of("method", method, tuple(METHODS))
    require_packages(method, PACKAGES.get(method, ()))
    check_one_of("model", model, tuple(MODELS))
    check_integer("starts", starts, minimum=1)
    check_positive("tolerance", tolerance)
    kind = MODELS[model]
    quotes = panel_quotes(implied_vol, strikes, maturities, mask, spread, kind.names)
    weights = _weights(quotes, spread)
    if method != "batched_l_bfgs":
        options = {"method": method, "model": model, "starts": starts, **options}
        options |= {"tolerance": tolerance, "max_evaluations": max_evaluations}
        return _one_by_one(quotes, weights, kind, options)
    if options:
        raise ValueError(
            f"`options` must be empty with method='batched_l_bfgs'. Received: {sorted(options)}"
        )
    most = 2000 if max_evaluations is None else max_evaluations
    check_integer("max_evaluations", most, minimum=1)
    began = time.perf_counter()
    panels = max(1, _AT_A_TIME // starts)
    parts = [
        _batch(quotes.panels(rows), weights[rows], kind, starts, tolerance, most)
        for rows in (slice(i, i + panels) for i in range(0, len(quotes), panels))
    ]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    seconds = time.perf_counter() - began
    return PanelCalibrations(model, method, kind.names, **found, seconds=seconds)


# ------------------------------------------------------------------------------------- internals


def _weights(quotes, spread):
    """Weights of the squared errors, mean one over the quotes of a panel that count."""
    if spread is None:
        return quotes.used.astype(float)
    bad = quotes.used & (quotes.spread <= 0.0)
    if bad.any():
        raise ValueError(
            "`spread` must be positive wherever there is a quote. Received: "
            f"{quotes.spread[bad][0]} at index {tuple(int(i) for i in np.argwhere(bad)[0])}"
        )
    smallest = np.where(quotes.used, quotes.spread, np.inf).min(axis=(1, 2), keepdims=True)
    weights = np.where(quotes.used, smallest / np.where(bad | ~quotes.used, 1.0, quotes.spread), 0)
    weights = weights**2
    count = quotes.used.sum(axis=(1, 2), keepdims=True)
    return weights * (count / weights.sum(axis=(1, 2), keepdims=True))


def _one_by_one(quotes, weights, kind, options):
    began, fits = time.perf_counter(), []
    for i in range(len(quotes)):
        strikes, maturities = quotes.strike_panels[i], quotes.maturity_panels[i]
        used = quotes.used[i]
        grid = np.broadcast_to(maturities[:, np.newaxis], used.shape)
        lists = (array[used] for array in (quotes.implied_volatility[i], strikes, grid))
        fits.append(calibrate(*lists, weights=weights[i][used], **options))
    seconds = time.perf_counter() - began
    fitted = np.full(quotes.mask.shape, np.nan)
    for i, fit in enumerate(fits):
        fitted[i][quotes.used[i]] = fit.implied_volatility
    names = ("parameters", "standard_error", "covariance")
    names += ("rms_bp", "max_bp", "evaluations", "converged")
    stacked = {name: np.array([getattr(fit, name) for fit in fits]) for name in names}
    return PanelCalibrations(
        kind.name,
        options["method"],
        kind.names,
        **stacked,
        implied_volatility=fitted,
        seconds=seconds,
    )


def _batch(quotes, weights, kind, starts, tolerance, max_evaluations):
    """Fields of the result for some of the panels."""
    panels = len(quotes)
    points = np.concatenate([_starts(quotes, weights, kind, i, starts) for i in range(panels)])
    row = np.repeat(np.arange(panels), starts)
    every = quotes.panels(row)
    problem = (every.implied_volatility, weights[row], every.strikes, every.maturities)
    minima = batched_l_bfgs.minimise(kind, points, problem, tolerance, max_evaluations)
    cost, fitted, covariance, parameters = _at_minima(kind, minima, problem)
    best = np.arange(panels) * starts + cost.reshape(panels, starts).argmin(axis=1)
    errors = np.where(quotes.used, fitted[best] - quotes.implied_volatility, 0.0) / 1e-4
    variances = np.diagonal(covariance[best], axis1=1, axis2=2)
    return {
        "parameters": parameters[best],
        "standard_error": np.sqrt(variances),
        "covariance": covariance[best],
        "implied_volatility": np.where(quotes.used, fitted[best], np.nan),
        "rms_bp": np.sqrt(np.square(errors).sum(axis=(1, 2)) / quotes.used.sum(axis=(1, 2))),
        "max_bp": np.abs(errors).max(axis=(1, 2)),
        "evaluations": minima.evaluations.reshape(panels, starts).sum(axis=1),
        "converged": minima.converged[best],
    }


def _starts(quotes, weights, kind, panel, count):
    used = quotes.used[panel]
    grid = np.broadcast_to(quotes.maturity_panels[panel][:, np.newaxis], used.shape)
    arrays = (quotes.strike_panels[panel], grid, quotes.implied_volatility[panel], weights[panel])
    listed = Quotes(*(array[used] for array in arrays), used)
    return np.array([kind.to_free(point) for point in kind.starts(listed, count)])


def _at_minima(kind, minima, problem):
    """Costs, fitted volatilities, covariances and parameters of all searches."""
    shape, size = problem[0].shape, len(kind)
    errors, hessian = np.empty(shape), np.empty((shape[0], size, size))
    for nodes in np.unique(minima.nodes):
        rows = np.flatnonzero(minima.nodes == nodes)
        part = batched_l_bfgs.rows_of(problem, rows)
        found = batched_l_bfgs.normal_equations(kind, int(nodes), minima.free[rows], part)
        errors[rows], hessian[rows] = found
    weights = problem[1]
    squares = (weights * errors**2).sum(axis=(1, 2))
    pairs = [kind.from_free(row) for row in minima.free]
    parameters, slopes = (np.array(column) for column in zip(*pairs, strict=True))
    covariance = np.stack(
        [
            _covariance(h, w, square, slope, kind.at_end(p))
            for h, w, square, slope, p in zip(
                hessian, weights, squares, slopes, parameters, strict=True
            )
        ]
    )
    return squares / weights.sum(axis=(1, 2)), problem[0] + 1e-4 * errors, covariance, parameters


def _covariance(hessian, weights, squares, slopes, at_end):
    """s² (JᵀWJ)⁻¹, as that of `VolatilityErrors`, from the Hessian of the mean of squares."""
    result = np.full(hessian.shape, np.nan)
    inside = ~at_end & (np.diag(hessian) > 0.0)
    degrees = np.count_nonzero(weights) - np.count_nonzero(inside)
    if degrees < 1 or not inside.any():
        return result
    chosen = np.ix_(inside, inside)
    normal = weights.sum() * hessian[chosen]
    scale = np.sqrt(np.diag(normal))
    values, basis = np.linalg.eigh(normal / np.outer(scale, scale))
    if values[0] < 1e-14 * values[-1]:
        return result
    root = slopes[inside, np.newaxis] * basis / np.sqrt(values) / scale[:, np.newaxis]
    result[chosen] = root @ root.T * (squares / degrees)
    return result
