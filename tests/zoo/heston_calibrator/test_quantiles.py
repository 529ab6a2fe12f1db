"""The quantile head: order and absence of arbitrage whatever the weights, loss, adoption."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets.heston_panels import BATES_BOX, WIDE_BOX, HestonPanels, TwoSidedPanels
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.heston_calibrator.coordinates import Coordinates
from hedgezoo.heston_calibrator.quantiles import QuantileHead, QuantileLoss, adopt
from hedgezoo.layers import bates_call, heston_call, implied_volatility
from hedgezoo.layers.surfaces.arbitrage import find_arbitrage

LEVELS = (0.05, 0.25, 0.5, 0.9)
STRIKES, YEARS = np.linspace(0.6, 1.5, 19), np.array([0.02, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0])
NOISY = {"noise": "plus_minus_15_bp", "dtype": "float64"}


def head(seed=None, model="heston", levels=LEVELS):
    """A head with random weights, or with those it starts from."""
    layer = QuantileHead(levels, model)
    layer.build()
    if seed is not None:
        random = np.random.default_rng(seed)
        layer.set_weights([random.normal(size=w.shape) for w in layer.weights])
        layer.correction.assign(random.uniform(0.2, 3.0, layer.correction.shape))
    return layer


def panels(count=16, seed=0, **options):
    inputs, targets = TwoSidedPanels(**{**NOISY, **options}).simulate(seed, count)
    model = "bates" if targets["parameters"].shape[-1] == 8 else "heston"
    return inputs, targets, Coordinates(model).from_parameters(targets["parameters"])


# ------------------------------------------------------------------------------------- the head


@pytest.mark.parametrize(
    ("box", "price"), [(WIDE_BOX, heston_call), (BATES_BOX, bates_call)], ids=["heston", "bates"]
)
def test_levels_are_in_order_and_free_of_arbitrage_whatever_the_weights(box, price):
    inputs, targets, coordinates = panels(box=box)
    for seed in range(3):
        found = head(seed, box.model)(inputs, coordinates)["quantiles"].numpy()
        calls = price(found, STRIKES, YEARS).numpy()
        assert (np.diff(calls, axis=1) > -1e-13).all()
        ends = (0.01, 100.0)
        for level in range(len(LEVELS)):
            assert find_arbitrage(calls[:, level], STRIKES, YEARS, ends, tolerance=1e-10) == []
        np.testing.assert_allclose(found[:, 2], targets["parameters"], rtol=1e-12)
        moved = np.ptp(found, axis=1) > 1e-12
        assert not np.delete(moved, [1, 4], axis=1).any()  # κ, ξ, ρ and the jumps stay
        assert (np.diff(found[:, :, [1, 4]], axis=1) >= 0.0).all()


def test_the_direction_shifts_volatilities_alike():
    """One unit of the head is one standard deviation of bid and ask, at every quote."""
    inputs, targets, coordinates = panels(64)
    found = head(levels=(0.25, 0.5, 0.75))(inputs, coordinates)
    bands = found["quantile_volatility"].numpy()
    exact = targets["implied_volatility"].numpy()
    errors = (inputs["implied_volatility"].numpy() - exact)[inputs["mask"].numpy()]
    deviation = np.sqrt(0.25 * 0.003**2 + np.mean(errors**2))  # the spread is 30 bp
    for step in (bands[..., 1] - bands[..., 0], bands[..., 2] - bands[..., 1]):
        by_panel = step.mean(axis=(1, 2)) / (0.6745 * deviation)
        np.testing.assert_allclose(by_panel.mean(), 1.0, atol=0.03)
        assert (np.abs(by_panel - 1.0) < 0.3).all()
        uneven = step.std(axis=(1, 2)) / step.mean(axis=(1, 2))
        assert np.median(uneven) < 0.15


def test_volatilities_to_first_order_are_near_the_exact_ones():
    inputs, targets, coordinates = panels(16)
    found = head()(inputs, coordinates)
    strikes, years = inputs["strikes"], inputs["maturities"]
    for index in range(len(LEVELS)):
        calls = heston_call(found["quantiles"][:, index], strikes, years)
        exact = implied_volatility(calls, strikes, years).numpy()
        known = targets["implied_volatility"].numpy()
        errors = np.where(known > 0.0, found["quantile_volatility"][..., index] - exact, 0.0)
        shifts = np.where(known > 0.0, exact - known, 0.0)
        size, shift = (np.sqrt(np.square(x).mean(axis=(1, 2))) for x in (errors, shifts))
        # half the square of a few per cent; slowly decaying integrals err by more in float32
        assert np.quantile(size - 0.02 * shift, 0.9) < 2e-6
        assert (shift.mean() > 5e-4) == (index != 2)


def test_what_is_masked_does_not_matter():
    inputs, _, coordinates = panels(4)
    layer = head(2)
    expected = layer(inputs, coordinates)["quantiles"]
    junk = tf.where(inputs["mask"], inputs["implied_volatility"], np.nan)
    changed = {**inputs, "implied_volatility": junk, "spread": inputs["spread"] + 9.0}
    changed["spread"] = tf.where(inputs["mask"], inputs["spread"], changed["spread"])
    np.testing.assert_allclose(layer(changed, coordinates)["quantiles"], expected, rtol=1e-6)
    nothing = {**inputs, "mask": tf.zeros_like(inputs["mask"])}
    assert np.isfinite(layer(nothing, coordinates)["quantiles"]).all()


def test_no_gradient_reaches_the_calibration():
    inputs, targets, coordinates = panels(4)
    layer = head(3)
    with tf.GradientTape() as tape:
        tape.watch(coordinates)
        value = tf.reduce_sum(QuantileLoss(LEVELS)(inputs, targets, layer(inputs, coordinates)))
    of_weights, of_coordinates = tape.gradient(value, [layer.trainable_weights, coordinates])
    assert of_coordinates is None
    assert len(of_weights) == 4
    assert all(np.abs(gradient).max() > 0.0 for gradient in of_weights)


def test_the_layer_as_keras_wants_it(check_layer):
    inputs, _, coordinates = panels(3)
    shape = {"quantiles": (3, 4, 5), "quantile_volatility": (3, 8, 10, 4)}
    check_layer(head(4), inputs, coordinates, shape=shape, export=True, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("levels", [(0.25, 0.75), (0.5, 0.25), (0.0, 0.5), "middle"])
def test_levels_are_checked(levels):
    with pytest.raises(ValueError, match=r"`levels` .*Received"):
        QuantileHead(levels)


# ------------------------------------------------------------------------------------- the loss


def test_the_loss_is_a_pinball_over_bid_and_ask():
    inputs, targets, coordinates = panels(5)
    outputs = head(5)(inputs, coordinates)
    values = QuantileLoss(LEVELS)(inputs, targets, outputs).numpy()
    bands = outputs["quantile_volatility"].numpy()
    for i in range(5):
        there = targets["bid"][i].numpy() > 0.0
        total, squares = 0.0, []
        for side in ("bid", "ask"):
            y = targets[side][i].numpy()[there]
            squares.append(np.square(y - bands[i][there][:, 2]))
            for index, level in enumerate(LEVELS):
                away = y - bands[i][there][:, index]
                total += np.maximum(level * away, (level - 1.0) * away).mean() / len(LEVELS)
        assert values[i] == pytest.approx(total / np.sqrt(np.mean(squares)), rel=1e-2)
    without = {name: targets[name] for name in ("parameters", "implied_volatility")}
    half = 0.5 * inputs["spread"]
    own = {
        "bid": tf.where(inputs["mask"], inputs["implied_volatility"] - half, 0.0),
        "ask": tf.where(inputs["mask"], inputs["implied_volatility"] + half, 0.0),
    }
    np.testing.assert_allclose(
        QuantileLoss(LEVELS)(inputs, without, outputs),
        QuantileLoss(LEVELS)(inputs, own, outputs),
        rtol=1e-4,
    )


def test_the_loss_survives_its_configuration():
    loss = QuantileLoss(LEVELS)
    saved = keras.saving.serialize_keras_object(loss)
    assert keras.saving.deserialize_keras_object(saved).get_config() == loss.get_config()
    with pytest.raises(ValueError, match="`levels`"):
        QuantileLoss((0.5, 2.0))


def test_training_finds_the_widths_of_the_quotes():
    """Bid and ask are uniform within 30 bp of the surface: quartiles at 15 bp."""
    inputs, targets, coordinates = panels(128, seed=1)
    layer = head(levels=(0.25, 0.5, 0.75))
    layer.widths.bias.assign(layer.widths.bias + 1.5)
    loss, optimizer = QuantileLoss(), keras.optimizers.Adam(0.05)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(inputs, targets, layer(inputs, coordinates)))
        return value, tape.gradient(value, layer.trainable_weights)

    values = []
    for _ in range(60):
        value, gradients = step()
        optimizer.apply_gradients(zip(gradients, layer.trainable_weights, strict=True))
        values.append(float(value))
    assert values[-1] < 0.85 * values[0]
    fresh, _, coordinates = panels(64, seed=2)
    bands = layer(fresh, coordinates)["quantile_volatility"].numpy()
    steps = 1e4 * np.diff(bands, axis=-1).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(steps, 15.0, atol=0.7)


# ------------------------------------------------------------------------------------ adoption


@pytest.mark.slow
def test_a_model_adopts_a_calibrator_and_trains_its_head_only():
    keras.utils.set_random_seed(0)
    options = {"width": 16, "blocks": 1, "heads": 2, "hidden": 16}
    base = HestonCalibrator(steps=2, options=options)
    base.build()
    model = HestonCalibrator(steps=2, options=options, quantiles=(0.25, 0.5, 0.75))
    model.compile(keras.optimizers.Adam(0.1), loss=QuantileLoss())
    adopt(model, base)
    frozen = [w.numpy() for w in (*model.network.weights, model.log_damping)]
    for one, other in zip(frozen, (*base.network.weights, base.log_damping), strict=True):
        np.testing.assert_array_equal(one, other)
    first = [w.numpy() for w in model.quantile_head.trainable_weights]
    market = TwoSidedPanels(noise="plus_minus_15_bp")
    model.fit(market.batches(8, 2, seed=1), verbose=0)
    for one, other in zip(frozen, (*model.network.weights, model.log_damping), strict=True):
        np.testing.assert_array_equal(one, other)
    changed = [w.numpy() for w in model.quantile_head.trainable_weights]
    assert all(np.any(a != b) for a, b in zip(first, changed, strict=True))

    inputs, _ = HestonPanels(noise="plus_minus_15_bp").simulate(3, 3)
    arguments = [inputs[k] for k in ("implied_volatility", "strikes", "maturities", "mask")]
    plain, wide = (m.calibrate(*arguments, spread=inputs["spread"]) for m in (base, model))
    np.testing.assert_allclose(wide.parameters, plain.parameters, rtol=1e-7)
    np.testing.assert_allclose(wide.quantiles[:, 1], wide.parameters, rtol=1e-7)
    low, middle, high = (
        wide.quantile_surface(level, STRIKES, YEARS)["calls"] for level in wide.levels
    )
    np.testing.assert_allclose(middle, wide.surface(STRIKES, YEARS)["calls"], atol=1e-9)
    assert (high > middle - 1e-13).all()
    assert (middle > low - 1e-13).all()
    for bad in (
        lambda: wide.quantile_surface(0.3, STRIKES, YEARS),
        lambda: plain.quantile_surface(0.5, STRIKES, YEARS),
    ):
        with pytest.raises(ValueError, match="`level`"):
            bad()

    twin = HestonCalibrator.from_config(model.get_config())
    assert twin.get_config() == model.get_config()
    assert twin.quantile_head.levels == (0.25, 0.5, 0.75)


def test_adoption_is_refused_where_models_differ():
    with pytest.raises(ValueError, match="`model` must have a quantile head"):
        adopt(HestonCalibrator("shallow"), HestonCalibrator("shallow"))
    model = HestonCalibrator(steps=3, quantiles=(0.25, 0.5, 0.75))
    with pytest.raises(ValueError, match=r"`base` .*another steps \(2\)"):
        adopt(model, HestonCalibrator(steps=2))
