"""What is found in dynamics whose structure is known: GBM, CEV, Heston, its projection, GARCH."""

import types

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import SDERollout, cev_local_volatility, heston_local_volatility
from hedgezoo.neural_sde import structure
from hedgezoo.neural_sde.structure.mean_reversion import exponential_fit

HESTON = (1.5, 0.04, 0.5, -0.7, 0.04)
DECAYING = (3.0, 0.04, 0.5, -0.7, 0.09)
TIMES = np.array([0.25, 0.5, 1.0])


class KnownVolatility:
    """A one-factor model with a given σ(x, t), simulated along Sobol paths."""

    def __init__(self, sigma):
        self.sigma = sigma
        self.graphs = {}

    def diffusion(self, spot, time):
        spot, time = np.broadcast_arrays(spot, time)
        return self.sigma(np.log(spot), time)

    def simulate(self, seed, paths, times, first_path=0):
        times = np.asarray(times)
        key = (paths, *times)
        if key not in self.graphs:
            rollout = SDERollout(
                lambda x, t: tf.cast(self.sigma(x, t), x.dtype),
                times[times > 0],
                scheme="log_euler",
                steps_per_year=48,
                draws="sobol" if len(times) < 30 else "plain",
            )
            self.graphs[key] = tf.function(
                lambda seed, first: rollout.simulate(seed, paths, first)[..., 0], autograph=False
            )
        x = self.graphs[key](*(tf.constant(n, tf.int64) for n in (seed, first_path))).numpy()
        if times[0] == 0:
            x = np.concatenate([np.zeros((len(x), 1)), x], axis=1)
        return {"spot": np.exp(x), "volatility": self.sigma(x, np.broadcast_to(times, x.shape))}


class KnownHeston:
    """Heston's model by a full truncation scheme."""

    def __init__(self, parameters):
        self.parameters = parameters

    def simulate(self, seed, paths, times, first_path=0):
        kappa, theta, xi, rho, v0 = self.parameters
        rng = np.random.default_rng([abs(seed), first_path])
        x, v, last = np.zeros(paths), np.full(paths, v0), 0.0
        spots, vols = [], []
        for time in times:
            steps = max(1, round((time - last) * 150)) if time > last else 0
            h = (time - last) / max(steps, 1)
            for _ in range(steps):
                z, w = rng.standard_normal((2, paths))
                now = np.maximum(v, 0.0)
                x = x - 0.5 * now * h + np.sqrt(now * h) * z
                other = rho * z + np.sqrt(1 - rho**2) * w
                v = v + kappa * (theta - now) * h + xi * np.sqrt(now * h) * other
            last = time
            spots.append(np.exp(x))
            vols.append(np.sqrt(np.maximum(v, 0.0)))
        return {"spot": np.stack(spots, axis=1), "volatility": np.stack(vols, axis=1)}


def flat(x, t):
    return 0.2 + 0.0 * x


def cev(x, t):
    return 0.2 * tf.exp(-0.5 * x) if tf.is_tensor(x) else cev_local_volatility(0.2, 0.5, x)


def heston_slope(parameters, times):
    step = 1e-4
    up, down = (heston_local_volatility(parameters, s * step, times) for s in (1, -1))
    return (up - down) / (2 * step)


# ---------------------------------------------------------------------------------------- leverage


def test_leverage_of_cev_and_of_a_flat_volatility():
    found = structure.leverage(KnownVolatility(cev), TIMES)
    np.testing.assert_allclose(found.slope, -0.1, rtol=1e-4)
    np.testing.assert_allclose(found.volatility, 0.2, rtol=1e-4)
    np.testing.assert_allclose(found.elasticity, 0.5, rtol=1e-4)
    assert found.mean_elasticity == pytest.approx(0.5, rel=1e-4)
    assert (found.slope_error == 0).all()
    placebo = structure.leverage(KnownVolatility(flat), TIMES)
    np.testing.assert_allclose(placebo.slope, 0.0, atol=1e-6)
    assert placebo.mean_elasticity == pytest.approx(1.0)


def test_leverage_of_heston_is_the_derivative():
    model = types.SimpleNamespace(
        diffusion=lambda spot, time: heston_local_volatility(HESTON, np.log(spot * 1.0), time)
    )
    found = structure.leverage(model, TIMES)
    np.testing.assert_allclose(found.slope, heston_slope(HESTON, TIMES), rtol=0.01)


def test_leverage_does_not_see_the_kinks_of_a_network():
    # slope -0.1 at large, but -0.3 or +0.1 on pieces of a tenth of a deviation
    def kinked(x, t):
        cell = 0.02 * np.sqrt(t)
        return 0.2 - 0.1 * x + 0.2 * cell * np.abs((x / cell) % 2.0 - 1.0)

    found = structure.leverage(KnownVolatility(kinked), TIMES)
    np.testing.assert_allclose(found.slope, -0.1, atol=0.01)


def test_conditional_leverage_of_heston_is_that_of_its_projection():
    found = structure.conditional_leverage(KnownHeston(HESTON), [0.5], paths=40_000)
    exact = heston_slope(HESTON, np.array([0.5]))
    assert 0 < found.slope_error[0] < 0.05
    # a cubic of σ² within one deviation is not quite the derivative
    assert abs(found.slope - exact)[0] < 3 * found.slope_error[0] + 0.03


def test_conditional_leverage_of_a_local_volatility_is_its_own():
    found = structure.conditional_leverage(KnownVolatility(cev), TIMES, paths=16_000)
    np.testing.assert_allclose(found.slope, -0.1, atol=1e-3)


# ---------------------------------------------------------------------------------- mean reversion


def test_mean_reversion_of_heston():
    kappa, theta, _, _, v0 = DECAYING
    times = np.linspace(0.05, 1.0, 8)
    found = structure.mean_reversion(KnownHeston(DECAYING), times, paths=16_000)
    exact = theta + (v0 - theta) * np.exp(-kappa * times)
    # the truncation of a negative variance adds a little
    assert (np.abs(found.variance - exact) < 4 * found.variance_error + 0.01 * exact).all()
    assert abs(found.kappa - kappa) < 3 * found.kappa_error + 0.1
    assert abs(found.theta - theta) < 3 * found.theta_error + 0.001
    assert abs(found.v0 - v0) < 3 * found.v0_error + 0.001
    assert found.residual < 0.02
    assert found.moved == pytest.approx(0.5, abs=0.1)
    np.testing.assert_allclose(found.fitted(times), exact, rtol=0.03)


def test_errors_of_the_fit_are_those_of_repetitions():
    times = np.linspace(0.05, 1.0, 6)
    runs = [
        structure.mean_reversion(KnownHeston(DECAYING), times, paths=800, seed=seed)
        for seed in range(24)
    ]
    spread = np.std([run.kappa for run in runs], ddof=1)
    told = np.sqrt(np.mean([run.kappa_error**2 for run in runs]))
    assert 0.6 < told / spread < 1.7


@pytest.mark.parametrize("known", [KnownHeston(HESTON), KnownVolatility(flat)])
def test_without_reversion_there_is_no_speed(known):
    times = np.linspace(0.05, 1.0, 8)
    found = structure.mean_reversion(known, times, paths=3_200)
    assert found.moved < 0.1
    assert np.isnan(found.kappa) or found.kappa_error > 0.5 * found.kappa
    np.testing.assert_allclose(found.variance, 0.04, rtol=0.1)


@pytest.mark.parametrize(("kappa", "theta", "v0"), [(0.5, 0.04, 0.01), (8.0, 0.1, 0.3)])
def test_exponential_fit(kappa, theta, v0):
    times = np.linspace(0.02, 2.0, 15)
    curve = theta + (v0 - theta) * np.exp(-kappa * times)
    np.testing.assert_allclose(exponential_fit(times, curve), (kappa, theta, v0), rtol=1e-4)


# ---------------------------------------------------------------------------------------- memory


def garch(paths=24, days=2520, seed=0):
    rng = np.random.default_rng(seed)
    variance, returns = np.full(paths, 1e-4), []
    for _ in range(days):
        returns.append(np.sqrt(variance) * rng.standard_normal(paths))
        variance = 2e-6 + 0.1 * returns[-1] ** 2 + 0.88 * variance
    return np.stack(returns, axis=1)


def test_clustering_sees_garch_and_no_more_than_noise_in_gbm():
    found = structure.clustering(garch())
    assert (found.value[:3] > 5 * found.standard_error[:3]).all()
    assert (np.diff(found.value) < 0).all()
    noise = structure.daily_returns(KnownVolatility(flat), years=2.0, paths=32)
    assert noise.shape == (32, 504)
    assert noise.std() == pytest.approx(0.2 / np.sqrt(252), rel=0.02)
    none = structure.clustering(noise)
    # biased by about -1/D in each path
    assert (np.abs(none.value) < 4 * none.standard_error + 3e-3).all()


def test_lagged_leverage_of_heston_and_of_garch():
    returns = structure.daily_returns(KnownHeston(HESTON), years=8.0, paths=48)
    found = structure.lagged_leverage(returns, lags=[1, 5, 20])
    assert (found.value < -4 * found.standard_error).all()
    assert (structure.clustering(returns, lags=[1, 5]).value > 0.15).all()
    symmetric = structure.lagged_leverage(garch(), lags=[1, 5])
    assert (np.abs(symmetric.value) < 4 * symmetric.standard_error).all()


def test_correlations_are_those_of_statsmodels():
    from statsmodels.tsa.stattools import acf

    history = garch(paths=1)[0]
    found = structure.clustering(history, lags=[1, 3, 30])
    expected = acf(np.abs(history), nlags=30)[[1, 3, 30]]
    np.testing.assert_allclose(found.value, expected, rtol=1e-10)
    assert np.isnan(found.standard_error).all()


def test_daily_returns_do_not_depend_on_blocks(monkeypatch):
    from hedgezoo.neural_sde.structure import persistence

    model = KnownVolatility(cev)
    whole = structure.daily_returns(model, years=0.2, paths=6)
    monkeypatch.setattr(persistence, "_BLOCK", 4)
    np.testing.assert_allclose(structure.daily_returns(model, years=0.2, paths=6), whole, atol=1e-7)


# ---------------------------------------------------------------------------- spot and volatility


def test_what_the_spot_explains():
    local, error = structure.explained_by_spot(KnownVolatility(cev), 0.5, paths=2**14)
    assert local == pytest.approx(1.0, abs=1e-3)
    assert error < 1e-3
    heston, error = structure.explained_by_spot(KnownHeston(HESTON), 0.5, paths=2**14)
    assert 0.3 < heston < 0.7
    assert 0 < error < 0.05
    assert np.isnan(structure.explained_by_spot(KnownVolatility(flat), 0.5, paths=2**14)[0])


def test_explained_by_spot_is_zero_for_independent_volatility():
    class Independent(KnownHeston):
        def simulate(self, seed, paths, times, first_path=0):
            run = super().simulate(seed, paths, times, first_path)
            rng = np.random.default_rng(abs(seed) + 1)
            return {**run, "volatility": rng.uniform(0.1, 0.3, run["spot"].shape)}

    found, error = structure.explained_by_spot(Independent(HESTON), 0.25, paths=2**14)
    assert abs(found) < 4 * error + 1e-3


def test_conditional_volatility_of_heston_is_its_projection():
    found = structure.conditional_volatility(KnownHeston(HESTON), 0.5, groups=12, paths=40_000)
    exact = heston_local_volatility(HESTON, found.log_spot, 0.5)
    middle = slice(1, -1)  # the outer groups are wide
    miss = np.abs(found.volatility - exact)[middle]
    assert (miss < 4 * found.standard_error[middle] + 0.02 * exact[middle]).all()
    assert (found.deviation > 0.02).all()
    assert found.log_spot.shape == (12,)


def test_volatility_map():
    found = structure.volatility_map(KnownVolatility(cev), TIMES, share=0.05, paths=2**13)
    np.testing.assert_allclose(
        found.volatility, np.tile(cev(found.log_spot, 0.0), (3, 1)), rtol=1e-6
    )
    # 95 % of nearly normal paths
    np.testing.assert_allclose(
        (found.high - found.low) / (0.2 * np.sqrt(TIMES)), 2 * 1.96, rtol=0.03
    )
    assert (found.low_error > 0).all()
    assert (found.low_error < 0.01).all()
    assert (np.isnan(found.masked) == ~found.visited).all()
    assert found.visited[2].sum() > found.visited[0].sum()
    given = structure.volatility_map(KnownVolatility(cev), [0.5], [-0.1, 0.0, 0.1], paths=160)
    assert given.volatility.shape == (1, 3)


# -------------------------------------------------------------------------------------- comparison


def test_comparison():
    def exact(x, t):
        return heston_local_volatility(HESTON, x, t)

    model = types.SimpleNamespace(
        diffusion=lambda spot, time: (
            exact(np.log(spot * 1.0), time) * np.where(np.abs(np.log(spot)) < 0.01, 1.02, 1.0)
        )
    )
    found = structure.compare_volatility(model, exact, TIMES)
    assert found.relative_error.shape == found.exact.shape == (3, 161)
    assert np.abs(found.relative_error).max() == pytest.approx(0.02, rel=1e-4)
    assert found.rms(1.0) > found.rms(2.0) > 0
    assert found.rms(2.0) ** 2 == pytest.approx(np.mean(found.relative_error**2))
    # deviations: √∫σ(0, s)² ds
    unit = found.log_spot[:, -1] / 2.0
    fine = (np.arange(40) + 0.5) / 40
    expected = [np.sqrt(t * np.mean(exact(0.0 * fine, t * fine) ** 2)) for t in TIMES]
    np.testing.assert_allclose(unit, expected, rtol=1e-4)
    with pytest.raises(ValueError, match="`deviations`"):
        found.rms(3.0)


def test_martingale():
    found = structure.martingale(KnownVolatility(cev), TIMES, paths=2**13)
    assert found.worst < 4
    assert (found.standard_error > 0).all()
    drifting = KnownVolatility(cev)
    honest = drifting.simulate
    drifting.simulate = lambda *a: {k: 1.01 * v for k, v in honest(*a).items()}
    assert structure.martingale(drifting, TIMES, paths=2**13).worst > 20


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: structure.leverage(m, [0.0, 1.0]), "`times`"),
        (lambda m: structure.leverage(m, [1.0, 0.5]), "`times`"),
        (lambda m: structure.leverage(m, [1.0], width=0.0), "`width`"),
        (lambda m: structure.conditional_leverage(m, [1.0], paths=100), "`paths`"),
        (lambda m: structure.mean_reversion(m, [0.1, 0.2]), "`times`"),
        (lambda m: structure.mean_reversion(m, [0.1, 0.2, 0.3, 0.4], paths=4), "`paths`"),
        (lambda m: structure.daily_returns(m, years=-1.0), "`years`"),
        (lambda m: structure.clustering([[0.1, np.nan]]), "`returns`"),
        (lambda m: structure.clustering(np.ones(100)), "`returns`"),
        (lambda m: structure.clustering(garch(1, 50), lags=[45]), "`lags`"),
        (lambda m: structure.clustering(garch(1, 50), lags=[0.5]), "`lags`"),
        (lambda m: structure.explained_by_spot(m, 0.5, paths=100), "`paths`"),
        (lambda m: structure.explained_by_spot(m, 0.0), "`time`"),
        (lambda m: structure.conditional_volatility(m, 0.5, groups=0), "`groups`"),
        (lambda m: structure.conditional_volatility(m, 0.5, paths=16), "`paths`"),
        (lambda m: structure.volatility_map(m, [0.5], share=1.0), "`share`"),
        (lambda m: structure.volatility_map(m, [0.5], [0.1, 0.0], paths=16), "`log_spot`"),
        (lambda m: structure.compare_volatility(m, cev, [0.5], deviations=-1), "`deviations`"),
        (lambda m: structure.martingale(m, [0.0, 0.5]), "`times`"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(KnownVolatility(cev))
