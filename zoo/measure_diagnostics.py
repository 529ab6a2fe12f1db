"""How good a change of measure is: entropy, effective sample, gains against the bid-ask band."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hedgezoo.losses import entropic_risk
from hedgezoo.losses.standard_error import influence, standard_error
from hedgezoo.statistical_arbitrage.traded_paths import sample_weights

_CHUNK = 2**22  # numbers of one array in a chunk


class BandCheck(NamedTuple):
    """Expected gains of a unit bought at every date, against what buying and selling cost.

    Args:
        gain: `E[DH]`, `(T, D)`, money.
        stderr: Its weighted standard error.
        lower: `-E[cost of selling]`, money.
        upper: `E[cost of buying]`, money.
        excess: By how much the gain lies outside the band, in standard errors of (gain - edge);
            at most zero inside.
    """

    gain: np.ndarray
    stderr: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    excess: np.ndarray

    def share_inside(self, errors=2.5):
        """Share of (date, instrument) pairs no more than `errors` standard errors outside."""
        return float(np.mean(self.excess <= errors))


def band_check(paths, weights=None):
    """Expected gains `E[DH]` of every instrument and date against the cost band.

    Args:
        paths: `TradedPaths`.
        weights: Density of the measure on the paths, `(N,)`, normalised here; equal for P.

    Returns:
        A `BandCheck`. Standard errors are those of the self-normalised estimator.
    """
    weights = sample_weights(weights, len(paths), "weights")
    dates = paths.shape[1:]
    # for the gain, the gain less the cost of buying, and the loss less the cost of selling
    first = np.zeros((3, *dates))
    second, mixed = np.zeros_like(first), np.zeros_like(first)
    for part in paths.parts(max(1, _CHUNK // int(np.prod(dates)))):
        gain = paths.gain_of(part)
        buy, sell = paths.spread_of(part)
        w = weights[part]
        for index, value in enumerate((gain, gain - buy, -gain - sell)):
            flat = value.reshape(len(w), -1)
            first[index] += (w @ flat).reshape(dates)
            mixed[index] += (w**2 @ flat).reshape(dates)
            second[index] += (w**2 @ flat**2).reshape(dates)
    rows = len(paths)
    squares = np.sum(weights**2)
    # sum_n w_n^2 (x_n - mean)^2
    variance = np.maximum(second - 2 * first * mixed + first**2 * squares, 0.0)
    errors = np.sqrt(variance * rows / max(rows - 1, 1))
    gain, above, below = first
    outside = np.stack([above, below])
    # in units of rounding where nothing is random
    floor = 1e-12 * np.maximum(1.0, np.abs(gain))
    excess = (outside / np.maximum(errors[1:], floor)).max(0)
    return BandCheck(gain, errors[0], gain + below, gain - above, excess)


def estimate(measure, sample, weights=None, **parameters):
    """`{"value", "stderr"}` of a statistic of a weighted sample.

    Args:
        measure: As for `hedgezoo.losses.standard_error`.
        sample: `(N,)`.
        weights: `(N,)` or None.
        **parameters: Of the measure.
    """
    if callable(measure):
        value = measure(sample, weights=weights, **parameters)
    else:
        value = np.average(sample, weights=weights)
    return {
        "value": float(value),
        "stderr": standard_error(measure, sample, weights=weights, **parameters),
    }


def certainty_equivalent(gains, weights=None, risk_aversion=1.0):
    """`-log E[exp(-a G)] / a` with its standard error, money."""
    risk = estimate(entropic_risk, gains, weights, risk_aversion=risk_aversion)
    return {"value": -risk["value"], "stderr": risk["stderr"]}


def relative_entropy(log_density, weights=None):
    """`H(Q|P) = E_Q[log dQ/dP]` from log densities up to a constant, with its standard error.

    Args:
        log_density: `(N,)`.
        weights: Of the paths under P, `(N,)`; equal for None.
    """
    return estimate(_entropy, np.asarray(log_density, np.float64), weights)


def _entropy(log_density, weights=None):
    x = tf.convert_to_tensor(log_density, tf.float64)
    p = tf.ones_like(x) if weights is None else tf.cast(weights, tf.float64)
    p = p / tf.reduce_sum(p)
    top = tf.reduce_max(x)
    mass = p * tf.exp(x - top)
    total = tf.reduce_sum(mass)
    return tf.reduce_sum(mass * (x - top)) / total - tf.math.log(total)


def effective_sample_share(log_density, weights=None):
    """`(sum p D)^2 / (sum p) (sum p D^2)`: how large a part of the sample decides; and its error.

    Args:
        log_density: `(N,)`, up to a constant.
        weights: Of the paths under P, `(N,)`; equal for None.
    """
    return estimate(_share, np.asarray(log_density, np.float64), weights)


def _share(log_density, weights=None):
    x = tf.convert_to_tensor(log_density, tf.float64)
    p = tf.ones_like(x) if weights is None else tf.cast(weights, tf.float64)
    mass = tf.exp(x - tf.reduce_max(x))
    return tf.reduce_sum(p * mass) ** 2 / (tf.reduce_sum(p) * tf.reduce_sum(p * mass**2))


def density(log_density, weights=None):
    """`dQ/dP` on the paths with mean one under their weights, `(N,)` float64."""
    x = np.asarray(log_density, np.float64)
    mass = np.exp(x - x.max())
    return mass / np.average(mass, weights=weights)


def paired_difference(gains, others, risk_aversion=1.0, weights=None):
    """Certainty equivalent of `gains` less that of `others` on the same paths, with its error."""
    values, terms = [], []
    for sample in (gains, others):
        values.append(-entropic_risk(sample, risk_aversion, weights=weights))
        terms.append(influence(entropic_risk, sample, weights, risk_aversion=risk_aversion))
    p = sample_weights(weights, len(terms[0]))
    rows = len(p)
    error = np.sqrt(np.sum((p * (terms[0] - terms[1])) ** 2) * rows / (rows - 1))
    return {"value": values[0] - values[1], "stderr": float(error)}
