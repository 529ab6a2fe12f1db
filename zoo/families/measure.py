"""What is said of risk-neutral measures: how far from P, on how many paths, free of what drift."""

from hedgezoo.families.family import Column, Family, gradient_training, number, use_section
from hedgezoo.families.metrics import Line, metric_lines, metric_table

LINES = (
    Line("relative_entropy", "relative entropy H(Q given P)", "{:.6f}"),
    Line("exact/relative_entropy", "the same, exact", "{:.6f}"),
    Line("utility", "certainty equivalent of the policy under P", "{:.6f}"),
    Line("effective_sample_share", "effective sample, % of the paths", "{:.2f}", 100.0),
    Line("effective_sample_size", "effective sample, paths", "{:,.0f}"),
    Line("largest_weight", "largest weight (the mean is 1)", "{:.2f}"),
    Line("density_mse", "mean squared error of the density", "{:.2e}"),
    Line("density_mse_floor", "the same, of the exact density of daily trading", "{:.2e}"),
    Line("inside_band/p", "gains inside the cost band under P, % of all", "{:.1f}", 100.0),
    Line("inside_band/q", "gains inside the cost band under Q, % of all", "{:.1f}", 100.0),
    Line("largest_excess/p", "farthest outside under P, standard errors", "{:.1f}"),
    Line("largest_excess/q", "farthest outside under Q, standard errors", "{:.1f}"),
    Line("gain/p", "expected gains of the policy under P", "{:.6f}"),
    Line("gain/q", "expected gains of the policy under Q", "{:.6f}"),
    Line("retrained/p", "certainty equivalent of a new policy under P", "{:.6f}"),
    Line("retrained/q", "certainty equivalent of a new policy under Q", "{:.6f}"),
)


class MeasureFamily(Family):
    """Risk-neutral measures."""

    title = "Risk-neutral measures"
    tags = ("deep-hedging", "change-of-measure", "derivatives", "tensorflow")
    headlines = (
        Column("relative\nentropy", number("relative_entropy", "{:.4f}")),
        Column("effective\nsample", number("effective_sample_share", "{:.1f} %", 100.0)),
        Column("in band\nunder P", number("inside_band/p", "{:.0f} %", 100.0)),
        Column("in band\nunder Q", number("inside_band/q", "{:.0f} %", 100.0)),
    )
    list_note = (
        "effective sample: of the paths under Q; in band: dates and instruments whose expected "
        "gain lies within what trading costs"
    )
    readme_headlines = (
        *headlines,
        Column("new policy under P", number("retrained/p", "{:.5f}")),
        Column("new policy under Q", number("retrained/q", "{:.5f}")),
    )
    readme_note = (
        "*Effective sample* is the share of the paths that decides under Q; *in band* the share of "
        "dates and instruments whose expected gain lies within what trading costs; *new policy* "
        "the certainty equivalent that a freshly trained policy reaches."
    )

    def use(self, about):
        return use_section(
            about,
            [
                "inputs, _ = model.market.simulate(seed=0, paths=16384)",
                "weights = model.path_weights(inputs)  # dQ/dP: sample weights for any `fit`",
                f'report = hedgezoo.evaluate("{about["name"]}", paths=16384)',
            ],
            "the signature `log_density` (log dQ/dP of whole paths), which is `serving_default` "
            "too",
        )

    def results(self, about):
        judged = about["evaluation"]
        lines = [
            "## Results",
            "",
            f"On {judged['paths']:,} fresh paths (seed {judged['seed']}), ± one standard error. A "
            "gain counts as inside the cost band if it is no more than 2.5 weighted standard "
            "errors outside. Certainty equivalents are −log E[exp(−gains)].",
            "",
            *metric_lines(about["metrics"], LINES),
        ]
        if about["metrics"].get("degenerate", {}).get("value"):
            lines += [
                "",
                "**The change of measure is degenerate**: less than 5 % of the paths decide. "
                "Expectations under Q rest on few paths and their errors are too small.",
            ]
        return "\n".join(lines)

    def training(self, about):
        recipe = about["recipe"]
        start = (
            " It starts at the exact optimum among linear policies on "
            f"{recipe['initial_paths']:,} of them; the"
            if recipe["linear_start"]
            else " It starts without trades. The"
        )
        return gradient_training(
            about,
            after=f"{start} density has mean 1 on the first {recipe['normalising_paths']:,} paths.",
        )

    def report(self, report, about, title, width):
        return metric_table(report, LINES, title, width)


FAMILY = MeasureFamily()
