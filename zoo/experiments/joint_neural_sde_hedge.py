"""Do dynamics and hedge regularise each other? Joint training on thin, noisy quotes.

A neural SDE with a second factor and its hedges are trained on a few quotes of a Heston surface
with noise: apart (mode `control`, in which the SDE hears nothing of the hedge), together (mode
`cooperative`, at several couplings) and against each other (`adversarial`). Then both are judged on
what they have not seen: the clean surface, and the Heston market itself.
"""

import dataclasses
import pathlib
import time

import numpy as np

from hedgezoo.figures import styled

NAME = "joint_neural_sde_hedge"
MATURITIES = (1 / 6, 0.5, 1.0)
STRIKES = (0.8, 0.9, 1.0, 1.1, 1.2)
APART = "control"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large the experiment is.

    Args:
        couplings: Of the cooperative runs, in bp² (see `JointNeuralSDEHedge`), rising.
        seeds: Of noise, weights and paths, for each coupling and for `control`.
        adversarial_seeds: Of the adversarial runs.
        adversarial_bp: Error to the noisy quotes that these may make.
        noise_bp: Standard deviation of the noise of a quote.
        steps: Training steps.
        paths: Paths per step.
        evaluation_paths: Paths of prices.
        hedge_paths: Paths on which hedges are judged.
        units: Widths of the SDE's networks.
    """

    couplings: tuple = (3000.0, 30000.0)
    seeds: tuple = (1, 2, 3)
    adversarial_seeds: tuple = (1,)
    adversarial_bp: float = 45.0
    noise_bp: float = 30.0
    steps: int = 120
    paths: int = 1024
    evaluation_paths: int = 2**14
    hedge_paths: int = 2**12
    units: tuple = (64, 64)


QUICK = Sizes(
    couplings=(3000.0,),
    seeds=(1,),
    adversarial_seeds=(),
    steps=2,
    paths=64,
    evaluation_paths=256,
    hedge_paths=512,
    units=(8,),
)
# what is reported of a run, and whether less is better
MEASURES = {
    "fitted_bp": "error to the noisy quotes, bp",
    "held_out_bp": "error to the clean surface elsewhere, bp",
    "own_hedge": "hedge error along own paths, %",
    "afterwards_hedge": "the same, hedge trained afterwards, %",
    "market_hedge": "hedge error in the Heston market, %",
    "volatility_noise": "volatility of volatility beyond the spot's",
    "volatility_explained": "R² of volatility on spot",
}


def trained(sizes, mode, coupling, seed, afterwards=False):
    """One joint training on noisy quotes, and how it fares on what it has not seen.

    Hedge errors are means over the fitted options of `sd(payoff - gains) / sd(payoff)`.

    Args:
        sizes: `Sizes`.
        mode: As of `JointNeuralSDEHedge`.
        coupling: Of the cooperative mode, else None.
        seed: Of noise, weights and paths.
        afterwards: Whether another hedge is trained on the frozen dynamics.

    Returns:
        Dictionary of the `MEASURES`, None of what was not measured, and `cpu_seconds`.
    """
    from hedgezoo import training
    from hedgezoo.datasets import SurfaceQuotes
    from hedgezoo.datasets.surface_quotes import BASIS_POINT, HESTON_PARAMETERS
    from hedgezoo.gradient_recipe import decaying_adam
    from hedgezoo.neural_sde.calibration_result import root_mean_square, simulated_errors
    from hedgezoo.neural_sde.hedge_trials import hedge_trained_afterwards, heston_hedge_deviations
    from hedgezoo.neural_sde.identification import volatility_dynamics
    from hedgezoo.neural_sde.joint import JointNeuralSDEHedge
    from hedgezoo.neural_sde.joint_evaluation import hedge_outcomes

    began = time.process_time()
    clean = SurfaceQuotes.heston(strikes=STRIKES, maturities=MATURITIES)
    quotes = clean.with_noise(sizes.noise_bp, seed)
    model = JointNeuralSDEHedge(
        quotes,
        sde={"units": sizes.units, "concentration": 1.0, "options": {"seed": seed}},
        mode=mode,
        tolerance_bp=sizes.adversarial_bp,
        hedge_steps=2 if mode == "adversarial" else 1,
        hedge={"seed": seed},
        **({} if coupling is None else {"coupling": coupling}),
    )
    model.compile(decaying_adam(1e-2, sizes.steps))
    training.fit(
        model,
        model,
        epochs=1,
        steps_per_epoch=sizes.steps,
        batch_size=sizes.paths,
        seed=seed,
        verbose=0,
    )
    surface = SurfaceQuotes.heston()
    known = quoted(surface)
    volatility, errors, _ = simulated_errors(model.sde, surface, sizes.evaluation_paths, seed=seed)
    to_quotes = (volatility[known] - np.asarray(quotes.implied_volatility)) / BASIS_POINT
    own = hedge_outcomes(model, sizes.hedge_paths, seed=seed).deviations()
    other = None
    if afterwards:
        network = hedge_trained_afterwards(model, sizes.steps, sizes.paths, seed=seed + 1000)
        other = hedge_outcomes(model, sizes.hedge_paths, seed, network).deviations()
        other = 100 * float(np.nanmean(other))
    market = heston_hedge_deviations(model, HESTON_PARAMETERS, sizes.hedge_paths, seed=seed)
    dynamics = volatility_dynamics(model.sde)
    return {
        "fitted_bp": root_mean_square(to_quotes),
        "held_out_bp": root_mean_square(errors[~known]),
        "own_hedge": 100 * float(np.nanmean(own)),
        "afterwards_hedge": other,
        "market_hedge": 100 * float(np.nanmean(market)),
        "volatility_noise": dynamics.noise,
        "volatility_explained": dynamics.explained,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def quoted(surface):
    """Which quotes of a surface were given with noise, booleans `(N,)`; the others are held out."""
    near = [
        np.any(np.abs(np.subtract(own, others)) < 1e-9, axis=1)
        for own, others in (
            (np.asarray(surface.strikes)[:, np.newaxis], STRIKES),
            (np.asarray(surface.maturities)[:, np.newaxis], MATURITIES),
        )
    ]
    return near[0] & near[1]


def measure(sizes, runs, seed=0, say=print):
    """All trainings.

    Args:
        sizes: `Sizes`.
        runs: `FinishedRuns`.
        seed: Added to the seeds of the runs.
        say: Function of a line of progress.

    Returns:
        Dictionary: `runs`, a list, and what `summary` makes of it.
    """
    arms = [(APART, None), *(("cooperative", coupling) for coupling in sizes.couplings)]
    jobs = [(*arm, each) for each in sizes.seeds for arm in arms]
    jobs += [("adversarial", None, each) for each in sizes.adversarial_seeds]
    rows = []
    for mode, coupling, each in jobs:
        arm = {"mode": mode, "coupling": coupling, "seed": seed + each}
        name = f"{mode}-{coupling or 0:g}-{seed + each}"
        afterwards = each == sizes.seeds[0]
        found, kept = runs.result(
            name,
            {**dataclasses.asdict(sizes), **arm},
            lambda arm=arm, afterwards=afterwards: trained(sizes, **arm, afterwards=afterwards),
        )
        rows.append({**arm, **found})
        say(
            f"{name}: quotes {found['fitted_bp']:.0f}, held out {found['held_out_bp']:.0f} bp; "
            f"hedge {found['own_hedge']:.1f}, in the market {found['market_hedge']:.1f} %"
            + (" (kept from before)" if kept else f", {found['cpu_seconds']:.0f} CPU-s")
        )
    return {"runs": rows, **summary(rows)}


def summary(rows):
    """Means by arm, differences to separate training run by run, and the verdict.

    The sentence that is tested: the two networks regularise each other. It holds for a coupling if
    both the held-out error of the quotes and the hedge error in the market are lower than apart,
    by more than two standard errors of the paired difference.

    Args:
        rows: List of runs.

    Returns:
        Dictionary: `arms`, a list with `mode`, `coupling`, `mean`, `stderr` and, beside `control`,
        `difference` and `difference_stderr` of each measure; `holds`, the couplings for which the
        sentence holds; `cpu_seconds` in all.
    """
    apart = {row["seed"]: row for row in rows if row["mode"] == APART}
    arms, holds = [], []
    for mode, coupling in dict.fromkeys((row["mode"], row["coupling"]) for row in rows):
        own = [row for row in rows if (row["mode"], row["coupling"]) == (mode, coupling)]
        arm = {"mode": mode, "coupling": coupling, "runs": len(own)}
        arm |= {key: {} for key in ("mean", "stderr", "difference", "difference_stderr")}
        for name in MEASURES:
            known = [row for row in own if row[name] is not None]
            arm["mean"][name], arm["stderr"][name] = _estimate([row[name] for row in known])
            arm["difference"][name], arm["difference_stderr"][name] = _estimate(
                [row[name] - apart[row["seed"]][name] for row in known]
            )
        arms.append(arm)
        better = [
            arm["difference"][name] + 2 * (arm["difference_stderr"][name] or np.inf) < 0
            for name in ("held_out_bp", "market_hedge")
        ]
        if mode == "cooperative" and all(better):
            holds.append(coupling)
    return {
        "arms": arms,
        "holds": holds,
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows), 1),
    }


def _estimate(values):
    """Mean and its standard error, None where there are too few values."""
    if len(values) < 2:
        return (float(values[0]) if values else None), None
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


@styled
def draw(numbers, path):
    """The trade-off over the coupling: errors on the left, dynamics on the right.

    Args:
        numbers: What `measure` returns.
        path: Of the PNG file.
    """
    from hedgezoo.figures import panels, save

    arms = [arm for arm in numbers["arms"] if arm["mode"] != "adversarial"]
    places = np.arange(len(arms))
    labels = ["apart" if arm["coupling"] is None else f"{arm['coupling']:,.0f}" for arm in arms]
    figure, axes = panels(1, 3, height=2.7)
    shown = (
        (
            ("held_out_bp", "clean surface", "#D55E00", "o"),
            ("fitted_bp", "noisy quotes", "#0072B2", "s"),
        ),
        (
            ("market_hedge", "in the Heston market", "#D55E00", "o"),
            ("own_hedge", "along own paths", "#0072B2", "s"),
        ),
        (
            ("volatility_explained", "R² on the spot", "#009E73", "^"),
            ("volatility_noise", "vol of vol beyond it", "#CC79A7", "D"),
        ),
    )
    titles = ("error, bp", "hedge error, % of payoff's sd", "the volatility")
    for axis, lines, title in zip(axes[0], shown, titles, strict=True):
        for name, label, colour, marker in lines:
            mean = [arm["mean"][name] for arm in arms]
            error = [arm["stderr"][name] or 0.0 for arm in arms]
            axis.errorbar(places, mean, error, color=colour, marker=marker, label=label)
        axis.set_xticks(places, labels)
        axis.set_xlabel("coupling, bp²")
        axis.set_title(title)
        axis.set_ylim(bottom=0)
        axis.legend(loc="lower left")
    save(figure, path)


def verdict(arms, holds):
    """What the experiment says of the sentence, in words.

    Args:
        arms, holds: As in `summary`.

    Returns:
        A paragraph.
    """
    together = [arm for arm in arms if arm["mode"] == "cooperative"]
    best = {
        name: min(together, key=lambda arm, name=name: arm["difference"][name])
        for name in ("held_out_bp", "market_hedge")
    }

    def change(name, unit):
        arm = best[name]
        error = arm["difference_stderr"][name]
        error = "" if error is None else f" ± {error:.2f}"
        return f"{arm['difference'][name]:+.2f}{error} {unit} (coupling {arm['coupling']:g})"

    found = (
        f"The largest change for the better is {change('held_out_bp', 'bp')} of the held-out "
        f"error and {change('market_hedge', 'points')} of the hedge error in the market."
    )
    if holds:
        couplings = ", ".join(f"{coupling:g}" for coupling in holds)
        return (
            f"*The two networks regularize each other*: here they do, at a coupling of {couplings} "
            f"both errors fall by more than two standard errors. {found}"
        )
    return (
        "*The two networks regularize each other*: not so here. At no coupling do both the error "
        f"to the clean surface and the hedge error in the market fall by more than two standard "
        f"errors of the paired difference. {found}"
    )


def card_section(runs, arms, holds, cpu_seconds, settings, preset=None):
    """The section of a model card, Markdown.

    Args:
        runs, arms, holds, cpu_seconds: As in `measure`.
        settings: `Sizes` as a dictionary.
        preset: What `of_preset` returns, or None.

    Returns:
        Markdown.
    """
    del runs, cpu_seconds
    lines = ["## Does the hedge help the dynamics?", ""]
    if preset is not None:
        lines += [*_preset_lines(preset), ""]
    lines += [
        f"{len(STRIKES) * len(MATURITIES)} quotes of the Heston surface with "
        f"{settings['noise_bp']:g} bp of noise; {settings['steps']} steps, fresh noise, weights "
        "and paths in each run. *Apart*: the SDE hears nothing of the hedge. *Together*: it "
        "minimises the pricing error plus the coupling times the risk that the hedge leaves. "
        "*Against each other*: it maximises that risk within "
        f"{settings['adversarial_bp']:g} bp. Errors are judged on the exact surface where there "
        "was no quote; hedges along fresh paths of the model, and in the Heston market. Mean ± "
        "standard error over the runs.",
        "",
        "| | runs | " + " | ".join(MEASURES.values()) + " |",
        "|---|---:|" + "---:|" * len(MEASURES),
    ]
    names = {APART: "apart", "cooperative": "together", "adversarial": "against each other"}
    for arm in arms:
        coupling = "" if arm["coupling"] is None else f", coupling {arm['coupling']:g}"
        cells = [_cell(arm["mean"][name], arm["stderr"][name]) for name in MEASURES]
        lines.append(f"| {names[arm['mode']]}{coupling} | {arm['runs']} | {' | '.join(cells)} |")
    lines += [
        "",
        verdict(arms, holds),
        "",
        "![Errors, hedges and volatility over the coupling](figures/coupling.png)",
    ]
    return "\n".join(lines)


def _cell(mean, error):
    if mean is None:
        return "–"
    return f"{mean:.3g}" + ("" if error is None else f" ± {error:.2g}")


def of_preset(model, steps=400, paths=1024, hedge_paths=2**14, seed=77):
    """How good the hedge of a trained model is, beside one trained afterwards.

    Args:
        model: A `JointNeuralSDEHedge`.
        steps: Training steps of the other hedge.
        paths: Paths per step.
        hedge_paths: Paths on which both are judged.
        seed: Integer.

    Returns:
        Dictionary of numbers: hedge errors in percent of the payoffs' standard deviation, and
        variance reductions.
    """
    from hedgezoo.datasets.surface_quotes import HESTON_PARAMETERS
    from hedgezoo.neural_sde.hedge_trials import hedge_trained_afterwards, heston_hedge_deviations
    from hedgezoo.neural_sde.joint_evaluation import hedge_outcomes

    count = len(model.quotes)
    joint = hedge_outcomes(model, hedge_paths, seed)
    network = hedge_trained_afterwards(model, steps, paths, seed=seed)
    afterwards = hedge_outcomes(model, hedge_paths, seed, network)
    market = heston_hedge_deviations(model, HESTON_PARAMETERS, hedge_paths, seed)
    reductions = joint.variance_reductions()
    found = {
        "hedge": 100 * float(joint.deviations()[:count].mean()),
        "black_scholes": 100 * float(joint.black_scholes_deviations().mean()),
        "afterwards": 100 * float(afterwards.deviations()[:count].mean()),
        "market": 100 * float(np.nanmean(market[:count])),
        "variance_reduction": float(np.exp(np.mean(np.log(reductions[:count])))),
        "variance_reduction_range": [
            float(reductions[:count].min()),
            float(reductions[:count].max()),
        ],
        "exotic": None,
    }
    if model.exotic is not None:
        found["exotic"] = {
            "hedge": 100 * float(joint.deviations()[-1]),
            "afterwards": 100 * float(afterwards.deviations()[-1]),
            "market": 100 * float(market[-1]),
            "variance_reduction": float(reductions[-1]),
        }
    return found


def _preset_lines(preset):
    low, high = preset["variance_reduction_range"]
    text = (
        f"The hedge leaves {preset['hedge']:.1f} % of the standard deviation of an option's "
        f"payoff, in the mean over the options (Black-Scholes deltas at the quoted volatilities: "
        f"{preset['black_scholes']:.1f} %). A new hedge that was trained afterwards, on the frozen "
        f"dynamics, leaves {preset['afterwards']:.1f} %. In the Heston market that the quotes "
        f"come from, the hedge leaves {preset['market']:.1f} %. As a control variate it divides "
        f"the variance of a price by {preset['variance_reduction']:.1f} (geometric mean; from "
        f"{low:.1f} to {high:.1f})."
    )
    exotic = preset["exotic"]
    if exotic is not None:
        text += (
            f" Of the path-dependent option it leaves {exotic['hedge']:.1f} % (trained afterwards: "
            f"{exotic['afterwards']:.1f} %, in the Heston market: {exotic['market']:.1f} %)."
        )
    return [text]


def evaluate(directory, store, quick=False, seed=0, console=None):
    """Numbers, and the figure `coupling.png` in a folder.

    Args:
        directory: Where the figure goes.
        store: Folder of finished runs, or None.
        quick: Whether to run it in small.
        seed: Added to the seeds of the runs.
        console: For progress, or None.

    Returns:
        Dictionary of numbers, the arguments of `card_section`.
    """
    from hedgezoo.experiments.finished_runs import FinishedRuns
    from hedgezoo.experiments.measure_runs import said

    sizes = QUICK if quick else Sizes()
    numbers = measure(sizes, FinishedRuns(store), seed, lambda text: said(console, text))
    draw(numbers, pathlib.Path(directory) / "coupling.png")
    return {**numbers, "settings": dataclasses.asdict(sizes)}


def run(output, quick=False, seed=0, console=None):
    """Writes `coupling.png` and `numbers.json`.

    Args:
        output: Folder. Trainings that are finished are kept beside it, in `<output>.runs`.
        quick: Whether to run it in small, in seconds.
        seed: Added to the seeds of the runs.
        console: For progress, or None.

    Returns:
        Dictionary of numbers.
    """
    from hedgezoo.experiments.results import keep_results

    return keep_results(output, NAME, evaluate, quick, seed, console)


def report(recipe, model, directory, checkpoint=None):
    """This experiment and that on identification, and the preset's own hedge: for its metadata.

    Args:
        recipe: Without effect.
        model: The trained `JointNeuralSDEHedge`.
        directory: Directory of the preset.
        checkpoint: Directory in which finished runs are kept, or None.

    Returns:
        Dictionary with `experiments`; the `card_section` of each module says them in words.
    """
    from hedgezoo.experiments import neural_sde_identification as identification

    del recipe
    figures = pathlib.Path(directory) / "figures"
    stores = [
        None if checkpoint is None else pathlib.Path(checkpoint) / name
        for name in (NAME, identification.NAME)
    ]
    numbers = evaluate(figures, stores[0])
    return {
        "experiments": {
            NAME: {**numbers, "preset": of_preset(model)},
            identification.NAME: identification.evaluate(figures, stores[1]),
        }
    }
