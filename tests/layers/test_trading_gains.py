import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import TradingGains, clamp_band, trading_gains
from hedgezoo.layers import trading_costs as costs

B, T, D = 5, 4, 2


@pytest.fixture
def market():
    rng = np.random.default_rng(0)
    price = np.exp(np.cumsum(0.1 * rng.normal(size=(B, T + 1, D)), axis=1))
    positions = rng.normal(size=(B, T, D))
    positions[:, 2] = positions[:, 1]  # a step without a trade
    return positions, price


def changes(positions, initial=0.0):
    before = np.broadcast_to(initial, positions[:, 0].shape)[:, None]
    return np.diff(np.concatenate([before, positions], axis=1), axis=1)


def total(money):
    return money.sum(axis=(1, 2))


def test_gains_without_cost_are_position_times_price_change(market):
    positions, price = market
    gains = trading_gains(positions, price)
    assert gains.shape == (B,)
    np.testing.assert_allclose(gains, total(positions * np.diff(price, axis=1)), atol=1e-14)


def test_each_cost_is_its_formula_and_they_add_up(market):
    positions, price = market
    trade = changes(positions)
    assert np.any(trade == 0.0)
    rng = np.random.default_rng(1)
    unit_cost, fee, impact, vega = rng.uniform(0.1, 1.0, size=(4, B, T, D))
    frictionless = trading_gains(positions, price).numpy()
    cases = [
        ({"cost": unit_cost}, unit_cost * np.abs(trade)),
        ({"cost": 0.02}, 0.02 * np.abs(trade)),
        ({"cost": np.array([0.1, 0.2])}, [0.1, 0.2] * np.abs(trade)),
        ({"cost": lambda trade: 0.5 * tf.abs(trade) ** 1.5}, 0.5 * np.abs(trade) ** 1.5),
        ({"fixed_cost": fee}, fee * (trade != 0)),
        ({"fixed_cost": 0.3, "smoothing": 0.2}, 0.3 * trade**2 / (trade**2 + 0.04)),
        ({"quadratic_cost": impact}, impact * trade**2),
        ({"vega": vega, "vega_rate": 0.01}, 0.01 * vega * np.abs(trade)),
    ]
    for arguments, expected in cases:
        paid = frictionless - trading_gains(positions, price, **arguments).numpy()
        np.testing.assert_allclose(paid, total(expected), atol=1e-13)
    kinds = [cases[i] for i in (0, 4, 6, 7)]
    everything = {name: value for arguments, _ in kinds for name, value in arguments.items()}
    np.testing.assert_allclose(
        frictionless - trading_gains(positions, price, **everything).numpy(),
        sum(total(expected) for _, expected in kinds),
        atol=1e-13,
    )


def test_gains_are_the_change_of_a_self_financing_account(market):
    positions, price = market
    unit_cost, fee, initial = 0.01 * price[:, :-1], 0.002, np.array([0.3, -0.2])
    cash, held = np.zeros(B), np.broadcast_to(initial, (B, D))
    wealth = (held * price[:, 0]).sum(axis=1)
    for t in range(T):
        trade = positions[:, t] - held
        cash -= (trade * price[:, t]).sum(axis=1)
        cash -= (unit_cost[:, t] * np.abs(trade) + fee * (trade != 0)).sum(axis=1)
        held = positions[:, t]
    wealth = cash + (held * price[:, -1]).sum(axis=1) - wealth
    gains = trading_gains(
        positions, price, cost=unit_cost, fixed_cost=fee, initial_position=initial
    )
    np.testing.assert_allclose(gains, wealth, atol=1e-13)


def test_hedging_an_instrument_with_itself_leaves_nothing():
    price = np.exp(np.random.default_rng(0).normal(size=(B, T + 1, 1)))
    owed = price[:, -1, 0] - price[:, 0, 0]
    held = trading_gains(np.ones((B, T, 1)), price)
    np.testing.assert_allclose(held - owed, np.zeros(B), atol=1e-15)
    # bought once and kept, so the cost is that of the first trade alone
    costly = trading_gains(np.ones((B, T, 1)), price, cost=0.01 * price[:, :-1])
    np.testing.assert_allclose(costly - owed, -0.01 * price[:, 0, 0], atol=1e-15)
    # a band of zero width at one is that same strategy
    ones = np.ones((B, T, 1))
    np.testing.assert_array_equal(trading_gains(clamp_band(ones, ones), price), held)


def test_constant_positions_pay_only_to_get_there(market):
    _, price = market
    gains = trading_gains(np.full((B, T, D), 0.4), price, cost=0.1, initial_position=0.4)
    np.testing.assert_allclose(gains, total(0.4 * (price[:, -1:] - price[:, :1])), atol=1e-14)


def test_liquidation_sells_the_last_position_at_the_horizon(market):
    positions, price = market
    rate = 0.02
    marked = {
        "cost": rate * price[:, :-1],
        "fixed_cost": 0.003,
        "quadratic_cost": 0.1,
        "vega": price[:, :-1],
        "vega_rate": 0.05,
    }
    last = np.abs(positions[:, -1])
    other = 0.003 + 0.1 * last**2 + 0.05 * price[:, -2] * last
    open_end = trading_gains(positions, price, **marked)
    sold = trading_gains(positions, price, **marked, liquidate=True)
    paid = (rate * price[:, -1] * last + other).sum(axis=1)
    np.testing.assert_allclose(open_end - sold, paid, atol=1e-13)
    given = trading_gains(positions, price, **marked, liquidate=True, terminal_cost=0.5)
    np.testing.assert_allclose(open_end - given, (0.5 * last + other).sum(axis=1), atol=1e-13)


def test_liquidation_with_a_cost_function_passes_it_the_sale(market):
    positions, price = market

    def dearer_to_sell(trade):
        return tf.where(trade > 0, 0.1 * trade, -0.3 * trade)

    paid = trading_gains(positions, price, cost=dearer_to_sell) - trading_gains(
        positions, price, cost=dearer_to_sell, liquidate=True
    )
    last = positions[:, -1]
    expected = np.where(last > 0, 0.3 * last, -0.1 * last).sum(axis=1)
    np.testing.assert_allclose(paid, expected, atol=1e-13)


def test_floating_instruments_are_bought_anew_at_each_step(market):
    positions, price = market
    unit_gain = np.diff(price, axis=1)
    gains = trading_gains(positions, unit_gain=unit_gain, cost=0.1, fixed_cost=0.01)
    expected = positions * unit_gain - 0.1 * np.abs(positions) - 0.01 * (positions != 0)
    np.testing.assert_allclose(gains, total(expected), atol=1e-14)


@pytest.mark.parametrize("floating", [False, True])
def test_gradients_agree_with_central_differences(market, floating):
    positions, price = market
    positions[:, 2] += 0.3  # away from the kink at no trade
    gain = np.diff(price, axis=1)
    unit_cost = 0.1 * price[:, :-1]
    arguments = [tf.constant(x) for x in (positions, gain if floating else price, unit_cost)]
    if not floating:
        arguments.append(tf.constant(np.full((B, D), 0.2)))
    weights = np.linspace(1.0, 2.0, B)

    @tf.function
    def outcome(positions, market, unit_cost, *initial):
        where = {"unit_gain": market} if floating else {"price": market, "liquidate": True}
        if initial:
            where["initial_position"] = initial[0]
        gains = trading_gains(
            positions, cost=unit_cost, fixed_cost=0.01, smoothing=0.1, quadratic_cost=0.3, **where
        )
        return tf.reduce_sum(weights * gains)

    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = outcome(*arguments)
    for index, gradient in enumerate(tape.gradient(value, arguments)):
        differences = np.zeros(gradient.shape)
        for entry in np.ndindex(*gradient.shape):
            both = []
            for shift in (-1e-6, 1e-6):
                shifted = [x.numpy() for x in arguments]
                shifted[index][entry] += shift
                both.append(float(outcome(*map(tf.constant, shifted))))
            differences[entry] = (both[1] - both[0]) / 2e-6
        np.testing.assert_allclose(gradient, differences, atol=1e-7)


def test_gradient_of_no_trade_is_that_of_the_price_alone():
    price = tf.constant([[[1.0], [2.0], [4.0]]])
    positions = tf.zeros((1, 2, 1))
    with tf.GradientTape() as tape:
        tape.watch(positions)
        gains = trading_gains(positions, price, cost=0.1, fixed_cost=1.0, smoothing=0.1)
    np.testing.assert_array_equal(tape.gradient(gains, positions)[0, :, 0], [1.0, 2.0])


def test_costs_are_even_and_zero_without_a_trade():
    trade = tf.constant([-2.0, -0.5, 0.0, 0.5, 2.0], tf.float64)
    for cost in (
        costs.proportional_cost(trade, 0.1),
        costs.fixed_cost(trade, 0.1),
        costs.fixed_cost(trade, 0.1, smoothing=0.05),
        costs.quadratic_cost(trade, 0.1),
        costs.vega_cost(trade, vega=-0.4, vega_rate=0.1),
    ):
        np.testing.assert_array_equal(cost, cost[::-1])
        assert cost[2] == 0.0
        assert np.all(cost.numpy()[[0, 1, 3, 4]] > 0)
    smooth = costs.fixed_cost(trade, 1.0, smoothing=1e-4)
    np.testing.assert_allclose(smooth, costs.fixed_cost(trade, 1.0), atol=1e-7)
    assert float(costs.fixed_cost(tf.constant(0.25), 1.0, 0.25)) == 0.5


def test_layer_is_the_function_and_keeps_its_configuration(market):
    positions, price = (x.astype("float32") for x in market)
    inputs = {
        "price": price,
        "cost": 0.01 * price[:, :-1],
        "vega": price[:, :-1],
        "features": price,
    }
    settings = {
        "fixed_cost": 0.01,
        "quadratic_cost": 0.1,
        "vega_rate": 0.02,
        "liquidate": True,
        "smoothing": 0.1,
    }
    layer = TradingGains.from_config(TradingGains(**settings).get_config())
    assert {name: layer.get_config()[name] for name in settings} == settings
    market_only = {name: inputs[name] for name in ("price", "cost", "vega")}
    expected = trading_gains(positions, **market_only, **settings)
    np.testing.assert_array_equal(layer(inputs, positions), expected)
    np.testing.assert_array_equal(layer({**inputs, "positions": positions}), expected)
    started = layer(inputs, positions, initial_position=np.ones((B, D), "float32"))
    np.testing.assert_array_equal(
        started, trading_gains(positions, **market_only, **settings, initial_position=1.0)
    )


def test_functional_model_survives_saving(tmp_path, market):
    positions, price = (x.astype("float32") for x in market)
    inputs = {"price": keras.Input((None, D)), "cost": keras.Input((None, D))}
    held = keras.Input((None, D))
    gains = TradingGains(liquidate=True)(inputs, held * 2.0)
    assert gains.shape == (None,)
    model = keras.Model([inputs, held], gains)
    model.save(tmp_path / "gains.keras")
    restored = keras.saving.load_model(tmp_path / "gains.keras")
    unit_cost = 0.1 * price[:, :-1]
    np.testing.assert_allclose(
        restored([{"price": price, "cost": unit_cost}, positions]),
        trading_gains(2.0 * positions, price, cost=unit_cost, liquidate=True),
        rtol=1e-6,
    )


def test_small_gains_survive_mixed_precision():
    layer = TradingGains(dtype="mixed_bfloat16")
    price = tf.constant([[[1.0], [1.001]]])
    gains = layer({"price": price}, tf.ones((1, 1, 1), "bfloat16"))
    assert gains.dtype == layer.compute_output_spec({"price": price}, tf.ones((1, 1, 1))).dtype
    np.testing.assert_allclose(gains, [0.001], rtol=1e-4)


@pytest.mark.serving
def test_saved_model_with_unknown_batch_and_time(tmp_path, market):
    positions, price = market
    spec = tf.TensorSpec((None, None, D), tf.float64)
    module = tf.Module()

    @tf.function(input_signature=[spec, spec])
    def pnl(positions, price):
        gains = trading_gains(
            positions, price, cost=0.01, quadratic_cost=0.1, initial_position=0.5, liquidate=True
        )
        return {"gains": gains}

    module.pnl = pnl
    tf.saved_model.save(module, str(tmp_path), signatures={"pnl": pnl})
    loaded = tf.saved_model.load(str(tmp_path))
    for steps in (1, T):
        arguments = tf.constant(positions[:, :steps]), tf.constant(price[:, : steps + 1])
        served = loaded.signatures["pnl"](positions=arguments[0], price=arguments[1])
        np.testing.assert_allclose(served["gains"], pnl(*arguments)["gains"], rtol=1e-14)
    gradients = []
    for function in (loaded.pnl, pnl):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            value = tf.reduce_sum(function(*arguments)["gains"])
        gradients.append(tape.gradient(value, arguments))
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)


def test_xla_agrees(market):
    positions, price = market
    compiled = tf.function(jit_compile=True)(
        lambda positions, price: trading_gains(positions, price, cost=0.1, fixed_cost=0.2)
    )
    np.testing.assert_allclose(
        compiled(tf.constant(positions), tf.constant(price)),
        trading_gains(positions, price, cost=0.1, fixed_cost=0.2),
        rtol=1e-12,
    )


POSITIONS, PRICE = np.zeros((B, T, D)), np.ones((B, T + 1, D))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "`price` and `unit_gain`. Received: neither"),
        ({"price": PRICE, "unit_gain": PRICE}, "`price` and `unit_gain`. Received: both"),
        ({"price": PRICE[:, :, 0]}, r"`price` must have shape \(B, T\+1, D\).*\(5, 5\)"),
        ({"price": PRICE[:, :-1]}, r"`price`.*\(5, 5, 2\) for positions.*\(5, 4, 2\)"),
        ({"unit_gain": PRICE}, r"`unit_gain`.*\(5, 4, 2\).*Received: shape=\(5, 5, 2\)"),
        ({"price": PRICE * np.nan}, "`price` must be finite.* nan"),
        ({"price": PRICE, "cost": PRICE}, r"`cost`.*\(B, T, D\) = \(5, 4, 2\).*\(5, 5, 2\)"),
        ({"price": PRICE, "cost": -0.1}, "`cost` must be at least zero.*-0.1"),
        ({"price": PRICE, "cost": np.nan}, "`cost` must be at least zero.* nan"),
        ({"price": PRICE, "fixed_cost": -1.0}, "`fixed_cost` must be at least zero"),
        ({"price": PRICE, "quadratic_cost": -1.0}, "`quadratic_cost` must be at least zero"),
        ({"price": PRICE, "vega": 1.0, "vega_rate": -1.0}, "`vega_rate` must be at least zero"),
        ({"price": PRICE, "vega": 1.0}, "`vega` and `vega_rate`.*vega_rate=None"),
        ({"price": PRICE, "vega_rate": 1.0}, "`vega` and `vega_rate`.*vega=None"),
        ({"price": PRICE, "smoothing": -1.0}, "`smoothing` must be at least zero"),
        ({"price": PRICE, "initial_position": np.ones(3)}, r"`initial_position`.*\(B, D\)"),
        (
            {"price": PRICE, "liquidate": True, "terminal_cost": -1.0},
            "`terminal_cost` must be at least zero",
        ),
        ({"price": PRICE, "terminal_cost": 0.1}, "`terminal_cost` needs `liquidate=True`"),
        ({"unit_gain": POSITIONS, "liquidate": True}, "nothing to `liquidate`"),
        ({"unit_gain": POSITIONS, "initial_position": 1.0}, "no `initial_position`"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        trading_gains(POSITIONS, **arguments)


def test_mistakes_in_positions_are_named():
    with pytest.raises(ValueError, match=r"`positions` must have shape \(B, T, D\).*\(5, 4\)"):
        trading_gains(POSITIONS[:, :, 0], PRICE)
    with pytest.raises(ValueError, match=r"`positions` must be.*\['price'\]"):
        TradingGains()({"price": PRICE})


def test_shapes_are_checked_while_tracing():
    traced = tf.function(lambda positions, price: trading_gains(positions, price))
    with pytest.raises(ValueError, match=r"`price`.*\(5, 5, 2\)"):
        traced(tf.constant(POSITIONS), tf.constant(PRICE[:, :-1]))
