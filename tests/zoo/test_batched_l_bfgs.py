"""Calibration of many panels at once, by TensorFlow Probability's L-BFGS and one by one."""

import importlib.util
import sys

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.baselines.calibration import as_quotes, calibrate, calibrate_panels
from hedgezoo.baselines.calibration.batched_l_bfgs import on_grid
from hedgezoo.baselines.calibration.classical import PACKAGES
from hedgezoo.baselines.calibration.models import BATES, HESTON
from hedgezoo.baselines.calibration.panel_errors import PanelErrors
from hedgezoo.baselines.calibration.volatility_errors import VolatilityErrors
from hedgezoo.layers import bates_call, heston_call, implied_volatility

STRIKES, YEARS = np.linspace(0.8, 1.2, 7), np.array([0.1, 0.5, 1.0, 2.0])
LOW, HIGH = np.array([[0.5, 0.02, 0.1, -0.95, 0.01], [8.0, 0.5, 1.5, -0.05, 0.4]])
INSTALLED = all(importlib.util.find_spec(name) for name in PACKAGES["batched_l_bfgs"])


def draw(count, seed=3):
    return np.random.default_rng(seed).uniform(LOW, HIGH, (count, 5))


def volatilities(parameters, price=heston_call):
    return implied_volatility(price(parameters, STRIKES, YEARS), STRIKES, YEARS).numpy()


def noisy(count=4, seed=0):
    random = np.random.default_rng(seed)
    clean = volatilities(draw(count))
    return clean + random.normal(0.0, 5e-4, clean.shape), random.random(clean.shape) > 0.15


# ----------------------------------------------------------------------------------- the problem


@pytest.mark.parametrize("model", [HESTON, BATES], ids=lambda model: model.name)
def test_errors_and_gradient_are_those_of_one_panel(model):
    """In and outside the ranges of the coordinates, for a list of quotes in any order."""
    quotes, mask = noisy(1)
    spread = np.random.default_rng(1).uniform(1e-4, 1e-3, mask.shape)
    listed = as_quotes(quotes[0], STRIKES, YEARS, mask[0], spread[0])
    order = np.random.default_rng(2).permutation(len(listed))
    rows = np.stack([listed.strikes, listed.maturities, listed.implied_volatility], 1)[order]
    alone = VolatilityErrors(as_quotes(np.c_[rows, listed.weights[order]]), model)
    volatility, weights, strikes, years = on_grid(alone.quotes)
    assert (weights > 0).sum() == len(listed)
    point = np.array([3.0, 0.1, 0.5, -0.4, 0.08, 0.3, -0.1, 0.2])[: len(model)]
    free = np.stack([model.to_free(point), model.to_free(point) + 0.3])
    twice = (np.repeat(x, 2, 0) for x in (volatility, weights))
    batch = PanelErrors(model, 64, *twice, strikes, years)
    cost, gradient, hessian = (x.numpy() for x in batch.normal_equations(tf.constant(free)))
    total = alone.weights.sum()
    for i, row in enumerate(free):
        expected, slope = alone.cost_and_gradient(row)
        assert cost[i] == pytest.approx(expected / total, rel=1e-9)
        np.testing.assert_allclose(gradient[i], slope / total, rtol=1e-6, atol=1e-6)
        rows = alone.residual_jacobian(row)
        np.testing.assert_allclose(hessian[i], 2.0 * rows.T @ rows / total, rtol=1e-6, atol=1e-4)


def test_outside_the_range_the_cost_leads_back():
    volatility, weights, strikes, years = on_grid(as_quotes(noisy(1)[0][0], STRIKES, YEARS))
    errors = PanelErrors(HESTON, 64, volatility, weights, strikes, years)
    end = HESTON.ranges[1]
    inside = np.where(np.arange(5) == 0, end, HESTON.to_free([2.0, 0.1, 0.5, -0.4, 0.08]))
    costs = []
    for beyond in (0.0, 1e-4, 1e-3):
        free = tf.constant((inside + beyond * (np.arange(5) == 0))[np.newaxis])
        cost, gradient, _ = errors.normal_equations(free)
        costs.append(float(cost[0]))
        if beyond:
            assert gradient[0, 0] > 0.0
    assert costs[0] < costs[1] < costs[2]


# --------------------------------------------------------------------------------- many panels


def test_panels_one_by_one_are_those_of_calibrate():
    quotes, mask = noisy()
    spread = np.random.default_rng(1).uniform(1e-4, 1e-3, mask.shape)
    fits = calibrate_panels(quotes, STRIKES, YEARS, mask, spread, method="levenberg_marquardt")
    assert len(fits) == 4
    assert "Heston by levenberg_marquardt on 4 panels" in repr(fits)
    for i in range(4):
        fit = calibrate(quotes[i], STRIKES, YEARS, mask[i], spread[i])
        np.testing.assert_allclose(fits.parameters[i], fit.parameters, rtol=1e-6)
        np.testing.assert_allclose(fits.standard_error[i], fit.standard_error, rtol=1e-4)
        np.testing.assert_allclose(fits.implied_volatility[i], fit.implied_volatility, atol=1e-9)
        assert fits.rms_bp[i] == pytest.approx(fit.rms_bp)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "l_bfgs"}, "`method`"),
        ({"model": "hestn"}, "`model`"),
        ({"starts": 0}, "`starts`"),
        ({"tolerance": -1.0}, "`tolerance`"),
        ({"implied_vol": np.full((2, 4, 7), -0.2)}, "`implied_vol` must be positive"),
        ({"mask": np.arange(28).reshape(4, 7) < 3}, "at least as many quotes"),
        ({"spread": 0.0}, "`spread` must be positive"),
        ({"strikes": STRIKES[::-1]}, "`strikes` must be strictly increasing"),
    ],
)
def test_bad_arguments(change, message):
    good = {"implied_vol": noisy(2)[0], "strikes": STRIKES, "maturities": YEARS}
    with pytest.raises(ValueError, match=message):
        calibrate_panels(**{**good, "method": "levenberg_marquardt", **change})


# -------------------------------------------------------------------------------------- L-BFGS


@pytest.mark.slow
def test_panels_are_recovered_and_noisy_ones_fitted_as_by_least_squares():
    """Where the packages are installed; elsewhere the message says what to install."""
    quotes, mask = noisy(6)
    clean = volatilities(draw(6))
    if not INSTALLED:
        with pytest.raises(ValueError, match="pip install tf_keras tensorflow_probability"):
            calibrate_panels(clean, STRIKES, YEARS)
        return
    fits = calibrate_panels(clean, STRIKES, YEARS)
    assert fits.converged.all()
    assert fits.max_bp.max() < 1e-3
    np.testing.assert_allclose(fits.parameters, draw(6), rtol=1e-3)

    spread = np.random.default_rng(1).uniform(1e-4, 1e-3, mask.shape)
    fits, others = (
        calibrate_panels(quotes, STRIKES, YEARS, mask, spread, method=method)
        for method in ("batched_l_bfgs", "levenberg_marquardt")
    )
    assert fits.converged.all()
    apart = np.abs(fits.implied_volatility - others.implied_volatility)[mask]
    assert apart.max() < 1e-8  # 1e-4 bp
    np.testing.assert_array_equal(np.isnan(fits.implied_volatility), ~mask)
    np.testing.assert_allclose(fits.standard_error, others.standard_error, rtol=1e-2)
    np.testing.assert_allclose(fits.rms_bp, others.rms_bp, rtol=1e-6)
    # the same panel from several starts, through the other front door
    fit = calibrate(
        quotes[0], STRIKES, YEARS, mask[0], spread[0], method="batched_l_bfgs", starts=3
    )
    assert fit.starts_rms_bp.shape == (3,)
    assert np.nanmax(np.abs(fit.implied_volatility - others.implied_volatility[0])) < 1e-8
    assert fit.converged


@pytest.mark.slow
def test_bates_panels_of_their_own_grids():
    truth = np.array([[2.0, 0.06, 0.5, -0.6, 0.05, 0.4, -0.15, 0.12]] * 2)
    own = np.stack([np.linspace(0.7, 1.3, 11), np.linspace(0.75, 1.25, 11)])[:, np.newaxis]
    own = np.broadcast_to(own, (2, 4, 11))
    years = np.stack([YEARS, 1.5 * YEARS])
    quotes = implied_volatility(bates_call(truth, own, years), own, years)
    # where the packages are missing, one panel after the other
    method = "batched_l_bfgs" if INSTALLED else "levenberg_marquardt"
    fits = calibrate_panels(quotes, own, years, model="bates", starts=2, method=method)
    assert fits.rms_bp.max() < 1e-3
    np.testing.assert_allclose(fits.parameters, truth, rtol=1e-2)


def test_missing_packages_are_named_before_any_work(monkeypatch):
    for missing in PACKAGES["batched_l_bfgs"]:
        with monkeypatch.context() as without:
            for name in PACKAGES["batched_l_bfgs"]:
                without.setitem(sys.modules, name, None if name == missing else sys)
            with pytest.raises(ValueError, match=f"needs the package {missing}, which is not"):
                calibrate_panels("not looked at", STRIKES, YEARS)


@pytest.mark.multiprocess
def test_keras_is_left_as_it_is(run_python):
    """tf_keras, which TensorFlow Probability needs, is another package beside Keras 3."""
    if not INSTALLED:
        with pytest.raises(ValueError, match="tf_keras"):
            calibrate_panels(noisy(2)[0], STRIKES, YEARS)
        return
    output = run_python(
        """
        import keras
        import tensorflow as tf
        import tensorflow_probability
        assert keras.__version__ == tf.keras.__version__ and keras.backend.backend() == "tensorflow"
        assert isinstance(tf.keras.layers.Dense(1), keras.layers.Layer)
        print("as it was")
        """
    )
    assert "as it was" in output
