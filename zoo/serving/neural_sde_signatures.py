"""What a served neural SDE answers: its coefficients, and prices by simulation."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import money_dtype
from hedgezoo.layers.black_scholes import european_price
from hedgezoo.layers.implied_volatility import implied_volatility
from hedgezoo.layers.normal import normal_pdf
from hedgezoo.neural_sde.simulated_prices import REPLICATIONS, scramble_seed
from hedgezoo.serving.saved_model import Signature

# paths of a served price: about half a second on one core
GRID_PATHS, DIRECT_PATHS = 2**15, 2**13


def neural_sde_signatures(model):
    """The signatures of a `NeuralSDE` with f features and, if it has one, a latent factor.

    - `coefficients`: `spot` `(B,)`, divided by the forward, `time` `(B,)` in years and, of a model
      that has them, `features` `(B, f)` and `factor` `(B,)`, to `drift` and `diffusion` `(B,)`.
    - `price`, which is also `serving_default`, of dynamics under the pricing measure: `strike`
      `(B,)`, divided by the forward, `maturity` `(B,)` in years, `seed` `(B,)`, integers, and
      `features` `(B, f)` if there are any, to `price` of the call, undiscounted per unit of
      forward, its `standard_error`, and `implied_volatility`, all `(B,)`.

    One simulation per seed (and features) prices all its options: 32 768 paths with one factor,
    8 192 with more, on the time grid of the model, up to its last maturity. Between two times of
    the grid the total implied variance is linear at the strike. All outputs are NaN where the
    maturity is not above 0 or beyond the model's last one, or the strike is not positive; the
    volatility is 0 where no path ends in the money.

    Args:
        model: A `NeuralSDE`.

    Returns:
        Dictionary from name to `Signature`.
    """
    model.build()
    width = len(model.feature_names)
    latent = model.states > 1
    example_features = np.tile(np.ravel(model.network.feature_center), (2, 1))

    def specs(*names):
        shapes = {"features": (None, width)}
        types = {"seed": tf.int64}
        return tuple(
            tf.TensorSpec(shapes.get(name, (None,)), types.get(name, tf.float32), name)
            for name in names
        )

    def coefficients(spot, time, *others):
        named = dict(zip(others_of_point, others, strict=True))
        return {
            "drift": tf.cast(model.drift(spot, time, **named), tf.float32),
            "diffusion": tf.cast(model.diffusion(spot, time, **named), tf.float32),
        }

    others_of_point = ["features"] * bool(width) + ["factor"] * latent
    last = model.maturities[-1]
    points = {
        "spot": np.array([0.9, 1.1]),
        "time": np.array([0.25, 0.75]) * last,
        "features": np.broadcast_to(example_features, (2, width)) if width else None,
        "factor": np.array([0.0, 0.1]),
    }
    names = ("spot", "time", *others_of_point)
    answers = {
        "coefficients": Signature(
            coefficients, specs(*names), {name: points[name] for name in names}
        )
    }
    if not model.risk_neutral:
        return {**answers, "serving_default": answers["coefficients"]}

    names = ("strike", "maturity", "seed", *(["features"] * bool(width)))

    # one function for both names: its graph is stored once
    @tf.function(input_signature=specs(*names), autograph=False)
    def price(strike, maturity, seed, *features):
        return served_prices(model, strike, maturity, seed, *features)

    options = {
        "strike": np.array([0.95, 1.05]),
        "maturity": np.array([0.4, 0.9]) * last,
        "seed": np.array([1, 1]),
        "features": points["features"],
    }
    signature = Signature(price, specs(*names), {name: options[name] for name in names})
    return {**answers, "price": signature, "serving_default": signature}


def served_prices(model, strike, maturity, seed, features=None, paths=None):
    """Prices of options one by one, each distinct seed simulated once.

    Args:
        model: A `NeuralSDE` under the pricing measure.
        strike: `(B,)`, divided by the forward.
        maturity: Years, `(B,)`.
        seed: Integers, `(B,)`. A seed stands for the paths that `model.price` simulates for it
            at the model's own maturities.
        features: `(B, f)` or None.
        paths: Number of paths, a multiple of 16.

    Returns:
        Dictionary of `price`, `standard_error` and `implied_volatility`, float32 `(B,)`.
    """
    rollout = model.rollout(output="path", check_finite=False)
    if paths is None:
        paths = GRID_PATHS if rollout.grid is not None else DIRECT_PATHS
    strike, maturity = (tf.cast(x, tf.float64) for x in (strike, maturity))
    seed = tf.cast(seed, tf.int64)
    good = (strike > 0) & (maturity > 0)
    # a last maturity that was rounded to float32 is still the last maturity
    good &= maturity <= rollout.times[-1] * (1.0 + 1e-6)
    strike, maturity = (tf.where(good, x, 1.0) for x in (strike, maturity))
    times = tf.constant(rollout.times, tf.float64)
    after = tf.clip_by_value(tf.searchsorted(times, maturity), 1, len(rollout.times) - 1)
    first, group = _distinct(seed, features)

    def simulate(number, payoffs):
        start = first[number]
        given = None if features is None else features[start : start + 1]
        log_spot = _log_spots(rollout, paths, seed[start], given)
        rows = tf.where(tf.equal(group, number))
        found = tf.map_fn(
            lambda option: _payoffs(log_spot, *option),
            (tf.gather_nd(strike, rows), tf.gather_nd(after, rows)),
            fn_output_signature=tf.TensorSpec((2, REPLICATIONS), tf.float64),
        )
        return number + 1, tf.tensor_scatter_nd_update(payoffs, rows, found)

    _, payoffs = tf.while_loop(
        lambda number, _: number < tf.size(first),
        simulate,
        (tf.constant(0), tf.zeros((tf.size(strike), 2, REPLICATIONS), tf.float64)),
        parallel_iterations=1,  # the paths of one seed in memory at a time
    )
    ends = tf.gather(times, tf.stack([after - 1, after], axis=1))
    answers = _interpolated(payoffs, strike, maturity, ends)
    nowhere = tf.constant(np.nan, tf.float64)
    return {
        name: tf.cast(tf.where(good, answer, nowhere), tf.float32)
        for name, answer in answers.items()
    }


def _distinct(seed, features):
    """Of each distinct seed (and row of features): its first row; and per row, which it is."""
    keys = seed[:, tf.newaxis]
    if features is not None:
        bits = tf.bitcast(tf.cast(features, tf.float32), tf.int32)
        keys = tf.concat([keys, tf.cast(bits, tf.int64)], axis=1)
    unique, group = tf.raw_ops.UniqueV2(x=keys, axis=[0])
    rows = tf.range(tf.size(group))
    return tf.math.unsorted_segment_min(rows, group, tf.shape(unique)[0]), group


def _log_spots(rollout, paths, seed, features):
    """log(S / F) at all times of the grid on 16 scrambles, `(T + 1, N)`."""
    each = paths // REPLICATIONS
    increments = tf.map_fn(
        lambda number: rollout.draw(scramble_seed(seed, number), each),
        tf.range(REPLICATIONS, dtype=tf.int64),
        fn_output_signature=tf.TensorSpec(
            (each, len(rollout.times) - 1, rollout.factors), money_dtype(rollout.compute_dtype)
        ),
        parallel_iterations=1,
    )
    increments = tf.reshape(increments, (paths, *increments.shape[2:]))
    return tf.transpose(rollout(increments, features=features)[..., 0])


def _payoffs(log_spot, strike, after):
    """Mean payoffs out of the money by scramble, `(2, 16)`: at the time before, and at `after`."""
    spot = tf.exp(tf.cast(tf.gather(log_spot, tf.stack([after - 1, after])), tf.float64))
    payoff = tf.nn.relu(tf.where(strike < 1.0, strike - spot, spot - strike))
    return tf.reduce_mean(tf.reshape(payoff, (2, REPLICATIONS, -1)), axis=-1)


def _interpolated(payoffs, strike, maturity, ends):
    """The answers from mean payoffs `(B, 2, 16)` at the times `(B, 2)` around each maturity."""
    variance, deviations = _variances(payoffs, strike[:, tf.newaxis], ends)
    share = tf.clip_by_value((maturity - ends[:, 0]) / (ends[:, 1] - ends[:, 0]), 0.0, 1.0)
    variance = variance[:, 0] + share * (variance[:, 1] - variance[:, 0])
    share = share[:, tf.newaxis]
    deviations = (1.0 - share) * deviations[:, 0] + share * deviations[:, 1]
    volatility = tf.sqrt(variance / maturity)
    # the price moves with the variance as its derivative says
    spread = tf.math.reduce_std(deviations, axis=1) / np.sqrt(REPLICATIONS - 1.0)
    return {
        "price": european_price(1.0, strike, maturity, volatility),
        "standard_error": spread * _by_variance(strike, variance),
        "implied_volatility": volatility,
    }


def _variances(payoffs, strike, times):
    """Total implied variances `(B, 2)`, and their deviations by scramble `(B, 2, 16)`."""
    mean = tf.reduce_mean(payoffs, axis=-1)
    call = tf.where(strike < 1.0, mean + 1.0 - strike, mean)
    volatility = implied_volatility(call[..., tf.newaxis], strike[..., tf.newaxis], times)[..., 0]
    # at time 0, and where no path ends in the money, there is no variance
    variance = tf.where(volatility > 0, tf.square(volatility) * times, 0.0)
    slope = _by_variance(strike, variance)
    deviations = payoffs - mean[..., tf.newaxis]
    return variance, tf.math.divide_no_nan(deviations, slope[..., tf.newaxis])


def _by_variance(strike, variance):
    """Derivative of the price in the total variance; 0 without variance."""
    deviation = tf.sqrt(variance)
    d1 = tf.math.divide_no_nan(-tf.math.log(strike), deviation) + 0.5 * deviation
    return tf.math.divide_no_nan(0.5 * normal_pdf(d1), deviation)
