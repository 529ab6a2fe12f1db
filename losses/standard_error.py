"""Standard errors of risk measures, from their influence functions."""

import numpy as np
import tensorflow as tf

from hedgezoo.losses._sample import on_sample


def _mean(pnl, weights=None):
    return on_sample(lambda x, p: tf.reduce_sum(p * x), pnl, weights)


def _std(pnl, weights=None):
    def measure(x, p):
        return tf.sqrt(tf.reduce_sum(p * (x - tf.reduce_sum(p * x)) ** 2))

    return on_sample(measure, pnl, weights)


_STATISTICS = {"mean": _mean, "std": _std}


def influence(measure, pnl, weights=None, **parameters):
    """Influence of every path on a risk measure: by how much the measure rises with its weight.

    The sample version of the influence function, `d rho((1 - e) P + e delta_i) / d e`, found by
    differentiating with respect to the weights. Its weighted mean is zero. The difference of two
    influences, of two strategies on the same paths, is the influence on the difference of their
    risks; so its standard error is `std(difference) / sqrt(N)`.

    Args:
        measure: `"mean"`, `"std"`, an evaluation function of this package such as
            `entropic_risk` or `cvar`, or any callable `(pnl, weights=..., **parameters)` to a
            scalar tensor that is differentiable in the weights.
        pnl: Outcomes in money, `(N,)`.
        weights: Optional weights of the paths, `(N,)`, normalised here.
        **parameters: Passed to `measure`, e.g. `risk_aversion=50.0` or `level=0.95`.

    Returns:
        Float64 array `(N,)`, in the unit of the measure.

    Raises:
        ValueError: If `measure` is an unknown name or does not depend smoothly on the weights (as
            `value_at_risk`), or an argument is refused by it.

    Example:

    >>> from hedgezoo.losses import influence
    >>> influence("mean", [1.0, 2.0, 6.0])
    array([-2., -1.,  3.])

    Reference:
        F. R. Hampel (1974), The influence curve and its role in robust estimation, Journal of the
        American Statistical Association 69.
    """
    if isinstance(measure, str):
        if measure not in _STATISTICS:
            raise ValueError(
                f"`measure` must be a callable or one of {sorted(_STATISTICS)}. "
                f"Received: {measure!r}"
            )
        measure = _STATISTICS[measure]
    pnl = tf.constant(np.asarray(pnl, np.float64))
    if weights is None:
        weights = np.ones(pnl.shape)
    weights = np.asarray(weights, np.float64)
    total = weights.sum()
    weights = tf.constant(weights / total if total > 0 else weights)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        value = measure(pnl, weights=weights, **parameters)
    gradient = tape.gradient(value, weights)
    if gradient is None:
        raise ValueError(
            "`measure` must be differentiable in the weights of the paths, which a quantile such "
            f"as value_at_risk is not. Received: {measure!r}"
        )
    return gradient.numpy()


def standard_error(measure, pnl, weights=None, groups=None, **parameters):
    """Standard error of a risk measure on a sample (delta method, infinitesimal jackknife).

    `sqrt(sum_i (p_i I_i)^2 * N / (N - 1))` with weights `p` and influences `I`: for the mean the
    classical `std / sqrt(N)`, for weighted paths the standard error of the self-normalised
    estimator. Where few paths decide (see `effective_sample_size`) it is too small.

    Args:
        measure: As for `influence`.
        pnl: Outcomes in money, `(N,)`.
        weights: Optional weights of the paths, `(N,)`, normalised here.
        groups: Optional integers `(N,)`: paths with the same number share randomness (antithetic
            pairs, points of one scrambled Sobol sequence) and count as one draw.
        **parameters: Passed to `measure`, e.g. `risk_aversion=50.0` or `level=0.95`.

    Returns:
        Python float, in the unit of the measure.

    Raises:
        ValueError: As for `influence`, or if there are fewer than two paths or groups, or
            `groups` is not `(N,)`.

    Example:

    >>> from hedgezoo.losses import cvar, standard_error
    >>> standard_error("mean", [1.0, 3.0])
    1.0
    >>> round(standard_error(cvar, [-4.0, -1.0, 0.0, 2.0], level=0.5), 6)
    1.5

    Reference:
        L. A. Jaeckel (1972), The infinitesimal jackknife, Bell Laboratories memorandum. For CVaR:
        A. A. Trindade, S. Uryasev, A. Shapiro, G. Zrazhevsky (2007), Financial prediction with
        constrained tail risk, Journal of Banking & Finance 31.
    """
    terms = influence(measure, pnl, weights, **parameters)
    if weights is None:
        terms = terms / len(terms)
    else:
        weights = np.asarray(weights, np.float64)
        terms = terms * weights / weights.sum()
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != terms.shape:
            raise ValueError(
                "`groups` must have one entry per path. "
                f"Received: groups.shape={groups.shape}, pnl.shape={terms.shape}"
            )
        terms = np.bincount(np.unique(groups, return_inverse=True)[1], weights=terms)
    n = len(terms)
    if n < 2:
        raise ValueError(f"A standard error needs at least two independent draws. Received: {n}")
    return float(np.sqrt(np.sum(terms**2) * n / (n - 1)))
