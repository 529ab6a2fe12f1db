"""Positions on a grid: the formula, what it promises, and the layer around it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import SinusoidalPositions2D, sinusoidal_positions_2d

ROWS, COLUMNS = np.sqrt([0.1, 0.5, 1.0, 2.0]), np.log([0.8, 0.9, 1.0, 1.1, 1.2])
INPUTS = np.random.default_rng(0).normal(size=(3, 4, 5, 16))


def test_each_channel_is_its_formula():
    encoded = sinusoidal_positions_2d(ROWS, COLUMNS, channels=16, base=100.0).numpy()
    assert encoded.shape == (4, 5, 16)
    assert encoded.dtype == "float64"
    for k, frequency in enumerate((1.0, 100**-0.25, 0.1, 100**-0.75)):
        for half, place in ((0, COLUMNS[np.newaxis, :]), (8, ROWS[:, np.newaxis])):
            for offset, wave in ((0, np.sin), (4, np.cos)):
                expected = np.broadcast_to(wave(frequency * place), (4, 5))
                actual = encoded[..., half + offset + k]
                np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-14)


def test_norm_is_the_same_everywhere():
    encoded = sinusoidal_positions_2d(50 * ROWS, 1e3 * COLUMNS, channels=128).numpy()
    np.testing.assert_allclose(np.linalg.norm(encoded, axis=-1), 8.0, rtol=1e-14)


def test_distinct_places_have_distinct_encodings():
    cells = sinusoidal_positions_2d(np.arange(40), np.arange(60), channels=8).numpy()
    cells = cells.reshape(-1, 8)
    products = cells @ cells.T
    np.fill_diagonal(products, -np.inf)
    # squared distance 2 (4 - product); the nearest cells are those with almost the same phases
    assert 2 * (4 - products.max()) > 1e-3


def test_halves_belong_to_one_coordinate_each():
    encoded = sinusoidal_positions_2d(ROWS, COLUMNS, channels=12).numpy()
    assert np.ptp(encoded[..., :6], axis=0).max() == 0
    assert np.ptp(encoded[..., 6:], axis=1).max() == 0
    assert (np.abs(np.diff(encoded[..., :6], axis=1)).max(-1) > 0.05).all()
    assert (np.abs(np.diff(encoded[..., 6:], axis=0)).max(-1) > 0.05).all()


def test_a_shift_is_one_linear_map_of_all_cells():
    here = sinusoidal_positions_2d(ROWS, COLUMNS, channels=8).numpy().reshape(-1, 8)
    there = sinusoidal_positions_2d(ROWS + 0.7, COLUMNS - 1.3, channels=8).numpy().reshape(-1, 8)
    # each pair (sin, cos) turns by frequency times shift
    rotation = np.zeros((8, 8))
    for half, shift in ((0, -1.3), (4, 0.7)):
        for k, frequency in enumerate((1.0, 0.01)):
            sine, cosine = half + k, half + 2 + k
            s, c = np.sin(frequency * shift), np.cos(frequency * shift)
            rotation[[sine, cosine, sine, cosine], [sine, sine, cosine, cosine]] = c, s, -s, c
    np.testing.assert_allclose(here @ rotation, there, atol=1e-14)


def test_gradient_in_the_coordinates(gradient_check):
    def encode(rows, columns):
        return sinusoidal_positions_2d(rows, columns, channels=8)

    gradient_check(encode, ROWS, COLUMNS)


def test_leading_axes_broadcast():
    rows = np.stack([ROWS, 2 * ROWS])
    both = sinusoidal_positions_2d(rows, COLUMNS, channels=4).numpy()
    assert both.shape == (2, 4, 5, 4)
    for panel in range(2):
        one = sinusoidal_positions_2d(rows[panel], COLUMNS, channels=4).numpy()
        np.testing.assert_array_equal(both[panel], one)


@pytest.mark.parametrize("output", ["sum", "positions"])
def test_layer(check_layer, output):
    layer = SinusoidalPositions2D(ROWS, COLUMNS, base=100.0, output=output)
    result = check_layer(layer, INPUTS, shape=(3, 4, 5, 16), export=output == "sum")
    encoded = sinusoidal_positions_2d(ROWS, COLUMNS, channels=16, base=100.0).numpy()
    expected = encoded + (INPUTS if output == "sum" else 0.0)
    np.testing.assert_allclose(result, np.broadcast_to(expected, INPUTS.shape), atol=1e-6)
    assert layer.weights == []


def test_layer_of_a_sequence_is_that_of_the_grid(check_layer):
    layer = SinusoidalPositions2D(ROWS, COLUMNS)
    flat = check_layer(layer, INPUTS.reshape(3, 20, 16), shape=(3, 20, 16))
    np.testing.assert_array_equal(flat.reshape(INPUTS.shape), layer(INPUTS))


def test_indices_are_the_default_also_for_unknown_sizes():
    layer = SinusoidalPositions2D(output="positions")
    expected = sinusoidal_positions_2d(np.arange(4), np.arange(5), channels=16).numpy()
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 16))])
    for result in (layer(INPUTS), graph(tf.constant(INPUTS, tf.float32))):
        np.testing.assert_allclose(result[2], expected, atol=1e-6)
    symbol = keras.Input((None, None, 16))
    assert layer(symbol).shape == (None, None, None, 16)


def test_half_precision_rounds_the_encoding_and_not_the_angle():
    far = np.array([2047.0, 2048.0, 2049.0])  # float16 cannot tell the last two apart
    layer = SinusoidalPositions2D(far, far, output="positions", dtype="float16")
    result = layer(np.zeros((1, 3, 3, 8), "float16"))
    assert result.dtype == tf.float16
    expected = sinusoidal_positions_2d(far, far, channels=8).numpy()
    np.testing.assert_allclose(result[0], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": [[0.0, 1.0]]}, r"`rows` must be finite numbers of shape \(R,\)"),
        ({"columns": []}, r"`columns` must be finite numbers of shape \(C,\)"),
        ({"columns": [0.0, np.nan]}, "`columns` must be finite"),
        ({"base": 1.0}, "`base` must be a number greater than 1"),
        ({"output": "add"}, r"`output` must be one of \('sum', 'positions'\)"),
    ],
)
def test_arguments_are_checked(change, words):
    with pytest.raises(ValueError, match=words) as error:
        SinusoidalPositions2D(**change)
    assert "Received" in str(error.value)


@pytest.mark.parametrize("shape", [(2, 4, 6, 16), (2, 20, 5, 16), (2, 19, 16), (2, 4, 5, 6), (4,)])
def test_inputs_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(B, 4, 5, channels\) or \(B, 20, channels\)"):
        SinusoidalPositions2D(ROWS, COLUMNS)(np.zeros(shape))
    with pytest.raises(ValueError, match=r"\(B, R, C, channels\), channels a positive multiple"):
        SinusoidalPositions2D()(np.zeros((2, 20, 16)))


def test_function_checks_its_arguments():
    for channels in (0, 6, 8.0):
        with pytest.raises(ValueError, match="`channels` must be a positive multiple of 4"):
            sinusoidal_positions_2d(ROWS, COLUMNS, channels)
    with pytest.raises(ValueError, match="`rows` and `columns` must have shapes"):
        sinusoidal_positions_2d(1.0, COLUMNS, 8)
