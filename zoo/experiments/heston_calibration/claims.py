"""What the paper claims beside what was measured, as text."""

import numpy as np

from hedgezoo.experiments.heston_calibration.networks import LABELS
from hedgezoo.experiments.heston_calibration.timing import CLASSICAL
from hedgezoo.experiments.heston_calibration.training_cases import ABLATIONS, CONVERGENCE

SYMBOLS = {"kappa": "κ", "theta": "θ", "xi": "ξ", "rho": "ρ", "v0": "v₀"}
NOISES = {
    "clean": "no noise",
    "gaussian_half_bp": "0.5 bp",
    "inside_15_bp_spread": "inside a U[0, 15] bp spread",
    "plus_minus_15_bp": "±15 bp",
}
FIGURE_NOISE = "plus_minus_15_bp"


def last(runs, key="rmse_bp"):
    """Mean and standard deviation over the seeds of the last value of a curve."""
    ends = [run[key][-1] for run in runs]
    return float(np.mean(ends)), float(np.std(ends, ddof=1)) if len(ends) > 1 else 0.0


def label_of(name):
    """Name for readers of a method of the time measurement."""
    if name in CLASSICAL:
        return CLASSICAL[name][0]
    network = name.removesuffix("_batched")
    how = "many at once" if name != network else "one by one"
    return f"{LABELS[network]}, {how}"


def rows(settings, accuracy, training, times, networks):
    """Rows of the table of claims: what the paper says, and what was measured.

    Args:
        settings: How the experiment was run.
        accuracy: Dictionary noise -> method -> numbers of `accuracy.judge`.
        training: `convergence`, name -> list of runs, `ablations` and `exact_surfaces`.
        times: `methods`, name -> quantiles of the times in ms.
        networks: Where the networks come from; not used.

    Returns:
        List of pairs of strings.
    """
    del networks
    found = accuracy[FIGURE_NOISE]
    methods = times["methods"]
    proposed, baseline = (training["convergence"][name] for name in ("proposed", "baseline"))
    printed = training["convergence"].get("proposed_printed_penalty")
    exact = training["exact_surfaces"]
    served = [name for name in ("paper", "refined") if name in methods]
    epochs = settings["sizes"]["epochs"]
    lines = [
        (
            "validation RMSE 28 bp by epoch 25, baseline CNN 55 bp (a million panels)",
            f"{_spread(proposed)} bp after epoch {epochs}, baseline {_spread(baseline)} bp "
            f"({settings['sizes']['training_panels']:,} panels); the network that is judged below "
            f"{_number(found['paper']['rmse_bp'])} bp, refined "
            f"{_number(found['refined']['rmse_bp'])} bp",
        ),
        (
            "no-arbitrage penalty decays monotonically, only with the constraint layer",
            f"correct conditions: {_number(last(proposed, 'correct_penalty')[0])} with and "
            f"{_number(last(baseline, 'correct_penalty')[0])} without the penalty, as Heston's "
            "prices cannot violate them; as "
            f"printed: the exact surfaces have {exact['paper_penalty']:.3g}"
            + (f", and the penalty takes the RMSE to {_spread(printed)} bp" if printed else ""),
        ),
        (
            '"sub-0.3 % RMSE"',
            "mean relative error "
            + ", ".join(
                f"{LABELS[name]} {_number(found[name]['mape_percent'])} %"
                for name in ("paper", "refined", "levenberg_marquardt")
            ),
        ),
        (
            "Pearson > .98 for every parameter",
            "; ".join(
                f"{LABELS[name]} {_smallest(found[name]['pearson'])}"
                for name in ("paper", "refined", "levenberg_marquardt")
            )
            + f" (smallest); without noise {LABELS['paper']} "
            f"{_smallest(accuracy['clean']['paper']['pearson'])}",
        ),
        (
            "error below 2 bp in the centre, above 10 bp only in the 10-delta wings",
            "; ".join(
                f"{LABELS[name]} {_number(found[name]['centre_bp'])} bp in the centre, "
                f"{_number(found[name]['wings_bp'])} bp in the wings"
                for name in ("paper", "refined")
            )
            + "; without noise "
            + "; ".join(
                f"{LABELS[name]} {_number(accuracy['clean'][name]['centre_bp'])} and "
                f"{_number(accuracy['clean'][name]['wings_bp'])} bp"
                for name in ("paper", "refined")
            ),
        ),
        (
            "median 1.8 ms, 95 % within 2.5 ms (A100)",
            "; ".join(
                f"{LABELS[name]} {methods[name]['median_cpu_ms']:.3g} ms, 95 % within "
                f"{methods[name]['p95_cpu_ms']:.3g} ms; many at once "
                f"{methods[name + '_batched']['median_cpu_ms']:.3g} ms a panel"
                for name in served
            )
            + " (CPU time of one thread)",
        ),
        (
            "L-BFGS-B 210 ms, CMA-ES 1.8 s",
            "; ".join(
                f"{label_of(name)} {_number(methods[name]['median_cpu_ms'])} ms"
                for name in CLASSICAL
                if name in methods
            ),
        ),
        ("100× faster than L-BFGS-B", _speed_ups(methods)),
    ]
    return lines


def _described(name):
    case = CONVERGENCE[name]
    penalties = {"correct": ", correct penalty", "paper": ", printed penalty", None: ""}
    return case.label + penalties[case.penalty]


def _speed_ups(methods):
    """How many times as long as a network the classical methods take."""
    slow = ("l_bfgs_b_differences", "l_bfgs_b", "levenberg_marquardt")
    slow = [name for name in slow if name in methods]
    parts = []
    for network in ("paper", "paper_batched", "refined", "refined_batched"):
        if network in methods:
            unit = methods[network]["median_cpu_ms"]
            ratios = [f"{_number(methods[name]['median_cpu_ms'] / unit)}×" for name in slow]
            parts.append(f"{label_of(network)} {', '.join(ratios)}")
    return f"faster than {'; '.join(map(label_of, slow))}: " + "; ".join(parts)


def _spread(runs):
    mean, deviation = last(runs)
    return f"{mean:.0f} ± {deviation:.0f}" if len(runs) > 1 else f"{mean:.0f}"


def _smallest(pearson):
    name = min(pearson, key=pearson.get)
    return f"{pearson[name]:.4f} ({SYMBOLS[name]})"


def _number(value):
    """A number that is not negative, as readers like it."""
    if value is None:
        return "–"
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1e-4 else "< 1e-4"


def _ordered(found, order):
    """Entries of a dictionary in an order: what comes from a file is sorted by name."""
    return {name: found[name] for name in order if name in found}


def card_section(settings, accuracy, training, times, networks):
    """The section of a model card on the paper's evaluation, Markdown.

    Args:
        settings: How the experiment was run.
        accuracy: Dictionary noise -> method -> numbers of `accuracy.judge`.
        training: `convergence`, `ablations`, `exact_surfaces` and `cpu_seconds`.
        times: `methods`, name -> quantiles of the times in ms, and `missing` packages.
        networks: Where the networks come from.

    Returns:
        Text.
    """
    sizes = settings["sizes"]
    lines = [
        "## The paper's evaluation",
        "",
        f"On {sizes['held_out_panels']:,} held-out panels of the paper's box and grid "
        f"(Levenberg-Marquardt: {sizes['classical_panels']:,} of them), with errors of the quotes "
        f"of {NOISES[FIGURE_NOISE]} where nothing else is said. RMSE is that of the fitted "
        "volatility to the exact one, over all panels and quotes.",
        "",
        "| claim of the paper | measured |",
        "|---|---|",
        *(
            f"| {claim} | {measured} |"
            for claim, measured in rows(settings, accuracy, training, times, networks)
        ),
        "",
        "| noise | method | RMSE, bp | median, bp | to the quotes, bp | MAPE, % | χ² | "
        + " | ".join(f"r({SYMBOLS[name]})" for name in SYMBOLS)
        + " |",
        "|---|---|" + "---:|" * 10,
    ]
    for noise, methods in _ordered(accuracy, NOISES).items():
        for name, found in _ordered(methods, LABELS).items():
            cells = [
                NOISES[noise],
                LABELS[name],
                _number(found["rmse_bp"]),
                _number(found["median_bp"]),
                _number(found["median_to_quotes_bp"]),
                _number(found["mape_percent"]),
                f"{found['chi_square']:.1e}" if found["chi_square"] > 1e-12 else "0",
                *(f"{found['pearson'][key]:.4f}" for key in SYMBOLS),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "*Median* and *to the quotes* are medians over the panels of the root mean square error of "
        "a panel. χ²: distance ½ Σ (p − q)² / (p + q) of the risk-neutral probabilities of 1 % "
        "strike bins, calibrated to true, mean over maturities and "
        f"{sizes['density_panels']:,} panels. r: Pearson's correlation of calibrated and true "
        "parameters.",
        "",
        *_figures(),
        "",
        f"Training runs share {sizes['training_panels']:,} panels with {NOISES[FIGURE_NOISE]}, in "
        f"batches of {sizes['batch_size']}; {sizes['epochs']} epochs and "
        f"{len(sizes['seeds'])} seeds for the figure, {sizes['ablation_epochs']} epochs and one "
        f"seed for the ablations; {training['cpu_seconds'] / 60:.0f} CPU-minutes in all, where "
        "the paper trains on a million panels for 100 epochs. The penalty of the ablations is the "
        "printed one with a constant weight.",
        "",
        "| network or loss | validation RMSE, bp | penalty as printed | correct penalty |",
        "|---|---:|---:|---:|",
    ]
    convergence = _ordered(training["convergence"], CONVERGENCE)
    runs = {_described(name): found for name, found in convergence.items()}
    for name, found in _ordered(training["ablations"], ABLATIONS).items():
        runs[f"ablation: {ABLATIONS[name].label}"] = [found]
    for label, found in runs.items():
        penalties = [last(found, f"{form}_penalty")[0] for form in ("paper", "correct")]
        cells = [label, _spread(found), *map(_number, penalties)]
        lines.append("| " + " | ".join(cells) + " |")
    exact = training["exact_surfaces"]
    lines += [
        f"| exact surfaces | 0 | {_number(exact['paper_penalty'])} "
        f"| {_number(exact['correct_penalty'])} |",
        "",
        f"Times of one thread. The paper's network gives parameters alone; the refined one also "
        f"standard errors and the fitted surface. *Many at once*: batches of {times['at_once']:,}.",
        "",
        "| method | median CPU time, ms | 95 % | median on the clock, ms | 95 % | panels |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    order = [f"{name}{suffix}" for name in LABELS for suffix in ("", "_batched")]
    for name, found in _ordered(times["methods"], [*order, *CLASSICAL]).items():
        keys = ("median_cpu_ms", "p95_cpu_ms", "median_ms", "p95_ms")
        cells = [label_of(name), *(_number(found[key]) for key in keys), f"{found['panels']:,}"]
        lines.append("| " + " | ".join(cells) + " |")
    if times["missing"]:
        lines += ["", f"Not installed, so not measured: {', '.join(times['missing'])}."]
    return "\n".join(lines)


def _figures():
    captions = {
        "figure_1": "a panel and its reconstruction",
        "figure_2_paper": "recovered parameters, paper's network",
        "figure_2_refined": "recovered parameters, refined",
        "figure_3": "errors by strike and maturity",
        "figure_4": "training convergence",
        "figure_5": "calibration times",
    }
    return [
        line for name, text in captions.items() for line in (f"![{text}](figures/{name}.png)", "")
    ][:-1]
