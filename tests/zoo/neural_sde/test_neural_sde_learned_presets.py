import json

import numpy as np
import pytest

import hedgezoo
from hedgezoo.datasets import DailyHistory, HestonSurfaces, SurfaceQuotes
from hedgezoo.neural_sde.amortised_report import evaluate_surfaces
from hedgezoo.neural_sde.market_features import MarketFeatures
from hedgezoo.neural_sde.structure import clustering, daily_returns
from hedgezoo.recipe import recipe

HISTORY, AMORTISED = "neural_sde_history_v1", "neural_sde_amortised_v1"


def test_shipped_history_model_clusters_as_the_market_did():
    model = hedgezoo.load(HISTORY)
    assert isinstance(model.market, DailyHistory)
    lags = (1, 5, 20)
    paths = daily_returns(model, years=50.0, paths=24, seed=31)
    simulated, there = clustering(paths, lags), clustering(model.market.returns, lags)
    noise = 2 * simulated.standard_error
    assert (np.abs(simulated.value - there.value) < 0.05 + noise).all()
    assert np.abs(paths).max() < 0.5


def test_volatility_of_the_history_model_rises_with_the_index():
    model = hedgezoo.load(HISTORY)
    index = np.array([0.12, 0.2, 0.3, 0.5], "float32")
    sigma = model.diffusion(1.0, 0.0, factor=model.network.factor_of(index)).numpy()
    assert (np.diff(sigma) > 0).all()
    # the index carries a premium over what is realised
    assert (sigma < index).all()
    assert (sigma > 0.4 * index).all()


def test_shipped_amortised_model_on_fresh_surfaces():
    model = hedgezoo.load(AMORTISED)
    report = evaluate_surfaces(model, HestonSurfaces(), paths=64, seed=987)
    assert report["error_bp"]["value"] < 10.0
    assert report["error_90_bp"]["value"] < 25.0
    assert report["flat_error_bp"]["value"] > 200.0


def test_shipped_amortised_model_on_a_surface_with_other_quotes():
    model = hedgezoo.load(AMORTISED)
    quotes = SurfaceQuotes.heston()
    features = MarketFeatures(model.feature_names).of(quotes)
    years = quotes.expiries
    found = model.price_by_pde(quotes.strikes[:21], years, features=features)
    errors = found.implied_volatility.ravel() - np.array(quotes.implied_volatility)
    assert np.sqrt(np.mean(errors**2)) < 10e-4


@pytest.mark.parametrize("name", [HISTORY, AMORTISED])
def test_recipe_and_card_tell_the_same(name):
    made, about = recipe(name), hedgezoo.presets.metadata(name)
    settings = json.loads(json.dumps(made.settings()))
    assert {key: about["recipe"][key] for key in settings} == settings
    assert about["limits"] == list(made.limits)
    for text in (hedgezoo.card(name), made.task):
        assert len(text) > 200
    if name == HISTORY:
        assert abs(about["metrics"]["acf_1_beside"]["value"]) < 0.05
