"""A market simulator for spot and option surfaces: Buehler, Murray, Pakkanen and Wood (2021)."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_integer, check_one_of, check_positive
from hedgezoo.datasets.floating_options import whole_steps
from hedgezoo.datasets.market import check_draw_arguments
from hedgezoo.datasets.var_market import VARMarket
from hedgezoo.datasets.var_paths import STARTS, past_states, surface_paths
from hedgezoo.datasets.vector_autoregression import VARCoefficients, check_stable
from hedgezoo.layers._arguments import money_dtype
from hedgezoo.layers.draws import as_int64, normal_draws
from hedgezoo.layers.rows import idle_rows
from hedgezoo.preset_model import PresetModel

HORIZON = 30  # steps of a served path, those of the paper
_STATE = ("log_return", "dlv")
_NAMES = tuple(field.name for field in dataclasses.fields(VARCoefficients))


@keras.saving.register_keras_serializable(package="hedgezoo")
class VectorAutoregression(PresetModel):
    """A vector autoregression on the log return and the log discrete local volatilities.

    `Y_t = c + A₁ Y_{t−1} + ... + A_p Y_{t−p} + L ε_t` with standard normal ε, where Y is the log
    return of a time step and the first principal components of the log volatilities: neighbouring
    cells of a surface move together, and least squares on all of them would be all but singular.
    All surfaces it makes are free of static arbitrage, because a discrete local volatility is
    positive. It is not free of statistical arbitrage: see `RiskNeutralMeasure`.

    Its weights are the coefficients, in float64 whatever the precision of the simulation. They
    come from least squares (`from_history`), not from gradients.

    Args:
        strikes: Strikes divided by the spot, `(n,)`, increasing.
        maturities: Years, `(m,)`, increasing whole numbers of time steps.
        ghost_strikes: Strikes below and above the grid where calls are worth intrinsic value,
            `(2,)`. Default: one spacing outside the grid.
        lags: Number of lags p.
        components: Number of principal components, K − 1.
        time_step: Length of a step in years.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: Dictionary of `log_return` `(B, p)` and `dlv` `(B, p, m, n)`, the last p dates,
            oldest first, and `seed` `(B,)`, integers: row b is path 0 of seed b from past b.

    Output shape:
        Dictionary of `spot` `(B, 31)`, divided by the spot today, `dlv` and `calls`
        `(B, 31, m, n)`, calls divided by the spot of their date: 30 steps. Index 0 is today, its
        surface as the components describe it.

    Raises:
        ValueError: If a maturity is no whole number of time steps, or an argument is out of its
            range.

    Example:

    >>> model = VectorAutoregression(strikes=(0.95, 1.0, 1.05), maturities=(0.08,), components=1)
    >>> model.coefficients = VARCoefficients(
    ...     intercept=[0.0, 0.0],
    ...     lag_matrices=[[[0.0, 0.0], [0.0, 0.9]]],
    ...     innovation_factor=[[0.01, 0.0], [-0.04, 0.03]],
    ...     log_dlv_mean=[[-1.8, -1.4, -1.7]],
    ...     loadings=[[[1.0, 1.0, 1.0]]],
    ...     last_state=[[0.0, 0.0]],
    ... )
    >>> {name: tuple(values.shape) for name, values in model.simulate(seed=0, paths=4).items()}
    {'spot': (4, 31), 'dlv': (4, 31, 1, 3), 'calls': (4, 31, 1, 3)}

    Reference:
        Buehler, Murray, Pakkanen, Wood, "Deep hedging: learning risk-neutral implied volatility
        dynamics", arXiv:2103.11948, section 3.3. How the surface is reduced, the number of lags and
        the intercept are ours: the paper does not state them.
    """

    def __init__(
        self,
        strikes,
        maturities,
        ghost_strikes=None,
        lags=1,
        components=3,
        time_step=1 / 250,
        **kwargs,
    ):
        # 16 bits would not tell one day's spot from the next: see `_float`
        super().__init__(**{"autocast": False, **kwargs})
        self.strikes = tuple(check_array("strikes", strikes, {"(n,)": (None,)}).tolist())
        self.maturities = tuple(check_array("maturities", maturities, {"(m,)": (None,)}).tolist())
        self.ghost_strikes = (
            None
            if ghost_strikes is None
            else tuple(check_array("ghost_strikes", ghost_strikes, {"(2,)": (2,)}).tolist())
        )
        check_integer("lags", lags, minimum=1)
        check_integer("components", components, minimum=1)
        check_positive("time_step", time_step)
        whole_steps(self.maturities, time_step)
        self.lags = int(lags)
        self.components = int(components)
        self.time_step = float(time_step)
        self.fit_result = None
        self.history = None
        self._simulations = {}

    @classmethod
    def from_history(
        cls, history, max_lags=5, criterion="bic", components=0.9999, time_step=1 / 250, **kwargs
    ):
        """The autoregression that fits a history of spot and surfaces best, by least squares.

        Args:
            history: A `SurfaceHistory`, as `hedgezoo.datasets.market_data` loads it, or any object
                with its `spot` `(L,)`, `dlv` `(L, m, n)`, `strikes`, `maturities` and
                `ghost_strikes`. Its dates count as one time step apart.
            max_lags: Largest number of lags p that is tried; at least one is taken.
            criterion: Information criterion that the number of lags minimises: `"aic"`, `"bic"`,
                `"hqic"` or `"fpe"`.
            components: Number of principal components of the log volatilities; or the share of
                their variance that is kept, a float below 1; or None for all of them.
            time_step: Years between two dates of the history.
            **kwargs: Of `keras.Model`.

        Returns:
            A `VectorAutoregression`. Its `fit_result` is the
            `hedgezoo.datasets.vector_autoregression_fit.VARFit` with residuals and criteria, its
            `history` the history; neither is stored in a preset.

        Raises:
            ValueError: If a spot or a volatility is not positive and finite, there are not more
                observations than parameters, or the autoregression is not stable.
        """
        from hedgezoo.datasets.vector_autoregression_fit import fit_surfaces

        fit = fit_surfaces(history.spot, history.dlv, max_lags, criterion, components)
        model = cls(
            history.strikes,
            history.maturities,
            history.ghost_strikes,
            lags=fit.coefficients.lags,
            components=fit.coefficients.series - 1,
            time_step=time_step,
            **kwargs,
        )
        model.coefficients = fit.coefficients
        model.fit_result, model.history = fit, history
        return model

    def build(self, input_shape=None):
        if self.built:
            return
        k, p = self.components + 1, self.lags
        cells = (len(self.maturities), len(self.strikes))
        shapes = ((k,), (p, k, k), (k, k), cells, (k - 1, *cells), (p, k))
        for name, shape in zip(_NAMES, shapes, strict=True):
            weight = self.add_weight(
                name=name,
                shape=shape,
                initializer="zeros",
                dtype="float64",
                trainable=False,
                autocast=False,
            )
            setattr(self, f"_{name}", weight)
        self.built = True

    @property
    def coefficients(self):
        """The weights as `VARCoefficients`; setting them, if they are stable, sets the weights."""
        self.build()
        with tf.init_scope():
            arrays = {name: weight.value.numpy() for name, weight in self._named().items()}
        return VARCoefficients(**arrays)

    @coefficients.setter
    def coefficients(self, value):
        check_stable(value.lag_matrices)
        self.build()
        for name, weight in self._named().items():
            array = getattr(value, name)
            if array.shape != tuple(weight.shape):
                raise ValueError(
                    f"`coefficients` must fit the model: {name} of shape {tuple(weight.shape)}. "
                    f"Received: shape {array.shape}"
                )
            weight.assign(array)

    def simulate(self, seed, paths, steps=HORIZON, state="mean", first_path=0):
        """Paths `first_path ... first_path + paths − 1` of spot and option prices.

        Args:
            seed: Integer or scalar integer tensor.
            paths: Number of paths B.
            steps: Number of time steps T.
            state: Where paths start: `"mean"`, the mean in the long run, a typical day; `"last"`,
                the end of the history; `"stationary"`, drawn from the distribution in the long
                run; or a dictionary of `log_return` `(p,)` or `(B, p)` and `dlv` `(p, m, n)` or
                `(B, p, m, n)`: the last p dates, oldest first.
            first_path: Global index of the first path. Path 17 is the same whatever the batch.

        Returns:
            Dictionary of `spot` `(B, T+1)`, divided by the spot at the start, `dlv`
            `(B, T+1, m, n)` and `calls` `(B, T+1, m, n)`, divided by the spot of their date.

        Raises:
            ValueError: If an argument is out of its range; the message names it.
        """
        check_draw_arguments(seed, paths, first_path)
        check_integer("steps", steps, minimum=1)
        # idle rows at the end, so that no path is rounded differently in another batch
        idle = idle_rows(len(self.strikes) * len(self.maturities))
        past = self._past(state, seed, paths, idle, first_path, steps)
        if steps not in self._simulations:
            self._simulations[steps] = tf.function(
                functools.partial(self._simulate, steps), autograph=False, reduce_retracing=True
            )
        rows = tf.cast(paths + idle, tf.int32)
        whole = self._simulations[steps](past, as_int64(seed), rows, as_int64(first_path))
        return {name: values[:paths] for name, values in whole.items()}

    def call(self, inputs):
        past = self._states_of(*(tf.cast(inputs[name], self._float) for name in _STATE))
        series = self.components + 1

        def draws_of(seed):
            return normal_draws(seed, 1, HORIZON, series, dtype=self._float)[0]

        draws = tf.map_fn(
            draws_of,
            tf.cast(inputs["seed"], tf.int64),
            fn_output_signature=tf.TensorSpec((HORIZON, series), self._float),
        )
        return self._paths(past, draws)

    def make_market(self, **options):
        """The market that this model simulates, with floating options as instruments.

        Args:
            **options: Of `hedgezoo.datasets.VARMarket`, such as `steps`, `cost`, `instruments`,
                `start`, `payoff` and `features`.

        Returns:
            A `VARMarket`. Its path i of a seed is that of `simulate`.
        """
        return VARMarket(
            self.coefficients,
            self.strikes,
            self.maturities,
            self.ghost_strikes,
            **{"time_step": self.time_step, "dtype": self._float, **options},
        )

    def evaluate_on(self, market, paths, seed, history=None):
        """Simulated against historical behaviour; see `hedgezoo.var_diagnostics.report`."""
        from hedgezoo.var_diagnostics import report

        return report(self, market, paths, seed, history)

    def pictures(self, about):
        """Fans, autocorrelations, surfaces and mean gains; see `hedgezoo.var_figures`."""
        from hedgezoo.var_figures import pictures

        return pictures(self, seed=about["evaluation"]["seed"])

    def serving_signatures(self):
        """`simulate`, which is also `serving_default`: 30 steps of one path per row.

        Inputs: `log_return` `(B, p)` and `dlv` `(B, p, m, n)` of the last p dates, oldest first,
        and `seed` `(B,)`. Outputs: `spot` `(B, 31)`, divided by the spot today, `dlv` and `calls`
        `(B, 31, m, n)`.
        """
        from hedgezoo.serving.saved_model import Signature

        dtype, surface = self._float, np.exp(self.coefficients.log_dlv_mean)

        def simulate(log_return, dlv, seed):
            return self({"log_return": log_return, "dlv": dlv, "seed": seed})

        inputs = (
            tf.TensorSpec((None, self.lags), dtype, "log_return"),
            tf.TensorSpec((None, self.lags, *surface.shape), dtype, "dlv"),
            tf.TensorSpec((None,), tf.int64, "seed"),
        )
        example = {
            "log_return": np.zeros((2, self.lags)),
            "dlv": np.tile(surface, (2, self.lags, 1, 1)),
            "seed": np.array([1, 2]),
        }
        signature = Signature(simulate, inputs, example)
        return {"serving_default": signature, "simulate": signature}

    def get_config(self):
        return {
            **super().get_config(),
            "strikes": self.strikes,
            "maturities": self.maturities,
            "ghost_strikes": self.ghost_strikes,
            "lags": self.lags,
            "components": self.components,
            "time_step": self.time_step,
        }

    @property
    def _float(self):
        """Floating type of the simulation: that of the model, or float32 if it has 16 bits."""
        return money_dtype(self.compute_dtype)

    def _named(self):
        return {name: getattr(self, f"_{name}") for name in _NAMES}

    def _simulate(self, steps, past, seed, paths, first_path):
        draws = normal_draws(seed, paths, steps, self.components + 1, first_path, dtype=self._float)
        return self._paths(past, draws)

    def _paths(self, past, draws):
        tensors = {
            name: tf.cast(tf.convert_to_tensor(weight.value), self._float)
            for name, weight in self._named().items()
        }
        drawn = surface_paths(
            tensors, past, draws, self.strikes, self.maturities, self.ghost_strikes
        )
        return {name: drawn[name] for name in ("spot", "dlv", "calls")}

    def _past(self, state, seed, paths, idle, first_path, steps):
        """The last p values of the series, `(B + idle, p, K)` or `(1, p, K)`."""
        if isinstance(state, str):
            check_one_of("state", state, STARTS)
            return past_states(
                self.coefficients,
                state,
                seed,
                paths + idle,
                first_path,
                steps,
                dtype=self._float,
            )
        log_return, dlv = self._checked_state(state, paths)
        past = self._states_of(log_return, dlv)
        if past.shape[0] != 1:
            past = tf.concat([past, tf.repeat(past[-1:], idle, axis=0)], axis=0)
        return past

    def _checked_state(self, state, paths):
        """Log returns `(B, p)` and volatilities `(B, p, m, n)`, B being `paths` or 1."""
        if not isinstance(state, dict) or set(state) != set(_STATE):
            raise ValueError(
                f"`state` must be one of {STARTS} or a dictionary of `log_return` and `dlv`. "
                f"Received: state={state!r}"
            )
        past = (self.lags,)
        surfaces = (*past, len(self.maturities), len(self.strikes))
        arrays = []
        for name, shape in (("log_return", past), ("dlv", surfaces)):
            letters = "p" if name == "log_return" else "p, m, n"
            shapes = {f"({letters})": shape, f"(B, {letters})": (None, *shape)}
            array = check_array(f"state[{name!r}]", state[name], shapes)
            array = array.reshape(-1, *shape)
            if not tf.is_tensor(paths) and len(array) not in (1, paths):
                raise ValueError(
                    f"`state[{name!r}]` must be one past or one for each of {paths} paths. "
                    f"Received: {len(array)} pasts"
                )
            arrays.append(array)
        if not (arrays[1] > 0).all():
            raise ValueError(f"`state['dlv']` must be positive. Received: {arrays[1].min()}")
        rows = max(map(len, arrays))
        return tuple(
            tf.constant(np.broadcast_to(array, (rows, *array.shape[1:])), self._float)
            for array in arrays
        )

    def _states_of(self, log_return, dlv):
        """The series `(B, p, K)` of log returns `(B, p)` and surfaces `(B, p, m, n)`."""
        cells = len(self.maturities) * len(self.strikes)
        loadings = tf.reshape(tf.convert_to_tensor(self._loadings.value), (-1, cells))
        mean = tf.reshape(tf.convert_to_tensor(self._log_dlv_mean.value), (cells,))
        projection = tf.cast(tf.linalg.pinv(loadings), self._float)
        flat = tf.reshape(tf.math.log(dlv), (-1, self.lags, cells))
        deviation = flat - tf.cast(mean, self._float)
        factors = tf.reduce_sum(deviation[..., None] * projection, axis=2)
        return tf.concat([log_return[..., None], factors], axis=-1)
