"""The evaluation functions are what they claim to be: risk measures, exact on a sample."""

from statistics import NormalDist

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import losses
from hedgezoo.losses import (
    cvar,
    effective_sample_size,
    entropic_risk,
    isoelastic_risk,
    mean_variance,
    optimized_certainty_equivalent,
    quadratic_cvar,
    value_at_risk,
)


def kinked(t):
    return tf.minimum(2.0 * t, 0.5 * t)


MEASURES = {
    "entropic": lambda x, **k: entropic_risk(x, 3.0, **k),
    "entropic, extreme": lambda x, **k: entropic_risk(x, 1e6, **k),
    "cvar": lambda x, **k: cvar(x, 0.9, **k),
    "cvar, low": lambda x, **k: cvar(x, 0.2, **k),
    "value at risk": lambda x, **k: value_at_risk(x, 0.9, **k),
    "mean-variance": lambda x, **k: mean_variance(x, 2.0, **k),
    "quadratic cvar": lambda x, **k: quadratic_cvar(x, 0.7, **k),
    "quadratic cvar, high": lambda x, **k: quadratic_cvar(x, 0.95, **k),
    "isoelastic": lambda x, **k: isoelastic_risk(x, 3.0, 20.0, **k),
    "isoelastic, below 1": lambda x, **k: isoelastic_risk(x, 0.5, 20.0, **k),
    "isoelastic, log": lambda x, **k: isoelastic_risk(x, 1.0, 20.0, **k),
    "oce, hyperbolic": lambda x, **k: optimized_certainty_equivalent(
        x, "hyperbolic", risk_aversion=2.0, **k
    ),
    "oce, quadratic": lambda x, **k: optimized_certainty_equivalent(x, "quadratic", **k),
    "oce, kinked": lambda x, **k: optimized_certainty_equivalent(x, kinked, **k),
}
NOT_MONOTONE = {"mean-variance"}
NOT_CONVEX = {"value at risk"}
NOT_CASH_INVARIANT = {n for n in MEASURES if n.startswith("isoelastic")}
COHERENT = {"cvar", "cvar, low", "quadratic cvar", "quadratic cvar, high", "oce, kinked"}


def samples(count=5, paths=40):
    rng = np.random.default_rng(1)
    for i in range(count):
        scale = 10.0 ** rng.uniform(-1.5, 0.3)
        yield scale * (rng.standard_t(5, paths) if i % 2 else rng.uniform(-1, 1, paths))


def close(a, b):
    return a == pytest.approx(b, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", sorted(set(MEASURES) - NOT_MONOTONE))
def test_monotone(name):
    rng = np.random.default_rng(2)
    for x in samples():
        better = x + rng.exponential(size=x.shape) * rng.integers(0, 2, x.shape)
        assert MEASURES[name](better) <= MEASURES[name](x) + 1e-9


def test_mean_variance_is_not_monotone():
    # why the monotone relative exists: a free gain may raise the risk
    x, better = [0.0, 1.0], [0.0, 9.0]
    assert mean_variance(better, 2.0) > mean_variance(x, 2.0)
    monotone = [optimized_certainty_equivalent(v, "quadratic") for v in (x, better)]
    assert monotone[1] <= monotone[0]


@pytest.mark.parametrize("name", sorted(set(MEASURES) - NOT_CONVEX))
def test_convex(name):
    measure, previous = MEASURES[name], None
    for x in samples():
        if previous is not None:
            for share in (0.25, 0.5):
                mixed = measure(share * x + (1 - share) * previous)
                assert mixed <= share * measure(x) + (1 - share) * measure(previous) + 1e-9
        previous = x


@pytest.mark.parametrize("name", sorted(set(MEASURES) - NOT_CASH_INVARIANT))
def test_cash_invariant(name):
    for x in samples(4):
        assert close(MEASURES[name](x + 1.7), MEASURES[name](x) - 1.7)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("amount", [-2.5, 0.0, 0.3])
def test_cash_equivalent(name, amount):
    assert close(MEASURES[name](np.full(7, amount)), -amount)


@pytest.mark.parametrize("name", MEASURES)
def test_risk_is_itself_a_cash_equivalent(name):
    for x in samples(3):
        risk = MEASURES[name](x)
        assert close(MEASURES[name](np.full(5, -risk)), risk)


@pytest.mark.parametrize("name", sorted(COHERENT))
def test_positively_homogeneous(name):
    for x in samples(4):
        assert close(MEASURES[name](3.5 * x), 3.5 * MEASURES[name](x))


@pytest.mark.parametrize("name", MEASURES)
def test_law_invariant(name):
    rng = np.random.default_rng(3)
    measure = MEASURES[name]
    for x in samples(4, paths=12):
        counts = rng.integers(0, 4, x.shape)
        repeated = rng.permutation(np.repeat(x, counts))
        assert close(measure(x, weights=counts), measure(repeated))
        assert close(measure(x, weights=0.1 * counts), measure(repeated))


@pytest.mark.parametrize("name", MEASURES)
def test_between_mean_and_worst_loss(name):
    for x in samples(4):
        risk = MEASURES[name](x)
        if name != "value at risk":
            assert risk >= -x.mean() - 1e-9
        if name not in NOT_MONOTONE:
            assert risk <= -x.min() + 1e-9


def test_cvar_adds_up_on_comonotone_outcomes():
    for x in samples():
        a, b = np.exp(x), np.minimum(x, 0.1)
        for level in (0.3, 0.9):
            assert close(cvar(a + b, level), cvar(a, level) + cvar(b, level))


def test_cvar_splits_the_boundary_path():
    x = np.array([-4.0, -1.0, 0.0, 2.0])
    assert close(cvar(x, 0.9), 4.0)
    assert close(cvar(x, 0.75), 4.0)
    assert close(cvar(x, 0.6), (0.25 * 4 + 0.15 * 1) / 0.4)
    assert close(cvar(x, 0.6, weights=[1, 5, 2, 2]), (0.1 * 4 + 0.3 * 1) / 0.4)


def test_cvar_is_the_minimum_of_rockafellar_and_uryasev():
    for x in samples():
        for level in (0.13, 0.5, 0.95):
            candidates = -x  # the minimum is at a sample point
            excess = np.maximum(-x[:, None] - candidates, 0.0).mean(axis=0)
            values = candidates + excess / (1.0 - level)
            assert close(cvar(x, level), values.min())
            quantile = value_at_risk(x, level)
            attained = quantile + np.maximum(-x - quantile, 0.0).mean() / (1.0 - level)
            assert close(attained, values.min())


def test_value_at_risk_is_the_lower_quantile():
    for x in samples(4, paths=20):
        for level in (0.05, 0.5, 0.9, 0.95, 0.951):  # 20 * 0.9 is an integer: rounding matters
            expected = np.quantile(-x, level, method="inverted_cdf")
            assert value_at_risk(x, level) == expected


def test_limits_in_the_parameter():
    for x in samples(4):
        mean, worst = -x.mean(), -x.min()
        assert entropic_risk(x, 1e-13) == pytest.approx(mean, rel=1e-12, abs=1e-12)
        assert entropic_risk(x, 1e-6) == pytest.approx(mean + 5e-7 * x.var(), abs=1e-10)
        assert entropic_risk(x, 1e9) == pytest.approx(worst, abs=1e-6)
        assert cvar(x, 1e-12) == pytest.approx(mean, abs=1e-9)
        assert cvar(x, 1 - 1e-9) == pytest.approx(worst, abs=1e-9)
        assert quadratic_cvar(x, 1e-9) == pytest.approx(mean, abs=1e-3)
        assert quadratic_cvar(x, 0.9) == worst  # 40 paths < 1 / (1 - 0.9)^2
        rich = isoelastic_risk(x, 2.0, 1e7)
        assert rich == pytest.approx(mean, abs=1e-6 * (1 + x.var()))


def test_nothing_overflows():
    x = np.array([-1e4, -3.0, 0.0, 1e4])
    for a in (1e-8, 1.0, 1e4, 1e8):
        assert -x.mean() <= entropic_risk(x, a) <= 1e4
    assert entropic_risk(x, 1e6) == pytest.approx(1e4)
    tiny_weight = entropic_risk(x, 1.0, weights=[0.0, 1.0, 1.0, 1.0])
    assert tiny_weight == pytest.approx(entropic_risk(x[1:], 1.0))
    assert isoelastic_risk([-0.999999, 5.0], 200.0) == pytest.approx(0.999999, abs=1e-6)
    assert np.isfinite(optimized_certainty_equivalent(x, "exponential", risk_aversion=100.0))


def test_gaussian_closed_forms():
    normal = NormalDist()
    n = 40_000
    z = np.array([normal.inv_cdf((i + 0.5) / n) for i in range(n)])
    mu, sigma, a = 0.1, 0.3, 2.0
    x = mu + sigma * z
    exact = -mu + a * sigma**2 / 2
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    assert close(entropic_risk(mu + sigma * nodes, a, weights=weights), exact)
    assert close(mean_variance(mu + sigma * nodes, a, weights=weights), exact)
    assert entropic_risk(x, a) == pytest.approx(exact, abs=1e-4)
    for level in (0.5, 0.95):
        q = normal.inv_cdf(level)
        assert value_at_risk(x, level) == pytest.approx(-mu + sigma * q, abs=1e-3)
        expected = -mu + sigma * normal.pdf(q) / (1 - level)
        assert cvar(x, level) == pytest.approx(expected, abs=1e-4)
    # log W is Gaussian: the certainty equivalent of a lognormal wealth
    for a in (0.5, 1.0, 4.0):
        w = np.exp(mu + sigma * nodes) - 1.0
        expected = 1.0 - np.exp(mu + (1 - a) * sigma**2 / 2)
        assert close(isoelastic_risk(w, a, weights=weights), expected)


def test_entropic_risk_is_its_dual():
    # rho(X) = max_Q E_Q[-X] - H(Q | P) / a, attained at dQ/dP ~ exp(-a X)
    rng, a = np.random.default_rng(4), 2.0
    for x in samples(4):
        q = np.exp(-a * (x - x.min()))
        q /= q.sum()
        entropy = np.sum(q * np.log(q * len(x)))
        assert close(entropic_risk(x, a), -q @ x - entropy / a)
        other = rng.dirichlet(np.ones(len(x)))
        bound = -other @ x - np.sum(other * np.log(other * len(x))) / a
        assert bound <= entropic_risk(x, a)


def test_relations_between_measures():
    for x in samples():
        for a in (0.1, 1.0, 30.0):
            exponential = optimized_certainty_equivalent(x, "exponential", risk_aversion=a)
            assert close(exponential, entropic_risk(x, a))
        for level in (0.2, 0.9):
            as_utility = optimized_certainty_equivalent(
                x, lambda t, level=level: tf.minimum(t, 0.0) / (1.0 - level)
            )
            assert close(as_utility, cvar(x, level))
            assert quadratic_cvar(x, level) >= cvar(x, level) - 1e-12
        # where nobody gains more than 1/a the truncated quadratic is mean-variance
        a = 0.9 / (x.max() - x.mean())
        monotone = optimized_certainty_equivalent(x, "quadratic", risk_aversion=a)
        assert close(monotone, mean_variance(x, a))


def test_quadratic_cvar_is_the_minimum():
    for x in samples(6, paths=200):
        for level in (0.1, 0.5, 0.85):
            w = np.linspace(-x.max() - 3 * x.std(), -x.min(), 20_001)
            excess = np.sqrt((np.maximum(-x[:, None] - w, 0.0) ** 2).mean(axis=0))
            best = (w + excess / (1.0 - level)).min()
            value = quadratic_cvar(x, level)
            assert value <= best + 1e-12
            assert value == pytest.approx(best, abs=1e-5 * x.std())


def test_effective_sample_size():
    assert effective_sample_size(np.zeros(100), 50.0) == pytest.approx(100.0)
    assert effective_sample_size([-1.0, 0.0, 0.0], 1e4) == pytest.approx(1.0)
    x = np.random.default_rng(5).normal(size=500)
    q = np.exp(-x)
    assert effective_sample_size(x, 1.0) == pytest.approx(q.sum() ** 2 / (q**2).sum())
    assert effective_sample_size([-1e9, 2.0, 2.0], 1.0, weights=[0, 1, 1]) == pytest.approx(2.0)


# extreme: finite differences are too coarse there; kinked: one-sided on the boundary path
DIFFERENTIABLE = sorted(set(MEASURES) - {"value at risk", "entropic, extreme", "oce, kinked"})


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient_matches_finite_differences(name):
    measure, h = MEASURES[name], 1e-6
    x = np.random.default_rng(6).normal(size=9)
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = measure(tensor)
    assert tf.is_tensor(value)
    assert float(value) == measure(x)
    gradient = tape.gradient(value, tensor).numpy()
    numeric = [(measure(x + h * e) - measure(x - h * e)) / (2 * h) for e in np.eye(len(x))]
    np.testing.assert_allclose(gradient, numeric, atol=2e-7)


@pytest.mark.parametrize("name", MEASURES)
def test_tensors_keep_their_dtype_and_compile(name):
    x = tf.constant(np.random.default_rng(7).normal(size=25), tf.float32)
    compiled = tf.function(MEASURES[name], input_signature=[tf.TensorSpec([None], tf.float32)])
    assert compiled(x).dtype == tf.float32
    assert float(compiled(x)) == pytest.approx(MEASURES[name](x.numpy()), rel=1e-6)


def test_arrays_give_python_floats():
    for measure in MEASURES.values():
        assert type(measure(np.float32([0.5, 1.0]))) is float
    assert entropic_risk([1, 2, 3], 1) == entropic_risk([1.0, 2.0, 3.0], 1.0)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    ("pnl", "weights", "message"),
    [
        ([1.0, np.nan, np.inf], None, "`pnl` must be finite.*2 NaN or infinite.*index 1"),
        ([[1.0], [2.0]], None, r"`pnl` must have shape \(N,\).*\(2, 1\)"),
        ([], None, "at least one path"),
        (["a"], None, "real numbers"),
        ([1.0, 2.0], [1.0], r"weights.shape=\(1,\), pnl.shape=\(2,\)"),
        ([1.0, 2.0], [1.0, -1.0], "must not be negative"),
        ([1.0, 2.0], [0.0, 0.0], "nor all zero"),
    ],
)
def test_bad_samples_are_refused(name, pnl, weights, message):
    with pytest.raises(ValueError, match=message):
        MEASURES[name](pnl, weights=weights)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, [1.0]])
@pytest.mark.parametrize("measure", [entropic_risk, mean_variance, isoelastic_risk])
def test_bad_risk_aversions_are_refused(measure, value):
    with pytest.raises(ValueError, match=r"`risk_aversion` must be a positive.*Received"):
        measure([1.0], value)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1.5, np.nan])
@pytest.mark.parametrize("measure", [cvar, value_at_risk, quadratic_cvar])
def test_bad_levels_are_refused(measure, value):
    with pytest.raises(ValueError, match="`level` must lie strictly between 0 and 1"):
        measure([1.0], value)


def test_ruin_is_refused():
    with pytest.raises(ValueError, match=r"positive on every path.*smallest pnl -2"):
        isoelastic_risk([-2.0, 1.0], 1.0, 2.0)
    with pytest.raises(ValueError, match="`initial_wealth` must be a positive"):
        isoelastic_risk([1.0], 1.0, 0.0)


@pytest.mark.parametrize(
    "utility",
    [
        "exponentail",
        3,
        lambda t: 2.0 * t - t * t,
        lambda t: 1.0 + t,
        lambda t: t + 0.1 * t * t,
        lambda t: 3.0 * tf.minimum(t, 0.0) + 1.1 * tf.maximum(t, 0.0),
    ],
    ids=["unknown name", "number", "slope", "offset", "convex", "kink"],
)
def test_bad_utilities_are_refused(utility):
    with pytest.raises(ValueError, match=r"`utility` must be .*Received"):
        optimized_certainty_equivalent([1.0], utility)


def test_every_public_name_is_there():
    for name in losses.__all__:
        assert callable(getattr(losses, name))
