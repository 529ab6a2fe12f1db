"""A model fitted to a panel of quotes: in one form, whatever the method."""

import dataclasses
import time

import numpy as np

NETWORK = "network"
_BASIS_POINTS = 1e4


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """A calibrated model, whatever it was calibrated by.

    Args:
        method: Name of the method.
        model: `"heston"` or `"bates"`.
        names: Names of the parameters.
        parameters: Natural parameters, `(p,)`.
        standard_error: `(p,)`; NaN where the quotes do not determine the parameter.
        implied_volatility: Fitted volatilities, `(m, n)`; NaN where there is no quote.
        rms_bp: Root mean square of fitted minus quoted volatility, basis points.
        max_bp: Largest such error.
        seconds: Elapsed time.
        converged: Whether the method found a minimum.
        outside_box: Whether the parameters lie outside the box of the model, which is its prior;
            None of other methods.
    """

    method: str
    model: str
    names: tuple
    parameters: np.ndarray
    standard_error: np.ndarray
    implied_volatility: np.ndarray
    rms_bp: float
    max_bp: float
    seconds: float
    converged: bool
    outside_box: bool | None = None

    @property
    def feller_ratio(self):
        """2κθ/ξ²: at least 1 where the variance cannot reach zero."""
        kappa, theta, xi = self.parameters[:3].tolist()
        return 2.0 * kappa * theta / xi**2

    @property
    def constants(self):
        """Parameters by name."""
        return dict(zip(self.names, self.parameters.tolist(), strict=True))

    @property
    def columns(self):
        """What else is known of each quote: nothing."""
        return {}

    def curve(self, strikes, maturities):
        """Volatilities at strikes `(m, n)`, divided by the forward, and maturities `(m,)`."""
        from hedgezoo.heston_calibrator.pricing import price

        found = price(self.parameters[np.newaxis], strikes, maturities)
        return np.asarray(found["implied_volatility"][0])

    def by_maturity(self, panel):
        """Root mean square error at each maturity of a `QuotePanel`, basis points, `(m,)`."""
        return errors_by_maturity(self.implied_volatility, panel)

    def as_dict(self, panel):
        """Numbers of the fit to a `QuotePanel`, by name; None for NaN, as JSON has it."""
        numbers = {
            "method": self.method,
            "model": self.model,
            "parameters": self.constants,
            "standard_error": dict(zip(self.names, self.standard_error.tolist(), strict=True)),
            "rms_bp": self.rms_bp,
            "max_bp": self.max_bp,
            "rms_bp_by_maturity": self.by_maturity(panel).tolist(),
            "feller_ratio": self.feller_ratio,
            "outside_training_box": self.outside_box,
            "seconds": self.seconds,
            "converged": self.converged,
        }
        return without_nan(numbers)


def fit_by_network(panel, calibrator):
    """A panel fitted by a network.

    Args:
        panel: A `QuotePanel`.
        calibrator: A `HestonCalibrator`.

    Returns:
        A `Fit`; its time is that of a second call, without compilation.

    Raises:
        ValueError: As `HestonCalibrator.calibrate`.
    """
    calibrator.calibrate(*panel.arguments)
    began = time.perf_counter()
    result = calibrator.calibrate(*panel.arguments)
    seconds = time.perf_counter() - began
    # priced again, by another route than the one that found the parameters
    priced = result.surface(panel.strikes, panel.maturities)["implied_volatility"][0]
    fitted = np.where(result.quotes.used[0], priced, np.nan)
    errors = _BASIS_POINTS * np.abs(fitted - panel.implied_volatility)
    return Fit(
        method=NETWORK,
        model=result.model,
        names=tuple(result.names),
        parameters=result.parameters[0],
        standard_error=result.standard_error[0],
        implied_volatility=fitted,
        rms_bp=float(np.sqrt(np.nanmean(errors**2))),
        max_bp=float(np.nanmax(errors)),
        seconds=seconds,
        converged=bool(result.converged[0]),
        outside_box=bool(result.outside_box[0]),
    )


def fit_by_classical(panel, model, method="levenberg_marquardt", starts=1):
    """A panel fitted by a classical method, with the weights that the network gives to spreads.

    Args:
        panel: A `QuotePanel`.
        model: `"heston"` or `"bates"`.
        method: As in `hedgezoo.baselines.calibration.calibrate`.
        starts: As there.

    Returns:
        A `Fit`; its time is that of all starts together.

    Raises:
        ValueError: As `hedgezoo.baselines.calibration.calibrate`.
    """
    from hedgezoo.baselines.calibration import calibrate
    from hedgezoo.heston_calibrator.residuals import Quotes

    volatility, strikes, maturities, mask, spread = panel.arguments
    weights = None
    if spread is not None:
        names = ("implied_volatility", "strikes", "maturities", "mask", "spread")
        batched = {
            name: np.asarray(value)[np.newaxis]
            for name, value in zip(names, panel.arguments, strict=True)
        }
        weights = Quotes.of(batched, "float64").weights().numpy()[0]
    result = calibrate(
        volatility,
        strikes,
        maturities,
        mask,
        weights=weights,
        model=model,
        method=method,
        starts=starts,
    )
    return Fit(
        method=method,
        model=model,
        names=tuple(name.replace(" ", "_") for name in result.names),
        parameters=result.parameters,
        standard_error=result.standard_error,
        implied_volatility=result.implied_volatility,
        rms_bp=result.rms_bp,
        max_bp=result.max_bp,
        seconds=result.seconds,
        converged=result.converged,
    )


def errors_by_maturity(implied_volatility, panel):
    """Root mean square errors of volatilities `(m, n)` at each maturity of a `QuotePanel`.

    Args:
        implied_volatility: Fitted volatilities, `(m, n)`; NaN where there is none.
        panel: A `QuotePanel`.

    Returns:
        Basis points, `(m,)`.
    """
    from hedgezoo.heston_calibrator.result import errors_by_row

    errors = implied_volatility - panel.implied_volatility
    return errors_by_row(errors, panel.mask & np.isfinite(errors))[1]


def without_nan(content):
    """Lists and dictionaries with None for every number that is not finite, as JSON has it."""
    if isinstance(content, dict):
        return {name: without_nan(value) for name, value in content.items()}
    if isinstance(content, list):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and not np.isfinite(content) else content
