"""A calibrator beside Levenberg-Marquardt: the same panels, the same processor."""

import dataclasses
import time

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.heston_panels import FixedGrid

_BASIS_POINTS = 1e4
_ROUNDS, _BATCH = 5, 1024  # timed batches and their panels
_SINGLES = 100  # timed calibrations of one panel


def beside(model, market, panels, seed, noises):
    """Errors of Levenberg-Marquardt on panels of each noise case, and what each method costs.

    Levenberg-Marquardt with analytic derivatives from one start, panel by panel, see
    `hedgezoo.baselines.calibration`. Costs are CPU time on this machine, all threads of the model
    together.

    Args:
        model: A `HestonCalibrator`.
        market: `HestonPanels`.
        panels: Number of panels B.
        seed: Their seed.
        noises: Names of noise cases.

    Returns:
        Dictionary `{metric: {"value", "stderr"}}` of medians: `"levenberg_marquardt/<noise>/"` with
        `error_to_clean_bp` and `error_to_quotes_bp`, and `"cpu_milliseconds/"` with
        `levenberg_marquardt`, `batched` and `single`, each per panel.
    """
    found, spent = {}, []
    for noise in noises:
        errors, milliseconds = least_squares(
            dataclasses.replace(market, noise=noise, dtype="float64"), panels, seed
        )
        spent.append(milliseconds)
        for name, values in errors.items():
            found[f"levenberg_marquardt/{noise}/{name}"] = median(values)
    found["cpu_milliseconds/levenberg_marquardt"] = median(np.concatenate(spent))
    inputs, _ = dataclasses.replace(market, noise=noises[-1]).simulate(seed, _BATCH)
    if isinstance(market.grid, FixedGrid):  # shared by the panels, which is cheaper
        strikes, maturities = market.grid.draw(seed, _BATCH)
        inputs |= {"strikes": strikes, "maturities": maturities}
    for name, values in speed(model, inputs).items():
        found[f"cpu_milliseconds/{name}"] = median(values)
    return found


def least_squares(market, panels, seed):
    """Panels calibrated one by one by Levenberg-Marquardt.

    Args:
        market: `HestonPanels` of dtype float64.
        panels: Number of panels B.
        seed: Their seed.

    Returns:
        Dictionary of root mean square errors in bp `(B,)`, to the clean surface and to the quotes;
        and CPU milliseconds `(B,)`.
    """
    from hedgezoo.baselines.calibration import calibrate

    inputs, targets = market.simulate(seed, panels)
    arrays = [
        tensor.numpy()
        for tensor in (
            *(inputs[name] for name in ("implied_volatility", "strikes", "maturities", "mask")),
            targets["implied_volatility"],
        )
    ]
    rows = []
    for quotes, strikes, maturities, mask, exact in zip(*arrays, strict=True):
        start = time.thread_time()
        fit = calibrate(quotes, strikes, maturities, mask, model=market.model)
        elapsed = 1e3 * (time.thread_time() - start)
        errors = _BASIS_POINTS * (fit.implied_volatility - exact)[mask]
        rows.append((np.sqrt(np.nanmean(errors**2)), fit.rms_bp, elapsed))
    to_clean, to_quotes, milliseconds = np.array(rows).T
    return {"error_to_clean_bp": to_clean, "error_to_quotes_bp": to_quotes}, milliseconds


def speed(model, inputs):
    """CPU milliseconds per panel of a calibrator, in a batch and one by one.

    Args:
        model: A `HestonCalibrator`.
        inputs: Dictionary of tensors `(B, ...)`, as of `HestonPanels.simulate`; strikes and
            maturities may be shared by the panels.

    Returns:
        Dictionary of arrays: `batched` `(5,)`, `single` `(100,)`.
    """
    panels = int(inputs["mask"].shape[0])
    names = ("parameters", "standard_error", "implied_volatility")

    @tf.function
    def run(inputs):
        outputs = model(inputs, training=False)
        return [outputs[name] for name in names]

    def milliseconds(rows):
        start = time.process_time()
        run(rows)[0].numpy()
        return 1e3 * (time.process_time() - start)

    ranks = {"maturities": 2}  # of what each panel has of its own; else 3
    own = {name for name, x in inputs.items() if x.shape.rank == ranks.get(name, 3)}
    singles = [
        {name: x[i : i + 1] if name in own else x for name, x in inputs.items()}
        for i in np.arange(_SINGLES) % panels
    ]
    milliseconds(inputs), milliseconds(singles[0])  # traced
    return {
        "batched": np.array([milliseconds(inputs) for _ in range(_ROUNDS)]) / panels,
        "single": np.array([milliseconds(rows) for rows in singles]),
    }


def median(values):
    """The median of a sample and its standard error, from the quartiles as if it were Gaussian."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    deviation = (high - low) / 1.349
    return {
        "value": float(middle),
        "stderr": float(np.sqrt(np.pi / 2.0) * deviation / np.sqrt(len(values))),
    }
