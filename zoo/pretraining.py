"""From a recipe to a preset: train, judge, store."""

import json
import pathlib
import platform

import keras
import numpy as np
import tensorflow as tf

import hedgezoo
from hedgezoo.cards import card_text
from hedgezoo.presets import json_text, new_directory, update_manifest, write_preset, write_text


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
    model, facts = recipe.train(checkpoint=checkpoint, strategy=strategy, verbose=verbose)
    with new_directory(root / recipe.name, replace=True) as directory:
        # all that holds the model is written before anything else is done with it
        write_preset(model, directory)
        golden = write_golden(model, recipe.golden(model), directory / "golden.npz")
        write_saved_model(model, directory)
        about = describe(recipe, model, facts, recipe.evaluate(model))
        about["golden"] = golden
        if recipe.report:
            about |= recipe.report(recipe, model, directory, checkpoint)
        about["figures"] = write_figures(recipe.pictures(model, about), directory / "figures")
        about = json.loads(json_text(about))  # the card is one of what is stored
        write_text(directory / "metadata.json", json_text(about))
        write_text(directory / "README.md", card_text(about))
    update_manifest(root, recipe.name)
    return root / recipe.name


def describe(recipe, model, facts, metrics):
    """The content of `metadata.json` that every preset has before its figures are drawn.

    Args:
        recipe: A `Recipe`.
        model: The trained model.
        facts: Facts about the run, as of `recipe.train`.
        metrics: As of `recipe.evaluate`.

    Returns:
        Dictionary of values that JSON can hold.
    """
    return {
        "schema": 1,
        "name": recipe.name,
        "family": recipe.family,
        "class": type(model).__name__,
        "description": recipe.description,
        "task": recipe.task,
        "paper": recipe.paper,
        "licence": "Apache-2.0",
        "parameters": int(model.count_params()),
        "recipe": {"module": f"hedgezoo.recipes.{recipe.name}", **recipe.settings()},
        "training": facts,
        "built_with": {
            "hedgezoo": hedgezoo.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
        },
        "evaluation": recipe.judging(model),
        "metrics": metrics,
        "limits": list(recipe.limits),
        "experiments": {},
        "figures": [],
    }


def write_golden(model, requests, path):
    """A few inputs and outputs, against which a rebuilt model or its SavedModel is checked.

    Args:
        model: A model with the signatures asked for.
        requests: Dictionary signature -> dictionary input -> array, as of `recipe.golden`.
        path: Of the file, `.npz`.

    Returns:
        Dictionary signature -> `inputs` and `outputs`, each a dictionary name -> array of the file.
    """
    arrays, contents = {}, {}
    signatures = model.serving_signatures()
    for signature, inputs in requests.items():
        function, specs, _ = signatures[signature]
        inputs = {
            spec.name: np.asarray(inputs[spec.name], spec.dtype.as_numpy_dtype) for spec in specs
        }
        outputs = function(*map(tf.constant, inputs.values()))
        contents[signature] = {}
        for side, tensors in (("inputs", inputs), ("outputs", outputs)):
            keys = {name: f"{signature}/{side}/{name}" for name in tensors}
            contents[signature][side] = keys
            arrays |= {keys[name]: np.asarray(tensor) for name, tensor in tensors.items()}
    np.savez(path, **arrays)
    return contents


def write_figures(pictures, directory):
    """Draws the pictures of the card.

    Args:
        pictures: List of `hedgezoo.figures.Picture`.
        directory: Where to.

    Returns:
        List of dictionaries `name` and `caption`, in the same order.
    """
    from hedgezoo import plots

    directory.mkdir(exist_ok=True)
    for picture in pictures:
        plots.save(picture.figure, directory / f"{picture.name}.png")
    return [{"name": picture.name, "caption": picture.caption} for picture in pictures]


def write_saved_model(model, directory):
    """The SavedModel of the preset, version 1; `export` checks it."""
    from hedgezoo import serving

    serving.export(model, directory, version=1)
