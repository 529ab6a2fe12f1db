"""Grids of option panels: increasing, inside their ranges, and a panel's own."""

import numpy as np
import pytest
from scipy import stats

from hedgezoo.datasets.heston_panels import GRIDS, PAPER_GRID, WIDE_GRID, FixedGrid, RandomGrid


def test_the_grid_of_the_paper():
    strikes, maturities = PAPER_GRID.draw(seed=0, panels=3, dtype="float64")
    np.testing.assert_allclose(strikes, np.linspace(0.8, 1.2, 10), rtol=1e-12)
    np.testing.assert_allclose(maturities, [0.1, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.0])
    assert PAPER_GRID.shape == GRIDS["random"].shape == (8, 10)


def test_fixed_grids_take_a_row_of_strikes_per_maturity():
    grid = FixedGrid(strikes=[[0.9, 1.1], [0.8, 1.2]], maturities=[0.5, 1.0])
    strikes, maturities = grid.draw(seed=0, panels=3)
    np.testing.assert_allclose(strikes, [[0.9, 1.1], [0.8, 1.2]])
    assert grid.shape == (2, 2)
    assert hash(grid) == hash(FixedGrid(np.array(grid.strikes), (0.5, 1)))
    assert grid.shortest_maturity == maturities.numpy()[0]


@pytest.mark.parametrize(
    "grid",
    [
        RandomGrid(),
        RandomGrid(narrowing=0.9),
        RandomGrid(strikes=1, maturities=1),
        RandomGrid(shared_strikes=True),
        RandomGrid(strikes=40, maturities=30, strike_range=(0.97, 1.2), scaled_range=(-0.1, 0.5)),
        RandomGrid(strike_range=(0.99, 1.6), scaled_range=(-1.0, 0.5), narrowing=0.95),
        WIDE_GRID,
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_grids_increase_inside_their_ranges(grid, dtype):
    strikes, maturities = (x.numpy() for x in grid.draw(seed=3, panels=2000, dtype=dtype))
    assert strikes.shape == (2000, *grid.shape)
    assert strikes.dtype == maturities.dtype == dtype
    assert (np.diff(strikes, axis=2) > 0).all()
    assert (np.diff(maturities, axis=1) > 0).all()
    for values, (low, high) in (
        (strikes, grid.strike_range),
        (maturities, grid.maturity_range),
    ):
        assert low < values.min()
        assert values.max() < high
    if grid.scaled_range is not None:
        scaled = np.log(strikes) / np.sqrt(maturities)[..., None]
        assert grid.scaled_range[0] < scaled.min()
        assert scaled.max() < grid.scaled_range[1]
    # no two panels alike
    assert len(np.unique(maturities[:, 0])) > 1900
    if grid.shared_strikes:
        np.testing.assert_array_equal(strikes, np.repeat(strikes[:, :1], 8, axis=1))
    elif grid.shape[0] > 1:
        assert (strikes[:, 0] != strikes[:, 1]).any(axis=1).all()


def test_random_grids_cover_their_ranges():
    strikes, maturities = (
        x.numpy() for x in RandomGrid(strikes=5, maturities=4).draw(seed=0, panels=4000)
    )
    # cells equal in log K and √T, of which the middle 90 % is used
    for values, ends, count in (
        (np.log(strikes[:, 0]), np.log([0.8, 1.2]), 5),
        (np.sqrt(maturities), np.sqrt([0.1, 2.0]), 4),
    ):
        cells = (values - ends[0]) / (ends[1] - ends[0]) * count - np.arange(count)
        assert cells.min() == pytest.approx(0.05, abs=1e-3)
        assert cells.max() == pytest.approx(0.95, abs=1e-3)
        for column in cells.T:
            assert stats.kstest(column, stats.uniform(0.05, 0.9).cdf).pvalue > 1e-4


def test_narrowing_moves_each_end_by_itself():
    grid = RandomGrid(strikes=60, maturities=60, narrowing=0.8)
    strikes, maturities = (x.numpy() for x in grid.draw(seed=0, panels=1000))
    ends = []
    for values, (low, high) in (
        (np.log(strikes[:, 0]), np.log(grid.strike_range)),
        (np.sqrt(maturities), np.sqrt(grid.maturity_range)),
    ):
        ends += [(values[:, 0] - low) / (high - low), (high - values[:, -1]) / (high - low)]
    for end in ends:
        # uniform up to 0.4, but for the place inside the outermost of 60 cells
        assert stats.kstest(end, stats.uniform(0.005, 0.4).cdf).statistic < 0.05
    correlation = np.corrcoef(ends) - np.eye(4)
    assert np.abs(correlation).max() < 4 / np.sqrt(1000)


@pytest.mark.parametrize("grid", [RandomGrid(narrowing=0.5), WIDE_GRID], ids=["narrowed", "wide"])
def test_a_grid_belongs_to_its_panel(grid):
    whole = grid.draw(seed=5, panels=50)
    part = grid.draw(seed=5, panels=7, first_panel=31)
    other = grid.draw(seed=6, panels=50)
    for a, b, c in zip(whole, part, other, strict=True):
        np.testing.assert_array_equal(a[31:38], b)
        assert (a.numpy() != c.numpy()).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strikes": (0.9, 0.9)}, r"`strikes` must be positive and increasing.*\(0.9, 0.9\)"),
        ({"strikes": (0.0, 0.9)}, "`strikes` must be positive and increasing"),
        ({"strikes": ()}, "`strikes` must be positive"),
        ({"strikes": ((0.9, 1.0), (0.9,))}, "`strikes` must be positive and increasing"),
        ({"strikes": "many"}, "`strikes` must be positive and increasing"),
        ({"maturities": (1.0, 0.5)}, "`maturities` must be positive and increasing"),
        ({"maturities": (0.5, np.nan)}, "`maturities` must be positive"),
        ({"maturities": ((0.5, 1.0),)}, "`maturities` must be.*rank 1"),
        ({"strikes": ((0.9, 1.0),)}, "one row per maturity"),
    ],
)
def test_bad_fixed_grids_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FixedGrid(**{"strikes": (0.9, 1.0), "maturities": (0.5, 1.0), **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strikes": 0}, "`strikes` must be an integer, 1 or above"),
        ({"maturities": 2.5}, "`maturities` must be an integer, 1 or above"),
        ({"strike_range": (1.2, 0.8)}, "`strike_range` must have low < high"),
        ({"strike_range": 0.8}, "`strike_range` must be a pair"),
        ({"maturity_range": (0.0, 1.0)}, r"`maturity_range\[0\]` must be positive"),
        ({"scaled_range": (0.1, 0.5)}, "`scaled_range` must have the forward"),
        ({"scaled_range": (-1.0, 1.0), "strike_range": (1.0, 1.2)}, "`strike_range` must have"),
        ({"shared_strikes": 1}, "`shared_strikes` must be True or False"),
        ({"narrowing": 1.0}, r"`narrowing` must lie in \[0, 1\)"),
    ],
)
def test_bad_random_grids_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomGrid(**arguments)
