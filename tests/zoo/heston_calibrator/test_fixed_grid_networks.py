"""Networks for a fixed grid: what they read and return, and what their options change."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import training
from hedgezoo.datasets.heston_panels import HestonPanels
from hedgezoo.heston_calibrator.cnn_transformer import CNNTransformer
from hedgezoo.heston_calibrator.encoder_blocks import ResidualConvolution, TransformerEncoder
from hedgezoo.heston_calibrator.fixed_grid_network import PAPER_RANGES
from hedgezoo.heston_calibrator.missing_quotes import fill_missing, interpolation_weights
from hedgezoo.heston_calibrator.shallow import ShallowNetwork
from hedgezoo.heston_calibrator.two_layer_cnn import TwoLayerCNN

STRIKES, YEARS = np.linspace(0.8, 1.2, 10), np.array([0.1, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.0])
SMALL = {"width": 16, "heads": 4, "feed_forward": 32, "head_units": 8, "channels": 4}
NETWORKS = [(CNNTransformer, SMALL), (ShallowNetwork, {"units": (16, 8)}), (TwoLayerCNN, {})]
LOW, HIGH = np.transpose(PAPER_RANGES)


def panels(count=6, seed=0):
    inputs, _ = HestonPanels(noise="plus_minus_15_bp", nodes=32).simulate(seed, count)
    mask = np.random.default_rng(seed).uniform(size=(count, 8, 10)) > 0.2
    return {"implied_volatility": inputs["implied_volatility"], "mask": inputs["mask"] & mask}


def parameters(network, inputs, **options):
    return network(inputs, **options)["parameters"].numpy()


def scrambled(network, seed=0):
    """The network with random weights, so that nothing is zero or symmetric."""
    network.build()
    rng = np.random.default_rng(seed)
    network.set_weights([rng.uniform(0.2, 0.6, w.shape) for w in network.get_weights()])
    return network


# ----------------------------------------------------------------------------------- all networks


@pytest.mark.parametrize(("kind", "options"), NETWORKS)
def test_outputs_and_config(kind, options):
    network = kind(STRIKES, YEARS, **options)
    network.build()  # without a shape: the grid says it
    outputs = network(panels())
    assert set(outputs) == {"parameters"}
    assert outputs["parameters"].shape == (6, 5)
    assert outputs["parameters"].dtype == tf.float32

    config = network.get_config()
    json.dumps(config)
    twin = kind.from_config(config)
    assert twin.get_config() == config
    saved = keras.saving.serialize_keras_object(network)
    assert type(keras.saving.deserialize_keras_object(saved)) is kind
    twin.build()
    for weight, same in zip(network.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)  # the seed is part of the configuration
    other = kind(STRIKES, YEARS, **options, seed=1)
    assert np.ptp(parameters(other, panels()) - outputs["parameters"]) > 1e-3


@pytest.mark.parametrize(("kind", "options"), NETWORKS)
def test_eager_graph_float64_and_saved_file_agree(kind, options, tmp_path):
    network = kind(STRIKES, YEARS, **options)
    inputs = panels()
    expected = parameters(network, inputs)
    signature = {
        "implied_volatility": tf.TensorSpec((None, 8, 10)),
        "mask": tf.TensorSpec((None, 8, 10), tf.bool),
    }
    graph = tf.function(lambda x: network(x)["parameters"], input_signature=[signature])
    np.testing.assert_allclose(graph(inputs), expected, rtol=1e-5, atol=1e-6)

    double = kind.from_config({**network.get_config(), "dtype": "float64"})
    double.build()
    double.set_weights(network.get_weights())
    outputs = double(
        {**inputs, "implied_volatility": tf.cast(inputs["implied_volatility"], "float64")}
    )
    assert outputs["parameters"].dtype == tf.float64
    np.testing.assert_allclose(outputs["parameters"], expected, rtol=1e-4, atol=1e-5)

    symbols = {
        "implied_volatility": keras.Input((8, 10), name="implied_volatility"),
        "mask": keras.Input((8, 10), dtype="bool", name="mask"),
    }
    model = keras.Model(symbols, network(symbols)["parameters"])
    assert model.output.shape == (None, 5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(inputs), expected, rtol=1e-6)
    model.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(tmp_path / "export")
    np.testing.assert_allclose(served.serve(inputs), expected, rtol=1e-5)


@pytest.mark.parametrize(("kind", "options"), NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_parameters_stay_strictly_inside_their_ranges(kind, options, dtype):
    network = kind(STRIKES, YEARS, **options, dtype=dtype)
    network.build()
    head = network.trainable_variables[-1]
    mask = tf.fill((3, 8, 10), True)
    inputs = {"mask": mask, "implied_volatility": tf.fill((3, 8, 10), 0.3)}
    for bias in (-1e4, 1e4):
        head.assign(tf.fill((5,), bias))
        result = parameters(network, inputs)
        assert (result > LOW).all()
        assert (result < HIGH).all()
        assert (np.abs(result - (LOW if bias < 0 else HIGH)) < 0.002 * (HIGH - LOW)).all()
    for level in (0.0, 1e-4, 4.0, 100.0):
        wild = {"mask": mask, "implied_volatility": tf.fill((3, 8, 10), level)}
        result = parameters(network, wild)
        assert ((result > LOW) & (result < HIGH)).all()


@pytest.mark.parametrize(("kind", "options"), NETWORKS)
def test_ranges_scale_the_outputs(kind, options):
    ranges = ((0.0, 40.0), (0.0, 1.0), (0.5, 1.5), (-0.5, 0.5), (0.1, 0.2))
    network, wide = kind(STRIKES, YEARS, **options), kind(STRIKES, YEARS, ranges=ranges, **options)
    unit = (parameters(network, panels()) - LOW) / (HIGH - LOW)
    low, high = np.transpose(ranges)
    np.testing.assert_allclose(parameters(wide, panels()), low + unit * (high - low), atol=1e-5)


@pytest.mark.parametrize(("kind", "options"), NETWORKS)
@pytest.mark.parametrize("training", [False, True])
def test_what_a_masked_cell_holds_has_no_influence(kind, options, training):
    network = kind(STRIKES, YEARS, **options)
    inputs = panels()
    expected = parameters(network, inputs, training=training)
    for value in (0.0, 5.0, np.nan, np.inf):
        quotes = tf.where(inputs["mask"], inputs["implied_volatility"], value)
        changed = {**inputs, "implied_volatility": quotes}
        np.testing.assert_array_equal(parameters(network, changed, training=training), expected)
        with tf.GradientTape() as tape:
            tape.watch(quotes)
            total = tf.reduce_sum(network({**inputs, "implied_volatility": quotes})["parameters"])
        slope = tape.gradient(total, quotes).numpy()
        assert np.isfinite(slope).all()
        assert (slope[~inputs["mask"].numpy()] == 0).all()
        assert (slope[inputs["mask"].numpy()] != 0).mean() > 0.5


@pytest.mark.parametrize(("kind", "options"), NETWORKS)
def test_mask_and_every_quote_have_influence(kind, options):
    network = scrambled(kind(STRIKES, YEARS, **options))
    inputs = {**panels(1), "mask": tf.fill((1, 8, 10), True)}
    image = network.image(inputs)
    with tf.GradientTape() as tape:
        tape.watch(image)
        raw = network.features(image, False)
    slopes = tape.jacobian(raw, image).numpy()
    if kind is ShallowNetwork:
        assert slopes.shape == (1, 5, 1, 8, 10, 2)
    assert (np.abs(slopes).max((0, 1, 2)) > 0).mean() > 0.95


@pytest.mark.parametrize(("kind", "options"), NETWORKS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strikes": [1.0]}, r"`strikes` must be at least two numbers, \(n,\)"),
        ({"strikes": [1.0, 0.9]}, "`strikes` must be positive and increasing"),
        ({"maturities": [[0.1, 0.2]]}, r"`maturities` must be at least two numbers, \(m,\)"),
        ({"maturities": [0.0, 0.2]}, "`maturities` must be positive"),
        ({"ranges": ((0, 1),) * 4}, "`ranges` must be five pairs"),
        ({"ranges": ((0, 1),) * 3 + ((-1.5, 1), (0, 1))}, r"`ranges` must keep.*rho in \[-1, 1\]"),
        ({"seed": 0.5}, "`seed` must be an integer or None"),
    ],
)
def test_arguments_are_checked(kind, options, change, words):
    with pytest.raises(ValueError, match=words) as error:
        kind(**{"strikes": STRIKES, "maturities": YEARS, **options, **change})
    assert "Received" in str(error.value)


def test_panels_of_another_grid_are_refused():
    inputs = {"implied_volatility": tf.zeros((2, 8, 9)), "mask": tf.fill((2, 8, 9), True)}
    with pytest.raises(ValueError, match=r"8 maturities and 10 strikes.*shape=\(2, 8, 9\)"):
        ShallowNetwork(STRIKES, YEARS)(inputs)


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (CNNTransformer, {"blocks": 0}, "`blocks` must be a positive integer"),
        (CNNTransformer, {"blocks": 2, "halvings": 3}, "`halvings` must be an integer from 0 to"),
        (CNNTransformer, {"width": 12}, "`width` must be a multiple of 4 and of `heads`"),
        (CNNTransformer, {"heads": 2.0}, "`heads` must be a positive integer"),
        (ShallowNetwork, {"units": ()}, "`units` must be positive integers"),
        (TwoLayerCNN, {"channels": (8,)}, "`channels` must be two positive integers"),
    ],
)
def test_sizes_are_checked(kind, change, words):
    with pytest.raises(ValueError, match=words) as error:
        kind(STRIKES, YEARS, **change)
    assert "Received" in str(error.value)


# -------------------------------------------------------------------------- the paper's network


def test_default_is_the_printed_architecture():
    network = CNNTransformer(STRIKES, YEARS)
    network.build()
    blocks = network.residual_blocks
    assert [block.channels for block in blocks] == [8, 16, 32, 64]
    kernels = [block.convolutions[0].kernel.shape for block in blocks]
    assert kernels == [(3, 3, 2, 8), (3, 3, 8, 16), (3, 3, 16, 32), (3, 3, 32, 64)]
    assert [block.convolutions[0].strides for block in blocks] == [(1, 1)] * 4
    assert [block.skip.kernel.shape[:2] for block in blocks] == [(1, 1)] * 4
    assert all(norm.synchronized for block in blocks for norm in block.normalisations)
    assert network.to_tokens.kernel.shape == (64, 128)
    assert network.encoder.heads == 8
    assert [dense.kernel.shape for dense in network.encoder.maps[-2:]] == [(128, 512), (512, 128)]
    assert [dense.kernel.shape for dense in network.head] == [(128, 64), (64, 5)]
    assert network.head[0].activation is keras.activations.tanh


@pytest.mark.parametrize(
    ("halvings", "rows", "columns"), [(0, 8, 10), (1, 4, 5), (2, 2, 3), (3, 1, 2), (4, 1, 1)]
)
def test_halvings_decide_the_number_of_tokens(halvings, rows, columns):
    network = CNNTransformer(STRIKES, YEARS, halvings=halvings, **SMALL)
    network.build()
    image = network.image(panels(2))
    for block in network.residual_blocks:
        image = block(image)
    assert image.shape == (2, rows, columns, 32)
    assert (len(network.place.rows), len(network.place.columns)) == (rows, columns)
    # the mean of the coordinates of the cells in a token, also of an odd last column
    places = np.log(STRIKES / 0.8) / np.log(1.5) * 9
    for _ in range(halvings):
        places = [np.mean(places[i : i + 2]) for i in range(0, len(places), 2)]
    np.testing.assert_allclose(network.place.columns, places, rtol=1e-12)


def test_without_positions_tokens_are_a_set():
    rng = np.random.default_rng(0)
    tokens = tf.constant(rng.normal(size=(2, 4, 5, 16)), tf.float32)
    order = rng.permutation(20)
    shuffled = tf.reshape(tf.gather(tf.reshape(tokens, (2, 20, 16)), order, axis=1), (2, 4, 5, 16))
    change = {}
    for positions in (False, True):
        network = CNNTransformer(STRIKES, YEARS, halvings=1, positions=positions, **SMALL)
        network.build()
        network.residual_blocks, network.to_tokens = [], lambda image: image
        change[positions] = np.abs(
            network.features(tokens, False) - network.features(shuffled, False)
        ).max()
    assert change[False] < 1e-5
    assert change[True] > 1e-2


def test_blocks_are_the_depth():
    one, four = (CNNTransformer(STRIKES, YEARS, blocks=blocks, **SMALL) for blocks in (1, 4))
    one.build(), four.build()
    # a convolution sees its neighbours only: with one block of two, two cells away
    image = tf.Variable(tf.random.stateless_normal((1, 8, 10, 2), (0, 1)))
    reach = {}
    for network in (one, four):
        with tf.GradientTape() as tape:
            x = image
            for block in network.residual_blocks:
                block.halve = False
                x = block(x)
            corner = tf.reduce_sum(x[0, 0, 0])
        seen = np.abs(tape.gradient(corner, image)[0]).max(-1) > 0
        reach[len(network.residual_blocks)] = np.argwhere(seen).max(0).tolist()
    assert reach == {1: [2, 2], 4: [7, 8]}


def test_training_uses_the_statistics_of_the_batch():
    network = CNNTransformer(STRIKES, YEARS, **SMALL)
    network.build()
    norm = network.residual_blocks[0].normalisations[0]
    inputs = panels()
    before = parameters(network, inputs)
    during = parameters(network, inputs, training=True)
    assert np.abs(before - during).max() > 1e-3
    x = network.residual_blocks[0].convolutions[0](network.image(inputs)).numpy()
    np.testing.assert_allclose(norm.moving_mean, 0.01 * x.mean((0, 1, 2)), rtol=1e-3, atol=1e-6)


def test_blocks_as_layers(check_layer):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 7, 5, 3))
    check_layer(ResidualConvolution(4, halve=True, seed=0), image, shape=(2, 4, 3, 4))
    check_layer(ResidualConvolution(3), image, shape=(2, 7, 5, 3))
    tokens = rng.normal(size=(2, 6, 8))
    check_layer(TransformerEncoder(heads=2, feed_forward=12, seed=0), tokens, shape=(2, 6, 8))
    with pytest.raises(ValueError, match=r"`heads` must divide.*heads=3, width=8"):
        TransformerEncoder(heads=3, feed_forward=12).build((None, 6, 8))


def test_residual_block_is_its_formula():
    block = ResidualConvolution(4, halve=True)
    block.build((None, 3, 5, 2))
    rng = np.random.default_rng(0)
    block.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in block.get_weights()])
    image = tf.constant(rng.normal(size=(2, 3, 5, 2)), tf.float32)

    def convolve(x, layer):
        return tf.nn.conv2d(x, layer.kernel.value, 1, "SAME")

    def normalise(x, layer):
        deviation = tf.sqrt(layer.moving_variance + layer.epsilon)
        return (x - layer.moving_mean) / deviation * layer.gamma + layer.beta

    x = tf.nn.elu(normalise(convolve(image, block.convolutions[0]), block.normalisations[0]))
    x = normalise(convolve(x, block.convolutions[1]), block.normalisations[1])
    x = tf.nn.elu(x + convolve(image, block.skip)).numpy()
    expected = np.empty((2, 2, 3, 4))
    for i in range(2):
        for j in range(3):
            expected[:, i, j] = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((1, 2))
    np.testing.assert_allclose(block(image), expected, rtol=1e-4, atol=1e-5)


def test_encoder_is_keras_attention_and_dense_layers():
    encoder = TransformerEncoder(heads=2, feed_forward=12, seed=3)
    tokens = tf.constant(np.random.default_rng(0).normal(size=(2, 6, 8)), tf.float32)
    actual = encoder(tokens)
    query, key, value, join, widen, narrow = encoder.maps
    attention = keras.layers.MultiHeadAttention(2, 4)
    attention.build(tokens.shape, tokens.shape)
    heads = [(m.kernel.numpy().reshape(8, 2, 4), np.zeros((2, 4))) for m in (query, key, value)]
    together = join.kernel.numpy().reshape(2, 4, 8), np.zeros(8)
    attention.set_weights([array for pair in (*heads, together) for array in pair])
    first, second = encoder.norms
    x = first(tokens + attention(tokens, tokens))
    np.testing.assert_allclose(actual, second(x + narrow(widen(x))), rtol=1e-4, atol=1e-5)
    kernels = [m.kernel.numpy() for m in (query, key, value, join)]
    for i in range(4):
        for j in range(i):
            assert np.abs(kernels[i] - kernels[j]).max() > 0.1


def test_two_replicas_agree_with_one_device(two_replicas):
    inputs = panels(8)
    truth = HestonPanels(nodes=32).simulate(0, 8)[1]["parameters"]
    data = tf.data.Dataset.from_tensor_slices((inputs, truth)).batch(4, drop_remainder=True)
    results = []
    for strategy in (None, two_replicas):
        with strategy.scope() if strategy else tf.device(None):
            symbols = {
                "implied_volatility": keras.Input((8, 10), name="implied_volatility"),
                "mask": keras.Input((8, 10), dtype="bool", name="mask"),
            }
            network = CNNTransformer(STRIKES, YEARS, **SMALL)
            model = keras.Model(symbols, network(symbols)["parameters"])
            model.compile(keras.optimizers.SGD(0.01), loss="mse")
        training.fit(model, data, epochs=1)
        results.append(model.get_weights())
    fresh = CNNTransformer(STRIKES, YEARS, **SMALL)
    fresh.build()
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=2e-5)
    moved = [np.abs(a - b).max() for a, b in zip(results[0], fresh.get_weights(), strict=True)]
    assert max(moved) > 1e-2


# -------------------------------------------------------------------------------- missing quotes


def test_filling_keeps_quotes_and_interpolates_the_rest():
    values = tf.constant(2.0 + 3.0 * np.log(STRIKES) + np.sqrt(YEARS)[:, np.newaxis])[tf.newaxis]
    mask = np.random.default_rng(0).uniform(size=(1, 8, 10)) < 0.4
    mask[..., [0, -1]] = True
    mask[0, 3] = False  # a whole maturity
    broken = tf.where(mask, values, np.nan)
    filled = fill_missing(broken, tf.constant(mask), np.log(STRIKES), np.sqrt(YEARS), 9.0)
    # a surface linear in both directions comes back whole
    np.testing.assert_allclose(filled, values, rtol=1e-12)
    np.testing.assert_array_equal(filled.numpy()[mask], values.numpy()[mask])


def test_filling_beyond_the_last_quote_is_constant():
    mask = np.zeros((3, 8, 10), bool)
    mask[0, 2, 4] = True
    mask[1, [1, 5], [0, 9]] = True
    values = np.where(mask, np.arange(80.0).reshape(8, 10), np.nan)
    filled = fill_missing(
        tf.constant(values), tf.constant(mask), np.log(STRIKES), np.sqrt(YEARS), 9.0
    ).numpy()
    assert (filled[0] == 24.0).all()
    assert (filled[1, :2] == 10.0).all()
    assert (filled[1, 5:] == 59.0).all()
    assert (np.diff(filled[1, 1:6], axis=0) > 0).all()
    assert (filled[2] == 9.0).all()


def test_interpolation_weights():
    known = np.array([[True, False, False, True, False], [False] * 5, [True] * 5])
    weights = interpolation_weights(tf.constant(known), [0.0, 1.0, 3.0, 4.0, 7.0], "float64")
    expected = np.zeros((5, 5))
    expected[[0, 1, 2, 3, 4], [0, 0, 0, 3, 3]] = 1.0, 0.75, 0.25, 1.0, 1.0
    expected[[1, 2], 3] = 0.25, 0.75
    np.testing.assert_allclose(weights[0], expected)
    assert not weights[1].numpy().any()
    np.testing.assert_array_equal(weights[2], np.eye(5))
