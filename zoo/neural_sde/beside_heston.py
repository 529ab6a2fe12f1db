"""The Heston model, fitted to the same quotes by least squares: what a neural SDE must beat."""

import numpy as np

from hedgezoo.datasets.surface_quotes import BASIS_POINT
from hedgezoo.layers.heston.pricer import heston_call

STARTS = 8


def heston_fit(quotes, starts=STARTS):
    """Heston by Levenberg-Marquardt from several starts.

    Args:
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        starts: Number of starts, of which the best result is returned.

    Returns:
        A `hedgezoo.baselines.calibration.Calibration`.

    Raises:
        ValueError: If there are fewer than five quotes.

    Example:

    >>> from hedgezoo.datasets import SurfaceQuotes
    >>> heston_fit(SurfaceQuotes.heston(), starts=1).rms_bp < 1e-4
    True
    """
    from hedgezoo.baselines.calibration import calibrate

    weights = None if quotes.spread is None else np.asarray(quotes.spread) ** -2.0
    return calibrate(
        np.asarray(quotes.implied_volatility),
        np.asarray(quotes.strikes),
        np.asarray(quotes.maturities),
        weights=weights,
        starts=starts,
    )


def heston_errors(parameters, quotes):
    """Errors of a Heston model on quotes, fitted to these or to others.

    Args:
        parameters: κ, θ, ξ, ρ and v₀, `(5,)`.
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.

    Returns:
        Model minus quoted volatility in basis points, float64 `(N,)`.

    Example:

    >>> from hedgezoo.datasets.surface_quotes import HESTON_PARAMETERS, SurfaceQuotes
    >>> errors = heston_errors(HESTON_PARAMETERS, SurfaceQuotes.heston())
    >>> bool(np.abs(errors).max() < 1e-4)
    True
    """
    strikes, maturities = np.asarray(quotes.strikes), np.asarray(quotes.maturities)
    calls = heston_call(np.asarray(parameters), strikes[:, np.newaxis], maturities)
    volatility = quotes.volatility_of(calls.numpy()[:, 0])
    return (volatility - np.asarray(quotes.implied_volatility)) / BASIS_POINT
