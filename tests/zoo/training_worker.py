"""What each of two worker processes does for test_training.py."""

import json
import os
from pathlib import Path

import keras
import training_cases as cases


class Interruption(Exception):
    pass


class InterruptAtStep(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 3):
            raise Interruption


def main(strategy, folder):
    folder = Path(folder)
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    own = folder / f"own_{index}"
    results = {
        "market": interrupted_and_resumed(strategy, folder, index),
        "dataset": cases.fit_case("dataset", strategy),
        "function": cases.fit_case("function", strategy, checkpoint=own),
        "band": cases.fit_case("band", strategy, steps_per_execution=2),
        "own directories": refusal(strategy, own),
    }
    (folder / f"results_{index}.json").write_text(json.dumps(results))


def interrupted_and_resumed(strategy, folder, index):
    options = {"checkpoint": folder / "shared", "checkpoint_every": 2}
    try:
        cases.fit_case("market", strategy, callbacks=[InterruptAtStep()], **options)
    except Interruption:
        log = keras.callbacks.CSVLogger(folder / f"log_{index}.csv")
        return cases.fit_case("market", strategy, callbacks=[log], **options)
    raise AssertionError("the run was not interrupted")


def refusal(strategy, directory):
    """Only the first worker has written, so now it alone would resume."""
    try:
        cases.fit_case("function", strategy, checkpoint=directory)
    except ValueError as error:
        return str(error)
    raise AssertionError("different directories were accepted")
