"""Rollouts: shapes, gradients, several states, and errors that name their cause."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import brownian_increments, finite_paths, non_finite_counts, sde_rollout
from hedgezoo.layers.sde.finite import require_finite

TIMES = np.array([0.0, 0.1, 0.15, 0.4, 1.0])


def increments(paths=5, factors=1, dtype="float64"):
    return brownian_increments(4, paths, TIMES, factors, draws="plain", dtype=dtype)


def one_factor(kernel, bias, out):
    """σ(x, t) of a tiny network with the given weights."""

    def diffusion(x, t):
        hidden = tf.tanh(tf.concat([x, t], axis=1) @ kernel + bias)
        return 0.1 + tf.sigmoid(hidden @ out)

    return diffusion


@pytest.mark.parametrize("scheme", ["euler", "milstein", "log_euler", "log_milstein"])
def test_gradients_in_weights_increments_and_start(gradient_check, scheme):
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((2, 3), (3,), (3, 1))]
    start = 0.2 * rng.normal(size=(5, 1))

    @tf.function
    def path(kernel, bias, out, speed, dw, start):
        return sde_rollout(
            one_factor(kernel, bias, out),
            dw,
            TIMES,
            drift=lambda x, t: speed * (0.1 - x),
            initial=start,
            scheme=scheme,
            save_at=[1, 4],
        )

    gradient_check(path, *weights, 1.3, increments(), start)


def test_gradients_of_two_states_on_two_brownian_motions(gradient_check):
    # log price and variance, correlated through the diffusion matrix
    @tf.function
    def path(weights, rho):
        def diffusion(x, t):
            vol = 0.1 + tf.sigmoid(x @ weights[:, :1])
            of_vol = 0.4 * tf.sigmoid(x @ weights[:, 1:])
            zero = tf.zeros_like(vol)
            first = tf.concat([vol, zero], 1)
            second = of_vol * tf.concat([rho + zero, tf.sqrt(1 - rho**2) + zero], 1)
            return tf.stack([first, second], axis=1)

        return sde_rollout(
            diffusion,
            increments(factors=2),
            TIMES,
            drift=lambda x, t: tf.stack([0 * x[:, 0], 0.5 - x[:, 1]], axis=1),
            initial=(0.0, 0.3),
            log_states=(0,),
        )

    weights = np.random.default_rng(1).normal(size=(2, 2))
    gradient_check(path, weights, -0.5)
    states = path(tf.constant(weights), tf.constant(-0.5, tf.float64)).numpy()
    assert states.shape == (5, 5, 2)
    np.testing.assert_array_equal(states[:, 0], [[0.0, 0.3]] * 5)


def test_log_states_choose_who_is_corrected():
    dw = increments(factors=2)
    arguments = (lambda x, t: tf.constant([0.5, 2.0], tf.float64) + 0 * x, dw, TIMES)
    both = sde_rollout(*arguments, initial=(0.0, 0.0), scheme="log_euler").numpy()
    first = sde_rollout(*arguments, initial=(0.0, 0.0), scheme="euler", log_states=(0,)).numpy()
    none = sde_rollout(*arguments, initial=(0.0, 0.0), scheme="euler").numpy()
    correction = -0.5 * TIMES[:, None] * np.array([0.25, 4.0])
    np.testing.assert_allclose(both, none + correction, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(first, none + correction * [1, 0], rtol=1e-12, atol=1e-14)


def test_diagonal_and_full_diffusions_agree():
    dw = increments(factors=2)
    scale = tf.constant([[0.3, 0.6]], tf.float64)

    def diagonal(x, t):
        return scale * (1 + t + tf.sin(x))

    def full(x, t):
        return tf.linalg.diag(diagonal(x, t))

    a = sde_rollout(diagonal, dw, TIMES, initial=(0.1, 0.2))
    b = sde_rollout(full, dw, TIMES, initial=(0.1, 0.2))
    np.testing.assert_allclose(a, b, rtol=1e-13)
    # Milstein of two equations that do not touch each other is that of each alone
    both = sde_rollout(diagonal, dw, TIMES, initial=(0.1, 0.2), scheme="milstein").numpy()
    for i, (start, size) in enumerate(((0.1, 0.3), (0.2, 0.6))):
        alone = sde_rollout(
            lambda x, t, size=size: size * (1 + t + tf.sin(x)),
            dw[:, :, i : i + 1],
            TIMES,
            initial=start,
            scheme="milstein",
        )
        np.testing.assert_allclose(both[:, :, i : i + 1], alone, rtol=1e-13)


def test_the_time_of_a_step_is_its_start():
    seen = []

    def diffusion(x, t):
        seen.append((t.shape, float(t[0, 0])))
        return tf.ones_like(x)

    sde_rollout(diffusion, increments(dtype="float32"), TIMES)
    assert [shape for shape, _ in seen] == [(5, 1)] * 4
    np.testing.assert_allclose([time for _, time in seen], TIMES[:-1], rtol=1e-6)


def test_features_belong_to_blocks_of_paths():
    dw = increments(paths=6)

    def diffusion(x, t, features):
        return 0.1 + tf.abs(features[:, :1]) + 0 * x

    features = tf.constant([[0.1, 9.0], [0.4, 9.0]], tf.float64)
    blocks = sde_rollout(diffusion, dw, TIMES, features=features)
    each = sde_rollout(diffusion, dw, TIMES, features=tf.repeat(features, 3, axis=0))
    one = sde_rollout(diffusion, dw[3:], TIMES, features=features[1:])
    np.testing.assert_array_equal(blocks, each)
    np.testing.assert_allclose(blocks[3:], one, rtol=1e-14)


def test_chosen_times_are_those_of_the_whole_path():
    def diffusion(x, t):
        return 0.2 + 0.1 * tf.sin(x)

    whole = sde_rollout(diffusion, increments(), TIMES).numpy()
    some = sde_rollout(diffusion, increments(), TIMES, save_at=[4, 0, 2]).numpy()
    np.testing.assert_array_equal(some, whole[:, [4, 0, 2]])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graphs_with_unknown_batch_and_times(jit_compile):
    weights = [
        tf.Variable(w, dtype="float32") for w in (np.ones((2, 3)), np.ones(3), -np.ones((3, 1)))
    ]

    def value_and_gradient(dw, times):
        with tf.GradientTape() as tape:
            final = sde_rollout(one_factor(*weights), dw, times, scheme="log_milstein", save_at=[4])
            value = tf.reduce_mean(tf.exp(final) ** 2)
        return value, tape.gradient(value, weights)

    dw = increments(dtype="float32")
    signature = [tf.TensorSpec((None, 4, 1)), tf.TensorSpec((5,))]
    graph = tf.function(value_and_gradient, input_signature=signature, jit_compile=jit_compile)
    expected = value_and_gradient(dw, TIMES)
    got = graph(dw, tf.constant(TIMES, tf.float32))
    for a, b in zip(tf.nest.flatten(got), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7)


def test_steps_of_no_length_change_nothing():
    dw = tf.concat([increments(), tf.zeros((5, 2, 1), tf.float64)], axis=1)
    times = np.append(TIMES, [1.0, 1.0])

    def diffusion(x, t):
        return 0.2 + 0.1 * tf.sin(x)

    path = sde_rollout(diffusion, dw, times, scheme="log_milstein").numpy()
    np.testing.assert_array_equal(path[:, 4], path[:, 6])


def test_exploding_paths_are_found():
    dw = increments(paths=50)
    states = sde_rollout(lambda x, t: tf.exp(60 * x * x), dw, TIMES, scheme="euler", initial=1.0)
    bad = ~np.isfinite(states.numpy()[:, :, 0])
    np.testing.assert_array_equal(finite_paths(states), ~bad[:, -1])
    np.testing.assert_array_equal(non_finite_counts(states), bad.sum(0))
    assert bad[:, -1].sum() > 0
    step = int(np.argmax(bad.any(0)))
    message = rf"step {step} \(t = {TIMES[step]:.4g} years\) on: {bad[:, step].sum()} of 50 paths"
    with pytest.raises(ValueError, match=message):
        require_finite(states, TIMES)
    require_finite(states[:, :1], TIMES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scheme": "heun"}, "`scheme` must be one of"),
        ({"increments": tf.zeros((5, 4))}, r"`increments` must have shape \(B, T, k\)"),
        ({"times": TIMES[:-1]}, r"`times` must have shape \(T \+ 1,\) = \(5,\)"),
        ({"times": TIMES[::-1]}, "`times` must increase"),
        ({"save_at": [5]}, "`save_at` must be indices from 0 to 4"),
        ({"save_at": []}, "`save_at`"),
        ({"initial": tf.zeros((4, 1))}, "`initial` must have one row per path"),
        ({"initial": tf.zeros((5, 1, 1))}, "`initial` must be a scalar"),
        ({"log_states": (1,)}, "`log_states` must be indices from 0 to 0"),
        ({"features": tf.zeros((3, 2))}, r"`features` must have shape \(P, f\)"),
        ({"features": tf.zeros((5,))}, "`features`"),
        ({"diffusion": lambda x, t: tf.ones((5, 2))}, "`diffusion` must return shape"),
        ({"diffusion": lambda x, t: tf.ones((5, 1, 2))}, "`diffusion` must return shape"),
        ({"drift": lambda x, t: tf.ones((5, 1, 1))}, "`drift` must return shape"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    arguments = {
        "diffusion": lambda x, t: tf.ones_like(x),
        "increments": increments(dtype="float32"),
        "times": TIMES,
        **change,
    }
    with pytest.raises(ValueError, match=message):
        sde_rollout(**arguments)


def test_milstein_refuses_full_matrices():
    with pytest.raises(ValueError, match="Milstein schemes take"):
        sde_rollout(
            lambda x, t: tf.ones((5, 1, 2), x.dtype),
            increments(factors=2),
            TIMES,
            scheme="log_milstein",
        )
