"""Warm-up requests: what TF Serving runs once when it loads a model, so that no client waits.

A server refuses a model whose warm-up requests fail, so they are written at export and replayed by
the conformance checks. The file is a TFRecord of `PredictionLog` messages.

Reference:
    Field numbers: tensorflow/serving, `tensorflow_serving/apis/prediction_log.proto`,
    `predict.proto` and `model.proto`. Location: `tensorflow_serving/g3doc/saved_model_warmup.md`.
"""

import pathlib

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from hedgezoo.serving.protobuf_wire import field, fields

FILE = "assets.extra/tf_serving_warmup_requests"
# a server gives up beyond this many
MOST_REQUESTS = 1000

_LOG_PREDICT = 6  # PredictionLog.predict_log
_PREDICT_REQUEST = 1  # PredictLog.request
_REQUEST_MODEL, _REQUEST_INPUTS = 1, 2  # PredictRequest.model_spec, .inputs
_MODEL_SIGNATURE = 3  # ModelSpec.signature_name
_KEY, _VALUE = 1, 2  # of an entry of any map


def write_warm_up(version_dir, requests):
    """Writes the warm-up requests of a SavedModel.

    Args:
        version_dir: Directory with `saved_model.pb`.
        requests: List of `(signature, inputs)`: a name, and a dictionary of arrays by input name.

    Returns:
        Path of the file.

    Raises:
        ValueError: If there are more requests than a server accepts.
    """
    if len(requests) > MOST_REQUESTS:
        raise ValueError(f"at most {MOST_REQUESTS} `requests`. Received: {len(requests)}")
    path = pathlib.Path(version_dir) / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            writer.write(encode_request(signature, inputs))
    return path


def read_warm_up(version_dir):
    """Reads the warm-up requests of a SavedModel.

    Args:
        version_dir: Directory with `saved_model.pb`.

    Returns:
        List of `(signature, inputs)`, as for `write_warm_up`; empty if there is no such file.

    Raises:
        ValueError: If the file is damaged or holds something other than predictions.
    """
    path = pathlib.Path(version_dir) / FILE
    if not path.exists():
        return []
    try:
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        return [decode_request(record) for record in records]
    except (tf.errors.DataLossError, ValueError) as error:
        raise ValueError(f"damaged warm-up requests in {path}: {error}") from error


def encode_request(signature, inputs):
    """A `PredictionLog` message of one request, without the model's name: a server knows it.

    Args:
        signature: Name of the signature.
        inputs: Dictionary of arrays.

    Returns:
        `bytes`.
    """
    request = field(_REQUEST_MODEL, field(_MODEL_SIGNATURE, signature))
    for name, value in sorted(inputs.items()):
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += field(_REQUEST_INPUTS, field(_KEY, name) + field(_VALUE, tensor))
    return field(_LOG_PREDICT, field(_PREDICT_REQUEST, request))


def decode_request(record):
    """The inverse of `encode_request`.

    Args:
        record: `bytes` of a `PredictionLog`.

    Returns:
        `(signature, inputs)`.

    Raises:
        ValueError: If it is not the log of a prediction.
    """
    log = fields(record)
    if _LOG_PREDICT not in log:
        raise ValueError(
            f"expected a log of a prediction (field 6). Received: fields {sorted(log)}"
        )
    request = fields(fields(log[_LOG_PREDICT][0])[_PREDICT_REQUEST][0])
    model = fields(request.get(_REQUEST_MODEL, [b""])[0])
    signature = model.get(_MODEL_SIGNATURE, [b""])[0].decode() or "serving_default"
    entries = [fields(entry) for entry in request.get(_REQUEST_INPUTS, [])]
    inputs = {
        entry[_KEY][0].decode(): tf.make_ndarray(
            tensor_pb2.TensorProto.FromString(entry[_VALUE][0])
        )
        for entry in entries
    }
    return signature, inputs
