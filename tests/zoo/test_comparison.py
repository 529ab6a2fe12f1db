"""Several strategies and the optimum on common paths."""

import numpy as np
import pytest

from hedgezoo import evaluate
from hedgezoo.baselines.delta import DeltaHedge
from hedgezoo.baselines.exact_hedge import ExactHedge
from hedgezoo.baselines.naked import Naked
from hedgezoo.baselines.whalley_wilmott import WhalleyWilmott
from hedgezoo.datasets import BlackScholesMarket, ConditionalBlackScholesMarket
from hedgezoo.datasets.payoffs import Lookback
from hedgezoo.risk_report import compare, default_risk_aversion, simulate

MARKET = BlackScholesMarket(steps=6)
TERMS = {"risk_aversion": 50.0, "maturity": MARKET.maturity}
PATHS = 30_000


@pytest.fixture(scope="module")
def compared():
    strategies = {
        "": WhalleyWilmott(**TERMS),
        "delta": DeltaHedge(**TERMS),
        "naked": Naked(**TERMS),
        "mine": DeltaHedge(**TERMS),
    }
    return compare(strategies, MARKET, 50.0, paths=PATHS, seed=5)


def test_simulated_optimum_is_the_exact_one_and_beats_the_others(compared):
    report, _ = compared
    simulated, exact = report["optimum/price"], report["optimum/exact_price"]
    assert abs(simulated["value"] - exact["value"]) < 4 * simulated["stderr"]
    for loss in ("saving/optimum", "saving/naked"):
        assert abs(report[loss]["value"]) > 5 * report[loss]["stderr"]
    assert report["saving/optimum"]["value"] < 0 < report["saving/naked"]["value"]
    difference = report["price"]["value"] - report["optimum/price"]["value"]
    assert report["saving/optimum"]["value"] == pytest.approx(-difference)


def test_savings_on_delta_are_differences_of_prices(compared):
    report, outcomes = compared
    delta = report["delta/price"]["value"]
    for prefix in ("", "naked/", "optimum/"):
        found = report[f"{prefix}saving/delta"]
        assert found["value"] == pytest.approx(delta - report[f"{prefix}price"]["value"])
    assert report["mine/saving/delta"] == {"value": 0.0, "stderr": 0.0}
    assert "delta/saving/delta" not in report
    # pairs share their paths: the error of a saving is that of the difference
    tilted = {}
    for name in ("", "delta"):
        weights = np.exp(-50.0 * outcomes[name].profit)
        tilted[name] = weights / weights.mean() / 50.0
    expected = np.std(tilted[""] - tilted["delta"], ddof=1) / np.sqrt(PATHS)
    assert report["saving/delta"]["stderr"] == pytest.approx(expected, rel=1e-3)


def test_effective_paths_warn_of_the_naked_price(compared):
    report, _ = compared
    assert report["naked/effective_paths"]["value"] < 0.3 * PATHS
    assert report["delta/effective_paths"]["value"] > 0.8 * PATHS


def test_turnover_and_cost_of_the_naked_and_the_first_trade():
    market = BlackScholesMarket(steps=1, cost=0.01, spot=2.0)
    outcome = simulate({"delta": DeltaHedge(), "naked": Naked()}, market, 10, seed=0)
    inputs, liability = market.simulate(0, 10)
    delta = DeltaHedge().positions(inputs).numpy()[:, 0, 0]
    np.testing.assert_allclose(outcome["delta"].turnover, delta, rtol=1e-6)
    np.testing.assert_allclose(outcome["delta"].cost, 0.02 * delta, rtol=1e-6)
    np.testing.assert_allclose(outcome["naked"].profit, -liability.numpy())
    assert not outcome["naked"].turnover.any()


def test_optimum_of_a_lookback_looks_at_the_maximum():
    payoff = Lookback(strike=1.0)
    features = ("log_moneyness", "max_log_moneyness", "time_to_expiry", "volatility")
    market = BlackScholesMarket(steps=3, payoff=payoff, features=features)
    report, _ = compare({"": Naked(features)}, market, 20.0, paths=PATHS, seed=1)
    simulated = report["optimum/price"]
    expected = ExactHedge.from_market(market, 20.0, position_nodes=16).price()
    assert report["optimum/exact_price"]["value"] == pytest.approx(expected)
    assert abs(simulated["value"] - expected) < 4 * simulated["stderr"]


def test_risk_aversion_of_the_market_comes_first():
    terms = {"steps": 3, "expiry_steps": 3, "volatility": 0.2, "cost": 1e-3}
    features = ("log_moneyness", "time_to_expiry", "volatility")
    market = ConditionalBlackScholesMarket(risk_aversion=30.0, features=features, **terms)
    model = WhalleyWilmott(risk_aversion=10.0)
    assert default_risk_aversion(model, market) == 30.0
    assert default_risk_aversion(model, MARKET) == 10.0
    ranged = ConditionalBlackScholesMarket(risk_aversion=(1.0, 30.0), features=features, **terms)
    assert default_risk_aversion(model, ranged) == 10.0


@pytest.mark.parametrize("change", [{"unit": "risk_tolerance"}, {"centred": True}])
def test_transformed_paths_have_no_exact_price(change):
    market = ConditionalBlackScholesMarket(
        volatility=0.2, cost=1e-3, risk_aversion=30.0, steps=3, expiry_steps=3,
        features=("log_moneyness", "time_to_expiry", "volatility"), **change,
    )  # fmt: skip
    report = evaluate(WhalleyWilmott(), paths=100, market=market, baselines=False)
    assert "optimum/exact_price" not in report
