"""What is said of each family of models: in cards, lists and reports. Text only, from metadata."""

import importlib

FAMILIES = {
    "hedge": "hedgezoo.families.hedge",
    "measure": "hedgezoo.families.measure",
    "simulator": "hedgezoo.families.simulator",
    "calibrator": "hedgezoo.families.calibrator",
    "neural_sde": "hedgezoo.families.neural_sde",
}


def family_of(about):
    """The family of a preset.

    Args:
        about: Content of its `metadata.json`.

    Returns:
        An instance of `hedgezoo.families.family.Family`.

    Raises:
        ValueError: If there is no such family.
    """
    name = about["family"]
    if name not in FAMILIES:
        raise ValueError(f"Unknown family {name!r}; known: {sorted(FAMILIES)}")
    return importlib.import_module(FAMILIES[name]).FAMILY


def grouped(entries):
    """Entries by family, in the order of `FAMILIES`.

    Args:
        entries: List of contents of `metadata.json`.

    Returns:
        List of pairs: family, list of its entries.
    """
    found = []
    for name in FAMILIES:
        members = [about for about in entries if about["family"] == name]
        if members:
            found.append((family_of(members[0]), members))
    return found
