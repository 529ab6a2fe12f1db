"""A neural SDE and the hedges of its options, learned together."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import (
    check_integer,
    check_not_negative,
    check_one_of,
    check_positive,
)
from hedgezoo.datasets.surface_quotes import SurfaceQuotes
from hedgezoo.layers._arguments import as_tensor, money_dtype, require_values
from hedgezoo.neural_sde.augmented_lagrangian import AugmentedLagrangian
from hedgezoo.neural_sde.exotics import Exotic, exotic_deviation
from hedgezoo.neural_sde.hedge_book import HedgeBook
from hedgezoo.neural_sde.hedge_network import HedgeNetwork
from hedgezoo.neural_sde.hedge_risk import HedgeRisk, batch_mean, payoff_deviations
from hedgezoo.neural_sde.model import NeuralSDE
from hedgezoo.neural_sde.objective import QuoteError, quote_weights
from hedgezoo.neural_sde.replicated_steps import all_finite, guarded_apply, mean_slopes
from hedgezoo.preset_model import PresetModel

MODES = ("control", "cooperative", "adversarial")


@keras.saving.register_keras_serializable(package="hedgezoo")
class JointNeuralSDEHedge(PresetModel):
    """A neural SDE that is calibrated to quotes, and a network that hedges the options along it.

    With Ψ the payoffs and `G = Σ φ ΔS` the gains of the hedges, per batch of paths:

    - `"control"`: the SDE minimises the pricing error of `Ψ - G`, the hedge the risk of `G - Ψ`
      along paths that it takes as they are. G has mean zero whatever φ is, so prices are unbiased,
      and less noisy; but the hedge says nothing to the SDE.
    - `"cooperative"`: the SDE minimises `pricing error + coupling · risk`. That prefers dynamics
      under which options can be hedged, so it takes volatility of volatility away.
    - `"adversarial"`: the SDE maximises the risk of the hedge as long as the pricing error is below
      `tolerance_bp`, by the method of multipliers; the hedge is then robust against all SDEs that
      reprice the quotes.

    The pricing error is the mean square of price errors divided by vega, so it is in (volatility)²;
    the risk is relative to that of the payoff, see `HedgeRisk`, and averaged over the options.

    Args:
        quotes: `SurfaceQuotes` (or its configuration) of the N options.
        sde: Dictionary of arguments of `NeuralSDE`; by default a stochastic volatility.
        exotic: Optional `Exotic` (or its configuration) that is hedged as well.
        mode: `"control"`, `"cooperative"` or `"adversarial"`.
        coupling: Weight of the risk in the cooperative mode, in basis points squared: the pricing
            error that a risk of 1 is worth.
        tolerance_bp: Pricing error in basis points up to which an adversarial SDE may go.
        risk: `"variance"`, `"cvar"` or `"entropic"`.
        level: Level of CVaR.
        risk_aversion: Of entropic risk, per standard deviation of the payoff.
        cost: Cost of a trade in the forward per amount of money traded.
        hedge_steps: Steps of the hedge's optimizer per step of the SDE's, on the same paths.
        hedge_every: Positions change at every so many-th step of the simulation.
        hedge: Dictionary of arguments of `HedgeNetwork`, such as `units` and `rank`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: Dictionary of `increments` `(B, T, k)`, as `simulate` makes them.

    Output shape:
        Payoffs less hedging gains `(B, N)`, of puts below the forward and calls from there on:
        their means are prices.

    Raises:
        ValueError: If an argument is unknown or out of its range.

    Example:

    >>> quotes = SurfaceQuotes([0.9, 1.0, 1.1], [0.5, 0.5, 0.5], [0.22, 0.2, 0.19])
    >>> model = JointNeuralSDEHedge(quotes, sde={"kind": "local", "units": (8,)})
    >>> model(model.simulate(seed=0, paths=64)[0]).shape
    TensorShape([64, 3])

    Reference:
        Gierjatowicz, Sabate-Vidales, Šiška, Szpruch, Žurič, "Robust pricing and hedging via neural
        SDEs" (2020), for hedges as control variates. Limmer, Horvath, "Robust hedging GANs" (2023),
        for the adversarial mode.
    """

    def __init__(
        self,
        quotes,
        sde=None,
        exotic=None,
        mode="control",
        coupling=100.0,
        tolerance_bp=20.0,
        risk="variance",
        level=0.95,
        risk_aversion=1.0,
        cost=0.0,
        hedge_steps=1,
        hedge_every=3,
        hedge=None,
        **kwargs,
    ):
        super().__init__(**{"autocast": False, **kwargs})
        self.quotes = _made("quotes", quotes, SurfaceQuotes)
        self.exotic = None if exotic is None else _made("exotic", exotic, Exotic)
        check_one_of("mode", mode, MODES)
        check_positive("coupling", coupling)
        check_positive("tolerance_bp", tolerance_bp)
        check_not_negative("cost", cost)
        check_integer("hedge_steps", hedge_steps, minimum=1)
        check_integer("hedge_every", hedge_every, minimum=1)
        self.mode = mode
        self.coupling = float(coupling)
        self.tolerance_bp = float(tolerance_bp)
        self.cost = float(cost)
        self.hedge_steps = hedge_steps
        self.hedge_every = hedge_every
        level_of_quotes = float(np.mean(self.quotes.implied_volatility))
        self.sde_options = {
            "kind": "stochastic",
            "volatility": level_of_quotes,
            "maturities": tuple(self.quotes.expiries.tolist()),
            **(sde or {}),
        }
        self.hedge_options = {"volatility": level_of_quotes, **(hedge or {})}
        self.sde = NeuralSDE(dtype=self.dtype_policy, **self.sde_options)
        if not self.sde.risk_neutral or self.sde.feature_names:
            raise ValueError(
                "`sde` must be of kind 'local' or 'stochastic', without features. "
                f"Received: sde={sde}"
            )
        self.book = HedgeBook(self.sde, self.quotes, self.exotic, hedge_every)
        self.hedge_network = self.new_hedge_network()
        scale = payoff_deviations(
            self.quotes.strikes, self.quotes.maturities, self.quotes.is_put, self.sde.volatility
        )
        if self.exotic is not None:
            scale = np.append(scale, exotic_deviation(self.exotic, self.sde.volatility))
        self.hedge_risk = HedgeRisk(scale, risk, level, risk_aversion, dtype=self.dtype_policy)
        self.quote_error = QuoteError(quote_weights(self.quotes))
        self.force = AugmentedLagrangian(dtype=self.dtype_policy)
        self.hedge_optimizer = None
        self.trackers = [
            keras.metrics.Mean(name=name) for name in ("loss", "error_bp", "hedge_risk")
        ]

    def new_hedge_network(self):
        """An untrained network of the same kind as `hedge_network`."""
        contract = {}
        if self.exotic is not None:
            contract = {
                "path_features": self.exotic.feature_count,
                "path_maturity": self.exotic.maturity,
            }
        return HedgeNetwork(
            factors=self.sde.states - 1, dtype=self.dtype_policy, **contract, **self.hedge_options
        )

    def build(self, input_shape=None):
        if self.built:
            return
        self.sde.build()
        self.hedge_network.build()
        self.hedge_risk.build()
        self.built = True

    def simulate(self, seed, paths, first_path=0):
        """Training data: what the paths of a seed are made of, and what the options cost.

        Args:
            seed: Integer or scalar integer tensor.
            paths: Number of paths B.
            first_path: Global index of the first path.

        Returns:
            Tuple of a dictionary of `increments` `(B, T, k)`, and the quoted prices of the options
            out of the money, `(B, N)`, the same on all paths.
        """
        increments = self.book.rollout.draw(seed, paths, first_path)
        prices = tf.constant(self.book.prices, increments.dtype)
        return {"increments": increments}, tf.broadcast_to(prices, (paths, len(self.quotes)))

    def call(self, inputs, training=False):
        path = self.book.paths(inputs["increments"], training)
        controlled = self.book.payoffs(path) - self._gains(path)[0]
        return controlled[:, : len(self.quotes)]

    def _gains(self, path):
        positions = self.book.positions(path, self.hedge_network)
        return self.book.gains(path, positions, self.cost)

    def hedge(self, spot, time, strike, maturity, factor=None, call=True):
        """The position in the forward that hedges one option that was sold.

        Args:
            spot: Spot divided by the forward.
            time: Years from today.
            strike: Strike divided by the forward.
            maturity: Years from today to expiry.
            factor: Latent factor y; only of a stochastic volatility, 0 by default.
            call: Whether the option is a call.

        Returns:
            Tensor of the broadcast shape of the arguments; zero from the maturity on.

        Raises:
            ValueError: If the spot or the strike is not positive.
        """
        self.build()
        dtype = money_dtype(self.compute_dtype)
        spot, strike = as_tensor(spot, dtype), as_tensor(strike, dtype)
        for name, value in (("spot", spot), ("strike", strike)):
            require_values(_is_positive, value, name, "positive")
        if self.sde.states > 1 and factor is None:
            factor = tf.zeros((), dtype)
        time, maturity = as_tensor(time, dtype), as_tensor(maturity, dtype)
        position = self.hedge_network.position(spot, time, strike, maturity, factor)
        return position if call else position - tf.cast(time < maturity, position.dtype)

    # ----------------------------------------------------------------------------------- training

    def compile(self, optimizer="adam", hedge_optimizer=None, **kwargs):
        """Prepares the model for `fit` and `hedgezoo.training.fit`, on the data of `simulate`.

        Args:
            optimizer: Of the SDE.
            hedge_optimizer: Of the hedge. By default one like `optimizer`, whose learning rate is
                that of `optimizer` at the moment.
            **kwargs: Of `keras.Model.compile`, apart from `loss`: the objective is the model's own.

        Raises:
            ValueError: If there is a loss.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(
                "`loss` must be None: `mode` and `risk` say what is minimised. "
                f"Received: loss={kwargs['loss']!r}"
            )
        self.build()
        super().compile(optimizer, **{"jit_compile": False, **kwargs})
        if hedge_optimizer is None:
            config = {**self.optimizer.get_config(), "learning_rate": self._learning_rate}
            hedge_optimizer = type(self.optimizer).from_config(config)
        self.hedge_optimizer = keras.optimizers.get(hedge_optimizer)
        self.hedge_optimizer.build(self._hedge_variables)

    def _learning_rate(self):
        return tf.convert_to_tensor(self.optimizer.learning_rate)

    @property
    def metrics(self):
        return self.trackers

    @property
    def further_optimizers(self):
        """Optimizers besides `optimizer` whose state is part of a training run."""
        return [] if self.hedge_optimizer is None else [self.hedge_optimizer]

    @property
    def _hedge_variables(self):
        return [*self.hedge_network.trainable_variables, *self.hedge_risk.trainable_variables]

    def train_step(self, data):
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        dynamics, hedge = self.sde.trainable_variables, self._hedge_variables
        with tf.GradientTape() as tape:
            path = self.book.paths(inputs["increments"], training=True)
            objective, found = self._objective(path, target)
        slopes = mean_slopes(tape, objective, [*dynamics, *hedge])
        finite = all_finite(slopes)
        if dynamics:
            guarded_apply(self.optimizer, slopes[: len(dynamics)], dynamics, finite)
        # against each other, the two pull at the risk in opposite directions
        sign = -1.0 if self.mode == "adversarial" else 1.0
        slopes = [sign * slope for slope in slopes[len(dynamics) :]]
        guarded_apply(self.hedge_optimizer, slopes, hedge, finite)
        path = tf.stop_gradient(path)
        for _ in range(self.hedge_steps - 1):
            with tf.GradientTape() as tape:
                risk = self._risk(path, self.book.payoffs(path))[0]
            guarded_apply(self.hedge_optimizer, mean_slopes(tape, risk, hedge), hedge, finite)
        if self.mode == "adversarial":
            self.force.update(self._excess(found["square"]))
        return self._logged(found, finite)

    def test_step(self, data):
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        found = self._objective(self.book.paths(inputs["increments"]), target)[1]
        return self._logged(found, tf.constant(True))

    def _objective(self, path, target):
        """What is minimised, per path `(B,)`, and numbers for the record, the same on replicas."""
        payoff = self.book.payoffs(path)
        if self.mode == "control":
            risk, gains = self._risk(tf.stop_gradient(path), tf.stop_gradient(payoff))
        else:
            risk, gains = self._risk(path, payoff)
        controlled = (payoff - tf.stop_gradient(gains))[:, : len(self.quotes)]
        error = self.quote_error.call(target, controlled)
        square = tf.stop_gradient(error[0])
        if self.mode == "control":
            objective = error + risk
        elif self.mode == "cooperative":
            objective = error + self.coupling * risk
        else:
            objective = self.force(self._excess(square)) * error / self.tolerance_bp**2 - risk
        loss, mean_risk = tf.unstack(batch_mean(tf.stack([objective, risk], axis=1)))
        return objective, {
            "loss": loss,
            "square": square,
            "error_bp": tf.sqrt(square),
            "hedge_risk": mean_risk,
        }

    def _risk(self, path, payoff):
        """Risk of the hedges, averaged over them, per path `(B,)`; and the gains `(B, N + E)`."""
        gains, costs = self._gains(path)
        return tf.reduce_mean(self.hedge_risk(payoff, gains - costs), axis=1), gains

    def _excess(self, square):
        """How far the pricing error is above the tolerance; negative below."""
        return square / self.tolerance_bp**2 - 1.0

    def _logged(self, found, finite):
        for tracker in self.trackers:
            value = found[tracker.name]
            tracker.update_state(
                tf.where(finite, value, tf.zeros_like(value)), tf.cast(finite, value.dtype)
            )
        return {tracker.name: tracker.result() for tracker in self.trackers}

    # ------------------------------------------------------------------------- prices and judgement

    def price(self, strikes, maturities, **options):
        """Call prices under the learned dynamics: `NeuralSDE.price` of `sde`."""
        return self.sde.price(strikes, maturities, **options)

    def evaluate_on(self, market, paths, seed, **options):
        """Pricing errors and what the hedges leave; see `hedgezoo.neural_sde.joint_evaluation`."""
        from hedgezoo.neural_sde.joint_evaluation import evaluate_joint

        return evaluate_joint(self, market, paths, seed, **options)

    def serving_signatures(self):
        """Those of `NeuralSDE`, and `hedge`; see `hedgezoo.serving`."""
        from hedgezoo.serving.neural_sde_hedge_signatures import neural_sde_hedge_signatures

        return neural_sde_hedge_signatures(self)

    def pictures(self, about):
        """What the hedges leave of the risk, option by option, and one hedge over the spot."""
        from hedgezoo.neural_sde.joint_pictures import joint_pictures

        return joint_pictures(self, about)

    # ------------------------------------------------------------------------------------- storage

    def get_config(self):
        return {
            **super().get_config(),
            "quotes": self.quotes.get_config(),
            "sde": self.sde_options,
            "exotic": None if self.exotic is None else self.exotic.get_config(),
            "mode": self.mode,
            "coupling": self.coupling,
            "tolerance_bp": self.tolerance_bp,
            "risk": self.hedge_risk.risk,
            "level": self.hedge_risk.level,
            "risk_aversion": self.hedge_risk.risk_aversion,
            "cost": self.cost,
            "hedge_steps": self.hedge_steps,
            "hedge_every": self.hedge_every,
            "hedge": self.hedge_options,
        }


def _made(name, value, cls):
    """An object of a class, from itself or from its configuration."""
    if isinstance(value, cls):
        return value
    if isinstance(value, dict):
        return cls.from_config(value)
    raise ValueError(f"`{name}` must be of {cls.__name__}. Received: {name}={value!r}")


def _is_positive(value):
    return value > 0
