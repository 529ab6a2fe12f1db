import csv
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import (
    BatesPricer,
    HestonPricer,
    bates_call,
    bates_call_and_jacobian,
    black_scholes_call,
    heston_call,
    heston_call_and_jacobian,
    implied_volatility,
)
from hedgezoo.layers.heston import panel_blocks
from hedgezoo.layers.heston.fourier_nodes import fourier_nodes
from hedgezoo.layers.heston.lewis_integral import evaluate

REFERENCE = Path(__file__).parent / "data" / "heston_reference.csv"
NAMES = ("kappa", "theta", "xi", "rho", "v0", "T", "K_over_F", "call_over_F")
STRIKES = np.array([0.8, 0.95, 1.0, 1.2])
YEARS = np.array([0.1, 0.7, 2.0])
SAMPLE = np.array([[1.5, 0.04, 0.3, -0.7, 0.05], [4.0, 0.25, 1.0, 0.5, 0.04]])
JUMPS = np.array([[0.4, -0.1, 0.12], [1.5, 0.05, 0.02]])


@pytest.fixture(scope="module")
def reference():
    """Parameters `(7, 5)`, maturities `(7,)`, strikes `(7,)` and calls `(7, 7, 7)`."""
    with REFERENCE.open() as file:
        rows = [[float(row[name]) for name in NAMES] for row in csv.DictReader(file)]
    table = np.array(rows).reshape(7, 7, 7, 8)
    return table[:, 0, 0, :5], table[0, :, 0, 5], table[0, 0, :, 6], table[..., 7]


def boxes(size, low, high, seed=0):
    return np.random.default_rng(seed).uniform(low, high, (size, len(low)))


def training_box(size, seed=0):
    return boxes(size, [0.5, 0.02, 0.1, -0.95, 0.01], [8.0, 0.5, 1.5, -0.05, 0.4], seed)


def wide_box(size, seed=0):
    low = np.log([1e-3, 1e-5, 1e-4, 1.0, 1e-5])
    points = np.exp(boxes(size, low, np.log([30.0, 1.0, 5.0, 1.0 + 1e-9, 1.0]), seed))
    points[:, 3] = np.random.default_rng(seed + 1).uniform(-1.0, 1.0, size)
    return points


# --------------------------------------------------------------------------------------- values


def test_reference_prices(reference):
    parameters, years, strikes, calls = reference
    priced = heston_call(parameters, strikes, years)
    assert priced.dtype == tf.float64
    np.testing.assert_allclose(priced, calls, rtol=0, atol=1e-11)
    finest = heston_call(parameters, strikes, years, nodes=256)
    np.testing.assert_allclose(finest, calls, rtol=0, atol=2e-14)
    # strikes and maturities of each panel its own, one panel at a time, a single maturity
    own = heston_call(parameters, np.tile(strikes, (7, 7, 1)), np.tile(years, (7, 1)))
    np.testing.assert_allclose(own, priced, rtol=0, atol=1e-15)
    single = heston_call(parameters[2], strikes, years[3])
    np.testing.assert_allclose(single, priced[2, 3], rtol=0, atol=1e-15)


def test_vertical_contour_in_the_training_box():
    parameters, strikes = training_box(200), np.linspace(0.8, 1.2, 5)
    exact = heston_call(parameters, strikes, YEARS, nodes=256)
    vertical = heston_call(parameters, strikes, YEARS, contour="vertical")
    np.testing.assert_allclose(vertical, exact, rtol=0, atol=1e-9)
    coarse = heston_call(parameters, strikes, YEARS, contour="vertical", nodes=64)
    assert 1e-9 < np.abs(coarse - exact).max() < 1e-5


def test_lewis_prices():
    spot, rate, dividend = 100.0, 0.01, 0.02
    strikes = np.array([80.0, 90.0, 100.0, 110.0, 120.0])
    forward = spot * math.exp(rate - dividend)
    calls = heston_call([4.0, 0.25, 1.0, -0.5, 0.04], strikes / forward, 1.0)
    published = [
        26.774758743998854,
        20.933349000596710,
        16.070154917028834,
        12.132211516709845,
        9.0249134834578356,
    ]
    np.testing.assert_allclose(math.exp(-rate) * forward * calls, published, rtol=1e-13)


def test_without_volatility_of_variance_it_is_black_scholes():
    strikes, years = np.array([0.5, 0.9, 1.0, 1.1, 2.0]), np.array([0.01, 1.0, 10.0])
    for kappa, theta, v0 in ((2.0, 0.09, 0.02), (1e-9, 0.5, 0.04), (0.0, 0.5, 0.04)):
        memory = -np.expm1(-kappa * years) / kappa if kappa else years
        sigma = np.sqrt(theta + (v0 - theta) * memory / years)
        expected = black_scholes_call(strikes, years, sigma[:, None])
        calls = heston_call([kappa, theta, 0.0, -0.7, v0], strikes, years)
        np.testing.assert_allclose(calls, expected, rtol=0, atol=1e-10)
        if kappa == 2.0:  # no jump on the way to the limit: ρ tilts the smile at first order in ξ
            tilt = [heston_call([kappa, theta, xi, 0.5, v0], strikes, years) for xi in (1e-8, 1e-4)]
            np.testing.assert_allclose(tilt[0], expected, rtol=0, atol=1e-8)
            np.testing.assert_allclose(
                (tilt[0] - expected) * 1e4, tilt[1] - expected, rtol=0, atol=1e-7
            )


def test_measure_of_the_asset_as_numeraire():
    # C(K) = K P'(1/K), P' a put of the model with κ - ρξ, κθ, -ρ: other integrand, same number
    parameters = training_box(50, seed=5)
    kappa, theta, xi, rho, v0 = parameters.T
    speed = kappa - rho * xi
    dual = np.stack([speed, kappa * theta / speed, xi, -rho, v0], axis=-1)
    strikes = np.array([0.6, 0.9, 1.0, 1.3])
    calls = heston_call(parameters, strikes, YEARS)
    puts = heston_call(dual, 1.0 / strikes, YEARS) - 1.0 + 1.0 / strikes
    np.testing.assert_allclose(calls, strikes * puts, rtol=0, atol=1e-12)


def test_no_static_arbitrage():
    strikes, years = np.linspace(0.5, 2.0, 61), np.array([0.02, 0.1, 0.5, 1.0, 3.0])
    calls = heston_call(training_box(100, seed=2), strikes, years).numpy()
    intrinsic = np.maximum(1.0 - strikes, 0.0)
    assert (calls >= intrinsic).all()
    assert (calls <= 1.0).all()
    assert (np.diff(calls, axis=2) <= 1e-13).all()
    assert (np.diff(calls, 2, axis=2) >= -1e-12).all()
    assert (np.diff(calls, axis=1) >= -1e-12).all()


def test_martingale_and_extreme_strikes():
    calls = heston_call(SAMPLE, [1e-6, 1e-3, 30.0], [0.01, 1.0]).numpy()
    np.testing.assert_allclose(calls[..., 0], 1.0 - 1e-6, rtol=0, atol=1e-9)
    assert (calls[..., 1] >= 1.0 - 1e-3).all()
    assert (calls[..., 2] < 1e-2).all()


def test_nothing_is_nan_in_a_wide_box():
    parameters = wide_box(20_000)
    for contour in ("tilted", "vertical"):
        calls = heston_call(parameters, [0.4, 1.0, 2.5], [1e-3, 20.0], contour=contour, nodes=16)
        assert np.isfinite(calls).all()
    prices, jacobian = heston_call_and_jacobian(wide_box(500), [0.4, 1.0, 2.5], [1e-3, 20.0])
    assert np.isfinite(prices).all()
    assert np.isfinite(jacobian).all()
    single = tf.constant(wide_box(500), tf.float32)
    prices, jacobian = heston_call_and_jacobian(single, [0.4, 1.0, 2.5], [1e-3, 20.0])
    assert jacobian.dtype == tf.float32
    assert np.isfinite(prices).all()
    assert np.isfinite(jacobian).all()


def test_edges_of_the_domain():
    edges = np.array(
        [
            [2.0, 0.04, 0.0, -0.7, 0.04],
            [0.0, 0.04, 0.5, -0.7, 0.04],
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [2.0, 0.04, 0.5, -1.0, 0.04],
            [2.0, 0.04, 0.5, 1.0, 0.04],
            [2.0, 0.04, 0.5, -0.7, 0.0],
            [2.0, 0.0, 0.5, -0.7, 0.04],
        ]
    )
    strikes, years = tf.constant([0.5, 1.0, 2.0], tf.float64), [0.0, 1e-9, 1.0, 1000.0]
    variables = [tf.constant(edges), strikes, tf.constant(years, tf.float64)]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        calls = heston_call(*variables)
    assert np.isfinite(calls).all()
    np.testing.assert_allclose(calls[:, 0], np.tile([0.5, 0.0, 0.0], (7, 1)), rtol=0, atol=1e-15)
    np.testing.assert_allclose(calls[2, 2], [0.5, 0.0, 0.0], rtol=0, atol=1e-15)
    for gradient in tape.gradient(calls, variables):
        assert np.isfinite(gradient).all()


def test_float32_volatilities():
    parameters, strikes = training_box(300, seed=7), np.linspace(0.8, 1.2, 10)
    exact = heston_call(parameters, strikes, YEARS)
    single = heston_call(tf.constant(parameters, tf.float32), strikes, YEARS, nodes=96)
    assert single.dtype == tf.float32
    out_of_the_money = exact - np.maximum(1.0 - strikes, 0.0)
    seen = out_of_the_money.numpy() > 1e-5
    error = implied_volatility(tf.cast(single, tf.float64), strikes, YEARS)
    error = np.abs(error - implied_volatility(exact, strikes, YEARS))[seen]
    assert error.max() < 0.2e-4


# ------------------------------------------------------------------------------------- gradients


def test_gradients_against_differences(gradient_check):
    gradient_check(heston_call, SAMPLE, STRIKES, YEARS, rtol=1e-7)
    own = np.tile(STRIKES, (2, 3, 1)) + 0.01 * np.arange(24).reshape(2, 3, 4)
    gradient_check(heston_call, SAMPLE, own, np.tile(YEARS, (2, 1)), rtol=1e-7)
    gradient_check(bates_call, np.hstack([SAMPLE, JUMPS]), STRIKES[:2], YEARS[:2], rtol=1e-7)


@pytest.mark.parametrize("contour", ["vertical", "tilted"])
def test_closed_forms_are_those_of_autodiff(contour):
    nodes = fourier_nodes(contour, 128)
    arguments = [tf.constant(x) for x in (np.hstack([SAMPLE, JUMPS]), STRIKES, YEARS)]
    weights = tf.constant(np.random.default_rng(3).normal(size=(2, 3, 4)))

    def derivatives(price):
        with tf.GradientTape() as outer:
            outer.watch(arguments)
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                total = tf.reduce_sum(weights * price(*arguments))
            first = tape.gradient(total, arguments)
            norm = sum(tf.reduce_sum(tf.sin(7.0 * g)) for g in first)
        return first + outer.gradient(norm, arguments)

    closed = derivatives(lambda *x: bates_call(*x, contour=contour))
    automatic = derivatives(lambda *x: evaluate(*x, nodes).price)
    for ours, theirs in zip(closed, automatic, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11 * scale)


def test_second_derivatives_against_differences(gradient_check):
    def slopes(parameters, strikes, years):
        with tf.GradientTape() as tape:
            tape.watch([parameters, strikes, years])
            calls = heston_call(parameters, strikes, years)
        gradients = tape.gradient(calls, [parameters, strikes, years])
        return tf.concat([tf.reshape(g, [-1]) for g in gradients], 0)

    gradient_check(slopes, SAMPLE, STRIKES, YEARS, rtol=1e-6, atol=1e-7)


def test_jacobian(gradient_check):
    bates = np.hstack([SAMPLE, JUMPS])
    for function, both, parameters in (
        (heston_call, heston_call_and_jacobian, SAMPLE),
        (bates_call, bates_call_and_jacobian, bates),
    ):
        calls, jacobian = both(parameters, STRIKES, YEARS)
        np.testing.assert_allclose(calls, function(parameters, STRIKES, YEARS), rtol=0, atol=1e-15)
        point = tf.constant(parameters)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(point)
            prices = function(point, STRIKES, YEARS)
        expected = tape.batch_jacobian(prices, point, experimental_use_pfor=False)
        np.testing.assert_allclose(jacobian, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    gradient_check(
        lambda p: heston_call_and_jacobian(p, STRIKES, YEARS)[1], SAMPLE[:1], rtol=1e-6, atol=1e-7
    )


def test_slope_at_the_limit_without_volatility_of_variance():
    strikes, years = np.array([0.9, 1.0, 1.1]), np.array([0.5, 3.0])
    point = np.array([2.0, 0.04, 0.0, -0.7, 0.06])
    jacobian = heston_call_and_jacobian(point, strikes, years)[1]
    step = np.array([0.0, 0.0, 1e-4, 0.0, 0.0])
    shifted = [heston_call(point + k * step, strikes, years).numpy() for k in (0, 1, 2)]
    one_sided = (4.0 * shifted[1] - 3.0 * shifted[0] - shifted[2]) / 2e-4
    np.testing.assert_allclose(jacobian[..., 2], one_sided, rtol=0, atol=1e-8)
    assert np.abs(one_sided).max() > 1e-3


# ----------------------------------------------------------------------------------------- Bates


def test_bates_without_jumps_is_heston():
    calls = heston_call(SAMPLE, STRIKES, YEARS)
    for jumps in ([0.0, -0.3, 0.2], [0.7, 0.0, 0.0]):
        parameters = np.hstack([SAMPLE, np.tile(jumps, (2, 1))])
        np.testing.assert_allclose(
            bates_call(parameters, STRIKES, YEARS), calls, rtol=0, atol=1e-13
        )


@pytest.mark.parametrize("jumps", [(0.8, -0.15, 0.1), (2.0, 0.1, 0.05), (0.5, -0.2, 0.0)])
def test_merton_is_a_poisson_mixture_of_black_scholes(jumps):
    intensity, mean, deviation = jumps
    variance, expected = 0.04, 0.0
    growth = math.exp(mean + 0.5 * deviation**2)
    for count in range(40):
        drift = growth**count * np.exp(-intensity * (growth - 1.0) * YEARS)[:, None]
        mean_count = intensity * YEARS
        weight = np.exp(-mean_count) * mean_count**count / math.factorial(count)
        sigma = np.sqrt(variance + count * deviation**2 / YEARS)[:, None]
        price = drift * black_scholes_call(STRIKES / drift, YEARS, sigma).numpy()
        expected = expected + weight[:, None] * price
    merton = [1.0, variance, 0.0, 0.0, variance, *jumps]
    np.testing.assert_allclose(bates_call(merton, STRIKES, YEARS), expected, rtol=0, atol=1e-11)


# ------------------------------------------------------------------------- batches, graphs, errors


def value_and_gradient(parameters, strikes=STRIKES, years=YEARS):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        calls = heston_call(parameters, strikes, years)
    return calls, tape.gradient(calls, parameters)


def test_blocks_do_not_change_anything(monkeypatch):
    parameters = tf.constant(training_box(11))
    grid = [tf.constant(x) for x in (np.tile(STRIKES, (3, 1)), YEARS)]

    def by_grid():
        with tf.GradientTape() as tape:
            tape.watch(grid)
            calls = heston_call(parameters, *grid)
        return tape.gradient(calls, grid)

    whole, whole_grid = value_and_gradient(parameters), by_grid()
    jacobian = heston_call_and_jacobian(parameters, STRIKES, YEARS)
    monkeypatch.setattr(panel_blocks, "_BLOCK", 4 * 3 * 384)
    assert not panel_blocks.fit_into_one_block(parameters, tf.constant(YEARS), 384)
    for ours, expected in zip(value_and_gradient(parameters), whole, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-13)
    blocks = heston_call_and_jacobian(parameters, STRIKES, YEARS)
    for ours, expected in zip(blocks, jacobian, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-13)
    for ours, expected in zip(by_grid(), whole_grid, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


def test_graph_of_unknown_batch_size_agrees_with_eager():
    signature = [tf.TensorSpec([None, 5], tf.float64)]
    unknown = tf.function(value_and_gradient, input_signature=signature)
    expected = value_and_gradient(tf.constant(SAMPLE))
    for ours, theirs in zip(unknown(SAMPLE), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)


def test_second_derivatives_under_xla():
    # XLA forgets to conjugate in the library's gradient of a complex root; ours must be right
    def curvature(parameters):
        with tf.GradientTape() as outer:
            outer.watch(parameters)
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                calls = heston_call(parameters, STRIKES, YEARS, contour="vertical", nodes=16)
            slope = tf.reduce_sum(tf.square(tape.gradient(calls, parameters)))
        return outer.gradient(slope, parameters)

    point = tf.constant(SAMPLE)
    compiled = tf.function(curvature, jit_compile=True)
    np.testing.assert_allclose(compiled(point), curvature(point), rtol=1e-10)


def test_shapes_broadcast():
    parameters = np.tile(SAMPLE, (3, 1, 1))
    assert heston_call(parameters, STRIKES, YEARS).shape == (3, 2, 3, 4)
    assert heston_call(parameters, STRIKES, 0.5).shape == (3, 2, 4)
    own = np.tile(STRIKES, (2, 3, 1))
    assert heston_call(SAMPLE[0], own, YEARS).shape == (2, 3, 4)
    assert heston_call(SAMPLE[0], STRIKES, np.tile(YEARS, (5, 1))).shape == (5, 3, 4)
    assert heston_call(np.zeros((0, 5)), STRIKES, YEARS).shape == (0, 3, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[-1.0, 0.04, 0.5, -0.7, 0.04]], [1.0], [1.0]), ["(kappa)", "non-negative", "-1.0"]),
        (([2.0, 0.04, 0.5, -1.7, 0.04], [1.0], [1.0]), ["(rho)", "between -1 and 1", "-1.7"]),
        (([2.0, 0.04, math.nan, -0.7, 0.04], [1.0], [1.0]), ["(xi)", "nan"]),
        (([2.0, 0.04, 0.5, -0.7], [1.0], [1.0]), ["`parameters` (..., 5)", "(4,)"]),
        ((SAMPLE, [1.0, -0.5], [1.0]), ["`strikes`", "-0.5"]),
        ((SAMPLE, [1.0], [-1.0]), ["`maturities`", "-1.0"]),
        ((SAMPLE, np.ones((2, 3)), YEARS), ["`strikes`", "(2, 3)", "(3,)"]),
        ((SAMPLE, 1.0, YEARS), ["`strikes`", "()"]),
        ((SAMPLE, [1.0], [1.0], "slanted"), ["`contour`", "slanted"]),
        ((SAMPLE, [1.0], [1.0], "auto", 2.5), ["`nodes`", "2.5"]),
    ],
)
def test_errors_name_the_culprit(arguments, words):
    for function in (heston_call, heston_call_and_jacobian):
        with pytest.raises(ValueError, match="Received") as error:
            function(*arguments)
        for word in words:
            assert word in str(error.value)


def test_bates_errors_name_the_jump():
    with pytest.raises(ValueError, match="jump deviation"):
        bates_call([2.0, 0.04, 0.5, -0.7, 0.04, 0.1, 0.0, -0.1], [1.0], [1.0])


# ----------------------------------------------------------------------------------------- layer


def test_layer(check_layer):
    layer = HestonPricer(STRIKES, YEARS)
    calls = check_layer(layer, SAMPLE, shape=(2, 3, 4), export=True, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(calls, heston_call(SAMPLE, STRIKES, YEARS), rtol=0, atol=1e-5)
    puts = HestonPricer(STRIKES, YEARS, output="put", dtype="float64")(SAMPLE)
    calls = HestonPricer(STRIKES, YEARS, dtype="float64")(SAMPLE)
    np.testing.assert_allclose(calls - puts, np.broadcast_to(1.0 - STRIKES, (2, 3, 4)), atol=1e-15)


def test_bates_layer_gives_volatilities(check_layer):
    parameters = np.hstack([SAMPLE, JUMPS])
    layer = BatesPricer(np.tile(STRIKES, (3, 1)), YEARS, output="implied_volatility")
    volatility = check_layer(layer, parameters, shape=(2, 3, 4), rtol=2e-3, atol=1e-4)
    calls = bates_call(parameters, STRIKES, YEARS)
    expected = implied_volatility(calls, STRIKES, YEARS)
    np.testing.assert_allclose(volatility, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"output": "forward"}, ["`output`", "forward"]),
        ({"strikes": [[1.0]], "maturities": [0.5, 1.0]}, ["`strikes`", "(1, 1)"]),
        ({"maturities": 0.5}, ["`maturities`", "()"]),
        ({"strikes": [0.0]}, ["`strikes`", "0.0"]),
        ({"contour": "slanted"}, ["`contour`", "slanted"]),
    ],
)
def test_layer_errors(options, words):
    with pytest.raises(ValueError, match="Received") as error:
        HestonPricer(**{"strikes": [1.0], "maturities": [1.0], **options})
    for word in words:
        assert word in str(error.value)
