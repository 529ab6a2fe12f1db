"""Rollouts on a grid of spots: they converge to the direct ones, gradients included."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import SpotGrid, brownian_increments, sde_rollout, sde_rollout_on_grid
from hedgezoo.layers.sde.spot_grid import cell_coefficients, tabulate

TIMES = np.array([0.0, 0.1, 0.15, 0.4, 1.0])
SCHEMES = ["euler", "milstein", "log_euler", "log_milstein"]


def increments(paths=5):
    return brownian_increments(4, paths, TIMES, draws="plain", dtype="float64")


def smooth(x, t):
    return 0.3 + 0.1 * tf.sin(4 * x) + 0.1 * t


def drift(x, t):
    return 0.2 * tf.cos(3 * x)


@pytest.mark.parametrize(("interpolation", "least"), [("linear", 3.0), ("cubic", 6.0)])
@pytest.mark.parametrize("scheme", ["euler", "log_euler"])
def test_errors_fall_with_the_spacing(scheme, interpolation, least):
    dw = increments(2000)
    direct = sde_rollout(smooth, dw, TIMES, drift=drift, scheme=scheme)
    errors = []
    for points in (17, 33, 65, 129):
        grid = SpotGrid(points, volatility=0.4, interpolation=interpolation)
        path = sde_rollout_on_grid(smooth, dw, TIMES, drift=drift, scheme=scheme, grid=grid)
        errors.append(np.sqrt(np.mean((path - direct) ** 2)))
    ratios = np.divide(errors[:-1], errors[1:])
    assert (ratios > least).all(), errors
    assert errors[-1] < (2e-4 if interpolation == "linear" else 2e-6)


def test_milstein_takes_the_slope_of_the_table():
    dw = increments(500)
    grid = SpotGrid(513, volatility=0.4, interpolation="cubic")
    path = sde_rollout_on_grid(smooth, dw, TIMES, scheme="log_milstein", grid=grid).numpy()
    x = np.zeros(500)
    for i, (t, h) in enumerate(zip(TIMES, np.diff(TIMES), strict=False)):
        w = dw.numpy()[:, i, 0]
        sigma, slope = 0.3 + 0.1 * np.sin(4 * x) + 0.1 * t, 0.4 * np.cos(4 * x)
        b = 0.5 * sigma * slope
        x = x - 0.5 * sigma**2 * h + sigma * w + b * (w**2 - h) - h**2 * b * (b + sigma**2)
        np.testing.assert_allclose(path[:, i + 1, 0], x, atol=3e-5)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_gradients_in_tables_increments_and_start(gradient_check, scheme, interpolation):
    grid = SpotGrid(9, volatility=0.5, interpolation=interpolation)
    rng = np.random.default_rng(0)
    sigma, mu = 0.2 + 0.3 * rng.random((4, 9)), rng.normal(size=(4, 9))

    @tf.function
    def path(sigma, mu, dw, start):
        tables = iter((sigma, mu))

        def lookup(x, t):
            return tf.reshape(next(tables), (-1, 1))

        return sde_rollout_on_grid(
            lookup, dw, TIMES, lookup, start, scheme=scheme, save_at=[4, 1, 4], grid=grid
        )

    gradient_check(path, sigma, mu, increments(), 0.1 * rng.normal(size=(5, 1)))


def test_gradients_are_those_of_the_direct_mode():
    kernel = tf.Variable(np.random.default_rng(0).normal(size=(2, 6)))
    out = tf.Variable(np.random.default_rng(1).normal(size=(6, 1)))
    dw = increments(200)

    def network(x, t):
        return 0.1 + 0.5 * tf.sigmoid(tf.tanh(tf.concat([x, t], 1) @ kernel) @ out)

    def gradients(roll, **options):
        with tf.GradientTape() as tape:
            spot = tf.exp(roll(network, dw, TIMES, scheme="log_euler", save_at=[2, 4], **options))
            value = tf.reduce_mean(tf.nn.relu(spot - 1.0))
        return tape.gradient(value, [kernel, out])

    grid = SpotGrid(129, volatility=0.4, interpolation="cubic")
    pairs = zip(gradients(sde_rollout), gradients(sde_rollout_on_grid, grid=grid), strict=True)
    for direct, tabulated in pairs:
        np.testing.assert_allclose(tabulated, direct, atol=1e-4 * np.abs(direct).max())


def test_gradients_wherever_the_tape_is():
    dw = tf.cast(increments(), tf.float32)
    level = tf.Variable(0.3)

    def path(dw):
        return sde_rollout_on_grid(lambda x, t: level + 0.1 * tf.sin(3 * x), dw, TIMES)

    def gradient(path, dw):
        with tf.GradientTape() as tape:
            tape.watch(dw)
            value = tf.reduce_sum(path(dw) ** 2)
        return tape.gradient(value, [level, dw])

    def in_a_loop(dw):
        body = lambda i, total: (i + 1, total + path(dw))  # noqa: E731
        return tf.while_loop(lambda i, _: i < 1, body, (0, tf.zeros((5, 5, 1))))[1]

    expected = gradient(path, dw)
    for got in (
        gradient(tf.function(path), dw),
        tf.function(lambda dw: gradient(path, dw))(dw),
        tf.function(lambda dw: gradient(path, dw), jit_compile=True)(dw),
        tf.function(lambda dw: gradient(in_a_loop, dw))(dw),
    ):
        np.testing.assert_allclose(got[0], expected[0], rtol=1e-5)
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-5, atol=1e-6)


def test_beyond_the_grid_the_edge_holds():
    # steep lines, known on [-1, 1] only
    grid = SpotGrid(5, deviations=1.0, volatility=1.0)
    one_step = [0.0, 1.0]
    for start in (-1e30, -7.0, -1.0, 1.0, 1.5, 1e6):
        dw = tf.constant([[[1.0]]], tf.float64)
        state = sde_rollout_on_grid(
            lambda x, t: 2.0 + x, dw, one_step, initial=[[start]], scheme="milstein", grid=grid
        )
        assert state[0, 1, 0] == start + 2.0 + np.clip(start, -1, 1)


def test_numbers_that_are_none_stay_so():
    dw = tf.constant([[[float("nan")], [0.1]], [[0.1], [0.1]], [[float("inf")], [0.1]]])
    path = sde_rollout_on_grid(lambda x, t: 0.2 + 0 * x, dw, [0.0, 0.5, 1.0]).numpy()
    np.testing.assert_array_equal(np.isfinite(path[:, -1, 0]), [False, True, False])


def test_one_table_per_row_of_features():
    dw = increments(6)

    def network(x, t, features):
        return 0.1 + tf.abs(features[:, :1]) * (1 + 0.2 * tf.sin(x))

    features = tf.constant([[0.1, 9.0], [0.4, 9.0]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(features)
        both = sde_rollout_on_grid(network, dw, TIMES, features=features)
        value = tf.reduce_sum(both**2)
    slope = tape.gradient(value, features)[:, 0]
    for i in range(2):
        with tf.GradientTape() as tape:
            row = features[i : i + 1]
            tape.watch(row)
            one = sde_rollout_on_grid(network, dw[3 * i : 3 * i + 3], TIMES, features=row)
            value = tf.reduce_sum(one**2)
        np.testing.assert_allclose(both[3 * i : 3 * i + 3], one, rtol=1e-12)
        np.testing.assert_allclose(slope[i], tape.gradient(value, row)[0, 0], rtol=1e-10)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_interpolation_goes_through_the_table(interpolation):
    # quadratics are met exactly by the cubic, straight lines by both
    u = np.linspace(-1, 1, 9)
    power = 2 if interpolation == "cubic" else 1
    table = tf.constant((u**power)[None], tf.float64)
    cells = cell_coefficients(table, interpolation).numpy()[0]
    assert cells.shape == (10, 4 if interpolation == "cubic" else 2)
    for w in (0.0, 0.3, 1.0):
        value = np.polynomial.polynomial.polyval(w, cells.T)
        np.testing.assert_allclose(value[1:-1], (u[:-1] + 0.25 * w) ** power, atol=1e-13)
        np.testing.assert_allclose(value[[0, -1]], u[[0, -1]] ** power, atol=1e-13)


def test_tables_are_the_function_on_the_grid():
    seen = []

    def function(x, t, features):
        seen.append(x.shape)
        return x + 10 * t + 100 * features

    tables = tabulate(function, [0.0, 0.5, 1.0], [-1, -2], [1, 2], 3, [[1.0], [2.0]], "float64")
    line = np.array([[-1.0, 0, 1], [3, 5, 7]])
    np.testing.assert_allclose(tables, [100 + line, 200 + line])
    assert seen == [(12, 1)]


def test_same_path_in_any_batch_and_in_a_graph_of_unknown_size():
    dw = tf.cast(increments(100), tf.float32)
    graph = tf.function(
        lambda dw: sde_rollout_on_grid(smooth, dw, TIMES, drift=drift),
        input_signature=[tf.TensorSpec((None, 4, 1))],
    )
    whole = graph(dw)
    np.testing.assert_array_equal(graph(dw[30:37]), whole[30:37])
    np.testing.assert_array_equal(sde_rollout_on_grid(smooth, dw, TIMES, drift=drift), whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"increments": tf.zeros((5, 4, 2))}, "A grid takes one-factor models"),
        ({"initial": (0.0, 0.0)}, "A grid takes one-factor models"),
        ({"diffusion": lambda x, t: tf.concat([x, x], 1)}, "A grid takes one-factor models"),
        ({"features": tf.zeros((2, 1))}, r"`features` must have shape \(P, f\)"),
        ({"scheme": "heun"}, "`scheme` must be one of"),
        ({"times": TIMES[1:]}, "`times` must have shape"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    arguments = {"diffusion": smooth, "increments": tf.zeros((5, 4, 1)), "times": TIMES, **change}
    with pytest.raises(ValueError, match=message):
        sde_rollout_on_grid(**arguments)
