"""Simulated Heston prices: exact laws of one step, convergence, and the bias of weekly steps."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import ndtri

from hedgezoo.datasets import heston_panels
from hedgezoo.datasets.heston_panels import label_bias, path_calls, path_prices
from hedgezoo.datasets.heston_panels.variance_schemes import euler_step, qe_m_step
from hedgezoo.layers import black_scholes_call, heston_call

# a calm market, one that violates Feller's condition, one with positive correlation
SETS = np.array(
    [
        [2.0, 0.04, 0.5, -0.7, 0.04],
        [0.6, 0.05, 1.4, -0.9, 0.02],
        [3.0, 0.09, 0.8, 0.5, 0.16],
    ]
)
STRIKES = np.linspace(0.8, 1.2, 5)
MATURITIES = np.array([0.1, 0.5, 1.0])
DT = 1 / 52


def _one_step(step, parameters, variance, dt=DT):
    """Next log price without the second normal, its deviation, next variance: over quantiles."""
    own = tf.constant(ndtri((np.arange(400_000) + 0.5) / 400_000))
    columns = [tf.constant([[x]], tf.float64) for x in parameters]
    start = tf.zeros((1, len(own)), tf.float64), variance + tf.zeros((1, len(own)), tf.float64)
    log_price, moved = step(*start, columns, dt, (own, tf.zeros_like(own)))
    shifted, _ = step(*start, columns, dt, (own, tf.ones_like(own)))
    return log_price.numpy()[0], (shifted - log_price).numpy()[0], moved.numpy()[0]


@pytest.mark.parametrize("step", [euler_step, qe_m_step])
@pytest.mark.parametrize("parameters", SETS, ids=["calm", "beyond_feller", "positive_rho"])
@pytest.mark.parametrize("variance", [0.2, 0.03, 1e-3, 1e-5])
def test_a_step_keeps_the_forward(step, parameters, variance):
    log_price, deviation, _ = _one_step(step, parameters, variance)
    assert np.exp(log_price + 0.5 * deviation**2).mean() == pytest.approx(1.0, abs=2e-6)


@pytest.mark.parametrize("variance", [0.2, 0.03, 1e-3, 1e-5])
@pytest.mark.parametrize("parameters", SETS, ids=["calm", "beyond_feller", "positive_rho"])
def test_qe_has_the_exact_mean_and_deviation(parameters, variance):
    kappa, theta, xi, _, _ = parameters
    _, _, moved = _one_step(qe_m_step, parameters, variance)
    decay = np.exp(-kappa * DT)
    mean = theta + (variance - theta) * decay
    square = xi**2 / kappa * (1 - decay) * (variance * decay + 0.5 * theta * (1 - decay))
    assert (moved >= 0).all()
    assert moved.mean() == pytest.approx(mean, rel=1e-4)
    assert moved.std() == pytest.approx(np.sqrt(square), rel=5e-3)


def test_both_branches_of_qe_are_met():
    zero_shares = [
        (_one_step(qe_m_step, SETS[1], variance)[2] == 0).mean() for variance in (0.2, 1e-3)
    ]
    assert zero_shares[0] == 0.0
    mean = 0.05 + (1e-3 - 0.05) * np.exp(-0.6 * DT)
    decay = np.exp(-0.6 * DT)
    square = 1.4**2 / 0.6 * (1 - decay) * (1e-3 * decay + 0.025 * (1 - decay))
    psi = square / mean**2
    assert psi > 1.5
    assert zero_shares[1] == pytest.approx((psi - 1) / (psi + 1), abs=1e-5)


def test_qe_without_a_moment_keeps_finite_prices():
    # ρ = 1, ξ = 4 and a large step: E[S] by the correction does not exist
    log_price, deviation, moved = _one_step(qe_m_step, [0.5, 0.5, 4.0, 0.99, 0.5], 0.5, dt=1.0)
    assert all(np.isfinite(x).all() for x in (log_price, deviation, moved))


@pytest.fixture(scope="module")
def errors():
    """Largest price errors by scheme and steps per year, with the bridge; and the exact prices."""
    exact = heston_call(SETS, STRIKES, MATURITIES).numpy()
    found = {}
    for scheme, steps in (("euler", 24), ("euler", 240), ("qe_m", 24), ("qe_m", 240)):
        arguments = {"scheme": scheme, "paths": 2**14, "steps_per_year": steps, "bridge": True}
        simulated = path_calls(SETS, STRIKES, MATURITIES, **arguments)
        found[scheme, steps] = np.abs(simulated - exact).max(axis=(1, 2))
    return found


def test_simulated_prices_converge_to_the_integral(errors):
    # fine steps leave the error of 2^14 paths; coarse ones their bias, larger with Euler
    assert (errors["qe_m", 240] < 5e-4).all()
    assert (errors["euler", 240] < 2e-3).all()
    assert (errors["euler", 24] > 2 * errors["euler", 240]).all()
    assert (errors["qe_m", 24] < 0.5 * errors["euler", 24]).all()


@pytest.mark.parametrize("scheme", ["euler", "qe_m"])
def test_constant_variance_is_black_scholes(scheme):
    # with ξ near zero every time step is exact
    calls = path_calls(
        [1.0, 0.04, 1e-4, -0.5, 0.04],
        STRIKES,
        MATURITIES,
        scheme=scheme,
        paths=2**14,
        steps_per_year=12,
        bridge=True,
    )
    assert calls.shape == (3, 5)
    np.testing.assert_allclose(calls, black_scholes_call(STRIKES, MATURITIES, 0.2), atol=2e-4)


def test_blocks_panels_and_grids_do_not_matter(monkeypatch):
    settings = {"scheme": "qe_m", "paths": 3000, "steps_per_year": 12, "seed": 4}
    whole = path_calls(SETS, STRIKES, MATURITIES, **settings)
    monkeypatch.setattr(path_prices, "_BLOCK", 2**13)
    np.testing.assert_allclose(path_calls(SETS, STRIKES, MATURITIES, **settings), whole, rtol=1e-12)
    # a panel on its own, and with a grid of its own
    alone = path_calls(SETS[1], STRIKES, MATURITIES, **settings)
    np.testing.assert_allclose(alone, whole[1], rtol=1e-12)
    strikes = np.broadcast_to(STRIKES, (3, 3, 5)) * np.array([1.0, 1.01, 1.02])[:, None, None]
    years = MATURITIES * np.array([1.0, 0.95, 0.9])[:, None]
    own = path_calls(SETS, strikes, years, **settings)
    np.testing.assert_allclose(own[0], whole[0], rtol=1e-12)
    exact = heston_call(SETS, strikes, years).numpy()
    np.testing.assert_allclose(own, exact, atol=6e-3)
    assert (path_calls(SETS, STRIKES, MATURITIES, **{**settings, "seed": 5}) != whole).any()


def test_labels_from_weekly_paths_are_biased():
    settings = {"panels": 4, "paths": 2**14, "bridge": True}
    euler, qe_m = (label_bias(scheme, **settings) for scheme in ("euler", "qe_m"))
    # the same panels, so the comparison is one of schemes
    np.testing.assert_array_equal(euler.parameters, qe_m.parameters)
    assert euler.error_bp.shape == (4, 8, 10)
    assert 5.0 < euler.median_bp < 60.0
    assert 0.5 < qe_m.median_bp < euler.median_bp
    # weeks are longest next to the shortest maturity
    assert euler.rmse_by_maturity_bp[0] > 1.5 * qe_m.rmse_by_maturity_bp[0]
    assert euler.rmse_by_maturity_bp[0] == euler.rmse_by_maturity_bp.max()
    exact = heston_call(euler.parameters, euler.strikes, euler.maturities).numpy()
    grid = euler.strikes, euler.maturities
    calls = path_calls(euler.parameters, *grid, "euler", 2**14, bridge=True)
    vega = np.sqrt(euler.maturities)[..., None] * 0.4
    # the error in volatility times vega is that of the price, near the money
    money = np.abs(euler.strikes - 1.0) < 0.03
    ratio = (calls - exact)[money] / (1e-4 * euler.error_bp * vega)[money]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parameters": SETS[:, :4]}, r"`parameters` must have shape \(5,\) = .*or \(b, 5\)"),
        ({"parameters": [2.0, 0.04, 0.0, -0.7, 0.04]}, "`parameters` κ, θ, ξ, v₀ must be positive"),
        ({"parameters": [2.0, 0.04, 0.5, -1.7, 0.04]}, "ρ between -1 and 1"),
        ({"strikes": [-1.0]}, "`strikes` must be positive"),
        ({"maturities": [1.0, 0.5]}, "`maturities` must increase"),
        ({"maturities": [0.0, 0.5]}, "`maturities` must be positive"),
        ({"maturities": [1.0, 20.0]}, "at most 555 time steps.*Received: 1040 steps"),
        ({"strikes": np.ones((5, 2))}, "`strikes` must have shape"),
        ({"scheme": "milstein"}, "`scheme` must be one of"),
        ({"paths": 0}, "`paths` must be an integer"),
        ({"steps_per_year": 0.5}, "`steps_per_year` must be an integer"),
        ({"seed": None}, "`seed` must be an integer"),
    ],
)
def test_bad_arguments_of_path_calls(arguments, message):
    with pytest.raises(ValueError, match=message):
        path_calls(
            **{"parameters": SETS[0], "strikes": STRIKES, "maturities": MATURITIES, **arguments}
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheme": "exact"}, "`scheme` must be one of"),
        ({"panels": 0}, "`panels` must be an integer"),
        ({"box": heston_panels.BATES_BOX}, "`box` must be one of the Heston model"),
    ],
)
def test_bad_arguments_of_label_bias(arguments, message):
    with pytest.raises(ValueError, match=message):
        label_bias(**arguments)
