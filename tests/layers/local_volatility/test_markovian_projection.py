"""Heston's local volatility: the definition by prices, by paths, and in limits."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import (
    cev_call,
    cev_local_volatility,
    heston_call,
    heston_local_volatility,
    implied_volatility,
)
from hedgezoo.layers.local_volatility import markovian_projection

PARAMETERS = (1.5, 0.04, 0.5, -0.7, 0.04)


@pytest.mark.parametrize(
    "parameters",
    [
        PARAMETERS,
        (3.0, 0.04, 0.5, -0.7, 0.09),
        (0.5, 0.09, 0.9, 0.4, 0.02),
        (0.0, 0.04, 0.3, 0.0, 0.06),
    ],
)
def test_dupire_formula(parameters):
    """σ² = 2 C_T / (K² C_KK) with the derivatives of the Fourier prices."""
    maturities = np.array([0.25, 1.0])
    x = np.linspace(-0.25, 0.25, 11)
    strikes, years = tf.constant(np.tile(np.exp(x), (2, 1))), tf.constant(maturities)
    with tf.GradientTape() as outer:
        outer.watch(strikes)
        with tf.GradientTape(persistent=True) as inner:
            inner.watch((strikes, years))
            calls = heston_call(parameters, strikes, years)
            each = tf.unstack(tf.reshape(calls, (-1,)))
        slope = inner.gradient(calls, strikes)
    bend = outer.gradient(slope, strikes).numpy()
    by_time = np.array([inner.gradient(c, years).numpy().sum() for c in each]).reshape(2, -1)
    expected = np.sqrt(2.0 * by_time / (np.exp(2 * x) * bend))
    found = heston_local_volatility(parameters, x, maturities[:, None])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_conditional_mean_of_the_variance():
    """E[v | S] of simulated paths, by log-Euler with full truncation."""
    kappa, theta, xi, rho, v0 = PARAMETERS
    rng = np.random.default_rng(1)
    paths, steps, horizon = 20_000, 150, 0.5
    h = horizon / steps
    x, v = np.zeros(paths), np.full(paths, v0)
    for _ in range(steps):
        z = rng.standard_normal((2, paths))
        now = np.maximum(v, 0.0)
        x += -0.5 * now * h + np.sqrt(now * h) * z[0]
        v += kappa * (theta - now) * h + xi * np.sqrt(now * h) * (
            rho * z[0] + np.sqrt(1 - rho * rho) * z[1]
        )
    exact = heston_local_volatility(PARAMETERS, x, horizon) ** 2
    residual = np.maximum(v, 0.0) - exact
    # within every sixth of the paths the residual is zero up to noise and the scheme's error
    for group in np.array_split(np.argsort(x), 6):
        mean, error = residual[group].mean(), residual[group].std() / np.sqrt(len(group))
        assert abs(mean) < 4 * error + 0.01 * exact[group].mean()


def test_far_wings_do_not_lose_digits(monkeypatch):
    years = np.array([1e-3, 0.1, 1.0, 5.0])[:, None]
    x = 0.2 * np.sqrt(years) * np.linspace(-10, 10, 11)
    found = heston_local_volatility(PARAMETERS, x, years)
    monkeypatch.setattr(markovian_projection, "NODES", 600)
    np.testing.assert_allclose(found, heston_local_volatility(PARAMETERS, x, years), rtol=1e-9)
    # Lee's formula: the variance grows linearly in the wings, so σ² / |x| levels off
    wing = heston_local_volatility(PARAMETERS, [-2.0, -2.4], 1.0) ** 2
    assert 1.0 < wing[1] / wing[0] < 1.3


def test_limits():
    # short times: level √v₀, and in log S the slope ρξ / (2√v₀)
    kappa, theta, xi, rho, v0 = PARAMETERS
    low, mid, high = heston_local_volatility(PARAMETERS, [-1e-4, 0.0, 1e-4], 1e-6)
    assert mid == pytest.approx(np.sqrt(v0), rel=1e-5)
    assert (high - low) / 2e-4 == pytest.approx(rho * xi / (2 * np.sqrt(v0)), rel=1e-3)
    assert heston_local_volatility(PARAMETERS, 0.0, 0.0) == pytest.approx(0.2, rel=1e-5)
    # no volatility of variance: σ depends on time alone
    years = np.array([0.1, 1.0, 4.0])
    found = heston_local_volatility([kappa, theta, 0.0, rho, 0.09], 0.3, years)
    np.testing.assert_allclose(found**2, theta + 0.05 * np.exp(-kappa * years), rtol=1e-10)
    # symmetric without correlation, in the density of log S under √S as numeraire
    both = heston_local_volatility([1.0, 0.04, 0.8, 0.0, 0.04], [-0.2, 0.2], 0.7)
    assert both[0] == pytest.approx(both[1], rel=1e-10)


def test_shapes():
    assert heston_local_volatility(PARAMETERS, np.zeros((3, 1)), np.ones(4)).shape == (3, 4)
    assert heston_local_volatility(PARAMETERS, 0.0, 1.0).shape == ()
    assert heston_local_volatility(PARAMETERS, np.zeros((0,)), 1.0).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 0.04, 0.5, -0.7], 0.0, 1.0), "`parameters`"),
        (([1.0, -0.04, 0.5, -0.7, 0.04], 0.0, 1.0), "theta"),
        (([1.0, 0.04, 0.5, -1.0, 0.04], 0.0, 1.0), "rho"),
        (([1.0, 0.04, 0.5, -0.7, 0.0], 0.0, 1.0), "v0"),
        ((PARAMETERS, np.nan, 1.0), "`log_moneyness`"),
        ((PARAMETERS, 0.0, -1.0), "`maturity`"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        heston_local_volatility(*arguments)


# ------------------------------------------------------------------------------------------ CEV


@pytest.mark.parametrize("elasticity", [0.2, 0.5, 0.8])
def test_cev_call_solves_its_equation(elasticity):
    """C_T = ½ σ² K^{2β} C_KK by differences."""
    strikes, years = np.linspace(0.7, 1.4, 8), 0.6
    k, h = 1e-3, 1e-4
    calls = [cev_call(0.3, elasticity, strikes + i * k, [years])[0] for i in (-1, 0, 1)]
    bend = (calls[0] - 2 * calls[1] + calls[2]) / k**2
    later, sooner = (cev_call(0.3, elasticity, strikes, [years + i * h])[0] for i in (1, -1))
    sigma = strikes * cev_local_volatility(0.3, elasticity, np.log(strikes))
    np.testing.assert_allclose((later - sooner) / (2 * h), 0.5 * sigma**2 * bend, rtol=1e-4)


def test_cev_call_is_black_scholes_at_one():
    strikes, maturities = [0.8, 1.0, 1.25], [0.1, 2.0]
    exact = cev_call(0.2, 1.0, strikes, maturities)
    np.testing.assert_allclose(cev_call(0.2, 0.9999, strikes, maturities), exact, atol=2e-6)
    np.testing.assert_allclose(implied_volatility(exact, strikes, maturities), 0.2, rtol=1e-9)
    rows = cev_call(0.2, 0.5, [[0.9, 1.0], [0.8, 1.1]], maturities)
    np.testing.assert_allclose(rows[1], cev_call(0.2, 0.5, [0.8, 1.1], [2.0])[0])


def test_cev_call_keeps_the_forward():
    # absorbed at zero the forward is still a martingale: put-call parity at small strikes
    calls = cev_call(0.4, 0.5, [1e-4, 1e-3], [1.0])[0]
    np.testing.assert_allclose(calls, 1.0 - np.array([1e-4, 1e-3]), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.5, [1.0], [1.0]), "`volatility`"),
        ((0.2, 0.0, [1.0], [1.0]), "`elasticity`"),
        ((0.2, 1.5, [1.0], [1.0]), "`elasticity`"),
        ((0.2, 0.5, [-1.0], [1.0]), "`strikes`"),
        ((0.2, 0.5, [1.0], 1.0), "`maturities`"),
        ((0.2, 0.5, [[1.0], [1.0]], [1.0]), "`strikes`"),
    ],
)
def test_cev_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        cev_call(*arguments)
