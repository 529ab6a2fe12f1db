"""Time grids hit every maturity, with steps no longer than asked for."""

import numpy as np
import pytest

from hedgezoo.layers import SpotGrid, time_grid


@pytest.mark.parametrize("concentration", [1.0, 1.5])
@pytest.mark.parametrize("maturities", [[1.0], [1 / 365, 0.1, 0.1001, 2.3], [1 / 6, 0.5, 1.0]])
def test_every_maturity_is_hit_exactly(maturities, concentration):
    times, steps = time_grid(maturities, 96, 8, concentration)
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    np.testing.assert_array_equal(times[steps], maturities)
    assert steps[0] >= 8
    assert steps[-1] == len(times) - 1
    clock = maturities[-1] * (times / maturities[-1]) ** (1 / concentration)
    assert np.diff(clock).max() <= (1 + 1e-9) / 96


def test_whole_numbers_of_steps_survive_rounding():
    times, steps = time_grid(np.arange(1, 7) / 6, 96, 1)
    np.testing.assert_array_equal(steps, 16 * np.arange(1, 7))
    np.testing.assert_allclose(times, np.arange(97) / 96, rtol=1e-14)


def test_concentration_puts_short_steps_first():
    plain, _ = time_grid([1.0], 50, 1)
    early, _ = time_grid([1.0], 50, 1, 1.5)
    assert len(plain) == len(early)
    np.testing.assert_allclose(early, plain**1.5, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.5],), "`maturities` must be positive years in increasing order"),
        (([1.0, 0.5],), "`maturities`"),
        (([-0.1, 0.5],), "`maturities`"),
        (([float("nan")],), "`maturities`"),
        (([],), "`maturities`"),
        (("soon",), "Received: soon"),
        (([1.0], 0), "`steps_per_year` must be positive"),
        (([1.0], 96, 0), "`first_steps`"),
        (([1.0], 96, 8, 0.5), "`concentration`"),
    ],
)
def test_bad_grids_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        time_grid(*arguments)


def test_spot_grid_widens_with_the_root_of_time():
    grid = SpotGrid(deviations=4.0, volatility=0.3, center=0.1)
    low, high = grid.bounds([0.0, 0.04, 0.16, 1.0])
    np.testing.assert_allclose(high - 0.1, 4 * 0.3 * np.array([0.2, 0.2, 0.4]))
    np.testing.assert_allclose(low + high, 0.2)


@pytest.mark.parametrize(
    "arguments",
    [
        {"points": 3},
        {"deviations": 0},
        {"volatility": -0.2},
        {"volatility": float("inf")},
        {"center": float("nan")},
        {"interpolation": "quintic"},
    ],
)
def test_bad_spot_grids_are_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
        SpotGrid(**arguments)
