"""What vanilla prices leave open: how much of the volatility the spot explains, and what not."""

from typing import NamedTuple

import numpy as np

from hedgezoo.datasets.checks import check_integer, check_positive

_BINS = 64


class VolatilityDynamics(NamedTuple):
    """How much of a life of its own the volatility of a model has.

    Args:
        explained: Share of the variance of σ that the spot explains, R² of σ on S, half-way to the
            maturity: 1 for local volatility.
        total: Root mean square of the changes of log σ, per √year.
        noise: The same of the part that the moves of the spot do not explain: near 0 for local
            volatility.
    """

    explained: float
    total: float
    noise: float


def volatility_dynamics(model, maturity=1.0, paths=2**13, seed=0, dates=24):
    """The dynamics of the volatility of a model along simulated paths.

    R² is that of a regression by means in 64 bins of equal numbers of paths. The moves of the spot
    explain what a regression of each change of log σ on that of log S does, with a slope that is
    a parabola in log S.

    Args:
        model: A `NeuralSDE`, or anything with its `simulate`.
        maturity: Years.
        paths: Number of paths, at least 1024.
        seed: Integer.
        dates: Number of changes that are looked at, at least 2.

    Returns:
        `VolatilityDynamics`.

    Raises:
        ValueError: If the maturity is not positive, or there are too few paths or dates.
    """
    check_positive("maturity", maturity)
    check_integer("paths", paths, minimum=16 * _BINS)
    check_integer("dates", dates, minimum=2)
    # not from time 0 on: there the state is known, and a factor may jump to its level
    times = maturity * np.arange(1, dates + 2) / (dates + 1)
    found = model.simulate(seed, paths, times)
    log_spot, log_volatility = (
        np.log(np.asarray(found[name], np.float64)) for name in ("spot", "volatility")
    )
    middle = dates // 2
    changes, moves = np.diff(log_volatility, axis=1), np.diff(log_spot, axis=1)
    left = [
        _unexplained(change, move, level)
        for change, move, level in zip(changes.T, moves.T, log_spot.T, strict=False)
    ]
    step = times[1] - times[0]
    return VolatilityDynamics(
        explained_share(log_spot[:, middle], np.exp(log_volatility[:, middle])),
        float(np.sqrt(np.mean(changes**2) / step)),
        float(np.sqrt(np.mean(left) / step)),
    )


def volatility_explained(model, **options):
    """R² of σ on S: `volatility_dynamics(model, **options).explained`."""
    return volatility_dynamics(model, **options).explained


def volatility_noise(model, **options):
    """`volatility_dynamics(model, **options).noise`."""
    return volatility_dynamics(model, **options).noise


def explained_share(x, y, bins=_BINS):
    """R² of the regression of y on x by means in bins of equal numbers.

    Args:
        x, y: `(P,)`.
        bins: Number of bins.

    Returns:
        A float; corrected for the degrees of freedom, at least 0.

    Example:

    >>> x = np.linspace(0.0, 1.0, 6400)
    >>> round(explained_share(x, x), 3), explained_share(x, np.tile([1.0, -1.0], 3200))
    (1.0, 0.0)
    """
    x, y = (np.asarray(values, np.float64) for values in (x, y))
    parts = np.array_split(y[np.argsort(x, kind="stable")], bins)
    within = sum(((part - part.mean()) ** 2).sum() for part in parts) / (len(y) - bins)
    total = y.var(ddof=1)
    return float(max(0.0, 1.0 - within / total)) if total > 0 else 1.0


def _unexplained(change, move, level):
    """Mean square of what moves of the spot do not explain of changes of log σ."""
    centre = (level - level.mean()) / max(level.std(), 1e-12)
    design = np.stack([move * centre**power for power in range(3)] + [centre**0], axis=1)
    fit = design @ np.linalg.lstsq(design, change, rcond=None)[0]
    return np.mean((change - fit) ** 2)
