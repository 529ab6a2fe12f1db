"""What a neural SDE finds in data whose dynamics are known.

Four surfaces are calibrated from the same start: CEV (leverage), Heston (leverage, through its
exact Markovian projection), a flat volatility (a placebo: nothing to find) and Heston with a
variance far from its mean (mean reversion). A fifth model is fitted to a simulated history,
because a surface does not tell how volatility clusters. What is found is put beside the truth.

In full it takes about three minutes of one CPU. Calibrations that are finished are kept beside the
results, in `<output>.runs`, and not made again.
"""

import dataclasses
import pathlib

import numpy as np

from hedgezoo.experiments.neural_sde_cases import CASES, FULL, QUICK, calibrated
from hedgezoo.experiments.neural_sde_claims import card_section, gates, number_or_none, told
from hedgezoo.experiments.results import card_report, keep_results

__all__ = ["card_section", "report", "run"]

NAME = "neural_sde_structure"
TIMES = np.linspace(0.1, 1.0, 10)
SLOPE_TIMES = np.array([0.25, 0.5, 1.0])
REVERSION_TIMES = np.linspace(0.05, 1.0, 20)
HISTORY = (3.0, 0.04, 0.4, -0.7, 0.04)
LAGS = (1, 5, 20, 60)
_TRUTH_SEED = 1000


def structure_of(model, case, sizes, seed=0):
    """What a calibrated model contains, beside the truth.

    Args:
        model: A `NeuralSDE`.
        case: Its `Case`.
        sizes: A `Sizes`.
        seed: Of the paths.

    Returns:
        Tuple of a dictionary of numbers, and of a dictionary of what figures show.
    """
    from hedgezoo.neural_sde import structure

    comparison = structure.compare_volatility(model, case.volatility, TIMES)
    slopes = structure.leverage(model, SLOPE_TIMES)
    exact_slopes = exact_slope(case.volatility, SLOPE_TIMES)
    reversion = structure.mean_reversion(model, REVERSION_TIMES, sizes.paths // 4, seed)
    martingale = structure.martingale(model, case.quotes().expiries, sizes.paths, seed)
    numbers = {
        "rms_within_1_deviation": comparison.rms(1.0),
        "rms_within_2_deviations": comparison.rms(2.0),
        "times": SLOPE_TIMES.tolist(),
        "slope": slopes.slope.tolist(),
        "exact_slope": exact_slopes.tolist(),
        "elasticity": slopes.mean_elasticity,
        "variance_moved": reversion.moved,
        "kappa": number_or_none(reversion.kappa),
        "kappa_error": number_or_none(reversion.kappa_error),
        "theta": number_or_none(reversion.theta),
        "v0": number_or_none(reversion.v0),
        "martingale_z": martingale.worst,
    }
    exact_variance = None
    if case.variance is not None:
        exact_variance = case.variance(REVERSION_TIMES)
        miss = reversion.variance / exact_variance - 1.0
        numbers["variance_rms"] = float(np.sqrt(np.mean(miss**2)))
    curve = structure.leverage(model, TIMES)
    shown = {
        "comparison": comparison,
        "leverage": (curve, exact_slope(case.volatility, TIMES)),
        "reversion": (reversion, exact_variance),
        "map": structure.volatility_map(
            model, np.linspace(0.01, 1.0, 61), paths=sizes.paths // 4, seed=seed
        ),
    }
    return numbers, shown


def exact_slope(volatility, times, step=1e-4):
    """Derivative of the true σ in log S at the money, `(n,)`."""
    times = np.asarray(times)
    up, down = (volatility(np.full(times.shape, x), times) for x in (step, -step))
    return (up - down) / (2.0 * step)


def memory_of(sizes, seed=0):
    """Clustering and lagged leverage of a model of a Heston history, beside Heston's own.

    Args:
        sizes: A `Sizes`.
        seed: Of the history, of the weights and of the paths.

    Returns:
        Tuple of a dictionary of numbers, and of the pair of dictionaries that the figure shows.
    """
    import keras

    from hedgezoo.datasets import DailyHistory
    from hedgezoo.neural_sde import structure
    from hedgezoo.neural_sde.historical import fit_history, historical_model

    keras.utils.set_random_seed(seed)
    history = DailyHistory.heston(HISTORY, years=sizes.history_years, seed=seed)
    model = historical_model(history)
    fit = fit_history(model, history, epochs=sizes.history_epochs, seed=seed, verbose=0)
    # one long path in pieces is a sample from the stationary law
    years = sizes.daily_paths * sizes.daily_years / 4
    truth = DailyHistory.heston(HISTORY, years=years, seed=_TRUTH_SEED + seed).returns
    days = round(252 * sizes.daily_years)
    truth = truth[: len(truth) // days * days].reshape(-1, days)
    returns = {
        "Heston": truth,
        "its history": history.returns,
        "neural SDE": structure.daily_returns(model, sizes.daily_years, sizes.daily_paths, seed),
    }
    lags = [lag for lag in LAGS if lag + 8 <= days]
    clustering = {name: structure.clustering(each, lags) for name, each in returns.items()}
    lagged = {name: structure.lagged_leverage(each, lags) for name, each in returns.items()}
    numbers = {
        "lags": lags,
        "history_years": sizes.history_years,
        "log_likelihood": fit.log_likelihood,
        **{
            key: {
                name: {
                    "value": each.value.tolist(),
                    "stderr": [number_or_none(error) for error in each.standard_error.tolist()],
                }
                for name, each in found.items()
            }
            for key, found in (("clustering", clustering), ("lagged_leverage", lagged))
        },
    }
    return numbers, (clustering, lagged)


def evaluate(directory, store=None, quick=False, seed=0, console=None):
    """Everything: numbers, and figures in a folder.

    Args:
        directory: Where the figures go.
        store: Folder of finished calibrations, or None.
        quick: Whether to run it in small.
        seed: Of weights and paths.
        console: For progress, or None.

    Returns:
        Dictionary of numbers, the arguments of `card_section`.
    """
    from hedgezoo.experiments.finished_runs import FinishedRuns
    from hedgezoo.experiments.measure_runs import said

    sizes = QUICK if quick else FULL
    runs, cases, shown = FinishedRuns(store), {}, {}
    for name, case in CASES.items():
        model, summary, kept = calibrated(case, sizes, seed, runs, name)
        numbers, shown[name] = structure_of(model, case, sizes, seed)
        cases[name] = {"title": case.title, "calibration": summary, "structure": numbers}
        said(
            console,
            f"{case.title}: {summary['pde_error_bp']:.2f} bp, σ off by "
            f"{100 * numbers['rms_within_1_deviation']:.2g} % within one deviation"
            + (", kept from before" if kept else f", {summary['cpu_seconds']:.0f} CPU-s"),
        )
    memory, shown["memory"] = memory_of(sizes, seed)
    passed = gates(cases, memory)
    for gate in passed:
        mark = "passed" if gate["passed"] else "MISSED"
        said(console, f"{mark}  {gate['claim']}: {told(gate['value'])} (at most {gate['limit']})")
    draw(shown, directory)
    settings = {"seed": seed, "quick": quick, **dataclasses.asdict(sizes)}
    return {"settings": settings, "cases": cases, "memory": memory, "gates": passed}


def draw(shown, directory):
    """Writes the figures.

    Args:
        shown: Dictionary name of a case -> what `structure_of` shows, and `memory`.
        directory: Where to.
    """
    from hedgezoo.figures import save
    from hedgezoo.neural_sde import structure_plots as plots

    directory = pathlib.Path(directory)

    def each(key, names):
        return {CASES[name].title: shown[name][key] for name in names}

    clustering, lagged = shown["memory"]
    figures = {
        "learned_volatility": plots.heat_maps(each("map", CASES)),
        "learned_leverage": plots.leverage_curves(
            each("leverage", ("cev", "heston", "black_scholes"))
        ),
        "learned_mean_reversion": plots.mean_reversion_curves(each("reversion", ("reverting",))),
        "learned_memory": plots.autocorrelations(clustering, lagged, ("Heston",)),
        **{
            f"slices_{name}": plots.slices(shown[name]["comparison"])
            for name in ("cev", "heston", "reverting")
        },
    }
    for name, figure in figures.items():
        save(figure, directory / f"{name}.png")


def run(output, quick=False, seed=0, console=None):
    """Writes the figures and `numbers.json`.

    Args:
        output: Folder. Calibrations that are finished are kept beside it, in `<output>.runs`.
        quick: Whether to run it in small, in seconds.
        seed: Of weights and paths.
        console: For progress, or None.

    Returns:
        Dictionary of numbers.
    """
    return keep_results(output, NAME, evaluate, quick, seed, console)


report = card_report(NAME, evaluate)
