"""A neural SDE of a daily history: set up from the data, fitted by likelihood."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_integer, check_not_negative, check_positive
from hedgezoo.neural_sde.historical_memory import MEMORIES
from hedgezoo.neural_sde.likelihood import (
    DailyCoefficients,
    GaussianEuler,
    Transitions,
    mean_loss,
)

_FINAL_RATE = 0.01
_EDGE = 1e-3  # share of days beyond the edge of what the networks see, on either side


def historical_model(history, memory="index", windows=(5.0, 60.0), **arguments):
    """A `NeuralSDE` of kind `"historical"` in the units of a history, before its fit.

    The level, the inputs' ranges and the starting values come from the history; after this the
    history is not needed.

    Args:
        history: A `DailyHistory`.
        memory: `"index"`: the coefficients depend on the volatility index, which moves with the
            price; `"returns"`: on realised volatility and trend of the path itself.
        windows: Lengths of the memory's averages in days; see `IndexMemory` and `ReturnMemory`.
        **arguments: Of `NeuralSDE`; `units` and `activation` are `(32, 32)` and `"silu"` here.

    Returns:
        A `NeuralSDE`.

    Raises:
        ValueError: If the history has no index and the memory wants one, or as `NeuralSDE` says.

    Example:

    >>> from hedgezoo.datasets import DailyHistory
    >>> model = historical_model(DailyHistory.spx(), units=(8,), options={"seed": 1})
    >>> bool(0.12 < model.diffusion(spot=1.0, time=0.0) < 0.24)  # that of the returns, nearly
    True
    """
    from hedgezoo.neural_sde.model import NeuralSDE

    days = history.returns / np.sqrt(history.time_step)
    deviation = float(days.std())
    level = deviation
    options = {}
    if memory == "index" and history.volatility is not None:
        level = float(np.exp(np.log(history.volatility).mean()))
        moves = np.diff(np.log(history.volatility)) / np.sqrt(history.time_step)
        options["factor_volatility"] = float(np.clip(moves.std(), 0.1, 4.0))
        options["correlation"] = float(np.clip(np.corrcoef(days, moves)[0, 1], -0.9, 0.9))
    options |= arguments.pop("options", None) or {}
    if memory in MEMORIES:  # an unknown one is refused below
        seen = MEMORIES[memory](level, tuple(windows), history.time_step)
        inputs = np.asarray(seen.inputs(tf.constant(seen.states_of(history), tf.float32)))
        options = {
            "center": inputs.mean(axis=0).tolist(),
            "scale": inputs.std(axis=0).tolist(),
            "low": np.quantile(inputs, _EDGE, axis=0).tolist(),
            "high": np.quantile(inputs, 1 - _EDGE, axis=0).tolist(),
            **options,
        }
    options |= {
        "memory": memory,
        "windows": list(windows),
        "level": level,
        "time_step": history.time_step,
    }
    defaults = {
        "units": (32, 32),
        "activation": "silu",
        "volatility": float(np.clip(deviation, 0.02, 1.5)),
        "bounds": (0.01, 2.0),
        "maturities": (21 * history.time_step, 252 * history.time_step),
        "steps_per_year": 1.0 / history.time_step,
        "concentration": 1.0,
        "draws": "plain",
    }
    return NeuralSDE(kind="historical", options=options, **{**defaults, **arguments})


@dataclasses.dataclass(frozen=True, eq=False)
class HistoryFit:
    """What a fit to a history found.

    Attributes:
        model: The fitted `NeuralSDE`.
        log_likelihood: Mean log-likelihood per day of the days that were fitted.
        held_out_log_likelihood: Of the last days, which were not; NaN if there were none.
        best_epoch: Epoch whose weights were kept, counted from 1.
        epochs: Epochs that were run.
        steps: Training steps.
        history: Losses by epoch, as of Keras.
    """

    model: object
    log_likelihood: float
    held_out_log_likelihood: float
    best_epoch: int
    epochs: int
    steps: int
    history: dict = dataclasses.field(repr=False)


def fit_history(
    model,
    history,
    held_out=0.2,
    epochs=60,
    batch_size=256,
    learning_rate=5e-3,
    weight_decay=1.0,
    patience=20,
    seed=0,
    checkpoint=None,
    strategy=None,
    callbacks=(),
    verbose="auto",
):
    """Fits a historical neural SDE by maximum likelihood, one Gaussian Euler step per day.

    AdamW with a rate that falls by a half cosine; the last days are held out, the weights of the
    epoch that explains them best are kept, and training stops when they do not improve; neither
    looks at the first third of the epochs. Through `hedgezoo.training.fit`, so it resumes.

    Args:
        model: A `NeuralSDE` of kind `"historical"`, see `historical_model`.
        history: A `DailyHistory`.
        held_out: Share of the days, the last ones, that are held out; 0 for none.
        epochs: Most passes over the days.
        batch_size: Days per step.
        learning_rate: First learning rate.
        weight_decay: Of AdamW; not for biases and the mean reversion.
        patience: Epochs without improvement on the held-out days after which it stops; None for
            never.
        seed: Integer, of the order of the days.
        checkpoint: Directory from which a killed run resumes.
        strategy: A `tf.distribute.Strategy` under which the model was made, or None.
        callbacks: Further Keras callbacks.
        verbose: As in `hedgezoo.training.fit`.

    Returns:
        A `HistoryFit`; the model itself is fitted, too.

    Raises:
        ValueError: If the model is of another kind, or an argument is out of its range.

    Example:

    ```python
    history = DailyHistory.spx()
    fit = fit_history(historical_model(history), history)
    paths = fit.model.simulate(seed=0, paths=100, times=np.arange(2521) / 252)
    ```
    """
    from hedgezoo import training

    trained = DailyCoefficients(model)
    check_integer("epochs", epochs, minimum=1)
    check_integer("batch_size", batch_size, minimum=1)
    check_positive("learning_rate", learning_rate)
    check_not_negative("weight_decay", weight_decay)
    check_not_negative("held_out", held_out)
    days = Transitions.of(history, model.network.memory)
    strategy = strategy or model.distribute_strategy
    last = round(held_out * len(days))
    last -= last % strategy.num_replicas_in_sync  # they share the days
    if last >= len(days) - 1:
        raise ValueError(f"`held_out` must leave days to fit. Received: held_out={held_out}")
    fitted, rest = (
        days.select(slice(0, len(days) - last)),
        days.select(slice(len(days) - last, None)),
    )
    batch_size = min(batch_size, len(fitted))
    steps = -(-len(fitted) // batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate, epochs * steps, alpha=_FINAL_RATE
    )
    with strategy.scope():
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias", "mean_reversion"])
        trained.build()
        trained.compile(optimizer, loss=GaussianEuler(history.time_step))
    stops = []
    if last:
        stops = [
            keras.callbacks.EarlyStopping(
                "val_loss",
                patience=epochs if patience is None else patience,
                restore_best_weights=True,
                # the last days are few: that they like an untrained model says little
                start_from_epoch=epochs // 3,
            )
        ]
    run = training.fit(
        trained,
        fitted,
        strategy=strategy,
        epochs=epochs,
        steps_per_epoch=steps,
        batch_size=batch_size,
        seed=seed,
        validation_data=rest.batch() if last else None,
        callbacks=[*stops, *callbacks],
        checkpoint=checkpoint,
        verbose=verbose,
    )
    losses = run.history
    return HistoryFit(
        model,
        -mean_loss(trained, fitted),
        -mean_loss(trained, rest) if last else float("nan"),
        _kept_epoch(losses, epochs // 3),
        len(losses["loss"]),
        len(losses["loss"]) * steps,
        losses,
    )


def _kept_epoch(losses, first):
    """Epoch whose weights were kept, counted from 1."""
    if "val_loss" not in losses:
        return len(losses["loss"])
    return 1 + first + int(np.argmin(losses["val_loss"][first:]))
