"""The state of a training run in one file, replaced atomically, from which a killed run resumes."""

import collections
import dataclasses
import json
import os
import sys
import time
import zipfile
from pathlib import Path

import keras
import numpy as np

from hedgezoo.training.replicas import assign_summed
from hedgezoo.training.run_identity import leaves, state_variables

FILE_NAME = "training_state.npz"

# by default: this often within an epoch, and no more often than this after short epochs
_SECONDS = 30.0
_SECONDS_AFTER_EPOCH = 1.0

# Keras callbacks with memory and no way to save it: the attributes that hold it.
_MEMORY = {
    keras.callbacks.EarlyStopping: ("best", "best_epoch", "best_weights", "stopped_epoch", "wait"),
    keras.callbacks.ModelCheckpoint: ("best",),
    keras.callbacks.ReduceLROnPlateau: ("best", "cooldown_counter", "wait"),
}


@dataclasses.dataclass(frozen=True)
class Position:
    """Where a run stands: `step` steps of epoch `epoch` are done."""

    epoch: int
    step: int = 0
    stopped: bool = False


class Saver:
    """When the state of a run is read and saved; does nothing without a `TrainingState`.

    Args:
        state: `TrainingState` or None.
        every: number of steps, or None to save by the clock.
        consensus: `Consensus` of the workers.
    """

    def __init__(self, state, every, consensus):
        if every is not None and every < 1:
            raise ValueError(f"`checkpoint_every` must be a positive integer. Received: {every}")
        self._state = state
        self._every = every
        self._consensus = consensus
        self._found = False
        self._clock = time.monotonic()

    def read(self, start, epochs):
        """The position to start from: `start`, or where the saved run stands."""
        if self._state is None:
            return start
        saved = self._state.read()
        self._found = saved is not None
        position = saved or start
        if not self._consensus.all_equal(position.epoch, position.step):
            raise ValueError("`checkpoint` must be one directory that all workers see.")
        if position.epoch > epochs:
            raise ValueError(
                f"`checkpoint` holds a run of {position.epoch} epochs. Received: epochs={epochs}"
            )
        return position

    def restore(self):
        if self._found:
            self._state.restore()

    def steps_left(self, step):
        """Steps that may be run after `step` of them before the next one to save at."""
        return self._every - step % self._every if self._state and self._every else sys.maxsize

    def step_done(self, position, step):
        """Within an epoch, `step` steps after the beginning of the run."""
        if self._is_due(step, _SECONDS):
            self._save(position)

    def epoch_done(self, position, step, last):
        if last or self._is_due(step, _SECONDS_AFTER_EPOCH):
            self._save(position)

    def _is_due(self, step, seconds):
        if self._state is None:
            return False
        if self._every is not None:
            return step % self._every == 0
        due, _ = self._consensus.chief(int(time.monotonic() - self._clock >= seconds))
        return bool(due)

    def _save(self, position):
        if self._state is not None:
            self._state.save(position)
            self._consensus.chief(0)  # so that no worker reads in a next run what is older
            self._clock = time.monotonic()


class TrainingState:
    """Everything that the next step depends on, to be saved and restored.

    Args:
        directory: folder of the file; made when first saved.
        model: built and compiled `keras.Model`, with a built optimizer.
        strategy: its `tf.distribute.Strategy`.
        callbacks: `keras.callbacks.CallbackList`.
        describe: function that returns a JSON-able description of the run (`describe_run`). A file
            written by a run with another description is refused.
        write: whether this process writes (the chief only).
    """

    def __init__(self, directory, model, strategy, callbacks, describe, write):
        self._path = Path(directory) / FILE_NAME
        self._model = model
        self._strategy = strategy
        self._callbacks = callbacks
        self._write = write
        self._variables = state_variables(model)
        self._describe = describe
        self._identity = json.loads(json.dumps(describe()))
        self._saved = None
        if self._path.parent.exists() and not self._path.parent.is_dir():
            raise ValueError(f"`checkpoint` must be a directory. Received: {directory}")

    def read(self):
        """The position of the saved run; None if there is none."""
        if not self._path.exists():
            return None
        try:
            with np.load(self._path, allow_pickle=False) as file:
                arrays = dict(file)
            record = json.loads(str(arrays.pop("record")))
        except (zipfile.BadZipFile, ValueError, KeyError, OSError, EOFError) as error:
            raise ValueError(
                f"`checkpoint`: {self._path} is damaged ({error}). Delete it to start afresh."
            ) from error
        self._refuse_another_run(record)
        self._saved = record, arrays
        return Position(**record["position"])

    def restore(self):
        """Put the values that `read` found into the model, the callbacks and the history."""
        record, arrays = self._saved
        for number, variable in enumerate(self._variables):
            variable.assign(arrays[f"variable_{number}"])
        metrics = self._model.metrics_variables
        if "metric_0" in arrays:
            values = [arrays[f"metric_{number}"] for number in range(len(metrics))]
            assign_summed(self._strategy, metrics, values)
        for name, callback in self._remembering():
            if name in record["callbacks"]:
                _set_memory(callback, _unpack(record["callbacks"][name], arrays))
        history = self._model.history
        history.epoch = list(record["epochs"])
        history.history.clear()
        history.history.update(record["history"])
        self._saved = None

    def save(self, position):
        """Replace the file, unless a weight is not finite: a good state outlives a failed run.

        Every worker calls this, since reading a metric in the middle of an epoch takes all of them.
        """
        metrics = self._model.metrics_variables if position.step else []
        metrics = [variable.numpy() for variable in metrics]
        if not self._write:
            return
        weights = [variable.numpy() for variable in self._variables]
        if not all(np.isfinite(w).all() for w in weights if np.issubdtype(w.dtype, np.floating)):
            return
        arrays = {f"variable_{number}": _plain(array) for number, array in enumerate(weights)}
        arrays |= {f"metric_{number}": _plain(array) for number, array in enumerate(metrics)}
        record = {
            "identity": self._identity,
            "identity_now": self._describe(),
            "position": dataclasses.asdict(position),
            "epochs": self._model.history.epoch,
            "history": self._model.history.history,
            "callbacks": {n: _pack(_memory(c), arrays) for n, c in self._remembering()},
        }
        self._replace_file({**arrays, "record": np.array(json.dumps(record, default=float))})

    def _replace_file(self, arrays):
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(".unfinished")
        with open(unfinished, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, self._path)

    def _remembering(self):
        """Callbacks with memory, each under a name that all workers agree on."""
        count = collections.Counter()
        for callback in self._callbacks.callbacks:
            if hasattr(callback, "get_state") or _memory_names(callback):
                name = type(callback).__name__
                yield f"{name} {count[name]}", callback
                count[name] += 1

    def _refuse_another_run(self, record):
        # a setting may have moved since the run began (a learning rate): both values are this run's
        first, last = dict(leaves(record["identity"])), dict(leaves(record["identity_now"]))
        now = dict(leaves(self._identity))
        differing = [k for k in (first | now) if now.get(k) not in (first.get(k), last.get(k))]
        if differing:
            lines = [f"{k}: saved {first.get(k)}, now {now.get(k)}" for k in differing[:5]]
            more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
            raise ValueError(
                f"`checkpoint`: {self._path} belongs to another run; it is left as it is. Use "
                f"another directory, or delete it. Differing: {'; '.join(lines)}{more}"
            )


def _memory(callback):
    if hasattr(callback, "get_state"):
        return callback.get_state()
    return {name: getattr(callback, name) for name in _memory_names(callback)}


def _memory_names(callback):
    return next((names for kind, names in _MEMORY.items() if isinstance(callback, kind)), ())


def _set_memory(callback, memory):
    if hasattr(callback, "set_state"):
        callback.set_state(memory)
    else:
        for name, value in memory.items():
            setattr(callback, name, value)


def _pack(tree, arrays):
    """`tree` with its NumPy arrays moved to `arrays`."""
    if isinstance(tree, np.ndarray):
        name = f"callback_{len(arrays)}"
        arrays[name] = _plain(tree)
        return {"array": name}
    if isinstance(tree, dict):
        return {key: _pack(value, arrays) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_pack(value, arrays) for value in tree]
    return tree


def _unpack(tree, arrays):
    if isinstance(tree, dict):
        if set(tree) == {"array"}:
            return arrays[tree["array"]]
        return {key: _unpack(value, arrays) for key, value in tree.items()}
    return [_unpack(value, arrays) for value in tree] if isinstance(tree, list) else tree


def _plain(array):
    # NumPy files do not know bfloat16; every bfloat16 is a float32
    return array.astype("float32") if array.dtype.kind == "V" else array
