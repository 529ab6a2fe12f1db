"""Whether a SavedModel will do in a stock TF Serving, found out before a server does."""

import pathlib

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from hedgezoo.serving.saved_model_process import run_in_new_process
from hedgezoo.serving.warm_up import read_warm_up

PREDICT = "tensorflow/serving/predict"
DEFAULT_SIGNATURE = "serving_default"
# operations that call back into the Python process that traced them
PYTHON_OPERATIONS = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "NumpyFunction")
_INITIALISER = "__saved_model_init_op"  # a signature in name only


def check_saved_model(version_dir):
    """Checks that a SavedModel conforms to what TF Serving demands of it.

    The graph is inspected (see `check_graph`), then loaded in a new process by the loader that
    TF Serving uses, without TensorFlow for Python, and answers its warm-up requests there.

    Args:
        version_dir: Directory with `saved_model.pb`.

    Returns:
        Dictionary: that of `check_graph`, and `warm_up`, a list of one dictionary per request:
        `signature`, its name, and `outputs`, nested lists by name.

    Raises:
        ValueError: If it does not conform; the message names the signature, tensor, operation or
            request at fault.
    """
    report = check_graph(version_dir)
    requests = read_warm_up(version_dir)
    for signature, inputs in requests:
        _check_request(report["signatures"], signature, inputs)
    answers = run_in_new_process(version_dir, requests)
    warm_up = [
        {
            "signature": signature,
            "outputs": {name: value.tolist() for name, value in answer.items()},
        }
        for (signature, _), answer in zip(requests, answers, strict=True)
    ]
    return {**report, "warm_up": warm_up}


def check_graph(version_dir):
    """Checks the graph of a SavedModel without running it.

    Every signature is of the predict kind and has named inputs and outputs with a leading batch
    axis of free length (a batching server concatenates requests along it), `serving_default`
    exists, no function must be compiled by XLA (stock servers refuse), no operation calls Python,
    and nothing is pinned to a device that a server may not have.

    Args:
        version_dir: Directory with `saved_model.pb`.

    Returns:
        Dictionary: `tensorflow_version`; `signatures`, by name, with `inputs` and `outputs`, by
        name, of `dtype` and `shape` (None where it is free); `operations`, sorted names.

    Raises:
        ValueError: If it does not conform.
    """
    path = pathlib.Path(version_dir) / "saved_model.pb"
    if not path.is_file():
        raise ValueError(f"`version_dir` has no saved_model.pb. Received: {version_dir}")
    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's own exception class moves between versions
        raise ValueError(f"{path} is damaged: {error}") from error
    graphs = [graph for graph in saved_model.meta_graphs if "serve" in graph.meta_info_def.tags]
    if len(graphs) != 1:
        raise ValueError(f"{path} must have one graph tagged 'serve'. Received: {len(graphs)}")
    (graph,) = graphs
    signatures = {
        name: _checked_signature(name, signature)
        for name, signature in sorted(graph.signature_def.items())
        if name != _INITIALISER
    }
    if DEFAULT_SIGNATURE not in signatures:
        raise ValueError(f"no signature {DEFAULT_SIGNATURE!r}. Received: {sorted(signatures)}")
    return {
        "tensorflow_version": graph.meta_info_def.tensorflow_version,
        "signatures": signatures,
        "operations": _checked_operations(graph.graph_def),
    }


def _checked_signature(name, signature):
    if signature.method_name != PREDICT:
        raise ValueError(
            f"signature {name!r} must have method {PREDICT}. Received: {signature.method_name!r}"
        )
    report = {}
    for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        if not tensors:
            raise ValueError(f"signature {name!r} has no {side}")
        report[side] = {key: _checked_tensor(name, key, tensors[key]) for key in sorted(tensors)}
    return report


def _checked_tensor(signature, name, info):
    unknown = info.tensor_shape.unknown_rank
    shape = [None if axis.size < 0 else axis.size for axis in info.tensor_shape.dim]
    if unknown or not shape or shape[0] is not None:
        raise ValueError(
            f"signature {signature!r}: {name!r} must have a leading batch axis of free length. "
            f"Received: shape={'unknown' if unknown else tuple(shape)}"
        )
    return {"dtype": tf.as_dtype(info.dtype).name, "shape": shape}


def _checked_operations(graph_def):
    """Names of all operations, of the graph and of the functions that it calls."""
    places = [("the graph", graph_def.node, {})]
    for function in graph_def.library.function:
        places.append((f"function {function.signature.name!r}", function.node_def, function.attr))
    found = set()
    for place, nodes, attributes in places:
        if _must_compile(attributes):
            raise ValueError(f"{place} must be compiled by XLA, which stock servers refuse")
        for node in nodes:
            if node.op in PYTHON_OPERATIONS:
                raise ValueError(f"{place}: {node.name!r} calls Python ({node.op})")
            if _must_compile(node.attr):
                raise ValueError(f"{place}: {node.name!r} must be compiled by XLA")
            if node.device and not node.device.endswith(("device:CPU:0", "device:CPU:*")):
                raise ValueError(f"{place}: {node.name!r} is pinned to {node.device!r}")
            found.add(node.op)
    return sorted(found)


def _must_compile(attributes):
    return "_XlaMustCompile" in attributes and attributes["_XlaMustCompile"].b


def _check_request(signatures, signature, inputs):
    if signature not in signatures:
        raise ValueError(
            f"warm-up request for a signature {signature!r}; the model has {sorted(signatures)}"
        )
    wanted = signatures[signature]["inputs"]
    if set(inputs) != set(wanted):
        raise ValueError(
            f"warm-up request for {signature!r} must have inputs {sorted(wanted)}. "
            f"Received: {sorted(inputs)}"
        )
    for name, value in inputs.items():
        dtype, shape = wanted[name]["dtype"], tuple(wanted[name]["shape"])
        if value.dtype.name != dtype or not tf.TensorShape(shape).is_compatible_with(value.shape):
            raise ValueError(
                f"warm-up request for {signature!r}: {name!r} must be {dtype} of shape {shape}. "
                f"Received: {value.dtype.name} of shape {value.shape}"
            )
