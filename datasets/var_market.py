"""The market of a vector autoregression: spot and a grid of floating calls and puts."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import (
    check_array,
    check_integer,
    check_not_negative,
    check_one_of,
    check_positive,
    per_instrument,
)
from hedgezoo.datasets.floating_options import (
    INSTRUMENTS,
    check_instruments,
    floating_gains,
    instrument_names,
    surface_mark,
    whole_steps,
)
from hedgezoo.datasets.market import (
    Market,
    check_draw_arguments,
    check_payoff,
    liability_of,
    reference_price,
)
from hedgezoo.datasets.path_features import check_features, path_features
from hedgezoo.datasets.payoffs import Nothing
from hedgezoo.datasets.var_paths import STARTS, grid_tensors, past_states, surface_paths
from hedgezoo.datasets.vector_autoregression import VARCoefficients, check_stable
from hedgezoo.layers.draws import DRAWS, normal_draws
from hedgezoo.layers.implied_volatility import implied_volatility
from hedgezoo.layers.rows import idle_rows
from hedgezoo.layers.sobol import MAX_DIMENSIONS
from hedgezoo.layers.surfaces.discrete_local_volatility import dlv_to_calls

_GIVEN = ("state", "log_dlv", "time_to_expiry")


@dataclasses.dataclass(frozen=True)
class VARMarket(Market):
    """A market simulated by a vector autoregression on log return and discrete local volatilities.

    Every surface is given by positive discrete local volatilities, so it is free of static
    arbitrage on every date of every path. The instruments are the spot and, at each decision time,
    new calls and puts with the grid's strikes relative to the spot of that time and its
    maturities: floating options. A unit bought is held to its expiry, or marked at mid at the
    horizon if it lives longer (see `hedgezoo.datasets.floating_options`). Interest rates are zero.

    `simulate` returns `unit_gain` `(B, T, D)` in place of `price`.

    Args:
        coefficients: A stable `VARCoefficients`, e.g. `VectorAutoregression.coefficients`.
        strikes: Strikes divided by the spot, `(n,)`, increasing.
        maturities: Years, `(m,)`, increasing whole numbers of time steps.
        ghost_strikes: Strikes below and above the grid where calls are worth intrinsic value,
            `(2,)`. Default: one spacing outside the grid.
        steps: Number T of time steps and of decisions.
        time_step: Length of a step in years: that of the history that was fitted.
        cost: Proportional transaction cost: trading one unit of any instrument at spot S costs
            `cost · S`. A number, or one for each of the D instruments.
        instruments: Names among `"spot"`, `"calls"` and `"puts"`, in the order of the columns.
        start: Past of every path: `"mean"`, the mean in the long run, a typical day; `"last"`, the
            end of the history; `"stationary"`, drawn from the distribution in the long run; or the
            last p values of the autoregression's series, oldest first, `(p, K)`.
        spot: Spot at time 0, money.
        payoff: What is owed at the horizon: a payoff of `hedgezoo.datasets.payoffs`, or a callable
            from spots `(B, T+1, 1)` to `(B,)`. Default: nothing.
        features: Names among `"state"` (p·K columns: log returns and factors of the last p dates,
            the latest first, less their mean and divided by their standard deviation in the long
            run), `"log_dlv"` (m·n columns), `"time_to_expiry"` (years left to the horizon),
            and of the spot as in `BlackScholesMarket`; or callables from spots `(B, T+1, 1)` to
            `(B, T)` or `(B, T, k)` that do not look ahead.
        draws: `"plain"`, `"antithetic"` or `"sobol"`, as in `BlackScholesMarket`.
        dtype: `"float32"` or `"float64"`.

    Raises:
        ValueError: If an argument is out of its range, the autoregression is not stable, or a
            maturity is no whole number of time steps; the message names it.

    Example:

    >>> from hedgezoo.datasets.vector_autoregression import VARCoefficients
    >>> coefficients = VARCoefficients(
    ...     intercept=[0.0, 0.0],
    ...     lag_matrices=[[[0.0, 0.0], [0.0, 0.9]]],
    ...     innovation_factor=[[0.01, 0.0], [-0.04, 0.03]],
    ...     log_dlv_mean=[[-1.8, -1.4, -1.7]],
    ...     loadings=[[[1.0, 1.0, 1.0]]],
    ...     last_state=[[0.0, 0.0]],
    ... )
    >>> market = VARMarket(coefficients, strikes=(0.95, 1.0, 1.05), maturities=(0.08,), steps=5)
    >>> inputs, liability = market.simulate(seed=0, paths=100)
    >>> {name: tuple(tensor.shape) for name, tensor in inputs.items()}
    {'features': (100, 5, 3), 'unit_gain': (100, 5, 7), 'cost': (100, 5, 7)}
    >>> market.instrument_names[:3]
    ('spot', 'call 20 0.95', 'call 20 1')

    Reference:
        Buehler, Murray, Pakkanen, Wood, arXiv:2103.11948, section 3.3.
    """

    coefficients: VARCoefficients
    strikes: tuple
    maturities: tuple
    ghost_strikes: tuple | None = None
    steps: int = 30
    time_step: float = 1 / 250
    cost: float | tuple = 1e-3
    instruments: tuple = INSTRUMENTS
    start: str | tuple = "mean"
    spot: float = 1.0
    payoff: Callable = dataclasses.field(default_factory=Nothing)
    features: tuple = ("state", "time_to_expiry")
    draws: str = "plain"
    dtype: str = "float32"

    def __post_init__(self):
        if not isinstance(self.coefficients, VARCoefficients):
            raise ValueError(
                "`coefficients` must be a VARCoefficients. "
                f"Received: coefficients of type {type(self.coefficients).__name__}"
            )
        check_stable(self.coefficients.lag_matrices)
        check_integer("steps", self.steps, minimum=1)
        check_positive("time_step", self.time_step)
        check_positive("spot", self.spot)
        check_one_of("draws", self.draws, DRAWS)
        check_one_of("dtype", self.dtype, ("float32", "float64"))
        cells = self.coefficients.log_dlv_mean.shape
        for name, letter, size in (("strikes", "n", cells[1]), ("maturities", "m", cells[0])):
            array = check_array(name, getattr(self, name), {f"({letter},)": (size,)})
            self._set(name, tuple(array.tolist()))
        whole_steps(self.maturities, self.time_step)
        if self.ghost_strikes is not None:
            ghosts = check_array("ghost_strikes", self.ghost_strikes, {"(2,)": (2,)})
            self._set("ghost_strikes", tuple(ghosts.tolist()))
        self._set("instruments", check_instruments(self.instruments))
        self._set("features", check_features(self.features, _GIVEN))
        self._set("cost", per_instrument("cost", self.cost, check_not_negative))
        if isinstance(self.cost, tuple) and len(self.cost) != len(self.instrument_names):
            raise ValueError(
                f"`cost` must be a number or one for each of {len(self.instrument_names)} "
                f"instruments. Received: {len(self.cost)} numbers"
            )
        if isinstance(self.start, str):
            check_one_of("start", self.start, STARTS)
        else:
            size = (self.coefficients.lags, self.coefficients.series)
            start = check_array("start", self.start, {"(p, K)": size})
            self._set("start", tuple(map(tuple, start.tolist())))
        dimensions = self.coefficients.series * (self.steps + self.coefficients.lags)
        if self.draws == "sobol" and dimensions > MAX_DIMENSIONS:
            raise ValueError(
                f"Sobol draws offer at most {MAX_DIMENSIONS} (steps + lags) x series. "
                f"Received: {dimensions}"
            )
        check_payoff(self.payoff, self.steps, 1, self.time_step)
        # the grid is checked where it is used
        dlv_to_calls(np.ones(cells), self.strikes, self.maturities, self.ghost_strikes)

    @property
    def steps_to_expiry(self):
        """Maturities in time steps, a tuple of m integers."""
        return whole_steps(self.maturities, self.time_step)

    @property
    def instrument_names(self):
        """Names of the D columns, such as `"call 20 0.95"`: kind, steps to expiry, strike."""
        return instrument_names(self.strikes, self.steps_to_expiry, self.instruments)

    @tf.autograph.experimental.do_not_convert
    def paths(self, seed, paths, first_path=0):
        """Spot and option prices of the paths `first_path ... first_path + paths − 1`.

        Args:
            seed: Integer or scalar integer tensor.
            paths: Number of paths B, an integer or a scalar integer tensor.
            first_path: Global index of the first path, likewise.

        Returns:
            Dictionary of `spot` `(B, T+1)` in money, `dlv` `(B, T+1, m, n)`, `calls`
            `(B, T+1, m, n)` divided by the spot of their date, and `states` `(B, T+p, K)`: the
            autoregression's series, from the first date of the past on.
        """
        check_draw_arguments(seed, paths, first_path)
        whole = self._drawn(seed, paths + idle_rows(self._cells), first_path)
        names = ("spot", "dlv", "calls", "states")
        return {name: whole[name][:paths] for name in names}

    @tf.autograph.experimental.do_not_convert
    def spot_paths(self, seed, paths, first_path=0):
        return self.paths(seed, paths, first_path)["spot"][..., None]

    @tf.autograph.experimental.do_not_convert
    def simulate(self, seed, paths, first_path=0):
        check_draw_arguments(seed, paths, first_path)
        # idle rows at the end, so that no path is rounded differently in another batch
        drawn = self._drawn(seed, paths + idle_rows(self._cells), first_path)
        spot = drawn["spot"]
        last = self.steps
        surface = self._volatility(drawn["dlv"][:, last])
        gain = floating_gains(
            spot,
            drawn["calls"][:, :last],
            self.strikes,
            self.steps_to_expiry,
            surface_mark(surface, self.strikes, self.maturities, self.time_step),
            self.instruments,
        )
        rate = np.broadcast_to(self.cost, (gain.shape[-1],))
        inputs = {
            "features": self._features(drawn)[:paths],
            "unit_gain": gain[:paths],
            "cost": spot[:paths, :last, None] * tf.constant(rate, self.dtype),
        }
        return inputs, liability_of(self.payoff, spot[:paths, :, None])

    def get_config(self):
        """The fields as a dictionary of plain values that JSON can hold."""
        return {**super().get_config(), "coefficients": self.coefficients.get_config()}

    @classmethod
    def from_config(cls, config):
        """The market whose `get_config` returned `config`."""
        coefficients = VARCoefficients.from_config(config["coefficients"])
        return super().from_config({**config, "coefficients": coefficients})

    @property
    def _cells(self):
        return len(self.strikes) * len(self.maturities)

    def _drawn(self, seed, paths, first_path):
        """`surface_paths`, and the past before time 0."""
        found = self.coefficients
        draws = normal_draws(
            seed, paths, self.steps, found.series, first_path, self.draws, dtype=self.dtype
        )
        past = past_states(
            found, self.start, seed, paths, first_path, self.steps, self.draws, self.dtype
        )
        grid = (self.strikes, self.maturities, self.ghost_strikes)
        drawn = surface_paths(found.tensors(self.dtype), past, draws, *grid, self.spot)
        earlier = past[:, :-1]
        earlier = tf.broadcast_to(earlier, (tf.shape(draws)[0], *earlier.shape[1:]))
        return {**drawn, "states": tf.concat([earlier, drawn["states"]], axis=1)}

    def _volatility(self, dlv):
        """Implied volatilities of surfaces `(B, m, n)`.

        In float64: in float32 the time value of a call deep in the money is rounded away.
        """
        grid = (self.strikes, self.maturities, self.ghost_strikes)
        strikes, maturities, ghosts = grid_tensors(*grid, "float64")
        calls = dlv_to_calls(tf.cast(dlv, "float64"), strikes, maturities, ghosts)
        return tf.cast(implied_volatility(calls, strikes, maturities), self.dtype)

    def _features(self, drawn):
        found, last = self.coefficients, self.steps
        spot, growth, states = drawn["spot"], drawn["growth"], drawn["states"]
        given = {"time_to_expiry": np.arange(last, 0, -1)[:, None] * self.time_step}
        if "state" in self.features:
            deviation = np.sqrt(np.diag(found.stationary_covariance)[: found.series])
            unit = np.where(deviation > 0.0, deviation, 1.0)
            scaled = states - tf.constant(found.stationary_mean, self.dtype)
            scaled *= tf.constant(1.0 / unit, self.dtype)
            lagged = [scaled[:, p : p + last] for p in range(found.lags - 1, -1, -1)]
            given["state"] = tf.concat(lagged, axis=-1)
        if "log_dlv" in self.features:
            flat = tf.reshape(drawn["dlv"][:, :last], (-1, last, self._cells))
            given["log_dlv"] = tf.math.log(flat)
        return path_features(
            self.features,
            price=spot[..., None],
            log_growth=growth[:, :last, None],
            log_spot=np.log([self.spot]),
            log_moneyness=np.log(self.spot / np.array(reference_price(self.payoff, [self.spot]))),
            given=given,
        )

    def _set(self, name, value):
        object.__setattr__(self, name, value)
