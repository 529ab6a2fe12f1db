"""Draws belong to (seed, global path index), and have the distribution they claim."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers.draws import DRAWS, brownian_paths, normal_draws, uniform_draws

SLICES = ((0, 1), (1, 1), (7, 3), (1000, 4097), (40959, 1), (12345, 20001))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("steps", [1, 7, 20])
def test_any_slice_has_the_bits_of_the_whole(draws, dtype, steps):
    # 40960 x 20 is split over threads
    whole = normal_draws(3, 40960, steps, draws=draws, dtype=dtype).numpy()
    assert whole.shape == (40960, steps, 1)
    assert whole.dtype == dtype
    for first, paths in SLICES:
        part = normal_draws(3, paths, steps, first_path=first, draws=draws, dtype=dtype)
        np.testing.assert_array_equal(part, whole[first : first + paths])


@pytest.mark.parametrize("draws", DRAWS)
def test_sizes_and_offsets_may_be_tensors(draws):
    @tf.function
    def part(seed, paths, first_path):
        return brownian_paths(seed, paths, 5, 2, first_path, draws)

    whole = brownian_paths(9, 2000, 5, 2, draws=draws).numpy()
    for first, paths in ((0, 10), (33, 101), (34, 100)):
        got = part(tf.constant(9), tf.constant(paths), tf.constant(first, tf.int64))
        np.testing.assert_array_equal(got, whole[first : first + paths])


@pytest.mark.parametrize("draws", DRAWS)
def test_indices_and_seeds_beyond_32_bits(draws):
    far = 3 * 2**32 + 6 if draws != "sobol" else 2**29
    a = normal_draws(2**40 + 1, 8, 4, first_path=far, draws=draws).numpy()
    b = normal_draws(2**40 + 1, 4, 4, first_path=far + 4, draws=draws).numpy()
    c = normal_draws(1, 8, 4, first_path=far, draws=draws).numpy()
    d = normal_draws(2**40 + 1, 8, 4, first_path=far % 2**32 if draws != "sobol" else 0).numpy()
    np.testing.assert_array_equal(a[4:], b)
    assert not np.isin(a, c).any()
    assert not np.isin(a, d).any()


@pytest.mark.parametrize("draws", ["plain", "antithetic"])
def test_streams_and_neighbouring_seeds_are_independent(draws):
    base = normal_draws(0, 20000, 4, draws=draws).numpy().ravel()
    others = [normal_draws(0, 20000, 4, draws=draws, stream=1), normal_draws(1, 20000, 4)]
    for other in others:
        # 80000 products of which half are independent: s.e. below 1/200
        assert abs(np.mean(base * other.numpy().ravel())) < 4 / 200


@pytest.mark.parametrize("draws", DRAWS)
def test_standard_normal_moments(draws):
    z = normal_draws(5, 65536, 6, draws=draws, dtype="float64").numpy()[:, :, 0]
    n = z.shape[0] / 2  # antithetic squares come in equal pairs
    assert np.abs(z.mean(0)).max() < 4 / np.sqrt(n)
    assert np.abs((z**2).mean(0) - 1).max() < 4 * np.sqrt(2 / n)
    assert np.abs((z**4).mean(0) - 3).max() < 4 * np.sqrt(96 / n)
    correlation = np.corrcoef(z.T) - np.eye(6)
    assert np.abs(correlation).max() < 4 / np.sqrt(n)


def test_antithetic_pairs_cancel_exactly():
    z = normal_draws(5, 1000, 6, draws="antithetic").numpy()
    np.testing.assert_array_equal(z[0::2], -z[1::2])
    assert len(np.unique(z[0::2])) == 500 * 6
    odd = normal_draws(5, 5, 6, first_path=3, draws="antithetic").numpy()
    np.testing.assert_array_equal(odd[1], -odd[2])


def test_brownian_paths_are_running_sums_of_the_draws():
    for draws in DRAWS:
        z = normal_draws(2, 500, 12, 2, draws=draws, dtype="float64").numpy()
        w = brownian_paths(2, 500, 12, 2, draws=draws, dtype="float64").numpy()
        np.testing.assert_allclose(np.cumsum(z, axis=1), w, atol=1e-12)


@pytest.mark.parametrize("draws", DRAWS)
def test_uniform_draws(draws):
    whole = uniform_draws(4, 65536, 5, draws=draws).numpy()
    assert whole.min() > 0
    assert whole.max() < 1
    for first, paths in SLICES:
        part = uniform_draws(4, paths, 5, first_path=first, draws=draws)
        np.testing.assert_array_equal(part, whole[first : first + paths])
    n = len(whole) / 2
    assert np.abs(whole.mean(0) - 0.5).max() < 4 / np.sqrt(12 * n)
    assert np.abs(np.corrcoef(whole.T) - np.eye(5)).max() < 4 / np.sqrt(n)
    if draws == "antithetic":  # a contract belongs to the pair
        np.testing.assert_array_equal(whole[0::2], whole[1::2])


def test_unknown_draws_are_refused():
    with pytest.raises(ValueError, match="draws='halton'"):
        normal_draws(0, 10, 3, draws="halton")
