"""Crank-Nicolson steps of a tridiagonal equation, forwards and, transposed, backwards.

With A the operator of a step of length 2h, f its source and D̄ the value in its middle,

    (I - h A) D̄ = D + h f,        D_next = (1 + c) D̄ - c D.

c = 1 is Crank-Nicolson. c = 0 is half the step by the implicit rule, which damps what
Crank-Nicolson keeps swinging; a few of these come first. So a step is one tridiagonal solution,
and its adjoint one with the transposed matrix.
"""

import functools

import tensorflow as tf


@functools.lru_cache
def _compiled(function):
    # eagerly a loop would spend its time in Python
    return tf.function(function, reduce_retracing=True, autograph=False)


def forward_sweep(diagonals, sources, start, keep):
    """Values in the middle and at the end of each step.

    Args:
        diagonals: Of I - h A: above, on and below the diagonal, `(T, 3, G)`.
        sources: h f, `(T, G)`.
        start: Values before the first step, `(G,)`.
        keep: c of each step, `(T,)`.

    Returns:
        D̄ and D_next, `(T, G)` each.
    """
    return _run(_forward, diagonals, sources, start, keep)


def backward_sweep(diagonals, upstream, keep):
    """Cotangents of what enters each step, for several cotangents of what leaves it.

    Args:
        diagonals: As in `forward_sweep`.
        upstream: Cotangents of D_next of each step, `(T, G, N)`.
        keep: c of each step, `(T,)`.

    Returns:
        Cotangents of h f, `(T, G, N)`, and of the start, `(G, N)`.
    """
    return _run(_backward, diagonals, upstream, keep)


def _run(function, *arguments):
    arguments = [tf.convert_to_tensor(value) for value in arguments]
    return (_compiled(function) if tf.executing_eagerly() else function)(*arguments)


def _solve(diagonals, right):
    return tf.linalg.tridiagonal_solve(diagonals, right, partial_pivoting=False)


def _forward(diagonals, sources, start, keep):
    steps = tf.shape(diagonals)[0]

    def advance(step, state, middles, ends):
        middle = _solve(diagonals[step], state + sources[step])
        state = middle + keep[step] * (middle - state)
        return step + 1, state, middles.write(step, middle), ends.write(step, state)

    arrays = [tf.TensorArray(start.dtype, steps, element_shape=start.shape) for _ in range(2)]
    *_, middles, ends = tf.while_loop(
        lambda step, *_: step < steps, advance, (0, start, *arrays), maximum_iterations=steps
    )
    return middles.stack(), ends.stack()


def _backward(diagonals, upstream, keep):
    steps = tf.shape(diagonals)[0]
    above, on, below = tf.unstack(diagonals, axis=1)
    transposed = tf.stack([tf.roll(below, -1, 1), on, tf.roll(above, 1, 1)], axis=1)

    def advance(left, state, entered):
        step = left - 1
        state = state + upstream[step]
        cotangent = (1.0 + keep[step]) * _solve(transposed[step], state)
        return step, cotangent - keep[step] * state, entered.write(step, cotangent)

    shape = upstream.shape[1:]
    entered = tf.TensorArray(upstream.dtype, steps, element_shape=shape)
    _, state, entered = tf.while_loop(
        lambda left, *_: left > 0,
        advance,
        (steps, tf.zeros_like(upstream[0]), entered),
        maximum_iterations=steps,
    )
    return entered.stack(), state
