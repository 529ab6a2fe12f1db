"""Fitting a neural SDE to quotes: training on simulated paths, then a polish without noise."""

import sys

import keras
import numpy as np

from hedgezoo import training
from hedgezoo.datasets.checks import (
    check_integer,
    check_not_negative,
    check_one_of,
    check_positive,
)
from hedgezoo.datasets.surface_quotes import BASIS_POINT, SurfaceQuotes
from hedgezoo.neural_sde.calibration_callbacks import HeldOutQuotes, StopWithoutProgress
from hedgezoo.neural_sde.calibration_result import (
    NeuralSDECalibration,
    missed_quotes,
    pde_errors,
    simulated_errors,
)
from hedgezoo.neural_sde.objective import VEGA_FLOOR, QuoteError, quote_weights
from hedgezoo.neural_sde.polish import levenberg_marquardt
from hedgezoo.neural_sde.polished_prices import DupirePrices, SampledPrices
from hedgezoo.neural_sde.priced_quotes import PricedQuotes
from hedgezoo.neural_sde.quoted_paths import QuotedPaths
from hedgezoo.training.stopwatch import Stopwatch

POLISHES = ("auto", "levenberg_marquardt", None)
_EPOCH = 50  # steps between two looks at the held-out quotes
_FINAL_RATE = 0.02  # last learning rate relative to the first
_SAMPLE = 2**14  # fixed paths of the polish of a model with more than one factor
_EVALUATION_SEED = 7919  # fresh paths: added to the seed of the training
_POLISH_FLOOR = 0.01  # vega floor of the polish relative to that of the training: no noise
_EXACT_BP = 0.2  # below the discretisation error of prices: a polish that gets there ends
_SETTLING = 0.1  # share of the training over which its error must have stopped falling


def calibrate(
    model,
    quotes,
    held_out=None,
    steps=600,
    paths=2048,
    learning_rate=1e-2,
    gradient="same_batch",
    control=None,
    weights="vega",
    vega_floor=VEGA_FLOOR,
    weight_decay=0.0,
    patience=None,
    polish="auto",
    polish_steps=40,
    polish_prior=0.0,
    seed=0,
    features=None,
    evaluation_paths=2**16,
    checkpoint=None,
    verbose="auto",
    callbacks=(),
):
    """Fits the weights of a neural SDE to quotes.

    First Adam on simulated paths, see `QuoteError` and `PricedQuotes`, with a learning rate that
    falls by a half cosine to 2 %. Then, for local volatility, Levenberg-Marquardt on all weights
    at once with prices from Dupire's equation, which has no noise. At the end the quotes are priced
    again, on paths with a seed of their own and by Dupire's equation.

    Args:
        model: A `NeuralSDE` under the pricing measure. Made under a distribution strategy, it is
            trained on all replicas.
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        held_out: Further quotes that are not fitted: their error is reported, and with `patience`
            it decides when to stop.
        steps: Training steps, rounded up to a multiple of the number of epochs (of about 50 steps);
            0 for the polish alone.
        paths: Paths per step, a power of two for Sobol's sequence to be even.
        learning_rate: First learning rate, or a Keras schedule.
        gradient: `"same_batch"`, or `"two_batch"` for the unbiased gradient: with Sobol draws the
            bias is below the noise, with others it is not below some 8192 paths.
        control: Control variate of the training: None, `"black_scholes"` (a shadow on the same
            increments) or `"hedge"` (a learned hedge).
        weights: `"vega"`, `"spread"` or shares `(N,)`, see `quote_weights`.
        vega_floor: See `quote_weights`; the polish takes a hundredth of it.
        weight_decay: Of Adam, on the kernels and not on the biases.
        patience: Epochs, and then steps of the polish, without a lower error of the held-out quotes
            after which to stop; the weights of the lowest error are kept. None to take all steps.
        polish: `"levenberg_marquardt"`; None; or `"auto"`: for local volatility. Models with more
            factors are polished on a fixed sample, which is slow and fits its noise.
        polish_steps: Largest number of its steps.
        polish_prior: Strength with which the polish holds the weights where the training left
            them: mean squares in bp² per unit of squared distance.
        seed: Integer of the paths.
        features: Market features `(f,)` of the day, only for a model with features.
        evaluation_paths: Paths of the last pricing.
        checkpoint: Directory in which the training is kept, see `hedgezoo.training.fit`.
        verbose: As in `hedgezoo.training.fit`.
        callbacks: Further Keras callbacks of the training.

    Returns:
        A `NeuralSDECalibration`.

    Raises:
        ValueError: If an argument is out of its range, or prices are not finite after all.

    Example:

    >>> from hedgezoo import NeuralSDE
    >>> from hedgezoo.datasets import SurfaceQuotes
    >>> fitted, held_out = SurfaceQuotes.heston().split(share=0.2, seed=0)
    >>> model = NeuralSDE(units=(16, 16), options={"seed": 0})
    >>> result = calibrate(model, fitted, held_out, steps=20, evaluation_paths=2**13)
    >>> result.held_out_bp < 20
    True
    """
    _check(quotes, held_out, polish, patience)
    for name, value, least in (
        ("steps", steps, 0),
        ("paths", paths, 1),
        ("polish_steps", polish_steps, 0),
        ("evaluation_paths", evaluation_paths, 16),
    ):
        check_integer(name, value, minimum=least)
    check_integer("seed", seed)
    check_not_negative("weight_decay", weight_decay)
    check_not_negative("polish_prior", polish_prior)
    stopwatch = Stopwatch()
    strategy = model.distribute_strategy
    with strategy.scope():
        model.build()
        priced = PricedQuotes(model, quotes, control)
        loss = QuoteError(quote_weights(quotes, weights, vega_floor), gradient, priced.loss_control)
        parts = -(-steps // _EPOCH)
        per_epoch = -(-steps // max(parts, 1))
        priced.compile(_optimizer(learning_rate, max(parts * per_epoch, 1), weight_decay), loss)
    data = QuotedPaths(model, quotes, gradient, features)
    watched = None
    if held_out is not None:
        fast = _prices(model, held_out, seed, features)
        watched = HeldOutQuotes(lambda: _error_of(fast), fast.weights, patience)
    history = {"step": [], "error_bp": []}
    if steps:
        followers = [stopwatch, StopWithoutProgress(), *([watched] if watched else []), *callbacks]
        run = training.fit(
            priced,
            data,
            strategy=strategy,
            epochs=parts,
            steps_per_epoch=per_epoch,
            batch_size=paths,
            seed=seed,
            checkpoint=checkpoint,
            callbacks=followers,
            verbose=verbose,
        )
        history["step"] = [per_epoch * (epoch + 1) for epoch in run.epoch]
        history["error_bp"] = run.history["error_bp"]
        if watched is not None:
            history["held_out_bp"] = watched.errors
    done = history["step"][-1] if steps else 0
    skipped, in_a_row, first, lost = (int(count) for count in priced.skipped.numpy())
    if skipped and not priced.optimizer.iterations.numpy():
        raise ValueError(
            f"`model` has paths that are not finite from the first step on: {lost} of {paths} in "
            "training step 0. Its weights are as they were. Bound the diffusion, or take shorter "
            f"steps. Received: {model!r}"
        )
    converged, message = _settled(history, watched, done, parts * per_epoch, in_a_row)
    if skipped:
        message += (
            f"; {skipped} steps taken back, the first one after step {first}, where {lost} of "
            f"{paths} paths were not finite"
        )
    if polish == "auto":
        polish = "levenberg_marquardt" if model.states == 1 else None
    if polish is not None and polish_steps:
        report = _polish(
            model,
            quotes,
            held_out,
            quote_weights(quotes, weights, _POLISH_FLOOR * vega_floor),
            polish_steps,
            polish_prior,
            patience,
            seed,
            features,
            verbose,
        )
        history["polish_bp"] = report.errors_bp
        history["polish_held_out_bp"] = report.held_out_bp
        converged = report.converged
        message += f"; polish: {report.message} after {report.steps} steps"
    return _judged(
        model,
        quotes,
        held_out,
        evaluation_paths,
        seed + _EVALUATION_SEED,
        features,
        stopwatch,
        converged=converged,
        message=message,
        steps=done,
        skipped_steps=skipped,
        history=history,
    )


def _check(quotes, held_out, polish, patience):
    for name, value in (("quotes", quotes), ("held_out", held_out)):
        if not isinstance(value, SurfaceQuotes) and not (name == "held_out" and value is None):
            raise ValueError(
                f"`{name}` must be a hedgezoo.datasets.SurfaceQuotes. "
                f"Received: {type(value).__name__}"
            )
    check_one_of("polish", polish, POLISHES)
    if patience is not None:
        check_integer("patience", patience, minimum=1)
        if held_out is None:
            raise ValueError(
                f"`patience` needs `held_out` quotes to look at. Received: patience={patience}"
            )


def _optimizer(learning_rate, steps, weight_decay):
    if not isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        check_positive("learning_rate", learning_rate)
        learning_rate = keras.optimizers.schedules.CosineDecay(
            learning_rate, steps, alpha=_FINAL_RATE
        )
    optimizer = keras.optimizers.Adam(learning_rate, weight_decay=weight_decay or None)
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def _prices(model, quotes, seed, features):
    """Prices of quotes as a smooth function of the weights."""
    if model.states == 1:
        return DupirePrices(model, quotes, features)
    return SampledPrices(model, quotes, _SAMPLE, seed, features)


def _error_of(prices):
    """Root mean square error of priced quotes in bp; infinite if a price has no volatility."""
    errors = prices.quotes.volatility_of(prices.calls()) - prices.quotes.implied_volatility
    error = np.sqrt(np.mean(errors**2)) / BASIS_POINT
    return error if np.isfinite(error) else np.inf


def _settled(history, watched, done, planned, in_a_row):
    """Whether the training has converged, and a message."""
    if not done:
        return True, "no training"
    if in_a_row:
        return False, f"stopped at step {done}: the last {in_a_row} steps were not finite"
    if done < planned:
        best = history["step"][watched.best] if watched is not None else done
        return True, f"stopped at step {done}: the held-out error was lowest at step {best}"
    errors = np.asarray(history["error_bp"])
    tail = max(1, round(_SETTLING * len(errors)))
    before = errors[-2 * tail : -tail]
    still = len(before) == 0 or errors[-tail:].mean() < 0.95 * before.mean()
    return not still, f"{done} steps" + (", the error was still falling" if still else "")


def _polish(model, quotes, held_out, weights, steps, prior, patience, seed, features, verbose):
    """Levenberg-Marquardt, the weights of the model set to its best."""
    prices = _prices(model, quotes, seed + 1, features)
    judge = None if held_out is None else _prices(model, held_out, seed + 1, features)
    vector, scale, exact = prices.weights, np.sqrt(weights), quotes.calls

    def residuals(w):
        vector.write(w)
        return scale * (prices.calls() - exact)

    def both(w):
        vector.write(w)
        calls, jacobian = prices.calls_and_jacobian()
        return scale * (calls - exact), scale[:, np.newaxis] * jacobian

    def held_out_error(w):
        vector.write(w)
        return _error_of(judge)

    noise = _EXACT_BP
    if quotes.spread is not None:
        # of an error that is uniform between bid and ask
        shares = weights * (BASIS_POINT * np.maximum(quotes.vega, VEGA_FLOOR)) ** 2
        spread = np.asarray(quotes.spread) / BASIS_POINT
        noise = float(np.sqrt(np.sum(shares / shares.sum() * spread**2) / 12.0))
    found, report = levenberg_marquardt(
        both,
        residuals,
        vector.read(),
        max_steps=steps,
        prior=prior,
        target=noise,
        held_out=None if judge is None else held_out_error,
        patience=patience,
    )
    vector.write(found)
    if verbose in (1, 2) or (verbose == "auto" and sys.stdout.isatty()):
        print(
            f"polish: {report.errors_bp[0]:.2f} bp -> {report.errors_bp[report.best]:.2f} bp, "
            f"{report.message}",
            flush=True,
        )
    return report


def _judged(model, quotes, held_out, paths, seed, features, stopwatch, **facts):
    """The result: quotes and held-out quotes priced again."""
    volatility, errors, standard_errors = simulated_errors(model, quotes, paths, seed, features)
    by_pde = pde_errors(model, quotes, features)
    others = other_pde = None
    if held_out is not None:
        others = simulated_errors(model, held_out, paths, seed, features)[1]
        other_pde = pde_errors(model, held_out, features)
    model.market = quotes
    return NeuralSDECalibration(
        model=model,
        quotes=quotes,
        implied_volatility=volatility,
        errors_bp=errors,
        standard_error_bp=standard_errors,
        pde_errors_bp=by_pde,
        held_out=held_out,
        held_out_errors_bp=others,
        held_out_pde_errors_bp=other_pde,
        missed=missed_quotes(quotes, errors, standard_errors),
        cpu_seconds=stopwatch.get_state()["cpu_seconds"],
        **facts,
    )
