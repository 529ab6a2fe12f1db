"""Names -> card -> model: what is shipped, where it is, and how it is read and written safely.

Nothing here imports TensorFlow until a model is built, so that lists and cards are immediate.
"""

import hashlib
import importlib
import importlib.resources
import json
import os
import pathlib
import shutil
import tempfile

from hedgezoo.suggestions import did_you_mean

SCHEMA = 1
# a preset may build nothing else: a file cannot name code of its own
CLASSES = {
    "NoTransactionBand": "hedgezoo.no_transaction_band",
    "FeedForwardHedge": "hedgezoo.deep_hedge",
    "DeltaHedge": "hedgezoo.baselines.delta",
    "WhalleyWilmott": "hedgezoo.baselines.whalley_wilmott",
    "Naked": "hedgezoo.baselines.naked",
    "RiskNeutralMeasure": "hedgezoo.risk_neutral_measure",
    "VectorAutoregression": "hedgezoo.vector_autoregression",
    "HestonCalibrator": "hedgezoo.heston_calibrator",
    "NeuralSDE": "hedgezoo.neural_sde",
    "JointNeuralSDEHedge": "hedgezoo.neural_sde.joint",
}
MARKETS = {
    "BlackScholesMarket": "hedgezoo.datasets",
    "ConditionalBlackScholesMarket": "hedgezoo.datasets",
    "FloatingOptionMarket": "hedgezoo.datasets",
    "HestonPanels": "hedgezoo.datasets",
    "DailyHistory": "hedgezoo.datasets",
    "HestonSurfaces": "hedgezoo.datasets",
    "SurfaceQuotes": "hedgezoo.datasets",
    "VARMarket": "hedgezoo.datasets",
}


# ---------------------------------------------------------------------------------- what there is


def root():
    """Directory of the shipped presets."""
    return pathlib.Path(str(importlib.resources.files("hedgezoo.saved_models")))


def list_presets():
    """Names of the shipped presets, sorted.

    Example:

    >>> "no_transaction_band_european_v1" in list_presets()
    True
    """
    return sorted(manifest()["presets"])


def metadata(name):
    """What is known of a shipped preset: task, training, metrics, baselines, limits.

    Args:
        name: Name of a preset.

    Returns:
        Dictionary, the content of its `metadata.json`.

    Raises:
        ValueError: If there is no such preset; the closest names are offered.
    """
    return json.loads((directory_of(name) / "metadata.json").read_text(encoding="utf-8"))


def card(name):
    """The model card of a shipped preset, Markdown.

    Args:
        name: Name of a preset.

    Returns:
        String.

    Raises:
        ValueError: If there is no such preset; the closest names are offered.
    """
    return (directory_of(name) / "README.md").read_text(encoding="utf-8")


def presets_of(cls):
    """Descriptions by name of the shipped presets that a class, or a subclass of it, builds."""
    found = {}
    for name in list_presets():
        about = metadata(name)
        if issubclass(_allowed(about["class"], CLASSES, name), cls):
            found[name] = about["description"]
    return found


def directory_of(name):
    """Directory of a shipped preset; ValueError with the closest names if there is none."""
    known = list_presets()
    if name not in known:
        raise ValueError(f"Unknown preset {name!r}.{did_you_mean(name, known)} Presets: {known}")
    return root() / name


# -------------------------------------------------------------------------------------- integrity


def manifest():
    """sha256 and size of every shipped file."""
    path = root() / "manifest.json"
    if not path.exists():
        return {"schema": SCHEMA, "presets": {}}
    return json.loads(path.read_text(encoding="utf-8"))


def file_facts(path):
    """sha256 and size of a file, as the manifest has them."""
    content = pathlib.Path(path).read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def verify(name):
    """Checks every file of a shipped preset against the manifest.

    Args:
        name: Name of a preset.

    Returns:
        Number of files checked.

    Raises:
        ValueError: If a file is missing, damaged or not in the manifest; it is named.
    """
    directory = directory_of(name)
    expected = manifest()["presets"][name]
    for relative, facts in expected.items():
        path = directory / relative
        if not path.is_file():
            raise ValueError(f"preset {name!r}: the file {relative!r} is missing")
        if file_facts(path) != facts:
            raise ValueError(
                f"preset {name!r}: the file {relative!r} is damaged "
                f"(expected sha256 {facts['sha256'][:12]}..., {facts['bytes']} bytes)"
            )
    present = {path.relative_to(directory).as_posix() for path in _files(directory)}
    if extra := sorted(present - set(expected)):
        raise ValueError(f"preset {name!r}: files that the manifest does not know: {extra}")
    return len(expected)


def update_manifest(presets_root, name):
    """Enters the files of `presets_root/name` in `presets_root/manifest.json`."""
    presets_root = pathlib.Path(presets_root)
    path = presets_root / "manifest.json"
    content = (
        json.loads(path.read_text(encoding="utf-8"))
        if path.exists()
        else {"schema": SCHEMA, "presets": {}}
    )
    directory = presets_root / name
    content["presets"][name] = {
        file.relative_to(directory).as_posix(): file_facts(file) for file in _files(directory)
    }
    write_text(path, json_text(content))


def _files(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file())


# ----------------------------------------------------------------------------- reading and writing


def load(preset, expected=None):
    """A pretrained model.

    Files are verified first, only classes of this library are built, and weights are read last.

    Args:
        preset: Name of a shipped preset, or a directory written by `save_to_preset`.
        expected: Class that the preset must hold, or None.

    Returns:
        A built Keras model with its weights. `model.market` is the market it was trained on.

    Raises:
        ValueError: If there is no such preset (the closest names are offered), a file is
            missing or damaged, or the preset holds another class.

    Example:

    >>> model = load("no_transaction_band_european_v1")
    >>> lower, upper = model.band(spot=1.0, time_to_expiry=0.08)
    >>> bool(lower < 0.5 < upper)
    True
    """
    directory = pathlib.Path(preset)
    if not (directory / "preset.json").is_file():
        directory = directory_of(preset)
        verify(preset)
    about = _read_preset(directory)
    cls = _allowed(about["class"], CLASSES, preset)
    if expected is not None and not issubclass(cls, expected):
        raise ValueError(
            f"preset {str(preset)!r} holds a {cls.__name__}, not a {expected.__name__}"
        )
    model = cls.from_config(about["config"])
    model.build()
    _read_weights(model, directory, about)
    if about.get("market"):
        market = _allowed(about["market"]["class"], MARKETS, preset)
        model.market = market.from_config(about["market"]["config"])
    return model


def _read_preset(directory):
    path = directory / "preset.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if about.get("schema") != SCHEMA:
        raise ValueError(f"{path} has schema {about.get('schema')!r}; this version reads {SCHEMA}")
    return about


def _read_weights(model, directory, about):
    path = directory / about["weights"]["file"]
    if not path.is_file():
        raise ValueError(f"the weight file {path} is missing")
    facts = {key: about["weights"][key] for key in ("sha256", "bytes")}
    if file_facts(path) != facts:
        raise ValueError(
            f"the weight file {path} is damaged: its sha256 is not that of preset.json"
        )
    model.load_weights(path)


def _allowed(name, allowed, preset):
    if name not in allowed:
        raise ValueError(
            f"preset {str(preset)!r} asks for the class {name!r}; "
            f"only these are built: {sorted(allowed)}"
        )
    return getattr(importlib.import_module(allowed[name]), name)


def save(model, directory):
    """Writes `preset.json` and `model.weights.h5` of a model; see `PresetModel.save_to_preset`."""
    if type(model).__name__ not in CLASSES:
        raise ValueError(
            f"a {type(model).__name__} cannot be stored as a preset; "
            f"these classes can: {sorted(CLASSES)}"
        )
    if not model.built:
        raise ValueError("the model has no weights yet: call it on data or `model.build()` first")
    with new_directory(directory) as temporary:
        write_preset(model, temporary)


def write_preset(model, directory):
    """`preset.json` and `model.weights.h5`, into an existing directory."""
    weights = directory / "model.weights.h5"
    _uncompiled(model).save_weights(weights)
    market = model.market
    about = {
        "schema": SCHEMA,
        "class": type(model).__name__,
        "config": _plain(model.get_config()),
        "market": None
        if market is None
        else {"class": type(market).__name__, "config": _plain(market.get_config())},
        "weights": {"file": weights.name, **file_facts(weights)},
    }
    write_text(directory / "preset.json", json_text(about))


def _uncompiled(model):
    """A copy without an optimizer, whose state would triple the file."""
    copy = type(model).from_config(model.get_config())
    copy.build()
    copy.set_weights(model.get_weights())
    return copy


class new_directory:
    """Context that fills a temporary directory and renames it into place when all went well.

    Args:
        directory: Where to; must not exist or be an empty directory, unless `replace`.
        replace: Whether an existing directory is replaced.
    """

    def __init__(self, directory, replace=False):
        self.directory = pathlib.Path(directory)
        taken = self.directory.exists() and (
            not self.directory.is_dir() or any(self.directory.iterdir())
        )
        if taken and not replace:
            raise ValueError(f"{self.directory} exists and is not an empty directory")

    def __enter__(self):
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        self.temporary = pathlib.Path(
            tempfile.mkdtemp(prefix=f".{self.directory.name}.", dir=self.directory.parent)
        )
        os.chmod(self.temporary, 0o755)
        return self.temporary

    def __exit__(self, kind, error, trace):
        if kind is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)
            return
        if self.directory.exists():
            retired = self.temporary.with_name(self.temporary.name + ".old")
            os.rename(self.directory, retired)
            os.rename(self.temporary, self.directory)
            shutil.rmtree(retired)
        else:
            os.rename(self.temporary, self.directory)


def write_text(path, text):
    """Writes a file whole or not at all."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def json_text(content):
    """JSON as this repository stores it: sorted, indented, reproducible."""
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _plain(config):
    """A config as JSON gives it back (tuples and arrays become lists), without what Keras adds."""
    dropped = ("name", "dtype", "trainable")
    kept = {key: value for key, value in config.items() if key not in dropped}
    return json.loads(json.dumps(kept, default=_nested_list))


def _nested_list(value):
    if hasattr(value, "tolist"):  # of NumPy
        return value.tolist()
    raise ValueError(f"a preset cannot hold a {type(value).__name__}. Received: {value!r}")
