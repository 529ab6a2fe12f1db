"""Calibration proper: unrolled steps in single precision, exact ones, and a loop for the rest."""

import dataclasses
import functools

import tensorflow as tf

from hedgezoo.heston_calibrator.levenberg_marquardt import (
    choose,
    levenberg_marquardt,
    replace,
    settled,
)
from hedgezoo.heston_calibrator.normal_equations import NormalEquations
from hedgezoo.heston_calibrator.quadrature_error import quadrature_error
from hedgezoo.heston_calibrator.refinement import NOISE_FLOOR, Prior, gauss_newton_step, hessian
from hedgezoo.heston_calibrator.residuals import (
    APART,
    BASIS_POINT,
    Quotes,
    residuals_and_jacobian,
    volatility_residuals,
)
from hedgezoo.heston_calibrator.smile_features import heuristic_start

_ROUGH_NODES = 48
# Contour and nodes of exact prices; each panel gets the first that resolves its integrals, that is
# errs by less than this plus this share of the noise.
SCHEMES = (("vertical", 64), ("vertical", 128), ("vertical", 256), ("tilted", 192))
_RESOLVED, _RESOLVED_SHARE = 0.1 * BASIS_POINT, 0.03
# noise beyond this plus so many deviations of the quotes says that the fit failed
_IMPLAUSIBLE, _IMPLAUSIBLE_SHARE = 2.0 * BASIS_POINT, 3.0
# least squares from another start must fit so much better than the posterior mode
_MUCH_BETTER = 0.7


@dataclasses.dataclass(frozen=True)
class Inferred:
    """What is known of a batch of panels; floats are float64.

    Args:
        path: Coordinates at the start and after each unrolled step, `(B, S+1, p)`; the last ones
            are the result.
        residuals: Model minus quotes at each of them, `(B, S+1, m, n)`; 0 where masked.
        precision: Of the last coordinates, `(B, p, p)`.
        volatility: Of the fitted model, `(B, m, n)`.
        noise: Variance of a quote of mean weight, `(B,)`.
        converged: Booleans `(B,)`.
        iterations: Steps altogether, int32, `(B,)`.
    """

    path: tf.Tensor
    residuals: tf.Tensor
    precision: tf.Tensor
    volatility: tf.Tensor
    noise: tf.Tensor
    converged: tf.Tensor
    iterations: tf.Tensor


def judge(coordinates, quotes, u):
    """Residuals and precision at given coordinates, without any step: an `Inferred`."""
    weights = quotes.weights()
    r, jacobian = _by_scheme(coordinates, u, quotes, weights)
    equations = NormalEquations.of(r, jacobian, weights)
    noise = tf.maximum(
        tf.math.divide_no_nan(equations.squares, equations.count), NOISE_FLOOR["float64"] ** 2
    )
    return _inferred(
        quotes,
        [u],
        [r],
        hessian(equations, u, noise, Prior(u, None))[0],
        noise,
        tf.ones_like(noise, tf.bool),
        tf.zeros_like(noise, tf.int32),
    )


def infer(coordinates, quotes, u, prior, dampings, max_steps, rough_type="float32"):
    """The posterior mode, by as little work as it takes.

    All unrolled steps but the last use prices of low precision. The last one takes exact prices
    and the latest derivatives. Panels that it moves by too much, or whose prices need more nodes,
    go on by Levenberg-Marquardt. Where the remaining errors are implausible for the spreads of the
    quotes, another start is tried.

    Args:
        coordinates: A `Coordinates`.
        quotes: `Quotes` in float64.
        u: Where to start, `(B, p)`, float64.
        prior: A `Prior`.
        dampings: Of the unrolled steps, at least one.
        max_steps: Largest number of steps of Levenberg-Marquardt; 0 for none.
        rough_type: Floating type of the first prices.

    Returns:
        An `Inferred`.
    """
    weights = quotes.weights()
    rough = quotes.cast(rough_type)
    rough_weights = rough.weights()
    path, errors, jacobian = [u], [], None
    for damping in dampings[:-1]:
        at = tf.cast(u, rough_type)
        r, jacobian = residuals_and_jacobian(coordinates, at, rough, "vertical", _ROUGH_NODES)
        equations = NormalEquations.of(r, jacobian, rough_weights)
        noise = equations.noise_variance(NOISE_FLOOR[rough.dtype.name])
        u = gauss_newton_step(coordinates, u, equations, noise, prior, damping)
        path.append(u)
        errors.append(tf.cast(r, tf.float64))

    contour, nodes = SCHEMES[0]
    if jacobian is None:
        r, jacobian = residuals_and_jacobian(coordinates, u, quotes, contour, nodes)
    else:
        r = volatility_residuals(coordinates, u, quotes, contour, nodes)
    errors.append(r)
    equations = NormalEquations.of(r, jacobian, weights)
    noise = equations.noise_variance(NOISE_FLOOR["float64"])
    last = gauss_newton_step(coordinates, u, equations, noise, prior, 0.0)
    moved = last - u
    r += tf.linalg.matvec(tf.cast(jacobian, r.dtype), moved[:, tf.newaxis, :])
    # the derivatives are those of the point before, a few per cent off
    done = settled(equations, moved, noise)
    count = tf.fill(tf.shape(noise), len(dampings))
    state = (last, r, hessian(equations, last, noise, prior)[0], noise, done, count)

    if max_steps:
        coarse = _coarse(coordinates, quotes, weights, last, noise, nodes)
        state = (*state, coarse)
        state = _finish(coordinates, quotes, state, prior, max_steps)
        state = _start_again(coordinates, quotes, weights, state, max_steps)[:-1]
    last, r, precision, noise, converged, count = state
    return _inferred(quotes, [*path, last], [*errors, r], precision, noise, converged, count)


def _inferred(quotes, path, errors, precision, noise, converged, count):
    known = tf.cast(quotes.mask, tf.float64)[:, tf.newaxis]
    return Inferred(
        path=tf.stack(path, axis=1),
        residuals=tf.stack(errors, axis=1) * known,
        precision=precision,
        volatility=quotes.volatility + errors[-1],
        noise=noise,
        converged=converged,
        iterations=count,
    )


def _finish(coordinates, quotes, state, prior, max_steps):
    """Levenberg-Marquardt for the panels that need it, from few nodes to many.

    `state` is coordinates, residuals, precision, noise, converged, steps, and which panels need
    more nodes.
    """
    ranks = quotes.strikes.shape.rank, quotes.maturities.shape.rank
    steps = tf.convert_to_tensor(max_steps, tf.int32)
    return _compiled(coordinates, ranks)(*state, *prior.tensors(), *quotes.tensors(), steps)


@functools.lru_cache(maxsize=32)
def _compiled(coordinates, ranks):
    """The same as a function of its own, traced once for both of its uses."""
    p = len(coordinates)
    shapes = [[None, p], [None] * 3, [None, p, p], *[[None]] * 4, [None, p], [None, p, p]]
    shapes += [[None] * rank for rank in (3, *ranks, 3, 3, 0)]
    types = [tf.float64] * 4 + [tf.bool, tf.int32, tf.bool]
    types += [tf.float64] * 5 + [tf.bool, tf.float64, tf.int32]
    signature = [tf.TensorSpec(*pair) for pair in zip(shapes, types, strict=True)]

    @tf.function(input_signature=signature, autograph=False, experimental_attributes=APART)
    def finish(*arguments):
        state, quotes, max_steps = arguments[:7], Quotes(*arguments[9:14]), arguments[14]
        prior = Prior(*arguments[7:9])
        for level, (contour, nodes) in enumerate(SCHEMES):

            def go_on(rows, level=level, contour=contour, nodes=nodes, state=state):
                if 0 < level < len(SCHEMES) - 1:
                    at, noise = tf.gather(state[0], rows), tf.gather(state[3], rows)
                    here = quotes.rows(rows)
                    too_few = _coarse(coordinates, here, here.weights(), at, noise, nodes)
                    rows = tf.boolean_mask(rows, ~too_few)
                here, start = quotes.rows(rows), tf.gather(state[0], rows)
                found = _fit(coordinates, here, start, prior.rows(rows), contour, nodes, max_steps)
                count = found[5] + tf.gather(state[5], rows)
                return replace(state, rows, (*found[:5], count, found[6]))

            wanted = state[6] if level else ~state[4] & ~state[6]
            state = _where_any(wanted, go_on, state)
        return state

    return finish


def _coarse(coordinates, quotes, weights, u, noise, nodes):
    """Whether panels need more nodes than these on the vertical contour, `(B,)`."""
    error = quadrature_error(coordinates, u, quotes, weights, nodes)
    return error > _RESOLVED + _RESOLVED_SHARE * tf.sqrt(noise)


def _start_again(coordinates, quotes, weights, state, max_steps):
    """Least squares from the heuristic start where the fit is implausibly bad."""
    known = tf.cast(quotes.mask, tf.float64)
    variance = tf.reduce_sum(known * tf.square(quotes.deviations()), axis=(-2, -1))
    variance = tf.math.divide_no_nan(variance, tf.reduce_sum(known, axis=(-2, -1)))
    limit = _IMPLAUSIBLE + _IMPLAUSIBLE_SHARE * tf.sqrt(variance)
    failed = (_root_mean_square(weights, state[1]) > limit) | ~state[4]

    def again(rows):
        here = quotes.rows(rows)
        start = heuristic_start(here, coordinates)
        nothing = Prior(start, None)
        found = _fit(coordinates, here, start, nothing, *SCHEMES[0], max_steps)
        found = _finish(coordinates, here, found, nothing, max_steps)
        old = tuple(tf.gather(x, rows) for x in state)
        w = tf.gather(weights, rows)
        new_error, old_error = (_root_mean_square(w, x[1]) for x in (found, old))
        better = new_error < _MUCH_BETTER * old_error
        better |= found[4] & ~old[4] & (new_error < old_error)
        new = [choose(better, x, y) for x, y in zip(found, old, strict=True)]
        new[5] = found[5] + old[5]
        return replace(state, rows, new)

    return _where_any(failed, again, state)


def _root_mean_square(weights, residuals):
    squares = tf.reduce_sum(weights * tf.square(residuals), axis=(-2, -1))
    return tf.sqrt(tf.math.divide_no_nan(squares, tf.reduce_sum(weights, axis=(-2, -1))))


def _fit(coordinates, quotes, start, prior, contour, nodes, max_steps):
    u, r, jacobian, done, count = levenberg_marquardt(
        coordinates, quotes, start, prior, contour, nodes, max_steps
    )
    weights = quotes.weights()
    equations = NormalEquations.of(r, jacobian, weights)
    noise = equations.noise_variance(NOISE_FLOOR["float64"])
    precision = hessian(equations, u, noise, prior)[0]
    coarse = tf.zeros_like(done)
    if contour == "vertical":
        coarse = _coarse(coordinates, quotes, weights, u, noise, nodes)
    return u, r, precision, noise, done, count, coarse


def _by_scheme(coordinates, u, quotes, weights):
    """Residuals and Jacobian with as many nodes as each panel needs."""
    shape = tf.shape(quotes.volatility)
    r = tf.zeros(shape, tf.float64)
    jacobian = tf.zeros(tf.concat([shape, [len(coordinates)]], 0), tf.float64)
    state = (r, jacobian, tf.ones(shape[:1], tf.bool))
    for contour, nodes in SCHEMES:
        if contour == "vertical":
            nothing = tf.zeros(shape[:1], tf.float64)
            coarse = _coarse(coordinates, quotes, weights, u, nothing, nodes)
        else:
            coarse = tf.zeros(shape[:1], tf.bool)

        def evaluate(rows, contour=contour, nodes=nodes, state=state):
            here, at = quotes.rows(rows), tf.gather(u, rows)
            found = residuals_and_jacobian(coordinates, at, here, contour, nodes)
            return replace(state, rows, (*found, tf.zeros_like(at[:, 0]) > 0.0))

        state = _where_any(state[2] & ~coarse, evaluate, state)
    return state[:2]


def _where_any(condition, function, state):
    """`function(rows)` for the rows that satisfy a condition, or `state` if there are none."""
    rows = tf.where(condition)[:, 0]
    return tf.cond(tf.size(rows) > 0, lambda: function(rows), lambda: tuple(state))
