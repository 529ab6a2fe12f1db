"""SavedModels for TF Serving: export, conformance checks, requests.

Imported when first used: the process that loads a SavedModel through the C library alone lives in
this package too, and must not wait for TensorFlow's Python side.
"""

import importlib

_HOMES = {
    "Signature": "saved_model",
    "check_saved_model": "saved_model_checks",
    "export": "saved_model",
    "load_with_c_api": "saved_model_c_api",
    "query_locally": "saved_model",
    "request_body": "saved_model",
}
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'hedgezoo.serving' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"hedgezoo.serving.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
