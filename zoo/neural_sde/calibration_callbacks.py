"""What is watched while a neural SDE is calibrated: held-out quotes, and steps taken back."""

import keras
import numpy as np

_ROW = 20  # steps taken back one after the other, after which no further one is tried


class HeldOutQuotes(keras.callbacks.Callback):
    """The error of quotes that are not fitted, after every epoch; stops when it no longer falls.

    Args:
        error: Function without arguments to the error of the held-out quotes in bp.
        weights: A `WeightVector`.
        patience: Epochs without a lower error after which to stop, and to go back to the weights of
            the lowest; None only to watch.

    Attributes:
        errors: The errors so far.
        best: Index of the lowest one.
    """

    def __init__(self, error, weights, patience=None):
        super().__init__()
        self.error, self.weights, self.patience = error, weights, patience
        self.errors, self.best, self.best_weights = [], 0, None

    def on_epoch_end(self, epoch, logs=None):
        error = float(self.error())
        self.errors.append(error)
        if logs is not None:
            logs["held_out_bp"] = error
        if self.best_weights is None or error < self.errors[self.best]:
            self.best, self.best_weights = len(self.errors) - 1, self.weights.read()
        if self.patience is not None and len(self.errors) - 1 - self.best >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.patience is not None and self.best_weights is not None:
            self.weights.write(self.best_weights)

    def get_state(self):
        """What a resumed run needs."""
        best = [] if self.best_weights is None else self.best_weights
        return {"errors": self.errors, "best": self.best, "weights": np.asarray(best)}

    def set_state(self, state):
        """Goes on from what `get_state` returned."""
        self.errors, self.best = list(state["errors"]), int(state["best"])
        self.best_weights = state["weights"] if len(state["weights"]) else None


class StopWithoutProgress(keras.callbacks.Callback):
    """Stops a run whose steps are taken back one after the other: its paths explode."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.skipped.numpy()[1] >= _ROW:
            self.model.stop_training = True
