"""Quotes of panels: what is refused, by name and place, and what the normal form is."""

import numpy as np
import pytest

from hedgezoo.heston_calibrator.panel_quotes import panel_quotes
from hedgezoo.layers import black_scholes_call

STRIKES = np.array([0.8, 0.9, 1.0, 1.1])
YEARS = np.array([0.25, 1.0, 2.0])
NAMES = ("kappa", "theta", "xi", "rho", "v0")


def quoted(*shape):
    return np.full(shape or (2, 3, 4), 0.2)


def changed(array, where, value):
    array = np.array(array, float)
    array[where] = value
    return array


def per_panel(array):
    return np.broadcast_to(array, (2, *np.broadcast_shapes(np.shape(array), (3, 4)))).copy()


# arguments, and what the message must say: argument, place, value, expectation
REFUSED = {
    "zero": ({"implied_vol": changed(quoted(), (1, 2, 3), 0.0)}, "implied_vol", "0.0 at panel 1, "),
    "negative": (
        {"implied_vol": changed(quoted(), (0, 1, 2), -0.1)},
        "positive",
        "maturity 1",
    ),
    "nan": ({"implied_vol": changed(quoted(), (1, 0, 2), np.nan)}, "nan at panel 1, mat", "isnan"),
    "infinite": ({"implied_vol": changed(quoted(), (0, 0, 0), np.inf)}, "implied_vol", "inf at"),
    "percent": ({"implied_vol": 100 * quoted()}, "implied_vol", "0.2 is 20 %"),
    "one axis": ({"implied_vol": quoted(12)}, r"implied_vol. must have shape \(m, n\)", r"\(12,\)"),
    "text": ({"implied_vol": "abc"}, "implied_vol", "array of numbers"),
    "no panel": ({"implied_vol": quoted(0, 3, 4)}, "implied_vol", "at least one quote"),
    "strikes' shape": ({"strikes": STRIKES[:3]}, "strikes", r"\(n,\) = \(4\)"),
    "strikes' panels": ({"strikes": np.ones((5, 3, 4))}, "strikes", r"\(2, 3, 4\)"),
    "unsorted": ({"strikes": [0.8, 1.0, 0.9, 1.1]}, "strikes", "0.9 at strike 2"),
    "duplicate": ({"strikes": [0.8, 0.9, 0.9, 1.1]}, "strikes. must be strictly", "repeats"),
    "unsorted row": (
        {"strikes": changed(np.tile(STRIKES, (3, 1)), (1, 3), 0.95)},
        "strikes",
        "0.95 at maturity 1, strike 3",
    ),
    "unsorted panel": (
        {"strikes": changed(per_panel(STRIKES), (1, 2, 1), 1.0)},
        "strikes",
        "1 at panel 1, maturity 2, strike 2",
    ),
    "zero strike": ({"strikes": [0.0, 0.9, 1.0, 1.1]}, "strikes", "divided by the forward"),
    "strike in money": ({"strikes": 4000.0 * STRIKES}, "strikes", "3200.0 at"),
    "nan strike": ({"strikes": changed(STRIKES, 2, np.nan)}, "strikes", "nan at panel 0, mat"),
    "years' shape": ({"maturities": YEARS[:2]}, "maturities", r"\(m,\) = \(3\)"),
    "years unsorted": ({"maturities": [0.25, 2.0, 1.0]}, "maturities", "1 at maturity 2"),
    "years repeat": ({"maturities": [0.25, 1.0, 1.0]}, "maturities", "repeats"),
    "years of a panel": (
        {"maturities": [[0.25, 1.0, 2.0], [0.25, 0.2, 2.0]]},
        "maturities",
        "0.2 at panel 1, maturity 1",
    ),
    "zero maturity": ({"maturities": [0.0, 1.0, 2.0]}, "maturities", "positive"),
    "negative maturity": ({"maturities": [-0.1, 1.0, 2.0]}, "maturities", "-0.1 at panel 0, mat"),
    "days": ({"maturities": [30.0, 90.0, 360.0]}, "maturities", "years"),
    "mask's shape": ({"mask": np.ones((3, 3), bool)}, "mask", r"\(3, 4\)"),
    "mask of numbers": ({"mask": 0.5 * np.ones((3, 4))}, "mask", "booleans"),
    "negative spread": ({"spread": changed(quoted(), (1, 1, 1), -1e-4)}, "spread", "panel 1, mat"),
    "nan spread": ({"spread": changed(quoted(), (0, 0, 1), np.nan)}, "spread", "strike 1"),
    "spread's shape": ({"spread": np.zeros(4)}, "spread", r"\(3, 4\)"),
    "too few": (
        {"mask": changed(np.ones((2, 3, 4)), (1, slice(1, None)), 0)},
        "implied_vol",
        "Received: 4 quotes in panel 1",
    ),
    "none": ({"mask": np.zeros((3, 4), bool)}, "5 \\(kappa, theta, xi, rho, v0\\)", "0 quotes"),
    "too few with a price": (
        {"implied_vol": np.full((2, 3, 4), 0.004), "maturities": [0.01, 0.02, 0.03]},
        "implied_vol",
        "12 quotes, 3 of them",
    ),
}


@pytest.mark.parametrize(("arguments", "first", "second"), REFUSED.values(), ids=REFUSED)
def test_refused(arguments, first, second):
    good = {"implied_vol": quoted(), "strikes": STRIKES, "maturities": YEARS, "names": NAMES}
    panel_quotes(**good)
    with pytest.raises(ValueError, match="Received") as caught:
        panel_quotes(**{**good, **arguments})
    for pattern in (first, second):
        assert caught.match(pattern)


def test_a_single_panel_is_not_called_panel_0():
    with pytest.raises(ValueError, match=r"0.0 at maturity 1, strike 2 \(counted"):
        panel_quotes(changed(quoted(3, 4), (1, 2), 0.0), STRIKES, YEARS)
    with pytest.raises(ValueError, match=r"Received: 2 quotes$"):
        panel_quotes(quoted(1, 2), [0.9, 1.0], [1.0], names=NAMES)


def test_masked_places_may_hold_anything():
    mask = np.ones((2, 3, 4), bool)
    mask[0, 1], mask[:, 2, 3], mask[1, 0, 0] = False, False, False
    volatility = np.where(mask, 0.2, np.nan)
    strikes, years = per_panel(STRIKES), np.tile(YEARS, (2, 1))
    strikes[0, 1] = [np.nan, -1.0, 0.0, np.inf]
    strikes[1, 0, 0] = 5.0  # a strike, but out of order
    years[0, 1] = np.nan
    spread = np.where(mask, 1e-3, -np.inf)
    quotes = panel_quotes(volatility, strikes, years, mask, spread, NAMES)
    np.testing.assert_array_equal(quotes.mask, mask)
    for array in (quotes.implied_volatility, quotes.strikes, quotes.maturities, quotes.spread):
        assert np.isfinite(array).all()
        assert array.dtype == np.float64
    assert (quotes.strikes > 0).all()
    assert (quotes.maturities > 0).all()
    expected = np.ones((2, 3, 4), bool)
    expected[0, 1] = False
    np.testing.assert_array_equal(quotes.known, expected)
    np.testing.assert_array_equal(quotes.spread, np.where(mask, 1e-3, 0.0))
    np.testing.assert_array_equal(quotes.strikes[expected], strikes[expected])
    with pytest.raises(ValueError, match=r"0\.9 at panel 1, maturity 0, strike 1 .*after 5"):
        panel_quotes(quoted(), strikes, YEARS, changed(mask, (1, 0, 0), 1))


def test_columns_and_rows_that_nobody_quotes_may_hold_anything():
    mask = np.ones((2, 3, 4), bool)
    mask[:, :, 1], mask[:, 0] = False, False
    quotes = panel_quotes(
        quoted(), changed(STRIKES, 1, np.nan), changed(YEARS, 0, 7.0), mask, names=NAMES
    )
    assert quotes.strikes.shape == (4,)
    assert quotes.maturities.tolist() == [7.0, 1.0, 2.0]
    assert not quotes.known[:, :, 1].any()
    assert quotes.known[:, :, [0, 2, 3]].all()


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("years", [YEARS, np.tile(YEARS, (2, 1))], ids=["m", "Bm"])
def test_shared_grids_stay_shared(shape, years):
    quotes = panel_quotes(quoted(), np.broadcast_to(STRIKES, shape), years)
    assert quotes.strikes.shape == shape
    assert quotes.maturities.shape == years.shape
    assert quotes.strike_panels.shape == (2, 3, 4)
    assert quotes.maturity_panels.shape == (2, 3)
    assert quotes.mask.all()
    assert not quotes.spread.any()
    part = quotes.panels(slice(1, 2))
    assert len(part) == 1
    assert part.strikes.shape == ((1, 3, 4) if len(shape) == 3 else shape)
    assert part.maturities.shape == ((1, 3) if years.ndim == 2 else (3,))
    np.testing.assert_array_equal(part.strike_panels, quotes.strike_panels[1:])


def test_one_panel_one_mask_one_spread_for_all():
    mask = changed(np.ones((3, 4)), (0, 0), 0)
    single = panel_quotes(quoted(3, 4), STRIKES, YEARS, mask, 1e-3)
    assert len(single) == 1
    assert single.mask.shape == (1, 3, 4)
    both = panel_quotes(quoted(), STRIKES, YEARS, mask, 1e-3 * np.ones((3, 4)))
    np.testing.assert_array_equal(both.mask, [mask, mask])
    assert both.spread.max() == 1e-3
    assert both.spread[1, 0, 0] == 0.0
    assert repr(both) == "PanelQuotes(2 x 3 maturities x 4 strikes, 22 quotes)"


def test_the_users_arrays_are_left_alone():
    volatility, mask = quoted(), np.ones((2, 3, 4), bool)
    mask[0, 0, 0], volatility[0, 0, 0] = False, np.nan
    panel_quotes(volatility, STRIKES, YEARS, mask)
    assert np.isnan(volatility[0, 0, 0])


def test_options_without_a_price_are_left_out():
    volatility = np.full((3, 4), 0.2)
    volatility[0, 0] = 0.04  # strike 0.8 at three months: 11 standard deviations
    volatility[2, 3] = 9.0  # all but worth the forward
    quotes = panel_quotes(volatility, STRIKES, YEARS, names=NAMES)
    assert [tuple(place) for place in np.argwhere(quotes.unresolved[0])] == [(0, 0), (2, 3)]
    assert quotes.used.sum() == 10
    assert "2 of them without information" in repr(quotes)
    # by price: below 1e-10 of the smaller of strike and forward
    strikes = np.linspace(0.5, 2.0, 61)
    quotes = panel_quotes(np.full((1, 61), 0.1), strikes, [1.0])
    price = black_scholes_call(strikes, [1.0], 0.1).numpy() - np.maximum(1 - strikes, 0)
    expected = price / np.minimum(strikes, 1) < 1e-10
    assert 0 < expected.sum() < 61
    np.testing.assert_array_equal(quotes.unresolved[0], expected)
