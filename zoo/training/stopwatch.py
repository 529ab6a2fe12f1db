"""Time that a training run has taken."""

import time

import keras


class Stopwatch(keras.callbacks.Callback):
    """Time spent on a run, the parts before an interruption included.

    Its `get_state` returns `cpu_seconds` and `wall_seconds` so far.
    """

    def __init__(self):
        super().__init__()
        self.before = {"cpu_seconds": 0.0, "wall_seconds": 0.0}
        self.start = self._now()

    @staticmethod
    def _now():
        return {"cpu_seconds": time.process_time(), "wall_seconds": time.perf_counter()}

    def get_state(self):
        """Seconds so far."""
        now = self._now()
        return {name: self.before[name] + now[name] - self.start[name] for name in now}

    def set_state(self, state):
        """Goes on from what `get_state` returned in an earlier part of the run."""
        self.before, self.start = dict(state), self._now()
