"""The price loss: its value, its gradient, both penalties, and their weight while training."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import training
from hedgezoo.datasets.heston_panels import PAPER_GRID, HestonPanels
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.heston_calibrator.fixed_grid_network import PAPER_RANGES
from hedgezoo.heston_calibrator.price_loss import PriceLoss
from hedgezoo.layers import black_scholes_call, heston_call, no_arbitrage_parts

STRIKES, YEARS = np.array([0.8, 0.9, 1.0, 1.1, 1.2]), np.array([0.3, 1.0, 2.0])
PARAMETERS = np.array(
    [
        [2.0, 0.04, 0.5, -0.7, 0.05],
        [5.0, 0.3, 1.2, -0.3, 0.1],
        [0.8, 0.1, 0.9, -0.05, 0.02],  # the paper's inequalities are violated here
    ]
)


def quotes(seed=0, dtype="float64"):
    """Volatilities near those of PARAMETERS, a third of them missing, NaN where they are."""
    rng = np.random.default_rng(seed)
    mask = rng.uniform(size=(3, 3, 5)) > 0.3
    mask[0, 0, 4] = True
    volatility = np.where(mask, rng.uniform(0.15, 0.45, (3, 3, 5)), np.nan)
    volatility[0, 0, 4] = 0.06  # an option worth next to nothing
    return {"implied_volatility": tf.constant(volatility, dtype), "mask": tf.constant(mask)}


def price_loss(**options):
    return PriceLoss(STRIKES, YEARS, **{"penalty_grid": (6, 4), "dtype": "float64", **options})


def outputs(parameters=PARAMETERS):
    return {"parameters": tf.convert_to_tensor(parameters)}


# ------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("error", ["price", "volatility"])
def test_value_is_the_mean_square_over_the_quotes(error):
    inputs = quotes()
    mask = inputs["mask"].numpy()
    volatility = np.where(mask, inputs["implied_volatility"], 0.3)
    quoted = black_scholes_call(STRIKES, YEARS, volatility).numpy()
    errors = heston_call(PARAMETERS, STRIKES, YEARS).numpy() - quoted
    if error == "volatility":
        up, down = (black_scholes_call(STRIKES, YEARS, volatility + h) for h in (1e-5, -1e-5))
        vega = (up - down).numpy() / 2e-5
        errors /= np.maximum(vega, 0.05 * np.sqrt(YEARS)[:, np.newaxis])
        assert (vega < 0.05 * np.sqrt(YEARS)[:, np.newaxis]).any()
    expected = [np.mean(e[m] ** 2) for e, m in zip(errors, mask, strict=True)]
    values = price_loss(error=error, nodes=128)(inputs, None, outputs())
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_volatility_error_is_one_in_volatility():
    inputs, targets = HestonPanels(nodes=64).simulate(seed=0, panels=64)
    moved = {**inputs, "implied_volatility": inputs["implied_volatility"] + 1e-3}
    loss = PriceLoss(PAPER_GRID.strikes, PAPER_GRID.maturities, error="volatility")
    error = np.sqrt(loss(moved, targets, targets))
    assert (np.abs(error / 1e-3 - 1) < 0.2).all()
    np.testing.assert_allclose(np.median(error), 1e-3, rtol=0.02)


@pytest.mark.parametrize("error", ["price", "volatility"])
def test_true_parameters_have_no_error_but_rounding(error):
    inputs, targets = HestonPanels(nodes=64).simulate(seed=1, panels=256)
    loss = PriceLoss(PAPER_GRID.strikes, PAPER_GRID.maturities, error=error)
    root = np.sqrt(loss(inputs, targets, targets))
    assert root.shape == (256,)
    # in prices below what a basis point of volatility is worth, in volatility 0.05 bp
    assert root.max() < (3e-7 if error == "price" else 5e-6)
    assert np.sqrt(loss(inputs, targets, {"parameters": 1.05 * targets["parameters"]})).min() > 1e-5


@pytest.mark.parametrize("penalty", [None, "paper"])
def test_panels_do_not_see_each_other(penalty):
    inputs, loss = quotes(), price_loss(penalty=penalty)
    together = loss(inputs, None, outputs())
    for i in range(3):
        one = {name: value[i : i + 1] for name, value in inputs.items()}
        alone = loss(one, None, outputs(PARAMETERS[i : i + 1]))
        np.testing.assert_allclose(alone, together[i : i + 1], rtol=1e-10)


@pytest.mark.parametrize("error", ["price", "volatility"])
def test_masked_cells_have_no_influence(error):
    inputs, loss = quotes(), price_loss(error=error)
    results = []
    for value in (np.nan, np.inf, -1.0, 0.0):
        volatility = tf.where(inputs["mask"], inputs["implied_volatility"], value)
        parameters = tf.constant(PARAMETERS)
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            total = tf.reduce_sum(
                loss({**inputs, "implied_volatility": volatility}, None, outputs(parameters))
            )
        results.append(np.append(tape.gradient(total, parameters), total))
        assert np.isfinite(results[-1]).all()
        np.testing.assert_array_equal(results[-1], results[0])
    nothing = {**inputs, "mask": tf.zeros_like(inputs["mask"])}
    np.testing.assert_array_equal(loss(nothing, None, outputs()), 0.0)


@pytest.mark.parametrize(
    "options",
    [{"error": "price"}, {"error": "volatility"}, {"penalty": "paper", "initial_weight": 2.0}],
    ids=str,
)
def test_gradient_is_that_of_finite_differences(gradient_check, options):
    inputs, loss = quotes(), price_loss(scale=1e2, **options)
    (gradient,) = gradient_check(
        lambda parameters: loss(inputs, None, outputs(parameters)), PARAMETERS, rtol=1e-5
    )
    assert (np.abs(gradient) > 1e-6).all()


# ---------------------------------------------------------------------------------------- penalties


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_correct_penalty_is_zero_for_heston_prices(dtype):
    parameters = HestonPanels(nodes=32).simulate(seed=2, panels=512)[1]["parameters"]
    loss = PriceLoss(PAPER_GRID.strikes, PAPER_GRID.maturities, penalty="correct", dtype=dtype)
    parameters = tf.cast(parameters, dtype)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        penalty = loss.penalty_of(parameters)
    np.testing.assert_array_equal(penalty, 0.0)
    np.testing.assert_array_equal(tape.gradient(penalty, parameters), 0.0)
    inputs, targets = HestonPanels(nodes=32).simulate(seed=2, panels=8)
    without = PriceLoss(PAPER_GRID.strikes, PAPER_GRID.maturities)
    np.testing.assert_array_equal(loss(inputs, targets, targets), without(inputs, targets, targets))


def test_correct_penalty_is_next_to_nothing_in_the_ranges_of_the_network():
    rng = np.random.default_rng(0)
    low, high = np.transpose(PAPER_RANGES)
    unit = np.clip(rng.uniform(-0.3, 1.3, (256, 5)), 1e-3, 1 - 1e-3)  # many at the ends
    parameters = tf.constant(low + (high - low) * unit, "float32")
    penalty = PriceLoss(PAPER_GRID.strikes, PAPER_GRID.maturities, penalty="correct").penalty_of(
        parameters
    )
    assert (penalty.numpy() == 0).mean() > 0.95
    assert penalty.numpy().max() < 1e-4


def test_printed_penalty_punishes_exact_heston_surfaces():
    _, targets = HestonPanels(nodes=32).simulate(seed=3, panels=256)
    grid = PAPER_GRID.strikes, PAPER_GRID.maturities
    penalty = PriceLoss(*grid, penalty="paper").penalty_of(targets["parameters"]).numpy()
    assert (penalty >= 0).all()
    assert 0.1 < (penalty > 1e-3).mean() < 0.5


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_printed_penalty_is_that_of_the_dense_grid(reduction):
    loss = price_loss(penalty="paper", reduction=reduction, nodes=128)
    strikes, years = np.linspace(0.8, 1.2, 6), np.linspace(0.3, 2.0, 4)
    calls = heston_call(PARAMETERS, strikes, years)
    parts = no_arbitrage_parts(calls, strikes, years, "paper", "calls", reduction=reduction)
    expected = sum(parts.values()).numpy()
    np.testing.assert_allclose(loss.penalty_of(tf.constant(PARAMETERS)), expected, rtol=1e-5)
    assert expected[2] > 0


def test_weight_falls_from_epoch_to_epoch_and_multiplies_the_penalty():
    loss = price_loss(penalty="paper", scale=3.0)
    error = price_loss(scale=3.0)(quotes(), None, outputs()).numpy()
    penalty = loss.penalty_of(tf.constant(PARAMETERS)).numpy()
    for epoch, weight in ((0, 1000.0), (2, 921.6), (99, 1000 * 0.96**99)):
        loss.annealed.set_epoch(epoch)
        assert loss.weight == pytest.approx(weight)
        assert loss.weight_in(epoch) == pytest.approx(weight)
        np.testing.assert_allclose(
            loss(quotes(), None, outputs()), error + 3.0 * weight * penalty, rtol=1e-6
        )
    assert [v.shape for v in loss.variables] == [()]


# ----------------------------------------------------------------------------------------- training


def calibrator(loss, optimizer="adam"):
    model = HestonCalibrator("shallow", strikes=STRIKES, maturities=YEARS, options={"units": [8]})
    model.build()
    model.compile(optimizer, loss=loss)
    return model


def dataset():
    inputs = quotes(dtype="float32")
    inputs["implied_volatility"] = tf.where(inputs["mask"], inputs["implied_volatility"], 0.0)
    inputs["strikes"] = tf.broadcast_to(tf.constant(STRIKES, "float32"), (3, 3, 5))
    inputs["maturities"] = tf.broadcast_to(tf.constant(YEARS, "float32"), (3, 3))
    inputs["spread"] = tf.zeros((3, 3, 5))
    targets = {
        "parameters": tf.constant(PARAMETERS, "float32"),
        "implied_volatility": inputs["implied_volatility"],
    }
    data = tf.data.Dataset.from_tensor_slices((inputs, targets)).take(2).repeat(4)
    return data.batch(4, drop_remainder=True)


def test_callback_anneals_the_weight_in_fit():
    loss = price_loss(penalty="paper", initial_weight=8.0, decay=0.5, dtype=None)
    model = calibrator(loss)
    history = training.fit(model, dataset(), epochs=3, callbacks=[loss.callback()]).history
    assert history["penalty_weight"] == [8.0, 4.0, 2.0]
    assert loss.weight == 2.0
    assert history["loss"][2] < history["loss"][0]


def test_callback_without_a_penalty_does_nothing():
    loss = price_loss()
    assert type(loss.callback()) is keras.callbacks.Callback
    assert loss.variables == []


def test_two_replicas_agree_with_one_device(two_replicas):
    results = []
    for strategy in (None, two_replicas):
        with strategy.scope() if strategy else tf.device(None):
            loss = price_loss(error="volatility", dtype=None)
            model = calibrator(loss, keras.optimizers.SGD(0.1))
            start = model.get_weights()
        history = training.fit(model, dataset(), epochs=2).history
        results.append([history["loss"], *model.get_weights()])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(results[0][1:], start, strict=True)) > 1e-4


# ------------------------------------------------------------------------------ config, arguments


def test_config_round_trip():
    loss = price_loss(error="volatility", penalty="paper", initial_weight=10.0, decay=0.9, scale=7)
    config = loss.get_config()
    assert json.loads(json.dumps(config)) == config
    twin = PriceLoss.from_config(config)
    assert twin.get_config() == config
    saved = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(saved)
    for other in (twin, again):
        np.testing.assert_array_equal(
            other(quotes(), None, outputs()), loss(quotes(), None, outputs())
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strikes": [1.1, 1.0]}, "`strikes` must be positive and increasing"),
        ({"maturities": [[1.0]]}, "`maturities` must be positive and increasing, of rank 1"),
        ({"error": "vega"}, r"`error` must be one of \('price', 'volatility'\)"),
        ({"penalty": "soft"}, r"`penalty` must be one of \(None, 'correct', 'paper'\)"),
        ({"penalty_grid": (20,)}, "`penalty_grid` must be two numbers"),
        ({"penalty_grid": (20, 2)}, r"`penalty_grid` must be two numbers \(n, m\) of at least 3"),
        ({"initial_weight": -1.0}, "`initial_weight` must not be negative"),
        ({"decay": 1.5}, r"`decay` must lie in \(0, 1\]"),
        ({"reduction": "max"}, "`reduction` must be one of"),
        ({"scale": 0.0}, "`scale` must be positive"),
        ({"nodes": 8}, "`nodes` must be an integer of at least 16"),
    ],
)
def test_arguments_are_checked(change, words):
    with pytest.raises(ValueError, match=words) as error:
        PriceLoss(**{"strikes": STRIKES, "maturities": YEARS, **change})
    assert "Received" in str(error.value)
