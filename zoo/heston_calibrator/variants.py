"""Which networks a calibrator can have, what they are made for, and how their options are read."""

import importlib

from hedgezoo.datasets.checks import check_one_of
from hedgezoo.datasets.heston_panels import (
    BATES_BOX,
    BOXES,
    PAPER_BOX,
    PAPER_GRID,
    WIDE_BATES_BOX,
    WIDE_BOX,
    FixedGrid,
    ParameterBox,
)

# module and class of each network; those but the first read one fixed grid
_NETWORKS = {
    "refined": ("quote_encoder", "QuoteEncoder"),
    "paper": ("cnn_transformer", "CNNTransformer"),
    "shallow": ("shallow", "ShallowNetwork"),
    "two_layer_cnn": ("two_layer_cnn", "TwoLayerCNN"),
}
VARIANTS = tuple(_NETWORKS)
_BOXES = {
    ("heston", True): WIDE_BOX,
    ("heston", False): PAPER_BOX,
    ("bates", True): WIDE_BATES_BOX,
    ("bates", False): BATES_BOX,
}


def make_network(variant, box, grid, options):
    """The network of a variant, a layer.

    Args:
        variant: One of `VARIANTS`.
        box: A `ParameterBox`, for the network that takes any grid.
        grid: A `FixedGrid` for the others.
        options: Keyword arguments of the layer.
    """
    module, name = _NETWORKS[variant]
    module = importlib.import_module(f"hedgezoo.heston_calibrator.{module}")
    if grid is None:
        return getattr(module, name)(box=box, **options)
    return getattr(module, name)(strikes=grid.strikes, maturities=grid.maturities, **options)


def takes_any_grid(variant):
    """Whether a variant reads quotes rather than an image."""
    return variant == "refined"


def as_box(box, variant, model):
    """A `ParameterBox` from one, its name, its fields in a dictionary, or None for the default."""
    if box is None:
        return _BOXES[model, takes_any_grid(variant)]
    if isinstance(box, str):
        check_one_of("box", box, tuple(BOXES))
        box = BOXES[box]
    elif isinstance(box, dict):
        box = ParameterBox(**{name: tuple(values) for name, values in box.items()})
    if not isinstance(box, ParameterBox) or box.model != model:
        raise ValueError(f"`box` must be a ParameterBox of {model} parameters. Received: box={box}")
    return box


def as_grid(variant, strikes, maturities):
    """The `FixedGrid` of a variant that needs one, else None."""
    if takes_any_grid(variant):
        if strikes is not None or maturities is not None:
            raise ValueError(
                '`strikes` and `maturities` are of networks with a fixed grid; "refined" takes any '
                f"grid. Received: strikes={strikes!r}, maturities={maturities!r}"
            )
        return None
    return FixedGrid(
        PAPER_GRID.strikes if strikes is None else strikes,
        PAPER_GRID.maturities if maturities is None else maturities,
    )
