"""Reports and lists of presets as tables for a terminal."""

from hedgezoo.styles import STYLES

_COLUMNS = {
    "price": "price",
    "exact_price": "exact\nprice",
    "saving/delta": "saving\non delta",
    "std": "std",
    "cvar_95": "CVaR\n95 %",
    "turnover": "turn-\nover",
    "cost": "trading\ncost",
}
_FEW_PATHS = 1000  # below, a simulated price says little
_WIDE = 140  # characters from which values and errors, names and descriptions are side by side


def comparison(report, label=None, labels=None, spot=1.0, title=None, width=80):
    """A report of `hedgezoo.evaluate` as a table: what is used today first, the optimum last.

    Args:
        report: Dictionary `{metric: {"value", "stderr"}}`.
        label: What the model itself is called. Default: as in `hedgezoo.styles`.
        labels: Dictionary prefix -> name, for other strategies in the report.
        spot: Initial spot, money: money is shown in basis points of it.
        title: Above the table.
        width: Characters across; standard errors go below the values where they do not fit beside.

    Returns:
        `rich.table.Table`.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    labels = {**{key: style.label for key, style in STYLES.items()}, **(labels or {})}
    labels[""] = label or labels["network"]
    strategies = _strategies(report)
    shown = [
        key
        for key in _COLUMNS
        if any(_metric(report, name, key) is not None for name in strategies)
    ]
    cells = {key: _column(report, strategies, key, 1e4 / spot, width) for key in shown}
    weak = [name for name in strategies if _few_paths(report, name)]
    table = Table(
        title=title,
        caption=_caption(report, weak),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1 if width >= _WIDE else 0),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="none",
    )
    table.add_column("strategy", no_wrap=True)
    for key in shown:
        table.add_column(_COLUMNS[key], justify="right", no_wrap=True)
    for name in strategies:
        own = labels.get(name, name) + ("*" if name in weak else "")
        style = "bold" if name == "" else "dim" if name == "optimum" else ""
        table.add_row(Text(own), *(cells[key][name] for key in shown), style=style)
    return table


def _strategies(report):
    """Prefixes of a report: what is used today, other models, the model, the optimum."""
    found = {key.rpartition("/")[0] for key in report if key == "price" or key.endswith("/price")}
    order = ["naked", "delta", "whalley_wilmott"]
    others = sorted(found - {*order, "", "optimum"})
    return [name for name in [*order, *others, "", "optimum"] if name in found]


def _metric(report, name, key):
    return report.get(f"{name}/{key}" if name else key)


def _few_paths(report, name):
    paths = _metric(report, name, "effective_paths")
    return paths is not None and paths["value"] < _FEW_PATHS


def _column(report, strategies, key, basis_points, width):
    """Cells of a column, all with as many decimals as its smallest standard error is worth."""
    scale = 1.0 if key == "turnover" else basis_points
    metrics = {name: _metric(report, name, key) for name in strategies}
    errors = [scale * metric["stderr"] for metric in metrics.values() if metric]
    decimals = decimals_for(min((error for error in errors if error > 0), default=0.01))
    beside = " ± " if width >= _WIDE else "\n±"
    cells = {}
    for name, metric in metrics.items():
        if metric is None:
            cells[name] = "–"
            continue
        cells[name] = f"{scale * metric['value']:.{decimals}f}"
        if key != "exact_price" and metric["stderr"] > 0:
            cells[name] += f"{beside}{scale * metric['stderr']:.{decimals}f}"
    return cells


def decimals_for(error):
    """Decimals that show the first digit of a standard error, or two if that is 1; at most 6.

    Example:

    >>> decimals_for(0.3), decimals_for(0.12), decimals_for(12.0)
    (1, 2, 0)
    """
    decimals = 0
    while decimals < 6 and round(error * 10**decimals) < 2:
        decimals += 1
    return decimals


def _caption(report, weak):
    lines = [
        "In basis points of the spot (turnover: units of the underlying), ± one standard error.",
        "price: entropic risk of gains minus liability; exact: by dynamic programming.",
    ]
    for name in weak:
        paths = _metric(report, name, "effective_paths")["value"]
        exact = " The exact price is right." if _metric(report, name, "exact_price") else ""
        lines.append(
            f"* About {paths:.0f} extreme paths decide this simulated price: it may be too low by "
            f"more than its error.{exact}"
        )
    return "\n".join(lines)


def presets(family, entries, width=80):
    """The shipped presets of a family with their headline numbers.

    Args:
        family: A `hedgezoo.families.family.Family`.
        entries: List of contents of `metadata.json`.
        width: Characters across; on few, descriptions go below names.

    Returns:
        `rich.table.Table`.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    narrow = width < _WIDE
    table = Table(
        title=family.title,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        caption=family.list_note,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="none",
    )
    table.add_column("preset", no_wrap=not narrow)
    if not narrow:
        table.add_column("class", no_wrap=True)
        table.add_column("what it is")
    for column in family.headlines:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for about in entries:
        name = Text(about["name"], style="bold")
        facts = [about["class"], about["description"]]
        if narrow:
            name.append(f"\n{facts[0]}: {facts[1]}", style="not bold")
            facts = []
        table.add_row(name, *facts, *(column.cell(about) for column in family.headlines))
    return table


def experiments(entries):
    """The experiments that can be run.

    Args:
        entries: Dictionary name -> `hedgezoo.experiments.Experiment`.

    Returns:
        `rich.table.Table`.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("experiment", no_wrap=True, style="bold")
    table.add_column("what it shows")
    for name, experiment in entries.items():
        table.add_row(name, experiment.description)
    return table
