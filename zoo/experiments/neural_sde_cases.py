"""Surfaces whose local volatility is known, and networks calibrated to them."""

import dataclasses
from collections.abc import Callable

import numpy as np

MATURITIES = np.arange(1, 7) / 6
STRIKES = np.linspace(0.8, 1.2, 21)
CEV_VOLATILITY, CEV_ELASTICITY = 0.2, 0.5
HESTON = (1.5, 0.04, 0.5, -0.7, 0.04)
REVERTING = (3.0, 0.04, 0.5, -0.7, 0.09)


@dataclasses.dataclass(frozen=True)
class Case:
    """A surface whose local volatility is known.

    Args:
        title: For readers.
        quotes: Function without arguments to `SurfaceQuotes`.
        volatility: Exact σ as a function of log(S/F) and time.
        start: Level of the network before training.
        variance: Exact E σ² as a function of time, or None if it is not used.
    """

    title: str
    quotes: Callable
    volatility: Callable
    start: float = 0.2
    variance: Callable | None = None


def _cev_quotes():
    from hedgezoo.datasets.surface_quotes import SurfaceQuotes
    from hedgezoo.layers import cev_call

    calls = cev_call(CEV_VOLATILITY, CEV_ELASTICITY, STRIKES, MATURITIES)
    return SurfaceQuotes.from_calls(calls, STRIKES, MATURITIES, name="CEV")


def _flat_quotes():
    from hedgezoo.datasets.surface_quotes import SurfaceQuotes

    volatility = np.full((len(MATURITIES), len(STRIKES)), 0.2)
    return SurfaceQuotes.from_grid(volatility, STRIKES, MATURITIES, name="Black-Scholes")


def _heston_quotes(parameters):
    from hedgezoo.datasets.surface_quotes import SurfaceQuotes

    return SurfaceQuotes.heston(parameters, STRIKES, MATURITIES)


def _cev_volatility(x, t):
    from hedgezoo.layers import cev_local_volatility

    return cev_local_volatility(CEV_VOLATILITY, CEV_ELASTICITY, x) + 0.0 * t


def _heston_volatility(parameters):
    def volatility(x, t):
        from hedgezoo.layers import heston_local_volatility

        return heston_local_volatility(parameters, x, t)

    return volatility


def _expected_variance(t):
    kappa, theta, _, _, v0 = REVERTING
    return theta + (v0 - theta) * np.exp(-kappa * np.asarray(t))


CASES = {
    "cev": Case("CEV, β = 0.5", _cev_quotes, _cev_volatility),
    "heston": Case("Heston", lambda: _heston_quotes(HESTON), _heston_volatility(HESTON)),
    "black_scholes": Case("Black-Scholes (placebo)", _flat_quotes, lambda x, t: 0.2 + 0.0 * x * t),
    "reverting": Case(
        "Heston from v₀ = 0.09 to θ = 0.04",
        lambda: _heston_quotes(REVERTING),
        _heston_volatility(REVERTING),
        0.25,
        _expected_variance,
    ),
}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is computed.

    Args:
        units: Hidden layers of the networks.
        steps: Training steps of a calibration.
        polish_steps: Steps of its polish.
        paths: Paths behind each number.
        evaluation_paths: Paths of the last pricing.
        history_years: Length of the history that is fitted.
        history_epochs: Epochs of that fit.
        daily_paths: Simulated histories behind autocorrelations.
        daily_years: Length of each.
    """

    units: tuple = (64, 64)
    steps: int = 600
    polish_steps: int = 30
    paths: int = 2**16
    evaluation_paths: int = 2**16
    history_years: float = 20.0
    history_epochs: int = 60
    daily_paths: int = 256
    daily_years: float = 10.0


FULL = Sizes()
QUICK = Sizes((12, 12), 0, 5, 2**12, 2**12, 2.0, 2, 16, 1.0)


def calibrated(case, sizes, seed=0, runs=None, name="case"):
    """The model of a case, calibrated now or before.

    Args:
        case: A `Case`.
        sizes: A `Sizes`.
        seed: Of the weights and of the paths.
        runs: `FinishedRuns`, or None to keep nothing.
        name: Of the run.

    Returns:
        Tuple of the `NeuralSDE`, its summary, and whether it was there.
    """
    from hedgezoo.experiments.finished_runs import FinishedRuns
    from hedgezoo.neural_sde import NeuralSDE

    quotes = case.quotes()
    model = NeuralSDE(units=sizes.units, volatility=case.start, options={"seed": seed})
    model.build()
    model.market = quotes

    def compute():
        folder = None if runs is None or runs.folder is None else runs.folder / f"{name}.training"
        found = model.calibrate(
            quotes,
            steps=sizes.steps,
            polish_steps=sizes.polish_steps,
            seed=seed,
            evaluation_paths=sizes.evaluation_paths,
            checkpoint=folder,
            verbose=0,
        )
        weights = [np.asarray(weight).tolist() for weight in model.get_weights()]
        return {"summary": found.summary(), "weights": weights}

    settings = {
        "case": name,
        "seed": seed,
        "units": sizes.units,
        "steps": sizes.steps,
        "polish_steps": sizes.polish_steps,
        "evaluation_paths": sizes.evaluation_paths,
    }
    result, kept = (runs or FinishedRuns(None)).result(name, settings, compute)
    model.set_weights([np.asarray(weight, np.float32) for weight in result["weights"]])
    return model, result["summary"], kept
