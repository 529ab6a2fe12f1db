"""Calibration in one forward pass: a network, then Gauss-Newton steps through the exact pricer."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_integer, check_one_of
from hedgezoo.heston_calibrator.coordinates import Coordinates
from hedgezoo.heston_calibrator.inference import infer, judge
from hedgezoo.heston_calibrator.normal_equations import inverse
from hedgezoo.heston_calibrator.panel_training import PanelTraining, with_mask
from hedgezoo.heston_calibrator.refinement import Prior, unrolled
from hedgezoo.heston_calibrator.residuals import Quotes
from hedgezoo.heston_calibrator.variants import (
    VARIANTS,
    as_box,
    as_grid,
    make_network,
    takes_any_grid,
)
from hedgezoo.preset_model import PresetModel

_FIRST_DAMPING, _LAST_DAMPING = 1e-3, 1e-7


@keras.saving.register_keras_serializable(package="hedgezoo")
class HestonCalibrator(PanelTraining, PresetModel):
    """Implied volatilities in, parameters of the Heston or Bates model out, with standard errors.

    A network reads the quotes and proposes parameters. Damped Gauss-Newton steps on the volatility
    errors of the exact prices then go to the posterior mode: quotes count by the noise that the fit
    itself shows, and the box is the prior, one with heavy tails.
    Clean quotes are met to rounding; noisy ones are not overfitted where they say little. Where the
    model itself is 20 bp off, or more, the prior is left out: the result is that of least squares.

    Args:
        variant: Network: `"refined"` (tokens of quotes, any grid, missing quotes), or one for a
            fixed grid: `"paper"` (convolutions and a transformer), `"shallow"` (two dense layers)
            or `"two_layer_cnn"`.
        model: `"heston"` (κ, θ, ξ, ρ, v₀) or `"bates"` (and λ, μ, σ of the jumps; `"refined"`).
        steps: Gauss-Newton steps S after the network. Default: 4 for `"refined"`, else 0.
        box: `ParameterBox`, its name or its fields in a dictionary: the weak prior, to which
            `outside_box` of results refers. Default: wide for `"refined"`, else the paper's.
        strikes: Divided by the forward, `(n,)`, of a fixed grid; default that of the paper.
        maturities: Years, `(m,)`, of a fixed grid; default that of the paper.
        quantiles: Levels in (0, 1), ½ among them, of an additional quantile head, or None.
        options: Dictionary of keyword arguments of the network.
        **kwargs: Of `keras.Model`.

    Input shape:
        Dictionary of `implied_volatility` `(B, m, n)`, `strikes` `(n,)`, `(m, n)` or `(B, m, n)`,
        `maturities` `(m,)` or `(B, m)`, and optionally `mask` and `spread` `(B, m, n)`. What is
        masked has no influence on parameters.

    Output shape:
        Dictionary of

        - `parameters` `(B, p)`, `standard_error` `(B, p)`, `covariance` `(B, p, p)`;
        - `coordinates` `(B, S+1, p)`: the search coordinates at the start and after each step;
        - `residuals` `(B, S+1, m, n)`: model minus quoted volatility at each of them, 0 where
          masked;
        - `precision` `(B, p, p)`: inverse covariance of the last coordinates;
        - `implied_volatility` `(B, m, n)`: the fitted surface;
        - `noise` `(B,)`: estimated standard deviation of a quote;
        - `converged` `(B,)` and `iterations` `(B,)`, but for training;
        - with a quantile head also `quantiles` `(B, q, p)`: parameters of each level; in training
          `quantile_volatility` `(B, m, n, q)` as well: their volatilities to first order.

        In training there is also `start_precision` `(B, p, p)`, how far the network trusts its
        start, if it says so; and without steps only that, `parameters` and `coordinates`.

    Raises:
        ValueError: If an argument is none of the above.

    Example:

    >>> from hedgezoo.datasets.heston_panels import HestonPanels
    >>> inputs, targets = HestonPanels(dtype="float64").simulate(seed=0, panels=2)
    >>> fit = HestonCalibrator()(inputs)
    >>> bool(tf.reduce_all(tf.abs(fit["parameters"] / targets["parameters"] - 1) < 0.01))
    True

    Reference:
        Song, "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
        for the variant `"paper"`. The refinement is ours.
    """

    evaluation_paths = 10_000

    def __init__(
        self,
        variant="refined",
        model="heston",
        steps=None,
        box=None,
        strikes=None,
        maturities=None,
        quantiles=None,
        options=None,
        **kwargs,
    ):
        # float32 would lose what the quotes say: volatilities are converted where it does no harm
        super().__init__(**{"autocast": False, **kwargs})
        check_one_of("variant", variant, VARIANTS)
        check_one_of("model", model, ("heston", "bates"))
        if model == "bates" and not takes_any_grid(variant):
            raise ValueError(
                f'`model="bates"` needs `variant="refined"`. Received: variant={variant!r}'
            )
        steps = (4 if takes_any_grid(variant) else 0) if steps is None else steps
        check_integer("steps", steps, minimum=0)
        self.variant, self.model, self.steps = variant, model, int(steps)
        self.box = as_box(box, variant, model)
        self.grid = as_grid(variant, strikes, maturities)
        self.options = dict(options or {})
        self.search = Coordinates(model)
        self._box = self.search.box(self.box)
        options = {"dtype": self.dtype_policy, "name": "network", **self.options}
        self.network = make_network(variant, self.box, self.grid, options)
        self.quantile_levels = None if quantiles is None else tuple(float(q) for q in quantiles)
        self.quantile_head = None
        if self.quantile_levels is not None:
            from hedgezoo.heston_calibrator.quantiles import QuantileHead

            self.quantile_head = QuantileHead(
                self.quantile_levels, model, dtype=self.dtype_policy, name="quantile_head"
            )
        # one for each kind of question and of grid: retracing would forget the ranks of others
        self._compiled = functools.lru_cache(maxsize=16)(self._graph)

    @property
    def names(self):
        """Names of the parameters."""
        return self.search.names

    @property
    def strikes(self):
        """Strikes of the fixed grid as a tuple, or None."""
        return None if self.grid is None else self.grid.strikes

    @property
    def maturities(self):
        """Maturities of the fixed grid as a tuple, or None."""
        return None if self.grid is None else self.grid.maturities

    def build(self, input_shape=None):
        if self.built:
            return
        # the exponentials of these numbers are the dampings of the steps
        if self.steps:
            dampings = np.geomspace(_FIRST_DAMPING, _LAST_DAMPING, max(self.steps, 2))[: self.steps]
            self.log_damping = self.add_weight(
                name="log_damping",
                shape=(self.steps,),
                initializer=lambda shape, dtype=None: tf.constant(np.log(dampings), dtype),
            )
        for layer in (self.network, self.quantile_head):
            if layer is not None and not layer.built:
                layer.build(None)
        self.built = True

    def call(self, inputs, training=False):
        inputs = with_mask(inputs)
        if training:
            started = self.network(inputs, training=True)
            return self._with_quantiles(self._trained(inputs, started), inputs, training)
        if tf.executing_eagerly():
            return self.solve(inputs)  # thousands of small operations are for a graph
        return self._answer(inputs)

    def solve(self, inputs, prior=True, max_steps=50):
        """The outputs of the model, with a choice of the prior and of the number of steps.

        Args:
            inputs: As of the model.
            prior: Whether the box counts as a prior; False is least squares.
            max_steps: Largest number of further steps for panels that the unrolled ones leave
                unfinished.

        Returns:
            The dictionary of the model.
        """
        self.build()
        inputs = {name: tf.convert_to_tensor(x) for name, x in with_mask(inputs).items()}
        ranks = tuple(inputs[name].shape.rank for name in ("strikes", "maturities"))
        return self._compiled(bool(prior), int(max_steps), ranks)(inputs)

    def start(self, inputs):
        """What the network alone proposes: its dictionary of outputs, see the class."""
        self.build()
        return self.network(with_mask(inputs))

    def calibrate(
        self,
        implied_vol,
        strikes,
        maturities,
        mask=None,
        spread=None,
        *,
        prior=True,
        max_steps=50,
        batch_size=1024,
    ):
        """Calibrates panels of quotes.

        Args:
            implied_vol: Quotes per √year (0.2 is 20 %), `(m, n)` or `(B, m, n)`.
            strikes: Divided by the forward, increasing, `(n,)`, `(m, n)` or `(B, m, n)`.
            maturities: Years, increasing, `(m,)` or `(B, m)`.
            mask: True where there is a quote, `(m, n)` or `(B, m, n)`.
            spread: Bid-ask widths in volatility, as `mask`, or a number.
            prior: Whether the box counts as a prior; False is least squares.
            max_steps: Largest number of further steps for a panel that is not yet finished.
            batch_size: Panels calibrated at a time.

        Returns:
            A `CalibrationResult`.

        Raises:
            ValueError: If a quote is not a volatility, a panel has too few, or shapes do not fit.
        """
        from hedgezoo.heston_calibrator.calibrating import calibrate

        return calibrate(
            self,
            implied_vol,
            strikes,
            maturities,
            mask,
            spread,
            prior=prior,
            max_steps=max_steps,
            batch_size=batch_size,
        )

    def price(self, parameters, strikes, maturities):
        """Call prices and implied volatilities, see `hedgezoo.heston_calibrator.pricing.price`."""
        from hedgezoo.heston_calibrator.pricing import price

        return price(parameters, strikes, maturities)

    def sensitivities(self, parameters, strikes, maturities):
        """Greeks, see `hedgezoo.heston_calibrator.pricing.sensitivities`."""
        from hedgezoo.heston_calibrator.pricing import sensitivities

        return sensitivities(parameters, strikes, maturities)

    def evaluate_on(
        self,
        market,
        paths,
        seed,
        noises=("clean", "gaussian_half_bp", "plus_minus_15_bp"),
        prior=True,
        batch_size=1024,
    ):
        """How well panels of known parameters are recovered, per case of noise.

        The metrics are those of `hedgezoo.heston_calibrator.evaluating.evaluate_on`.

        Args:
            market: `HestonPanels`, or None for `self.market`.
            paths: Number of panels per case of noise.
            seed: Seed of the panels.
            noises: Names of cases of noise, see `HestonPanels`.
            prior: As of `calibrate`.
            batch_size: Panels calibrated at a time.

        Returns:
            Dictionary `{metric: {"value": float, "stderr": float}}`.

        Raises:
            ValueError: If the market or an option does not suit the model.
        """
        from hedgezoo.heston_calibrator.evaluating import evaluate_on

        return evaluate_on(self, market, paths, seed, noises, prior, batch_size)

    def serving_signatures(self):
        """`serving_default`, `price` and `sensitivities`; see `hedgezoo.serving`."""
        from hedgezoo.serving.calibrator_signatures import calibrator_signatures

        return calibrator_signatures(self)

    def pictures(self, about):
        """Figures of the model's card; see `PresetModel`."""
        from hedgezoo.calibrator_plots import pictures

        return pictures(self, about)

    def default_loss(self):
        """`RefinementLoss`; without steps, for the network of a grid, `PriceLoss`."""
        if self.steps or self.grid is None:
            from hedgezoo.heston_calibrator.objective import RefinementLoss

            return RefinementLoss()
        from hedgezoo.heston_calibrator.price_loss import PriceLoss

        return PriceLoss(self.strikes, self.maturities)

    def get_config(self):
        return {
            **super().get_config(),
            "variant": self.variant,
            "model": self.model,
            "steps": self.steps,
            "box": dataclasses.asdict(self.box),
            "strikes": self.strikes,
            "maturities": self.maturities,
            "quantiles": self.quantile_levels,
            "options": self.options,
        }

    # ------------------------------------------------------------------------------- internals

    @property
    def _price_type(self):
        """Of the prices in training and of the first steps."""
        return "float64" if self.compute_dtype == "float64" else "float32"

    def _start(self, started):
        u = started.get("coordinates")
        if u is None:
            u = self.search.from_parameters(tf.cast(started["parameters"], tf.float64))
        return self.search.clip(tf.cast(u, tf.float64))

    def _prior(self, u):
        """The first two moments of a uniform distribution of the coordinates in the box."""
        middle, half = (tf.constant(x, u.dtype) for x in self._box)
        precision = tf.linalg.diag(3.0 / tf.square(half))
        shape = tf.concat([tf.shape(u), tf.shape(half)], 0)
        return Prior(tf.broadcast_to(middle, tf.shape(u)), tf.broadcast_to(precision, shape))

    @property
    def _dampings(self):
        return tf.unstack(tf.exp(tf.cast(self.log_damping, tf.float64))) if self.steps else []

    def _trained(self, inputs, started):
        u, trust = self._start(started), started.get("precision")
        if not self.steps:
            outputs = {"parameters": started["parameters"], "coordinates": u[:, tf.newaxis]}
            return outputs if trust is None else {**outputs, "start_precision": trust}
        quotes = Quotes.of(inputs, self._price_type)
        path, residuals, precision, noise = unrolled(
            self.search, quotes, u, self._prior(u), self._dampings
        )
        residuals = tf.stack(residuals, axis=1)
        fitted = quotes.volatility + residuals[:, -1]
        residuals *= tf.cast(quotes.mask[:, tf.newaxis], residuals.dtype)
        outputs = self._outputs(tf.stack(path, axis=1), residuals, precision, fitted, noise)
        return outputs if trust is None else {**outputs, "start_precision": trust}

    def _answer(self, inputs, prior=True, max_steps=50):
        inputs = with_mask(inputs)
        started = self.network(inputs, training=False)
        quotes = Quotes.of(inputs, "float64")
        u = self._start(started)
        if self.steps:
            belief = self._prior(u) if prior else Prior(u, None)
            found = infer(
                self.search, quotes, u, belief, self._dampings, max_steps, self._price_type
            )
        else:
            found = judge(self.search, quotes, u)
        outputs = self._outputs(
            found.path, found.residuals, found.precision, found.volatility, found.noise
        )
        outputs |= {"converged": found.converged, "iterations": found.iterations}
        return self._with_quantiles(outputs, inputs)

    def _outputs(self, path, residuals, precision, fitted, noise):
        last = path[:, -1]
        slopes = self.search.slopes(last)
        covariance = inverse(precision) * slopes[:, :, tf.newaxis] * slopes[:, tf.newaxis]
        return {
            "parameters": self.search.to_parameters(last),
            "coordinates": path,
            "residuals": residuals,
            "precision": precision,
            "covariance": covariance,
            "standard_error": tf.sqrt(tf.nn.relu(tf.linalg.diag_part(covariance))),
            "implied_volatility": fitted,
            "noise": tf.sqrt(noise),
        }

    def _with_quantiles(self, outputs, inputs, training=False):
        if self.quantile_head is not None:
            found = self.quantile_head(inputs, outputs["coordinates"][:, -1])
            # exact ones are at hand from the parameters
            wanted = found if training else ["quantiles"]
            outputs |= {name: found[name] for name in wanted}
        return outputs

    def _graph(self, prior, max_steps, ranks):
        del ranks

        def run(inputs):
            return self._answer(inputs, prior, max_steps)

        return tf.function(run, reduce_retracing=True, autograph=False)
