"""What every model of the zoo can do: come from a preset, become one, be judged, be served."""

import keras


class _classproperty:
    """A read-only property of the class, as in `NoTransactionBand.presets`."""

    def __init__(self, getter):
        self._getter = getter
        self.__doc__ = getter.__doc__

    def __get__(self, instance, owner):
        return self._getter(owner)


class PresetModel(keras.Model):
    """A Keras model that can be stored as a preset, judged by `hedgezoo.evaluate` and served.

    A subclass

    - makes all of its weights in `build()`, without arguments, from its configuration alone;
    - has a `get_config` of values that JSON can hold (arrays as nested lists);
    - says in `evaluate_on` how it is judged;
    - says in `serving_signatures` what it answers as a SavedModel.

    Args:
        **kwargs: Of `keras.Model`.

    Attributes:
        market: Market that the model was made for and is judged on; None until it is known.
        evaluation_paths: Number of paths N that `hedgezoo.evaluate` judges on if it is not told.
    """

    market = None
    evaluation_paths = 2**17

    def evaluate_on(self, market, paths, seed, **options):
        """How good the model is, measured on fresh paths.

        Args:
            market: A market; by default `hedgezoo.evaluate` passes `self.market`, which may be
                None.
            paths: Number of simulated paths N, at least 2; or of panels, of a calibrator.
            seed: Seed of the paths.
            **options: Of the subclass, with defaults.

        Returns:
            Dictionary `{metric: {"value": float, "stderr": float}}`. `stderr` is 0 for what is
            exact.

        Raises:
            ValueError: If the market or an option does not suit the model.
        """
        raise TypeError(f"{type(self).__name__} does not say how it is judged")

    def serving_signatures(self):
        """What the served model answers.

        Returns:
            Dictionary from name to `hedgezoo.serving.Signature`; `"serving_default"` is one of
            them.
        """
        raise TypeError(f"{type(self).__name__} does not say what it answers when it is served")

    def pictures(self, about):
        """Figures of the model's card.

        Args:
            about: Content of its `metadata.json`.

        Returns:
            List of `hedgezoo.figures.Picture`, in the order of the card.
        """
        return []

    @classmethod
    def from_preset(cls, preset):
        """The pretrained model of a name (see `presets`) or a directory.

        Args:
            preset: Name of a shipped preset, or a directory written by `save_to_preset`.

        Returns:
            A built model of this class with its weights.

        Raises:
            ValueError: If there is no such preset (the closest names are offered), a file is
                damaged, or the preset holds another class.
        """
        from hedgezoo.presets import load

        return load(preset, expected=cls)

    @_classproperty
    def presets(cls):
        """Names and descriptions of the shipped presets of this class."""
        from hedgezoo.presets import presets_of

        return presets_of(cls)

    def save_to_preset(self, directory):
        """Writes `preset.json` and `model.weights.h5`, from which `from_preset` rebuilds the model.

        Args:
            directory: A path that does not exist or is an empty directory.

        Raises:
            ValueError: If the directory holds files already.
        """
        from hedgezoo.presets import save

        save(self, directory)
