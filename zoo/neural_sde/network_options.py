"""Whether the options of a model are those of its coefficient network."""

import inspect

from hedgezoo.neural_sde.dynamics import CoefficientNetwork
from hedgezoo.suggestions import did_you_mean

# what the model itself passes on
_TAKEN = (
    "self",
    "kwargs",
    "units",
    "activation",
    "volatility",
    "bounds",
    "features",
    "dropout",
    "horizon",
)


def check_options(network, options):
    """Raises unless all options are arguments of the network that the model does not set.

    Args:
        network: Subclass of `CoefficientNetwork`.
        options: Dictionary.

    Raises:
        ValueError: If one is not; the closest names are offered.

    Example:

    >>> from hedgezoo.neural_sde.dynamics import network_class
    >>> check_options(network_class("stochastic"), {"seed": 1, "correlation": -0.7})
    """
    known = {
        name
        for cls in network.__mro__
        if issubclass(cls, CoefficientNetwork)
        for name in inspect.signature(cls.__init__).parameters
        if name not in _TAKEN
    }
    for name in options:
        if name not in known:
            raise ValueError(
                f"`options` must be arguments of {network.__name__}, {sorted(known)}. "
                f"Received: {name!r}.{did_you_mean(name, known)}"
            )
