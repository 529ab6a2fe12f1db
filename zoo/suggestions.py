"""What a user may have meant by a name that does not exist."""

import difflib


def did_you_mean(name, known):
    """A sentence, with a space before it, that offers the closest known names; or nothing.

    Args:
        name: What was given.
        known: Names that exist.

    Returns:
        String.

    Example:

    >>> did_you_mean("volatilty", ["volatility", "cost"])
    " Did you mean 'volatility'?"
    """
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
