"""From a user's arrays of quotes to a `CalibrationResult`: the work of `calibrate`."""

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_integer
from hedgezoo.heston_calibrator.panel_quotes import panel_quotes, unresolved
from hedgezoo.heston_calibrator.residuals import BASIS_POINT
from hedgezoo.heston_calibrator.result import CalibrationResult

_WANTED = (
    "parameters",
    "standard_error",
    "covariance",
    "implied_volatility",
    "noise",
    "converged",
    "iterations",
    "quantiles",
)


def calibrate(
    model,
    implied_vol,
    strikes,
    maturities,
    mask=None,
    spread=None,
    *,
    prior=True,
    max_steps=50,
    batch_size=1024,
):
    """Calibrates panels of quotes; see `HestonCalibrator.calibrate`.

    Args:
        model: A `HestonCalibrator`.
        implied_vol: Quotes per √year, `(m, n)` or `(B, m, n)`.
        strikes: Divided by the forward, `(n,)`, `(m, n)` or `(B, m, n)`.
        maturities: Years, `(m,)` or `(B, m)`.
        mask: True where there is a quote, `(m, n)` or `(B, m, n)`.
        spread: Bid-ask widths in volatility, as `mask`, or a number.
        prior: Whether the box of the model counts as a prior.
        max_steps: Largest number of further steps for a panel that is not yet finished.
        batch_size: Panels calibrated at a time.

    Returns:
        A `CalibrationResult`.

    Raises:
        ValueError: If an argument is refused by `panel_quotes`, the grid is not the network's, or
            an option is out of its range.
    """
    check_integer("max_steps", max_steps)
    check_integer("batch_size", batch_size, minimum=1)
    if not isinstance(prior, bool | np.bool_):
        raise ValueError(f"`prior` must be True or False. Received: prior={prior!r}")
    quotes = panel_quotes(implied_vol, strikes, maturities, mask, spread, model.names)
    if model.strikes is not None:
        quotes = quotes.on_grid(model.strikes, model.maturities)
    return calibrate_quotes(model, quotes, prior, max_steps, batch_size)


def calibrate_quotes(model, quotes, prior=True, max_steps=50, batch_size=1024):
    """The same from quotes that are checked already.

    Args:
        model: A `HestonCalibrator`.
        quotes: A `PanelQuotes`.
        prior: Whether the box of the model counts as a prior.
        max_steps: Largest number of further steps for a panel that is not yet finished.
        batch_size: Panels calibrated at a time.

    Returns:
        A `CalibrationResult`.
    """
    solve = _graph(model, quotes.strikes.ndim, quotes.maturities.ndim, bool(prior), int(max_steps))
    parts = []
    for start in range(0, len(quotes), batch_size):
        outputs = solve(*_tensors(quotes.panels(slice(start, start + batch_size))))
        parts.append({name: tensor.numpy() for name, tensor in outputs.items()})
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _result(model, quotes, found)


# ------------------------------------------------------------------------------------- internals


def _tensors(quotes):
    """The arguments of the compiled function."""
    floats = (quotes.implied_volatility, quotes.strikes, quotes.maturities, quotes.spread)
    return *(tf.constant(array, tf.float64) for array in floats), tf.constant(quotes.used)


def _graph(model, strike_rank, maturity_rank, prior, max_steps):
    """One compiled function for each kind of grid, whatever its size and that of the batch."""
    if not model.built:
        model.build()
    graphs = model.__dict__.setdefault("_calibrations", {})
    key = strike_rank, maturity_rank, prior, max_steps
    if key not in graphs:

        def run(volatility, strikes, maturities, spread, mask):
            inputs = {
                "implied_volatility": volatility,
                "strikes": strikes,
                "maturities": maturities,
                "spread": spread,
                "mask": mask,
            }
            outputs = model.solve(inputs, prior=prior, max_steps=max_steps)
            # not the whole path: only what a result holds leaves the graph
            return {name: outputs[name] for name in _WANTED if name in outputs}

        grid = model.strikes is not None
        m, n = (len(model.maturities), np.shape(model.strikes)[-1]) if grid else (None, None)
        panel, strikes = (None, m, n), {1: (n,), 2: (m, n), 3: (None, m, n)}[strike_rank]
        maturities = {1: (m,), 2: (None, m)}[maturity_rank]
        signature = [tf.TensorSpec(shape, tf.float64) for shape in (panel, strikes, maturities)]
        signature += [tf.TensorSpec(panel, tf.float64), tf.TensorSpec(panel, tf.bool)]
        graphs[key] = tf.function(run, input_signature=signature, autograph=False)
    return graphs[key]


def _result(model, quotes, found):
    fitted = np.asarray(found["implied_volatility"], np.float64)
    errors = np.where(quotes.used, fitted - quotes.implied_volatility, 0.0) / BASIS_POINT
    count = quotes.used.sum(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        worthless = unresolved(fitted, quotes.strikes, quotes.maturities)
    parameters = np.asarray(found["parameters"], np.float64)
    return CalibrationResult(
        model=model.model,
        names=model.names,
        parameters=parameters,
        standard_error=np.asarray(found["standard_error"], np.float64),
        covariance=np.asarray(found["covariance"], np.float64),
        implied_volatility=np.where(quotes.known & ~worthless, fitted, np.nan),
        rms_bp=np.sqrt(np.square(errors).sum(axis=(1, 2)) / count),
        max_bp=np.abs(errors).max(axis=(1, 2)),
        noise_bp=np.asarray(found["noise"], np.float64) / BASIS_POINT,
        converged=found["converged"],
        steps=found["iterations"],
        outside_box=~_inside(model.box, parameters),
        quotes=quotes,
        quantiles=found.get("quantiles"),
        levels=model.quantile_levels,
    )


def _inside(box, parameters):
    """Whether parameters lie in a box, up to rounding, `(B,)`."""
    slack = 1e-6 * (np.array(box.high) - np.array(box.low))
    inside = (parameters >= box.low - slack) & (parameters <= box.high + slack)
    return inside.all(axis=1)
