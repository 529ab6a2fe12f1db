"""One name, colour and marker per strategy, the same in every table and figure."""

import dataclasses
import itertools
import re


@dataclasses.dataclass(frozen=True)
class Style:
    """How a strategy is shown.

    Args:
        label: Its name for readers.
        colour: Hexadecimal, from a palette that colour-blind readers tell apart.
        marker: Of points, as in matplotlib.
        line: Line style, as in matplotlib: the second sign beside colour, for print.
    """

    label: str
    colour: str
    marker: str
    line: str | tuple = "-"


# the palette is Okabe and Ito's
STYLES = {
    "network": Style("band network", "#0072B2", "o"),
    "feed_forward": Style("feed-forward network", "#D55E00", "s", (0, (6, 1.5))),
    "whalley_wilmott": Style("Whalley-Wilmott", "#009E73", "^", (0, (4, 1.5, 1, 1.5))),
    "delta": Style("Black-Scholes delta", "#E69F00", "D", (0, (2, 1))),
    "naked": Style("no hedge", "#7F7F7F", "v", (0, (1, 1))),
    "optimum": Style("exact optimum", "#000000", "", (0, (4, 2))),
}
_ALIASES = {
    "": "network",
    "model": "network",
    "band_network": "network",
    "no_transaction_band": "network",
    "no_transaction_band_network": "network",
    "feed_forward_network": "feed_forward",
    "asymptotic": "whalley_wilmott",
    "black_scholes": "delta",
    "black_scholes_delta": "delta",
    "no_hedge": "naked",
    "exact": "optimum",
    "exact_optimum": "optimum",
}
_SPARE = (("#CC79A7", "P"), ("#56B4E9", "X"), ("#8C6D31", "*"), ("#5E4FA2", "p"))


def styles(names):
    """Styles of strategies by name; names that are not known get spare colours in their order.

    Args:
        names: Names such as `"whalley_wilmott"`, `"Whalley-Wilmott"` or your own.

    Returns:
        Dictionary name -> `Style`. A known key has its usual label, any other name is its own.

    Example:

    >>> found = styles(["delta", "my desk's rule"])
    >>> found["delta"].label, found["my desk's rule"].label
    ('Black-Scholes delta', "my desk's rule")
    """
    spare = itertools.cycle(_SPARE)
    found = {}
    for name in names:
        key = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        style = STYLES.get(_ALIASES.get(key, key))
        if style is None:
            colour, marker = next(spare)
            style = Style(name, colour, marker)
        elif name and name not in STYLES:
            style = dataclasses.replace(style, label=name)
        found[name] = style
    return found
