"""What the experiments on changes of measure share: how a policy is trained and watched."""


def train(measure, market, steps, batch_size, learning_rate, every, judge, seed=1):
    """Trains a measure on fresh paths of a market and looks at it every so many steps.

    Adam, its rate falling by a half cosine to 1 % of the first one; the loss is the entropic risk
    of the gains at risk aversion 1.

    Args:
        measure: A `RiskNeutralMeasure`; its scales are set here unless they are already.
        market: Market whose paths it is trained on.
        steps: Training steps.
        batch_size: Paths per step.
        learning_rate: First learning rate.
        every: Steps between two looks.
        judge: Function without arguments that returns a dictionary of numbers.
        seed: Seed of the paths.

    Returns:
        List of dictionaries, `step` and what `judge` returned.
    """
    import keras

    from hedgezoo import training
    from hedgezoo.gradient_recipe import decaying_adam
    from hedgezoo.losses import EntropicRisk

    if not measure.adapted_to_data:
        measure.adapt(market.simulate(seed, 4096)[0])
    measure.compile(decaying_adam(learning_rate, steps), loss=EntropicRisk(1.0))
    curve = []

    def look(epoch, logs=None):
        curve.append({"step": (epoch + 1) * every, **judge()})

    training.fit(
        measure,
        market,
        epochs=-(-steps // every),
        steps_per_epoch=every,
        batch_size=batch_size,
        seed=seed,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=look)],
        verbose=0,
    )
    return curve


def weight_numbers(log_density):
    """Relative entropy, effective sample share and largest weight of a measure on paths.

    Args:
        log_density: Logarithm of dQ/dP up to a constant, `(N,)`.

    Returns:
        Dictionary of floats; weights have mean 1 on the paths.
    """
    from hedgezoo.measure_diagnostics import density, effective_sample_share, relative_entropy

    return {
        "relative_entropy": relative_entropy(log_density)["value"],
        "effective_sample_share": effective_sample_share(log_density)["value"],
        "largest_weight": float(density(log_density).max()),
    }


def said(console, text):
    """Prints a line of progress, if there is a console."""
    if console is not None:
        console.print(text)


def error_bar(estimate, scale=1.0, digits=2):
    """`value ± stderr` of a `{"value", "stderr"}`, Markdown."""
    return f"{scale * estimate['value']:.{digits}f} ± {abs(scale) * estimate['stderr']:.{digits}f}"
