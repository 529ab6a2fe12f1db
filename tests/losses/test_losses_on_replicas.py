"""Two replicas train the losses exactly as one device does.

The test runs this file as a script in a process of its own: collectives of several strategies in
one process disturb each other.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.losses import (
    CVaR,
    EntropicRisk,
    MeanVariance,
    OptimizedCertaintyEquivalent,
    QuadraticCVaR,
)

LOSSES = {
    "entropic": lambda: EntropicRisk(5.0),
    "cvar": lambda: CVaR(0.8),
    "mean-variance": lambda: MeanVariance(5.0),
    "quadratic cvar": lambda: QuadraticCVaR(0.5),
    "oce": lambda: OptimizedCertaintyEquivalent("hyperbolic", 5.0),
}


@pytest.mark.multiprocess
def test_two_replicas_agree_with_one_device(run_python):
    output = run_python(Path(__file__).read_text())
    for name in LOSSES:
        assert f"batches of {name} agree" in output
    for name in ("entropic", "cvar"):
        assert f"training with {name} agrees" in output
    assert "evaluation agrees" in output


def dataset(batch_size=64):
    rng = np.random.default_rng(0)
    move = rng.normal(0.05, 0.3, size=(512, 1))
    liability = 0.7 * move[:, 0] + rng.normal(0.0, 0.2, size=512)
    arrays = move.astype("float32"), liability.astype("float32")
    return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size)


def hedge(loss):
    layers = [
        keras.Input((1,)),
        keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        keras.layers.Reshape(()),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(0.5), loss=loss)
    return model


def train(make, strategy=None, loss_inside=True, own_loop=False, epochs=2):
    """The final position, the state of the loss, and the loss of every epoch."""
    loss = None if loss_inside else make()
    with strategy.scope() if strategy else tf.device(None):
        loss = loss or make()
        model = hedge(loss)
    if own_loop:
        batches = strategy.experimental_distribute_dataset(dataset())
        step = tf.function(lambda batch: strategy.run(model.train_step, args=(batch,)))
        history = []
        for _ in range(epochs):
            model.reset_metrics()
            for batch in batches:
                step(batch)
            history.append(float(model.metrics[0].result()))
    else:
        history = model.fit(dataset(), epochs=epochs, verbose=0).history["loss"]
    return [float(model.get_weights()[0][0, 0]), *(v.numpy() for v in loss.variables), *history]


def compare_training(name, strategy):
    single = train(LOSSES[name])
    assert single[0] > 0.5  # it has learned something
    for options in ({}, {"loss_inside": False, "own_loop": True}):
        both = train(LOSSES[name], strategy, **options)
        np.testing.assert_allclose(both, single, atol=1e-6, err_msg=str(options))
    print(f"training with {name} agrees")


def compare_batches(name, strategy):
    """Weighted batches of 33 paths, split unevenly: values, gradients and states."""
    rng = np.random.default_rng(3)
    single = LOSSES[name]()
    with strategy.scope():
        mirrored = LOSSES[name]()

    def weighted_sum(loss, x, weight):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(weight * loss.call(tf.zeros_like(x), x))
        return value, tape.gradient(value, x)

    def split(values):
        parts = tf.split(values, (25, 8))
        return strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group]
        )

    both = tf.function(lambda x, w: strategy.run(weighted_sum, args=(mirrored, x, w)))
    for _ in range(4):
        x = tf.constant(rng.normal(0.2, 0.5, size=33), tf.float32)
        weight = tf.constant(rng.uniform(size=33), tf.float32)
        value, gradient = weighted_sum(single, x, weight)
        values, gradients = both(split(x), split(weight))
        total = strategy.reduce("SUM", values, axis=None)
        np.testing.assert_allclose(total, value, rtol=1e-5)
        joined = tf.concat(strategy.experimental_local_results(gradients), 0)
        np.testing.assert_allclose(joined, gradient, rtol=1e-4, atol=1e-6)
        for mine, theirs in zip(single.variables, mirrored.variables, strict=True):
            copies = [v.numpy() for v in strategy.experimental_local_results(theirs)]
            assert copies[0] == copies[1]
            np.testing.assert_allclose(copies[0], mine.numpy(), rtol=1e-5)
    print(f"batches of {name} agree")


def compare_evaluation(strategy):
    with strategy.scope():
        loss = EntropicRisk(5.0)
        model = hedge(loss)
    # not trained yet: the first guess, too, is one for the whole batch
    value = model.evaluate(dataset(512), verbose=0)
    expected = hedge(EntropicRisk(5.0)).evaluate(dataset(512), verbose=0)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert loss.intercept is None
    print("evaluation agrees")


def main():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for name in LOSSES:
        compare_batches(name, strategy)
    for name in ("entropic", "cvar"):
        compare_training(name, strategy)
    compare_evaluation(strategy)


if __name__ == "__main__":
    main()
