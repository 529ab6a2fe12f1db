"""The policies as Keras layers, and the recurrent one against Keras' own gated unit."""

import keras
import numpy as np
import pytest

from hedgezoo.statistical_arbitrage import LinearPolicy, RecurrentPolicy


def randomised(layer, features):
    layer.build(features.shape)
    rng = np.random.default_rng(0)
    layer.set_weights([0.5 * rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


FEATURES = np.random.default_rng(1).normal(size=(6, 5, 3)).astype("float32")


@pytest.mark.parametrize(
    "layer",
    [
        LinearPolicy(2),
        LinearPolicy(2, steps=5),
        RecurrentPolicy((4, 3), instruments=2, seed=1),
    ],
    ids=["linear", "per_date", "recurrent"],
)
def test_layers(check_layer, layer):
    check_layer(randomised(layer, FEATURES), FEATURES, shape=(6, 5, 2))


@pytest.mark.parametrize("layer", [LinearPolicy(2, steps=5), RecurrentPolicy((4,), 2, seed=1)])
def test_nothing_is_traded_at_first(layer):
    np.testing.assert_array_equal(layer(FEATURES), 0.0)


def test_recurrent_policy_is_a_stack_of_gated_units():
    own = randomised(RecurrentPolicy((4, 3), instruments=2), FEATURES)
    units = [keras.layers.GRU(width, return_sequences=True, reset_after=False) for width in (4, 3)]
    reference = keras.Sequential([*units, keras.layers.Dense(2)])
    reference.build(FEATURES.shape)
    reference.set_weights(
        [
            weight
            for k, r, b in zip(own.kernels, own.recurrent_kernels, own.biases, strict=True)
            for weight in (k, r, b)
        ]
        + [own.output_kernel, own.output_bias]
    )
    np.testing.assert_allclose(own(FEATURES), reference(FEATURES), atol=1e-6)


def test_recurrent_policy_does_not_look_ahead():
    layer = randomised(RecurrentPolicy((4,), instruments=1), FEATURES)
    changed = FEATURES.copy()
    changed[:, 3:] += 1.0
    before, after = (np.asarray(layer(x)) for x in (FEATURES, changed))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3:] - after[:, 3:]).min() > 0


def test_seeds():
    first, same, other = (RecurrentPolicy((8, 8), seed=seed) for seed in (3, 3, 4))
    for layer in (first, same, other):
        layer.build((None, None, 8))
    for a, b, c in zip(
        *(x.kernels + x.recurrent_kernels for x in (first, same, other)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        assert np.any(a != c)
    recurrent = np.asarray(first.recurrent_kernels[0])
    for gate in np.split(recurrent, 3, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(8), atol=1e-5)
    assert np.any(first.recurrent_kernels[0] != first.recurrent_kernels[1])


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`hidden_units`"):
        RecurrentPolicy(())
    with pytest.raises(ValueError, match="5 dates"):
        LinearPolicy(1, steps=5)(FEATURES[:, :4])
