"""How good calibrated parameters are: in volatility, in parameters and in densities."""

import dataclasses

import numpy as np

from hedgezoo.datasets.heston_panels import NOISE_CASES, PAPER_GRID, HestonPanels
from hedgezoo.layers.heston.pricer import heston_call
from hedgezoo.layers.implied_volatility import implied_volatility
from hedgezoo.layers.normal import normal_cdf

BASIS_POINTS = 1e4
NAMES = ("kappa", "theta", "xi", "rho", "v0")
HELD_OUT_SEED = 1_000_003  # of no training
_STRIKES = np.asarray(PAPER_GRID.strikes)
_MATURITIES = np.asarray(PAPER_GRID.maturities)
# an option out of the money counts as worth at least this: below, its volatility is rounding
_SMALLEST = 1e-9


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Panels that no network has seen, NumPy arrays.

    Args:
        noise: Name of the noise case.
        quotes: Quoted volatilities `(B, m, n)`, 0 where there is none.
        mask: Whether there is a quote, `(B, m, n)`.
        spread: Widths from bid to ask in volatility, `(B, m, n)`.
        exact: Volatilities without noise, `(B, m, n)`, 0 where the option is worth too little.
        parameters: True ones, `(B, 5)`.
    """

    noise: str
    quotes: np.ndarray
    mask: np.ndarray
    spread: np.ndarray
    exact: np.ndarray
    parameters: np.ndarray

    @classmethod
    def draw(cls, noise, panels, seed=0):
        """Panels of the paper's box and grid in a noise case, quoted in float64."""
        source = HestonPanels(noise=noise, dtype="float64")
        inputs, targets = source.simulate(HELD_OUT_SEED + seed, panels)
        return cls(
            noise,
            inputs["implied_volatility"].numpy(),
            inputs["mask"].numpy(),
            inputs["spread"].numpy(),
            targets["implied_volatility"].numpy(),
            targets["parameters"].numpy(),
        )

    def first(self, panels):
        """The first so many panels."""
        arrays = {
            field.name: getattr(self, field.name)[:panels]
            for field in dataclasses.fields(self)
            if field.name != "noise"
        }
        return HeldOut(self.noise, **arrays)

    def __len__(self):
        return len(self.quotes)


def by_network(model, panels):
    """Parameters `(B, 5)` that a calibrator finds for panels, a `HeldOut`."""
    found = model.calibrate(
        panels.quotes, _STRIKES, _MATURITIES, mask=panels.mask, spread=panels.spread
    )
    return np.asarray(found.parameters)


def by_classical_method(panels, **options):
    """Parameters `(B, 5)` that a classical method finds, and how long each panel took.

    Errors are weighted by the variance of the quotes, as the networks are told it.

    Args:
        panels: A `HeldOut`.
        **options: Of `hedgezoo.baselines.calibration.calibrate`.

    Returns:
        Tuple of parameters and seconds `(B,)`.
    """
    from hedgezoo.baselines.calibration import calibrate

    gaussian = NOISE_CASES[panels.noise].gaussian_bp / BASIS_POINTS
    found = []
    for quotes, mask, spread in zip(panels.quotes, panels.mask, panels.spread, strict=True):
        variance = gaussian**2 + spread**2 / 12
        weights = 1.0 / np.where(variance > 0, variance, 1.0)
        weights /= weights[mask].mean()
        found.append(
            calibrate(quotes, _STRIKES, _MATURITIES, mask=mask, weights=weights, **options)
        )
    return np.stack([fit.parameters for fit in found]), np.array([fit.seconds for fit in found])


def volatilities(parameters):
    """Exact volatilities `(B, m, n)` on the paper's grid, float64."""
    calls = heston_call(np.asarray(parameters, float), _STRIKES, _MATURITIES, "vertical", 128)
    calls = np.maximum(calls.numpy(), np.maximum(1.0 - _STRIKES, 0.0) + _SMALLEST)
    return implied_volatility(calls, _STRIKES, _MATURITIES).numpy()


def judge(parameters, panels, density_panels):
    """Numbers and error maps of calibrated parameters.

    Args:
        parameters: `(B, 5)`.
        panels: The `HeldOut` they were calibrated to.
        density_panels: How many densities are compared.

    Returns:
        Tuple of a dictionary of numbers, and one of maps `(m, n)` of mean absolute errors, basis
        points: `to_quotes` and `to_clean`.
    """
    from hedgezoo.heston_calibrator.density_distance import density_distance

    fitted = volatilities(parameters)
    usable, mask = panels.exact > 0, panels.mask
    to_clean = np.where(usable, BASIS_POINTS * (fitted - panels.exact), np.nan)
    to_quotes = np.where(mask, BASIS_POINTS * (fitted - panels.quotes), np.nan)
    by_panel = np.sqrt(np.nanmean(to_clean**2, axis=(1, 2)))
    true = panels.parameters
    count = min(density_panels, len(panels))
    distance = density_distance(parameters[:count], true[:count], _MATURITIES)
    relative = np.abs(to_clean) / BASIS_POINTS / np.where(usable, panels.exact, 1.0)
    numbers = {
        "panels": len(panels),
        "rmse_bp": float(np.sqrt(np.nanmean(to_clean**2))),
        "median_bp": float(np.median(by_panel)),
        "p99_bp": float(np.quantile(by_panel, 0.99)),
        "rmse_to_quotes_bp": float(np.sqrt(np.nanmean(to_quotes**2))),
        "median_to_quotes_bp": float(np.median(np.sqrt(np.nanmean(to_quotes**2, axis=(1, 2))))),
        "mape_percent": float(100 * np.nanmean(relative)),
        "chi_square": float(distance.mean()),
        "pearson": _by_name(_pearson(parameters, true)),
        "parameter_rmse": _by_name(np.sqrt(np.mean((parameters - true) ** 2, axis=0))),
        **_by_delta(np.abs(to_quotes), panels),
    }
    maps = {
        name: np.nanmean(np.abs(errors), axis=0)
        for name, errors in (("to_quotes", to_quotes), ("to_clean", to_clean))
    }
    return numbers, maps


def _by_delta(errors, panels):
    """Mean absolute error to the quotes in the centre, and in the wings beyond a delta of 10 %."""
    deviation = np.where(panels.exact > 0, panels.exact, 1.0) * np.sqrt(_MATURITIES)[:, np.newaxis]
    delta = normal_cdf(-np.log(_STRIKES) / deviation + 0.5 * deviation).numpy()
    depth = np.minimum(delta, 1.0 - delta)
    quoted = np.isfinite(errors)
    parts = {"centre_bp": depth >= 0.25, "wings_bp": depth < 0.1}
    return {
        name: float(errors[where & quoted].mean()) if (where & quoted).any() else None
        for name, where in parts.items()
    }


def _pearson(x, y):
    return [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(x.T, y.T, strict=True)]


def _by_name(values):
    return dict(zip(NAMES, map(float, values), strict=True))
