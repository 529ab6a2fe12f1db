"""Classical calibration: prices, gradients, exact recovery, standard errors, two real markets."""

import functools
import importlib.util
import sys

import numpy as np
import pytest

from hedgezoo.baselines.calibration import as_quotes, calibrate
from hedgezoo.baselines.calibration.models import BATES, HESTON, MODELS
from hedgezoo.baselines.calibration.numpy_pricer import PanelPricer, total_deviation
from hedgezoo.baselines.calibration.volatility_errors import VolatilityErrors
from hedgezoo.datasets.market_data import option_chain
from hedgezoo.layers import (
    bates_call,
    bates_call_and_jacobian,
    black_scholes_call,
    heston_call,
    heston_call_and_jacobian,
    implied_volatility,
)

STRIKES = np.linspace(0.8, 1.2, 10)
YEARS = np.array([0.1, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.0])
LOW, HIGH = np.array([[0.5, 0.02, 0.1, -0.95, 0.01], [8.0, 0.5, 1.5, -0.05, 0.4]])
TRUTH = np.array([2.0, 0.09, 0.7, -0.6, 0.06])
PACKAGES = {"cma_es": "cma", "quantlib": "QuantLib"}


def draw(seed, count):
    """Parameters in the box of the paper."""
    return np.random.default_rng(seed).uniform(LOW, HIGH, (count, 5))


def volatilities(parameters, strikes=STRIKES, years=YEARS, price=heston_call):
    return implied_volatility(price(parameters, strikes, years), strikes, years).numpy()


@functools.cache
def panel():
    """One panel with noise of 5 bp."""
    noise = np.random.default_rng(0).normal(0.0, 5e-4, (len(YEARS), len(STRIKES)))
    return volatilities(TRUTH) + noise


# ------------------------------------------------------------------------------ prices and slopes


@pytest.mark.parametrize("nodes", [64, 128])
@pytest.mark.parametrize(
    ("reference", "jumps"), [(heston_call_and_jacobian, 0), (bates_call_and_jacobian, 3)]
)
def test_prices_and_jacobian_are_those_of_the_layer(reference, jumps, nodes):
    jump = np.random.default_rng(1).uniform([0.1, -0.3, 0.05], [1.0, 0.1, 0.3], (20, 3))
    parameters = np.concatenate([draw(0, 20), jump[:, :jumps]], axis=1)
    calls, jacobian = reference(parameters, STRIKES, YEARS, "vertical", nodes)
    # in no order, and not all of them: quotes need not lie on a grid
    shown = np.random.default_rng(2).permutation(80)[:50]
    strikes, years = np.tile(STRIKES, 8)[shown], np.repeat(YEARS, 10)[shown]
    pricer = PanelPricer(strikes, years, nodes)
    for row, call, slopes in zip(parameters, calls.numpy(), jacobian.numpy(), strict=True):
        values, found = pricer(row)
        np.testing.assert_allclose(
            values + np.maximum(1.0 - strikes, 0.0), call.ravel()[shown], rtol=0, atol=1e-12
        )
        np.testing.assert_allclose(found, slopes.reshape(80, -1)[shown], rtol=0, atol=1e-12)
        np.testing.assert_allclose(pricer(row, jacobian=False)[0], values, rtol=0, atol=1e-15)


def test_total_deviation_is_that_of_the_layer():
    strikes = np.array([0.5, 0.7, 0.95, 1.0, 1.05, 1.4, 2.0])
    for sigma in (0.05, 0.2, 0.8, 2.0):
        calls = black_scholes_call(strikes, [1.0], sigma).numpy()[0]
        price = (calls - np.maximum(1.0 - strikes, 0.0)) / np.minimum(strikes, 1.0)
        seen = price > 1e-9  # below, the call in the money has lost the digits
        for guess in (0.5 * sigma, sigma, 3.0 * sigma):
            found = total_deviation(
                price[seen], np.abs(np.log(strikes[seen])), np.full(seen.sum(), guess)
            )
            np.testing.assert_allclose(found, sigma, rtol=1e-6)


@pytest.mark.parametrize("model", [HESTON, BATES], ids=lambda model: model.name)
def test_gradient_is_that_of_finite_differences(model):
    errors = VolatilityErrors(as_quotes(panel(), STRIKES, YEARS), model)
    free = model.to_free(np.array([3.0, 0.1, 0.5, -0.4, 0.08, 0.3, -0.1, 0.2])[: len(model)])
    _, gradient = errors.cost_and_gradient(free)
    for i, step in enumerate(1e-5 * np.eye(len(free))):
        slope = (errors.cost(free + step) - errors.cost(free - step)) / 2e-5
        assert gradient[i] == pytest.approx(slope, rel=1e-6, abs=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("model", [HESTON, BATES], ids=lambda model: model.name)
def test_coordinates_of_the_search_invert(model):
    errors = VolatilityErrors(as_quotes(panel(), STRIKES, YEARS), model)
    starts = model.starts(errors.quotes, 9)
    assert len(np.unique(starts, axis=0)) == 9
    for parameters in starts:
        again, _ = model.from_free(model.to_free(parameters))
        np.testing.assert_allclose(again, parameters, rtol=1e-12)
        assert not model.at_end(parameters).any()


# ------------------------------------------------------------------------------------ clean panels


@pytest.mark.parametrize(
    ("method", "panels"), [("levenberg_marquardt", 150), ("trust_region", 60), ("l_bfgs_b", 15)]
)
def test_clean_panels_are_recovered(method, panels):
    parameters = draw(3, panels)
    for truth, quotes in zip(parameters, volatilities(parameters), strict=True):
        fit = calibrate(quotes, STRIKES, YEARS, method=method)
        assert fit.converged
        assert fit.rms_bp < 1e-3
        np.testing.assert_allclose(fit.implied_volatility, quotes, rtol=0, atol=1e-6)
        np.testing.assert_allclose(fit.parameters, truth, rtol=1e-3)


def test_bates_panel_is_recovered():
    truth = np.array([2.0, 0.06, 0.5, -0.6, 0.05, 0.4, -0.15, 0.12])
    quotes = volatilities(truth, price=bates_call)
    fit = calibrate(quotes, STRIKES, YEARS, model="bates", starts=2)
    assert fit.rms_bp < 1e-3
    np.testing.assert_allclose(fit.parameters, truth, rtol=1e-3)
    assert calibrate(quotes, STRIKES, YEARS).rms_bp > 3.0


@pytest.mark.parametrize("method", PACKAGES)
def test_methods_of_other_packages(method):
    """They recover a clean panel where they are installed, and say what to install elsewhere."""
    quotes = volatilities(TRUTH)
    if importlib.util.find_spec(PACKAGES[method]) is None:
        with pytest.raises(ValueError, match=f"pip install {PACKAGES[method]}"):
            calibrate(quotes, STRIKES, YEARS, method=method)
        return
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    fit = calibrate(quotes, STRIKES, YEARS, method=method)
    assert fit.rms_bp < 0.05
    np.testing.assert_allclose(fit.parameters, TRUTH, rtol=0.02)
    assert fit.evaluations > 5
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("method", PACKAGES)
def test_missing_package_is_named_before_any_work(method, monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGES[method], None)
    with pytest.raises(ValueError, match=f"pip install {PACKAGES[method]}"):
        calibrate("not looked at", method=method)


def test_nodes_are_added_where_the_integrand_decays_slowly():
    """(v₀ + κθT)/ξ is 0.01: 64 nodes are 0.1 bp off."""
    truth, years = np.array([0.5, 0.02, 1.5, -0.9, 0.015]), np.array([0.05, 0.5])
    quotes = volatilities(truth, years=years)  # on tilted contours
    errors = VolatilityErrors(as_quotes(quotes, STRIKES, years), HESTON)
    assert np.abs(errors.fit(truth).errors).max() > 0.1
    fit = calibrate(quotes, STRIKES, years)
    assert fit.rms_bp < 1e-3
    np.testing.assert_allclose(fit.parameters, truth, rtol=1e-4)


# ------------------------------------------------------------------------------------ noisy panels


def test_methods_find_the_same_minimum():
    mask = np.random.default_rng(5).random(panel().shape) > 0.2
    fits = [
        calibrate(panel(), STRIKES, YEARS, mask, method=method, derivatives=derivatives)
        for method in ("levenberg_marquardt", "trust_region", "l_bfgs_b")
        for derivatives in ("analytic", "finite_differences")
    ]
    for fit in fits[1:]:
        assert fit.rms_bp == pytest.approx(fits[0].rms_bp, rel=1e-6)
        np.testing.assert_allclose(fit.parameters, fits[0].parameters, rtol=2e-3)
    assert fits[1].evaluations > 2 * fits[0].evaluations
    errors = VolatilityErrors(fits[0].quotes, HESTON)
    free = HESTON.to_free(fits[0].parameters)
    best = errors.cost(free)
    for step in 1e-3 * np.concatenate([np.eye(5), -np.eye(5)]):
        assert errors.cost(free + step) > best


def test_standard_errors_cover():
    clean, random = volatilities(TRUTH), np.random.default_rng(6)
    spread = np.broadcast_to(np.where(STRIKES > 1.0, 2e-3, 5e-4), clean.shape)
    scores = []
    for _ in range(250):
        quotes = clean + spread * random.normal(size=clean.shape)
        fit = calibrate(quotes, STRIKES, YEARS, spread=spread)
        scores.append((fit.parameters - TRUTH) / fit.standard_error)
    scores = np.array(scores)
    # four standard errors of a deviation and of a share from 250 draws
    np.testing.assert_allclose(scores.std(axis=0), 1.0, atol=0.18)
    np.testing.assert_allclose((np.abs(scores) < 1.96).mean(axis=0), 0.95, atol=0.055)


def test_covariance_is_of_the_normal_equations():
    fit = calibrate(panel(), STRIKES, YEARS)
    jacobian = np.empty((80, 5))
    for i, step in enumerate(np.diag(1e-4 * fit.parameters)):
        up, down = (volatilities(fit.parameters + sign * step) for sign in (1, -1))
        jacobian[:, i] = ((up - down) / (2 * step[i])).ravel()
    variance = np.square(fit.implied_volatility - panel()).sum() / 75
    expected = variance * np.linalg.inv(jacobian.T @ jacobian)
    np.testing.assert_allclose(fit.covariance, expected, rtol=1e-3)
    np.testing.assert_array_equal(fit.standard_error, np.sqrt(np.diag(fit.covariance)))


def test_weights_decide_between_quotes_that_disagree():
    quotes = panel().copy()
    quotes[0] += 0.05
    weights = np.ones_like(quotes)
    weights[0] = 1e-12
    fit = calibrate(quotes, STRIKES, YEARS, weights=weights)
    without = calibrate(quotes[1:], STRIKES, YEARS[1:])
    np.testing.assert_allclose(fit.parameters, without.parameters, rtol=1e-4)
    spread = calibrate(quotes, STRIKES, YEARS, spread=weights**-0.5)
    np.testing.assert_allclose(spread.parameters, fit.parameters, rtol=1e-5)


def test_best_of_several_starts_is_returned():
    poor = np.array([90.0, 3.0, 15.0, 0.9, 1e-4])
    starts = np.stack([poor, TRUTH])
    fit = calibrate(panel(), STRIKES, YEARS, start=starts, max_evaluations=3)
    assert fit.starts_rms_bp[1] < fit.starts_rms_bp[0]
    assert fit.rms_bp == pytest.approx(fit.starts_rms_bp[1])
    assert not fit.converged
    assert "evaluations" in fit.message
    several = calibrate(panel(), STRIKES, YEARS, starts=5)
    assert several.starts_rms_bp.shape == (5,)
    assert several.rms_bp == pytest.approx(several.starts_rms_bp.min())


# ------------------------------------------------------------------------------------- real markets


def test_dax_2002_is_that_of_quantlib():
    """Sum of squares 177.2 ± 1 in volatility points: QuantLib's test, test-suite/hestonmodel.cpp.

    It rounds maturities to whole weeks and interpolates the zero rates there.
    """
    chain = option_chain("dax_2002-07-05")
    days = np.round(365 * chain.maturities)
    known, first = np.unique(days, return_index=True)
    rounded = 7 * ((days + 3) // 7)
    rates = np.interp(rounded, [0, *known], [chain.rates[0], *chain.rates[first]])
    years = rounded / 365
    strikes = chain.strikes / (chain.spot * np.exp(rates * years))
    fit = calibrate(chain.implied_volatility, strikes, years, starts=4)
    points = 100 * (fit.implied_volatility - chain.implied_volatility)
    assert np.square(points).sum() == pytest.approx(177.2, abs=0.1)
    np.testing.assert_allclose(fit.parameters, [15.66, 0.07459, 3.362, -0.5115, 0.1957], rtol=1e-3)
    np.testing.assert_allclose(fit.starts_rms_bp, fit.rms_bp, rtol=1e-6)
    jumps = calibrate(chain.implied_volatility, strikes, years, model="bates")
    points = 100 * (jumps.implied_volatility - chain.implied_volatility)
    assert np.square(points).sum() == pytest.approx(36.6, abs=2.5)  # test-suite/batesmodel.cpp


def test_euro_stoxx_50_2010():
    chain = option_chain("sx5e_2010-03-01")
    fit = calibrate(chain, starts=4)
    assert len(fit.quotes) == 155
    assert fit.rms_bp == pytest.approx(61.7, abs=0.1)
    np.testing.assert_allclose(fit.starts_rms_bp, fit.rms_bp, rtol=1e-6)
    years, counts, errors = fit.by_maturity()
    np.testing.assert_array_equal(years, np.unique(chain.maturities))
    assert np.sqrt(np.average(errors**2, weights=counts)) == pytest.approx(fit.rms_bp)
    assert errors.argmax() == 0  # nine days: a diffusion cannot follow that smile
    moneyness, years = chain.moneyness, chain.maturities
    central = (years >= 0.1) & (years <= 2.3) & (moneyness > 0.8) & (moneyness < 1.21)
    fit = calibrate(chain.implied_volatility, moneyness, years, mask=central, starts=4)
    assert len(fit.quotes) == 82
    assert fit.rms_bp == pytest.approx(29.73, abs=0.02)
    np.testing.assert_allclose(fit.starts_rms_bp, fit.rms_bp, rtol=1e-6)
    assert np.isnan(fit.implied_volatility[~central]).all()
    assert fit.as_dict()["rho"] == pytest.approx(-0.64, abs=0.01)


# ------------------------------------------------------------------------------------------ quotes


def test_grid_list_and_rows_are_the_same_quotes():
    mask = np.random.default_rng(7).random(panel().shape) > 0.3
    mask[2] = False  # a maturity without quotes
    with_holes = np.where(mask, panel(), np.nan)
    grid = calibrate(with_holes, STRIKES, YEARS, mask)
    strikes, years = (
        np.broadcast_to(STRIKES, mask.shape),
        np.broadcast_to(YEARS[:, None], mask.shape),
    )
    rows = np.stack([strikes[mask], years[mask], panel()[mask]], axis=1)
    shuffled = np.random.default_rng(8).permutation(rows)
    table = calibrate(shuffled)
    weighted = calibrate(np.concatenate([shuffled, np.full((len(rows), 1), 3.0)], axis=1))
    listed = calibrate(rows[:, 2], rows[:, 0], rows[:, 1])
    own = calibrate(with_holes, strikes, YEARS, mask)
    for other in (table, weighted, listed, own):
        np.testing.assert_allclose(other.parameters, grid.parameters, rtol=1e-6)
        np.testing.assert_allclose(other.standard_error, grid.standard_error, rtol=1e-4)
    assert (np.isnan(grid.implied_volatility) == ~mask).all()
    np.testing.assert_allclose(grid.implied_volatility[mask], listed.implied_volatility, rtol=1e-8)


def test_prices_below_rounding_are_left_out():
    quotes, years = panel().copy(), YEARS.copy()
    years[0], quotes[0] = 0.002, 0.2  # 0.2 in the log is 22 standard deviations
    fit = calibrate(quotes, STRIKES, years)
    assert "left out" in fit.message
    unseen = np.isnan(fit.implied_volatility)
    assert unseen[0, [0, -1]].all()
    assert not unseen[1:].any()
    assert fit.by_maturity()[1].sum() == np.count_nonzero(~unseen)
    assert np.isfinite(fit.parameters).all()
    assert np.isfinite(fit.standard_error).all()


def test_flat_surface_is_fitted_without_false_precision():
    """ξ and ρ mean nothing where there is no smile: no standard error is made up."""
    fit = calibrate(np.full((8, 10), 0.2), STRIKES, YEARS)
    assert fit.rms_bp < 1.0
    assert fit.as_dict()["v0"] == pytest.approx(0.04, rel=1e-2)
    assert "end of the range" in fit.message
    assert np.isnan(fit.standard_error).any()


def test_result_reads_well():
    text = repr(calibrate(panel(), STRIKES, YEARS))
    assert text.startswith("Heston by levenberg_marquardt on 80 quotes: ")
    assert [line.split()[0] for line in text.splitlines()[1:6]] == list(HESTON.names)
    assert "converged in" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "levenberg"}, "Did you mean 'levenberg_marquardt'"),
        ({"model": "hestn"}, "Did you mean 'heston'"),
        ({"derivatives": "numeric"}, "`derivatives`"),
        ({"starts": 0}, "`starts`"),
        ({"tolerance": 0.0}, "`tolerance`"),
        ({"max_evaluations": 0}, "`max_evaluations`"),
        ({"strikes": STRIKES[:-1]}, "`strikes` must have shape"),
        ({"strikes": STRIKES[::-1]}, "`strikes` of a grid must increase"),
        ({"strikes": np.r_[STRIKES[1], STRIKES[1:]]}, "`strikes` of a grid must increase"),
        ({"strikes": STRIKES - 0.8}, "`strikes` must be positive"),
        ({"strikes": None}, "`strikes` is missing"),
        ({"maturities": YEARS[:-1]}, "`maturities` must have shape"),
        ({"maturities": YEARS[::-1]}, "`maturities` of a grid must increase"),
        ({"maturities": None}, "`maturities` is missing"),
        ({"implied_volatility": np.full((8, 10), -0.2)}, "positive and finite.*-0.2"),
        ({"implied_volatility": np.full((8, 10), np.nan)}, "positive and finite.*nan"),
        ({"implied_volatility": np.full((1, 8, 10), 0.2)}, "`implied_volatility` must have shape"),
        ({"implied_volatility": "vols"}, "`implied_volatility` must be an array"),
        ({"mask": np.ones(80)}, "`mask` must be booleans"),
        ({"mask": np.full((8, 10), 2)}, "`mask` must be booleans"),
        ({"mask": np.arange(80).reshape(8, 10) < 4}, "at least as many quotes.*4 quotes"),
        ({"mask": np.zeros((8, 10))}, "`mask` must leave a quote"),
        ({"spread": np.zeros((8, 10))}, "`spread` must be positive"),
        ({"weights": np.ones(10)}, "`weights` must have shape"),
        ({"weights": np.ones((8, 10)), "spread": np.ones((8, 10))}, "not both"),
        ({"start": [1.0, 2.0]}, "`start` must have shape"),
        ({"start": [2.0, 0.04, 0.5, -1.5, 0.04]}, "`start` must have rho between"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {"implied_volatility": panel(), "strikes": STRIKES, "maturities": YEARS, **change}
    with pytest.raises(ValueError, match=message):
        calibrate(**arguments)


def test_bad_tables():
    rows = [[0.8 + 0.05 * i, 1.0, 0.2] for i in range(8)]
    with pytest.raises(ValueError, match="must not repeat"):
        calibrate([*rows, rows[0]])
    with pytest.raises(ValueError, match="shape"):
        calibrate([row[:2] for row in rows])
    with pytest.raises(ValueError, match="twice"):
        calibrate([[*row, 1.0] for row in rows], weights=np.ones(8))
    with pytest.raises(ValueError, match="`model`"):
        calibrate(rows, model=sorted(MODELS)[0] + "s")
