"""The model card, Markdown, made from `metadata.json` and nothing else."""

ROWS = {
    "": "**this model**",
    "naked": "naked (never trade)",
    "delta": "Black-Scholes delta",
    "whalley_wilmott": "Whalley-Wilmott band",
    "optimum": "exact optimum",
}
FEW_PATHS = 1000  # below this the simulated entropic risk is decided by a handful of paths
COLUMNS = {
    "exact_price": "exact price",
    "price": "price, simulated",
    "std": "standard deviation",
    "cvar_95": "CVaR 95 %",
    "turnover": "turnover",
    "cost": "trading cost",
}


def card_text(about):
    """The model card of a preset.

    Args:
        about: Content of its `metadata.json`.

    Returns:
        Markdown with a YAML head.
    """
    parts = [
        _head(about),
        f"# {about['name']}\n\n{about['description']}.\n\n{about['task']}",
        _use(about),
        _results(about),
        _figures(about),
        *_experiments(about),
        _training(about),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in about["limits"]),
        _source(about),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(about):
    lines = [
        "---",
        f"license: {about['licence'].lower()}",
        "library_name: keras",
        "tags: [deep-hedging, derivatives, tensorflow]",
        f"model_name: {about['name']}",
        "---",
    ]
    return "\n".join(lines)


def _use(about):
    return (
        "## Use\n\n```python\nimport hedgezoo\n\n"
        f'model = hedgezoo.load("{about["name"]}")\n'
        f'report = hedgezoo.evaluate("{about["name"]}", paths=16384)\n'
        "```\n\n"
        "`1/` is the SavedModel for TensorFlow Serving, with the signatures `serving_default` "
        "(one hedge step), `rollout` (whole paths) and `sensitivities`."
    )


def _results(about):
    metrics = about["metrics"]
    lines = [
        "## Results",
        "",
        f"On {about['evaluation']['paths']:,} simulated paths (seed "
        f"{about['evaluation']['seed']}), the same for every row, ± one standard error. "
        "The price is the entropic risk of gains minus liability. Exact prices are computed by "
        "dynamic programming, without Monte Carlo error.",
        "",
        "| strategy | " + " | ".join(COLUMNS.values()) + " |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for prefix, label in ROWS.items():
        cells = [_cell(metrics.get(f"{prefix}/{key}" if prefix else key)) for key in COLUMNS]
        if any(cell != "–" for cell in cells):
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    notes = []
    for prefix, label in ROWS.items():
        effective = metrics.get(f"{prefix}/effective_paths" if prefix else "effective_paths")
        if effective and effective["value"] < FEW_PATHS:
            notes.append(
                f"The simulated price of {label} rests on {effective['value']:.0f} effective paths "
                "and its standard error is too small: trust the exact one."
            )
    if "gap_to_optimum_percent" in metrics:
        gap = metrics["gap_to_optimum_percent"]["value"]
        notes.append(f"Gap to the exact optimum: {gap:.4f} % of the price.")
    for name in ("naked", "delta", "whalley_wilmott"):
        if saving := metrics.get(f"saving/{name}"):
            notes.append(
                f"Cheaper than {ROWS[name]} by {_cell(saving)} (paired difference on these paths)."
            )
    return "\n".join(lines) + "".join(f"\n\n{note}" for note in notes)


def _experiments(about):
    """Sections on what was measured for some presets only."""
    from hedgezoo import optimality_gap
    from hedgezoo.experiments import no_transaction_band_paper

    if "paper_experiment" in about:
        yield no_transaction_band_paper.card_section(**about["paper_experiment"])
    if "box" in about:
        yield optimality_gap.card_section(about["box"])


def _figures(about):
    captions = {
        "band": "The band against the spot: inside it, nothing is traded.",
        "profits": "Outcomes, gains minus liability, on the same paths.",
        "learning_curve": "The loss during training.",
    }
    shown = [name for name in captions if name in about.get("figures", ())]
    return "\n\n".join(f"![{captions[name]}](figures/{name}.png)" for name in shown)


def _cell(estimate):
    if estimate is None:
        return "–"
    if estimate["stderr"] == 0:
        return f"{estimate['value']:.6f}"
    return f"{estimate['value']:.6f} ± {estimate['stderr']:.1e}"


def _training(about):
    recipe, facts = about["recipe"], about["training"]
    paths = recipe["steps"] * recipe["batch_size"]
    versions = ", ".join(f"{name} {version}" for name, version in about["built_with"].items())
    return (
        "## Training\n\n"
        f"`hedgezoo train {about['name']}` (recipe `{recipe['module']}`): {recipe['steps']:,} "
        f"steps of {recipe['batch_size']:,} paths ({paths:,} in all, seed {recipe['seed']}), Adam "
        f"from {recipe['learning_rate']:g} with cosine decay. {about['parameters']:,} parameters, "
        f"{facts['cpu_seconds']:.0f} CPU-seconds on two cores.\n\n"
        f"Market: `{recipe['market']}`.\n\nBuilt with {versions}."
    )


def _source(about):
    paper = about["paper"]
    return (
        f"## Source\n\n{paper['authors']} ({paper['year']}), *{paper['title']}*, "
        f"{paper['reference']}. Weights: {about['licence']}."
    )


_BEGIN = "<!-- presets: written by `make readme` -->"
_END = "<!-- end of presets -->"


def presets_table():
    """Headline numbers of all shipped presets, Markdown."""
    from hedgezoo.presets import list_presets, metadata

    lines = [
        "| preset | what it is | exact price | optimum | gap | delta hedge | no hedge |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    keys = (
        "exact_price",
        "optimum/exact_price",
        "gap_to_optimum_percent",
        "delta/exact_price",
        "naked/exact_price",
    )
    for name in list_presets():
        about = metadata(name)
        values = [about["metrics"].get(key, {}).get("value") for key in keys]
        cells = ["–" if value is None else f"{value:.6f}" for value in values]
        if values[2] is not None:
            cells[2] = f"{values[2]:.4f} %"
        lines.append(f"| `{name}` | {about['description']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def readme_text(text):
    """The README with its table of presets brought up to date.

    Args:
        text: The README as it is.

    Returns:
        The README as it should be.

    Raises:
        ValueError: If the marks around the table are missing.
    """
    if _BEGIN not in text or _END not in text:
        raise ValueError(f"the README must contain the lines {_BEGIN!r} and {_END!r}")
    head, rest = text.split(_BEGIN)
    return f"{head}{_BEGIN}\n{presets_table()}\n{_END}{rest.split(_END)[1]}"
