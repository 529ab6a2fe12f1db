"""Positions that stay inside a band and trade only at its edges."""

import keras
import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor, common_dtype, require_broadcastable, require_rank

METHODS = ("auto", "scan", "loop")

# Above this many steps, or for an unknown number, a loop is written as one `while`, not step
# after step: tracing time and graph size grow with the steps.
LONGEST_UNROLLED = 128

# Up to this many positions per step (paths times instruments) starting an operation costs
# more than running it.
FEW_POSITIONS = 500


@tf.autograph.experimental.do_not_convert
def clamp_band(lower, upper, initial=0.0, method="auto"):
    """Positions of a hedger who trades only as far as the edge of a band.

    `position[t] = min(max(position[t-1], lower[t]), upper[t])`, with `position[-1] = initial`.

    Where `lower > upper` the band is taken as the single point `(lower + upper) / 2`.

    The derivative of a position goes to the bound it last moved to: through all the steps at
    which it rested inside the band since. At a tie (`position[t-1]` equal to a bound) it counts
    as resting, so the derivative passes on to `position[t-1]`. Where the band is crossed, each
    bound receives one half.

    Both methods return the same numbers to the last bit. `"loop"` takes one step after the
    other. `"scan"` uses that a clamp followed by a clamp is again a clamp, so that all
    positions come from a prefix scan of bands, of depth `log2(T)`. It does more arithmetic in
    fewer operations, and wins on a CPU for few paths of many steps.

    Args:
        lower: Lower edges, in units of the instrument. Shape `(B, T, D)`.
        upper: Upper edges. Shape `(B, T, D)`.
        initial: Position before the first step. A scalar, or anything that broadcasts
            to `(B, D)`.
        method: `"scan"`, `"loop"`, or `"auto"` for the one that was measured to be faster.

    Returns:
        Positions held after each step. Shape `(B, T, D)`.

    Raises:
        ValueError: If `lower` and `upper` are not of one shape `(B, T, D)`, if `initial` does
            not broadcast to `(B, D)`, or if `method` is unknown.

    Example:

    >>> lower = [[[0.3], [0.1], [0.6]]]
    >>> upper = [[[0.5], [0.2], [0.9]]]
    >>> clamp_band(lower, upper).numpy().ravel()
    array([0.3, 0.2, 0.6], dtype=float32)

    Reference:
        Imaki, Imajo, Ito, Minami, Nakagawa, "No-Transaction Band Network: A Neural Network
        Architecture for Efficient Deep Hedging" (2021).
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}. Received: method={method!r}")
    dtype = common_dtype(lower, upper, initial)
    lower, upper = as_tensor(lower, dtype), as_tensor(upper, dtype)
    require_rank(lower, 3, "lower", "(B, T, D)")
    require_rank(upper, 3, "upper", "(B, T, D)")
    if not lower.shape.is_compatible_with(upper.shape):
        raise ValueError(
            "`lower` and `upper` must have the same shape (B, T, D). "
            f"Received: lower.shape={tuple(lower.shape)}, upper.shape={tuple(upper.shape)}"
        )
    initial = as_tensor(initial, dtype)
    batch, steps, instruments = shape = lower.shape.merge_with(upper.shape)
    lower, upper = tf.ensure_shape(lower, shape), tf.ensure_shape(upper, shape)
    require_broadcastable(initial, (batch, instruments), "initial", "(B, D)")

    lower, upper = _uncross(lower, upper)
    initial = tf.broadcast_to(initial, tf.shape(lower[:, 0]))
    # Inside, time leads and a step is one flat block (T, B * D): contiguous, and of the rank
    # for which TensorFlow's kernels are fastest.
    time_first = tf.gather(tf.shape(lower), (1, 0, 2))
    lower, upper = _flat_steps(lower), _flat_steps(upper)
    initial = tf.reshape(initial, (-1,))
    if method == "auto":
        method = _faster_method(batch, instruments)
    if method == "scan":
        positions = _prefix_scan(lower, upper, initial)
    elif steps is not None and steps <= LONGEST_UNROLLED:
        positions = _unrolled_loop(lower, upper, initial)
    else:
        positions = _while_loop(lower, upper, initial)
    positions = tf.transpose(tf.reshape(positions, time_first), (1, 0, 2))
    positions.set_shape(shape)
    return positions


def clamp_band_step(position, lower, upper):
    """One step of `clamp_band`: the position after trading to the edge of the band.

    Args:
        position: Position before the step. Any shape that broadcasts with the bounds.
        lower: Lower edge.
        upper: Upper edge, of the same shape as `lower`.

    Returns:
        The new position, of the broadcast shape. Where `lower > upper` it is
        `(lower + upper) / 2`.

    Example:

    >>> float(clamp_band_step(0.0, 0.25, 0.5))
    0.25
    """
    dtype = common_dtype(position, lower, upper)
    position, lower, upper = (as_tensor(x, dtype) for x in (position, lower, upper))
    return _clip(position, *_midpoint_where_crossed(lower > upper, lower, upper))


@keras.saving.register_keras_serializable(package="hedgezoo")
class ClampBandHedge(keras.layers.Layer):
    """Layer over `clamp_band`: bands in, positions out.

    Args:
        method: `"auto"`, `"scan"` or `"loop"`, see `clamp_band`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, e.g. `name` and `dtype`.

    Call arguments:
        lower: Lower edges. Shape `(B, T, D)`.
        upper: Upper edges. Shape `(B, T, D)`.
        initial_position: Optional position before the first step, broadcast to `(B, D)`;
            zero by default.

    Output shape:
        `(B, T, D)`.

    Raises:
        ValueError: If `method` is unknown; see also `clamp_band`.

    Example:

    >>> lower = tf.constant([[[0.3], [0.1]]])
    >>> ClampBandHedge()(lower, lower + 0.1).numpy().ravel()
    array([0.3, 0.2], dtype=float32)
    """

    def __init__(self, method="auto", **kwargs):
        super().__init__(**kwargs)
        if method not in METHODS:
            raise ValueError(f"`method` must be one of {METHODS}. Received: method={method!r}")
        self.method = method

    def call(self, lower, upper, initial_position=None):
        initial = 0.0 if initial_position is None else initial_position
        return clamp_band(lower, upper, initial, method=self.method)

    def compute_output_shape(self, lower_shape, upper_shape=None, initial_position_shape=None):
        return tuple(lower_shape)

    def get_config(self):
        return {**super().get_config(), "method": self.method}


def _faster_method(batch, instruments):
    """What tests/benchmarks/clamp_band.py measured on a CPU; unknown sizes count as large."""
    few = batch is not None and instruments is not None and batch * instruments <= FEW_POSITIONS
    return "scan" if few else "loop"


def _clip(position, lower, upper):
    # `position` comes first: that is where TensorFlow sends the derivative at a tie.
    return tf.minimum(tf.maximum(position, lower), upper)


def _midpoint_where_crossed(crossed, lower, upper):
    middle = 0.5 * (lower + upper)
    return tf.where(crossed, middle, lower), tf.where(crossed, middle, upper)


def _flat_steps(tensor):
    """`(B, T, D)` as `(T, B * D)`."""
    batch, steps, instruments = tensor.shape
    tensor = tf.transpose(tensor, (1, 0, 2))
    flat = tf.reshape(tensor, (tf.shape(tensor)[0], -1))
    known = batch is not None and instruments is not None
    flat.set_shape((steps, batch * instruments if known else None))
    return flat


def _uncross(lower, upper):
    """Replaces crossed bounds by their midpoint."""
    crossed = lower > upper
    # Looking for a crossing is cheaper than selecting everywhere in case there is one.
    return tf.cond(
        tf.reduce_any(crossed),
        lambda: _midpoint_where_crossed(crossed, lower, upper),
        lambda: (tf.identity(lower), tf.identity(upper)),
    )


def _unrolled_loop(lower, upper, position):
    positions = []
    for low, high in zip(tf.unstack(lower), tf.unstack(upper), strict=True):
        position = _clip(position, low, high)
        positions.append(position)
    return tf.stack(positions)


@tf.custom_gradient
def _while_loop(lower, upper, initial):
    positions = tf.scan(lambda last, band: _clip(last, *band), (lower, upper), initial)
    return positions, _adjoint(positions, initial, _suffix_sums_by_while)


@tf.custom_gradient
def _prefix_scan(lower, upper, initial):
    """Composes each band with those 1, 2, 4, ... steps before it, then clamps `initial`."""

    def compose(reach, time, lower, upper):
        # Near the start the band of step 0 enters once too often: a clamp is idempotent.
        earlier = tf.maximum(time - reach, 0)
        return (
            _clip(tf.gather(lower, earlier), lower, upper),
            _clip(tf.gather(upper, earlier), lower, upper),
        )

    positions = _clip(initial, *_doubling(compose, lower, upper))
    return positions, _adjoint(positions, initial, _suffix_sums_by_doubling)


def _adjoint(positions, initial, suffix_sums):
    """Gradient function of a chain of clamps that started at `initial`.

    A position either moved to a bound or rests where it was. So the derivative of all later
    outcomes, `total[t] = upstream[t] + rests[t+1] * total[t+1]`, belongs to the bound moved to.
    """

    def gradient(upstream):
        previous = tf.concat([initial[None], positions[:-1]], axis=0)
        one, zero = tf.ones_like(positions), tf.zeros_like(positions)
        rests = tf.where(positions == previous, one, zero)
        rests_next = tf.concat([rests[1:], zero[:1]], axis=0)
        total = suffix_sums(upstream, rests_next)
        return (
            tf.where(positions > previous, total, zero),
            tf.where(positions < previous, total, zero),
            total[0] * rests[0],
        )

    return gradient


def _suffix_sums_by_while(upstream, rests_next):
    return tf.scan(
        lambda total, step: step[0] + step[1] * total,
        (upstream, rests_next),
        tf.zeros_like(upstream[0]),
        reverse=True,
    )


def _suffix_sums_by_doubling(upstream, rests_next):
    def double(reach, time, total, chain):
        # Beyond the end `chain` is already zero, so it does not matter what it multiplies.
        later = tf.minimum(time + reach, time[-1])
        return total + chain * tf.gather(total, later), chain * tf.gather(chain, later)

    return _doubling(double, upstream, rests_next)[0]


def _doubling(double, *state):
    """Applies `state = double(reach, time, *state)` for reach = 1, 2, 4, ... below T."""
    steps = state[0].shape[0]
    if steps is not None:
        time = tf.range(steps)
        reach = 1
        while reach < steps:
            state = double(reach, time, *state)
            reach *= 2
        return state
    steps = tf.shape(state[0])[0]
    time = tf.range(steps)
    return tf.while_loop(
        lambda reach, *_: reach < steps,
        lambda reach, *state: (2 * reach, *double(reach, time, *state)),
        (1, *state),
        shape_invariants=(tf.TensorShape(()), *(tensor.shape for tensor in state)),
    )[1:]
