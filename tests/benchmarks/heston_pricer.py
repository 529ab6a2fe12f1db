"""Heston prices and gradients: CPU milliseconds per 1000 panels, closed forms against autodiff.

Prints, per precision and contour, the price of 1000 panels of 8 maturities and 10 strikes, the
price with its gradient in the parameters by the closed form and by automatic differentiation of
the price formula, and the price with its whole Jacobian. Each column is one `tf.function`.

    python tests/benchmarks/heston_pricer.py [--panels 1000] [--accuracy]
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from hedgezoo.layers import heston_call, heston_call_and_jacobian
from hedgezoo.layers.heston.fourier_nodes import fourier_nodes
from hedgezoo.layers.heston.lewis_integral import evaluate

STRIKES = np.linspace(0.8, 1.2, 10)
YEARS = np.array([0.1, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.0])
REFERENCE = Path(__file__).parents[1] / "layers" / "heston" / "data" / "heston_reference.csv"
BLOCK = 32  # panels at a time for the columns that cut no blocks themselves


def panels(count):
    low, high = [0.5, 0.02, 0.1, -0.95, 0.01], [8.0, 0.5, 1.5, -0.05, 0.4]
    return np.random.default_rng(0).uniform(low, high, (count, 5))


def gradient_of(price):
    def gradient(parameters):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            total = tf.reduce_sum(price(parameters))
        return tape.gradient(total, parameters)

    return tf.function(gradient)


def columns(contour, nodes, dtype):
    scheme = fourier_nodes(contour, nodes)
    strikes, years = tf.constant(STRIKES, dtype), tf.constant(YEARS, dtype)

    def price(parameters):
        return heston_call(parameters, STRIKES, YEARS, contour, nodes)

    def automatic(parameters):
        return evaluate(parameters, strikes, years, scheme).price

    def jacobian(parameters):
        return heston_call_and_jacobian(parameters, STRIKES, YEARS, contour, nodes)

    return {
        "price": tf.function(price),
        "closed": gradient_of(price),
        "autodiff": gradient_of(automatic),
        "jacobian": tf.function(jacobian),
    }


def milliseconds(function, batches, repeats=3):
    """Least CPU time of `repeats` rounds, per 1000 panels."""
    function(batches[0])
    times = []
    for _ in range(repeats):
        start = time.process_time()
        for batch in batches:
            result = function(batch)
        tf.nest.map_structure(lambda tensor: tensor.numpy(), result)
        times.append(time.process_time() - start)
    return 1e6 * min(times) / (len(batches) * BLOCK)


def print_accuracy():
    names = ("kappa", "theta", "xi", "rho", "v0", "T", "K_over_F", "call_over_F")
    with REFERENCE.open() as file:
        rows = [[float(row[name]) for name in names] for row in csv.DictReader(file)]
    table = np.array(rows)
    for contour, nodes in (("vertical", 128), ("tilted", 96), ("tilted", 128), ("tilted", 256)):
        strikes, years = table[:, np.newaxis, 6:7], table[:, 5:6]
        calls = heston_call(table[:, :5], strikes, years, contour, nodes)
        error = np.abs(calls[:, 0, 0] - table[:, 7])
        print(
            f"{contour:>9} N={nodes:<4} largest error on {len(table)} references {error.max():.1e}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--panels", type=int, default=1000)
    parser.add_argument("--accuracy", action="store_true", help="errors on the reference prices")
    options = parser.parse_args()
    if options.accuracy:
        print_accuracy()
        return
    print(f"{'':23} | CPU ms per 1000 panels of {len(YEARS)} x {len(STRIKES)} prices")
    names = ("price", "closed", "autodiff", "jacobian")
    print(f"{'':23} | " + " ".join(f"{name:>9}" for name in names))
    for dtype in ("float64", "float32"):
        batches = tf.constant(panels(max(1, options.panels // BLOCK) * BLOCK), dtype)
        batches = tf.split(batches, len(batches) // BLOCK)
        for contour, nodes in (("vertical", 96), ("vertical", 128), ("tilted", 128)):
            timed = columns(contour, nodes, dtype)
            row = [milliseconds(timed[name], batches) for name in names]
            label = f"{dtype} {contour:>8} N={nodes}"
            print(f"{label:<23} | " + " ".join(f"{value:9.1f}" for value in row))


if __name__ == "__main__":
    main()
