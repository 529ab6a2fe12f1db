"""One training step of a local volatility network: direct, on a grid, in chunks, and in PyTorch.

The network is 2x64, there are 96 steps and 126 calls; a step is the simulation, the prices, the
gradient and Adam. Times are CPU time on one thread, the smallest of several turns; peak memory is
that of one process for each case. Increments are given, or drawn within the step ("with draws":
Sobol points along a Brownian bridge; pseudo-random ones in PyTorch). PyTorch is left out where it
is not installed.

    python tests/benchmarks/sde_rollout.py [relu|softplus|silu|tanh]
"""

import importlib.util
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

MATURITIES = [month / 6 for month in range(1, 7)]
STEPS, CHUNK = 96, 8192
ROUNDS = {8_192: 7, 65_536: 3}


def our_step(paths, activation, grid=False, chunk=None, drawn=False):
    """A function that runs one training step."""
    import keras
    import numpy as np
    import tensorflow as tf

    from hedgezoo.layers import MultilayerPerceptron, SDERollout, chunked_mean

    class Volatility(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.network = MultilayerPerceptron((64, 64), 1, activation, seed=1, output_bias=-0.7)

        def build(self, state_shape, time_shape):
            self.network.build((None, 2))

        def call(self, state, time):
            inputs = tf.concat([4 * state, 2 * tf.sqrt(time) - 1], axis=1)
            return 0.6 * tf.sigmoid(self.network(inputs))

    rollout = SDERollout(
        Volatility(), MATURITIES, scheme="log_euler", first_steps=1, grid={} if grid else None
    )
    rollout.build((None, STEPS, 1))
    weights = [v.value for v in rollout.trainable_variables]
    strikes = tf.constant(np.linspace(0.8, 1.2, 21), "float32")
    targets = tf.constant(np.random.default_rng(0).uniform(0.02, 0.2, (6, 21)), "float32")
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(rollout.trainable_variables)
    given = None if drawn else rollout.draw(0, paths)

    def prices(first, count, seed):
        if drawn:
            increments = rollout.draw(seed, count, first)
        else:
            increments = given if chunk is None else given[first : first + count]
            increments = tf.ensure_shape(increments, (count, STEPS, 1))
        spot = tf.exp(rollout(increments))
        return tf.reduce_mean(tf.nn.relu(spot - strikes), axis=0)

    @tf.function(autograph=False)
    def step(seed):
        with tf.GradientTape() as tape:
            if chunk is None:
                calls = prices(0, paths, seed)
            else:
                calls = chunked_mean(
                    lambda first, count: prices(first, count, seed), weights, paths, chunk
                )
            loss = tf.reduce_mean((calls - targets) ** 2)
        optimizer.apply(tape.gradient(loss, weights), rollout.trainable_variables)
        return loss

    seeds = iter(range(10**9))
    return lambda: float(step(tf.constant(next(seeds), tf.int64)))


def torch_step(paths, activation, drawn=False):
    """The same in PyTorch: a plain loop over the steps."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    hidden = {
        "relu": torch.nn.ReLU,
        "softplus": torch.nn.Softplus,
        "silu": torch.nn.SiLU,
        "tanh": torch.nn.Tanh,
    }[activation]
    network = torch.nn.Sequential(
        torch.nn.Linear(2, 64), hidden(), torch.nn.Linear(64, 64), hidden(), torch.nn.Linear(64, 1)
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    strikes = torch.linspace(0.8, 1.2, 21)
    targets = torch.tensor(np.random.default_rng(0).uniform(0.02, 0.2, (6, 21)).astype("float32"))
    gap = 1 / STEPS
    given = None if drawn else gap**0.5 * torch.randn(STEPS, paths, 1)

    def step():
        increments = gap**0.5 * torch.randn(STEPS, paths, 1) if drawn else given
        state, saved = torch.zeros(paths, 1), []
        for i in range(STEPS):
            time_column = torch.full((paths, 1), 2 * (i * gap) ** 0.5 - 1)
            sigma = 0.6 * torch.sigmoid(network(torch.cat([4 * state, time_column], 1)))
            state = state + sigma * increments[i] - 0.5 * gap * sigma**2
            if (i + 1) % 16 == 0:
                saved.append(state)
        spot = torch.exp(torch.stack(saved, 1))
        loss = ((torch.relu(spot - strikes).mean(0) - targets) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def child(case):
    """Seconds of CPU time and megabytes at the peak, in a process of its own."""
    which, paths = case.pop("which"), case["paths"]
    run = {"ours": our_step, "torch": torch_step}[which](**case)
    run()
    times = []
    for _ in range(ROUNDS[paths]):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    # not ru_maxrss: Linux hands the parent's on
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM"))
    print(json.dumps({"seconds": min(times), "megabytes": int(peak.split()[1]) / 1024}))


def measure(**case):
    command = [sys.executable, *(["-P"] if sys.flags.safe_path else []), __file__, json.dumps(case)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(out.stdout.splitlines()[-1])
    return result["seconds"], result["megabytes"]


def main(activation="relu"):
    print(f"2x64 {activation}, {STEPS} steps, 126 calls; CPU seconds per step, peak megabytes")
    for paths in ROUNDS:
        for drawn in (False, True):
            rows = {
                "direct": {"which": "ours"},
                "grid": {"which": "ours", "grid": True},
            }
            if paths > CHUNK and not drawn:
                rows["direct in chunks"] = {"which": "ours", "chunk": CHUNK}
            if importlib.util.find_spec("torch"):
                rows["torch loop"] = {"which": "torch"}
            results = {
                name: measure(paths=paths, activation=activation, drawn=drawn, **row)
                for name, row in rows.items()
            }
            base = results["direct"]
            print(f"{paths} paths, {'with draws' if drawn else 'increments given'}")
            for name, (seconds, megabytes) in results.items():
                print(
                    f"  {name:18s} {seconds:7.4f} s {megabytes:6.0f} MB; "
                    f"direct takes {base[0] / seconds:5.2f} times its CPU time, "
                    f"{base[1] / megabytes:4.2f} times its memory",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("{"):
        child(json.loads(sys.argv[1]))
    else:
        main(*sys.argv[1:])
