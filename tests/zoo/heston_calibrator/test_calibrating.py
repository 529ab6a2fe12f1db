"""Calibration of panels: recovery, invariances, standard errors, refusals, and its evaluation."""

import dataclasses

import numpy as np
import pytest

from hedgezoo import evaluate
from hedgezoo.baselines.calibration import calibrate as calibrate_classically
from hedgezoo.datasets.heston_panels import PAPER_GRID, HestonPanels
from hedgezoo.heston_calibrator import HestonCalibrator, calibrating
from hedgezoo.heston_calibrator.result import CalibrationResult

STRIKES, YEARS = np.array(PAPER_GRID.strikes), np.array(PAPER_GRID.maturities)
MARKET = HestonPanels(draws="plain", dtype="float64")


@dataclasses.dataclass
class Panels:
    """Quotes with the truth behind them; `arguments` are those of `calibrate`."""

    volatility: np.ndarray
    mask: np.ndarray
    spread: np.ndarray
    exact: np.ndarray
    parameters: np.ndarray

    def arguments(self, rows=slice(None)):
        return {
            "implied_vol": self.volatility[rows],
            "strikes": STRIKES,
            "maturities": YEARS,
            "mask": self.mask[rows],
            "spread": self.spread[rows],
        }


def simulated(noise, count, seed=11):
    market = dataclasses.replace(MARKET, noise=noise)
    inputs, targets = market.simulate(seed, count)
    arrays = [inputs[name].numpy() for name in ("implied_volatility", "mask", "spread")]
    return Panels(*arrays, targets["implied_volatility"].numpy(), targets["parameters"].numpy())


@pytest.fixture(scope="module")
def model():
    """Untrained: the start is a guess, and everything rests on the steps after it."""
    model = HestonCalibrator()
    model.build()
    return model


@pytest.fixture(scope="module")
def clean():
    return simulated("clean", 60)


@pytest.fixture(scope="module")
def noisy():
    return simulated("plus_minus_15_bp", 300)


@pytest.fixture(scope="module")
def fit(model, noisy):
    return model.calibrate(**noisy.arguments())


def assert_same(result, reference, rows=slice(None), share=0.02):
    """Equal parameters, up to a small share of their standard errors."""
    error = reference.standard_error[rows]
    assert (np.abs(result.parameters - reference.parameters[rows]) < share * error + 1e-9).all()
    np.testing.assert_allclose(result.rms_bp, reference.rms_bp[rows], rtol=0, atol=1e-2)


# ------------------------------------------------------------------------------------ recovery


def test_clean_panels_are_recovered(model, clean):
    result = model.calibrate(**clean.arguments())
    assert isinstance(result, CalibrationResult)
    assert result.converged.mean() > 0.95
    assert result.max_bp.max() < 0.1
    surface = result.surface(STRIKES, YEARS)["implied_volatility"]
    np.testing.assert_allclose(result.implied_volatility, surface, rtol=0, atol=1e-6)
    fitted = np.where(clean.exact > 0, result.implied_volatility, 0.0)
    np.testing.assert_allclose(fitted, clean.exact, rtol=0, atol=1e-5)
    matters = clean.parameters[:, 2] > 0.3
    np.testing.assert_allclose(result.parameters[matters], clean.parameters[matters], rtol=1e-3)
    for array in (result.parameters, result.standard_error, result.rms_bp, result.covariance):
        assert array.dtype == np.float64
    assert not result.outside_box.any()
    assert "converged" in repr(result)


def test_noisy_panels_are_recovered_as_well_as_they_can_be(fit, noisy):
    usable = noisy.exact > 0
    errors = np.where(usable, fit.implied_volatility - noisy.exact, 0.0)
    to_clean = 1e4 * np.sqrt((errors**2).sum((1, 2)) / usable.sum((1, 2)))
    assert np.median(to_clean) < 2.3
    assert np.median(fit.rms_bp) < 8.6
    np.testing.assert_allclose(np.median(fit.noise_bp), 8.7, rtol=0.03)
    quoted = noisy.mask & ~fit.quotes.unresolved
    against = np.where(quoted, fit.implied_volatility - noisy.volatility, 0.0)
    rms = 1e4 * np.sqrt((against**2).sum((1, 2)) / quoted.sum((1, 2)))
    np.testing.assert_allclose(fit.rms_bp, rms, rtol=1e-9)
    np.testing.assert_allclose(fit.max_bp, 1e4 * np.abs(against).max((1, 2)), rtol=1e-9)


def test_standard_errors_cover(fit, noisy):
    low, high = fit.interval(0.95)
    inside = (low <= noisy.parameters) & (noisy.parameters <= high)
    assert 0.92 < inside.mean() < 0.98
    variances = np.diagonal(fit.covariance, axis1=1, axis2=2)
    np.testing.assert_allclose(np.sqrt(variances), fit.standard_error, rtol=1e-6)
    np.testing.assert_allclose(fit.covariance, fit.covariance.transpose(0, 2, 1), rtol=1e-6)


def test_fitted_volatilities_are_those_of_the_surface(fit):
    """Up to the curvature of a last step that is small beside the noise."""
    errors = fit.surface(STRIKES, YEARS)["implied_volatility"] - fit.implied_volatility
    rms = 1e4 * np.sqrt(np.nanmean(errors**2, axis=(1, 2)))
    assert np.median(rms) < 1e-3
    assert (rms < 0.05 * fit.noise_bp).all()


def test_without_prior_it_is_least_squares(model):
    """On grids of their own, against MINPACK."""
    market = dataclasses.replace(MARKET, noise="gaussian_half_bp", grid="random")
    inputs, _ = market.simulate(2, 6)
    volatility, strikes, years, mask = (
        inputs[name].numpy() for name in ("implied_volatility", "strikes", "maturities", "mask")
    )
    result = model.calibrate(volatility, strikes, years, mask, prior=False)
    assert result.converged.sum() >= 5
    for i in np.flatnonzero(result.converged):
        reference = calibrate_classically(volatility[i], strikes[i], years[i], mask[i])
        assert result.rms_bp[i] == pytest.approx(reference.rms_bp, abs=2e-3)
        error = reference.standard_error
        assert (np.abs(result.parameters[i] - reference.parameters) < 0.05 * error).all()
        np.testing.assert_allclose(result.standard_error[i], error, rtol=0.1)


# --------------------------------------------------------------------------------- invariances


def test_neither_order_nor_batch_size_matters(model, noisy, fit):
    rows = np.random.default_rng(0).permutation(40)
    assert_same(model.calibrate(**noisy.arguments(rows), batch_size=17), fit, rows)


def test_a_single_panel(model, noisy, fit):
    one = {**noisy.arguments(3), "spread": float(noisy.spread[3].max())}
    result = model.calibrate(**one)
    assert result.parameters.shape == (1, 5)
    assert result.implied_volatility.shape == (1, 8, 10)
    assert_same(result, fit, slice(3, 4))


def test_masked_strikes_and_maturities_do_not_matter(model, noisy, fit):
    """Appended columns and rows of anything, masked: as if they were not there."""
    more = noisy.arguments(slice(20))
    more["strikes"] = [*STRIKES, np.nan]
    more["maturities"] = [*YEARS, -1.0]
    for name, value in (("implied_vol", np.nan), ("mask", False), ("spread", np.nan)):
        more[name] = np.pad(more[name], [(0, 0), (0, 1), (0, 1)], constant_values=value)
    result = model.calibrate(**more)
    assert_same(result, fit, slice(20))
    assert np.isnan(result.implied_volatility[:, -1]).all()
    assert np.isnan(result.implied_volatility[:, :, -1]).all()
    np.testing.assert_allclose(
        result.implied_volatility[:, :-1, :-1], fit.implied_volatility[:20], rtol=0, atol=1e-5
    )


def test_maturities_without_quotes(model, clean):
    arguments = clean.arguments(slice(10))
    arguments["mask"] = arguments["mask"].copy()
    arguments["mask"][:, [0, 3, 7]] = False
    result = model.calibrate(**arguments)
    assert np.median(result.rms_bp) < 0.01
    assert np.isfinite(result.parameters).all()
    years, counts, _ = result.by_maturity(0)
    assert years.tolist() == YEARS[[1, 2, 4, 5, 6]].tolist()
    assert counts.tolist() == [10] * 5
    # where there are no quotes stands what the model says
    assert np.isfinite(result.implied_volatility[:, 3]).all()


def test_compiled_once(model, fit):
    """By the tests before: batches of several sizes, and grids of two."""
    graph = calibrating._graph(model, 1, 1, True, 50)
    assert graph.experimental_get_tracing_count() == 1


# ------------------------------------------------------------------------------------ refusals


def test_refused_before_any_work(model, noisy, monkeypatch):
    monkeypatch.setattr(calibrating, "calibrate_quotes", lambda *args: pytest.fail("work began"))
    good = noisy.arguments(slice(4))
    few = good["mask"].copy()
    few[2, 1:] = False
    few[2, 0, 4:] = False
    for arguments, message in (
        ({"mask": few}, r"`implied_vol` must hold at least .* Received: \d quotes in panel 2"),
        ({"implied_vol": -good["implied_vol"]}, r"`implied_vol` must be positive.*Received: -"),
        ({"mask": None}, "`implied_vol` must be positive"),
        ({"strikes": STRIKES[::-1]}, r"`strikes` must be strictly increasing.*Received"),
        ({"batch_size": 0}, "`batch_size` must be .* Received: batch_size=0"),
        ({"max_steps": -1}, "`max_steps` must be .* Received: max_steps=-1"),
        ({"prior": "yes"}, "`prior` must be True or False. Received: prior='yes'"),
    ):
        with pytest.raises(ValueError, match=message):
            model.calibrate(**{**good, **arguments})


def test_arbitrage_is_reported_and_does_not_stop_the_fit(model, noisy, fit):
    arguments = noisy.arguments(slice(2))
    arguments["implied_vol"] = np.array(arguments["implied_vol"])
    arguments["implied_vol"][1, 5] *= 0.5
    arguments["mask"] = np.ones((2, 8, 10), bool)
    arguments["implied_vol"][~noisy.mask[:2]] = noisy.exact[:2][~noisy.mask[:2]]
    result = model.calibrate(**arguments)
    assert np.isfinite(result.parameters).all()
    found = [each for each in result.arbitrage(1) if each.kind == "calendar"]
    assert {each.later for each in found} == {YEARS[5]}
    assert YEARS[4] in {each.maturity for each in found}


# -------------------------------------------------------------------------------- fixed networks


@pytest.fixture(scope="module")
def fixed():
    return HestonCalibrator("shallow")


def test_a_network_with_a_fixed_grid(fixed, clean):
    result = fixed.calibrate(**clean.arguments(slice(3)))
    assert result.steps.tolist() == [0, 0, 0]
    assert (result.rms_bp > 1.0).all()  # untrained
    surface = result.surface(STRIKES, YEARS)["implied_volatility"]
    known = np.isfinite(surface) & np.isfinite(result.implied_volatility)
    assert known.mean() > 0.9
    np.testing.assert_allclose(
        np.where(known, result.implied_volatility, 0), np.where(known, surface, 0), atol=2e-6
    )


def test_other_grids_are_refused_by_name(fixed, clean):
    arguments = clean.arguments(slice(3))
    with pytest.raises(ValueError, match=r"`strikes` must be those of the network.*any grid"):
        fixed.calibrate(**{**arguments, "strikes": STRIKES + 0.01})
    with pytest.raises(ValueError, match=r"`maturities` must be those of the net.*Received: 0\.2"):
        fixed.calibrate(**{**arguments, "maturities": [0.2, *YEARS[1:]]})
    short = {name: arguments[name][:, :, 1:] for name in ("implied_vol", "mask", "spread")}
    with pytest.raises(ValueError, match=r"`strikes` must be those of the network.*shape"):
        fixed.calibrate(strikes=STRIKES[1:], maturities=YEARS, **short)


# ------------------------------------------------------------------------------------ evaluation


def test_evaluation(model):
    noises = ("clean", "plus_minus_15_bp")
    market = HestonPanels()  # quotes in float32 and Sobol points: evaluate makes the draws plain
    report = evaluate(model, paths=64, seed=3, market=market, noises=noises)
    assert {name.split("/")[0] for name in report} == set(noises)
    for metric in report.values():
        assert set(metric) == {"value", "stderr"}
        assert isinstance(metric["value"], float)
        assert metric["stderr"] >= 0.0
    value = {name: metric["value"] for name, metric in report.items()}
    assert value["clean/error_to_clean_bp"] < 0.01
    assert value["clean/failures"] == 0.0
    assert report["clean/failures"]["stderr"] > 0.0
    assert value["clean/converged"] > 0.95
    assert value["clean/chi_square"] < 1e-6
    assert 7.5 < value["plus_minus_15_bp/error_to_quotes_bp"] < 9.0
    assert 1.5 < value["plus_minus_15_bp/error_to_clean_bp"] < 2.6
    assert value["plus_minus_15_bp/pearson/kappa"] > 0.99
    assert 0.9 < value["plus_minus_15_bp/coverage"] < 1.0
    assert "plus_minus_15_bp/pearson/rho_where_xi_above_0.3" in report
    # the market's own noise is replaced, and the same seed gives the same panels
    other = dataclasses.replace(market, noise="gaussian_half_bp", draws="plain")
    again = model.evaluate_on(other, 64, 3, noises=noises[1])
    for name, metric in again.items():
        assert metric["value"] == pytest.approx(value[name], rel=1e-3, abs=1e-9)


def test_evaluation_is_refused(model):
    for arguments, message in (
        ({"noises": ("clean", "noisy")}, r"`noises` must be among .* Received: 'noisy'"),
        ({"market": None}, "`market` must be HestonPanels of heston parameters. Received"),
        ({"market": HestonPanels("bates")}, "`market` must be HestonPanels of heston parameters"),
        ({"paths": 2}, "`paths` must be an integer, 8 or above"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(model, **{"paths": 16, "market": MARKET, **arguments})
