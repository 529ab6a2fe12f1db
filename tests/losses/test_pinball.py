"""The pinball loss: what minimises it, its gradient, weights, and Keras around it."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.losses import Pinball, pinball

LEVELS = (0.1, 0.25, 0.5, 0.9)


def sample(size=101, seed=0):
    return np.random.default_rng(seed).gamma(2.0, size=size)


def by_hand(y, q, level):
    return np.mean(np.where(y > q, level * (y - q), (1 - level) * (q - y)))


# --------------------------------------------------------------------------------- the function


def test_is_the_mean_of_its_definition():
    rng = np.random.default_rng(1)
    y, q = rng.normal(size=(7, 3)), rng.normal(size=(7, 3, 4))
    expected = np.mean([by_hand(y, q[..., i], level) for i, level in enumerate(LEVELS)])
    assert isinstance(pinball(y, q, LEVELS), float)
    assert pinball(y, q, LEVELS) == pytest.approx(expected, rel=1e-14)
    assert pinball(y, q[..., 0], 0.1) == pytest.approx(by_hand(y, q[..., 0], 0.1), rel=1e-14)
    assert pinball(y, q[..., 2], 0.5) == pytest.approx(0.5 * np.abs(y - q[..., 2]).mean())


@pytest.mark.parametrize("level", LEVELS)
def test_the_quantile_of_the_sample_is_its_minimum(level):
    y = sample()  # level * 101 is no integer: the quantile is one of the outcomes, and only that
    values = [pinball(y, q, level) for q in np.sort(y)]
    assert np.sort(y)[int(np.argmin(values))] == np.quantile(y, level, method="inverted_cdf")
    # convex: the slopes between neighbours increase
    slopes = np.diff(values) / np.diff(np.sort(y))
    assert (np.diff(slopes) > -1e-12).all()
    np.testing.assert_allclose(slopes[[0, -1]], [1 / 101 - level, 100 / 101 - level], atol=1e-12)


def test_convex_in_predictions():
    rng = np.random.default_rng(2)
    y, a, b = rng.normal(size=(3, 200, 4))
    y = y[:, 0]
    for share in (0.2, 0.5, 0.9):
        mixed = pinball(y, share * a + (1 - share) * b, LEVELS)
        assert mixed <= share * pinball(y, a, LEVELS) + (1 - share) * pinball(y, b, LEVELS)
        scaled = pinball(share * y, share * a, LEVELS)
        assert scaled == pytest.approx(share * pinball(y, a, LEVELS), rel=1e-13)


def test_gradient_off_the_kinks(gradient_check):
    rng = np.random.default_rng(3)
    y = rng.normal(size=(5, 2))
    q = y[..., None] + rng.choice([-1, 1], (5, 2, 4)) * rng.uniform(0.01, 1.0, (5, 2, 4))
    weights = rng.uniform(0.1, 1.0, (5, 2))
    gradient_check(lambda y, q, w: pinball(y, q, LEVELS, w), y, q, weights)
    _, slopes = gradient_check(lambda y, q: Pinball(LEVELS, dtype="float64").call(y, q), y, q)
    assert np.isfinite(slopes).all()


def test_weights_count_outcomes():
    y, counts = sample(20), np.random.default_rng(4).integers(0, 4, 20)
    assert pinball(y, [1.0, 2.0], [0.3, 0.6], counts) == pytest.approx(
        pinball(np.repeat(y, counts), [1.0, 2.0], [0.3, 0.6]), rel=1e-13
    )


def test_tensors_give_tensors_of_their_type():
    y = tf.constant(sample(), tf.float32)
    value = pinball(y, [1.0, 2.0], [0.3, 0.6])
    assert value.dtype == tf.float32
    graph = tf.function(lambda y: pinball(y, [1.0, 2.0], [0.3, 0.6]))
    assert float(graph(y)) == float(value)
    assert pinball(y, tf.constant(2.0, tf.float64), 0.5).dtype == tf.float64


@pytest.mark.parametrize(
    "levels", [0.0, 1.0, -0.1, np.nan, [], [0.5, 0.5], [0.7, 0.3], [[0.5]], "half", None, [0.5, 1]]
)
def test_levels_are_checked(levels):
    for use in (Pinball, lambda x: pinball([1.0], [1.0], x)):
        with pytest.raises(ValueError, match=r"`levels` .*Received: levels="):
            use(levels)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"y_pred": np.ones((3, 3))}, "y_pred"),
        ({"y_pred": np.ones((2, 3, 2))}, "y_pred"),
        ({"y_true": []}, "y_true"),
        ({"y_true": "y"}, "y_true"),
        ({"weights": [1.0, 1.0]}, "weights"),
        ({"weights": [1.0, -1.0, 1.0]}, "weights"),
        ({"weights": np.zeros(3)}, "weights"),
    ],
)
def test_arguments_are_checked(change, name):
    arguments = {"y_true": np.ones(3), "y_pred": [0.5, 1.0], "levels": [0.3, 0.6], **change}
    with pytest.raises(ValueError, match=rf"`{name}` .*Received"):
        pinball(**arguments)


# ------------------------------------------------------------------------------------- the loss


def test_one_value_per_sample(check_loss):
    y, q = np.random.default_rng(5).normal(size=(2, 6))
    values = check_loss(Pinball(0.3), y, q)
    expected = [pinball([a], [b], 0.3) for a, b in zip(y, q, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_shapes_of_targets():
    rng = np.random.default_rng(6)
    y, q = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 3, 2, 4))
    loss = Pinball(LEVELS, dtype="float64")
    values = loss.call(y, q).numpy()
    np.testing.assert_allclose(values, [pinball(*pair, LEVELS) for pair in zip(y, q, strict=True)])
    np.testing.assert_allclose(loss.call(y[..., None], q), values)
    assert float(loss(y, q)) == pytest.approx(values.mean())
    single = Pinball(0.1, dtype="float64")
    np.testing.assert_allclose(single.call(y, q[..., 0]), single.call(y, q[..., :1]))
    np.testing.assert_allclose(loss.call(y[:, 0, 0], q[:, 0, 0]).shape, (5,))
    dynamic = [tf.TensorSpec(shape, "float64") for shape in ([None, None, 2], [None, None, 2, 4])]
    np.testing.assert_allclose(tf.function(loss.call, input_signature=dynamic)(y, q), values)
    for wrong in (q[..., :3], q[:, :2], q[..., 0], y[0]):
        with pytest.raises(ValueError, match=r"`y_pred` .*q = 4.*Received: y_true.shape="):
            loss.call(y, wrong)


def test_weights_of_samples_and_of_outcomes():
    rng = np.random.default_rng(7)
    y, q = rng.normal(size=(5, 3)), rng.normal(size=(5, 3, 4))
    loss = Pinball(LEVELS, dtype="float64")
    each = np.array([[pinball(y[i, j], q[i, j], LEVELS) for j in range(3)] for i in range(5)])
    of_sample, of_outcome = rng.uniform(size=5), rng.uniform(size=(5, 3))
    assert float(loss(y, q, of_sample)) == pytest.approx(np.mean(of_sample[:, None] * each))
    assert float(loss(y, q, of_outcome)) == pytest.approx(np.mean(of_outcome * each))
    assert float(loss(y, q, of_outcome[..., None])) == pytest.approx(np.mean(of_outcome * each))
    with pytest.raises(ValueError, match="`sample_weight`"):
        loss(y, q, np.ones((5, 2)))


def test_a_mask_leaves_outcomes_out():
    rng = np.random.default_rng(8)
    tokens = np.array([[1, 2, 0, 0], [3, 1, 2, 3], [1, 0, 0, 0]])
    y = rng.normal(size=(3, 4)).astype("float32")
    embedded = keras.layers.Embedding(4, 2, mask_zero=True)
    inputs = keras.Input((4,), dtype="int32")
    model = keras.Model(inputs, keras.layers.Dense(2)(embedded(inputs)))
    loss, q = Pinball([0.3, 0.6]), model(tokens)
    assert q._keras_mask is not None
    kept = [pinball(y[i][t > 0], q[i].numpy()[t > 0], [0.3, 0.6]) for i, t in enumerate(tokens)]
    assert float(loss(y, q)) == pytest.approx(np.mean(kept), rel=1e-5)
    assert float(loss(y, q, np.array([1.0, 0.0, 0.0]))) == pytest.approx(kept[0] / 3, rel=1e-5)
    model.compile("sgd", loss=loss)
    assert model.evaluate(tokens, y, verbose=0) == pytest.approx(np.mean(kept), rel=1e-5)


def test_half_precision_sums_in_single():
    y = np.full((1, 100_000), 1000.0, "float32")
    value = Pinball(0.5, dtype="float16").call(y, y + 1.0)
    assert value.dtype == tf.float16
    np.testing.assert_allclose(value, [0.5], rtol=1e-3)


def test_levels_survive_the_configuration():
    for levels in (0.3, [0.2, 0.8]):
        assert Pinball.from_config(Pinball(levels).get_config()).get_config()["levels"] == levels
    assert Pinball().levels == (0.25, 0.5, 0.75)


def line(levels, seed=0, size=512):
    """Outcomes whose quantiles are linear in x: y = x + (1 + x) e with e uniform on (0, 1)."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(size, 1)).astype("float32")
    y = (x + (1.0 + x) * rng.uniform(size=(size, 1))).astype("float32")
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(len(levels))])
    return x, y, model


def test_training_finds_conditional_quantiles():
    levels = [0.2, 0.5, 0.8]
    x, y, model = line(levels, size=32_768)
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 320)
    model.compile(keras.optimizers.Adam(schedule), loss=Pinball(levels))
    model.fit(x, y, batch_size=1024, epochs=10, verbose=0)
    at_ends = model(np.array([[0.0], [1.0]], "float32")).numpy()
    # four standard errors of quantiles from that many outcomes
    np.testing.assert_allclose(at_ends[0], levels, atol=0.035)
    np.testing.assert_allclose(at_ends[1], 1.0 + 2.0 * np.array(levels), atol=0.06)
    np.testing.assert_allclose((y < model(x).numpy()).mean(axis=0), levels, atol=0.01)


def trained(strategy=None):
    levels = [0.2, 0.8]
    with strategy.scope() if strategy else tf.device(None):
        x, y, model = line(levels)
        model.compile(keras.optimizers.SGD(0.1), loss=Pinball(levels))
    batches = tf.data.Dataset.from_tensor_slices((x, y, tf.range(512.0) / 256.0)).batch(64)
    history = model.fit(batches, epochs=2, verbose=0).history["loss"]
    return np.concatenate([*(w.ravel() for w in model.get_weights()), history])


@pytest.mark.multiprocess
def test_two_replicas_train_as_one_device(run_python):
    assert "replicas agree" in run_python(Path(__file__).read_text())


if __name__ == "__main__":
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    alone = trained()
    np.testing.assert_allclose(
        trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])), alone, rtol=1e-5
    )
    print("replicas agree")
