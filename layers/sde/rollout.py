"""Simulating paths step by step, the coefficients evaluated at every path's own state."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor, common_dtype, require_rank
from hedgezoo.layers.sde.coefficients import coefficient, features_per_path
from hedgezoo.layers.sde.schemes import SCHEMES, check_scheme, log_mask, sde_step


@tf.autograph.experimental.do_not_convert
def sde_rollout(
    diffusion,
    increments,
    times,
    drift=None,
    initial=0.0,
    features=None,
    scheme="log_euler",
    log_states=None,
    save_at=None,
):
    """Paths of dx = μ(x, t) dt + Σ(x, t) dW.

    In the log schemes the state is x = log(S / F) and the coefficients are those of the relative
    change dS / S; x itself then drifts by μ - |Σ|² / 2, and without a drift E[S] = F holds at
    every step, whatever the diffusion is.

    Gradients flow to everything the coefficients depend on, to the increments and to the initial
    state. The steps are one `tf.while_loop`: written out, they run no faster and trace four times
    as long.

    Args:
        diffusion: Layer or function `(state (B, d), time (B, 1))`, with features as a third
            argument if there are any, to Σ `(B, d, k)`; or to `(B, d)`, where k = d and component
            i is driven by Brownian motion i alone.
        increments: Increments of the Brownian motions. Shape `(B, T, k)`, T known.
        times: Years, increasing, the start included. Shape `(T + 1,)`.
        drift: Optional layer or function of the same arguments to μ `(B, d)`.
        initial: Initial state. A scalar (d = 1), `(d,)` or `(B, d)`.
        features: Optional market features `(B, f)`; or `(P, f)`, one row for each of P equal
            blocks of paths that follow each other.
        scheme: `"euler"`, `"milstein"`, `"log_euler"` or `"log_milstein"`. Milstein's take k = 1
            or a diffusion `(B, d)`, and another value of the diffusion per step.
        log_states: Indices of the components that are logarithms; by default all of them in a log
            scheme, none else.
        save_at: Indices into `times` of the states to return; all by default.

    Returns:
        States, the initial one included if wanted. Shape `(B, n, d)`.

    Raises:
        ValueError: If a shape does not fit or a name or an index is unknown.

    Example:

    >>> increments = tf.constant([[[0.1], [-0.2]]])
    >>> sde_rollout(lambda x, t: 0.2 * tf.ones_like(x), increments, [0.0, 0.5, 1.0]).numpy().ravel()
    array([ 0.  ,  0.01, -0.04], dtype=float32)

    Reference:
        Gierjatowicz, Sabate-Vidales, Šiška, Szpruch, Žurič, "Robust pricing and hedging via neural
        SDEs" (2020).
    """
    check_scheme(scheme)
    dtype = common_dtype(increments, initial)
    increments = as_tensor(increments, dtype)
    steps, saved = check_rollout(increments, times, save_at)
    times = as_tensor(times, "float64")
    gaps = tf.cast(times[1:] - times[:-1], dtype)
    times = tf.cast(times, dtype)
    state = initial_state(initial, increments)
    states = state.shape[1]
    logs = log_mask(scheme, log_states, states)
    paths = increments.shape[0] if increments.shape[0] is not None else tf.shape(increments)[0]
    features = features_per_path(features, paths, dtype)

    def step(index, state, increment):
        time = times[index]
        return sde_step(
            state,
            gaps[index],
            increment,
            coefficient(diffusion, time, features, dtype),
            coefficient(drift, time, features, dtype, (states,)),
            logs,
            SCHEMES[scheme][1],
        )

    by_time = tf.transpose(increments, (1, 0, 2))
    path = _while_loop(step, state, by_time, steps)
    # All states are kept on the way: next to the activations of a network they weigh nothing
    path = path if saved == list(range(steps + 1)) else tf.gather(path, saved)
    return tf.transpose(path, (1, 0, 2))


def _while_loop(step, state, increments, steps):
    """All states, `(T + 1, B, d)`."""
    # Read from and written to arrays of tensors: the gradient of slices of one large tensor
    # would add up T tensors of its size
    increments = tf.TensorArray(
        increments.dtype, steps, clear_after_read=False, element_shape=increments.shape[1:]
    ).unstack(increments)
    path = tf.TensorArray(
        state.dtype, steps + 1, clear_after_read=False, element_shape=state.shape
    ).write(0, state)

    def body(index, state, path):
        after = tf.ensure_shape(step(index, state, increments.read(index)), state.shape)
        return index + 1, after, path.write(index + 1, after)

    *_, path = tf.while_loop(
        lambda index, *_: index < steps,
        body,
        (tf.constant(0), state, path),
        # the gradient of a loop compiled by XLA needs to know its length
        maximum_iterations=steps,
        parallel_iterations=1,
    )
    return path.stack()


def check_rollout(increments, times, save_at):
    """The number of steps and the indices to save, as a list.

    Raises:
        ValueError: If the shapes do not fit, or an index is out of range.
    """
    require_rank(increments, 3, "increments", "(B, T, k)")
    steps = increments.shape[1]
    if steps is None or increments.shape[2] is None:
        raise ValueError(
            "`increments` must have shape (B, T, k) with T and k known. "
            f"Received: shape={tuple(increments.shape)}"
        )
    shape = tuple(times.shape) if tf.is_tensor(times) else np.shape(times)
    if shape != (steps + 1,):
        raise ValueError(
            f"`times` must have shape (T + 1,) = {(steps + 1,)} for increments with T = {steps} "
            f"steps. Received: shape={shape}"
        )
    if not tf.is_tensor(times) and not (np.diff(np.asarray(times, np.float64)) >= 0).all():
        raise ValueError(f"`times` must increase. Received: {times}")
    saved = list(range(steps + 1)) if save_at is None else [int(index) for index in save_at]
    if not saved or not all(0 <= index <= steps for index in saved):
        raise ValueError(f"`save_at` must be indices from 0 to {steps}. Received: {save_at}")
    return steps, saved


def initial_state(initial, increments):
    """The initial state as `(B, d)`.

    Raises:
        ValueError: If it is not a scalar, `(d,)` or `(B, d)`.
    """
    initial = as_tensor(initial, increments.dtype)
    if initial.shape.rank == 0:
        initial = initial[tf.newaxis]
    if initial.shape.rank not in (1, 2) or initial.shape[-1] is None:
        raise ValueError(
            f"`initial` must be a scalar, (d,) or (B, d). Received: shape={initial.shape}"
        )
    if initial.shape.rank == 2 and not initial.shape[:1].is_compatible_with(increments.shape[:1]):
        raise ValueError(
            f"`initial` must have one row per path, (B, d) with B = {increments.shape[0]}. "
            f"Received: shape={tuple(initial.shape)}"
        )
    state = tf.broadcast_to(initial, (tf.shape(increments)[0], initial.shape[-1]))
    return tf.ensure_shape(state, (increments.shape[0], initial.shape[-1]))
