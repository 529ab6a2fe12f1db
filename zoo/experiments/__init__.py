"""The experiments of the papers: one module each, one command each, figures and numbers out.

`hedgezoo experiment NAME`, or `hedgezoo.experiments.run(NAME)`. A module has a function
`run(output, quick=False, seed=0, console=None)` that writes figures and `numbers.json` to the
folder `output`, as a whole or not at all (`hedgezoo.experiments.results`), and returns the numbers.

Modules are imported when they are run, so that a list of them is immediate.
"""

import importlib
import pathlib
from typing import NamedTuple

from hedgezoo.suggestions import did_you_mean


class Experiment(NamedTuple):
    """An experiment that can be run by its name.

    Args:
        module: Where its function `run` is.
        description: One line for lists.
    """

    module: str
    description: str


EXPERIMENTS = {
    "no_transaction_band_paper": Experiment(
        "hedgezoo.experiments.no_transaction_band_paper",
        "Imaki et al. 2021: price against cost, and how fast two networks learn",
    ),
    "risk_neutral_black_scholes": Experiment(
        "hedgezoo.experiments.risk_neutral_black_scholes",
        "Buehler et al. 2021, figure 2: how the measure of Black-Scholes with drift is learned",
    ),
    "risk_neutral_realized_vol": Experiment(
        "hedgezoo.experiments.risk_neutral_realized_vol",
        "Buehler et al. 2021, figure 3: weights against realised volatility",
    ),
    "risk_neutral_var": Experiment(
        "hedgezoo.experiments.risk_neutral_var",
        "Buehler et al. 2021, figures 5 and 6: expected gains and retrained policies, VAR market",
    ),
    "dlv_surfaces": Experiment(
        "hedgezoo.experiments.dlv_surfaces",
        "Buehler et al. 2021, figures 1 and 4: implied and discrete local volatility surfaces",
    ),
    "deep_hedging_under_q": Experiment(
        "hedgezoo.experiments.deep_hedging_under_q",
        "Buehler et al. 2021, section 4: prices and hedges of a sold option under P and Q",
    ),
    "heston_calibration_paper": Experiment(
        "hedgezoo.experiments.heston_calibration_paper",
        "Song: the evaluation of a neural Heston calibrator, five figures and ablations",
    ),
    "heston_real_markets": Experiment(
        "hedgezoo.experiments.heston_real_markets",
        "DAX 2002 and EURO STOXX 50 2010: networks beside least squares and QuantLib's result",
    ),
    "joint_neural_sde_hedge": Experiment(
        "hedgezoo.experiments.joint_neural_sde_hedge",
        "Neural SDE and hedge trained apart, together and against each other on thin, noisy quotes",
    ),
    "neural_sde_overfitting": Experiment(
        "hedgezoo.experiments.neural_sde_overfitting",
        "A neural SDE on a thin, noisy surface, with and without regularisation",
    ),
    "neural_sde_identification": Experiment(
        "hedgezoo.experiments.neural_sde_identification",
        "What vanilla options leave open: exotics of models that fit them alike, and their bounds",
    ),
    "neural_sde_structure": Experiment(
        "hedgezoo.experiments.neural_sde_structure",
        "Neural SDE: leverage, mean reversion and clustering it finds, beside the known truth",
    ),
}


def folder_of(name, output=None):
    """Where an experiment writes.

    Args:
        name: A key of `EXPERIMENTS`.
        output: Folder, or None for `experiments/<name>`.

    Returns:
        `pathlib.Path`.

    Raises:
        ValueError: If there is no such experiment; the closest names are offered.

    Example:

    >>> folder_of("no_transaction_band_paper").as_posix()
    'experiments/no_transaction_band_paper'
    """
    if name not in EXPERIMENTS:
        known = sorted(EXPERIMENTS)
        raise ValueError(
            f"Unknown experiment {name!r}.{did_you_mean(name, known)} Experiments: {known}"
        )
    return pathlib.Path("experiments") / name if output is None else pathlib.Path(output)


def run(name, output=None, quick=False, seed=0, console=None):
    """Runs an experiment and writes its figures and numbers.

    Args:
        name: A key of `EXPERIMENTS`.
        output: Folder to write; default: `experiments/<name>`. Only an empty folder or an earlier
            result of the same experiment is replaced.
        quick: Whether to run it in small, in seconds: to see what it does, not what is true.
        seed: Seed of paths and initial weights.
        console: A `rich.console.Console` for progress, or None for silence.

    Returns:
        Dictionary of numbers, those of `numbers.json`.

    Raises:
        ValueError: If there is no such experiment (the closest names are offered), or `output`
            holds something else.
    """
    output = folder_of(name, output)
    module = importlib.import_module(EXPERIMENTS[name].module)
    return module.run(output, quick=quick, seed=seed, console=console)
