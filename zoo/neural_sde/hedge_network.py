"""Hedges of many options at once: positions in the forward as a function of the market's state."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor, money_dtype
from hedgezoo.layers.multilayer_perceptron import MultilayerPerceptron
from hedgezoo.layers.normal import normal_cdf

_EARLY = 0.02  # years; keeps the scaled log price bounded near t = 0
_SHORTEST = 1e-6  # years to expiry at least, where there is nothing left to hedge
_RANGE = 1.5  # the log of the hedging volatility moves this far up and down at most


@keras.saving.register_keras_serializable(package="hedgezoo")
class HedgeNetwork(keras.layers.Layer):
    """Positions in the forward that hedge vanilla options, for every option and date at once.

    The position of a call of strike K and maturity T, in the state x = log(S / F) and, where the
    model has one, with the latent factor y, is a Black-Scholes delta with a learned volatility and
    a learned shift:

    `φ = N(d + b)`, `d = (x - log K) / s + s / 2`, `s = σ √(T - t) exp(a)`,

    where a and b are sums of products of one network of the state (t, x, y) and another one of the
    option (log K, T). So the work is that of two small networks and one matrix product whatever
    the number of options is, the kink at expiry is exact, and the untrained network is close to
    the Black-Scholes hedge. Another network hedges a contract on the path: it sees what the
    contract remembers of the path as well.

    Args:
        volatility: σ, the volatility of the Black-Scholes delta it starts from.
        factors: Number of latent factors in the state: 0 or 1.
        path_features: Number of features of the contract on the path; None if there is none.
        path_maturity: Maturity of that contract in years, from which on its position is 0.
        units: Widths of the hidden layers of each network.
        rank: Number of products in the sums.
        activation: Hidden activation.
        seed: Integer that the initial weights follow from, or None.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        time: Years, `(T,)`.
        log_spot: x at these times, `(B, T)`.
        factor: y at these times, `(B, T)`; None of models without one.
        log_strikes: log K of the options, `(N,)`.
        maturities: Years to expiry, `(N,)`.

    Output shape:
        Positions held from each time on, `(B, N, T)`; zero from an option's maturity on.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> hedge = HedgeNetwork(volatility=0.2, seed=0)
    >>> times, log_spot = tf.constant([0.0, 0.5]), tf.zeros((1, 2))
    >>> hedge(times, log_spot, None, tf.zeros(1), tf.ones(1)).shape
    TensorShape([1, 1, 2])

    Reference:
        Gierjatowicz et al., "Robust pricing and hedging via neural SDEs" (2020), for one network
        that hedges all options of a calibration at once.
    """

    def __init__(
        self,
        volatility=0.2,
        factors=0,
        path_features=None,
        path_maturity=1.0,
        units=(32, 32),
        rank=8,
        activation="silu",
        seed=None,
        **kwargs,
    ):
        super().__init__(**{"autocast": False, **kwargs})
        for name, value in (("volatility", volatility), ("path_maturity", path_maturity)):
            if not isinstance(value, int | float) or not 0 < value < np.inf:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}")
        if factors not in (0, 1):
            raise ValueError(f"`factors` must be 0 or 1. Received: factors={factors!r}")
        if not isinstance(rank, int) or rank < 1:
            raise ValueError(f"`rank` must be a positive integer. Received: rank={rank!r}")
        self.volatility = float(volatility)
        self.factors = factors
        self.path_features = path_features
        self.path_maturity = float(path_maturity)
        self.units = tuple(units)
        self.rank = rank
        self.activation = activation
        self.seed = seed
        dtype = money_dtype(self.compute_dtype)

        def network(outputs, offset, small):
            # a small last layer: the products start near zero, so the hedge near Black-Scholes
            last = keras.initializers.VarianceScaling(0.01) if small else None
            return MultilayerPerceptron(
                self.units,
                outputs,
                activation,
                seed=None if seed is None else seed + offset,
                output_initializer=last,
                dtype=dtype,
            )

        self.state_network = network(2 * rank, 0, small=False)
        self.option_network = network(2 * rank, 100, small=True)
        self.path_network = None if path_features is None else network(1, 200, small=True)

    def build(self, *shapes):
        if not self.state_network.built:
            self.state_network.build((None, 2 + self.factors))
            self.option_network.build((None, 2))
            if self.path_network is not None:
                self.path_network.build((None, 3 + self.factors + self.path_features))

    def call(self, time, log_spot, factor=None, log_strikes=None, maturities=None):
        time, log_spot, log_strikes, maturities = (
            as_tensor(value, self._float) for value in (time, log_spot, log_strikes, maturities)
        )
        state = self.state_network(self._state(time, log_spot, factor))
        option = self.option_network(self._option(log_strikes, maturities))
        # (N, R) and (B, T, R) to (B, N, T), for each of the two sums
        level, shift = (
            tf.matmul(option[:, part], state[..., part], transpose_b=True)
            for part in (slice(None, self.rank), slice(self.rank, None))
        )
        left = maturities[:, tf.newaxis] - time
        return self._delta(log_spot[:, tf.newaxis] - log_strikes[:, tf.newaxis], left, level, shift)

    def position(self, spot, time, strike, maturity, factor=None):
        """The position in the forward that hedges one unit of a call.

        All arguments broadcast against each other. A put is hedged with one forward less.

        Args:
            spot: Price relative to the forward.
            time: Years from today.
            strike: Strike relative to the forward.
            maturity: Years from today to expiry.
            factor: Latent factor y; None of models without one.

        Returns:
            Tensor; 0 from the maturity on.
        """
        known = [spot, time, strike, maturity] + ([] if factor is None else [factor])
        known = [as_tensor(value, self._float) for value in known]
        shape = known[0].shape
        for value in known[1:]:
            shape = tf.broadcast_static_shape(shape, value.shape)
        spot, time, strike, maturity, *factor = (
            value + tf.zeros_like(sum(known)) for value in known
        )
        log_spot, log_strike = tf.math.log(spot), tf.math.log(strike)
        state = self.state_network(self._state(time, log_spot, *factor))
        option = self.option_network(self._option(log_strike, maturity))
        products = state * option
        level = tf.reduce_sum(products[..., : self.rank], axis=-1)
        shift = tf.reduce_sum(products[..., self.rank :], axis=-1)
        return tf.ensure_shape(
            self._delta(log_spot - log_strike, maturity - time, level, shift), shape
        )

    def path_position(self, time, log_spot, factor, features):
        """Positions that hedge the contract on the path.

        Args:
            time: Years, `(T,)`.
            log_spot: x at these times, `(B, T)`.
            factor: y at these times, `(B, T)`, or None.
            features: What the contract remembers, `(B, T, f)`.

        Returns:
            Tensor `(B, T)`; zero from the contract's maturity on.

        Raises:
            ValueError: If the network has no such contract.
        """
        if self.path_network is None:
            raise ValueError(
                "`path_features` must be a number for a hedge of a contract on the path. "
                "Received: path_features=None"
            )
        time, log_spot, features = (
            as_tensor(value, self._float) for value in (time, log_spot, features)
        )
        left = tf.nn.relu(self.path_maturity - time)
        scale = self.volatility * np.sqrt(self.path_maturity)
        inputs = [
            self._state(time, log_spot, factor),
            tf.broadcast_to(tf.sqrt(left), tf.shape(log_spot))[..., tf.newaxis],
            features / scale,
        ]
        position = self.path_network(tf.concat(inputs, axis=-1))[..., 0]
        return position * tf.cast(left > _SHORTEST, position.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "volatility": self.volatility,
            "factors": self.factors,
            "path_features": self.path_features,
            "path_maturity": self.path_maturity,
            "units": list(self.units),
            "rank": self.rank,
            "activation": self.activation,
            "seed": self.seed,
        }

    @property
    def _float(self):
        return money_dtype(self.compute_dtype)

    def _state(self, time, log_spot, factor=None):
        """Inputs of the network of the state, each of an ordinary size, `(..., 2 or 3)`."""
        if (factor is not None) != bool(self.factors):
            raise ValueError(
                f"`factor` must be given if and only if the hedge has factors={self.factors}. "
                f"Received: factor={'None' if factor is None else 'a tensor'}"
            )
        time = tf.broadcast_to(time, tf.shape(log_spot))
        scaled = log_spot / (self.volatility * tf.sqrt(time + _EARLY))
        columns = [2.0 * tf.sqrt(time) - 1.0, scaled]
        if factor is not None:
            columns.append(as_tensor(factor, self._float))
        return tf.stack(columns, axis=-1)

    def _option(self, log_strike, maturity):
        """Inputs of the network of the option, `(..., 2)`."""
        root = tf.sqrt(maturity)
        return tf.stack([log_strike / (self.volatility * root), 2.0 * root - 1.0], axis=-1)

    def _delta(self, log_moneyness, left, level, shift):
        alive = left > _SHORTEST
        deviation = self.volatility * tf.sqrt(tf.maximum(left, _SHORTEST))
        deviation = deviation * tf.exp(_RANGE * tf.tanh(level))
        delta = normal_cdf(log_moneyness / deviation + 0.5 * deviation + shift)
        return delta * tf.cast(alive, delta.dtype)
