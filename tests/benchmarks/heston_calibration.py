"""Heston calibration of single panels: CPU milliseconds of the classical methods.

Each method fits the same random panels of 8 maturities and 10 strikes, from the same start, once
as they are and once with N(0, 0.5 bp) + U[-15, 15] bp on every quote and 5 % of them masked. Per
row: CPU time (median and 90th percentile), its ratio to Levenberg-Marquardt with the analytic
Jacobian, evaluations, and root mean square volatility errors in basis points against the quotes
and against the clean surface. "(differences)" takes derivatives by finite differences. Methods
whose package is not installed are left out. Batched L-BFGS takes all panels at once. One thread.

    python tests/benchmarks/heston_calibration.py [--panels 20] [--seed 0] [--methods l_bfgs_b ...]
"""

import argparse
import importlib.util
import os
import time

# one thread: those of SciPy's linear algebra spin on matrices of five rows, ten times the CPU time
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hedgezoo.baselines.calibration import METHODS, calibrate, calibrate_panels
from hedgezoo.baselines.calibration.classical import PACKAGES
from hedgezoo.layers import heston_call, implied_volatility

STRIKES = np.linspace(0.8, 1.2, 10)
YEARS = np.array([0.1, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.0])
LOW, HIGH = [0.5, 0.02, 0.1, -0.95, 0.01], [8.0, 0.5, 1.5, -0.05, 0.4]
WITHOUT_DERIVATIVES = tuple(PACKAGES)


def panels(count, seed):
    """Clean volatilities, noisy volatilities and masks, each `(count, m, n)`."""
    random = np.random.default_rng(seed)
    calls = heston_call(random.uniform(LOW, HIGH, (count, 5)), STRIKES, YEARS)
    clean = implied_volatility(calls, STRIKES, YEARS).numpy()
    noise = random.normal(0.0, 0.5, clean.shape) + random.uniform(-15.0, 15.0, clean.shape)
    return clean, clean + 1e-4 * noise, random.uniform(size=clean.shape) > 0.05


def measure(quotes, masks, clean, **options):
    """CPU milliseconds, evaluations, and errors to quotes and to the clean surface, per panel."""
    if options.get("method") == "batched_l_bfgs":
        start = time.process_time()
        fits = calibrate_panels(quotes, STRIKES, YEARS, masks, **options)
        elapsed = 1e3 * (time.process_time() - start) / len(quotes)
        squares = np.square(1e4 * (fits.implied_volatility - clean))
        to_clean = np.sqrt(squares.mean(axis=(1, 2), where=masks))
        return np.full(len(quotes), elapsed), fits.evaluations, fits.rms_bp, to_clean
    rows = []
    for panel, mask, truth in zip(quotes, masks, clean, strict=True):
        start = time.process_time()
        fit = calibrate(panel, STRIKES, YEARS, mask, **options)
        elapsed = 1e3 * (time.process_time() - start)
        errors = 1e4 * (fit.implied_volatility - truth)[mask]
        rows.append((elapsed, fit.evaluations, fit.rms_bp, np.sqrt(np.mean(errors**2))))
    return np.array(rows).T


def configurations(methods):
    """Labels and options of the rows of the table."""
    for method in methods:
        missing = [p for p in PACKAGES.get(method, ()) if importlib.util.find_spec(p) is None]
        if missing:
            print(f"{method}: {' and '.join(missing)} not installed")
            continue
        yield method, {"method": method}
        if method not in WITHOUT_DERIVATIVES:
            options = {"method": method, "derivatives": "finite_differences"}
            yield f"{method} (differences)", options


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--panels", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=tuple(METHODS))
    options = parser.parse_args()
    clean, noisy, masks = panels(options.panels, options.seed)
    rows = list(configurations(options.methods))
    for title, quotes, shown in (
        ("clean", clean, np.ones_like(masks)),
        ("noisy, 5 % masked", noisy, masks),
    ):
        print(f"\n{options.panels} panels, {title}")
        print(
            f"{'method':<36} {'ms':>8} {'p90':>8} {'ratio':>7} {'evals':>6} "
            f"{'to quotes, bp':>14} {'most':>9} {'to clean, bp':>13}"
        )
        base = None
        for label, arguments in [("", {}), *rows]:
            # imports are not timed; the first row is the default method, that ratios refer to
            measure(quotes[:1], shown[:1], clean[:1], **arguments)
            elapsed, evaluations, to_quotes, to_clean = measure(quotes, shown, clean, **arguments)
            typical = np.median(elapsed)
            if base is None:
                base = typical
                continue
            print(
                f"{label:<36} {typical:8.2f} {np.percentile(elapsed, 90):8.2f} "
                f"{typical / base:7.1f} {np.median(evaluations):6.0f} "
                f"{np.median(to_quotes):14.4f} {to_quotes.max():9.4f} {np.median(to_clean):13.4f}"
            )


if __name__ == "__main__":
    main()
