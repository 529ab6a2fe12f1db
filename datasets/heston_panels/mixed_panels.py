"""Panels of several kinds in turn: to train on many boxes, grids and noise cases at once."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_one_of
from hedgezoo.datasets.heston_panels.panels import HestonPanels
from hedgezoo.datasets.heston_panels.two_sided_panels import TwoSidedPanels
from hedgezoo.datasets.market import check_draw_arguments, simulated_batches
from hedgezoo.layers.draws import as_int64

# Each part has a seed of its own. Otherwise parts that differ in the noise alone would show the
# same surfaces.
_SEED_STEP = 2**32
_KINDS = {kind.__name__: kind for kind in (HestonPanels, TwoSidedPanels)}


@dataclasses.dataclass(frozen=True)
class MixedPanels:
    """Panels of k kinds in turn: panel i is panel i // k of part i % k.

    Part j draws with the seed `seed + 2³² j`, so that equal parts show different panels: to show a
    kind more often, name it several times. A panel belongs to the pair (seed, global panel index)
    and is the same in any batch, as those of `HestonPanels`. A training set: what a model is judged
    on is one kind of panels.

    A batch whose size is a multiple of k costs what its panels cost. In others with a tensor as
    `first_panel`, up to k - 1 panels are made in vain.

    Args:
        parts: `HestonPanels` or `TwoSidedPanels` with equal numbers of strikes and maturities, of
            one model and dtype.

    Raises:
        ValueError: If there is no part, or the parts do not fit together.

    Example:

    >>> cases = ("clean", "gaussian_half_bp")
    >>> mixed = MixedPanels([HestonPanels(noise=noise) for noise in cases])
    >>> inputs, targets = mixed.simulate(seed=0, panels=6)
    >>> inputs["mask"].numpy().all(axis=(1, 2)).tolist()
    [True, False, True, False, True, False]
    """

    parts: tuple

    def __post_init__(self):
        parts = self.parts if isinstance(self.parts, (list, tuple)) else ()
        if not parts or not all(isinstance(part, HestonPanels) for part in parts):
            raise ValueError(
                f"`parts` must be a sequence of `HestonPanels`. Received: parts={self.parts!r}"
            )
        object.__setattr__(self, "parts", tuple(parts))
        for name, value in (
            ("shape of the grid", lambda part: part.grid.shape),
            ("model", lambda part: part.model),
            ("dtype", lambda part: part.dtype),
            ("kind", lambda part: type(part).__name__),
        ):
            values = [value(part) for part in parts]
            if len(set(values)) > 1:
                raise ValueError(f"`parts` must have the same {name}. Received: {values}")

    @property
    def model(self):
        """`"heston"` or `"bates"`."""
        return self.parts[0].model

    def simulate(self, seed, panels, first_panel=0):
        """Inputs and targets of the panels `first_panel ... first_panel + panels - 1`.

        Args:
            seed: Integer or scalar integer tensor.
            panels: Number of panels B, an integer or a scalar integer tensor.
            first_panel: Global index of the first panel, an integer or a scalar integer tensor.

        Returns:
            Tuple `(inputs, targets)` of dictionaries, as of `HestonPanels`.

        Raises:
            ValueError: If an argument is not an integer or out of its range.
        """
        check_draw_arguments(seed, panels, first_panel, unit="panel")
        number = len(self.parts)
        seed = as_int64(seed)
        panels, first_panel = (
            tf.cast(count, tf.int64) if tf.is_tensor(count) else int(count)
            for count in (panels, first_panel)
        )
        first, counts = _shares(number, panels, first_panel)
        blocks = [
            part.simulate(seed + _SEED_STEP * j, counts[j], first[j])
            for j, part in enumerate(self.parts)
            if tf.is_tensor(counts[j]) or counts[j]
        ]
        rows = _rows(number, panels, first_panel, first, counts)

        def in_turn(*tensors):
            joined = tf.concat(tensors, axis=0) if len(tensors) > 1 else tensors[0]
            static = None if tf.is_tensor(panels) else panels
            return tf.ensure_shape(tf.gather(joined, rows), (static, *joined.shape[1:]))

        return tf.nest.map_structure(in_turn, *blocks)

    def batches(self, batch_size, steps, seed, first_step=0):
        """Batches for `model.fit`: element k holds panels k·batch_size ... (k+1)·batch_size - 1.

        Args:
            batch_size: Panels per batch B.
            steps: Number of batches of the whole run; None for an endless data set.
            seed: Integer.
            first_step: Number of the first batch, for a run that is resumed.

        Returns:
            A `tf.data.Dataset` of `(inputs, targets)` with static shapes and known cardinality.
        """
        return simulated_batches(
            self.simulate, batch_size, steps, seed, first_step, at_a_time=tf.data.AUTOTUNE
        )

    def get_config(self):
        """The parts as a dictionary of plain values that JSON can hold."""
        parts = []
        for part in self.parts:
            kind = {} if type(part) is HestonPanels else {"kind": type(part).__name__}
            parts.append({**kind, **part.get_config()})
        return {"parts": parts}

    @classmethod
    def from_config(cls, config):
        """The panels whose `get_config` returned `config`.

        Args:
            config: A dictionary; lists, as they come out of JSON, stand for tuples.

        Returns:
            A `MixedPanels`.
        """
        parts = []
        for part in config["parts"]:
            part = dict(part)
            kind = part.pop("kind", HestonPanels.__name__)
            check_one_of("kind", kind, tuple(_KINDS))
            parts.append(_KINDS[kind].from_config(part))
        return cls(parts)


def _shares(number, panels, first_panel):
    """First index and number of the panels of each part, among `panels` from `first_panel` on."""
    first = [(first_panel - j + number - 1) // number for j in range(number)]
    if tf.is_tensor(panels) or tf.is_tensor(first_panel):
        # one number for all parts, known if that of the panels is
        return first, [(panels + number - 1) // number] * number
    end = [(first_panel + panels - j + number - 1) // number for j in range(number)]
    return first, [stop - start for start, stop in zip(first, end, strict=True)]


def _rows(number, panels, first_panel, first, counts):
    """Rows of the panels in the blocks of the parts, one block behind the other, `(B,)`."""
    starts = [functools.reduce(lambda a, b: a + b, counts[:j], 0) for j in range(number)]
    offsets = [start - begin for start, begin in zip(starts, first, strict=True)]
    if not (tf.is_tensor(panels) or tf.is_tensor(first_panel)):
        index = np.arange(first_panel, first_panel + panels)
        return np.asarray(offsets)[index % number] + index // number
    index = first_panel + tf.range(tf.cast(panels, tf.int64))
    offsets = tf.stack([tf.cast(offset, tf.int64) for offset in offsets])
    return tf.gather(offsets, index % number) + index // number
