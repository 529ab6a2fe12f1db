import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import ClampBandHedge, clamp_band, clamp_band_step
from hedgezoo.layers.clamp_band import LONGEST_UNROLLED

METHODS = ("scan", "loop")


def reference(lower, upper, initial=0.0):
    position = np.broadcast_to(initial, lower[:, 0].shape)
    positions = []
    for low, high in zip(np.moveaxis(lower, 1, 0), np.moveaxis(upper, 1, 0), strict=True):
        inside = np.minimum(np.maximum(position, low), high)
        position = np.where(low > high, (low + high) / 2, inside)
        positions.append(position)
    return np.stack(positions, axis=1)


def random_bands(batch, steps, instruments, seed=0, crossed=True, ties=False):
    rng = np.random.default_rng(seed)
    shape = (batch, steps, instruments)
    lower = rng.normal(size=shape)
    upper = lower + (rng.normal(0.6, 1.0, size=shape) if crossed else rng.exponential(size=shape))
    if ties:
        lower, upper = np.round(lower), np.round(upper)
    return lower, upper


def with_gradient(lower, upper, initial, weights, method):
    with tf.GradientTape() as tape:
        tape.watch([lower, upper, initial])
        total = tf.reduce_sum(weights * clamp_band(lower, upper, initial, method=method))
    return tape.gradient(total, [lower, upper, initial])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", [1, 2, 3, 8, 21])
def test_positions_are_those_of_the_definition(method, steps):
    for instruments, ties in ((1, False), (3, False), (2, True)):
        lower, upper = random_bands(7, steps, instruments, seed=steps, ties=ties)
        for dtype in ("float32", "float64"):
            low, high = lower.astype(dtype), upper.astype(dtype)
            positions = clamp_band(low, high, initial=0.25, method=method)
            assert positions.dtype == dtype
            np.testing.assert_array_equal(positions, reference(low, high, np.asarray(0.25, dtype)))


def test_a_band_that_holds_the_position_is_never_traded_in():
    lower, upper = random_bands(50, 20, 2, crossed=False)
    positions = clamp_band(lower, upper, initial=0.1).numpy()
    before = np.concatenate([np.full((50, 1, 2), 0.1), positions[:, :-1]], axis=1)
    assert np.all((positions >= lower) & (positions <= upper))
    inside = (before >= lower) & (before <= upper)
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(positions[inside], before[inside])
    edge = np.where(before < lower, lower, upper)
    np.testing.assert_array_equal(positions[~inside], edge[~inside])


@pytest.mark.parametrize("method", METHODS)
def test_unbounded_and_pointlike_bands(method):
    everything = np.full((2, 6, 1), np.inf)
    np.testing.assert_array_equal(
        clamp_band(-everything, everything, 0.3, method), np.full((2, 6, 1), 0.3)
    )
    delta = np.linspace(-1, 1, 12).reshape(2, 6, 1)
    np.testing.assert_array_equal(clamp_band(delta, delta, 0.3, method), delta)


@pytest.mark.parametrize("method", METHODS)
def test_many_steps_use_a_while_loop_with_the_same_numbers(method):
    lower, upper = random_bands(3, LONGEST_UNROLLED + 5, 2)
    np.testing.assert_array_equal(clamp_band(lower, upper, 0.0, method), reference(lower, upper))


@pytest.mark.parametrize("initial", [0.7, np.array([0.7, -0.2]), np.ones((5, 1)), np.ones((5, 2))])
@pytest.mark.parametrize("method", METHODS)
def test_initial_position_broadcasts(method, initial):
    lower, upper = random_bands(5, 4, 2)
    np.testing.assert_array_equal(
        clamp_band(lower, upper, initial, method), reference(lower, upper, initial)
    )


@pytest.mark.parametrize("method", METHODS)
def test_gradient_agrees_with_central_differences(method):
    lower, upper = random_bands(3, 9, 2, seed=4)
    assert np.any(lower > upper)
    weights = np.random.default_rng(5).normal(size=lower.shape)
    arguments = [tf.constant(x) for x in (lower, upper, np.full((3, 2), 0.1))]
    gradients = with_gradient(*arguments, weights, method)
    for index, gradient in enumerate(gradients):
        differences = np.zeros(gradient.shape)
        for entry in np.ndindex(*gradient.shape):
            outcome = []
            for shift in (-1e-6, 1e-6):
                shifted = [x.numpy() for x in arguments]
                shifted[index][entry] += shift
                outcome.append(np.sum(weights * reference(*shifted)))
            differences[entry] = (outcome[1] - outcome[0]) / 2e-6
        np.testing.assert_allclose(gradient, differences, atol=1e-8)


@pytest.mark.parametrize("steps", [6, LONGEST_UNROLLED + 3])
@pytest.mark.parametrize("method", METHODS)
def test_gradient_at_ties_is_that_of_the_plain_loop(method, steps):
    lower, upper = (tf.constant(x) for x in random_bands(20, steps, 1, seed=2, ties=True))
    upper = tf.maximum(lower, upper)
    initial = tf.zeros((20, 1), tf.float64)
    weights = np.random.default_rng(5).normal(size=lower.shape)
    with tf.GradientTape() as tape:
        tape.watch([lower, upper, initial])
        position, total = initial, 0.0
        for t in range(steps):
            position = tf.minimum(tf.maximum(position, lower[:, t]), upper[:, t])
            total += tf.reduce_sum(weights[:, t] * position)
    expected = tape.gradient(total, [lower, upper, initial])
    gradients = with_gradient(lower, upper, initial, weights, method)
    for ours, plain in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_gradient_at_a_tie_passes_to_the_earlier_position(method):
    lower, upper = tf.constant([[[0.5], [0.5]]]), tf.constant([[[0.8], [0.5]]])
    to_lower, to_upper, to_initial = with_gradient(
        lower, upper, tf.zeros((1, 1)), tf.constant([[[0.0], [1.0]]]), method
    )
    np.testing.assert_array_equal(to_lower[0, :, 0], [1.0, 0.0])
    np.testing.assert_array_equal(to_upper[0, :, 0], [0.0, 0.0])
    np.testing.assert_array_equal(to_initial, [[0.0]])


@pytest.mark.parametrize("method", METHODS)
def test_crossed_bounds_share_the_gradient(method):
    lower, upper = tf.constant([[[0.6]]]), tf.constant([[[0.2]]])
    gradients = with_gradient(lower, upper, tf.zeros((1, 1)), 1.0, method)
    assert [float(tf.squeeze(gradient)) for gradient in gradients] == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bound", [0, 1])
def test_nan_is_never_hidden(method, bound):
    bands = list(random_bands(2, 6, 1, crossed=False))
    bands[bound][1, 3, 0] = np.nan
    positions = clamp_band(*bands, method=method).numpy()
    assert np.isnan(positions[1, 3:]).all()
    assert np.isfinite(positions[0]).all()
    assert np.isfinite(positions[1, :3]).all()


@pytest.mark.parametrize(("method", "known"), [("loop", True), ("loop", False), ("scan", False)])
def test_compiled_by_xla_or_not_values_and_gradients_are_the_same(method, known):
    lower, upper = (tf.constant(x) for x in random_bands(4, 5, 2))
    weights = tf.constant(np.random.default_rng(5).normal(size=(4, 5, 2)))
    initial = tf.constant(np.full((4, 2), 0.1))
    expected = with_gradient(lower, upper, initial, weights, "loop")
    band = tf.TensorSpec((None, None, 2), tf.float64)
    signature = None if known else [band, band, tf.TensorSpec((None, 2), tf.float64), band]
    for jit_compile in (None, True):

        @tf.function(jit_compile=jit_compile, input_signature=signature)
        def compiled(lower, upper, initial, weights):
            positions = clamp_band(lower, upper, initial, method)
            return positions, with_gradient(lower, upper, initial, weights, method)

        positions, gradients = compiled(lower, upper, initial, weights)
        np.testing.assert_array_equal(positions, reference(lower.numpy(), upper.numpy(), 0.1))
        for ours, theirs in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_what_one_bound_knows_of_the_shape_is_enough():
    lower, upper = random_bands(4, 5, 2)
    known, unknown = tf.TensorSpec((None, 5, 2), tf.float64), tf.TensorSpec([None] * 3, tf.float64)
    for signature in ([known, unknown], [unknown, known]):
        traced = tf.function(clamp_band, input_signature=signature)
        assert traced.get_concrete_function().structured_outputs.shape.as_list() == [None, 5, 2]
        np.testing.assert_array_equal(traced(lower, upper), reference(lower, upper))


def test_auto_is_one_of_the_two_at_every_size():
    for batch, steps in ((2, 5), (600, 5), (2, LONGEST_UNROLLED + 1)):
        lower, upper = random_bands(batch, steps, 1)
        np.testing.assert_array_equal(clamp_band(lower, upper), reference(lower, upper))


def test_step_after_step_gives_the_same_positions():
    lower, upper = random_bands(6, 8, 2)
    position = np.full((6, 2), 0.4)
    for t in range(8):
        position = clamp_band_step(position, lower[:, t], upper[:, t])
        np.testing.assert_array_equal(position, reference(lower, upper, 0.4)[:, t])


def test_layer_in_a_functional_model_survives_saving(tmp_path):
    lower, upper = keras.Input((None, 2)), keras.Input((None, 2))
    model = keras.Model([lower, upper], ClampBandHedge(method="loop")(lower, upper))
    assert model.output_shape == (None, None, 2)
    bands = [x.astype("float32") for x in random_bands(3, 7, 2)]
    model.save(tmp_path / "band.keras")
    restored = keras.saving.load_model(tmp_path / "band.keras")
    np.testing.assert_array_equal(restored(bands), reference(*bands))
    layer = restored.layers[-1]
    assert isinstance(layer, ClampBandHedge)
    assert layer.method == "loop"


def test_layer_takes_an_initial_position():
    lower, upper = (tf.constant(x, tf.float32) for x in random_bands(3, 4, 1))
    np.testing.assert_array_equal(
        ClampBandHedge()(lower, upper, initial_position=tf.fill((3, 1), 0.5)),
        reference(lower.numpy(), upper.numpy(), np.float32(0.5)),
    )


@pytest.mark.serving
@pytest.mark.parametrize("method", METHODS)
def test_saved_model_with_unknown_batch_and_time_has_values_and_gradients(method, tmp_path):
    band = tf.TensorSpec((None, None, 2), tf.float32)
    module = tf.Module()

    @tf.function(input_signature=[band, band])
    def rollout(lower, upper):
        return {"positions": clamp_band(lower, upper, method=method)}

    module.rollout = rollout
    tf.saved_model.save(module, str(tmp_path), signatures={"rollout": rollout})
    loaded = tf.saved_model.load(str(tmp_path))
    for batch, steps in ((1, 1), (3, 5), (4, 30)):
        lower, upper = (x.astype("float32") for x in random_bands(batch, steps, 2))
        served = loaded.signatures["rollout"](lower=tf.constant(lower), upper=tf.constant(upper))
        np.testing.assert_array_equal(served["positions"], reference(lower, upper))
    low, high = tf.constant(lower), tf.constant(upper)
    with tf.GradientTape() as tape:
        tape.watch([low, high])
        total = tf.reduce_sum(loaded.rollout(low, high)["positions"])
    expected = with_gradient(low, high, tf.zeros((4, 2)), 1.0, "loop")
    for ours, theirs in zip(tape.gradient(total, [low, high]), expected, strict=False):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((2, 3), (2, 3)), r"`lower` must have shape \(B, T, D\).*\(2, 3\)"),
        (((2, 3, 1), (2, 3)), r"`upper` must have shape \(B, T, D\).*\(2, 3\)"),
        (((2, 3, 1), (2, 4, 1)), r"same shape.*\(2, 3, 1\).*\(2, 4, 1\)"),
    ],
)
def test_wrong_shapes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        clamp_band(*(np.zeros(shape) for shape in arguments))


def test_wrong_initial_and_method_are_named():
    band = np.zeros((2, 3, 1))
    with pytest.raises(ValueError, match=r"`initial`.*\(B, D\) = \(2, 1\).*\(3, 1\)"):
        clamp_band(band, band, initial=np.zeros((3, 1)))
    for call in (lambda: clamp_band(band, band, method="fast"), lambda: ClampBandHedge("fast")):
        with pytest.raises(ValueError, match=r"`method` must be one of.*'fast'"):
            call()
