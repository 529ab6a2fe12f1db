"""Simulating one-factor models with coefficients interpolated from tables."""

import numpy as np
import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor, common_dtype
from hedgezoo.layers.sde.coefficients import check_features_shape
from hedgezoo.layers.sde.interpolated_steps import interpolated_path
from hedgezoo.layers.sde.rollout import check_rollout, initial_state
from hedgezoo.layers.sde.schemes import SCHEMES, check_scheme
from hedgezoo.layers.sde.spot_grid import SpotGrid, cell_coefficients, tabulate


@tf.autograph.experimental.do_not_convert
def sde_rollout_on_grid(
    diffusion,
    increments,
    times,
    drift=None,
    initial=0.0,
    features=None,
    scheme="log_milstein",
    save_at=None,
    grid=None,
):
    """`sde_rollout` of a one-factor model (d = k = 1) with tabulated coefficients.

    The layers are evaluated on a grid of states per time step, all steps in one call, and paths
    interpolate. Milstein's term takes the slope of the table. Gradients flow through the tables
    to the layers, to the increments and to the initial state.

    Args:
        diffusion: Layer or function `(state (N, 1), time (N, 1)[, features (N, f)])` to `(N, 1)`
            or `(N, 1, 1)`.
        increments: Increments of the Brownian motion. Shape `(B, T, 1)`, T known.
        times: Years, increasing, the start included. NumPy array or sequence `(T + 1,)`.
        drift: Optional layer or function like `diffusion`.
        initial: Initial state. A scalar, `(1,)` or `(B, 1)`.
        features: Optional market features `(P, f)`: one row, and one table, for each of P equal
            blocks of paths that follow each other.
        scheme: `"euler"`, `"milstein"`, `"log_euler"` or `"log_milstein"`.
        save_at: Indices into `times` of the states to return; all by default.
        grid: A `SpotGrid`; its defaults suit log(S / F) of a stock index.

    Returns:
        States. Shape `(B, n, 1)`.

    Raises:
        ValueError: If a shape does not fit or a name or an index is unknown.

    Example:

    >>> increments = tf.constant([[[0.1], [-0.2]]])
    >>> skew = lambda x, t: 0.2 - 0.1 * x
    >>> paths = sde_rollout_on_grid(skew, increments, [0.0, 0.5, 1.0], scheme="euler")
    >>> paths.numpy().ravel().round(5)
    array([ 0.    ,  0.02  , -0.0196], dtype=float32)
    """
    check_scheme(scheme)
    grid = SpotGrid() if grid is None else grid
    dtype = common_dtype(increments, initial)
    increments = as_tensor(increments, dtype)
    _, saved = check_rollout(increments, times, save_at)
    times = np.asarray(times, np.float64)
    state = initial_state(initial, increments)
    if increments.shape[2] != 1 or state.shape[1] != 1:
        raise ValueError(
            "A grid takes one-factor models: `increments` (B, T, 1) and `initial` (B, 1). "
            f"Received: {tuple(increments.shape)} and {tuple(state.shape)}"
        )
    low, high = grid.bounds(times)
    block = None
    if features is not None:
        features = as_tensor(features, dtype)
        check_features_shape(features, increments.shape[0])
        if features.shape[0] != 1:
            block = tf.shape(increments)[0] // tf.shape(features)[0]

    def cells(function):
        tables = tabulate(function, times, low, high, grid.points, features, dtype)
        return cell_coefficients(tables, grid.interpolation)

    path = interpolated_path(
        state[:, 0],
        tf.transpose(increments[:, :, 0]),
        np.diff(times),
        low,
        (grid.points - 1) / (high - low),
        cells(diffusion),
        None if drift is None else cells(drift),
        *SCHEMES[scheme],
        saved,
        block,
    )
    return tf.transpose(path)[:, :, tf.newaxis]
