"""Penalties on static arbitrage in a surface of option prices or volatilities."""

import keras
import tensorflow as tf

from hedgezoo.layers.float_tensors import as_float_tensors
from hedgezoo.layers.no_arbitrage.parts import PARTS, check_options, compute_parts
from hedgezoo.layers.no_arbitrage.price_grid import PriceGrid


def no_arbitrage_penalty(
    surface,
    strikes,
    maturities,
    form="correct",
    on="total_variance",
    ghost_strikes=None,
    reduction="mean",
    rounding=None,
    weights=None,
):
    """Size of the static arbitrage in surfaces of option prices: zero where there is none.

    The correct form is the sum of three parts, of call prices C per unit of forward at strikes
    relative to the forward (a surface of volatilities is turned into prices first):

    * `butterfly`: Σ (-p)⁺ over the risk-neutral probabilities p of the strikes, which are the kinks
      of C, with C = 1 at strike 0 and slope 0 after the last strike. p is the price of a
      butterfly: Durrleman's g (see `durrleman`) times the positive price of the same butterfly
      at a single volatility, so p < 0 where g < 0.
    * `calendar`: Σ (C(T_{j-1}, K) - C(T_j, K))⁺, starting from the payoff. At equal K, which
      is equal forward moneyness, this is the sign of ∂w/∂T ≥ 0 for any rates. Where each maturity
      has strikes of its own, the chord of the later row at the earlier strike takes the place of
      C(T_j, K). Negative volatilities or total variances add their size.
    * `wings`: how much the slope of total variance w = σ²T in |log K| exceeds Lee's 2, between
      neighbours in a wing of which the inner one has w ≤ 2 |log K|. Nearer to the forward slopes up
      to 4 are free of arbitrage, and there the bound is the largest of these. Of call prices, those
      more than four standard deviations out of the money are taken as exactly that far out.

    It is zero, exactly, if and only if the surface is free of static arbitrage on its grid
    (with strikes common to all maturities), up to the rounding of the numbers; so for every
    surface of `dlv_to_calls`, Black-Scholes, Heston and arbitrage-free SVI. The third part follows
    from the first on any grid; it is there because it sees wings in which prices are tiny.

    The printed form is the sum of P₁ = (-w_KK)⁺, P₂ = (-w_T)⁺ and P₃ = (w_K)⁺ for K > S₀ in finite
    differences. These are not the conditions of no arbitrage. Call wings may turn up and smiles may
    be concave in K: of 300 exact Heston surfaces drawn from the paper's own box of parameters (ten
    strikes from 0.8 to 1.2, five maturities from 0.1 to 2 years) a quarter are penalised. And
    butterfly arbitrage, g < 0, can go unseen.

    Gradients are finite everywhere. That of a negative volatility or total variance pushes it up to
    zero. The printed form has none for calls more than eight standard deviations out of the money,
    whose implied volatility is all but undetermined.

    Args:
        surface: Total variances w = σ²T, undiscounted call prices per unit of forward, or
            volatilities per √year (see `on`), `(..., m, n)`.
        strikes: Strikes divided by the forward, `(n,)`, or `(m, n)` when each maturity has its
            own (correct form only); increasing, concrete numbers.
        maturities: Years to expiry `(m,)`; increasing, concrete numbers.
        form: `"correct"`, or `"paper"` for the printed one.
        on: What `surface` holds: `"total_variance"`, `"calls"` or `"implied_volatility"`. The
            first two parts are the same in all three. In the printed form, calls without
            implied volatility count as total variance 0.
        ghost_strikes: Strikes `(2,)` or `(m, 2)` below and above which every option is worth
            its intrinsic value, as in `dlv_to_calls`: a stricter demand, which only laws between
            the two meet. By default nothing is demanded beyond the grid. Correct form only.
        reduction: `"mean"` or `"sum"` over the cells of a surface, part by part. The paper
            prints a sum.
        rounding: Relative accuracy of the numbers in `surface`; what does not exceed it counts
            as zero. Default: 4 units in the last place of the floating type, 5e-7 in float32, which
            hides a few 1e-5 of probability between strikes 5 % apart.
        weights: Dict from names of parts to factors, at least 0; a part without one has weight 1.

    Returns:
        Tensor `(...,)`, at least 0, of the floating type of `surface`; NaN where it has NaN.

    Raises:
        ValueError: If an argument is not one of those above, or shapes do not match.

    Example:

    >>> strikes, maturities = [0.8, 0.9, 1.0, 1.1, 1.2], [0.25, 0.5]
    >>> smile = [[0.30, 0.25, 0.20, 0.18, 0.19], [0.29, 0.25, 0.22, 0.20, 0.20]]
    >>> float(no_arbitrage_penalty(smile, strikes, maturities, on="implied_volatility"))
    0.0
    >>> smile[1][2] = 0.14
    >>> penalty = no_arbitrage_penalty(smile, strikes, maturities, on="implied_volatility")
    >>> round(float(penalty), 4)
    0.0038

    Reference:
        Carr and Madan, "A note on sufficient conditions for no arbitrage", 2005. Davis and Hobson,
        "The range of traded option prices", 2007. Gatheral and Jacquier, "Arbitrage-free SVI
        volatility surfaces", 2014, Lemmas 2.1 and 2.2. The printed form: Song, "End-to-End Neural
        Calibration of Stochastic Volatility Models via Option Panels", equations (9) to (11) and
        section 4.2.
    """
    grid = PriceGrid(strikes, maturities, ghost_strikes)
    check_options(form, on, reduction, rounding, grid)
    weights = _complete_weights(weights, form)
    return _penalty(surface, grid, form, on, reduction, rounding, weights)


@keras.saving.register_keras_serializable(package="hedgezoo")
class NoArbitragePenalty(keras.layers.Layer):
    """Size of the static arbitrage in surfaces on a fixed grid, see `no_arbitrage_penalty`.

    Use it in a loss (`losses.AnnealedPenalty`), with `add_loss` in a model, or to judge a surface.
    It has no weights.

    Args:
        strikes: Strikes divided by the forward, `(n,)` or `(m, n)`; increasing.
        maturities: Years to expiry `(m,)`; increasing.
        form: `"correct"` (butterfly, calendar, wings) or `"paper"` (the three printed terms).
        on: What surfaces hold: `"total_variance"`, `"calls"` or `"implied_volatility"`.
        ghost_strikes: `None`, or `(2,)` or `(m, 2)`: intrinsic value at and beyond these.
        reduction: `"mean"` or `"sum"` over the cells of a surface.
        rounding: Relative accuracy of the numbers, `None` for that of the floating type.
        weights: Dict of factors of the parts; a part without one has weight 1.
        **kwargs: Keyword arguments of `keras.layers.Layer`. Use `dtype="float64"` for dense grids.

    Input shape:
        Surfaces `(..., m, n)`.

    Output shape:
        `(...,)`, one number per surface, at least 0.

    Raises:
        ValueError: If an argument is not one of those above, or shapes do not match.

    Example:

    >>> penalty = NoArbitragePenalty([0.9, 1.0, 1.1], [0.5, 1.0], on="implied_volatility")
    >>> flat, bumped = tf.fill((2, 3), 0.2), tf.constant([[0.2, 0.3, 0.2], [0.2, 0.2, 0.2]])
    >>> penalty(tf.stack([flat, bumped])).numpy().round(4)
    array([0.    , 0.0372], dtype=float32)
    >>> sorted(penalty.parts(bumped))
    ['butterfly', 'calendar', 'wings']
    """

    def __init__(
        self,
        strikes,
        maturities,
        form="correct",
        on="total_variance",
        ghost_strikes=None,
        reduction="mean",
        rounding=None,
        weights=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.grid = PriceGrid(strikes, maturities, ghost_strikes)
        check_options(form, on, reduction, rounding, self.grid)
        self.form = form
        self.on = on
        self.reduction = reduction
        self.rounding = None if rounding is None else float(rounding)
        self.part_weights = _complete_weights(weights, form)

    def call(self, surface):
        options = self.form, self.on, self.reduction, self.rounding, self.part_weights
        # half precision is computed in float32
        return tf.cast(_penalty(surface, self.grid, *options), self.compute_dtype)

    def parts(self, surface):
        """Dict of the parts, each `(...,)` and without its weight, to log or to plot."""
        surface = tf.cast(tf.convert_to_tensor(surface), self.compute_dtype)
        options = self.form, self.on, self.reduction, self.rounding, PARTS[self.form]
        return compute_parts(surface, self.grid, *options)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)[:-2]

    def get_build_config(self):
        return None  # no weights: the configuration is the same before and after a first call

    def get_config(self):
        ghosts = self.grid.ghost_strikes
        return {
            **super().get_config(),
            "strikes": self.grid.strikes.tolist(),
            "maturities": self.grid.maturities.tolist(),
            "form": self.form,
            "on": self.on,
            "ghost_strikes": None if ghosts is None else ghosts.tolist(),
            "reduction": self.reduction,
            "rounding": self.rounding,
            "weights": self.part_weights,
        }


# ------------------------------------------------------------------------------------ internals


def _penalty(surface, grid, form, on, reduction, rounding, weights):
    names = [name for name, weight in weights.items() if weight > 0]
    parts = compute_parts(surface, grid, form, on, reduction, rounding, names)
    if not parts:
        (surface,) = as_float_tensors(surface)
        return tf.zeros_like(surface[..., 0, 0])
    return tf.add_n([weights[name] * part for name, part in parts.items()])


def _complete_weights(weights, form):
    given = dict(weights or {})
    unknown = sorted(set(given) - set(PARTS[form]))
    if unknown:
        raise ValueError(
            f"`weights` must name parts of the {form} form, {PARTS[form]}. Received: {unknown}"
        )
    complete = {name: float(given.get(name, 1.0)) for name in PARTS[form]}
    if not all(0 <= weight < float("inf") for weight in complete.values()):
        raise ValueError(f"`weights` must be non-negative and finite. Received: {given}")
    return complete
