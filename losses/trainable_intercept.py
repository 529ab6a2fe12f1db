"""Losses that own a trainable intercept and optimise it themselves, in the backward pass.

Many risk measures are an infimum over a number: `rho(X) = inf_w E[penalty(X, w)]`. In that form
they are a mean over paths, which minibatches, sample weights and replicas all average correctly;
the price is that somebody must find `w`. Optimizers train the weights of a model and know nothing
of a loss, so here the loss does it: the gradient function of the per-path penalties receives the
upstream gradient of every path, which is the weight of that path in the objective (sample weight,
1/B, 1/replicas, loss scale: all included), improves `w` with these weights, and returns the
gradient at the improved `w`. By the envelope theorem that is the gradient of `rho`.
"""

import keras
import tensorflow as tf


class PathwiseLoss(keras.losses.Loss):
    """Base of losses with one value per path, a function of `gains - liability`.

    Subclasses implement `pathwise(outcome)`: a tensor `(B,)` to a tensor `(B,)`.
    """

    def call(self, y_true, y_pred):
        y_true, y_pred = tf.convert_to_tensor(y_true), tf.convert_to_tensor(y_pred)
        shapes = y_true.shape, y_pred.shape
        ranks_fit = all(shape.rank in (None, 1) for shape in shapes)
        if not ranks_fit or not shapes[0].is_compatible_with(shapes[1]):
            raise ValueError(
                f"{type(self).__name__} expects one liability and one gain per path, both of "
                "shape (B,); squeeze a trailing axis of size 1 first. "
                f"Received: y_true.shape={shapes[0]}, y_pred.shape={shapes[1]}"
            )
        # exponentials and sums over a batch need float32 at least
        wide = self.state_dtype
        outcome = tf.cast(y_pred, wide) - tf.cast(y_true, wide)
        return tf.cast(self.pathwise(outcome), self.dtype)

    @property
    def state_dtype(self):
        """The dtype of the computations: that of the loss, but never below float32."""
        return "float64" if self.dtype == "float64" else "float32"

    def pathwise(self, outcome):
        raise NotImplementedError

    def get_config(self):
        return {**super().get_config(), "dtype": self.dtype}


class TrainableInterceptLoss(PathwiseLoss):
    """Base of losses `inf_w E[penalty(X, w)]` that train `w` while a model trains.

    The intercept moves if and only if a gradient is taken: `fit` trains it, `evaluate` and
    `predict` leave it alone. Before the first gradient each batch is judged at a first guess made
    from that batch. One loss object belongs to one distribution of outcomes: give every model
    (and every output) its own.

    A saved model (`.keras`, `.weights.h5`, and so the callbacks `ModelCheckpoint` and
    `BackupAndRestore`) carries the intercept of the loss that it is compiled with.

    Subclasses implement four functions of an outcome `x` `(B,)` and a tuple `state` of scalars,
    of which the first is the intercept:

    * `penalty(x, state)`: `(B,)`, the value of each path.
    * `slope(x, state)`: `(B,)`, its derivative with respect to `x`.
    * `first_state(x)`: the state that suits this batch, equally weighted.
    * `next_state(x, weights, state, gain)`: the improved state. `weights` `(B,)` need not be
      normalised; `gain` falls from 1 towards 0 as a Robbins-Monro sequence.

    The last two see only the local part of the batch and must use `sum_over_replicas` or
    `gather_over_replicas`, so that every replica arrives at the same state.

    Reference:
        H. Robbins, S. Monro (1951), A stochastic approximation method, Annals of Mathematical
        Statistics 22, for the gain.
    """

    state_names = ("intercept",)

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        # Aggregation NONE: replicas assign the same number, each to its own copy.
        with tf.init_scope():
            self._state = [
                tf.Variable(0.0, trainable=False, dtype=self.state_dtype, name=name)
                for name in self.state_names
            ]
            self._updates = tf.Variable(0, trainable=False, dtype="int64", name="updates")

    @property
    def intercept(self):
        """The trained intercept as a Python float; `None` before the first gradient."""
        return float(self._state[0].numpy()) if int(self._updates.numpy()) else None

    @property
    def variables(self):
        """The `tf.Variable`s that a checkpoint of a training run has to include."""
        return [*self._state, self._updates]

    def reset(self):
        """Forgets the trained intercept, as if the loss were new."""
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    def save_own_variables(self, store):
        for name, variable in zip((*self.state_names, "updates"), self.variables, strict=True):
            store[name] = variable.numpy()

    def load_own_variables(self, store):
        # files written by a model compiled with another loss hold nothing for this one
        if set(store.keys()) != {*self.state_names, "updates"}:
            return
        for name, variable in zip((*self.state_names, "updates"), self.variables, strict=True):
            variable.assign(store[name][()])

    def pathwise(self, outcome):
        @tf.custom_gradient
        def penalties(x):
            fixed = tf.stop_gradient(x)
            updates = tf.convert_to_tensor(self._updates)
            # read once: the backward pass must start from what the forward pass used, even if
            # another replica has assigned in between
            state = tuple(
                tf.where(updates > 0, tf.convert_to_tensor(trained), guess)
                for trained, guess in zip(self._state, self.first_state(fixed), strict=True)
            )

            def gradient(upstream):
                gain = tf.cast(updates + 1, x.dtype) ** -0.6
                new = self.next_state(fixed, upstream, state, gain)
                # no weight at all, or NaN outcomes, teach nothing
                valid = tf.reduce_all(tf.math.is_finite(tf.stack(new)))
                new = tuple(tf.where(valid, n, s) for n, s in zip(new, state, strict=True))
                count = updates + tf.cast(valid, updates.dtype)
                assigned = [
                    variable.assign(value, read_value=False)
                    for variable, value in zip(self.variables, (*new, count), strict=True)
                ]
                # ties the assignment to the gradient when the backward pass is its own graph
                with tf.control_dependencies([op for op in assigned if op is not None]):
                    return tf.identity(upstream * self.slope(x, new))

            return self.penalty(x, state), gradient

        return penalties(outcome)

    def penalty(self, x, state):
        raise NotImplementedError

    def slope(self, x, state):
        raise NotImplementedError

    def first_state(self, x):
        raise NotImplementedError

    def next_state(self, x, weights, state, gain):
        raise NotImplementedError


def _replica_context():
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def sum_over_replicas(values):
    """Sums a tensor over replicas; returns it unchanged on one device.

    Args:
        values: Tensor of any shape, the same on every replica.

    Returns:
        Tensor of the same shape, equal on every replica.
    """
    context = _replica_context()
    return values if context is None else context.all_reduce("SUM", values)


def gather_over_replicas(row):
    """Stacks the rows of all replicas, for statistics that are not sums (a maximum, say).

    Args:
        row: Tensor `(K,)`.

    Returns:
        Tensor `(R, K)` for `R` replicas, equal on every replica.
    """
    context = _replica_context()
    if context is None:
        return row[None]
    # a sum of rows with zeros elsewhere: one small collective that every strategy has
    own = tf.range(context.num_replicas_in_sync) == context.replica_id_in_sync_group
    return context.all_reduce("SUM", tf.where(own[:, None], row[None], tf.zeros_like(row)[None]))


def mean_and_deviation(x):
    """Mean and standard deviation of `x` `(B,)` over the batches of all replicas."""
    n = tf.cast(tf.size(x), x.dtype)
    mean = tf.math.divide_no_nan(tf.reduce_sum(x), n)
    rows = gather_over_replicas(tf.stack([n, mean, tf.reduce_sum((x - mean) ** 2)]))
    n, means, squares = tf.unstack(rows, axis=1)
    total = tf.reduce_sum(n)
    mean = tf.math.divide_no_nan(tf.reduce_sum(n * means), total)
    squares = tf.reduce_sum(squares + n * (means - mean) ** 2)
    return mean, tf.sqrt(tf.math.divide_no_nan(squares, total))
