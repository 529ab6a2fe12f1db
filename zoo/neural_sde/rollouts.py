"""The simulations of a model, each made and traced once."""

import tensorflow as tf

_MOST = 64  # kept with their graphs


class Rollouts:
    """`SDERollout`s by their settings, with the graphs that run them; the oldest make way.

    A plain object, so that Keras does not count the layers in it as parts of the model.

    Example:

    >>> kept = Rollouts()
    >>> kept.get("a year", lambda: [1.0]) is kept.get("a year", lambda: [2.0])
    True
    """

    def __init__(self):
        self._rollouts, self._graphs = {}, {}

    def get(self, key, make):
        """The rollout of a key, made by `make()` the first time."""
        if key not in self._rollouts:
            while len(self._rollouts) >= _MOST:
                oldest = self._rollouts.pop(next(iter(self._rollouts)))
                self._graphs.pop(id(oldest), None)
            self._rollouts[key] = make()
        return self._rollouts[key]

    def graph(self, rollout, name, function):
        """`function` as a graph, traced once per rollout, name and type of arguments."""
        graphs = self._graphs.setdefault(id(rollout), {})
        if name not in graphs:
            graphs[name] = tf.function(function, autograph=False, reduce_retracing=True)
        return graphs[name]
