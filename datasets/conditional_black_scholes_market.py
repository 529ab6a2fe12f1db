"""Contracts of many kinds in one market, so that one network learns to hedge them all."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import (
    check_integer,
    check_not_negative,
    check_one_of,
    check_positive,
    number_or_range,
)
from hedgezoo.datasets.market import (
    Market,
    check_draw_arguments,
    check_payoff,
    liability_of,
)
from hedgezoo.datasets.path_features import check_features, path_features
from hedgezoo.datasets.payoffs import European
from hedgezoo.layers.black_scholes import european_price
from hedgezoo.layers.draws import DRAWS, normal_draws, uniform_draws
from hedgezoo.layers.rows import by_row
from hedgezoo.layers.sobol import MAX_DIMENSIONS

_GIVEN = ("time_to_expiry", "volatility", "cost", "risk_aversion")
_RANGES = ("volatility", "cost", "risk_aversion", "spot")
_PARAMETERS = len(_RANGES) + 1
_PARAMETER_STREAM = 1


@dataclasses.dataclass(frozen=True)
class ConditionalBlackScholesMarket(Market):
    """Black-Scholes paths, each with a volatility, cost, risk aversion and expiry of its own.

    `volatility`, `cost`, `risk_aversion` and `spot` are numbers, or ranges `(low, high)` that each
    path draws from: log-uniformly, or uniformly if the range starts at zero. `expiry_steps` is
    drawn uniformly from the integers of its range. Parameters belong to the path: they depend on
    the seed and on the global path index alone, and the two paths of an antithetic pair share
    them.

    All paths have T = `steps` steps. A path that expires after n < T of them keeps its price from
    then on, and trading is free: whatever a policy does after expiry changes no gains.

    With `unit="risk_tolerance"` price, cost and liability are multiplied by the risk aversion of
    their path, so that money is counted in units of 1 / risk aversion and `EntropicRisk(1.0)` is
    the right loss for every path at once. With `centred=True` the Black-Scholes price is subtracted
    from each liability; a fixed amount of cash changes no hedge, but it brings contracts of
    different size to one scale.

    Args:
        volatility: Volatility per square root of a year.
        cost: Proportional transaction cost: trading one unit at price S costs `cost · S`.
        risk_aversion: Risk aversion per unit of money.
        spot: Price at time 0, in money.
        expiry_steps: Steps to expiry, an integer or a range (low, high). Default: (1, steps).
        steps: Number T of time steps and of decisions.
        time_step: Length of a step in years.
        payoff: A `European` payoff.
        features: Names among `"spot"`, `"log_spot"`, `"moneyness"`, `"log_moneyness"`,
            `"max_log_moneyness"`, `"min_log_moneyness"`, `"time_to_expiry"` (years, zero after
            expiry), `"volatility"`, `"cost"` (the rate) and `"risk_aversion"`; or callables from
            prices `(B, T+1, 1)` to `(B, T)` or `(B, T, k)` that do not look ahead.
        unit: `"money"` or `"risk_tolerance"`.
        centred: Whether liabilities are net of their Black-Scholes price.
        draws: `"plain"`, `"antithetic"` or `"sobol"`, as in `BlackScholesMarket`. Sobol points
            spread the parameters evenly, too.
        dtype: `"float32"` or `"float64"`.

    Raises:
        ValueError: If an argument is out of its range; the message names it.

    Example:

    >>> market = ConditionalBlackScholesMarket(volatility=(0.1, 0.4), expiry_steps=(5, 20))
    >>> inputs, liability = market.simulate(seed=0, paths=1000)
    >>> inputs["features"].shape
    TensorShape([1000, 20, 5])
    """

    volatility: float | tuple = (0.1, 0.4)
    cost: float | tuple = (1e-4, 1e-2)
    risk_aversion: float | tuple = (1.0, 100.0)
    spot: float | tuple = 1.0
    expiry_steps: int | tuple | None = None
    steps: int = 20
    time_step: float = 1 / 250
    payoff: Callable = dataclasses.field(default_factory=European)
    features: tuple = ("log_moneyness", "time_to_expiry", "volatility", "cost", "risk_aversion")
    unit: str = "money"
    centred: bool = False
    draws: str = "plain"
    dtype: str = "float32"

    def __post_init__(self):
        for name in _RANGES:
            check = check_not_negative if name == "cost" else check_positive
            self._set(name, number_or_range(name, getattr(self, name), check))
        check_integer("steps", self.steps, minimum=1)
        check_positive("time_step", self.time_step)
        if self.expiry_steps is None:
            self._set("expiry_steps", (1, self.steps))
        expiry = number_or_range("expiry_steps", self.expiry_steps, _check_expiry)
        self._set("expiry_steps", expiry)
        if np.max(expiry) > self.steps:
            raise ValueError(
                f"`expiry_steps` must not exceed steps={self.steps}. "
                f"Received: expiry_steps={expiry}"
            )
        check_one_of("unit", self.unit, ("money", "risk_tolerance"))
        check_one_of("draws", self.draws, DRAWS)
        check_one_of("dtype", self.dtype, ("float32", "float64"))
        self._set("features", check_features(self.features, _GIVEN))
        if self.draws == "sobol" and self.steps + _PARAMETERS > MAX_DIMENSIONS:
            raise ValueError(
                f"Sobol draws offer at most {MAX_DIMENSIONS - _PARAMETERS} steps here. "
                f"Received: steps={self.steps}"
            )
        if not isinstance(self.payoff, European):
            raise ValueError(
                "`payoff` must be a European payoff: the prices after expiry are no fixings. "
                f"Received: payoff={self.payoff!r}"
            )
        check_payoff(self.payoff, self.steps, 1, self.time_step)

    def contracts(self, seed, paths, first_path=0):
        """The parameters of each path.

        Args:
            seed, paths, first_path: As in `simulate`.

        Returns:
            Dictionary of tensors `(B,)`: `volatility`, `cost`, `risk_aversion`, `spot` and
            `expiry_steps` (int32).
        """
        check_draw_arguments(seed, paths, first_path)
        uniform = uniform_draws(
            seed,
            paths,
            _PARAMETERS,
            first_path,
            self.draws,
            stream=_PARAMETER_STREAM,
            dtype=self.dtype,
        )
        contracts = {
            name: _in_range(uniform[:, k], getattr(self, name)) for k, name in enumerate(_RANGES)
        }
        low, high = np.broadcast_to(self.expiry_steps, 2)
        offset = tf.cast(uniform[:, -1] * float(high - low + 1), tf.int32)
        contracts["expiry_steps"] = tf.minimum(int(low) + offset, int(high))
        return contracts

    def simulate(self, seed, paths, first_path=0):
        contracts = self.contracts(seed, paths, first_path)
        volatility, cost, risk_aversion, spot = (contracts[name][:, None, None] for name in _RANGES)
        steps_left = contracts["expiry_steps"][:, None, None] - np.arange(self.steps)[:, None]
        alive = steps_left > 0
        steps_left = tf.cast(tf.maximum(steps_left, 0), self.dtype)

        deviation = volatility * self.time_step**0.5
        normals = normal_draws(
            seed,
            paths,
            self.steps,
            first_path=first_path,
            draws=self.draws,
            first_dimension=_PARAMETERS,
            dtype=self.dtype,
        )
        steps = tf.where(alive, normals * deviation - tf.square(deviation) * 0.5, 0.0)
        growth = tf.pad(tf.cumsum(steps, axis=1), ((0, 0), (1, 0), (0, 0)))
        price = by_row(tf.exp, growth) * spot
        known = growth[:, : self.steps]
        every_step = tf.ones_like(known)
        features = path_features(
            self.features,
            price=price,
            log_growth=known,
            log_spot=by_row(tf.math.log, spot),
            log_moneyness=by_row(tf.math.log, spot / self.payoff.strike),
            given={
                "time_to_expiry": steps_left * self.time_step,
                "volatility": every_step * volatility,
                "cost": every_step * cost,
                "risk_aversion": every_step * risk_aversion,
            },
        )
        liability = liability_of(self.payoff, price)
        if self.centred:
            liability -= self._black_scholes_price(contracts)
        if self.unit == "risk_tolerance":
            price *= risk_aversion
            liability *= contracts["risk_aversion"]
        cost = tf.where(alive, price[:, : self.steps], 0.0) * cost
        return {"features": features, "price": price, "cost": cost}, liability

    def spot_paths(self, seed, paths, first_path=0):
        """Prices alone in money, `(B, T+1, 1)`, whatever the unit."""
        money = dataclasses.replace(self, unit="money")
        return money.simulate(seed, paths, first_path)[0]["price"]

    def _black_scholes_price(self, contracts):
        time = tf.cast(contracts["expiry_steps"], self.dtype) * self.time_step
        return by_row(
            lambda spot, time, volatility: european_price(
                spot, self.payoff.strike, time, volatility, call=self.payoff.call
            ),
            contracts["spot"],
            time,
            contracts["volatility"],
        )

    def _set(self, name, value):
        object.__setattr__(self, name, value)


def _check_expiry(name, value):
    check_integer(name, value, minimum=1)


def _in_range(uniform, limits):
    """Uniform numbers spread over a range: evenly in the logarithm, or from zero evenly."""
    if not isinstance(limits, tuple):
        return tf.ones_like(uniform) * limits
    low, high = limits
    if low == 0:
        return uniform * high
    return by_row(tf.exp, uniform * np.log(high / low) + np.log(low))
