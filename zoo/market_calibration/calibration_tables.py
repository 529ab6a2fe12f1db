"""A calibration to a file of quotes, in words and tables for a terminal."""

import itertools

import numpy as np

from hedgezoo.market_calibration import neural_sde_tables
from hedgezoo.market_calibration.model_fit import NETWORK
from hedgezoo.market_calibration.neural_sde_fit import NEURAL_SDE
from hedgezoo.market_calibration.quote_panel import in_words
from hedgezoo.tables import decimals_for

LABELS = {
    NETWORK: "network",
    NEURAL_SDE: "neural SDE",
    "levenberg_marquardt": "Levenberg-Marquardt",
    "trust_region": "trust region",
    "l_bfgs_b": "L-BFGS-B",
    "cma_es": "CMA-ES",
    "quantlib": "QuantLib",
}
_MEANING = {
    "kappa": "speed of mean reversion, per year",
    "theta": "long-run variance",
    "xi": "volatility of variance",
    "rho": "correlation of spot and variance",
    "v0": "variance now",
    "jump_intensity": "jumps per year",
    "jump_mean": "mean log jump",
    "jump_deviation": "deviation of log jumps",
}
_MOST_LINES = 8
_WORSE = 1.02  # times the error of the check, from which the fit is not the best there is


def print_report(report, console):
    """Prints a calibration.

    Args:
        report: A `hedgezoo.market_calibration.calibrate_command.Report`.
        console: A `rich.console.Console`.
    """
    panel, fits = report.panel, labelled(report)
    console.print(_heading(panel), soft_wrap=True)
    _print_some(console, "Left out", [_dropped(quote) for quote in panel.dropped])
    console.print()
    if report.fit.method == NEURAL_SDE:
        console.print(neural_sde_tables.fill(_table("Errors to the quotes"), report))
        sentences = neural_sde_tables.conclusions(report)
    else:
        console.print(_parameters(list(fits.values())))
        sentences = _conclusions(report)
    console.print(_by_maturity(panel, fits))
    for sentence in sentences:
        console.print(sentence, soft_wrap=True)
    middle = "" if panel.spread is None else " (middle of bid and ask)"
    violations = [_violation(found) for found in report.arbitrage]
    _print_some(console, f"Arbitrage in the quotes{middle}", violations)


def labelled(report):
    """The fits of a report by what readers call them."""
    fits = {LABELS[report.fit.method]: report.fit}
    if report.check is not None:
        label = LABELS[report.check.method]
        if report.fit.method == NEURAL_SDE:
            label = f"{report.check.model.capitalize()}, {label}"
        fits[label] = report.check
    return fits


def _heading(panel):
    years, strikes = panel.maturities, panel.strikes[panel.mask]
    day = "" if panel.date is None else f" of {panel.date}"
    column = " and ".join(repr(name) for name in panel.quoted_as)
    maturity = "maturity" if len(years) == 1 else "maturities"
    known = not np.isnan(panel.forwards).any()
    forwards = f" (forwards {panel.forwards_from})" if known else ""
    return (
        f"{panel.source}: {len(panel)} quotes{day} (column {column}) at {len(years)} {maturity}, "
        f"{in_words(years[0])} to {in_words(years[-1])}, strikes {strikes.min():.2f} to "
        f"{strikes.max():.2f} times the forward{forwards}"
    )


def _table(title):
    from rich import box
    from rich.table import Table

    return Table(
        title=title,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title_justify="left",
        title_style="bold",
    )


def _parameters(fits):
    table = _table(f"{fits[0].model.capitalize()} parameters, ± one standard error")
    table.add_column("", no_wrap=True)
    table.add_column("")
    for fit in fits:
        table.add_column(LABELS[fit.method], justify="right", no_wrap=True)
    for i, name in enumerate(fits[0].names):
        cells = (_with_error(fit.parameters[i], fit.standard_error[i]) for fit in fits)
        table.add_row(name.replace("_", " "), _MEANING[name], *cells)
    table.add_section()
    rows = (
        ("root mean square error", [f"{fit.rms_bp:.2f} bp" for fit in fits]),
        ("largest error", [f"{fit.max_bp:.1f} bp" for fit in fits]),
        ("time", [_seconds(fit.seconds) for fit in fits]),
    )
    for label, cells in rows:
        table.add_row("", label, *cells)
    return table


def _by_maturity(panel, fits):
    table = _table("Root mean square error by maturity, bp")
    table.add_column("maturity", no_wrap=True, justify="right")
    with_forwards = not np.isnan(panel.forwards).any()
    if with_forwards:
        table.add_column("forward", no_wrap=True, justify="right")
    table.add_column("quotes", no_wrap=True, justify="right")
    for label in fits:
        table.add_column(label, no_wrap=True, justify="right")
    errors = [fit.by_maturity(panel) for fit in fits.values()]
    for j, years in enumerate(panel.maturities):
        cells = [in_words(years)]
        if with_forwards:
            cells.append(f"{panel.forwards[j]:.6g}")
        cells.append(str(panel.mask[j].sum()))
        table.add_row(*cells, *("–" if np.isnan(e[j]) else f"{e[j]:.2f}" for e in errors))
    return table


def _conclusions(report):
    """Sentences on what a reader must know of the fit."""
    fit, check = report.fit, report.check
    ratio = fit.feller_ratio
    if ratio >= 1:
        yield f"Feller condition: 2κθ/ξ² = {ratio:.2f}, met: the variance stays above zero."
    else:
        yield f"Feller condition: 2κθ/ξ² = {ratio:.2f} < 1, violated: the variance can reach zero."
    if fit.outside_box is not None:
        yield (
            "Outside the box of parameters that the model takes for likely."
            if fit.outside_box
            else "Inside the box of parameters that the model takes for likely."
        )
    if not fit.converged:
        yield "Not converged: these parameters are no minimum."
    if np.isnan(fit.standard_error).any():
        yield "A standard error is missing where the quotes do not determine the parameter."
    if check is not None and fit.rms_bp > _WORSE * check.rms_bp:
        yield (
            f"{LABELS[check.method]} finds a better fit: {check.rms_bp:.2f} bp instead of "
            f"{fit.rms_bp:.2f} bp."
        )


def _print_some(console, title, lines):
    if not lines:
        return
    console.print(f"{title}: {len(lines)}", style="bold")
    for line in itertools.islice(lines, _MOST_LINES):
        console.print(f"  {line}", soft_wrap=True)
    if len(lines) > _MOST_LINES:
        console.print(f"  ... and {len(lines) - _MOST_LINES} more (all of them with --json)")


def _dropped(quote):
    where = f"strike {quote.strike:.6g}, {in_words(quote.maturity)}"
    return f"line {quote.line} ({where}): {quote.reason}"


def _violation(found):
    against = "" if found.later is None else f" against {in_words(found.later)}"
    return (
        f"{found.kind} at {in_words(found.maturity)}{against}, strike {found.strike:.4g} times the "
        f"forward: {1e4 * found.size:.3g} bp of the forward"
    )


def _with_error(value, error):
    if np.isnan(error):
        return f"{value:.4g}"
    decimals = decimals_for(error) + 1
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _seconds(seconds):
    return f"{1e3 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
