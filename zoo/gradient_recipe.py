"""Recipes of models that are trained by gradient steps on simulated paths."""

import abc
import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from hedgezoo import training
from hedgezoo.recipe import Recipe
from hedgezoo.training.stopwatch import Stopwatch

EPOCHS = 50  # points of the learning curve
FINAL_RATE = 0.01  # last learning rate relative to the first


def decaying_adam(learning_rate, steps):
    """Adam whose rate falls by a half cosine to 1 % of the first one.

    Args:
        learning_rate: First learning rate.
        steps: Training steps.

    Returns:
        A Keras optimizer.
    """
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=FINAL_RATE)
    return keras.optimizers.Adam(schedule)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientRecipe(Recipe, abc.ABC):
    """A recipe whose model is trained by Adam on the paths of a market, through `training.fit`.

    Args:
        name, description, task, paper, seed, limits, report: As in `Recipe`.
        evaluation_paths, evaluation_seed, evaluation_options: As in `Recipe`.
        model: Function without arguments that returns a new model.
        loss: Function without arguments that returns a new loss.
        train_market: Market whose paths it is trained on.
        market: Market that it is made for and judged on.
        batch_size: Paths per training step.
        steps: Training steps.
        learning_rate: First learning rate of Adam; decays by a half cosine to 1 % of it.
        epochs: Parts of the training, each a point of the learning curve.
    """

    model: Callable
    loss: Callable
    train_market: object
    market: object
    batch_size: int
    steps: int
    learning_rate: float
    epochs: int = EPOCHS

    def optimizer(self):
        """A new optimizer; here Adam with a decaying rate."""
        return decaying_adam(self.learning_rate, self.steps)

    def callbacks(self, model):
        """Further Keras callbacks of the training of a compiled model; here none."""
        return []

    def training_data(self, model):
        """What the model is trained on, as `training.fit` takes it; here `train_market`."""
        return self.train_market

    def prepare(self, model):
        """What is done to the built and compiled model before the first step; here nothing."""

    def finish(self, model):
        """What is done to the model after the last step; here nothing."""

    def train(self, checkpoint=None, strategy=None, verbose="auto"):
        strategy = strategy or tf.distribute.get_strategy()
        with strategy.scope():
            model = self.model()
            model.build()
            model.compile(self.optimizer(), loss=self.loss())
            self.prepare(model)
        per_epoch = -(-self.steps // self.epochs)
        stopwatch = Stopwatch()
        history = training.fit(
            model,
            self.training_data(model),
            strategy=strategy,
            epochs=-(-self.steps // per_epoch),
            steps_per_epoch=per_epoch,
            batch_size=self.batch_size,
            seed=self.seed,
            checkpoint=checkpoint,
            callbacks=[stopwatch, *self.callbacks(model)],
            verbose=verbose,
        )
        model.market = self.market
        self.finish(model)
        losses = history.history["loss"]
        return model, {
            "curve": [[per_epoch * (epoch + 1), float(loss)] for epoch, loss in enumerate(losses)],
            **{name: round(seconds, 1) for name, seconds in stopwatch.get_state().items()},
            "replicas": strategy.num_replicas_in_sync,
        }

    def settings(self):
        return {
            "market": repr(self.train_market),
            "steps": self.steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
        }
