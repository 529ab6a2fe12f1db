"""The least-squares problems of many panels at once: errors in volatility, in TensorFlow."""

import math

import tensorflow as tf

from hedgezoo.layers import bates_call_and_jacobian, heston_call_and_jacobian, implied_volatility

BASIS_POINTS = 1e4
_PRICES = {"heston": heston_call_and_jacobian, "bates": bates_call_and_jacobian}
# out-of-the-money prices, per unit of the smaller of strike and forward, at the limit of rounding
_SMALLEST, _LARGEST = 1e-14, 1.0 - 1e-6
# bp² per squared distance from the range of a coordinate: where prices no longer move, this does
_FENCE = 1e8


class PanelErrors:
    """Errors of a model against the quotes of b panels, as functions of search coordinates.

    Every problem is its own: of the mean of squared errors of panel i, Σ w e² / Σ w in bp², only
    coordinates u_i matter. Outside the range of a coordinate the model stays at its end and the
    squared distance is added, times a large number.

    Args:
        model: A `Model`.
        nodes: Quadrature nodes of the prices.
        volatility: Quotes, `(b, m, n)`, positive everywhere.
        weights: Of the squared errors, `(b, m, n)`, zero where there is no quote.
        strikes: `(n,)`, `(m, n)` or `(b, m, n)`.
        maturities: `(m,)` or `(b, m)`.
    """

    def __init__(self, model, nodes, volatility, weights, strikes, maturities):
        self.model, self.nodes = model, nodes
        self.volatility = volatility
        self.shares = weights / tf.reduce_sum(weights, (1, 2), keepdims=True)
        self.strikes, self.maturities = strikes, maturities
        self._ranges = tf.constant(model.ranges, tf.float64)

    def errors(self, free):
        """Model volatility minus quote in bp, `(b, m, n)`, and its derivatives `(b, m, n, p)`."""
        parameters, slopes = self.natural(free)
        price = _PRICES[self.model.name]
        calls, jacobian = price(
            parameters, self.strikes, self.maturities, contour="vertical", nodes=self.nodes
        )
        unit = tf.minimum(self.strikes, 1.0)
        intrinsic = tf.nn.relu(1.0 - self.strikes)
        low, high = intrinsic + _SMALLEST * unit, intrinsic + _LARGEST * unit
        resolved = (calls > low) & (calls < high) & (self.shares > 0.0)
        calls = tf.clip_by_value(calls, low, high)
        volatility = implied_volatility(calls, self.strikes, self.maturities)
        # a price of 1e-14 in the money is lost in rounding
        volatility = tf.where(volatility > 1e-4, volatility, 1e-4)
        root = tf.sqrt(self.maturities)[..., tf.newaxis]
        d1 = 0.5 * volatility * root - tf.math.log(self.strikes) / (volatility * root)
        vega = root * tf.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
        scale = tf.where(resolved, BASIS_POINTS / tf.where(resolved, vega, 1.0), 0.0)
        errors = tf.where(self.shares > 0.0, volatility - self.volatility, 0.0)
        return (
            BASIS_POINTS * errors,
            scale[..., tf.newaxis] * jacobian * slopes[:, tf.newaxis, tf.newaxis],
        )

    def normal_equations(self, free):
        """Mean squared errors, gradients, and Gauss-Newton Hessians `(b, p, p)`."""
        errors, jacobian = self.errors(free)
        weighted = self.shares * errors
        cost = tf.reduce_sum(weighted * errors, (1, 2))
        gradient = 2.0 * tf.einsum("bmn,bmnp->bp", weighted, jacobian)
        rows = self.shares[..., tf.newaxis] * jacobian
        hessian = 2.0 * tf.einsum("bmnp,bmnq->bpq", rows, jacobian)
        beyond = free - tf.clip_by_value(free, *tf.unstack(self._ranges))
        outside = tf.cast(beyond != 0.0, free.dtype)
        cost += _FENCE * tf.reduce_sum(beyond**2, -1)
        gradient += 2.0 * _FENCE * beyond
        hessian += tf.linalg.diag(2.0 * _FENCE * outside)
        return cost, gradient, hessian

    def natural(self, free):
        """Parameters `(b, p)` and their derivatives each by its own coordinate, `(b, p)`."""
        low, high = tf.unstack(self._ranges)
        inside = tf.cast((free >= low) & (free <= high), free.dtype)
        free = tf.clip_by_value(free, low, high)
        values, slopes = [], []
        for (_, scale, _, _), u in zip(self.model.rows, tf.unstack(free, axis=-1), strict=True):
            value = {"log": tf.exp, "atanh": tf.tanh, "linear": tf.identity}[scale](u)
            values.append(value)
            slopes.append({"log": value, "atanh": 1.0 - value**2}.get(scale, tf.ones_like(u)))
        return tf.stack(values, -1), inside * tf.stack(slopes, -1)
