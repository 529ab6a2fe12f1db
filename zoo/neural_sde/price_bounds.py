"""The lowest and the highest price of an exotic among all neural SDEs that reprice the vanillas."""

import dataclasses
import pathlib

import keras
import tensorflow as tf

from hedgezoo import training
from hedgezoo.datasets.checks import check_integer, check_positive
from hedgezoo.datasets.surface_quotes import SurfaceQuotes
from hedgezoo.losses.trainable_intercept import sum_over_replicas
from hedgezoo.neural_sde.augmented_lagrangian import AugmentedLagrangian
from hedgezoo.neural_sde.calibration_result import root_mean_square, simulated_errors
from hedgezoo.neural_sde.exotic_pricing import exotic_prices
from hedgezoo.neural_sde.exotics import Exotic
from hedgezoo.neural_sde.hedge_book import HedgeBook
from hedgezoo.neural_sde.hedge_risk import batch_mean
from hedgezoo.neural_sde.model import NeuralSDE
from hedgezoo.neural_sde.objective import QuoteError, quote_weights
from hedgezoo.neural_sde.replicated_steps import all_finite, guarded_apply, mean_slopes

_EPOCHS = 10
_FINAL_RATE = 0.05  # last learning rate relative to the first
_WARM_UP = 0.1  # share of the steps in which the learning rate rises: a fresh Adam step is blunt
# a price moves by a few percent for an error as large as the tolerance
_FORCE = {"stiffness": 0.05, "step": 0.002, "multiplier": 0.03}
_NOISE_SEED = 104_729  # of the paths of the last pricing: added to that of the training


@dataclasses.dataclass(frozen=True, eq=False)
class PriceBounds:
    """Prices of an exotic at both ends, and how well the quotes are met there.

    Prices are undiscounted, per unit of forward; errors in basis points of implied volatility,
    root mean square over the quotes, by simulation on fresh paths.

    Args:
        lower: Lowest price that was found.
        upper: Highest price.
        start: Price of the model that both began with.
        lower_standard_error: Monte Carlo standard error of `lower`.
        upper_standard_error: Of `upper`.
        start_standard_error: Of `start`.
        lower_error_bp: Error to the quotes at the lower end.
        upper_error_bp: At the upper end.
        start_error_bp: Of the model that both began with.
        tolerance_bp: The error that was allowed in training, on the paths of a step.
        lower_model: The `NeuralSDE` at the lower end.
        upper_model: The `NeuralSDE` at the upper end.
    """

    lower: float
    upper: float
    start: float
    lower_standard_error: float
    upper_standard_error: float
    start_standard_error: float
    lower_error_bp: float
    upper_error_bp: float
    start_error_bp: float
    tolerance_bp: float
    lower_model: object = dataclasses.field(repr=False)
    upper_model: object = dataclasses.field(repr=False)

    def summary(self):
        """The numbers as a dictionary that JSON can hold."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.name.endswith("model")
        }


def price_bounds(
    model,
    quotes,
    exotic,
    tolerance_bp=30.0,
    steps=300,
    paths=2048,
    learning_rate=5e-3,
    seed=0,
    evaluation_paths=2**16,
    checkpoint=None,
    verbose=0,
):
    """How far an exotic's price can go while the quotes are repriced.

    From a calibrated model, two copies go on training: one minimises the exotic's price and one
    maximises it, both as long as the error to the quotes stays within the tolerance, which the
    method of multipliers sees to, see `AugmentedLagrangian`. What they find are inner bounds: a
    more flexible model or a longer search may go further. The error on the paths of a step holds
    the noise of these paths, so a tolerance below it leaves no room.

    Args:
        model: A calibrated `NeuralSDE` under the pricing measure, best of kind `"stochastic"`: a
            local volatility is fixed by the quotes. It is left as it is.
        quotes: `SurfaceQuotes`.
        exotic: The `Exotic`.
        tolerance_bp: Root mean square error to the quotes that is allowed, in basis points of
            implied volatility.
        steps: Training steps for each end.
        paths: Paths per step, best a power of two.
        learning_rate: First learning rate of Adam, which falls by a half cosine.
        seed: Integer of the paths.
        evaluation_paths: Paths of the last pricing.
        checkpoint: Directory in which the trainings are kept, so that a killed search goes on.
        verbose: As in `hedgezoo.training.fit`.

    Returns:
        `PriceBounds`.

    Raises:
        ValueError: If an argument is out of its range, or the model has a drift or features.

    Example:

    ```python
    bounds = price_bounds(model, quotes, lookback(), tolerance_bp=30)
    print(bounds.lower, bounds.upper, bounds.lower_error_bp, bounds.upper_error_bp)
    ```

    Reference:
        Gierjatowicz, Sabate-Vidales, Šiška, Szpruch, Žurič, "Robust pricing and hedging via neural
        SDEs" (2020), section 2.
    """
    if not isinstance(quotes, SurfaceQuotes) or not isinstance(exotic, Exotic):
        raise ValueError(
            "`quotes` must be `SurfaceQuotes` and `exotic` an `Exotic`. "
            f"Received: {type(quotes).__name__} and {type(exotic).__name__}"
        )
    check_positive("tolerance_bp", tolerance_bp)
    check_positive("learning_rate", learning_rate)
    check_integer("steps", steps, minimum=1)
    check_integer("seed", seed)
    model.build()
    found = {}
    for name, direction in (("start", 0), ("lower", -1), ("upper", 1)):
        end = model
        if direction:
            end = copied(model)
            extreme = ExtremePrice(end, quotes, exotic, direction, tolerance_bp)
            where = None if checkpoint is None else pathlib.Path(checkpoint) / name
            extreme.search(steps, paths, learning_rate, seed, where, verbose)
            found[f"{name}_model"] = end
        prices = exotic_prices(end, exotic, evaluation_paths, seed + _NOISE_SEED)
        errors = simulated_errors(end, quotes, evaluation_paths, seed + _NOISE_SEED)[1]
        found[name] = float(prices.price[0])
        found[f"{name}_standard_error"] = float(prices.standard_error[0])
        found[f"{name}_error_bp"] = root_mean_square(errors)
    return PriceBounds(tolerance_bp=float(tolerance_bp), **found)


def copied(model):
    """A `NeuralSDE` of its own with the weights of another one."""
    copy = NeuralSDE.from_config(model.get_config())
    copy.build()
    copy.set_weights(model.get_weights())
    return copy


class ExtremePrice(keras.Model):
    """The price of an exotic under a neural SDE, to be made extreme under a constraint.

    Args:
        sde: A `NeuralSDE` without features; its weights are trained.
        quotes: `SurfaceQuotes` to be met.
        exotic: An `Exotic`.
        direction: 1 for the highest price, -1 for the lowest.
        tolerance_bp: Root mean square error to the quotes that is allowed.

    Call arguments:
        inputs: Dictionary of `increments` `(B, T, k)`.

    Output shape:
        Payoffs of the options out of the money and, last, of the exotic, `(B, N + 1)`.
    """

    def __init__(self, sde, quotes, exotic, direction, tolerance_bp):
        super().__init__(autocast=False)
        if not sde.risk_neutral or sde.feature_names:
            raise ValueError(
                "`model` must be of kind 'local' or 'stochastic', without features. "
                f"Received: a model of kind {sde.kind!r}"
            )
        self.sde, self.direction, self.tolerance_bp = sde, direction, float(tolerance_bp)
        self.book = HedgeBook(sde, quotes, exotic)
        self.quote_error = QuoteError(quote_weights(quotes))
        self.force = AugmentedLagrangian(**_FORCE)
        self.trackers = [keras.metrics.Mean(name=name) for name in ("price", "error_bp")]
        self.built = True

    @property
    def metrics(self):
        return self.trackers

    def simulate(self, seed, paths, first_path=0):
        """Increments, and the quoted prices on every path, see `QuotedPaths`."""
        increments = self.book.rollout.draw(seed, paths, first_path)
        prices = tf.constant(self.book.prices, increments.dtype)
        return {"increments": increments}, tf.broadcast_to(prices, (paths, len(self.book.prices)))

    def call(self, inputs, training=False):
        return self.book.payoffs(self.book.paths(inputs["increments"], training))

    def search(self, steps, paths, learning_rate, seed, checkpoint=None, verbose=0):
        """Trains the weights of the SDE towards the end of the range.

        Args:
            steps, paths, learning_rate, seed, checkpoint, verbose: As in `price_bounds`.

        Returns:
            The `keras.callbacks.History`.
        """
        warm_up = max(1, int(_WARM_UP * steps))
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, steps - warm_up),
            alpha=_FINAL_RATE,
            warmup_target=learning_rate,
            warmup_steps=warm_up,
        )
        self.compile(keras.optimizers.Adam(schedule), jit_compile=False)
        per_epoch = -(-steps // _EPOCHS)
        return training.fit(
            self,
            self,
            epochs=-(-steps // per_epoch),
            steps_per_epoch=per_epoch,
            batch_size=paths,
            seed=seed,
            checkpoint=checkpoint,
            verbose=verbose,
        )

    def train_step(self, data):
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        variables = self.sde.trainable_variables
        with tf.GradientTape() as tape:
            payoff = self(inputs, training=True)
            error = self.quote_error.call(target, payoff[:, :-1])
            square = tf.stop_gradient(error[0])
            excess = square / self.tolerance_bp**2 - 1.0
            price = tf.stop_gradient(batch_mean(payoff[:, -1:])[0])
            # relative to the price, so that the two forces are of one size
            aim = -self.direction * payoff[:, -1] / price
            objective = aim + self.force(excess) * error / self.tolerance_bp**2
        slopes = mean_slopes(tape, objective, variables)
        finite = all_finite([*slopes, sum_over_replicas(excess)])
        guarded_apply(self.optimizer, slopes, variables, finite)
        self.force.update(excess)
        for tracker, value in zip(self.trackers, (price, tf.sqrt(square)), strict=True):
            weight = tf.cast(finite, value.dtype)
            tracker.update_state(tf.where(finite, value, tf.zeros_like(value)), weight)
        return {tracker.name: tracker.result() for tracker in self.trackers}

    def get_config(self):
        return {
            "sde": self.sde.get_config(),
            "quotes": self.book.quotes.get_config(),
            "exotic": self.book.exotic.get_config(),
            "direction": self.direction,
            "tolerance_bp": self.tolerance_bp,
        }
