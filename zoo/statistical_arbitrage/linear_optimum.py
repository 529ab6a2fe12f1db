"""The best statistical arbitrage among policies linear in features: a convex problem, solved.

Without cost Newton's method converges quadratically. With cost the absolute value of trades is
replaced by `sqrt(a^2 + w^2) - w`, and w is driven to zero; the slope of the smooth cost is a
subgradient of the true one, which bounds how far the result is from the optimum.
"""

from typing import NamedTuple

import numpy as np

from hedgezoo.datasets.checks import check_array, check_integer, check_not_negative, check_positive
from hedgezoo.statistical_arbitrage.linear_problem import LinearProblem
from hedgezoo.statistical_arbitrage.traded_paths import TradedPaths, sample_weights

_FALL = 0.01  # of the width, from one problem to the next
_SMALLEST = 1e-15  # width, in natural units


class LinearOptimum(NamedTuple):
    """The solution of `linear_optimum`.

    Args:
        kernel: Action per unit of each feature, `(F, D)`.
        intercept: Action at features zero, `(D,)`, or `(T, D)` with one per date.
        gains: Gains of the paths net of cost, `(N,)`, money.
        weights: `p exp(L - G)` normalised to mean one, `(N,)`: the density of the new measure.
        utility: Certainty equivalent `-log E[exp(L - G)]`, money.
        gap: Bound on how much more utility any linear policy can have, to second order; money.
        newton_steps: Number of Newton steps taken.
    """

    kernel: np.ndarray
    intercept: np.ndarray
    gains: np.ndarray
    weights: np.ndarray
    utility: float
    gap: float
    newton_steps: int


def linear_optimum(
    inputs,
    liability=None,
    sample_weight=None,
    per_date=False,
    ridge=0.0,
    tolerance=1e-12,
    newton_steps=300,
):
    """Exact optimum of exponential utility over policies that are linear in the features.

    Actions are positions held (`price`) or units bought (`unit_gain`), `(T, D)` on every path:

    `a[t, d] = intercept[t, d] + sum_f features[t, f] kernel[f, d]`

    At the optimum every feature times the gain of a unit has, under the weights, an expectation
    within the cost of trading it. With an intercept per date that is: the expected gain of every
    instrument bought at every date lies within its bid-ask band.

    Args:
        inputs: Paths as in `TradedPaths`; they are read in chunks.
        liability: Claim owed at the horizon, `(N,)`, money; none by default.
        sample_weight: Weights of the paths `(N,)`, normalised here; equal by default.
        per_date: Whether the intercept is one per date and instrument, or one per instrument.
        ridge: Penalty `ridge / 2` on the square of every coefficient, measured in units of
            (standard deviation of feature) x (that of the gain of a unit). It decides between
            redundant instruments, and keeps positions finite where there is arbitrage.
        tolerance: Largest `gap`, money.
        newton_steps: Largest number of Newton steps.

    Returns:
        A `LinearOptimum`, computed in float64.

    Raises:
        ValueError: If an argument does not fit, there is arbitrage in the sample (a policy that
            loses on no path and gains on some), or the steps do not suffice.

    Example:

    >>> gain = np.repeat([0.1, -0.1], [6, 4])[:, None, None]  # binomial, up with probability 0.6
    >>> market = {"features": np.zeros((10, 1, 1)), "unit_gain": gain}
    >>> optimum = linear_optimum(market)
    >>> round(float(optimum.intercept[0]), 6), round(optimum.utility, 6)
    (2.027326, 0.020411)

    Reference:
        Buehler, Murray, Pakkanen, Wood, "Deep Hedging: Learning Risk-Neutral Implied Volatility
        Dynamics", arXiv:2103.11948, equation (9).
    """
    check_not_negative("ridge", ridge)
    check_positive("tolerance", tolerance)
    check_integer("newton_steps", newton_steps, minimum=1)
    paths = inputs if isinstance(inputs, TradedPaths) else TradedPaths(inputs)
    rows = len(paths)
    if liability is not None:
        liability = check_array("liability", liability, {"(N,)": (rows,)})
    weights = sample_weights(sample_weight, rows)
    problem = LinearProblem(paths, liability, weights, bool(per_date), float(ridge))
    theta, found, gap, taken = _minimise(problem, tolerance, newton_steps)
    loss = -found.gains if liability is None else liability - found.gains
    mass = weights * np.exp(loss - loss[weights > 0].max())
    kernel, intercept = problem.policy(theta)
    utility = ridge / 2 * theta @ theta - found.upper
    return LinearOptimum(
        kernel, intercept, found.gains, mass / mass.mean(), float(utility), float(gap), taken
    )


def _minimise(problem, tolerance, newton_steps):
    """Newton's method, along a falling width; returns theta, derivatives, gap, number of steps."""
    theta, value, taken = np.zeros(problem.size), 0.0, 0
    width = 1.0 if problem.paths.has_cost else 0.0
    while True:
        found = problem.derivatives(theta, width, value)
        step = _newton_step(found.hessian, -found.gradient)
        decrement = -found.gradient @ step / 2
        gap = found.upper - found.lower + decrement
        if gap <= tolerance:
            # one step more is cheap, and squares the error of the policy
            if problem.objective(theta + step, width) <= found.value:
                theta = theta + step
                found = found._replace(
                    gains=problem.gains(theta), upper=problem.objective(theta, 0.0)
                )
            return theta, found, gap, taken
        # on the way an exact solution is not needed
        if decrement <= max(0.1 * tolerance, min(1e-3, 1e-2 * width)) and width:
            if width <= _SMALLEST:
                # what is left is rounding
                return theta, found, gap, taken
            width *= _FALL
            continue
        if not problem.ridge:
            _check_arbitrage(problem, found.gains, step, taken)
        if taken == newton_steps:
            raise ValueError(
                f"No optimum found in `newton_steps` {taken}: the utility can still rise by "
                f"about {gap:.2g}, tolerance {tolerance:.2g}. There may be an arbitrage, or "
                "next to one; a `ridge` makes the problem bounded"
            )
        size, value = _line_search(problem, theta, step, found.value, decrement, width)
        problem.move_dual(theta, step, size, width)
        theta, taken = theta + size * step, taken + 1


def _newton_step(hessian, target):
    """Solves a symmetric system that is positive semidefinite up to rounding."""
    from scipy.linalg import cho_factor, cho_solve

    diagonal = np.diagonal(hessian)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = hessian * scale * scale[:, None]
    damping = 1e-14
    while True:
        scaled[np.diag_indices(len(scaled))] += damping
        try:
            factor = cho_factor(scaled, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            damping *= 100
            continue
        return scale * cho_solve(factor, target * scale, check_finite=False)


def _line_search(problem, theta, step, value, decrement, width):
    """The longest of the steps 1, 1/2, 1/4, ... that lowers the objective enough, and its value."""
    size = 1.0
    while True:
        new = problem.objective(theta + size * step, width)
        # decreases below rounding cannot be seen
        if new <= value - 0.2 * size * decrement + 1e-15 or size < 1e-9:
            return size, new
        size /= 2


def _check_arbitrage(problem, gains, step, taken):
    """Raises if the policy, or where it is going, loses on no path and gains on some."""
    found = [gains]
    # a direction without losses is where the utility rises for ever, if slowly
    if taken % 10 == 9 or gains.max() > 20:
        found.append(problem.gains(step))
    for gains in found:
        gains = gains[problem.weights > 0]
        worst, best = gains.min(), gains.max()
        if best > 0 and worst >= -1e-12 * best:
            raise ValueError(
                "`inputs` hold an arbitrage: a policy linear in the features gains between "
                f"{worst:.3g} and {best:.3g} on every path of the sample, net of cost, so at any "
                "size it only gets better and no optimum exists. Give more paths, a higher cost, "
                f"fewer features or instruments, or a `ridge`. Received: {len(gains)} paths and "
                f"{problem.size} coefficients"
            )
