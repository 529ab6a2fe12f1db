"""Recipes of risk-neutral measures: a market with a drift, and the policy that removes it."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

from hedgezoo import training
from hedgezoo.evaluation import independent
from hedgezoo.gradient_recipe import GradientRecipe, decaying_adam
from hedgezoo.losses import EntropicRisk
from hedgezoo.measure_diagnostics import certainty_equivalent
from hedgezoo.recipe import BUEHLER_2021
from hedgezoo.statistical_arbitrage.reweighted_market import ReweightedMarket
from hedgezoo.statistical_arbitrage.simulated_paths import simulated_paths


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureRecipe(GradientRecipe):
    """How a change of measure is trained: the entropic risk of the gains of trading alone.

    A policy without trade limits starts at the exact optimum among linear ones. At the end the
    density is normalised on training paths.

    Args:
        name, description, task, paper, seed, limits, report: As in `Recipe`.
        evaluation_paths, evaluation_seed, evaluation_options: As in `Recipe`.
        model, train_market, market, batch_size, steps, learning_rate: As in `GradientRecipe`.
        loss: As in `GradientRecipe`; default: log-mean-exp of minus the gains.
        initial_paths: Training paths on which the linear policy is solved, or else the scales of
            features and gains are found.
        normalising_paths: Training paths on which the density has mean 1, at the least.
        retraining_steps: Steps for which new policies are trained to see what is left to gain,
            under P and under Q.
        retraining_market: Market in which they trade, as at another cost; default: `market`.
    """

    loss: Callable = lambda: EntropicRisk(1.0)
    paper: dict = dataclasses.field(default_factory=lambda: BUEHLER_2021)
    initial_paths: int = 2**14
    normalising_paths: int = 2**17
    retraining_steps: int = 300
    retraining_market: object = None

    family: ClassVar[str] = "measure"

    def prepare(self, model):
        inputs, _ = self.train_market.simulate(self.seed, self.initial_paths)
        if model.trade_limit is None:
            model.fit_linear(inputs)
        else:
            model.adapt(inputs)

    def finish(self, model):
        batches = -(-self.normalising_paths // self.batch_size)
        model.normalise(self.train_market.batches(self.batch_size, batches, self.seed))

    def evaluate(self, model):
        return super().evaluate(model) | self.retrained(model)

    def retrained(self, model):
        """What new policies of the same kind gain under P and under Q, on paths of their own.

        Args:
            model: The trained measure.

        Returns:
            Dictionary `retrained/p` and `retrained/q`: certainty equivalents at risk aversion 1.
        """
        market = independent(self.retraining_market or self.market)
        judged = simulated_paths(market, self.evaluation_seed + 1, self.evaluation_paths)
        found = {}
        for name in ("p", "q"):
            policy = type(model).from_config({**model.get_config(), "seed": model.seed + 1})
            policy.adapt(market.simulate(self.seed, self.initial_paths)[0])
            policy.compile(
                decaying_adam(self.learning_rate, self.retraining_steps), loss=self.loss()
            )
            training.fit(
                policy,
                market if name == "p" else ReweightedMarket(market, model),
                steps_per_epoch=self.retraining_steps,
                batch_size=self.batch_size,
                seed=self.evaluation_seed + 2,
                verbose=0,
            )
            weights = None if name == "p" else model.path_weights(judged)
            found[f"retrained/{name}"] = certainty_equivalent(policy.gains(judged), weights)
        return found

    def settings(self):
        return {
            **super().settings(),
            "linear_start": self.model().trade_limit is None,
            "initial_paths": self.initial_paths,
            "normalising_paths": self.normalising_paths,
            "retraining_steps": self.retraining_steps,
            "retraining_market": repr(self.retraining_market or self.market),
        }

    def golden(self, model):
        inputs, _ = self.market.simulate(seed=12345, paths=8)
        names = model.serving_signatures()["log_density"].example
        return {"log_density": {name: inputs[name].numpy() for name in names}}

    def pictures(self, model, about):
        return [*super().pictures(model, about), _learning_curve(about)]


def _learning_curve(about):
    from hedgezoo import measure_plots
    from hedgezoo.figures import Picture

    figure = measure_plots.learning_curve(
        about["training"]["curve"],
        about["metrics"]["relative_entropy"],
        about["recipe"]["batch_size"],
    )
    return Picture("learning_curve", figure, "The loss during training.")
