"""Progress of a training run: a bar with the time left, or one line per epoch."""

import sys
import time

import keras


def progress_callbacks(verbose):
    """The callbacks for Keras' `verbose`: "auto" (a bar on a terminal, else nothing), 0, 1 or 2."""
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f'`verbose` must be "auto", 0, 1 or 2. Received: {verbose!r}')
    if verbose == "auto":
        verbose = int(sys.stdout.isatty() or "ipykernel" in sys.modules)
    return {0: [], 1: [ProgressBar()], 2: [EpochLines()]}[int(verbose)]


class ProgressBar(keras.callbacks.Callback):
    """A bar over the whole run: epoch, losses, steps and the time left."""

    def __init__(self):
        super().__init__()
        self._bar = None

    def on_train_begin(self, logs=None):
        from rich import progress

        self._bar = progress.Progress(
            progress.TextColumn("{task.fields[epoch]}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[values]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
        )
        total = self.params["epochs"] * self.params["steps"]
        self._task = self._bar.add_task("", total=total, epoch="", values="")
        self._validation = ""
        self._bar.start()

    def on_epoch_begin(self, epoch, logs=None):
        self._done = epoch * self.params["steps"]
        self._bar.update(self._task, epoch=f"epoch {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_begin(self, batch, logs=None):
        if batch:
            self._bar.update(self._task, completed=self._done + batch)

    def on_train_batch_end(self, batch, logs=None):
        values = _text(logs) + self._validation
        self._bar.update(self._task, completed=self._done + batch + 1, values=values)

    def on_epoch_end(self, epoch, logs=None):
        self._validation = _text({k: v for k, v in logs.items() if k.startswith("val_")})
        self._bar.update(self._task, values=_text(logs))

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Give the terminal back, after an error too."""
        if self._bar is not None:
            self._bar.stop()


class EpochLines(keras.callbacks.Callback):
    """One line per epoch: losses, seconds, and the time left."""

    def close(self):
        """Nothing to give back."""

    def on_train_begin(self, logs=None):
        self._seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self._seconds.append(time.monotonic() - self._start)
        recent = self._seconds[-5:]
        left = (self.params["epochs"] - epoch - 1) * sum(recent) / len(recent)
        print(
            f"epoch {epoch + 1}/{self.params['epochs']} {_text(logs)}"
            f"  {self._seconds[-1]:.1f} s, {left:.0f} s left",
            flush=True,
        )


def _text(logs):
    scalars = ((k, v) for k, v in (logs or {}).items() if isinstance(v, (int, float)))
    return "".join(f"  {name} {value:.5g}" for name, value in scalars)
