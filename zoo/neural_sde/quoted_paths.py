"""Brownian increments beside the prices of quotes: what a neural SDE is trained on."""

import tensorflow as tf

from hedgezoo.datasets.market import check_draw_arguments, simulated_batches
from hedgezoo.datasets.surface_quotes import SurfaceQuotes
from hedgezoo.layers.draws import as_int64

GRADIENTS = ("same_batch", "two_batch")


class QuotedPaths:
    """Batches `(inputs, prices)` for the calibration of a `NeuralSDE` to quotes.

    `inputs` are the increments of the Brownian motions, `(B, T, k)`, in a dictionary as the model
    takes them, and `prices` `(B, N)` the out-of-the-money prices of the quotes, the same in every
    row. Path i of a seed is always the same, so that `hedgezoo.training.fit` can resume a run and
    split it over replicas; a Keras user takes `batches`.

    For the unbiased gradient two independent halves are needed. Paths 2i and 2i + 1 then belong
    to two scrambles of Sobol's sequence, or to two seeds, each of them in its own order.

    Args:
        model: A `NeuralSDE`.
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        gradient: `"same_batch"`, or `"two_batch"` for paths of two independent halves.
        features: Market features `(f,)` of the day of the quotes, only for a model with features.

    Raises:
        ValueError: If an argument is unknown, or the features do not fit the model.

    Example:

    >>> from hedgezoo import NeuralSDE
    >>> from hedgezoo.datasets import SurfaceQuotes
    >>> paths = QuotedPaths(NeuralSDE(units=(8,)), SurfaceQuotes.heston())
    >>> inputs, prices = paths.simulate(seed=0, paths=64)
    >>> inputs["increments"].shape[0], prices.shape
    (64, TensorShape([64, 126]))
    """

    def __init__(self, model, quotes, gradient="same_batch", features=None):
        if not isinstance(quotes, SurfaceQuotes):
            raise ValueError(
                "`quotes` must be a hedgezoo.datasets.SurfaceQuotes. "
                f"Received: {type(quotes).__name__}"
            )
        if gradient not in GRADIENTS:
            raise ValueError(f"`gradient` must be one of {GRADIENTS}. Received: {gradient!r}")
        self.quotes = quotes
        self.gradient = gradient
        self.features = model.blocks(features)
        self.rollout = model.rollout(quotes.expiries, **model.draws_for(quotes.expiries))
        self._prices = quotes.out_of_the_money

    def simulate(self, seed, paths, first_path=0):
        """Increments and prices for the paths `first_path ... first_path + paths - 1`.

        Args:
            seed: Integer or scalar integer tensor.
            paths: Number of paths B; even for two halves.
            first_path: Global index of the first path; even for two halves.

        Returns:
            Tuple `(inputs, prices)`.
        """
        check_draw_arguments(seed, paths, first_path)
        increments = self._increments(seed, paths, first_path)
        inputs = {"increments": increments}
        if self.features is not None:
            inputs["features"] = self.features
        prices = tf.constant(self._prices, increments.dtype)
        return inputs, tf.broadcast_to(prices, (paths, len(self._prices)))

    def batches(self, batch_size, steps, seed, first_step=0):
        """Batches for `model.fit`, see `hedgezoo.datasets.Market.batches`.

        Args:
            batch_size: Paths per batch B.
            steps: Number of batches of the whole run; None for an endless data set.
            seed: Integer.
            first_step: Number of the first batch, for a run that is resumed.

        Returns:
            A `tf.data.Dataset` of `(inputs, prices)`.
        """
        return simulated_batches(self.simulate, batch_size, steps, seed, first_step)

    def get_config(self):
        """What distinguishes one calibration's data from another's."""
        return {
            "quotes": self.quotes.get_config(),
            "gradient": self.gradient,
            "times": self.rollout.times.tolist(),
            "draws": self.rollout.draws,
            "features": None if self.features is None else self.features.numpy().tolist(),
        }

    def _increments(self, seed, paths, first_path):
        if self.gradient == "same_batch":
            return self.rollout.draw(seed, paths, first_path)
        for name, value in (("paths", paths), ("first_path", first_path)):
            if not tf.is_tensor(value) and value % 2:
                raise ValueError(f"`{name}` must be even for two halves. Received: {name}={value}")
        seed, first = as_int64(seed), as_int64(first_path) // 2
        halves = [self.rollout.draw(2 * seed + half, paths // 2, first) for half in (0, 1)]
        both = tf.stack(halves, axis=1)
        return tf.reshape(both, (paths, *both.shape[2:]))
