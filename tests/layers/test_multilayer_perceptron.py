"""The network of millions of rows: the same function as Dense layers, however it is cut."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import MultilayerPerceptron


def dense_twin(network, features):
    """A stack of `keras.layers.Dense` with the weights of `network`."""
    inputs = keras.Input((features,), dtype=network.dtype)
    hidden = inputs
    for units in network.hidden_units:
        hidden = keras.layers.Dense(units, network.activation, dtype=network.dtype)(hidden)
    twin = keras.Model(inputs, keras.layers.Dense(network.outputs, dtype=network.dtype)(hidden))
    pairs = zip(network.kernels, network.biases, strict=True)
    twin.set_weights([np.asarray(w) for pair in pairs for w in pair])
    return twin


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_is_the_function_of_dense_layers(activation):
    network = MultilayerPerceptron((7, 5), outputs=2, activation=activation, dtype="float64")
    x = np.random.default_rng(0).normal(size=(11, 4, 3))
    found = network(x)
    expected = dense_twin(network, 3)(x.reshape(-1, 3))
    np.testing.assert_allclose(found, np.reshape(expected, (11, 4, 2)), rtol=1e-12)


@pytest.mark.parametrize("resident_rows", [10**6, 96, 1])
def test_chunks_and_recomputation_change_nothing(resident_rows):
    whole = MultilayerPerceptron((6, 6), outputs=2, rows_per_chunk=None, dtype="float64")
    x = tf.constant(np.random.default_rng(1).normal(size=(50, 5, 3)))
    whole.build(x.shape)
    cut = MultilayerPerceptron(
        (6, 6), outputs=2, rows_per_chunk=32, resident_rows=resident_rows, dtype="float64"
    )
    cut.build(x.shape)
    cut.set_weights(whole.get_weights())

    def value_and_slopes(network):
        @tf.function
        def run(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = tf.reduce_sum(tf.sin(network(x)))
            weights = [weight.value for weight in network.trainable_variables]
            return value, *tape.gradient(value, [x, *weights])

        return run(x)

    for found, expected in zip(value_and_slopes(cut), value_and_slopes(whole), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_gradient_against_finite_differences(gradient_check):
    network = MultilayerPerceptron(
        (4,), outputs=1, activation="tanh", rows_per_chunk=3, resident_rows=4, dtype="float64"
    )
    network.build((None, 2))
    gradient_check(lambda x: network(x) ** 2, np.random.default_rng(2).normal(size=(10, 2)))


def test_layer_contract(check_layer):
    x = np.random.default_rng(3).normal(size=(5, 7, 3)).astype("float32")
    check_layer(MultilayerPerceptron((8,), outputs=2), x, shape=(5, 7, 2))


def test_output_bias_starts_where_it_is_put():
    network = MultilayerPerceptron(
        (4,), outputs=2, output_initializer="zeros", output_bias=(0.5, -1.0)
    )
    np.testing.assert_allclose(network(np.ones((3, 2))), np.tile([0.5, -1.0], (3, 1)))


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"hidden_units": (8, 0)}, "hidden_units"),
        ({"outputs": 0}, "outputs"),
        ({"rows_per_chunk": 0}, "rows_per_chunk"),
        ({"resident_rows": 0}, "resident_rows"),
    ],
)
def test_errors_name_the_culprit(arguments, culprit):
    with pytest.raises(ValueError, match=culprit):
        MultilayerPerceptron(**arguments)


def test_seed_decides_all_weights_and_equal_shapes_differ():
    one, two, other = (MultilayerPerceptron((6, 6, 6), outputs=6, seed=seed) for seed in (4, 4, 5))
    for network in (one, two, other):
        network.build((None, 3))
    for a, b, c in zip(one.kernels, two.kernels, other.kernels, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.allclose(a, c)
    assert not np.allclose(one.kernels[1], one.kernels[2])


def test_unit_scales_multiply_the_activations_of_all_rows():
    network = MultilayerPerceptron((4, 3), outputs=2, activation="tanh", dtype="float64")
    rows = tf.constant(np.random.default_rng(2).normal(size=(7, 5)))
    network.build(rows.shape)
    scales = [tf.constant([0.0, 2.0, 1.0, 0.5], tf.float64), tf.constant([1.5, 0.0, 1.0])]
    hidden = rows
    pairs = list(zip(network.kernels, network.biases, strict=True))
    for (kernel, bias), scale in zip(pairs, scales, strict=False):
        hidden = tf.tanh(hidden @ kernel.value + bias.value) * tf.cast(scale, tf.float64)
    expected = hidden @ pairs[-1][0].value + pairs[-1][1].value
    np.testing.assert_allclose(network(rows, unit_scales=scales), expected, rtol=1e-12)
