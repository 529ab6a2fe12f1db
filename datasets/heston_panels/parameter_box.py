"""Boxes from which model parameters are drawn, uniformly or log-uniformly per parameter."""

import dataclasses

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_one_of, check_positive, per_instrument
from hedgezoo.layers.float_tensors import as_float_tensors

HESTON_NAMES = ("kappa", "theta", "xi", "rho", "v0")
BATES_NAMES = (*HESTON_NAMES, "jump_intensity", "jump_mean", "jump_deviation")
_ANY_SIGN = ("rho", "jump_mean")


@dataclasses.dataclass(frozen=True)
class ParameterBox:
    """Ranges of the parameters of the Heston model (5 numbers) or of the Bates model (8).

    The order is κ, θ, ξ, ρ, v₀, for Bates followed by the jump intensity, the mean and the
    deviation of a jump of the log price; units per year as in `hedgezoo.layers.heston_call`.

    Args:
        low: Lower ends, a tuple of 5 or 8 numbers.
        high: Upper ends, above the lower ones.
        logarithmic: Names of the parameters drawn uniformly in their logarithm, among `"kappa"`,
            `"theta"`, `"xi"`, `"v0"`, `"jump_intensity"` and `"jump_deviation"`.

    Raises:
        ValueError: If an end is outside the model's domain, or the ends do not fit together.

    Example:

    >>> box = ParameterBox(low=(0.5, 0.02, 0.1, -0.9, 0.01), high=(8, 0.5, 1.5, -0.1, 0.4))
    >>> box.from_unit([0.0, 0.5, 0.5, 0.5, 1.0]).numpy().round(4).tolist()
    [0.5, 0.26, 0.8, -0.5, 0.4]
    >>> box.names
    ('kappa', 'theta', 'xi', 'rho', 'v0')
    """

    low: tuple
    high: tuple
    logarithmic: tuple = ()

    def __post_init__(self):
        for name in ("low", "high"):
            ends = per_instrument(name, getattr(self, name), _no_check)
            if not isinstance(ends, tuple) or len(ends) not in (5, 8):
                raise ValueError(
                    f"`{name}` must hold 5 numbers (Heston) or 8 (Bates). Received: {name}={ends}"
                )
            object.__setattr__(self, name, ends)
        object.__setattr__(self, "logarithmic", tuple(self.logarithmic))
        if len(self.low) != len(self.high):
            raise ValueError(
                "`low` and `high` must have the same length. Received: "
                f"len(low)={len(self.low)}, len(high)={len(self.high)}"
            )
        for name, low, high in zip(self.names, self.low, self.high, strict=True):
            _check_range(name, low, high)
        for name in self.logarithmic:
            known = tuple(known for known in self.names if known not in _ANY_SIGN)
            check_one_of("logarithmic", name, known)
            check_positive(f"low ({name}, drawn in its logarithm)", self.low_of(name))

    @property
    def names(self):
        """Names of the parameters, in their order."""
        return HESTON_NAMES if len(self.low) == 5 else BATES_NAMES

    @property
    def model(self):
        """`"heston"` or `"bates"`."""
        return "heston" if len(self.low) == 5 else "bates"

    def low_of(self, name):
        """Lower end of the parameter called `name`."""
        return self.low[self.names.index(name)]

    def high_of(self, name):
        """Upper end of the parameter called `name`."""
        return self.high[self.names.index(name)]

    def from_unit(self, unit):
        """Parameters of points of the unit cube; uniform points give draws from the box.

        Args:
            unit: `(..., p)`, in [0, 1], p = 5 or 8.

        Returns:
            Parameters `(..., p)` inside the box.
        """
        (unit,) = as_float_tensors(unit)
        low, high, is_log, start, width = self._constants(unit.dtype)
        straight = start + width * unit
        mapped = tf.where(is_log, tf.exp(straight), straight)
        return tf.clip_by_value(mapped, low, high)

    def to_unit(self, parameters):
        """The inverse of `from_unit`; parameters outside the box leave the unit cube.

        Args:
            parameters: `(..., p)`. NaN comes out for a parameter on a logarithmic scale below 0.

        Returns:
            Points `(..., p)`.
        """
        (parameters,) = as_float_tensors(parameters)
        _, _, is_log, start, width = self._constants(parameters.dtype)
        straight = tf.where(
            is_log, tf.math.log(tf.where(is_log, parameters, tf.ones_like(parameters))), parameters
        )
        return (straight - start) / width

    def contains(self, parameters):
        """Whether parameters lie in the box, ends included.

        Args:
            parameters: `(..., p)`.

        Returns:
            Booleans `(...)`; False where a parameter is NaN.
        """
        (parameters,) = as_float_tensors(parameters)
        low, high = self._constants(parameters.dtype)[:2]
        return tf.reduce_all((parameters >= low) & (parameters <= high), axis=-1)

    def slowest_decay(self, years):
        """Smallest rate c with which exp(-c u) bounds the characteristic function in this box.

        c = √(1 - ρ²) (v₀ + κθT) / ξ. It decides how far out the Fourier integral must go.

        Args:
            years: Shortest maturity T.

        Returns:
            A number.
        """
        rho = max(abs(self.low_of("rho")), abs(self.high_of("rho")))
        variance = self.low_of("v0") + self.low_of("kappa") * self.low_of("theta") * years
        return (1.0 - rho**2) ** 0.5 * variance / max(self.high_of("xi"), 1e-300)

    def _constants(self, dtype):
        """Ends, which parameters are logarithmic, and start and width on the drawing scale."""
        low, high = np.array(self.low), np.array(self.high)
        is_log = np.isin(self.names, self.logarithmic)
        start, end = low.copy(), high.copy()
        start[is_log], end[is_log] = np.log(low[is_log]), np.log(high[is_log])
        low, high, start, width = (tf.constant(x, dtype) for x in (low, high, start, end - start))
        return low, high, tf.constant(is_log), start, width


def _check_range(name, low, high):
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(
            f"The range of `{name}` must have finite ends, low < high. Received: ({low}, {high})"
        )
    if name == "rho" and not (low >= -1.0 and high <= 1.0):
        raise ValueError(f"`rho` must lie in [-1, 1]. Received: ({low}, {high})")
    if name not in _ANY_SIGN and low < 0.0:
        raise ValueError(f"`{name}` must not be negative. Received: ({low}, {high})")


def _no_check(name, value):
    """Ends are checked together with the name of their parameter."""
    del name, value


_JUMPS = ((0.05, -0.3, 0.02), (2.0, 0.1, 0.3))

# Heston (1993) parameters of equity indices: uniform, as the training set of the paper
PAPER_BOX = ParameterBox((0.5, 0.02, 0.1, -0.95, 0.01), (8.0, 0.5, 1.5, -0.05, 0.4))
# wide enough for fits of DAX, EURO STOXX 50 and S&P 500 surfaces, calm and stressed
WIDE_BOX = ParameterBox(
    (0.2, 0.005, 0.1, -0.98, 0.002),
    (20.0, 0.5, 4.0, 0.3, 0.6),
    logarithmic=("kappa", "theta", "xi", "v0"),
)
BATES_BOX = ParameterBox(
    PAPER_BOX.low + _JUMPS[0], PAPER_BOX.high + _JUMPS[1], logarithmic=("jump_intensity",)
)
WIDE_BATES_BOX = ParameterBox(
    WIDE_BOX.low + _JUMPS[0],
    WIDE_BOX.high + _JUMPS[1],
    logarithmic=(*WIDE_BOX.logarithmic, "jump_intensity"),
)

BOXES = {
    "paper": PAPER_BOX,
    "wide": WIDE_BOX,
    "bates": BATES_BOX,
    "wide_bates": WIDE_BATES_BOX,
}
