"""Residuals of quotes and their Jacobian in all weights: by Dupire's equation or on fixed paths."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers.local_volatility.dupire import volatility_at_the_money
from hedgezoo.layers.local_volatility.dupire_grid import DupireGrid
from hedgezoo.neural_sde.priced_quotes import PricedQuotes
from hedgezoo.neural_sde.weight_vectors import WeightVector

_NEGLIGIBLE = 1e-5  # of the largest derivative of a price in a node
# A Newton step needs exact residuals, but not exact slopes.
_COARSE = {"points": 101, "steps": 10}


class DupirePrices:
    """Prices of quotes in a local volatility model, by Dupire's equation, without noise.

    The derivatives in the weights are those in the local volatility at the nodes of a coarse grid,
    from one sweep backwards, times those of the network at the nodes that matter.

    Args:
        model: A `NeuralSDE` of kind `"local"`.
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        features: Market features `(f,)`, or None.
        **grid: Of `DupireGrid`, for prices and derivatives alike.
    """

    def __init__(self, model, quotes, features=None, **grid):
        model.build()
        self.model, self.quotes = model, quotes
        self.weights = WeightVector(model)
        level = volatility_at_the_money(model.network, quotes.expiries, features)
        self._fine, self._coarse = (
            DupireGrid(quotes.strikes, quotes.maturities, volatility=level, **options)
            for options in (grid, {**_COARSE, **grid})
        )
        self._states = {
            table: tuple(np.asarray(column, "float32") for column in table.states)
            for table in (self._fine, self._coarse)
        }
        self._features = model.blocks(features)
        signature = [tf.TensorSpec((None, 1))] * 2
        self._sigma = tf.function(self._volatility, input_signature=signature, autograph=False)
        signature = [*signature, tf.TensorSpec((None, None))]
        self._pull = tf.function(self._jacobian, input_signature=signature, autograph=False)

    def calls(self):
        """Call prices `(N,)`."""
        return self._fine.calls(self._table(self._fine)).numpy()

    def calls_and_jacobian(self):
        """Call prices `(N,)` and their derivatives in the weights `(N, P)`."""
        _, by_node = self._coarse.calls_and_jacobian(self._table(self._coarse))
        by_node = by_node.numpy().reshape(len(self.quotes), -1)
        jacobian = np.empty((len(self.quotes), len(self.weights)))
        # maturity by maturity: earlier ones depend on few nodes
        for expiry in range(len(self.quotes.expiries)):
            rows = np.flatnonzero(self.quotes.expiry_index == expiry)
            part = by_node[rows]
            size = np.abs(part).max(axis=0)
            nodes = np.flatnonzero(size > _NEGLIGIBLE * size.max())
            states = [column[nodes] for column in self._states[self._coarse]]
            slopes = tf.constant(part[:, nodes], tf.float32)
            jacobian[rows] = self._pull(*states, slopes).numpy()
        return self.calls(), jacobian

    def _table(self, grid):
        sigma = self._sigma(*self._states[grid])
        return tf.reshape(tf.cast(sigma, tf.float64), grid.log_strikes.shape)

    def _volatility(self, x, time):
        arguments = [x, time]
        if self._features is not None:
            arguments.append(tf.repeat(self._features, tf.shape(x)[0], axis=0))
        return tf.cast(tf.reshape(self.model.network(*arguments), (-1,)), tf.float32)

    def _jacobian(self, x, time, slopes):
        return self.weights.jacobian(lambda: tf.linalg.matvec(slopes, self._volatility(x, time)))[1]


class SampledPrices:
    """Prices of quotes on fixed paths, for any model under the pricing measure.

    The sample does not change, so prices are a smooth function of the weights, which fits the noise
    of the sample with the quotes: many paths are needed.

    Args:
        model: A `NeuralSDE`.
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        paths: Number of paths N.
        seed: Integer.
        features: Market features `(f,)`, or None.
    """

    def __init__(self, model, quotes, paths, seed, features=None):
        model.build()
        self.quotes = quotes
        self.weights = WeightVector(model)
        priced = PricedQuotes(model, quotes)
        rollout = model.rollout(quotes.expiries, **priced.changes)
        inputs = {"increments": rollout.draw(seed, paths)}
        if features is not None:
            inputs["features"] = model.blocks(features)
        # from puts to calls
        parity = np.where(quotes.is_put, 1.0 - np.asarray(quotes.strikes), 0.0)

        def calls():
            mean = tf.reduce_mean(priced(inputs), axis=0)
            return mean + tf.constant(parity, mean.dtype)

        sources = [variable.value for variable in self.weights.variables]

        def row(index):
            with tf.GradientTape() as tape:
                tape.watch(sources)
                price = calls()[index]
            parts = tape.gradient(price, sources, unconnected_gradients="zero")
            return tf.concat([tf.reshape(part, (-1,)) for part in parts], axis=0)

        self._calls = tf.function(calls, autograph=False)
        # a sweep backwards per quote: all at once would take N times the memory
        self._row = tf.function(row, input_signature=[tf.TensorSpec((), tf.int32)], autograph=False)

    def calls(self):
        """Call prices `(N,)`."""
        return self._calls().numpy()

    def calls_and_jacobian(self):
        """Call prices `(N,)` and their derivatives in the weights `(N, P)`."""
        rows = [self._row(tf.constant(index)).numpy() for index in range(len(self.quotes))]
        return self.calls(), np.stack(rows)
