"""What a reader is told of a neural SDE that was calibrated to a file of quotes."""

import itertools

from hedgezoo.market_calibration.quote_panel import in_words

_NOTHING = "–"
_MOST_LINES = 8


def fill(table, report):
    """The errors of a neural SDE, and of the Heston model beside it.

    Args:
        table: An empty `rich.table.Table`.
        report: A `hedgezoo.market_calibration.calibrate_command.Report`.

    Returns:
        The table.
    """
    fit, check = report.fit, report.check
    result = fit.result
    simulated = f"{result.rms_bp:.2f} ± {result.monte_carlo_bp:.2f}"
    rows = [
        ("quotes fitted: root mean square, bp", simulated, check and f"{check.rms_bp:.2f}"),
        ("the same by Dupire's equation", f"{result.pde_rms_bp:.2f}", None),
        (
            "where vega is above 0.1 √T",
            _NOTHING if result.rms_core_bp != result.rms_core_bp else f"{result.rms_core_bp:.2f}",
            None,
        ),
        ("largest", f"{result.worst_bp:.1f}", check and f"{check.max_bp:.1f}"),
    ]
    if fit.held_out.any():
        other = report.check_held_out_bp
        label = f"{fit.held_out.sum()} quotes held out: root mean square, bp"
        rows.append((label, f"{result.held_out_bp:.2f}", other and f"{other:.2f}"))
    rows += [
        (
            "weights, parameters",
            f"{result.model.count_params():,}",
            check and str(len(check.parameters)),
        ),
        ("time, seconds", f"{fit.seconds:.1f}", check and f"{check.seconds:.2f}"),
    ]
    table.add_column("")
    table.add_column("neural SDE", justify="right", no_wrap=True)
    if check is not None:
        table.add_column("Heston", justify="right", no_wrap=True)
    for label, ours, theirs in rows:
        table.add_row(label, ours, *([] if check is None else [theirs or _NOTHING]))
    return table


def conclusions(report):
    """Sentences on what a reader must know of the fit."""
    fit, check, panel = report.fit, report.check, report.panel
    result = fit.result
    yield f"{'Converged' if result.converged else 'Not converged'}: {result.message}."
    missed = set(fit.missed_lines(panel))
    if not missed:
        yield f"No quote is missed by more than {_allowance(panel)}."
    else:
        yield f"Missed by more than {_allowance(panel)}: {len(missed)} quotes."
        lines = (line for line in _missed(fit, panel) if line[0] in missed)
        for line, text in itertools.islice(lines, _MOST_LINES):
            yield f"  line {line} {text}"
        if len(missed) > _MOST_LINES:
            yield f"  ... and {len(missed) - _MOST_LINES} more (all of them with --json)"
    if check is not None and check.rms_bp < result.rms_bp:
        yield (
            f"A Heston model, with {len(check.parameters)} parameters, fits better: "
            f"{check.rms_bp:.2f} bp. More --steps may help."
        )
    if fit.held_out.any() and result.held_out_bp > 2 * result.rms_bp:
        yield (
            "The error on held-out quotes is more than twice that on fitted ones: the network "
            "follows the noise of the quotes, or they are few."
        )


def _allowance(panel):
    return "10 bp and noise" if panel.spread is None else "half the spread and noise"


def _missed(fit, panel):
    """Pairs of a line and words, the largest error first."""
    errors = 1e4 * (fit.implied_volatility - panel.implied_volatility)
    rows, columns = panel.mask.nonzero()
    order = sorted(zip(rows, columns, strict=True), key=lambda place: -abs(errors[place]))
    for j, i in order:
        where = f"strike {panel.strikes[j, i]:.4g} times the forward, "
        where += in_words(panel.maturities[j])
        yield int(panel.lines[j, i]), f"({where}): {errors[j, i]:+.1f} bp"
