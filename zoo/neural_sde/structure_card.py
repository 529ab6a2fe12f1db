"""What a preset's neural SDE found, beside the known truth: numbers for its card."""

import types

import numpy as np

TIMES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# from the first quoted maturity on: before, only the mean of the variance is known
VARIANCE_TIMES = tuple(month / 12 for month in range(2, 13))
SHOWN = (0.25, 0.5, 1.0)  # years at which slopes are shown
_PATHS = 2**16
_SEED = 4711


def structure_report(volatility, variance=None):
    """A recipe's `report` on structure where the truth is known.

    Args:
        volatility: Exact local volatility as a function of log(S / F) and years.
        variance: Parameters κ, θ and v₀ of the exact expected variance, or None.

    Returns:
        Function of (recipe, model, directory, checkpoint), see `hedgezoo.recipe.Recipe`.
    """

    def report(recipe, model, directory, checkpoint=None):
        del recipe, directory, checkpoint
        return {"experiments": {"neural_sde_truth": numbers(model, volatility, variance)}}

    return report


def numbers(model, volatility, variance=None):
    """Slopes, errors of σ and mean reversion of a model of one surface, beside the truth.

    Args:
        model: A `NeuralSDE`. Of one with a latent factor the slope is that of √E[σ² | S], and σ
            itself is not compared.
        volatility: As in `structure_report`.
        variance: As in `structure_report`.

    Returns:
        Dictionary of values that JSON can hold.
    """
    from hedgezoo.neural_sde.structure import compare_volatility, conditional_leverage, leverage

    truth = types.SimpleNamespace(
        diffusion=lambda spot, time: volatility(np.log(spot), np.asarray(time, np.float64))
    )
    exact = leverage(truth, SHOWN)
    one_factor = model.states == 1
    found = (
        leverage(model, SHOWN) if one_factor else conditional_leverage(model, SHOWN, _PATHS, _SEED)
    )
    content = {
        "times": list(SHOWN),
        "slope": found.slope.tolist(),
        "slope_error": found.slope_error.tolist(),
        "exact_slope": exact.slope.tolist(),
        "elasticity": found.mean_elasticity,
        "exact_elasticity": exact.mean_elasticity,
        "volatility_error": None,
        "mean_reversion": None,
    }
    if one_factor:
        compared = compare_volatility(model, volatility, TIMES)
        content["volatility_error"] = {str(width): compared.rms(width) for width in (1.0, 2.0)}
    if variance is not None:
        content["mean_reversion"] = _mean_reversion(model, *variance)
    return content


def _mean_reversion(model, kappa, theta, v0):
    from hedgezoo.neural_sde.structure import mean_reversion

    found = mean_reversion(model, VARIANCE_TIMES, _PATHS, _SEED)
    exact = theta + (v0 - theta) * np.exp(-kappa * np.asarray(VARIANCE_TIMES))
    return {
        "kappa": [found.kappa, found.kappa_error, kappa],
        "theta": [found.theta, found.theta_error, theta],
        "v0": [found.v0, found.v0_error, v0],
        "variance_error": float(np.sqrt(np.mean((found.variance / exact - 1.0) ** 2))),
    }


def card_section(
    times,
    slope,
    slope_error,
    exact_slope,
    elasticity,
    exact_elasticity,
    volatility_error=None,
    mean_reversion=None,
):
    """The section of a model card on what `numbers` returned, Markdown."""
    lines = [
        "## What it found",
        "",
        "The dynamics behind these quotes are known. The model has seen nothing but the quotes.",
        "",
        "| | learned | exact |",
        "|---|---:|---:|",
    ]
    what = "σ" if volatility_error is not None else "√E[σ² given S]"
    for years, value, error, exact in zip(times, slope, slope_error, exact_slope, strict=True):
        lines.append(
            f"| slope of {what} in log S at the money, {years:g} years | "
            f"{value:.3f}{f' ± {error:.3f}' if error else ''} | {exact:.3f} |"
        )
    lines.append(
        f"| elasticity of the spot, 1 + slope / σ, mean | {elasticity:.3f} | "
        f"{exact_elasticity:.3f} |"
    )
    for width, error in (volatility_error or {}).items():
        lines.append(
            f"| relative error of σ within ±{float(width):g} standard deviations, 0.1 to 1 year | "
            f"{100 * error:.2f} % | 0 |"
        )
    if mean_reversion is not None:
        labels = {
            "kappa": "speed at which the expected variance reverts, per year",
            "theta": "its level in the long run",
            "v0": "its level today",
        }
        for name, label in labels.items():
            value, error, exact = mean_reversion[name]
            lines.append(f"| {label} | {value:.3g} ± {error:.1g} | {exact:g} |")
        error = 100 * mean_reversion["variance_error"]
        lines.append(f"| relative error of the expected variance | {error:.2f} % | 0 |")
    return "\n".join(lines)
