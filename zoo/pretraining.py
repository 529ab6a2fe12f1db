"""From a recipe to a preset: train, judge, store."""

import pathlib
import platform
import time

import keras
import numpy as np
import tensorflow as tf

import hedgezoo
from hedgezoo import training
from hedgezoo.cards import card_text
from hedgezoo.evaluation import default_risk_aversion, evaluate
from hedgezoo.presets import json_text, new_directory, update_manifest, write_preset, write_text

EPOCHS = 50  # points of the learning curve
FINAL_RATE = 0.01  # last learning rate relative to the first


class _Stopwatch(keras.callbacks.Callback):
    """Time spent on a run, the parts before an interruption included."""

    def __init__(self):
        super().__init__()
        self.before = {"cpu_seconds": 0.0, "wall_seconds": 0.0}
        self.start = self._now()

    @staticmethod
    def _now():
        return {"cpu_seconds": time.process_time(), "wall_seconds": time.perf_counter()}

    def get_state(self):
        now = self._now()
        return {name: self.before[name] + now[name] - self.start[name] for name in now}

    def set_state(self, state):
        self.before, self.start = dict(state), self._now()


def build_preset(recipe, root, checkpoint=None, strategy=None, verbose="auto"):
    """Trains and judges a preset and writes `root/<name>/`, replacing it only when all is done.

    Args:
        recipe: A `Recipe`.
        root: Directory of presets; its `manifest.json` is brought up to date.
        checkpoint: Directory from which a killed run resumes.
        strategy: A `tf.distribute.Strategy`, or None for one device.
        verbose: As in `training.fit`.

    Returns:
        `pathlib.Path` of the preset's directory.
    """
    root = pathlib.Path(root)
    model, facts = train(recipe, checkpoint=checkpoint, strategy=strategy, verbose=verbose)
    with new_directory(root / recipe.name, replace=True) as directory:
        write_preset(model, directory)
        report = evaluate(
            model,
            paths=recipe.evaluation_paths,
            seed=recipe.evaluation_seed,
            market=recipe.market,
        )
        extra = recipe.report(recipe, model, directory, checkpoint) if recipe.report else {}
        about = describe(recipe, model, facts, report, extra)
        about["figures"] = write_figures(model, about, directory / "figures")
        write_text(directory / "metadata.json", json_text(about))
        write_text(directory / "README.md", card_text(about))
        write_golden(model, recipe.market, directory / "golden.npz")
        write_saved_model(model, directory)
    update_manifest(root, recipe.name)
    return root / recipe.name


def train(recipe, checkpoint=None, strategy=None, verbose="auto"):
    """Trains the model of a recipe.

    Args:
        recipe: A `Recipe`.
        checkpoint: Directory from which a killed run resumes.
        strategy: A `tf.distribute.Strategy`, or None for one device.
        verbose: As in `training.fit`.

    Returns:
        The trained model, and a dictionary of facts about the run.
    """
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model = recipe.model()
        model.build()
        rate = keras.optimizers.schedules.CosineDecay(
            recipe.learning_rate, recipe.steps, alpha=FINAL_RATE
        )
        model.compile(keras.optimizers.Adam(rate), loss=recipe.loss())
    per_epoch = -(-recipe.steps // EPOCHS)
    stopwatch = _Stopwatch()
    history = training.fit(
        model,
        recipe.train_market,
        strategy=strategy,
        epochs=-(-recipe.steps // per_epoch),
        steps_per_epoch=per_epoch,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        checkpoint=checkpoint,
        callbacks=[stopwatch],
        verbose=verbose,
    )
    model.market = recipe.market
    losses = history.history["loss"]
    return model, {
        "curve": [[per_epoch * (epoch + 1), float(loss)] for epoch, loss in enumerate(losses)],
        **{name: round(seconds, 1) for name, seconds in stopwatch.get_state().items()},
        "replicas": strategy.num_replicas_in_sync,
    }


def describe(recipe, model, facts, report, extra):
    """The content of `metadata.json`."""
    return {
        "schema": 1,
        "name": recipe.name,
        "class": type(model).__name__,
        "description": recipe.description,
        "task": recipe.task,
        "paper": recipe.paper,
        "licence": "Apache-2.0",
        "parameters": int(model.count_params()),
        "recipe": {
            "module": f"hedgezoo.recipes.{recipe.name}",
            "market": repr(recipe.train_market),
            "steps": recipe.steps,
            "batch_size": recipe.batch_size,
            "learning_rate": recipe.learning_rate,
            "seed": recipe.seed,
        },
        "training": facts,
        "built_with": {
            "hedgezoo": hedgezoo.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
        },
        "evaluation": {
            "paths": recipe.evaluation_paths,
            "seed": recipe.evaluation_seed,
            "risk_aversion": default_risk_aversion(model, recipe.market),
        },
        "metrics": report,
        "limits": list(recipe.limits),
        **extra,
    }


def write_golden(model, market, path, paths=8, seed=12345):
    """A few inputs and outputs, against which a rebuilt model or a SavedModel is checked."""
    inputs, liability = market.simulate(seed, paths)
    outputs = {"positions": model.positions(inputs), "gains": model(inputs)}
    arrays = {**inputs, "liability": liability, **outputs}
    np.savez(path, **{name: np.asarray(value) for name, value in arrays.items()})


def write_figures(model, about, directory):
    """The pictures of the card; returns their names."""
    from hedgezoo import plots
    from hedgezoo.card_figures import card_figures

    directory.mkdir(exist_ok=True)
    figures = card_figures(model, about)
    for name, figure in figures.items():
        plots.save(figure, directory / f"{name}.png")
    return sorted(figures)


def write_saved_model(model, directory):
    """The SavedModel of the preset, version 1; `export` checks it."""
    from hedgezoo import serving

    serving.export(model, directory, version=1)
