"""What is said of hedging strategies: prices, beside what is used today and the optimum."""

from hedgezoo.families.family import (
    NOTHING,
    Column,
    Family,
    estimate,
    gradient_training,
    number,
    use_section,
    value_of,
)

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


def _headline_price(about):
    """Name of the price that stands for the model: exact where that of delta is too."""
    exact = {"exact_price", "delta/exact_price"} <= about["metrics"].keys()
    return "exact_price" if exact else "price"


def _price(about):
    """The headline price in basis points of the spot."""
    price = value_of(about, _headline_price(about))
    return NOTHING if price is None else f"{1e4 / about['evaluation']['spot'] * price:.2f}"


def _saving(about):
    """What is saved on delta, as a share of its price."""
    key = _headline_price(about)
    price, delta = value_of(about, key), value_of(about, f"delta/{key}")
    return NOTHING if price is None or delta is None else f"{100 * (1 - price / delta):.1f} %"


class HedgeFamily(Family):
    """Hedging strategies."""

    title = "Hedging strategies"
    tags = ("deep-hedging", "derivatives", "tensorflow")
    headlines = (
        Column("price", _price),
        Column("gap", number("gap_to_optimum_percent", "{:.3f} %")),
        Column("saving", _saving),
    )
    list_note = (
        "price: in basis points of the spot, exact where the optimum is known; "
        "gap: above the optimum; saving: on the Black-Scholes delta, of its price"
    )
    readme_headlines = (
        Column("exact price", number("exact_price", "{:.6f}")),
        Column("optimum", number("optimum/exact_price", "{:.6f}")),
        Column("gap", number("gap_to_optimum_percent", "{:.4f} %")),
        Column("delta hedge", number("delta/exact_price", "{:.6f}")),
        Column("no hedge", number("naked/exact_price", "{:.6f}")),
    )
    readme_note = (
        "*Exact price* is the entropic risk of the hedged seller, computed by dynamic programming, "
        "without Monte Carlo error; *gap* is its distance to the best that any strategy can do."
    )

    def use(self, about):
        return use_section(
            about,
            [f'report = hedgezoo.evaluate("{about["name"]}", paths=16384)'],
            "the signatures `serving_default` (one hedge step), `rollout` (whole paths) and "
            "`sensitivities`",
        )

    def results(self, about):
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
            cells = [estimate(metrics.get(f"{prefix}/{key}" if prefix else key)) for key in COLUMNS]
            if any(cell != NOTHING for cell in cells):
                lines.append(f"| {label} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "".join(f"\n\n{note}" for note in self._notes(metrics))

    def _notes(self, metrics):
        """What the table alone does not say."""
        for prefix, label in ROWS.items():
            effective = metrics.get(f"{prefix}/effective_paths" if prefix else "effective_paths")
            if effective and effective["value"] < FEW_PATHS:
                yield (
                    f"The simulated price of {label} rests on {effective['value']:.0f} effective "
                    "paths and its standard error is too small: trust the exact one."
                )
        if "gap_to_optimum_percent" in metrics:
            gap = metrics["gap_to_optimum_percent"]["value"]
            yield f"Gap to the exact optimum: {gap:.4f} % of the price."
        for name in ("naked", "delta", "whalley_wilmott"):
            if saving := metrics.get(f"saving/{name}"):
                yield (
                    f"Cheaper than {ROWS[name]} by {estimate(saving)} (paired difference on these "
                    "paths)."
                )

    def training(self, about):
        return gradient_training(about)

    def report(self, report, about, title, width):
        from hedgezoo import tables

        spot = about["evaluation"]["spot"]
        return tables.comparison(report, label="this preset", spot=spot, title=title, width=width)


FAMILY = HedgeFamily()
