"""What is said of calibrators: how far from quotes and truth, case by case, and how certain."""

import math

from hedgezoo.families.family import (
    NOTHING,
    Column,
    Family,
    gradient_training,
    number,
    use_section,
    value_of,
)

CASES = {
    "clean": "exact quotes",
    "gaussian_half_bp": "N(0, 0.5 bp)",
    "inside_15_bp_spread": "inside a spread",
    "plus_minus_15_bp": "±U[0, 15] bp",
}
NOISIEST = "plus_minus_15_bp"
CASES_NOTE = (
    "Noise cases: *exact quotes*, none missing; *N(0, 0.5 bp)*; *inside a spread*: also a trade "
    "uniform inside a spread that is U[0, 15] bp wide (2.5 bp in all); *±U[0, 15] bp*: also an "
    "error uniform between -15 and 15 bp on each quote (8.7 bp in all). In all but the first 5 % "
    "of the quotes are missing."
)
# metric, label, factor
ROWS = (
    ("error_to_clean_bp", "error to the exact surface, bp", 1.0),
    ("error_to_clean_p99_bp", "99 % of such errors below, bp", 1.0),
    ("error_to_quotes_bp", "error to the quotes, bp", 1.0),
    ("mape_percent", "mean absolute error, % of volatility", 1.0),
    ("failures", "failures, % of the panels", 100.0),
    ("converged", "converged, % of the panels", 100.0),
    ("coverage", "truth in 95 % intervals, %", 100.0),
    ("chi_square", "χ² distance of densities", 1.0),
)
LEAST_SQUARES = "levenberg_marquardt"
# metric, label, format, factor
OF_PARAMETERS = (
    ("rmse", "{}: RMSE", "{:.3g}", 1.0),
    ("pearson", "{}: Pearson", "{:.4f}", 1.0),
    ("coverage", "{}: truth in 95 % intervals, %", "{:.1f}", 100.0),
    ("quantile_coverage", "fresh quotes below quantile {}, %", "{:.1f}", 100.0),
)
ORDER = ("kappa", "theta", "xi", "rho", "v0", "jump_intensity", "jump_mean", "jump_deviation")


def _worst(kind):
    """A column's function: the largest share of panels over the noise cases."""

    def cell(about):
        found = [value_of(about, f"{case}/{kind}") for case in _cases(about["metrics"])]
        found = [value for value in found if value is not None]
        return f"{100 * max(found):.2f} %" if found else NOTHING

    return cell


class CalibratorFamily(Family):
    """Calibrators."""

    title = "Calibrators"
    unit = "panels"
    tags = ("calibration", "heston", "implied-volatility", "derivatives", "tensorflow")
    headlines = (
        Column("exact:\nerror, bp", number("clean/error_to_clean_bp", "{:.2g}")),
        Column("±15 bp:\nto quotes", number(f"{NOISIEST}/error_to_quotes_bp", "{:.2f}")),
        Column("to the\nsurface", number(f"{NOISIEST}/error_to_clean_bp", "{:.2f}")),
        Column("in 95 %\nintervals", number(f"{NOISIEST}/coverage", "{:.1f} %", 100.0)),
        Column("failures", _worst("failures")),
    )
    list_note = (
        "root mean square errors of a panel in bp of volatility, median over fresh panels: of "
        "exact quotes, and of quotes with an error of ±U[0, 15] bp, to the quotes and to the exact "
        "surface; failures: in the worst noise case"
    )
    readme_headlines = (
        Column("exact quotes: error, bp", number("clean/error_to_clean_bp", "{:.2g}")),
        Column(
            "±U[0, 15] bp: error to quotes, bp", number(f"{NOISIEST}/error_to_quotes_bp", "{:.2f}")
        ),
        Column("to the exact surface, bp", number(f"{NOISIEST}/error_to_clean_bp", "{:.2f}")),
        Column("truth in 95 % intervals", number(f"{NOISIEST}/coverage", "{:.1f} %", 100.0)),
        Column("failures", _worst("failures")),
        Column("CPU ms per panel", number("cpu_milliseconds/batched", "{:.2f}")),
    )
    readme_note = (
        "Root mean square errors of a panel in basis points of volatility, median over fresh "
        "panels. *Failures* is the share of panels, in the worst noise case, whose error is above "
        "0.1 bp for exact quotes and above ten standard deviations of a quote for others. The time "
        "is that of a panel in a batch."
    )

    def use(self, about):
        return use_section(
            about,
            [
                "quotes, _ = model.market.simulate(seed=0, panels=4)",
                "result = model.calibrate(",
                '    quotes["implied_volatility"].numpy(),',
                '    quotes["strikes"].numpy(),',
                '    quotes["maturities"].numpy(),',
                ")",
                "print(result.parameters, result.standard_error, result.rms_bp)",
                *_quantile_use(about["metrics"]),
                f'report = hedgezoo.evaluate("{about["name"]}", paths=256)  # panels',
            ],
            "the signatures `serving_default` (panels of quotes in, parameters, standard errors "
            "and fitted volatilities out), `price` (parameters to prices and volatilities) and "
            "`sensitivities`",
        )

    def results(self, about):
        judged, metrics = about["evaluation"], about["metrics"]
        cases = _cases(metrics)
        lines = [
            "## Results",
            "",
            f"On {judged['paths']:,} fresh panels per noise case (seed {judged['seed']}): "
            f"{about['recipe']['judged_on']}. Errors of a panel are root mean squares over its "
            "grid, in basis points of volatility; the table has their medians, ± one standard "
            "error.",
            "",
            *_lines(cases, _rows(metrics, cases)),
            "",
            CASES_NOTE,
            *_parameters(metrics, cases),
            *_beside_least_squares(metrics, cases),
            "",
            *_claims(metrics, cases),
        ]
        return "\n".join(lines)

    def training(self, about):
        recipe = about["recipe"]
        base = recipe.get("base")
        after = f" It starts from the weights of `{base}`." if base else ""
        kinds = recipe["market"]
        market = f"Panels: {kinds[0]}."
        if len(kinds) > 1:
            market = "Panels, in turn:\n\n" + "\n".join(f"- {kind}" for kind in kinds)
        return gradient_training(about, unit=self.unit, after=after, market=market)

    def report(self, report, about, title, width):
        from rich import box
        from rich.table import Table

        cases, beside = _cases(report), " ± " if width >= 120 else "\n±"
        table = Table(
            title=title,
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1 if width >= 100 else 0),
            title_justify="left",
            title_style="bold",
        )
        table.add_column("")
        for case in cases:
            heading = CASES.get(case, case.replace("_", " "))
            table.add_column(heading, justify="right", no_wrap=True)
        for label, cells in (*_rows(report, cases, beside), *_parameter_rows(report, cases)):
            table.add_row(label, *cells)
        return table


def _quantile_use(metrics):
    """Lines of Python on what a quantile head adds to a result."""
    if not any("/quantile_coverage/" in name for name in metrics):
        return []
    grid = 'quotes["strikes"].numpy(), quotes["maturities"].numpy()'
    return [
        f"low = result.quantile_surface(0.25, {grid})",
        'print(low["implied_volatility"].shape)',
    ]


def _cases(metrics):
    """Noise cases of a report, the known ones first."""
    found = {name.partition("/")[0] for name in metrics if name.endswith("/error_to_clean_bp")}
    found -= {LEAST_SQUARES}
    return [case for case in CASES if case in found] + sorted(found - set(CASES))


def _rows(metrics, cases, beside=" ± "):
    """Pairs of a label and a cell for each noise case; rows without a number are left out."""
    for kind, label, scale in ROWS:
        cells = [_estimate(metrics.get(f"{case}/{kind}"), scale, beside) for case in cases]
        if any(cell != NOTHING for cell in cells):
            yield label, cells


def _parameter_rows(metrics, cases):
    """The same for each parameter."""
    for kind, label, form, scale in OF_PARAMETERS:
        names = {name.rpartition("/")[2] for name in metrics if name.split("/")[1:-1] == [kind]}
        for parameter in sorted(names, key=_place):
            keys = [f"{case}/{kind}/{parameter}" for case in cases]
            cells = [_cell(metrics.get(key), form, scale) for key in keys]
            yield label.format(parameter.replace("_", " ")), cells


def _place(parameter):
    return ORDER.index(parameter) if parameter in ORDER else len(ORDER), parameter


def _cell(metric, form, scale):
    return NOTHING if metric is None else form.format(scale * metric["value"])


def _estimate(metric, scale=1.0, beside=" ± "):
    """A metric with the digits that its standard error is worth."""
    if metric is None:
        return NOTHING
    value, error = scale * metric["value"], scale * metric["stderr"]
    if error == 0.0 or not math.isfinite(error):
        return f"{value:.3g}"
    if error < 1e-4:
        return f"{value:.2g}{beside}{error:.1g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f}{beside}{error:.{decimals}f}"


def _lines(cases, rows):
    """Lines of a Markdown table of pairs of a label and cells."""
    names = [CASES.get(case, case.replace("_", " ")) for case in cases]
    heading = [f"| | {' | '.join(names)} |", "|---|" + "---:|" * len(cases)]
    return [*heading, *(f"| {label} | {' | '.join(cells)} |" for label, cells in rows)]


def _parameters(metrics, cases):
    """Lines of the table of parameters."""
    rows = list(_parameter_rows(metrics, cases))
    return ["", "Parameter by parameter:", "", *_lines(cases, rows)] if rows else []


def _beside_least_squares(metrics, cases):
    """Lines of the table of errors and times of Levenberg-Marquardt."""
    rows = []
    for kind, label, scale in ROWS:
        keys = [f"{LEAST_SQUARES}/{case}/{kind}" for case in cases]
        cells = [_estimate(metrics.get(key), scale) for key in keys]
        if any(cell != NOTHING for cell in cells):
            rows.append((label, cells))
    if not rows:
        return []
    title = (
        "Least squares on some of these panels, one by one by Levenberg-Marquardt with analytic "
        "derivatives from one start:"
    )
    return ["", title, "", *_lines(cases, rows), *_times(metrics)]


def _times(metrics):
    times = {
        name: metrics.get(f"cpu_milliseconds/{name}")
        for name in ("batched", "single", LEAST_SQUARES)
    }
    if None in times.values():
        return []
    batched, single, classical = (times[name]["value"] for name in times)
    return [
        "",
        f"CPU time per panel on the machine it was trained on: {batched:.2f} ms in a batch, "
        f"{single:.1f} ms alone, {classical:.1f} ms by Levenberg-Marquardt: "
        f"{classical / batched:.0f} times as much as in a batch.",
    ]


def _claims(metrics, cases):
    """Lines of a table: the paper's claims, and what this model reaches."""
    rows = []
    if error := metrics.get("clean/error_to_clean_bp"):
        rows.append(("28 bp root mean square error (figure 4)", f"{error['value']:.3g} bp, exact"))
        if noisy := metrics.get(f"{NOISIEST}/error_to_clean_bp"):
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} quotes; {noisy['value']:.3g} bp, ±U[0, 15] bp")
    worst = {case: _worst_correlation(metrics, case) for case in cases}
    if any(worst.values()):
        found = "; ".join(
            f"{value:.4f} ({name}), {CASES.get(case, case)}"
            for case, (value, name) in ((c, w) for c, w in worst.items() if w)
        )
        rows.append(("correlation above .98 for every parameter (figure 2)", f"lowest: {found}"))
    if single := metrics.get("cpu_milliseconds/single"):
        rows.append(
            ("1.8 ms per panel on an A100 GPU (figure 5)", f"{single['value']:.1f} ms of CPU time")
        )
    batched, classical = (
        metrics.get(f"cpu_milliseconds/{name}") for name in ("batched", LEAST_SQUARES)
    )
    if batched and classical:
        ratio = classical["value"] / batched["value"]
        rows.append(
            (
                "100 times as fast as L-BFGS-B on a CPU (abstract)",
                f"{ratio:.0f} times as fast as Levenberg-Marquardt on the same CPU, in batches",
            )
        )
    if not rows:
        return []
    lines = [f"| {claim} | {found} |" for claim, found in rows]
    return ["| claim of the paper | here |", "|---|---|", *lines]


def _worst_correlation(metrics, case):
    start = f"{case}/pearson/"
    found = [
        (metric["value"], name.removeprefix(start))
        for name, metric in metrics.items()
        if name.startswith(start) and name.removeprefix(start) in ORDER
    ]
    return min(found, default=None)


FAMILY = CalibratorFamily()
