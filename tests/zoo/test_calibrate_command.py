"""`hedgezoo calibrate`: from a file of quotes to parameters on a terminal, in JSON, CSV and PNG."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hedgezoo import cli, presets
from hedgezoo.baselines.calibration import METHODS
from hedgezoo.datasets.market_data import option_chain
from hedgezoo.heston_calibrator import HestonCalibrator
from hedgezoo.layers import heston_call, implied_volatility
from hedgezoo.market_calibration import calibrate_command
from hedgezoo.market_calibration.calibrate_command import Plan, plan
from hedgezoo.market_calibration.model_fit import fit_by_classical, fit_by_network
from hedgezoo.market_calibration.quote_file import read_quotes
from hedgezoo.market_calibration.quote_panel import panel_of_chain

TRUTH = np.array([1.5, 0.05, 0.7, -0.6, 0.03])
MONEYNESS, YEARS = np.array([0.8, 0.9, 1.0, 1.1, 1.2]), np.array([0.25, 1.0, 2.0])
LM = ("--method", "levenberg_marquardt")


def run(*arguments, status=0, **options):
    result = CliRunner().invoke(cli.app, ["calibrate", *map(str, arguments)], **options)
    assert result.exit_code == status, result.output
    return result


def write_quotes(path, error=None, extra=""):
    calls = heston_call(TRUTH, MONEYNESS, YEARS).numpy()
    sigma = implied_volatility(calls, MONEYNESS, YEARS).numpy()
    sigma = (sigma if error is None else sigma + error).tolist()
    lines = ["strike,maturity,implied_volatility"]
    lines += [
        f"{100 * k!r},{t!r},{sigma[j][i]!r}"
        for j, t in enumerate(YEARS.tolist())
        for i, k in enumerate(MONEYNESS.tolist())
    ]
    path.write_text("\n".join(lines) + "\n" + extra)
    return path


@pytest.fixture
def quotes(tmp_path):
    return write_quotes(tmp_path / "quotes.csv")


@pytest.fixture(scope="module")
def calibrator():
    """Not trained: its first proposal is a guess, its steps are the same."""
    return HestonCalibrator()


# ------------------------------------------------------------------------------------ a fit


def test_json_holds_everything(quotes):
    result = json.loads(run(quotes, "--forward", 100, *LM, "--json").stdout)
    np.testing.assert_allclose(list(result["parameters"].values()), TRUTH, rtol=1e-6)
    assert result["rms_bp"] < 1e-5
    assert result["feller_ratio"] == pytest.approx(2 * 1.5 * 0.05 / 0.49)
    assert result["maturities"] == YEARS.tolist()
    assert result["forwards"] == [100.0] * 3
    assert result["model"] == "heston"
    assert result["check"] is None
    assert result["outside_training_box"] is None
    assert result["dropped"] == result["arbitrage"] == []
    rows = result["quotes"]
    assert [row["line"] for row in rows] == list(range(2, 17))
    assert all(abs(row["fitted"] - row["implied_volatility"]) < 1e-9 for row in rows)


def test_table_says_what_matters(tmp_path):
    error = np.zeros((3, 5))
    error[1, 2] = 0.05
    path = write_quotes(tmp_path / "quotes.csv", error, extra="100,1,0.2\n110,1,\n")
    output = run(path, "--forward", 100, "--method", "l_bfgs_b", env={"COLUMNS": "100"}).stdout
    fit = fit_by_classical(read_quotes(path, forward=100.0), "heston")
    assert "15 quotes (column 'implied_volatility') at 3 maturities" in output
    (line,) = (line for line in output.splitlines() if line.strip().startswith("kappa"))
    assert "speed of mean reversion" in line
    assert f"{fit.parameters[0]:.1f}" in line
    assert "±" in line
    assert f"{fit.rms_bp:.2f} bp" in output
    assert "L-BFGS-B" in output
    assert "Levenberg-Marquardt" in output
    assert "Left out: 2" in output
    assert "line 17 (strike 100, 1.00 years): repeats the strike of line 9" in output
    assert "line 18 (strike 110, 1.00 years): no implied volatility" in output
    assert "Arbitrage in the quotes" in output
    assert "butterfly at 1.00 years, strike 1 times the forward" in output
    assert "< 1, violated: the variance can reach zero" in output
    assert max(map(len, output.splitlines()[4:20])) <= 100


def test_a_worse_fit_is_called_worse(quotes, monkeypatch):
    def stopped_early(panel, model, method="levenberg_marquardt", starts=1):
        fit = fit_by_classical(panel, model)
        if method == "levenberg_marquardt":
            return fit
        return dataclasses.replace(fit, method=method, rms_bp=12.0, converged=False)

    monkeypatch.setattr(calibrate_command, "fit_by_classical", stopped_early)
    output = run(quotes, "--forward", 100, "--method", "trust_region").stdout
    assert "Levenberg-Marquardt finds a better fit: 0.00 bp instead of 12.00 bp" in output
    assert "Not converged" in output
    output = run(quotes, "--forward", 100, "--method", "trust_region", "--no-check").stdout
    assert "finds a better fit" not in output


def test_network_beside_levenberg_marquardt(quotes, calibrator, monkeypatch, tmp_path):
    monkeypatch.setattr(presets, "directory_of", lambda name: tmp_path / name)
    monkeypatch.setattr(presets, "load", lambda name, expected: calibrator)
    output = tmp_path / "fit.json"
    shown = run(quotes, "--forward", 100, "--output", output).stdout
    assert f"Wrote {output}" in shown.replace("\n", "")
    assert "Inside the box of parameters" in shown
    result = json.loads(output.read_text())
    assert result["method"] == "network"
    assert result["preset"] == "heston_calibrator_v1"
    assert result["check"]["method"] == "levenberg_marquardt"
    for found in (result, result["check"]):
        np.testing.assert_allclose(list(found["parameters"].values()), TRUTH, rtol=1e-4)
        assert found["rms_bp"] < 1e-2


def test_network_takes_spreads_as_the_check_does(calibrator):
    """Weights decide where quotes disagree: one bad quote is of no weight by its spread."""
    calls = heston_call(TRUTH, MONEYNESS, YEARS).numpy()
    sigma = implied_volatility(calls, MONEYNESS, YEARS).numpy()
    sigma[1, 2] += 0.01
    spread = np.full(sigma.shape, 1e-4)
    spread[1, 2] = 0.1
    grid = {"strikes": np.tile(MONEYNESS, (3, 1)), "maturities": YEARS, "spread": spread}
    grid |= {"implied_volatility": sigma, "mask": np.ones((3, 5), bool)}
    panel = dataclasses.replace(panel_of_chain(option_chain("dax_2002-07-05")), **grid)
    exact = fit_by_network(panel, calibrator)
    classical = fit_by_classical(panel, "heston")
    np.testing.assert_allclose(classical.parameters, TRUTH, rtol=1e-3)
    np.testing.assert_allclose(exact.parameters, classical.parameters, rtol=1e-3)
    np.testing.assert_allclose(exact.standard_error, classical.standard_error, rtol=0.1, atol=1e-8)


# --------------------------------------------------------------------------------- files written


def test_csv_can_be_read_again(quotes, tmp_path):
    output = tmp_path / "folder" / "fit.csv"
    run(quotes, "--forward", 100, *LM, "--output", output)
    rows = list(csv.DictReader(output.open()))
    assert len(rows) == 15
    assert {float(row["kappa"]) for row in rows} == {float(rows[0]["kappa"])}
    assert float(rows[3]["fitted"]) == pytest.approx(float(rows[3]["implied_volatility"]))
    first, again = read_quotes(quotes, forward=100.0), read_quotes(output)
    for one, other in zip(first.arguments[:4], again.arguments[:4], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-15)


def test_chain_of_the_tour(tmp_path):
    path, picture = tmp_path / "quotes.csv", tmp_path / "smiles.png"
    option_chain("sx5e_2010-03-01").to_csv(path)
    result = run(path, *LM, "--json", "--plot", picture)
    content = json.loads(result.stdout)
    assert content["date"] == "2010-03-01"
    assert content["rms_bp"] == pytest.approx(61.69, abs=0.01)
    assert f"Wrote {picture}" in result.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_nothing_is_left_of_a_failed_write(quotes, tmp_path, monkeypatch):
    output = tmp_path / "fit.json"
    output.write_text("as it was")

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(presets.os, "replace", fail)
    result = run(quotes, "--forward", 100, *LM, "--output", output, status=2)
    assert "disk full" in result.stderr
    assert output.read_text() == "as it was"


# ----------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.csv", *LM), "No such file or directory: 'missing.csv'"),
        (("QUOTES", *LM), "no forwards"),
        (("QUOTES", *LM, "--forward", -1), "`forward` must be a positive number"),
        (("QUOTES", *LM, "--forward", 100, "--percent"), "do not look like percent"),
        (("QUOTES", *LM, "--forward", 100, "--output", "x.txt"), "must end in .json or .csv"),
        (("QUOTES", "--method", "levenberg"), "Did you mean 'levenberg_marquardt'"),
        (("QUOTES", *LM, "--model", "sabr"), "`model` must be one of ('heston', 'bates')"),
        (("QUOTES", "--model", "heston_calibratr_v1"), "Unknown preset 'heston_calibratr_v1'"),
    ],
)
def test_errors_are_one_line_before_tensorflow_is_loaded(
    arguments, message, quotes, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_load_tensorflow", lambda: pytest.fail("TensorFlow was loaded"))
    arguments = [quotes if each == "QUOTES" else each for each in arguments]
    (line,) = run(*arguments, status=2).stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line


@pytest.mark.multiprocess
def test_a_wrong_file_does_not_wait_for_tensorflow(run_python, tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text("strike,maturity\n100,1\n")
    output = run_python(
        f"""
        import sys
        from hedgezoo import cli
        sys.argv[1:] = ["calibrate", {str(path)!r}, "--method", "levenberg_marquardt"]
        try:
            cli.main()
        except SystemExit as stop:
            print(stop.code, "tensorflow" in sys.modules, "keras" in sys.modules)
        """
    )
    assert output.splitlines()[-1] == "2 False False"


def test_too_few_quotes_name_the_file(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text("strike,maturity,implied_volatility\n100,1,0.2\n90,1,0.21\n80,1,\n")
    (line,) = run(path, "--forward", 100, *LM, status=2).stderr.splitlines()
    assert line == (
        f"Error: {path} must have at least as many quotes as heston has parameters, 5. "
        "Received: 2 quotes that can be used, 1 that cannot"
    )


def test_plans():
    assert plan("bates", "l_bfgs_b") == Plan("l_bfgs_b", "bates", None)
    assert set(calibrate_command.CLASSICAL) <= set(METHODS)


def test_a_preset_that_is_no_calibrator(quotes):
    (line,) = run(
        quotes, "--forward", 100, "--model", "no_transaction_band_european_v1", status=2
    ).stderr.splitlines()
    assert "holds a NoTransactionBand, not a HestonCalibrator" in line
