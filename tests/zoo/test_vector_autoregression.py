"""VectorAutoregression: a market simulator that is fitted, stored, served and held to history."""

import types

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import serving, var_diagnostics
from hedgezoo.datasets import BlackScholesMarket
from hedgezoo.datasets.vector_autoregression import VARCoefficients
from hedgezoo.evaluation import evaluate
from hedgezoo.layers import dlv_to_calls
from hedgezoo.var_figures import pictures
from hedgezoo.vector_autoregression import VectorAutoregression

STRIKES, MATURITIES, GHOSTS = (0.95, 1.0, 1.05), (20 / 250, 60 / 250), (0.6, 1.4)
COEFFICIENTS = VARCoefficients(
    intercept=[4e-4, 0.0, 0.0],
    lag_matrices=[
        [[0.05, -0.002, 0.001], [-4.0, 0.7, 0.1], [1.0, 0.0, 0.5]],
        [[-0.04, 0.002, 0.0], [2.0, 0.2, -0.1], [0.0, 0.1, 0.3]],
    ],
    innovation_factor=[[0.01, 0.0, 0.0], [-0.05, 0.03, 0.0], [0.02, 0.01, 0.04]],
    log_dlv_mean=[[-1.7, -1.8, -1.8], [-1.6, -1.7, -1.7]],
    loadings=[[[1.0, 1.0, 1.0], [0.8, 0.8, 0.8]], [[0.5, 0.0, -0.5], [0.3, 0.0, -0.3]]],
    last_state=np.zeros((2, 3)),
)


def new_model(**options):
    model = VectorAutoregression(STRIKES, MATURITIES, GHOSTS, lags=2, components=2, **options)
    model.coefficients = COEFFICIENTS
    return model


@pytest.fixture(scope="module")
def truth():
    return new_model(dtype="float64")


@pytest.fixture(scope="module")
def history(truth):
    """Three thousand days that the model itself has made."""
    drawn = truth.simulate(seed=7, paths=1, steps=3000, state="stationary")
    spot, dlv = (drawn[name].numpy()[0] for name in ("spot", "dlv"))
    return types.SimpleNamespace(
        dates=np.arange(len(spot)),
        spot=spot,
        dlv=dlv,
        implied_volatility=var_diagnostics.implied_volatilities(truth, dlv),
        strikes=np.array(STRIKES),
        maturities=np.array(MATURITIES),
        ghost_strikes=np.array(GHOSTS),
    )


@pytest.fixture(scope="module")
def fitted(history):
    return VectorAutoregression.from_history(history, max_lags=3, components=2)


def test_finds_the_model_that_made_the_history(truth, fitted):
    found = fitted.coefficients
    assert (found.lags, found.series) == (2, 3)
    for name in ("log_dlv_mean", "loadings"):
        assert getattr(found, name).shape == getattr(COEFFICIENTS, name).shape
    # in terms of log volatilities, the same whatever the basis of the components
    drawn = {
        model: model.simulate(0, 20_000, steps=20, state="stationary") for model in (truth, fitted)
    }
    for name in ("spot", "dlv"):
        a, b = (np.log(drawn[model][name].numpy()[:, -1]) for model in (truth, fitted))
        deviation = a.std(axis=0)
        # three thousand days know their mean to a tenth of a deviation or so
        assert np.abs((a.mean(0) - b.mean(0)) / deviation).max() < 0.35, name
        np.testing.assert_allclose(b.std(axis=0), deviation, rtol=0.15)


def test_contract(fitted):
    drawn = fitted.simulate(seed=3, paths=5)
    assert {name: tuple(x.shape) for name, x in drawn.items()} == {
        "spot": (5, 31),
        "dlv": (5, 31, 2, 3),
        "calls": (5, 31, 2, 3),
    }
    assert all(x.dtype == "float32" for x in drawn.values())
    np.testing.assert_array_equal(drawn["spot"][:, 0], 1.0)
    np.testing.assert_allclose(
        dlv_to_calls(drawn["dlv"], STRIKES, MATURITIES, GHOSTS), drawn["calls"], atol=1e-7
    )
    assert new_model(dtype="float64").simulate(3, 5)["calls"].dtype == "float64"
    half = new_model(dtype="mixed_float16").simulate(3, 5)["calls"]
    np.testing.assert_array_equal(half, new_model().simulate(3, 5)["calls"])


@pytest.mark.parametrize("state", ["mean", "last", "stationary", "given"])
def test_path_is_the_same_in_any_batch(fitted, history, state):
    if state == "given":
        state = {"log_return": np.zeros(2), "dlv": history.dlv[:2]}
    whole = fitted.simulate(5, 40, state=state)
    part = fitted.simulate(5, 3, state=state, first_path=21)
    for name, values in part.items():
        np.testing.assert_array_equal(values, whole[name][21:24], name)


def test_start_is_where_it_is_said_to_be(fitted, history):
    last = fitted.simulate(0, 1, state="last")
    np.testing.assert_allclose(last["dlv"][0, 0], history.dlv[-1], rtol=1e-4)
    rows = np.array([[10, 11], [500, 501]])
    state = {"log_return": np.log(history.spot[rows] / history.spot[rows - 1])}
    state["dlv"] = history.dlv[rows]
    drawn = fitted.simulate(0, 2, state=state)
    np.testing.assert_allclose(drawn["dlv"][:, 0], history.dlv[rows[:, 1]], rtol=1e-4)
    mean = fitted.simulate(0, 1)["dlv"][0, 0]
    centre = fitted.coefficients.stationary_mean[1:]
    expected = fitted.coefficients.log_dlv_mean + np.tensordot(
        centre, fitted.coefficients.loadings, 1
    )
    np.testing.assert_allclose(np.log(mean), expected, atol=1e-5)
    # the law of the next day is that of the fit, given the past
    many = fitted.simulate(1, 20_000, steps=1, state={name: x[0] for name, x in state.items()})
    found = fitted.coefficients
    past = np.concatenate(
        [state["log_return"][0][:, None], found.factors_of(np.log(state["dlv"][0]))], axis=1
    )
    expected = found.intercept + found.lag_matrices[0] @ past[1] + found.lag_matrices[1] @ past[0]
    returns = np.log(many["spot"].numpy()[:, 1])
    assert abs(returns.mean() - expected[0]) < 4 * returns.std() / np.sqrt(20_000)


def test_market_has_the_same_paths(fitted):
    market = fitted.make_market(cost=2e-3, steps=30)
    assert market.cost == 2e-3
    drawn, paths = fitted.simulate(8, 6), market.paths(8, 6)
    for name, values in drawn.items():
        np.testing.assert_allclose(values, paths[name], rtol=1e-6, err_msg=name)


def test_a_row_is_path_0_of_its_seed(fitted, history):
    state = {
        "log_return": np.zeros((3, 2)),
        "dlv": np.stack([history.dlv[i : i + 2] for i in (0, 9, 0)]),
    }
    answer = fitted({**state, "seed": np.array([4, 4, -2])})
    for row, seed in enumerate((4, 4, -2)):
        past = {name: x[row] for name, x in state.items()}
        alone = fitted.simulate(seed, 1, state=past)
        for name, values in answer.items():
            np.testing.assert_allclose(values[row], alone[name][0], rtol=1e-5, err_msg=name)


@pytest.mark.serving
def test_served_answer_is_simulate(fitted, history, tmp_path):
    version = serving.export(fitted, tmp_path / "served")
    state = {"log_return": np.zeros((2, 2)), "dlv": history.dlv[[[0, 1], [5, 6]]]}
    for signature in ("simulate", "serving_default"):
        request = {**state, "seed": [11, 12]}
        answer = serving.query_locally(version, request, signature)
        for row, seed in enumerate(request["seed"]):
            past = {name: x[row] for name, x in state.items()}
            alone = fitted.simulate(seed, 1, state=past)
            for name, values in answer.items():
                np.testing.assert_allclose(values[row], alone[name][0], rtol=1e-4, err_msg=name)


def test_preset_round_trip(fitted, tmp_path):
    fitted.market = fitted.make_market(cost=2e-3)
    fitted.save_to_preset(tmp_path / "mine")
    again = VectorAutoregression.from_preset(tmp_path / "mine")
    assert again.market == fitted.market
    fitted.market = None
    assert again.coefficients == fitted.coefficients
    for name in ("strikes", "maturities", "ghost_strikes", "lags", "components", "time_step"):
        assert again.get_config()[name] == fitted.get_config()[name]
    np.testing.assert_array_equal(again.simulate(0, 4)["calls"], fitted.simulate(0, 4)["calls"])


def test_residuals_are_those_of_the_fit(fitted, history):
    np.testing.assert_allclose(
        var_diagnostics.residuals_of(fitted, history), fitted.fit_result.residuals, atol=1e-10
    )
    np.testing.assert_allclose(
        var_diagnostics.series_of(fitted, history), fitted.fit_result.series, atol=1e-10
    )


def test_report_of_a_history_that_the_model_made(truth, history):
    report = evaluate(truth, paths=4096, seed=1, history=history)
    assert all(set(metric) == {"value", "stderr"} for metric in report.values())
    assert report["lags"]["value"] == 2
    assert report["spectral_radius"]["value"] == pytest.approx(COEFFICIENTS.stability)
    assert report["explained_variance"]["value"] == pytest.approx(1.0)
    assert report["arbitrage_free_share"] == {"value": 1.0, "stderr": 0.0}
    pairs = [name.removesuffix("/simulated") for name in report if name.endswith("/simulated")]
    assert len(pairs) == 4 * 3 + 3 * 3
    for name in pairs:
        simulated, historical = report[f"{name}/simulated"], report[f"{name}/historical"]
        error = np.hypot(simulated["stderr"], historical["stderr"])
        assert abs(simulated["value"] - historical["value"]) < 4.5 * error, name
    for name in ("log_return", "component_1", "component_2"):
        assert report[f"residual_ljung_box/{name}"]["value"] > 1e-3
        assert report[f"squared_residual_ljung_box/{name}"]["value"] > 1e-3
        for moment in ("residual_skewness", "residual_excess_kurtosis"):
            metric = report[f"{moment}/{name}"]
            assert abs(metric["value"]) < 4.5 * metric["stderr"]
    assert report["mean_gain/spot"]["stderr"] > 0
    variance = 250 * (COEFFICIENTS.stationary_covariance[0, 0])
    realised = report["realised_volatility"]["value"]
    assert realised == pytest.approx(np.sqrt(variance), rel=0.02)


def test_report_sees_what_gaussian_innovations_miss(truth, history):
    # the same history with bursts of large returns
    calm = np.diff(np.log(history.spot))
    bursts = np.where(np.arange(3000) % 100 < 10, 4.0, 1.0)
    wild = types.SimpleNamespace(**vars(history))
    wild.spot = np.exp(np.concatenate([[0.0], np.cumsum(calm * bursts)]))
    residuals = var_diagnostics.residuals_of(truth, wild)
    metrics = var_diagnostics._fit_metrics(truth, wild, residuals)
    assert metrics["squared_residual_ljung_box/log_return"]["value"] < 1e-6
    metric = metrics["residual_excess_kurtosis/log_return"]
    assert metric["value"] > 20 * metric["stderr"]


def test_arbitrage_is_seen(fitted):
    drawn = {name: x.numpy() for name, x in fitted.simulate(0, 3, steps=2).items()}
    good = var_diagnostics.is_arbitrage_free(fitted, drawn["dlv"], drawn["calls"])
    assert good.shape == (3, 3)
    assert good.all()
    drawn["calls"][1, 2] = drawn["calls"][1, 2, ::-1]  # maturities the wrong way round
    drawn["calls"][2, 0, 0, 0] = np.nan
    bad = var_diagnostics.is_arbitrage_free(fitted, drawn["dlv"], drawn["calls"])
    assert sorted(map(tuple, np.argwhere(~bad))) == [(1, 2), (2, 0)]


def test_figures(fitted):
    drawn = pictures(fitted, paths=64)
    assert [picture.name for picture in drawn] == [
        "quantiles",
        "autocorrelations",
        "surfaces",
        "gains",
    ]
    for picture in drawn:
        assert picture.caption.endswith(".")
    fans = drawn[0].figure.axes
    assert [axis.get_title() for axis in fans][:2] == [
        "daily log return",
        "at-the-money volatility",
    ]
    (gains,) = drawn[3].figure.axes
    means = gains.containers[0].lines[0].get_ydata()
    expected, _ = var_diagnostics.mean_gains(fitted.make_market(), 64, 0)
    np.testing.assert_allclose(means, 1e4 * expected[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": "median"}, "Did you mean 'mean'"),
        ({"state": {"dlv": np.ones((2, 2, 3))}}, "dictionary of `log_return` and `dlv`"),
        (
            {"state": {"log_return": np.zeros(3), "dlv": np.ones((2, 2, 3))}},
            r"`state\['log_return'\]` must have shape \(p\)",
        ),
        (
            {"state": {"log_return": np.zeros((2, 2)), "dlv": np.ones((2, 2, 3))}},
            "one for each of 4 paths",
        ),
        ({"state": {"log_return": np.zeros(2), "dlv": -np.ones((2, 2, 3))}}, "must be positive"),
        ({"steps": 0}, "`steps`"),
        ({"paths": 0}, "`paths`"),
        ({"seed": 0.5}, "`seed`"),
    ],
)
def test_bad_arguments_of_simulate(fitted, change, message):
    with pytest.raises(ValueError, match=message):
        fitted.simulate(**{"seed": 0, "paths": 4, **change})


def test_bad_arguments(fitted, history):
    with pytest.raises(ValueError, match="whole numbers of time steps"):
        VectorAutoregression(STRIKES, (0.0815,))
    with pytest.raises(ValueError, match="`lags`"):
        VectorAutoregression(STRIKES, MATURITIES, lags=0)
    other = VectorAutoregression(STRIKES, MATURITIES, lags=3, components=2)
    with pytest.raises(ValueError, match="must fit the model: lag_matrices"):
        other.coefficients = fitted.coefficients
    growing = {**fitted.coefficients.get_config(), "lag_matrices": 0.6 * np.stack([np.eye(3)] * 2)}
    with pytest.raises(ValueError, match=r"not stable.*Received: 1\.13"):
        fitted.coefficients = VARCoefficients(**growing)
    moved = types.SimpleNamespace(**vars(history))
    moved.strikes = np.array([0.9, 1.0, 1.1])
    with pytest.raises(ValueError, match="`history` must have the strikes of the model"):
        evaluate(fitted, paths=16, history=moved)
    with pytest.raises(ValueError, match="`market` must be a VARMarket"):
        evaluate(fitted, paths=16, market=BlackScholesMarket(), history=history)
    broken = types.SimpleNamespace(**vars(history))
    broken.dlv = np.where(np.arange(3001)[:, None, None] == 5, np.nan, history.dlv)
    with pytest.raises(ValueError, match=r"`dlv` must be finite.*index \(5, 0, 0\)"):
        VectorAutoregression.from_history(broken)


def test_on_two_replicas(two_replicas):
    with two_replicas.scope():
        model = new_model()
    whole = model.simulate(4, 6)["spot"]

    @tf.function
    def step():
        def replica():
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            return model.simulate(4, 3, first_path=3 * index)["spot"]

        return two_replicas.experimental_local_results(two_replicas.run(replica))

    np.testing.assert_allclose(np.concatenate(step()), whole, rtol=1e-6)
