"""Figures 1 and 4 of Buehler et al. (2021): implied and discrete local volatility surfaces.

The surfaces are those of the shipped history: level and term structure are the closes of VIX and
VIX3M of the date, the shape of the skew is a fit to one EURO STOXX 50 chain. The paper's dates are
not known; ours are a calm day, the worst day of March 2020 and the last one.
"""

import pathlib

import numpy as np

NAME = "dlv_surfaces"
DATES = ("2017-11-03", "2020-03-16", "last")
STEPS_A_YEAR = 250


def numbers(dates=DATES):
    """Surfaces on a few dates, and by how much they are free of static arbitrage.

    Args:
        dates: ISO dates; each stands for the last one in the history that is not later. `"last"`
            is the end of the history.

    Returns:
        Dictionary: `strikes`, `days` of the maturities, and `dates`: a list of dictionaries `date`,
        `implied_volatility` and `dlv` `(m, n)`, `smallest_probability` of a strike, and
        `smallest_calendar`, the least change of a call price with maturity, per unit of spot.
    """
    from hedgezoo.datasets import market_data
    from hedgezoo.layers.surfaces.discrete_local_volatility import dlv_to_density

    history = market_data.spx_surfaces()
    grid = (history.strikes, history.maturities, history.ghost_strikes)
    found = []
    for date in dates:
        index = -1
        if date != "last":
            index = int(np.searchsorted(history.dates, np.datetime64(date), side="right")) - 1
        density = np.asarray(dlv_to_density(history.dlv[index], *grid))
        calls = history.calls[index]
        first = np.maximum(1.0 - np.asarray(history.strikes), 0.0)
        calendars = np.diff(np.vstack([first, calls]), axis=0)
        found.append(
            {
                "date": str(history.dates[index]),
                "implied_volatility": history.implied_volatility[index].tolist(),
                "dlv": history.dlv[index].tolist(),
                "smallest_probability": float(density.min()),
                "smallest_calendar": float(calendars.min()),
            }
        )
    return {
        "strikes": np.asarray(history.strikes).tolist(),
        "days": [round(year * STEPS_A_YEAR) for year in np.asarray(history.maturities).tolist()],
        "dates": found,
    }


def draw(results, directory):
    """Writes `figure_1.png`, implied volatilities, and `figure_4.png`, discrete local ones.

    Args:
        results: What `numbers` returns.
        directory: Where to.
    """
    from hedgezoo import measure_plots, plots

    directory = pathlib.Path(directory)
    for name, key, label in (
        ("figure_1", "implied_volatility", "implied volatility"),
        ("figure_4", "dlv", "discrete local volatility"),
    ):
        cases = {case["date"]: case[key] for case in results["dates"]}
        figure = measure_plots.surfaces(results["strikes"], results["days"], cases, label)
        plots.save(figure, directory / f"{name}.png")


def run(output, quick=False, seed=0, console=None):
    """Writes `figure_1.png`, `figure_4.png` and `numbers.json`.

    Args:
        output: Folder.
        quick: Without effect: the experiment takes seconds.
        seed: Without effect: nothing is random.
        console: For progress, or None.

    Returns:
        Dictionary of numbers.
    """
    from hedgezoo.experiments.measure_runs import said
    from hedgezoo.experiments.results import results_folder, write_numbers

    with results_folder(output, experiment=NAME) as folder:
        results = numbers()
        for case in results["dates"]:
            said(
                console,
                f"{case['date']}: smallest probability {case['smallest_probability']:.1e}, "
                f"smallest calendar spread {case['smallest_calendar']:.1e}",
            )
        draw(results, folder)
        write_numbers(folder, NAME, results)
    return results
