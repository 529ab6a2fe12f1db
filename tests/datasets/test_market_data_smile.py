"""The SSVI smile, its fit to a chain, and its variance swap."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from hedgezoo.datasets import market_data
from hedgezoo.datasets.market_data import EURO_STOXX_50_SKEW, SSVISkew
from hedgezoo.datasets.market_data.ssvi import largest_eta
from hedgezoo.datasets.market_data.variance_swap import (
    at_the_money_variance,
    variance_swap_variance,
)


def smiles(count):
    """Random shapes, some of them at the edge of butterfly arbitrage."""
    draws = np.random.default_rng(0).uniform(size=(count, 3))
    for number, (a, b, c) in enumerate(draws):
        rho, gamma = 1.98 * a - 0.99, 0.5 * (1.0 - 0.98 * b)
        share = 1.0 if number % 2 else c
        yield SSVISkew(rho, share * largest_eta(rho, gamma), gamma)


def out_of_the_money(k, variance):
    """Option price per unit of forward."""
    deviation = np.sqrt(variance)
    d1 = -k / deviation + 0.5 * deviation
    d2 = d1 - deviation
    if k < 0:
        return np.exp(k) * ndtr(-d2) - ndtr(-d1)
    return ndtr(d1) - np.exp(k) * ndtr(d2)


def by_quadrature(theta, skew):
    """2 ∫ OTM(K) / K² dK, from the formula of the smile written out again."""
    phi = skew.eta / (theta**skew.gamma * (1 + theta) ** (1 - skew.gamma))

    def integrand(k):
        root = np.sqrt((phi * k + skew.rho) ** 2 + 1 - skew.rho**2)
        variance = theta / 2 * (1 + skew.rho * phi * k + root)
        return 2 * out_of_the_money(k, variance) * np.exp(-k)

    deviation = np.sqrt(theta)
    edges = np.array([-200, -60, -20, -6, -2, -0.5, 0, 0.5, 2, 6, 20, 60]) * deviation
    return sum(
        quad(integrand, low, high, epsabs=0, epsrel=1e-11, limit=200)[0]
        for low, high in itertools.pairwise(edges)
    )


def test_total_variance_at_the_money_is_theta():
    theta = np.geomspace(1e-5, 5, 50)
    for skew in smiles(5):
        np.testing.assert_allclose(skew.total_variance(0.0, theta), theta, rtol=1e-14)
        step = 1e-6
        rise = skew.total_variance(0.3 + step, theta) - skew.total_variance(0.3 - step, theta)
        np.testing.assert_allclose(skew.slope(0.3, theta), rise / (2 * step), rtol=1e-5, atol=1e-9)


def test_no_butterfly_and_no_calendar_arbitrage():
    theta = np.geomspace(1e-5, 20, 60)[:, None]
    for skew in [EURO_STOXX_50_SKEW, *smiles(60)]:
        # far enough to see the wings, in units of the curvature of each slice
        k = np.sinh(np.linspace(-8, 8, 801)) / skew.phi(theta)
        w, slope = skew.total_variance(k, theta), skew.slope(k, theta)
        x = skew.phi(theta) * k
        root = np.sqrt((x + skew.rho) ** 2 + 1 - skew.rho**2)
        bend = 0.5 * theta * skew.phi(theta) ** 2 * (1 - skew.rho**2) / root**3
        durrleman = (1 - k * slope / (2 * w)) ** 2 - slope**2 / 4 * (1 / w + 0.25) + bend / 2
        assert durrleman.min() > -1e-9, skew
        later = skew.total_variance(k, 1.001 * theta)
        assert (later - w > -1e-12 * w).all(), skew


def test_largest_eta_is_where_the_conditions_bind():
    theta = np.geomspace(1e-9, 1e9, 200001)
    for rho, gamma in ((-0.9, 0.1), (-0.5, 0.3), (0.2, 0.45), (0.0, 0.5)):
        skew = SSVISkew(rho, largest_eta(rho, gamma), gamma)
        phi = skew.phi(theta)
        first = (theta * phi * (1 + abs(rho))).max() / 4
        second = (theta * phi**2 * (1 + abs(rho))).max() / 4
        assert max(first, second) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rho": -1.0}, "`rho`"),
        ({"rho": np.nan}, "`rho`"),
        ({"eta": 0.0}, "`eta`"),
        ({"eta": 2.7}, "butterfly.*`eta`"),
        ({"gamma": 0.0}, "`gamma`"),
        ({"gamma": 0.6}, "`gamma`"),
    ],
)
def test_shapes_with_arbitrage_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(EURO_STOXX_50_SKEW, **change)


def test_shipped_skew_is_the_fit_to_the_chain():
    chain = market_data.option_chain("sx5e_2010-03-01")
    fit = market_data.fit_skew(chain)
    for name in ("rho", "eta", "gamma"):
        shipped, found = getattr(EURO_STOXX_50_SKEW, name), getattr(fit.skew, name)
        assert shipped == pytest.approx(found, abs=1e-6)
    assert fit.quotes.tolist() == [14] * 5
    # the errors that are reported, computed again from the shipped numbers
    for years, level, error in zip(
        fit.maturities, fit.at_the_money_volatility, fit.rms_error, strict=True
    ):
        here = chain.maturities == years
        theta = level**2 * years
        fitted = np.sqrt(
            EURO_STOXX_50_SKEW.total_variance(np.log(chain.moneyness[here]), theta) / years
        )
        difference = 100 * (fitted - chain.implied_volatility[here])
        assert np.sqrt(np.mean(difference**2)) == pytest.approx(error, abs=1e-4)
        assert error < 0.23
    assert fit.total_rms_error == pytest.approx(np.sqrt(np.mean(fit.rms_error**2)))


def test_fit_finds_the_skew_that_made_the_quotes():
    skew = SSVISkew(rho=-0.4, eta=1.1, gamma=0.35)
    chain = market_data.option_chain("dax_2002-07-05")
    theta = 0.28**2 * chain.maturities
    quotes = np.sqrt(skew.total_variance(np.log(chain.moneyness), theta) / chain.maturities)
    fit = market_data.fit_skew(dataclasses.replace(chain, implied_volatility=quotes), 0.01, 3.0)
    found = dataclasses.astuple(fit.skew)
    np.testing.assert_allclose(found, dataclasses.astuple(skew), rtol=1e-6)
    assert fit.total_rms_error < 1e-6
    np.testing.assert_allclose(fit.at_the_money_volatility, 0.28, rtol=1e-7)


def test_fit_refuses_too_few_quotes():
    chain = market_data.option_chain("sx5e_2010-03-01")
    with pytest.raises(ValueError, match="0 quotes at 0 maturities"):
        market_data.fit_skew(chain, shortest=20.0, longest=30.0)


def test_variance_swap_is_the_integral_of_option_prices():
    for skew in (EURO_STOXX_50_SKEW, SSVISkew(0.3, 0.8, 0.5)):
        for theta in (2e-4, 0.003, 0.05, 0.3):
            expected = by_quadrature(theta, skew)
            assert variance_swap_variance(theta, skew) == pytest.approx(expected, rel=1e-7)


def test_variance_swap_of_a_flat_smile_is_its_variance():
    flat = SSVISkew(0.0, 1e-9, 0.3)
    theta = np.geomspace(1e-6, 1.0, 7)
    np.testing.assert_allclose(variance_swap_variance(theta, flat), theta, rtol=1e-10)


def test_at_the_money_variance_is_the_inverse():
    theta = np.geomspace(2e-7, 9.0, 500).reshape(50, 10)
    for skew in (EURO_STOXX_50_SKEW, SSVISkew(0.3, 0.8, 0.5)):
        variance = variance_swap_variance(theta, skew)
        assert (np.diff(variance.ravel()) > 0).all()
        np.testing.assert_allclose(at_the_money_variance(variance, skew), theta, rtol=1e-9)
    for wrong in (0.0, np.nan, 1e6):
        with pytest.raises(ValueError, match="`variance` must lie between"):
            at_the_money_variance([0.01, wrong], EURO_STOXX_50_SKEW)
