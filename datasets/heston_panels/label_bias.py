"""How wrong training labels are when they come from simulated paths instead of an integral."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_integer, check_one_of
from hedgezoo.datasets.heston_panels.panels import HestonPanels
from hedgezoo.datasets.heston_panels.path_prices import path_calls
from hedgezoo.datasets.heston_panels.variance_schemes import SCHEMES
from hedgezoo.layers.implied_volatility import implied_volatility

_MOST_AT_ONCE = 16  # panels that share one pass over the paths


@dataclasses.dataclass(frozen=True)
class LabelBias:
    """Errors of simulated implied volatilities.

    Attributes:
        parameters: `(B, 5)`.
        strikes: `(B, m, n)`.
        maturities: `(B, m)`.
        error_bp: Simulated less exact implied volatility in bp, `(B, m, n)`; NaN where the option
            is worth too little or the simulated price has no volatility.
    """

    parameters: np.ndarray
    strikes: np.ndarray
    maturities: np.ndarray
    error_bp: np.ndarray

    @property
    def rmse_bp(self):
        """Root mean square error of each panel in bp, `(B,)`."""
        return np.sqrt(np.nanmean(np.square(self.error_bp), axis=(1, 2)))

    @property
    def median_bp(self):
        """Median over the panels of their root mean square errors in bp."""
        return float(np.median(self.rmse_bp))

    @property
    def rmse_by_maturity_bp(self):
        """Median over the panels of the root mean square error at each maturity in bp, `(m,)`."""
        return np.nanmedian(np.sqrt(np.nanmean(np.square(self.error_bp), axis=2)), axis=0)


def label_bias(
    scheme="euler",
    panels=16,
    seed=0,
    box="paper",
    grid="paper",
    paths=2**16,
    steps_per_year=52,
    bridge=False,
):
    """Errors of labels made from Sobol paths, as in the paper, against exact ones.

    The paper takes its labels from 2¹⁶ Sobol paths with weekly steps. On its box and grid the
    median error of a panel is 24 bp with Euler steps and 8 bp with QE-M (20 and 3 bp with a
    Brownian bridge): with Euler about what it reports as error of its calibration. Most of it is
    the bias of the time steps, which more paths do not remove.

    Args:
        scheme: `"euler"` or `"qe_m"`, see `path_calls`.
        panels: Number of panels B.
        seed: Integer, of the parameters and of the paths.
        box: As in `HestonPanels`, of the Heston model.
        grid: As in `HestonPanels`.
        paths: Number of paths.
        steps_per_year: Time steps per year.
        bridge: As in `path_calls`.

    Returns:
        A `LabelBias`.

    Raises:
        ValueError: If an argument is none of the above.

    Example:

    >>> bias = label_bias("euler", panels=2, paths=2**10)
    >>> bias.error_bp.shape
    (2, 8, 10)
    """
    check_one_of("scheme", scheme, tuple(SCHEMES))
    check_integer("panels", panels, minimum=1)
    source = HestonPanels(box=box, grid=grid, dtype="float64")
    if source.model != "heston":
        raise ValueError(f"`box` must be one of the Heston model. Received: box={box!r}")
    inputs, targets = source.simulate(seed, panels)
    exact, parameters = (targets[k].numpy() for k in ("implied_volatility", "parameters"))
    strikes, maturities = (inputs[k].numpy() for k in ("strikes", "maturities"))
    calls = np.concatenate(
        [
            path_calls(
                *(x[i : i + _MOST_AT_ONCE] for x in (parameters, strikes, maturities)),
                scheme=scheme,
                paths=paths,
                steps_per_year=steps_per_year,
                seed=seed,
                bridge=bridge,
            )
            for i in range(0, panels, _MOST_AT_ONCE)
        ]
    )
    simulated = implied_volatility(calls, strikes, maturities).numpy()
    usable = (exact > 0.0) & (simulated > 0.0)
    error = np.where(usable, 1e4 * (simulated - exact), np.nan)
    return LabelBias(parameters, strikes, maturities, error)
