"""What the experiment on known dynamics claims of the neural SDE, with limits, and in words."""

import numpy as np

from hedgezoo.experiments.neural_sde_cases import CASES, CEV_ELASTICITY, REVERTING

EXPERIMENT_FIGURES = {
    "learned_volatility": "The learned volatilities, where 99 % of the paths are",
    "slices_heston": "Heston: the learned volatility and its exact Markovian projection",
    "slices_cev": "CEV: the learned volatility and the exact one",
    "slices_reverting": "Heston from v₀ = 0.09: the learned volatility and its exact projection",
    "learned_leverage": "The slope of the volatility in log S at the money",
    "learned_mean_reversion": "Expected variance, learned from one surface",
    "learned_memory": "Memory of daily returns, learned from a history",
}


def gates(cases, memory):
    """The claims, each with its number and its limit.

    Args:
        cases: Dictionary name of a case -> numbers, `structure` among them.
        memory: Numbers of `memory_of`.

    Returns:
        List of dictionaries `claim`, `value`, `limit` and `passed`.
    """
    found = {name: case["structure"] for name, case in cases.items()}
    cev, heston, reverting = found["cev"], found["heston"], found["reverting"]
    slope, exact = np.array(heston["slope"]), np.array(heston["exact_slope"])
    kappa = reverting["kappa"]
    miss = np.inf if kappa is None else abs(kappa / REVERTING[0] - 1.0)
    learned, truth = (
        np.array(memory["clustering"][name]["value"]) for name in ("neural SDE", "Heston")
    )
    rows = [
        ("CEV: elasticity β, distance from 0.5", abs(cev["elasticity"] - CEV_ELASTICITY), 0.05),
        ("CEV: σ within ±1 deviation, relative rms", cev["rms_within_1_deviation"], 0.01),
        ("Heston: slope of σ at the money, relative", np.max(np.abs(slope / exact - 1.0)), 0.10),
        ("Heston: σ within ±1 deviation, relative rms", heston["rms_within_1_deviation"], 0.03),
        ("Heston: σ within ±2 deviations, relative rms", heston["rms_within_2_deviations"], 0.08),
        ("placebo: slope of σ", np.max(np.abs(found["black_scholes"]["slope"])), 0.02),
        ("mean reversion: speed κ, relative", miss, 0.20),
        ("mean reversion: expected variance, relative rms", reverting["variance_rms"], 0.05),
        (
            "martingale: distance of E S from F, standard errors",
            max(case["martingale_z"] for case in found.values()),
            3.0,
        ),
        (
            "history: autocorrelation of absolute returns, lags 1 to 20, distance",
            np.max(np.abs(learned - truth)[:3]),
            0.05,
        ),
    ]
    return [
        {
            "claim": claim,
            "value": number_or_none(float(value)),
            "limit": limit,
            "passed": bool(value <= limit),
        }
        for claim, value, limit in rows
    ]


def card_section(settings, cases, memory, gates):
    """The section of a model card on the experiment, Markdown.

    Args:
        settings: How it was run.
        cases: Dictionary name -> title, calibration and structure.
        memory: Numbers of `memory_of`.
        gates: List of `claim`, `value`, `limit` and `passed`.

    Returns:
        Text.
    """
    seconds = sum(case["calibration"]["cpu_seconds"] for case in cases.values())
    lines = [
        "## What the network discovers",
        "",
        f"The same network ({' and '.join(map(str, settings['units']))} units, seed "
        f"{settings['seed']}) calibrated to four surfaces whose dynamics are known, in "
        f"{seconds:.0f} CPU seconds in all; and a model fitted to {settings['history_years']:g} "
        "simulated years of daily data.",
        "",
        "| against the truth | measured | limit | |",
        "|---|---:|---:|---|",
        *(
            f"| {gate['claim']} | {told(gate['value'])} | {gate['limit']:g} | "
            f"{'passed' if gate['passed'] else '**missed**'} |"
            for gate in gates
        ),
        "",
        "| surface | error by Dupire's equation, bp | by simulation, bp | "
        "slope of σ after half a year | exact | κ | θ |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in CASES:
        case = cases[name]
        fit, found = case["calibration"], case["structure"]
        # without a variance that moves there is nothing to revert
        speed = [found["kappa"], found["theta"]] if found["variance_moved"] > 0.1 else [None, None]
        lines.append(
            f"| {case['title']} | {fit['pde_error_bp']:.2f} | {fit['error_bp']:.2f} | "
            f"{found['slope'][1]:.3f} | {found['exact_slope'][1]:.3f} | {told(speed[0])} | "
            f"{told(speed[1])} |"
        )
    lines += [
        "",
        "| autocorrelation of absolute returns, lag in days | "
        + " | ".join(map(str, memory["lags"]))
        + " |",
        "|---|" + "---:|" * len(memory["lags"]),
    ]
    for name, found in memory["clustering"].items():
        lines.append(f"| {name} | " + " | ".join(f"{x:.3f}" for x in found["value"]) + " |")
    for name, caption in EXPERIMENT_FIGURES.items():
        lines += ["", f"![{caption}](figures/{name}.png)"]
    return "\n".join(lines)


def told(value):
    """A number for readers."""
    return "–" if value is None else f"{value:.3g}"


def number_or_none(value):
    """A number, or None for one that JSON cannot hold."""
    return float(value) if np.isfinite(value) else None
