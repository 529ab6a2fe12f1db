"""Hedges on trial: against one trained afterwards, and in a Heston market that is not the model."""

import numpy as np
import tensorflow as tf

from hedgezoo import training
from hedgezoo.datasets.heston_panels.heston_paths import heston_log_prices
from hedgezoo.gradient_recipe import decaying_adam
from hedgezoo.neural_sde.hedge_risk import residual_deviations

_FACTORS = (-6.0, 6.0)  # where a latent factor is looked for
_BISECTIONS = 16


def hedge_trained_afterwards(model, steps=200, paths=1024, learning_rate=1e-2, seed=0):
    """A new hedge network, trained on the frozen dynamics of a model.

    Args:
        model: A trained `JointNeuralSDEHedge`; it is left as it is.
        steps: Training steps.
        paths: Paths per step.
        learning_rate: First learning rate of Adam, which falls by a half cosine.
        seed: Integer of the paths.

    Returns:
        A `HedgeNetwork`, for `hedge_outcomes(model, network=...)`.
    """
    frozen = type(model).from_config({**model.get_config(), "mode": "control"})
    frozen.build()
    frozen.sde.set_weights(model.sde.get_weights())
    frozen.sde.trainable = False
    frozen.compile(decaying_adam(learning_rate, steps))
    training.fit(
        frozen, frozen, epochs=1, steps_per_epoch=steps, batch_size=paths, seed=seed, verbose=0
    )
    return frozen.hedge_network


def heston_hedge_deviations(model, parameters, paths=4096, seed=0):
    """What the hedges of a model leave in a Heston market, of the standard deviation of payoffs.

    The model is told the spot and the instantaneous volatility of the market; its latent factor is
    the one with which it has that volatility, as far as there is one.

    Args:
        model: A `JointNeuralSDEHedge`.
        parameters: κ, θ, ξ, ρ, v₀ of the market, `(5,)`.
        paths: Number of paths.
        seed: Integer.

    Returns:
        float64 `(N + E,)`: the share of each option.
    """
    model.build()
    book = model.book
    log_price, variance = heston_log_prices(
        parameters, book.times, seed, paths, steps_per_year=192, variance=True
    )
    path = tf.cast(log_price, tf.float32)[..., tf.newaxis]
    if model.sde.states > 1:
        volatility = tf.sqrt(tf.cast(tf.nn.relu(variance), tf.float32))
        factor = factor_of(model.sde, tf.exp(path[..., 0]), book.times, volatility)
        path = tf.concat([path, factor[..., tf.newaxis]], axis=-1)
    parts = []
    for rows in np.array_split(np.arange(paths), max(1, paths // 1024)):
        own = tf.gather(path, rows)
        gains, costs = book.gains(own, book.positions(own, model.hedge_network), model.cost)
        parts.append((book.payoffs(own).numpy(), (gains - costs).numpy()))
    payoff, gains = (np.concatenate(part) for part in zip(*parts, strict=True))
    return residual_deviations(payoff, gains)


def factor_of(sde, spot, times, volatility):
    """The latent factor at which a model has a volatility, by bisection.

    Args:
        sde: A `NeuralSDE` of kind `"stochastic"`, whose σ rises in y.
        spot: Spot divided by the forward, `(B, T + 1)`.
        times: Years, `(T + 1,)`.
        volatility: Per √year, `(B, T + 1)`.

    Returns:
        y, float32 `(B, T + 1)`, the nearest end of a range where no y will do.
    """
    times = tf.constant(np.asarray(times), tf.float32)

    @tf.function(autograph=False)
    def volatility_at(factor):
        return tf.reshape(sde.diffusion(spot, times, factor=factor), tf.shape(spot))

    low, high = (tf.fill(tf.shape(spot), tf.constant(end, tf.float32)) for end in _FACTORS)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        below = volatility_at(middle) < volatility
        low, high = tf.where(below, middle, low), tf.where(below, high, middle)
    return 0.5 * (low + high)
