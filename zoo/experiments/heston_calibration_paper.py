"""The evaluation of Song's paper on end-to-end calibration: five figures, metrics, ablations.

Everything is synthetic, on the paper's box of parameters and its grid of 8 maturities and 10
strikes, with exact labels instead of simulated ones. The networks judged are the shipped presets;
what is trained here are the runs of the convergence figure and of the ablations.

In full it takes about an hour of one CPU: 35 minutes for the training runs, the rest for the
accuracy of all methods in four cases of noise and for their times. Training runs that are finished
are kept beside the results, in `<output>.runs`, and not made again.
"""

import pathlib
import tempfile
import time

import numpy as np

from hedgezoo.experiments.heston_calibration.claims import (
    FIGURE_NOISE,
    NOISES,
    card_section,
)

__all__ = ["card_section", "report", "run"]

NAME = "heston_calibration_paper"


def accuracy(models, sizes, seed=0, say=print):
    """How good networks and Levenberg-Marquardt are in every case of noise.

    Args:
        models: Dictionary name -> calibrator.
        sizes: A `Sizes`.
        seed: Of the held-out panels.
        say: Function of a line of progress.

    Returns:
        Tuple of numbers, noise -> method -> dictionary; and what the figures show: `panels` (a
        `HeldOut`), `parameters` and `maps`, name -> array, at the noise of the figures.
    """
    from hedgezoo.experiments.heston_calibration.accuracy import (
        HeldOut,
        by_classical_method,
        by_network,
        judge,
    )

    numbers, shown = {}, {"parameters": {}, "maps": {}}
    for noise in NOISES:
        panels = HeldOut.draw(noise, sizes.held_out_panels, seed)
        found = {name: (by_network(model, panels), panels) for name, model in models.items()}
        few = panels.first(sizes.classical_panels)
        found["levenberg_marquardt"] = by_classical_method(few)[0], few
        numbers[noise] = {}
        for name, (parameters, judged_on) in found.items():
            judged, maps = judge(parameters, judged_on, sizes.density_panels)
            numbers[noise][name] = judged
            if noise == FIGURE_NOISE:
                shown["parameters"][name], shown["maps"][name] = parameters, maps
                shown["panels"] = panels
        say(
            f"{NOISES[noise]}: RMSE to the exact volatility, bp: "
            + ", ".join(f"{name} {x['rmse_bp']:.3g}" for name, x in numbers[noise].items())
        )
    return numbers, shown


def training(sizes, runs, stored, seed=0, say=print):
    """The runs of the convergence figure and of the ablations.

    Args:
        sizes: A `Sizes`.
        runs: `FinishedRuns`.
        stored: Function without arguments that returns the `StoredPanels` of all runs.
        seed: Of the first run's weights.
        say: Function of a line of progress.

    Returns:
        Dictionary of numbers: `convergence`, name -> list of runs; `ablations`, name -> run;
        `exact_surfaces`, the penalties of the true parameters; `cpu_seconds` in all.
    """
    from hedgezoo.experiments.heston_calibration import training_runs
    from hedgezoo.experiments.heston_calibration.training_cases import (
        ABLATIONS,
        CONVERGENCE,
        ONE_SEED,
    )

    validation = training_runs.Validation(sizes.validation_panels)
    ablations = ABLATIONS if sizes.ablations is None else sizes.ablations
    jobs = [
        (CONVERGENCE[name], case_seed, sizes.epochs)
        for name in sizes.convergence
        for case_seed in sizes.seeds[: 1 if name in ONE_SEED else None]
    ]
    jobs += [(ABLATIONS[name], sizes.seeds[0], sizes.ablation_epochs) for name in ablations]
    found, spent = {}, 0.0
    for number, (case, case_seed, epochs) in enumerate(jobs, 1):
        case = case.small() if sizes.small else case
        settings = {
            **case.settings(),
            "seed": seed + case_seed,
            "epochs": epochs,
            "training_panels": sizes.training_panels,
            "validation_panels": sizes.validation_panels,
            "batch_size": sizes.batch_size,
            "noise": training_runs.NOISE,
        }

        def compute(case=case, case_seed=case_seed, epochs=epochs):
            arguments = (case, stored(), validation, epochs, sizes.batch_size)
            return training_runs.train(*arguments, seed + case_seed)

        name = f"{case.name}-{seed + case_seed}-{epochs}"
        result, kept = runs.result(name, settings, compute)
        found.setdefault((case.name, epochs), []).append(result)
        spent += result["cpu_seconds"]
        say(
            f"training {number} of {len(jobs)}, {case.name}, seed {seed + case_seed}: "
            f"{result['rmse_bp'][-1]:.1f} bp after {epochs} epochs, "
            + ("kept from before" if kept else f"{result['cpu_seconds']:.0f} CPU-s")
        )
    return {
        "convergence": {name: found[name, sizes.epochs] for name in sizes.convergence},
        "ablations": {name: found[name, sizes.ablation_epochs][0] for name in ablations},
        "exact_surfaces": validation.penalties(validation.panels.parameters),
        "cpu_seconds": spent,
    }


def times(models, sizes, seed=0, own_process=True):
    """Calibration times of all methods.

    Args:
        models: Dictionary name -> calibrator.
        sizes: A `Sizes`.
        seed: Of the panels.
        own_process: As in `timing.measure`.

    Returns:
        Tuple of numbers and of the CPU seconds of every panel, method -> list.
    """
    from hedgezoo.experiments.heston_calibration.timing import measure

    with tempfile.TemporaryDirectory() as folder:
        found = measure(models, folder, sizes, seed, own_process)
    methods = {}
    for name, result in found["methods"].items():
        seconds = np.array(result["seconds"])
        methods[name] = {
            "panels": len(seconds) * (sizes.at_once if name.endswith("_batched") else 1),
            "median_ms": float(1e3 * np.median(seconds)),
            "p95_ms": float(1e3 * np.quantile(seconds, 0.95)),
            "median_cpu_ms": float(1e3 * np.median(result["cpu_seconds"])),
            "p95_cpu_ms": float(1e3 * np.quantile(result["cpu_seconds"], 0.95)),
        }
        if "rms_bp" in result:
            methods[name]["median_rms_bp"] = float(np.median(result["rms_bp"]))
            methods[name]["converged"] = float(np.mean(result["converged"]))
    numbers = {**found, "methods": methods, "at_once": sizes.at_once}
    return numbers, {name: result["cpu_seconds"] for name, result in found["methods"].items()}


def evaluate(directory, store, quick=False, seed=0, console=None, given=None):
    """Everything: numbers, and figures in a folder.

    Args:
        directory: Where the figures go.
        store: Folder of finished training runs, or None.
        quick: Whether to run it in small.
        seed: Of held-out panels and initial weights.
        console: For progress, or None.
        given: Dictionary of models that take the place of presets.

    Returns:
        Dictionary of numbers, the arguments of `card_section`.
    """
    from hedgezoo.experiments.finished_runs import FinishedRuns
    from hedgezoo.experiments.heston_calibration.drawing import draw
    from hedgezoo.experiments.heston_calibration.networks import calibrators
    from hedgezoo.experiments.heston_calibration.sizes import FULL, QUICK
    from hedgezoo.experiments.heston_calibration.training_runs import StoredPanels
    from hedgezoo.experiments.measure_runs import said

    sizes = QUICK if quick else FULL
    began = time.monotonic()
    kept = []

    def say(text):
        said(console, f"{(time.monotonic() - began) / 60:5.1f} min  {text}")

    def stored():
        if not kept:
            kept.append(StoredPanels(sizes.training_panels))
        return kept[0]

    if not quick:
        say("about an hour of one CPU in all, 35 minutes of it for 14 training runs")
    trained = training(sizes, FinishedRuns(store), stored, seed, say)
    models, sources = calibrators(sizes, stored, given)
    say("judging " + ", ".join(f"{name} ({source})" for name, source in sources.items()))
    judged, shown = accuracy(models, sizes, seed, say)
    say("taking times")
    served = {name: models[name] for name in sizes.served}
    timed, seconds = times(served, sizes, seed, own_process=not quick)
    numbers = {
        "settings": {"sizes": sizes.as_dict(), "seed": seed, "quick": quick},
        "accuracy": judged,
        "training": trained,
        "times": timed,
        "networks": sources,
    }
    draw(trained, shown, seconds, directory)
    return numbers


def run(output, quick=False, seed=0, console=None):
    """The whole evaluation: `figure_1.png` ... `figure_5.png` and `numbers.json`.

    Args:
        output: Folder. Training runs that are finished are kept beside it, in `<output>.runs`.
        quick: Whether to run it in small, with small networks instead of the presets.
        seed: Seed of held-out panels and initial weights.
        console: For progress, or None.

    Returns:
        Dictionary of numbers.
    """
    from hedgezoo.experiments.results import keep_results

    return keep_results(output, NAME, evaluate, quick, seed, console)


def report(recipe, model, directory, checkpoint=None):
    """The evaluation with the model of a recipe as the paper's network: entries of its metadata.

    Args:
        recipe: The recipe; not used.
        model: Its trained model, of variant `"paper"`.
        directory: Directory of the preset.
        checkpoint: Directory from which killed training runs resume, or None.

    Returns:
        Dictionary with `experiments`; `card_section` says it in words.
    """
    del recipe
    store = None if checkpoint is None else pathlib.Path(checkpoint) / NAME
    numbers = evaluate(pathlib.Path(directory) / "figures", store, given={"paper": model})
    return {"experiments": {NAME: numbers}}
