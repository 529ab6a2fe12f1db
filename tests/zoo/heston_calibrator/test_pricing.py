"""Prices and sensitivities of calibrated models: differences of exact prices, and parity."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.heston_calibrator.pricing import price, sensitivities
from hedgezoo.layers import bates_call, black_scholes_call, heston_call

STRIKES = np.array([0.7, 0.9, 1.0, 1.2])
YEARS = np.array([0.25, 1.5])
HESTON = np.array([[2.0, 0.04, 0.5, -0.7, 0.05], [0.7, 0.1, 0.9, 0.2, 0.2]])
BATES = np.concatenate([HESTON, [[0.5, -0.1, 0.15], [0.1, 0.05, 0.1]]], axis=1)
CASES = {"heston": (HESTON, heston_call), "bates": (BATES, bates_call)}


@pytest.mark.parametrize("model", CASES)
def test_volatilities_reproduce_the_prices(model):
    parameters, call = CASES[model]
    found = price(parameters, STRIKES, YEARS)
    np.testing.assert_allclose(found["calls"], call(parameters, STRIKES, YEARS), rtol=0, atol=1e-14)
    again = black_scholes_call(STRIKES, YEARS, found["implied_volatility"])
    np.testing.assert_allclose(again, found["calls"], rtol=0, atol=1e-13)


@pytest.mark.parametrize("model", CASES)
def test_delta_and_gamma_are_differences_in_the_forward(model):
    """Of the price in money of an option on a fixed strike, F C(k / F)."""
    parameters, call = CASES[model]
    found = sensitivities(parameters, STRIKES, YEARS)
    h = 2e-3

    def money(forward):
        return forward * call(parameters, STRIKES / forward, YEARS).numpy()

    values = [money(1.0 + k * h) for k in (-2, -1, 0, 1, 2)]
    delta = np.tensordot([1, -8, 0, 8, -1], values, 1) / (12 * h)
    gamma = np.tensordot([-1, 16, -30, 16, -1], values, 1) / (12 * h * h)
    np.testing.assert_allclose(found["delta"], delta, rtol=0, atol=1e-8)
    np.testing.assert_allclose(found["gamma"], gamma, rtol=0, atol=1e-6)
    assert ((found["delta"] > 0) & (found["delta"] < 1)).numpy().all()
    assert (found["gamma"] > 0).numpy().all()


@pytest.mark.parametrize("model", CASES)
def test_derivatives_by_parameters_are_differences(model):
    parameters, _ = CASES[model]
    found = {k: v.numpy() for k, v in sensitivities(parameters, STRIKES, YEARS).items()}
    h = 1e-5
    for i in range(parameters.shape[1]):
        step = np.zeros(parameters.shape[1])
        step[i] = h
        up, down = (price(parameters + s * step, STRIKES, YEARS) for s in (1, -1))
        for name, column in (
            ("calls", found["jacobian"]),
            ("implied_volatility", found["implied_volatility_jacobian"]),
        ):
            slope = (up[name] - down[name]).numpy() / (2 * h)
            np.testing.assert_allclose(column[..., i], slope, rtol=1e-5, atol=1e-7)
    volatility = np.sqrt(parameters[:, 4])
    moved = [parameters.copy() for _ in range(2)]
    for array, sign in zip(moved, (1, -1), strict=True):
        array[:, 4] = (volatility + sign * h) ** 2
    up, down = (price(array, STRIKES, YEARS)["calls"] for array in moved)
    np.testing.assert_allclose(found["vega"], (up - down) / (2 * h), rtol=1e-5, atol=1e-8)


def test_grids_of_their_own():
    own = np.stack([STRIKES + 0.01 * np.arange(2)[:, np.newaxis], np.tile(STRIKES, (2, 1))])
    years = np.stack([YEARS, YEARS + 0.5])
    for function in (price, sensitivities):
        both = function(HESTON, own, years)
        for b in range(2):
            alone = function(HESTON[b : b + 1], own[b], years[b])
            for name, value in alone.items():
                np.testing.assert_allclose(both[name][b], value[0], rtol=1e-9, atol=1e-12)


def test_worthless_options_have_no_volatility():
    found = price([[2.0, 0.0025, 0.05, 0.0, 0.0025]], [0.5, 1.0, 2.0], [0.1])
    assert np.isnan(found["implied_volatility"].numpy()).tolist() == [[[True, False, True]]]
    greeks = sensitivities([[2.0, 0.0025, 0.05, 0.0, 0.0025]], [0.5, 1.0, 2.0], [0.1])
    np.testing.assert_allclose(greeks["delta"].numpy()[0, 0, [0, 2]], [1.0, 0.0], atol=1e-9)
    for name in ("calls", "delta", "gamma", "vega", "jacobian"):
        assert np.isfinite(greeks[name]).all()


def test_float32_parameters_are_priced_in_float64():
    found = price(tf.constant(HESTON, tf.float32), STRIKES, YEARS)
    assert found["calls"].dtype == tf.float64
    expected = heston_call(HESTON.astype("float32").astype("float64"), STRIKES, YEARS)
    np.testing.assert_allclose(found["calls"], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("function", [price, sensitivities])
def test_refused(function):
    with pytest.raises(ValueError, match=r"`parameters` must have shape .* Received: shape=\(2, 4"):
        function(HESTON[:, :4], STRIKES, YEARS)
    with pytest.raises(ValueError, match=r"Received: shape=\(5,\)"):
        function(HESTON[0], STRIKES, YEARS)
    with pytest.raises(ValueError, match="maturities"):
        function(HESTON, np.tile(STRIKES, (3, 1)), YEARS)
    with pytest.raises(ValueError, match="rho"):
        function(HESTON + 1.0, STRIKES, YEARS)
