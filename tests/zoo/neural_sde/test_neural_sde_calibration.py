"""Calibration as a whole: exact at the truth, resumable, the same on replicas, safe from NaN."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import training
from hedgezoo.datasets import SurfaceQuotes
from hedgezoo.neural_sde import NeuralSDE
from hedgezoo.neural_sde.calibrating import calibrate
from hedgezoo.neural_sde.calibration_result import missed_quotes
from hedgezoo.neural_sde.objective import QuoteError, quote_weights
from hedgezoo.neural_sde.priced_quotes import PricedQuotes
from hedgezoo.neural_sde.quoted_paths import QuotedPaths

SMILE = [[0.25, 0.22, 0.2], [0.24, 0.22, 0.205]]
QUOTES = SurfaceQuotes.from_grid(SMILE, [0.9, 1.0, 1.1], [0.25, 0.5])
FLAT = SurfaceQuotes.from_grid(np.full((2, 3), 0.2), [0.9, 1.0, 1.1], [0.25, 0.5])


def small(**changes):
    settings = {"units": (8,), "maturities": (0.25, 0.5), "steps_per_year": 16}
    options = {"seed": 3, **changes.pop("options", {})}
    return NeuralSDE(**{**settings, **changes}, options=options)


def constant(sigma):
    """A model whose volatility is the same everywhere."""
    model = small(volatility=sigma)
    model.build()
    for variable in model.trainable_variables:
        if "bias" not in variable.name:
            variable.assign(tf.zeros_like(variable))
    return model


def compiled(model, quotes=QUOTES, gradient="same_batch", control=None, optimizer="adam"):
    priced = PricedQuotes(model, quotes, control)
    loss = QuoteError(quote_weights(quotes), gradient, priced.loss_control)
    priced.compile(optimizer, loss=loss)
    return priced


# --------------------------------------------------------------------------------------- the paths


@pytest.mark.parametrize("gradient", ["same_batch", "two_batch"])
def test_a_path_is_the_same_in_any_batch(gradient):
    paths = QuotedPaths(small(), QUOTES, gradient)
    whole, prices = paths.simulate(seed=5, paths=64)
    part, _ = paths.simulate(seed=5, paths=16, first_path=32)
    np.testing.assert_array_equal(whole["increments"][32:48], part["increments"])
    np.testing.assert_allclose(prices, np.tile(QUOTES.out_of_the_money, (64, 1)), rtol=1e-6)
    batch, _ = next(iter(paths.batches(16, 4, seed=5, first_step=2)))
    np.testing.assert_array_equal(batch["increments"], part["increments"])
    json.dumps(paths.get_config())


def test_two_halves_are_independent():
    """Points of one Sobol sequence repel each other; means of independent halves do not."""
    paths = QuotedPaths(small(), QUOTES, "two_batch")
    squares = []
    for seed in range(60):
        increments = paths.simulate(seed, 16)[0]["increments"].numpy()
        level = np.maximum(increments.sum(axis=1)[:, 0], 0.0)
        squares.append([level[::2].mean(), level[1::2].mean()])
    correlation = np.corrcoef(np.transpose(squares))[0, 1]
    assert abs(correlation) < 4 / np.sqrt(60)
    for arguments in ((15, 0), (16, 1)):
        with pytest.raises(ValueError, match="must be even"):
            paths.simulate(0, *arguments)


# --------------------------------------------------------------------------------------- the model


@pytest.mark.parametrize("control", [None, "black_scholes", "hedge"])
def test_at_the_truth_there_is_no_error(control):
    model = compiled(constant(0.2), FLAT, control=control)
    paths = QuotedPaths(model.dynamics, FLAT)
    logs = model.evaluate(paths.batches(2**13, 1, seed=0), verbose=0, return_dict=True)
    # what is left is noise, and of it nothing with the true model as control variate
    assert logs["error_bp"] < (0.1 if control == "black_scholes" else 8.0)


def test_controls_take_away_variance_and_keep_the_mean():
    model = small()
    inputs, _ = QuotedPaths(small(draws="plain"), QUOTES).simulate(seed=0, paths=2**12)
    ratios = {}
    for control in ("black_scholes", "hedge"):
        both = compiled(model, control=control)(inputs).numpy()
        payoff, other = both[..., 0], both[..., 1]
        error = other.std(axis=0) / np.sqrt(len(other))
        assert (np.abs(other.mean(axis=0)) < 4 * error).all(), control
        ratios[control] = (payoff.var(axis=0) / (payoff - other).var(axis=0)).min()
    assert ratios["black_scholes"] > 2
    assert ratios["hedge"] > 2


def test_the_hedge_learns_and_the_dynamics_do_not_see_it():
    model = compiled(small(), control="hedge")
    inputs, prices = QuotedPaths(model.dynamics, QUOTES).simulate(seed=0, paths=512)
    with tf.GradientTape(persistent=True) as tape:
        both = model(inputs, training=True)
        gain = tf.reduce_sum(both[..., 1])
        loss = model.loss(prices, both)
    dynamics = [variable.value for variable in model.dynamics.trainable_variables]
    hedge = [variable.value for variable in model.control_layer.trainable_variables]
    assert not any(np.any(gradient) for gradient in tape.gradient(gain, dynamics))
    assert all(np.any(gradient) for gradient in tape.gradient(loss, [dynamics[0], hedge[-1]]))
    # frozen dynamics: the hedge alone lowers the variance that it leaves
    model.dynamics.trainable = False
    model.compile(keras.optimizers.Adam(1e-2), loss=model.loss)

    def left():
        both = model(inputs).numpy()
        weights = quote_weights(QUOTES)
        return np.sum(weights * (both[..., 0] - both[..., 1]).var(axis=0))

    before = left()
    for _ in range(60):
        model.train_on_batch(inputs, prices)
    assert left() < 0.97 * before


@pytest.mark.parametrize(
    ("gradient", "control"), [("same_batch", "hedge"), ("two_batch", "black_scholes")]
)
def test_two_replicas_train_as_one(two_replicas, gradient, control):
    def weights(strategy):
        with strategy.scope():
            model = small()
            model.build()
            priced = compiled(model, gradient=gradient, control=control)
        data = QuotedPaths(model, QUOTES, gradient)
        history = training.fit(
            priced, data, strategy=strategy, steps_per_epoch=3, batch_size=64, seed=1
        )
        return [v.numpy() for v in priced.trainable_variables], history.history

    one, first = weights(tf.distribute.get_strategy())
    two, second = weights(two_replicas)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)
    np.testing.assert_allclose(first["error_bp"], second["error_bp"], rtol=1e-3)


@pytest.mark.parametrize("strategy_name", ["one", "two"])
def test_a_step_that_is_not_finite_is_taken_back(strategy_name, request):
    strategy = tf.distribute.get_strategy()
    if strategy_name == "two":
        strategy = request.getfixturevalue("two_replicas")

    class Broken(QuotedPaths):
        """In step 2 one path is not a number."""

        def simulate(self, seed, paths, first_path=0):
            inputs, prices = super().simulate(seed, paths, first_path)
            rows = tf.range(paths, dtype=tf.int64) + tf.cast(first_path, tf.int64)
            bad = tf.where(tf.equal(rows, 130), np.nan, 0.0)
            increments = inputs["increments"] + tf.cast(bad, tf.float32)[:, None, None]
            return {"increments": increments}, prices

    def run(kind, steps):
        with strategy.scope():
            model = small()
            model.build()
            priced = compiled(model)
        training.fit(
            priced,
            kind(model, QUOTES),
            strategy=strategy,
            steps_per_epoch=steps,
            batch_size=64,
            seed=0,
            steps_per_execution=1,
        )
        return priced

    whole, broken = run(QuotedPaths, 2), run(Broken, 3)
    for a, b in zip(whole.trainable_variables, broken.trainable_variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    state = whole.optimizer.variables, broken.optimizer.variables
    for a, b in zip(*state, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert broken.skipped.numpy().tolist() == [1, 1, 2, 1]
    assert np.isfinite(broken.get_metrics_result()["error_bp"])


# --------------------------------------------------------------------------------- the calibration


def test_a_smile_is_fitted_and_judged():
    fitted, held_out = QUOTES.select([0, 1, 2, 3, 5]), QUOTES.select([4])
    result = calibrate(
        small(), fitted, held_out, steps=100, paths=512, evaluation_paths=2**14, polish_steps=15
    )
    history = result.history
    assert history["step"] == [50, 100]
    assert history["error_bp"][1] < 0.5 * history["error_bp"][0]
    assert len(history["held_out_bp"]) == 2
    assert history["polish_bp"][-1] < 0.5 * history["polish_bp"][0]
    assert result.pde_rms_bp < 3
    assert result.held_out_bp < 25
    # the simulation differs by its noise and its steps in time
    assert np.abs(result.errors_bp - result.pde_errors_bp).max() < 40
    assert result.rms_core_bp <= result.rms_bp <= result.worst_bp
    assert result.model.market == fitted
    assert result.skipped_steps == 0
    assert f"{result.rms_bp:.2f} bp by simulation" in str(result)
    summary = json.loads(json.dumps(result.summary()))
    assert summary["held_out_error_bp"] == result.held_out_bp
    assert result.inside((0.2, 0.3), (0.8, 1.2)) == pytest.approx(
        np.sqrt(np.mean(result.errors_bp[:3] ** 2))
    )


def test_a_killed_run_ends_like_an_uninterrupted_one(tmp_path):
    """Also where the held-out error decides when to stop, and which weights are kept."""

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def run(**options):
        return calibrate(
            small(), QUOTES.select([0, 1, 2]), QUOTES.select([3, 4, 5]), steps=600, paths=64,
            learning_rate=0.1, patience=2, polish=None, evaluation_paths=2**10, **options,
        )  # fmt: skip

    expected = run()
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=tmp_path / "run", callbacks=[Kill()])
    resumed = run(checkpoint=tmp_path / "run")
    for a, b in zip(expected.model.weights, resumed.model.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert expected.history == resumed.history
    errors = expected.history["held_out_bp"]
    assert len(errors) == int(np.argmin(errors)) + 3 < 12
    assert "the held-out error was lowest" in expected.message
    assert expected.held_out_bp == pytest.approx(min(errors), rel=0.05, abs=0.2)


def test_paths_that_explode_end_in_a_clear_result():
    model = small()
    model.build()
    model.network.network.biases[-1].assign([np.nan])
    before = [variable.numpy() for variable in model.trainable_variables]
    with pytest.raises(ValueError, match="64 of 64 in training step 0"):
        calibrate(model, QUOTES, steps=50, paths=64, evaluation_paths=2**10)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


def test_weight_decay_shrinks_kernels_alone():
    model = small()
    model.build()
    before = [float(tf.norm(v.value)) for v in model.trainable_variables]
    calibrate(
        model, FLAT, steps=20, paths=64, learning_rate=1e-3, weight_decay=50.0, polish=None,
        evaluation_paths=2**10,
    )  # fmt: skip
    for variable, old in zip(model.trainable_variables, before, strict=True):
        shrinks = float(tf.norm(variable.value)) < 0.9 * old
        assert shrinks == ("kernel" in variable.name), variable.name


def test_missed_quotes_lie_outside_spread_and_noise():
    quotes = QUOTES.with_spread([10, 10, 10, 100, 10, 10])
    errors = np.array([4.0, 6.0, 6.0, 6.0, -60.0, np.nan])
    noise = np.array([0.1, 0.1, 3.0, 0.1, 0.1, 0.1])
    assert missed_quotes(quotes, errors, noise).tolist() == [1, 4, 5]
    assert missed_quotes(QUOTES, errors, noise).tolist() == [4, 5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quotes": SMILE}, "`quotes` must be a hedgezoo.datasets.SurfaceQuotes"),
        ({"held_out": SMILE}, "`held_out` must be"),
        ({"steps": -1}, "`steps`"),
        ({"paths": 0}, "`paths`"),
        ({"paths": 63, "gradient": "two_batch"}, "must be even"),
        ({"gradient": "three_batch"}, "`gradient`"),
        ({"control": "shadow"}, "`control`"),
        ({"polish": "newton"}, "`polish`"),
        ({"weights": "spread"}, "`weights='spread'` needs"),
        ({"learning_rate": 0.0}, "`learning_rate`"),
        ({"weight_decay": -1.0}, "`weight_decay`"),
        ({"patience": 3}, "`patience` needs `held_out`"),
        ({"features": [1.0]}, "`features`"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        calibrate(small(), **{"quotes": QUOTES, "steps": 1, **arguments})
