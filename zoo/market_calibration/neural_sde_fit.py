"""A neural SDE calibrated to a panel of quotes, and the Heston model that is its check."""

import dataclasses
import time

import numpy as np

from hedgezoo.market_calibration.model_fit import errors_by_maturity, fit_by_classical, without_nan

NEURAL_SDE = "neural_sde"
_BASIS_POINTS = 1e4
_STEPS = 96
_VEGA_FLOOR, _POLISH_STEPS = 0.002, 80
_LEAST_SPREAD = 1e-4  # bid and ask at one price: no quote is that certain


@dataclasses.dataclass(frozen=True, eq=False)
class NeuralSDEFit:
    """A calibrated neural SDE on the grid of a `QuotePanel`.

    Args:
        result: What `NeuralSDE.calibrate` returned.
        implied_volatility: Fitted volatilities by simulation, also of held-out quotes, `(m, n)`;
            NaN where there is no quote.
        standard_error_bp: Monte Carlo errors of the fitted ones, `(m, n)`; NaN elsewhere.
        pde_volatility: The same by Dupire's equation, `(m, n)`.
        held_out: True where a quote was not fitted, `(m, n)`.
        seconds: Elapsed time.
    """

    result: object
    implied_volatility: np.ndarray
    standard_error_bp: np.ndarray
    pde_volatility: np.ndarray
    held_out: np.ndarray
    seconds: float

    method = NEURAL_SDE
    model = NEURAL_SDE

    @property
    def rms_bp(self):
        """Root mean square error of the fitted quotes, by simulation."""
        return self.result.rms_bp

    @property
    def max_bp(self):
        """Largest error of a fitted quote, by simulation."""
        return self.result.worst_bp

    @property
    def converged(self):
        """Whether further steps would not have helped."""
        return self.result.converged

    @property
    def constants(self):
        """Parameters by name: of a network, none to show."""
        return {}

    @property
    def columns(self):
        """What else is known of each quote: dictionary name -> `(m, n)`."""
        return {
            "standard_error_bp": self.standard_error_bp,
            "fitted_by_pde": self.pde_volatility,
            "held_out": self.held_out,
        }

    def curve(self, strikes, maturities):
        """Volatilities by Dupire's equation at strikes `(m, n)` and maturities `(m,)`."""
        return self.result.model.price_by_pde(strikes, maturities).implied_volatility

    def by_maturity(self, panel):
        """Root mean square error of all quotes at each maturity, basis points, `(m,)`."""
        return errors_by_maturity(self.implied_volatility, panel)

    def as_dict(self, panel):
        """Numbers of the fit to a `QuotePanel`, by name; None for NaN, as JSON has it."""
        result = self.result
        numbers = {
            "method": self.method,
            "model": self.model,
            "weights": int(result.model.count_params()),
            "rms_bp": self.rms_bp,
            "rms_core_bp": result.rms_core_bp,
            "max_bp": self.max_bp,
            "pde_rms_bp": result.pde_rms_bp,
            "monte_carlo_bp": result.monte_carlo_bp,
            "held_out_quotes": int(self.held_out.sum()),
            "held_out_rms_bp": result.held_out_bp,
            "missed_lines": self.missed_lines(panel),
            "rms_bp_by_maturity": self.by_maturity(panel).tolist(),
            "steps": result.steps,
            "skipped_steps": result.skipped_steps,
            "seconds": self.seconds,
            "cpu_seconds": result.cpu_seconds,
            "converged": self.converged,
            "message": result.message,
        }
        return without_nan(numbers)

    def missed_lines(self, panel):
        """Lines of the quotes that are missed by more than spread and noise explain."""
        fitted = panel.lines[panel.mask & ~self.held_out]
        return fitted[self.result.missed].tolist()


def surface_of(panel):
    """The quotes of a `QuotePanel` as a `hedgezoo.datasets.SurfaceQuotes`, in its order.

    Raises:
        ValueError: As `SurfaceQuotes`.
    """
    from hedgezoo.datasets import SurfaceQuotes

    spread = panel.spread
    if spread is not None:
        spread = np.maximum(spread, _LEAST_SPREAD)
    return SurfaceQuotes.from_grid(
        panel.implied_volatility,
        panel.strikes,
        panel.maturities,
        mask=panel.mask,
        spread=spread,
        name=panel.source,
    )


def fit_by_neural_sde(panel, steps=None, seed=0, held_out=0.2, verbose=0):
    """A panel fitted by a local volatility network.

    Args:
        panel: A `QuotePanel`.
        steps: Training steps; None for the default of `NeuralSDE.calibrate`.
        seed: Of initial weights, paths and the choice of the quotes held out.
        held_out: Share of the quotes that are not fitted but predicted; 0 for none.
        verbose: As in `hedgezoo.training.fit`.

    Returns:
        A `NeuralSDEFit`.

    Raises:
        ValueError: If too few quotes are left on a side, or as `NeuralSDE.calibrate`.
    """
    from hedgezoo.neural_sde import NeuralSDE

    began = time.perf_counter()
    quotes = surface_of(panel)
    fitted, others = quotes, None
    if held_out:
        # between two fitted ones if there are enough: at the ends a smile is extrapolated
        inner = len(quotes) - 2 * len(quotes.expiries)
        fitted, others = quotes.split(held_out, seed, ends=round(held_out * len(quotes)) > inner)
    model = NeuralSDE(
        volatility=typical_volatility(quotes),
        maturities=quotes.expiries.tolist(),
        # short steps at the start, where σ varies most, and 96 √T in all
        steps_per_year=_STEPS / np.sqrt(max(1.0, quotes.maturities[-1])),
        concentration=2.0,
        options={"seed": seed},
    )
    # a file's shortest options have little vega, and quotes all the same
    options = {"vega_floor": _VEGA_FLOOR, "polish_steps": _POLISH_STEPS}
    if steps is not None:
        options["steps"] = steps
    if quotes.spread is not None:
        options["weights"] = "spread"
    result = model.calibrate(fitted, held_out=others, seed=seed, verbose=verbose, **options)
    held = np.zeros(panel.mask.shape, bool)
    if others is not None:
        held[panel.mask] = ~_among(quotes, fitted)
    inside = panel.mask & ~held
    errors, errors_by_pde, noise = np.full((3, *panel.mask.shape), np.nan)
    errors[inside], errors_by_pde[inside] = result.errors_bp, result.pde_errors_bp
    noise[inside] = result.standard_error_bp
    if others is not None:
        errors[held] = result.held_out_errors_bp
        errors_by_pde[held] = result.held_out_pde_errors_bp
    return NeuralSDEFit(
        result=result,
        implied_volatility=panel.implied_volatility + errors / _BASIS_POINTS,
        standard_error_bp=noise,
        pde_volatility=panel.implied_volatility + errors_by_pde / _BASIS_POINTS,
        held_out=held,
        seconds=time.perf_counter() - began,
    )


def heston_beside(panel, fit, starts):
    """The Heston model by Levenberg-Marquardt, fitted to the quotes that a network was fitted to.

    Args:
        panel: A `QuotePanel`.
        fit: A `NeuralSDEFit`.
        starts: Number of starts.

    Returns:
        A `hedgezoo.market_calibration.model_fit.Fit`, its volatilities those of all quotes, its
        errors those of the fitted ones; and the error of the held-out quotes in basis points, or
        None.
    """
    part = dataclasses.replace(panel, mask=panel.mask & ~fit.held_out)
    found = fit_by_classical(part, "heston", starts=starts)
    everywhere = found.curve(panel.strikes, panel.maturities)
    found = dataclasses.replace(found, implied_volatility=np.where(panel.mask, everywhere, np.nan))
    if not fit.held_out.any():
        return found, None
    errors = (everywhere - panel.implied_volatility)[fit.held_out]
    return found, _BASIS_POINTS * float(np.sqrt(np.mean(errors**2)))


def typical_volatility(quotes):
    """The volatility of a `SurfaceQuotes` near the forward: the median over the maturities."""
    distance = np.abs(np.log(quotes.strikes))
    nearest = [
        quotes.implied_volatility[rows[np.argmin(distance[rows])]]
        for rows in (np.flatnonzero(quotes.expiry_index == j) for j in range(len(quotes.expiries)))
    ]
    return float(np.median(nearest))


def _among(quotes, part):
    """Which quotes are among others, booleans `(N,)`."""
    chosen = set(zip(part.strikes, part.maturities, strict=True))
    pairs = zip(quotes.strikes, quotes.maturities, strict=True)
    return np.array([pair in chosen for pair in pairs])
