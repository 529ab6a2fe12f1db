"""One training step against PFHedge's: CPU time, time of the matrix products alone, peak memory.

Same network (3-32-32-32-32-2), paths, time steps and optimiser; simulation included; both in one
process, in turns. Peak memory is that of one process for each library.

    python tests/benchmarks/training_step.py
"""

import itertools
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.append(os.path.dirname(__file__))  # for pfhedge_peer, also under `python -P`
CASES = ((10_000, 20, 1 / 250, 1e-3, 50.0), (50_000, 30, 1 / 365, 1e-3, 1.0))
ROUNDS = 15


def our_step(paths, steps, time_step, cost, risk_aversion):
    """A function that runs one training step, through the public training loop's own step."""
    import keras
    import tensorflow as tf

    from hedgezoo import NoTransactionBand
    from hedgezoo.datasets import BlackScholesMarket
    from hedgezoo.losses import EntropicRisk

    market = BlackScholesMarket(steps=steps, time_step=time_step, cost=cost)
    model = NoTransactionBand(risk_aversion=risk_aversion)
    model.build()
    model.compile(keras.optimizers.Adam(1e-3), loss=EntropicRisk(risk_aversion))
    model.optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def step(index):
        return model.train_step(market.simulate(1, paths, index * paths))

    counter = iter(range(10**9))
    return lambda: step(tf.constant(next(counter), tf.int64))["loss"].numpy()


def matrix_products(paths, steps):
    """A function that runs the matrix products of one step and nothing else."""
    import tensorflow as tf

    widths = (3, 32, 32, 32, 32, 2)
    rows = [tf.random.normal((paths * steps, width)) for width in widths]
    kernels = [tf.random.normal((a, b)) for a, b in itertools.pairwise(widths)]

    @tf.function(autograph=False)
    def products():
        corner = 0.0
        for layer, kernel in enumerate(kernels):
            out, slope = rows[layer], rows[layer + 1]
            corner += tf.matmul(out, kernel)[0, 0]
            corner += tf.matmul(out, slope, transpose_a=True)[0, 0]
            if layer:
                corner += tf.matmul(slope, kernel, transpose_b=True)[0, 0]
        return corner

    return lambda: products().numpy()


def measure(run):
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def median(values):
    return sorted(values)[len(values) // 2]


def peak_memory(which, case):
    """Megabytes of a fresh process that takes five steps."""
    out = subprocess.run(
        [sys.executable, __file__, which, json.dumps(case)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(out.stdout.split()[-1])


def child(which, case):
    paths, steps, time_step, cost, risk_aversion = case
    if which == "pfhedge":
        from pfhedge_peer import Peer

        peer = Peer(steps, time_step, cost, risk_aversion)
        run = lambda: peer.step(paths)  # noqa: E731
    else:
        run = our_step(*case)
    for _ in range(5):
        run()
    # not ru_maxrss: Linux hands the parent's on
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM"))
    print(float(peak.split()[1]) / 1024)


def main():
    import torch
    from pfhedge_peer import Peer

    for case in CASES:
        paths, steps, time_step, cost, risk_aversion = case
        torch.set_num_threads(1)  # its second thread costs CPU time and gains little
        peer = Peer(steps, time_step, cost, risk_aversion)
        runs = {
            "hedgezoo": our_step(*case),
            "pfhedge": lambda peer=peer, paths=paths: peer.step(paths),
            "products": matrix_products(paths, steps),
        }
        for run in runs.values():
            run()
        times = {name: [] for name in runs}
        for _ in range(ROUNDS if paths < 20_000 else ROUNDS // 3):
            for name, run in runs.items():
                times[name].append(measure(run))
        cpu = {name: [c for c, _ in values] for name, values in times.items()}
        memory = {name: peak_memory(name, case) for name in ("hedgezoo", "pfhedge")}
        print(f"{paths} paths x {steps} steps, cost {cost}, risk aversion {risk_aversion}")
        for name, values in times.items():
            print(
                f"  {name:10s} median {1e3 * median(cpu[name]):7.1f} CPU-ms, "
                f"{1e3 * median([w for _, w in values]):7.1f} ms wall"
            )
        for other in ("pfhedge", "products"):
            ratio = median([a / b for a, b in zip(cpu["hedgezoo"], cpu[other], strict=True)])
            print(f"  CPU time, hedgezoo / {other}: {ratio:.2f} (median of pairs)")
        print(
            f"  peak memory {memory['hedgezoo']:.0f} MB / {memory['pfhedge']:.0f} MB = "
            f"{memory['hedgezoo'] / memory['pfhedge']:.2f}"
        )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        child(sys.argv[1], tuple(json.loads(sys.argv[2])))
    else:
        main()
