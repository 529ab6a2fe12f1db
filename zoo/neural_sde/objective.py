"""What a neural SDE is calibrated for: squared price errors, weighted, with the right gradient."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array, check_one_of, check_positive
from hedgezoo.datasets.surface_quotes import BASIS_POINT
from hedgezoo.losses.trainable_intercept import sum_over_replicas
from hedgezoo.neural_sde.quoted_paths import GRADIENTS

WEIGHTS = ("vega", "spread")
VEGA_FLOOR = 0.01


def quote_weights(quotes, weights="vega", vega_floor=VEGA_FLOOR):
    """Weights w of squared price errors: Σ_n w_n (price error)² is a mean square in bp².

    w_n = share_n / (1 bp · max(vega_n, floor))², with shares that sum to one. So an error of 1 bp
    in every implied volatility is a sum of one, whatever the quotes are, as long as no vega lies
    below the floor; with a vega below, a volatility counts less.

    Args:
        quotes: A `hedgezoo.datasets.SurfaceQuotes`.
        weights: `"vega"` for equal shares; `"spread"` for shares in proportion to 1 / spread²; or
            the shares themselves, positive numbers `(N,)`, normalised here.
        vega_floor: Least vega, per unit of volatility and of forward.

    Returns:
        float64 `(N,)`.

    Raises:
        ValueError: If there is no spread, or an argument is not positive or unknown.

    Example:

    >>> from hedgezoo.datasets import SurfaceQuotes
    >>> quotes = SurfaceQuotes.heston()
    >>> errors = 1e-4 * quotes.vega
    >>> bool(abs(np.sum(quote_weights(quotes, vega_floor=1e-9) * errors**2) - 1) < 1e-9)
    True
    """
    check_positive("vega_floor", vega_floor)
    if isinstance(weights, str):
        check_one_of("weights", weights, WEIGHTS)
        if weights == "spread" and quotes.spread is None:
            raise ValueError(
                "`weights='spread'` needs quotes with a spread. Received: quotes.spread=None"
            )
        spread = np.ones(len(quotes)) if weights == "vega" else np.asarray(quotes.spread)
        shares = (spread.min() / spread) ** 2
    else:
        shares = check_array("weights", weights, {"(N,)": (len(quotes),)})
        if not (shares > 0).all():
            raise ValueError(f"`weights` must be positive. Received: {shares.min()}")
    shares = shares / shares.sum()
    return shares / (BASIS_POINT * np.maximum(quotes.vega, vega_floor)) ** 2


@keras.saving.register_keras_serializable(package="hedgezoo")
class QuoteError(keras.losses.Loss):
    """Σ_n w_n (mean payoff - price)² over N quotes, as a loss per path.

    The square of a mean is no mean over paths, so each path's value is the square of the batch,
    and its gradient that of a linear function of its payoffs: 2 Σ_n w_n r_n · payoff_n, with the
    residuals r of the batch. Averaged over paths, and over replicas, whose residuals are averaged
    first, that is the gradient of the square.

    With the same paths in both factors its mean contains the gradient of Var(payoff) / B, which
    pulls volatilities down. With `"two_batch"`, the even paths take the residuals of the odd ones
    and the other way round: no bias, but twice the variance.

    Predictions may hold a control variate, a second number per payoff whose exact mean is zero.
    `"regression"` subtracts it from the payoffs times the slope of their regression on it, for two
    halves the slope of the other half; `"fixed"` subtracts it as it is, and trains it to have the
    least weighted variance left.

    Args:
        weights: w, such as `quote_weights`, `(N,)`.
        gradient: `"same_batch"` or `"two_batch"`; for the latter paths must come as `QuotedPaths`
            makes them.
        control: None, `"regression"` or `"fixed"`.
        name: Of `keras.losses.Loss`.
        reduction: Of `keras.losses.Loss`.
        dtype: Of `keras.losses.Loss`.

    Call arguments:
        y_true: Prices of the quotes in each row, `(B, N)`.
        y_pred: Payoffs `(B, N)`; with a control `(B, N, 2)`, the control second.

    Raises:
        ValueError: If an argument is unknown or a shape does not fit.

    Example:

    >>> loss = QuoteError(weights=[4.0])
    >>> float(loss(tf.constant([[1.0], [1.0]]), tf.constant([[1.0], [2.0]])))
    1.0

    Reference:
        Gierjatowicz, Sabate-Vidales, Šiška, Szpruch, Žurič, "Robust pricing and hedging via neural
        SDEs" (2020); Cuchiero, Khosrawi, Teichmann, "A generative adversarial network approach to
        calibration of local stochastic volatility models", Risks 8 (2020).
    """

    def __init__(
        self,
        weights,
        gradient="same_batch",
        control=None,
        name="quote_error",
        reduction="sum_over_batch_size",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.weights = check_array("weights", weights, {"(N,)": (None,)})
        if not (self.weights >= 0).all():
            raise ValueError(f"`weights` must not be negative. Received: {self.weights.min()}")
        check_one_of("gradient", gradient, GRADIENTS)
        check_one_of("control", control, (None, "regression", "fixed"))
        self.gradient = gradient
        self.control = control

    def call(self, y_true, y_pred):
        payoff, control = self._parts(y_true, y_pred)
        weights = tf.constant(self.weights, payoff.dtype)
        price = y_true[0]
        # (paths, halves, N): a half is every other path
        halves = 1 if self.gradient == "same_batch" else 2
        payoff, control = (
            None if x is None else tf.reshape(x, (-1, halves, x.shape[-1]))
            for x in (payoff, control)
        )
        residual, left = self._residuals(payoff, control, price)
        residual = tf.stop_gradient(residual)
        square = tf.reduce_sum(weights * tf.square(tf.reduce_mean(residual, axis=0)))
        pull = tf.reduce_sum(2.0 * weights * residual[::-1] * payoff, axis=-1)
        if left is not None:
            pull += tf.reduce_sum(weights * tf.square(left), axis=-1)
        pull = tf.reshape(pull, (-1,))
        return square + pull - tf.stop_gradient(pull)

    def _parts(self, y_true, y_pred):
        """Payoffs and control `(B, N)`, or None, float32 at least."""
        quotes = len(self.weights)
        shape = (quotes,) if self.control is None else (quotes, 2)
        if tuple(y_pred.shape[1:]) != shape or tuple(y_true.shape[1:]) != (quotes,):
            raise ValueError(
                f"{type(self).__name__} of {quotes} quotes and control={self.control!r} takes "
                f"prices (B, {quotes}) and payoffs (B, {', '.join(map(str, shape))}). "
                f"Received: y_true.shape={tuple(y_true.shape)}, "
                f"y_pred.shape={tuple(y_pred.shape)}"
            )
        if self.control is None:
            return y_pred, None
        return y_pred[..., 0], y_pred[..., 1]

    def _residuals(self, payoff, control, price):
        """Mean payoff minus price of each half `(halves, N)`; what a trained control leaves."""
        if control is None:
            return _mean(payoff) - price, None
        fixed = tf.stop_gradient(payoff), tf.stop_gradient(control)
        if self.control == "fixed":
            means = _mean(fixed[0] - fixed[1])
            return means - price, fixed[0] - control - means
        p, c = fixed
        means = _mean(tf.concat([p, c, p * c, c * c], axis=-1))
        p, c, pc, cc = tf.split(means, 4, axis=-1)
        slope = tf.math.divide_no_nan(pc - p * c, cc - c * c)
        return p - slope[::-1] * c - price, None

    def get_config(self):
        return {
            **super().get_config(),
            "weights": self.weights.tolist(),
            "gradient": self.gradient,
            "control": self.control,
            "dtype": self.dtype,
        }


def _mean(values):
    """Mean over the paths of all replicas of `(paths, halves, N)`."""
    count = tf.cast(tf.shape(values)[0], values.dtype)
    count = tf.fill((values.shape[1], 1), count)
    total = sum_over_replicas(tf.concat([tf.reduce_sum(values, axis=0), count], axis=-1))
    return total[:, :-1] / total[:, -1:]
