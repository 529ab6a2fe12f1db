"""How good a calibrated neural SDE is: by simulation, by Dupire's equation, on held-out quotes."""

import dataclasses

import numpy as np

from hedgezoo.datasets.surface_quotes import BASIS_POINT, SurfaceQuotes
from hedgezoo.layers.local_volatility.dupire import dupire_quotes

CORE_VEGA = 0.1
TOLERANCE_BP = 10.0


@dataclasses.dataclass(frozen=True, eq=False)
class NeuralSDECalibration:
    """A calibrated neural SDE, and how far its prices are from the quotes.

    All errors are model minus quote in basis points of implied volatility, 1 bp = 1e-4; summaries
    are root mean squares over all quotes, each with the same weight. The simulation has its own
    random numbers, not those of the training; the equation of Dupire has neither noise nor the
    discretisation error of the simulation, so the two side by side show that error.

    Args:
        model: The calibrated `NeuralSDE`.
        quotes: The N quotes it was fitted to, a `SurfaceQuotes`.
        implied_volatility: Of the model, by simulation, `(N,)`; NaN where no volatility gives the
            price.
        errors_bp: `(N,)`.
        standard_error_bp: Monte Carlo standard errors of `errors_bp`, `(N,)`.
        pde_errors_bp: The same errors by Dupire's equation, `(N,)`; None for a model with more than
            one factor.
        held_out: Quotes that were not fitted, a `SurfaceQuotes`, or None.
        held_out_errors_bp: Their errors by simulation, or None.
        held_out_pde_errors_bp: Their errors by Dupire's equation, or None.
        missed: Indices of the quotes that are missed: further off than half their spread, or
            `TOLERANCE_BP` where no spread is known, and than three standard errors.
        converged: Whether further steps would not have helped.
        message: What happened, in a sentence.
        steps: Training steps.
        skipped_steps: Steps that were taken back because they were not finite.
        cpu_seconds: Time of the processors spent on the calibration, its last evaluation included.
        history: Dictionary: `step`, `error_bp` and, with held-out quotes, `held_out_bp` along the
            training; `polish_bp` and `polish_held_out_bp` along the polish.

    Example:

    >>> from hedgezoo import NeuralSDE
    >>> from hedgezoo.datasets import SurfaceQuotes
    >>> quotes = SurfaceQuotes([0.9, 1.0, 1.1], [0.5] * 3, [0.22, 0.20, 0.19])
    >>> result = NeuralSDE(units=(8,), maturities=[0.5]).calibrate(quotes, steps=20)
    >>> result.pde_rms_bp < 3
    True
    """

    model: object
    quotes: SurfaceQuotes
    implied_volatility: np.ndarray
    errors_bp: np.ndarray
    standard_error_bp: np.ndarray
    pde_errors_bp: np.ndarray | None
    held_out: SurfaceQuotes | None
    held_out_errors_bp: np.ndarray | None
    held_out_pde_errors_bp: np.ndarray | None
    missed: np.ndarray
    converged: bool
    message: str
    steps: int
    skipped_steps: int
    cpu_seconds: float
    history: dict = dataclasses.field(repr=False)

    @property
    def rms_bp(self):
        """Error of all quotes, by simulation."""
        return root_mean_square(self.errors_bp)

    @property
    def rms_core_bp(self):
        """Error of the quotes whose vega is above 0.1 √maturity, by simulation."""
        return root_mean_square(self.errors_bp[core(self.quotes)])

    @property
    def worst_bp(self):
        """Largest error of a quote, by simulation."""
        return float(np.max(np.abs(self.errors_bp)))

    @property
    def pde_rms_bp(self):
        """Error of all quotes by Dupire's equation; None for a model with more than one factor."""
        return None if self.pde_errors_bp is None else root_mean_square(self.pde_errors_bp)

    @property
    def monte_carlo_bp(self):
        """Root mean square of the standard errors."""
        return root_mean_square(self.standard_error_bp)

    @property
    def held_out_bp(self):
        """Error of the held-out quotes: by Dupire's equation if there is, else by simulation."""
        if self.held_out is None:
            return None
        exact = self.held_out_pde_errors_bp
        return root_mean_square(self.held_out_errors_bp if exact is None else exact)

    def inside(self, maturities, strikes):
        """Error of the quotes in a region, by simulation.

        Args:
            maturities: Shortest and longest maturity in years.
            strikes: Lowest and highest strike, divided by the forward.

        Returns:
            Root mean square in basis points.
        """
        return root_mean_square(self.errors_bp[self.quotes.inside(maturities, strikes)])

    def summary(self):
        """The numbers above as a dictionary that JSON can hold."""
        return {
            "quotes": len(self.quotes),
            "error_bp": self.rms_bp,
            "error_core_bp": self.rms_core_bp,
            "worst_bp": self.worst_bp,
            "monte_carlo_bp": self.monte_carlo_bp,
            "pde_error_bp": self.pde_rms_bp,
            "held_out_quotes": None if self.held_out is None else len(self.held_out),
            "held_out_error_bp": self.held_out_bp,
            "missed": len(self.missed),
            "converged": self.converged,
            "message": self.message,
            "steps": self.steps,
            "skipped_steps": self.skipped_steps,
            "cpu_seconds": round(self.cpu_seconds, 1),
        }

    def __str__(self):
        lines = [
            f"{len(self.quotes)} quotes: {self.rms_bp:.2f} bp by simulation "
            f"(+- {self.monte_carlo_bp:.2f}, worst {self.worst_bp:.1f}, core "
            f"{self.rms_core_bp:.2f})"
        ]
        if self.pde_rms_bp is not None:
            lines.append(f"{self.pde_rms_bp:.2f} bp by Dupire's equation")
        if self.held_out is not None:
            lines.append(f"{len(self.held_out)} held-out quotes: {self.held_out_bp:.2f} bp")
        lines.append(f"{len(self.missed)} quotes missed")
        lines.append(f"{'converged' if self.converged else 'not converged'}: {self.message}")
        return "\n".join(lines)


def core(quotes):
    """Which quotes have a vega above 0.1 √maturity, booleans `(N,)`."""
    return quotes.vega > CORE_VEGA * np.sqrt(quotes.maturities)


def missed_quotes(quotes, errors_bp, standard_error_bp):
    """Indices of the quotes that a model misses, see `NeuralSDECalibration`.

    Args:
        quotes: A `SurfaceQuotes`.
        errors_bp: `(N,)`; NaN is missed.
        standard_error_bp: `(N,)`.

    Returns:
        Integers.

    Example:

    >>> quotes = SurfaceQuotes([1.0, 1.1], [1.0, 1.0], [0.2, 0.2]).with_spread([10, 100])
    >>> missed_quotes(quotes, np.array([8.0, 8.0]), np.array([0.1, 0.1]))
    array([0])
    """
    if quotes.spread is None:
        half = np.full(len(quotes), TOLERANCE_BP)
    else:
        half = np.asarray(quotes.spread) / (2.0 * BASIS_POINT)
    return np.flatnonzero(~(np.abs(errors_bp) <= np.maximum(half, 3.0 * standard_error_bp)))


def simulated_errors(model, quotes, paths, seed, features=None):
    """Implied volatilities `(N,)`, errors and standard errors in bp, by simulation.

    Args:
        model: A `NeuralSDE`.
        quotes: A `SurfaceQuotes`.
        paths: Number of paths.
        seed: Integer.
        features: Market features `(f,)`, or None.

    Returns:
        Three float64 arrays `(N,)`.
    """
    strikes, mask = quotes.strike_grid()
    found = model.price(strikes, quotes.expiries, paths=paths, seed=seed, features=features)
    volatility = found.implied_volatility[mask]
    error = found.standard_error[mask] / quotes.vega / BASIS_POINT
    return volatility, (volatility - np.asarray(quotes.implied_volatility)) / BASIS_POINT, error


def pde_errors(model, quotes, features=None):
    """Errors in bp by Dupire's equation, `(N,)`; None for a model with more than one factor.

    Args:
        model: A `NeuralSDE`.
        quotes: A `SurfaceQuotes`.
        features: Market features `(f,)`, or None.

    Returns:
        A float64 array, or None.
    """
    if model.states > 1:
        return None
    calls = dupire_quotes(model.network, quotes.strikes, quotes.maturities, features)
    volatility = quotes.volatility_of(calls)
    return (volatility - np.asarray(quotes.implied_volatility)) / BASIS_POINT


def root_mean_square(errors):
    """Root mean square as a float; NaN if an error is."""
    return float(np.sqrt(np.mean(np.square(errors))))
