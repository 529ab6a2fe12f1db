"""The experiment on real surfaces, with a stand-in for the trained networks."""

import dataclasses
import json

import numpy as np
import pytest

from hedgezoo import experiments, presets
from hedgezoo.cards import SECTIONS
from hedgezoo.datasets.heston_panels import WIDE_BATES_BOX, WIDE_BOX
from hedgezoo.datasets.market_data import option_chain
from hedgezoo.experiments import heston_real_markets
from hedgezoo.market_calibration import model_fit
from hedgezoo.market_calibration.model_fit import fit_by_classical


class Stub:
    """As much of a `HestonCalibrator` as the experiment knows."""

    def __init__(self, model):
        self.model = model


@pytest.fixture
def networks(monkeypatch):
    """Networks whose fit is that of least squares, but for 3 % of the error."""

    def fit_by_network(panel, calibrator):
        fit = fit_by_classical(panel, calibrator.model)
        box = WIDE_BOX if calibrator.model == "heston" else WIDE_BATES_BOX
        outside = not bool(box.contains(fit.parameters))
        worse = 1.03 * fit.rms_bp if calibrator.model == "bates" else fit.rms_bp
        return dataclasses.replace(fit, method="network", rms_bp=worse, outside_box=outside)

    monkeypatch.setattr(model_fit, "fit_by_network", fit_by_network)
    monkeypatch.setattr(presets, "load", lambda name: Stub(name.partition("_")[0]))


def by_name(results):
    return {surface["name"]: surface for surface in results["surfaces"]}


def test_quick_run(networks, tmp_path):
    chain = tmp_path / "mine.csv"
    option_chain("dax_2002-07-05").to_csv(chain)
    output = tmp_path / "out"
    results = heston_real_markets.run(output, quick=True, files=[chain])
    assert json.loads((output / "numbers.json").read_text())["numbers"] == results
    found = by_name(results)
    quotes = [surface["quotes"] for surface in found.values()]
    moneyness = option_chain("dax_2002-07-05").moneyness
    central = np.count_nonzero((moneyness >= 0.7) & (moneyness <= 1.2))
    assert quotes == [104, 91, 155, 82, 104, central]
    errors = {
        name: surface["models"]["heston"]["levenberg_marquardt"]["rms_bp"]
        for name, surface in found.items()
    }
    values = list(errors.values())
    # what others find on these surfaces
    np.testing.assert_allclose(values[:4], [132.1, 55.9, 61.7, 29.7], atol=0.1)
    assert values[4] == pytest.approx(values[0], rel=1e-9)
    for surface in found.values():
        assert surface["models"]["heston"]["ratio"] == pytest.approx(1.0, abs=1e-6)
        assert surface["models"]["bates"]["ratio"] == pytest.approx(1.03, abs=1e-4)
    for model, facts in results["quantlib_dax"].items():
        published, tolerance = heston_real_markets.QUANTLIB[model]
        assert facts["levenberg_marquardt"] == pytest.approx(published, abs=tolerance)
        if "quantlib" in facts:
            assert facts["quantlib"] == pytest.approx(published, abs=tolerance)
    pictures = sorted(path.name for path in output.glob("*.png"))
    assert len(pictures) == 2 * len(found)
    assert "smiles_euro_stoxx_50_2010_03_01.png" in pictures


@pytest.mark.parametrize("model", ["heston", "bates"])
def test_report_and_card(model, networks, tmp_path):
    about = heston_real_markets.report(None, Stub(model), tmp_path)
    stored = json.loads(presets.json_text(about))["experiments"]
    assert list(stored) == [heston_real_markets.NAME]
    assert SECTIONS[heston_real_markets.NAME] == "hedgezoo.experiments.heston_real_markets"
    card = heston_real_markets.card_section(**stored[heston_real_markets.NAME])
    for name, surface in by_name(stored[heston_real_markets.NAME]).items():
        found = surface["models"][model]
        (line, parameters) = (line for line in card.splitlines() if line.startswith(f"| {name} |"))
        assert f"| {found['network']['rms_bp']:.2f} |" in line
        assert f"| {found['ratio']:.4f} |" in line
        assert ("| no |" in line) == found["network"]["outside_training_box"]
        assert parameters.count("|") == len(found["network"]["parameters"]) + 2
    close = "The network is within 2 % of the best fit on every surface"
    far = "The network is more than 2 % from the best fit on: DAX 2002-07-05"
    assert (close if model == "heston" else far) in " ".join(card.split())
    for line in card.splitlines():
        if line.startswith("!["):
            assert (tmp_path / line.partition("(")[2].rstrip(")")).exists()
    assert "published: " in " ".join(card.split())


def test_it_is_listed():
    assert experiments.EXPERIMENTS["heston_real_markets"].module == heston_real_markets.__name__
