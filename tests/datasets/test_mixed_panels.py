"""MixedPanels: each kind in turn, the same panel everywhere, no panel in vain."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo import training
from hedgezoo.datasets.heston_panels import (
    FixedGrid,
    HestonPanels,
    MixedPanels,
    RandomGrid,
    TwoSidedPanels,
)

GRID = RandomGrid(3, 2, narrowing=0.5)
WIDE_GRID = RandomGrid(3, 2, (0.5, 1.6), (0.02, 5.0), (-0.8, 0.6))
PARTS = (
    HestonPanels(grid=GRID),
    HestonPanels(grid=GRID, noise="plus_minus_15_bp"),
    HestonPanels("wide", WIDE_GRID, "gaussian_half_bp", draws="plain"),
)
MIXED = MixedPanels(PARTS)
TWO_SIDED = MixedPanels(
    [TwoSidedPanels(grid=GRID, noise=noise) for noise in ("clean", "plus_minus_15_bp")]
)


def assert_same(found, expected, rows=slice(None)):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            # volatilities are rounded from sums that may differ in the last bit
            bits = 2e-7 * (name == "implied_volatility")
            np.testing.assert_allclose(ours[name], theirs[name][rows], rtol=bits, err_msg=name)


def test_panels_are_those_of_the_parts_in_turn():
    mixed = MIXED.simulate(5, 24)
    for j, part in enumerate(PARTS):
        expected = part.simulate(5 + 2**32 * j, 8)
        for ours, theirs in zip(mixed, expected, strict=True):
            for name in ours:
                assert ours[name].shape == (24, *theirs[name].shape[1:])
                bits = 2e-7 * (name == "implied_volatility")
                np.testing.assert_allclose(ours[name][j::3], theirs[name], rtol=bits)


def test_a_panel_is_the_same_in_any_batch():
    whole = MIXED.simulate(3, 24)
    number = tf.TensorSpec((), tf.int32)
    of_any_size = tf.function(MIXED.simulate, input_signature=[tf.TensorSpec((), tf.int64)] * 3)
    of_ten = tf.function(lambda first: MIXED.simulate(3, 10, first), input_signature=[number])
    from_one = tf.function(lambda panels: MIXED.simulate(3, panels, 1), input_signature=[number])
    for panels, first in ((9, 0), (1, 5), (2, 7), (11, 12)):
        rows = slice(first, first + panels)
        assert_same(MIXED.simulate(3, panels, first), whole, rows)
        assert_same(of_any_size(3, panels, first), whole, rows)
    assert_same(of_ten(7), whole, slice(7, 17))
    assert_same(from_one(4), whole, slice(1, 5))


def test_shapes_are_known_and_no_panel_is_made_in_vain(monkeypatch):
    asked = []
    simulate = HestonPanels.simulate

    def recorded(self, seed, panels, first_panel=0):
        asked.append(panels)
        return simulate(self, seed, panels, first_panel)

    monkeypatch.setattr(HestonPanels, "simulate", recorded)
    graph = tf.function(lambda first: MIXED.simulate(0, 12, first))
    inputs, targets = graph.get_concrete_function(tf.TensorSpec((), tf.int64)).structured_outputs
    assert asked == [4, 4, 4]
    assert inputs["implied_volatility"].shape == (12, 2, 3)
    assert targets["parameters"].shape == (12, 5)
    asked.clear()
    MIXED.simulate(0, 4, 4)
    assert asked == [1, 2, 1]
    asked.clear()
    MIXED.simulate(0, 1, 4)
    assert asked == [1]


@pytest.mark.parametrize("draws", ["plain", "sobol"])
def test_equal_parts_show_different_panels(draws):
    part = HestonPanels(grid=GRID, noise="plus_minus_15_bp", draws=draws)
    inputs, targets = MixedPanels([part] * 2).simulate(0, 400)
    for tensor in (targets["parameters"], inputs["strikes"], inputs["maturities"]):
        first, second = (tensor.numpy()[half::2].ravel() for half in (0, 1))
        assert (first != second).mean() > 0.999
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.9  # of two maturities, in cells of their own
    parameters = targets["parameters"].numpy()
    for column in parameters.T if draws == "plain" else ():
        assert abs(np.corrcoef(column[::2], column[1::2])[0, 1]) < 0.2


def test_batches_resume_where_they_stopped():
    whole = MIXED.batches(4, steps=4, seed=1)
    assert int(whole.cardinality()) == 4
    assert whole.element_spec[0]["mask"] == tf.TensorSpec((4, 2, 3), tf.bool)
    for expected, found in zip(
        list(whole)[2:], MIXED.batches(4, steps=4, seed=1, first_step=2), strict=True
    ):
        assert_same(found, expected)


class Level(keras.Model):
    """The mean quote times a number."""

    def __init__(self):
        super().__init__()
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs):
        return self.factor * tf.reduce_mean(inputs["implied_volatility"], axis=(1, 2))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        error = y_pred - tf.reduce_mean(y["implied_volatility"], axis=(1, 2))
        # replicas add their gradients
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return tf.reduce_mean(tf.square(error)) / replicas


def test_replicas_train_on_the_batch_of_one_device(two_replicas):
    mixed, weights = MixedPanels(PARTS[:2]), []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        with strategy.scope():
            model = Level()
            model.compile(keras.optimizers.SGD(0.5))
        training.fit(
            model, mixed, strategy=strategy, steps_per_epoch=2, batch_size=6, seed=2, verbose=0
        )
        weights.append(model.factor.numpy())
    assert weights[0] != 1.0
    np.testing.assert_allclose(*weights, rtol=1e-5)


def test_config_round_trip():
    for mixed in (MIXED, TWO_SIDED):
        config = json.loads(json.dumps(mixed.get_config()))
        twin = MixedPanels.from_config(config)
        assert twin == mixed
        assert hash(twin) == hash(mixed)
    config["parts"][0]["kind"] = "Lambda"
    with pytest.raises(ValueError, match="'Lambda'"):
        MixedPanels.from_config(config)


def test_two_sided_parts_have_both_sides():
    _, targets = TWO_SIDED.simulate(1, 6)
    assert (targets["ask"] > targets["bid"]).numpy()[1::2].all()
    exact = targets["implied_volatility"]
    np.testing.assert_array_equal(targets["bid"][::2], exact[::2])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), r"`parts` must be a sequence of `HestonPanels`. Received: parts=\(\)"),
        (PARTS[0], "`parts` must be a sequence"),
        (["paper"], "`parts` must be a sequence"),
        ((PARTS[0], HestonPanels()), r"same shape of the grid. Received: \[\(2, 3\), \(8, 10\)\]"),
        ((HestonPanels(), HestonPanels("bates")), "same model"),
        ((HestonPanels(), HestonPanels(dtype="float64")), "same dtype"),
        ((HestonPanels(), TwoSidedPanels()), "same kind"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        MixedPanels(parts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, 8), "`seed` must be an integer"),
        ((0, 0), "`panels` must be an integer, 1 or above"),
        ((0, 8, -1), "`first_panel` must be an integer"),
    ],
)
def test_bad_draws_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MixedPanels([HestonPanels(grid=FixedGrid((1.0,), (1.0,)))]).simulate(*arguments)
