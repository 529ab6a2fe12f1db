"""Black-Scholes paths on which options are traded at a volatility that is not the realised one."""

import dataclasses
import itertools
import numbers
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import (
    check_integer,
    check_not_negative,
    check_number,
    check_one_of,
    check_positive,
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
from hedgezoo.layers.black_scholes import european_price
from hedgezoo.layers.draws import DRAWS, brownian_paths
from hedgezoo.layers.rows import by_row
from hedgezoo.layers.sobol import MAX_DIMENSIONS

_GIVEN = ("time_to_expiry", "volatility", "implied_volatility", "cost")
_KINDS = {"spot": "spot", "calls": "call", "puts": "put", "straddles": "straddle"}


@dataclasses.dataclass(frozen=True)
class FloatingOptionMarket(Market):
    """A Black-Scholes spot with floating options priced at an implied volatility of their own.

    The spot follows `log S_t = log S_0 + (drift − volatility²/2) t + volatility W_t` at zero
    interest rate. At each date new options can be bought or sold: relative strike k, expiry n
    steps later, price `black_scholes_call(k, n · time_step, implied_volatility)` per unit of spot.
    Where implied and realised volatility differ, hedged options are a statistical arbitrage.

    Inputs are in the floating convention: `unit_gain[t]` is what one unit bought at t gains by
    its expiry, `(S_{t+n} / S_t − k)⁺ − price` for a call. An option that outlives the horizon is
    marked there at the implied volatility. One unit is written on an amount of money, i.e. on
    `1 / S_t` of the underlying, unless `unit="underlying"`.

    Args:
        volatility: Realised volatility per square root of a year.
        implied_volatility: Volatility at which options are priced.
        drift: Drift of the spot per year.
        spot: Spot at time 0, in money.
        steps: Number T of time steps and of decisions.
        time_step: Length of a step in years.
        instruments: Kinds among `"spot"`, `"calls"`, `"puts"` and `"straddles"` (a call and a put).
        expiry_steps: Steps n from purchase to expiry, an integer or a tuple.
        strikes: Strikes k relative to the spot at purchase, a number or a tuple.
        spot_gain: `"step"`: spot bought at t is sold at t + 1, gain `S_{t+1} − S_t`; `"horizon"`:
            it is held, gain `S_T − S_t`.
        cost: Cost of trading one unit of any instrument, per unit of spot: money
            `cost` if `unit="notional"`, else `cost · S_t`.
        unit: `"notional"` or `"underlying"`.
        payoff: What is owed at the horizon, a function of spot prices `(B, T+1, 1)`.
        features: Names among those of `BlackScholesMarket`, of the spot, where `"time_to_expiry"`
            is the time to the horizon, and `"implied_volatility"`; or callables from spot prices
            `(B, T+1, 1)` to `(B, T)` or `(B, T, k)` that do not look ahead.
        draws: `"plain"`, `"antithetic"` or `"sobol"`, as in `BlackScholesMarket`.
        dtype: `"float32"` or `"float64"`.

    Raises:
        ValueError: If an argument is out of its range; the message names it.

    Example:

    >>> market = FloatingOptionMarket(volatility=0.2, implied_volatility=0.22)
    >>> market.instrument_names
    ('spot', 'straddle 1 1')
    >>> inputs, liability = market.simulate(seed=0, paths=1000)
    >>> {name: tuple(tensor.shape) for name, tensor in inputs.items()}
    {'features': (1000, 30, 2), 'unit_gain': (1000, 30, 2), 'cost': (1000, 30, 2)}

    Reference:
        Buehler, Murray, Pakkanen, Wood, "Deep Hedging: Learning Risk-Neutral Implied Volatility
        Dynamics", 2021, arXiv:2103.11948, section 3.2.
    """

    volatility: float = 0.2
    implied_volatility: float = 0.22
    drift: float = 0.0
    spot: float = 1.0
    steps: int = 30
    time_step: float = 1 / 250
    instruments: tuple = ("spot", "straddles")
    expiry_steps: int | tuple = 1
    strikes: float | tuple = 1.0
    spot_gain: str = "step"
    cost: float = 0.0
    unit: str = "notional"
    payoff: Callable = dataclasses.field(default_factory=Nothing)
    features: tuple = ("log_moneyness", "time_to_expiry")
    draws: str = "plain"
    dtype: str = "float32"

    def __post_init__(self):
        for name, check in (
            ("volatility", check_positive),
            ("implied_volatility", check_positive),
            ("drift", check_number),
            ("spot", check_positive),
            ("cost", check_not_negative),
            ("time_step", check_positive),
        ):
            check(name, getattr(self, name))
            self._set(name, float(getattr(self, name)))
        check_integer("steps", self.steps, minimum=1)
        self._set("instruments", _several("instruments", self.instruments, str))
        self._set("expiry_steps", _several("expiry_steps", self.expiry_steps, numbers.Integral))
        self._set("strikes", _several("strikes", self.strikes, numbers.Real))
        for kind in self.instruments:
            check_one_of("instruments", kind, tuple(_KINDS))
        for expiry in self.expiry_steps:
            check_integer("expiry_steps", expiry, minimum=1)
        for strike in self.strikes:
            check_positive("strikes", strike)
        check_one_of("spot_gain", self.spot_gain, ("step", "horizon"))
        check_one_of("unit", self.unit, ("notional", "underlying"))
        check_one_of("draws", self.draws, DRAWS)
        check_one_of("dtype", self.dtype, ("float32", "float64"))
        self._set("features", check_features(self.features, _GIVEN))
        if self.draws == "sobol" and self.steps > MAX_DIMENSIONS:
            raise ValueError(
                f"Sobol draws offer at most {MAX_DIMENSIONS} steps. Received: steps={self.steps}"
            )
        check_payoff(self.payoff, self.steps, 1, self.time_step)

    @property
    def instrument_names(self):
        """A name for each instrument: of options kind, steps to expiry and relative strike."""
        return tuple(
            kind if kind == "spot" else f"{kind} {expiry} {strike:.6g}"
            for kind, expiry, strike in self._contracts()
        )

    @property
    def option_prices(self):
        """Mid prices `(D,)` per unit of spot, the same at each date; of the spot itself 1."""
        return np.array([self._price(*contract) for contract in self._contracts()])

    def simulate(self, seed, paths, first_path=0):
        growth, price = self._paths(seed, paths, first_path)
        every_step = np.ones((self.steps, 1))
        left = np.arange(self.steps, 0, -1) * self.time_step
        features = path_features(
            self.features,
            price=price,
            log_growth=growth[:, : self.steps],
            log_spot=np.log([self.spot]),
            log_moneyness=np.log(self.spot / np.asarray(reference_price(self.payoff, [self.spot]))),
            given={
                "time_to_expiry": left[:, None],
                "volatility": every_step * self.volatility,
                "implied_volatility": every_step * self.implied_volatility,
                "cost": every_step * self.cost,
            },
        )
        gains = [self._gain(growth[:, :, 0], *contract) for contract in self._contracts()]
        unit_gain = tf.stack(gains, axis=-1)
        cost = tf.fill(tf.shape(unit_gain), tf.constant(self.cost, self.dtype))
        if self.unit == "underlying":
            unit_gain *= price[:, : self.steps]
            cost *= price[:, : self.steps]
        inputs = {
            "features": features,
            "unit_gain": unit_gain,
            "cost": tf.ensure_shape(cost, unit_gain.shape),
        }
        return inputs, liability_of(self.payoff, price)

    def spot_paths(self, seed, paths, first_path=0):
        """Spot, `(B, T+1, 1)`, of the paths that `simulate` gives for these arguments."""
        return self._paths(seed, paths, first_path)[1]

    def _paths(self, seed, paths, first_path):
        """Logarithm of S_t / S_0, and S_t; both `(B, T+1, 1)`."""
        check_draw_arguments(seed, paths, first_path)
        level = brownian_paths(seed, paths, self.steps, 1, first_path, self.draws, dtype=self.dtype)
        slope = (self.drift - self.volatility**2 / 2) * self.time_step
        clock = tf.constant(slope * np.arange(1, self.steps + 1)[:, None], self.dtype)
        growth = level * tf.constant(self.volatility * self.time_step**0.5, self.dtype) + clock
        growth = tf.pad(growth, ((0, 0), (1, 0), (0, 0)))
        return growth, by_row(tf.exp, growth) * tf.constant(self.spot, self.dtype)

    def _contracts(self):
        """`(kind, expiry, strike)` of each instrument, the spot's last two None."""
        for kind in self.instruments:
            if kind == "spot":
                yield kind, None, None
            else:
                for expiry, strike in itertools.product(self.expiry_steps, self.strikes):
                    yield _KINDS[kind], expiry, strike

    def _price(self, kind, expiry, strike):
        if kind == "spot":
            return 1.0
        terms = (1.0, strike, expiry * self.time_step, self.implied_volatility)
        with tf.init_scope():  # a number, also where a graph is being traced
            call = european_price(*terms, call=True).numpy()
            put = european_price(*terms, call=False).numpy()
        return {"call": call, "put": put, "straddle": call + put}[kind]

    def _gain(self, growth, kind, expiry, strike):
        """Gain per unit of spot at purchase, `(B, T)`, from log(S_t / S_0), `(B, T+1)`."""
        starts = np.arange(self.steps)
        life = expiry if kind != "spot" else 1 if self.spot_gain == "step" else self.steps
        ends = np.minimum(starts + life, self.steps)
        move = by_row(tf.math.expm1, tf.gather(growth, ends, axis=1) - growth[:, : self.steps])
        if kind == "spot":
            return move
        expired = max(self.steps - expiry + 1, 0)
        value = self._payoff(move[:, :expired], kind, strike)
        if expired < self.steps:
            years = (starts + expiry - self.steps)[expired:] * self.time_step
            value = tf.concat([value, self._mark(move[:, expired:], kind, strike, years)], axis=1)
        return value - tf.constant(self._price(kind, expiry, strike), self.dtype)

    def _payoff(self, move, kind, strike):
        distance = move - tf.constant(strike - 1.0, self.dtype)
        function = {"call": tf.nn.relu, "put": lambda x: tf.nn.relu(-x), "straddle": tf.abs}[kind]
        return function(distance)

    def _mark(self, move, kind, strike, years):
        """Value at the horizon of options that expire `years` later."""
        years = tf.constant(years, self.dtype)

        def put(move):
            return european_price(1.0 + move, strike, years, self.implied_volatility, False)

        value = by_row(put, move)
        parity = move - tf.constant(strike - 1.0, self.dtype)  # a call less a put
        return value + {"call": parity, "put": 0.0, "straddle": value + parity}[kind]

    def _set(self, name, value):
        object.__setattr__(self, name, value)


def _several(name, value, single):
    """One value or several different ones, as a tuple."""
    value = (value,) if isinstance(value, single) else tuple(value)
    if not value or len(set(value)) < len(value):
        raise ValueError(
            f"`{name}` must be one value or several different ones. Received: {name}={value!r}"
        )
    return value
