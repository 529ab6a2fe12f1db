"""Figures of calibrations: they show the data they are given, also where it is odd."""

import types

import numpy as np
import pytest

from hedgezoo import calibrator_plots as plots
from hedgezoo.datasets.heston_panels import PAPER_BOX
from hedgezoo.figures import save

STRIKES, MATURITIES = (0.8, 1.0, 1.2), (0.1, 0.5, 1.0, 2.0)
NAMES = ("kappa", "theta", "xi", "rho", "v0")


def drawn(*shape):
    return np.random.Generator(np.random.Philox(key=3)).uniform(size=shape)


def texts(figure):
    """All that is written inside of the axes of a figure."""
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_surface_shows_both_and_the_distance():
    panel = 0.2 + 0.1 * drawn(4, 3)
    fitted = panel + 0.001
    figure = plots.surface({"mine": (panel, fitted)}, STRIKES, MATURITIES)
    axis, bar = figure.axes
    black, red = (
        lines
        for lines in axis.collections
        if hasattr(lines, "_segments3d") and len(lines._segments3d)
    )
    for mesh, values in ((black, panel), (red, fitted)):
        heights = np.concatenate([np.asarray(line)[:, 2] for line in mesh._segments3d])
        assert set(heights.round(9)) == set(values.round(9).ravel())
    assert "bp" in bar.get_xlabel()
    assert bar.get_xticklabels()[-1].get_text() == "10"  # 0.001 in volatility


def test_scatter_shows_every_panel_and_the_correlation():
    truth = drawn(50, 5) + 0.1
    fitted = truth * (1 + 0.02 * drawn(50, 5))
    figure = plots.scatter(truth, fitted, NAMES, truth[:, 1])
    axes = [axis for axis in figure.axes if axis.texts]
    assert len(axes) == 5
    for axis, x, y in zip(axes, truth.T, fitted.T, strict=True):
        dots = axis.collections[-1]
        np.testing.assert_allclose(dots.get_offsets(), np.stack([x, y], axis=1))
        assert axis.get_xlim() == axis.get_ylim()
        assert f"{np.corrcoef(x, y)[0, 1]:.4f}" in axis.texts[0].get_text()


def test_scatter_takes_what_cannot_be_correlated_or_lies_outside(tmp_path):
    truth = np.tile([2.0, 0.04, 0.5, -0.5, 0.04, 0.1, -0.1, 0.2], (3, 1))
    fitted = truth.copy()
    fitted[0, 0], fitted[1, 3], fitted[2, 3] = 1e6, np.nan, -0.499
    names = (*NAMES, "jump_intensity", "jump_mean", "jump_deviation")
    figure = plots.scatter(truth, fitted, names, np.ones(3))
    written = texts(figure)
    assert written[0] == "Pearson nan\n1 not shown"
    assert written[3].endswith("1 not shown")
    assert save(figure, tmp_path / "x.png").stat().st_size > 10_000


def test_heat_map_shows_the_numbers():
    errors = np.arange(12.0).reshape(4, 3)
    errors[1, 1] = np.nan
    figure = plots.heat_map({"mine": errors, "zero": 0 * errors}, STRIKES, MATURITIES)
    axes = [axis for axis in figure.axes if axis.texts]
    assert len(axes) == 2
    assert [text.get_text() for text in axes[0].texts][:4] == ["0", "1.0", "2.0", "3.0"]
    assert len(axes[0].texts) == 11  # nothing where there is nothing
    assert axes[0].get_xticklabels()[2].get_text() == "1.20"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3e-6, "3e-6"), (0.0123, ".012"), (0.5, ".50"), (0.997, "1.0"), (9.96, "10")],
)
def test_numbers_in_cells_are_short(value, text):
    assert plots._short(value) == text


def test_convergence_shows_mean_and_band():
    rmse = np.array([[100.0, 50.0, 20.0], [140.0, 70.0, 20.0]])
    curves = {"a": {"rmse_bp": rmse, "penalty": 0 * rmse}}
    figure = plots.convergence([{"title": "t", "curves": curves, "references": {"exact": 0.0}}])
    axis, twin = figure.axes
    np.testing.assert_allclose(axis.get_lines()[0].get_ydata(), [120, 60, 20])
    (band,) = axis.collections
    corners = band.get_paths()[0].vertices[:, 1]
    assert corners.max() == pytest.approx(120 + rmse[:, 0].std(ddof=1))
    assert twin.get_ylim() == (0.0, 1.0)  # a penalty of zero is drawn at the bottom
    assert "bp" in axis.get_ylabel()


def test_convergence_of_one_seed_and_one_epoch(tmp_path):
    curves = {"a": {"rmse_bp": [[100.0]], "penalty": [[0.1]]}}
    save(plots.convergence([{"title": "t", "curves": curves}]), tmp_path / "x.png")


def test_times_are_distributions():
    figure = plots.time_distribution({"fast": [0.001, 0.003, 0.002], "slow": [2.0]})
    (axis,) = figure.axes
    steps = axis.get_lines()[0]
    np.testing.assert_allclose(steps.get_xdata(), [1, 1, 2, 3])
    np.testing.assert_allclose(steps.get_ydata(), [0, 1 / 3, 2 / 3, 1])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["fast: 2 ms", "slow: 2 s"]


class Oracle:
    """A calibrator that returns the quotes, and parameters it could only know by heart."""

    market, strikes, maturities = None, STRIKES, MATURITIES
    box = PAPER_BOX

    def __init__(self, cell=None):
        self.cell = cell

    def calibrate(self, implied_vol, strikes, maturities, mask, spread):
        assert implied_vol.shape == mask.shape == spread.shape == (len(mask), 4, 3)
        fitted = implied_vol + 0.001
        if self.cell is not None:
            fitted[:, *self.cell] = np.nan
        parameters = np.asarray(self.box.from_unit(drawn(len(mask), 5)))
        return types.SimpleNamespace(parameters=parameters, implied_volatility=fitted)


@pytest.mark.parametrize("cell", [None, (0, 2)])
def test_pictures_of_a_card(cell):
    parameters, errors = plots.pictures(Oracle(cell), {}, panels=64)
    assert [parameters.name, errors.name] == ["parameters", "errors"]
    assert "64 panels" in parameters.caption
    to_quotes, to_exact = (axis for axis in errors.figure.axes if axis.texts)
    cells = [text.get_text() for text in to_quotes.texts]
    assert cells == ["10"] * (12 if cell is None else 11)
    assert all(float(text.get_text()) > 5 for text in to_exact.texts)


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda: plots.surface({}, STRIKES, MATURITIES), "cases"),
        (lambda: plots.surface({"x": np.ones((2, 3, 4))}, STRIKES, MATURITIES), "cases"),
        (lambda: plots.heat_map({"x": np.ones((3, 4))}, STRIKES, MATURITIES), "cases"),
        (lambda: plots.scatter(np.ones((3, 5)), np.ones((3, 4)), NAMES, np.ones(3)), "truth"),
        (lambda: plots.convergence([]), "cases"),
        (lambda: plots.time_distribution({"x": [0.0]}), "cases"),
    ],
)
def test_bad_arguments_are_named(draw, name):
    with pytest.raises(ValueError, match=f"`{name}`.*Received"):
        draw()
