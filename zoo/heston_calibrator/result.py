"""What a calibration returns."""

import dataclasses
import math
import statistics

import numpy as np

from hedgezoo.heston_calibrator.coordinates import Coordinates
from hedgezoo.heston_calibrator.panel_quotes import PanelQuotes
from hedgezoo.heston_calibrator.pricing import price
from hedgezoo.heston_calibrator.quote_arbitrage import quote_arbitrage

_SHOWN = 3  # panels in a printed result


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CalibrationResult:
    """Model parameters of B option panels; made by `HestonCalibrator.calibrate`.

    All arrays are NumPy, floating ones float64. 1 bp is 1e-4 in volatility.

    Args:
        model: `"heston"` or `"bates"`.
        names: Names of the parameters: κ, θ, ξ, ρ, v₀, and λ, μ, σ of the jumps.
        parameters: Natural parameters, `(B, p)`.
        standard_error: Of each parameter, `(B, p)`; NaN where the quotes do not determine it.
        covariance: Of the parameters, `(B, p, p)`.
        implied_volatility: Of the calibrated model, `(B, m, n)`, also where a quote is missing;
            NaN where a masked place has no strike or maturity, or the option is worthless. The last
            step is seen to first order: `surface` has all digits.
        rms_bp: Root mean square of fitted minus quoted volatility, `(B,)`.
        max_bp: Largest such error, `(B,)`.
        noise_bp: Estimated standard deviation of the error of a quote, `(B,)`.
        converged: Whether another step would change nothing, booleans `(B,)`.
        steps: Number of Gauss-Newton steps, `(B,)`.
        outside_box: Whether a parameter lies outside the box of the model, which is its prior,
            booleans `(B,)`. The fit is checked all the same.
        quotes: The quotes, a `PanelQuotes`.
        quantiles: Parameters of a surface for each quantile of the quotes, `(B, q, p)`, by models
            with a quantile head; else None.
        levels: Levels of the quantiles, `(q,)`; else None.
    """

    model: str
    names: tuple
    parameters: np.ndarray
    standard_error: np.ndarray
    covariance: np.ndarray
    implied_volatility: np.ndarray
    rms_bp: np.ndarray
    max_bp: np.ndarray
    noise_bp: np.ndarray
    converged: np.ndarray
    steps: np.ndarray
    outside_box: np.ndarray
    quotes: PanelQuotes
    quantiles: np.ndarray | None = None
    levels: tuple | None = None

    def __len__(self):
        return len(self.parameters)

    @property
    def implied_vol(self):
        """The same as `implied_volatility`."""
        return self.implied_volatility

    def as_dict(self, panel=0):
        """Parameters of a panel by name.

        Args:
            panel: Index of the panel.

        Returns:
            Dictionary of numbers.
        """
        return dict(zip(self.names, self.parameters[panel].tolist(), strict=True))

    def by_maturity(self, panel=0):
        """Errors of a panel maturity by maturity.

        Args:
            panel: Index of the panel.

        Returns:
            Three arrays of the maturities with quotes: years, the number of quotes compared, and
            the root mean square error in basis points (NaN where none was).
        """
        quotes = self.quotes
        rows = quotes.mask[panel].any(axis=1)
        errors = self.implied_volatility[panel] - quotes.implied_volatility[panel]
        compared = quotes.used[panel] & np.isfinite(errors)
        counts, rms_bp = errors_by_row(errors, compared)
        return quotes.maturity_panels[panel][rows], counts[rows], rms_bp[rows]

    def interval(self, level=0.95):
        """Confidence intervals of the parameters.

        Symmetric around the estimate in the coordinates of the search (logarithms, and the logit
        of (1 + ρ)/2), so that positive parameters stay positive and correlations within ±1.

        Args:
            level: Probability between 0 and 1.

        Returns:
            Lower and upper ends, both `(B, p)`; NaN where the standard error is.

        Raises:
            ValueError: If `level` is not between 0 and 1.
        """
        if not isinstance(level, (int, float)) or not 0.0 < level < 1.0:
            raise ValueError(f"`level` must lie between 0 and 1. Received: level={level!r}")
        coordinates = Coordinates(self.model)
        middle = coordinates.from_parameters(self.parameters)
        width = statistics.NormalDist().inv_cdf(0.5 + 0.5 * level)
        width *= self.standard_error / coordinates.slopes(middle)
        return tuple(coordinates.to_parameters(middle + d).numpy() for d in (-width, width))

    def surface(self, strikes, maturities):
        """Prices and volatilities of the calibrated models on any grid, in float64.

        They are free of static arbitrage, because they are prices of a model.

        Args:
            strikes: Divided by the forward, `(n,)`, `(m, n)` or `(B, m, n)`.
            maturities: Years, `(m,)` or `(B, m)`.

        Returns:
            Dictionary of `calls`, undiscounted per unit of forward, and `implied_volatility`, both
            `(B, m, n)`; the volatility is NaN where the option is worthless.

        Raises:
            ValueError: As `hedgezoo.layers.heston_call`.
        """
        return _priced(self.parameters, strikes, maturities)

    def quantile_surface(self, level, strikes, maturities):
        """The surface that a share `level` of bid and ask quotes lies below, in float64.

        Like the calibrated surface, which is that of the level ½, it is free of static arbitrage;
        surfaces of different levels do not cross.

        Args:
            level: One of `levels`.
            strikes: As of `surface`.
            maturities: As of `surface`.

        Returns:
            Dictionary of `calls` and `implied_volatility`, as of `surface`.

        Raises:
            ValueError: If the model has no quantile head, or not this level.
        """
        if self.quantiles is None or level not in self.levels:
            raise ValueError(
                f"`level` must be one of {self.levels}, the levels of the model's quantile head. "
                f"Received: level={level!r}"
            )
        return _priced(self.quantiles[:, self.levels.index(level)], strikes, maturities)

    def arbitrage(self, panel=None, tolerance=1e-8):
        """Static arbitrage in the quotes, which no model of this kind can fit.

        Args:
            panel: Index of a panel; None for all.
            tolerance: Prices may be off by so much, per unit of forward.

        Returns:
            List of `QuoteArbitrage` with kind, panel, maturity, strike and size; empty if there is
            none.
        """
        if panel is None:
            return quote_arbitrage(self.quotes, tolerance)
        panel = range(len(self))[panel]
        return quote_arbitrage(self.quotes.panels(slice(panel, panel + 1)), tolerance, panel)

    def __repr__(self):
        lines = [
            f"{self.model.capitalize()} on {len(self)} panel{'s' * (len(self) != 1)}: "
            f"{_number(np.nanmedian(self.rms_bp))} bp rms"
            f"{' (median)' * (len(self) != 1)}, {int(self.converged.sum())} converged, "
            f"{int(self.outside_box.sum())} outside the box"
        ]
        for panel in range(min(len(self), _SHOWN)):
            values = ", ".join(
                f"{name} {value:.4g} ± {error:.2g}"
                for name, value, error in zip(
                    self.names, self.parameters[panel], self.standard_error[panel], strict=True
                )
            )
            lines.append(f"  {values}; {_number(self.rms_bp[panel])} bp rms")
        if len(self) > _SHOWN:
            lines.append(f"  ... and {len(self) - _SHOWN} more")
        return "\n".join(lines)


def errors_by_row(errors, compared):
    """How many errors of each maturity there are, and how large.

    Args:
        errors: In volatility, `(m, n)`.
        compared: Which of them count, booleans `(m, n)`.

    Returns:
        Their numbers `(m,)`, and root mean squares in basis points `(m,)`, NaN where there is none.
    """
    counts = compared.sum(axis=1)
    squares = np.where(compared, errors, 0.0) ** 2
    mean = np.full(counts.shape, np.nan)
    np.divide(squares.sum(axis=1), counts, out=mean, where=counts > 0)
    return counts, 1e4 * np.sqrt(mean)


def _priced(parameters, strikes, maturities):
    return {name: x.numpy() for name, x in price(parameters, strikes, maturities).items()}


def _number(value):
    """A few digits, without the noise of an exact fit."""
    return f"{value:.3g}" if math.isnan(value) or value >= 1e-3 else "< 0.001"
