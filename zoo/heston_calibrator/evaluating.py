"""How well known parameters are recovered from quotes: the work of `evaluate_on`."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_integer
from hedgezoo.datasets.heston_panels import NOISE_CASES, FixedGrid, HestonPanels
from hedgezoo.heston_calibrator.density_distance import density_distance
from hedgezoo.heston_calibrator.recovery_metrics import (
    coverage,
    mean,
    median,
    pearson,
    quantile,
    root_mean_square,
    share,
)
from hedgezoo.heston_calibrator.residuals import BASIS_POINT
from hedgezoo.suggestions import did_you_mean

NOISES = ("clean", "gaussian_half_bp", "plus_minus_15_bp")
_CHUNK = 4096  # panels at a time: bounds memory whatever their number is
_CLEAN_FAILURE_BP = 0.1  # a clean panel that is missed by more was not calibrated
_NOISY_FAILURE = 10.0  # standard deviations of a quote, likewise
_DENSITY_PANELS = 256  # densities are more expensive than calibrations
# below it ρ hardly matters for prices
_XI_OF_INTEREST = 0.3


def evaluate_on(model, market, paths, seed, noises=NOISES, prior=True, batch_size=1024):
    """How well panels of known parameters are recovered, per case of noise.

    Fresh panels of the market are calibrated in float64, once for each case of noise: the same
    parameters with other quotes. (A panel with fewer quotes than parameters is left out; there are
    none in the paper's box.) Metrics are called `"<noise>/<metric>"`:

    - `error_to_clean_bp`: median over the panels of the root mean square difference between fitted
      and exact volatilities, all of the grid, missing quotes included; `error_to_clean_p99_bp`:
      99 % quantile;
    - `error_to_quotes_bp`: median of the same against the quotes;
    - `failures`: share of panels with an error to the clean surface above 0.1 bp if quotes are
      clean, else above ten standard deviations of a quote;
    - `pearson/<parameter>`, `rmse/<parameter>`: correlation and root mean square difference of
      fitted and true parameters; `pearson/rho_where_xi_above_0.3`: elsewhere ρ hardly matters;
    - `coverage/<parameter>`: share of panels whose 95 % interval contains the truth; `coverage`:
      mean over the parameters;
    - `converged`: share of panels; `mape_percent`: mean absolute error of volatilities in % of the
      exact ones;
    - `chi_square`: mean distance between true and fitted risk-neutral densities, on the first 256
      panels, see `hedgezoo.heston_calibrator.density_distance`.

    Standard errors: of medians and quantiles from order statistics, of shares binomial, of
    correlations by Fisher's z, of root mean squares by the delta method, of means classical.

    Args:
        model: A `HestonCalibrator`.
        market: `HestonPanels` of the model's kind; its noise is replaced. None for `model.market`.
        paths: Number of panels N per case of noise, at least 8.
        seed: Seed of the panels.
        noises: Names of cases of noise, see `HestonPanels`.
        prior: As in `HestonCalibrator.calibrate`.
        batch_size: Panels calibrated at a time.

    Returns:
        Dictionary `{metric: {"value": float, "stderr": float}}`.

    Raises:
        ValueError: If the market is missing or of another model, a case of noise is unknown, or
            `paths` is too small.
    """
    market = getattr(model, "market", None) if market is None else market
    if not isinstance(market, HestonPanels) or market.model != model.model:
        raise ValueError(
            f"`market` must be HestonPanels of {model.model} parameters. Received: market={market}"
        )
    check_integer("paths", paths, minimum=8)
    noises = (noises,) if isinstance(noises, str) else tuple(noises)
    for noise in noises:
        if noise not in NOISE_CASES:
            raise ValueError(
                f"`noises` must be among {tuple(NOISE_CASES)}. Received: {noise!r}."
                f"{did_you_mean(str(noise), list(NOISE_CASES))}"
            )
    report = {}
    for noise in noises:
        case = dataclasses.replace(market, noise=noise, dtype="float64")
        recovered = _recover(model, case, int(paths), seed, prior, batch_size)
        metrics = recovery_metrics(recovered, model.names, case.noise.deviation_bp)
        report |= {f"{noise}/{name}": value for name, value in metrics.items()}
    return report


@dataclasses.dataclass
class Recovered:
    """What is kept of each of N calibrated panels.

    Args:
        parameters: True parameters, `(N, p)`.
        fitted: Fitted parameters, `(N, p)`.
        inside: Whether the 95 % interval of each contains the truth, booleans `(N, p)`.
        to_clean_bp: Root mean square error to the exact surface, `(N,)`.
        to_quotes_bp: Root mean square error to the quotes, `(N,)`.
        mape_percent: Mean absolute relative error of volatilities in %, `(N,)`.
        converged: Booleans `(N,)`.
        chi_square: Distances of densities of the first panels, `(k,)`.
    """

    parameters: np.ndarray
    fitted: np.ndarray
    inside: np.ndarray
    to_clean_bp: np.ndarray
    to_quotes_bp: np.ndarray
    mape_percent: np.ndarray
    converged: np.ndarray
    chi_square: np.ndarray


def recovery_metrics(recovered, names, noise_bp):
    """The metrics of one case of noise.

    Args:
        recovered: A `Recovered`.
        names: Names of the parameters.
        noise_bp: Standard deviation of a quote in bp; 0 for clean ones.

    Returns:
        Dictionary `{metric: {"value": float, "stderr": float}}`, see `evaluate_on`.
    """
    true, fitted = recovered.parameters, recovered.fitted
    limit = _NOISY_FAILURE * noise_bp if noise_bp else _CLEAN_FAILURE_BP
    found = {
        "error_to_clean_bp": median(recovered.to_clean_bp),
        "error_to_clean_p99_bp": quantile(recovered.to_clean_bp, 0.99),
        "error_to_quotes_bp": median(recovered.to_quotes_bp),
        # an error that is no number is a failure, too
        "failures": share(~(recovered.to_clean_bp <= limit)),
        "coverage": coverage(recovered.inside),
        "converged": share(recovered.converged),
        "mape_percent": mean(recovered.mape_percent),
        "chi_square": mean(recovered.chi_square),
    }
    for i, name in enumerate(names):
        found[f"pearson/{name}"] = pearson(fitted[:, i], true[:, i])
        found[f"rmse/{name}"] = root_mean_square(fitted[:, i] - true[:, i])
        found[f"coverage/{name}"] = share(recovered.inside[:, i])
    xi, rho = (list(names).index(name) for name in ("xi", "rho"))
    matters = true[:, xi] > _XI_OF_INTEREST
    if matters.sum() >= 8:
        found[f"pearson/rho_where_xi_above_{_XI_OF_INTEREST}"] = pearson(
            fitted[matters, rho], true[matters, rho]
        )
    return found


# ------------------------------------------------------------------------------------- internals


def _recover(model, market, panels, seed, prior, batch_size):
    chunks = [
        _recover_chunk(model, market, seed, first, min(_CHUNK, panels - first), prior, batch_size)
        for first in range(0, panels, _CHUNK)
    ]
    fields = (field.name for field in dataclasses.fields(Recovered))
    return Recovered(*(np.concatenate([getattr(each, f) for each in chunks]) for f in fields))


def _recover_chunk(model, market, seed, first, count, prior, batch_size):
    inputs, targets = market.simulate(seed, count, first)
    # in a wide box some options are all but worthless at every strike
    enough = np.sum(inputs["mask"].numpy(), axis=(1, 2)) >= len(model.names)
    inputs = {name: tensor.numpy()[enough] for name, tensor in inputs.items()}
    exact = targets["implied_volatility"].numpy()[enough]
    true = targets["parameters"].numpy()[enough]
    strikes, maturities = inputs["strikes"], inputs["maturities"]
    if isinstance(market.grid, FixedGrid):  # shared by the panels, which is cheaper
        strikes, maturities = market.grid.strikes, market.grid.maturities
    result = model.calibrate(
        inputs["implied_volatility"],
        strikes,
        maturities,
        inputs["mask"],
        inputs["spread"],
        prior=prior,
        batch_size=batch_size,
    )
    usable = exact > 0.0
    # where the fit has no volatility the option is worthless in the model: all of it is the error
    errors = np.where(usable, np.nan_to_num(result.implied_volatility) - exact, 0.0)
    cells = usable.sum(axis=(1, 2))
    relative = np.abs(errors) / np.where(usable, exact, 1.0)
    low, high = result.interval(0.95)
    subset = max(0, min(len(true), _DENSITY_PANELS - first))
    years = maturities if np.ndim(maturities) == 1 else maturities[:subset]
    distances = np.zeros(0)
    if subset:
        distances = density_distance(result.parameters[:subset], true[:subset], years)
    return Recovered(
        parameters=true,
        fitted=result.parameters,
        inside=(low <= true) & (true <= high),
        to_clean_bp=np.sqrt(np.square(errors).sum(axis=(1, 2)) / cells) / BASIS_POINT,
        to_quotes_bp=result.rms_bp,
        mape_percent=100.0 * relative.sum(axis=(1, 2)) / cells,
        converged=result.converged,
        chi_square=distances,
    )
