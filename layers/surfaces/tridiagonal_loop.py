"""The sweeps of `tridiagonal_sweep` as loops over tensors: for large grids, and for XLA."""

from typing import NamedTuple

import tensorflow as tf

from hedgezoo.layers.surfaces.xla_context import compiled_by_xla

# A sweep over so many nodes is written out inside the loop over steps, unless for XLA.
LONGEST_UNROLLED = 256


class _Elimination(NamedTuple):
    """A' = LU, `(m, n, B)`: links of L, links of U (the last ones unused), inverse pivots."""

    up: tf.Tensor
    down: tf.Tensor
    inverse: tf.Tensor


def eliminate(lower, upper):
    """As `tridiagonal_unrolled.eliminate`.

    Args:
        lower: Rates to the node below, `(m, n, B)`.
        upper: Rates to the node above, `(m, n, B)`.

    Returns:
        The elimination, for `run`.
    """

    def not_returning(lost, node):
        below, above = node
        absorbed = 1.0 + below * lost
        return absorbed / (absorbed + above)

    by_node = [tf.transpose(x, (1, 0, 2)) for x in (lower, upper)]
    one = tf.ones_like(by_node[0][0])
    lost = tf.transpose(_scan(not_returning, one, by_node), (1, 0, 2))
    lost_below = tf.concat([tf.ones_like(lost[:, :1]), lost[:, :-1]], 1)
    inverse = 1.0 / (1.0 + lower * lost_below + upper)
    next_lower = tf.concat([lower[:, 1:], tf.zeros_like(lower[:, :1])], 1)
    return _Elimination(upper * inverse, next_lower * inverse, inverse)


def run(lower, upper, sources, transfer, elimination, prices, backwards):
    """As `tridiagonal_unrolled.run`.

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
    if sources.shape[0] < m:
        sources = tf.pad(sources, [[0, m - 1], [0, 0], [0, 0]])

    # sliced here: XLA takes an index from the end for zero next to one that varies
    lowest, highest = lower[:, :1], upper[:, -1:]

    def advance(done, state, states):
        j = m - 1 - done if backwards else done
        if transfer is not None:
            # before the first step the state is zero, wherever it is moved to
            move = transfer[tf.minimum(j + 1, m - 1) if prices else j]
            state = tf.matmul(move, state, transpose_a=prices)
        state += sources[j]
        up, down, inverse = (part[j] for part in elimination)
        low, inner, high = state[:1], state[1:-1], state[-1:]
        below, above = lowest[j], highest[j]
        if prices:
            ends = tf.concat([below * low, tf.zeros_like(inner[1:])], 0)
            ends += tf.concat([tf.zeros_like(inner[1:]), above * high], 0)
            inner = _substitute(down, up, inverse, inner + ends)
        else:
            inner = _substitute(up, down, inverse, inner)
            low, high = low + below * inner[:1], high + above * inner[-1:]
        state = tf.ensure_shape(tf.concat([low, inner, high], 0), sources.shape[1:])
        return done + 1, state, states.write(j, state)

    state = tf.zeros_like(sources[0])
    states = tf.TensorArray(state.dtype, m, element_shape=state.shape)
    states = tf.while_loop(
        lambda done, *_: done < m, advance, (0, state, states), maximum_iterations=m
    )[-1]
    return tf.ensure_shape(states.stack(), (m, n + 2, None))


def _substitute(first, second, inverse, right):
    def add(last, node):
        term, link = node
        return term + link * last

    nothing = tf.zeros_like(right[0])
    first = tf.concat([nothing[None], first[:-1]], 0)
    values = _scan(add, nothing, (right, first))
    return _scan(add, nothing, (values * inverse, second), reverse=True)


def _scan(step, state, nodes, reverse=False):
    """Stacks the values of `state = step(state, node)` over the leading axis."""
    count = nodes[0].shape[0]
    if count > LONGEST_UNROLLED or compiled_by_xla():
        return tf.scan(step, tuple(nodes), state, reverse=reverse)
    states = [None] * count
    nodes = list(zip(*(tf.unstack(x) for x in nodes), strict=True))
    for i in reversed(range(count)) if reverse else range(count):
        states[i] = state = step(state, nodes[i])
    return tf.stack(states)
