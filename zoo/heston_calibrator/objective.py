"""What a calibrator with refinement is trained for."""

import keras
import tensorflow as tf

from hedgezoo.datasets.checks import check_not_negative, check_positive
from hedgezoo.heston_calibrator.coordinates import Coordinates
from hedgezoo.heston_calibrator.normal_equations import log_determinant
from hedgezoo.heston_calibrator.residuals import BASIS_POINT


@keras.saving.register_keras_serializable(package="hedgezoo")
class RefinementLoss:
    """Loss of a `HestonCalibrator` that refines: start, volatilities along the way, precision.

    Per panel the sum of

    - Σ_j log(1 + (e_j / 0.03)²) over the parameters, e the error of the start in coordinates
      (3 % of a positive parameter): errors count by their order of magnitude;
    - with steps, the mean over start and steps of log(1 + (rms / scale)²), rms that of the
      volatility against the exact one;
    - minus the log density of the true coordinates under a Student t distribution (ν degrees of
      freedom) around the start, with the precision that the network gives it, if it does.

    Args:
        start: Weight of the first term.
        volatility: Weight of the second.
        likelihood: Weight of the third.
        scale_bp: Scale of volatility errors in basis points.
        degrees: ν; with few, panels that are off count less.

    Call arguments:
        inputs: Of the calibrator; `implied_volatility` and `mask` are used.
        targets: Of `HestonPanels`.
        outputs: Of the calibrator, in training.

    Raises:
        ValueError: If a weight is negative, or a scale not positive.
    """

    def __init__(self, start=1.0, volatility=0.5, likelihood=0.1, scale_bp=1.0, degrees=30.0):
        for name, value in {
            "start": start,
            "volatility": volatility,
            "likelihood": likelihood,
        }.items():
            check_not_negative(name, value)
        check_positive("scale_bp", scale_bp)
        check_positive("degrees", degrees)
        self.start, self.volatility, self.likelihood = start, volatility, likelihood
        self.scale_bp, self.degrees = scale_bp, degrees

    def __call__(self, inputs, targets, outputs):
        path = outputs["coordinates"]
        p = path.shape[-1]
        model = Coordinates("heston" if p == 5 else "bates")
        true = model.from_parameters(tf.cast(targets["parameters"], path.dtype))
        total = self.start * _orders(tf.square((path[:, 0] - true) / _UNIT), axis=-1)

        if "residuals" in outputs:
            squares = self._squares(inputs, targets, outputs["residuals"])
            steps = tf.cast(tf.shape(squares)[1], squares.dtype)
            total += self.volatility * tf.cast(_orders(squares, axis=-1) / steps, total.dtype)
        if outputs.get("start_precision") is None:
            return total
        precision = tf.cast(outputs["start_precision"], tf.float64)
        # rounding to float32 leaves a matrix that is nearly singular with negative eigenvalues
        precision += _RIDGE * tf.linalg.diag(tf.linalg.diag_part(precision))
        away = tf.cast(path[:, 0] - true, tf.float64)
        distance = tf.einsum("bi,bij,bj->b", away, precision, away)
        density = 0.5 * log_determinant(precision)
        density -= 0.5 * (self.degrees + p) * tf.math.log1p(distance / self.degrees)
        return total - self.likelihood * tf.cast(density, total.dtype)

    def _squares(self, inputs, targets, residuals):
        """Mean squares of model minus exact volatility over the quotes, in units, `(B, S+1)`."""
        exact = tf.cast(targets["implied_volatility"], residuals.dtype)
        quoted = tf.cast(inputs["implied_volatility"], exact.dtype)
        there = tf.cast(tf.cast(inputs["mask"], tf.bool) & (exact > 0.0), exact.dtype)
        errors = there[:, tf.newaxis] * (residuals + (quoted - exact)[:, tf.newaxis])
        squares = tf.reduce_sum(tf.square(errors), axis=(-2, -1))
        count = tf.reduce_sum(there, axis=(-2, -1))[:, tf.newaxis]
        return tf.math.divide_no_nan(squares, count) / (self.scale_bp * BASIS_POINT) ** 2

    def get_config(self):
        """Arguments of the constructor."""
        names = ("start", "volatility", "likelihood", "scale_bp", "degrees")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config):
        """The loss with these arguments."""
        return cls(**config)


_UNIT = 0.03
_RIDGE = 1e-5


def _orders(squares, axis):
    """Sum of log(1 + x)."""
    return tf.reduce_sum(tf.math.log1p(squares), axis=axis)
