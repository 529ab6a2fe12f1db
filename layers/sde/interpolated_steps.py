"""Steps of a one-factor simulation whose coefficients are polynomials per cell of a grid.

The gradient is written out. On the way forward each step leaves behind how its change depends on
the polynomials of its cell; the way back is then a handful of operations per step, on numbers
that fit the cache, and its memory is a few numbers per path and step.
"""

import tensorflow as tf


def interpolated_path(
    initial, increments, gaps, low, rate, sigma, mu, log, milstein, saved, block=None
):
    """Saved states of x_{i+1} = x_i + μ h + σ dW - [log] σ² h / 2 + [Milstein] σ σ' (dW² - h) / 2.

    Args:
        initial: Initial states. Shape `(B,)`.
        increments: Increments dW. Shape `(T, B)`.
        gaps: Lengths h of the steps. Shape `(T,)`.
        low: Lowest grid point at the start of each step. Shape `(T,)`.
        rate: Cells per unit of state at the start of each step. Shape `(T,)`.
        sigma: Polynomials of σ per cell, see `cell_coefficients`. Shape `(P, T, C, K)`.
        mu: The same for μ, or None.
        log: Whether x is a logarithm.
        milstein: Whether to add Milstein's term.
        saved: Indices 0 ... T of the states to return, a list of length n.
        block: Paths per panel, an integer tensor: path b takes the tables of panel b // block.
            None for a single panel.

    Returns:
        States. Shape `(n, B)`.
    """
    dtype, steps = increments.dtype, increments.shape[0]
    cells, terms = sigma.shape[2:]
    gaps, low, rate = (tf.constant(x, dtype) for x in (gaps, low, rate))
    shift = 1.0 - low * rate  # the cell before the first grid point is number 0
    offset = None if block is None else tf.range(tf.shape(increments)[1]) // block * cells
    names = ["state", "cell", "inner", "value", "slope", "by_value"]
    names += ["by_slope"] * milstein + ["curvature"] * (milstein and terms > 2)
    names += ["mu_slope"] * (mu is not None)

    def locate(index, state):
        """The cell of each state, and how far in it lies: 0 to 1 but in the flat outer cells."""
        place = state * rate[index] + shift[index]
        # a state that is far away, or not a number, must not become an index
        cell = tf.raw_ops.ClipByValue(
            t=tf.cast(place, tf.int32), clip_value_min=0, clip_value_max=cells - 1
        )
        inner = place - tf.cast(cell, dtype)
        return cell if offset is None else cell + offset, inner

    def step(index, state, dw, sigma, mu=None):
        """The next state, and how it depends on the one before and on the tables."""
        cell, inner = locate(index, state)
        polynomial = tf.unstack(tf.gather(sigma, cell), axis=-1)
        value, slope = _value(polynomial, inner), _slope(polynomial, inner)
        kept = {"cell": cell, "inner": inner, "value": value, "slope": slope}
        per_value = by_value = dw  # the change is per_value * value, and by_value its derivative
        if log:
            loss = (0.5 * gaps[index]) * value
            per_value = dw - loss
            by_value = per_value - loss
        if milstein:
            square = (0.5 * rate[index]) * (tf.square(dw) - gaps[index])
            gain = square * slope
            per_value += gain
            by_value += gain
            kept["by_slope"] = square * value
            if terms > 2:
                kept["curvature"] = _curvature(polynomial, inner)
        after = state + per_value * value
        if mu is not None:
            polynomial = tf.unstack(tf.gather(mu, cell), axis=-1)
            after += gaps[index] * _value(polynomial, inner)
            kept["mu_slope"] = _slope(polynomial, inner)
        return {"state": after, "by_value": by_value, **kept}

    def step_back(index, after, kept, tables):
        """From the cotangents of the states after a step to those before, and of the tables."""
        by_value = after * kept["by_value"]
        by_slope = after * kept["by_slope"] if milstein else None
        by_place = by_value * kept["slope"]
        if "curvature" in kept:
            by_place += by_slope * kept["curvature"]
        sums = [_sums(by_value, by_slope, kept, tables[0])]
        if len(tables) > 1:
            by_mu = gaps[index] * after
            by_place += by_mu * kept["mu_slope"]
            sums.append(_sums(by_mu, None, kept, tables[1]))
        return after + rate[index] * by_place, *sums

    wanted = sorted(set(saved))

    def simulate(initial, increments, *tables):
        kept = _forward(
            lambda i, state: step(i, state, increments[i], *(table[i] for table in tables)),
            initial,
            steps,
            names,
        )
        path = kept["state"].gather([max(index - 1, 0) for index in wanted])
        if wanted[0] == 0:
            path = tf.concat([initial[tf.newaxis], path[1:]], axis=0)
        kept = _Kept(kept)

        def gradient(upstream):
            at, whole = kept.reader()
            before, afters, *sums = _backward(
                lambda i, after: step_back(i, after, at(i), tables),
                upstream,
                wanted,
                steps,
                len(tables),
            )
            value = by_dw = whole("value")
            if milstein:
                by_dw += rate[:, tf.newaxis] * increments * value * whole("slope")
            return before, afters * by_dw, *sums

        return path, gradient

    tables = [_by_step(table) for table in (sigma, mu) if table is not None]
    path = tf.custom_gradient(simulate)(initial, increments, *tables)
    return path if wanted == saved else tf.gather(path, [wanted.index(i) for i in saved])


class _Kept:
    """What the way forward left behind: arrays of T tensors `(B,)`, or these stacked.

    Stacking copies everything, so the way back reads from the arrays. But arrays cannot leave
    their graph, and a gradient may be wanted in another one: that of a SavedModel, or of a tape
    outside. It gets stacked copies, which nobody computes if nobody asks.
    """

    def __init__(self, arrays):
        self.arrays = arrays
        self.graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        self.stacks = {}
        if self.graph is not None:
            self.stacks = {name: array.stack() for name, array in arrays.items()}

    def reader(self):
        """Functions for one step of everything, and for all steps of one thing, to be used here."""
        if self.graph is None or tf.compat.v1.get_default_graph() is self.graph:
            arrays = self.arrays
            return lambda index: {name: array.read(index) for name, array in arrays.items()}, (
                lambda name: arrays[name].stack()
            )
        stacks = self.stacks
        return lambda index: {name: stack[index] for name, stack in stacks.items()}, stacks.get


def _by_step(table):
    """`(P, T, C, K)` as `(T, P * C, K)`: the cells of all panels side by side."""
    _, steps, _, terms = table.shape
    return tf.reshape(tf.transpose(table, (1, 0, 2, 3)), (steps, -1, terms))


def _forward(step, initial, steps, names):
    """All that the steps return: per name an array of T tensors `(B,)`."""
    arrays = [
        tf.TensorArray(
            tf.int32 if name == "cell" else initial.dtype,
            steps,
            clear_after_read=False,
            element_shape=initial.shape,
        )
        for name in names
    ]

    def body(index, state, *arrays):
        kept = step(index, state)
        after = tf.ensure_shape(kept["state"], initial.shape)
        arrays = [array.write(index, kept[name]) for name, array in zip(names, arrays, strict=True)]
        return index + 1, after, *arrays

    _, _, *arrays = tf.while_loop(
        lambda index, *_: index < steps,
        body,
        (tf.constant(0), initial, *arrays),
        maximum_iterations=steps,
        parallel_iterations=1,
    )
    return dict(zip(names, arrays, strict=True))


def _backward(step_back, upstream, wanted, steps, tables):
    """Cotangents of the initial state, of the states after each step, and of the tables."""
    upstream = tf.convert_to_tensor(upstream)  # sparse, if it comes from a gather
    # row 0 for a state nobody asked for
    upstream = tf.concat([tf.zeros_like(upstream[:1]), upstream], axis=0)
    row = tf.constant([wanted.index(i) + 1 if i in wanted else 0 for i in range(steps + 1)])
    arrays = [tf.TensorArray(upstream.dtype, steps) for _ in range(1 + tables)]

    def body(count, after, *arrays):
        index = steps - 1 - count
        before, *sums = step_back(index, after)
        before = tf.ensure_shape(before + upstream[row[index]], after.shape)
        arrays = [array.write(index, x) for array, x in zip(arrays, (after, *sums), strict=True)]
        return count + 1, before, *arrays

    _, before, *arrays = tf.while_loop(
        lambda count, *_: count < steps,
        body,
        (tf.constant(0), upstream[row[steps]], *arrays),
        maximum_iterations=steps,
        parallel_iterations=1,
    )
    return before, *(array.stack() for array in arrays)


def _sums(by_value, by_slope, kept, table):
    """Cotangents of the polynomials of one step, `(P * C, K)`: sums over the paths in a cell."""
    columns = []
    for k in range(table.shape[2]):
        column = by_value * kept["inner"] ** k if k > 1 else by_value
        if k == 1:
            column *= kept["inner"]
        if by_slope is not None and k:
            column += by_slope * (k * kept["inner"] ** (k - 1)) if k > 1 else by_slope
        columns.append(tf.math.unsorted_segment_sum(column, kept["cell"], tf.shape(table)[1]))
    return tf.stack(columns, axis=-1)


def _value(polynomial, x):
    value = polynomial[-1]
    for coefficient in polynomial[-2::-1]:
        value = coefficient + x * value
    return value


def _slope(polynomial, x):
    return _value([k * c if k > 1 else c for k, c in enumerate(polynomial) if k], x)


def _curvature(polynomial, x):
    return _value([k * (k - 1) * c for k, c in enumerate(polynomial) if k > 1], x)
