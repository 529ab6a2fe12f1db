"""Training runs that share their panels, each judged on held-out panels after every epoch."""

import time

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.heston_panels import PAPER_GRID, HestonPanels
from hedgezoo.experiments.heston_calibration.accuracy import BASIS_POINTS, HeldOut, volatilities
from hedgezoo.layers.draws import uniform_draws

NOISE = "plus_minus_15_bp"  # of the panels that networks are trained and looked at on
TRAINING_SEED, VALIDATION_SEED = 1, 2
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-4  # of AdamW, as in the paper
_STREAM = 11  # of the random numbers that order the panels
_AT_ONCE = 4096


class StoredPanels:
    """Panels in memory, in another order in every epoch: a market for `hedgezoo.training.fit`.

    Args:
        panels: Number of panels N.
        noise: Name of the noise case.
        seed: Of the panels.
        epochs: How many times all of them can be gone through.
        order_seed: Of the order.
    """

    def __init__(self, panels, noise=NOISE, seed=TRAINING_SEED, epochs=1, order_seed=0):
        source = HestonPanels(noise=noise)
        starts = range(0, panels, _AT_ONCE)
        parts = [source.simulate(seed, min(_AT_ONCE, panels - first), first) for first in starts]
        inputs, targets = tf.nest.map_structure(lambda *x: tf.concat(x, axis=0), *parts)
        # the grid is the same for all
        self._shared = {name: inputs.pop(name)[0] for name in ("strikes", "maturities")}
        self._kept = inputs, targets
        self.panels = panels
        self.reorder(order_seed, epochs)

    def reorder(self, seed, epochs):
        """Another order, for another run on the same panels."""
        draws = uniform_draws(seed, epochs * self.panels, 1, stream=_STREAM, dtype="float64")
        order = tf.argsort(tf.reshape(draws, (epochs, self.panels)), axis=1, stable=True)
        self._order = tf.reshape(order, (-1,))

    def simulate(self, seed, panels, first_panel=0):
        """Inputs and targets; the order, not `seed`, says which."""
        del seed
        steps = tf.cast(first_panel, tf.int64) + tf.range(panels, dtype=tf.int64)
        rows = tf.gather(self._order, steps)
        inputs, targets = tf.nest.map_structure(lambda x: tf.gather(x, rows), self._kept)
        for name, values in self._shared.items():
            shape = (panels, *values.shape)
            inputs[name] = tf.broadcast_to(values, shape)
        return inputs, targets


class Validation:
    """What is looked at after every epoch: volatilities and penalties of held-out panels.

    Args:
        panels: Number of panels.
    """

    def __init__(self, panels):
        from hedgezoo.heston_calibrator.price_loss import PriceLoss

        self.panels = HeldOut.draw(NOISE, panels, VALIDATION_SEED)
        self._usable = self.panels.exact > 0
        self.inputs = {
            "implied_volatility": tf.constant(self.panels.quotes, tf.float32),
            "mask": tf.constant(self.panels.mask),
            "spread": tf.constant(self.panels.spread, tf.float32),
        }
        self._penalties = {
            form: PriceLoss(PAPER_GRID.strikes, PAPER_GRID.maturities, penalty=form).penalty_of
            for form in ("correct", "paper")
        }

    def judge(self, parameters):
        """Root mean square error to the exact volatilities in bp, and both penalties."""
        errors = volatilities(parameters) - self.panels.exact
        rmse = BASIS_POINTS * np.sqrt(np.mean(errors[self._usable] ** 2))
        return {"rmse_bp": float(rmse), **self.penalties(parameters)}

    def penalties(self, parameters):
        """Mean over the panels of the penalties `correct_penalty` and `paper_penalty`.

        In float64: what is left of the correct one is the error of the prices.
        """
        parameters = tf.constant(np.asarray(parameters), tf.float64)
        return {
            f"{form}_penalty": float(tf.reduce_mean(penalty(parameters)))
            for form, penalty in self._penalties.items()
        }


def train(case, panels, validation, epochs, batch_size, seed=0):
    """Trains a network on stored panels.

    AdamW as in the paper; the squared price errors and the penalty are multiplied by 1e4, so that
    the small constant of Adam does not stop the training: their ratio is that of the paper.

    Args:
        case: A `Case`.
        panels: `StoredPanels`.
        validation: A `Validation`.
        epochs: Passes over the panels.
        batch_size: Panels per step.
        seed: Of the initial weights and of the order of the panels.

    Returns:
        Dictionary of `rmse_bp`, `correct_penalty` and `paper_penalty`, a list with a number per
        epoch each; `weights`, how many there are; and `cpu_seconds`.
    """
    from hedgezoo import training
    from hedgezoo.heston_calibrator import HestonCalibrator
    from hedgezoo.heston_calibrator.price_loss import PriceLoss

    began = time.process_time()
    keras.utils.set_random_seed(seed)
    model = HestonCalibrator(case.variant, options=case.options)
    model.build()
    loss = PriceLoss(
        PAPER_GRID.strikes,
        PAPER_GRID.maturities,
        penalty=case.penalty,
        initial_weight=case.initial_weight,
        decay=case.decay,
        scale=1e4,
    )
    model.compile(keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY), loss=loss)
    panels.reorder(seed, epochs)
    curve = []

    def look(epoch, logs=None):
        curve.append(validation.judge(model.start(validation.inputs)["parameters"].numpy()))

    training.fit(
        model,
        panels,
        epochs=epochs,
        steps_per_epoch=max(1, panels.panels // batch_size),
        batch_size=batch_size,
        seed=seed,
        callbacks=[loss.callback(), keras.callbacks.LambdaCallback(on_epoch_end=look)],
        verbose=0,
    )
    return {
        **{name: [point[name] for point in curve] for name in curve[0]},
        "weights": int(model.count_params()),
        "cpu_seconds": time.process_time() - began,
    }
