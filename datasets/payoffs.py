"""Payoffs: what the seller of a contract owes at the horizon, as a function of the price path.

Every payoff takes prices of shape `(B, T+1, D)` and returns `(B,)`. Any callable with that
signature serves as a payoff; the classes here validate their terms and can be stored as JSON.
Prices are in money and undiscounted. Fixings are the T + 1 points of the path; the initial one,
t = 0, counts unless the class says otherwise.
"""

import dataclasses
import numbers

import tensorflow as tf

from hedgezoo.datasets.checks import (
    check_integer,
    check_number,
    check_one_of,
    check_positive,
    plain,
)


@dataclasses.dataclass(frozen=True)
class Payoff:
    """Base of the payoffs below: shape checks and configuration around `_pay`.

    Call arguments:
        price: Prices of shape `(B, T+1, D)`.

    Returns:
        Tensor of shape `(B,)`, in the unit of `price` unless the class says otherwise.
    """

    def __call__(self, price):
        price = tf.convert_to_tensor(price)
        if price.shape.rank != 3:
            raise ValueError(
                "A payoff takes prices of shape (paths, steps + 1, instruments). "
                f"Received: price of shape {tuple(price.shape)}"
            )
        _, fixings, instruments = price.shape
        self.check_path(None if fixings is None else fixings - 1, instruments)
        return self._pay(price)

    @property
    def reference_price(self):
        """Price level that moneyness is measured against; None if the terms name none."""
        return getattr(self, "strike", None)

    def check_path(self, steps, instruments, time_step=None):
        """Raises a `ValueError` if paths of this size do not carry the contract's terms.

        Args:
            steps: Number of time steps T, or None if unknown.
            instruments: Number of instruments D, or None if unknown.
            time_step: Length of a step in years, or None if unknown.
        """
        instrument = getattr(self, "instrument", 0)
        if instruments is not None and instrument >= instruments:
            raise ValueError(
                f"{type(self).__name__} is written on instrument {instrument}, but the paths have "
                f"{instruments} instrument(s). Received: instrument={instrument}"
            )

    def get_config(self):
        """The terms as a dictionary of plain values that JSON can hold."""
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_config(cls, config):
        """The payoff whose `get_config` returned `config`."""
        return cls(**config)


def serialize(payoff):
    """`{"class_name", "config"}` of a payoff defined here, for JSON.

    Raises:
        ValueError: If `payoff` is a callable of your own: a file cannot hold code.
    """
    if type(payoff) not in _CLASSES.values():
        raise ValueError(
            "Only the payoffs of hedgezoo.datasets.payoffs can be stored; a callable of your own "
            f"has to be passed again on loading. Received: payoff={payoff!r}"
        )
    return {"class_name": type(payoff).__name__, "config": payoff.get_config()}


def deserialize(stored):
    """The payoff that `serialize` stored."""
    check_one_of("class_name", stored.get("class_name"), tuple(_CLASSES))
    return _CLASSES[stored["class_name"]].from_config(stored["config"])


@dataclasses.dataclass(frozen=True)
class European(Payoff):
    """European option: (S_T − K)⁺ for a call, (K − S_T)⁺ for a put.

    Args:
        strike: Strike K.
        call: True for a call, False for a put.
        instrument: Index of the underlying.

    Example:

    >>> European(strike=1.0)([[[1.0], [1.25]]]).numpy()
    array([0.25], dtype=float32)
    """

    strike: float = 1.0
    call: bool = True
    instrument: int = 0

    def __post_init__(self):
        check_positive("strike", self.strike)
        check_integer("instrument", self.instrument)

    def _pay(self, price):
        return _vanilla(price[:, -1, self.instrument], self.strike, self.call)


@dataclasses.dataclass(frozen=True)
class Binary(Payoff):
    """Cash-or-nothing option paying 1 if S_T ≥ K (call) or S_T < K (put).

    Args:
        strike: Strike K.
        call: True for a call, False for a put.
        instrument: Index of the underlying.
    """

    strike: float = 1.0
    call: bool = True
    instrument: int = 0

    def __post_init__(self):
        check_positive("strike", self.strike)
        check_integer("instrument", self.instrument)

    def _pay(self, price):
        above = price[:, -1, self.instrument] >= self.strike
        return tf.cast(above if self.call else ~above, price.dtype)


@dataclasses.dataclass(frozen=True)
class Lookback(Payoff):
    """Lookback option on the maximum M or minimum m of all fixings, t = 0 included.

    Fixed strike: (M − K)⁺ for a call, (K − m)⁺ for a put. Floating strike: S_T − m for a call,
    M − S_T for a put.

    Args:
        strike: Strike K, or None for a floating strike.
        call: True for a call, False for a put.
        instrument: Index of the underlying.
    """

    strike: float | None = 1.0
    call: bool = True
    instrument: int = 0

    def __post_init__(self):
        if self.strike is not None:
            check_positive("strike", self.strike)
        check_integer("instrument", self.instrument)

    def _pay(self, price):
        path = price[:, :, self.instrument]
        if self.strike is not None:
            extreme = tf.reduce_max(path, axis=1) if self.call else tf.reduce_min(path, axis=1)
            return _vanilla(extreme, self.strike, self.call)
        if self.call:
            return path[:, -1] - tf.reduce_min(path, axis=1)
        return tf.reduce_max(path, axis=1) - path[:, -1]


@dataclasses.dataclass(frozen=True)
class Asian(Payoff):
    """Asian option on the average A of the fixings.

    Fixed strike: (A − K)⁺ for a call, (K − A)⁺ for a put. Floating strike: (S_T − A)⁺ for a call,
    (A − S_T)⁺ for a put.

    Args:
        strike: Strike K, or None for a floating strike.
        call: True for a call, False for a put.
        average: `"arithmetic"` or `"geometric"`.
        include_start: Whether the fixing at t = 0 counts. By default it does not, and A is the
            average of the T fixings t = 1 ... T.
        instrument: Index of the underlying.
    """

    strike: float | None = 1.0
    call: bool = True
    average: str = "arithmetic"
    include_start: bool = False
    instrument: int = 0

    def __post_init__(self):
        if self.strike is not None:
            check_positive("strike", self.strike)
        check_one_of("average", self.average, ("arithmetic", "geometric"))
        check_integer("instrument", self.instrument)

    def _pay(self, price):
        fixings = price[:, 0 if self.include_start else 1 :, self.instrument]
        if self.average == "geometric":
            average = tf.exp(tf.reduce_mean(tf.math.log(fixings), axis=1))
        else:
            average = tf.reduce_mean(fixings, axis=1)
        if self.strike is None:
            return _vanilla(price[:, -1, self.instrument], average, self.call)
        return _vanilla(average, self.strike, self.call)


@dataclasses.dataclass(frozen=True)
class Barrier(Payoff):
    """European option that a barrier brings to life (in) or ends (out).

    The barrier is touched if a fixing, t = 0 included, is at or beyond it: S_t ≥ barrier for an
    upper one, S_t ≤ barrier for a lower one.

    Args:
        barrier: Barrier level.
        strike: Strike K.
        direction: `"up"` or `"down"`.
        knock: `"in"` or `"out"`.
        call: True for a call, False for a put.
        instrument: Index of the underlying.
    """

    barrier: float
    strike: float = 1.0
    direction: str = "up"
    knock: str = "out"
    call: bool = True
    instrument: int = 0

    def __post_init__(self):
        check_positive("barrier", self.barrier)
        check_positive("strike", self.strike)
        check_one_of("direction", self.direction, ("up", "down"))
        check_one_of("knock", self.knock, ("in", "out"))
        check_integer("instrument", self.instrument)

    def _pay(self, price):
        path = price[:, :, self.instrument]
        if self.direction == "up":
            touched = tf.reduce_max(path, axis=1) >= self.barrier
        else:
            touched = tf.reduce_min(path, axis=1) <= self.barrier
        alive = touched if self.knock == "in" else ~touched
        return _vanilla(path[:, -1], self.strike, self.call) * tf.cast(alive, price.dtype)


@dataclasses.dataclass(frozen=True)
class ForwardStart(Payoff):
    """Forward-start option on the return from a later date: (S_T / S_start − K)⁺ for a call.

    The payoff is a number per unit of notional: the strike is relative to the price at the start.

    Args:
        start_step: Index of the fixing S_start, from 1 to T − 1.
        strike: Relative strike K; 1 is at the money on the start date.
        call: True for a call, False for a put.
        instrument: Index of the underlying.
    """

    start_step: int = 10
    strike: float = 1.0
    call: bool = True
    instrument: int = 0

    def __post_init__(self):
        check_integer("start_step", self.start_step, minimum=1)
        check_positive("strike", self.strike)
        check_integer("instrument", self.instrument)

    @property
    def reference_price(self):
        return None

    def check_path(self, steps, instruments, time_step=None):
        super().check_path(steps, instruments, time_step)
        if steps is not None and self.start_step >= steps:
            raise ValueError(
                f"`start_step` must lie before the last of {steps} steps. "
                f"Received: start_step={self.start_step}"
            )

    def _pay(self, price):
        path = price[:, :, self.instrument]
        return _vanilla(path[:, -1] / path[:, self.start_step], self.strike, self.call)


@dataclasses.dataclass(frozen=True)
class VarianceSwap(Payoff):
    """Variance swap: realised variance minus the strike, Σ_t log(S_{t+1} / S_t)² / (T·dt) − K.

    Zero mean, annualised, and paid per unit of variance notional.

    Args:
        strike: Variance strike K per year; 0.04 is a volatility of 20 %.
        time_step: Length dt of a step in years.
        instrument: Index of the underlying.
    """

    strike: float = 0.04
    time_step: float = 1 / 250
    instrument: int = 0

    def __post_init__(self):
        check_positive("strike", self.strike)
        check_positive("time_step", self.time_step)
        check_integer("instrument", self.instrument)

    @property
    def reference_price(self):
        return None

    def check_path(self, steps, instruments, time_step=None):
        super().check_path(steps, instruments, time_step)
        if time_step is not None and abs(time_step - self.time_step) > 1e-9 * time_step:
            raise ValueError(
                "A variance swap annualises with the market's time step, "
                f"{time_step!r} years. Received: time_step={self.time_step!r}"
            )

    def _pay(self, price):
        logs = tf.math.log(price[:, :, self.instrument])
        realised = tf.reduce_mean(tf.square(logs[:, 1:] - logs[:, :-1]), axis=1)
        return realised / self.time_step - self.strike


@dataclasses.dataclass(frozen=True)
class Basket(Payoff):
    """Basket option on the weighted sum of all instruments: (Σ_d w_d S_T^d − K)⁺ for a call.

    A spread option is a basket with a negative weight.

    Args:
        weights: One number per instrument.
        strike: Strike K.
        call: True for a call, False for a put.
    """

    weights: tuple
    strike: float = 1.0
    call: bool = True

    def __post_init__(self):
        weights = (self.weights,) if isinstance(self.weights, numbers.Real) else self.weights
        for index, weight in enumerate(weights):
            check_number(f"weights[{index}]", weight)
        object.__setattr__(self, "weights", tuple(float(weight) for weight in weights))
        check_positive("strike", self.strike)

    @property
    def reference_price(self):
        return None

    def check_path(self, steps, instruments, time_step=None):
        if instruments is not None and instruments != len(self.weights):
            raise ValueError(
                f"`weights` must have one entry for each of {instruments} instrument(s). "
                f"Received: weights={self.weights}"
            )

    def _pay(self, price):
        basket = tf.linalg.matvec(price[:, -1], tf.constant(self.weights, price.dtype))
        return _vanilla(basket, self.strike, self.call)


@dataclasses.dataclass(frozen=True)
class Nothing(Payoff):
    """Owes nothing on any path: for a market without a claim, where trading alone is judged.

    The price of a claim is the risk with it less the risk with `Nothing`, and a statistical
    arbitrage is a gain with `Nothing` owed.

    Example:

    >>> Nothing()([[[1.0], [1.25]], [[1.0], [0.8]]]).numpy()
    array([0., 0.], dtype=float32)
    """

    def _pay(self, price):
        return tf.zeros_like(price[:, -1, 0])


def _vanilla(price, strike, call):
    return tf.nn.relu(price - strike if call else strike - price)


_CLASSES = {
    cls.__name__: cls
    for cls in (
        European,
        Binary,
        Lookback,
        Asian,
        Barrier,
        ForwardStart,
        VarianceSwap,
        Basket,
        Nothing,
    )
}
