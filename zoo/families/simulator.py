"""What is said of market simulators: stable, free of arbitrage, like the history they come from."""

import math

from hedgezoo.families.family import (
    NOTHING,
    Column,
    Family,
    number,
    use_section,
    versions,
)
from hedgezoo.families.metrics import Line, metric_lines, metric_table

LINES = (
    Line("observations", "dates it was fitted to", "{:,.0f}"),
    Line("series", "series: log return and components of the surface", "{:.0f}"),
    Line("lags", "lags", "{:.0f}"),
    Line("explained_variance", "variance of the surface that they carry, %", "{:.3f}", 100.0),
    Line("spectral_radius", "spectral radius (stable below 1)", "{:.5f}"),
    Line("arbitrage_free_share", "simulated surfaces free of arbitrage, %", "{:.2f}", 100.0),
    Line("realised_volatility", "realised volatility from a mean day on, %", "{:.2f}", 100.0),
    Line("start_atm_volatility", "implied volatility on that day, %", "{:.2f}", 100.0),
)
SIDES = ("historical", "simulated")


def _worst_quantile(about):
    """Largest distance of a simulated quantile from the historical one, in historical ranges."""
    worst = 0.0
    groups = _grouped(about["metrics"], "quantiles")
    for levels in groups.values():
        known = {level: pair for level, pair in levels.items() if set(SIDES) <= pair.keys()}
        values = [pair["historical"]["value"] for pair in known.values()]
        spread = max(values, default=0.0) - min(values, default=0.0)
        for pair in known.values():
            error = abs(pair["simulated"]["value"] - pair["historical"]["value"])
            worst = max(worst, error / spread if spread else 0.0)
    return f"{100 * worst:.1f} %" if groups else NOTHING


def _grouped(metrics, kind):
    """Metrics `kind/<series>/<level>/<side>` as nested dictionaries."""
    found = {}
    for name, metric in metrics.items():
        head, *rest = name.split("/")
        if head == kind and len(rest) == 3:
            series, level, side = rest
            found.setdefault(series, {}).setdefault(level, {})[side] = metric
    return found


class SimulatorFamily(Family):
    """Market simulators."""

    title = "Market simulators"
    tags = ("market-simulation", "implied-volatility", "derivatives", "tensorflow")
    headlines = (
        Column("lags", number("lags", "{:.0f}")),
        Column("spectral\nradius", number("spectral_radius", "{:.4f}")),
        Column("arbitrage-\nfree", number("arbitrage_free_share", "{:.1f} %", 100.0)),
        Column("quantile\nerror", _worst_quantile),
    )
    list_note = (
        "arbitrage-free: of the simulated surfaces; quantile error: largest distance to history, "
        "of the historical range between the outer quantiles"
    )
    readme_headlines = headlines
    readme_note = (
        "*Arbitrage-free* is the share of simulated surfaces without static arbitrage; *quantile "
        "error* the largest distance of a simulated quantile to the historical one, of the "
        "historical range between the outer quantiles."
    )

    def use(self, about):
        return use_section(
            about,
            [
                "paths = model.simulate(seed=0, paths=1000)  # spot, dlv, calls",
                "inputs, liability = model.market.simulate(seed=0, paths=1000)  # to hedge with",
                f'report = hedgezoo.evaluate("{about["name"]}", paths=4096)',
            ],
            "the signature `simulate` (state and seed in, paths of spot and option prices out), "
            "which is `serving_default` too",
        )

    def results(self, about):
        judged, metrics = about["evaluation"], about["metrics"]
        lines = [
            "## Results",
            "",
            f"On {judged['paths']:,} simulated paths (seed {judged['seed']}), ± one standard "
            "error.",
            "",
            *metric_lines(metrics, LINES),
            *_against_history(
                metrics,
                "quantiles",
                "Quantiles, history / simulation:",
                lambda level: f"{100 * float(level):g} %",
            ),
            *_against_history(
                metrics,
                "autocorrelation",
                "Autocorrelation at lags in days, history / simulation:",
                str,
            ),
            *_residuals(metrics),
        ]
        return "\n".join(lines)

    def training(self, about):
        facts, recipe = about["training"], about["recipe"]
        history = "; ".join(f"{name} {value}" for name, value in recipe["history"])
        return (
            "## Training\n\n"
            f"`hedgezoo train {about['name']}` (recipe `{recipe['module']}`): fitted by least "
            f"squares, without gradient steps, in {facts['cpu_seconds']:.1f} CPU-seconds. "
            f"{about['parameters']:,} parameters.\n\nHistory: {history}.\n\n"
            f"Built with {versions(about)}."
        )

    def report(self, report, about, title, width):
        return metric_table(report, LINES, title, width)


def _against_history(metrics, kind, title, heading):
    """Lines of a table of `kind` by series and level, simulated beside historical."""
    groups = _grouped(metrics, kind)
    if not groups:
        return []
    levels = sorted({level for group in groups.values() for level in group}, key=float)
    lines = [
        "",
        title,
        "",
        "| | " + " | ".join(heading(level) for level in levels) + " |",
        "|---|" + "---:|" * len(levels),
    ]
    for series in sorted(groups):
        pairs = (groups[series].get(level, {}) for level in levels)
        cells = [" / ".join(_rounded(pair.get(side)) for side in SIDES) for pair in pairs]
        lines.append(f"| {series.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return lines


def _rounded(metric):
    """A metric and its error, with the digits that the error is worth."""
    if metric is None:
        return NOTHING
    value, stderr = metric["value"], metric["stderr"]
    if stderr == 0:
        return f"{value:.4g}"
    decimals = max(0, 1 - math.floor(math.log10(stderr)))
    return f"{value:.{decimals}f} ± {stderr:.{decimals}f}"


def _residuals(metrics):
    """Lines of a table of what is left in the residuals, by series."""
    tests = {
        "residual_ljung_box": "Ljung-Box p-value",
        "squared_residual_ljung_box": "of their squares",
        "residual_skewness": "skewness",
        "residual_excess_kurtosis": "excess kurtosis",
    }
    series = sorted(name.partition("/")[2] for name in metrics if name.startswith("residual_l"))
    if not series:
        return []
    lines = [
        "",
        "What is left in the residuals (p-values near 0: something predictable; skewness and "
        "excess kurtosis are 0 if Gaussian):",
        "",
        "| | " + " | ".join(tests.values()) + " |",
        "|---|" + "---:|" * len(tests),
    ]
    for name in series:
        found = (metrics.get(f"{test}/{name}") for test in tests)
        cells = (NOTHING if metric is None else f"{metric['value']:.3g}" for metric in found)
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return lines


FAMILY = SimulatorFamily()
