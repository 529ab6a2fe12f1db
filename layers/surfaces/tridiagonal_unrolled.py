"""The sweeps of `tridiagonal_sweep`, written out node by node: fastest for small grids.

Inside, a surface is a list over the nodes of lists over the steps, or the other way round; each
entry is one batch.
"""

from typing import NamedTuple

import tensorflow as tf


class _Elimination(NamedTuple):
    """A' = LU, each a list over the nodes of `(m, B)`: links of L, links of U, inverse pivots."""

    up: list
    down: list
    inverse: list


def eliminate(lower, upper):
    """Eliminates the nodes from the bottom up, all steps at once.

    Args:
        lower: Rates to the node below, `(m, n, B)`.
        upper: Rates to the node above, `(m, n, B)`.

    Returns:
        The elimination, for `run`.
    """
    lower, upper = tf.unstack(lower, axis=1), tf.unstack(upper, axis=1)
    up, down, inverses, lost = [], [], [], 1.0
    for i, (below, above) in enumerate(zip(lower, upper, strict=True)):
        # what is absorbed at node i or below it; of all that leaves, that is the share which
        # does not come back
        absorbed = 1.0 + below * lost
        inverse = 1.0 / (absorbed + above)
        lost = absorbed * inverse
        inverses.append(inverse)
        if i + 1 < len(lower):
            up.append(above * inverse)
            down.append(lower[i + 1] * inverse)
    return _Elimination(up, down, inverses)


def run(lower, upper, sources, transfer, elimination, prices, backwards):
    """All steps, one after the other; arguments as in `tridiagonal_sweep.diffuse`.

    Args:
        lower: `(m, n, B)`.
        upper: `(m, n, B)`.
        sources: `(m, n+2, B)` or `(1, n+2, B)`.
        transfer: `(m, n+2, n+2)`, or None.
        elimination: From `eliminate`.
        prices: Whether to run prices, not probabilities.
        backwards: Whether the last step comes first.

    Returns:
        Tensor `(m, n+2, B)`.
    """
    m, n = lower.shape[:2]
    first, last = tf.unstack(lower[:, 0]), tf.unstack(upper[:, -1])
    factors = [[tf.unstack(x) for x in part] for part in elimination]
    sources = [tf.unstack(x) for x in tf.unstack(sources)]
    state, states = None, [None] * m
    for j in reversed(range(m)) if backwards else range(m):
        if state is None:
            state = sources[j]
        else:
            if transfer is not None:
                move = transfer[j + 1 if prices else j]
                state = tf.unstack(tf.matmul(move, tf.stack(state), transpose_a=prices))
            if len(sources) == m:
                state = [old + new for old, new in zip(state, sources[j], strict=True)]
        up, down, inverse = ([x[j] for x in part] for part in factors)
        low, *inner, high = state
        if prices:
            inner[0] += first[j] * low
            inner[-1] += last[j] * high
            inner = _substitute(down, up, inverse, inner)
        else:
            inner = _substitute(up, down, inverse, inner)
            low, high = low + first[j] * inner[0], high + last[j] * inner[-1]
        states[j] = state = [low, *inner, high]
    return tf.reshape(tf.stack([node for state in states for node in state]), (m, n + 2, -1))


def _substitute(first, second, inverse, right):
    values = list(right)
    for i in range(1, len(values)):
        values[i] += first[i - 1] * values[i - 1]
    values[-1] *= inverse[-1]
    for i in reversed(range(len(values) - 1)):
        values[i] = values[i] * inverse[i] + second[i] * values[i + 1]
    return values
