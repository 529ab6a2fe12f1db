"""One network for a family of surfaces: its data, its loss, its training."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_integer, check_positive
from hedgezoo.datasets.market import simulated_batches
from hedgezoo.datasets.shuffle import shuffled_rows
from hedgezoo.datasets.surface_quotes import BASIS_POINT
from hedgezoo.layers.black_scholes import european_vega
from hedgezoo.neural_sde.market_features import (
    SURFACE_FEATURES,
    MarketFeatures,
    realised_noise,
)
from hedgezoo.neural_sde.objective import VEGA_FLOOR
from hedgezoo.neural_sde.panel_prices import PanelPrices

# all that a parabola per tenor tells of a surface
SHAPE_FEATURES = tuple(name for name in SURFACE_FEATURES if name != "term_slope")
_FINAL_RATE = 0.01
_MIDDLE = 0.5  # years
_SEEN = 9  # quotes per maturity of the smiles that features are computed from
_UNSEEN = ((), (0,), (-1,), (2,), (0, -2), (0, 4), (4,))  # maturities that may be missing there


@dataclasses.dataclass(frozen=True, eq=False)
class SurfacePanels:
    """Surfaces on one set of maturities with their market features, in memory.

    Batches come in a new order every epoch; panel i of the order belongs to (seed, i) alone.

    Args:
        features: `(N, f)`, the volatility at the money first.
        strikes: Strikes divided by the forward, `(N, m, n)`.
        calls: Undiscounted calls per unit of forward, `(N, m, n)`.
        implied_volatility: Per √year, `(N, m, n)`.
        maturities: Years, `(m,)`.

    Attributes:
        weights: 1 / (1 bp · max(vega, floor)), `(N, m, n)`: a price error times it is one in
            volatility, in basis points.

    Raises:
        ValueError: If a shape does not fit.
    """

    features: np.ndarray
    strikes: np.ndarray
    calls: np.ndarray
    implied_volatility: np.ndarray
    maturities: np.ndarray

    def __post_init__(self):
        shape = np.shape(self.strikes)
        expected = {
            "features": {"(N, f)": (shape[0] if shape else None, None)},
            "strikes": {"(N, m, n)": (None, None, None)},
            "calls": {"(N, m, n)": shape},
            "implied_volatility": {"(N, m, n)": shape},
            "maturities": {"(m,)": shape[1:2]},
        }
        for name in ("strikes", "features", "calls", "implied_volatility", "maturities"):
            array = check_array(name, getattr(self, name), expected[name])
            object.__setattr__(self, name, array)
        years = self.maturities[:, np.newaxis]
        vega = european_vega(1.0, self.strikes, years, self.implied_volatility).numpy()
        weights = 1.0 / (BASIS_POINT * np.maximum(vega, VEGA_FLOOR))
        object.__setattr__(self, "weights", weights)

    @classmethod
    def heston(cls, surfaces, count, seed, names=SHAPE_FEATURES, noise_bp=0.0):
        """Exact Heston surfaces, with features as a user would have them.

        Features are computed from other quotes than those that are priced: nine strikes whose
        range is drawn anew for every surface, every other one with the same strikes at all
        maturities, and with some maturities missing. So a network cannot rely on one set of quotes.

        Args:
            surfaces: A `hedgezoo.datasets.HestonSurfaces`.
            count: Number of surfaces N.
            seed: Integer.
            names: Of the features, see `MarketFeatures`. The realised volatility is √v₀ with the
                sampling error of 21 daily returns.
            noise_bp: Standard deviation of independent errors in the volatilities that the
                features are computed from, in basis points.

        Returns:
            A `SurfacePanels`.

        Example:

        >>> from hedgezoo.datasets import HestonSurfaces
        >>> panels = SurfacePanels.heston(HestonSurfaces(), count=4, seed=1)
        >>> panels.features.shape, panels.calls.shape
        ((4, 9), (4, 7, 10))
        """
        drawn = surfaces.draw(count, seed)
        generator = np.random.default_rng([seed, 1])
        features = np.empty((count, len(names)))
        realised = np.sqrt(drawn["parameters"][:, 4]) * realised_noise(generator, count)
        missing = generator.integers(len(_UNSEEN), size=count)
        market = MarketFeatures(names)
        years = np.asarray(surfaces.maturities)
        seen_there = surfaces.priced(drawn["parameters"], _quoted_at(generator, count, years))
        strikes, volatility = seen_there["strikes"], seen_there["implied_volatility"]
        noise = generator.standard_normal(volatility.shape)
        volatility = volatility + BASIS_POINT * noise_bp * noise
        for pattern, unseen in enumerate(_UNSEEN):
            rows = missing == pattern
            seen = np.setdiff1d(np.arange(len(years)), np.arange(len(years))[list(unseen)])
            if rows.any():
                features[rows] = market.of_grid(
                    volatility[rows][:, seen],
                    strikes[rows][:, seen],
                    years[seen],
                    realised[rows] if market.needs_history else None,
                )
        parts = (drawn[name] for name in ("strikes", "calls", "implied_volatility"))
        return cls(features, *parts, years)

    def __len__(self):
        return len(self.features)

    def with_features(self, features):
        """The same surfaces with other features `(N, f)`."""
        return dataclasses.replace(self, features=features)

    def simulate(self, seed, paths, first_path=0):
        """Panels `first_path ... first_path + paths - 1` of the shuffled order.

        Args:
            seed: Integer or scalar integer tensor; None for their own order.
            paths: Number of panels P.
            first_path: Position of the first one, an integer or a scalar integer tensor.

        Returns:
            Inputs, a dictionary of `features` `(P, f)` and `strikes` `(P, m, n)`; and targets
            `(P, m, n, 2)`: calls and weights.
        """
        rows = shuffled_rows(seed, paths, first_path, len(self))
        targets = np.stack([self.calls, self.weights], axis=-1)
        inputs = {
            "features": tf.gather(tf.constant(self.features, tf.float32), rows),
            "strikes": tf.gather(tf.constant(self.strikes), rows),
        }
        return inputs, tf.gather(tf.constant(targets), rows)

    def batches(self, batch_size, steps, seed, first_step=0):
        """Batches for `model.fit`, see `hedgezoo.datasets.Market.batches`."""
        return simulated_batches(self.simulate, batch_size, steps, seed, first_step)


def _quoted_at(generator, count, years):
    """Deviations at which surfaces are quoted for their features, `(N, m, 9)`."""
    low, high = generator.uniform(1.0, 2.6, (count, 1)), generator.uniform(0.9, 2.2, (count, 1))
    # strikes that all maturities share are fewer deviations away at long ones
    same_strikes = generator.random((count, 1)) < 0.5
    stretch = np.where(same_strikes, np.sqrt(_MIDDLE / years), 1.0)
    low, high = np.clip(low * stretch, 0.8, 2.8), np.clip(high * stretch, 0.7, 2.4)
    share = np.linspace(0.0, 1.0, _SEEN)
    return -low[..., np.newaxis] + (low + high)[..., np.newaxis] * share


@keras.saving.register_keras_serializable(package="hedgezoo")
class PanelError(keras.losses.Loss):
    """Root mean square error of each surface in basis points of volatility.

    `√(mean (w (calls - quoted))² + 1)` with the weights w = 1 / (1 bp · vega) of the quotes, so
    one bad surface does not outweigh the rest. One value per surface.

    Args:
        name: Of `keras.losses.Loss`.
        reduction: Of `keras.losses.Loss`.
        dtype: Of `keras.losses.Loss`.

    Input shape:
        Quoted calls and weights `(P, m, n, 2)`, and calls `(P, m, n)`.

    Example:

    >>> loss = PanelError()
    >>> print(loss(np.array([[[[0.1, 1e4]]]]), np.array([[[0.1 + 1e-4]]])).numpy().round(4))
    1.4142
    """

    def __init__(self, name="panel_error", reduction="sum_over_batch_size", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def __call__(self, y_true, y_pred, sample_weight=None):
        # prices are differences of digits that float32 does not have
        y_true, y_pred = (tf.cast(x, tf.float64) for x in (y_true, y_pred))
        errors = y_true[..., 1] * (y_pred - y_true[..., 0])
        square = tf.reduce_mean(tf.square(errors), axis=(1, 2))
        values = tf.cast(tf.sqrt(square + 1.0), self.dtype)
        return super().__call__(tf.zeros_like(values), values, sample_weight)

    def call(self, y_true, y_pred):
        return y_pred


@keras.saving.register_keras_serializable(package="hedgezoo")
class SurfacePricing(keras.Model):
    """Prices of many surfaces under one local volatility with features, as a model Keras can fit.

    Compile it with `PanelError` and fit it to `SurfacePanels`; the network is that of the neural
    SDE. Prices come from Dupire's equation: without the noise of paths, a step sees the error of
    each surface to a basis point.

    Args:
        model: A local-volatility `NeuralSDE` with features.
        maturities: Years, `(m,)`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: Dictionary of `features` `(P, f)` and `strikes` `(P, m, n)`.

    Output shape:
        Calls `(P, m, n)`, float64.

    Raises:
        ValueError: If the model has no features, or is not one of local volatility.
    """

    def __init__(self, model, maturities, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        if not model.feature_names or model.states > 1 or not model.risk_neutral:
            raise ValueError(
                "`model` must be a NeuralSDE of local volatility with features. "
                f"Received: kind={model.kind!r}, features={model.feature_names}"
            )
        self.model = model
        self.maturities = tuple(float(years) for years in maturities)
        self.prices = PanelPrices(self.maturities)

    def build(self, input_shape=None):
        if self.built:
            return
        self.model.build()
        self.built = True

    def call(self, inputs, training=False):
        features = tf.convert_to_tensor(inputs["features"])
        network = self.model.network.thinned() if training else self.model.network
        return self.prices.calls(network, features[:, 0], features, inputs["strikes"])

    def get_config(self):
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "maturities": list(self.maturities),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})


def amortised_model(panels, names=SHAPE_FEATURES, units=(64, 64, 64), activation="silu", **options):
    """A `NeuralSDE` of kind `"amortised"` in the units of some surfaces, before its training.

    Args:
        panels: `SurfacePanels`.
        names: Of their features.
        units: Widths of the hidden layers.
        activation: Hidden activation.
        **options: Of `NeuralSDE`.

    Returns:
        A `NeuralSDE` whose network standardises the features.

    Raises:
        ValueError: If the number of names is not that of the features.
    """
    from hedgezoo.neural_sde.model import NeuralSDE

    if len(names) != panels.features.shape[1] or names[0] != "atm_volatility":
        raise ValueError(
            "`names` must be those of the features, the volatility at the money first. "
            f"Received: {names} for {panels.features.shape[1]} features"
        )
    network = {
        "feature_center": panels.features.mean(axis=0).tolist(),
        "feature_scale": panels.features.std(axis=0).tolist(),
        **(options.pop("options", None) or {}),
    }
    return NeuralSDE(
        kind="amortised",
        units=units,
        activation=activation,
        features=names,
        options=network,
        **{"maturities": panels.maturities.tolist(), **options},
    )


@dataclasses.dataclass(frozen=True, eq=False)
class SurfaceTraining:
    """What a training on surfaces found.

    Attributes:
        model: The trained `NeuralSDE`.
        errors_bp: Root mean square error of each held-out surface, `(N,)`; empty without any.
        steps: Training steps.
        history: Losses by epoch, as of Keras.
    """

    model: object
    errors_bp: np.ndarray
    steps: int
    history: dict = dataclasses.field(repr=False)


def fit_surfaces(
    model,
    panels,
    held_out=None,
    steps=14_000,
    batch_size=8,
    learning_rate=8e-3,
    epochs=40,
    seed=0,
    checkpoint=None,
    strategy=None,
    callbacks=(),
    verbose="auto",
):
    """Trains a neural SDE with market features to price many surfaces.

    Adam with a rate that falls by a half cosine, a few surfaces per step, priced by Dupire's
    equation, see `SurfacePricing`. Through `hedgezoo.training.fit`, so it resumes.

    Args:
        model: A local-volatility `NeuralSDE` with features, see `amortised_model`.
        panels: `SurfacePanels`.
        held_out: `SurfacePanels` on the same maturities that are only judged, or None.
        steps: Training steps, rounded up to a multiple of the epochs.
        batch_size: Surfaces per step.
        learning_rate: First learning rate.
        epochs: Parts of the training, each a point of the learning curve.
        seed: Integer, of the order of the surfaces.
        checkpoint: Directory from which a killed run resumes.
        strategy: A `tf.distribute.Strategy` under which the model was made, or None.
        callbacks: Further Keras callbacks.
        verbose: As in `hedgezoo.training.fit`.

    Returns:
        A `SurfaceTraining`; the model itself is trained, too.

    Raises:
        ValueError: If the model has no features, or an argument is out of its range.

    Example:

    ```python
    panels = SurfacePanels.heston(HestonSurfaces(), count=4096, seed=1)
    model = fit_surfaces(amortised_model(panels), panels).model
    quotes = SurfaceQuotes.heston()
    calls = model.price([0.9, 1.0, 1.1], [0.5], features=MarketFeatures(SHAPE_FEATURES).of(quotes))
    ```
    """
    from hedgezoo import training

    trained = SurfacePricing(model, panels.maturities)
    for name, value in (("steps", steps), ("batch_size", batch_size), ("epochs", epochs)):
        check_integer(name, value, minimum=1)
    check_positive("learning_rate", learning_rate)
    per_epoch = -(-steps // epochs)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate, per_epoch * epochs, alpha=_FINAL_RATE
    )
    with (strategy or model.distribute_strategy).scope():
        trained.build()
        trained.compile(keras.optimizers.Adam(schedule), loss=PanelError())
    run = training.fit(
        trained,
        panels,
        strategy=strategy,
        epochs=epochs,
        steps_per_epoch=per_epoch,
        batch_size=batch_size,
        seed=seed,
        callbacks=callbacks,
        checkpoint=checkpoint,
        verbose=verbose,
    )
    errors = np.empty((0, 1, 1)) if held_out is None else panel_errors(model, held_out)
    return SurfaceTraining(
        model, np.sqrt(np.mean(np.square(errors), axis=(1, 2))), per_epoch * epochs, run.history
    )


def panel_errors(model, panels, block=32, prices=None):
    """Errors of a local-volatility model with features on surfaces, by Dupire's equation.

    Args:
        model: A `NeuralSDE`.
        panels: `SurfacePanels`.
        block: Surfaces priced at a time.
        prices: `PanelPrices`, by default on a fine grid.

    Returns:
        Model minus quote, in basis points of volatility to first order, float64 `(N, m, n)`.
    """
    check_integer("block", block, minimum=1)
    prices = PanelPrices(panels.maturities, 141, steps=16.0) if prices is None else prices
    features = tf.constant(panels.features, model.float_type)

    @tf.function(autograph=False, reduce_retracing=True)
    def calls(features, strikes):
        return prices.calls(model.network, features[:, 0], features, strikes)

    model.build()
    parts = [
        calls(features[first : first + block], tf.constant(panels.strikes[first : first + block]))
        for first in range(0, len(panels), block)
    ]
    return (np.concatenate(parts) - panels.calls) * panels.weights
