"""`hedgezoo calibrate --model neural-sde`: a network through the quotes of a file."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import hedgezoo
from hedgezoo import cli
from hedgezoo.datasets.market_data import option_chain
from hedgezoo.layers import heston_call, implied_volatility
from hedgezoo.market_calibration.calibrate_command import Plan, plan
from hedgezoo.market_calibration.model_fit import fit_by_classical
from hedgezoo.market_calibration.neural_sde_fit import (
    NEURAL_SDE,
    NeuralSDEFit,
    heston_beside,
    surface_of,
    typical_volatility,
)
from hedgezoo.market_calibration.quote_panel import panel_of_chain, panel_within

TRUTH = np.array([1.5, 0.05, 0.7, -0.6, 0.03])
MONEYNESS, YEARS = np.array([0.8, 0.9, 1.0, 1.1]), np.array([0.25, 1.0])
NEURAL = ("--model", "neural-sde", "--steps", 2)


def run(*arguments, status=0, **options):
    result = CliRunner().invoke(cli.app, ["calibrate", *map(str, arguments)], **options)
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def quotes(tmp_path_factory):
    calls = heston_call(TRUTH, MONEYNESS, YEARS).numpy()
    sigma = implied_volatility(calls, MONEYNESS, YEARS).numpy()
    lines = ["strike,maturity,bid_vol,ask_vol"]
    lines += [
        f"{100 * k},{t},{sigma[j, i] - 0.002},{sigma[j, i] + 0.002}"
        for j, t in enumerate(YEARS)
        for i, k in enumerate(MONEYNESS)
    ]
    path = tmp_path_factory.mktemp("quotes") / "quotes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def fitted(quotes):
    """One run that writes everything."""
    folder = quotes.parent
    arguments = [quotes, *NEURAL, "--forward", 100, "--held-out", 0.25, "--seed", 3]
    for option, name in (("output", "fit.json"), ("plot", "fit.png"), ("save-to", "preset")):
        arguments += [f"--{option}", folder / name]
    shown = run(*arguments, env={"COLUMNS": "100"}).stdout
    return folder, shown, json.loads((folder / "fit.json").read_text())


def test_json_holds_everything(fitted):
    _, _, result = fitted
    assert result["method"] == result["model"] == "neural_sde"
    assert result["steps"] == 2
    rows = result["quotes"]
    assert [row["line"] for row in rows] == list(range(2, 10))
    held_out = [row for row in rows if row["held_out"]]
    assert len(held_out) == result["held_out_quotes"] == 2
    errors = [row["error_bp"] for row in rows if not row["held_out"]]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(result["rms_bp"])
    by_pde = [1e4 * (row["fitted_by_pde"] - row["implied_volatility"]) for row in held_out]
    assert np.sqrt(np.mean(np.square(by_pde))) == pytest.approx(result["held_out_rms_bp"])
    assert result["pde_rms_bp"] < 10
    assert all((row["standard_error_bp"] is None) == row["held_out"] for row in rows)
    assert all(0 < row["standard_error_bp"] < 20 for row in rows if not row["held_out"])
    assert all(row["spread"] == pytest.approx(0.004) for row in rows)
    missed = [
        row["line"]
        for row in rows
        if not row["held_out"] and abs(row["error_bp"]) > max(20.0, 3 * row["standard_error_bp"])
    ]
    assert result["missed_lines"] == missed
    check = result["check"]
    assert check["method"] == "levenberg_marquardt"
    np.testing.assert_allclose(list(check["parameters"].values()), TRUTH, rtol=1e-4)
    assert check["held_out_rms_bp"] < 1e-2


def test_table_says_what_matters(fitted):
    folder, shown, result = fitted
    assert "8 quotes (column 'bid_vol' and 'ask_vol') at 2 maturities" in shown
    (line,) = (line for line in shown.splitlines() if "quotes fitted" in line)
    assert f"{result['rms_bp']:.2f} ± {result['monte_carlo_bp']:.2f}" in line
    assert "0.00" in line  # Heston's
    (line,) = (line for line in shown.splitlines() if "2 quotes held out" in line)
    assert f"{result['held_out_rms_bp']:.2f}" in line
    assert "Heston, Levenberg-Marquardt" in shown
    assert "onverged: " in shown
    assert "issed by more than half the spread and noise" in shown
    assert "A Heston model, with 5 parameters, fits better: 0.00 bp" in shown
    tables = shown.split("onverged: ")[0].splitlines()[1:]
    assert max(map(len, tables)) <= 100
    assert (folder / "fit.png").read_bytes().startswith(b"\x89PNG")


def test_the_model_can_be_loaded(fitted):
    folder, _, result = fitted
    model = hedgezoo.load(folder / "preset")
    assert f"Wrote {folder / 'preset'}" in fitted[1].replace("\n", "")
    for j, years in enumerate(YEARS):
        priced = model.price_by_pde(MONEYNESS, [years]).implied_volatility[0]
        rows = result["quotes"][4 * j : 4 * j + 4]
        # a grid of another length: close, not equal
        np.testing.assert_allclose(priced, [row["fitted_by_pde"] for row in rows], atol=2e-4)
    # the quotes that it was fitted to are its market
    assert len(model.market) == 6
    assert hedgezoo.evaluate(model, paths=1024)["missed"]["value"] >= 0


def test_csv_has_a_line_for_each_quote(quotes, tmp_path):
    output = tmp_path / "fit.csv"
    arguments = ("--forward", 100, "--held-out", 0, "--no-check", "--output", output, "--json")
    result = run(quotes, *NEURAL, *arguments)
    content = json.loads(result.stdout)
    assert content["check"] is None
    assert content["held_out_rms_bp"] is None
    assert f"Wrote {output}" in result.stderr
    rows = list(csv.DictReader(output.open()))
    assert len(rows) == 8
    assert {row["held_out"] for row in rows} == {"False"}
    assert [float(row["fitted"]) for row in rows] == [row["fitted"] for row in content["quotes"]]


def test_heston_beside_is_fitted_to_the_same_quotes():
    panel = panel_within(panel_of_chain(option_chain("sx5e_2010-03-01")), (0.8, 1.21), (0.1, 0.6))
    held_out = panel.mask & (np.arange(panel.mask.shape[1]) % 5 == 2)
    nothing = np.full(panel.mask.shape, np.nan)
    fit = NeuralSDEFit(None, nothing, nothing, nothing, held_out, seconds=0.0)
    check, held_out_bp = heston_beside(panel, fit, starts=1)
    errors = 1e4 * (check.implied_volatility - panel.implied_volatility)
    inside = panel.mask & ~held_out
    assert np.sqrt(np.mean(errors[inside] ** 2)) == pytest.approx(check.rms_bp, rel=1e-6)
    assert np.sqrt(np.mean(errors[held_out] ** 2)) == pytest.approx(held_out_bp)
    assert np.isnan(check.implied_volatility[~panel.mask]).all()
    whole = fit_by_classical(panel, "heston")
    assert abs(check.parameters[0] - whole.parameters[0]) > 1e-4


def test_quotes_keep_their_order():
    panel = panel_of_chain(option_chain("dax_2002-07-05"))
    surface = surface_of(panel)
    np.testing.assert_array_equal(surface.strikes, panel.strikes[panel.mask])
    np.testing.assert_array_equal(surface.implied_volatility, panel.implied_volatility[panel.mask])
    assert surface.spread is None
    assert 0.2 < typical_volatility(surface) < 0.4
    # bid and ask at one price
    locked = dataclasses.replace(panel, spread=np.zeros(panel.mask.shape))
    assert set(surface_of(locked).spread) == {1e-4}


def test_plans():
    assert plan("neural-sde", steps=10, seed=None) == Plan(
        NEURAL_SDE, NEURAL_SDE, None, {"steps": 10}
    )
    assert plan("neural_sde").training == {}
    assert plan("heston", "l_bfgs_b", steps=None).training is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "neural-sde", "--method", "cma_es"), "has one `method`, 'network'"),
        (("--model", "neural-sde", "--steps", -1), "`steps` must be from 0"),
        (("--model", "neural-sde", "--held-out", 0.7), "`held_out` must be from 0 to 0.5"),
        (("--steps", 10, "--method", "cma_es"), "`steps` is an option of `model` 'neural-sde'"),
        (
            ("--method", "levenberg_marquardt", "--save-to", "x"),
            "`save_to` is an option of `model` 'neural-sde' alone",
        ),
        (("--model", "neural-sde", "--save-to", "FULL"), "must be a new or an empty folder"),
        (("--model", "neural-sde", "--output", "x.txt"), "must end in .json or .csv"),
        (("--model", "neural-sde"), "no forwards"),
    ],
)
def test_errors_are_one_line_before_tensorflow_is_loaded(arguments, message, quotes, monkeypatch):
    monkeypatch.setattr(cli, "_load_tensorflow", lambda: pytest.fail("TensorFlow was loaded"))
    arguments = [quotes.parent if each == "FULL" else each for each in arguments]
    (line,) = run(quotes, *arguments, status=2).stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line


def test_too_few_quotes_name_the_file(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text("strike,maturity,implied_volatility\n100,1,0.2\n90,1,0.21\n")
    (line,) = run(path, *NEURAL, "--forward", 100, status=2).stderr.splitlines()
    assert line == (
        f"Error: {path} must have at least 8 quotes for a neural SDE. "
        "Received: 2 quotes that can be used, 0 that cannot"
    )
