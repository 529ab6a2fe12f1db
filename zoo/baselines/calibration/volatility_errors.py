"""The least-squares problem: weighted errors in implied volatility and their Jacobian."""

import dataclasses
import math

import numpy as np

from hedgezoo.baselines.calibration.models import Model
from hedgezoo.baselines.calibration.numpy_pricer import (
    PanelPricer,
    out_of_the_money,
    total_deviation,
)
from hedgezoo.baselines.calibration.quotes import Quotes

BASIS_POINTS = 1e4
# out-of-the-money prices, per unit of the smaller of strike and forward, at the limit of rounding
_SMALLEST, _LARGEST = 1e-14, 1.0 - 1e-6
_WORTHLESS = 1e-11  # below, a quoted price says nothing about a model price


@dataclasses.dataclass(frozen=True)
class Fit:
    """A model at given parameters beside the quotes.

    Args:
        errors: Model volatility minus quote, basis points, `(N,)`.
        jacobian: Derivatives of the errors in the parameters, `(N, p)` or None.
        slopes: Derivatives of the parameters in the coordinates of the search, `(p,)`.
    """

    errors: np.ndarray
    jacobian: np.ndarray | None
    slopes: np.ndarray


class VolatilityErrors:
    """Errors of a model against quotes, counted and kept for the last parameters.

    Args:
        quotes: A `Quotes`.
        model: A `Model`.
    """

    def __init__(self, quotes: Quotes, model: Model):
        self.quotes, self.model = quotes, model
        self.evaluations = 0
        self._distance = np.abs(np.log(quotes.strikes))
        self._unit = np.minimum(quotes.strikes, 1.0)
        self._root_years = np.sqrt(quotes.maturities)
        self._quoted = quotes.implied_volatility * self._root_years
        d1 = 0.5 * self._quoted - self._distance / self._quoted
        self.worthless = out_of_the_money(d1, self._quoted) < _WORTHLESS
        self.weights = np.where(self.worthless, 0.0, quotes.weights)
        self._root_weights = np.sqrt(self.weights)
        self._pricers = {}
        self._last = {}
        self.use_nodes(64)

    def use_nodes(self, nodes):
        """Price with this number of quadrature nodes from now on."""
        if nodes not in self._pricers:
            quotes = self.quotes
            self._pricers[nodes] = PanelPricer(quotes.strikes, quotes.maturities, nodes)
        self.nodes = nodes

    def fit(self, parameters, jacobian=True):
        """Errors, and their derivatives, at natural parameters `(p,)`."""
        self.evaluations += 1
        prices, by_parameter = self._pricers[self.nodes](parameters, jacobian)
        price = np.clip(prices / self._unit, _SMALLEST, _LARGEST)
        deviation = total_deviation(price, self._distance, self._quoted)
        errors = (BASIS_POINTS / self._root_years) * (deviation - self._quoted)
        errors[self.worthless] = 0.0
        if jacobian:
            d1 = 0.5 * deviation - self._distance / deviation
            vega = self._unit * np.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
            scale = BASIS_POINTS / (vega * self._root_years)
            resolved = (price > _SMALLEST) & (price < _LARGEST) & ~self.worthless
            by_parameter = np.where(resolved, scale, 0.0)[:, np.newaxis] * by_parameter
        return Fit(errors, by_parameter, np.ones(len(self.model)))

    def at(self, free, jacobian=True):
        """The same at coordinates of the search; the last ones are kept."""
        if self.nodes in self._last:
            known, fit = self._last[self.nodes]
            if np.array_equal(known, free) and (fit.jacobian is not None or not jacobian):
                return fit
        parameters, slopes = self.model.from_free(free)
        fit = dataclasses.replace(self.fit(parameters, jacobian), slopes=slopes)
        self._last[self.nodes] = np.array(free), fit
        return fit

    def residuals(self, free, jacobian=True):
        """Errors times the roots of the weights, `(N,)`."""
        return self._root_weights * self.at(free, jacobian).errors

    def residual_jacobian(self, free):
        """Their derivatives in the coordinates of the search, `(N, p)`."""
        fit = self.at(free)
        return self._root_weights[:, np.newaxis] * fit.jacobian * fit.slopes

    def cost(self, free):
        """Sum of squared residuals, without derivatives."""
        residuals = self.residuals(free, jacobian=False)
        return float(residuals @ residuals)

    def cost_and_gradient(self, free):
        """Sum of squared residuals and its gradient, `(p,)`."""
        residuals = self.residuals(free)
        return float(residuals @ residuals), 2.0 * (residuals @ self.residual_jacobian(free))

    def covariance(self, fit, at_end):
        """Of the least-squares parameters: s² (JᵀWJ)⁻¹, s² = Σ w e² / (N - p), `(p, p)`.

        NaN for parameters at an end of their range (the others are taken as if those were known),
        and for all where the quotes do not tell the parameters apart.

        Args:
            fit: A `Fit` with its Jacobian.
            at_end: Which parameters are at an end of their range, `(p,)` booleans.
        """
        size = len(self.model)
        result = np.full((size, size), np.nan)
        rows = self._root_weights[:, np.newaxis] * fit.jacobian
        residuals = self._root_weights * fit.errors
        scale = np.linalg.norm(rows, axis=0)
        inside = (scale > 0) & ~at_end
        degrees = np.count_nonzero(self._root_weights) - np.count_nonzero(inside)
        if degrees < 1 or not inside.any():
            return result
        _, singular, basis = np.linalg.svd(rows[:, inside] / scale[inside], full_matrices=False)
        if singular[-1] < 1e-10 * singular[0]:
            return result
        root = basis.T / singular / scale[inside, np.newaxis]
        result[np.ix_(inside, inside)] = root @ root.T * (residuals @ residuals / degrees)
        return result
