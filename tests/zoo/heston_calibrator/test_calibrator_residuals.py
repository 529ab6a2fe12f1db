"""Volatility residuals against exact inversion, their Jacobian, weights, and quadrature errors."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets.heston_panels import HestonPanels
from hedgezoo.heston_calibrator.coordinates import Coordinates
from hedgezoo.heston_calibrator.quadrature_error import quadrature_error
from hedgezoo.heston_calibrator.residuals import (
    Quotes,
    residuals_and_jacobian,
    volatility_residuals,
)
from hedgezoo.layers import heston_call, implied_volatility

STRIKES, YEARS = np.linspace(0.8, 1.2, 5), np.array([0.25, 1.0])
PARAMETERS = np.array([[1.5, 0.06, 0.7, -0.6, 0.04], [4.0, 0.2, 1.2, -0.2, 0.3]])


def volatility_of(parameters):
    return implied_volatility(heston_call(parameters, STRIKES, YEARS), STRIKES, YEARS).numpy()


def quotes_of(volatility, mask=None, spread=None, dtype="float64"):
    inputs = {"implied_volatility": volatility, "strikes": STRIKES, "maturities": YEARS}
    return Quotes.of({**inputs, "mask": mask, "spread": spread}, dtype)


@pytest.mark.parametrize("size", [1e-4, 1e-2, 0.3])
def test_residuals_are_differences_of_volatilities(size):
    exact = volatility_of(PARAMETERS)
    off = exact * (1.0 + size * np.random.default_rng(0).uniform(-1, 1, exact.shape))
    coordinates = Coordinates()
    u = coordinates.from_parameters(PARAMETERS)
    r = volatility_residuals(coordinates, u, quotes_of(off), "tilted", 128)
    np.testing.assert_allclose(r, exact - off, atol=1e-10)  # 1e-6 bp


def test_single_precision_errs_by_a_fraction_of_a_basis_point():
    exact = volatility_of(PARAMETERS)
    coordinates = Coordinates()
    u = tf.cast(coordinates.from_parameters(PARAMETERS), tf.float32)
    r = volatility_residuals(coordinates, u, quotes_of(exact, dtype="float32"), "vertical", 64)
    assert np.sqrt(np.mean(np.square(r))) < 0.1e-4


@pytest.mark.parametrize("model", ["heston", "bates"])
def test_jacobian_against_finite_differences(model):
    coordinates = Coordinates(model)
    jumps = np.tile([0.4, -0.1, 0.15], (2, 1))
    parameters = PARAMETERS if model == "heston" else np.hstack([PARAMETERS, jumps])
    u = coordinates.from_parameters(parameters)
    quotes = quotes_of(volatility_of(PARAMETERS))
    _, jacobian = residuals_and_jacobian(coordinates, u, quotes, "vertical", 128)
    for j in range(len(coordinates)):
        step = 1e-5 * np.eye(len(coordinates))[j]
        rise = volatility_residuals(coordinates, u + step, quotes, "vertical", 128)
        rise -= volatility_residuals(coordinates, u - step, quotes, "vertical", 128)
        np.testing.assert_allclose(jacobian[..., j], rise / 2e-5, rtol=1e-6, atol=1e-8)


def test_what_is_masked_cannot_be_seen():
    exact = volatility_of(PARAMETERS)
    mask = np.ones_like(exact, bool)
    mask[0, 1, 2] = mask[1, 0] = False
    wild = np.where(mask, exact, np.nan)
    a, b = quotes_of(exact, mask), quotes_of(wild)
    np.testing.assert_array_equal(a.mask, b.mask)
    np.testing.assert_array_equal(a.volatility, b.volatility)
    assert np.isfinite(a.volatility).all()
    np.testing.assert_array_equal(a.weights()[~mask], 0.0)


def test_weights_are_inverse_variances_with_mean_one():
    exact = volatility_of(PARAMETERS)
    spread = np.where(np.arange(5) < 2, 30e-4, 0.0) * np.ones_like(exact)
    weights = quotes_of(exact, spread=spread).weights().numpy()
    np.testing.assert_allclose(weights.mean((1, 2)), 1.0, rtol=1e-12)
    variances = (0.5e-4) ** 2 + spread**2 / 12
    expected = variances[0, 0, 4] / variances[0, 0, 0]
    np.testing.assert_allclose(weights[:, :, 0] / weights[:, :, 4], expected, rtol=1e-2)


def test_an_option_worth_nothing_has_no_weight():
    quotes = Quotes.of(
        {
            "implied_volatility": np.full((1, 1, 2), 0.05),
            "strikes": np.array([1.0, 1.4]),
            "maturities": np.array([0.05]),
        },
        "float64",
    )
    np.testing.assert_allclose(quotes.weights(), [[[1.0, 0.0]]], rtol=1e-14)


def test_quotes_without_mask_and_rows():
    exact = volatility_of(PARAMETERS)
    quotes = quotes_of(exact)
    row = quotes.rows(tf.constant([1]))
    np.testing.assert_array_equal(row.volatility, exact[1:])
    assert row.strikes.shape == (5,)  # a shared grid stays shared


@pytest.mark.parametrize("nodes", [64, 128])
def test_the_bound_of_quadrature_errors(nodes):
    # calm and short, and wide: where few nodes do badly
    inputs, targets = HestonPanels(box="wide", grid="wide", dtype="float64").simulate(3, 48)
    coordinates = Coordinates()
    quotes = Quotes.of(inputs, "float64")
    u = coordinates.from_parameters(targets["parameters"])
    weights = quotes.weights()
    bound = quadrature_error(coordinates, u, quotes, weights, nodes).numpy()
    errors = volatility_residuals(coordinates, u, quotes, "vertical", nodes)
    squares = tf.reduce_sum(weights * tf.square(errors), (1, 2)) / tf.reduce_sum(weights, (1, 2))
    rms = np.sqrt(squares)
    assert 0 < np.mean(bound < 0.1e-4) < 1
    assert rms[bound < 0.1e-4].max() < 0.05e-4
    assert rms.max() > 1e-4  # so there was something to find
    # a mild panel does not need more
    mild = quotes_of(volatility_of(PARAMETERS[:1]))
    u = coordinates.from_parameters(PARAMETERS[:1])
    assert quadrature_error(coordinates, u, mild, mild.weights(), 64) < 1e-7
