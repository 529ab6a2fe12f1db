"""The layer: configuration, files, exports, and paths that belong to their seed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import SDERollout, SpotGrid, brownian_increments


@keras.saving.register_keras_serializable(package="hedgezoo_tests")
class TinyVolatility(keras.layers.Layer):
    """A volatility between 10 and 60 % from spot, time and features."""

    def __init__(self, states=1, **kwargs):
        super().__init__(**kwargs)
        self.states = states
        self.hidden = keras.layers.Dense(8, "tanh")
        self.outcome = keras.layers.Dense(states, "sigmoid")

    def build(self, state_shape, time_shape, features_shape=None):
        width = state_shape[-1] + 1 + (features_shape[-1] if features_shape else 0)
        self.hidden.build((None, width))
        self.outcome.build((None, 8))

    def call(self, state, time, features=None):
        inputs = [state, time] if features is None else [state, time, features]
        return 0.1 + 0.5 * self.outcome(self.hidden(keras.ops.concatenate(inputs, axis=1)))

    def get_config(self):
        return {**super().get_config(), "states": self.states}


@keras.saving.register_keras_serializable(package="hedgezoo_tests")
def pull(state, time, features=None):
    return 0.3 * (0.1 - state)


MATURITIES = [0.1, 0.25, 1.0]
COMMON = {"maturities": MATURITIES, "steps_per_year": 8, "first_steps": 2}


def direct(**options):
    keras.utils.set_random_seed(0)
    return SDERollout(TinyVolatility(), **{**COMMON, **options})


def test_direct_mode(check_layer):
    layer = direct(scheme="log_milstein", drift=pull)
    dw = layer.draw(1, 6).numpy()
    check_layer(layer, dw, shape=(6, 3, 1), export=True)


def test_grid_mode_with_features(check_layer):
    layer = direct(scheme="log_milstein", grid={"points": 33}, output="path")
    dw = layer.draw(1, 6).numpy()
    start, features = np.full((6, 1), 0.1), np.linspace(0, 1, 12).reshape(6, 2)
    states = check_layer(layer, dw, start, features, shape=(6, len(layer.times), 1), export=True)
    np.testing.assert_allclose(states[:, 0], start, rtol=1e-6)


def test_two_states(check_layer):
    keras.utils.set_random_seed(0)
    layer = SDERollout(
        TinyVolatility(2),
        drift=pull,
        initial=(0.0, 0.2),
        log_states=(0,),
        factors=2,
        correlation=[[1.0, -0.7], [-0.7, 1.0]],
        draws="antithetic",
        concentration=1.5,
        **COMMON,
    )
    check_layer(layer, layer.draw(1, 6).numpy(), shape=(6, 3, 2), jit_compile=True)


def test_the_configuration_says_everything():
    layer = direct(grid=SpotGrid(17, interpolation="cubic"), draws="plain", check_finite=False)
    twin = SDERollout.from_config(layer.get_config())
    assert twin.grid == layer.grid
    dw = layer.draw(3, 10)
    np.testing.assert_array_equal(twin.draw(3, 10), dw)
    layer(dw)
    twin(dw)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(dw), layer(dw))
    assert len(layer.trainable_variables) == 4


@pytest.mark.parametrize("draws", ["plain", "antithetic", "sobol"])
@pytest.mark.parametrize("grid", [None, SpotGrid(33)], ids=["direct", "grid"])
def test_paths_belong_to_their_seed_in_any_split(grid, draws):
    layer = direct(grid=grid, draws=draws)
    whole = layer.simulate(5, 64).numpy()
    parts = [(0, 1), (1, 40), (41, 23)]
    joined = [layer.simulate(5, paths, first_path=first).numpy() for first, paths in parts]
    # matrix products may round differently for another number of rows, tables may not
    tolerance = 0 if grid is not None else 1e-6
    np.testing.assert_allclose(np.concatenate(joined), whole, rtol=0, atol=tolerance)
    graph = tf.function(lambda seed, first, paths: layer.simulate(seed, paths, first))
    got = graph(tf.constant(5), tf.constant(41, tf.int64), tf.constant(23))
    np.testing.assert_allclose(got, whole[41:], rtol=0, atol=max(tolerance, 1e-7))
    assert not np.isin(layer.simulate(6, 64), whole).any()


def test_bridge_nodes_are_the_maturities():
    layer = direct(scheme="euler")
    dw = layer.draw(2, 16)
    expected = brownian_increments(2, 16, layer.times, nodes=layer.maturity_steps)
    np.testing.assert_array_equal(dw, expected)
    np.testing.assert_array_equal(layer.times[layer.maturity_steps], MATURITIES)


def test_fit_and_mixed_precision():
    layer = direct(dtype="mixed_float16")
    increments = keras.Input((len(layer.times) - 1, 1))
    model = keras.Model(increments, layer(increments))
    assert model.output.dtype == "float32"
    model.compile("adam", "mse")
    dw = layer.draw(1, 32).numpy()
    before = [w.copy() for w in layer.get_weights()]
    model.fit(dw, np.zeros((32, 3, 1)), batch_size=16, epochs=1, verbose=0)
    assert all(np.any(a != b) for a, b in zip(before, layer.get_weights(), strict=True))


def test_explosions_are_reported_with_step_and_number_of_paths():
    layer = SDERollout(lambda x, t: 3.0 + tf.exp(9 * x), scheme="euler", draws="plain", **COMMON)
    silent = SDERollout(
        lambda x, t: 3.0 + tf.exp(9 * x),
        scheme="euler",
        draws="plain",
        output="path",
        check_finite=False,
        **COMMON,
    )
    bad = ~np.isfinite(silent.simulate(1, 40).numpy()[:, :, 0])
    step = int(np.argmax(bad.any(0)))
    assert 0 < bad[:, step].sum() < 40
    with pytest.raises(ValueError, match=rf"from step {step} .* {bad[:, step].sum()} of 40 paths"):
        layer.simulate(1, 40)
    graph = tf.function(layer.simulate)(1, 40).numpy()
    np.testing.assert_array_equal(np.isfinite(graph[:, -1, 0]), ~bad[:, -1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"diffusion": 0.2}, "`diffusion` must be a layer or a function"),
        ({"drift": 0.1}, "`drift` must be a layer or a function"),
        ({"maturities": [0.5, 0.2]}, "`maturities` must be positive years"),
        ({"scheme": "heun"}, "`scheme` must be one of"),
        ({"draws": "halton"}, "`draws` must be one of"),
        ({"output": "terminal"}, "`output` must be one of"),
        ({"factors": 0}, "`factors` must be a positive integer"),
        ({"log_states": (1,)}, "`log_states` must be indices"),
        ({"correlation": [[1.0, 0.5], [0.5, 1.0]]}, "`correlation` must be of size 1"),
        ({"grid": {"points": 2}}, "`points` must be"),
        ({"grid": {}, "factors": 2}, "`grid` takes one-factor models"),
        ({"grid": {}, "initial": (0.0, 0.1)}, "`grid` takes one-factor models"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SDERollout(**{"diffusion": TinyVolatility(), **COMMON, **change})
