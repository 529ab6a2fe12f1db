import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers.discrete_monitoring import barrier_shift, shift_slope
from hedgezoo.layers.normalised_price import (
    exact_log_ratio,
    log_out_of_the_money_price,
    out_of_the_money_price,
    total_deviation,
)

# x, w, c(x, w) = Φ(-x/w + w/2) - exp(x) Φ(-x/w - w/2), evaluated with 80 digits
REFERENCE = """
    0.0      1e-08  3.989422804014327e-09
    2.5e-09  1e-08  2.86344698581511e-09
    6e-08    1e-08  1.5635698428780675e-18
    3.6e-07  1e-08  1.1600541421824151e-293
    0.0      5e-05  1.994711401799381e-05
    7.5e-05  5e-05  1.4653946390677227e-06
    0.0018   5e-05  5.805492257566584e-290
    0.0      0.001  0.0003989422637788383
    0.00025  0.001  0.0002863804781806168
    0.006    0.001  1.568267361641528e-13
    0.036    0.001  1.1811238181616476e-288
    0.0125   0.05   0.014405065305395568
    0.075    0.05   0.0015209895004690993
    0.3      0.05   9.08033996640092e-12
    1.8      0.05   1.426191061776312e-286
    0.0      0.3    0.11923538474048503
    0.45     0.3    0.010921285286144363
    6.0      0.3    8.163331407469611e-90
    0.0      0.39   0.15460705237869024
    2.34     0.39   1.9294676572827342e-10
    0.0      0.41   0.1624278749748963
    2.46     0.41   2.1497436556854172e-10
    0.25     1.0    0.3077110451143759
    6.0      1.0    2.7878597637636822e-09
    0.0      4.0    0.9544997361036416
    6.0      4.0    0.5976131925873851
"""
X, W, C = np.array([line.split() for line in REFERENCE.split("\n") if line.split()], float).T


def test_far_wings_keep_their_digits():
    # d₁² / 2 = (x/w)² / 2 multiplies the rounding error of x and w themselves
    tolerance = 1e-14 + 4e-16 * (X / W) ** 2
    price = out_of_the_money_price(tf.constant(X), tf.constant(W)).numpy()
    assert (np.abs(price / C - 1) < tolerance).all()
    log_price = log_out_of_the_money_price(tf.constant(X), tf.constant(W)).numpy()
    assert (np.abs(log_price - np.log(C)) < tolerance).all()


def test_far_wings_in_float32():
    seen = (C > 1e-30) & (W > 1e-5)  # not underflowing, not floored
    x, w = (np.float32(values[seen]) for values in (X, W))
    exact = out_of_the_money_price(*(tf.constant(np.float64(v)) for v in (x, w)))
    price = out_of_the_money_price(tf.constant(x), tf.constant(w)).numpy()
    assert (np.abs(price / exact.numpy() - 1) < 2e-6 + 6e-7 * (x / w) ** 2).all()


def test_log_price_below_the_smallest_number():
    # ten times as deep as the smallest double, against the leading term of the expansion
    w = 0.01
    x = np.array([1.0, 1.2])
    log_price = log_out_of_the_money_price(tf.constant(x), tf.constant(w, tf.float64))
    m = x / w
    leading = -0.5 * (m - w / 2) ** 2 - 0.5 * np.log(2 * np.pi) + np.log(w / m**2)
    np.testing.assert_allclose(log_price, leading, atol=5e-4)


def test_both_formulas_meet():
    x = tf.constant(np.linspace(0, 1.5, 40))
    around = [tf.constant(0.4 + h, tf.float64) for h in (-1e-13, 1e-13)]
    below, above = (out_of_the_money_price(x, w) for w in around)
    np.testing.assert_allclose(below, above, rtol=1e-10)
    np.testing.assert_allclose(below, above, atol=1e-13)


def test_price_is_monotone_and_between_its_bounds():
    w = np.concatenate([[0], np.geomspace(1e-6, 30, 2001)])
    for x in (0.0, 1e-4, 0.1, 1.0, 5.0):
        price = out_of_the_money_price(tf.constant(x, tf.float64), tf.constant(w)).numpy()
        assert price[0] == 0
        assert price[-1] <= 1
        assert (np.diff(price) >= -2e-16).all()


def test_log_ratio_near_one():
    spot = tf.constant(1.0 + np.array([1e-9, -1e-9, 0.3, 5.0, -0.8]))
    np.testing.assert_allclose(
        exact_log_ratio(spot, tf.constant(1.0, tf.float64)), np.log1p(spot - 1), rtol=2e-16
    )


def test_total_deviation_is_zero_at_expiry():
    years = tf.constant([-1.0, 0.0, 0.25])
    with tf.GradientTape() as tape:
        tape.watch(years)
        deviation = total_deviation(years, tf.constant(0.2))
    np.testing.assert_allclose(deviation, [0.0, 0.0, 0.1], rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(deviation, years), [0.0, 0.0, 0.2], rtol=1e-6)


def test_barrier_shift():
    volatility = tf.constant([0.2, 0.4], tf.float64)
    assert not barrier_shift(volatility, None).numpy().any()
    shift = barrier_shift(volatility, 0.01)
    np.testing.assert_allclose(shift, 0.0582597 * volatility.numpy(), rtol=1e-6)
    np.testing.assert_allclose(shift_slope(0.01, tf.float64), 0.0582597, rtol=1e-6)
    with pytest.raises(ValueError, match=r"`monitoring_step`.*Received: monitoring_step=-0.1"):
        barrier_shift(volatility, -0.1)
