"""Gauss-Newton steps: linear problems exactly, priors, gradients, and Levenberg-Marquardt."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets.heston_panels import PAPER_GRID, HestonPanels
from hedgezoo.heston_calibrator.coordinates import Coordinates
from hedgezoo.heston_calibrator.levenberg_marquardt import levenberg_marquardt
from hedgezoo.heston_calibrator.normal_equations import (
    NormalEquations,
    inverse,
    log_determinant,
    prior_strength,
    solve,
)
from hedgezoo.heston_calibrator.refinement import Prior, gauss_newton_step, unrolled
from hedgezoo.heston_calibrator.residuals import Quotes, volatility_residuals


@pytest.fixture(scope="module")
def linear():
    """Residuals r + J d of three panels of 4 x 6 quotes, with weights, some of them zero."""
    rng = np.random.default_rng(0)
    jacobian = rng.normal(size=(3, 4, 6, 5)) * [1.0, 0.1, 3.0, 1.0, 0.5]
    weights = rng.uniform(0.5, 2.0, (3, 4, 6)) * (rng.uniform(size=(3, 4, 6)) > 0.2)
    return 1e-3 * rng.normal(size=(3, 4, 6)), jacobian, weights


def test_a_step_solves_a_linear_problem_with_prior(linear):
    r, jacobian, weights = linear
    equations = NormalEquations.of(*linear)
    rng = np.random.default_rng(1)
    u, mean = 0.01 * rng.normal(size=(2, 3, 5))
    root = rng.normal(size=(3, 5, 5))
    prior = Prior(tf.constant(mean), tf.constant(root @ root.transpose(0, 2, 1)))
    noise = tf.constant([1e-6, 4e-6, 1e-7], tf.float64)
    step = gauss_newton_step(Coordinates(), tf.constant(u), equations, noise, prior, 0.0) - u
    factor = prior.around(tf.constant(u)).numpy() / prior.precision.numpy()
    for b in range(3):
        scale = np.sqrt(weights[b].ravel() / noise[b])
        # where quotes are further off than noise, the prior is weaker
        strength = factor[b, 0, 0] * float(prior_strength(noise[b]))
        half = np.linalg.cholesky(strength * prior.precision[b].numpy()).T
        matrix = np.vstack([scale[:, None] * jacobian[b].reshape(-1, 5), half])
        right = -np.concatenate([scale * r[b].ravel(), half @ (u[b] - mean[b])])
        expected = np.linalg.lstsq(matrix, right, rcond=None)[0]
        np.testing.assert_allclose(step[b], expected, rtol=1e-6)


def test_noise_is_what_least_squares_leaves(linear):
    r, jacobian, weights = linear
    noise = NormalEquations.of(*linear).noise_variance(0.0)
    for b in range(3):
        scale = np.sqrt(weights[b].ravel())
        matrix = scale[:, None] * jacobian[b].reshape(-1, 5)
        left = np.linalg.lstsq(matrix, scale * r[b].ravel(), rcond=None)[1]
        assert float(noise[b]) == pytest.approx(left.item() / (np.sum(scale > 0) - 5), rel=1e-9)
    floored = NormalEquations.of(*linear).noise_variance(1.0)
    np.testing.assert_array_equal(floored, 1.0)


def test_the_algebra_survives_what_is_singular_or_not_finite():
    matrix = np.stack([np.zeros((3, 3)), np.full((3, 3), np.nan), np.diag([4.0, 0.0, 1e-8])])
    right = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [4.0, 0.0, 1e-8]])
    found = solve(tf.constant(matrix), tf.constant(right)).numpy()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[2], [1.0, 0.0, 1.0], atol=1e-9)


def test_inverse_and_determinant_of_a_badly_scaled_matrix():
    rng = np.random.default_rng(2)
    root = rng.normal(size=(2, 5, 5)) * np.array([1e-3, 1.0, 1e4, 1.0, 10.0])[:, None]
    matrix = root @ root.transpose(0, 2, 1)
    found, expected = inverse(tf.constant(matrix)).numpy(), np.linalg.inv(matrix)
    scale = np.sqrt(np.einsum("bi,bj->bij", *2 * [np.diagonal(expected, axis1=1, axis2=2)]))
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-6)
    np.testing.assert_allclose(
        log_determinant(tf.constant(matrix)), np.linalg.slogdet(matrix)[1], rtol=1e-9
    )


def test_damping_shortens_and_steps_are_limited(linear):
    equations = NormalEquations.of(*linear)
    noise, u = tf.ones(3, tf.float64) * 1e-6, tf.zeros((3, 5), tf.float64)
    nothing = Prior(u, None)
    lengths = [
        np.linalg.norm(
            gauss_newton_step(Coordinates(), u, equations, noise, nothing, damping), axis=1
        )
        for damping in (0.0, 1.0, 10.0)
    ]
    assert (np.diff(lengths, axis=0) < 0).all()
    far = NormalEquations(
        equations.matrix, 1e6 * equations.gradient, equations.squares, equations.count
    )
    step = gauss_newton_step(Coordinates(), u, far, noise, nothing, 0.0)
    np.testing.assert_allclose(np.abs(step).max(axis=1), 1.0)


def test_a_coordinate_at_the_end_of_its_range_is_held(linear):
    r, jacobian, weights = linear
    coordinates = Coordinates()
    equations = NormalEquations.of(*linear)
    noise, u = tf.ones(3, tf.float64) * 1e-6, np.zeros((3, 5))
    nothing = Prior(tf.constant(u), None)
    step = gauss_newton_step(coordinates, tf.constant(u), equations, noise, nothing, 0.0).numpy()
    u[:, 3] = np.where(step[:, 3] > 0, coordinates.high[3], coordinates.low[3])
    held = gauss_newton_step(coordinates, tf.constant(u), equations, noise, nothing, 0.0) - u
    others = [0, 1, 2, 4]
    for b in range(3):
        scale = np.sqrt(weights[b].ravel())
        matrix = scale[:, None] * jacobian[b].reshape(-1, 5)[:, others]
        expected = np.linalg.lstsq(matrix, -scale * r[b].ravel(), rcond=None)[0]
        np.testing.assert_allclose(held[b].numpy()[others], expected, rtol=1e-6)
    np.testing.assert_allclose(held[:, 3], 0.0, atol=1e-12)


def test_the_prior_gives_way_where_it_is_contradicted():
    prior = Prior(tf.zeros((2, 5), tf.float64), tf.eye(5, batch_shape=[2], dtype=tf.float64))
    u = tf.constant([[0.1] + [0.0] * 4, [30.0] + [0.0] * 4], tf.float64)
    near, far = prior.around(u)[:, 0, 0].numpy()
    assert near > 1.0 > 0.02 > far
    with tf.GradientTape() as tape:
        tape.watch(u)
        penalty = tf.reduce_sum(prior.penalty(u))
    # the Gaussian has the slope of the density at the point it is made for
    expected = 2.0 * tf.linalg.matvec(prior.around(u), u)
    np.testing.assert_allclose(tape.gradient(penalty, u), expected, rtol=1e-10)


@pytest.fixture(scope="module")
def panels():
    inputs, targets = HestonPanels(dtype="float64").simulate(seed=5, panels=24)
    inputs |= {"strikes": PAPER_GRID.strikes, "maturities": PAPER_GRID.maturities}
    coordinates = Coordinates()
    return Quotes.of(inputs, "float64"), coordinates.from_parameters(targets["parameters"])


def test_levenberg_marquardt_from_ten_percent_off(panels):
    quotes, true = panels
    off = true + 0.1 * np.random.default_rng(0).normal(size=true.shape)
    nothing = Prior(off, None)
    u, r, _, done, count = levenberg_marquardt(
        Coordinates(), quotes, off, nothing, "vertical", 128, 30
    )
    assert done.numpy().all()
    assert count.numpy().max() < 15
    assert np.sqrt(np.mean(np.square(r), axis=(1, 2))).max() < 1e-3 * 1e-4
    # residuals that were carried along by the last, linear step are those of its end
    np.testing.assert_allclose(
        r, volatility_residuals(Coordinates(), u, quotes, "vertical", 128), atol=3e-8
    )


def test_steps_end_when_there_are_no_more(panels):
    quotes, true = panels
    *_, done, count = levenberg_marquardt(
        Coordinates(), quotes, true + 0.5, Prior(true, None), "vertical", 128, 1
    )
    assert not done.numpy().any()
    assert (count.numpy() == 1).all()


def test_unrolled_residuals_are_linear_in_the_start_and_the_prior_is_learned(panels):
    quotes, true = panels
    start = tf.Variable(tf.cast(true, tf.float64) + 0.02)
    strength = tf.Variable(10.0, dtype=tf.float64)
    with tf.GradientTape() as tape:
        precision = strength * tf.eye(5, batch_shape=[24], dtype=tf.float64)
        noisy = Quotes(
            quotes.volatility + 5e-4 * np.random.default_rng(3).normal(size=quotes.mask.shape),
            quotes.strikes,
            quotes.maturities,
            quotes.mask,
            quotes.spread,
        )
        path, residuals, _, _ = unrolled(
            Coordinates(),
            noisy,
            start + 0.0,
            Prior(start + 0.0, precision),
            [1e-6, 1e-6],
            nodes=128,
        )
        first = tf.reduce_sum(tf.square(residuals[0]))
        last = tf.reduce_sum(tf.square(path[-1] - true))
    by_start, by_strength = tape.gradient([first, last], [start, strength])
    assert np.isfinite(by_start).all()
    assert float(by_strength) != 0.0

    with tf.GradientTape() as tape:
        _, residuals, _, _ = unrolled(Coordinates(), quotes, start + 0.0, Prior(true, None), [1e-6])
        first = tf.reduce_sum(tf.square(residuals[0]))
    slope = tape.gradient(first, start).numpy()
    step = np.zeros_like(true)
    step[0, 2] = 1e-5
    rise = [
        np.sum(
            np.square(
                volatility_residuals(
                    Coordinates(), start + sign * step, quotes, nodes=64, contour="vertical"
                )
            )
        )
        for sign in (1.0, -1.0)
    ]
    assert slope[0, 2] == pytest.approx((rise[0] - rise[1]) / 2e-5, rel=1e-4)
