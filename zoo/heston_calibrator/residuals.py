"""Model minus quoted volatilities of option panels, and their derivatives."""

import dataclasses
import functools
import math

import tensorflow as tf

from hedgezoo.layers.normalised_price import d1_of, log_out_of_the_money_price

BASIS_POINT = 1e-4
# standard deviation of a quote whose spread is zero
_QUOTE_DEVIATION = 0.5 * BASIS_POINT
# errors of prices per unit of forward, by precision: they are vol errors where vega is small
_PRICE_ERROR = {"float32": 2e-7, "float64": 1e-9}
# prices per unit of the smaller of strike and forward are moved inside these bounds
_SMALLEST = {"float32": 1e-7, "float64": 1e-14}
_TO_BOUND = 1e-6
_WORTHLESS = 1e-11  # a quoted price below says nothing about a model
# of functions that are not to be copied into every graph that uses them
APART = {"_noinline": True}
_ANY_VOLATILITY, _ANY_STRIKE, _ANY_YEARS = 0.2, 1.0, 1.0


@dataclasses.dataclass(frozen=True)
class Quotes:
    """Quotes of B panels as tensors of one floating type, with harmless numbers where masked.

    Args:
        volatility: `(B, m, n)`.
        strikes: Divided by the forward, `(n,)`, `(m, n)` or `(B, m, n)`.
        maturities: Years, `(m,)` or `(B, m)`.
        mask: Booleans `(B, m, n)`.
        spread: In volatility, `(B, m, n)`.
    """

    volatility: tf.Tensor
    strikes: tf.Tensor
    maturities: tf.Tensor
    mask: tf.Tensor
    spread: tf.Tensor

    @classmethod
    def of(cls, inputs, dtype):
        """From the inputs of the calibrator; `mask` and `spread` may be missing or None."""
        volatility, strikes, maturities = (
            tf.cast(tf.convert_to_tensor(inputs[name]), dtype)
            for name in ("implied_volatility", "strikes", "maturities")
        )
        finite = tf.math.is_finite
        mask = finite(volatility) & (volatility > 0.0)
        if inputs.get("mask") is not None:
            mask &= tf.cast(inputs["mask"], tf.bool)
        good_strike, good_years = (finite(x) & (x > 0.0) for x in (strikes, maturities))
        mask &= good_strike & good_years[..., tf.newaxis]
        strikes = tf.where(good_strike, strikes, _ANY_STRIKE)
        maturities = tf.where(good_years, maturities, _ANY_YEARS)
        if inputs.get("spread") is None:
            spread = tf.zeros_like(volatility)
        else:
            spread = tf.cast(tf.convert_to_tensor(inputs["spread"]), dtype)
            spread = tf.where(mask & finite(spread), spread, 0.0)
        # a guess for what is not quoted: the mean of the maturity, or of the panel
        known = tf.cast(mask, dtype)
        quoted = tf.where(mask, volatility, 0.0)
        total, count = (tf.reduce_sum(x, axis=-1, keepdims=True) for x in (quoted, known))
        overall = tf.reduce_sum(total, axis=-2, keepdims=True)
        overall = tf.math.divide_no_nan(overall, tf.reduce_sum(count, axis=-2, keepdims=True))
        overall = tf.where(overall > 0.0, overall, _ANY_VOLATILITY)
        guess = tf.where(count > 0.0, tf.math.divide_no_nan(total, count), overall)
        return cls(tf.where(mask, volatility, guess), strikes, maturities, mask, spread)

    @property
    def dtype(self):
        """Floating type."""
        return self.volatility.dtype

    def cast(self, dtype):
        """The same in another floating type."""
        floats = (self.volatility, self.strikes, self.maturities)
        volatility, strikes, maturities = (tf.cast(x, dtype) for x in floats)
        return Quotes(volatility, strikes, maturities, self.mask, tf.cast(self.spread, dtype))

    def tensors(self):
        """The fields in their order."""
        return self.volatility, self.strikes, self.maturities, self.mask, self.spread

    def rows(self, index):
        """Some of the panels; shared grids stay shared."""
        strikes, maturities = self.strikes, self.maturities
        return Quotes(
            tf.gather(self.volatility, index),
            tf.gather(strikes, index) if strikes.shape.rank == 3 else strikes,
            tf.gather(maturities, index) if maturities.shape.rank == 2 else maturities,
            tf.gather(self.mask, index),
            tf.gather(self.spread, index),
        )

    @property
    def root_years(self):
        """√T, `(m, 1)` or `(B, m, 1)`."""
        return tf.sqrt(self.maturities)[..., tf.newaxis]

    @property
    def distance(self):
        """|log K|, of the shape of the strikes."""
        return tf.abs(tf.math.log(self.strikes))

    @property
    def unit(self):
        """min(K, 1), of the shape of the strikes."""
        return tf.minimum(self.strikes, 1.0)

    def vega(self):
        """∂C/∂σ at the quotes, `(B, m, n)`."""
        d1 = d1_of(-self.distance, self.volatility * self.root_years)
        return _vega(self.unit, d1, self.root_years)

    def deviations(self):
        """Standard deviations of the quotes before their size is estimated, `(B, m, n)`."""
        return tf.sqrt(_QUOTE_DEVIATION**2 + tf.square(self.spread) / 12.0)

    def weights(self):
        """Inverse variances of the quotes scaled to mean one over each panel, `(B, m, n)`.

        The variance is that of the spread (uniform), of a basis point or so, and of the rounding
        of prices. Zero where there is no quote or the option is worth nothing.
        """
        w = self.volatility * self.root_years
        log_price = log_out_of_the_money_price(self.distance, w)
        rounding = _PRICE_ERROR[self.dtype.name] / tf.maximum(self.vega(), 1e-12)
        useful = self.mask & (log_price > math.log(_WORTHLESS))
        variance = tf.square(self.deviations()) + tf.square(rounding)
        weights = tf.where(useful, _QUOTE_DEVIATION**2 / variance, 0.0)
        total = tf.reduce_sum(weights, axis=(-2, -1), keepdims=True)
        count = tf.reduce_sum(tf.cast(weights > 0.0, self.dtype), axis=(-2, -1), keepdims=True)
        return weights * tf.math.divide_no_nan(count, total)


def volatility_residuals(coordinates, u, quotes, contour="auto", nodes=128):
    """Model minus quoted volatilities.

    Args:
        coordinates: A `Coordinates`.
        u: Search coordinates `(B, p)`.
        quotes: `Quotes` of the same floating type.
        contour: As in `hedgezoo.layers.heston_call`.
        nodes: As in `hedgezoo.layers.heston_call`.

    Returns:
        `(B, m, n)`; at masked places the difference to the guess that stands there.
    """
    return _graph(coordinates, quotes, contour, nodes, False)(
        u, quotes.volatility, quotes.strikes, quotes.maturities
    )[0]


def residuals_and_jacobian(coordinates, u, quotes, contour="auto", nodes=128):
    """The same with the derivatives in the coordinates.

    Args:
        coordinates: A `Coordinates`.
        u: Search coordinates `(B, p)`.
        quotes: `Quotes` of the same floating type.
        contour: As in `hedgezoo.layers.heston_call`.
        nodes: As in `hedgezoo.layers.heston_call`.

    Returns:
        `(B, m, n)` and `(B, m, n, p)`. A derivative is zero where the price is that of no
        volatility that its precision can tell.
    """
    return _graph(coordinates, quotes, contour, nodes, True)(
        u, quotes.volatility, quotes.strikes, quotes.maturities
    )


def _graph(coordinates, quotes, contour, nodes, jacobian):
    ranks = quotes.strikes.shape.rank, quotes.maturities.shape.rank
    return _compiled(coordinates, contour, nodes, jacobian, ranks, quotes.dtype)


@functools.lru_cache(maxsize=64)
def _compiled(coordinates, contour, nodes, jacobian, ranks, dtype):
    """Residuals as a function of its own: traced and optimised once, however many steps use it."""
    shapes = [[None, len(coordinates)], *([None] * rank for rank in (3, *ranks))]
    signature = [tf.TensorSpec(shape, dtype) for shape in shapes]

    @tf.function(input_signature=signature, autograph=False, experimental_attributes=APART)
    def residuals(u, volatility, strikes, maturities):
        quotes = Quotes(volatility, strikes, maturities, None, None)
        parameters = coordinates.to_parameters(u)
        if not jacobian:
            calls = coordinates.price(parameters, strikes, maturities, contour, nodes)
            deviation, _ = _total_deviation(calls, quotes)
            return (deviation / quotes.root_years - volatility,)
        calls, by_parameter = coordinates.price_and_jacobian(
            parameters, strikes, maturities, contour, nodes
        )
        deviation, resolved = _total_deviation(calls, quotes)
        vega = _vega(quotes.unit, d1_of(-quotes.distance, deviation), quotes.root_years)
        scale = tf.where(resolved, 1.0 / tf.maximum(vega, 1e-12), 0.0)
        slopes = coordinates.slopes(u)[:, tf.newaxis, tf.newaxis, :]
        by_coordinate = by_parameter * (scale[..., tf.newaxis] * slopes)
        return deviation / quotes.root_years - volatility, by_coordinate

    return residuals


def _vega(unit, d1, root_years):
    return unit * root_years * tf.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)


def _total_deviation(calls, quotes, steps=3):
    """σ√T of call prices, by Halley's method on the logarithm of the out-of-the-money price.

    The quote is a good first guess: the error after three steps is its relative error to the 27th.

    Returns:
        `(B, m, n)`, and where the price is inside its bounds.
    """
    smallest = _SMALLEST[quotes.dtype.name]
    price = (calls - tf.nn.relu(1.0 - quotes.strikes)) / quotes.unit
    resolved = (price > smallest) & (price < 1.0 - _TO_BOUND)
    target = tf.math.log(tf.clip_by_value(price, smallest, 1.0 - _TO_BOUND))
    distance = quotes.distance
    w = quotes.volatility * quotes.root_years
    for _ in range(steps):
        d1 = d1_of(-distance, w)
        log_price = log_out_of_the_money_price(distance, w)
        # price per slope of price in w
        width = tf.exp(log_price + 0.5 * d1 * d1) * math.sqrt(2.0 * math.pi)
        curve = tf.square(distance / w) / w - 0.25 * w - 1.0 / width
        step = (target - log_price) * width
        step /= tf.maximum(1.0 + 0.5 * step * curve, 0.5)
        w += tf.clip_by_value(step, -0.6 * w, 2.0 * w)
    return w, resolved
