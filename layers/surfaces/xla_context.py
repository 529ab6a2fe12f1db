"""Whether the graph being traced will be compiled by XLA."""

import tensorflow as tf


def compiled_by_xla():
    """Whether tracing takes place under `tf.function(jit_compile=True)`, or inside one.

    TensorFlow marks such graphs with a control flow context, for its own loops to look at; a
    version that no longer does would only cost speed here.

    Returns:
        True or False; False in eager mode.
    """
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        context = getattr(graph, "_control_flow_context", None)
        while context is not None:
            if context.IsXLAContext():
                return True
            context = context.outer_context
        graph = getattr(graph, "outer_graph", None)
    return False
