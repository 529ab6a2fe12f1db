"""SavedModels for TF Serving: written whole or not at all, checked before a server sees them."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.serving.saved_model_c_api import load_with_c_api
from hedgezoo.serving.saved_model_checks import DEFAULT_SIGNATURE, check_saved_model
from hedgezoo.serving.warm_up import read_warm_up, write_warm_up

__all__ = [
    "Signature",
    "check_saved_model",
    "export",
    "load_with_c_api",
    "query_locally",
    "request_body",
]


class Signature(NamedTuple):
    """One question that a served model answers.

    Args:
        function: Maps tensors, in the order of `inputs`, to a dictionary of tensors `(B, ...)`.
        inputs: `tf.TensorSpec`s with names, of shape `(None, ...)`.
        example: Dictionary of arrays by input name: a small valid request. It becomes the warm-up
            request, and the SavedModel must answer it as `function` does.
    """

    function: Callable
    inputs: tuple
    example: dict


def export(model, directory, version=None, overwrite=False, check=True):
    """Writes a SavedModel that stock TF Serving loads, as `<directory>/<version>`.

    The signatures of a hedging model are those of `hedgezoo.serving.hedge_signatures`:
    `serving_default` is one hedge step, `rollout` whole paths, `sensitivities` the gradients of a
    step. Any other model takes part by a method `serving_signatures()` that returns a
    dictionary from name to `Signature`.

    A server that polls `directory` never sees a half-written version: the files are written and
    checked beside it and then renamed. If anything fails, nothing is left behind.

    Args:
        model: A model, or the name or directory of a preset.
        directory: Base path of the served model; created if needed.
        version: Positive integer. The default is one more than the largest there is.
        overwrite: Whether an existing `version` is replaced. A running server does not notice.
        check: Whether the files are checked, see `check_saved_model`, and their answers to the
            warm-up requests compared with the model's.

    Returns:
        `pathlib.Path` of the version directory.

    Raises:
        ValueError: If the version exists or is no positive integer, the model has no signatures
            or wrong ones, or the SavedModel does not conform.

    Example:

    ```python
    path = hedgezoo.export("no_transaction_band_european_v1", "served/no_transaction_band")
    # tensorflow_model_server --model_name=no_transaction_band \\
    #     --model_base_path=$PWD/served/no_transaction_band --rest_api_port=8501
    ```
    """
    directory = pathlib.Path(directory)
    _check_target(directory, version, overwrite)
    if isinstance(model, str | os.PathLike):
        from hedgezoo.presets import load

        model = load(model)
    signatures = _signatures_of(model)
    # before any tracing: weights that are not there yet cannot be made inside a graph
    answers = _answers(signatures)
    with _scratch_beside(directory) as scratch:
        written = scratch / "new"
        _write(signatures, written)
        if check:
            _compare(answers, check_saved_model(written)["warm_up"])
        return _publish(written, directory, version, overwrite)


def request_body(source, signature=DEFAULT_SIGNATURE):
    """A request that the model understands, as the body of a call of TF Serving's REST interface.

    `POST` it as JSON to `http://host:8501/v1/models/<name>:predict`. The answer has the outputs
    under `"outputs"`: by name, or as it is if there is only one.

    Args:
        source: A model, or the version directory that `export` returned.
        signature: Name of the signature.

    Returns:
        Dictionary of `signature_name` and `inputs`, the columnar form; `json.dumps` takes it.

    Raises:
        ValueError: If there is no such signature.

    Example:

    >>> from hedgezoo.baselines.whalley_wilmott import WhalleyWilmott
    >>> request_body(WhalleyWilmott())["inputs"]["position"]
    [[0.0], [0.5]]
    """
    if isinstance(source, str | os.PathLike):
        examples = dict(read_warm_up(source))
    else:
        examples = {name: item.example for name, item in _signatures_of(source).items()}
    _check_name(signature, examples)
    # by way of text, so that a float32 0.08 is not sent as 0.07999999821186066
    inputs = {
        name: value.astype(str).astype(float).tolist()
        if value.dtype.kind == "f"
        else value.tolist()
        for name, value in examples[signature].items()
    }
    return {"signature_name": signature, "inputs": inputs}


def query_locally(version_dir, inputs, signature=DEFAULT_SIGNATURE):
    """Asks a SavedModel without a server.

    Args:
        version_dir: Directory with `saved_model.pb`.
        inputs: Dictionary of arrays (or nested lists) by input name.
        signature: Name of the signature.

    Returns:
        Dictionary of NumPy arrays by output name.

    Raises:
        ValueError: If the signature, an input name or a shape is not the model's.
    """
    if not (pathlib.Path(version_dir) / "saved_model.pb").is_file():
        raise ValueError(f"`version_dir` has no saved_model.pb. Received: {version_dir}")
    loaded = tf.saved_model.load(str(version_dir))  # its variables live as long as this name does
    _check_name(signature, loaded.signatures)
    function = loaded.signatures[signature]
    specs = function.structured_input_signature[1]
    if set(inputs) != set(specs):
        raise ValueError(f"`inputs` must be {sorted(specs)}. Received: {sorted(inputs)}")
    tensors = {name: tf.convert_to_tensor(inputs[name], spec.dtype) for name, spec in specs.items()}
    for name, spec in specs.items():
        if not spec.shape.is_compatible_with(tensors[name].shape):
            raise ValueError(
                f"`{name}` must have shape {tuple(spec.shape)}. "
                f"Received: shape={tuple(tensors[name].shape)}"
            )
    return {name: value.numpy() for name, value in function(**tensors).items()}


# ----------------------------------------------------------------------------------- signatures


def _signatures_of(model):
    if not hasattr(model, "serving_signatures"):
        raise ValueError(
            "`model` must be a HedgeModel or have a method `serving_signatures()`. "
            f"Received: {model!r}"
        )
    signatures = model.serving_signatures()
    if DEFAULT_SIGNATURE not in signatures:
        raise ValueError(f"no signature {DEFAULT_SIGNATURE!r}. Received: {sorted(signatures)}")
    return {name: _checked(name, *signature) for name, signature in signatures.items()}


def _checked(name, function, inputs, example):
    names = [spec.name for spec in inputs]
    if None in names or sorted(names) != sorted(example):
        raise ValueError(
            f"signature {name!r} must name its inputs, and have an example of each. "
            f"Received: inputs {names}, examples {sorted(example)}"
        )
    example = {
        spec.name: np.asarray(example[spec.name], spec.dtype.as_numpy_dtype) for spec in inputs
    }
    return Signature(function, tuple(inputs), example)


def _check_name(signature, known):
    if signature not in known:
        raise ValueError(f"`signature` must be one of {sorted(known)}. Received: {signature!r}")


def _answers(signatures):
    """What the model says to each example."""
    answers = {}
    for name, (function, inputs, example) in signatures.items():
        answers[name] = function(*[tf.constant(example[spec.name]) for spec in inputs])
        if not isinstance(answers[name], dict):
            raise ValueError(
                f"signature {name!r} must return a dictionary of tensors. "
                f"Received: {type(answers[name]).__name__}"
            )
    return answers


def _write(signatures, path):
    """The SavedModel with its warm-up requests."""
    archive = keras.export.ExportArchive()
    for name, (function, inputs, _) in signatures.items():
        archive.add_endpoint(name, function, list(inputs))
    archive.write_out(str(path), verbose=False)
    with contextlib.suppress(OSError):
        (path / "assets").rmdir()  # empty, and neither git nor a wheel would keep it
    write_warm_up(path, [(name, signature.example) for name, signature in signatures.items()])


def _compare(answers, warm_up):
    """A SavedModel answers its warm-up requests as the model does."""
    for request in warm_up:
        name, outputs = request["signature"], request["outputs"]
        for key, expected in answers[name].items():
            if not np.allclose(outputs[key], expected, rtol=1e-4, atol=1e-6, equal_nan=True):
                raise ValueError(
                    f"signature {name!r}: the SavedModel answers {key}={outputs[key]}, "
                    f"the model {np.asarray(expected).tolist()}"
                )


# ---------------------------------------------------------------------------------------- files


def _check_target(directory, version, overwrite):
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"`directory` is a file. Received: {directory}")
    if version is None:
        if overwrite:
            raise ValueError("`overwrite` needs a `version`. Received: version=None")
        return
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"`version` must be a positive integer. Received: version={version!r}")
    if not overwrite and version in _versions(directory):
        raise ValueError(f"`version` {version} exists already in {directory}")


def _versions(directory):
    """Versions in the sense of TF Serving: children whose whole name is a number."""
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    return {int(name) for name in names if name.isascii() and name.isdigit()}


@contextlib.contextmanager
def _scratch_beside(directory):
    """A folder in `directory`, so on its file system, with a name that no server looks at."""
    created = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=directory) as scratch:
            yield pathlib.Path(scratch)
    except BaseException:
        for path in created:
            with contextlib.suppress(OSError):  # another export uses it by now
                path.rmdir()
        raise


def _publish(written, directory, version, overwrite):
    """Renames a finished SavedModel to its version; the only step that a server can see."""
    retired = written.parent / "old"
    while True:
        number = max(_versions(directory), default=0) + 1 if version is None else version
        target = directory / str(number)
        if overwrite and target.exists():
            os.rename(target, retired)
        try:
            os.rename(written, target)
            return target
        except OSError as error:
            if retired.exists():
                os.rename(retired, target)
                raise
            if not target.exists():
                raise
            # another export took the number in the meantime
            if version is not None:
                raise ValueError(f"`version` {version} exists already in {directory}") from error
