"""Prices with derivatives in one pass: the prices themselves, differences, Black-Scholes."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import bates_call_and_jacobian, heston_call, heston_call_and_jacobian
from hedgezoo.layers.black_scholes import european_gamma
from hedgezoo.layers.heston.call_derivatives import call_derivatives

STRIKES = np.array([0.7, 0.85, 1.0, 1.1, 1.4])
YEARS = np.array([0.1, 1.0, 3.0])
HESTON = np.array([[2.0, 0.04, 0.5, -0.7, 0.04], [0.6, 0.1, 0.9, 0.2, 0.2]])
BATES = np.concatenate([HESTON, [[0.5, -0.1, 0.15], [0.1, 0.05, 0.1]]], axis=1)
CASES = {"heston": (HESTON, heston_call_and_jacobian), "bates": (BATES, bates_call_and_jacobian)}


@pytest.mark.parametrize("contour", ["vertical", "tilted"])
@pytest.mark.parametrize("model", CASES)
def test_against_the_pricer(model, contour):
    parameters, reference = CASES[model]
    found = call_derivatives(parameters, STRIKES, YEARS, contour)
    calls, jacobian = reference(parameters, STRIKES, YEARS, contour)
    np.testing.assert_allclose(found.calls, calls, rtol=0, atol=1e-14)
    np.testing.assert_allclose(found.jacobian, jacobian, rtol=0, atol=1e-13)

    def at(shift):
        return reference(parameters, STRIKES * np.exp(shift), YEARS, contour)[0].numpy()

    h = 1e-3  # five points, errors of fourth order
    values = [at(k * h) for k in (-2, -1, 0, 1, 2)]
    slope = np.tensordot([1, -8, 0, 8, -1], values, 1) / (12 * h)
    second = np.tensordot([-1, 16, -30, 16, -1], values, 1) / (12 * h * h)
    np.testing.assert_allclose(found.slope, slope, rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.curvature, second - slope, rtol=0, atol=1e-6)


def test_without_volatility_of_variance_it_is_black_scholes():
    found = call_derivatives([1.0, 0.04, 0.0, 0.0, 0.04], STRIKES, YEARS)
    gamma = european_gamma(1.0, STRIKES, YEARS[:, np.newaxis], 0.2)
    np.testing.assert_allclose(found.curvature, gamma, rtol=0, atol=1e-12)


def test_probability_density_integrates_to_one():
    strikes = np.linspace(0.02, 6.0, 6001)
    found = call_derivatives(HESTON[0], strikes, [1.0])
    density = found.curvature.numpy()[0] / strikes**2
    assert density.min() > -1e-9
    assert np.trapezoid(density, strikes) == pytest.approx(1.0, abs=1e-6)
    assert np.trapezoid(density * strikes, strikes) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("strikes", [STRIKES, np.tile(STRIKES, (3, 1))], ids=["n", "mn"])
def test_graph_blocks_and_shapes(strikes):
    """Any number of panels, in blocks where they are many, with grids of their own or shared."""
    parameters = np.repeat(HESTON, 150, axis=0)
    own = np.tile(STRIKES, (300, 3, 1)), np.tile(YEARS, (300, 1))
    specs = [tf.TensorSpec(shape, tf.float64) for shape in ((None, 5), (None,) * 3, (None,) * 2)]
    graph = tf.function(call_derivatives, input_signature=specs)(parameters, *own)
    eager = call_derivatives(parameters, strikes, YEARS)
    for a, b in zip(graph, eager, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


def test_float32_and_refusals():
    found = call_derivatives(tf.constant(HESTON, tf.float32), STRIKES, YEARS)
    assert found.calls.dtype == tf.float32
    exact = heston_call(HESTON, STRIKES, YEARS)
    np.testing.assert_allclose(found.calls, exact, rtol=0, atol=2e-6)
    with pytest.raises(ValueError, match="parameters"):
        call_derivatives(HESTON[:, :4], STRIKES, YEARS)
    with pytest.raises(ValueError, match="nodes"):
        call_derivatives(HESTON, STRIKES, YEARS, nodes=4)
