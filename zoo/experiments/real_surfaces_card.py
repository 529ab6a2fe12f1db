"""The section of a calibrator's model card on real surfaces."""

import textwrap

CHECK = "levenberg_marquardt"
CLOSE = 1.02  # times the error of least squares


def card_section(starts, surfaces, quantlib_dax, figures=None):
    """The section of a model card on real surfaces, Markdown.

    Args:
        starts: As in `heston_real_markets.numbers`.
        surfaces: As in `heston_real_markets.numbers`.
        quantlib_dax: Dictionary model -> what `heston_real_markets.quantlib_dax` returns.
        figures: What `heston_real_markets.draw` returns, or None.

    Returns:
        Markdown.
    """
    (model,) = {model for surface in surfaces for model in surface["models"]}
    text = (
        "Root mean square error of the fitted volatilities in basis points, beside "
        f"Levenberg-Marquardt with exact derivatives, the best of {starts} starts; *inside*: "
        "whether the parameters are inside the box that is the prior of the model; times of one "
        "panel and of one start in milliseconds."
    )
    lines = [
        "## Real markets",
        "",
        textwrap.fill(text, 100),
        "",
        "| surface | quotes | network | least squares | ratio | inside | network | least squares |",
        "|---|---:|---:|---:|---:|---|---:|---:|",
    ]
    for surface in surfaces:
        found = surface["models"][model]
        network, check = found["network"], found[CHECK]
        lines.append(
            f"| {surface['name']} | {surface['quotes']} | {network['rms_bp']:.2f} | "
            f"{check['rms_bp']:.2f} | {found['ratio']:.4f} | "
            f"{'no' if network['outside_training_box'] else 'yes'} | "
            f"{1e3 * network['seconds']:.0f} | {1e3 * check['seconds'] / starts:.0f} |"
        )
    names = list(surfaces[0]["models"][model]["network"]["parameters"])
    headings = " | ".join(name.replace("_", " ") for name in names)
    lines += [
        "",
        f"| surface | {headings} |",
        "|---|" + "---:|" * len(names),
    ]
    for surface in surfaces:
        network = surface["models"][model]["network"]
        cells = (
            _with_error(network["parameters"][name], network["standard_error"][name])
            for name in names
        )
        lines.append(f"| {surface['name']} | {' | '.join(cells)} |")
    lines += ["", textwrap.fill(" ".join(_sentences(surfaces, model, quantlib_dax[model])), 100)]
    for name, end in (figures or {}).items():
        lines += [
            "",
            f"![{name}: quotes and fitted smiles](figures/smiles_{end}.png)",
            "",
            f"![{name}: errors by maturity](figures/errors_{end}.png)",
        ]
    return "\n".join(lines)


def _sentences(surfaces, model, quantlib):
    far = [each for each in surfaces if each["models"][model]["ratio"] > CLOSE]
    if far:
        listed = ", ".join(each["name"] for each in far)
        yield f"The network is more than 2 % from the best fit on: {listed}."
    else:
        yield "The network is within 2 % of the best fit on every surface."
    outside = [
        each["name"]
        for each in surfaces
        if each["models"][model]["network"]["outside_training_box"]
    ]
    if outside:
        yield f"It says that it is outside its box on: {', '.join(outside)}."
    yield (
        "These errors are the model's: no parameters do better. Standard errors take them for "
        "noise, which they are not."
    )
    others = f" (QuantLib here: {quantlib['quantlib']:.1f})" if "quantlib" in quantlib else ""
    yield (
        "On the DAX with maturities in whole weeks, as QuantLib's tests have it, the sum of "
        f"squares is {quantlib[CHECK]:.1f} squared volatility points; published: "
        f"{quantlib['published']} ± {quantlib['tolerance']}{others}."
    )


def _with_error(value, error):
    from hedgezoo.tables import decimals_for

    if error is None:
        return f"{value:.4g}"
    decimals = decimals_for(error)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"
