"""A market made of your own paths."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_one_of, check_positive
from hedgezoo.datasets.market import Market, check_draw_arguments, check_payoff, liability_of
from hedgezoo.datasets.path_features import check_features, path_features
from hedgezoo.datasets.shuffle import shuffled_rows

_GIVEN = ("time_to_expiry", "volatility", "cost")


@dataclasses.dataclass(frozen=True, eq=False)
class ArrayMarket(Market):
    """Paths that were given, served like simulated ones; made by `from_arrays`.

    Path i of a seed is a row of the arrays. An epoch is N paths, N being the number of rows: each
    one holds every row once, in an order of its own that depends on the seed. `seed=None` keeps
    the order of the arrays.
    """

    inputs: dict = dataclasses.field(repr=False)
    liability: tf.Tensor = dataclasses.field(repr=False)
    rows: int
    steps: int
    instruments: int
    time_step: float
    payoff: Callable | None
    features: tuple | None
    dtype: str

    def simulate(self, seed, paths, first_path=0):
        """Inputs and liability of the paths `first_path ... first_path + paths − 1`.

        Args:
            seed: Integer or scalar integer tensor; None for the order of the arrays.
            paths: Number of paths B, which may exceed the number of rows.
            first_path: Global index of the first path.

        Returns:
            Tuple `(inputs, liability)`.
        """
        check_draw_arguments(0 if seed is None else seed, paths, first_path)
        rows = shuffled_rows(seed, paths, first_path, self.rows)
        inputs = {name: tf.gather(tensor, rows) for name, tensor in self.inputs.items()}
        return inputs, tf.gather(self.liability, rows)

    def get_config(self):
        """Not available: a configuration does not hold data."""
        raise ValueError(
            "A market of your own paths cannot be stored as JSON; keep the arrays and call "
            f"from_arrays again. Received: {self!r}"
        )


def from_arrays(
    price,
    liability=None,
    payoff=None,
    cost=1e-3,
    features=None,
    time_step=1 / 250,
    strike=None,
    volatility=None,
    dtype="float32",
):
    """A market of your own paths.

    Args:
        price: Mid prices in money, `(N, T+1)` or `(N, T+1, D)`: N paths with T decisions, at
            0 ... T−1, on D instruments.
        liability: What is owed at the horizon on each path, `(N,)`. Give this or `payoff`.
        payoff: A payoff of `hedgezoo.datasets.payoffs`, or a callable from prices `(N, T+1, D)` to
            `(N,)`.
        cost: Proportional rate, a number or one per instrument `(D,)`: trading one unit at price S
            costs `cost · S`. Or money per unit traded at each decision, `(N, T)` or `(N, T, D)`.
        features: What is known at the decisions, `(N, T)` or `(N, T, F)`. Or names as in
            `BlackScholesMarket`, computed here; or callables from prices `(N, T+1, D)` to `(N, T)`
            or `(N, T, k)` that do not look ahead. Default: log-moneyness, time to expiry, and the
            volatility if it is given.
        time_step: Years between prices.
        strike: Price level of moneyness, a number or one per path `(N,)`. Default: the strike of
            the payoff, or each path's first price without one.
        volatility: Annual volatility for the feature of that name: a number, `(N,)` or `(N, T)`.
        dtype: `"float32"` or `"float64"`.

    Returns:
        An `ArrayMarket` with the `simulate` and `batches` of every market.

    Raises:
        ValueError: If prices are missing or not positive (the message names the first path and
            time), shapes do not fit, or costs are negative.

    Example:

    >>> market = from_arrays([[1.0, 1.1, 0.9], [1.0, 1.0, 1.2]], liability=[0.0, 0.2])
    >>> inputs, liability = market.simulate(seed=None, paths=2)
    >>> liability.numpy()
    array([0. , 0.2], dtype=float32)
    """
    check_one_of("dtype", dtype, ("float32", "float64"))
    check_positive("time_step", time_step)
    price = _checked_price(price)
    rows, steps, instruments = price.shape[0], price.shape[1] - 1, price.shape[2]
    if (payoff is None) == (liability is None):
        raise ValueError(
            "Give either `liability` or `payoff`, not both or none. Received: "
            f"liability={'None' if liability is None else 'an array'}, payoff={payoff!r}"
        )
    if payoff is not None:
        check_payoff(payoff, steps, instruments, time_step)
    else:
        liability = check_array("liability", liability, {"(paths,)": (rows,)})
    cost = _checked_cost(cost, price)
    if features is None:
        features = ("log_moneyness", "time_to_expiry")
        features = features if volatility is None else (*features, "volatility")
    with tf.init_scope(), tf.device("CPU:0"):
        prices = tf.constant(price, dtype)
        owed = liability_of(payoff, prices) if payoff is not None else tf.constant(liability, dtype)
        if _are_names(features):
            names, columns = _computed(
                features, price, cost, payoff, time_step, strike, volatility, dtype
            )
        else:
            shapes = {"(paths, steps)": (rows, steps), "(paths, steps, F)": (rows, steps, None)}
            names, columns = None, check_array("features", features, shapes)
            columns = tf.constant(columns.reshape(rows, steps, -1), dtype)
        inputs = {"features": columns, "price": prices, "cost": tf.constant(cost, dtype)}
    return ArrayMarket(
        inputs, owed, rows, steps, instruments, float(time_step), payoff, names, dtype
    )


def _computed(features, price, cost, payoff, time_step, strike, volatility, dtype):
    """Names and tensor (N, T, F) of features that are named."""
    names = check_features(features, _GIVEN)
    logs = np.log(price)
    growth = logs[:, :-1] - logs[:, :1]
    every_step = np.ones_like(growth[:, :, :1])
    given = {
        "time_to_expiry": every_step * (np.arange(price.shape[1] - 1, 0, -1) * time_step)[:, None],
        "cost": cost / price[:, :-1],
    }
    if "volatility" in names:
        given["volatility"] = every_step * _checked_volatility(volatility, price)
    log_moneyness = logs[:, :1] - _log_strike(strike, payoff, price)
    return names, path_features(
        names,
        tf.constant(price, dtype),
        tf.constant(growth, dtype),
        logs[:, :1],
        log_moneyness,
        given,
    )


def _checked_volatility(volatility, price):
    """Annual volatility, broadcasting to (N, T, 1)."""
    if volatility is None:
        raise ValueError(
            "The feature 'volatility' takes the argument `volatility`. Received: volatility=None"
        )
    rows, steps = price.shape[0], price.shape[1] - 1
    shapes = {"()": (), "(paths,)": (rows,), "(paths, steps)": (rows, steps)}
    volatility = check_array("volatility", volatility, shapes)
    if not (volatility > 0).all():
        raise ValueError(f"`volatility` must be positive. Received: {volatility.min()}")
    return np.reshape(volatility, (*volatility.shape, *(1,) * (3 - volatility.ndim)))


def _log_strike(strike, payoff, price):
    """Logarithm of the price level of moneyness, broadcasting to (N, 1, D)."""
    first = np.log(price[:, :1])
    if strike is None:
        strike = getattr(payoff, "reference_price", None)
        if strike is None:
            return first
        own = np.arange(price.shape[2]) == payoff.instrument
        return np.where(own, np.log(strike), first)
    strike = check_array("strike", strike, {"()": (), "(paths,)": (price.shape[0],)})
    if not (strike > 0).all():
        raise ValueError(f"`strike` must be positive. Received: {strike.min()}")
    return np.log(strike).reshape(-1, 1, 1)


def _checked_price(price):
    shapes = {"(paths, steps + 1)": (None, None), "(paths, steps + 1, D)": (None, None, None)}
    price = check_array("price", price, shapes, finite=False)
    price = price[:, :, None] if price.ndim == 2 else price
    if price.shape[0] == 0 or price.shape[1] < 2 or price.shape[2] == 0:
        raise ValueError(
            "`price` must hold at least one path, one step and one instrument. "
            f"Received: shape {price.shape}"
        )
    good = np.isfinite(price) & (price > 0)
    if not good.all():
        path, time, instrument = np.argwhere(~good)[0]
        raise ValueError(
            "`price` must be positive and finite. "
            f"Received: {price[path, time, instrument]} at path {path}, time {time}, "
            f"instrument {instrument} ({np.sum(~good)} such entries in all)"
        )
    return price


def _checked_cost(cost, price):
    """Money per unit traded, (N, T, D)."""
    rows, fixings, instruments = price.shape
    shapes = {
        "()": (),
        "(D,)": (instruments,),
        "(paths, steps, D)": (rows, fixings - 1, instruments),
    }
    if instruments == 1:
        shapes["(paths, steps)"] = (rows, fixings - 1)
    cost = check_array("cost", cost, shapes)
    if not (cost >= 0).all():
        where = tuple(int(i) for i in np.argwhere(~(cost >= 0))[0])
        raise ValueError(
            "`cost` must not be negative. "
            f"Received: {cost[where]}" + (f" at index {where}" if where else "")
        )
    if cost.ndim < 2:
        return cost * price[:, :-1]
    return cost.reshape(rows, fixings - 1, instruments)


def _are_names(features):
    if isinstance(features, str) or callable(features):
        return True
    return isinstance(features, (list, tuple)) and all(
        isinstance(feature, str) or callable(feature) for feature in features
    )
