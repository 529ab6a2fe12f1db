"""A network from quotes on any grid to a start, and to how far the start can be trusted."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_integer
from hedgezoo.datasets.heston_panels import ParameterBox
from hedgezoo.heston_calibrator.coordinates import Coordinates
from hedgezoo.heston_calibrator.residuals import BASIS_POINT, Quotes
from hedgezoo.heston_calibrator.smile_features import YEARS, along_maturities, smiles


@keras.saving.register_keras_serializable(package="hedgezoo")
class QuoteEncoder(keras.layers.Layer):
    """Quote tokens to parameters, the precision of their coordinates, and an embedding.

    A quote is a token of log-moneyness, maturity, volatility and spread. Learned queries pool the
    strikes of a maturity, a small transformer mixes maturities, learned queries pool them. Masked
    quotes carry no weight anywhere, so that any number of strikes and maturities will do. Beside
    the tokens go level, slope and curvature of each smile. θ and v₀ start at the squared
    volatilities at the money at the long and the short end; the network learns what to add.

    Args:
        box: `ParameterBox` (or its fields in a dictionary) that scales the outputs: the middle is
            the start of an untrained network, and starts stay within twice its width.
        width: Width of the tokens.
        queries: Queries per pooling.
        blocks: Transformer blocks over maturities.
        heads: Attention heads; divides `width`.
        hidden: Width of the hidden layer after pooling.
        seed: Seed of the initial weights.
        **kwargs: Of `keras.layers.Layer`.

    Input shape:
        Dictionary of `implied_volatility` `(B, m, n)`, `strikes` `(n,)`, `(m, n)` or `(B, m, n)`,
        `maturities` `(m,)` or `(B, m)`, and optionally `mask` and `spread` `(B, m, n)`.

    Output shape:
        Dictionary of `parameters` `(B, p)`, `coordinates` `(B, p)`, `precision` `(B, p, p)` and
        `embedding` `(B, hidden / 2)`.

    Raises:
        ValueError: If a size is not a positive integer or `heads` does not divide `width`.

    Example:

    >>> from hedgezoo.datasets.heston_panels import WIDE_BOX, HestonPanels
    >>> inputs, _ = HestonPanels().simulate(seed=0, panels=4)
    >>> {name: tuple(x.shape) for name, x in QuoteEncoder(WIDE_BOX)(inputs).items()}
    {'parameters': (4, 5), 'coordinates': (4, 5), 'precision': (4, 5, 5), 'embedding': (4, 128)}
    """

    def __init__(self, box, width=64, queries=4, blocks=2, heads=4, hidden=256, seed=0, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        sizes = {
            "width": width,
            "queries": queries,
            "blocks": blocks,
            "heads": heads,
            "hidden": hidden,
        }
        for name, value in sizes.items():
            check_integer(name, value, minimum=1)
        if width % heads:
            raise ValueError(f"`heads` must divide `width`. Received: heads={heads}, width={width}")
        self.box = box if isinstance(box, ParameterBox) else ParameterBox(**box)
        self.sizes, self.seed = sizes, int(seed)
        self.coordinates = Coordinates(self.box.model)
        self._middle, self._half = self.coordinates.box(self.box)
        p = len(self.coordinates)
        numbers = iter(range(10_000))

        def dense(name, units, activation=None, kernel=None):
            seed = self.seed * 10_000 + next(numbers)
            kernel = kernel or keras.initializers.GlorotUniform(seed)
            return keras.layers.Dense(
                units,
                activation,
                kernel_initializer=kernel,
                dtype=self.dtype_policy,
                name=name,
            )

        self._layers_in_order = []
        self.token_in = self._keep(dense("token_in", width, "relu"), _TOKEN)
        self.token_out = self._keep(dense("token_out", width, "relu"), width)
        self.strike_scores = self._keep(dense("strike_scores", queries), width)
        self.smile = self._keep(dense("smile", width), queries * width + _SMILE)
        self.mixing = []
        for i in range(blocks):
            self.mixing.append(
                {
                    "norm_in": self._keep(self._norm(f"norm_in_{i}"), width),
                    "attend": self._keep(dense(f"attend_{i}", 3 * width), width),
                    "join": self._keep(dense(f"join_{i}", width), width),
                    "norm_out": self._keep(self._norm(f"norm_out_{i}"), width),
                    "widen": self._keep(dense(f"widen_{i}", 2 * width, "relu"), width),
                    "narrow": self._keep(dense(f"narrow_{i}", width), 2 * width),
                }
            )
        self.maturity_scores = self._keep(dense("maturity_scores", queries), width)
        summary = queries * width + len(YEARS) * _SMILE
        self.hidden_in = self._keep(dense("hidden_in", hidden, "gelu"), summary)
        self.hidden_out = self._keep(dense("hidden_out", hidden // 2, "gelu"), hidden)
        small = keras.initializers.RandomNormal(stddev=0.01, seed=self.seed * 10_000 + 9_999)
        self.start = self._keep(dense("start", p, kernel=small), hidden // 2)
        self.skip = self._keep(dense("skip", p, kernel="zeros"), len(YEARS) * _SMILE)
        size = p * (p + 1) // 2
        self.trust = self._keep(dense("trust", size, kernel="zeros"), hidden // 2)

    def build(self, input_shape=None):
        if self.built:
            return
        for layer, size in self._layers_in_order:
            layer.build((None, size))
        self.built = True

    def call(self, inputs):
        dtype = self.compute_dtype if tf.as_dtype(self.compute_dtype).size >= 4 else "float32"
        quotes = Quotes.of(inputs, dtype)
        there = tf.reduce_any(quotes.mask, axis=-1)
        of_smiles = self._smile_columns(quotes)
        tokens = self.token_out(self.token_in(self._network_type(self._token_columns(quotes))))
        pooled = self._pool(tokens, self.strike_scores(tokens), quotes.mask)
        state = self.smile(tf.concat([pooled, self._network_type(of_smiles)], axis=-1))
        for block in self.mixing:
            state = self._mix(block, state, there)
        pooled = self._pool(state, self.maturity_scores(state), there)
        smooth = along_maturities(quotes, of_smiles)
        flat = self._network_type(tf.reshape(smooth, [-1, len(YEARS) * of_smiles.shape[-1]]))
        embedding = self.hidden_out(self.hidden_in(tf.concat([pooled, flat], axis=-1)))
        raw = tf.cast(self.start(embedding) + self.skip(flat), dtype)
        u = self._to_coordinates(raw, smooth)
        return {
            "parameters": self.coordinates.to_parameters(u),
            "coordinates": u,
            "precision": self._to_precision(tf.cast(self.trust(embedding), dtype)),
            "embedding": embedding,
        }

    def get_config(self):
        return {
            **super().get_config(),
            "box": dataclasses.asdict(self.box),
            **self.sizes,
            "seed": self.seed,
        }

    def _keep(self, layer, size):
        self._layers_in_order.append((layer, size))
        return layer

    def _norm(self, name):
        return keras.layers.LayerNormalization(epsilon=1e-5, dtype=self.dtype_policy, name=name)

    def _network_type(self, tensor):
        return tf.cast(tensor, self.compute_dtype)

    def _token_columns(self, quotes):
        """What is known of each quote, `(B, m, n, 8)`, about one in size; zero where masked."""
        volatility = quotes.volatility
        k = tf.math.log(quotes.strikes)
        root = quotes.root_years
        columns = [
            5.0 * k,
            3.0 * k / root,
            root - 1.0,
            tf.math.log(root),
            4.0 * volatility - 1.2,
            tf.math.log(volatility) + 1.2,
            0.25 * tf.math.log(quotes.spread / BASIS_POINT + 1.0),
            tf.ones_like(volatility),
        ]
        shape = tf.shape(volatility)
        columns = [tf.broadcast_to(column, shape) for column in columns]
        there = quotes.mask[..., tf.newaxis]
        return tf.where(there, tf.stack(columns, axis=-1), 0.0)

    def _smile_columns(self, quotes):
        """What is known of each maturity, `(B, m, 7)`."""
        fitted = smiles(quotes)
        level = fitted[..., 0]
        shape = tf.shape(level)
        count = tf.reduce_sum(tf.cast(quotes.mask, quotes.dtype), axis=-1)
        root = tf.broadcast_to(quotes.root_years[..., 0], shape)
        columns = [
            tf.math.log(level) + 1.2,
            4.0 * level - 1.2,
            fitted[..., 1] / level * 5.0,
            fitted[..., 2] / level * 10.0,
            root - 1.0,
            tf.math.log(root),
            0.1 * count,
        ]
        return tf.stack(columns, axis=-1)

    def _pool(self, values, scores, mask):
        """Averages by learned weights over the axis before the last: `(..., q d)`."""
        there = mask[..., tf.newaxis]
        scores = tf.where(there, scores, tf.cast(-1e4, scores.dtype))
        scores -= tf.stop_gradient(tf.reduce_max(scores, axis=-2, keepdims=True))
        weights = tf.where(there, tf.exp(scores), tf.zeros_like(scores))
        weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=-2, keepdims=True))
        pooled = tf.matmul(weights, values, transpose_a=True)
        size = self.sizes["queries"] * self.sizes["width"]
        return tf.reshape(pooled, tf.concat([tf.shape(pooled)[:-2], [size]], 0))

    def _mix(self, block, state, there):
        """One transformer block, `(B, m, d)`."""
        heads = self.sizes["heads"]
        each = self.sizes["width"] // heads
        shape = tf.shape(state)
        mixed = tf.reshape(
            block["attend"](block["norm_in"](state)), [shape[0], shape[1], 3, heads, each]
        )
        query, key, value = tf.unstack(tf.transpose(mixed, [2, 0, 3, 1, 4]), axis=0)
        scores = tf.matmul(query, key, transpose_b=True) * each**-0.5
        seen = there[:, tf.newaxis, tf.newaxis, :]
        scores = tf.where(seen, scores, tf.cast(-1e4, scores.dtype))
        mixed = tf.matmul(tf.nn.softmax(scores), value)
        mixed = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), shape)
        state += block["join"](mixed)
        return state + block["narrow"](block["widen"](block["norm_out"](state)))

    def _to_coordinates(self, raw, smooth):
        """Starts, in the middle of the box but for θ and v₀, softly kept near the box."""
        dtype = raw.dtype
        middle, half = (tf.constant(x, dtype) for x in (self._middle, self._half))
        log_variance = 2.0 * (smooth[..., 0] - 1.2)  # the first column is log σ + 1.2
        seen = {1: log_variance[:, -1], 4: log_variance[:, 0]}
        columns = tf.unstack(raw, axis=-1)
        for index, value in seen.items():
            columns[index] += (value - middle[index]) / half[index]
        raw = tf.stack(columns, axis=-1)
        return self.coordinates.clip(middle + half * (2.0 * tf.tanh(0.5 * raw)))

    def _to_precision(self, raw):
        """L Lᵀ of a lower triangle L with positive diagonal, in units of the box."""
        p = len(self.coordinates)
        rows, columns = np.tril_indices(p)
        place = np.zeros((len(rows), p * p))
        place[np.arange(len(rows)), rows * p + columns] = 1.0
        # about one on the diagonal at the start
        raw = tf.where(tf.constant(rows == columns), tf.nn.softplus(raw + 0.54), raw)
        lower = tf.reshape(tf.matmul(raw, tf.constant(place, raw.dtype)), [-1, p, p])
        lower /= tf.constant(self._half[:, np.newaxis], raw.dtype)
        return tf.matmul(lower, lower, transpose_b=True)


_TOKEN, _SMILE = 8, 7
