"""Arbitrage among quotes: none in exact surfaces, each kind where it was put, no false alarms."""

import numpy as np
import pytest

from hedgezoo.datasets.heston_panels import HestonPanels
from hedgezoo.heston_calibrator.panel_quotes import panel_quotes
from hedgezoo.heston_calibrator.quote_arbitrage import quote_arbitrage
from hedgezoo.layers import black_scholes_call, implied_volatility
from hedgezoo.layers.surfaces.arbitrage import find_arbitrage

STRIKES = np.array([0.8, 0.9, 1.0, 1.1, 1.2])
YEARS = np.array([0.5, 1.0, 2.0])


def calls_of(volatility, strikes=STRIKES, years=YEARS):
    return black_scholes_call(strikes, years, volatility).numpy()


def with_call(where, change, volatility=0.2):
    """Volatilities of a flat surface with the price of one call changed."""
    calls = calls_of(volatility)
    calls[where] += change
    return implied_volatility(calls, STRIKES, YEARS).numpy()


def test_exact_surfaces_have_none():
    for grid in ("paper", "random", "wide"):
        box = "paper" if grid != "wide" else "wide"
        inputs, _ = HestonPanels(box, grid, noise="clean", dtype="float64").simulate(1, 40)
        mask = inputs["mask"].numpy() & (
            np.random.default_rng(0).random(inputs["mask"].shape) > 0.3
        )
        arrays = [inputs[k].numpy() for k in ("implied_volatility", "strikes", "maturities")]
        assert quote_arbitrage(panel_quotes(*arrays, mask)) == []


def test_butterfly():
    calls = calls_of(0.2)
    chord = 0.5 * (calls[1, 1] + calls[1, 3])
    quotes = panel_quotes(with_call((1, 2), chord + 1e-3 - calls[1, 2]), STRIKES, YEARS)
    found = [each for each in quote_arbitrage(quotes) if each.kind == "butterfly"]
    assert [(each.panel, each.maturity, each.strike) for each in found] == [(0, 1.0, 1.0)]
    assert found[0].size == pytest.approx(1e-3, rel=1e-9)
    assert found[0].later is None
    assert str(found[0]).startswith("butterfly in panel 0 at maturity 1, strike 1: price off by 0.")


def test_spread():
    calls = calls_of(0.2)
    change = calls[0, 3] - calls[0, 4] + 2e-4  # dearer than the call of the lower strike
    found = quote_arbitrage(panel_quotes(with_call((0, 4), change), STRIKES, YEARS))
    (spread,) = [each for each in found if each.kind == "spread"]
    assert (spread.maturity, spread.strike) == (0.5, 1.2)
    assert spread.size == pytest.approx(2e-4, rel=1e-9)


def test_below_the_first_strike_is_the_forward():
    """C(K) above the chord from the forward (a call of strike zero) to the next strike."""
    calls = calls_of(0.2)
    chord = 1.0 + 0.8 / 0.9 * (calls[2, 1] - 1.0)
    found = quote_arbitrage(
        panel_quotes(with_call((2, 0), chord + 1e-4 - calls[2, 0]), STRIKES, YEARS)
    )
    assert [(each.kind, each.maturity, each.strike) for each in found] == [("butterfly", 2.0, 0.8)]
    assert found[0].size == pytest.approx(1e-4, rel=1e-6)


def test_calendar():
    calls = calls_of(0.2)
    change = calls[1, 2] - calls[0, 2] + 3e-4
    found = quote_arbitrage(panel_quotes(with_call((0, 2), change), STRIKES, YEARS))
    (calendar,) = [each for each in found if each.kind == "calendar"]
    assert (calendar.maturity, calendar.later, calendar.strike) == (0.5, 1.0, 1.0)
    assert calendar.size == pytest.approx(3e-4, rel=1e-9)


def test_calendar_against_the_next_quoted_maturity_and_between_strikes():
    volatility = np.array([[0.30] * 5, [0.30] * 5, [0.12] * 5])
    mask = np.ones((3, 5), bool)
    mask[1] = False  # nothing at one year
    mask[2, 2] = False  # nor at the money at two
    found = quote_arbitrage(panel_quotes(volatility, STRIKES, YEARS, mask))
    assert {each.kind for each in found} == {"calendar"}
    assert {each.later for each in found} == {2.0}
    assert [each.strike for each in found] == STRIKES.tolist()
    early, late = calls_of(0.3)[0], calls_of(0.12)[2]
    expected = early - late
    expected[2] = early[2] - 0.5 * (late[1] + late[3])
    np.testing.assert_allclose([each.size for each in found], expected, rtol=1e-9)


def test_all_of_a_complete_surface_are_those_of_find_arbitrage():
    """Neighbours of its outer strikes are the forward and nothing; here they are free of it."""
    random = np.random.default_rng(3)
    volatility = 0.25 + 0.04 * random.normal(size=(6, 3, 5))
    quotes = panel_quotes(volatility, STRIKES, YEARS)
    found = quote_arbitrage(quotes)
    ghosts = [0.0, 1e6]
    expected = find_arbitrage(calls_of(volatility), STRIKES, YEARS, ghosts, tolerance=1e-8)

    def butterflies(violations, index):
        return sorted(
            (index(each), each.maturity, each.strike, round(each.size, 7))
            for each in violations
            if each.kind in ("butterfly", "spread")
        )

    assert butterflies(found, lambda each: each.panel) == butterflies(
        expected, lambda each: each.batch[0]
    )
    # of calendars find_arbitrage names the later maturity, and looks at the next one only
    assert {
        (each.panel, each.later, each.strike)
        for each in found
        if each.kind == "calendar" and each.later == YEARS[list(YEARS).index(each.maturity) + 1]
    } == {
        (each.batch[0], each.maturity, each.strike) for each in expected if each.kind == "calendar"
    }
    assert {each.kind for each in found} >= {"butterfly", "calendar"}


def test_panels_are_numbered_through_and_unresolved_quotes_do_not_count():
    volatility = np.full((1500, 2, 3), 0.2)
    volatility[1400] = [[0.3] * 3, [0.1] * 3]
    volatility[1200, 1, 0] = 1e-3  # a price of nothing: no quote
    found = quote_arbitrage(panel_quotes(volatility, [0.9, 1.0, 1.1], [0.5, 1.0]))
    assert [(each.panel, each.strike) for each in found] == [(1400, 0.9), (1400, 1.0), (1400, 1.1)]
    shifted = quote_arbitrage(panel_quotes(volatility[1400], [0.9, 1.0, 1.1], [0.5, 1.0]), 1e-8, 7)
    assert {each.panel for each in shifted} == {7}
    assert quote_arbitrage(panel_quotes(volatility[1400], [0.9, 1.0, 1.1], [0.5, 1]), 1.0) == []
