"""A thin, noisy surface: what a neural SDE makes of it with and without regularisation.

Fifteen quotes of a Heston surface with 30 bp of noise are met by some thousand weights, in several
ways. Each is judged on the exact surface, most of which it has not seen. Beside that: how far the
hidden activations get on the clean surface, at equal numbers of steps.
"""

import dataclasses
import pathlib
import time

import numpy as np

from hedgezoo.experiments.results import card_report, keep_results
from hedgezoo.figures import panels, save, styled

NAME = "neural_sde_overfitting"
MATURITIES = (1 / 6, 0.5, 1.0)
STRIKES = (0.8, 0.9, 1.0, 1.1, 1.2)


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way of training.

    Args:
        title: For readers.
        dropout: Of the model.
        held_out: Share of the noisy quotes that decide when to stop; 0 for none.
        calibration: Options of `calibrate`.
    """

    title: str
    dropout: float = 0.0
    held_out: float = 0.0
    calibration: dict = dataclasses.field(default_factory=dict)


ARMS = {
    "none": Arm("none, to the minimum", calibration={"polish_steps": 60}),
    "adam": Arm("Adam alone", calibration={"polish": None}),
    "weight_decay": Arm("weight decay", calibration={"polish": None, "weight_decay": 0.3}),
    "dropout": Arm("dropout", dropout=0.1, calibration={"polish": None}),
    "early_stopping": Arm("early stopping", held_out=0.2, calibration={"patience": 4}),
    "prior": Arm("held near Adam's result", calibration={"polish_prior": 300.0}),
}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large the experiment is.

    Args:
        seeds: Of noise, weights and paths, for each arm.
        noise_bp: Standard deviation of the noise of a quote.
        steps: Training steps on the thin surface.
        paths: Paths per step.
        activation_steps: Training steps on the clean surface, for each activation.
        evaluation_paths: Paths of the last pricing of a calibration.
        units: Widths of the network.
        arms: Keys of `ARMS`, `"none"` among them.
        activations: Names of hidden activations.
    """

    seeds: tuple = (1, 2, 3)
    noise_bp: float = 30.0
    steps: int = 300
    paths: int = 1024
    activation_steps: int = 600
    evaluation_paths: int = 2**12
    units: tuple = (64, 64)
    arms: tuple = tuple(ARMS)
    activations: tuple = ("softplus", "tanh", "silu", "relu")


_WHICH = ("seeds", "arms", "activations")  # of the sizes: runs there are, not what they do
QUICK = Sizes(
    seeds=(1,),
    steps=4,
    paths=64,
    activation_steps=4,
    evaluation_paths=64,
    units=(8,),
    arms=("none", "early_stopping"),
    activations=("relu",),
)


def trained(sizes, arm, seed):
    """One calibration to noisy quotes, and how far it is from the exact surface.

    Args:
        sizes: `Sizes`.
        arm: A key of `ARMS`.
        seed: Of noise, weights and paths.

    Returns:
        Dictionary: errors in bp by Dupire's equation to the noisy quotes, `fitted_bp`, to the exact
        values of the same quotes, `same_bp`, and to the exact surface elsewhere, `elsewhere_bp`;
        `least_volatility` and `most_volatility` within ±2 standard deviations; `cpu_seconds`.
    """
    from hedgezoo.datasets import SurfaceQuotes
    from hedgezoo.neural_sde import NeuralSDE
    from hedgezoo.neural_sde.calibration_result import pde_errors, root_mean_square

    began = time.process_time()
    exact = SurfaceQuotes.heston(strikes=STRIKES, maturities=MATURITIES)
    noisy = exact.with_noise(sizes.noise_bp, seed)
    plan = ARMS[arm]
    quotes, held_out = (noisy, None)
    if plan.held_out:
        quotes, held_out = noisy.split(plan.held_out, seed, ends=False)
    model = NeuralSDE(units=sizes.units, dropout=plan.dropout, options={"seed": seed})
    model.calibrate(
        quotes,
        held_out=held_out,
        steps=sizes.steps,
        paths=sizes.paths,
        seed=seed,
        evaluation_paths=sizes.evaluation_paths,
        verbose=0,
        **plan.calibration,
    )
    found = {
        name: root_mean_square(pde_errors(model, each))
        for name, each in (
            ("fitted_bp", noisy),
            ("same_bp", exact),
            ("elsewhere_bp", elsewhere()),
        )
    }
    volatility = _volatility_along(model)
    return {
        **found,
        "least_volatility": float(volatility.min()),
        "most_volatility": float(volatility.max()),
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def elsewhere():
    """Exact quotes of the Heston surface that are not among the noisy ones."""
    from hedgezoo.datasets import SurfaceQuotes

    surface = SurfaceQuotes.heston()
    seen = np.isclose(np.asarray(surface.strikes)[:, None], STRIKES).any(axis=1)
    seen &= np.isclose(np.asarray(surface.maturities)[:, None], MATURITIES).any(axis=1)
    return surface.select(~seen)


def by_activation(sizes, activation, seed):
    """Adam alone on the clean surface with one hidden activation.

    Args:
        sizes: `Sizes`.
        activation: Name of a Keras activation.
        seed: Of weights and paths.

    Returns:
        Dictionary: `error_bp` by Dupire's equation, `curve` of (step, error in bp) along the
        training, and `cpu_seconds`.
    """
    from hedgezoo.datasets import SurfaceQuotes
    from hedgezoo.neural_sde import NeuralSDE
    from hedgezoo.neural_sde_recipe import curve_of

    began = time.process_time()
    model = NeuralSDE(units=sizes.units, activation=activation, options={"seed": seed})
    result = model.calibrate(
        SurfaceQuotes.heston(),
        steps=sizes.activation_steps,
        paths=sizes.paths,
        polish=None,
        seed=seed,
        evaluation_paths=sizes.evaluation_paths,
        verbose=0,
    )
    return {
        "error_bp": result.pde_rms_bp,
        "curve": curve_of(result.history),
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def measure(sizes, runs, seed=0, say=print):
    """All trainings.

    Args:
        sizes: `Sizes`.
        runs: `FinishedRuns`.
        seed: Added to the seeds of the runs.
        say: Function of a line of progress.

    Returns:
        Dictionary: `arms`, name -> `runs` and their `mean` and `stderr`; `activations`, name ->
        what `by_activation` returns; `cpu_seconds` in all.
    """
    settings = dataclasses.asdict(sizes)
    common = {name: value for name, value in settings.items() if name not in _WHICH}
    found = {arm: [] for arm in sizes.arms}
    for each in sizes.seeds:
        for arm in sizes.arms:
            number = seed + each
            asked = {**common, "arm": arm, "plan": dataclasses.asdict(ARMS[arm]), "seed": number}
            row, kept = runs.result(
                f"{arm}-{number}",
                asked,
                lambda arm=arm, number=number: trained(sizes, arm, number),
            )
            found[arm].append(row)
            say(
                f"{ARMS[arm].title}, seed {number}: noisy quotes {row['fitted_bp']:.1f} bp, exact "
                f"surface elsewhere {row['elsewhere_bp']:.1f} bp{' (kept)' if kept else ''}"
            )
    activations = {}
    for activation in sizes.activations:
        asked = {**common, "activation": activation, "seed": seed + 1}
        activations[activation], kept = runs.result(
            f"{activation}-{seed + 1}",
            asked,
            lambda activation=activation: by_activation(sizes, activation, seed + 1),
        )
        say(f"{activation}: {activations[activation]['error_bp']:.1f} bp")
    rows = [row for arm in found.values() for row in arm] + list(activations.values())
    return {
        "arms": {arm: {"runs": each, **_summary(each)} for arm, each in found.items()},
        "activations": activations,
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows), 1),
        "settings": settings,
    }


def _summary(rows):
    names = [name for name in rows[0] if name != "cpu_seconds"]
    values = {name: [row[name] for row in rows] for name in names}
    count = len(rows)
    return {
        "mean": {name: float(np.mean(each)) for name, each in values.items()},
        "stderr": {
            name: float(np.std(each, ddof=1) / np.sqrt(count)) if count > 1 else None
            for name, each in values.items()
        },
    }


def _volatility_along(model):
    """σ within ±2 standard deviations at times from 0.1 to 1 year."""
    times = np.linspace(0.1, 1.0, 10)[:, np.newaxis]
    log_spot = 0.4 * np.sqrt(times) * np.linspace(-1.0, 1.0, 41)
    return model.diffusion(np.exp(log_spot), times).numpy()


@styled
def draw(numbers, path):
    """Errors by arm, and the learning curves of the activations.

    Args:
        numbers: What `measure` returns.
        path: Of the PNG file.
    """
    figure, axes = panels(1, 2, height=2.9)
    left, right = axes[0]
    arms = numbers["arms"]
    places = np.arange(len(arms))
    shown = (
        ("fitted_bp", "noisy quotes", "#0072B2", "s"),
        ("elsewhere_bp", "exact surface elsewhere", "#D55E00", "o"),
    )
    for number, (name, label, colour, marker) in enumerate(shown):
        mean = [arm["mean"][name] for arm in arms.values()]
        error = [arm["stderr"][name] or 0.0 for arm in arms.values()]
        left.errorbar(
            mean,
            places + 0.12 * (number - 0.5),
            xerr=error,
            linestyle="",
            color=colour,
            marker=marker,
            label=label,
        )
    noise = numbers["settings"]["noise_bp"]
    left.axvline(noise, color="#7F7F7F", linestyle=(0, (1, 1)), label=f"noise, {noise:g} bp")
    left.set_yticks(places, [ARMS[arm].title for arm in arms])
    left.invert_yaxis()
    left.set_xlim(left=0)
    left.set_xlabel("root mean square error, bp")
    left.legend(loc="lower center", bbox_to_anchor=(0.35, 1.0), ncols=2)
    colours = ("#0072B2", "#009E73", "#CC79A7", "#D55E00")
    lines = ("-", (0, (4, 2)), (0, (1, 1.2)), (0, (6, 1, 1, 1)))
    for (name, found), colour, line in zip(
        numbers["activations"].items(), colours, lines, strict=False
    ):
        steps, errors = zip(*found["curve"], strict=True)
        right.plot(steps, errors, color=colour, linestyle=line, label=name)
    right.set_yscale("log")
    right.set_xlabel("training steps, clean surface")
    right.set_ylabel("error along the way, bp")
    right.legend()
    save(figure, path)


def table(arms):
    """The arms as a Markdown table.

    Args:
        arms: As in `measure`.

    Returns:
        List of lines.
    """
    lines = [
        "| regularisation | noisy quotes | the same, exact | exact surface elsewhere | "
        "σ within ±2 sd |",
        "|---|---:|---:|---:|---:|",
    ]
    for arm, found in arms.items():
        cells = [_with_error(found, name) for name in ("fitted_bp", "same_bp", "elsewhere_bp")]
        low, high = (found["mean"][name] for name in ("least_volatility", "most_volatility"))
        lines.append(f"| {ARMS[arm].title} | {' | '.join(cells)} | {low:.2f} to {high:.2f} |")
    return lines


def card_section(arms, activations, cpu_seconds, settings):
    """The section of a model card, Markdown.

    Args:
        arms, activations, cpu_seconds, settings: As in `measure`.

    Returns:
        Markdown.
    """
    words = (
        f"{len(STRIKES) * len(MATURITIES)} quotes of the Heston surface with "
        f"{settings['noise_bp']:g} bp of noise; {len(settings['seeds'])} seeds, mean ± one "
        "standard error, bp by Dupire's equation."
    )
    reached = ", ".join(
        f"{name} {found['error_bp']:.1f}"
        for name, found in sorted(activations.items(), key=lambda each: -each[1]["error_bp"])
    )
    return "\n".join(
        [
            "## A thin, noisy surface",
            "",
            words,
            "",
            *table(arms),
            "",
            f"{verdict(arms)} Hidden activations on the clean surface, "
            f"{settings['activation_steps']} steps of Adam, bp: {reached}. "
            f"{cpu_seconds:.0f} CPU-seconds in all.",
            "",
            "![Error to noisy quotes and to the exact surface elsewhere, by regularisation; and "
            "the error along the training by hidden activation](figures/overfitting.png)",
        ]
    )


def verdict(arms):
    """What the experiment says of regularisation, a sentence.

    Args:
        arms: As in `measure`.
    """
    error = {arm: found["mean"]["elsewhere_bp"] for arm, found in arms.items()}
    best = min(error, key=error.get)
    if best == "none":
        return "No regularisation helped: the fit to the minimum is the closest to the surface."
    paired = [
        row["elsewhere_bp"] - own["elsewhere_bp"]
        for row, own in zip(arms["none"]["runs"], arms[best]["runs"], strict=True)
    ]
    return (
        f"The closest to the surface is: {ARMS[best].title}, {error[best]:.1f} bp instead of "
        f"{error['none']:.1f} bp without regularisation; better in "
        f"{sum(gain > 0 for gain in paired)} of {len(paired)} runs."
    )


def _with_error(found, name):
    error = found["stderr"][name]
    return f"{found['mean'][name]:.1f}" + ("" if error is None else f" ± {error:.1f}")


def evaluate(directory, store=None, quick=False, seed=0, console=None):
    """Everything: numbers, and the figure in a folder.

    Args:
        directory: Where the figure goes.
        store: Folder of finished trainings, or None.
        quick: Whether to run it in small, in seconds.
        seed: Added to the seeds of the runs.
        console: For progress, or None.

    Returns:
        Dictionary of numbers, the arguments of `card_section`.
    """
    from hedgezoo.experiments.finished_runs import FinishedRuns
    from hedgezoo.experiments.measure_runs import said

    sizes = QUICK if quick else Sizes()
    numbers = measure(sizes, FinishedRuns(store), seed, lambda text: said(console, text))
    draw(numbers, pathlib.Path(directory) / "overfitting.png")
    return numbers


def run(output, quick=False, seed=0, console=None):
    """Writes `overfitting.png`, `table.md` and `numbers.json`.

    Args:
        output: Folder. Trainings that are finished are kept beside it, in `<output>.runs`.
        quick: Whether to run it in small, in seconds.
        seed: Added to the seeds of the runs.
        console: For progress, or None.

    Returns:
        Dictionary of numbers.
    """
    return keep_results(output, NAME, evaluate, quick, seed, console, ("table.md", card_section))


report = card_report(NAME, evaluate)
