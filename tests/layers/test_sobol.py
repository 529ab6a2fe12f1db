"""Scrambled Sobol points: nets, unbiased, and laid out along a true Brownian bridge."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from hedgezoo.layers.bridge import brownian_bridge
from hedgezoo.layers.draws import brownian_paths, normal_draws
from hedgezoo.layers.sobol import (
    MAX_DIMENSIONS,
    direction_numbers,
    sobol_integers,
    sobol_normals,
    sobol_uniforms,
)


def test_direction_numbers_are_those_of_joe_and_kuo():
    points = stats.qmc.Sobol(MAX_DIMENSIONS, scramble=False, bits=32).random(2**10)
    integers = np.round(points * 2.0**32).astype(np.int64)
    expected = [integers[2**bit] ^ integers[2**bit - 1] for bit in range(10)]
    np.testing.assert_array_equal(direction_numbers(MAX_DIMENSIONS)[:10], expected)


@pytest.mark.parametrize("first", [0, 4096, 9 * 4096])
def test_every_aligned_block_is_a_net(first):
    u = sobol_uniforms(11, 4096, 3, first_path=first, dtype="float64").numpy()
    for axis in range(3):  # one point in each of 4096 equal intervals
        assert len(np.unique((u[:, axis] * 4096).astype(int))) == 4096
    # the first two dimensions are a (0, m, 2)-net: one point in each elementary rectangle
    for bits in range(13):
        cells = (u[:, 0] * 2**bits).astype(int) * 2 ** (12 - bits)
        cells = cells + (u[:, 1] * 2 ** (12 - bits)).astype(int)
        assert len(np.unique(cells)) == 4096


def test_successive_batches_are_different_points_of_one_larger_net():
    u = sobol_uniforms(11, 8192, 2, dtype="float64").numpy()
    assert len(np.unique((u[:, 0] * 8192).astype(int))) == 8192


def test_every_point_is_uniform_over_the_scrambles():
    # one fixed point of the sequence under 1000 seeds, in dimensions early and late
    point = tf.function(lambda seed: sobol_uniforms(seed, 1, 40, first_path=5)[0])
    u = np.stack([point(seed).numpy() for seed in tf.range(1000)])
    for dimension in (0, 1, 39):
        assert stats.kstest(u[:, dimension], "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(u[:, 0], u[:, 39])[0, 1]) < 4 / np.sqrt(1000)


def test_leading_dimensions_can_be_left_to_others():
    whole = sobol_integers(3, 100, 12).numpy()
    np.testing.assert_array_equal(sobol_integers(3, 100, 7, first_dimension=5), whole[:, 5:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quantiles_are_accurate_in_both_tails(dtype):
    signed = sobol_integers(1, 2**16, 4).numpy().astype(np.float64)
    lower = (signed + 2.0**31 + 0.5) / 2.0**32
    expected = np.where(lower < 0.5, stats.norm.ppf(lower), -stats.norm.ppf(1 - lower))
    z = sobol_normals(1, 2**16, 4, dtype=dtype).numpy()
    tolerance = 2e-6 if dtype == "float32" else 1e-9
    assert np.abs(z - expected).max() < tolerance
    assert np.abs(z).max() > 4


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 33])
def test_bridge_is_brownian_motion(steps):
    # on unit vectors the bridge is its own matrix A, and A Aᵀ must be min(s, t)
    matrix = brownian_bridge(tf.eye(steps, dtype=tf.float64)[:, :, None]).numpy()[:, :, 0].T
    times = np.arange(1, steps + 1)
    np.testing.assert_allclose(matrix @ matrix.T, np.minimum.outer(times, times), atol=1e-12)
    np.testing.assert_allclose(matrix[-1], [steps**0.5] + [0] * (steps - 1), atol=1e-12)


def test_variances_and_correlations():
    w = brownian_paths(8, 4096, 20, draws="sobol", dtype="float64").numpy()[:, :, 0]
    assert abs(w[:, -1].var() / 20 - 1) < 0.005
    steps = normal_draws(8, 4096, 20, draws="sobol", dtype="float64").numpy()[:, :, 0]
    assert np.abs(steps.var(0) - 1).max() < 0.02
    assert np.abs(np.corrcoef(steps.T) - np.eye(20)).max() < 0.02


def test_factors_are_uncorrelated():
    z = normal_draws(8, 4096, 5, 3, draws="sobol", dtype="float64").numpy().reshape(4096, 15)
    assert np.abs(np.corrcoef(z.T) - np.eye(15)).max() < 0.02


def test_too_many_dimensions_are_refused():
    with pytest.raises(ValueError, match="at most 1111"):
        normal_draws(0, 4, 1112, draws="sobol")
