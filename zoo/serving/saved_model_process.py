"""A SavedModel in a process of its own, which knows TensorFlow only by its C library.

Run as a script, this module is that process: requests come by standard input, answers leave by
standard output, both as `.npz`.
"""

import io
import os
import subprocess
import sys

import numpy as np

from hedgezoo.serving.saved_model_c_api import load_with_c_api

_REFUSED = 3  # exit status when standard output says what is wrong


def run_in_new_process(version_dir, requests, timeout=600):
    """Loads a SavedModel and answers requests where TensorFlow for Python is never imported.

    Args:
        version_dir: Directory with `saved_model.pb`.
        requests: List of `(signature, inputs)`; may be empty, then the model is only loaded.
        timeout: Seconds.

    Returns:
        List of dictionaries of NumPy arrays, one per request.

    Raises:
        ValueError: If it does not load or a request fails.
    """
    sent = io.BytesIO()
    values = {
        f"{index}/{name}": np.asarray(value)
        for index, (_, inputs) in enumerate(requests)
        for name, value in inputs.items()
    }
    np.savez(sent, signatures=[signature for signature, _ in requests], **values)
    # on the CPU: the caller may hold the memory of the accelerators
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # -P: the folder that one happens to be in must not shadow modules
    answer = subprocess.run(
        [sys.executable, "-P", "-m", __name__, os.fspath(version_dir)],
        input=sent.getvalue(),
        capture_output=True,
        env=environment,
        timeout=timeout,
        check=False,
    )
    if answer.returncode == _REFUSED:
        raise ValueError(answer.stdout.decode(errors="replace").strip())
    if answer.returncode:
        log = answer.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"the loader ended with status {answer.returncode}:\n{log}")
    outputs = [{} for _ in requests]
    with np.load(io.BytesIO(answer.stdout), allow_pickle=False) as received:
        for key in received:
            index, name = key.split("/", 1)
            outputs[int(index)][name] = received[key]
    return outputs


def _main():
    """Reads requests from standard input, writes answers to standard output, both `.npz`."""
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as received:
        signatures = received["signatures"].tolist()
        requests = [{} for _ in signatures]
        for key in set(received) - {"signatures"}:
            index, name = key.split("/", 1)
            requests[int(index)][name] = received[key]
    answers = {}
    try:
        with load_with_c_api(sys.argv[1]) as session:
            for index, (signature, inputs) in enumerate(zip(signatures, requests, strict=True)):
                for name, value in session.run(inputs, signature).items():
                    answers[f"{index}/{name}"] = value
    except ValueError as error:
        print(error)
        sys.exit(_REFUSED)
    if "tensorflow" in sys.modules:
        raise RuntimeError("TensorFlow for Python was imported")
    written = io.BytesIO()
    np.savez(written, **answers)
    sys.stdout.buffer.write(written.getvalue())


if __name__ == "__main__":
    _main()
