"""Naked, delta and Whalley-Wilmott: known values, limits and finite gradients."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from hedgezoo import DeltaHedge, ExactHedge, Naked, WhalleyWilmott
from hedgezoo.baselines.whalley_wilmott import vanishing_gamma_width, whalley_wilmott_width
from hedgezoo.datasets import BlackScholesMarket


def test_naked_gains_nothing():
    inputs, _ = BlackScholesMarket().simulate(seed=0, paths=10)
    np.testing.assert_array_equal(Naked()(inputs), np.zeros(10))


def test_delta_hedge_without_cost_replicates_as_steps_grow():
    errors = []
    for steps in (10, 160):
        market = BlackScholesMarket(steps=steps, time_step=0.08 / steps, cost=0.0)
        inputs, liability = market.simulate(seed=0, paths=4000)
        errors.append(np.std(DeltaHedge(cost=0.0)(inputs) - liability))
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.15)  # order one half in the step


def test_width_is_the_formula():
    spot, left, sigma, cost, aversion = 1.05, 0.3, 0.25, 2e-3, 7.0
    d1 = (np.log(spot) + sigma**2 * left / 2) / (sigma * np.sqrt(left))
    gamma = norm.pdf(d1) / (spot * sigma * np.sqrt(left))
    expected = (1.5 * cost * spot * gamma**2 / aversion) ** (1 / 3)
    found = whalley_wilmott_width(np.log(spot), left, sigma, cost, aversion)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_width_scales_as_cube_root_of_cost_over_aversion():
    one = whalley_wilmott_width(0.02, 0.1, 0.2, 1e-3, 50.0)
    assert float(whalley_wilmott_width(0.02, 0.1, 0.2, 8e-3, 50.0) / one) == pytest.approx(2.0)
    assert float(whalley_wilmott_width(0.02, 0.1, 0.2, 1e-3, 400.0) / one) == pytest.approx(0.5)


def test_gradient_is_finite_where_gamma_vanishes():
    x = tf.constant([-5.0, -1.0, 0.0, 1.0, 5.0])
    left = tf.constant([0.0, 1e-8, 1e-3, 0.1, 1.0])
    with tf.GradientTape() as tape:
        tape.watch([x, left])
        width = whalley_wilmott_width(x[:, None], left, 0.2, 1e-3, 1.0)
    for slope in tape.gradient(width, [x, left]):
        assert np.all(np.isfinite(slope))
    assert np.all(np.isfinite(width))


def test_band_is_symmetric_around_the_delta():
    lower, upper = WhalleyWilmott(risk_aversion=50.0).band([0.9, 1.0, 1.1], 0.05)
    delta, _ = DeltaHedge().band([0.9, 1.0, 1.1], 0.05)
    np.testing.assert_allclose((lower + upper) / 2, delta, atol=1e-6)


@pytest.mark.parametrize("step", [10, 15])
def test_width_far_from_the_strike_is_that_of_the_optimum(step):
    problem = ExactHedge(risk_aversion=50.0)
    spot, left = 1.4, (20 - step) / 250
    lower, upper = problem.band(spot, step)
    width = float(vanishing_gamma_width(np.log(spot), left, 0.2, 1e-3, 50.0))
    assert upper - 1 == pytest.approx(width, rel=0.1)
    assert 1 - lower == pytest.approx(width, rel=0.1)
