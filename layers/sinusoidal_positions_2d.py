"""Where a token lies on a grid, told to a network in sines and cosines of two coordinates."""

import keras
import numpy as np
import tensorflow as tf

from hedgezoo.layers.float_tensors import as_float_tensors

_OUTPUTS = ("sum", "positions")


def sinusoidal_positions_2d(rows, columns, channels, base=10_000.0):
    """Sinusoidal encodings of the cells of a grid, half of the channels for each coordinate.

    With K = channels / 4 and ω_k = base^(-k/K), k = 0 ... K - 1, the cell at column coordinate x
    and row coordinate y has the channels sin(ω_k x), cos(ω_k x), sin(ω_k y), cos(ω_k y), K of each:
    wavelengths from 2π, geometrically, to nearly 2π base. Every cell has norm √(channels / 2), and
    a shift of the grid rotates each pair (sin, cos), whatever the cell.

    Neighbours are well told apart if their coordinates differ by about 1, as indices do; bring
    other coordinates to that scale.

    Args:
        rows: Coordinates of the rows, `(..., R)`.
        columns: Coordinates of the columns, `(..., C)`.
        channels: Number of channels, a positive multiple of 4.
        base: Ratio of the wavelengths, greater than 1.

    Returns:
        Tensor `(..., R, C, channels)`, the first half of the channels for the columns.

    Raises:
        ValueError: If `channels` or `base` is not one of those above, or a coordinate is a scalar.

    Example:

    >>> sinusoidal_positions_2d([0.0, 1.0], [0.0, 1.0, 2.0], channels=4).numpy().round(3)[1, 2]
    array([ 0.909, -0.416,  0.841,  0.54 ])

    Reference:
        Vaswani et al., "Attention is all you need", 2017, section 3.5, for one coordinate; Song,
        "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
        section 4.1, for two.
    """
    _require_options(channels, base)
    rows, columns = as_float_tensors(rows, columns)
    if 0 in (rows.shape.rank, columns.shape.rank):
        raise ValueError(
            "`rows` and `columns` must have shapes (..., R) and (..., C). "
            f"Received: rows.shape={rows.shape}, columns.shape={columns.shape}"
        )
    count = channels // 4
    frequencies = tf.constant(float(base) ** (-np.arange(count) / count), rows.dtype)

    def encode(coordinates):
        angles = coordinates[..., tf.newaxis] * frequencies
        return tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)

    across, down = encode(columns)[..., tf.newaxis, :, :], encode(rows)[..., tf.newaxis, :]
    shape = tf.broadcast_dynamic_shape(tf.shape(across), tf.shape(down))
    return tf.concat([tf.broadcast_to(across, shape), tf.broadcast_to(down, shape)], axis=-1)


@keras.saving.register_keras_serializable(package="hedgezoo")
class SinusoidalPositions2D(keras.layers.Layer):
    """Adds to the tokens of a grid the encodings of their place, see `sinusoidal_positions_2d`.

    For the surface of an option panel: rows are maturities and columns strikes. Coordinates are
    the indices of the grid, or given ones, such as √T and log(K) in units of their spacing. It has
    no weights.

    Args:
        rows: Coordinates of the rows, `(R,)`; None for 0, 1, 2, ...
        columns: Coordinates of the columns, `(C,)`; None for 0, 1, 2, ...
        base: Ratio of the longest wavelength to the shortest, which is 2π; greater than 1.
        output: `"sum"` of the input and the encodings, or the `"positions"` alone, in the shape
            of the input.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(B, R, C, channels)`, channels a multiple of 4. If both coordinates are given also
        `(B, R C, channels)`, row by row.

    Output shape:
        The shape of the input.

    Raises:
        ValueError: If an argument is not one of those above, or the input has another shape.

    Example:

    >>> layer = SinusoidalPositions2D(output="positions")
    >>> layer(tf.zeros((1, 8, 10, 4))).numpy().round(2)[0, 1, 2]
    array([ 0.91, -0.42,  0.84,  0.54], dtype=float32)

    Reference:
        Song, "End-to-End Neural Calibration of Stochastic Volatility Models via Option Panels",
        section 4.1.
    """

    def __init__(self, rows=None, columns=None, base=10_000.0, output="sum", **kwargs):
        super().__init__(**kwargs)
        self.rows = _coordinates("rows", rows)
        self.columns = _coordinates("columns", columns)
        _require_options(4, base)
        self.base = float(base)
        if output not in _OUTPUTS:
            raise ValueError(f"`output` must be one of {_OUTPUTS}. Received: output={output!r}")
        self.output_kind = output

    def call(self, inputs):
        self._check(inputs.shape)
        shape = tf.shape(inputs)
        # half precision would round the angles
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        rows, columns = (
            tf.cast(tf.range(shape[axis]) if given is None else given, wide)
            for given, axis in ((self.rows, -3), (self.columns, -2))
        )
        positions = sinusoidal_positions_2d(rows, columns, inputs.shape[-1], self.base)
        if inputs.shape.rank == 3:
            positions = tf.reshape(positions, shape[1:])
        positions = tf.cast(positions, self.compute_dtype)
        if self.output_kind == "sum":
            return inputs + positions
        return tf.ensure_shape(tf.broadcast_to(positions, shape), inputs.shape)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "rows": None if self.rows is None else self.rows.tolist(),
            "columns": None if self.columns is None else self.columns.tolist(),
            "base": self.base,
            "output": self.output_kind,
        }

    def _check(self, shape):
        sizes = [None if given is None else len(given) for given in (self.rows, self.columns)]
        fits = (None, *sizes, None)
        if shape.rank == 3 and None not in sizes:
            fits = (None, sizes[0] * sizes[1], None)
        if not shape.is_compatible_with(fits) or not shape[-1] or shape[-1] % 4:
            rows, columns = ("RC"[i] if size is None else size for i, size in enumerate(sizes))
            flat = "" if None in sizes else f" or (B, {rows * columns}, channels)"
            raise ValueError(
                f"The input must have shape (B, {rows}, {columns}, channels){flat}, channels a "
                f"positive multiple of 4. Received: shape={tuple(shape)}"
            )


def _coordinates(name, values):
    if values is None:
        return None
    coordinates = np.asarray(values, "float64")
    if coordinates.ndim != 1 or not coordinates.size or not np.isfinite(coordinates).all():
        raise ValueError(
            f"`{name}` must be finite numbers of shape ({name[0].upper()},), or None. "
            f"Received: {name}={values!r}"
        )
    return coordinates


def _require_options(channels, base):
    if not isinstance(channels, int) or channels < 4 or channels % 4:
        raise ValueError(
            f"`channels` must be a positive multiple of 4. Received: channels={channels!r}"
        )
    if isinstance(base, bool) or not np.isscalar(base) or not 1.0 < float(base) < np.inf:
        raise ValueError(f"`base` must be a number greater than 1. Received: base={base!r}")
