"""SavedModels for TF Serving: export, conformance checks, requests.

Imported when first used: the process that loads a SavedModel through the C library alone lives in
this package too, and must not wait for TensorFlow's Python side.
"""

from hedgezoo.lazy import lazy_names

_HOMES = {
    "Signature": "hedgezoo.serving.saved_model",
    "check_saved_model": "hedgezoo.serving.saved_model_checks",
    "export": "hedgezoo.serving.saved_model",
    "load_with_c_api": "hedgezoo.serving.saved_model_c_api",
    "query_locally": "hedgezoo.serving.saved_model",
    "request_body": "hedgezoo.serving.saved_model",
}
__all__ = list(_HOMES)

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
