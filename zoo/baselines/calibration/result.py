"""What a calibration returns."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """Parameters of a model fitted to one panel; made by `calibrate`.

    Args:
        model: Name of the model.
        method: Name of the method.
        names: Names of the parameters.
        parameters: The parameters, `(p,)`: κ, θ, ξ, ρ, v₀, and λ, μ, σ of the jumps.
        standard_error: Of each parameter, from the Jacobian and the residuals, `(p,)`; NaN where
            the parameter is at an end of its range or the quotes do not determine it.
        covariance: Of the parameters, `(p, p)`.
        implied_volatility: Fitted volatilities in the shape of the quotes, NaN where there was
            none or its price is below rounding.
        quotes: The quotes, a `Quotes`.
        rms_bp: Root mean square of fitted minus quoted volatility, basis points.
        max_bp: Largest such error.
        evaluations: Number of times that all quotes were priced, of all starts together.
        seconds: Elapsed time of all starts together.
        converged: Whether the method says that it has found a minimum.
        message: Why it stopped, and what is out of the ordinary.
        starts_rms_bp: Weighted root mean square error reached from each start, `(starts,)`.
    """

    model: str
    method: str
    names: tuple
    parameters: np.ndarray
    standard_error: np.ndarray
    covariance: np.ndarray
    implied_volatility: np.ndarray
    quotes: object
    rms_bp: float
    max_bp: float
    evaluations: int
    seconds: float
    converged: bool
    message: str
    starts_rms_bp: np.ndarray

    def as_dict(self):
        """Parameters by name."""
        return dict(zip(self.names, self.parameters.tolist(), strict=True))

    def by_maturity(self):
        """Errors maturity by maturity.

        Returns:
            Three arrays: maturities in years, the number of quotes compared, and the root mean
            square error in basis points (NaN where none was).
        """
        errors = self.implied_volatility[self.quotes.quoted] - self.quotes.implied_volatility
        compared = np.isfinite(errors)
        years, row = np.unique(self.quotes.maturities, return_inverse=True)
        counts = np.bincount(row, compared, len(years))
        squares = np.bincount(row, np.where(compared, errors, 0.0) ** 2, len(years))
        mean = np.divide(squares, counts, out=np.full(len(years), np.nan), where=counts > 0)
        return years, counts.astype(int), 1e4 * np.sqrt(mean)

    def __repr__(self):
        title = f"{self.model.capitalize()} by {self.method} on {len(self.quotes)} quotes"
        lines = [f"{title}: {self.rms_bp:.4g} bp rms, {self.max_bp:.4g} bp at most"]
        width = max(map(len, self.names))
        for name, value, error in zip(
            self.names, self.parameters, self.standard_error, strict=True
        ):
            lines.append(f"  {name:<{width}} {value:10.6f} ± {error:.2g}")
        state = "converged" if self.converged else "not converged"
        lines.append(
            f"  {state} in {self.evaluations} evaluations, {1e3 * self.seconds:.1f} ms: "
            f"{self.message}"
        )
        return "\n".join(lines)
