"""What vanilla options do not say: forward starts and lookbacks of models that fit them alike.

Neural SDEs with a second factor are fitted to the exact vanilla options of a Heston model, from
several starts; one with local volatility beside them. At about the same vanilla error their exotics
differ, from each other and from the true ones; and the bounds on a lookback say by how much.
"""

import dataclasses
import pathlib
import time

import numpy as np

from hedgezoo.figures import styled

NAME = "neural_sde_identification"
STRIKES = (0.9, 1.0, 1.1)  # of the forward-start calls
START = 0.5  # years to the date on which their strikes are set


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large the experiment is.

    Args:
        fits: Pairs of the volatility of the second factor before training and of a seed, for each
            fit with two factors. The bounds start from the first one.
        steps: Training steps.
        local_steps: Training steps of the local volatility, before its polish.
        bound_steps: Training steps to each end of the bounds.
        tolerance_bp: Error to the quotes that the bounds allow.
        paths: Paths per step.
        evaluation_paths: Paths of prices.
        reference_paths: Paths of the true prices.
        fixings: Fixings of the lookback in its year.
        units: Widths of the networks.
        strikes: Number of strikes of each maturity.
    """

    fits: tuple = ((0.5, 1), (0.1, 2), (1.5, 3))
    steps: int = 250
    local_steps: int = 150
    bound_steps: int = 120
    tolerance_bp: float = 30.0
    paths: int = 2048
    evaluation_paths: int = 2**15
    reference_paths: int = 2**16
    fixings: int = 96
    units: tuple = (64, 64)
    strikes: int = 21


QUICK = Sizes(
    fits=((0.5, 1),),
    steps=4,
    local_steps=4,
    bound_steps=3,
    tolerance_bp=500.0,
    paths=128,
    evaluation_paths=512,
    reference_paths=2048,
    fixings=6,
    units=(8,),
    strikes=5,
)


def contracts(sizes):
    """The lookback, and the forward starts by strike."""
    from hedgezoo.neural_sde.exotics import forward_start, lookback

    return [lookback(1.0, sizes.fixings), *(forward_start(START, 1.0, k) for k in STRIKES)]


def quotes_of(sizes):
    """Exact quotes of the Heston model."""
    from hedgezoo.datasets import SurfaceQuotes

    return SurfaceQuotes.heston(strikes=np.linspace(0.8, 1.2, sizes.strikes))


def as_numbers(prices):
    """Prices of `contracts` as numbers that JSON can hold, forward starts as volatilities too."""
    from hedgezoo.layers.implied_volatility import implied_volatility

    volatility = implied_volatility(
        prices.price[np.newaxis, 1:], np.array(STRIKES), np.array([1.0 - START])
    )
    return {
        "lookback": float(prices.price[0]),
        "lookback_standard_error": float(prices.standard_error[0]),
        "forward_start": prices.price[1:].tolist(),
        "forward_start_standard_error": prices.standard_error[1:].tolist(),
        "forward_start_volatility": np.asarray(volatility)[0].tolist(),
    }


def truth(sizes):
    """The Heston model's own prices."""
    from hedgezoo.datasets.surface_quotes import HESTON_PARAMETERS
    from hedgezoo.neural_sde.exotic_pricing import heston_exotic_prices

    prices = heston_exotic_prices(HESTON_PARAMETERS, contracts(sizes), sizes.reference_paths)
    return as_numbers(prices)


def fitted(sizes, kind, start, seed, bounds=False):
    """One model, fitted and looked at; with the bounds of the lookback if they are asked for.

    Args:
        sizes: `Sizes`.
        kind: `"stochastic"` or `"local"`.
        start: Volatility of the second factor before training.
        seed: Of weights and paths.
        bounds: Whether to search for the bounds from this model.

    Returns:
        Dictionary of numbers.
    """
    from hedgezoo.neural_sde.exotic_pricing import exotic_prices
    from hedgezoo.neural_sde.identification import volatility_explained, volatility_noise
    from hedgezoo.neural_sde.model import NeuralSDE
    from hedgezoo.neural_sde.price_bounds import price_bounds

    began = time.process_time()
    options = {"seed": seed} | ({"factor_volatility": start} if kind == "stochastic" else {})
    model = NeuralSDE(kind, units=sizes.units, concentration=1.0, options=options)
    result = model.calibrate(
        quotes_of(sizes),
        steps=sizes.steps if kind == "stochastic" else sizes.local_steps,
        paths=sizes.paths,
        evaluation_paths=sizes.evaluation_paths,
        seed=seed,
        verbose=0,
    )
    prices = exotic_prices(model, contracts(sizes), sizes.evaluation_paths, seed=seed)
    found = {
        **as_numbers(prices),
        "error_bp": result.rms_bp,
        "monte_carlo_bp": result.monte_carlo_bp,
        "volatility_explained": volatility_explained(model),
        "volatility_noise": volatility_noise(model),
        "correlation": float(model.network.rho) if kind == "stochastic" else None,
    }
    if bounds:
        ends = price_bounds(
            model,
            quotes_of(sizes),
            contracts(sizes)[0],
            sizes.tolerance_bp,
            steps=sizes.bound_steps,
            paths=sizes.paths,
            learning_rate=4e-3,
            seed=seed,
            evaluation_paths=sizes.evaluation_paths,
        )
        found["bounds"] = ends.summary() | {
            f"{end}_volatility_explained": volatility_explained(getattr(ends, f"{end}_model"))
            for end in ("lower", "upper")
        }
    return found | {"cpu_seconds": round(time.process_time() - began, 1)}


def measure(sizes, runs, seed=0, say=print):
    """All fits.

    Args:
        sizes: `Sizes`.
        runs: `FinishedRuns`.
        seed: Added to the seeds of the fits.
        say: Function of a line of progress.

    Returns:
        Dictionary: `truth`, `runs` (a list) and `bounds`.
    """
    settings = dataclasses.asdict(sizes)
    true, _ = runs.result("truth", settings, lambda: truth(sizes))
    jobs = [("stochastic", *fit) for fit in sizes.fits]
    jobs.append(("local", None, sizes.fits[0][1]))
    rows = []
    for kind, start, each in jobs:
        bounds = (kind, start, each) == jobs[0]
        name = f"{kind}-{start or 0:g}-{seed + each}"
        run = {"kind": kind, "start": start, "seed": seed + each}
        found, kept = runs.result(
            name,
            {**settings, **run, "bounds": bounds},
            lambda run=run, bounds=bounds: fitted(sizes, **run, bounds=bounds),
        )
        rows.append({**run, **found})
        say(
            f"{name}: {found['error_bp']:.1f} bp, lookback {found['lookback']:.4f} (true "
            f"{true['lookback']:.4f}), R² {found['volatility_explained']:.2f}"
            + (" (kept from before)" if kept else f", {found['cpu_seconds']:.0f} CPU-s")
        )
    (bounds,) = (row.pop("bounds") for row in rows if "bounds" in row)
    return {"truth": true, "runs": rows, "bounds": bounds}


@styled
def draw(numbers, path):
    """The figure: lookbacks beside their bounds, and forward-start smiles.

    Args:
        numbers: What `measure` returns.
        path: Of the PNG file.
    """
    from hedgezoo.figures import panels, save

    figure, axes = panels(1, 2, height=2.9)
    left, right = axes[0]
    true, bounds = numbers["truth"], numbers["bounds"]
    left.axhspan(bounds["lower"], bounds["upper"], color="#56B4E9", alpha=0.2, lw=0)
    left.axhline(true["lookback"], color="black", lw=1, ls="--")
    strikes = 100 * np.array(STRIKES)
    right.plot(strikes, 100 * np.array(true["forward_start_volatility"]), "k--", label="Heston")
    styles = {"stochastic": ("#D55E00", "o", "two factors"), "local": ("#0072B2", "s", "local")}
    seen = set()
    for row in numbers["runs"]:
        colour, marker, label = styles[row["kind"]]
        label = None if row["kind"] in seen else label
        seen.add(row["kind"])
        left.errorbar(
            row["volatility_explained"],
            row["lookback"],
            2 * row["lookback_standard_error"],
            color=colour,
            marker=marker,
        )
        right.plot(
            strikes,
            100 * np.array(row["forward_start_volatility"]),
            color=colour,
            marker=marker,
            label=label,
        )
    left.set_xlabel("share of the volatility's variance that the spot explains")
    left.set_ylabel("price of a lookback, 1 year")
    left.annotate(
        "Heston",
        (1, true["lookback"]),
        (-2, 3),
        ("axes fraction", "data"),
        "offset points",
        ha="right",
    )
    left.set_title("lookback; shaded: between the bounds")
    right.set_xticks(strikes)
    right.set_xlabel("strike, % of the price in 6 months")
    right.set_ylabel("volatility, %")
    right.set_title("forward-start calls, from 6 to 12 months")
    right.legend()
    save(figure, path)


def card_section(truth, runs, bounds, settings=None):
    """The section of a model card, Markdown.

    Args:
        truth, runs, bounds: As in `measure`.
        settings: Without effect.

    Returns:
        Markdown.
    """
    del settings
    worst = np.ceil(max(row["error_bp"] for row in runs))
    lines = [
        "## What vanilla options leave open",
        "",
        "Neural SDEs that are fitted to the exact options of a Heston model, from several starts "
        f"of the volatility of the second factor. All are within {worst:.0f} bp of the vanillas, "
        "and none knows the exotics: a lookback with 96 fixings in its year and calls that start "
        "in six months. R² is the share of the variance of σ that the spot explains "
        "after six months.",
        "",
        "| model | seed | vanillas, bp | R² | lookback | forward start: 90 % | 100 % | 110 % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in runs:
        name = "local" if row["kind"] == "local" else f"two factors, from ν = {row['start']:g}"
        lines.append(
            f"| {name} | {row['seed']} | {row['error_bp']:.1f} | "
            f"{row['volatility_explained']:.2f} | {_exotics(row)} |"
        )
    lines.append(f"| Heston itself |  | 0 |  | {_exotics(truth)} |")
    prices = [row["lookback"] for row in runs]
    inside = bounds["lower"] <= truth["lookback"] <= bounds["upper"]
    lines += [
        "",
        f"Their lookbacks run from {min(prices):.4f} to {max(prices):.4f}. The lowest and the "
        f"highest price among neural SDEs that were driven to the ends are {bounds['lower']:.4f} "
        f"± {bounds['lower_standard_error']:.4f} (vanillas missed by "
        f"{bounds['lower_error_bp']:.0f} bp) and {bounds['upper']:.4f} ± "
        f"{bounds['upper_standard_error']:.4f} ({bounds['upper_error_bp']:.0f} bp); the true price "
        f"{truth['lookback']:.4f} lies {'between' if inside else 'outside'} them.",
        "",
        "![Lookbacks and forward-start smiles of models with the same vanillas]"
        "(figures/identification.png)",
    ]
    return "\n".join(lines)


def _exotics(row):
    volatility = " | ".join(f"{100 * v:.2f} %" for v in row["forward_start_volatility"])
    return f"{row['lookback']:.4f} ± {row['lookback_standard_error']:.4f} | {volatility}"


def evaluate(directory, store, quick=False, seed=0, console=None):
    """Numbers, and the figure `identification.png` in a folder.

    Args:
        directory: Where the figure goes.
        store: Folder of finished runs, or None.
        quick: Whether to run it in small.
        seed: Added to the seeds of the fits.
        console: For progress, or None.

    Returns:
        Dictionary of numbers, the arguments of `card_section`.
    """
    from hedgezoo.experiments.finished_runs import FinishedRuns
    from hedgezoo.experiments.measure_runs import said

    sizes = QUICK if quick else Sizes()
    numbers = measure(sizes, FinishedRuns(store), seed, lambda text: said(console, text))
    draw(numbers, pathlib.Path(directory) / "identification.png")
    return {**numbers, "settings": dataclasses.asdict(sizes)}


def run(output, quick=False, seed=0, console=None):
    """Writes `identification.png` and `numbers.json`.

    Args:
        output: Folder. Fits that are finished are kept beside it, in `<output>.runs`.
        quick: Whether to run it in small, in seconds.
        seed: Added to the seeds of the fits.
        console: For progress, or None.

    Returns:
        Dictionary of numbers.
    """
    from hedgezoo.experiments.results import keep_results

    return keep_results(output, NAME, evaluate, quick, seed, console)
