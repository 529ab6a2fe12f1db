"""Levenberg-Marquardt in its dual form, and the Jacobians it is given."""

import numpy as np
import pytest

from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.neural_sde import NeuralSDE
from hedgezoo.neural_sde.polish import levenberg_marquardt
from hedgezoo.neural_sde.polished_prices import DupirePrices, SampledPrices
from hedgezoo.neural_sde.weight_vectors import WeightVector

QUOTES = SurfaceQuotes(
    [0.9, 1.0, 1.1, 0.95, 1.05], [0.25] * 3 + [0.5] * 2, [0.25, 0.22, 0.2, 0.23, 0.21]
)


def small(**changes):
    return NeuralSDE(
        **{"units": (8,), "activation": "tanh", "maturities": (0.25, 0.5), **changes},
        steps_per_year=16,
        options={"seed": 3},
    )


def linear(rows=4, weights=30):
    rng = np.random.default_rng(0)
    matrix, right = rng.standard_normal((rows, weights)), rng.standard_normal(rows)

    def both(w):
        return matrix @ w - right, matrix

    return matrix, right, both, lambda w: both(w)[0]


def test_of_all_solutions_the_nearest_is_found():
    matrix, right, both, alone = linear()
    start = np.random.default_rng(1).standard_normal(30)
    found, report = levenberg_marquardt(both, alone, start, max_steps=20)
    nearest = start + np.linalg.pinv(matrix) @ (right - matrix @ start)
    np.testing.assert_allclose(found, nearest, atol=1e-6)
    assert report.converged
    assert report.errors_bp[-1] < 1e-8
    assert (np.diff(report.errors_bp) < 0).all()


def test_a_prior_makes_ridge_regression():
    matrix, right, both, alone = linear()
    start = np.random.default_rng(1).standard_normal(30)
    found, _ = levenberg_marquardt(both, alone, start, max_steps=40, prior=2.0)
    ridge = np.linalg.solve(matrix.T @ matrix + 2.0 * np.eye(30), matrix.T @ right + 2.0 * start)
    np.testing.assert_allclose(found, ridge, atol=1e-5)


def test_it_stops_at_the_noise_and_where_held_out_quotes_want():
    _, _, both, alone = linear()
    start = np.full(30, 3.0)
    first = np.linalg.norm(alone(start))
    _, report = levenberg_marquardt(both, alone, start, target=0.5 * first)
    assert report.errors_bp[-2] > 0.5 * first >= report.errors_bp[-1]
    assert "the error is below" in report.message
    away = []

    def worse(w):
        away.append(np.linalg.norm(w - start))
        return away[-1]

    found, report = levenberg_marquardt(both, alone, start, held_out=worse, patience=2)
    np.testing.assert_array_equal(found, start)
    assert (report.best, report.steps) == (0, 2)
    assert "held-out" in report.message
    found, watched = levenberg_marquardt(both, alone, start, held_out=worse)
    assert watched.best == watched.steps == len(watched.held_out_bp) - 1 > 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_steps": -1}, "`max_steps`"),
        ({"prior": -1.0}, "`prior`"),
        ({"patience": 2}, "`patience` needs `held_out`"),
        ({"start": np.full(30, np.nan)}, "`residuals` must be finite"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    _, _, both, alone = linear()
    with pytest.raises(ValueError, match=message):
        levenberg_marquardt(both, alone, **{"start": np.zeros(30), **arguments})


def test_a_vector_of_weights_is_read_and_written():
    model = small()
    model.build()
    vector = WeightVector(model)
    values = np.arange(len(vector), dtype=float)
    vector.write(values)
    np.testing.assert_array_equal(vector.read(), values)


@pytest.mark.parametrize("kind", ["dupire", "sampled", "sampled stochastic"])
def test_jacobians_are_those_of_finite_differences(kind):
    if kind == "dupire":
        prices, h = DupirePrices(small(), QUOTES, points=61, steps=8), 1e-2
    else:
        model = small(kind="stochastic" if "stochastic" in kind else "local", dtype="float64")
        # so short a step that no path crosses a strike
        prices, h = SampledPrices(model, QUOTES, paths=256, seed=0), 1e-6
    start = prices.weights.read()
    calls, jacobian = prices.calls_and_jacobian()
    np.testing.assert_allclose(calls, prices.calls(), rtol=1e-6)
    assert jacobian.shape == (5, len(prices.weights))
    rng = np.random.default_rng(0)
    for _ in range(3):
        direction = rng.standard_normal(len(start))
        ends = []
        for sign in (1, -1):
            prices.weights.write(start + sign * h * direction)
            ends.append(prices.calls())
        slope = (ends[0] - ends[1]) / (2 * h)
        scale = np.abs(slope).max()
        np.testing.assert_allclose(jacobian @ direction, slope, atol=1e-2 * scale)
    prices.weights.write(start)


def test_slopes_of_the_coarse_grid_lead_to_prices_of_the_fine_one():
    model = small()
    prices = DupirePrices(model, QUOTES)
    exact = QUOTES.calls

    def both(w):
        prices.weights.write(w)
        calls, jacobian = prices.calls_and_jacobian()
        return 1e4 * (calls - exact), 1e4 * jacobian

    def alone(w):
        prices.weights.write(w)
        return 1e4 * (prices.calls() - exact)

    _, report = levenberg_marquardt(both, alone, prices.weights.read(), max_steps=12)
    assert report.errors_bp[0] > 5
    assert report.errors_bp[-1] < 0.05
