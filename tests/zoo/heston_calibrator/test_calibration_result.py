"""What a result says of its panels, on results made by hand."""

import numpy as np
import pytest

from hedgezoo.heston_calibrator.panel_quotes import panel_quotes
from hedgezoo.heston_calibrator.result import CalibrationResult
from hedgezoo.layers import heston_call, implied_volatility

STRIKES = np.array([0.8, 0.9, 1.0, 1.1])
YEARS = np.array([0.25, 1.0, 2.0])
NAMES = ("kappa", "theta", "xi", "rho", "v0")
PARAMETERS = np.array([[2.0, 0.04, 0.5, -0.7, 0.05], [1.0, 0.09, 0.8, 0.95, 0.1]])


@pytest.fixture(scope="module")
def result():
    """Two panels; errors of 3 and -4 bp at the first maturity of panel 1, one of them masked."""
    exact = implied_volatility(heston_call(PARAMETERS, STRIKES, YEARS), STRIKES, YEARS).numpy()
    quoted = exact.copy()
    quoted[1, 0, 0] -= 3e-4
    quoted[1, 0, 1] += 4e-4
    quoted[1, 0, 2] = np.nan
    mask = np.isfinite(quoted)
    mask[1, 1] = False
    errors = np.array([[0.1, 0.002, 0.05, 0.04, 0.001], [0.1, 0.01, np.nan, 0.2, 0.001]])
    quotes = panel_quotes(quoted, STRIKES, YEARS, mask, names=NAMES)
    return CalibrationResult(
        model="heston",
        names=NAMES,
        parameters=PARAMETERS,
        standard_error=errors,
        covariance=np.stack([np.diag(row**2) for row in errors]),
        implied_volatility=exact,
        rms_bp=np.array([0.0, 1.9]),
        max_bp=np.array([0.0, 4.0]),
        noise_bp=np.array([1e-4, 2.5]),
        converged=np.array([True, False]),
        steps=np.array([5, 50]),
        outside_box=np.array([False, True]),
        quotes=quotes,
    )


def test_names_and_parameters(result):
    assert len(result) == 2
    assert result.as_dict(1) == dict(zip(NAMES, PARAMETERS[1].tolist(), strict=True))
    assert result.as_dict()["kappa"] == 2.0
    assert result.implied_vol is result.implied_volatility


def test_errors_by_maturity(result):
    years, counts, bp = result.by_maturity(1)
    assert years.tolist() == [0.25, 2.0]  # nothing is quoted at one year
    assert counts.tolist() == [3, 4]
    np.testing.assert_allclose(bp, [np.sqrt((9 + 16) / 3), 0.0], rtol=1e-9, atol=1e-9)
    years, counts, bp = result.by_maturity()
    assert years.tolist() == YEARS.tolist()
    assert counts.tolist() == [4, 4, 4]
    np.testing.assert_allclose(bp, 0.0, atol=1e-9)


def test_intervals_stay_in_the_domain(result):
    low, high = result.interval(0.95)
    assert (low[:, :3][np.isfinite(low[:, :3])] > 0).all()
    assert (np.abs(np.stack([low, high])[..., 3]) < 1).all()  # 0.95 ± 0.4 would not
    # symmetric in the coordinates of the search
    np.testing.assert_allclose(low[:, 0] * high[:, 0], PARAMETERS[:, 0] ** 2, rtol=1e-12)
    logit = np.arctanh(np.stack([low, PARAMETERS, high])[..., 3])
    np.testing.assert_allclose(logit[0] + logit[2], 2 * logit[1], rtol=1e-9)
    # narrow ones are estimate ± 1.96 standard errors
    np.testing.assert_allclose(high[0, 4] - low[0, 4], 2 * 1.959964 * 0.001, rtol=1e-3)
    # one unknown error makes one unknown interval
    assert np.isnan(low).tolist() == np.isnan(result.standard_error).tolist()
    inner, outer = result.interval(0.5), result.interval(0.99)
    known = np.isfinite(low)
    assert ((outer[0] < inner[0]) & (inner[1] < outer[1]))[known].all()
    for level in (0.0, 1.0, 95, "95 %"):
        with pytest.raises(ValueError, match="`level` must lie between 0 and 1"):
            result.interval(level)


def test_surface_is_that_of_the_model(result):
    found = result.surface([0.6, 1.5], [0.5, 3.0, 4.0])
    calls = heston_call(PARAMETERS, [0.6, 1.5], [0.5, 3.0, 4.0]).numpy()
    assert found["calls"].dtype == np.float64
    np.testing.assert_allclose(found["calls"], calls, rtol=0, atol=1e-15)
    assert found["implied_volatility"].shape == (2, 3, 2)
    grid = result.surface(STRIKES, YEARS)["implied_volatility"]
    np.testing.assert_allclose(grid, result.implied_volatility, rtol=0, atol=1e-10)


def test_arbitrage_is_that_of_the_quotes(result):
    assert result.arbitrage() == []
    quotes = np.full((2, 3, 4), 0.2)
    quotes[1, 2] = 0.05
    odd = CalibrationResult(**{**vars(result), "quotes": panel_quotes(quotes, STRIKES, YEARS)})
    found = odd.arbitrage()
    assert {each.panel for each in found} == {1}
    assert odd.arbitrage(1) == odd.arbitrage(-1) == found
    assert odd.arbitrage(0) == odd.arbitrage(tolerance=1.0) == []
    assert {each.kind for each in found} == {"calendar"}
    assert {each.strike for each in found} == set(STRIKES)
    with pytest.raises(IndexError):
        odd.arbitrage(2)


def test_printed(result):
    text = repr(result)
    assert text.splitlines()[0] == (
        "Heston on 2 panels: 0.95 bp rms (median), 1 converged, 1 outside the box"
    )
    assert "kappa 2 ± 0.1, theta 0.04 ± 0.002" in text
    assert "< 0.001 bp rms" in text
    assert len(text) < 500
