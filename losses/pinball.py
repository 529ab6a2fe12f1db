"""The pinball loss: what a prediction of quantiles is judged by."""

import itertools
import numbers

import keras
import numpy as np
import tensorflow as tf


def pinball(y_true, y_pred, levels, weights=None):
    """Mean pinball loss of predicted quantiles: `mean(max(τ (y - q), (τ - 1) (y - q)))`.

    For a prediction `q` that is one number it is smallest where `q` is the quantile of level τ of
    the outcomes `y`. Half the absolute error at τ = 0.5. In the units of `y`.

    Args:
        y_true: Outcomes, of any shape `(...)`, an array or a tensor.
        y_pred: Predicted quantiles `(..., q)`, one for each level, or anything that broadcasts to
            that, such as `(q,)` for all outcomes alike; `(...)` where `levels` is a number.
        levels: Probabilities in (0, 1), increasing, `(q,)`, or one number.
        weights: Optional weights of the outcomes, of the shape of `y_true`, normalised here.

    Returns:
        The mean over outcomes and levels: a Python float computed in float64, or for tensors a
        scalar tensor of their dtype, differentiable.

    Raises:
        ValueError: If `levels` do not increase or lie outside (0, 1), the shapes do not match,
            `y_true` holds nothing, or `weights` are negative or all zero.

    Example:

    >>> from hedgezoo.losses import pinball
    >>> pinball([1.0, 2.0, 4.0], 2.0, levels=0.5)  # half of (1 + 0 + 2) / 3
    0.5
    >>> pinball([1.0, 2.0, 4.0], [1.0, 4.0], levels=[0.25, 0.75])
    0.375

    Reference:
        R. Koenker, G. Bassett (1978), Regression quantiles, Econometrica 46.
    """
    chosen = check_levels(levels)
    given = [y_true, y_pred, weights]
    types = {x.dtype for x in given if tf.is_tensor(x) and x.dtype.is_floating}
    y_true, y_pred = (_float64(n, x) for n, x in (("y_true", y_true), ("y_pred", y_pred)))
    if isinstance(levels, numbers.Real):
        y_pred = y_pred[..., tf.newaxis]
    target = (*y_true.shape, len(chosen))
    require_broadcast(y_pred, target)
    if y_true.shape.num_elements() == 0:
        raise ValueError(
            f"`y_true` must hold at least one outcome. Received: shape={tuple(y_true.shape)}"
        )
    values = tf.reduce_mean(_pinball(y_true, y_pred, chosen), -1)
    if weights is None:
        mean = tf.reduce_mean(values)
    else:
        mean = tf.reduce_sum(_normalised(weights, y_true.shape) * values)
    if not any(tf.is_tensor(x) for x in given):
        return float(mean)
    return tf.cast(mean, max(types, key=lambda dtype: dtype.size) if types else tf.float64)


@keras.saving.register_keras_serializable(package="hedgezoo")
class Pinball(keras.losses.Loss):
    """Pinball loss of predicted quantiles, one value per sample.

    With y = `y_true` and a prediction q_τ for each level τ, the value of a sample is the mean of

    `max(τ (y - q_τ), (τ - 1) (y - q_τ))`

    over the levels and over all axes but the first. So a model that is trained with it predicts
    the conditional quantiles of its targets. It is convex in the predictions and, off the kink at
    q_τ = y, linear.

    Sample weights are one number per sample, `(B,)`, or one per outcome, of the shape of `y_true`;
    as in Keras they multiply, and the mean is not divided by their sum. Outcomes that a Keras mask
    of the prediction excludes do not count in the mean of their sample.

    Args:
        levels: Probabilities in (0, 1), increasing, `(q,)`, or one number. Default: the quartiles.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computations.

    Call arguments:
        y_true: Outcomes `(B, ...)` or `(B, ..., 1)`.
        y_pred: Quantiles `(B, ..., q)`, in the order of the levels; `(B, ...)` as well where
            `levels` is a number.
        sample_weight: Optional weights `(B,)`, or of the shape of `y_true`.

    Raises:
        ValueError: If `levels` do not increase or lie outside (0, 1), or (when called) the shapes
            do not match.

    Example:

    >>> import keras
    >>> loss = Pinball(levels=[0.25, 0.5, 0.75])
    >>> float(loss(tf.constant([1.0, 3.0]), tf.constant([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]])))
    0.0833333358168602
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> model.compile(optimizer="adam", loss=loss)

    Reference:
        R. Koenker, G. Bassett (1978), Regression quantiles, Econometrica 46. Song, "End-to-End
        Neural Calibration of Stochastic Volatility Models via Option Panels", section 6.2, for
        quantiles of bid and ask.
    """

    def __init__(
        self,
        levels=(0.25, 0.5, 0.75),
        reduction="sum_over_batch_size",
        name="pinball",
        dtype=None,
    ):
        chosen = check_levels(levels)
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.levels = chosen[0] if isinstance(levels, numbers.Real) else chosen

    def __call__(self, y_true, y_pred, sample_weight=None):
        # the base class knows weights (B,) of the values (B,); others go into the mean of a sample
        mask = getattr(y_pred, "_keras_mask", None)
        many = sample_weight is not None and len(sample_weight.shape) > 1
        if mask is None and not many:
            return super().__call__(y_true, y_pred, sample_weight)
        inner = (y_true, sample_weight if many else 1.0, 1.0 if mask is None else mask)
        # a copy, which carries no mask: it must not be applied twice
        y_pred = tf.identity(y_pred)
        return super().__call__(inner, y_pred, None if many else sample_weight)

    def call(self, y_true, y_pred):
        y_true, weights, mask = y_true if isinstance(y_true, tuple) else (y_true, None, None)
        return self.per_sample(y_true, y_pred, weights, mask)

    def per_sample(self, y_true, y_pred, weights=None, mask=None):
        """The loss of each sample, with weights or a mask of its outcomes.

        Args:
            y_true: Outcomes `(B, ...)` or `(B, ..., 1)`.
            y_pred: Quantiles `(B, ..., q)`.
            weights: Factors of the outcomes, of the shape of `y_true`, or None.
            mask: Which outcomes count in the mean, of the shape of `y_true`, or None for all.

        Returns:
            Tensor `(B,)`; 0 for a sample without outcomes.
        """
        # 16 bits have no digits for sums over a panel
        wide = "float64" if self.dtype == "float64" else "float32"
        y_true, y_pred = self._aligned(tf.convert_to_tensor(y_true), tf.convert_to_tensor(y_pred))
        levels = np.atleast_1d(self.levels)
        values = _pinball(tf.cast(y_true, wide), tf.cast(y_pred, wide), levels)
        values = tf.reduce_mean(values, -1)
        if weights is not None:
            values *= self._like(weights, values)
        axes = tf.range(1, tf.rank(values))
        if mask is None:
            means = tf.reduce_mean(values, axes)
        else:
            present = self._like(mask, values)
            total = tf.reduce_sum(tf.where(present > 0, values, 0.0), axes)
            means = tf.math.divide_no_nan(total, tf.reduce_sum(present, axes))
        return tf.cast(means, self.dtype)

    def _aligned(self, y_true, y_pred):
        """Outcomes `(B, ...)` and predictions `(B, ..., q)`."""
        shapes = y_true.shape, y_pred.shape
        if None not in (y_true.shape.rank, y_pred.shape.rank):
            single = isinstance(self.levels, float)
            if y_true.shape.rank == y_pred.shape.rank:
                if single and y_true.shape.is_compatible_with(y_pred.shape):
                    y_pred = y_pred[..., tf.newaxis]
                elif y_true.shape[-1] == 1:
                    y_true = tf.squeeze(y_true, -1)
            count = 1 if single else len(self.levels)
            if y_true.shape.rank < 1 or not y_pred.shape.is_compatible_with((*y_true.shape, count)):
                raise ValueError(
                    "`y_pred` must have shape (B, ..., q) for `y_true` of shape (B, ...) or "
                    f"(B, ..., 1), with q = {count} levels. "
                    f"Received: y_true.shape={shapes[0]}, y_pred.shape={shapes[1]}"
                )
        return y_true, y_pred

    @staticmethod
    def _like(weights, values):
        """Weights or a mask with an entry for each of `values`; axes may be missing at the end."""
        weights = tf.cast(weights, values.dtype)
        rank = values.shape.rank
        if weights.shape.rank == rank + 1 and weights.shape[-1] == 1:
            weights = tf.squeeze(weights, -1)
        if weights.shape.rank > rank or not weights.shape.is_compatible_with(
            values.shape[: weights.shape.rank]
        ):
            raise ValueError(
                "`sample_weight` and masks must have shape (B,) or that of `y_true`. "
                f"Received: {weights.shape} for {values.shape}"
            )
        for _ in range(rank - weights.shape.rank):
            weights = weights[..., tf.newaxis]
        return tf.broadcast_to(weights, tf.shape(values))

    def get_config(self):
        levels = self.levels if isinstance(self.levels, float) else list(self.levels)
        return {**super().get_config(), "levels": levels, "dtype": self.dtype}


def check_levels(levels):
    """Returns `levels` as a tuple of floats, or raises `ValueError`."""
    try:
        chosen = tuple(float(level) for level in np.ravel(np.asarray(levels, np.float64)))
        fits = np.ndim(levels) <= 1 and len(chosen) > 0
    except (TypeError, ValueError):
        chosen, fits = (), False
    increasing = all(low < high for low, high in itertools.pairwise(chosen))
    if not fits or not increasing or not all(0 < level < 1 for level in chosen):
        raise ValueError(
            "`levels` must be probabilities strictly between 0 and 1, each above the one before. "
            f"Received: levels={levels!r}"
        )
    return chosen


def require_broadcast(y_pred, target):
    """Raises `ValueError` unless predictions broadcast to the static shape `target`."""
    shape = tuple(y_pred.shape)
    pairs = zip(reversed(shape), reversed(target), strict=False)
    if len(shape) > len(target) or any(
        None not in (have, want) and have not in (1, want) for have, want in pairs
    ):
        raise ValueError(
            "`y_pred` must have shape (..., q), one quantile per level and outcome, or broadcast "
            f"to it. Received: y_pred.shape={shape}, expected {target}"
        )


def _pinball(y_true, y_pred, levels):
    """`(..., q)`."""
    levels = tf.constant(levels, y_true.dtype)
    error = y_true[..., tf.newaxis] - y_pred
    return tf.maximum(levels * error, (levels - 1.0) * error)


def _float64(name, values):
    try:
        if tf.is_tensor(values):
            return tf.cast(values, tf.float64)
        return tf.convert_to_tensor(np.asarray(values, np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must hold real numbers. Received: {values!r}") from error


def _normalised(weights, shape):
    weights = _float64("weights", weights)
    if not weights.shape.is_compatible_with(shape):
        raise ValueError(
            "`weights` must have the shape of `y_true`. "
            f"Received: weights.shape={tuple(weights.shape)}, y_true.shape={tuple(shape)}"
        )
    if tf.executing_eagerly() and not (
        float(tf.reduce_min(weights)) >= 0 and float(tf.reduce_sum(weights)) > 0
    ):
        raise ValueError(
            "`weights` must not be negative, nor all zero. Received: smallest weight "
            f"{float(tf.reduce_min(weights))}, sum {float(tf.reduce_sum(weights))}"
        )
    return weights / tf.reduce_sum(weights)
