"""Steps of a one-factor simulation whose coefficients are polynomials per cell of a grid.

The gradient is written out. On the way forward each step leaves behind how its change depends on
the polynomials of its cell; the way back is then a handful of operations per step, on numbers
that fit the cache, and its memory is a few numbers per path and step.
"""

import numpy as np
import tensorflow as tf


def interpolated_path(
    initial, increments, gaps, low, rate, sigma, mu, log, milstein, saved, block=None
):
    """Saved states of x_{i+1} = x_i + μ h + σ dW - [log] σ² h / 2 + [Milstein] σ σ' (dW² - h) / 2.

    With both, less `martingale_correction`.

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
    # the cell before the first grid point is number 0
    scalars = tf.constant(np.stack([gaps, rate, 1.0 - low * rate], axis=1), dtype)
    offset = None if block is None else tf.range(tf.shape(increments)[1]) // block * cells
    names = ["state", "cell", "inner", "by_value", "by_state"] + ["by_slope"] * milstein

    def polynomials(table, cell):
        """Coefficients of σ, and of μ if there is one, at each path."""
        # gather_nd and not gather, which takes half as long again for a handful of numbers
        columns = tf.gather_nd(table, cell[..., tf.newaxis], batch_dims=table.shape.rank - 2)
        columns = tf.unstack(columns, axis=-1)
        return columns[:terms], columns[terms:]

    def locate(state, rate, shift):
        """The cell of each state, and how far in it lies: 0 to 1 but in the flat outer cells."""
        place = state * rate + shift
        # a state that is far away, or not a number, must not become an index
        cell = tf.raw_ops.ClipByValue(
            t=tf.cast(place, tf.int32), clip_value_min=0, clip_value_max=cells - 1
        )
        inner = place - tf.cast(cell, dtype)
        return cell if offset is None else cell + offset, inner

    def step(index, state, dw, table):
        """The next state, and how it depends on the one before and on the tables."""
        gap, rate, shift = tf.unstack(scalars[index])
        cell, inner = locate(state, rate, shift)
        sigma, mu = polynomials(table, cell)
        value, slope = _value(sigma, inner), _slope(sigma, inner)
        kept = {"cell": cell, "inner": inner}
        per_value = by_value = dw  # the change is per_value * value, and by_value its derivative
        if log:
            loss = (0.5 * gap) * value
            per_value = dw - loss
            by_value = per_value - loss
        if milstein:
            square = (0.5 * rate) * (tf.square(dw) - gap)
            gain = square * slope
            per_value += gain
            by_value += gain
            kept["by_slope"] = square * value
        if log and milstein:
            # E[S] = F: see `martingale_correction`, with b = steep * value
            steep, scale = (0.5 * rate) * slope, tf.square(gap) * value
            per_value -= scale * steep * (steep + value)
            by_value -= scale * steep * (2.0 * steep + 3.0 * value)
            kept["by_slope"] -= (0.5 * rate) * scale * value * (2.0 * steep + value)
        by_inner = by_value * slope
        if milstein and terms > 2:
            by_inner += kept["by_slope"] * _curvature(sigma, inner)
        after = state + per_value * value
        if mu:
            after += gap * _value(mu, inner)
            by_inner += gap * _slope(mu, inner)
        return {"state": after, "by_value": by_value, "by_state": rate * by_inner, **kept}

    def step_back(index, after, kept, table):
        """From the cotangents of the states after a step to those of its change, and the table."""
        cell, inner, count = kept["cell"], kept["inner"], tf.shape(table)[1]
        by_slope = after * kept["by_slope"] if milstein else None
        sums = _sums(after * kept["by_value"], by_slope, cell, inner, count, terms)
        if table.shape[2] > terms:
            sums += _sums(scalars[index, 0] * after, None, cell, inner, count, terms)
        return after * kept["by_state"], tf.stack(sums, axis=-1)

    wanted = sorted(set(saved))

    def simulate(initial, increments, table):
        kept = _forward(
            lambda index, state: step(index, state, increments[index], table[index]),
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
            before, afters, sums = _backward(
                lambda index, after: step_back(index, after, at(index), table),
                upstream,
                wanted,
                steps,
            )
            # for the increments: in a graph, nobody computes this if nobody asks
            inner = whole("inner")
            sigma, _ = polynomials(table, whole("cell"))
            value = by_dw = _value(sigma, inner)
            if milstein:
                by_dw += scalars[:, 1:2] * increments * value * _slope(sigma, inner)
            return before, afters * by_dw, sums

        return path, gradient

    table = tf.concat([_by_step(table) for table in (sigma, mu) if table is not None], axis=-1)
    path = tf.custom_gradient(simulate)(initial, increments, table)
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
        names = [name for name in self.arrays if name != "state"]
        if self.graph is None or tf.compat.v1.get_default_graph() is self.graph:
            arrays = self.arrays
            return lambda index: {name: arrays[name].read(index) for name in names}, (
                lambda name: arrays[name].stack()
            )
        stacks = self.stacks
        return lambda index: {name: stacks[name][index] for name in names}, stacks.get


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


def _backward(step_back, upstream, wanted, steps):
    """Cotangents of the initial state, of the states after each step, and of the table."""
    upstream = tf.convert_to_tensor(upstream)  # sparse, if it comes from a gather
    # row 0 for a state nobody asked for
    upstream = tf.concat([tf.zeros_like(upstream[:1]), upstream], axis=0)
    row = tf.constant([wanted.index(i) + 1 if i in wanted else 0 for i in range(steps + 1)])
    arrays = [tf.TensorArray(upstream.dtype, steps) for _ in range(2)]

    def body(count, after, *arrays):
        index = steps - 1 - count
        change, sums = step_back(index, after)
        before = tf.add_n([after, change, upstream[row[index]]])
        before = tf.ensure_shape(before, after.shape)
        arrays = [array.write(index, x) for array, x in zip(arrays, (after, sums), strict=True)]
        return count + 1, before, *arrays

    _, before, *arrays = tf.while_loop(
        lambda count, *_: count < steps,
        body,
        (tf.constant(0), upstream[row[steps]], *arrays),
        maximum_iterations=steps,
        parallel_iterations=1,
    )
    return before, *(array.stack() for array in arrays)


def _sums(by_value, by_slope, cell, inner, cells, terms):
    """Cotangents of the polynomials of one step, `(P * C, K)`: sums over the paths in a cell."""
    columns = []
    for k in range(terms):
        column = by_value * inner**k if k > 1 else by_value
        if k == 1:
            column *= inner
        if by_slope is not None and k:
            column += by_slope * (k * inner ** (k - 1)) if k > 1 else by_slope
        columns.append(column)
    # two columns at once, in the guise of a complex number: half the look-ups
    pairs = [
        tf.math.unsorted_segment_sum(tf.complex(left, right), cell, cells)
        for left, right in zip(columns[::2], columns[1::2], strict=True)
    ]
    return [part for pair in pairs for part in (tf.math.real(pair), tf.math.imag(pair))]


def _value(polynomial, x):
    value = polynomial[-1]
    for coefficient in polynomial[-2::-1]:
        value = coefficient + x * value
    return value


def _slope(polynomial, x):
    return _value([k * c if k > 1 else c for k, c in enumerate(polynomial) if k], x)


def _curvature(polynomial, x):
    return _value([k * (k - 1) * c for k, c in enumerate(polynomial) if k > 1], x)
