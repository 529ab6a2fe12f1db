"""The five figures of the experiment, from what was measured."""

import pathlib

import numpy as np

from hedgezoo import calibrator_plots
from hedgezoo.datasets.heston_panels import PAPER_GRID
from hedgezoo.experiments.heston_calibration.accuracy import NAMES, volatilities
from hedgezoo.experiments.heston_calibration.claims import FIGURE_NOISE, NOISES, label_of
from hedgezoo.experiments.heston_calibration.networks import LABELS
from hedgezoo.experiments.heston_calibration.training_cases import BASELINE, PROPOSED
from hedgezoo.figures import save


def draw(training, shown, seconds, directory):
    """Writes the five figures.

    Args:
        training: Numbers of the training runs.
        shown: Panels of the noise of the figures, `panels`, a `HeldOut`; and by name of the
            method calibrated `parameters` and error `maps`.
        seconds: CPU seconds of every panel, method -> list.
        directory: Where to.
    """
    directory = pathlib.Path(directory)
    panels, found = shown["panels"], shown["parameters"]
    strikes, maturities = PAPER_GRID.strikes, PAPER_GRID.maturities
    fitted = {name: volatilities(found[name]) for name in ("paper", "refined")}
    usable = np.where(panels.exact > 0, 1.0, np.nan)
    errors = np.sqrt(np.nanmean((usable * (fitted["paper"] - panels.exact)) ** 2, axis=(1, 2)))
    typical = int(np.argsort(errors)[len(errors) // 2])  # the panel of the median error
    quotes = np.where(panels.mask, panels.quotes, np.nan)
    cases = {
        LABELS[name]: np.stack([_filled(quotes[typical], panels.exact[typical]), values[typical]])
        for name, values in fitted.items()
    }
    save(calibrator_plots.surface(cases, strikes, maturities), directory / "figure_1.png")

    level = np.nanmean(usable * panels.exact, axis=(1, 2))
    for name in fitted:
        title = f"{LABELS[name]}: {len(panels):,} held-out panels, errors of {NOISES[FIGURE_NOISE]}"
        figure = calibrator_plots.scatter(panels.parameters, found[name], NAMES, level, title=title)
        save(figure, directory / f"figure_2_{name}.png")

    maps = {
        f"{LABELS[name]}, to the {where}": shown["maps"][name][key]
        for name in fitted
        for key, where in (("to_quotes", "quotes"), ("to_clean", "exact surface"))
    }
    save(calibrator_plots.heat_map(maps, strikes, maturities), directory / "figure_3.png")
    figure = calibrator_plots.convergence(_convergence(training))
    save(figure, directory / "figure_4.png")
    named = {label_of(name): values for name, values in seconds.items()}
    # of a single thread: what a clock on the wall shows on an idle machine
    title = f"one thread, quotes with errors of {NOISES[FIGURE_NOISE]}"
    figure = calibrator_plots.time_distribution(named, title, "CPU time per panel")
    save(figure, directory / "figure_5.png")


def _filled(quotes, exact):
    """Quotes with the exact volatility where there is none: a mesh needs all of its corners."""
    return np.where(np.isnan(quotes), np.where(exact > 0, exact, np.nan), quotes)


def _convergence(found):
    """Plots of the convergence figure: with the correct penalty, and with the printed one."""
    runs = found["convergence"]
    plots = []
    for form, name, title in (
        ("correct", "proposed", "with the correct penalty"),
        ("paper", "proposed_printed_penalty", "with the penalty as printed"),
    ):
        if name not in runs:
            continue
        curves = {PROPOSED: runs[name], BASELINE: runs["baseline"]}
        plots.append(
            {
                "title": title,
                "curves": {
                    label: {
                        "rmse_bp": [run["rmse_bp"] for run in several],
                        "penalty": [run[f"{form}_penalty"] for run in several],
                    }
                    for label, several in curves.items()
                },
                "references": {
                    "penalty, exact surfaces": found["exact_surfaces"][f"{form}_penalty"]
                },
            }
        )
    return plots
