"""Risk reports: common paths, honest errors, exact prices."""

import numpy as np
import pytest

from hedgezoo import ExactHedge, NoTransactionBand, evaluate
from hedgezoo.datasets import BlackScholesMarket, ConditionalBlackScholesMarket, payoffs
from hedgezoo.losses import entropic_risk
from hedgezoo.optimality_gap import gaps_over_box

MARKET = BlackScholesMarket(steps=5)


@pytest.fixture(scope="module")
def model():
    model = NoTransactionBand(
        hidden_units=(4,), width="whalley_wilmott", risk_aversion=50.0, maturity=MARKET.maturity
    )
    model.build()
    return model


@pytest.fixture(scope="module")
def report(model):
    return evaluate(model, paths=20_000, seed=3, market=MARKET)


def test_every_metric_has_value_and_error(report):
    assert all(set(estimate) == {"value", "stderr"} for estimate in report.values())
    assert all(np.isfinite(estimate["value"]) for estimate in report.values())
    assert all(estimate["stderr"] >= 0 for estimate in report.values())


def test_price_is_the_entropic_risk_of_its_paths(report, model):
    inputs, liability = MARKET.simulate(seed=3, paths=20_000)
    profit = (model(inputs) - liability).numpy()
    assert report["price"]["value"] == pytest.approx(entropic_risk(profit, 50.0), abs=1e-8)


def test_untrained_band_is_the_formula_it_starts_from(report):
    assert report["price"]["value"] == pytest.approx(report["whalley_wilmott/price"]["value"])
    assert abs(report["saving/whalley_wilmott"]["value"]) < 1e-8


def test_simulated_prices_agree_with_exact_ones(report):
    for prefix in ("", "delta/", "whalley_wilmott/"):
        simulated, exact = report[f"{prefix}price"], report[f"{prefix}exact_price"]
        assert abs(simulated["value"] - exact["value"]) < 4 * simulated["stderr"]
        assert exact["value"] >= report["optimum/exact_price"]["value"] - 1e-9


def test_standard_error_is_the_spread_over_seeds(model):
    prices = [
        evaluate(model, paths=2000, seed=seed, market=MARKET, baselines=False, exact=False)["price"]
        for seed in range(20)
    ]
    spread = np.std([price["value"] for price in prices], ddof=1)
    assert 0.6 < spread / np.mean([price["stderr"] for price in prices]) < 1.5


def test_paired_savings_are_sharper_than_the_prices(report):
    apart = np.hypot(report["price"]["stderr"], report["delta/price"]["stderr"])
    assert report["saving/delta"]["stderr"] < apart


def test_chunks_do_not_change_the_report(model, monkeypatch):
    from hedgezoo import risk_report

    settings = {"paths": 3000, "seed": 1, "market": MARKET, "exact": False}
    whole = evaluate(model, **settings)
    monkeypatch.setattr(risk_report, "_CHUNK", 700)
    for key, estimate in evaluate(model, **settings).items():
        assert estimate["value"] == pytest.approx(whole[key]["value"], rel=1e-6, abs=1e-12)


def test_claims_without_exact_answer_are_simulated_only(model):
    market = BlackScholesMarket(steps=5, payoff=payoffs.Asian(strike=1.0))
    found = evaluate(model, paths=500, market=market)
    assert "price" in found
    assert "exact_price" not in found


def test_conditional_market_with_one_contract_has_an_exact_price(model):
    market = ConditionalBlackScholesMarket(
        volatility=0.2, cost=1e-3, risk_aversion=50.0, expiry_steps=5, steps=5,
        features=("log_moneyness", "time_to_expiry", "volatility"),
    )  # fmt: skip
    found = evaluate(model, paths=500, market=market)
    expected = ExactHedge(steps=5).price()
    assert found["optimum/exact_price"]["value"] == pytest.approx(expected, abs=1e-9)


def test_gap_over_a_box_is_never_negative():
    model = NoTransactionBand(
        ("log_moneyness", "time_to_expiry", "volatility", "cost", "risk_aversion"),
        hidden_units=(4,),
        width="whalley_wilmott",
    )
    box = {"volatility": (0.1, 0.4), "cost": (1e-4, 1e-2), "risk_aversion": (2, 60)}
    found = gaps_over_box(model, {**box, "expiry_steps": (1, 6)}, contracts=2)["box"]
    assert len(found["contracts"]) == 2 + 2**4
    for row in found["contracts"]:
        assert row["gap_percent"] > -1e-4
        assert row["gap_percent"] == pytest.approx(row["gap_percent_whalley_wilmott"], abs=1e-3)
        assert 1 <= row["expiry_steps"] <= 6


def test_the_model_says_on_how_many_paths(model, monkeypatch):
    options = {"market": MARKET, "baselines": False, "exact": False}
    monkeypatch.setattr(NoTransactionBand, "evaluation_paths", 300)
    assert evaluate(model, **options) == evaluate(model, paths=300, **options)


def test_errors(model):
    with pytest.raises(ValueError, match="market"):
        evaluate(model, paths=10)
    with pytest.raises(ValueError, match="paths"):
        evaluate(model, paths=1, market=MARKET)
    with pytest.raises(ValueError, match="Did you mean 'exact'"):
        evaluate(model, paths=10, market=MARKET, exct=False)
    with pytest.raises(ValueError, match="`evaluate_on`"):
        evaluate(object(), paths=10, market=MARKET)
    with pytest.raises(ValueError, match="Did you mean 'no_transaction_band_european_v1'"):
        evaluate("no_transaction_band_europen_v1")
