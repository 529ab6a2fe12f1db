"""`dlv_to_calls` against the same recursion on `tf.linalg.tridiagonal_solve`: CPU milliseconds.

Prints medians of forward and gradient for 4096 surfaces of 6 maturities and 15 strikes, under
`tf.function` and compiled by XLA, all in one process and in alternation; then how the time grows
with strikes, maturities and batch, up to 200 by 50 in either order.

    python tests/benchmarks/discrete_local_volatility.py [--rounds 15] [--skip-xla] [--skip-growth]
"""

import argparse
import time

import numpy as np
import tensorflow as tf

from hedgezoo.layers import dlv_to_calls

GROWTH = [  # maturities, strikes, batch
    (6, 15, 1024),
    (6, 15, 4096),
    (6, 15, 16384),
    (50, 25, 256),
    (50, 50, 256),
    (50, 100, 256),
    (50, 200, 256),
    (12, 200, 256),
    (25, 200, 256),
    (100, 200, 256),
    (200, 50, 256),
]


def surface(maturities, strikes, batch):
    sigma = np.random.default_rng(0).uniform(0.1, 0.5, (batch, maturities, strikes))
    grid = np.linspace(0.6, 1.5, strikes), np.linspace(0.0, 2.0, maturities + 1)[1:]
    return tf.constant(sigma, tf.float32), *grid


def peer(sigma, strikes, years, partial_pivoting):
    """The recursion in prices, each slice one batched library solve, gradient by TensorFlow."""
    low, high = 2 * strikes[0] - strikes[1], 2 * strikes[-1] - strikes[-2]
    widths = np.diff(np.concatenate([[low], strikes, [high]]))
    below, above = widths[:-1], widths[1:]
    steps = np.diff(years, prepend=0.0)
    to_ghost = np.zeros(len(strikes))
    to_ghost[0] = 1 - low
    calls = tf.broadcast_to(
        tf.constant(np.maximum(1 - strikes, 0), sigma.dtype), tf.shape(sigma[:, 0])
    )
    slices = []
    for j in range(len(years)):
        rate = tf.constant(strikes**2 * steps[j] / (below + above), sigma.dtype)
        rate *= tf.square(sigma[:, j])
        lower, upper = rate / below.astype("float32"), rate / above.astype("float32")
        diagonals = tf.stack([-upper, 1.0 + lower + upper, -lower], -2)
        right = calls + lower * to_ghost.astype("float32")
        calls = tf.linalg.tridiagonal_solve(diagonals, right, partial_pivoting=partial_pivoting)
        slices.append(calls)
    return tf.stack(slices, 1)


def with_gradient(prices, **options):
    @tf.function(**options)
    def both(sigma):
        with tf.GradientTape() as tape:
            tape.watch(sigma)
            calls = prices(sigma)
            total = tf.reduce_sum(tf.square(calls))
        return calls, tape.gradient(total, sigma)

    return both


def measured(functions, sigma, rounds):
    """Medians in ms over `rounds` alternations: CPU time and wall time of each function."""
    clocks = time.process_time, time.perf_counter
    times = {name: [] for name in functions}
    for function in functions.values():
        function(sigma)
    for _ in range(rounds):
        for name, function in functions.items():
            start = [clock() for clock in clocks]
            function(sigma)[1].numpy()
            times[name].append([1e3 * (c() - s) for c, s in zip(clocks, start, strict=True)])
    return {name: np.median(values, axis=0) for name, values in times.items()}


def compare(rounds, xla):
    sigma, strikes, years = surface(6, 15, 4096)

    def ours(sigma):
        return dlv_to_calls(sigma, strikes, years)

    def pivoting(sigma):
        return peer(sigma, strikes, years, True)

    def plain(sigma):
        return peer(sigma, strikes, years, False)

    functions = {"ours": with_gradient(ours), "peer": with_gradient(pivoting)}
    if xla:
        functions["ours, XLA"] = with_gradient(ours, jit_compile=True)
        functions["peer, XLA"] = with_gradient(plain, jit_compile=True)
    print("4096 surfaces of 6 x 15, forward and gradient, medians in ms", flush=True)
    print(f"{'':10} {'CPU':>8} {'wall':>8}")
    medians = measured(functions, sigma, rounds)
    for name, (cpu, wall) in medians.items():
        print(f"{name:10} {cpu:8.2f} {wall:8.2f}", flush=True)
    for kind in ("", ", XLA") if xla else ("",):
        cpu, wall = medians[f"peer{kind}"] / medians[f"ours{kind}"]
        print(f"peer / ours{kind}: {cpu:.2f} in CPU time, {wall:.2f} in wall time", flush=True)


def growth(rounds):
    print("\nforward and gradient of ours; ns per cell = CPU time / (maturities strikes batch)")
    print(f"{'m':>4} {'n':>4} {'batch':>6} {'trace s':>8} {'CPU ms':>8} {'ns per cell':>12}")
    for maturities, strikes, batch in GROWTH:
        sigma, grid, years = surface(maturities, strikes, batch)
        function = with_gradient(lambda s, k=grid, t=years: dlv_to_calls(s, k, t))
        start = time.perf_counter()
        function(sigma)
        traced = time.perf_counter() - start
        cpu = measured({"ours": function}, sigma, max(3, rounds // 3))["ours"][0]
        cells = maturities * strikes * batch
        print(
            f"{maturities:4d} {strikes:4d} {batch:6d} {traced:8.1f} {cpu:8.1f} "
            f"{1e6 * cpu / cells:12.1f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--skip-xla", action="store_true")
    parser.add_argument("--skip-growth", action="store_true")
    options = parser.parse_args()
    compare(options.rounds, not options.skip_xla)
    if not options.skip_growth:
        growth(options.rounds)


if __name__ == "__main__":
    main()
