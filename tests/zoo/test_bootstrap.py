import numpy as np
import pytest

from hedgezoo.bootstrap import block_bootstrap, quantile_with_error


def _mean(copies):
    return copies.mean(axis=-1)


def test_error_of_a_mean_of_independent_numbers():
    noise = np.random.default_rng(0).normal(size=1000)
    assert block_bootstrap(noise, _mean, seed=1, block=1) == pytest.approx(1000**-0.5, rel=0.15)


def test_blocks_see_the_memory_of_a_series():
    shocks = np.random.default_rng(0).normal(size=20_000)
    series = np.empty_like(shocks)
    series[0] = 0.0
    for day in range(1, len(shocks)):
        series[day] = 0.9 * series[day - 1] + shocks[day]
    exact = 10.0 / np.sqrt(len(series))  # sd of shocks / (1 - 0.9) / √N
    assert block_bootstrap(series, _mean, seed=1, block=200) == pytest.approx(exact, rel=0.2)
    assert block_bootstrap(series, _mean, seed=1, block=1) < 0.35 * exact


def test_several_series_are_resampled_together():
    pair = np.random.default_rng(0).normal(size=(2, 300))
    pair[1] = pair[0]
    errors = block_bootstrap(pair, lambda x: np.std(x[0] - x[1], axis=-1), seed=1)
    assert errors == 0.0


def test_error_of_a_median():
    medians = [
        quantile_with_error(np.random.default_rng(seed).normal(size=400), 0.5)
        for seed in range(200)
    ]
    values, errors = np.transpose(medians)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)
