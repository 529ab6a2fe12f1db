import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import NeuralSDE
from hedgezoo.datasets import DailyHistory, HestonSurfaces, SurfaceQuotes
from hedgezoo.layers import black_scholes_call, dupire_calls
from hedgezoo.neural_sde.amortised import (
    SHAPE_FEATURES,
    PanelError,
    SurfacePanels,
    SurfacePricing,
    amortised_model,
    fit_surfaces,
    panel_errors,
)
from hedgezoo.neural_sde.amortised_networks import AmortisedVolatility
from hedgezoo.neural_sde.amortised_report import evaluate_surfaces
from hedgezoo.neural_sde.market_features import FEATURES, MarketFeatures, fitted_smile
from hedgezoo.neural_sde.panel_prices import PanelPrices

SURFACES = HestonSurfaces()


@pytest.fixture(scope="module")
def panels():
    return SurfacePanels.heston(SURFACES, count=96, seed=1)


@pytest.fixture(scope="module")
def model(panels):
    return amortised_model(panels, units=(16, 16), options={"seed": 1})


# ---------------------------------------------------------------------------------- market features


def test_features_of_a_polynomial_smile_are_its_derivatives():
    years, level = 0.5, 0.2
    log_strikes = np.linspace(-0.25, 0.2, 12)
    deviation = log_strikes / (level * years**0.5)
    volatility = level - 0.03 * deviation + 0.01 * deviation**2
    found = fitted_smile(log_strikes, volatility, years)
    np.testing.assert_allclose(found[:2], [level, -0.03], rtol=2e-2)
    # its own level puts the deviations where they are, up to the nearest strike
    np.testing.assert_allclose(found[2], 0.02, rtol=0.05)


def test_a_flat_surface_has_a_level_and_nothing_else():
    quotes = SurfaceQuotes.from_grid(
        np.full((4, 7), 0.3), np.linspace(0.8, 1.2, 7), [0.1, 0.3, 1, 2]
    )
    names = [name for name in FEATURES if name != "realised_volatility"]
    found = dict(zip(names, MarketFeatures(names).of(quotes), strict=True))
    assert found.pop("atm_volatility") == pytest.approx(0.3)
    np.testing.assert_allclose(list(found.values()), 0.0, atol=1e-6)


def test_features_are_the_same_from_quotes_and_from_a_grid():
    drawn = SURFACES.draw(count=3, seed=2)
    features = MarketFeatures(SHAPE_FEATURES)
    years = np.array(SURFACES.maturities)
    grid = features.of_grid(drawn["implied_volatility"], drawn["strikes"], years)
    for row in range(3):
        np.testing.assert_allclose(features.of(SURFACES.quotes(drawn, row)), grid[row], rtol=1e-6)


def test_features_see_skew_and_term_structure_of_heston():
    parameters = np.array([[2.0, 0.09, 0.4, -0.7, 0.03], [2.0, 0.02, 0.4, 0.0, 0.06]])
    drawn = SURFACES.priced(parameters)
    names = ("skew_slope", "short_skew_slope", "long_skew_slope", "term_slope", "short_slope")
    found = MarketFeatures(names).of_grid(
        drawn["implied_volatility"], drawn["strikes"], SURFACES.maturities
    )
    skewed, straight = found
    assert skewed[0] < -0.2
    assert skewed[1] < skewed[0] < skewed[2] < 0  # the skew flattens with maturity
    assert skewed[3] > 0.2
    assert skewed[4] < 0
    assert abs(straight[0]) < 0.1
    assert straight[3] < -0.1


def test_missing_quotes_change_little():
    quotes = SurfaceQuotes.heston()
    features = MarketFeatures(("atm_volatility", "skew_slope", "term_slope"))
    whole = features.of(quotes)
    fitted, _ = quotes.split(0.3, seed=1)
    np.testing.assert_allclose(features.of(fitted), whole, rtol=0.03, atol=2e-3)
    few = quotes.where(low_strike=0.95, high_strike=1.05)
    np.testing.assert_allclose(features.of(few), whole, rtol=0.1, atol=5e-3)
    one = SurfaceQuotes([1.0], [0.5], [0.25])
    np.testing.assert_allclose(features.of(one), [0.25, 0.0, 0.0], atol=1e-7)


def test_realised_volatility_of_a_history():
    features = MarketFeatures(("atm_volatility", "realised_volatility"))
    history = DailyHistory.spx()
    found = features.of(SurfaceQuotes.heston(), history)
    expected = np.sqrt(np.mean(history.returns[-21:] ** 2) * 252)
    assert found[1] == pytest.approx(expected)
    assert features.of(SurfaceQuotes.heston(), 0.33)[1] == 0.33
    with pytest.raises(ValueError, match="`realised` must be given"):
        features.of(SurfaceQuotes.heston())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ("skew",)}, "`names` must be one of"),
        ({"names": ("curvature", "curvature")}, "`names` must be different"),
        ({"tenors": (0.5, 0.25, 1.0)}, "`tenors` must be three increasing"),
    ],
)
def test_bad_features(arguments, message):
    with pytest.raises(ValueError, match=message):
        MarketFeatures(**arguments)
    with pytest.raises(ValueError, match="`quotes` must be a SurfaceQuotes"):
        MarketFeatures().of([0.2])


# ---------------------------------------------------------------------------------- panel prices


def _skew(x, t, features):
    a = tf.cast(features[:, :1], x.dtype)
    return a * (1.0 - 0.3 * tf.tanh(x / a) + 0.1 * tf.exp(-2.0 * t))


def test_panel_prices_are_those_of_each_surface_alone(panels):
    few = dataclasses.replace(
        panels,
        **{
            name: getattr(panels, name)[:3]
            for name in ("features", "strikes", "calls", "implied_volatility")
        },
    )
    prices = PanelPrices(few.maturities)
    level = few.features[:, 0]
    found = prices.calls(_skew, level, tf.constant(few.features), few.strikes)
    for row in range(3):
        alone = dupire_calls(_skew, few.strikes[row], few.maturities, features=few.features[row])
        errors = (found[row] - alone) * few.weights[row]
        assert np.sqrt(np.mean(np.square(errors))) < 1.0  # bp


def test_flat_volatility_gives_black_scholes_prices(panels):
    def flat(x, t, features):
        return tf.cast(features[:, :1], x.dtype)

    level = panels.features[:, 0]
    found = PanelPrices(panels.maturities).calls(
        flat, level, tf.constant(panels.features), panels.strikes
    )
    for row in (0, 40, 95):
        known = black_scholes_call(panels.strikes[row], panels.maturities, level[row])
        np.testing.assert_allclose(found[row], known, atol=1e-9)


def test_gradient_of_panel_prices(panels, gradient_check):
    prices = PanelPrices([0.25, 1.0], points=31, steps=4.0)
    level, features = panels.features[:2, 0], tf.constant(panels.features[:2])
    strikes = panels.strikes[:2, [2, 5], ::4]

    def calls(weights):
        def sigma(x, t, features):
            a = tf.cast(features[:, :1], x.dtype)
            return a * (weights[0] + weights[1] * tf.tanh(x / a) + weights[2] * tf.sqrt(t))

        return prices.calls(sigma, level, features, strikes)

    gradient_check(calls, np.array([1.0, -0.2, 0.1]), rtol=1e-5)
    with pytest.raises(ValueError, match="`points` must be odd"):
        PanelPrices([1.0], points=30)


# ------------------------------------------------------------------------------- data and training


def test_panels_come_once_per_epoch(panels):
    inputs, targets = panels.simulate(seed=2, paths=96, first_path=96)
    assert inputs["features"].shape == (96, 9)
    order = np.argsort(inputs["features"][:, 0])
    rows = np.argsort(panels.features[:, 0])
    np.testing.assert_array_equal(targets[..., 0].numpy()[order], panels.calls[rows])
    part, _ = panels.simulate(seed=2, paths=4, first_path=100)
    np.testing.assert_array_equal(part["strikes"], inputs["strikes"][4:8])
    with pytest.raises(ValueError, match="`calls` must have shape"):
        dataclasses.replace(panels, calls=panels.calls[:5])


def test_weights_turn_price_errors_into_volatility_errors(panels):
    moved = black_scholes_call(panels.strikes[0], panels.maturities, 1e-4 + 0.2)
    still = black_scholes_call(panels.strikes[0], panels.maturities, 0.2)
    flat = dataclasses.replace(panels, implied_volatility=np.full(panels.calls.shape, 0.2))
    errors = (moved - still) * flat.weights[0]
    np.testing.assert_allclose(errors[3:, 2:8], 1.0, rtol=5e-3)


def test_loss_is_a_distance_in_basis_points():
    rng = np.random.default_rng(0)
    target = np.stack([rng.uniform(0, 0.1, (5, 2, 3)), np.full((5, 2, 3), 1e4)], axis=-1)
    found = target[..., 0] + 3e-4 * rng.choice([-1, 1], (5, 2, 3))
    values = PanelError(reduction=None)(target, found)
    np.testing.assert_allclose(values, np.sqrt(10.0), rtol=1e-5)


def test_training_learns_shapes_not_only_levels(panels):
    model = amortised_model(panels, units=(32, 32), options={"seed": 1})
    fresh = SurfacePanels.heston(SURFACES, count=24, seed=77)
    fit = fit_surfaces(model, panels, fresh, steps=160, epochs=4, batch_size=8, seed=3, verbose=0)
    level = fresh.features[:, :1, np.newaxis]
    flat = np.sqrt(np.mean((1e4 * (level - fresh.implied_volatility)) ** 2, axis=(1, 2)))
    assert np.median(fit.errors_bp) < 0.4 * np.median(flat)
    assert fit.history["loss"][-1] < 0.6 * fit.history["loss"][0]


def test_a_killed_training_resumes(panels, tmp_path):
    def fit(epochs_seen=None, **options):
        model = amortised_model(panels, units=(4,), options={"seed": 1})
        stop = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: _stop_after(epoch, epochs_seen)
        )
        settings = {"steps": 6, "epochs": 3, "batch_size": 4, "seed": 2, "verbose": 0}
        return fit_surfaces(model, panels, callbacks=[stop], **settings, **options)

    whole = fit()
    with pytest.raises(KeyboardInterrupt):
        fit(epochs_seen=2, checkpoint=tmp_path / "run")
    resumed = fit(checkpoint=tmp_path / "run")
    for a, b in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def _stop_after(epoch, seen):
    import time

    if seen is not None:
        time.sleep(1.1)  # epochs shorter than a second are not saved
        if epoch + 1 == seen:
            raise KeyboardInterrupt


def test_training_on_two_replicas(panels, two_replicas):
    def losses(strategy):
        with strategy.scope():
            model = amortised_model(panels, units=(4,), options={"seed": 1})
            model.build()
        settings = {"steps": 4, "epochs": 2, "batch_size": 4, "seed": 2, "verbose": 0}
        return fit_surfaces(model, panels, strategy=strategy, **settings).history["loss"]

    np.testing.assert_allclose(
        losses(two_replicas), losses(tf.distribute.get_strategy()), rtol=1e-4
    )


# --------------------------------------------------------------------------------------- the model


def test_untrained_volatility_is_that_at_the_money(panels, model):
    features = panels.features[:4].astype("float32")
    sigma = model.diffusion(np.ones(4, "float32"), 0.5, features)
    np.testing.assert_allclose(sigma, features[:, 0], rtol=0.15)
    # twice the volatility at the money, twice as far: twice the volatility but for the feature
    network = AmortisedVolatility(units=(8,), features=1, feature_scale=1e6, seed=1)
    x, t = tf.constant([[0.1], [0.2]]), tf.ones((2, 1))
    small, large = network(x, t, tf.constant([[0.2], [0.4]])).numpy()[:, 0]
    assert large == pytest.approx(2 * small, rel=1e-5)
    with pytest.raises(ValueError, match="`features` must name one market feature"):
        AmortisedVolatility(units=(8,))


def test_one_model_prices_by_simulation_and_by_equation_alike(panels, model):
    features = panels.features[3]
    strikes, maturities = [0.9, 1.0, 1.1], [0.25, 1.0]
    simulated = model.price(strikes, maturities, paths=2**14, seed=1, features=features)
    exact = model.price_by_pde(strikes, maturities, features=features)
    np.testing.assert_allclose(simulated.implied_volatility, exact.implied_volatility, atol=15e-4)
    with pytest.raises(ValueError, match="needs `features`"):
        model.price(strikes, maturities)


def test_model_is_a_start_for_a_calibration(panels, model):
    quotes = SurfaceQuotes.heston().where(high_maturity=0.5)
    start = NeuralSDE.from_config(model.get_config())
    start.build()
    start.set_weights(model.get_weights())
    features = MarketFeatures(SHAPE_FEATURES).of(quotes)
    before = evaluate_surfaces(start, quotes, 2**12, 1)["pde_error_bp"]["value"]
    result = start.calibrate(
        quotes, features=features, steps=0, polish_steps=4, evaluation_paths=2**10, verbose=0
    )
    assert result.pde_rms_bp < 0.3 * before


def test_report(panels, model):
    report = evaluate_surfaces(model, SURFACES, paths=16, seed=5)
    assert report["error_bp"]["value"] <= report["error_90_bp"]["value"]
    drawn = SurfacePanels.heston(SURFACES, 16, 5)
    each = np.sqrt(np.mean(np.square(panel_errors(model, drawn, block=5)), axis=(1, 2)))
    assert report["error_bp"]["value"] == pytest.approx(np.median(each), rel=1e-6)
    # untrained, the network is worth what Black-Scholes is
    assert report["flat_error_bp"]["value"] == pytest.approx(report["error_bp"]["value"], rel=0.3)
    with pytest.raises(ValueError, match="`market` must be"):
        evaluate_surfaces(model, None, 4, 1)


def test_storage(panels, model, tmp_path):
    model.build()
    model.market = SURFACES
    model.save_to_preset(tmp_path / "preset")
    again = NeuralSDE.from_preset(tmp_path / "preset")
    assert again.market == SURFACES
    assert again.feature_names == SHAPE_FEATURES
    features = panels.features[7]
    found = [m.diffusion([0.9, 1.0], 0.5, features).numpy() for m in (model, again)]
    np.testing.assert_array_equal(*found)
    trained = SurfacePricing(model, panels.maturities)
    rebuilt = SurfacePricing.from_config(trained.get_config())
    rebuilt.build()
    assert rebuilt.maturities == trained.maturities
    assert rebuilt.model.feature_names == SHAPE_FEATURES


def test_bad_models(panels):
    with pytest.raises(ValueError, match="local volatility with features"):
        SurfacePricing(NeuralSDE(units=(4,)), [0.5])
    with pytest.raises(ValueError, match="`names` must be those of the features"):
        amortised_model(panels, ("atm_volatility",))
