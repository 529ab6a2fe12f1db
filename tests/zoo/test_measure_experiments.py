"""Exact changes of measure against properties that define them; the experiments in small."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import integrate, optimize
from scipy.stats import norm

from hedgezoo.baselines.black_scholes_measure import BlackScholesMeasure, girsanov_log_density
from hedgezoo.datasets import BlackScholesMarket, FloatingOptionMarket
from hedgezoo.datasets.payoffs import Nothing

DAY = 1 / 250


def spot_market(**terms):
    return BlackScholesMarket(**{"volatility": 0.2, "steps": 30, "cost": 0.0, **terms})


@pytest.mark.parametrize(("drift", "rounding"), [(0.1, 2e-4), (0.5, 2e-3), (-0.2, 3e-4)])
def test_entropy_and_effective_sample_are_those_of_continuous_trading_almost(drift, rounding):
    exact = BlackScholesMeasure(volatility=0.2, drift=drift)
    variance = (drift / 0.2) ** 2 * 30 * DAY
    assert exact.relative_entropy == pytest.approx(variance / 2, rel=rounding)
    assert exact.relative_entropy < variance / 2  # trading less often, less can be gained
    assert exact.effective_sample_share == pytest.approx(np.exp(-variance), rel=rounding)
    assert abs(exact.expected_gains[0]) < 1e-15


def test_one_step_against_quadrature_and_root_finding_by_scipy():
    deviation, slope = 0.2 * DAY**0.5, (0.5 - 0.02) * DAY

    def mean(function):
        return integrate.quad(
            lambda z: norm.pdf(z) * function(np.expm1(slope + deviation * z)), -10, 10, epsabs=1e-15
        )[0]

    position = optimize.brentq(lambda c: mean(lambda r: r * np.exp(-c * r)), 1.0, 30.0, xtol=1e-10)
    utility = -np.log(mean(lambda r: np.exp(-position * r)))
    exact = BlackScholesMeasure(volatility=0.2, drift=0.5, steps=7)
    assert exact.positions[0] == pytest.approx(position, rel=1e-7)
    assert exact.relative_entropy == pytest.approx(7 * utility, rel=1e-9)


def test_girsanov_density_has_mean_one_and_removes_the_drift():
    market = spot_market(drift=0.5, draws="sobol", dtype="float64")
    spot = market.spot_paths(0, 2**15).numpy()[:, :, 0]
    density = np.exp(girsanov_log_density(spot, 0.5, 0.2, DAY))
    assert density.mean() == pytest.approx(1.0, abs=5e-4)
    assert np.mean(density * spot[:, -1]) == pytest.approx(1.0, abs=5e-4)


def test_error_of_girsanov_is_what_paths_show():
    market = spot_market(drift=0.1, draws="sobol", dtype="float64")
    spot = market.spot_paths(0, 2**15).numpy()[:, :, 0]
    exact = BlackScholesMeasure.from_market(market)
    density = np.exp(girsanov_log_density(spot, 0.1, 0.2, DAY))
    error = np.mean((np.exp(exact.log_density(spot)) - density) ** 2)
    assert exact.girsanov_error() == pytest.approx(error, rel=0.03)


@pytest.mark.parametrize("implied", [0.18, 0.22])
def test_options_are_priced_and_no_such_measure_is_closer(implied):
    market = FloatingOptionMarket(implied_volatility=implied, draws="sobol", dtype="float64")
    exact = BlackScholesMeasure.from_market(market)
    np.testing.assert_allclose(exact.expected_gains, 0.0, atol=1e-15)
    # the lognormal law of the implied volatility prices both instruments, too
    ratio = (implied / 0.2) ** 2
    assert exact.relative_entropy < 30 * (ratio - 1 - np.log(ratio)) / 2
    assert (exact.realised_volatility - 0.2) * (implied - 0.2) > 0
    density = np.exp(exact.log_density(market.spot_paths(0, 2**15).numpy()[:, :, 0]))
    assert density.mean() == pytest.approx(1.0, abs=5e-3)
    assert np.mean(density * np.log(density)) == pytest.approx(exact.relative_entropy, rel=0.03)
    gains = market.simulate(0, 2**15)[0]["unit_gain"].numpy()
    priced = np.average(gains, axis=0, weights=density)
    assert np.abs(priced).max() < 0.25 * np.abs(gains.mean(axis=(0, 1))).max()


def test_the_same_gains_in_other_instruments_give_the_same_measure():
    market = FloatingOptionMarket(drift=0.1)
    split = dataclasses.replace(market, instruments=("spot", "calls", "puts"))
    one, other = map(BlackScholesMeasure.from_market, (market, split))
    assert one.relative_entropy == pytest.approx(other.relative_entropy, rel=1e-10)
    paths = market.spot_paths(0, 100).numpy()[:, :, 0]
    np.testing.assert_allclose(one.log_density(paths), other.log_density(paths), atol=1e-8)


def test_gains_lie_on_the_edge_of_the_cost_band_or_nothing_is_traded():
    market = FloatingOptionMarket(implied_volatility=0.22, drift=0.02, cost=2e-4)
    exact = BlackScholesMeasure.from_market(market)
    assert exact.positions[0] == 0.0
    assert abs(exact.expected_gains[0]) < 2e-4
    assert exact.positions[1] < 0
    assert exact.expected_gains[1] == pytest.approx(-2e-4, rel=1e-9)
    free = BlackScholesMeasure.from_market(dataclasses.replace(market, cost=0.0))
    assert exact.relative_entropy < free.relative_entropy
    dear = BlackScholesMeasure.from_market(dataclasses.replace(market, cost=0.01))
    assert dear.relative_entropy == pytest.approx(0.0, abs=1e-12)
    assert dear.effective_sample_share == pytest.approx(1.0)


@pytest.mark.parametrize(
    "market",
    [
        spot_market(cost=1e-3),
        spot_market(volatility=(0.2, 0.3)),
        FloatingOptionMarket(expiry_steps=2),
        FloatingOptionMarket(spot_gain="horizon", cost=1e-4),
    ],
)
def test_markets_whose_steps_hang_together_are_refused(market):
    with pytest.raises(ValueError, match="exact measure needs"):
        BlackScholesMeasure.from_market(market)


def test_paths_of_another_length_are_refused():
    with pytest.raises(ValueError, match="spot"):
        BlackScholesMeasure(volatility=0.2).log_density(np.ones((4, 30)))


def test_linear_optimum_on_paths_is_the_exact_measure():
    from hedgezoo.risk_neutral_measure import RiskNeutralMeasure

    market = FloatingOptionMarket(
        implied_volatility=0.22, draws="sobol", features=("time_to_expiry",), steps=5
    )
    inputs, liability = market.simulate(3, 2**13)
    assert not liability.numpy().any()
    assert market.payoff == Nothing()
    optimum = RiskNeutralMeasure("linear", 1, instruments=2).fit_linear(inputs)
    exact = BlackScholesMeasure.from_market(market)
    assert optimum.utility == pytest.approx(exact.relative_entropy, rel=0.02)


# ------------------------------------------------------------------------- experiments, in small


def run_quickly(name, tmp_path):
    import hedgezoo.experiments as experiments
    from hedgezoo.experiments.results import read_numbers

    output = tmp_path / name
    numbers = experiments.run(name, output, quick=True)
    assert json.loads(json.dumps(numbers)) == read_numbers(output)
    return numbers, sorted(path.name for path in output.iterdir())


def test_black_scholes_in_small(tmp_path):
    from hedgezoo.experiments import risk_neutral_black_scholes as experiment

    numbers, files = run_quickly("risk_neutral_black_scholes", tmp_path)
    assert files == ["figure_2.png", "numbers.json"]
    (case,) = numbers["cases"]
    assert case["exact_on_paths"]["density_error"] == pytest.approx(
        case["exact"]["density_error"], rel=0.1
    )
    assert case["curve"][-1]["density_error"] < case["curve"][0]["density_error"] < 0.02
    assert case["final"]["relative_entropy"] == pytest.approx(0.015, rel=0.3)
    card = experiment.card_section(**numbers)
    assert f"{case['exact']['relative_entropy']:.6f}" in card


def test_realised_volatility_in_small(tmp_path):
    from hedgezoo.experiments import risk_neutral_realized_vol as experiment

    numbers, files = run_quickly("risk_neutral_realized_vol", tmp_path)
    assert files == ["figure_3.png", "numbers.json"]
    (case,) = numbers["cases"]
    # twenty steps: the right way already
    assert case["network"]["realised_volatility"] > 0.205
    assert case["exact"]["realised_volatility"] == pytest.approx(0.2174, abs=1e-4)
    assert "22 %" in experiment.card_section(**numbers)


def test_dlv_surfaces(tmp_path):
    numbers, files = run_quickly("dlv_surfaces", tmp_path)
    assert files == ["figure_1.png", "figure_4.png", "numbers.json"]
    assert [case["date"] for case in numbers["dates"][:2]] == ["2017-11-03", "2020-03-16"]
    assert all(case["smallest_probability"] > 0 for case in numbers["dates"])
    assert all(case["smallest_calendar"] >= 0 for case in numbers["dates"])
    calm, crash = (np.array(case["implied_volatility"]) for case in numbers["dates"][:2])
    assert (crash > 2 * calm).all()


def test_autoregression_in_small(tmp_path):
    from hedgezoo.experiments import risk_neutral_var as experiment

    numbers, files = run_quickly("risk_neutral_var", tmp_path)
    assert files == ["figure_5.png", "figure_6.png", "numbers.json"]
    found = numbers["results"]["in sample"]
    assert found["Q"]["share_inside"] > found["P"]["share_inside"]
    assert len(found["Q"]["instruments"]) == 65
    assert 0 < found["effective_sample_share"] < 1
    assert "figure_6.png" in experiment.card_section(**numbers)


def test_identities_of_hedging_under_q_hold_for_linear_policies():
    from hedgezoo.experiments.deep_hedging_under_q import linear_identities

    found = linear_identities(paths=512)
    assert abs(found["utility_gap"]) < 1e-9
    assert found["policy_gap"] < 1e-6
    assert found["without_claim_under_p"] > 0.01
    assert found["with_claim_under_q"] < 0 < found["without_claim_under_p"]


@pytest.mark.slow
def test_hedging_under_q_in_small(tmp_path):
    from hedgezoo.experiments import deep_hedging_under_q as experiment

    numbers, files = run_quickly("deep_hedging_under_q", tmp_path)
    assert files == ["numbers.json", "section_4.png"]
    for setting in ("frictionless", "with_cost"):
        assert 0 < numbers[setting]["effective_sample_share"] <= 1
        assert numbers[setting]["with_claim_under_q"]["value"] < 0
    assert "E_Q[payoff]" in experiment.card_section(**numbers)
