"""Metrics of recovery: values known in advance, standard errors against repetition."""

import math

import numpy as np
import pytest

from hedgezoo.heston_calibrator.evaluating import Recovered, recovery_metrics
from hedgezoo.heston_calibrator.recovery_metrics import (
    coverage,
    mean,
    median,
    pearson,
    quantile,
    root_mean_square,
    share,
)

NAMES = ("kappa", "theta", "xi", "rho", "v0")


def errors_by_repetition(statistic, draw, repetitions=2000):
    """Standard deviation of the values, and the mean of the stated standard errors."""
    random = np.random.default_rng(0)
    found = [statistic(*draw(random)) for _ in range(repetitions)]
    return (
        np.std([each["value"] for each in found]),
        np.mean([each["stderr"] for each in found]),
    )


@pytest.mark.parametrize(
    ("statistic", "draw"),
    [
        (mean, lambda random: (random.exponential(size=200),)),
        (median, lambda random: (random.exponential(size=200),)),
        (lambda x: quantile(x, 0.9), lambda random: (random.normal(size=400),)),
        (root_mean_square, lambda random: (random.normal(size=200),)),
        (share, lambda random: (random.random(100) < 0.1,)),
        (coverage, lambda random: (random.random((100, 5)) < 0.95,)),
        (pearson, lambda random: _correlated(random, 0.6, 100)),
    ],
    ids=["mean", "median", "quantile", "root_mean_square", "share", "coverage", "pearson"],
)
def test_standard_errors_are_those_of_repetition(statistic, draw):
    actual, stated = errors_by_repetition(statistic, draw)
    assert stated == pytest.approx(actual, rel=0.12)


def _correlated(random, r, size):
    x, noise = random.normal(size=(2, size))
    return x, r * x + math.sqrt(1 - r * r) * noise


def test_known_values():
    assert median(np.arange(101.0))["value"] == 50.0
    assert quantile(np.arange(101.0), 0.99)["value"] == 99.0
    assert root_mean_square([3.0, -3.0, 3.0]) == {"value": 3.0, "stderr": 0.0}
    assert root_mean_square(np.zeros(5)) == {"value": 0.0, "stderr": 0.0}
    assert share([True, False, False, False])["value"] == 0.25
    assert coverage([[True, True], [True, False]])["value"] == 0.75
    assert pearson([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0])["value"] == -1.0
    assert math.isnan(pearson([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0])["value"])


def test_nothing_seen_is_not_certain():
    none = share(np.zeros(1000, bool))
    assert none["value"] == 0.0
    assert 3e-4 < none["stderr"] < 2e-3  # by the rule of three, at most 3e-3
    assert share(np.ones(1000, bool))["stderr"] == none["stderr"]
    assert coverage(np.ones((1000, 5), bool))["stderr"] == none["stderr"]


def made_up(count=1000):
    """Panels with errors of known size: 1 % of them failures."""
    random = np.random.default_rng(1)
    true = random.uniform([1, 0.1, 0.1, -0.9, 0.1], [5, 0.4, 1.1, -0.1, 0.4], (count, 5))
    fitted = true.copy()
    fitted[:, 0] += np.where(np.arange(count) % 2, 0.5, -0.5)
    fitted[:, 3] = np.where(true[:, 2] > 0.3, true[:, 3], random.uniform(-0.9, -0.1, count))
    to_clean = np.full(count, 0.05)
    to_clean[: count // 100] = 3.0
    inside = np.ones((count, 5), bool)
    inside[: count // 20, 1] = False
    return Recovered(
        parameters=true,
        fitted=fitted,
        inside=inside,
        to_clean_bp=to_clean,
        to_quotes_bp=np.linspace(7.0, 9.0, count),
        mape_percent=np.full(count, 0.2),
        converged=np.arange(count) > 0,
        chi_square=np.full(50, 0.01),
    )


def test_metrics_of_made_up_panels():
    found = recovery_metrics(made_up(), NAMES, noise_bp=0.0)
    value = {name: metric["value"] for name, metric in found.items()}
    assert value["error_to_clean_bp"] == pytest.approx(0.05)
    assert value["error_to_quotes_bp"] == pytest.approx(8.0)
    assert value["failures"] == pytest.approx(0.01)
    assert value["coverage/theta"] == pytest.approx(0.95)
    assert value["coverage/kappa"] == 1.0
    assert value["coverage"] == pytest.approx(0.99)
    assert value["converged"] == pytest.approx(0.999)
    assert value["mape_percent"] == pytest.approx(0.2)
    assert value["chi_square"] == pytest.approx(0.01)
    assert value["rmse/kappa"] == pytest.approx(0.5)
    assert value["rmse/theta"] == 0.0
    assert value["pearson/xi"] == pytest.approx(1.0)
    assert value["pearson/rho_where_xi_above_0.3"] == pytest.approx(1.0)
    assert value["pearson/rho"] < 0.95
    for name in NAMES:
        assert {f"{kind}/{name}" for kind in ("pearson", "rmse", "coverage")} <= set(found)
    assert all(metric["stderr"] >= 0.0 for metric in found.values())


def test_what_counts_as_a_failure_depends_on_the_noise():
    panels = made_up()
    assert recovery_metrics(panels, NAMES, noise_bp=0.5)["failures"]["value"] == 0.0
    assert recovery_metrics(panels, NAMES, noise_bp=0.2)["failures"]["value"] == 0.01
    panels.to_clean_bp[-1] = np.nan
    assert recovery_metrics(panels, NAMES, noise_bp=0.5)["failures"]["value"] == 0.001


def test_parameters_of_bates():
    panels = made_up()
    panels.parameters = np.concatenate([panels.parameters, panels.parameters[:, :3]], axis=1)
    panels.fitted = np.concatenate([panels.fitted, panels.parameters[:, :3]], axis=1)
    panels.inside = np.ones(panels.fitted.shape, bool)
    names = (*NAMES, "jump_intensity", "jump_mean", "jump_deviation")
    found = recovery_metrics(panels, names, noise_bp=0.0)
    assert found["pearson/jump_deviation"]["value"] == pytest.approx(
        np.corrcoef(panels.fitted[:, 7], panels.parameters[:, 7])[0, 1]
    )
