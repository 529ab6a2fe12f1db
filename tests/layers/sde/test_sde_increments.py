"""Brownian increments: the right covariance, and numbers that belong to (seed, path)."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import brownian_increments, correlate
from hedgezoo.layers.bridge import brownian_bridge
from hedgezoo.layers.draws import DRAWS

TIMES = np.array([0.0, 0.02, 0.1, 0.15, 0.4, 0.45, 0.9, 1.3, 2.0])
CORRELATION = [[1.0, -0.7, 0.2], [-0.7, 1.0, 0.1], [0.2, 0.1, 1.0]]


@pytest.mark.parametrize("nodes", [(), (2,), (0, 3, 7), (5, 1, 6, 2)])
def test_bridge_has_the_covariance_of_brownian_motion(nodes):
    # on unit vectors the bridge is its own matrix A, and A Aᵀ must be min(s, t)
    times = TIMES[1:]
    unit = tf.eye(len(times), dtype=tf.float64)[:, :, None]
    matrix = brownian_bridge(unit, times, nodes).numpy()[:, :, 0].T
    np.testing.assert_allclose(matrix @ matrix.T, np.minimum.outer(times, times), atol=1e-13)
    # the nodes and the end are known from as many normals
    first = sorted({*nodes, len(times) - 1})
    assert not matrix[first, len(first) :].any()


def test_bridge_halves_the_nodes_first():
    unit = tf.eye(8, dtype=tf.float64)[:, :, None]
    matrix = brownian_bridge(unit, TIMES[1:], nodes=(1, 3, 5)).numpy()[:, :, 0].T
    assert np.count_nonzero(matrix[7]) == 1  # the end: normal 0
    assert np.count_nonzero(matrix[3]) == 2  # the middle node: normals 0 and 1
    assert not matrix[[1, 5], 4:].any()


@pytest.mark.parametrize("draws", DRAWS)
def test_variances_and_correlations(draws):
    dw = brownian_increments(
        3, 2**15, TIMES, 3, draws=draws, nodes=(3, 6), correlation=CORRELATION, dtype="float64"
    ).numpy()
    scaled = (dw / np.sqrt(np.diff(TIMES))[:, None]).reshape(len(dw), -1)
    expected = np.kron(np.eye(8), CORRELATION)
    error = np.abs(np.cov(scaled.T) - expected).max()
    assert error < (0.006 if draws == "sobol" else 5 * np.sqrt(2 * 2 / len(dw)))
    assert np.abs(scaled.mean(0)).max() < 4 / np.sqrt(len(dw))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("draws", DRAWS)
def test_any_split_has_the_bits_of_the_whole(draws, dtype):
    def part(first, paths):
        return brownian_increments(
            5, paths, TIMES, 2, first, draws, nodes=(4,), correlation=[[1, 0.5], [0.5, 1]],
            dtype=dtype,
        )  # fmt: skip

    whole = part(0, 1000).numpy()
    assert whole.dtype == dtype
    np.testing.assert_array_equal(part(333, 500), whole[333:833])
    graph = tf.function(part)
    for first, paths in ((0, 1), (1, 7), (999, 1)):
        got = graph(tf.constant(first, tf.int64), tf.constant(paths))
        np.testing.assert_array_equal(got, whole[first : first + paths])


def test_antithetic_pairs_mirror_each_other():
    dw = brownian_increments(5, 100, TIMES, 2, draws="antithetic", correlation=[[1, 0.5], [0.5, 1]])
    np.testing.assert_array_equal(dw[0::2], -dw[1::2])
    assert len(np.unique(dw[0::2])) == 50 * 8 * 2


def test_sobol_bridge_reduces_variance_at_the_nodes():
    times = np.linspace(0, 1, 33)

    def calls(seed, draws):
        dw = brownian_increments(seed, 512, times, draws=draws, nodes=(8, 16, 32))
        log_spot = 0.2 * tf.gather(tf.cumsum(dw, 1), (7, 15, 31), axis=1)[..., 0]
        log_spot -= 0.02 * tf.constant([0.25, 0.5, 1.0])
        return tf.reduce_mean(tf.nn.relu(tf.exp(log_spot) - 1.0), axis=0)

    graph = tf.function(calls)
    deviation = {}
    for draws in ("plain", "antithetic", "sobol"):
        deviation[draws] = np.std([graph(s, draws) for s in tf.range(24)], axis=0)
    assert (deviation["sobol"] * 8 < deviation["plain"]).all(), deviation
    assert (deviation["sobol"] * 4 < deviation["antithetic"]).all(), deviation


def test_learned_correlations_get_gradients(gradient_check):
    dw = brownian_increments(5, 4, TIMES, 2, dtype="float64")

    def correlated(rho):
        return correlate(dw, tf.stack([[1.0 + 0 * rho, rho], [rho, 1.0 + 0 * rho]]))

    gradient_check(correlated, -0.6)
    perfect = correlate(dw, [[1.0, -1.0], [-1.0, 1.0]]).numpy()
    np.testing.assert_allclose(perfect[..., 1], -perfect[..., 0], rtol=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": [0.0, 0.2, 0.1]}, "`times` must be at least two increasing years"),
        ({"times": [0.0]}, "`times`"),
        ({"draws": "halton"}, "draws='halton'"),
        ({"nodes": (0,)}, "`nodes` must be indices from 1 to 8"),
        ({"nodes": (9,)}, "`nodes`"),
        ({"factors": 139}, "at most 1111"),
        ({"correlation": [[1.0, 2.0], [2.0, 1.0]]}, "positive semi-definite"),
        ({"correlation": CORRELATION}, r"`correlation` must have shape \(k, k\) = \(2, 2\)"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        brownian_increments(**{"seed": 0, "paths": 4, "times": TIMES, "factors": 2, **change})
