"""What a hedge earns: gains of the positions less the cost of getting into them."""

import keras
import tensorflow as tf

from hedgezoo.layers import trading_costs
from hedgezoo.layers._arguments import (
    as_tensor,
    common_dtype,
    money_dtype,
    require_broadcastable,
    require_rank,
    require_values,
)


@tf.autograph.experimental.do_not_convert
def trading_gains(
    positions,
    price=None,
    unit_gain=None,
    cost=None,
    fixed_cost=None,
    quadratic_cost=None,
    vega=None,
    vega_rate=None,
    initial_position=0.0,
    liquidate=False,
    terminal_cost=None,
    smoothing=0.0,
):
    """Gains of self-financing trading, net of trading cost, one number per path.

    Instruments with a price are held from one step to the next and netted, so what is traded
    is the change of the position:

    `gains = sum_t position[t] * (price[t+1] - price[t]) - cost(position[t] - position[t-1])`

    Floating instruments (`unit_gain`) are new ones at each step, e.g. the at-the-money option
    of the day. A unit bought at t is held to its own expiry, so what is traded is the whole
    position, and nothing is netted or carried over:

    `gains = sum_t position[t] * unit_gain[t] - cost(position[t])`

    The costs given are added up; each is a function in `trading_costs`.

    Args:
        positions: Units held from t to t+1 (floating: bought at t). Shape `(B, T, D)`.
        price: Mid prices at 0..T. Shape `(B, T+1, D)`.
        unit_gain: Instead of `price`: value at expiry less price of one unit bought at t.
            Shape `(B, T, D)`.
        cost: Money per unit traded, at least zero. Broadcasts to `(B, T, D)`. Or a callable
            `cost(trade)` that maps units traded `(B, T, D)` to money `(B, T, D)` (with
            `liquidate` also the sale, `(B, 1, D)`).
        fixed_cost: Money per trade. Broadcasts to `(B, T, D)`.
        quadratic_cost: Money per squared unit traded. Broadcasts to `(B, T, D)`.
        vega: Vega of one unit. Broadcasts to `(B, T, D)`. Goes with `vega_rate`.
        vega_rate: Money per unit of vega traded, i.e. half the spread in implied volatility.
        initial_position: Units held before the first step. Broadcasts to `(B, D)`.
        liquidate: Whether the last position is sold at `price[T]`, at a cost. By default it
            is marked at mid price.
        terminal_cost: Money per unit for that sale. Broadcasts to `(B, D)`. Default: the
            last `cost` in proportion to the price, `cost[T-1] / price[T-1] * price[T]`.
            `fixed_cost`, `quadratic_cost` and `vega` of the last step are charged again.
        smoothing: Width in units over which `fixed_cost` sets in; zero is exact but has no
            derivative. See `trading_costs.fixed_cost`.

    Returns:
        Gains in money. Shape `(B,)`.

    Raises:
        ValueError: If not exactly one of `price` and `unit_gain` is given, if ranks, steps or
            instruments do not fit, if an eager cost is negative or an eager price not finite,
            or if floating instruments are given an initial position or are to be liquidated.

    Example:

    >>> price = [[[1.0], [2.0], [4.0]]]
    >>> trading_gains([[[1.0], [0.5]]], price, cost=0.5).numpy()  # 1 + 1 - 0.5 - 0.25
    array([1.25], dtype=float32)
    """
    floating = price is None
    if floating == (unit_gain is None):
        given = "neither" if floating else "both"
        raise ValueError(f"Give one of `price` and `unit_gain`. Received: {given}")
    dtype = common_dtype(positions, price, unit_gain)
    positions = as_tensor(positions, dtype)
    require_rank(positions, 3, "positions", "(B, T, D)")
    shape = tuple(positions.shape)
    costs = {
        "cost": cost,
        "fixed_cost": fixed_cost,
        "quadratic_cost": quadratic_cost,
        "vega": vega,
        "vega_rate": vega_rate,
    }
    costs = {name: _cost_tensor(name, value, dtype, shape) for name, value in costs.items()}
    if (vega is None) != (vega_rate is None):
        missing = "vega" if vega is None else "vega_rate"
        raise ValueError(f"`vega` and `vega_rate` go together. Received: {missing}=None")
    if smoothing < 0:
        raise ValueError(f"`smoothing` must be at least zero. Received: smoothing={smoothing}")
    if terminal_cost is not None and not liquidate:
        raise ValueError("`terminal_cost` needs `liquidate=True`. Received: liquidate=False")

    if floating:
        if liquidate or not _is_zero(initial_position):
            raise ValueError(
                "Floating instruments (`unit_gain`) are held to expiry: there is no "
                "`initial_position` to net with and nothing to `liquidate`. Received: "
                f"initial_position={initial_position}, liquidate={liquidate}"
            )
        unit_gain = as_tensor(unit_gain, dtype)
        _require_steps(unit_gain, shape, 0, "unit_gain", "(B, T, D)")
        require_values(tf.math.is_finite, unit_gain, "unit_gain", "finite")
        trade = positions
    else:
        price = as_tensor(price, dtype)
        _require_steps(price, shape, 1, "price", "(B, T+1, D)")
        require_values(tf.math.is_finite, price, "price", "finite")
        unit_gain = price[:, 1:] - price[:, :-1]
        trade = _trades(positions, initial_position)

    money = positions * unit_gain
    for charge in _charges(trade, smoothing, **costs):
        money -= charge
    gains = tf.reduce_sum(money, axis=(1, 2))
    if liquidate:
        costs = {name: _last_step(value) for name, value in costs.items()}
        costs["cost"] = _terminal_unit_cost(costs["cost"], price, terminal_cost)
        for charge in _charges(-positions[:, -1:], smoothing, **costs):
            gains -= tf.reduce_sum(charge, axis=(1, 2))
    return gains


@keras.saving.register_keras_serializable(package="hedgezoo")
class TradingGains(keras.layers.Layer):
    """Layer over `trading_gains`: positions and a market in, gains per path out.

    Args:
        fixed_cost: Money per trade, or `None`.
        quadratic_cost: Money per squared unit traded, or `None`.
        vega_rate: Money per unit of vega traded, or `None`; needs `"vega"` in the inputs.
        liquidate: Whether the last position is sold at the horizon, at a cost.
        smoothing: Width in units over which `fixed_cost` sets in.
        **kwargs: Keyword arguments of `keras.layers.Layer`, e.g. `name` and `dtype`.

    Call arguments:
        inputs: Dictionary with `"price"` `(B, T+1, D)` or `"unit_gain"` `(B, T, D)`, and
            where they apply `"cost"` `(B, T, D)`, `"vega"` `(B, T, D)` and
            `"terminal_cost"` `(B, D)`. Other keys are ignored.
        positions: Units held `(B, T, D)`. May instead be `inputs["positions"]`.
        initial_position: Optional units held before the first step, broadcast to `(B, D)`.

    Output shape:
        `(B,)`, in float32 also under a 16-bit policy.

    Raises:
        ValueError: If the positions are missing; see also `trading_gains`.

    Example:

    >>> price = tf.constant([[[1.0], [2.0], [4.0]]])
    >>> inputs = {"price": price, "cost": 0.5 * tf.ones((1, 2, 1))}
    >>> TradingGains()(inputs, tf.constant([[[1.0], [0.5]]])).numpy()
    array([1.25], dtype=float32)
    """

    def __init__(
        self,
        fixed_cost=None,
        quadratic_cost=None,
        vega_rate=None,
        liquidate=False,
        smoothing=0.0,
        **kwargs,
    ):
        # Under mixed precision prices must arrive as they are, see `money_dtype`.
        super().__init__(**{"autocast": False, **kwargs})
        self.fixed_cost = fixed_cost
        self.quadratic_cost = quadratic_cost
        self.vega_rate = vega_rate
        self.liquidate = liquidate
        self.smoothing = smoothing

    def call(self, inputs, positions=None, initial_position=None):
        if positions is None:
            if "positions" not in inputs:
                raise ValueError(
                    "`positions` must be an argument or a key of `inputs`. "
                    f"Received: inputs with keys {sorted(inputs)}"
                )
            positions = inputs["positions"]
        dtype = money_dtype(self.compute_dtype)
        price, unit_gain = inputs.get("price"), inputs.get("unit_gain")
        return trading_gains(
            as_tensor(positions, dtype),
            price=None if price is None else as_tensor(price, dtype),
            unit_gain=None if unit_gain is None else as_tensor(unit_gain, dtype),
            cost=inputs.get("cost"),
            fixed_cost=self.fixed_cost,
            quadratic_cost=self.quadratic_cost,
            vega=None if self.vega_rate is None else inputs.get("vega"),
            vega_rate=self.vega_rate,
            initial_position=0.0 if initial_position is None else initial_position,
            liquidate=self.liquidate,
            terminal_cost=inputs.get("terminal_cost") if self.liquidate else None,
            smoothing=self.smoothing,
        )

    def compute_output_spec(self, inputs, positions=None, initial_position=None):
        positions = inputs["positions"] if positions is None else positions
        return keras.KerasTensor(positions.shape[:1], dtype=money_dtype(self.compute_dtype))

    def get_config(self):
        return {
            **super().get_config(),
            "fixed_cost": self.fixed_cost,
            "quadratic_cost": self.quadratic_cost,
            "vega_rate": self.vega_rate,
            "liquidate": self.liquidate,
            "smoothing": self.smoothing,
        }


def _charges(trade, smoothing, cost, fixed_cost, quadratic_cost, vega, vega_rate):
    """Each cost that was given, as money `(B, T, D)`."""
    if callable(cost):
        yield cost(trade)
    elif cost is not None:
        yield trading_costs.proportional_cost(trade, cost)
    if fixed_cost is not None:
        yield trading_costs.fixed_cost(trade, fixed_cost, smoothing)
    if quadratic_cost is not None:
        yield trading_costs.quadratic_cost(trade, quadratic_cost)
    if vega is not None:
        yield trading_costs.vega_cost(trade, vega, vega_rate)


@tf.custom_gradient
def _changes(positions):
    """`positions[t] - positions[t-1]` from zero, with the adjoint written out.

    (TensorFlow's own goes through the gradient of a slice, which doubles the time of a training
    step in `trading_gains`.)
    """
    earlier = tf.pad(positions[:, :-1], ((0, 0), (1, 0), (0, 0)))

    def gradient(upstream):
        return upstream - tf.pad(upstream[:, 1:], ((0, 0), (0, 1), (0, 0)))

    return positions - earlier, gradient


def _trades(positions, initial_position):
    trades = _changes(positions)
    if _is_zero(initial_position):
        return trades
    initial = as_tensor(initial_position, positions.dtype)
    batch, _, instruments = positions.shape
    require_broadcastable(initial, (batch, instruments), "initial_position", "(B, D)")
    initial = tf.broadcast_to(initial, tf.shape(positions[:, 0]))[:, None]
    return tf.concat([trades[:, :1] - initial, trades[:, 1:]], axis=1)


def _is_zero(value):
    return isinstance(value, int | float) and value == 0


def _cost_tensor(name, value, dtype, shape):
    if value is None or (name == "cost" and callable(value)):
        return value
    value = as_tensor(value, dtype)
    require_broadcastable(value, shape, name, "(B, T, D)")
    if name != "vega":
        require_values(_at_least_zero, value, name, "at least zero")
    return value


def _at_least_zero(value):
    return value >= 0


def _last_step(value):
    """The last step of what broadcasts to `(B, T, D)`, as `(B, 1, D)` or less."""
    if value is None or callable(value):
        return value
    return value[..., -1:, :] if value.shape.rank >= 2 else value


def _terminal_unit_cost(cost, price, terminal_cost):
    if terminal_cost is not None:
        batch, _, instruments = price.shape
        terminal_cost = as_tensor(terminal_cost, price.dtype)
        require_broadcastable(terminal_cost, (batch, instruments), "terminal_cost", "(B, D)")
        require_values(_at_least_zero, terminal_cost, "terminal_cost", "at least zero")
        return tf.broadcast_to(terminal_cost, tf.shape(price[:, 0]))[:, None]
    if cost is None or callable(cost):
        return cost
    return cost * tf.abs(tf.math.divide_no_nan(price[:, -1:], price[:, -2:-1]))


def _require_steps(value, shape, extra, name, expected):
    require_rank(value, 3, name, expected)
    batch, steps, instruments = shape
    wanted = (batch, None if steps is None else steps + extra, instruments)
    if not value.shape.is_compatible_with(wanted):
        raise ValueError(
            f"`{name}` must have shape {expected} = {wanted} for positions of shape {shape}. "
            f"Received: shape={tuple(value.shape)}"
        )
