"""Pictures of neural SDEs: which there are, and that they show what they say."""

import numpy as np
import pytest

from hedgezoo.datasets import DailyHistory, SurfaceQuotes
from hedgezoo.figures import save
from hedgezoo.neural_sde import NeuralSDE, structure, structure_plots
from hedgezoo.neural_sde.historical import historical_model
from hedgezoo.neural_sde.pictures import pictures

MATURITIES = (0.25, 0.5)


@pytest.fixture(scope="module")
def quotes():
    return SurfaceQuotes.heston(strikes=[0.9, 1.0, 1.1], maturities=MATURITIES)


def small(kind="local", **options):
    return NeuralSDE(
        kind=kind,
        units=(8,),
        maturities=MATURITIES,
        steps_per_year=16,
        options={"seed": 1},
        **options,
    )


def written(found, folder):
    """Names of pictures, each written as a PNG that is not empty."""
    for picture in found:
        assert picture.caption.endswith(".")
        path = save(picture.figure, folder / f"{picture.name}.png")
        assert path.stat().st_size > 5_000
    return [picture.name for picture in found]


def test_pictures_of_a_local_volatility(quotes, tmp_path):
    model = small()
    model.market = quotes
    found = pictures(model, {}, paths=256)
    assert written(found, tmp_path) == ["volatility", "smiles", "errors", "leverage"]
    heat_map, smiles, errors, _ = (picture.figure for picture in found)
    # what is drawn is what a simulation finds
    simulated = model.price([0.9, 1.0, 1.1], MATURITIES, paths=2**13).implied_volatility
    dots = errors.axes[0].collections[0].get_array()
    expected = (simulated.ravel() - np.asarray(quotes.implied_volatility)) * 1e4
    np.testing.assert_allclose(dots, expected, atol=25.0)
    curve = [line for line in smiles.axes[0].get_lines() if line.get_label() == "neural SDE"]
    drawn = np.interp([0.9, 1.0, 1.1], *curve[0].get_data())
    np.testing.assert_allclose(drawn, 100 * simulated[0], atol=0.25)
    dots = [line for line in heat_map.axes[0].get_lines() if line.get_label() == "quotes"]
    np.testing.assert_array_equal(dots[0].get_xdata(), quotes.maturities)


@pytest.mark.slow
def test_pictures_of_a_stochastic_volatility(quotes, tmp_path):
    model = small("stochastic")
    model.market = quotes
    names = written(pictures(model, {}, paths=2**13), tmp_path)
    assert names == ["volatility", "smiles", "errors", "conditional_volatility"]


@pytest.mark.slow
def test_pictures_of_a_history(tmp_path):
    history = DailyHistory.heston((3.0, 0.04, 0.4, -0.7, 0.04), years=1.0, seed=1)
    model = historical_model(history, units=(4,))
    (alone,) = pictures(model, {})
    assert written([alone], tmp_path) == ["memory"]
    (beside,) = pictures(model, {}, history=history)
    labels = beside.figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["neural SDE", "history"]


def test_a_model_with_features_needs_them():
    model = small(features=("atm_volatility",))
    assert pictures(model, {}) == []
    names = [picture.name for picture in pictures(model, {}, features=[0.2], paths=256)]
    assert names == ["volatility", "leverage"]


def test_heat_map_hides_what_no_path_visits():
    found = structure.volatility_map(small(), [0.1, 0.25, 0.5], share=0.1, paths=512)
    figure = structure_plots.heat_maps({"model": found})
    axis = figure.axes[0]
    white = [
        shape.get_paths()[0].vertices
        for shape in axis.collections
        if shape.get_facecolor().shape == (1, 4) and (shape.get_facecolor() == 1.0).all()
    ]
    below, above = sorted(white, key=lambda corners: corners[:, 1].mean())
    # the white areas end at the quantiles
    assert below[:, 1].max() == pytest.approx(np.exp(found.low.max()))
    assert above[:, 1].min() == pytest.approx(np.exp(found.high.min()))


def test_slices_show_truth_and_deviations():
    model = small()
    comparison = structure.compare_volatility(model, lambda x, t: 0.2 - 0.1 * x + 0 * t, [0.5])
    axis = structure_plots.slices(comparison).axes[0]
    learned, exact = axis.get_lines()
    np.testing.assert_allclose(exact.get_ydata(), 100 * comparison.exact[0])
    own = model.diffusion(exact.get_xdata(), 0.5).numpy()
    np.testing.assert_allclose(learned.get_ydata(), 100 * own, rtol=1e-5)
    widths = [np.log(shape.get_width() + shape.get_x()) for shape in axis.patches]
    np.testing.assert_allclose(widths, 0.2 * np.sqrt(0.5) * np.array([2.0, 1.0]), rtol=1e-6)


def test_curves_show_numbers_and_truth():
    found = structure.Leverage(np.array([0.5, 1.0]), *np.array([[0.2, 0.2], [-0.1, -0.2], [0, 0]]))
    figure = structure_plots.leverage_curves({"a": (found, [-0.1, -0.1]), "b": (found, None)})
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["a", "b"]
    times = np.linspace(0.1, 1.0, 5)
    unknown = structure.MeanReversion(times, 0.04 + 0 * times, 0 * times, *([np.nan] * 7))
    known = structure.MeanReversion(times, 0.04 + 0 * times, 0 * times, 3, 0.04, 0.09, 0.1, 0, 0, 0)
    figure = structure_plots.mean_reversion_curves(
        {"no speed": (unknown, None), "speed": (known, known.fitted(times))}
    )
    texts = [axis.texts[0].get_text() for axis in figure.axes]
    assert texts == ["no exponential fits", "fit: κ = 3.00 ± 0.10, θ = 0.0400"]
