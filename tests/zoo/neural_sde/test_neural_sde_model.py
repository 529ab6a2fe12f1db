"""NeuralSDE: coefficients, paths, configuration, presets, and two replicas."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import hedgezoo
from hedgezoo.neural_sde import NeuralSDE

KINDS = ("local", "stochastic")


def model_of(kind, **settings):
    options = {"seed": 1, **settings.pop("options", {})}
    model = NeuralSDE(kind, units=(16, 16), options=options, **settings)
    model.build()
    return model


def with_random_weights(model, scale, seed=0):
    """All weights uniform in a box."""
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(-scale, scale, w.shape) for w in model.get_weights()])
    return model


# ------------------------------------------------------------------------------------ coefficients


@pytest.mark.parametrize("kind", KINDS)
def test_volatility_stays_as_at_the_edge_of_its_span(kind):
    model = with_random_weights(model_of(kind, options={"span": (0.5, 1.6)}), scale=0.3)
    time = np.array([0.5, 0.9])
    inside, edges, outside = (
        model.diffusion(np.array(spot)[:, np.newaxis], time).numpy()
        for spot in ((0.6, 1.4), (0.5, 1.6), (0.2, 4.0))
    )
    np.testing.assert_allclose(outside, edges, rtol=1e-5)
    assert np.abs(inside / edges - 1).min() > 1e-3
    again = NeuralSDE.from_config(model.get_config())
    assert again.options["span"] == (0.5, 1.6)
    assert tuple(again.network.span) == (0.5, 1.6)


@pytest.mark.parametrize("span", [(1.1, 2.0), (0.5, 0.9), (0.0, 2.0), (0.5,), "wide"])
def test_span_that_is_none(span):
    with pytest.raises(ValueError, match="`span`"):
        NeuralSDE(options={"span": span})


@pytest.mark.parametrize("kind", KINDS)
def test_starts_near_the_given_volatility_without_a_drift(kind):
    model = model_of(kind, volatility=0.3)
    spot, time = np.linspace(0.7, 1.3, 7)[:, np.newaxis], np.array([0.0, 0.1, 1.0, 5.0])
    sigma = model.diffusion(spot, time)
    assert sigma.shape == (7, 4)
    np.testing.assert_allclose(sigma, 0.3, rtol=0.2)
    assert not np.any(model.drift(spot, time))


def test_answers_are_those_of_each_point_alone():
    model = model_of("stochastic", features=("level", "skew"))
    random = np.random.default_rng(0)
    spot, factor = random.uniform(0.8, 1.2, (2, 5, 1))
    time = random.uniform(0, 1, 3)
    features = random.normal(size=(5, 3, 2))
    table = model.diffusion(spot, time, features, factor)
    for i, j in ((0, 0), (4, 2), (2, 1)):
        alone = model.diffusion(spot[i, 0], time[j], features[i, j], factor[i, 0])
        np.testing.assert_allclose(alone, table[i, j], rtol=1e-5)


def test_the_factor_is_the_logarithm_of_volatility_at_the_start():
    model = model_of("stochastic")
    up, down = model.diffusion(1.0, 0.5, factor=[0.01, -0.01]).numpy()
    assert abs(np.log(up / down) / 0.02 - 1) < 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_any_weights_give_bounded_volatilities_and_finite_paths(kind, scale):
    model = with_random_weights(model_of(kind, steps_per_year=24), scale)
    factor = {"factor": np.linspace(-30, 30, 5)} if kind == "stochastic" else {}
    spot = np.geomspace(1e-6, 1e6, 9)[:, None, None]
    time = np.array([0.0, 0.2, 9.0])[:, None]
    sigma = model.diffusion(spot, time, **factor).numpy()
    assert sigma.min() >= 0.01 * (1 - 1e-5)
    assert sigma.max() <= 2.0 * (1 + 1e-5)
    paths = model.simulate(0, 256, [0.5, 1.0])
    assert all(np.isfinite(values).all() for values in paths.values())
    if kind == "stochastic":
        assert abs(model.network.rho) < 1


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_for_any_weights(kind):
    model = with_random_weights(model_of(kind, steps_per_year=24), 10.0)
    increments = model.rollout().draw(0, 64)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.exp(model({"increments": increments})))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert all(np.isfinite(tf.convert_to_tensor(g)).all() for g in gradients if g is not None)


def test_volatility_is_constant_beyond_the_horizon_and_six_deviations():
    model = with_random_weights(model_of("local", maturities=[0.5, 2.0]), 0.5)
    spot = [0.8, 1.0, 1.1]
    np.testing.assert_array_equal(model.diffusion(spot, 2.0), model.diffusion(spot, 7.0))
    wing = np.exp(-6.5 * 0.2 * np.sqrt(2.0) * np.array([1.05, 1.5]))
    far = model.diffusion(wing, 2.0).numpy()
    assert far[0] == far[1]


def test_table_for_finite_differences():
    model = model_of("local")
    times, x = np.array([0.1, 0.9]), np.linspace(-0.3, 0.3, 5)
    table = model.local_volatility_table(times, x)
    np.testing.assert_allclose(table, model.diffusion(np.exp(x), times[:, None]), rtol=1e-5)
    moving = np.stack([x, 2 * x])
    np.testing.assert_allclose(
        model.local_volatility_table(times, moving)[1],
        model.diffusion(np.exp(2 * x), 0.9),
        rtol=1e-5,
    )


# ------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_belongs_to_its_seed_and_index(kind):
    model = model_of(kind, steps_per_year=24)
    whole = model.simulate(7, 100, [0.0, 0.1, 1.0])
    part = model.simulate(7, 20, [0.0, 0.1, 1.0], first_path=60)
    other = model.simulate(8, 100, [0.0, 0.1, 1.0])
    assert set(whole) == {"spot", "volatility"} | ({"factor"} if kind == "stochastic" else set())
    for name, values in whole.items():
        assert values.shape == (100, 3)
        np.testing.assert_allclose(part[name], values[60:80], rtol=2e-6, atol=2e-6)
        assert np.abs(other[name] - values)[:, 1:].max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_simulate_returns_what_the_networks_say_along_the_path(kind):
    model = with_random_weights(model_of(kind, steps_per_year=24), 0.5)
    times = np.array([0.0, 0.25, 0.5])
    paths = model.simulate(1, 32, times)
    assert (paths["spot"].numpy()[:, 0] == 1).all()
    factor = {"factor": paths["factor"]} if kind == "stochastic" else {}
    np.testing.assert_allclose(
        paths["volatility"], model.diffusion(paths["spot"], times, **factor), rtol=1e-5
    )
    if factor:
        assert not np.any(paths["factor"].numpy()[:, 0])
    later = model.simulate(1, 32, times[1:])
    np.testing.assert_array_equal(later["spot"], paths["spot"][:, 1:])
    now = model.simulate(1, 32, [0.0])
    np.testing.assert_array_equal(now["volatility"], paths["volatility"][:, :1])


def test_constant_volatility_gives_lognormal_paths():
    model = model_of("local", volatility=0.25)
    kernel = model.network.network.kernels[-1]
    kernel.assign(tf.zeros_like(kernel))
    spot = model.simulate(3, 2**13, [0.3, 1.0])["spot"].numpy()
    log = np.log(spot)
    np.testing.assert_allclose(log.var(axis=0), 0.0625 * np.array([0.3, 1.0]), rtol=2e-3)
    np.testing.assert_allclose(spot.mean(axis=0), 1.0, atol=2e-4)
    # increments are independent
    assert abs(np.corrcoef(log[:, 0], log[:, 1] - log[:, 0])[0, 1]) < 5e-3


def test_the_correlation_of_price_and_factor_is_the_learned_one():
    model = model_of("stochastic", options={"correlation": -0.8, "factor_volatility": 1.0})
    rollout = model.rollout([1 / 96], first_steps=1)
    state = rollout.simulate(0, 2**12).numpy()[:, 0]
    assert abs(np.corrcoef(state.T)[0, 1] + 0.8) < 0.01
    assert abs(float(model.network.rho) + 0.8) < 1e-6


def test_long_paths_take_plain_draws():
    model = model_of("local")
    times = np.arange(1, 1200) / 252
    assert model.draws_for(times) == {"draws": "plain"}
    assert model.draws_for(times[:600]) == {}
    assert np.isfinite(model.simulate(0, 4, times)["spot"]).all()


def test_features_belong_to_blocks_of_paths():
    model = with_random_weights(model_of("local", features=("a",)), 0.7)
    both = model.simulate(5, 64, [0.5], features=[[0.5], [-0.5]])
    for index, value in enumerate((0.5, -0.5)):
        alone = model.simulate(5, 32, [0.5], first_path=32 * index, features=[value])
        rows = slice(32 * index, 32 * index + 32)
        np.testing.assert_allclose(alone["spot"], both["spot"][rows], rtol=1e-5)
    single = model.simulate(5, 64, [0.5], features=[0.5])
    assert np.abs(single["spot"] - both["spot"])[32:].max() > 1e-3


def test_weights_that_are_not_finite_are_reported_with_step_and_paths():
    model = model_of("local", steps_per_year=8)
    model.network.network.biases[-1].assign([np.nan])
    with pytest.raises(ValueError, match=r"not finite from step 1 .* 16 of 16 paths"):
        model.simulate(0, 16, [0.5])
    with pytest.raises(ValueError, match=r"not finite from step 1 .* 4 of 4 paths"):
        model.price([1.0], [0.5], paths=64, control=False)


# ---------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_gives_states_at_the_maturities_in_any_mode(kind):
    model = model_of(kind, steps_per_year=24)
    increments = model.rollout().draw(0, 24)
    eager = model({"increments": increments})
    assert eager.shape == (24, 6, model.states)
    graph = tf.function(
        lambda x: model({"increments": x}),
        input_signature=[tf.TensorSpec((None, *increments.shape[1:]), tf.float32)],
    )
    np.testing.assert_allclose(graph(increments), eager, rtol=1e-5, atol=1e-6)
    simulated = model.simulate(0, 24, model.maturities)["spot"]
    np.testing.assert_allclose(tf.exp(eager[..., 0]), simulated, rtol=1e-5)
    some = model.rollout([0.2, 0.7])
    states = model.states_at(some.draw(0, 24), [0.2, 0.7])
    np.testing.assert_allclose(states, some.simulate(0, 24), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_differences(kind, gradient_check):
    model = model_of(kind, activation="tanh", maturities=[0.1], dtype="float64")
    increments = model.rollout(first_steps=3).draw(0, 4)
    weights = model.trainable_variables
    sizes = [int(np.prod(w.shape)) for w in weights]
    start = np.concatenate([np.ravel(w.numpy()) for w in weights])
    # along a few random directions in the space of weights
    directions = np.random.default_rng(0).normal(size=(3, len(start))) * 0.1

    def states(steps):
        flat = tf.constant(start) + tf.linalg.matvec(tf.constant(directions.T), steps)
        parts = [
            tf.reshape(p, w.shape) for p, w in zip(tf.split(flat, sizes), weights, strict=True)
        ]
        with keras.StatelessScope(list(zip(weights, parts, strict=True))):
            return model.states_at(increments, [0.1], first_steps=3)

    gradient_check(states, np.zeros(3), rtol=1e-5, atol=1e-9)


def test_dropout_is_one_thinner_network_for_all_paths_and_times():
    model = model_of("local", dropout=0.4, steps_per_year=24)
    whole = model_of("local", steps_per_year=24)
    increments = model.rollout().draw(0, 64)
    inputs = {"increments": increments}
    np.testing.assert_array_equal(model(inputs), whole(inputs))
    first = model(inputs, training=True)
    second = model(inputs, training=True)
    np.testing.assert_array_equal(model(inputs), whole(inputs))
    assert np.abs(first - second).max() > 1e-4
    scales = model.network.unit_scales()
    for scale in scales:
        assert np.isin(scale.numpy(), [0.0, np.float32(1) / np.float32(0.6)]).all()
    # it is the network without the units
    for kernel, scale in zip(whole.network.network.kernels[1:], scales, strict=True):
        kernel.assign(kernel * scale[:, tf.newaxis])
    np.testing.assert_allclose(whole(inputs), second, atol=1e-6)


def test_dropout_drops_the_share_it_says():
    model = NeuralSDE(units=(2000, 2000), dropout=0.3, options={"seed": 2})
    model.build()
    for scale in model.network.unit_scales():
        assert abs(float(tf.reduce_mean(scale)) - 1.0) < 0.05
        assert abs(np.mean(scale.numpy() == 0) - 0.3) < 0.04


def variance_loss(target, states):
    """Per path, a quantity whose mean is the error of the variance of log S at the end."""
    end = states[:, -1, 0]
    mean = tf.stop_gradient(tf.reduce_mean(end**2) - 0.0225)
    return 2.0 * mean * end**2 + target[:, 0, 0]


def test_keras_fit_trains_it():
    model = model_of("local", maturities=[1.0], steps_per_year=12)
    model.compile(keras.optimizers.Adam(0.02), loss=variance_loss)
    increments = model.rollout().draw(0, 512)
    model.fit(
        {"increments": increments}, tf.zeros((512, 1, 1)), batch_size=512, epochs=20, verbose=0
    )
    variance = np.log(model.simulate(1, 4096, [1.0])["spot"]).var()
    assert abs(variance - 0.0225) < 0.003


def test_two_replicas_train_as_one(two_replicas):
    class Batches:
        def simulate(self, seed, paths, first_path=0):
            rollout = model.rollout()
            increments = rollout.draw(seed, paths, first_path)
            return {"increments": increments}, tf.zeros((paths, 1, model.states))

    def squared(target, states):
        return tf.reduce_sum((states - target) ** 2, axis=(1, 2))

    weights = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        with strategy.scope():
            model = model_of("local", maturities=[0.1], dropout=0.2)
            model.compile(keras.optimizers.SGD(0.1), loss=squared)
        hedgezoo.training.fit(
            model,
            Batches(),
            strategy=strategy,
            steps_per_epoch=2,
            batch_size=64,
            seed=3,
            verbose=0,
        )
        weights.append(model.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


# ----------------------------------------------------------------------------------------- storage


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "local", "activation": "silu", "bounds": (0.05, 1.0), "scheme": "log_euler"},
        {"kind": "local", "features": ("a", "b"), "options": {"feature_scale": [1.0, 2.0]}},
        {"kind": "stochastic", "maturities": [0.3, 2.0], "options": {"correlation": 0.2}},
    ],
)
def test_preset_and_config_round_trip(settings, tmp_path):
    model = NeuralSDE(units=(8,), **settings)
    model.build()
    with_random_weights(model, 0.5)
    config = model.get_config()
    assert json.loads(json.dumps(config)) == config
    assert NeuralSDE.from_config(config).get_config() == config
    model.save_to_preset(tmp_path / "preset")
    again = NeuralSDE.from_preset(tmp_path / "preset")
    features = {"features": [0.1, -0.2]} if model.feature_names else {}
    for spot, time in ((0.9, 0.1), (1.2, 1.7)):
        assert again.diffusion(spot, time, **features) == model.diffusion(spot, time, **features)
    same = model.simulate(0, 16, [0.2], **features), again.simulate(0, 16, [0.2], **features)
    np.testing.assert_array_equal(same[0]["spot"], same[1]["spot"])


def test_keras_file_round_trip(tmp_path):
    model = model_of("stochastic", steps_per_year=12)
    model({"increments": model.rollout().draw(0, 2)})
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.diffusion(0.9, 0.3) == model.diffusion(0.9, 0.3)


def test_same_seed_same_weights():
    one, two = (NeuralSDE("stochastic", options={"seed": 5}) for _ in range(2))
    one.build()
    two.build()
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "lokal"}, "`kind`.*Did you mean 'local'"),
        ({"units": 64}, "`units`"),
        ({"units": (64, 0)}, "`units`"),
        ({"volatility": -0.2}, "`volatility`"),
        ({"bounds": (0.3, 2.0)}, "`bounds`"),
        ({"bounds": 2.0}, "`bounds`"),
        ({"dropout": 1.0}, "`dropout`"),
        ({"maturities": [1.0, 0.5]}, "`maturities`"),
        ({"steps_per_year": 0}, "`steps_per_year`"),
        ({"concentration": 0.5}, "`concentration`"),
        ({"scheme": "euler"}, "`scheme`"),
        ({"kind": "stochastic", "scheme": "log_milstein"}, "`scheme`"),
        ({"draws": "halton"}, "`draws`"),
        ({"features": "skew"}, "`features`"),
        ({"options": {"sead": 1}}, "`options`.*seed"),
        ({"options": {"feature_scale": 0.0}}, "`feature_scale`"),
        ({"kind": "stochastic", "options": {"correlation": 1.0}}, "`correlation`"),
        ({"kind": "stochastic", "options": {"factor_bounds": (1.0, 2.0)}}, "`factor_bounds`"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        NeuralSDE(**settings)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("diffusion", {"spot": -1.0, "time": 0.5}, "`spot`"),
        ("diffusion", {"spot": 1.0, "time": 0.5, "factor": 0.1}, "`factor`"),
        ("diffusion", {"spot": 1.0, "time": 0.5, "features": [0.1]}, "`features`"),
        ("simulate", {"seed": 0, "paths": 4, "times": [0.5, 0.5]}, "`times`"),
        ("simulate", {"seed": 0, "paths": 4, "times": [-0.5, 0.5]}, "`times`"),
        ("simulate", {"seed": 0, "paths": 4, "times": []}, "`times`"),
        ("simulate", {"seed": 0.5, "paths": 4, "times": [1.0]}, "`seed`"),
        ("simulate", {"seed": 0, "paths": 0, "times": [1.0]}, "`paths`"),
        ("rollout", {"maturities": [-1.0]}, "`maturities`"),
        ("price", {"strikes": [1.0], "maturities": [0.5, 0.2]}, "`maturities`"),
        ("price", {"strikes": [0.0], "maturities": [0.5]}, "`strikes`"),
        ("price", {"strikes": [1.0], "maturities": [0.5], "paths": 8}, "`paths`"),
        ("price", {"strikes": [[1.0], [1.0]], "maturities": [0.5]}, "`strikes`"),
    ],
)
def test_bad_arguments(method, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(model_of("local"), method)(**arguments)


def test_wrong_inputs_of_a_call():
    model = model_of("local")
    with pytest.raises(ValueError, match="`inputs`"):
        model({"noise": tf.zeros((2, 99, 1))})
    with pytest.raises(ValueError, match="T = 50 steps"):
        model({"increments": tf.zeros((2, 50, 1))})
    with pytest.raises(ValueError, match="`features`"):
        model_of("local", features=("a",)).simulate(0, 4, [1.0])
    with pytest.raises(ValueError, match="`price_by_pde`"):
        model_of("stochastic").price_by_pde([1.0], [1.0])


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_networks_give_single_precision_paths(kind):
    settings = {"maturities": [0.1], "steps_per_year": 24}
    model = model_of(kind, dtype="mixed_bfloat16", **settings)
    single = model_of(kind, **settings)
    single.set_weights(model.get_weights())
    spot = model.simulate(0, 16, [0.1])["spot"]
    assert spot.dtype == tf.float32
    np.testing.assert_allclose(spot, single.simulate(0, 16, [0.1])["spot"], atol=2e-3)
