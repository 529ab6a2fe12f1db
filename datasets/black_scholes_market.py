"""The Black-Scholes market: geometric Brownian motion, simulated without discretisation error."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import (
    check_integer,
    check_not_negative,
    check_number,
    check_one_of,
    check_positive,
    per_instrument,
)
from hedgezoo.datasets.market import (
    Market,
    check_draw_arguments,
    check_payoff,
    liability_of,
    reference_price,
)
from hedgezoo.datasets.path_features import check_features, path_features
from hedgezoo.datasets.payoffs import European
from hedgezoo.layers.correlation import check_correlation, correlation_factor
from hedgezoo.layers.draws import DRAWS, brownian_paths
from hedgezoo.layers.rows import idle_rows
from hedgezoo.layers.sobol import MAX_DIMENSIONS

_GIVEN = ("time_to_expiry", "volatility", "cost")


@dataclasses.dataclass(frozen=True)
class BlackScholesMarket(Market):
    """One or several instruments that follow correlated geometric Brownian motions.

    `log S_t = log S_0 + (drift − volatility²/2) t + volatility W_t`, sampled at the times
    `0, time_step, ..., steps · time_step`, at zero interest rate. The logarithm is sampled from its
    exact distribution, whatever the time step.

    `volatility`, `drift`, `spot` and `cost` are numbers, or tuples with one number for each of D
    instruments.

    Args:
        volatility: Volatility per square root of a year.
        drift: Drift of the price per year. The price is a martingale without one.
        spot: Price at time 0, in money.
        steps: Number T of time steps and of decisions.
        time_step: Length of a step in years.
        cost: Proportional transaction cost: trading one unit at price S costs `cost · S`.
        payoff: What is owed at the horizon: a payoff of `hedgezoo.datasets.payoffs`, or a callable
            from prices `(B, T+1, D)` to `(B,)`.
        features: Names among `"spot"`, `"log_spot"`, `"moneyness"`, `"log_moneyness"`,
            `"max_log_moneyness"`, `"min_log_moneyness"` (a column per instrument; moneyness is
            relative to the payoff's strike, or to the spot without one), `"time_to_expiry"` in
            years, `"volatility"` and `"cost"` (the rate); or callables from prices
            `(B, T+1, D)` to `(B, T)` or `(B, T, k)` that do not look ahead.
        draws: `"plain"`, `"antithetic"` (paths 2i and 2i + 1 are driven by mirror images) or
            `"sobol"` (randomly scrambled Sobol points along a Brownian bridge; batches of a power
            of two are the most evenly spread; at most 1111 steps x instruments, and points repeat
            beyond path 2³⁰).
        dtype: `"float32"` or `"float64"`.
        correlation: D x D correlation matrix of the Brownian motions as nested tuples. Default:
            independent.

    Raises:
        ValueError: If an argument is out of its range; the message names it.

    Example:

    >>> market = BlackScholesMarket(volatility=0.2, steps=20)
    >>> inputs, liability = market.simulate(seed=0, paths=1000)
    >>> {name: tuple(tensor.shape) for name, tensor in inputs.items()}
    {'features': (1000, 20, 3), 'price': (1000, 21, 1), 'cost': (1000, 20, 1)}
    >>> liability.shape
    TensorShape([1000])
    """

    volatility: float | tuple = 0.2
    drift: float | tuple = 0.0
    spot: float | tuple = 1.0
    steps: int = 20
    time_step: float = 1 / 250
    cost: float | tuple = 1e-3
    payoff: Callable = dataclasses.field(default_factory=European)
    features: tuple = ("log_moneyness", "time_to_expiry", "volatility")
    draws: str = "plain"
    dtype: str = "float32"
    correlation: tuple | None = None

    def __post_init__(self):
        for name, check in (
            ("volatility", check_positive),
            ("drift", check_number),
            ("spot", check_positive),
            ("cost", check_not_negative),
        ):
            self._set(name, per_instrument(name, getattr(self, name), check))
        check_integer("steps", self.steps, minimum=1)
        check_positive("time_step", self.time_step)
        check_one_of("draws", self.draws, DRAWS)
        check_one_of("dtype", self.dtype, ("float32", "float64"))
        self._set("correlation", check_correlation(self.correlation))
        self._set("features", check_features(self.features, _GIVEN))
        sizes = {
            name: len(value)
            for name in ("volatility", "drift", "spot", "cost", "correlation")
            if isinstance(value := getattr(self, name), tuple)
        }
        if len(set(sizes.values())) > 1:
            raise ValueError(
                "Arguments given per instrument must agree on the number of instruments. "
                f"Received: {sizes}"
            )
        if self.draws == "sobol" and self.steps * self.instruments > MAX_DIMENSIONS:
            raise ValueError(
                f"Sobol draws offer at most {MAX_DIMENSIONS} steps x instruments. "
                f"Received: steps={self.steps} with {self.instruments} instrument(s)"
            )
        check_payoff(self.payoff, self.steps, self.instruments, self.time_step)

    @property
    def instruments(self):
        """Number of instruments D."""
        values = (self.volatility, self.drift, self.spot, self.cost, self.correlation)
        return max(len(value) if isinstance(value, tuple) else 1 for value in values)

    def simulate(self, seed, paths, first_path=0):
        growth, price = self._paths(seed, paths, first_path)
        spot, cost = self._each(self.spot), self._each(self.cost)
        left = np.arange(self.steps, 0, -1) * self.time_step
        every_step = np.ones((self.steps, 1))
        features = path_features(
            self.features,
            price=price,
            log_growth=growth[:, : self.steps],
            log_spot=np.log(spot),
            log_moneyness=np.log(spot / reference_price(self.payoff, spot)),
            given={
                "time_to_expiry": left[:, None],
                "volatility": every_step * self._each(self.volatility),
                "cost": every_step * cost,
            },
        )
        inputs = {
            "features": features,
            "price": price,
            "cost": price[:, : self.steps] * tf.constant(cost, self.dtype),
        }
        return inputs, liability_of(self.payoff, price)

    def spot_paths(self, seed, paths, first_path=0):
        return self._paths(seed, paths, first_path)[1]

    def _paths(self, seed, paths, first_path):
        """Logarithm of S_t / S_0, and S_t; both `(B, T+1, D)`."""
        check_draw_arguments(seed, paths, first_path)
        level = brownian_paths(
            seed, paths, self.steps, self.instruments, first_path, self.draws, dtype=self.dtype
        )
        volatility = self._each(self.volatility)
        slope = (self._each(self.drift) - volatility**2 / 2) * self.time_step
        clock = np.arange(1, self.steps + 1)[:, None]
        factor = volatility[:, None] * correlation_factor(self.correlation, self.instruments)
        growth = _mix(level, factor * self.time_step**0.5) + tf.constant(slope * clock, self.dtype)
        # One column for time 0, and idle rows as `by_row` would add them, in one copy
        idle = idle_rows((self.steps + 1) * self.instruments)
        padded = tf.pad(growth, ((0, idle), (1, 0), (0, 0)))
        price = tf.exp(padded)[:paths] * tf.constant(self._each(self.spot), self.dtype)
        return padded[:paths], price

    def _each(self, value):
        """One number per instrument."""
        return np.broadcast_to(np.asarray(value, np.float64), (self.instruments,))

    def _set(self, name, value):
        object.__setattr__(self, name, value)


def _mix(level, factor):
    """Sums Σ_k factor[d, k] level[..., k], without a matrix product, which a GPU would round."""
    columns = []
    for row in factor:
        terms = [level[:, :, k] * weight for k, weight in enumerate(row) if weight]
        columns.append(terms[0] if len(terms) == 1 else tf.add_n(terms))
    return tf.stack(columns, axis=-1) if len(columns) > 1 else columns[0][:, :, None]
