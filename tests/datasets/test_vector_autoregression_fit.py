"""Vector autoregression: least squares finds what made the data, and says when it cannot."""

import json

import numpy as np
import pytest

from hedgezoo.datasets.vector_autoregression import (
    VARCoefficients,
    check_stable,
    companion,
    covariance_factor,
    stability,
)
from hedgezoo.datasets.vector_autoregression_fit import CRITERIA, fit_series, fit_surfaces

INTERCEPT = np.array([3e-4, 0.02, -0.05])
LAG_MATRICES = np.array(
    [
        [[0.05, -0.002, 0.001], [-4.0, 0.7, 0.1], [1.0, 0.0, 0.5]],
        [[-0.04, 0.002, 0.0], [2.0, 0.2, -0.1], [0.0, 0.1, 0.3]],
    ]
)
FACTOR = np.array([[0.01, 0.0, 0.0], [-0.05, 0.03, 0.0], [0.02, 0.01, 0.04]])


def series(dates, seed=0, intercept=INTERCEPT, lag_matrices=LAG_MATRICES, factor=FACTOR):
    """A path of the autoregression, one date after the other."""
    shocks = np.random.default_rng(seed).normal(size=(dates + 200, len(intercept))) @ factor.T
    path = np.zeros((dates + 200, len(intercept)))
    for t in range(2, len(path)):
        path[t] = intercept + shocks[t]
        for lag, matrix in enumerate(lag_matrices, start=1):
            path[t] += matrix @ path[t - lag]
    return path[200:]


def surfaces(dates, seed=0):
    """Spot and volatilities (dates, 1, 2) whose logarithms are series 1 and 2."""
    path = series(dates, seed)
    return np.exp(np.cumsum(path[:, 0])), np.exp(path[:, None, 1:] - 1.7)


def test_finds_what_made_the_data():
    intercept, lag_matrices, covariance, rest = fit_series(series(20_000), 4, "bic")
    assert lag_matrices.shape == LAG_MATRICES.shape
    truth = np.concatenate([INTERCEPT[None], *np.swapaxes(LAG_MATRICES, 1, 2)])
    found = np.concatenate([intercept[None], *np.swapaxes(lag_matrices, 1, 2)])
    z = (found - truth) / rest["standard_errors"]
    assert np.abs(z).max() < 4.0
    assert 0.4 < np.mean(z**2) < 2.0  # the errors are as large as they are said to be
    np.testing.assert_allclose(covariance, FACTOR @ FACTOR.T, rtol=0.05, atol=1e-6)


def test_is_least_squares():
    path = series(300)
    intercept, lag_matrices, covariance, rest = fit_series(path, 2, "aic")
    p = len(lag_matrices)
    past = np.concatenate([path[p - lag : len(path) - lag] for lag in range(1, p + 1)], axis=1)
    design = np.concatenate([np.ones((len(past), 1)), past], axis=1)
    weights, *_ = np.linalg.lstsq(design, path[p:], rcond=None)
    np.testing.assert_allclose(intercept, weights[0], rtol=1e-7, atol=1e-11)
    flat = np.concatenate(list(np.swapaxes(lag_matrices, 1, 2)))
    np.testing.assert_allclose(flat, weights[1:], rtol=1e-6, atol=1e-9)
    residuals = path[p:] - design @ weights
    np.testing.assert_allclose(rest["residuals"], residuals, atol=1e-12)
    expected = residuals.T @ residuals / (len(residuals) - design.shape[1])
    np.testing.assert_allclose(covariance, expected, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_criterion_chooses_the_lags(criterion):
    _, lag_matrices, _, rest = fit_series(series(3000), 5, criterion)
    criteria = rest["criteria"]
    assert sorted(criteria) == [0, 1, 2, 3, 4, 5]
    assert len(lag_matrices) == min(criteria, key=criteria.get)
    assert len(lag_matrices) >= 2
    if criterion == "bic":
        assert len(lag_matrices) == 2


def test_all_components_are_the_autoregression_of_the_logarithms():
    spot, dlv = surfaces(400)
    coefficients = fit_surfaces(spot, dlv, 2, "aic", components=None).coefficients
    path = np.concatenate([np.diff(np.log(spot))[:, None], np.log(dlv[1:, 0])], axis=1)
    intercept, lag_matrices, covariance, _ = fit_series(path, 2, "aic")
    # from factors to log volatilities
    rotation = np.eye(3)
    rotation[1:, 1:] = coefficients.loadings[:, 0].T
    shift = np.concatenate([[0.0], coefficients.log_dlv_mean[0]])
    back = rotation @ coefficients.lag_matrices @ np.linalg.inv(rotation)
    np.testing.assert_allclose(back, lag_matrices, atol=1e-7)
    moved = rotation @ coefficients.intercept + shift - back.sum(axis=0) @ shift
    np.testing.assert_allclose(moved, intercept, atol=1e-8)
    factor = rotation @ coefficients.innovation_factor
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-12)


def test_components_by_number_and_by_share():
    generator = np.random.default_rng(0)
    factors = series(600)[:, 1:]
    loadings = np.array([[1.0, 0.9, 0.8, 0.7], [0.0, 0.1, 0.2, 0.4]])
    noise = 1e-4 * generator.normal(size=(600, 4))
    dlv = np.exp(factors @ loadings + noise - 1.5).reshape(600, 2, 2)
    spot = np.exp(np.cumsum(series(600)[:, 0]))
    by_share = fit_surfaces(spot, dlv, components=0.9999)
    by_number = fit_surfaces(spot, dlv, components=2)
    assert by_share.coefficients == by_number.coefficients
    assert by_share.coefficients.series == 3
    assert 0.9999 <= by_share.explained < 1.0
    # two factors tell all four volatilities to within the noise
    found = by_number.coefficients
    log_dlv = np.log(dlv)
    rebuilt = found.log_dlv_mean + np.tensordot(found.factors_of(log_dlv), found.loadings, 1)
    assert np.abs(rebuilt - log_dlv).max() < 10e-4
    np.testing.assert_allclose(by_number.series[-found.lags :], found.last_state)
    np.testing.assert_allclose(found.factors_of(log_dlv[1:]), by_number.series[:, 1:], atol=1e-10)
    assert fit_surfaces(spot, dlv, components=None).coefficients.series == 5


def test_long_run_moments():
    found = VARCoefficients(
        INTERCEPT, LAG_MATRICES, FACTOR, np.zeros((1, 2)), np.eye(2)[:, None], np.zeros((2, 3))
    )
    mean, covariance = found.stationary_mean, found.stationary_covariance
    np.testing.assert_allclose(INTERCEPT + LAG_MATRICES.sum(0) @ mean, mean, atol=1e-14)
    noise = np.zeros((6, 6))
    noise[:3, :3] = FACTOR @ FACTOR.T
    step = found.companion
    np.testing.assert_allclose(step @ covariance @ step.T + noise, covariance, atol=1e-12)
    sample = series(50_000, seed=3)
    np.testing.assert_allclose(sample.mean(0), mean, atol=0.04)
    np.testing.assert_allclose(np.cov(sample.T), covariance[:3, :3], rtol=0.2, atol=4e-5)
    scalar = VARCoefficients([0.1, 0.0], 0.5 * np.eye(2)[None], np.eye(2), [[0]], [[[1]]], [[0, 0]])
    np.testing.assert_allclose(scalar.stationary_mean, [0.2, 0.0])
    np.testing.assert_allclose(scalar.stationary_covariance, np.eye(2) / 0.75)
    assert scalar.stability == pytest.approx(0.5)


def test_companion_and_stability():
    # y_t = 1.1 y_{t-1} - 0.3 y_{t-2} has the roots 0.6 and 0.5
    matrices = np.array([[[1.1]], [[-0.3]]])
    np.testing.assert_array_equal(companion(matrices), [[1.1, -0.3], [1.0, 0.0]])
    assert stability(matrices) == pytest.approx(0.6)
    check_stable(matrices)
    with pytest.raises(ValueError, match=r"not stable.*Received: 1\.05"):
        check_stable(np.array([[[1.05]]]))


def test_explosive_history_is_refused():
    spot, dlv = surfaces(200)
    growing = dlv * np.exp(0.001 * 1.05 ** np.arange(200))[:, None, None]
    with pytest.raises(ValueError, match="not stable"):
        fit_surfaces(spot, growing, 1, components=1)


def test_covariance_factor():
    generator = np.random.default_rng(0)
    root = generator.normal(size=(4, 4)) * [[1e-3], [1.0], [1e2], [1.0]]
    factor = covariance_factor(root @ root.T)
    np.testing.assert_allclose(factor, np.linalg.cholesky(root @ root.T), rtol=1e-6)
    singular = root[:, :2] @ root[:, :2].T
    factor = covariance_factor(singular)
    np.testing.assert_allclose(factor, np.tril(factor), atol=1e-12)
    np.testing.assert_allclose(factor @ factor.T, singular, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(covariance_factor(np.zeros((2, 2))), 0.0)
    with pytest.raises(ValueError, match="positive semidefinite"):
        covariance_factor([[1.0, 2.0], [2.0, 1.0]])


def test_config():
    found = fit_surfaces(*surfaces(200)).coefficients
    again = VARCoefficients.from_config(json.loads(json.dumps(found.get_config())))
    assert again == found
    assert hash(again) == hash(found)
    assert again != VARCoefficients.from_config(
        {**found.get_config(), "intercept": [0.0, 0.0, 0.0]}
    )


def test_too_little_history():
    spot, dlv = surfaces(12)
    with pytest.raises(ValueError, match=r"6 observations for 16 parameters \(5 lag"):
        fit_surfaces(spot, dlv, max_lags=5)
    assert fit_surfaces(spot, dlv, max_lags=1).coefficients.lags == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"criterion": "bci"}, "Did you mean 'bic'"),
        ({"max_lags": 0}, "`max_lags`.*Received: max_lags=0"),
        ({"components": 3}, "`components` must be an integer from 1 to 2"),
        ({"components": 1.0}, "`components`.*Received: components=1.0"),
        ({"components": True}, "`components`"),
        ({"spot": np.full(100, np.nan)}, r"`spot` must be finite"),
        ({"spot": -np.ones(100)}, r"`spot` must be positive. Received: -1.0 at index \(0,\)"),
        ({"spot": np.ones(99)}, r"`dlv` must have shape \(dates, m, n\)"),
        ({"dlv": np.zeros((100, 1, 2))}, r"`dlv` must be positive"),
        ({"dlv": np.ones((100, 1, 2))}, "`dlv` must vary"),
    ],
)
def test_bad_arguments(change, message):
    spot, dlv = surfaces(100)
    with pytest.raises(ValueError, match=message):
        fit_surfaces(**{"spot": spot, "dlv": dlv, **change})


def test_dependent_series():
    spot, dlv = surfaces(300)
    same = np.repeat(dlv[..., :1], 2, axis=-1)
    assert fit_surfaces(spot, same, components=None).coefficients.series == 2
    with pytest.raises(ValueError, match="must not exceed the rank 1"):
        fit_surfaces(spot, same, components=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lag_matrices": np.zeros((1, 2, 2))}, r"`lag_matrices` must have shape \(p, K, K\)"),
        (
            {"lag_matrices": np.zeros((0, 3, 3)), "last_state": np.zeros((0, 3))},
            "at least one lag",
        ),
        ({"loadings": np.zeros((1, 1, 2))}, r"`loadings` must have shape \(K-1, m, n\)"),
        ({"innovation_factor": np.full((3, 3), np.inf)}, "`innovation_factor` must be finite"),
        ({"last_state": np.zeros((1, 3))}, "`last_state`"),
    ],
)
def test_bad_coefficients(change, message):
    good = {
        "intercept": INTERCEPT,
        "lag_matrices": LAG_MATRICES,
        "innovation_factor": FACTOR,
        "log_dlv_mean": np.zeros((1, 2)),
        "loadings": np.eye(2)[:, None],
        "last_state": np.zeros((2, 3)),
    }
    VARCoefficients(**good)
    with pytest.raises(ValueError, match=message):
        VARCoefficients(**{**good, **change})
