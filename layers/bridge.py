"""The Brownian bridge: paths from normals, those that matter most first."""

import functools

import numpy as np
import tensorflow as tf


def brownian_bridge(normals, times=None, nodes=()):
    """Brownian motion at times `t_1 < ... < t_T` from T normals per path, coarsest scale first.

    Normal 0 sets the last value, the next ones the values at the nodes, halving their number each
    time, and the rest the steps between. A point at time t between known neighbours l < t < r has
    mean ((r-t) W_l + (t-l) W_r) / (r-l) and variance (t-l)(r-t) / (r-l).

    Args:
        normals: Tensor of shape `(B, T, D)`.
        times: The times as T positive, increasing numbers; 1 ... T by default.
        nodes: Indices into `times` of the points to be known first, such as the maturities of
            options: these then depend on the first normals alone.

    Returns:
        Tensor of shape `(B, T, D)`.

    Example:

    >>> paths = brownian_bridge(tf.eye(3)[..., None], times=(0.25, 0.5, 1.0), nodes=(0,))
    >>> paths[0, -1, 0].numpy()  # the first normal is the value at time 1
    np.float32(1.0)

    Reference:
        Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 3.1.
    """
    # Time leads inside, so that picking times moves contiguous rows
    by_time = tf.transpose(normals, (1, 0, 2))
    return tf.transpose(bridge_by_time(by_time, times, nodes), (1, 0, 2))


def bridge_by_time(normals, times=None, nodes=()):
    """`brownian_bridge` with the time axis first.

    Args:
        normals: Tensor of shape `(T, ...)`.
        times, nodes: As in `brownian_bridge`.

    Returns:
        Tensor of shape `(T, ...)`.
    """
    steps = normals.shape[0]
    times = tuple(range(1, steps + 1)) if times is None else tuple(float(t) for t in times)
    levels, order = _bridge_levels(times, tuple(sorted(int(node) for node in nodes)))
    known = tf.concat([tf.zeros_like(normals[:1]), normals[:1] * times[-1] ** 0.5], axis=0)
    used = 1

    def column(x):
        return tf.constant(x.reshape(-1, *[1] * (normals.shape.rank - 1)), normals.dtype)

    for left, right, right_weight, deviation in levels:
        new = normals[used : used + len(left)]
        from_left = tf.gather(known, left)
        # Written with one sum only: graph optimisation reorders chains of sums, and the last bit
        # of a path would then depend on how its batch was computed
        mean = from_left - (from_left - tf.gather(known, right)) * column(right_weight)
        middle = mean + new * column(deviation)
        known = tf.concat([known, middle], axis=0)
        used += len(left)
    return tf.gather(known, order)


@functools.lru_cache(maxsize=64)
def _bridge_levels(times, nodes):
    """Per level: positions of the known neighbours, their weights, and the conditional deviation.

    Points are numbered 0 (time zero) to T; positions count them in the order of construction.
    """
    times = (0, *times)
    last = len(times) - 1
    built = [0, last]
    gaps = [(0, 1)]  # neighbouring known points, as positions in `built`
    levels = []
    for candidates in ([node + 1 for node in nodes if node + 1 < last], range(1, last)):
        while True:
            rows, next_gaps = [], []
            for left, right in gaps:
                inside = [i for i in candidates if built[left] < i < built[right]]
                if not inside:
                    next_gaps.append((left, right))
                    continue
                middle = inside[(len(inside) - 1) // 2]
                start, now, end = (times[i] for i in (built[left], middle, built[right]))
                weight = (now - start) / (end - start)
                rows.append(
                    (left, right, weight, ((now - start) * (end - now) / (end - start)) ** 0.5)
                )
                built.append(middle)
                next_gaps += [(left, len(built) - 1), (len(built) - 1, right)]
            gaps = next_gaps
            if not rows:
                break
            levels.append(tuple(np.array(x) for x in zip(*rows, strict=True)))
    return tuple(levels), np.argsort(built)[1:]
