"""Recipes of neural SDEs that are calibrated to the quotes of one day."""

import dataclasses
import inspect
import time
from collections.abc import Callable
from typing import ClassVar

import keras

from hedgezoo.recipe import Recipe

ROBUST_2020 = {
    "title": "Robust pricing and hedging via neural SDEs",
    "authors": "Gierjatowicz, Sabate-Vidales, Šiška, Szpruch, Žurič",
    "year": 2020,
    "reference": "arXiv:2007.04154",
}
# maturities in years, strikes divided by the forward; the outermost liquid ones are 1.2066 and such
LIQUID = {
    "low_maturity": 0.1,
    "high_maturity": 2.3,
    "low_strike": 0.8,
    "high_strike": 1.21,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuralSDERecipe(Recipe):
    """How a `NeuralSDE` is calibrated to quotes, and judged on them along fresh paths.

    Args:
        name, description, task, paper, seed, limits, report: As in `Recipe`.
        evaluation_paths, evaluation_seed, evaluation_options: As in `Recipe`.
        model: Function without arguments that returns a new model.
        quotes: Function without arguments that returns the `SurfaceQuotes`: what the model is
            made for and judged on.
        data: What the quotes are, in words; for the record.
        held_out: Share of the quotes that it is not fitted to, but judged on; 0 for none.
        split_seed: Seed of the choice of these.
        split_ends: Whether the ends of a smile may be among these, see `SurfaceQuotes.split`.
        region: Arguments of `SurfaceQuotes.where` for a part that is also judged alone, or None.
        calibration: Options of `hedgezoo.neural_sde.calibrating.calibrate`.
        beside_heston: Whether to calibrate a Heston model to the same quotes.
    """

    model: Callable
    quotes: Callable
    data: str
    held_out: float = 0.0
    split_seed: int = 0
    split_ends: bool = True
    region: dict | None = None
    calibration: dict = dataclasses.field(default_factory=dict)
    beside_heston: bool = False
    paper: dict = dataclasses.field(default_factory=lambda: ROBUST_2020)
    evaluation_paths: int = 2**17

    family: ClassVar[str] = "neural_sde"

    def parts(self):
        """The quotes that are fitted and those held out, which may be None."""
        quotes = self.quotes()
        if not self.held_out:
            return quotes, None
        return quotes.split(self.held_out, self.split_seed, self.split_ends)

    def train(self, checkpoint=None, strategy=None, verbose="auto"):
        import tensorflow as tf

        from hedgezoo.neural_sde.calibrating import calibrate

        strategy = strategy or tf.distribute.get_strategy()
        keras.utils.set_random_seed(self.seed)  # of weights whose layers have no seed
        fitted, held_out = self.parts()
        with strategy.scope():
            model = self.model()
            model.build()
        began = time.perf_counter()
        result = calibrate(
            model,
            fitted,
            held_out=held_out,
            seed=self.seed,
            checkpoint=checkpoint,
            verbose=verbose,
            **self.calibration,
        )
        model.market = self.quotes()
        return model, {
            "cpu_seconds": round(float(result.cpu_seconds), 1),
            "wall_seconds": round(time.perf_counter() - began, 1),
            "replicas": strategy.num_replicas_in_sync,
            "steps": int(result.steps),
            "skipped_steps": int(result.skipped_steps),
            "converged": bool(result.converged),
            "message": result.message,
            "curve": curve_of(result.history),
        }

    def evaluate(self, model):
        """The model's own metrics, and its errors on parts of the quotes; Heston's beside them."""
        from hedgezoo.evaluation import evaluate
        from hedgezoo.neural_sde.beside_heston import heston_errors, heston_fit
        from hedgezoo.neural_sde.calibration_result import root_mean_square

        def judged(quotes):
            return evaluate(
                model,
                self.evaluation_paths,
                self.evaluation_seed,
                market=quotes,
                **self.evaluation_options,
            )

        whole = self.quotes()
        fitted, held_out = self.parts()
        found = judged(whole)
        if self.beside_heston:
            found["heston_error_bp"] = exact(heston_fit(whole).rms_bp)
        if held_out is not None:
            found["fitted_error_bp"] = judged(fitted)["error_bp"]
            found["held_out_error_bp"] = judged(held_out)["error_bp"]
            if self.beside_heston:
                errors = heston_errors(heston_fit(fitted).parameters, held_out)
                found["heston_held_out_error_bp"] = exact(root_mean_square(errors))
        if self.region is not None:
            part = whole.where(**self.region)
            found["region_error_bp"] = judged(part)["error_bp"]
            if self.beside_heston:
                found["heston_region_error_bp"] = exact(heston_fit(part).rms_bp)
        return found

    def settings(self):
        fitted, held_out = self.parts()
        held = 0 if held_out is None else len(held_out)
        return {
            "kind": "quotes",
            "data": self.data,
            "procedure": self.procedure(len(fitted), held),
            "seed": self.seed,
            "steps": self.options()["steps"],
            "held_out": self.held_out,
            "split_seed": self.split_seed,
            "region": self.region,
            "calibration": {name: _plain(value) for name, value in self.calibration.items()},
        }

    def options(self):
        """All options of the calibration, the defaults included."""
        from hedgezoo.neural_sde.calibrating import calibrate

        parameters = inspect.signature(calibrate).parameters.items()
        return {name: each.default for name, each in parameters} | self.calibration

    def procedure(self, fitted, held_out):
        """Sentences for the card on how the weights were found.

        Args:
            fitted: Number of quotes that the model is fitted to.
            held_out: Number of quotes held out.
        """
        options = self.options()
        words = (
            f"{options['paths']:,} paths per step, Adam from {options['learning_rate']:g} with "
            f"cosine decay; squared price errors of {fitted} quotes, weighted by vega."
        )
        if held_out:
            among = "all" if self.split_ends else "those between two others of their maturity"
            words += (
                f" {held_out} quotes, drawn at random among {among} (seed {self.split_seed}), were "
                "held out."
            )
        if options["polish"] == "auto" and options["polish_steps"]:
            words += (
                " For a local volatility, Levenberg-Marquardt steps on all weights follow, with "
                "prices from Dupire's equation."
            )
        return words

    def golden(self, model):
        return examples_of(model)

    def pictures(self, model, about):
        return [*super().pictures(model, about), *learning_curve(about)]


def examples_of(model):
    """Example inputs of `serving_default` and `coefficients`."""
    signatures = model.serving_signatures()
    return {
        name: signature.example
        for name, signature in signatures.items()
        if name in ("serving_default", "coefficients")
    }


def exact(value):
    """A metric without a standard error."""
    return {"value": float(value), "stderr": 0.0}


def curve_of(history):
    """Error in basis points against training steps, from the history of a calibration.

    Args:
        history: Dictionary of lists with `step` and `error_bp`.

    Returns:
        List of pairs.
    """
    return [
        [int(step), float(error)]
        for step, error in zip(history["step"], history["error_bp"], strict=True)
    ]


def learning_curve(about):
    """The picture of a calibration's progress, in a list; empty without a curve."""
    from hedgezoo.figures import Picture, panels

    curve = about["training"].get("curve")
    if not curve:
        return []
    figure, axes = panels()
    axis = axes[0, 0]
    axis.plot(*zip(*curve, strict=True), color="#0072B2")
    axis.set_yscale("log")
    axis.set_xlim(0, curve[-1][0])
    axis.set_xlabel("training steps")
    axis.set_ylabel("error in training, bp")
    return [Picture("learning_curve", figure, "The error to the quotes during training.")]


def _plain(value):
    return list(value) if isinstance(value, tuple) else value
