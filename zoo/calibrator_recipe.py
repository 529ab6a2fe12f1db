"""Recipes of calibrators: from quotes of option panels to the parameters of a model."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import ClassVar

import keras
import numpy as np

from hedgezoo.datasets.heston_panels import BOXES, GRIDS, NOISE_CASES
from hedgezoo.gradient_recipe import FINAL_RATE, GradientRecipe
from hedgezoo.recipe import SONG_2025

_HELD_OUT = 2**20
# exact quotes, and the three readings of the noise that the paper adds
NOISES = ("clean", "gaussian_half_bp", "inside_15_bp_spread", "plus_minus_15_bp")


def own_loss():
    """No loss in particular: a calibrator then takes the one of its variant."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibratorRecipe(GradientRecipe):
    """How a calibrator is trained, and judged on fresh panels, one noise case after the other.

    Args:
        name, description, task, paper, seed, limits, report: As in `Recipe`.
        evaluation_paths: Panels of the evaluation, per noise case.
        evaluation_seed, evaluation_options: As in `Recipe`.
        model, market, steps, learning_rate, epochs: As in `GradientRecipe`.
        loss: As in `GradientRecipe`; default: that of the model's variant.
        train_market: Panels that it is trained on, `HestonPanels` or `MixedPanels`.
        batch_size: Panels per training step.
        weight_decay: Of AdamW; None for Adam.
        base: Name or directory of a preset whose weights the model starts from; or None.
        evaluation_noises: Noise cases in which it is judged.
        compared_panels: Panels per noise case that Levenberg-Marquardt calibrates beside it; 0 for
            none.
        coverage_panels: Panels of the training kinds, not seen in training, on which a quantile
            head is corrected; and of the evaluation, per noise case, on which it is judged.
    """

    paper: dict = dataclasses.field(default_factory=lambda: SONG_2025)
    loss: Callable = own_loss
    weight_decay: float | None = None
    base: str | None = None
    evaluation_paths: int = 10_000
    evaluation_noises: tuple = NOISES
    compared_panels: int = 200
    coverage_panels: int = 2000

    family: ClassVar[str] = "calibrator"

    def train(self, checkpoint=None, strategy=None, verbose="auto"):
        keras.utils.set_random_seed(self.seed)  # of initial weights whose layers have no seed
        return super().train(checkpoint, strategy, verbose)

    def optimizer(self):
        if self.weight_decay is None:
            return super().optimizer()
        schedule = keras.optimizers.schedules.CosineDecay(
            self.learning_rate, self.steps, alpha=FINAL_RATE
        )
        return keras.optimizers.AdamW(schedule, weight_decay=self.weight_decay)

    def callbacks(self, model):
        # a loss whose parts are weighted by epoch
        return [model.loss.callback()] if hasattr(model.loss, "callback") else []

    def prepare(self, model):
        if self.base is not None:
            from hedgezoo.heston_calibrator.quantiles import adopt
            from hedgezoo.presets import load

            adopt(model, load(self.base))

    def finish(self, model):
        if model.quantile_head is not None:
            from hedgezoo.heston_calibrator.quantile_coverage import calibrate_coverage

            # its seeds are neither those of the training nor those of the evaluation
            seed = self.seed + _HELD_OUT
            calibrate_coverage(model, self.train_market, seed, self.coverage_panels)

    def judging(self, model):
        return {**super().judging(model), "noises": list(self.evaluation_noises)}

    def evaluate(self, model):
        from hedgezoo import calibrator_comparison
        from hedgezoo.evaluation import evaluate

        found = evaluate(
            model,
            self.evaluation_paths,
            self.evaluation_seed,
            noises=self.evaluation_noises,
            **self.evaluation_options,
        )
        if self.compared_panels:
            found |= calibrator_comparison.beside(
                model,
                self.market,
                self.compared_panels,
                self.evaluation_seed,
                self.evaluation_noises,
            )
        return found if model.quantile_head is None else found | self.quantiles_of(model)

    def quantiles_of(self, model):
        """Shares of fresh quotes below each quantile surface, per noise case.

        Args:
            model: A calibrator with a quantile head.

        Returns:
            Dictionary of metrics `"<noise>/quantile_coverage/<level>"`.
        """
        from hedgezoo.heston_calibrator.quantile_coverage import quantile_coverage

        found = {}
        for noise in self.evaluation_noises:
            case = dataclasses.replace(self.market, noise=noise)
            if case.noise.deviation_bp:
                shares = quantile_coverage(model, case, self.evaluation_seed, self.coverage_panels)
                found |= {f"{noise}/{name}": share for name, share in shares.items()}
        return found

    def settings(self):
        return {
            **super().settings(),
            "market": in_words(self.train_market),
            "judged_on": _box_and_grid(self.market),
            "optimizer": "Adam" if self.weight_decay is None else "AdamW",
            "weight_decay": self.weight_decay,
            "base": self.base,
        }

    def golden(self, model):
        panels = dataclasses.replace(self.market, noise="gaussian_half_bp")
        inputs, targets = panels.simulate(12345, 8)
        known = inputs | {"parameters": targets["parameters"]}
        requests = {}
        for name in ("serving_default", "price", "sensitivities"):
            signature = model.serving_signatures()[name]
            requests[name] = {
                spec.name: np.asarray(
                    known.get(spec.name, signature.example[spec.name]), spec.dtype.as_numpy_dtype
                )
                for spec in signature.inputs
            }
        return requests

    def pictures(self, model, about):
        return [*super().pictures(model, about), _learning_curve(about)]


def in_words(panels):
    """What panels are made of, for the record.

    Args:
        panels: `HestonPanels` or `MixedPanels`.

    Returns:
        List of strings, one for each pair of a box and a grid.

    Example:

    >>> from hedgezoo.datasets.heston_panels import HestonPanels, MixedPanels
    >>> noises = ("clean", "plus_minus_15_bp")
    >>> in_words(MixedPanels([HestonPanels(grid="random", noise=noise) for noise in noises]))
    ['paper box, random grid of 8 x 10; noise clean, plus_minus_15_bp']
    """
    parts = getattr(panels, "parts", (panels,))
    return [
        f"{box_and_grid}; noise {', '.join(_noise_in_words(part.noise) for part in alike)}"
        for box_and_grid, alike in itertools.groupby(parts, _box_and_grid)
    ]


def _box_and_grid(panels):
    size = " x ".join(map(str, panels.grid.shape))
    return f"{_name_of(panels.box, BOXES)} box, {_name_of(panels.grid, GRIDS)} grid of {size}"


def _noise_in_words(noise):
    gaps = {name: getattr(noise, name) for name in ("missing", "missing_maturities")}
    for name, known in NOISE_CASES.items():
        if noise != known and noise == dataclasses.replace(known, **gaps):
            percent = " and ".join(
                f"{100 * share:g} % of the {of}"
                for share, of in zip(gaps.values(), ("quotes", "maturities"), strict=True)
            )
            return f"{name} but {percent} missing"
    return _name_of(noise, NOISE_CASES)


def _name_of(thing, named):
    """Name of a box, grid or noise case; of others, what makes them."""
    for name, known in named.items():
        if known == thing:
            return name
    ours = dataclasses.asdict(thing)
    changed = ", ".join(f"{field} {_plain(value)}" for field, value in ours.items() if value)
    return f"{type(thing).__name__} ({changed})"


def _plain(value):
    return "-".join(f"{end:g}" for end in value) if isinstance(value, tuple) else str(value)


def _learning_curve(about):
    from hedgezoo.figures import Picture, panels

    figure, axes = panels()
    axis = axes[0, 0]
    steps, losses = zip(*about["training"]["curve"], strict=True)
    axis.plot(steps, losses, color="#0072B2")
    if min(losses) > 0.0:
        axis.set_yscale("log")
    axis.set_xlim(0, steps[-1])
    axis.set_xlabel(f"training steps of {about['recipe']['batch_size']:,} fresh panels")
    axis.set_ylabel("mean loss")
    return Picture("learning_curve", figure, "The loss during training.")
