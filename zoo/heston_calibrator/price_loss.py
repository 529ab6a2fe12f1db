"""The paper's training loss: squared price errors and an annealed penalty on arbitrage."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_positive
from hedgezoo.datasets.heston_panels import FixedGrid
from hedgezoo.layers.black_scholes import black_scholes_call, european_vega
from hedgezoo.layers.heston.pricer import heston_call, require_scheme
from hedgezoo.layers.no_arbitrage.penalty import NoArbitragePenalty
from hedgezoo.losses import AnnealedPenalty

ERRORS = ("price", "volatility")
PENALTIES = (None, "correct", "paper")
# Smallest vega that a price error is divided by, in units of √T; at the money it is about 0.4.
# Where an option is all but worthless at the quote, the price error of first guesses is many times
# its vega: without a floor these cells drive an untrained network into the corners of its ranges.
_SMALLEST_VEGA = 0.05
# relative accuracy of prices that the penalty allows for: quadrature is no arbitrage
_ROUNDING = 1e-5


@keras.saving.register_keras_serializable(package="hedgezoo")
class PriceLoss:
    """Squared distance of the prices of predicted parameters to the quotes, plus a penalty.

    Equation (12) of the paper, panel by panel: L_b = mean over the quotes of (C(K, T; θ_b) - Ĉ)²
    + λ_t P(θ_b), with the quoted price Ĉ = Black-Scholes at the quoted volatility and λ_t = 1000
    · 0.96^(t-1) in epoch t. P is the no-arbitrage penalty of the predicted surface on a dense grid.

    The penalty of the paper is not a condition of no arbitrage, see `layers.NoArbitragePenalty`,
    and pulls good parameters away from the data. The correct one is zero for Heston's model, whose
    prices are free of arbitrage whatever the parameters: it costs time and changes nothing.

    The printed grid is 200 strikes x 50 maturities. The default is 20 x 10, between the first and
    the last strike and maturity of the panels. Measured on a CPU, the loss and its gradient take
    0.04 ms per panel without a penalty, 0.3 ms with that of the default grid and 5 ms with that of
    the printed one, on which float32 is too coarse besides.

    Prices are Fourier integrals with gradients in closed form. In float32 with 48 nodes they err by
    less than 1e-6 in the paper's box of parameters. Those of the penalty are on tilted contours,
    three times the work: in the corners of the network's ranges the others are so wrong that
    they look like arbitrage.

    Args:
        strikes: Strikes divided by the forward, of the panels, `(n,)` or `(m, n)`.
        maturities: Years to expiry, of the panels, `(m,)`.
        error: `"price"` as printed, or `"volatility"`: each price error divided by the vega of
            the quote, which is the error in volatility to first order; vegas below an eighth of
            that at the money count as that much.
        penalty: None, `"correct"` or `"paper"`, the form of the penalty.
        penalty_grid: Numbers of strikes and maturities of the dense grid.
        initial_weight: λ of the first epoch.
        decay: Factor of λ from one epoch to the next.
        reduction: `"sum"` over the dense grid, as printed, or its `"mean"`, part by part. The sum
            grows with the grid.
        scale: Factor of the whole loss, for optimizers that add a small constant to gradients.
        nodes: Quadrature nodes.
        dtype: Dtype of the value; prices are computed in that of the parameters.

    Call arguments:
        inputs: Dictionary with `implied_volatility` and `mask`, both `(B, m, n)`.
        targets: Not used: the loss sees nothing but quotes.
        outputs: Dictionary with `parameters` `(B, 5)`.

    Returns:
        One number per panel, `(B,)`.

    Raises:
        ValueError: If an argument is not one of those above.

    Example:

    >>> loss = PriceLoss([0.9, 1.0, 1.1], [0.5, 1.0], penalty="correct")
    >>> inputs = {"implied_volatility": tf.fill((1, 2, 3), 0.2), "mask": tf.fill((1, 2, 3), True)}
    >>> values = loss(inputs, None, {"parameters": tf.constant([[2.0, 0.04, 0.01, 0.0, 0.04]])})
    >>> bool(values < 1e-8), loss.weight_in(epoch=1)
    (True, 960.0)

    Reference:
        Song, "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
        equation (12) and section 4.2.
    """

    def __init__(
        self,
        strikes,
        maturities,
        error="price",
        penalty=None,
        penalty_grid=(20, 10),
        initial_weight=1000.0,
        decay=0.96,
        reduction="sum",
        scale=1.0,
        nodes=48,
        dtype=None,
    ):
        self.grid = FixedGrid(strikes, maturities)
        if error not in ERRORS:
            raise ValueError(f"`error` must be one of {ERRORS}. Received: error={error!r}")
        if penalty not in PENALTIES:
            raise ValueError(f"`penalty` must be one of {PENALTIES}. Received: penalty={penalty!r}")
        require_scheme("tilted", nodes)
        check_positive("scale", scale)
        self.penalty_grid = tuple(penalty_grid)
        if len(self.penalty_grid) != 2 or min(self.penalty_grid) < 3:
            raise ValueError(
                "`penalty_grid` must be two numbers (n, m) of at least 3. "
                f"Received: penalty_grid={penalty_grid!r}"
            )
        self.error, self.penalty, self.reduction = error, penalty, reduction
        self.scale, self.nodes = float(scale), nodes
        strikes, years = (
            np.linspace(np.min(ends), np.max(ends), count)
            for ends, count in zip(
                (self.grid.strikes, self.grid.maturities), self.penalty_grid, strict=True
            )
        )
        self._dense = strikes, years
        self.annealed = AnnealedPenalty(
            self._errors, self.penalty_of, initial_weight, decay, dtype=dtype
        )
        self._arbitrage = NoArbitragePenalty(
            strikes,
            years,
            form=penalty or "correct",
            on="calls",
            reduction=reduction,
            rounding=_ROUNDING,
            dtype="float64",  # second differences on a dense grid, also of float32 prices
        )

    def __call__(self, inputs, targets, outputs):
        del targets
        parameters = outputs["parameters"]
        if self.penalty is None:
            return self.scale * self._errors(inputs, parameters)
        return self.scale * self.annealed.call(inputs, parameters)

    def penalty_of(self, parameters):
        """Penalty of the surfaces of parameters `(B, 5)` on the dense grid, without λ: `(B,)`."""
        calls = heston_call(parameters, *self._dense, "tilted", self.nodes)
        return tf.cast(self._arbitrage(calls), calls.dtype)

    def _errors(self, inputs, parameters):
        mask = tf.cast(inputs["mask"], tf.bool)
        quotes = tf.cast(inputs["implied_volatility"], parameters.dtype)
        quotes = tf.where(mask, quotes, tf.ones_like(quotes))  # any that has a price
        strikes, years = np.asarray(self.grid.strikes), np.asarray(self.grid.maturities)
        error = heston_call(parameters, strikes, years, "vertical", self.nodes)
        error -= black_scholes_call(strikes, years, quotes)
        if self.error == "volatility":
            vega = european_vega(1.0, strikes, years[:, np.newaxis], quotes)
            smallest = tf.constant(_SMALLEST_VEGA * np.sqrt(years)[:, np.newaxis], vega.dtype)
            error /= tf.maximum(vega, smallest)
        squares = tf.where(mask, tf.square(error), tf.zeros_like(error))
        count = tf.reduce_sum(tf.cast(mask, squares.dtype), (1, 2))
        return tf.math.divide_no_nan(tf.reduce_sum(squares, (1, 2)), count)

    @property
    def weight(self):
        """The weight λ_t that is in force, a Python float."""
        return self.annealed.weight

    @property
    def variables(self):
        """The `tf.Variable`s that a checkpoint of a training run has to include."""
        return [] if self.penalty is None else self.annealed.variables

    def weight_in(self, epoch):
        """The weight of an epoch, counted from 0."""
        return self.annealed.weight_in(epoch)

    def callback(self):
        """The callback for `fit` that moves λ from epoch to epoch; without a penalty idle."""
        return keras.callbacks.Callback() if self.penalty is None else self.annealed.callback()

    def get_config(self):
        """The arguments as plain values that JSON can hold."""
        strikes, maturities = (
            np.asarray(x).tolist() for x in (self.grid.strikes, self.grid.maturities)
        )
        return {
            "strikes": strikes,
            "maturities": maturities,
            "error": self.error,
            "penalty": self.penalty,
            "penalty_grid": list(self.penalty_grid),
            "initial_weight": self.annealed.initial_weight,
            "decay": self.annealed.decay,
            "reduction": self.reduction,
            "scale": self.scale,
            "nodes": self.nodes,
            "dtype": self.annealed.dtype,
        }

    @classmethod
    def from_config(cls, config):
        """The loss whose `get_config` returned `config`."""
        return cls(**config)
