"""Influence functions against textbook formulas, and standard errors against repetition."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.losses import (
    cvar,
    entropic_risk,
    influence,
    isoelastic_risk,
    mean_variance,
    optimized_certainty_equivalent,
    quadratic_cvar,
    standard_error,
    value_at_risk,
)

X = np.random.default_rng(0).normal(0.1, 0.4, size=400)


def test_mean_is_the_classical_formula():
    classical = X.std(ddof=1) / np.sqrt(len(X))
    assert standard_error("mean", X) == pytest.approx(classical, rel=1e-12)


def test_influences_of_textbooks():
    centred = X - X.mean()
    np.testing.assert_allclose(influence("mean", X), centred, atol=1e-12)
    expected = (centred**2 - X.var()) / (2 * X.std())
    np.testing.assert_allclose(influence("std", X), expected, atol=1e-12)
    tilted = np.exp(-3.0 * X)
    expected = (tilted / tilted.mean() - 1) / 3.0
    np.testing.assert_allclose(influence(entropic_risk, X, risk_aversion=3.0), expected, atol=1e-10)
    # 1 - level = 20.5 paths: the boundary path is the value at risk
    level = 1 - 20.5 / 400
    var = value_at_risk(X, level)
    expected = var + np.maximum(-X - var, 0) / (1 - level) - cvar(X, level)
    np.testing.assert_allclose(influence(cvar, X, level=level), expected, atol=1e-10)


MEASURES = [
    (entropic_risk, {"risk_aversion": 2.0}),
    (cvar, {"level": 0.9}),
    (mean_variance, {"risk_aversion": 2.0}),
    (quadratic_cvar, {"level": 0.5}),
    (isoelastic_risk, {"risk_aversion": 3.0, "initial_wealth": 5.0}),
    (optimized_certainty_equivalent, {"utility": "hyperbolic"}),
]


@pytest.mark.parametrize(("measure", "parameters"), MEASURES)
def test_influence_is_the_effect_of_more_weight(measure, parameters):
    weights = np.random.default_rng(1).uniform(0.5, 1.5, X.shape)
    terms = influence(measure, X, weights, **parameters)
    assert weights @ terms == pytest.approx(0.0, abs=1e-9 * weights.sum())
    h = 1e-5
    for i in (0, int(X.argmin()), int(X.argmax())):
        p = weights / weights.sum()
        direction = h * (np.eye(len(X))[i] - p)
        up, down = (measure(X, weights=p + s * direction, **parameters) for s in (1, -1))
        numeric = (up - down) / (2 * h)
        assert terms[i] == pytest.approx(numeric, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("measure", "parameters"), MEASURES[:4])
def test_standard_error_is_the_scatter_of_repeated_samples(measure, parameters):
    rng = np.random.default_rng(2)
    repeats = rng.normal(0.1, 0.4, size=(80, 1000))
    scatter = np.std([measure(x, **parameters) for x in repeats], ddof=1)
    estimate = np.mean([standard_error(measure, x, **parameters) for x in repeats[:5]])
    assert estimate == pytest.approx(scatter, rel=0.3)  # nearly 4 standard errors of the scatter


def test_weights_are_those_of_importance_sampling():
    w = np.exp(0.7 * X)
    p = w / w.sum()
    mean = p @ X
    expected = np.sqrt(np.sum((p * (X - mean)) ** 2) * len(X) / (len(X) - 1))
    assert standard_error("mean", X, weights=w) == pytest.approx(expected, rel=1e-12)


def test_groups_count_as_one_draw():
    z = np.random.default_rng(3).normal(size=300)
    pairs = np.concatenate([z, -z])
    ids = np.concatenate([np.arange(300), np.arange(300)]) + 5
    assert standard_error("mean", pairs, groups=ids) == pytest.approx(0.0, abs=1e-15)
    assert standard_error("mean", pairs) > 0.03
    doubled = np.concatenate([z, z])
    expected = standard_error("mean", z)
    assert standard_error("mean", doubled, groups=ids) == pytest.approx(expected, rel=1e-12)


def test_common_paths_make_differences_sharp():
    better = X + 0.01
    difference = influence(cvar, better, level=0.9) - influence(cvar, X, level=0.9)
    assert np.std(difference) < 1e-10


def test_own_measures():
    def semideviation(pnl, weights):
        p = weights / tf.reduce_sum(weights)
        return tf.sqrt(tf.reduce_sum(p * tf.nn.relu(-pnl) ** 2))

    value = np.sqrt(np.mean(np.minimum(X, 0) ** 2))
    expected = (np.minimum(X, 0) ** 2 - value**2) / (2 * value)
    np.testing.assert_allclose(influence(semideviation, X), expected, atol=1e-12)


def test_errors():
    with pytest.raises(ValueError, match=r"must be a callable or one of .*Received: 'median'"):
        influence("median", X)
    with pytest.raises(ValueError, match="differentiable in the weights"):
        standard_error(value_at_risk, X, level=0.9)
    with pytest.raises(ValueError, match="at least two independent draws"):
        standard_error("mean", [1.0])
    with pytest.raises(ValueError, match=r"groups.shape=\(2,\), pnl.shape=\(3,\)"):
        standard_error("mean", [1.0, 2.0, 3.0], groups=[0, 1])
    with pytest.raises(ValueError, match="`pnl` must be finite"):
        standard_error(cvar, [1.0, np.nan], level=0.5)
    with pytest.raises(ValueError, match="nor all zero"):
        standard_error("mean", [1.0, 2.0], weights=[0.0, 0.0])
