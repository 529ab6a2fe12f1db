"""Real surfaces: the networks beside Levenberg-Marquardt from several starts, and QuantLib's DAX.

Quotes of the DAX on 5 July 2002 and of the EURO STOXX 50 on 1 March 2010, which are shipped, as a
whole and in part; and of any file that `hedgezoo calibrate` reads.
"""

import pathlib

import numpy as np

from hedgezoo.experiments.real_surfaces_card import card_section
from hedgezoo.market_calibration.calibrate_command import CHECK, MODELS

__all__ = [
    "card_section",
    "draw",
    "fits_of",
    "numbers",
    "quantlib_dax",
    "report",
    "run",
    "surfaces",
]

NAME = "heston_real_markets"
STARTS = 8
CENTRAL_STRIKES = (0.7, 1.2)  # of a user's file, beside all of it
# sum of squares in volatility points, and how far QuantLib's own tests let it be off
QUANTLIB = {"heston": (177.2, 1.0), "bates": (36.6, 2.5)}
_WHOLE = ("DAX 2002-07-05", "EURO STOXX 50 2010-03-01")  # whose figures are on cards


def surfaces(files=()):
    """The panels of quotes, by name.

    Args:
        files: CSV files of quotes, as `hedgezoo.market_calibration.read_quotes` reads them without
            options.

    Returns:
        Dictionary name -> `QuotePanel`.

    Raises:
        ValueError: If a file cannot be read.
    """
    from hedgezoo.datasets.market_data import option_chain
    from hedgezoo.market_calibration.quote_file import read_quotes
    from hedgezoo.market_calibration.quote_panel import panel_of_chain, panel_within

    dax = panel_of_chain(option_chain("dax_2002-07-05"))
    euro_stoxx = panel_of_chain(option_chain("sx5e_2010-03-01"))
    # the outermost of the central strikes are 1.2066 and the like
    central = panel_within(euro_stoxx, (0.8, 1.21), (0.1, 2.3))
    found = {
        _WHOLE[0]: dax,
        f"{_WHOLE[0]} without 13 days": panel_within(dax, (0.0, np.inf), (0.05, np.inf)),
        _WHOLE[1]: euro_stoxx,
        f"{_WHOLE[1]}, 0.1 to 2.3 years, strikes 0.8 to 1.2": central,
    }
    for path in map(pathlib.Path, files):
        found[path.stem] = read_quotes(path)
        central = f"{path.stem}, strikes {CENTRAL_STRIKES[0]} to {CENTRAL_STRIKES[1]}"
        found[central] = panel_within(found[path.stem], CENTRAL_STRIKES)
    return found


def fits_of(panels, calibrators, starts=STARTS, console=None):
    """Every surface fitted by every network and by Levenberg-Marquardt.

    Args:
        panels: Dictionary name -> `QuotePanel`.
        calibrators: List of `HestonCalibrator`.
        starts: Number of starts of Levenberg-Marquardt.
        console: For progress, or None.

    Returns:
        Dictionary name -> dictionary model -> dictionary method -> `Fit`.
    """
    from hedgezoo.experiments.measure_runs import said
    from hedgezoo.market_calibration.model_fit import NETWORK, fit_by_classical, fit_by_network

    found = {}
    for name, panel in panels.items():
        found[name] = {}
        for calibrator in calibrators:
            pair = {
                NETWORK: fit_by_network(panel, calibrator),
                CHECK: fit_by_classical(panel, calibrator.model, starts=starts),
            }
            found[name][calibrator.model] = pair
            said(
                console,
                f"{name}, {calibrator.model}: {pair[NETWORK].rms_bp:.2f} bp, least squares "
                f"{pair[CHECK].rms_bp:.2f} bp",
            )
    return found


def numbers(panels, fits, starts=STARTS):
    """What goes on record of the fits.

    Args:
        panels: Dictionary name -> `QuotePanel`.
        fits: What `fits_of` returns.
        starts: Number of starts of Levenberg-Marquardt.

    Returns:
        Dictionary: `starts`, and `surfaces`: a list of dictionaries `name`, `quotes`, `maturities`
        and `models`: for each model `network`, `levenberg_marquardt` (numbers of each fit) and
        `ratio` of their errors.
    """
    from hedgezoo.market_calibration.model_fit import NETWORK

    rows = []
    for name, panel in panels.items():
        models = {}
        for model, pair in fits[name].items():
            models[model] = {method: fit.as_dict(panel) for method, fit in pair.items()}
            models[model]["ratio"] = pair[NETWORK].rms_bp / pair[CHECK].rms_bp
        rows.append(
            {
                "name": name,
                "quotes": len(panel),
                "maturities": panel.maturities.tolist(),
                "models": models,
            }
        )
    return {"starts": starts, "surfaces": rows}


def quantlib_dax(model="heston"):
    """QuantLib's own test of the DAX surface by our classical methods.

    It rounds maturities to whole weeks, and interpolates the zero rates there.

    Args:
        model: `"heston"` or `"bates"`.

    Returns:
        Dictionary: `published`, `tolerance` and, for each method, the sum of squared errors in
        volatility points squared; QuantLib itself is one of them if it is installed.

    Reference:
        QuantLib, test-suite/hestonmodel.cpp and test-suite/batesmodel.cpp.

    Example:

    >>> found = quantlib_dax()
    >>> abs(found["levenberg_marquardt"] - found["published"]) < found["tolerance"]
    True
    """
    import importlib.util

    from hedgezoo.baselines.calibration import calibrate
    from hedgezoo.datasets.market_data import option_chain

    chain = option_chain("dax_2002-07-05")
    days, first = np.unique(np.round(365 * chain.maturities), return_index=True)
    weeks = 7 * ((np.round(365 * chain.maturities) + 3) // 7)
    rates = np.interp(weeks, [0, *days], [chain.rates[0], *chain.rates[first]])
    years = weeks / 365
    strikes = chain.strikes / (chain.spot * np.exp(rates * years))
    published, tolerance = QUANTLIB[model]
    found = {"published": published, "tolerance": tolerance}
    methods = [CHECK]
    if importlib.util.find_spec("QuantLib"):
        methods.append("quantlib")
    for method in methods:
        fit = calibrate(chain.implied_volatility, strikes, years, method=method, model=model)
        found[method] = float(
            np.sum((100 * (fit.implied_volatility - chain.implied_volatility)) ** 2)
        )
    return found


def draw(panels, fits, directory):
    """Writes `smiles_<surface>.png` and `errors_<surface>.png` for each surface.

    Args:
        panels: Dictionary name -> `QuotePanel`.
        fits: What `fits_of` returns.
        directory: Where to.

    Returns:
        Dictionary name -> end of the file names.
    """
    from hedgezoo.figures import save
    from hedgezoo.market_calibration import smile_plots
    from hedgezoo.market_calibration.calibration_tables import LABELS

    directory, ends = pathlib.Path(directory), {}
    for name, panel in panels.items():
        labelled = {
            f"{model.capitalize()}, {LABELS[method]}": fit
            for model, pair in fits[name].items()
            for method, fit in pair.items()
        }
        ends[name] = _file_name(name)
        save(smile_plots.smiles(panel, labelled), directory / f"smiles_{ends[name]}.png")
        errors = {label: fit.by_maturity(panel) for label, fit in labelled.items()}
        figure = smile_plots.errors_by_maturity(panel.maturities, errors)
        save(figure, directory / f"errors_{ends[name]}.png")
    return ends


def run(output, quick=False, seed=0, console=None, files=()):
    """Writes the figures of every surface and `numbers.json`.

    Args:
        output: Folder.
        quick: Whether Levenberg-Marquardt starts twice instead of eight times.
        seed: Without effect: nothing is random.
        console: For progress, or None.
        files: CSV files of further quotes, see `surfaces`.

    Returns:
        Dictionary of numbers.

    Raises:
        ValueError: If a preset is missing, or a file cannot be read.
    """
    from hedgezoo import presets
    from hedgezoo.experiments.results import results_folder, write_numbers

    starts = 2 if quick else STARTS
    with results_folder(output, experiment=NAME) as folder:
        panels = surfaces(files)
        calibrators = [presets.load(name) for name in MODELS.values()]
        fits = fits_of(panels, calibrators, starts, console)
        results = numbers(panels, fits, starts)
        results["quantlib_dax"] = {model: quantlib_dax(model) for model in MODELS}
        draw(panels, fits, folder)
        write_numbers(folder, NAME, results)
    return results


def report(recipe, model, directory, checkpoint=None):
    """The shipped surfaces by one calibrator: entries of `metadata.json`, and figures.

    Args:
        recipe: Without effect.
        model: The trained `HestonCalibrator`.
        directory: Directory of the preset.
        checkpoint: Without effect: it takes seconds.

    Returns:
        The numbers, under `experiments`; `card_section` says them in words.
    """
    del recipe, checkpoint
    panels = surfaces()
    fits = fits_of(panels, [model])
    results = numbers(panels, fits)
    results["quantlib_dax"] = {model.model: quantlib_dax(model.model)}
    whole = {name: panels[name] for name in _WHOLE}
    figures = pathlib.Path(directory) / "figures"
    figures.mkdir(exist_ok=True)
    results["figures"] = draw(whole, fits, figures)
    return {"experiments": {NAME: results}}


def _file_name(name):
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
