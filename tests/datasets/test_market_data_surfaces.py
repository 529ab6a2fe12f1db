"""Histories of surfaces: levels from the indices, no arbitrage on any day, checks, repair."""

import csv
import dataclasses
import datetime
import functools
import itertools
from importlib import resources

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from hedgezoo.datasets import market_data
from hedgezoo.datasets.market_data import EURO_STOXX_50_SKEW, SurfaceHistory, spx
from hedgezoo.layers.black_scholes import black_scholes_call
from hedgezoo.layers.surfaces.arbitrage import find_arbitrage
from hedgezoo.layers.surfaces.discrete_local_volatility import dlv_to_calls, dlv_to_density

MONTH, QUARTER = 30 / 365, 93 / 365


@functools.cache
def history():
    return market_data.spx_surfaces()


def raw(name, layout):
    path = resources.files("hedgezoo.datasets.market_data") / "files" / name
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return {datetime.datetime.strptime(d, layout).date(): float(c) for d, c in rows}


def volatilities(days=3):
    """A small history without arbitrage: dates, spot, volatilities, strikes, maturities."""
    strikes, maturities = np.array([0.8, 0.9, 1.0, 1.1, 1.2]), np.array([0.1, 0.25, 0.5])
    dates = np.datetime64("2024-01-01") + np.arange(days)
    level = 0.2 + 0.02 * np.arange(days)
    smile = level[:, None, None] - 0.2 * (strikes - 1.0) + 0.01 * maturities[:, None]
    return {
        "dates": dates,
        "spot": 100.0 + np.arange(days),
        "implied_volatility": smile,
        "strikes": strikes,
        "maturities": maturities,
    }


# ------------------------------------------------------------------------------ S&P 500 surfaces


def test_dates_and_spot_are_those_of_the_files():
    closes = raw("spy_daily.csv", "%m/%d/%Y")
    vix, vix3m = raw("vix_daily.csv", "%Y-%m-%d"), raw("vix3m_daily.csv", "%m/%d/%Y")
    common = sorted(closes.keys() & vix.keys() & vix3m.keys())
    whole = history()
    assert whole.dates.astype(object).tolist() == common
    assert whole.spot.tolist() == [closes[day] for day in common]
    assert len(whole) == 4064
    assert (str(whole.dates[0]), str(whole.dates[-1])) == ("2009-09-18", "2025-11-12")
    np.testing.assert_array_equal(whole.log_returns, np.diff(np.log(whole.spot)))


def test_smiles_have_the_variance_of_the_indices():
    surfaces = market_data.spx_surfaces(strikes=(0.9, 1.0, 1.1), maturities=(MONTH, QUARTER))
    indices = raw("vix_daily.csv", "%Y-%m-%d"), raw("vix3m_daily.csv", "%m/%d/%Y")
    rho, eta, gamma = dataclasses.astuple(EURO_STOXX_50_SKEW)

    def variance(k, theta):
        phi = eta / (theta**gamma * (1 + theta) ** (1 - gamma))
        return theta / 2 * (1 + rho * phi * k + np.sqrt((phi * k + rho) ** 2 + 1 - rho**2))

    def option(k, theta):
        deviation = np.sqrt(variance(k, theta))
        d1 = -k / deviation + deviation / 2
        if k < 0:
            price = np.exp(k) * ndtr(deviation - d1) - ndtr(-d1)
        else:
            price = ndtr(d1) - np.exp(k) * ndtr(d1 - deviation)
        return 2 * price * np.exp(-k)

    crash = int(np.flatnonzero(surfaces.dates == np.datetime64("2020-03-16"))[0])
    for day in [*range(0, len(surfaces), 677), crash]:
        for j, years in enumerate((MONTH, QUARTER)):
            theta = surfaces.implied_volatility[day, j, 1] ** 2 * years
            for i, strike in enumerate(surfaces.strikes):
                assert surfaces.implied_volatility[day, j, i] == pytest.approx(
                    np.sqrt(variance(np.log(strike), theta) / years), rel=1e-12
                )
            edges = np.sqrt(theta) * np.array([-100, -25, -6, -2, 0, 2, 6, 25])
            swap = sum(
                quad(option, a, b, args=(theta,), epsabs=0, epsrel=1e-10)[0]
                for a, b in itertools.pairwise(edges)
            )
            index = indices[j][surfaces.dates[day].astype(object)]
            assert 100 * np.sqrt(swap / years) == pytest.approx(index, rel=1e-7)


def test_term_structure_has_constant_forward_variance():
    years = np.array([5, 30, 60, 93, 120, 365]) / 365
    whole = market_data.spx_surfaces(strikes=(0.9, 1.0, 1.1), maturities=years, end="2012-12-31")
    theta = whole.implied_volatility[:, :, 1] ** 2 * years
    forward = np.diff(theta, axis=1) / np.diff(years)
    np.testing.assert_allclose(theta[:, 0] / years[0], forward[:, 0], rtol=1e-9)
    np.testing.assert_allclose(forward[:, 1:], forward[:, 1:2].repeat(4, axis=1), rtol=1e-9)


def test_at_the_money_volatility_lies_below_the_index():
    surfaces = market_data.spx_surfaces(strikes=(0.9, 1.0, 1.1), maturities=(MONTH,))
    dates, closes = market_data.vix()
    gap = closes[np.isin(dates, surfaces.dates)] - 100 * surfaces.implied_volatility[:, 0, 1]
    assert gap.min() > 0.1
    assert 0.4 < np.median(gap) < 0.6
    order = np.argsort(closes[np.isin(dates, surfaces.dates)])
    assert np.diff(gap[order]).min() > -1e-9, "the gap must grow with the index"


def test_no_day_has_arbitrage():
    whole = history()
    grid = (whole.strikes, whole.maturities, whole.ghost_strikes)
    assert find_arbitrage(whole.calls, *grid) == []
    assert dlv_to_density(whole.dlv, *grid).numpy().min() > 1e-8
    np.testing.assert_allclose(dlv_to_calls(whole.dlv, *grid), whole.calls, atol=1e-15)
    assert whole.dlv.min() > 0.03
    assert whole.dlv.max() < 1.6
    np.testing.assert_allclose(
        black_scholes_call(whole.strikes, whole.maturities, whole.implied_volatility),
        whole.calls,
        atol=1e-16,
    )


def test_a_part_is_the_same_as_in_the_whole():
    part = market_data.spx_surfaces(start="2020-02-01", end=datetime.date(2020, 4, 1))
    whole = history()
    first = int(np.searchsorted(whole.dates, np.datetime64("2020-02-01")))
    assert str(part.dates[0]) == "2020-02-03"
    assert str(part.dates[-1]) == "2020-04-01"
    for name in ("dates", "spot", "implied_volatility", "calls", "dlv"):
        expected = getattr(whole, name)[first : first + len(part)]
        np.testing.assert_array_equal(getattr(part, name), expected)
    np.testing.assert_array_equal(part.ghost_strikes, whole.ghost_strikes)


def test_same_bits_when_computed_again():
    whole = history()
    spx._whole_history.cache_clear()
    again = market_data.spx_surfaces()
    assert again is not whole
    for name in ("implied_volatility", "calls", "dlv"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strikes": (1.05, 1.1)}, "contain the forward"),
        ({"strikes": (0.9, 0.8, 1.1)}, "`strikes` must be positive and increasing"),
        ({"maturities": (0.1, -0.2)}, "`maturities` must be positive and increasing"),
        ({"maturities": ()}, "one maturity"),
        ({"ghost_strikes": (0.58, 1.6)}, "2020-03-16, butterfly at strike 0.85, maturity 0.48"),
        ({"ghost_strikes": (0.9, 1.5)}, "outside the strikes"),
        ({"start": "2026-01-01"}, "runs from 2009-09-18 to 2025-11-12"),
        ({"start": "yesterday"}, "`start` must be a date"),
        ({"skew": -0.5}, "`skew` must be an SSVISkew"),
    ],
)
def test_spx_surfaces_names_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        market_data.spx_surfaces(**arguments)


def test_indices_that_contradict_each_other_are_refused_by_date():
    indices = {"short_index": [20.0, 40.0], "long_index": [21.0, 22.0]}
    with pytest.raises(ValueError, match=r"forward variance.*40.0 and 22.0 on 2024-01-03"):
        market_data.volatility_index_surfaces(["2024-01-02", "2024-01-03"], [1.0, 1.0], **indices)
    with pytest.raises(ValueError, match=r"`short_index` must be in volatility points.*0.2"):
        market_data.volatility_index_surfaces(["2024-01-02"], [1.0], [0.2], [21.0])
    with pytest.raises(ValueError, match="`index_years`"):
        market_data.volatility_index_surfaces(
            ["2024-01-02"], [1.0], [20.0], [21.0], index_years=(0.2, 0.1)
        )


# ---------------------------------------------------------------------------------- the record


def test_history_is_not_to_be_changed():
    whole = history()
    with pytest.raises(dataclasses.FrozenInstanceError):
        whole.spot = whole.spot * 2
    with pytest.raises(ValueError, match="read-only"):
        whole.dlv[0, 0, 0] = 1.0
    given = volatilities()
    made = SurfaceHistory.from_volatilities(**given)
    given["spot"][0] = -1.0
    assert made.spot[0] == 100.0


def test_repr_says_what_is_in_it():
    text = repr(market_data.spx_surfaces(start="2020-03-01", end="2020-03-31"))
    for part in ("22 dates from 2020-03-02 to 2020-03-31", "0.85", "0.48", "0.2 1.6", "VIX3M"):
        assert part in text


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dates", ["2024-01-02", "2024-01-01", "2024-01-03"], "2024-01-01 after 2024-01-02"),
        ("dates", ["2024-01-01", "2024-01-01", "2024-01-03"], "strictly increasing"),
        ("dates", ["2024-01-01", "NaT", "2024-01-03"], "none missing"),
        ("dates", ["today's", "b", "c"], "`dates` must be an array of dates"),
        ("spot", [1.0, 0.0, 1.0], "`spot` must be positive.*2024-01-02"),
        ("spot", [1.0, np.nan, 1.0], "`spot` must be finite"),
        ("spot", [1.0, 1.0], r"`spot` must have shape \(L,\) = \(3\)"),
        ("strikes", [1.01, 1.1, 1.2, 1.3, 1.4], "contain the forward"),
        ("strikes", [0.8, 1.0, 0.9, 1.1, 1.2], "increasing"),
        ("maturities", [0.1, 0.1, 0.5], "increasing"),
        ("ghost_strikes", [0.85, 1.5], "outside"),
        ("ghost_strikes", [-0.1, 1.5], "not below 0"),
        ("implied_volatility", np.full((3, 3, 5), -0.2), "2024-01-01, maturity 0.1, strike 0.8"),
        ("implied_volatility", np.full((3, 3, 5), np.nan), "`implied_volatility` must be finite"),
        ("implied_volatility", np.full((3, 5, 3), 0.2), r"shape \(L, m, n\) = \(3, 3, 5\)"),
        ("arbitrage", "ignore", "`arbitrage` must be one of"),
    ],
)
def test_from_volatilities_names_what_is_wrong(name, value, message):
    with pytest.raises(ValueError, match=message):
        SurfaceHistory.from_volatilities(**{**volatilities(), name: value})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("dlv", -1.0, "`dlv` must be non-negative.*2024-01-02, maturity 0.25, strike 0.9"),
        ("dlv", np.inf, "`dlv` must be finite"),
        ("calls", 1.5, "`calls` must be at least intrinsic value and below 1"),
        (
            "calls",
            0.09,
            "`calls` must be at least intrinsic value and below 1",
        ),  # below the intrinsic value of 0.1
        ("implied_volatility", 0.0, "`implied_volatility` must be positive"),
    ],
)
def test_the_record_checks_its_numbers(name, change, message):
    made = SurfaceHistory.from_volatilities(**volatilities())
    array = getattr(made, name).copy()
    array[1, 1, 1] = change
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(made, **{name: array})


def test_between_has_both_ends_and_no_empty_part():
    made = SurfaceHistory.from_volatilities(**volatilities(5))
    assert len(made.between()) == 5
    assert made.between("2024-01-02", "2024-01-04").spot.tolist() == [101.0, 102.0, 103.0]
    assert len(made.between(end=np.datetime64("2024-01-01"))) == 1
    with pytest.raises(ValueError, match="Received: start='2024-01-04', end='2024-01-02'"):
        made.between("2024-01-04", "2024-01-02")


# ------------------------------------------------------------------------------------ arbitrage


@pytest.mark.parametrize(
    ("cell", "change", "message"),
    [
        # dearer than the chord between its neighbours
        ((1, 1, 3), 1.8, r"2024-01-02, butterfly at strike 1.1, maturity 0.25"),
        # all strikes cheaper than at the maturity before
        ((2, 1), 0.6, r"2024-01-03, calendar at strike 0.8, maturity 0.25"),
    ],
)
def test_arbitrage_is_named_or_repaired(cell, change, message):
    given = volatilities(4)
    given["implied_volatility"][cell] *= change
    with pytest.raises(ValueError, match=message):
        SurfaceHistory.from_volatilities(**given)
    made = SurfaceHistory.from_volatilities(**given, arbitrage="repair", source="a test")
    clean = SurfaceHistory.from_volatilities(**volatilities(4))
    day = cell[0]
    assert [repair.date for repair in made.repairs] == [given["dates"][day]]
    assert "repaired dates: 1" in repr(made)
    assert find_arbitrage(made.calls, made.strikes, made.maturities, made.ghost_strikes) == []
    assert (made.dlv > 0).all()
    others = np.arange(4) != day
    np.testing.assert_array_equal(made.calls[others], clean.calls[others])
    np.testing.assert_allclose(made.ghost_strikes, clean.ghost_strikes, atol=0.11)
    before = black_scholes_call(
        given["strikes"], given["maturities"], given["implied_volatility"]
    ).numpy()
    repair = made.repairs[0]
    change = np.abs(made.calls - before)[day].max()
    assert repair.largest_price_change == pytest.approx(change, rel=1e-12)
    assert 0 < repair.largest_price_change < 0.02
    moved = np.abs(made.implied_volatility - given["implied_volatility"])[day].max()
    assert repair.largest_volatility_change == pytest.approx(moved, rel=1e-12)
    np.testing.assert_allclose(
        black_scholes_call(made.strikes, made.maturities, made.implied_volatility),
        made.calls,
        atol=1e-12,
    )
    # what is repaired needs no second repair
    assert dataclasses.replace(made, repairs=()).between("2024-01-02").repairs == ()
    assert made.between(end="2024-01-01").repairs == ()


def test_ghost_strikes_leave_the_ends_half_of_their_probability():
    random = np.random.default_rng(1)
    for _ in range(20):
        strikes = np.sort(random.uniform(0.6, 1.5, 6))
        strikes[0], strikes[-1] = min(strikes[0], 0.95), max(strikes[-1], 1.05)
        maturities = np.sort(random.uniform(0.05, 2.0, 3))
        level = random.uniform(0.1, 0.5, (5, 1, 1))
        calls = black_scholes_call(strikes, maturities, level).numpy()
        ghosts = market_data.choose_ghost_strikes(calls, strikes)
        assert 0 < ghosts[0] < strikes[0]
        assert strikes[-1] < ghosts[1]
        assert find_arbitrage(calls, strikes, maturities, ghosts) == []
        slope = (calls[..., -2] - calls[..., -1]) / (strikes[-1] - strikes[-2])
        last = slope - calls[..., -1] / (ghosts[1] - strikes[-1])
        assert (last >= 0.5 * slope - 1e-12).all()
        # at half of the distance or less some surface has arbitrage, or nearly so
        reach = (calls[..., -1] / slope).max()
        if reach > 0.05:
            near = np.array([ghosts[0], strikes[-1] + 0.9 * reach])
            assert find_arbitrage(calls, strikes, maturities, near) != []
