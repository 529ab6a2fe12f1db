"""The work of `hedgezoo calibrate`: a panel of quotes, its fit by one method, and a check of it."""

import dataclasses
import json
import pathlib

import numpy as np

from hedgezoo import presets
from hedgezoo.market_calibration.model_fit import (
    NETWORK,
    Fit,
    fit_by_classical,
    fit_by_network,
    without_nan,
)
from hedgezoo.market_calibration.neural_sde_fit import (
    NEURAL_SDE,
    fit_by_neural_sde,
    heston_beside,
)
from hedgezoo.suggestions import did_you_mean

CHECK = "levenberg_marquardt"
CLASSICAL = ("levenberg_marquardt", "trust_region", "l_bfgs_b", "cma_es", "quantlib")
MODELS = {"heston": "heston_calibrator_v1", "bates": "bates_calibrator_v1"}
_CHECK_STARTS = 4
_BASIS_POINTS = 1e4


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be fitted, and by what; made by `plan`.

    Args:
        method: `"network"`, `"neural_sde"` or a method of `hedgezoo.baselines.calibration`.
        model: `"heston"`, `"bates"` or `"neural_sde"`; None where the preset decides.
        preset: Name or directory of the preset; None of a method that has none.
        training: Options of `fit_by_neural_sde`; None of other methods.
    """

    method: str
    model: str | None
    preset: str | None
    training: dict | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What `hedgezoo calibrate` says; made by `calibrate_panel`.

    Args:
        panel: A `hedgezoo.market_calibration.quote_panel.QuotePanel`.
        fit: The `Fit` that was asked for, or the `NeuralSDEFit`.
        check: The same by Levenberg-Marquardt from several starts, a `Fit`, or None; of a neural
            SDE a Heston model that was fitted to the same quotes.
        arbitrage: Static arbitrage among the quotes, list of `QuoteArbitrage`.
        preset: Name of the preset, or None.
        check_held_out_bp: Error of the check on quotes that were held out, or None.
    """

    panel: object
    fit: object
    check: Fit | None
    arbitrage: list
    preset: str | None = None
    check_held_out_bp: float | None = None

    def as_dict(self):
        """All of it as JSON holds it; NaN becomes None."""
        panel, fit = self.panel, self.fit
        check = None if self.check is None else self.check.as_dict(panel)
        if self.check_held_out_bp is not None:
            check["held_out_rms_bp"] = self.check_held_out_bp
        content = {
            "source": panel.source,
            "date": None if panel.date is None else str(panel.date),
            "quoted_as": list(panel.quoted_as),
            "preset": self.preset,
            **fit.as_dict(panel),
            "check": check,
            "maturities": panel.maturities.tolist(),
            "forwards": panel.forwards.tolist(),
            "forwards_from": panel.forwards_from,
            "quotes": quote_rows(panel, fit),
            "dropped": [quote._asdict() for quote in panel.dropped],
            "arbitrage": [
                {name: value for name, value in found._asdict().items() if name != "panel"}
                for found in self.arbitrage
            ],
        }
        return without_nan(content)


def plan(model="heston", method=NETWORK, **training):
    """Which model and method two words stand for; nothing slow is loaded.

    Args:
        model: `"heston"`, `"bates"`, `"neural-sde"`, or the name or directory of a preset.
        method: `"network"` or a classical method.
        **training: Of a neural SDE alone: `steps`, `seed` and `held_out`, as in
            `hedgezoo.market_calibration.neural_sde_fit.fit_by_neural_sde`; None for its default.

    Returns:
        A `Plan`.

    Raises:
        ValueError: If there is no such preset or method, or an option does not belong to it.

    Example:

    >>> plan("bates", "levenberg_marquardt")
    Plan(method='levenberg_marquardt', model='bates', preset=None, training=None)
    """
    methods = (NETWORK, *CLASSICAL)
    if method not in methods:
        raise ValueError(
            f"`method` must be one of {methods}. Received: method={method!r}."
            f"{did_you_mean(method, methods)}"
        )
    training = {name: value for name, value in training.items() if value is not None}
    if str(model).replace("-", "_") == NEURAL_SDE:
        return _neural_sde_plan(method, training)
    if training:
        raise ValueError(
            f"`{next(iter(training))}` is an option of `model` 'neural-sde' alone. "
            f"Received: model={model!r}"
        )
    if method != NETWORK:
        if model not in MODELS:
            raise ValueError(
                f"`model` must be one of {tuple(MODELS)} for method {method!r}. "
                f"Received: model={model!r}"
            )
        return Plan(method, model, None)
    preset = MODELS.get(model, str(model))
    if not (pathlib.Path(preset) / "preset.json").is_file():
        presets.directory_of(preset)
    return Plan(method, None, preset)


def _neural_sde_plan(method, training):
    if method != NETWORK:
        raise ValueError(
            f"`model` 'neural-sde' has one `method`, {NETWORK!r}. Received: method={method!r}"
        )
    limits = {"steps": (0, np.inf), "held_out": (0.0, 0.5), "seed": (0, 2**31)}
    for name, value in training.items():
        low, high = limits[name]
        if not low <= value <= high:
            raise ValueError(
                f"`{name}` must be from {low:g} to {high:g}. Received: {name}={value!r}"
            )
    return Plan(NEURAL_SDE, NEURAL_SDE, None, training)


def calibrate_quotes(checked, planned, check=True, verbose=0):
    """The same as `calibrate_panel` for a `quote_terms.CheckedQuotes`."""
    from hedgezoo.market_calibration.quote_filter import make_panel

    return calibrate_panel(make_panel(checked), planned, check, verbose=verbose)


def calibrate_panel(panel, planned, check=True, calibrator=None, verbose=0):
    """Fits a panel as planned, and once more by Levenberg-Marquardt.

    Args:
        panel: A `hedgezoo.market_calibration.quote_panel.QuotePanel`.
        planned: A `Plan`.
        check: Whether to run Levenberg-Marquardt beside it, if it is another method.
        calibrator: A `HestonCalibrator` to use instead of loading the preset of the plan.
        verbose: Progress of a training, as in `hedgezoo.training.fit`.

    Returns:
        A `Report`.

    Raises:
        ValueError: If there are fewer quotes than parameters, the preset is no calibrator, or a
            package is missing.
    """
    from hedgezoo.heston_calibrator.panel_quotes import panel_quotes
    from hedgezoo.heston_calibrator.quote_arbitrage import quote_arbitrage

    second = held_out_bp = None
    if planned.method == NEURAL_SDE:
        _require_enough(panel, NEURAL_SDE)
        fit = fit_by_neural_sde(panel, **planned.training, verbose=verbose)
        if check:
            second, held_out_bp = heston_beside(panel, fit, _CHECK_STARTS)
    elif planned.method == NETWORK:
        calibrator = calibrator or _loaded(planned.preset)
        _require_enough(panel, calibrator.model)
        fit = fit_by_network(panel, calibrator)
    else:
        _require_enough(panel, planned.model)
        fit = fit_by_classical(panel, planned.model, planned.method, _CHECK_STARTS)
    if check and planned.method not in (CHECK, NEURAL_SDE):
        second = fit_by_classical(panel, fit.model, CHECK, _CHECK_STARTS)
    quotes = panel_quotes(*panel.arguments)
    return Report(panel, fit, second, quote_arbitrage(quotes), planned.preset, held_out_bp)


def quote_rows(panel, fit):
    """One dictionary per quote: where it is, what is quoted and what is fitted."""
    rows = []
    for j, i in np.argwhere(panel.mask):
        quoted, fitted = panel.implied_volatility[j, i], fit.implied_volatility[j, i]
        row = {
            "line": int(panel.lines[j, i]),
            "maturity": float(panel.maturities[j]),
            "moneyness": float(panel.strikes[j, i]),
            "implied_volatility": float(quoted),
            "fitted": float(fitted),
            "error_bp": float(_BASIS_POINTS * (fitted - quoted)),
        }
        if not np.isnan(panel.forwards[j]):
            row["forward"] = float(panel.forwards[j])
        if panel.spread is not None:
            row["spread"] = float(panel.spread[j, i])
        rows.append(row | {name: grid[j, i].item() for name, grid in fit.columns.items()})
    return rows


def write_report(report, path):
    """Writes a report, whole or not at all: all of it as JSON, or its quotes as CSV.

    A CSV file has a line per quote with the fitted volatility, and the parameters, the same in
    every line, as columns; `hedgezoo.market_calibration.quote_file.read_quotes` reads it.

    Args:
        report: A `Report`.
        path: File name, ending in `.json` or `.csv`.

    Raises:
        ValueError: If the file name ends in anything else.
    """
    path = pathlib.Path(path)
    require_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".json":
        presets.write_text(path, json_report(report) + "\n")
        return
    fit = report.fit
    rows = [row | fit.constants for row in quote_rows(report.panel, fit)]
    lines = [",".join(rows[0]), *(",".join(map(_cell, row.values())) for row in rows)]
    presets.write_text(path, "\n".join(lines) + "\n")


def require_output(path):
    """ValueError unless a report can be written under this name."""
    if pathlib.Path(path).suffix.lower() not in (".json", ".csv"):
        raise ValueError(f"`output` must end in .json or .csv. Received: output={str(path)!r}")


def require_new_folder(planned, directory):
    """ValueError unless a model of this plan can be stored in this folder."""
    directory = pathlib.Path(directory)
    if planned.method != NEURAL_SDE:
        raise ValueError(
            "`save_to` is an option of `model` 'neural-sde' alone. "
            f"Received: save_to={str(directory)!r}"
        )
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise ValueError(
            f"`save_to` must be a new or an empty folder. Received: save_to={str(directory)!r}"
        )


def json_report(report):
    """A report as JSON."""
    return json.dumps(report.as_dict(), indent=1, ensure_ascii=False)


def draw_report(report, path):
    """Writes a picture of the quotes and the fitted smiles, PNG, whole or not at all."""
    from hedgezoo.figures import save
    from hedgezoo.market_calibration.calibration_tables import labelled
    from hedgezoo.market_calibration.smile_plots import smiles

    save(smiles(report.panel, labelled(report)), path)


def save_model(report, directory):
    """Stores the calibrated neural SDE of a report as a preset: a new or empty directory."""
    report.fit.result.model.save_to_preset(directory)


def _loaded(preset):
    from hedgezoo.heston_calibrator import HestonCalibrator

    return presets.load(preset, HestonCalibrator)


def _require_enough(panel, model):
    needed = {"heston": 5, "bates": 8, NEURAL_SDE: 8}[model]
    if len(panel) < needed:
        least = f"as many quotes as {model} has parameters, {needed}"
        if model == NEURAL_SDE:
            least = f"{needed} quotes for a neural SDE"
        raise ValueError(
            f"{panel.source} must have at least {least}. "
            f"Received: {len(panel)} quotes that can be used, {len(panel.dropped)} that cannot"
        )


def _cell(value):
    """A number that reads back as it was; nothing for NaN."""
    return "" if value != value else repr(value)
