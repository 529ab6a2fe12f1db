import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import (
    HedgeFeatures,
    feature_index,
    hedge_features,
    hedge_features_step,
    running_maximum,
    running_minimum,
)
from hedgezoo.layers.named_features import FEATURES
from hedgezoo.layers.running_extremes import LONGEST_UNROLLED

B, T, D = 4, 6, 2
RNG = np.random.default_rng(0)
PRICE = np.exp(np.cumsum(0.1 * RNG.normal(size=(B, T + 1, D)), axis=1))
POSITION = RNG.normal(size=(B, T))
STRIKE = np.array([0.9, 1.0, 1.1, 1.2])
ALL = tuple(FEATURES)


def step_returns(price):
    """Log-return of the last step and of the last two, as a user would add them."""
    log_price = tf.math.log(price[:, :, 0])
    padded = tf.concat([log_price[:, :1], log_price[:, :1], log_price], axis=1)
    last = padded[:, 2:-1] - padded[:, 1:-2]
    return tf.stack([last, padded[:, 2:-1] - padded[:, :-3]], axis=-1)


@keras.saving.register_keras_serializable(package="hedgezoo_tests")
def second_instrument(price):
    return price[:, :-1, 1]


def every_feature(price=PRICE, position=POSITION, features=(*ALL, step_returns), **changes):
    arguments = {
        "strike": STRIKE,
        "volatility": np.array([0.1, 0.2, 0.3, 0.4]),
        "cost": 1e-3,
        "risk_aversion": np.linspace(1.0, 2.0, B * T).reshape(B, T),
        "time_step": 0.25,
    }
    arguments.update(changes)
    return hedge_features(price, features=features, position=position, **arguments)


def test_each_column_is_its_formula():
    spot, strike = PRICE[:, :-1, 0], STRIKE[:, None]
    expected = {
        "spot": spot,
        "log_spot": np.log(spot),
        "moneyness": spot / strike,
        "log_moneyness": np.log(spot / strike),
        "max_log_moneyness": np.log(np.maximum.accumulate(spot, axis=1) / strike),
        "min_log_moneyness": np.log(np.minimum.accumulate(spot, axis=1) / strike),
        "time_to_expiry": np.broadcast_to(0.25 * np.arange(T, 0, -1), (B, T)),
        "volatility": np.repeat([[0.1], [0.2], [0.3], [0.4]], T, axis=1),
        "cost": np.full((B, T), 1e-3),
        "risk_aversion": np.linspace(1.0, 2.0, B * T).reshape(B, T),
        "previous_position": POSITION,
    }
    assert set(expected) == set(ALL)
    columns = every_feature().numpy()
    assert columns.shape == (B, T, len(ALL) + 2)
    for name, values in expected.items():
        np.testing.assert_allclose(columns[..., ALL.index(name)], values, rtol=1e-13)
    returns = np.diff(np.log(spot), axis=1)
    np.testing.assert_allclose(columns[:, 1:, -2], returns, atol=1e-14)
    np.testing.assert_allclose(columns[:, 2:, -1], returns[:, 1:] + returns[:, :-1], atol=1e-14)


@pytest.mark.parametrize("last_known", range(T))
def test_no_feature_looks_ahead(last_known):
    later = PRICE.copy()
    later[:, last_known + 1 :] *= np.exp(RNG.normal(size=later[:, last_known + 1 :].shape))
    ours, theirs = every_feature().numpy(), every_feature(later).numpy()
    known = slice(None, last_known + 1)
    np.testing.assert_array_equal(ours[:, known], theirs[:, known])
    if last_known < T - 1:
        changed = ours[:, last_known + 1 :, ALL.index("spot")]
        assert np.all(changed != theirs[:, last_known + 1 :, ALL.index("spot")])


def test_time_to_expiry_is_given_or_computed():
    def column(**arguments):
        return hedge_features(PRICE, features=("time_to_expiry",), **arguments).numpy()[..., 0]

    clock = 0.5 * np.arange(T, 0, -1)
    every_path = np.broadcast_to(clock, (B, T))
    np.testing.assert_allclose(column(time_step=0.5), every_path)
    np.testing.assert_allclose(column(time_to_expiry=clock), every_path)
    np.testing.assert_allclose(column(time_to_expiry=every_path), every_path)
    np.testing.assert_allclose(column(time_step=0.5, maturity=10.0), every_path + 10 - 0.5 * T)
    # as many steps as paths: a vector of times still runs along time
    square = hedge_features(PRICE[:, : B + 1], np.arange(B, 0, -1), ("time_to_expiry",))
    np.testing.assert_array_equal(square[..., 0], np.tile(np.arange(B, 0, -1), (B, 1)))


def test_instrument_chooses_the_spot_and_tensors_of_all_instruments_follow():
    money, held = 0.01 * PRICE[:, :-1], RNG.normal(size=(B, T, D))
    columns = hedge_features(
        PRICE,
        features=("spot", "cost", "previous_position"),
        cost=money,
        position=held,
        instrument=1,
    ).numpy()
    np.testing.assert_array_equal(columns[..., 0], PRICE[:, :-1, 1])
    np.testing.assert_allclose(columns[..., 1], 0.01, rtol=1e-14)
    np.testing.assert_array_equal(columns[..., 2], held[..., 1])


@pytest.mark.parametrize("steps", [1, 7, LONGEST_UNROLLED + 2])
def test_running_extremes(steps):
    path = RNG.normal(size=(3, steps, 2))
    np.testing.assert_array_equal(running_maximum(path), np.maximum.accumulate(path, axis=1))
    np.testing.assert_array_equal(running_minimum(path), np.minimum.accumulate(path, axis=1))


def test_running_extremes_need_a_time_axis():
    with pytest.raises(ValueError, match=r"`path` must have shape \(B, T, ...\).*\(3,\)"):
        running_maximum(np.ones(3))


def test_gradients_through_prices_agree_with_central_differences():
    price = tf.constant(PRICE)
    weights = RNG.normal(size=(B, T, len(ALL) + 2))
    outcome = tf.function(lambda price: tf.reduce_sum(weights * every_feature(price)))
    with tf.GradientTape() as tape:
        tape.watch(price)
        value = outcome(price)
    gradient = tape.gradient(value, price).numpy()
    assert np.all(gradient[:, -1] == 0.0)
    for entry in ((0, 0, 0), (1, 2, 0), (2, 4, 0), (3, 5, 0), (3, 3, 1)):
        shift = np.zeros_like(PRICE)
        shift[entry] = 1e-6
        difference = outcome(tf.constant(PRICE + shift)) - outcome(tf.constant(PRICE - shift))
        np.testing.assert_allclose(gradient[entry], difference / 2e-6, atol=1e-7)


def test_one_step_has_the_columns_of_the_path():
    columns = every_feature(features=ALL).numpy()
    for t in range(T):
        so_far = PRICE[:, : t + 1, 0]
        step = hedge_features_step(
            PRICE[:, t, 0],
            time_to_expiry=0.25 * (T - t),
            features=ALL,
            strike=STRIKE,
            volatility=np.array([0.1, 0.2, 0.3, 0.4]),
            cost=1e-3,
            risk_aversion=np.linspace(1.0, 2.0, B * T).reshape(B, T)[:, t],
            position=POSITION[:, t],
            maximum=so_far.max(axis=1),
            minimum=so_far.min(axis=1),
        )
        np.testing.assert_allclose(step, columns[:, t], rtol=1e-13)


def test_dtype_follows_the_price():
    for dtype in ("float32", "float64"):
        assert every_feature(PRICE.astype(dtype)).dtype == dtype


def test_unknown_batch_and_time_and_xla_give_the_same():
    spec = tf.TensorSpec((None, None, D), tf.float64), tf.TensorSpec((None, None), tf.float64)
    names = ("log_moneyness", "max_log_moneyness", "min_log_moneyness", "time_to_expiry", "cost")

    def columns(price, position):
        return every_feature(
            price,
            position,
            features=(*names, "previous_position"),
            strike=1.0,
            volatility=0.2,
            risk_aversion=1.0,
        )

    arguments = tf.constant(PRICE), tf.constant(POSITION)
    for options in ({"input_signature": spec}, {"jit_compile": True}):
        np.testing.assert_allclose(
            tf.function(columns, **options)(*arguments), columns(*arguments), rtol=1e-12
        )


def test_feature_index():
    assert [feature_index(ALL, name) for name in ALL] == list(range(len(ALL)))
    with pytest.raises(ValueError, match=r"'volatility'.*Received: features=\['spot'\]"):
        feature_index(("spot",), "volatility")


def test_layer_reads_numbers_and_lets_inputs_replace_them():
    layer = HedgeFeatures(
        ("log_moneyness", "time_to_expiry", "volatility"),
        strike=1.1,
        volatility=0.2,
        time_step=0.25,
        dtype="float64",
    )
    plain = hedge_features(
        PRICE, features=layer.features, strike=1.1, volatility=0.2, time_step=0.25
    )
    np.testing.assert_array_equal(layer(PRICE), plain)
    clock = np.linspace(2.0, 1.0, B * T).reshape(B, T)
    given = {
        "price": PRICE,
        "strike": STRIKE,
        "volatility": np.full(B, 0.3),
        "time_to_expiry": clock,
        "liability": np.ones(B),
    }
    expected = hedge_features(PRICE, clock, layer.features, STRIKE, volatility=0.3)
    np.testing.assert_allclose(layer(given), expected)


def test_layer_with_a_users_feature_survives_saving(tmp_path):
    price = keras.Input((None, D))
    layer = HedgeFeatures(("log_moneyness", second_instrument, "cost"), cost=1e-3, name="features")
    model = keras.Model(price, layer(price))
    assert model.output_shape == (None, None, 3)
    model.save(tmp_path / "features.keras")
    restored = keras.saving.load_model(tmp_path / "features.keras")
    columns = restored(PRICE.astype("float32")).numpy()
    np.testing.assert_array_equal(columns, model(PRICE.astype("float32")))
    np.testing.assert_allclose(columns[..., 1], PRICE[:, :-1, 1], rtol=1e-6)
    assert restored.get_layer("features").features == layer.features


def test_layer_takes_logarithms_before_it_rounds():
    layer = HedgeFeatures(("log_moneyness",), dtype="mixed_bfloat16")
    price = tf.constant([[[1.001], [1.0]]])
    column = layer(price)
    assert column.dtype == "bfloat16"
    np.testing.assert_allclose(tf.cast(column, tf.float64), [[[np.log(1.001)]]], rtol=0.01)


@pytest.mark.serving
def test_saved_model_with_unknown_batch_and_time(tmp_path):
    module = tf.Module()
    layer = HedgeFeatures(("log_moneyness", "max_log_moneyness", "time_to_expiry"), time_step=0.1)

    @tf.function(input_signature=[tf.TensorSpec((None, None, D), tf.float32)])
    def features(price):
        return {"features": layer(price)}

    module.features = features
    tf.saved_model.save(module, str(tmp_path), signatures={"features": features})
    loaded = tf.saved_model.load(str(tmp_path)).signatures["features"]
    for steps in (1, T):
        price = tf.constant(PRICE[:, : steps + 1], tf.float32)
        np.testing.assert_array_equal(loaded(price=price)["features"], layer(price))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": ("log_monyness",)}, "'log_monyness'.*Did you mean 'log_moneyness'"),
        ({"features": ("delta_hedge", 3)}, "Unknown feature 'delta_hedge'.*Known: spot"),
        ({"features": ()}, "`features` must not be empty"),
        ({"features": "spot"}, "`features` must be a sequence.*'spot'"),
        ({"features": ("volatility",)}, "'volatility' needs `volatility`"),
        ({"features": ("time_to_expiry",)}, "'time_to_expiry' needs `time_to_expiry`"),
        ({"features": ("previous_position",)}, "'previous_position' needs `position`"),
        ({"price": PRICE[:, :, 0]}, r"`price` must have shape \(B, T\+1, D\).*\(4, 7\)"),
        ({"price": -PRICE}, "`price` must be positive. Received: -"),
        ({"price": PRICE * np.nan}, "`price` must be positive. Received: nan"),
        ({"instrument": 2}, "`instrument` must be an index below D=2. Received: 2"),
        ({"strike": np.ones(3)}, r"`strike`.*\(B, T\) = \(4, 6\).*\(3, 1\)"),
        (
            {"time_to_expiry": np.ones(T + 1), "features": ("time_to_expiry",)},
            r"`time_to_expiry`.*\(4, 6\).*\(7,\)",
        ),
        ({"features": (lambda price: price,)}, r"must return shape \(B, T\).*\(4, 7, 2\)"),
    ],
)
def test_mistakes_are_named(arguments, message):
    arguments = {"price": PRICE, "features": ("moneyness",), **arguments}
    with pytest.raises(ValueError, match=message):
        hedge_features(**arguments)


def test_one_step_knows_no_callables_and_no_paths():
    with pytest.raises(ValueError, match="`features` of one step must be names"):
        hedge_features_step([1.0], features=(second_instrument,))
    with pytest.raises(ValueError, match=r"`spot` must have shape \(B,\)"):
        hedge_features_step([[1.0]], features=("spot",))
    with pytest.raises(ValueError, match="'max_log_moneyness' needs `maximum`"):
        hedge_features_step([1.0], features=("max_log_moneyness",))


def test_layer_needs_prices():
    with pytest.raises(ValueError, match=r"must have the key 'price'.*\['spot'\]"):
        HedgeFeatures()({"spot": np.ones((2, 3, 1))})
