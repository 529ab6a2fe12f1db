"""Metrics line by line: for families that have no other strategy to stand beside."""

from typing import NamedTuple


class Line(NamedTuple):
    """How a metric is shown.

    Args:
        metric: Its name.
        label: What readers call it.
        form: Format of value and standard error.
        scale: Factor before formatting.
    """

    metric: str
    label: str
    form: str
    scale: float = 1.0


def shown(metrics, lines):
    """Metrics as text, the known ones first.

    Args:
        metrics: Dictionary `{metric: {"value", "stderr"}}`. One whose name has a slash, as
            `"gain/q/3/1"`, is a detail and left out unless it is among `lines`.
        lines: `Line`s in order.

    Returns:
        List of triples: label, value, standard error (empty where it is 0).

    Example:

    >>> shown({"share": {"value": 0.5, "stderr": 0.01}}, [Line("share", "share, %", "{:.1f}", 100)])
    [('share, %', '50.0', '1.0')]
    """
    known = [line.metric for line in lines]
    others = [
        Line(name, name.replace("_", " "), "{:.6g}")
        for name in metrics
        if name not in known and "/" not in name
    ]
    rows = []
    for metric, label, form, scale in (*lines, *sorted(others)):
        if metric in metrics:
            value, stderr = (scale * metrics[metric][key] for key in ("value", "stderr"))
            rows.append((label, form.format(value), form.format(stderr) if stderr else ""))
    return rows


def metric_lines(metrics, lines):
    """Lines of a Markdown table of metrics; see `shown`."""
    rows = [
        f"| {label} | {value}{f' ± {stderr}' if stderr else ''} |"
        for label, value, stderr in shown(metrics, lines)
    ]
    return ["| | |", "|---|---:|", *rows]


def metric_table(metrics, lines, title, width):
    """A `rich.table.Table` of metrics; see `shown`."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title_justify="left",
        title_style="bold",
        width=None if width >= 100 else min(width, 100),
    )
    table.add_column("")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("± standard error", justify="right", no_wrap=True)
    for row in shown(metrics, lines):
        table.add_row(*row)
    return table
