"""How long one panel takes, every method on the same CPU with one thread.

Networks answer from their SavedModel, one panel at a time and many at once; classical methods
calibrate panel after panel. Threads are decided when TensorFlow and the linear algebra of NumPy
start, so the measurement is a process of its own.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

from hedgezoo.datasets.heston_panels import PAPER_GRID

NOISE = "plus_minus_15_bp"
_REPEATS = 10  # of a batch
_WARM_UP = 3  # panels, not counted
# name -> label, options of `baselines.calibration.calibrate`, package
CLASSICAL = {
    "levenberg_marquardt": (
        "Levenberg-Marquardt, analytic Jacobian",
        {"method": "levenberg_marquardt"},
        None,
    ),
    "l_bfgs_b": ("L-BFGS-B, analytic gradient", {"method": "l_bfgs_b"}, None),
    "l_bfgs_b_differences": (
        "L-BFGS-B, finite differences",
        {"method": "l_bfgs_b", "derivatives": "finite_differences"},
        None,
    ),
    "quantlib": ("QuantLib, its own engine and optimiser", {"method": "quantlib"}, "QuantLib"),
    "cma_es": ("CMA-ES, population 14", {"method": "cma_es"}, "cma"),
}
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ),
    "1",
)


def measure(models, folder, sizes, seed=0, own_process=True):
    """Times of all methods.

    Args:
        models: Dictionary name -> calibrator.
        folder: An empty folder for SavedModels and panels.
        sizes: A `Sizes`.
        seed: Of the panels.
        own_process: Whether to measure in a process of its own with one thread.

    Returns:
        Dictionary: `methods`, name -> `seconds` and `cpu_seconds` per panel, lists, and for
        classical methods `rms_bp` and `converged`; and `missing`, packages that are not installed.
    """
    from hedgezoo.experiments.heston_calibration.accuracy import HeldOut

    folder = pathlib.Path(folder)
    counts = dict(sizes.timed)
    panels = HeldOut.draw(NOISE, max(*counts.values(), sizes.at_once), seed)
    np.savez(folder / "panels.npz", quotes=panels.quotes, mask=panels.mask, spread=panels.spread)
    for name, model in models.items():
        _write_saved_model(model, folder / name)
    paths = {name: str(folder / name) for name in models}
    packages = {name: CLASSICAL[name][2] for name in counts if name in CLASSICAL}
    absent = {
        name
        for name, package in packages.items()
        if package and importlib.util.find_spec(package) is None
    }
    counts = {name: count for name, count in counts.items() if name not in absent}
    request = {"networks": paths, "counts": counts, "at_once": sizes.at_once}
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    if own_process:
        subprocess.run(
            [sys.executable, "-m", __name__, str(folder)],
            env={**os.environ, **_ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONSAFEPATH": "1"},
            check=True,
        )
    else:
        answer(folder)
    methods = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    missing = sorted(packages[name] for name in absent)
    return {"methods": methods, "missing": missing, "one_thread": own_process}


def answer(folder):
    """Measures what `request.json` in the folder asks for, and writes `answer.json`."""
    folder = pathlib.Path(folder)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    panels = dict(np.load(folder / "panels.npz"))
    counts, methods = request["counts"], {}
    for name, path in request["networks"].items():
        methods[name] = _network(path, panels, counts["networks"], 1)
        batched = _network(path, panels, _REPEATS * request["at_once"], request["at_once"])
        methods[f"{name}_batched"] = batched
    for name in CLASSICAL:
        if name in counts:
            methods[name] = _classical(name, panels, counts[name])
    (folder / "answer.json").write_text(json.dumps(methods), encoding="utf-8")


def _write_saved_model(model, path):
    """A SavedModel that calibrates: as the calibrator is served, or its network alone.

    A model without steps is served with standard errors and a fitted surface, too, which take
    longer than its network: here it is asked for parameters alone, as the paper's is.
    """
    import keras

    function, inputs, _ = model.serving_signatures()["serving_default"]
    if not model.steps:
        inputs = [spec for spec in inputs if spec.name in ("implied_volatility", "mask")]

        def function(implied_volatility, mask):
            given = {"implied_volatility": implied_volatility, "mask": mask}
            return {"parameters": model.network(given, training=False)["parameters"]}

    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", function, list(inputs))
    archive.write_out(str(path), verbose=False)


def _network(path, panels, count, size):
    """Times of the requests of `size` panels that a SavedModel answers."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    signature = loaded.signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    total = len(panels["quotes"])

    def ask(first):
        rows = np.arange(first, first + size) % total
        request = _request(panels, rows)
        request = {name: tf.constant(request[name], spec.dtype) for name, spec in specs.items()}
        return _timed(lambda: signature(**request)["parameters"].numpy())

    warm_up = 2 if size > 1 else _WARM_UP
    times = [ask(first) for first in range(0, count + warm_up * size, size)][warm_up:]
    wall, cpu = np.transpose(times) / size
    return {"seconds": wall.tolist(), "cpu_seconds": cpu.tolist()}


def _request(panels, rows):
    shape = len(rows), len(PAPER_GRID.maturities), len(PAPER_GRID.strikes)
    return {
        "implied_volatility": panels["quotes"][rows],
        "mask": panels["mask"][rows],
        "spread": panels["spread"][rows],
        "strikes": np.broadcast_to(np.asarray(PAPER_GRID.strikes), shape),
        "maturities": np.broadcast_to(np.asarray(PAPER_GRID.maturities), shape[:2]),
    }


def _classical(name, panels, count):
    from hedgezoo.baselines.calibration import calibrate

    options = CLASSICAL[name][1]
    times, fits = [], []
    for row in range(-min(_WARM_UP, count), count):
        row = max(row, 0)
        quotes, mask = panels["quotes"][row], panels["mask"][row]

        def fit(quotes=quotes, mask=mask):
            fits.append(
                calibrate(quotes, PAPER_GRID.strikes, PAPER_GRID.maturities, mask=mask, **options)
            )

        times.append(_timed(fit))
    wall, cpu = np.transpose(times[-count:])
    return {
        "seconds": wall.tolist(),
        "cpu_seconds": cpu.tolist(),
        "rms_bp": [float(fit.rms_bp) for fit in fits[-count:]],
        "converged": [bool(fit.converged) for fit in fits[-count:]],
    }


def _timed(function):
    """Wall-clock and CPU seconds of a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    answer(sys.argv[1])
