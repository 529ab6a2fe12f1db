"""The neural SDE: drift and diffusion are networks, prices are expectations along its paths."""

import importlib

import keras
import tensorflow as tf

from hedgezoo.datasets.checks import check_one_of
from hedgezoo.layers import SDERollout
from hedgezoo.layers._arguments import as_tensor, money_dtype
from hedgezoo.layers.draws import DRAWS
from hedgezoo.layers.sde.spot_grid import SpotGrid
from hedgezoo.layers.sde.time_grid import check_times, time_grid
from hedgezoo.layers.sobol import MAX_DIMENSIONS
from hedgezoo.neural_sde.dynamics import network_class
from hedgezoo.neural_sde.network_options import check_options
from hedgezoo.neural_sde.points import checked_features, flat_points
from hedgezoo.neural_sde.rollouts import Rollouts
from hedgezoo.neural_sde.simulated_paths import simulated_paths
from hedgezoo.preset_model import PresetModel

_MATURITIES = tuple((i + 1) / 6 for i in range(6))


@keras.saving.register_keras_serializable(package="hedgezoo")
class NeuralSDE(PresetModel):
    """dS / S = μ dt + σ dW with networks for the coefficients, S being the spot over its forward.

    Under the pricing measure (kinds `"local"` and `"stochastic"`) there is no drift, and the
    simulated state is log(S / F): E[S] = F then holds at every step for whatever weights. The
    volatility is bounded, so no path explodes.

    Args:
        kind: `"local"`: σ(S, t), one factor. `"stochastic"`: σ(S, y, t) with a latent factor y
            whose drift, volatility and correlation with S are learned too, see
            `hedgezoo.neural_sde.coefficient_networks.StochasticVolatility`. `"historical"`:
            drift and volatility under the real-world measure.
        units: Widths of the hidden layers, 2–4 of 32–128 units.
        activation: Hidden activation. Calibrated to 126 quotes of a Heston surface (600 steps and
            the polish, one seed), ReLU leaves 0.08 bp by Dupire's equation and 1.7 bp as simulated,
            SiLU 1.8 and 2.7, tanh 6.2 and 6.4.
        volatility: Level of σ per √year before training, and the scale of its inputs.
        bounds: Lowest and highest σ.
        features: Names of market features (known today, constant along a path) on which the
            coefficients depend; then one model serves many surfaces.
        dropout: Share of the hidden units of the volatility network that are dropped in training:
            the same units on all paths and at all times of a step, because σ is a function.
        maturities: Years, increasing. Where `call` returns states; σ(S, t) is constant in t after
            the last of them.
        steps_per_year: Time steps per year.
        concentration: One or above; more puts more steps at the start, see `SDERollout`.
        scheme: Of `SDERollout`; by default `"log_milstein"` with one factor, and `"log_euler"`.
        draws: `"sobol"`, `"antithetic"` or `"plain"`.
        options: Dictionary of further arguments of the coefficient network of this kind, see
            `hedgezoo.neural_sde.coefficient_networks`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: Dictionary of `increments` `(B, T, k)`, as `rollout().draw` makes them, and, with
            features, of `features` `(P, f)`: a row for each of P equal blocks of paths.

    Output shape:
        States `(B, m, d)` at the maturities: log(S / F), and the latent factor of a stochastic
        volatility.

    Raises:
        ValueError: If an argument is unknown or out of its range.

    Example:

    >>> model = NeuralSDE(units=(8,), volatility=0.3, options={"seed": 1})
    >>> float(model.diffusion(spot=1.0, time=0.5)), float(model.drift(spot=1.0, time=0.5))
    (0.3..., 0.0)
    >>> {name: tuple(x.shape) for name, x in model.simulate(seed=0, paths=8, times=[0, 1]).items()}
    {'spot': (8, 2), 'volatility': (8, 2)}

    Reference:
        Gierjatowicz, Sabate-Vidales, Šiška, Szpruch, Žurič, "Robust pricing and hedging via neural
        SDEs" (2020).
    """

    def __init__(
        self,
        kind="local",
        units=(64, 64),
        activation="relu",
        volatility=0.2,
        bounds=(0.01, 2.0),
        features=(),
        dropout=0.0,
        maturities=_MATURITIES,
        steps_per_year=96,
        concentration=1.5,
        scheme=None,
        draws="sobol",
        options=None,
        **kwargs,
    ):
        # increments in 16 bits would drown in rounding
        super().__init__(**{"autocast": False, **kwargs})
        network = network_class(kind)
        self.kind = kind
        if isinstance(features, str) or not all(isinstance(name, str) for name in features):
            raise ValueError(f"`features` must be a sequence of names. Received: {features!r}")
        self.feature_names = tuple(features)
        self.maturities = tuple(check_times("maturities", maturities).tolist())
        self.scheme = network.scheme if scheme is None else scheme
        if self.scheme not in ("log_euler", "log_milstein"):
            raise ValueError(
                "`scheme` must be 'log_euler' or 'log_milstein': the state is log(S / F). "
                f"Received: scheme={scheme!r}"
            )
        check_one_of("draws", draws, DRAWS)
        self.draws = draws
        self.steps_per_year = steps_per_year
        self.concentration = concentration
        time_grid(self.maturities, steps_per_year, concentration=concentration)
        self.options = dict(options or {})
        check_options(network, self.options)
        self.network = network(
            units=units,
            activation=activation,
            volatility=volatility,
            bounds=bounds,
            features=len(self.feature_names),
            dropout=dropout,
            horizon=self.maturities[-1],
            dtype=self.dtype_policy,
            **self.options,
        )
        if self.scheme == "log_milstein" and self.network.factors > 1:
            raise ValueError(
                "`scheme` must be 'log_euler' with more than one factor. Received: 'log_milstein'"
            )
        self._rollouts = Rollouts()

    def build(self, input_shape=None):
        if self.built:
            return
        self.network.build()
        self.built = True

    @property
    def states(self):
        """Number d of components of the state."""
        return len(self.network.initial)

    @property
    def volatility(self):
        """Level of σ before training."""
        return self.network.volatility

    @property
    def float_type(self):
        """Type of states and prices: that of the model, or float32 if it has 16 bits."""
        return money_dtype(self.compute_dtype)

    @property
    def evaluation_paths(self):
        """On how many paths `hedgezoo.evaluate` judges; of an amortised model, surfaces."""
        return self.network.evaluation[2]

    @property
    def risk_neutral(self):
        """Whether S / F is a martingale, so that prices are expectations."""
        return self.network.risk_neutral

    # -------------------------------------------------------------------------------- coefficients

    def drift(self, spot, time, features=None, factor=None):
        """μ(S, t) per year: zero under the pricing measure.

        Args:
            spot: Spot divided by the forward, any shape.
            time: Years, of a shape that broadcasts with `spot`.
            features: `(f,)`, or `(..., f)` that broadcasts with the others; only with features.
            factor: The latent factor y, of a shape that broadcasts with `spot`; 0 by default.

        Returns:
            Tensor of the broadcast shape of the arguments.

        Raises:
            ValueError: If the spot is not positive, or features do not fit the model.
        """
        state, time, features, shape = self._points(spot, time, features, factor)
        if self.network.drift is None or self.risk_neutral:
            return tf.zeros(shape, state.dtype)
        drift = _evaluate(self.network.drift, state, time, features)
        return tf.reshape(drift[:, 0], shape)

    def diffusion(self, spot, time, features=None, factor=None):
        """σ(S, t), the relative volatility per √year.

        Args:
            spot, time, features, factor: As in `drift`.

        Returns:
            Tensor of the broadcast shape of the arguments.

        Raises:
            ValueError: If the spot is not positive, or features do not fit the model.
        """
        state, time, features, shape = self._points(spot, time, features, factor)
        return tf.reshape(self.volatility_at(state, time, features), shape)

    def local_volatility_table(self, times, log_spot, features=None):
        """σ on a grid, for finite differences.

        Args:
            times: Years, `(T,)`.
            log_spot: x = log(S / F), `(G,)`, or one grid per time, `(T, G)`.
            features: `(f,)`, only with features.

        Returns:
            Tensor `(T, G)`, differentiable in the weights.

        Raises:
            ValueError: If the model has more than one factor.
        """
        self._require_local("local_volatility_table")
        log_spot = as_tensor(log_spot, self.float_type)
        time = as_tensor(times, self.float_type)[:, tf.newaxis]
        return self.diffusion(tf.exp(log_spot), time, features)

    def _points(self, spot, time, features, factor):
        self.build()
        if factor is not None and self.states == 1:
            raise ValueError(
                f"a {self.kind!r} model has no latent `factor`. Received: factor={factor!r}"
            )
        features = checked_features(self.feature_names, features, self.float_type)
        initial = self.network.initial
        return flat_points(spot, time, features, factor, initial, self.float_type)

    def volatility_at(self, state, time, features=None):
        """σ `(N, 1)` at states `(N, d)`, times `(N, 1)` and, with features, `(N, f)`."""
        return self.network.volatility_of(_evaluate(self.network, state, time, features))

    def _require_local(self, what):
        if self.states > 1 or not self.risk_neutral:
            raise ValueError(
                f"`{what}` is for local volatility, σ(S, t) without a drift. "
                f"Received: a model of kind {self.kind!r}"
            )

    # ---------------------------------------------------------------------------------- simulation

    def rollout(self, maturities=None, **changes):
        """The simulation of this model as a layer that shares its networks.

        Args:
            maturities: Years, increasing; those of the model by default.
            **changes: Arguments of `SDERollout` that differ from the model's, such as `scheme`,
                `draws`, `grid`, `steps_per_year` or `output`.

        Returns:
            An `SDERollout`, the same one for the same arguments.

        Raises:
            ValueError: If the maturities are not positive and increasing, or as `SDERollout` says.
        """
        self.build()
        maturities = self.maturities if maturities is None else maturities
        maturities = tuple(check_times("maturities", maturities).tolist())
        if isinstance(changes.get("grid"), dict):
            changes["grid"] = SpotGrid(**changes["grid"])
        key = (maturities, *sorted(changes.items()))
        return self._rollouts.get(key, lambda: self._new_rollout(self.network, maturities, changes))

    def _new_rollout(self, diffusion, maturities, changes):
        network = self.network
        settings = {
            "drift": network.drift,
            "scheme": self.scheme,
            "log_states": network.log_states,
            "initial": network.initial[0] if self.states == 1 else network.initial,
            "factors": network.factors,
            "steps_per_year": self.steps_per_year,
            "first_steps": network.first_steps,
            "concentration": self.concentration,
            "draws": self.draws,
            "grid": SpotGrid(volatility=network.volatility) if network.gridded else None,
            "dtype": self.dtype_policy,
            **changes,
        }
        return SDERollout(diffusion, maturities, **settings)

    def call(self, inputs, training=False):
        if not isinstance(inputs, dict) or "increments" not in inputs:
            raise ValueError(
                "`inputs` must be a dictionary of `increments` and, with features, `features`. "
                f"Received: {sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__}"
            )
        return self.states_at(
            inputs["increments"], features=inputs.get("features"), training=training
        )

    def states_at(self, increments, maturities=None, features=None, training=False, **changes):
        """States at maturities of the paths of given increments; `call` with a choice of times.

        Args:
            increments: Of the Brownian motions, `(B, T, k)`, as `rollout(maturities).draw` makes.
            maturities: Years, increasing; those of the model by default.
            features: `(f,)` or `(P, f)`, a row for each of P equal blocks of paths.
            training: Whether units are dropped.
            **changes: As in `rollout`.

        Returns:
            Tensor `(B, m, d)`.
        """
        rollout = self.rollout(maturities, **changes)
        if training and self.network.dropout:
            diffusion = self.network.thinned()
            rollout = self._new_rollout(diffusion, rollout.maturities, changes)
        return rollout(increments, features=self.blocks(features))

    def blocks(self, features):
        """Features as `(P, f)`, a row for each of P blocks of paths, or None; checked."""
        features = checked_features(self.feature_names, features, self.float_type)
        if features is None or features.shape.rank == 2:
            return features
        if features.shape.rank != 1:
            raise ValueError(
                f"`features` must have shape (f,) or (P, f). Received: shape {features.shape}"
            )
        return features[tf.newaxis]

    def simulate(self, seed, paths, times, first_path=0, features=None, factor=None):
        """Paths `first_path ... first_path + paths - 1` of spot, volatility and factor.

        The paths of a seed belong to the times: between others the simulation takes other steps.
        Sobol draws are used as far as they have dimensions, plain ones for longer paths.

        Args:
            seed: Integer or scalar integer tensor.
            paths: Number of paths B.
            times: Years, increasing, `(n,)`; the first may be 0.
            first_path: Global index of the first path. Path 17 is the same whatever the batch, up
                to the rounding of a network's matrix products.
            features: `(f,)` or `(P, f)`, a row for each of P equal blocks of paths.
            factor: Factor at time 0, a number or `(B,)`; default 0. Of a historical model it is
                the logarithm of today's volatility index relative to its level, see
                `HistoricalCoefficients.factor_of`.

        Returns:
            Dictionary of `spot` `(B, n)`, divided by the forward, `volatility` `(B, n)` and, of a
            model with more than one factor or a memory, `factor` `(B, n)`.

        Raises:
            ValueError: If an argument is out of its range, or paths are not finite (the message
                has the step and their number).
        """
        return simulated_paths(self, seed, paths, times, first_path, features, factor)

    def draws_for(self, maturities):
        """Changes for `rollout`: plain draws where Sobol's sequence has too few dimensions."""
        times, _ = time_grid(
            maturities, self.steps_per_year, self.network.first_steps, self.concentration
        )
        many = (len(times) - 1) * self.network.factors > MAX_DIMENSIONS
        return {"draws": "plain"} if many and self.draws == "sobol" else {}

    def graph_of(self, rollout, name, function):
        """`function` as a graph, traced once per rollout."""
        return self._rollouts.graph(rollout, name, function)

    # -------------------------------------------------------------------------------------- prices

    def price(self, strikes, maturities, paths=2**16, seed=0, features=None, control=True):
        """Call prices by simulation; see `hedgezoo.neural_sde.simulated_prices`.

        Args:
            strikes: Strikes divided by the forward, `(n,)` or `(m, n)`.
            maturities: Years, increasing, `(m,)`. After the last maturity of the model its
                volatility no longer depends on the time.
            paths: Number of paths N, at least 16; rounded up to a multiple of 16.
            seed: Integer.
            features: `(f,)`, only of a model with features.
            control: Whether a Black-Scholes model on the same increments is the control variate.

        Returns:
            A `SimulatedPrices` with `price`, `standard_error` and `implied_volatility`, `(m, n)`.

        Raises:
            ValueError: If the model has a drift, an argument is out of its range, or paths are not
                finite.
        """
        from hedgezoo.neural_sde.simulated_prices import simulated_prices

        self._require_risk_neutral("price")
        return simulated_prices(self, strikes, maturities, paths, seed, features, control)

    def price_by_pde(self, strikes, maturities, features=None, **options):
        """Call prices of a local volatility by Dupire's equation, without simulation.

        Args:
            strikes, maturities, features: As in `price`.
            **options: Of `hedgezoo.layers.dupire_calls`.

        Returns:
            A `SimulatedPrices` with errors zero and no paths.

        Raises:
            ValueError: If the model has more than one factor or a drift, or an argument is out of
                its range.
        """
        from hedgezoo.neural_sde.simulated_prices import pde_prices

        self._require_local("price_by_pde")
        return pde_prices(self, strikes, maturities, features, options)

    def calibrate(self, quotes, **options):
        """Fits the weights to quotes, see `hedgezoo.neural_sde.calibrating.calibrate`.

        Args:
            quotes: A `hedgezoo.datasets.SurfaceQuotes`.
            **options: Of `calibrate`.

        Returns:
            A `NeuralSDECalibration`.
        """
        from hedgezoo.neural_sde.calibrating import calibrate

        return calibrate(self, quotes, **options)

    def _require_risk_neutral(self, what):
        if not self.risk_neutral:
            raise ValueError(
                f"`{what}` needs dynamics under the pricing measure. "
                f"Received: a model of kind {self.kind!r}"
            )

    # ------------------------------------------------------------------------ judging and serving

    def evaluate_on(self, market, paths, seed, **options):
        """Errors on the quotes of a market, a `SurfaceQuotes`; see `evaluate_on_quotes`.

        A historical model is judged on a `DailyHistory` (`evaluate_history`), an amortised one on
        `HestonSurfaces` or on the quotes of one day (`evaluate_surfaces`).
        """
        home, name, _ = self.network.evaluation
        judge = getattr(importlib.import_module(home), name)
        return judge(self, market, paths, seed, **options)

    def pictures(self, about):
        """The learned volatility and its prices; see `hedgezoo.neural_sde.pictures`."""
        from hedgezoo.neural_sde.pictures import pictures

        return pictures(self, about)

    def serving_signatures(self):
        """`coefficients`, and `price`, which is also `serving_default`; see `hedgezoo.serving`."""
        from hedgezoo.serving.neural_sde_signatures import neural_sde_signatures

        return neural_sde_signatures(self)

    # ------------------------------------------------------------------------------------- storage

    def get_config(self):
        network = self.network
        return {
            **super().get_config(),
            "kind": self.kind,
            "units": list(network.units),
            "activation": keras.activations.serialize(network.activation),
            "volatility": network.volatility,
            "bounds": list(network.bounds),
            "features": list(self.feature_names),
            "dropout": network.dropout,
            "maturities": list(self.maturities),
            "steps_per_year": self.steps_per_year,
            "concentration": self.concentration,
            "scheme": self.scheme,
            "draws": self.draws,
            "options": self.options,
        }


def _evaluate(part, state, time, features):
    """A coefficient network, called with features if there are any."""
    return part(state, time) if features is None else part(state, time, features)
