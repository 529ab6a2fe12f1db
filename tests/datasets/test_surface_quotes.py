"""Option quotes: what they are sorted by, what is refused, and what is derived from them."""

import json

import numpy as np
import pytest

from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.layers import black_scholes_call, heston_call

STRIKES, MATURITIES = [0.9, 1.0, 1.1], [0.5, 1.0]
SMILE = np.array([[0.25, 0.20, 0.18], [0.24, 0.21, 0.19]])


def surface(**changes):
    return SurfaceQuotes.from_grid(
        **{"implied_volatility": SMILE, "strikes": STRIKES, "maturities": MATURITIES, **changes}
    )


def test_a_grid_becomes_a_sorted_list():
    quotes = surface()
    assert quotes.strikes == (0.9, 1.0, 1.1) * 2
    assert quotes.maturities == (0.5,) * 3 + (1.0,) * 3
    np.testing.assert_array_equal(quotes.implied_volatility, SMILE.ravel())
    np.testing.assert_array_equal(quotes.expiries, MATURITIES)
    np.testing.assert_array_equal(quotes.expiry_index, [0, 0, 0, 1, 1, 1])


def test_a_mask_leaves_quotes_out_whatever_they_are():
    mask = np.array([[True, True, False], [False, True, True]])
    quotes = surface(implied_volatility=np.where(mask, SMILE, np.nan), mask=mask, spread=0.002)
    assert quotes.strikes == (0.9, 1.0, 1.0, 1.1)
    assert quotes.spread == (0.002,) * 4


def test_prices_and_volatilities_are_inverses():
    calls = black_scholes_call(np.array(STRIKES), np.array(MATURITIES), SMILE).numpy()
    quotes = SurfaceQuotes.from_calls(calls, STRIKES, MATURITIES)
    np.testing.assert_allclose(quotes.implied_volatility, SMILE.ravel(), rtol=1e-12)
    np.testing.assert_allclose(quotes.calls, calls.ravel(), rtol=1e-13)
    np.testing.assert_allclose(quotes.volatility_of(quotes.calls), SMILE.ravel(), rtol=1e-12)
    again = SurfaceQuotes.from_calls(quotes.calls, quotes.strikes, quotes.maturities)
    np.testing.assert_allclose(again.implied_volatility, SMILE.ravel(), rtol=1e-12)


def test_out_of_the_money_prices_obey_parity():
    quotes = surface()
    np.testing.assert_array_equal(quotes.is_put, [True, False, False] * 2)
    intrinsic = np.maximum(1.0 - np.array(quotes.strikes), 0.0)
    np.testing.assert_allclose(quotes.out_of_the_money, quotes.calls - intrinsic, atol=1e-15)


def test_vega_is_the_slope_of_the_price():
    quotes, h = surface(), 1e-6
    up, down = (quotes.with_volatility(SMILE.ravel() + move).calls for move in (h, -h))
    np.testing.assert_allclose(quotes.vega, (up - down) / (2 * h), rtol=1e-7)


def test_the_heston_surface_is_priced_exactly():
    quotes = SurfaceQuotes.heston()
    assert len(quotes) == 126
    assert quotes.strikes[0] == 0.8
    assert quotes.maturities[-1] == 1.0
    exact = heston_call([1.5, 0.04, 0.5, -0.7, 0.04], quotes.strikes[:21], quotes.expiries)
    np.testing.assert_allclose(quotes.calls, exact.numpy().ravel(), atol=1e-13)


def test_a_chain_is_sorted_and_complete():
    quotes = SurfaceQuotes.chain("sx5e_2010-03-01")
    assert (len(quotes), len(quotes.expiries)) == (155, 12)
    assert SurfaceQuotes.from_config(json.loads(json.dumps(quotes.get_config()))) == quotes
    with pytest.raises(ValueError, match="sx5e"):
        SurfaceQuotes.chain("sx5e")


def test_a_region_has_its_ends():
    quotes = SurfaceQuotes.heston().where(
        low_maturity=1 / 6, high_maturity=1 / 3, low_strike=0.98, high_strike=1.02
    )
    assert np.round(quotes.strikes, 2).tolist() == [0.98, 1.0, 1.02] * 2
    with pytest.raises(ValueError, match="leave a quote"):
        quotes.where(low_maturity=2.0)


@pytest.mark.parametrize("ends", [True, False])
def test_a_split_is_a_partition(ends):
    quotes = SurfaceQuotes.chain("sx5e_2010-03-01")
    fitted, held_out = quotes.split(share=0.2, seed=3, ends=ends)
    assert len(held_out) == 31
    both = sorted(
        zip(fitted.maturities + held_out.maturities, fitted.strikes + held_out.strikes, strict=True)
    )
    assert both == list(zip(quotes.maturities, quotes.strikes, strict=True))
    assert quotes.split(seed=3, ends=ends)[1] == held_out
    assert quotes.split(seed=4, ends=ends)[1] != held_out
    lowest = {(t, min(k for s, k in both if s == t)) for t in quotes.maturities}
    drawn = lowest & set(zip(held_out.maturities, held_out.strikes, strict=True))
    assert ends or not drawn
    with pytest.raises(ValueError, match="`share`"):
        quotes.split(share=0.001)


def test_noise_has_its_size_and_its_seed():
    quotes = SurfaceQuotes.heston()
    errors = np.subtract(
        quotes.with_noise(30, seed=1).implied_volatility, quotes.implied_volatility
    )
    assert 24e-4 < errors.std() < 36e-4
    assert abs(errors.mean()) < 10e-4
    assert quotes.with_noise(30, seed=1) == quotes.with_noise(30, seed=1)
    assert quotes.with_noise(30, seed=1) != quotes.with_noise(30, seed=2)
    assert quotes.with_noise(0, seed=1) == quotes


def test_a_selection_keeps_spreads():
    quotes = surface().with_spread(np.arange(1, 7))
    chosen = quotes.select(np.array([0, 4]))
    np.testing.assert_allclose(chosen.spread, [1e-4, 5e-4])
    assert chosen == quotes.select(np.array([True, False, False, False, True, False]))
    for bad in (np.zeros(6, bool), np.array([], int), np.array([6]), np.array([0.5])):
        with pytest.raises(ValueError, match="`which`"):
            quotes.select(bad)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maturities": [1.0, 0.5]}, r"`maturities` must be increasing. Received: 0.5 at index 1"),
        ({"strikes": [1.0, 0.9, 1.1]}, r"`strikes` must be increasing at each maturity"),
        ({"strikes": [1.0, 1.0, 1.1]}, r"`strikes` must be increasing"),
        ({"strikes": [-1.0, 1.0, 1.1]}, r"`strikes` must be positive"),
        ({"implied_volatility": 100 * SMILE}, r"a fraction per √year"),
        ({"implied_volatility": SMILE * np.nan}, r"`implied_volatility` must be positive.*nan"),
        ({"implied_volatility": SMILE.ravel()}, r"must have shape \(m, n\)"),
        ({"spread": -0.01}, r"`spread` must be positive"),
        ({"mask": np.zeros((2, 3), bool)}, r"`mask` must be booleans"),
    ],
)
def test_bad_grids_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        surface(**changes)


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ([0.0999, 0.05], r"above the intrinsic value.*0.0999 at index 0 with strike 0.9 and"),
        ([0.12, np.nan], r"`calls` must be above.*nan at index 1"),
        ([1.0, 0.05], r"below the forward"),
    ],
)
def test_prices_outside_their_bounds_are_refused(calls, message):
    with pytest.raises(ValueError, match=message):
        SurfaceQuotes.from_calls(calls, [0.9, 1.0], [0.5, 0.5])


def test_unsorted_lists_are_refused():
    with pytest.raises(ValueError, match=r"`maturities` must be sorted. Received: 0.5 at index 1"):
        SurfaceQuotes([1.0, 1.0], [1.0, 0.5], [0.2, 0.2])
    with pytest.raises(ValueError, match="at least one quote"):
        SurfaceQuotes([], [], [])
    with pytest.raises(ValueError, match=r"`maturities` must have shape \(N,\) = \(2\)"):
        SurfaceQuotes([1.0, 1.1], [1.0], [0.2, 0.2])
