"""VARMarket: the law of its paths, what its options earn, and the same path everywhere."""

import json

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from hedgezoo.datasets import VARMarket, payoffs
from hedgezoo.datasets.floating_options import (
    extend_wings,
    flat_mark,
    floating_gains,
    whole_steps,
)
from hedgezoo.datasets.vector_autoregression import VARCoefficients
from hedgezoo.layers import black_scholes_call, calls_to_dlv
from hedgezoo.layers.draws import DRAWS
from hedgezoo.layers.implied_volatility import implied_volatility
from hedgezoo.layers.surfaces.interpolation import volatility_at

STRIKES = (0.97, 1.0, 1.02)
MATURITIES = (2 / 250, 5 / 250)  # 2 steps expire within the path, 5 do not
COEFFICIENTS = VARCoefficients(
    intercept=[4e-4, 0.02, -0.05],
    lag_matrices=[
        [[0.05, -0.002, 0.001], [-4.0, 0.7, 0.1], [1.0, 0.0, 0.5]],
        [[-0.04, 0.002, 0.0], [2.0, 0.2, -0.1], [0.0, 0.1, 0.3]],
    ],
    innovation_factor=[[0.01, 0.0, 0.0], [-0.05, 0.03, 0.0], [0.02, 0.01, 0.04]],
    log_dlv_mean=[[-1.7, -1.8, -1.8], [-1.6, -1.7, -1.7]],
    loadings=[[[1.0, 1.0, 1.0], [0.8, 0.8, 0.8]], [[0.5, 0.0, -0.5], [0.3, 0.0, -0.3]]],
    last_state=[[0.01, -0.2, 0.1], [-0.02, 0.3, 0.0]],
)
NAMES = ("log_moneyness", "state", "log_dlv", "time_to_expiry")


def market(**options):
    return VARMarket(COEFFICIENTS, STRIKES, MATURITIES, **{"steps": 4, **options})


def still(volatility=None, **options):
    """A market whose surface never moves: that of one Black-Scholes volatility, or any one."""
    grid = (np.array((0.94, 0.97, 1.0, 1.03, 1.06)), np.array((2, 4, 6)) / 250)
    if volatility is None:
        dlv = np.array([[0.3, 0.2, 0.15, 0.15, 0.2]] * 3) * [[1.0], [1.1], [0.9]]
        noise = 0.0
    else:
        dlv = calls_to_dlv(black_scholes_call(*grid, volatility), *grid, (0.8, 1.2)).numpy()
        noise = volatility * (1 / 250) ** 0.5
    coefficients = VARCoefficients(
        intercept=[-(noise**2) / 2, 0.0],
        lag_matrices=np.zeros((1, 2, 2)),
        innovation_factor=[[noise, 0.0], [0.0, 0.0]],
        log_dlv_mean=np.log(dlv),
        loadings=np.zeros((1, 3, 5)),
        last_state=[[0.0, 0.0]],
    )
    return VARMarket(coefficients, *grid, (0.8, 1.2), **{"steps": 4, **options})


def test_contract():
    inputs, liability = market(cost=0.01, spot=2.0, features=NAMES).simulate(seed=0, paths=7)
    assert {name: tuple(tensor.shape) for name, tensor in inputs.items()} == {
        "features": (7, 4, 1 + 6 + 6 + 1),
        "unit_gain": (7, 4, 13),
        "cost": (7, 4, 13),
    }
    assert all(tensor.dtype == "float32" for tensor in (*inputs.values(), liability))
    np.testing.assert_array_equal(liability, np.zeros(7))
    paths = market(spot=2.0).paths(seed=0, paths=7)
    assert {name: tuple(tensor.shape) for name, tensor in paths.items()} == {
        "spot": (7, 5),
        "dlv": (7, 5, 2, 3),
        "calls": (7, 5, 2, 3),
        "states": (7, 6, 3),
    }
    spot = paths["spot"].numpy()
    np.testing.assert_array_equal(spot[:, 0], 2.0)
    np.testing.assert_allclose(inputs["cost"], 0.01 * np.repeat(spot[:, :4, None], 13, -1))
    np.testing.assert_array_equal(market(spot=2.0).spot_paths(0, 7)[..., 0], spot)


def test_names_and_cost_of_each_instrument():
    both = market(instruments=("puts", "spot"), cost=tuple(1e-3 * np.arange(7)))
    assert both.instrument_names == (
        *(f"put {steps} {strike}" for steps in (2, 5) for strike in ("0.97", "1", "1.02")),
        "spot",
    )
    inputs, _ = both.simulate(seed=0, paths=3)
    np.testing.assert_allclose(inputs["cost"][:, 0], [1e-3 * np.arange(7)] * 3, rtol=1e-6)
    whole = market().simulate(seed=0, paths=3)[0]["unit_gain"].numpy()
    np.testing.assert_array_equal(inputs["unit_gain"][..., :6], whole[..., 7:])
    np.testing.assert_array_equal(inputs["unit_gain"][..., 6:], whole[..., :1])


def test_features_are_what_is_known():
    inputs, _ = market(
        features=NAMES, dtype="float64", payoff=payoffs.European(strike=1.1)
    ).simulate(seed=0, paths=50)
    paths = {name: x.numpy() for name, x in market(dtype="float64").paths(0, 50).items()}
    features = inputs["features"].numpy()
    np.testing.assert_allclose(features[..., 0], np.log(paths["spot"][:, :4] / 1.1), atol=1e-13)
    deviation = np.sqrt(np.diag(COEFFICIENTS.stationary_covariance)[:3])
    scaled = (paths["states"] - COEFFICIENTS.stationary_mean) / deviation
    np.testing.assert_allclose(features[..., 1:4], scaled[:, 1:5], atol=1e-12)
    np.testing.assert_allclose(features[..., 4:7], scaled[:, 0:4], atol=1e-12)
    np.testing.assert_allclose(
        features[..., 7:13], np.log(paths["dlv"][:, :4]).reshape(50, 4, 6), atol=1e-12
    )
    np.testing.assert_allclose(features[..., 13], [np.array([4, 3, 2, 1]) / 250] * 50)
    # the states say what spot and surface are
    growth = np.cumsum(paths["states"][:, 2:, 0], axis=1)
    np.testing.assert_allclose(np.log(paths["spot"][:, 1:]), growth, atol=1e-13)
    log_dlv = COEFFICIENTS.log_dlv_mean + np.tensordot(
        paths["states"][:, 1:, 1:], COEFFICIENTS.loadings, 1
    )
    np.testing.assert_allclose(np.log(paths["dlv"]), log_dlv, atol=1e-12)


def test_law_from_a_given_past():
    past = np.array([[0.01, -0.2, 0.1], [-0.02, 0.3, 0.0]])
    count, a = 100_000, COEFFICIENTS.lag_matrices
    states = market(start=past, dtype="float64").paths(0, count)["states"].numpy()
    np.testing.assert_allclose(states[:, :2], np.broadcast_to(past, (count, 2, 3)))
    mean = list(past)
    # covariance of (Y_t, Y_{t-1}), step by step
    step, noise = COEFFICIENTS.companion, np.zeros((6, 6))
    noise[:3, :3] = COEFFICIENTS.innovation_factor @ COEFFICIENTS.innovation_factor.T
    covariance = np.zeros((6, 6))
    for t in range(2, 6):
        mean.append(COEFFICIENTS.intercept + a[0] @ mean[-1] + a[1] @ mean[-2])
        covariance = step @ covariance @ step.T + noise
        sample = np.concatenate([states[:, t], states[:, t - 1]], axis=1)
        deviation = np.sqrt(np.diag(covariance))
        error = sample[:, :3].mean(0) - mean[t]
        assert np.abs(error / deviation[:3]).max() < 4.5 / np.sqrt(count)
        error = np.cov(sample.T) - covariance
        scale = np.where(deviation > 0.0, deviation, 1.0)
        assert np.abs(error / np.outer(scale, scale)).max() < 4.5 * np.sqrt(2.0 / count)


@pytest.mark.parametrize("draws", DRAWS)
def test_stationary_law(draws):
    count = 2**16
    states = market(start="stationary", draws=draws).paths(5, count)["states"].numpy()
    covariance = COEFFICIENTS.stationary_covariance
    deviation = np.sqrt(np.diag(covariance))
    for t in (1, 5):
        sample = np.concatenate([states[:, t], states[:, t - 1]], axis=1).astype(np.float64)
        error = (np.cov(sample.T) - covariance) / np.outer(deviation, deviation)
        assert np.abs(error).max() < 5.0 * np.sqrt(2.0 / count)
        error = sample.mean(0) - np.tile(COEFFICIENTS.stationary_mean, 2)
        assert np.abs(error / deviation).max() < 5.0 / np.sqrt(count)


def test_starts():
    mean = market().paths(0, 2)["states"].numpy()
    np.testing.assert_allclose(mean[:, :2], [[COEFFICIENTS.stationary_mean] * 2] * 2, rtol=1e-6)
    last = market(start="last").paths(0, 2)["states"].numpy()
    np.testing.assert_allclose(last[:, :2], [COEFFICIENTS.last_state] * 2, rtol=1e-6)


def expected_gains(paths):
    """Unit gains one option at a time; the volatility at the horizon from the surface there."""
    spot, calls = paths["spot"], paths["calls"]
    count, steps = spot.shape[0], spot.shape[1] - 1
    volatility = implied_volatility(calls[:, steps], STRIKES, MATURITIES)
    volatility, strikes = extend_wings(volatility, STRIKES, MATURITIES)
    gains = np.zeros((count, steps, 13))
    for b in range(count):
        for t in range(steps):
            gains[b, t, 0] = spot[b, steps] - spot[b, t]
            for j, expiry in enumerate((2, 5)):
                for i, strike in enumerate(STRIKES):
                    money, column = strike * spot[b, t], 1 + 3 * j + i
                    price = calls[b, t, j, i] * spot[b, t]
                    put_price = price - spot[b, t] + money
                    if t + expiry <= steps:
                        end = spot[b, t + expiry]
                        call, put = max(end - money, 0.0), max(money - end, 0.0)
                    else:
                        end = spot[b, steps]
                        years = (expiry - (steps - t)) / 250
                        sigma = float(
                            volatility_at(
                                volatility[b], strikes, MATURITIES, [money / end], [years]
                            )[0]
                        )
                        width = sigma * np.sqrt(years)
                        d1 = np.log(end / money) / width + width / 2
                        call = end * norm.cdf(d1) - money * norm.cdf(d1 - width)
                        put = money * norm.cdf(width - d1) - end * norm.cdf(-d1)
                    gains[b, t, column] = call - price
                    gains[b, t, column + 6] = put - put_price
    return gains


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 3e-5)])
def test_unit_gains_one_by_one(dtype, tolerance):
    given = {"dtype": dtype, "spot": 100.0, "start": "stationary"}
    gains = market(**given).simulate(3, 8)[0]["unit_gain"]
    paths = {name: x.numpy() for name, x in market(**given).paths(3, 8).items()}
    paths = {name: x.astype(np.float64) for name, x in paths.items()}
    np.testing.assert_allclose(gains, expected_gains(paths), atol=tolerance * 100)


def test_put_earns_call_less_spot():
    gains = market(dtype="float64").simulate(3, 100)[0]["unit_gain"].numpy()
    spot = market(dtype="float64").paths(3, 100)["spot"].numpy()
    for j, expiry in enumerate((2, 5)):
        end = spot[:, np.minimum(np.arange(4) + expiry, 4)]
        difference = gains[..., 1 + 3 * j : 4 + 3 * j] - gains[..., 7 + 3 * j : 10 + 3 * j]
        np.testing.assert_allclose(
            difference, np.repeat((end - spot[:, :4])[..., None], 3, -1), atol=1e-13
        )


def test_standstill_is_time_decay():
    # an option of 2, 4 or 6 steps, held for 2 steps, has the price of the next maturity down
    quiet = still(dtype="float64", steps=2, instruments="calls")
    gains = quiet.simulate(0, 3)[0]["unit_gain"].numpy().reshape(3, 2, 3, 5)
    calls = quiet.paths(0, 1)["calls"].numpy()[0, 0]
    assert (np.diff(calls, axis=0) > 0).all()
    intrinsic = np.maximum(1.0 - np.array(quiet.strikes), 0.0)
    shorter = np.concatenate([intrinsic[None], calls[:-1]])
    np.testing.assert_allclose(gains[:, 0], [shorter - calls] * 3, atol=1e-12)


def test_no_drift_in_a_black_scholes_market():
    fair = still(volatility=0.2)
    inputs, _ = fair.simulate(1, 50_000)
    gains = inputs["unit_gain"].numpy().astype(np.float64)
    z = gains.mean(0) / (gains.std(0) / np.sqrt(len(gains)))
    assert np.abs(z).max() < 4.0
    assert np.sqrt(np.mean(z**2)) < 1.6


@pytest.mark.parametrize("draws", DRAWS)
def test_path_is_the_same_in_any_batch(draws):
    same = market(start="stationary", draws=draws, features=NAMES)
    whole, _ = same.simulate(9, 64)
    for first, count in ((0, 1), (5, 3), (40, 24)):
        part, _ = same.simulate(9, count, first_path=first)
        for name, values in part.items():
            np.testing.assert_array_equal(values, whole[name][first : first + count], name)
    other, _ = same.simulate(10, 64)
    assert not np.allclose(other["unit_gain"], whole["unit_gain"])


def test_in_a_graph_and_on_two_replicas(two_replicas):
    whole, _ = market().simulate(4, 40)

    @tf.function
    def step(first):
        def replica():
            context = tf.distribute.get_replica_context()
            index = tf.cast(context.replica_id_in_sync_group, tf.int64)
            return market().simulate(4, 20, first + 20 * index)[0]["unit_gain"]

        return two_replicas.experimental_local_results(two_replicas.run(replica))

    halves = step(tf.constant(0, tf.int64))
    np.testing.assert_allclose(np.concatenate(halves), whole["unit_gain"], atol=1e-7)


def test_config():
    given = market(
        start=[[0.01, -0.2, 0.1], [-0.02, 0.3, 0.0]],
        cost=(1e-3,) * 13,
        payoff=payoffs.European(strike=1.02, call=False),
        ghost_strikes=(0.9, 1.1),
        draws="antithetic",
        features=NAMES,
    )
    again = VARMarket.from_config(json.loads(json.dumps(given.get_config())))
    assert again == given
    assert again != market()
    left, right = given.simulate(0, 4), again.simulate(0, 4)
    for a, b in zip(tf.nest.flatten(left), tf.nest.flatten(right), strict=True):
        np.testing.assert_array_equal(a, b)
    spot = given.spot_paths(0, 4).numpy()[:, -1, 0]
    np.testing.assert_allclose(left[1], np.maximum(1.02 - spot, 0.0))


def test_every_option_expires_within_the_path():
    spot = tf.constant([[1.0, 1.1, 0.9, 1.2]], tf.float64)
    gains = floating_gains(spot, [[0.05]], [1.0], (1,), None, ("calls",))
    np.testing.assert_allclose(gains[0, :, 0], [0.1 - 0.05, -0.055, 0.3 - 0.045], atol=1e-15)


def test_flat_mark_is_black_scholes():
    strikes = np.array([[0.9, 1.0], [1.0, 1.1]])
    prices = flat_mark(0.3, 1 / 250)(tf.constant(strikes), np.array([10, 20]))
    expected = [
        [
            float(black_scholes_call([k], n / 250, 0.3)[0])
            for k, n in zip(row, (10, 20), strict=True)
        ]
        for row in strikes
    ]
    np.testing.assert_allclose(prices, expected, rtol=1e-12)


def test_wings():
    strikes, maturities = np.array([0.85, 0.9, 1.0, 1.05, 1.1]), np.array([0.1, 0.5])
    variance = np.array([[0.09, 0.08, 0.05, 0.04, 0.032], [0.05, 0.048, 0.04, 0.043, 0.047]])
    surface, wider = extend_wings(np.sqrt(variance)[None], strikes, maturities)
    found = surface.numpy()[0] ** 2
    np.testing.assert_allclose(wider[3:-3], strikes)
    np.testing.assert_allclose(found[:, 3:-3], variance)
    x, inner = np.log(wider), np.log(strikes)
    for row, values in zip(found, variance, strict=True):
        # the lower wings rise: straight lines
        slope = (values[1] - values[0]) / (inner[1] - inner[0])
        np.testing.assert_allclose(row[:3], values[0] + slope * (x[:3] - inner[0]))
    # the upper wing of the first maturity falls: ever more slowly, and it stays positive
    slopes = np.diff(found[0, -5:]) / np.diff(x[-5:])
    assert (np.diff(slopes) > 0).all()
    assert (slopes < 0).all()
    assert found[0, -1] > 0.5 * variance[0, -1]
    slope = (values[-1] - values[-2]) / (inner[-1] - inner[-2])
    np.testing.assert_allclose(found[1, -3:], values[-1] + slope * (x[-3:] - inner[-1]))
    # a cliff keeps half of its variance, and Lee's bound holds
    cliff, wider = extend_wings(np.array([[[2.0, 0.5, 0.1]]]), [0.97, 1.0, 1.03], [4.0])
    found = cliff.numpy()[0, 0] ** 2
    assert found[-1] >= 0.5 * 0.01
    assert (np.diff(found) <= 0).all()
    lowest = (found[0] - found[1]) / np.log(wider[1] / wider[0])
    assert lowest * 4.0 == pytest.approx(2.0)
    one, wider = extend_wings(np.array([[[0.2]]]), [1.0], [0.5])
    np.testing.assert_allclose(one, np.full((1, 1, 7), 0.2))
    assert len(wider) == 7


def test_whole_steps():
    assert whole_steps((1 / 250, 120 / 250), 1 / 250) == (1, 120)
    with pytest.raises(ValueError, match=r"0\.03 years, that is 7\.5 steps"):
        whole_steps((0.02, 0.03), 1 / 250)
    with pytest.raises(ValueError, match="must increase"):
        whole_steps((0.04, 0.02), 1 / 250)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maturities": (0.011, 0.02)}, "`maturities` must be whole numbers of time steps"),
        ({"strikes": (0.9, 1.0)}, r"`strikes` must have shape \(n,\).*Received: shape \(2,\)"),
        ({"strikes": (1.0, 0.9, 1.1)}, "strikes"),
        ({"ghost_strikes": (0.98, 1.2)}, "ghost_strikes"),
        ({"coefficients": {}}, "`coefficients` must be a VARCoefficients"),
        ({"cost": -1e-3}, "`cost` must not be negative"),
        ({"cost": (1e-3, 1e-3)}, "one for each of 13 instruments"),
        ({"instruments": ("spot", "call")}, "Did you mean 'calls'"),
        ({"instruments": ("spot", "spot")}, "none of them twice"),
        ({"start": "median"}, "Did you mean 'mean'"),
        ({"start": np.zeros((1, 3))}, r"`start` must have shape \(p, K\) = \(2, 3\)"),
        ({"features": ("factors",)}, "`features`"),
        ({"steps": 0}, "`steps`"),
        ({"steps": 400, "draws": "sobol"}, "Sobol"),
        ({"dtype": "float16"}, "`dtype`"),
    ],
)
def test_bad_arguments(change, message):
    given = {"coefficients": COEFFICIENTS, "strikes": STRIKES, "maturities": MATURITIES, **change}
    with pytest.raises(ValueError, match=message):
        VARMarket(**given)


def test_unstable_coefficients():
    growing = {**COEFFICIENTS.get_config(), "lag_matrices": 0.6 * np.stack([np.eye(3)] * 2)}
    with pytest.raises(ValueError, match="not stable"):
        VARMarket(VARCoefficients(**growing), STRIKES, MATURITIES)
