"""The schemes converge at their orders on equations with exact solutions."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import brownian_increments, sde_rollout
from hedgezoo.layers.sde.schemes import sde_step

A = 0.6  # volatility of the shifted lognormal part


def relative_volatility(x, t):
    """S = (1 + e^{A W - A² t / 2}) / 2 has dS = A (S - 1/2) dW; here x = log S."""
    return A * (1 - 0.5 * tf.exp(-x))


# name: scheme, diffusion, drift, initial state, the solution at time 1 given W
EQUATIONS = {
    "geometric euler": (
        "euler",
        lambda x, t: 0.5 * x,
        lambda x, t: 0.3 * x,
        1.0,
        lambda w: np.exp(0.3 - 0.125 + 0.5 * w),
        0.5,
    ),
    "geometric milstein": (
        "milstein",
        lambda x, t: 0.5 * x,
        lambda x, t: 0.3 * x,
        1.0,
        lambda w: np.exp(0.3 - 0.125 + 0.5 * w),
        1.0,
    ),
    "shifted log-euler": (
        "log_euler",
        relative_volatility,
        None,
        0.0,
        lambda w: np.log(0.5 + 0.5 * np.exp(A * w - A**2 / 2)),
        0.5,
    ),
    "shifted log-milstein": (
        "log_milstein",
        relative_volatility,
        None,
        0.0,
        lambda w: np.log(0.5 + 0.5 * np.exp(A * w - A**2 / 2)),
        1.0,
    ),
}


def order(errors):
    """Slope of log2(error), over grids that double their steps."""
    return -np.polyfit(np.arange(len(errors)), np.log2(errors), 1)[0]


@pytest.mark.parametrize("name", EQUATIONS)
def test_strong_order(name):
    scheme, diffusion, drift, initial, solution, expected = EQUATIONS[name]
    fine = brownian_increments(
        2, 4000, np.linspace(0, 1, 129), draws="antithetic", dtype="float64"
    ).numpy()
    exact = solution(fine.sum(axis=1)[:, 0])
    errors = []
    for steps in (16, 32, 64, 128):
        dw = fine.reshape(len(fine), steps, -1, 1).sum(axis=2)
        final = sde_rollout(
            diffusion,
            tf.constant(dw),
            np.linspace(0, 1, steps + 1),
            drift=drift,
            initial=initial,
            scheme=scheme,
            save_at=[steps],
        )
        errors.append(np.sqrt(np.mean((final.numpy()[:, 0, 0] - exact) ** 2)))
    assert abs(order(errors) - expected) < 0.1, errors


def all_signs(steps):
    """Every path of increments ±√h: the moments of Brownian increments, without noise."""
    signs = 1 - 2 * ((np.arange(2**steps)[:, None] >> np.arange(steps)) & 1)
    return tf.constant(signs[:, :, None] / np.sqrt(steps))


@pytest.mark.parametrize("name", EQUATIONS)
def test_weak_order(name):
    scheme, diffusion, drift, initial, _, _ = EQUATIONS[name]
    log = scheme.startswith("log")
    # E S² of both equations
    exact = 0.25 * (3 + np.exp(A**2)) if log else np.exp(2 * 0.3 + 0.25)
    errors = []
    for steps in (3, 6, 12):
        times = np.linspace(0, 1, steps + 1)
        final = sde_rollout(
            diffusion, all_signs(steps), times, drift, initial, scheme=scheme, save_at=[steps]
        ).numpy()
        spot = np.exp(final) if log else final
        errors.append(abs(np.mean(spot**2) - exact))
    assert abs(order(errors) - 1) < 0.2, errors


def test_mean_and_variance_of_an_ornstein_uhlenbeck_process():
    # linear with additive noise: a path is the mean plus a sum over its increments, so that unit
    # increments in one step each give the variance without sampling
    speed, level, noise = 2.0, 0.3, 0.4
    means, variances = [], []
    for steps in (10, 20, 40, 80):
        dw = tf.concat([tf.zeros((1, steps)), tf.eye(steps)], 0)[:, :, None]
        final = sde_rollout(
            lambda x, t: noise * tf.ones_like(x),
            tf.cast(dw, "float64"),
            np.linspace(0, 1, steps + 1),
            drift=lambda x, t: speed * (level - x),
            initial=1.0,
            scheme="euler",
            save_at=[steps],
        ).numpy()[:, 0, 0]
        means.append(abs(final[0] - (level + (1 - level) * np.exp(-speed))))
        variance = np.sum((final[1:] - final[0]) ** 2) / steps
        variances.append(abs(variance - noise**2 * (1 - np.exp(-2 * speed)) / (2 * speed)))
    assert abs(order(means) - 1) < 0.1, means
    assert abs(order(variances) - 1) < 0.1, variances


def test_milstein_with_two_components_on_one_brownian_motion():
    # (S, S²) of a geometric Brownian motion, as a system with k = 1: the slope of the diffusion
    # is taken along the diffusion of both
    def diffusion(x, t):
        return tf.stack([0.5 * x[:, 0], x[:, 0] * x[:, 0]], axis=1)[..., None]

    def drift(x, t):
        return tf.stack([0 * x[:, 0], 0.25 * x[:, 0] ** 2], axis=1)

    fine = brownian_increments(2, 2000, np.linspace(0, 1, 65), draws="plain", dtype="float64")
    exact = np.exp(-0.125 + 0.5 * fine.numpy().sum(1))
    errors = []
    for steps in (16, 32, 64):
        dw = fine.numpy().reshape(2000, steps, -1, 1).sum(axis=2)
        times = np.linspace(0, 1, steps + 1)
        final = sde_rollout(
            diffusion, tf.constant(dw), times, drift, (1.0, 1.0), scheme="milstein", save_at=[steps]
        ).numpy()[:, 0]
        errors.append(np.sqrt(np.mean((final - np.concatenate([exact, exact**2], 1)) ** 2)))
    assert abs(order(errors) - 1) < 0.12, errors


@pytest.mark.parametrize("scheme", ["log_euler", "log_milstein"])
def test_without_a_drift_log_schemes_keep_the_forward(scheme):
    times = np.linspace(0, 1, 13)
    dw = brownian_increments(8, 40000, times, draws="plain")
    spot = tf.exp(sde_rollout(relative_volatility, dw, times, scheme=scheme)).numpy()[:, 1:, 0]
    error = np.abs(spot.mean(0) - 1) / (spot.std(0) / np.sqrt(len(spot)))
    assert error.max() < 3


def test_log_euler_keeps_the_forward_to_rounding():
    # E[e^{σ dW - σ² h / 2}] = 1 given the state: checked by Gauss-Hermite quadrature
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    state = sde_rollout(
        lambda x, t: 1.5 + 0 * x, tf.constant(nodes[:, None, None] * 0.5), [0.0, 0.25], save_at=[1]
    ).numpy()[:, 0, 0]
    assert abs(np.sum(weights * np.exp(state)) / np.sqrt(2 * np.pi) - 1) < 1e-12


@pytest.mark.parametrize("dt", [0.01, 0.02])
def test_log_milstein_keeps_the_forward_up_to_the_cube_of_the_step(dt):
    sigma, slope = 0.4, -0.7  # of σ in x, at x = 0
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    increments = tf.constant(np.sqrt(dt) * nodes[:, np.newaxis])
    after = sde_step(
        tf.zeros((len(nodes), 1), tf.float64),
        tf.constant(dt, tf.float64),
        increments,
        lambda x: sigma + slope * x,
        logs=(True,),
        milstein=True,
    )
    mean = np.sum(weights * np.exp(after[:, 0])) / weights.sum()
    b = 0.5 * sigma * slope
    # the next term of the logarithm of the mean, two orders below what is corrected
    left = b**2 * (4 / 3 * b + 2 * sigma**2) * dt**3
    np.testing.assert_allclose(np.log(mean), left, rtol=0.1)
