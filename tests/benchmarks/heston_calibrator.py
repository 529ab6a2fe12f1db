"""Calibration of many panels and of one: `HestonCalibrator` beside classical methods.

Throughput: CPU microseconds per panel of 8 maturities and 10 strikes, clean and with N(0, 0.5 bp) +
U[-15, 15] bp on every quote and 5 % of them missing. `HestonCalibrator.calibrate` takes all panels
at once on a shared grid; the classical methods take some of them one by one:

- Levenberg-Marquardt (MINPACK) with the analytic Jacobian of volatilities;
- L-BFGS-B (SciPy) with the analytic gradient;
- L-BFGS-B with finite differences. The paper quotes 210 ms for L-BFGS-B and does not say how its
  gradients come about; plain differences of exact prices are the nearest reading. The pricer here
  is a fast one, so that what is measured is a lower bound on what the paper's would take.

The rounds alternate between the methods, medians over the rounds. Errors are root mean squares in
basis points, medians over the panels: against the quotes, and against the exact surface at the
quotes, the same panels for every method.

Latency: milliseconds for one panel (median, 95 %, 99 %), each time another one, through the
exported SavedModel in this process and through `calibrate`, by the clock and in CPU time.

One thread, whatever the machine has.

    python tests/benchmarks/heston_calibrator.py [--model heston_calibrator_v1] [--panels 2048]
        [--single 24] [--rounds 3] [--latency 300] [--seed 0]

`--model untrained` measures a model whose network has not learned anything.
"""

import argparse
import os
import tempfile
import time

# before TensorFlow starts its threads; those of SciPy's linear algebra would spin
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import hedgezoo
from hedgezoo.baselines.calibration import calibrate
from hedgezoo.datasets.heston_panels import PAPER_GRID, HestonPanels
from hedgezoo.heston_calibrator import HestonCalibrator

STRIKES, YEARS = np.array(PAPER_GRID.strikes), np.array(PAPER_GRID.maturities)
CLASSICAL = {
    "Levenberg-Marquardt, analytic": {"method": "levenberg_marquardt"},
    "L-BFGS-B, analytic": {"method": "l_bfgs_b"},
    "L-BFGS-B, differences": {"method": "l_bfgs_b", "derivatives": "finite_differences"},
}
OURS = "HestonCalibrator, batched"


def quotes(noise, count, seed):
    """Quotes, masks, spreads and exact volatilities, each `(count, m, n)`."""
    market = HestonPanels(noise=noise, draws="plain", dtype="float64")
    inputs, targets = market.simulate(seed, count)
    arrays = [inputs[name].numpy() for name in ("implied_volatility", "mask", "spread")]
    return *arrays, targets["implied_volatility"].numpy()


def batched(model, volatility, mask, spread):
    """CPU microseconds per panel, and fitted volatilities."""
    start = time.process_time()
    result = model.calibrate(volatility, STRIKES, YEARS, mask, spread)
    return 1e6 * (time.process_time() - start) / len(volatility), result.implied_volatility


def one_by_one(options, volatility, mask):
    """The same of a classical method."""
    times, fitted = [], []
    for panel, known in zip(volatility, mask, strict=True):
        start = time.process_time()
        fitted.append(calibrate(panel, STRIKES, YEARS, known, **options).implied_volatility)
        times.append(time.process_time() - start)
    return 1e6 * np.mean(times), np.array(fitted)


def error_bp(fitted, target, mask):
    """Median over the panels of the root mean square difference at the quotes."""
    squares = np.where(mask, fitted - target, 0.0) ** 2
    return 1e4 * np.median(np.sqrt(np.nansum(squares, axis=(1, 2)) / mask.sum(axis=(1, 2))))


def print_throughput(model, options):
    print(f"CPU microseconds per panel: medians of {options.rounds} rounds, one thread")
    print(f"{options.panels} panels at once, {options.single} of them by the classical methods")
    for noise in ("clean", "plus_minus_15_bp"):
        volatility, mask, spread, exact = quotes(noise, options.panels, options.seed)
        few = slice(options.single)
        methods = {OURS: lambda data=(volatility, mask, spread): batched(model, *data)}
        for label, arguments in CLASSICAL.items():
            data = (arguments, volatility[few], mask[few])
            methods[label] = lambda data=data: one_by_one(*data)
        times = {label: [] for label in methods}
        model.calibrate(volatility, STRIKES, YEARS, mask, spread)  # tracing is not timed
        one_by_one({}, volatility[:1], mask[:1])
        fitted = {}
        for _ in range(options.rounds):
            for label, measure in methods.items():
                elapsed, found = measure()
                times[label].append(elapsed)
                fitted[label] = found[few]
        base = np.median(times[OURS])
        print(f"\n{noise:<32} {'us':>9} {'ratio':>8} {'to quotes, bp':>14} {'to exact, bp':>13}")
        for label, values in times.items():
            typical = np.median(values)
            errors = (error_bp(fitted[label], x[few], mask[few]) for x in (volatility, exact))
            print(
                f"{label:<32} {typical:9.0f} {typical / base:8.1f} "
                f"{next(errors):14.5f} {next(errors):13.5f}"
            )


def print_latency(model, options):
    volatility, mask, spread, _ = quotes("plus_minus_15_bp", options.latency, options.seed + 1)
    with tempfile.TemporaryDirectory() as folder:
        path = hedgezoo.export(model, folder, check=False)
        loaded = tf.saved_model.load(str(path))
        served = loaded.signatures["serving_default"]
        strikes = tf.constant(np.broadcast_to(STRIKES, (1, *mask.shape[1:])), tf.float32)
        years = tf.constant(YEARS[np.newaxis], tf.float32)

        def through_saved_model(i):
            panel = slice(i, i + 1)
            answer = served(
                implied_volatility=tf.constant(volatility[panel], tf.float32),
                strikes=strikes,
                maturities=years,
                mask=tf.constant(mask[panel]),
                spread=tf.constant(spread[panel], tf.float32),
            )
            return answer["parameters"].numpy()

        def through_calibrate(i):
            return model.calibrate(volatility[i], STRIKES, YEARS, mask[i], spread[i]).parameters

        print("\nLatency of one noisy panel, milliseconds")
        print(f"{'':<32} {'median':>8} {'95 %':>8} {'99 %':>8} {'CPU':>8}")
        for label, ask in (("SavedModel", through_saved_model), ("calibrate", through_calibrate)):
            for i in range(5):
                ask(i)
            clock, cpu = np.array([timed(ask, i) for i in range(options.latency)]).T
            values = " ".join(f"{np.percentile(clock, q):8.2f}" for q in (50, 95, 99))
            print(f"{label:<32} {values} {np.median(cpu):8.2f}")


def timed(function, argument):
    """Milliseconds by the clock and of CPU time."""
    clock, cpu = time.perf_counter(), time.process_time()
    function(argument)
    return 1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - cpu)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="heston_calibrator_v1")
    parser.add_argument("--panels", type=int, default=2048)
    parser.add_argument("--single", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    untrained = options.model == "untrained"
    model = HestonCalibrator() if untrained else hedgezoo.load(options.model)
    print_throughput(model, options)
    print_latency(model, options)


if __name__ == "__main__":
    main()
