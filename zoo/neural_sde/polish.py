"""Levenberg-Marquardt on all weights of a neural SDE: few residuals, many weights."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_integer, check_not_negative

_FIRST_DAMPING, _LOWEST, _HIGHEST = 1e-2, 1e-9, 1e4
_LOWER, _RAISE = 0.1, 10.0
_SETTLED = 0.005  # steps that lower the error by less than this share, four in a row, end it
_SLOW = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Polish:
    """What `levenberg_marquardt` did.

    Args:
        errors_bp: Root of the weighted mean square error before and after each step.
        held_out_bp: The same of held-out quotes, or an empty list.
        steps: Number of steps.
        best: Number of the step whose weights were kept.
        message: Why it ended, in a few words.
        converged: Whether it ended by itself, not at the largest number of steps.
    """

    errors_bp: list
    held_out_bp: list
    steps: int
    best: int
    message: str
    converged: bool


def levenberg_marquardt(
    residuals_and_jacobian,
    residuals,
    start,
    max_steps=30,
    prior=0.0,
    target=0.0,
    held_out=None,
    patience=None,
):
    """Minimises |r(w)|² + prior · |w - w₀|² over thousands of weights by a few dozen residuals.

    A step solves the damped normal equations in their dual form,

        w⁺ = w - g / μ - Jᵀ (J Jᵀ + μ I)⁻¹ (r - J g / μ),   g = prior · (w - w₀),

    with μ = prior + damping: an N x N system, whatever the number of weights. Of all changes that
    lower the residuals equally it takes the smallest. A step that does not lower the cost is damped
    more and tried again.

    Args:
        residuals_and_jacobian: Function of w `(P,)` to residuals r `(N,)` and Jacobian `(N, P)`.
        residuals: Function of w to r alone.
        start: w₀, float64 `(P,)`.
        max_steps: Largest number of steps.
        prior: Strength with which the weights are held at w₀, zero or above.
        target: |r| at which to stop: the noise of the quotes.
        held_out: Optional function of w to the error of held-out quotes.
        patience: Steps without a lower held-out error after which to stop, and to go back to the
            weights of the lowest; None only to watch it.

    Returns:
        The weights `(P,)` and a `Polish`.

    Raises:
        ValueError: If an argument is out of its range, or r(w₀) is not finite.

    Example:

    >>> def circle(w):
    ...     return np.array([w @ w - 1.0]), 2.0 * w[np.newaxis]
    >>> w, report = levenberg_marquardt(circle, lambda w: circle(w)[0], np.array([1.0, 1.0]))
    >>> w.round(6), report.converged
    (array([0.707107, 0.707107]), True)

    Reference:
        Nocedal, Wright, "Numerical Optimization" (2006), section 10.3.
    """
    check_integer("max_steps", max_steps)
    if patience is not None:
        check_integer("patience", patience, minimum=1)
        if held_out is None:
            raise ValueError(f"`patience` needs `held_out`. Received: patience={patience}")
    check_not_negative("prior", prior)
    check_not_negative("target", target)
    start = np.asarray(start, np.float64)
    w, damping = start, _FIRST_DAMPING
    r = np.asarray(residuals(w), np.float64)
    if not np.isfinite(r).all():
        raise ValueError(f"`residuals` must be finite at the start. Received: {r}")
    errors = [float(np.linalg.norm(r))]
    judged = [] if held_out is None else [float(held_out(w))]
    best, best_weights, slow = 0, w, 0
    message, converged = f"{max_steps} steps", False
    step = 0
    while step < max_steps:
        if errors[-1] <= target:
            message, converged = f"the error is below {target:.2g} bp", True
            break
        r, jacobian = residuals_and_jacobian(w)
        found = _improved(w, start, r, jacobian, residuals, prior, damping)
        if found is None:
            message, converged = "no step lowers the error", True
            break
        w, r, damping = found
        step += 1
        errors.append(float(np.linalg.norm(r)))
        if held_out is not None:
            judged.append(float(held_out(w)))
        if patience is None or judged[-1] < judged[best]:
            best, best_weights = step, w
        elif step - best >= patience:
            message, converged = "the held-out error no longer falls", True
            break
        slow = slow + 1 if errors[-1] > (1.0 - _SETTLED) * errors[-2] else 0
        if slow >= _SLOW:
            message, converged = "the error no longer falls", True
            break
    return best_weights, Polish(errors, judged, step, best, message, converged)


def _improved(w, start, r, jacobian, residuals, prior, damping):
    """The next weights, their residuals and the next damping; None if no step is an improvement."""
    r, jacobian = np.asarray(r, np.float64), np.asarray(jacobian, np.float64)
    kernel = jacobian @ jacobian.T
    scale = np.trace(kernel) / len(r)
    pull = prior * (w - start)
    cost = r @ r + prior * np.sum((w - start) ** 2)
    while damping <= _HIGHEST:
        mu = prior + damping * scale
        right = r - jacobian @ pull / mu
        dual = np.linalg.solve(kernel + mu * np.eye(len(r)), right)
        trial = w - pull / mu - jacobian.T @ dual
        after = np.asarray(residuals(trial), np.float64)
        if after @ after + prior * np.sum((trial - start) ** 2) < cost:
            return trial, after, max(_LOWER * damping, _LOWEST)
        damping *= _RAISE
    return None
