"""L-BFGS on many least-squares problems in step, by TensorFlow Probability."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from hedgezoo.baselines.calibration.models import MODELS
from hedgezoo.baselines.calibration.panel_errors import PanelErrors
from hedgezoo.baselines.calibration.solvers import FIRST_NODES, MOST_NODES, RESOLVED

# L-BFGS starts afresh after so many iterations, in coordinates that suit the place it has reached
_ITERATIONS, _LINE_SEARCH = 10, 8
# damping of the coordinates: per unit of cost, and what fails is damped more in the next round
_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1.0, 1e-3, 1e6
# bp²: a tenth of a thousandth of a basis point, squared
_NOTHING = 1e-10
# of a function that is not to be copied into every line search that uses it
_APART = {"_noinline": True}


@dataclasses.dataclass(frozen=True)
class Minima:
    """Where b searches ended.

    Args:
        free: Search coordinates, `(b, p)`.
        nodes: Quadrature nodes that they took, `(b,)`.
        converged: Whether a minimum was found, booleans `(b,)`.
        evaluations: Number of times that the quotes were priced, `(b,)`.
    """

    free: np.ndarray
    nodes: np.ndarray
    converged: np.ndarray
    evaluations: np.ndarray


def minimise(model, start, problem, tolerance, max_evaluations):
    """Minimises the mean squared volatility errors of b panels.

    All searches of a batch do their line searches in step: each costs as many evaluations as the
    hardest one needs. Every few iterations those that are finished leave the batch, and the others
    go on in coordinates in which the (damped) Gauss-Newton Hessian is the unit matrix.

    Args:
        model: A `Model`.
        start: Search coordinates, `(b, p)`.
        problem: Quotes `(b, m, n)`, weights `(b, m, n)`, strikes and maturities, as NumPy arrays;
            see `PanelErrors`.
        tolerance: Relative change of the cost that counts as none.
        max_evaluations: About the largest number per search and number of nodes.

    Returns:
        `Minima`.
    """
    free = np.array(start, np.float64)
    total = len(free)
    nodes, converged = np.full(total, FIRST_NODES), np.zeros(total, bool)
    evaluations, rows = np.zeros(total, int), np.arange(total)
    count = FIRST_NODES
    while True:
        part = rows_of(problem, rows)
        found = _minimise(model, count, free[rows], part, tolerance, max_evaluations)
        free[rows], converged[rows] = found[:2]
        evaluations[rows] += found[2] + 3
        nodes[rows] = count
        if count == MOST_NODES:
            break
        few, many = (_errors(model, n, free[rows], part) for n in (count, 2 * count))
        rows = rows[np.abs(many - few).max(axis=(1, 2)) > RESOLVED]
        if not len(rows):
            break
        count *= 2
    return Minima(free, nodes, converged, evaluations)


def rows_of(problem, rows):
    """Some of the panels of a problem; shared grids stay shared."""
    volatility, weights, strikes, maturities = problem
    return (
        volatility[rows],
        weights[rows],
        strikes[rows] if strikes.ndim == 3 else strikes,
        maturities[rows] if maturities.ndim == 2 else maturities,
    )


def normal_equations(model, nodes, free, problem):
    """Errors in bp `(b, m, n)` and Gauss-Newton Hessians `(b, p, p)` of the mean squared errors."""
    errors, jacobian = _compiled(model.name, nodes, *_ranks(problem))[1](
        *map(tf.constant, (free, *problem))
    )
    weights = problem[1] / problem[1].sum(axis=(1, 2), keepdims=True)
    rows = weights[..., np.newaxis] * jacobian.numpy()
    return errors.numpy(), np.einsum("bmnp,bmnq->bpq", rows, jacobian.numpy())


def on_grid(quotes):
    """The problem of one panel: N quotes in a grid with a row for each maturity.

    Args:
        quotes: A `Quotes`.

    Returns:
        Volatilities `(1, m, n)`, weights `(1, m, n)`, strikes `(m, n)` and maturities `(m,)`.
    """
    years, row = np.unique(quotes.maturities, return_inverse=True)
    order = np.lexsort((quotes.strikes, row))
    first = np.searchsorted(row[order], np.arange(len(years)))
    column = np.empty(len(row), int)
    column[order] = np.arange(len(row)) - first[row[order]]
    shape = (len(years), column.max() + 1)
    grids = []
    for values, elsewhere in (
        (quotes.implied_volatility, 0.2),
        (quotes.weights, 0.0),
        (quotes.strikes, 1.0),
    ):
        grid = np.full(shape, elsewhere)
        grid[row, column] = values
        grids.append(grid)
    volatility, weights, strikes = grids
    return volatility[np.newaxis], weights[np.newaxis], strikes, years


def attempts(errors, points, limits):
    """Minimises one panel from several starts, all in one batch.

    Args:
        errors: A `VolatilityErrors`.
        points: Where to start, `(starts, p)`, search coordinates.
        limits: `Limits`.

    Returns:
        Per start the sum of squares, nodes, coordinates, whether it converged and why it stopped.
    """
    weighted = dataclasses.replace(errors.quotes, weights=errors.weights)
    volatility, weights, *grid = on_grid(weighted)
    count = len(points)
    problem = (np.repeat(volatility, count, 0), np.repeat(weights, count, 0), *grid)
    minima = minimise(errors.model, points, problem, limits.tolerance, limits.evaluations)
    errors.evaluations += int(minima.evaluations.sum())
    results = []
    for free, nodes, converged in zip(
        minima.free, minima.nodes.tolist(), minima.converged.tolist(), strict=True
    ):
        errors.use_nodes(nodes)
        message = "the cost no longer falls" if converged else "evaluations used up"
        if nodes == MOST_NODES:
            message += f"; prices may need more than {nodes} nodes"
        results.append((errors.cost(free), nodes, free, converged, message))
    return results


# ------------------------------------------------------------------------------------- internals


def _minimise(model, nodes, start, problem, tolerance, max_evaluations):
    """Coordinates, whether they are minima, and evaluations, at one number of nodes."""
    search, _ = _compiled(model.name, nodes, *_ranks(problem))
    free, total = start.copy(), len(start)
    converged, evaluations = np.zeros(total, bool), np.zeros(total, int)
    damping, rows = np.full(total, _DAMPING), np.arange(total)
    least = max(tolerance**1.2, 1e-14)  # a short step is not yet the last one
    while len(rows):
        arguments = (free[rows], *rows_of(problem, rows), damping[rows], np.float64(least))
        outputs = (x.numpy() for x in search(*map(tf.constant, arguments)))
        reached, before, after, promised, failed, spent = outputs
        better = after < before
        free[rows[better]] = reached[better]
        evaluations[rows] += int(spent) + 1
        # what another round, or a Gauss-Newton step, would still bring
        still = np.maximum(before - after, 0.0) > _NOTHING + least * after
        settled = ~still & (~failed | (promised <= 1e-8 * (1.0 + after)))
        converged[rows] = settled
        damping[rows] = np.where(
            failed, 10.0 * damping[rows], np.maximum(0.1 * damping[rows], _LEAST_DAMPING)
        )
        hopeless = ~still & (damping[rows] > _MOST_DAMPING)
        rows = rows[~settled & ~hopeless & (evaluations[rows] < max_evaluations)]
    return free, converged, evaluations


def _errors(model, nodes, free, problem):
    compiled = _compiled(model.name, nodes, *_ranks(problem))[1]
    return compiled(*map(tf.constant, (free, *problem)))[0].numpy()


def _ranks(problem):
    return problem[2].ndim, problem[3].ndim


@functools.lru_cache(maxsize=32)
def _compiled(name, nodes, strike_rank, maturity_rank):
    """A round of L-BFGS, and the errors with their Jacobian, for batches and grids of any size."""
    import tensorflow_probability as tfp

    model = MODELS[name]
    shapes = [(None, len(model)), *((None,) * rank for rank in (3, 3, strike_rank, maturity_rank))]
    panels = [tf.TensorSpec(shape, tf.float64) for shape in shapes]
    extra = [tf.TensorSpec((None,), tf.float64), tf.TensorSpec((), tf.float64)]

    @tf.function(input_signature=panels, autograph=False)
    def errors(free, *problem):
        return PanelErrors(model, nodes, *problem).errors(free)

    @tf.function(input_signature=panels, autograph=False, experimental_attributes=_APART)
    def equations(free, *problem):
        return PanelErrors(model, nodes, *problem).normal_equations(free)

    @tf.function(input_signature=panels + extra, autograph=False)
    def search(free, *rest):
        *problem, damping, tolerance = rest
        before, gradient, hessian = equations(free, *problem)
        ridge = damping * before + 1e-9 * tf.linalg.trace(hessian) + 1e-6
        hessian += ridge[:, tf.newaxis, tf.newaxis] * tf.eye(len(model), dtype=tf.float64)
        root = tf.linalg.inv(tf.linalg.cholesky(hessian))  # rootᵀ root is the inverse

        def at(point):
            return free + tf.linalg.matvec(root, point, transpose_a=True)

        def objective(point):
            cost, gradient, _ = equations(at(point), *problem)
            return cost, tf.linalg.matvec(root, gradient)

        found = tfp.optimizer.lbfgs_minimize(
            objective,
            tf.zeros_like(free),
            tolerance=0.0,
            f_absolute_tolerance=_NOTHING,
            f_relative_tolerance=tolerance,
            max_iterations=_ITERATIONS,
            max_line_search_iterations=_LINE_SEARCH,
        )
        promised = 0.5 * tf.reduce_sum(tf.linalg.matvec(root, gradient) ** 2, -1)
        return (
            at(found.position),
            before,
            found.objective_value,
            promised,
            found.failed,
            found.num_objective_evaluations,
        )

    return search, errors
