"""Many Heston surfaces with quotes where their own volatility puts the money and the wings."""

import dataclasses

import numpy as np

from hedgezoo.datasets.checks import check_array, check_integer, check_not_negative
from hedgezoo.datasets.heston_panels.parameter_box import ParameterBox
from hedgezoo.datasets.surface_quotes import SurfaceQuotes
from hedgezoo.layers.heston.pricer import heston_call
from hedgezoo.layers.implied_volatility import implied_volatility

# stock indices in calm and in stress; κ, θ, ξ, ρ, v₀ per year
EQUITY_BOX = ParameterBox(
    (0.5, 0.015, 0.2, -0.9, 0.01),
    (5.0, 0.09, 1.0, -0.3, 0.12),
    logarithmic=("kappa", "theta", "xi", "v0"),
)
_BLOCK = 512  # surfaces priced at a time


@dataclasses.dataclass(frozen=True)
class HestonSurfaces:
    """Exact surfaces of Heston models whose parameters are drawn from a box.

    Each maturity T is quoted at the log strikes `d σ √T`, with d the `deviations` and σ the implied
    volatility at the money of that maturity.

    Args:
        box: A `ParameterBox` of five parameters.
        maturities: Years to expiry, increasing, `(m,)`.
        deviations: Where to quote, in standard deviations from the forward, increasing, `(n,)`.
        feller: Least 2κθ/ξ²; draws below are drawn again. At 1 the variance stays above zero.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> surfaces = HestonSurfaces()
    >>> drawn = surfaces.draw(count=3, seed=1)
    >>> drawn["implied_volatility"].shape, drawn["parameters"].shape
    ((3, 7, 10), (3, 5))
    """

    box: ParameterBox = EQUITY_BOX
    maturities: tuple = (1 / 12, 1 / 6, 0.25, 0.5, 0.75, 1.0, 1.5)
    deviations: tuple = (-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
    feller: float = 0.2

    def __post_init__(self):
        if self.box.model != "heston":
            raise ValueError(f"`box` must hold five parameters. Received: {len(self.box.low)}")
        for name in ("maturities", "deviations"):
            values = check_array(name, getattr(self, name), {"(n,)": (None,)})
            if not (np.diff(values) > 0).all() or (name == "maturities" and values[0] <= 0):
                raise ValueError(f"`{name}` must be increasing. Received: {values.tolist()}")
            object.__setattr__(self, name, tuple(values.tolist()))
        check_not_negative("feller", self.feller)
        best = 2.0 * self.box.high_of("kappa") * self.box.high_of("theta")
        if self.feller >= best / self.box.low_of("xi") ** 2:
            raise ValueError(f"`feller` must be possible in the box. Received: {self.feller}")

    def parameters(self, count, seed):
        """Parameters of surfaces 0 ... count - 1 of a seed, `(count, 5)`.

        Args:
            count: Number of surfaces.
            seed: Integer.

        Returns:
            float64 array.
        """
        check_integer("count", count, minimum=1)
        check_integer("seed", seed)
        generator = np.random.default_rng(seed)
        kept = np.empty((0, 5))
        while len(kept) < count:
            drawn = self.box.from_unit(generator.random((1024, 5))).numpy()
            kappa, theta, xi = drawn[:, 0], drawn[:, 1], drawn[:, 2]
            kept = np.concatenate([kept, drawn[2.0 * kappa * theta >= self.feller * xi**2]])
        return kept[:count]

    def draw(self, count, seed):
        """Surfaces 0 ... count - 1 of a seed.

        Args:
            count: Number of surfaces N.
            seed: Integer.

        Returns:
            Dictionary of float64 arrays: `parameters` `(N, 5)`, and `strikes`, `calls` and
            `implied_volatility` `(N, m, n)`.
        """
        return self.priced(self.parameters(count, seed))

    def priced(self, parameters, deviations=None):
        """The surfaces of given parameters.

        Args:
            parameters: κ, θ, ξ, ρ and v₀, `(N, 5)`.
            deviations: Where to quote if not at the `deviations` of all: `(N, n)`, or `(N, m, n)`
                for other ones at each maturity.

        Returns:
            Dictionary as of `draw`.
        """
        parameters = check_array("parameters", parameters, {"(N, 5)": (None, 5)})
        if deviations is None:
            deviations = np.broadcast_to(self.deviations, (len(parameters), len(self.deviations)))
        count = len(parameters)
        shapes = {"(N, n)": (count, None), "(N, m, n)": (count, len(self.maturities), None)}
        deviations = check_array("deviations", deviations, shapes)
        blocks = [slice(first, first + _BLOCK) for first in range(0, len(parameters), _BLOCK)]
        parts = [self._block(parameters[rows], deviations[rows]) for rows in blocks]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _block(self, parameters, deviations):
        years = np.asarray(self.maturities)
        forward = np.ones((len(parameters), len(years), 1))
        at_money = _volatility(heston_call(parameters, forward, years).numpy(), forward, years)
        if deviations.ndim == 2:
            deviations = deviations[:, np.newaxis]
        reach = np.sqrt(years)[:, np.newaxis] * deviations
        strikes = np.exp(at_money * reach)
        calls = heston_call(parameters, strikes, years).numpy()
        return {
            "parameters": parameters,
            "strikes": strikes,
            "calls": calls,
            "implied_volatility": _volatility(calls, strikes, years),
        }

    def quotes(self, drawn, index):
        """One of the drawn surfaces as a `SurfaceQuotes`."""
        name = f"Heston surface {index}"
        rows = (drawn[key][index] for key in ("implied_volatility", "strikes"))
        return SurfaceQuotes.from_grid(*rows, self.maturities, name=name)

    def get_config(self):
        """The fields as a dictionary of values that JSON can hold."""
        return {
            "low": list(self.box.low),
            "high": list(self.box.high),
            "logarithmic": list(self.box.logarithmic),
            "maturities": list(self.maturities),
            "deviations": list(self.deviations),
            "feller": self.feller,
        }

    @classmethod
    def from_config(cls, config):
        """The surfaces whose `get_config` returned `config`."""
        box = ParameterBox(
            tuple(config["low"]), tuple(config["high"]), tuple(config["logarithmic"])
        )
        return cls(box, tuple(config["maturities"]), tuple(config["deviations"]), config["feller"])


def _volatility(calls, strikes, years):
    return implied_volatility(calls, strikes, years).numpy()
