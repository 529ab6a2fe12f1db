"""Option panels with exact labels, streamed from a seed."""

import dataclasses

import tensorflow as tf

from hedgezoo.datasets.checks import check_integer, check_one_of
from hedgezoo.datasets.heston_panels.option_grids import GRIDS, FixedGrid, RandomGrid
from hedgezoo.datasets.heston_panels.parameter_box import BOXES, ParameterBox
from hedgezoo.datasets.heston_panels.quote_noise import NOISE_CASES, QuoteNoise
from hedgezoo.datasets.market import check_draw_arguments, simulated_batches
from hedgezoo.layers.draws import uniform_draws
from hedgezoo.layers.heston.fourier_nodes import CONTOURS
from hedgezoo.layers.heston.pricer import bates_call, heston_call
from hedgezoo.layers.implied_volatility import implied_volatility
from hedgezoo.layers.rows import by_row

# price of an option out of the money, per unit of forward, below which its volatility is not used
SMALLEST_PRICE = 1e-7
# Below this decay of the characteristic function the vertical contour loses digits
_SLOW_DECAY = 2e-3


@dataclasses.dataclass(frozen=True)
class HestonPanels:
    """Implied volatilities of the Heston or the Bates model, and the parameters behind them.

    Parameters are drawn in a box, volatilities computed by Fourier integrals in float64 on the
    numbers that come out (rounded to `dtype`), and quotes made from them by adding noise. A panel
    belongs to the pair (seed, global panel index): parameters, grid, noise and mask are the same in
    any batch and after any resume, and parameters and mask are the same in every noise case. (The
    last bit of a volatility may depend on the batch it was computed in.)

    `inputs` is a dictionary of

    - `implied_volatility` `(B, m, n)`: quotes per √year, 0 where there is none;
    - `strikes` `(B, m, n)`: divided by the forward, increasing;
    - `maturities` `(B, m)`: years, increasing;
    - `mask` `(B, m, n)`: booleans, False where a quote is missing or the option out of the money is
      worth less than 1e-7 of the forward;
    - `spread` `(B, m, n)`: full width from bid to ask in volatility, 0 where there is no quote;

    and `targets` of

    - `parameters` `(B, p)`: κ, θ, ξ, ρ, v₀ (p = 5), and λ, μ, σ of the jumps (p = 8);
    - `implied_volatility` `(B, m, n)`: exact, also where a quote is missing; 0 where the option is
      worth too little.

    Args:
        box: `"paper"`, `"wide"`, `"bates"`, `"wide_bates"`, or a `ParameterBox`; one of 8
            parameters makes Bates panels.
        grid: `"paper"` (10 strikes x 8 maturities, fixed), `"random"` (10 x 8 in the same ranges,
            another for each panel), `"wide"` (13 x 12, a week to five years), or a `FixedGrid` or
            `RandomGrid`.
        noise: A named case, or a `QuoteNoise`. `"clean"`: none. `"gaussian_half_bp"`: N(0, 0.5 bp).
            `"inside_15_bp_spread"`: also a trade uniform inside a spread that is U[0, 15] bp wide,
            2.5 bp in all. `"plus_minus_15_bp"`: also ±U[0, 15] bp on the quote, 8.7 bp in all.
            All but `"clean"` miss 5 % of the quotes.
        draws: `"plain"`, or `"sobol"`: parameters are scrambled Sobol points.
        dtype: Of inputs and targets, `"float32"` or `"float64"`.
        contour: `"vertical"`, `"tilted"`, or `"auto"`: tilted where the box reaches characteristic
            functions that decay slowly (the wide ones).
        nodes: Quadrature nodes; None for 128 (vertical), 192 (tilted) or 256 (tilted, Bates).

    Raises:
        ValueError: If an argument is none of the above.

    Example:

    >>> panels = HestonPanels(grid="random", noise="gaussian_half_bp")
    >>> inputs, targets = panels.simulate(seed=0, panels=32)
    >>> {name: tuple(tensor.shape) for name, tensor in inputs.items()}
    {'implied_volatility': (32, 8, 10), 'strikes': (32, 8, 10), 'maturities': (32, 8),
    'mask': (32, 8, 10), 'spread': (32, 8, 10)}
    >>> {name: tuple(tensor.shape) for name, tensor in targets.items()}
    {'parameters': (32, 5), 'implied_volatility': (32, 8, 10)}

    Reference:
        Heston, "A closed-form solution for options with stochastic volatility", 1993; Bates,
        "Jumps and stochastic volatility", 1996.
    """

    box: str | ParameterBox = "paper"
    grid: str | FixedGrid | RandomGrid = "paper"
    noise: str | QuoteNoise = "clean"
    draws: str = "sobol"
    dtype: str = "float32"
    contour: str = "auto"
    nodes: int | None = None

    def __post_init__(self):
        for name, named, kinds in (
            ("box", BOXES, ParameterBox),
            ("grid", GRIDS, (FixedGrid, RandomGrid)),
            ("noise", NOISE_CASES, QuoteNoise),
        ):
            value = getattr(self, name)
            if isinstance(value, str):
                check_one_of(name, value, tuple(named))
                object.__setattr__(self, name, named[value])
            elif not isinstance(value, kinds):
                raise ValueError(
                    f"`{name}` must be one of {tuple(named)} or an object of the kind that they "
                    f"name. Received: {name}={value!r}"
                )
        check_one_of("draws", self.draws, ("plain", "sobol"))
        check_one_of("dtype", self.dtype, ("float32", "float64"))
        check_one_of("contour", self.contour, CONTOURS)
        if self.nodes is not None:
            check_integer("nodes", self.nodes, minimum=16)

    @property
    def model(self):
        """`"heston"` or `"bates"`."""
        return self.box.model

    @property
    def scheme(self):
        """Contour and number of nodes of the labels."""
        contour, nodes = self.contour, self.nodes
        if contour == "auto":
            slow = self.box.slowest_decay(self.grid.shortest_maturity) < _SLOW_DECAY
            contour = "tilted" if slow else "vertical"
        tilted = 192 if self.model == "heston" else 256
        return contour, nodes or {"vertical": 128, "tilted": tilted}[contour]

    def simulate(self, seed, panels, first_panel=0):
        """Inputs and targets of the panels `first_panel ... first_panel + panels - 1`.

        Args:
            seed: Integer or scalar integer tensor.
            panels: Number of panels B, an integer or a scalar integer tensor.
            first_panel: Global index of the first panel, an integer or a scalar integer tensor.

        Returns:
            Tuple `(inputs, targets)` of dictionaries.

        Raises:
            ValueError: If an argument is not an integer or out of its range.
        """
        check_draw_arguments(seed, panels, first_panel, unit="panel")
        unit = uniform_draws(
            seed, panels, len(self.box.low), first_panel, self.draws, dtype="float64"
        )
        parameters = tf.cast(by_row(self.box.from_unit, unit), self.dtype)
        parameters = tf.clip_by_value(parameters, *self._ends())
        strikes, maturities = self.grid.draw(seed, panels, first_panel, self.dtype)
        exact, usable = self.labels(parameters, strikes, maturities)

        quotes, spread = self.noise.quotes(exact, seed, first_panel)
        mask = usable & (quotes > 0.0) & self.noise.present(exact, seed, first_panel)
        zeros = tf.zeros_like(exact)
        shape = tf.shape(exact)
        inputs = {
            "implied_volatility": tf.where(mask, quotes, zeros),
            "strikes": tf.broadcast_to(strikes, shape),
            "maturities": tf.broadcast_to(maturities, shape[:2]),
            "mask": mask,
            "spread": tf.where(mask, spread, zeros),
        }
        targets = {"parameters": parameters, "implied_volatility": exact}
        batch = exact.shape[:1]
        for tensors in (inputs, targets):
            for name, tensor in tensors.items():
                if tensor.dtype.is_floating:
                    tensor = tf.cast(tensor, self.dtype)
                grid = {"maturities": self.grid.shape[:1], "parameters": parameters.shape[1:]}
                tensors[name] = tf.ensure_shape(
                    tensor, batch.concatenate(grid.get(name, self.grid.shape))
                )
        return inputs, targets

    def labels(self, parameters, strikes, maturities):
        """Exact implied volatilities.

        Computed in float64: float32 would take half the time, but errs by a basis point where
        options are cheap.

        Args:
            parameters: `(B, p)`.
            strikes: `(n,)`, `(m, n)` or `(B, m, n)`.
            maturities: `(m,)` or `(B, m)`.

        Returns:
            Volatilities `(B, m, n)`, 0 where the option out of the money is worth less than 1e-7
            of the forward; and booleans `(B, m, n)`, where it is worth more.
        """
        parameters, strikes, maturities = (
            tf.cast(x, tf.float64) for x in (parameters, strikes, maturities)
        )
        price = heston_call if self.model == "heston" else bates_call
        calls = price(parameters, strikes, maturities, *self.scheme)
        volatility = implied_volatility(calls, strikes, maturities)
        time_value = calls - tf.nn.relu(1.0 - strikes)
        usable = (time_value >= SMALLEST_PRICE) & (volatility > 0.0)  # False where it is NaN
        return tf.where(usable, volatility, tf.zeros_like(volatility)), usable

    def batches(self, batch_size, steps, seed, first_step=0):
        """Batches for `model.fit`: element k holds panels k·batch_size ... (k+1)·batch_size - 1.

        Args:
            batch_size: Panels per batch B.
            steps: Number of batches of the whole run; None for an endless data set.
            seed: Integer.
            first_step: Number of the first batch, for a run that is resumed.

        Returns:
            A `tf.data.Dataset` of `(inputs, targets)` with static shapes and known cardinality.

        Example:

        >>> batches = HestonPanels().batches(batch_size=256, steps=100, seed=0)
        >>> batches.element_spec[1]["parameters"].shape
        TensorShape([256, 5])
        """
        # several at a time where there are idle cores
        return simulated_batches(
            self.simulate, batch_size, steps, seed, first_step, at_a_time=tf.data.AUTOTUNE
        )

    def get_config(self):
        """The fields as a dictionary of plain values that JSON can hold."""
        config = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("box", "grid", "noise"):
            config[name] = dataclasses.asdict(config[name])
        config["grid"] = {"kind": type(self.grid).__name__, **config["grid"]}
        return config

    @classmethod
    def from_config(cls, config):
        """The panels whose `get_config` returned `config`.

        Args:
            config: A dictionary; lists, as they come out of JSON, stand for tuples.

        Returns:
            A `HestonPanels`.
        """
        config = {name: _with_tuples(value) for name, value in config.items()}
        config["box"] = ParameterBox(**config["box"])
        config["noise"] = QuoteNoise(**config["noise"])
        grid = dict(config["grid"])
        kinds = {"FixedGrid": FixedGrid, "RandomGrid": RandomGrid}
        kind = grid.pop("kind")
        check_one_of("kind", kind, tuple(kinds))
        config["grid"] = kinds[kind](**grid)
        return cls(**config)

    def _ends(self):
        """Ends of the box: a rounded parameter must not leave it."""
        return tuple(tf.constant(end, self.dtype) for end in (self.box.low, self.box.high))


def _with_tuples(value):
    if isinstance(value, dict):
        return {name: _with_tuples(entry) for name, entry in value.items()}
    return tuple(_with_tuples(entry) for entry in value) if isinstance(value, list) else value
