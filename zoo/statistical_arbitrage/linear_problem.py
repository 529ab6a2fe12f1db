"""Exponential utility of a policy linear in features: value, gradient and Hessian, in chunks.

Everything is measured in trades: the trades of a path are `regressors @ kernel + dates`, where
the regressors are the features (for fixed instruments their changes), so that fixed and floating
instruments are one problem. Coefficients are in natural units: one standard deviation of a feature
moves a trade by one over the size of the gain of a unit.
"""

from typing import NamedTuple

import numpy as np

_ENTRIES = 2**20  # numbers in the largest array of a chunk


class Derivatives(NamedTuple):
    """The objective about some coefficients.

    Args:
        value: Objective with the smooth cost.
        gradient: Its gradient `(P,)`.
        hessian: Its Hessian `(P, P)`, with curvatures of the cost as in `LinearProblem.dual`.
        upper: Objective with the true cost.
        lower: Objective with the cost replaced by its tangent, a line through zero that lies
            below the true cost everywhere.
        gains: Gains net of the true cost `(N,)`.
    """

    value: float
    gradient: np.ndarray
    hessian: np.ndarray
    upper: float
    lower: float
    gains: np.ndarray


class LinearProblem:
    """`log sum_n p_n exp(L_n - G_n(theta)) + ridge / 2 |theta|^2`.

    The cost `c |a|` is replaced by `c (sqrt(a^2 + w^2) - w)` of a width w.

    Args:
        paths: `TradedPaths`.
        liability: L `(N,)` or None.
        weights: p `(N,)`, summing to one.
        per_date: Whether there is an intercept per date.
        ridge: Of the penalty.

    Attributes:
        dual: Slope of the absolute value at every trade, in [-1, 1], `(N, T, D)`. Newton's method
            solves for it as an unknown of its own, which takes far fewer steps than to follow
            the kink alone (Chan, Golub and Mulet, 1999).
    """

    def __init__(self, paths, liability, weights, per_date, ridge):
        self.paths, self.liability, self.weights = paths, liability, weights
        self.per_date, self.ridge = per_date, ridge
        rows, self.steps, self.instruments = paths.shape
        self.columns = paths.features.shape[2] + (0 if per_date else 1)
        self.size = (self.columns + per_date * self.steps) * self.instruments
        entries = max(self.size, self.steps * max(self.instruments, self.columns))
        self.rows = max(1, min(rows, _ENTRIES // entries))
        self.dual = np.zeros(paths.shape, np.float32) if paths.has_cost else None
        self._measure()

    def _measure(self):
        """Means and deviations of the features, sizes of the gains: the units of theta."""
        flat = self.paths.features.reshape(-1, self.paths.features.shape[2])
        self.mean = flat.mean(0, dtype=np.float64)
        deviation = flat.std(0, dtype=np.float64)
        # rounding of a constant is no signal
        self._varies = deviation > 1e-6 * np.abs(self.mean)
        self.deviation = np.where(self._varies, deviation, 1.0)
        square = sum(
            (self.paths.gain_of(part) ** 2).sum((0, 1)) for part in self.paths.parts(self.rows)
        )
        unit = np.sqrt(square / (len(self.paths) * self.steps))
        self.unit = np.where(unit > 0, 1 / np.where(unit > 0, unit, 1.0), 1.0)

    def split(self, theta):
        """Coefficients of regressors `(F', D)` and of dates `(T, D)` or zero."""
        count = self.columns * self.instruments
        kernel = theta[:count].reshape(self.columns, self.instruments) * self.unit
        if not self.per_date:
            return kernel, 0.0
        return kernel, theta[count:].reshape(self.steps, self.instruments) * self.unit

    def policy(self, theta):
        """Kernel and intercept of the actions, for features as they are given."""
        kernel, dates = self.split(theta)
        if self.per_date:
            intercept = self.paths.actions_of(dates, axis=0)
        else:
            kernel, intercept = kernel[:-1], kernel[-1]
        kernel = kernel * self._varies[:, None] / self.deviation[:, None]
        return kernel, intercept - self.mean @ kernel

    def objective(self, theta, width):
        """The objective alone."""
        return self._log_mass(self.gains(theta, width)) + self._penalty(theta)

    def gains(self, theta, width=0.0):
        """Gains of the paths net of the smooth cost, `(N,)`."""
        gains = np.empty(len(self.paths))
        for part in self.paths.parts(self.rows):
            gain, cost = self.paths.symmetric(part)
            trades = self._trades(self._regressors(part), theta)
            gains[part] = _gains(trades, gain, cost, width * self.unit)
        return gains

    def derivatives(self, theta, width, shift):
        """The `Derivatives`; `shift`, about the objective there, keeps exponentials finite."""
        rows = len(self.paths)
        smooth_gains, gains, tangent_gains = np.empty(rows), np.empty(rows), np.empty(rows)
        first, second = np.zeros(self.size), np.zeros((self.size, self.size))
        width = width * self.unit
        for part in self.paths.parts(self.rows):
            gain, cost = self.paths.symmetric(part)
            regressors = self._regressors(part)
            trades = self._trades(regressors, theta)
            smooth_gains[part] = _gains(trades, gain, cost, width)
            mass = self.weights[part] * np.exp(self._loss(smooth_gains[part], part) - shift)
            if self.paths.has_cost:
                gains[part] = _gains(trades, gain, cost, 0.0)
                length = np.sqrt(trades**2 + width**2)
                slope = trades / length
                curvature = cost * (1 - self.dual[part] * slope) / length * mass[:, None, None]
                self._add_curvature(second, regressors, curvature * self.unit**2)
                gain = gain - cost * slope
            tangent_gains[part] = _gains(trades, gain, 0.0, 0.0)
            slopes = self._slopes(regressors, gain * self.unit)
            first -= mass @ slopes
            slopes *= np.sqrt(mass)[:, None]
            second += slopes.T @ slopes
        if not self.paths.has_cost:
            gains = smooth_gains
        value, penalty = self._log_mass(smooth_gains), self._penalty(theta)
        scale = np.exp(shift - value)
        gradient = first * scale
        hessian = second * scale - np.outer(gradient, gradient)
        hessian[np.diag_indices(self.size)] += self.ridge
        return Derivatives(
            value + penalty,
            gradient + self.ridge * theta,
            hessian,
            self._log_mass(gains) + penalty,
            self._log_mass(tangent_gains) + penalty,
            gains,
        )

    def move_dual(self, theta, step, size, width):
        """Newton's update of the slopes s, from `s * sqrt(a^2 + w^2) = a`, kept in [-1, 1].

        Args:
            theta: Coefficients before the step.
            step: Newton step of the coefficients.
            size: How much of it was taken.
            width: w.
        """
        if self.dual is None:
            return
        for part in self.paths.parts(self.rows):
            regressors = self._regressors(part)
            trades, change = (self._trades(regressors, vector) for vector in (theta, step))
            length = np.sqrt(trades**2 + (width * self.unit) ** 2)
            slope, dual = trades / length, self.dual[part]
            target = slope + change / length * (1 - dual * slope)
            self.dual[part] = np.clip(dual + size * (target - dual), -1, 1)

    def _regressors(self, part):
        """What the trades are linear in, `(n, T, F')`."""
        columns = (self.paths.features_of(part) - self.mean) / self.deviation * self._varies
        if not self.per_date:
            columns = np.concatenate([columns, np.ones_like(columns[..., :1])], -1)
        return self.paths.trades_of(columns)

    def _trades(self, regressors, theta):
        kernel, dates = self.split(theta)
        return regressors @ kernel + dates

    def _slopes(self, regressors, unit_gain):
        """Derivatives of the gains by theta, `(n, P)`."""
        count = len(unit_gain)
        slopes = np.matmul(regressors.transpose(0, 2, 1), unit_gain).reshape(count, -1)
        if not self.per_date:
            return slopes
        return np.concatenate([slopes, unit_gain.reshape(count, -1)], 1)

    def _add_curvature(self, hessian, regressors, curvature):
        """Adds the Hessian of the cost of some paths: one block per instrument."""
        flat = regressors.reshape(-1, self.columns)
        kernels = self.columns * self.instruments
        for d in range(self.instruments):
            own = np.arange(d, kernels, self.instruments)
            weighted = regressors * curvature[:, :, d : d + 1]
            hessian[np.ix_(own, own)] += weighted.reshape(-1, self.columns).T @ flat
            if self.per_date:
                dates = np.arange(kernels + d, self.size, self.instruments)
                cross = weighted.sum(0).T
                hessian[np.ix_(own, dates)] += cross
                hessian[np.ix_(dates, own)] += cross.T
                hessian[dates, dates] += curvature[:, :, d].sum(0)

    def _loss(self, gains, part=slice(None)):
        return -gains if self.liability is None else self.liability[part] - gains

    def _log_mass(self, gains):
        """`log sum_n p_n exp(L_n - G_n)`."""
        loss = self._loss(gains)
        top = loss[self.weights > 0].max()
        return top + np.log(np.sum(self.weights * np.exp(np.minimum(loss - top, 0.0))))

    def _penalty(self, theta):
        return self.ridge / 2 * theta @ theta


def _gains(trades, gain, cost, width):
    """Gains of some paths net of the smooth cost, `(n,)`."""
    money = trades * gain
    if not np.isscalar(cost):
        size = np.sqrt(trades**2 + width**2) - width if np.any(width) else np.abs(trades)
        money -= cost * size
    return money.sum((1, 2))
