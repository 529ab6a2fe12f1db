"""Training: the loss falls, replicas agree with one device, compiled models come back."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import training
from hedgezoo.datasets.heston_panels import HestonPanels, QuoteNoise
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.heston_calibrator.objective import RefinementLoss
from hedgezoo.heston_calibrator.quote_encoder import QuoteEncoder

SMALL = {"width": 16, "queries": 2, "blocks": 1, "heads": 2, "hidden": 32}
NOISE = QuoteNoise(gaussian_bp=0.5, spread_bp=(0.0, 30.0), missing=0.1, missing_maturities=0.1)
PANELS = HestonPanels(grid="random", noise=NOISE, nodes=64)


def small_model(steps=1):
    return HestonCalibrator(steps=steps, box="paper", options=SMALL)


def test_a_short_fit_lowers_the_loss_and_improves_the_start():
    model = small_model()
    model.compile(keras.optimizers.Adam(3e-3))
    inputs, targets = PANELS.simulate(seed=11, panels=128)

    def distance():
        u = model.start(inputs)["coordinates"]
        true = model.search.from_parameters(targets["parameters"])
        return np.median(np.abs(u - true))

    before = distance()
    batches = PANELS.batches(batch_size=128, steps=None, seed=1)
    history = model.fit(batches, epochs=3, steps_per_epoch=20, shuffle=False, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] - 1.0
    assert distance() < 0.9 * before
    assert not np.isnan(model.get_weights()[0]).any()


def test_the_loss_of_a_known_outcome():
    loss = RefinementLoss(start=1.0, volatility=2.0, likelihood=0.5, scale_bp=1.0, degrees=1e9)
    parameters = tf.constant([[1.0, 1.0, 1.0, 0.0, 1.0]], tf.float64)  # coordinates zero
    away = np.zeros((1, 2, 5))
    away[0, 0, 1], away[0, 1, 2] = 0.03, 0.2
    exact = np.full((1, 1, 4), 0.2)
    quoted = exact + 1e-4
    mask = np.array([[[True, True, True, False]]])
    outputs = {
        "coordinates": tf.constant(away),
        "residuals": tf.constant(np.stack([np.full((1, 1, 4), 2e-4), exact - quoted], axis=1)),
        "start_precision": 4.0 * tf.eye(5, batch_shape=[1], dtype=tf.float64),
    }
    inputs = {"implied_volatility": quoted, "mask": mask}
    targets = {"parameters": parameters, "implied_volatility": exact}
    # start one unit off; errors against the exact surface 3 bp, then none; a Gaussian density
    expected = np.log(2) + 2.0 * np.log(10) / 2 + 0.5 * (0.5 * 4.0 * 0.03**2 - 2.5 * np.log(4.0))
    np.testing.assert_allclose(loss(inputs, targets, outputs), [expected], rtol=1e-5)
    assert RefinementLoss.from_config(loss.get_config()).get_config() == loss.get_config()


def test_replicas_take_the_steps_of_one_device(two_replicas):
    def trained(strategy):
        with strategy.scope():
            model = small_model()
            model.build()
            model.compile(keras.optimizers.SGD(1e-3))
        history = training.fit(
            model, PANELS, strategy=strategy, steps_per_epoch=2, batch_size=8, seed=0, verbose=0
        )
        return history.history["loss"][0], model.get_weights()

    one, many = trained(tf.distribute.get_strategy()), trained(two_replicas)
    assert many[0] == pytest.approx(one[0], rel=1e-4)
    for a, b in zip(one[1], many[1], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-5)


def test_sample_weights():
    inputs, targets = PANELS.simulate(seed=3, panels=4)
    model = small_model()
    model.build()
    model.compile("sgd")
    outputs = model(inputs, training=True)
    weights = np.array([2.0, 0.0, 0.0, 2.0], "float32")
    values = tf.convert_to_tensor(model.loss(inputs, targets, outputs)).numpy()
    weighted = model.compute_loss(inputs, targets, outputs, weights)
    assert float(weighted) == pytest.approx((values * weights).mean(), rel=1e-4)
    assert float(model.compute_loss(inputs, targets, outputs)) == pytest.approx(values.mean(), 1e-4)


def test_a_network_without_steps_is_trained_on_its_own():
    inputs, targets = PANELS.simulate(seed=3, panels=4)
    model = small_model(steps=0)
    model.compile("adam")
    outputs = model(inputs, training=True)
    assert set(outputs) == {"parameters", "coordinates", "start_precision"}
    assert np.isfinite(model.train_on_batch(inputs, targets))


def test_the_loss_of_a_compiled_model_is_saved():
    model = small_model()
    model.compile("adam", loss=RefinementLoss(volatility=0.25))
    twin = small_model()
    twin.compile_from_config(model.get_compile_config())
    assert twin.loss.get_config() == model.loss.get_config()


def test_masked_quotes_and_the_order_of_maturities_do_not_matter_to_the_encoder():
    inputs, _ = PANELS.simulate(seed=9, panels=5)
    encoder = QuoteEncoder(small_model().box, **SMALL)
    encoder.build()
    for weight in encoder.trainable_variables:  # zero kernels would hide an influence
        weight.assign(weight + 0.05 * np.random.default_rng(0).normal(size=weight.shape))
    found = encoder(inputs)
    mask = inputs["mask"].numpy()
    wild = {**inputs, "implied_volatility": np.where(mask, inputs["implied_volatility"], np.nan)}
    wild["strikes"] = np.where(mask, inputs["strikes"], -1.0).astype("float32")
    turned = {name: tensor[:, ::-1] for name, tensor in inputs.items()}
    for name, value in found.items():
        np.testing.assert_allclose(encoder(wild)[name], value, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(encoder(turned)[name], value, rtol=2e-3, atol=1e-4)
    twin = QuoteEncoder.from_config(encoder.get_config())
    assert twin.get_config() == encoder.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"heads": 3}, "`heads` must divide `width`"), ({"width": 0}, "`width`")],
)
def test_bad_sizes(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuoteEncoder(small_model().box, **arguments)


@pytest.mark.parametrize("name", ["start", "volatility", "likelihood", "scale_bp", "degrees"])
def test_bad_weights_of_the_loss(name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        RefinementLoss(**{name: -1.0})
