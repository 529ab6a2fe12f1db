"""Scan against loop for `hedgezoo.layers.clamp_band`: CPU milliseconds per call.

Prints one row per shape: the forward pass, and forward with the gradient to both bounds, in a
`tf.function` whose shapes are known (or, with `--unknown`, whose B and T are not).

    python tests/benchmarks/clamp_band.py [--unknown] [--wall]
"""

import argparse
import time

import numpy as np
import tensorflow as tf

from hedgezoo.layers import clamp_band

SHAPES = [
    (1, 20, 1),
    (1, 250, 1),
    (100, 20, 1),
    (100, 250, 1),
    (1_000, 20, 1),
    (1_000, 100, 1),
    (10_000, 20, 1),
    (10_000, 20, 3),
    (10_000, 100, 1),
    (50_000, 30, 1),
]


def bands(batch, steps, instruments):
    rng = np.random.default_rng(0)
    middle = np.cumsum(0.3 * rng.normal(size=(batch, steps, instruments)), axis=1)
    width = 0.3 * rng.random(middle.shape)
    return [tf.constant(x, tf.float32) for x in (middle - width, middle + width)]


def functions(method, signature):
    def forward(lower, upper):
        return clamp_band(lower, upper, method=method)

    def forward_and_gradient(lower, upper):
        with tf.GradientTape() as tape:
            tape.watch([lower, upper])
            total = tf.reduce_sum(tf.square(clamp_band(lower, upper, method=method)))
        return tape.gradient(total, [lower, upper])

    return [tf.function(f, input_signature=signature) for f in (forward, forward_and_gradient)]


def milliseconds(function, arguments, clock, repeats=5, least=0.1):
    """Smallest average over `repeats` rounds of at least `least` seconds each."""
    for _ in range(2):
        function(*arguments)
    start = time.perf_counter()
    function(*arguments)
    calls = max(3, int(least / max(time.perf_counter() - start, 1e-5)))
    averages = []
    for _ in range(repeats):
        start = clock()
        for _ in range(calls):
            result = function(*arguments)
        tf.nest.map_structure(lambda tensor: tensor.numpy(), result)
        averages.append(1e3 * (clock() - start) / calls)
    return min(averages)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--unknown", action="store_true", help="trace with B and T unknown")
    parser.add_argument("--wall", action="store_true", help="wall time instead of CPU time")
    options = parser.parse_args()
    clock = time.perf_counter if options.wall else time.process_time
    print(f"{'B':>7} {'T':>4} {'D':>2} | {'forward':^23} | {'forward + gradient':^23}")
    print(f"{'':15} | {'scan':>7} {'loop':>7} {'ratio':>7} | {'scan':>7} {'loop':>7} {'ratio':>7}")
    for shape in SHAPES:
        arguments = bands(*shape)
        spec = tf.TensorSpec((None, None, shape[2]), tf.float32)
        signature = [spec, spec] if options.unknown else None
        scan, loop = (functions(method, signature) for method in ("scan", "loop"))
        cells = []
        for pair in zip(scan, loop, strict=True):
            by_scan, by_loop = (milliseconds(f, arguments, clock) for f in pair)
            cells.append(f"{by_scan:7.2f} {by_loop:7.2f} {by_scan / by_loop:7.2f}")
        print(f"{shape[0]:7d} {shape[1]:4d} {shape[2]:2d} | {' | '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
