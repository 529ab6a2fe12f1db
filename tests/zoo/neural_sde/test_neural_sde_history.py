import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import NeuralSDE
from hedgezoo.datasets import DailyHistory
from hedgezoo.neural_sde.historical import fit_history, historical_model
from hedgezoo.neural_sde.historical_memory import IndexMemory, ReturnMemory
from hedgezoo.neural_sde.historical_networks import HistoricalCoefficients
from hedgezoo.neural_sde.historical_report import evaluate_history
from hedgezoo.neural_sde.likelihood import (
    DailyCoefficients,
    GaussianEuler,
    Transitions,
    mean_loss,
    pack,
)
from hedgezoo.neural_sde.structure import clustering, daily_returns

HESTON = (3.0, 0.04, 0.4, -0.7, 0.04)
DAY = 1 / 252


@pytest.fixture(scope="module")
def heston():
    return DailyHistory.heston(HESTON, years=10.0, seed=0)


@pytest.fixture(scope="module")
def fitted(heston):
    """A one-state model of the simulated history, and its fit."""
    model = historical_model(heston, windows=(), options={"seed": 0})
    return fit_history(model, heston, verbose=0)


@pytest.fixture(scope="module")
def spx():
    history = DailyHistory.spx()
    return history, historical_model(history, units=(8,), options={"seed": 1})


def _states(model, days, paths=3):
    times = np.arange(1, days + 1) * DAY
    rollout = model.rollout(times, output="path")
    return tf.function(rollout.simulate, autograph=False)(seed=5, paths=paths).numpy()


# ------------------------------------------------------------------------------- what is remembered


@pytest.mark.parametrize("memory", ["index", "returns"])
def test_a_simulated_path_remembers_as_a_history_does(spx, memory):
    model = historical_model(
        spx[0], memory, windows=(3.0, 20.0), units=(8,), volatility=0.2, options={"seed": 1}
    )
    rule = model.network.memory
    for path in _states(model, 250):
        volatility = rule.level * np.exp(path[:, 1]) if memory == "index" else None
        dates = np.datetime64("2020-01-01") + np.arange(len(path))
        known = rule.states_of(DailyHistory(dates, np.exp(path[:, 0]), volatility))
        if memory == "index":
            np.testing.assert_allclose(known, path, atol=2e-5)
        else:  # how the averages begin is forgotten
            seen = rule.inputs(tf.constant(known)).numpy()[-1]
            np.testing.assert_allclose(seen[0], rule.inputs(path).numpy()[-1][0], atol=1e-3)
            np.testing.assert_allclose(seen[-1], rule.inputs(path).numpy()[-1][-1], atol=1e-3)


def test_realised_volatility_is_the_average_of_squares_of_the_path(spx):
    model = historical_model(spx[0], "returns", windows=(5.0,), units=(8,), options={"seed": 1})
    rule = model.network.memory
    path = _states(model, 60, paths=1)[0]
    moves = np.diff(path[:, 0]) / (rule.level * DAY**0.5)
    square, trend, share = 1.0, 0.0, 1 - np.exp(-1 / 5)
    for day, move in enumerate(moves):
        square = (1 - share) * square + share * move**2
        trend = (1 - share) * trend + np.sqrt(1 - (1 - share) ** 2) * move
        seen = rule.inputs(path[day + 1 : day + 2]).numpy()[0]
        np.testing.assert_allclose(seen, [0.5 * np.log(square), trend], atol=2e-4)


def test_averages_of_an_index(spx):
    history, _ = spx
    rule = IndexMemory(level=0.2, windows=(1.0, 10.0), time_step=DAY)
    states = rule.states_of(history)
    y = np.log(history.volatility / 0.2)
    np.testing.assert_allclose(states[:, 1], y)
    # a window of one day is yesterday
    np.testing.assert_allclose(states[1:, 2] + y[1:], y[:-1])
    average = states[:, 3] + y
    np.testing.assert_allclose(np.diff(average), (y[:-1] - average[:-1]) / 10.0)


def test_bad_memories(spx):
    history, _ = spx
    with pytest.raises(ValueError, match="`windows` must be one time step or more"):
        IndexMemory(0.2, (0.5,), DAY)
    with pytest.raises(ValueError, match="`windows` must not be empty"):
        ReturnMemory(0.2, (), DAY)
    prices_only = DailyHistory(history.dates[:50], history.spot[:50])
    with pytest.raises(ValueError, match="must have a volatility index"):
        historical_model(prices_only, "index")
    assert historical_model(prices_only, "returns").states == 5


# ---------------------------------------------------------------------------------- the likelihood


@pytest.mark.parametrize("count", [1, 2, 3])
def test_likelihood_is_that_of_the_normal_law(count):
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(count)
    factor = np.tril(rng.normal(size=(4, count, count)))
    factor[:, range(count), range(count)] = rng.uniform(0.2, 1.0, (4, count))
    drift, increments = rng.normal(size=(4, count)), rng.normal(size=(4, count))
    loss = GaussianEuler(time_step=0.1, reduction=None)
    found = loss(increments, pack(tf.constant(drift), tf.constant(factor))).numpy()
    root = 0.1**0.5
    for row in range(4):
        law = multivariate_normal(drift[row] * root, factor[row] @ factor[row].T)
        np.testing.assert_allclose(found[row], -law.logpdf(increments[row] / root), rtol=1e-5)
    again = GaussianEuler.from_config(loss.get_config())
    assert again.time_step == 0.1
    with pytest.raises(ValueError, match="`y_pred` must have"):
        loss(increments, drift)


def test_a_simulated_day_has_the_predicted_law(spx):
    _, model = spx
    states = np.array([[0.0, 0.7, -0.3, -0.5]], np.float32)
    prediction = DailyCoefficients(model)(states).numpy()[0]
    rollout = model.rollout([DAY], output="path", draws="sobol")
    paths = rollout.simulate(seed=1, paths=2**14, initial=states[0])
    moves = (paths[:, 1] - states[0]).numpy()[:, :2].astype("float64")
    np.testing.assert_allclose(moves.mean(axis=0), prediction[:2] * DAY, atol=3e-5)
    factor = np.array([[prediction[2], 0.0], prediction[3:]])
    np.testing.assert_allclose(np.cov(moves.T) / DAY, factor @ factor.T, rtol=5e-3, atol=1e-4)


def test_transitions_come_once_per_epoch(spx):
    history, model = spx
    days = Transitions.of(history, model.network.memory).select(slice(0, 40))
    states, increments = days.simulate(seed=3, paths=40, first_path=80)
    order = np.argsort(states[:, 0])
    rows = np.argsort(days.states[:, 0])
    np.testing.assert_array_equal(states.numpy()[order], days.states[rows])
    np.testing.assert_array_equal(increments.numpy()[order], days.increments[rows])
    part = days.simulate(seed=3, paths=5, first_path=90)[0]
    np.testing.assert_array_equal(part, states[10:15])
    with pytest.raises(ValueError, match="a row per day"):
        Transitions(np.zeros((3, 2)), np.zeros((2, 1)))


# ---------------------------------------------------------------------------------------- the fit


def test_dynamics_of_a_heston_history_are_found(fitted):
    network = fitted.model.network
    kappa, theta, xi, rho, _ = HESTON
    clock = kappa * 30 / 365
    share = (1 - np.exp(-clock)) / clock
    variance = np.array([0.02, 0.03, 0.04, 0.06])
    index = np.sqrt(theta + share * (variance - theta))
    factor = network.factor_of(index.astype("float32"))
    sigma = fitted.model.diffusion(1.0, 0.0, factor=factor).numpy()
    np.testing.assert_allclose(sigma, np.sqrt(variance), rtol=0.12)
    _, cholesky = network.coefficients(tf.stack([tf.zeros(4), factor], axis=1))
    nu = np.linalg.norm(cholesky[:, 1], axis=-1)
    np.testing.assert_allclose(nu, share * xi * np.sqrt(variance) / (2 * index**2), rtol=0.15)
    np.testing.assert_allclose(cholesky[:, 1, 0] / nu, rho, atol=0.12)
    assert fitted.held_out_log_likelihood > -1.0


def test_long_paths_cluster_as_the_history_does(fitted, heston):
    lags = (1, 5, 20)
    paths = daily_returns(fitted.model, years=10.0, paths=64, seed=2)
    simulated, there = clustering(paths, lags), clustering(heston.returns, lags)
    assert np.isfinite(paths).all()
    np.testing.assert_allclose(simulated.value, there.value, atol=0.05)
    assert simulated.value[0] > 0.1


def test_ten_years_stay_finite_whatever_the_weights(spx):
    history, _ = spx
    for memory, windows in (("index", (5.0, 60.0)), ("returns", (3.0, 20.0))):
        model = historical_model(history, memory, windows, units=(8,), options={"seed": 2})
        model.build()
        for variable in model.network.trainable_variables:
            if "mean_reversion" not in variable.path:
                variable.assign(keras.random.normal(variable.shape, stddev=3.0, seed=4))
        found = model.simulate(seed=1, paths=8, times=np.arange(1, 2521) * DAY)
        assert np.isfinite(found["factor"]).all()
        volatility = found["volatility"].numpy()
        assert volatility.min() >= 0.0099
        assert volatility.max() <= 2.001


def test_a_killed_fit_resumes(spx, tmp_path):
    history = spx[0].split(0.1)[1]

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def fit(**options):
        model = historical_model(history, units=(4,), options={"seed": 1})
        settings = {"epochs": 4, "batch_size": 64, "seed": 7, "verbose": 0}
        return fit_history(model, history, **settings, **options)

    whole = fit()
    with pytest.raises(KeyboardInterrupt):
        # weights are saved after every step, here
        fit(checkpoint=tmp_path / "run", callbacks=[Stop(), _save_often()])
    resumed = fit(checkpoint=tmp_path / "run")
    assert resumed.epochs == whole.epochs == 4
    for a, b in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def _save_often():
    """Slow epochs are saved at their end; these last two seconds."""
    import time

    return keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: time.sleep(1.1))


def test_fit_on_two_replicas(spx, two_replicas):
    history = spx[0].split(0.05)[1]

    def losses(strategy):
        with strategy.scope():
            model = historical_model(history, units=(4,), options={"seed": 1})
            model.build()
        settings = {"epochs": 2, "batch_size": 64, "held_out": 0.0, "seed": 3, "verbose": 0}
        return fit_history(model, history, strategy=strategy, **settings).history["loss"]

    np.testing.assert_allclose(
        losses(two_replicas), losses(tf.distribute.get_strategy()), rtol=1e-4
    )


def test_plain_keras_fit(spx):
    history, model = spx
    days = Transitions.of(history, model.network.memory)
    trained = DailyCoefficients(keras.models.clone_model(model))
    trained.build()
    trained.compile("adam", loss=GaussianEuler())
    before = mean_loss(trained, days)
    trained.fit(days.batches(256, steps=20, seed=0), verbose=0)
    assert mean_loss(trained, days) < before


# --------------------------------------------------------------------------------- model and report


def test_model_survives_storage_and_answers(spx, tmp_path):
    _, model = spx
    model.build()
    model.save_to_preset(tmp_path / "preset")
    again = NeuralSDE.from_preset(tmp_path / "preset")
    factor = np.array([-0.5, 0.0, 1.0], "float32")
    for name in ("diffusion", "drift"):
        found = [getattr(m, name)(1.0, 0.0, factor=factor).numpy() for m in (model, again)]
        np.testing.assert_array_equal(*found)
    # level of the price and time play no part
    np.testing.assert_allclose(
        model.diffusion(7.0, 3.0, factor=factor), model.diffusion(1.0, 0.0, factor=factor)
    )
    signature = model.serving_signatures()["serving_default"]
    arguments = [tf.constant(signature.example[spec.name], spec.dtype) for spec in signature.inputs]
    answer = signature.function(*arguments)
    expected = model.diffusion(1.0, 0.0, factor=signature.example["factor"])
    np.testing.assert_allclose(answer["diffusion"], expected, rtol=1e-6)
    index = model.network.index_of(model.network.factor_of(0.3))
    assert float(index) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="needs dynamics under the pricing measure"):
        model.price([1.0], [0.5])


def test_paths_start_where_they_are_told(spx):
    _, model = spx
    today = np.array([0.0, 0.9], "float32")
    found = model.simulate(seed=1, paths=2, times=[0.0, DAY], factor=today)
    np.testing.assert_allclose(found["factor"][:, 0], today)
    np.testing.assert_allclose(
        found["volatility"][:, 0], model.diffusion(1.0, 0.0, factor=today), rtol=1e-6
    )


def test_report(spx):
    history, model = spx
    short = history.split(0.1)[1]
    report = evaluate_history(model, short, paths=8, seed=1, long_years=2.0)
    assert report["acf_1_history"]["value"] == pytest.approx(
        clustering(short.returns, (1,)).value[0]
    )
    assert report["acf_5_history"]["stderr"] > 0.0
    assert report["volatility_history"]["value"] == pytest.approx(short.returns.std() * 252**0.5)
    assert report["log_likelihood"]["value"] < 5.0
    with pytest.raises(ValueError, match="`market` must be"):
        evaluate_history(model, None, 8, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"memory": "prices"}, "`memory` must be one of"),
        ({"features": 1}, "no market `features`"),
        ({"scale": [0.0, 1.0, 1.0]}, "`scale` must be positive"),
        ({"center": [0.0]}, r"`center` must have shape \(q,\)"),
        ({"low": [1.0] * 3, "high": [0.0] * 3}, "`low` must be below `high`"),
        ({"correlation": 1.0}, "`correlation` must lie between"),
        ({"expected_return": 3.0}, "`expected_return` must lie between"),
        ({"mean_reversion": 0.0}, "`mean_reversion` must be positive"),
        ({"factor_volatility": 9.0}, "`factor_bounds` must be two positive numbers"),
    ],
)
def test_bad_networks(arguments, message):
    with pytest.raises(ValueError, match=message):
        HistoricalCoefficients(units=(4,), **arguments)


def test_bad_fits(spx):
    history, model = spx
    with pytest.raises(ValueError, match="kind 'historical'"):
        fit_history(NeuralSDE(units=(4,)), history)
    with pytest.raises(ValueError, match="`held_out` must leave days"):
        fit_history(model, history, held_out=1.0)
    with pytest.raises(ValueError, match="`epochs` must be an integer"):
        fit_history(model, history, epochs=0)
