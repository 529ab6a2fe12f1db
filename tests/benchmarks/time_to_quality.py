"""CPU time until the band network is within 0.12 % of the exact optimum, against PFHedge.

Prices of both are computed exactly (no Monte Carlo error) by dynamic programming. PFHedge trains
as in its examples (10 000 paths, Adam 1e-3, 200 steps), to the end and with its best moment noted.
For hedgezoo each ingredient is added to the one before: cosine schedule and rate, fewer paths,
Sobol paths, standardized inputs.

    python tests/benchmarks/time_to_quality.py [seeds]
"""

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.append(os.path.dirname(__file__))  # for pfhedge_peer, also under `python -P`
TARGET = 0.12  # percent of the price
TERMS = {"steps": 20, "time_step": 1 / 250, "cost": 1e-3}
RISK_AVERSION = 50.0
LADDER = {
    "as PFHedge: 10 000 plain paths, Adam 1e-3": ("plain", "raw", 10_000, 200, 1e-3, False),
    "+ rate 1e-2 with cosine decay": ("plain", "raw", 10_000, 200, 1e-2, True),
    "+ 1 024 paths a step": ("plain", "raw", 1_024, 200, 1e-2, True),
    "+ Sobol paths": ("sobol", "raw", 1_024, 200, 1e-2, True),
    "+ standardized inputs": ("sobol", "standardized", 1_024, 60, 1e-2, True),
}


def train_ours(problem, draws, inputs, paths, steps, rate, cosine, seed):
    """CPU seconds (tracing included) and gap in percent along the run."""
    import keras
    import tensorflow as tf

    from hedgezoo import NoTransactionBand
    from hedgezoo.datasets import BlackScholesMarket
    from hedgezoo.losses import EntropicRisk

    cpu = -time.process_time()
    market = BlackScholesMarket(draws=draws, **TERMS)
    model = NoTransactionBand(inputs=inputs, risk_aversion=RISK_AVERSION, seed=seed)
    model.build()
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.01) if cosine else rate
    model.compile(keras.optimizers.Adam(schedule), loss=EntropicRisk(RISK_AVERSION))
    model.optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def step(index):
        return model.train_step(market.simulate(seed + 1, paths, index * paths))

    curve = []
    for index in range(steps):
        step(tf.constant(index, tf.int64))
        if (index + 1) % 10 == 0:
            spent = cpu + time.process_time()
            curve.append((index + 1, spent, gap(problem, model.band)))
            cpu = spent - time.process_time()
    return curve


def train_peer(problem, seed):
    from pfhedge_peer import Peer

    cpu = -time.process_time()
    peer = Peer(**TERMS, risk_aversion=RISK_AVERSION, seed=seed)
    curve = []
    for index in range(200):
        peer.step(10_000)
        if (index + 1) % 10 == 0:
            spent = cpu + time.process_time()
            curve.append((index + 1, spent, gap(problem, peer.band)))
            cpu = spent - time.process_time()
    return curve


def gap(problem, band):
    def rule(spot, step):
        return band(spot, (TERMS["steps"] - step) * TERMS["time_step"])

    return 100.0 * (problem.price_of(rule) / problem.price() - 1.0)


def line(name, curve):
    reached = next(((step, cpu) for step, cpu, gap in curve if gap <= TARGET), None)
    when = f"{reached[1]:6.2f} CPU-s (step {reached[0]})" if reached else "not reached"
    _, cpu, last = curve[-1]
    print(
        f"  {name:44s} {TARGET} %: {when:26s} end: {last:.4f} % after {cpu:.1f} CPU-s", flush=True
    )
    return reached[1] if reached else float("inf")


def main():
    import torch

    from hedgezoo import ExactHedge

    torch.set_num_threads(1)
    problem = ExactHedge(**TERMS, risk_aversion=RISK_AVERSION)
    problem.price()
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        print(f"seed {seed}")
        curve = train_peer(problem, seed)
        reached, whole = line("PFHedge", curve), curve[-1][1]
        for name, settings in LADDER.items():
            best = line(name, train_ours(problem, *settings, seed))
        print(
            f"  last / PFHedge's 200 steps: {best / whole:.3f}; / until it is there: "
            f"{best / reached:.3f}"
        )


if __name__ == "__main__":
    main()
