"""The calibration's loss: its value, its gradient, its bias, its weights, its control variates."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.layers import SDERollout
from hedgezoo.neural_sde.control_variates import ShadowControl, payoffs
from hedgezoo.neural_sde.objective import QuoteError, quote_weights

QUOTES = SurfaceQuotes([0.9, 1.0, 1.1, 1.0], [0.5, 0.5, 0.5, 1.0], [0.25, 0.22, 0.2, 0.21])


def samples(paths=8, parts=1, seed=0):
    draws = np.random.default_rng(seed).uniform(0, 0.3, (paths, len(QUOTES), parts))
    return tf.constant(draws[..., 0] if parts == 1 else draws, tf.float64)


def prices(paths):
    return tf.constant(np.tile(QUOTES.out_of_the_money, (paths, 1)))


def test_the_value_is_a_mean_square_in_basis_points():
    weights = quote_weights(QUOTES, vega_floor=1e-9)
    shift = np.array([3.0, -3.0, 3.0, 3.0]) * 1e-4 * QUOTES.vega
    payoff = prices(6) + tf.constant(shift)
    for gradient in ("same_batch", "two_batch"):
        loss = QuoteError(weights, gradient, dtype="float64")
        assert float(loss(prices(6), payoff)) == pytest.approx(9.0, rel=1e-9)


def test_weights_follow_vega_spread_or_the_caller():
    np.testing.assert_allclose(
        quote_weights(QUOTES, vega_floor=1e-9), 1 / 4 / (1e-4 * QUOTES.vega) ** 2
    )
    floored = quote_weights(QUOTES, vega_floor=0.25)
    low = QUOTES.vega < 0.25
    assert 0 < low.sum() < 4
    np.testing.assert_allclose(floored[low], 1 / 4 / 25e-6**2)
    wide = QUOTES.with_spread([10, 20, 10, 10])
    shares = quote_weights(wide, "spread") / quote_weights(QUOTES)
    np.testing.assert_allclose(shares / shares[0], [1, 1 / 4, 1, 1])
    np.testing.assert_allclose(shares.mean(), 1)
    own = quote_weights(QUOTES, [1, 2, 3, 4]) / quote_weights(QUOTES)
    np.testing.assert_allclose(own, [0.4, 0.8, 1.2, 1.6])


@pytest.mark.parametrize("bad", ["bid", [1, 2], [1, 2, 0, 1], "spread"])
def test_bad_weights_are_refused(bad):
    with pytest.raises(ValueError, match="`weights"):
        quote_weights(QUOTES, bad)


def test_the_gradient_is_that_of_the_square_of_the_mean():
    weights = quote_weights(QUOTES)

    def square(scale):
        mean = tf.reduce_mean(scale * samples(), axis=0)
        return tf.reduce_sum(weights * (mean - QUOTES.out_of_the_money) ** 2)

    loss = QuoteError(weights, dtype="float64")
    with tf.GradientTape() as tape:
        scale = tf.Variable(1.3, dtype=tf.float64)
        value = loss(prices(8), scale * samples())
    h = 1e-5
    slope = (square(1.3 + h) - square(1.3 - h)) / (2 * h)
    np.testing.assert_allclose(value, square(1.3))
    np.testing.assert_allclose(tape.gradient(value, scale), slope, rtol=1e-7)


def test_two_halves_have_the_gradient_of_the_product_of_their_residuals():
    weights = quote_weights(QUOTES)

    def product(scale):
        first, second = (
            tf.reduce_mean(scale * samples()[half::2], axis=0) - QUOTES.out_of_the_money
            for half in (0, 1)
        )
        return tf.reduce_sum(weights * first * second)

    loss = QuoteError(weights, "two_batch", dtype="float64")
    with tf.GradientTape() as tape:
        scale = tf.Variable(1.3, dtype=tf.float64)
        value = loss(prices(8), scale * samples())
    h = 1e-5
    slope = (product(1.3 + h) - product(1.3 - h)) / (2 * h)
    np.testing.assert_allclose(tape.gradient(value, scale), slope, rtol=1e-7)


@pytest.mark.parametrize("control", [None, "regression"])
def test_the_bias_of_one_batch_and_none_of_two(control):
    """At the true volatility the gradient should vanish; one batch adds that of Var(payoff) / B.

    For payoffs f = relu(S - 1) that is 2 w Cov(f, ∂f/∂σ) / B, and nothing with two batches.
    """
    quotes = SurfaceQuotes([1.0], [1.0], [0.2])
    repeats, batch = 4000, 16
    normals = np.random.default_rng(0).standard_normal((repeats * batch, 1))
    spot = np.exp(0.2 * normals - 0.02)
    payoff = np.maximum(spot - 1.0, 0.0)
    by_sigma = (spot > 1.0) * spot * (normals - 0.2)
    other = np.maximum(np.exp(0.2 * normals - 0.02) - 1.05, 0.0)
    known = other - SurfaceQuotes([1.05], [1.0], [0.2]).calls

    def mean_gradient(gradient):
        loss = QuoteError([1.0], gradient, control, dtype="float64")

        def one(payoff, by_sigma, known):
            with tf.GradientTape() as tape:
                sigma = tf.zeros((), tf.float64)
                tape.watch(sigma)
                moved = payoff + sigma * by_sigma
                if control:
                    moved = tf.stack([moved, known], axis=-1)
                value = loss(tf.constant(quotes.calls) + tf.zeros_like(payoff), moved)
            return tape.gradient(value, sigma)

        parts = [tf.constant(x.reshape(repeats, batch, 1)) for x in (payoff, by_sigma, known)]
        found = tf.vectorized_map(lambda row: one(*row), parts).numpy()
        return found.mean(), found.std() / np.sqrt(repeats)

    covariance = np.mean(payoff * by_sigma) - payoff.mean() * by_sigma.mean()
    expected = 2.0 * covariance / batch
    if control:  # what is left of the payoff is nearly uncorrelated with the control
        mean, error = mean_gradient("same_batch")
        assert abs(mean) < 0.2 * expected
    else:
        mean, error = mean_gradient("same_batch")
        assert abs(mean - expected) < 4 * error
        assert mean > 8 * error
    mean, error = mean_gradient("two_batch")
    assert abs(mean) < 4 * error


def test_a_trained_control_has_the_gradient_of_its_variance():
    weights = quote_weights(QUOTES)
    loss = QuoteError(weights, control="fixed", dtype="float64")
    both = samples(parts=2)
    payoff, control = both[..., 0], both[..., 1]
    with tf.GradientTape() as tape:
        scale, size = tf.Variable(1.0, dtype=tf.float64), tf.Variable(0.7, dtype=tf.float64)
        value = loss(prices(8), tf.stack([scale * payoff, size * control], axis=-1))
    by_scale, by_size = tape.gradient(value, [scale, size])
    left = tf.reduce_mean(payoff - 0.7 * control, axis=0) - QUOTES.out_of_the_money
    np.testing.assert_allclose(value, tf.reduce_sum(weights * left**2))
    expected = tf.reduce_sum(2 * weights * left * tf.reduce_mean(payoff, axis=0))
    np.testing.assert_allclose(by_scale, expected, rtol=1e-9)

    def variance(size):
        return np.sum(weights * np.var(payoff - size * control, axis=0))

    h = 1e-4
    slope = (variance(0.7 + h) - variance(0.7 - h)) / (2 * h)
    np.testing.assert_allclose(by_size, slope, rtol=1e-6)


def test_the_shadow_has_mean_zero_and_takes_away_noise():
    rollout = SDERollout(lambda x, t: 0.22 - 0.1 * x, [0.5, 1.0], steps_per_year=16)
    control = ShadowControl(QUOTES, rollout.maturity_steps)
    increments = rollout.draw(seed=1, paths=2**14)
    shadow = control(None, increments).numpy()
    assert np.abs(shadow.mean(axis=0)).max() < 2e-4
    plain = SDERollout(lambda x, t: 0.22 - 0.1 * x, [0.5, 1.0], steps_per_year=16, draws="plain")
    increments = plain.draw(seed=1, paths=2**12)
    spot = tf.gather(tf.exp(plain(increments)[..., 0]), QUOTES.expiry_index, axis=1)
    payoff = payoffs(spot, QUOTES).numpy()
    shadow = control(None, increments).numpy()
    for n in range(len(QUOTES)):
        kept = 1 - np.corrcoef(payoff[:, n], shadow[:, n])[0, 1] ** 2
        assert kept < 0.1, n


def test_the_loss_survives_keras():
    loss = QuoteError(quote_weights(QUOTES))
    config = loss.get_config()
    assert type(loss).from_config(config).get_config() == config
    values = loss.call(prices(4), samples(4))
    assert values.shape == (4,)
    np.testing.assert_allclose(values, np.full(4, values[0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gradient": "three_batch"}, "`gradient`"),
        ({"control": "shadow"}, "`control`"),
        ({"weights": [-1.0]}, "must not be negative"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuoteError(**{"weights": [1.0], **arguments})


def test_predictions_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"takes prices \(B, 4\) and payoffs \(B, 4, 2\)"):
        QuoteError(quote_weights(QUOTES), control="fixed")(prices(8), samples(8))
