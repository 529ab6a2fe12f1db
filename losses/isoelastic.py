"""Isoelastic (constant relative risk aversion) utility of terminal wealth."""

import math

import keras
import tensorflow as tf

from hedgezoo.losses._sample import check_risk_aversion, log_mean_exp, on_sample
from hedgezoo.losses.trainable_intercept import PathwiseLoss


def isoelastic_risk(pnl, risk_aversion=1.0, initial_wealth=1.0, weights=None):
    """Risk of a sample to an investor with isoelastic utility, as an amount of money.

    `initial_wealth - C`, where `C = mean(W^(1-a))^(1/(1-a))` is the certainty equivalent of the
    terminal wealth `W = initial_wealth + X` (for `a = 1`: `C = exp(mean(log W))`). It is monotone,
    convex and cash-equivalent (a sure amount `c` has risk `-c`), but not cash-invariant: the
    richer investor minds the same gamble less.

    Args:
        pnl: Outcomes `X` in money, `(N,)`, an array or a tensor; gains are positive.
        risk_aversion: Relative risk aversion `a > 0`, a pure number. Defaults to 1.
        initial_wealth: In money; `initial_wealth + X` must be positive on every path.
            Defaults to 1.
        weights: Optional weights of the paths, `(N,)`, normalised here.

    Returns:
        The risk in money, bigger is worse: a Python float computed in float64, or for tensors a
        scalar tensor of their dtype, differentiable.

    Raises:
        ValueError: If `risk_aversion` or `initial_wealth` is not positive, `pnl` is not `(N,)` or
            not finite, some terminal wealth is not positive, or `weights` do not fit `pnl`.

    Example:

    >>> from hedgezoo.losses import isoelastic_risk
    >>> round(isoelastic_risk([1.0, -0.75], risk_aversion=1.0), 6)  # 1 - sqrt(2 * 0.25)
    0.292893

    Reference:
        J. W. Pratt (1964), Risk aversion in the small and in the large, Econometrica 32.
    """
    a = check_risk_aversion(risk_aversion)
    w0 = check_risk_aversion(initial_wealth, "initial_wealth")

    def measure(x, p):
        if tf.executing_eagerly() and float(tf.reduce_min(x)) <= -w0:
            raise ValueError(
                "`initial_wealth + pnl` must be positive on every path. Received: "
                f"initial_wealth={w0}, smallest pnl {float(tf.reduce_min(x)):.6g}"
            )
        return -w0 * tf.math.expm1(log_mean_exp(tf.math.log1p(x / w0), p, 1.0 - a))

    return on_sample(measure, pnl, weights)


@keras.saving.register_keras_serializable(package="hedgezoo")
class IsoelasticLoss(PathwiseLoss):
    """Minus the isoelastic utility of terminal wealth, one value per path.

    With `X = y_pred - y_true`, initial wealth `w0` and relative risk aversion `a`, the value is
    `-u(X)` with

    `u(X) = w0 ((1 + X / w0)^(1 - a) - 1) / (1 - a)`, and `w0 log(1 + X / w0)` for `a = 1`,

    in money, with `u(0) = 0` and `u'(0) = 1`. Its mean falls exactly when
    `hedgezoo.losses.isoelastic_risk` falls. There is no intercept to train.

    Below the share `floor` of the initial wealth the utility is continued by its tangent, so
    paths that ruin the investor have a finite loss and a gradient that leads back.

    Args:
        risk_aversion: Relative risk aversion `a > 0`. Defaults to 1.
        initial_wealth: `w0 > 0` in money. Defaults to 1.
        floor: Share of the initial wealth, in (0, 1). Defaults to 0.05.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computations.

    Call arguments:
        y_true: Liability `(B,)`, in money.
        y_pred: Gains `(B,)`, in money.

    Raises:
        ValueError: If `risk_aversion` or `initial_wealth` is not positive, `floor` is outside
            (0, 1), or (when called) the shapes are not `(B,)`.

    Example:

    >>> import numpy as np
    >>> from hedgezoo.losses import IsoelasticLoss
    >>> loss = IsoelasticLoss(risk_aversion=2.0, dtype="float64")
    >>> float(loss(y_true=np.zeros(2), y_pred=np.array([1.0, -0.5])))
    0.25

    Reference:
        J. W. Pratt (1964), Risk aversion in the small and in the large, Econometrica 32.
    """

    def __init__(
        self,
        risk_aversion=1.0,
        initial_wealth=1.0,
        floor=0.05,
        reduction="sum_over_batch_size",
        name="isoelastic_loss",
        dtype=None,
    ):
        self.risk_aversion = check_risk_aversion(risk_aversion)
        self.initial_wealth = check_risk_aversion(initial_wealth, "initial_wealth")
        if not 0 < floor < 1:
            raise ValueError(f"`floor` must lie strictly between 0 and 1. Received: {floor!r}")
        self.floor = float(floor)
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def pathwise(self, outcome):
        k = 1.0 - self.risk_aversion
        relative = outcome / self.initial_wealth
        solvent = tf.maximum(relative, self.floor - 1.0)
        log_wealth = tf.math.log1p(solvent)
        utility = tf.math.expm1(k * log_wealth) / k if k else log_wealth
        below = relative - solvent
        slope = math.pow(self.floor, -self.risk_aversion)
        return -self.initial_wealth * (utility + slope * below)

    def get_config(self):
        return {
            **super().get_config(),
            "risk_aversion": self.risk_aversion,
            "initial_wealth": self.initial_wealth,
            "floor": self.floor,
        }
