"""The calibrators that the experiment judges: presets, or makeshifts where there are none."""

from hedgezoo.experiments.heston_calibration.training_cases import SMALL

PRESETS = {
    "paper": "heston_calibrator_paper_v1",
    "refined": "heston_calibrator_v1",
    "shallow": "heston_calibrator_shallow_v1",
}
LABELS = {
    "paper": "paper's network",
    "refined": "refined",
    "shallow": "shallow 512 → 256",
    "levenberg_marquardt": "Levenberg-Marquardt",
}


def calibrators(sizes, stored, given=None):
    """Models to judge.

    Args:
        sizes: A `Sizes`.
        stored: Function without arguments that returns the `StoredPanels` of the training runs.
        given: Dictionary of models that take the place of presets.

    Returns:
        Tuple of dictionaries: name -> `HestonCalibrator`, and name -> where it comes from.
    """
    from hedgezoo.presets import list_presets, load

    given = given or {}
    models, sources = {}, {}
    for name in sizes.judged:
        preset = PRESETS[name]
        if name in given:
            models[name], sources[name] = given[name], "given"
        elif not sizes.small and preset in list_presets():
            models[name], sources[name] = load(preset), preset
        else:
            models[name], sources[name] = _makeshift(name, sizes, stored)
    return models, sources


def _makeshift(name, sizes, stored):
    """A network that is hardly trained: its place is that of a preset."""
    import keras

    from hedgezoo import training
    from hedgezoo.heston_calibrator import HestonCalibrator

    keras.utils.set_random_seed(0)
    small = SMALL if sizes.small and name == "paper" else None
    model = HestonCalibrator(name, box="paper", options=small)
    model.build()
    if sizes.small or name == "refined":  # whose steps do the work
        return model, "not trained"
    from hedgezoo.heston_calibrator.price_loss import PriceLoss

    panels = stored()
    panels.reorder(0, sizes.epochs)
    loss = PriceLoss(model.strikes, model.maturities, error="volatility")
    model.compile(keras.optimizers.Adam(1e-3), loss=loss)
    training.fit(
        model,
        panels,
        epochs=sizes.epochs,
        steps_per_epoch=max(1, panels.panels // sizes.batch_size),
        batch_size=sizes.batch_size,
        seed=0,
        verbose=0,
    )
    return model, f"trained on {panels.panels} panels for {sizes.epochs} epochs"
