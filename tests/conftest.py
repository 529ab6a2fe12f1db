"""Fixtures shared by every test of the tree; a test asks for one by naming it as an argument.

`gradient_check(fn, *arrays)`
    The gradient of `fn` against central differences, in float64; returns the gradients.
`check_layer(layer, *inputs, shape=...)`
    What every Keras layer must survive: config round trip, eager = graph with unknown batch size,
    float64, symbolic shape, `.keras` file; `export=True` adds a SavedModel.
`check_loss(loss, y_true, y_pred)`
    One value per path, whatever the other paths are, and a config round trip.
`two_replicas`
    A `tf.distribute.MirroredStrategy` over two virtual CPU devices. They are set up before any test
    module is imported, so this works in the test's own process.
`run_python(source, *args, env=None, timeout=300)`
    Runs a script in a fresh process outside the checkout and returns its output (stdout and
    stderr); the test fails with that output if the script exits non-zero.
`start_python(source, *args, env=None)`
    The same without waiting, for several workers at once: returns a `subprocess.Popen` with text
    output; one still running at the end of the test is killed.
`repo_root`
    The checkout, a `pathlib.Path`.

Nothing here seeds anything: a test that draws random numbers names its own seed.
"""

import itertools
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import pytest
import tensorflow as tf

# Devices cannot be split once TensorFlow has run an operation, hence here and not in a fixture.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="session")
def repo_root():
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def two_replicas():
    # one for all: collectives of two strategies in a process share their keys, and then clash
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def gradient_check():
    return _gradient_check


def _gradient_check(fn, *arrays, step=1e-5, rtol=1e-6, atol=1e-8):
    """Compare `tf.GradientTape` with central differences, in float64.

    A fixed random cotangent turns the output into a scalar, so that no error can cancel in a sum.

    Args:
        fn: function of `len(arrays)` float64 tensors, returning one tensor.
        *arrays: where to differentiate; keep them small: 2 evaluations of `fn` per element.
        step: half-width of the difference, relative to `max(1, |x|)`.
        rtol, atol: tolerances, as in `np.testing.assert_allclose`.

    Returns:
        List of gradients, one NumPy array per argument.
    """
    points = [np.array(array, dtype="float64") for array in arrays]
    tensors = [tf.constant(point) for point in points]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        output = fn(*tensors)
        assert output.dtype == tf.float64, f"fn turned float64 into {output.dtype.name}"
        cotangent = np.random.default_rng(0).uniform(0.5, 1.5, output.shape)
        scalar = tf.reduce_sum(cotangent * output)
    gradients = tape.gradient(scalar, tensors)

    def value(number, index, shift):
        moved = [point.copy() for point in points]
        moved[number][index] += shift
        return float(np.sum(cotangent * fn(*[tf.constant(point) for point in moved]).numpy()))

    results = []
    for number, (point, gradient) in enumerate(zip(points, gradients, strict=True)):
        assert gradient is not None, f"no gradient reaches argument {number}"
        gradient = tf.convert_to_tensor(gradient).numpy()
        expected = np.empty_like(point)
        for index in np.ndindex(point.shape):
            width = step * max(1.0, abs(point[index]))
            rise = value(number, index, width) - value(number, index, -width)
            expected[index] = rise / (2 * width)
        np.testing.assert_allclose(
            gradient, expected, rtol=rtol, atol=atol, err_msg=f"gradient in argument {number}"
        )
        results.append(gradient)
    return results


@pytest.fixture
def check_layer(tmp_path):
    """See `_check_layer`, which gets a folder of its own for the files it writes."""
    numbers = itertools.count()
    return lambda layer, *inputs, **options: _check_layer(
        layer, inputs, tmp_path / f"check_layer_{next(numbers)}", **options
    )


def _check_layer(
    layer, inputs, folder, shape, export=False, jit_compile=False, rtol=1e-5, atol=1e-6
):
    """Assert what every layer of the package promises; returns the eager output (NumPy).

    Args:
        layer: the layer, float32 and not yet called.
        *inputs: positional arguments of `call`, arrays or dicts of arrays, batch axis first.
        shape: shape of the output, or structure of shapes if there is more than one.
        export: also write and reload a SavedModel (about a second).
        jit_compile: also compile with XLA (seconds).
        rtol, atol: tolerances between the modes, as in `np.testing.assert_allclose`.
    """

    def cast(dtype):
        return tf.nest.map_structure(lambda array: np.asarray(array, dtype), inputs)

    def assert_same(actual, expected):
        tf.nest.assert_same_structure(actual, expected)
        for a, b in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=atol)

    def dtypes(structure):
        return {keras.backend.standardize_dtype(item.dtype) for item in tf.nest.flatten(structure)}

    config = layer.get_config()
    json.dumps(config)
    twin = type(layer).from_config(config)
    assert twin.get_config() == config, "from_config(get_config()) is another layer"
    saved = keras.saving.serialize_keras_object(layer)
    assert type(keras.saving.deserialize_keras_object(saved)) is type(layer)
    assert saved["registered_name"].startswith("hedgezoo>"), saved["registered_name"]

    arrays = cast("float32")
    expected = layer(*arrays)
    assert dtypes(expected) == {layer.compute_dtype}
    got = tf.nest.map_structure(lambda item: tuple(item.shape), expected)
    assert got == shape, f"output shape {got}, expected {shape}"

    signature = tf.nest.map_structure(
        lambda array: tf.TensorSpec((None, *array.shape[1:]), "float32"), arrays
    )
    for compiled in (False, True) if jit_compile else (False,):
        graph = tf.function(layer.__call__, input_signature=signature, jit_compile=compiled)
        assert_same(graph(*arrays), expected)

    # the saved configuration at another precision, with the same weights
    double = type(layer).from_config({**config, "dtype": "float64"})
    assert dtypes(double(*cast("float64"))) == {"float64"}
    double.set_weights(layer.get_weights())
    assert_same(double(*cast("float64")), expected)

    symbols = tf.nest.map_structure(
        lambda array: keras.Input(array.shape[1:], dtype="float32"), arrays
    )
    model = keras.Model(symbols, layer(*symbols))
    for symbol, item in zip(tf.nest.flatten(model.output), tf.nest.flatten(expected), strict=True):
        assert symbol.shape[1:] == item.shape[1:], f"symbolic {symbol.shape}, eager {item.shape}"
    folder.mkdir()
    model.save(folder / "model.keras")
    assert_same(keras.saving.load_model(folder / "model.keras")(arrays), expected)
    if export:
        model.export(folder / "saved_model", verbose=False)
        loaded = tf.saved_model.load(folder / "saved_model")  # keeps its variables alive
        assert_same(loaded.serve(arrays), expected)
    return tf.nest.map_structure(lambda item: item.numpy(), expected)


@pytest.fixture(scope="session")
def check_loss():
    return _check_loss


def _check_loss(loss, y_true, y_pred):
    """Assert what every loss of the package promises; returns the per-path values (NumPy).

    Args:
        loss: the loss.
        y_true: liabilities, `(B,)`.
        y_pred: gains, `(B,)`.
    """
    y_true, y_pred = np.asarray(y_true, "float32"), np.asarray(y_pred, "float32")
    config = loss.get_config()
    json.dumps(config)
    assert type(loss).from_config(config).get_config() == config
    saved = keras.saving.serialize_keras_object(loss)
    assert type(keras.saving.deserialize_keras_object(saved)) is type(loss)
    # one value per path and not a batch scalar: only then are replicas averaged rightly
    values = tf.convert_to_tensor(loss.call(y_true, y_pred)).numpy()
    assert values.shape == y_pred.shape, f"loss per path has shape {values.shape}"
    np.testing.assert_allclose(loss(y_true, y_pred), values.mean(), rtol=1e-5, atol=1e-6)
    permuted = tf.convert_to_tensor(loss.call(y_true[::-1], y_pred[::-1])).numpy()
    np.testing.assert_allclose(permuted[::-1], values, rtol=1e-5, atol=1e-6)
    halves = [loss.call(y_true[part], y_pred[part]) for part in (slice(1), slice(1, None))]
    np.testing.assert_allclose(np.concatenate(halves), values, rtol=1e-5, atol=1e-6)
    return values


@pytest.fixture
def start_python(tmp_path):
    """`start_python(source, *args, env=None) -> Popen`; output and errors merged, as text."""
    numbers, processes = itertools.count(), []

    def start(source, *args, env=None):
        # a folder of its own: the checkout on sys.path would shadow other packages' `datasets`
        folder = tmp_path / f"script_{next(numbers)}"
        folder.mkdir()
        (folder / "script.py").write_text(textwrap.dedent(source))
        inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "TF_CONFIG")}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-u", "script.py", *map(str, args)],
                cwd=folder,
                env={**inherited, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run_python(start_python):
    """`run_python(source, *args, env=None, timeout=300) -> output` of a script that must exit 0."""

    def run(source, *args, env=None, timeout=300):
        process = start_python(source, *args, env=env)
        output, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, f"exit status {process.returncode}:\n{output}"
        return output

    return run
