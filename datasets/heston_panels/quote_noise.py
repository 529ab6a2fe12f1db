"""What separates quotes from exact volatilities: errors, bid-ask spreads, missing quotes."""

import dataclasses

import tensorflow as tf

from hedgezoo.datasets.checks import check_not_negative, number_or_range
from hedgezoo.layers.draws import normal_draws, uniform_draws

_BASIS_POINT = 1e-4
# streams of random numbers, one for each part: a panel's masks are the same in every noise case
_WIDTH, _PLACE, _MISSING, _MISSING_MATURITY, _GAUSSIAN = 3, 4, 5, 6, 7


@dataclasses.dataclass(frozen=True)
class QuoteNoise:
    """Errors of quotes in implied volatility, and quotes that are missing.

    quote = exact + gaussian · ε + spread · (u - 1/2), with ε standard normal and u uniform on
    (0, 1), independent for each quote. So the exact volatility lies within half a spread of the
    quote, up to the Gaussian part. 1 bp = 1e-4 in volatility.

    Args:
        gaussian_bp: Standard deviation of the Gaussian part in bp.
        spread_bp: Full width from bid to ask in bp: a number, or a range `(low, high)` from which
            it is drawn for each quote.
        missing: Probability of each quote to be missing, below 1.
        missing_maturities: Probability of each maturity to be missing as a whole, below 1. One
            maturity of a panel always stays.

    Raises:
        ValueError: If an argument is out of its range; the message names it.

    Example:

    >>> round(QuoteNoise(spread_bp=(0, 15)).deviation_bp, 2)
    2.5
    """

    gaussian_bp: float = 0.0
    spread_bp: float | tuple = 0.0
    missing: float = 0.0
    missing_maturities: float = 0.0

    def __post_init__(self):
        check_not_negative("gaussian_bp", self.gaussian_bp)
        spread = number_or_range("spread_bp", self.spread_bp, check_not_negative)
        object.__setattr__(self, "spread_bp", spread)
        for name in ("missing", "missing_maturities"):
            value = getattr(self, name)
            check_not_negative(name, value)
            if value >= 1.0:
                raise ValueError(f"`{name}` must be below 1. Received: {name}={value!r}")

    @property
    def deviation_bp(self):
        """Standard deviation of the error of a quote in bp."""
        low, high = self._widths()
        square_of_spread = (low * low + low * high + high * high) / 3.0
        return (self.gaussian_bp**2 + square_of_spread / 12.0) ** 0.5

    def quotes(self, volatility, seed, first_panel=0):
        """Quotes and spreads of the panels `first_panel ... first_panel + B - 1`.

        Args:
            volatility: Exact implied volatilities `(B, m, n)`.
            seed: Integer or scalar integer tensor.
            first_panel: Global index of the first panel.

        Returns:
            Quotes and spreads in volatility, both `(B, m, n)` of the type of `volatility`.
        """
        dtype = volatility.dtype
        error = tf.zeros_like(volatility)
        low, high = self._widths()
        spread = tf.fill(tf.shape(error), tf.constant(low * _BASIS_POINT, dtype))
        if high > low:
            width = (high - low) * _BASIS_POINT
            spread += width * _per_quote(volatility, seed, first_panel, _WIDTH)
        if high > 0.0:
            error += spread * (_per_quote(volatility, seed, first_panel, _PLACE) - 0.5)
        if self.gaussian_bp:
            panels, m, n = _sizes(volatility)
            normals = normal_draws(
                seed, panels, m, n, first_panel, stream=_GAUSSIAN, dtype="float32"
            )
            error += self.gaussian_bp * _BASIS_POINT * tf.cast(normals, dtype)
        return volatility + error, tf.ensure_shape(spread, volatility.shape)

    def present(self, like, seed, first_panel=0):
        """Which quotes are not missing.

        Args:
            like: Tensor `(B, m, n)`; only its shape matters.
            seed: Integer or scalar integer tensor.
            first_panel: Global index of the first panel.

        Returns:
            Booleans `(B, m, n)`.
        """
        present = tf.ones_like(like, tf.bool)
        if self.missing:
            present &= _per_quote(like, seed, first_panel, _MISSING) >= self.missing
        if self.missing_maturities:
            panels, m, _ = _sizes(like)
            draws = uniform_draws(seed, panels, m, first_panel, stream=_MISSING_MATURITY)
            stays = tf.equal(draws, tf.reduce_max(draws, axis=1, keepdims=True))
            present &= ((draws >= self.missing_maturities) | stays)[..., tf.newaxis]
        return present

    def _widths(self):
        both = self.spread_bp if isinstance(self.spread_bp, tuple) else (self.spread_bp,) * 2
        return tuple(float(x) for x in both)


def _sizes(tensor):
    """Batch size, static where it is known, and the two sizes of the grid."""
    panels = tensor.shape[0]
    return (tf.shape(tensor)[0] if panels is None else panels), *tensor.shape[1:]


def _per_quote(like, seed, first_panel, stream):
    """A uniform number for each quote `(B, m, n)`."""
    panels, m, n = _sizes(like)
    draws = uniform_draws(seed, panels, m * n, first_panel, stream=stream)
    dtype = like.dtype if like.dtype.is_floating else tf.float32
    return tf.cast(tf.reshape(draws, (panels, m, n)), dtype)


# The paper adds "±U[0, 15] bp bid-ask spreads", N(0, 0.5 bp) and 5 % masking. The first can be read
# as a trade inside a spread of that width, or as an error of that size: both are here.
NOISE_CASES = {
    "clean": QuoteNoise(),
    "gaussian_half_bp": QuoteNoise(gaussian_bp=0.5, missing=0.05),
    "inside_15_bp_spread": QuoteNoise(gaussian_bp=0.5, spread_bp=(0.0, 15.0), missing=0.05),
    "plus_minus_15_bp": QuoteNoise(gaussian_bp=0.5, spread_bp=30.0, missing=0.05),
}
