"""Losses with a trained intercept: values, gradients and convergence, without a model."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import brentq

from hedgezoo.losses import (
    CVaR,
    EntropicRisk,
    IsoelasticLoss,
    MeanVariance,
    OptimizedCertaintyEquivalent,
    QuadraticCVaR,
    cvar,
    entropic_risk,
    isoelastic_risk,
    mean_variance,
    optimized_certainty_equivalent,
    quadratic_cvar,
    value_at_risk,
)


@keras.saving.register_keras_serializable(package="hedgezoo_tests")
def cautious(t):
    return tf.minimum(2.0 * t, 0.5 * t)


def entropic_intercept(x):
    return (entropic_risk(x, 3.0),)


def quadratic_intercept(x, level=0.6):
    def balance(w):
        y = np.maximum(-x - w, 0)
        return y.mean() - (1 - level) * np.sqrt((y**2).mean())

    w = brentq(balance, -x.max() - 9 * np.ptp(x), -x.min() - 1e-9 * np.ptp(x), xtol=1e-14)
    return w, np.sqrt((np.maximum(-x - w, 0) ** 2).mean()), 1.0


def hyperbolic_intercept(x):
    def excess(w):
        t = 2.0 * (x + w)
        return np.mean(1 - t / np.sqrt(1 + t * t)) - 1

    return brentq(excess, -x.max(), -x.min(), xtol=1e-14), 1.0


# name: the loss, its evaluation function, the best state for a sample
LOSSES = {
    "entropic": (
        lambda **k: EntropicRisk(3.0, **k),
        lambda x, **k: entropic_risk(x, 3.0, **k),
        entropic_intercept,
    ),
    "mean-variance": (
        lambda **k: MeanVariance(3.0, **k),
        lambda x, **k: mean_variance(x, 3.0, **k),
        lambda x: (-x.mean(),),
    ),
    "cvar": (
        lambda **k: CVaR(0.9, **k),
        lambda x, **k: cvar(x, 0.9, **k),
        lambda x: (value_at_risk(x, 0.9), 1.0),
    ),
    "quadratic cvar": (
        lambda **k: QuadraticCVaR(0.6, **k),
        lambda x, **k: quadratic_cvar(x, 0.6, **k),
        quadratic_intercept,
    ),
    "oce": (
        lambda **k: OptimizedCertaintyEquivalent("hyperbolic", 2.0, **k),
        lambda x, **k: optimized_certainty_equivalent(x, "hyperbolic", risk_aversion=2.0, **k),
        hyperbolic_intercept,
    ),
}
CLOSED_FORM = ["entropic", "mean-variance"]
X = np.random.default_rng(0).standard_t(6, size=200) * 0.5 + 0.3


def step(loss, x, weights=None):
    """Value and gradient with respect to the gains; moves the intercept."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(tf.zeros_like(x), x, sample_weight=weights)
    return float(value), tape.gradient(value, x).numpy()


def set_state(loss, *state):
    for variable, value in zip(loss.variables, (*state, 1), strict=True):
        variable.assign(value)


def gradient_of(measure, x, **parameters):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = measure(x, **parameters)
    return tape.gradient(value, x).numpy()


@pytest.mark.parametrize("name", LOSSES)
def test_at_the_best_intercept_value_and_gradient_are_those_of_the_measure(name):
    make, measure, best = LOSSES[name]
    loss = make(dtype="float64")
    set_state(loss, *best(X))
    value, gradient = step(loss, X)
    assert value == pytest.approx(measure(X), rel=1e-12)
    np.testing.assert_allclose(gradient, gradient_of(measure, X), atol=1e-9)
    # the best intercept stays where it is
    assert loss.intercept == pytest.approx(best(X)[0], abs=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_off_the_best_intercept_the_value_is_an_upper_bound(name):
    make, measure, best = LOSSES[name]
    for shift in (-0.7, 0.1, 2.0):
        loss = make(dtype="float64")
        w, *rest = best(X)
        set_state(loss, w + shift, *rest)
        assert float(loss(np.zeros_like(X), X)) > measure(X)


@pytest.mark.parametrize("name", LOSSES)
def test_values_are_per_path(name, check_loss):
    loss = LOSSES[name][0]()
    step(loss, X.astype("float32"))
    check_loss(loss, np.zeros_like(X), X)
    check_loss(loss, X, np.zeros_like(X))


def test_values_are_those_before_the_update():
    w, a = 0.25, 3.0
    loss = EntropicRisk(a, dtype="float64")
    set_state(loss, w)
    with tf.GradientTape() as tape:
        x = tf.constant(X)
        tape.watch(x)
        values = loss.call(tf.zeros_like(x), x)
    tape.gradient(values, x)
    np.testing.assert_allclose(values, w + np.expm1(-a * (X + w)) / a, rtol=1e-12)
    assert loss.intercept != w
    level = 0.9
    loss = CVaR(level, dtype="float64")
    set_state(loss, w, 1.0)
    expected = w + np.maximum(-X - w, 0) / (1 - level)
    np.testing.assert_allclose(loss.call(np.zeros_like(X), X), expected, rtol=1e-12)


@pytest.mark.parametrize("name", CLOSED_FORM)
@pytest.mark.parametrize("start", [None, -40.0, 40.0])
def test_closed_forms_are_exact_after_one_step_from_anywhere(name, start):
    make, measure, best = LOSSES[name]
    weights = np.random.default_rng(1).integers(0, 3, X.shape).astype("float64")
    repeated = np.repeat(X, weights.astype(int))
    loss = make(dtype="float64")
    if start is not None:
        set_state(loss, start)
    _, gradient = step(loss, X, weights)
    assert loss.intercept == pytest.approx(best(repeated)[0], rel=1e-12)
    expected = gradient_of(measure, X, weights=weights) * weights.mean()
    np.testing.assert_allclose(gradient, expected, atol=1e-12)
    value, _ = step(loss, repeated)
    assert value == pytest.approx(measure(repeated), rel=1e-12)


@pytest.mark.parametrize("a", [1.0, 50.0, 1e4])
def test_the_first_gradient_has_the_right_size_at_any_risk_aversion(a):
    x = (X * 0.1 - 5.0).astype("float32")
    loss = EntropicRisk(a)
    value, gradient = step(loss, x)
    assert value == pytest.approx(entropic_risk(x, a), rel=1e-5)
    assert gradient.sum() == pytest.approx(-1.0, rel=0.01)
    assert (gradient <= 0).all()


def test_large_risk_aversion_does_not_overflow_float32():
    loss = EntropicRisk(1e4)
    step(loss, (X * 0.01).astype("float32"))
    bad = (X - 30.0).astype("float32")
    value, gradient = step(loss, bad)
    assert math.isfinite(value)
    assert value > 30.0
    assert gradient.sum() == pytest.approx(-1.0, rel=0.05)
    value, _ = step(loss, bad)
    assert value == pytest.approx(entropic_risk(bad, 1e4), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_intercept_moves_only_with_a_gradient(name):
    loss = LOSSES[name][0]()
    zeros = np.zeros_like(X)
    assert loss.intercept is None
    loss(zeros, X)
    assert loss.intercept is None
    step(loss, X.astype("float32"))
    before = [v.numpy() for v in loss.variables]
    loss(zeros, X + 3.0)
    tf.function(loss)(zeros, X - 3.0)
    assert [v.numpy() for v in loss.variables] == before
    loss.reset()
    assert loss.intercept is None
    assert all(v.numpy() == 0 for v in loss.variables)


@pytest.mark.parametrize("name", LOSSES)
def test_paths_without_weight_teach_nothing(name):
    make = LOSSES[name][0]
    loss, other = make(dtype="float64"), make(dtype="float64")
    step(loss, X)
    before = [v.numpy() for v in loss.variables]
    step(loss, X + 1.0, np.zeros_like(X))
    step(loss, np.where(X > 0, X, np.nan))
    assert [v.numpy() for v in loss.variables] == before
    # as if they were not there, in a trained state
    step(other, X)
    weights = (X > 0).astype("float64")
    step(loss, np.where(X > 0, X, -50.0), weights)
    step(other, X[X > 0])
    np.testing.assert_allclose(
        [v.numpy() for v in loss.variables], [v.numpy() for v in other.variables], rtol=1e-12
    )


@pytest.mark.parametrize("name", LOSSES)
def test_scaling_the_objective_does_not_move_the_intercept(name):
    # loss scaling, gradient ascent, averaging over replicas: only ratios of weights count
    make = LOSSES[name][0]
    states = []
    for factor in (1.0, 2.0**15, -1e-3):
        loss = make(dtype="float64")
        x = tf.constant(X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = factor * loss(tf.zeros_like(x), x)
        tape.gradient(value, x)
        states.append([v.numpy() for v in loss.variables])
    np.testing.assert_allclose(states[1], states[0], rtol=1e-12)
    np.testing.assert_allclose(states[2], states[0], rtol=1e-12)


NOISY = {
    "cvar": (lambda: CVaR(0.95), lambda x: cvar(x, 0.95)),
    "cvar, low": (lambda: CVaR(0.2), lambda x: cvar(x, 0.2)),
    "quadratic cvar": (lambda: QuadraticCVaR(0.8), lambda x: quadratic_cvar(x, 0.8)),
    "oce": (
        lambda: OptimizedCertaintyEquivalent("hyperbolic", 1.0),
        lambda x: optimized_certainty_equivalent(x, "hyperbolic"),
    ),
    "oce, kinked": (
        lambda: OptimizedCertaintyEquivalent(cautious),
        lambda x: optimized_certainty_equivalent(x, cautious),
    ),
}


@pytest.mark.parametrize("name", NOISY)
@pytest.mark.parametrize(("scale", "shift"), [(1e-3, 0.0), (1.0, 5.0), (100.0, -1000.0)])
def test_intercept_converges_on_small_batches(name, scale, shift):
    make, measure = NOISY[name]
    rng = np.random.default_rng(2)
    loss = make()
    train = tf.function(
        lambda x: tf.gradients(loss(tf.zeros_like(x), x), x)[0],
        input_signature=[tf.TensorSpec([64], tf.float32)],
    )
    sizes = []
    for _ in range(400):
        gradient = train((scale * rng.standard_t(5, size=64) + shift).astype("float32"))
        sizes.append(-float(tf.reduce_sum(gradient)))
    x = (scale * rng.standard_t(5, size=50_000) + shift).astype("float32")
    excess = float(loss(np.zeros_like(x), x)) - measure(x)
    assert -1e-4 * scale - 1e-6 * abs(shift) <= excess < 0.02 * scale
    assert np.mean(sizes[200:]) == pytest.approx(1.0, abs=0.1)  # d rho(X + c) / dc = -1


def test_intercept_follows_outcomes_that_become_much_worse():
    # slopes that stay exponentially wrong for many steps would ruin an adaptive optimizer
    loss = OptimizedCertaintyEquivalent("exponential", risk_aversion=50.0, dtype="float64")
    for _ in range(5):
        step(loss, 0.01 * X)
    loss.variables[-1].assign(1000)  # as after a long training: hardly any gain left
    _, gradient = step(loss, 0.01 * X - 1.0)
    assert gradient.sum() == pytest.approx(-1.0, abs=0.5)


def test_backward_pass_in_its_own_graph_still_trains():
    loss = CVaR(0.9)
    inner = tf.function(lambda x: loss(tf.zeros_like(x), x))
    x = tf.constant(X, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = inner(x)
    assert loss.intercept is None
    tape.gradient(value, x)
    assert loss.intercept is not None


@pytest.mark.parametrize("name", LOSSES)
def test_xla_gives_the_same(name):
    make = LOSSES[name][0]
    plain, compiled = make(), make()
    x = X.astype("float32")
    expected = step(plain, x)

    @tf.function(jit_compile=True)
    def xla(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = compiled(tf.zeros_like(x), x)
        return value, tape.gradient(value, x)

    value, gradient = xla(tf.constant(x))
    assert float(value) == pytest.approx(expected[0], rel=1e-5)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-6)
    assert compiled.intercept == pytest.approx(plain.intercept, abs=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(dtype):
    for make, measure, _ in LOSSES.values():
        loss = make(dtype=dtype)
        x = X.astype("float32")
        value = loss(np.zeros_like(x), x)
        assert keras.backend.standardize_dtype(value.dtype) == dtype
        assert float(value) == pytest.approx(measure(x), rel=0.05)
        assert loss.variables[0].dtype == ("float64" if dtype == "float64" else "float32")


@pytest.mark.parametrize("a", [0.5, 1.0, 3.0])
def test_isoelastic_loss(a, check_loss, gradient_check):
    w0 = 4.0
    loss = IsoelasticLoss(a, initial_wealth=w0, dtype="float64")
    mean = float(loss(np.zeros_like(X), X))
    # mean utility to certainty equivalent
    wealth = 1.0 - mean / w0 * (1 - a) if a != 1 else None
    certain = w0 * (math.exp(-mean / w0) if a == 1 else wealth ** (1 / (1 - a)))
    assert w0 - certain == pytest.approx(isoelastic_risk(X, a, w0), rel=1e-9)
    check_loss(IsoelasticLoss(a, initial_wealth=w0), np.zeros_like(X), X)
    # across the floor the loss goes on, with the slope it has there
    x = np.array([-9.0, -4.0, -3.8 - 1e-3, -3.8 + 1e-3, 0.0, 2.0])
    (gradient,) = gradient_check(lambda x: loss.call(tf.zeros_like(x), x), x)
    slopes = gradient / np.random.default_rng(0).uniform(0.5, 1.5, x.shape)
    assert (np.diff(slopes) >= -1e-9).all()
    assert slopes[4] == pytest.approx(-1.0)
    assert slopes[0] == pytest.approx(-(0.05**-a))
    assert float(loss(np.zeros(1), np.zeros(1))) == 0.0


ALL = {name: loss for name, (loss, _, _) in LOSSES.items()}
ALL["isoelastic"] = lambda **k: IsoelasticLoss(2.0, 3.0, **k)
ALL["oce, own utility"] = lambda **k: OptimizedCertaintyEquivalent(cautious, **k)


@pytest.mark.parametrize("name", ALL)
def test_config_round_trip(name):
    loss = ALL[name](dtype="float64", reduction="sum", name="mine")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.name, copy.reduction, copy.dtype) == ("mine", "sum", "float64")
    x = X[:20]
    assert float(copy(np.zeros_like(x), x)) == float(loss(np.zeros_like(x), x))


def test_lambdas_cannot_be_saved():
    loss = OptimizedCertaintyEquivalent(lambda t: tf.minimum(t, 0.5 * t))
    with pytest.raises(ValueError, match="lambda cannot be saved"):
        loss.get_config()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("y_true", "y_pred"), [((4,), (4, 1)), ((4, 1), (4, 1)), ((4,), (5,)), ((), (4,))]
)
def test_wrong_shapes_are_refused(name, y_true, y_pred):
    with pytest.raises(ValueError, match=r"both of shape \(B,\).*y_pred.shape=\(") as error:
        ALL[name]()(np.zeros(y_true), np.zeros(y_pred))
    assert f"y_true.shape={y_true}" in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EntropicRisk(0.0), "`risk_aversion` must be a positive"),
        (lambda: EntropicRisk(-1.0), "`risk_aversion` must be a positive"),
        (lambda: MeanVariance(np.inf), "`risk_aversion` must be a positive"),
        (lambda: OptimizedCertaintyEquivalent("exponential", 0.0), "`risk_aversion` must be"),
        (lambda: OptimizedCertaintyEquivalent("exp"), "one of .*'exponential'"),
        (lambda: CVaR(1.0), "`level` must lie strictly between 0 and 1"),
        (lambda: CVaR(95), "`level` must lie strictly between 0 and 1"),
        (lambda: QuadraticCVaR(0.0), "`level` must lie strictly between 0 and 1"),
        (lambda: IsoelasticLoss(1.0, -1.0), "`initial_wealth` must be a positive"),
        (lambda: IsoelasticLoss(1.0, 1.0, floor=0.0), "`floor` must lie strictly"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
