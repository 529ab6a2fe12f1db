"""What a trader reads off a panel: level, slope and curvature of each smile, along maturities."""

import tensorflow as tf

# of log(K)/√T: unit, and width of the kernel that prefers quotes near the money
_UNIT, _KERNEL = 0.2, 0.3
_RIDGE = (1e-6, 1e-4, 1e-3)
# years at which smiles are interpolated, and the kernel's width in log T
YEARS = (0.05, 0.15, 0.4, 1.0, 2.0, 4.0)
_LOG_WIDTH = 0.35


def smiles(quotes):
    """Level, slope and curvature at the money of each maturity's volatilities.

    Weighted least squares of volatility on 1, z, z² with z = log(K)/(0.2 √T), with a slight ridge
    so that few quotes give a flat smile.

    Args:
        quotes: A `Quotes`.

    Returns:
        `(B, m, 3)`; the level is the guess of `Quotes` where a maturity has no quote.
    """
    dtype = quotes.dtype
    known = tf.cast(quotes.mask, dtype)
    z = tf.math.log(quotes.strikes) / (_UNIT * quotes.root_years)
    z = tf.where(quotes.mask, z, 0.0)
    weights = known * tf.exp(-0.5 * tf.square(z * (_UNIT / _KERNEL)))
    total = tf.reduce_sum(weights, axis=-1, keepdims=True)
    # quotes far out only: their kernel weights must not underflow
    weights = tf.math.divide_no_nan(weights, tf.maximum(total, 1e-6))
    ones = tf.ones_like(z)
    basis = tf.stack([ones, z, tf.square(z)], axis=-1)
    weighted = basis * weights[..., tf.newaxis]
    matrix = tf.matmul(weighted, basis, transpose_a=True)
    matrix += tf.linalg.diag(tf.constant(_RIDGE, dtype))
    # relative to the mean, towards which the ridge pulls
    mean = tf.reduce_sum(known * quotes.volatility, axis=-1, keepdims=True)
    count = tf.reduce_sum(known, axis=-1, keepdims=True)
    mean = tf.where(count > 0.0, tf.math.divide_no_nan(mean, count), quotes.volatility[..., :1])
    right = tf.matmul(weighted, (quotes.volatility - mean)[..., tf.newaxis], transpose_a=True)
    fitted = tf.linalg.solve(matrix, right)[..., 0]
    level = tf.maximum(fitted[..., :1] + mean, 0.2 * mean)
    return tf.concat([level, fitted[..., 1:]], axis=-1)


def along_maturities(quotes, columns):
    """Columns of the maturities, averaged around the fixed `YEARS`.

    Args:
        quotes: A `Quotes`.
        columns: `(B, m, c)`.

    Returns:
        `(B, 6, c)`; zero for a panel without quotes.
    """
    dtype = quotes.dtype
    there = tf.cast(tf.reduce_any(quotes.mask, axis=-1), dtype)[..., tf.newaxis]
    log_years = tf.math.log(quotes.maturities)[..., tf.newaxis]
    apart = (log_years - tf.math.log(tf.constant(YEARS, dtype))) / _LOG_WIDTH
    scores = -0.5 * tf.square(apart) + 1e6 * (there - 1.0)
    scores -= tf.reduce_max(scores, axis=-2, keepdims=True)
    weights = tf.exp(scores) * there
    weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=-2, keepdims=True))
    return tf.matmul(weights, columns, transpose_a=True)


def heuristic_start(quotes, coordinates):
    """Coordinates of κ = 2, ξ = 0.6, ρ = -0.5, and θ and v₀ from volatilities at the money.

    Jumps: half a one per year, of -10 % ± 15 %.

    Args:
        quotes: A `Quotes`.
        coordinates: A `Coordinates`.

    Returns:
        `(B, p)`.
    """
    variance = tf.square(along_maturities(quotes, smiles(quotes)[..., :1])[..., 0])
    variance = tf.maximum(variance, 1e-4)
    short, long = variance[:, 0], variance[:, -1]
    one = tf.ones_like(short)
    columns = [2.0 * one, long, 0.6 * one, -0.5 * one, short, 0.5 * one, -0.1 * one, 0.15 * one]
    return coordinates.from_parameters(tf.stack(columns[: len(coordinates)], axis=-1))
