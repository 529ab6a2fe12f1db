"""SavedModels through TensorFlow's C API: the loader and session that TF Serving is built on.

Nothing here imports TensorFlow for Python, so what runs here runs in a stock server as well: no
custom operation, no Python function and no class of ours can have helped.
"""

import ctypes
import functools
import importlib.util
import os
import pathlib

import numpy as np

from hedgezoo.serving.protobuf_wire import fields

# numbers of tensorflow/core/framework/types.proto
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 9: "int64", 10: "bool"}

# tensorflow/core/protobuf/meta_graph.proto
_GRAPH_SIGNATURES = 5  # MetaGraphDef.signature_def
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS = 1, 2
_TENSOR_NAME, _TENSOR_DTYPE = 1, 2  # of TensorInfo
_KEY, _VALUE = 1, 2  # of an entry of any map
_INITIALISER = "__saved_model_init_op"  # a signature in name only


class SavedModelSession:
    """A SavedModel loaded as TF Serving loads it.

    Args:
        version_dir: Directory with `saved_model.pb`.

    Attributes:
        signatures: `{name: (inputs, outputs)}`; both map a name to (tensor name, dtype).

    Raises:
        ValueError: If it does not load; the message is TensorFlow's.
        OSError: If the TensorFlow package has no C library.
    """

    def __init__(self, version_dir):
        self._api = _api()
        self._session = None
        self._graph = self._api.TF_NewGraph()
        options, buffer = self._api.TF_NewSessionOptions(), self._api.TF_NewBuffer()
        try:
            self._session = self._call(
                f"{version_dir} does not load",
                self._api.TF_LoadSessionFromSavedModel,
                options,
                None,
                os.fsencode(version_dir),
                (ctypes.c_char_p * 1)(b"serve"),
                1,
                self._graph,
                buffer,
            )
            meta_graph = ctypes.string_at(buffer.contents.data, buffer.contents.length)
            self.signatures = _signatures(meta_graph)
        except BaseException:
            self.close()
            raise
        finally:
            self._api.TF_DeleteSessionOptions(options)
            self._api.TF_DeleteBuffer(buffer)

    def run(self, inputs, signature="serving_default"):
        """Answers one request.

        Args:
            inputs: Dictionary of arrays by input name.
            signature: Name of the signature.

        Returns:
            Dictionary of NumPy arrays by output name.

        Raises:
            ValueError: If the signature or the names of the inputs are not those of the model, or
                TensorFlow refuses the values.
        """
        if signature not in self.signatures:
            raise ValueError(f"no signature {signature!r}; the model has {sorted(self.signatures)}")
        wanted, offered = self.signatures[signature]
        for name, (_, dtype) in (*wanted.items(), *offered.items()):
            if dtype is None:
                raise ValueError(f"signature {signature!r}: {name!r} is not a tensor of numbers")
        if set(inputs) != set(wanted):
            raise ValueError(
                f"signature {signature!r} takes {sorted(wanted)}. Received: {sorted(inputs)}"
            )
        api, tensors = self._api, []
        results = (ctypes.c_void_p * len(offered))()
        try:
            for name, (_, dtype) in wanted.items():
                tensors.append(_new_tensor(api, np.asarray(inputs[name], dtype)))
            self._call(
                f"signature {signature!r}",
                api.TF_SessionRun,
                self._session,
                None,
                (_Output * len(wanted))(*[self._output(name) for name, _ in wanted.values()]),
                (ctypes.c_void_p * len(tensors))(*tensors),
                len(tensors),
                (_Output * len(offered))(*[self._output(name) for name, _ in offered.values()]),
                results,
                len(offered),
                None,
                0,
                None,
            )
            return {
                name: _array(api, result) for name, result in zip(offered, results, strict=True)
            }
        finally:
            for tensor in (*tensors, *results):
                if tensor:
                    api.TF_DeleteTensor(tensor)

    def close(self):
        """Frees the session; closing twice is no error."""
        if self._session:
            self._call("closing", self._api.TF_CloseSession, self._session)
            self._call("closing", self._api.TF_DeleteSession, self._session)
        if self._graph:
            self._api.TF_DeleteGraph(self._graph)
        self._session = self._graph = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _output(self, tensor_name):
        operation, _, index = tensor_name.partition(":")
        found = self._api.TF_GraphOperationByName(self._graph, operation.encode())
        if not found:
            raise ValueError(f"the graph has no operation {operation!r}")
        return _Output(found, int(index or 0))

    def _call(self, what, function, *arguments):
        """Calls a function whose last argument is a status, which decides."""
        status = self._api.TF_NewStatus()
        try:
            result = function(*arguments, status)
            if self._api.TF_GetCode(status):
                raise ValueError(f"{what}: {self._api.TF_Message(status).decode()}")
            return result
        finally:
            self._api.TF_DeleteStatus(status)


def load_with_c_api(version_dir):
    """Loads a SavedModel with the loader of TF Serving.

    Args:
        version_dir: Directory with `saved_model.pb`.

    Returns:
        A `SavedModelSession`, which also runs it: `load_with_c_api(d).run(inputs, signature)`.
        It is a context manager.

    Raises:
        ValueError: If it does not load; the message is TensorFlow's.
        OSError: If the TensorFlow package has no C library.
    """
    return SavedModelSession(version_dir)


# ------------------------------------------------------------------------------------ internals


class _Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


_POINTER, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_BUFFER = ctypes.POINTER(_Buffer)
# tensorflow/c/c_api.h, tf_tensor.h, tf_status.h, tf_buffer.h: (result, arguments)
_FUNCTIONS = {
    "TF_NewStatus": (_POINTER, ()),
    "TF_DeleteStatus": (None, (_POINTER,)),
    "TF_GetCode": (_INT, (_POINTER,)),
    "TF_Message": (ctypes.c_char_p, (_POINTER,)),
    "TF_NewBuffer": (_BUFFER, ()),
    "TF_DeleteBuffer": (None, (_BUFFER,)),
    "TF_NewGraph": (_POINTER, ()),
    "TF_DeleteGraph": (None, (_POINTER,)),
    "TF_GraphOperationByName": (_POINTER, (_POINTER, ctypes.c_char_p)),
    "TF_NewSessionOptions": (_POINTER, ()),
    "TF_DeleteSessionOptions": (None, (_POINTER,)),
    "TF_LoadSessionFromSavedModel": (
        _POINTER,
        (_POINTER, _BUFFER, ctypes.c_char_p, _POINTER, _INT, _POINTER, _BUFFER, _POINTER),
    ),
    "TF_SessionRun": (
        None,
        (
            *(_POINTER, _BUFFER),  # session, options
            *(ctypes.POINTER(_Output), _POINTER, _INT),  # inputs
            *(ctypes.POINTER(_Output), _POINTER, _INT),  # outputs
            *(_POINTER, _INT),  # further operations
            *(_BUFFER, _POINTER),  # metadata, status
        ),
    ),
    "TF_CloseSession": (None, (_POINTER, _POINTER)),
    "TF_DeleteSession": (None, (_POINTER, _POINTER)),
    "TF_AllocateTensor": (_POINTER, (_INT, ctypes.POINTER(ctypes.c_int64), _INT, _SIZE)),
    "TF_DeleteTensor": (None, (_POINTER,)),
    "TF_TensorData": (_POINTER, (_POINTER,)),
    "TF_TensorByteSize": (_SIZE, (_POINTER,)),
    "TF_TensorType": (_INT, (_POINTER,)),
    "TF_NumDims": (_INT, (_POINTER,)),
    "TF_Dim": (ctypes.c_int64, (_POINTER, _INT)),
}


@functools.cache
def _api():
    """The C library of the installed TensorFlow package, with the types of its functions."""
    package = importlib.util.find_spec("tensorflow")  # finds, does not import
    folder = pathlib.Path(package.origin).parent if package and package.origin else None
    libraries = sorted(folder.glob("libtensorflow_cc*")) if folder else []
    if not libraries:
        raise OSError(f"no C library (libtensorflow_cc) in the TensorFlow package: {folder}")
    library = ctypes.CDLL(str(libraries[0]))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _signatures(meta_graph):
    """`{name: (inputs, outputs)}` from an encoded MetaGraphDef."""
    found = {}
    for entry in fields(meta_graph).get(_GRAPH_SIGNATURES, []):
        entry = fields(entry)
        signature = fields(entry[_VALUE][0])
        inputs, outputs = (
            dict(map(_tensor_info, signature.get(number, [])))
            for number in (_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS)
        )
        name = entry[_KEY][0].decode()
        if name != _INITIALISER:
            found[name] = inputs, outputs
    return found


def _tensor_info(entry):
    entry = fields(entry)
    info = fields(entry[_VALUE][0])
    number = info.get(_TENSOR_DTYPE, [0])[0]
    return entry[_KEY][0].decode(), (info[_TENSOR_NAME][0].decode(), DTYPES.get(number))


def _new_tensor(api, array):
    array = np.ascontiguousarray(array).reshape(array.shape)
    number = next(number for number, name in DTYPES.items() if name == array.dtype.name)
    dims = (ctypes.c_int64 * array.ndim)(*array.shape)
    tensor = api.TF_AllocateTensor(number, dims, array.ndim, array.nbytes)
    ctypes.memmove(api.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
    return tensor


def _array(api, tensor):
    shape = [api.TF_Dim(tensor, axis) for axis in range(api.TF_NumDims(tensor))]
    content = ctypes.string_at(api.TF_TensorData(tensor), api.TF_TensorByteSize(tensor))
    return np.frombuffer(content, DTYPES[api.TF_TensorType(tensor)]).reshape(shape)
