"""Means over paths in chunks: the same value and gradient as all at once."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import brownian_increments, chunked_mean, sde_rollout, sde_rollout_on_grid

TIMES = np.array([0.0, 0.4, 1.0])
STRIKES = tf.constant([[0.9], [1.0], [1.1]], tf.float64)


def model(roll=sde_rollout, seed=3, dtype="float64"):
    """Weights, and mean call payoffs (strike, maturity) as a function of (first path, paths)."""
    rng = np.random.default_rng(0)
    weights = [tf.Variable(rng.normal(size=s), dtype=dtype) for s in ((2, 4), (4, 1))]

    def network(x, t):
        return 0.1 + 0.5 * tf.sigmoid(tf.tanh(tf.concat([x, t], 1) @ weights[0]) @ weights[1])

    def calls(first, paths):
        dw = brownian_increments(seed, paths, TIMES, first_path=first, dtype=dtype)
        spot = tf.exp(roll(network, dw, TIMES, scheme="log_milstein", save_at=[1, 2]))
        strikes = tf.cast(STRIKES, dtype)
        return tf.reduce_mean(tf.nn.relu(spot[:, None, :, 0] - strikes), axis=0)

    return weights, calls


def loss_and_gradient(weights, price):
    with tf.GradientTape() as tape:
        prices = price()
        loss = tf.reduce_sum((prices - 0.1) ** 2)
    return prices, *tape.gradient(loss, weights)


@pytest.mark.parametrize("roll", [sde_rollout, sde_rollout_on_grid], ids=["direct", "grid"])
def test_chunks_change_nothing(roll):
    weights, calls = model(roll)
    expected = loss_and_gradient(weights, lambda: calls(0, 20))

    def in_chunks(chunk):
        return loss_and_gradient(weights, lambda: chunked_mean(calls, weights, 20, chunk))

    graph = tf.function(in_chunks)
    # equal chunks, one that is too large, and an odd one in a graph
    for got in (in_chunks(10), in_chunks(50), graph(7)):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_the_second_pass_may_have_noise_of_its_own():
    weights, calls = model()
    _, other = model(seed=4)
    with tf.GradientTape() as tape:
        prices = chunked_mean(calls, weights, 20, 8, gradient_function=other)
        loss = tf.reduce_sum((prices - 0.1) ** 2)
    got = tape.gradient(loss, weights)
    cotangent = 2 * (calls(0, 20) - 0.1)
    np.testing.assert_allclose(prices, calls(0, 20), rtol=1e-12)
    # `other` reads the weights of its own model, which are equal but not the same variables
    assert not any(np.any(slope) for slope in got)
    mine, independent = model(seed=4)
    with tf.GradientTape() as tape:
        prices = chunked_mean(calls, mine, 20, 8, gradient_function=independent)
        loss = tf.reduce_sum((prices - 0.1) ** 2)
    got = tape.gradient(loss, mine)
    with tf.GradientTape() as tape:
        value = independent(0, 20)
    expected = tape.gradient(value, mine, cotangent)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_independent_passes_leave_no_bias():
    # loss (mean - target)² of a mean of scale · z: from one sample its gradient is
    # 2 (scale · mean z - target) · mean z, of expectation 2 scale / paths; from two it is zero
    scale, paths = tf.Variable(1.5, dtype="float64"), 4

    def mean(seed):
        def function(first, size):
            dw = brownian_increments(seed, size, [0.0, 1.0], 1, first, "plain", dtype="float64")
            return scale * tf.reduce_mean(dw)

        return function

    @tf.function
    def gradients(seed):
        values = []
        for again in (None, mean(seed + 10**6)):
            with tf.GradientTape() as tape:
                loss = chunked_mean(mean(seed), [scale], paths, 2, again) ** 2
            values.append(tape.gradient(loss, scale))
        return values

    same, independent = np.transpose([gradients(seed) for seed in tf.range(800)])
    error = np.std(independent) / np.sqrt(len(independent))
    assert abs(np.mean(independent)) < 3 * error
    assert abs(np.mean(same) - 2 * 1.5 / paths) < 3 * np.std(same) / np.sqrt(len(same))
    assert np.mean(same) > 10 * error


def test_gradients_under_two_replicas(two_replicas):
    with two_replicas.scope():
        weights, calls = model(dtype="float32")
    expected = loss_and_gradient(weights, lambda: calls(0, 20))

    @tf.function
    def step():
        def one():
            return loss_and_gradient(weights, lambda: chunked_mean(calls, weights, 20, 8))

        per_replica = two_replicas.run(one)
        return [two_replicas.reduce("mean", item, axis=None) for item in per_replica]

    for a, b in zip(step(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paths": 0}, "`paths` must be a positive integer"),
        ({"paths": 2.0}, "`paths`"),
        ({"chunk": -1}, "`chunk` must be a positive integer"),
        ({"variables": []}, "`variables` must not be empty"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    weights, calls = model()
    with pytest.raises(ValueError, match=message):
        chunked_mean(**{"function": calls, "variables": weights, "paths": 8, "chunk": 4, **change})
