"""Option panels with a second look at the market: bid and ask quotes of the same surfaces."""

import dataclasses

import tensorflow as tf

from hedgezoo.datasets.heston_panels.panels import HestonPanels

# of the second look: its errors and spreads are independent of those of the first
_SEED_STEP = 2**40


@dataclasses.dataclass(frozen=True)
class TwoSidedPanels(HestonPanels):
    """`HestonPanels` whose targets hold fresh bid and ask quotes as well.

    The inputs are those of `HestonPanels` with the same fields. The same exact surfaces are quoted
    a second time, with new errors and new spreads of the same distribution, and nothing missing:
    the targets `bid` and `ask` `(B, m, n)` are those quotes minus and plus half a spread, 0 where
    the option is worthless. A model that predicts quantiles of quotes learns from them how far
    quotes it has not seen lie from its surface.

    Args:
        box, grid, noise, draws, dtype, contour, nodes: As of `HestonPanels`.

    Example:

    >>> panels = TwoSidedPanels(noise="inside_15_bp_spread")
    >>> inputs, targets = panels.simulate(seed=0, panels=4)
    >>> width = 1e4 * (targets["ask"] - targets["bid"])
    >>> bool(tf.reduce_all((width > -1e-3) & (width < 15.0)))
    True
    """

    def simulate(self, seed, panels, first_panel=0):
        inputs, targets = super().simulate(seed, panels, first_panel)
        bid, ask = two_sided(self.noise, targets["implied_volatility"], seed, first_panel)
        return inputs, {**targets, "bid": bid, "ask": ask}


def two_sided(noise, exact, seed, first_panel=0):
    """Fresh bid and ask quotes of the panels `first_panel ... first_panel + B - 1`.

    Args:
        noise: A `QuoteNoise`.
        exact: Exact implied volatilities `(B, m, n)`, 0 where there is none.
        seed: Integer or scalar integer tensor, the seed of the panels.
        first_panel: Global index of the first panel.

    Returns:
        Two tensors like `exact`.
    """
    quotes, spread = noise.quotes(exact, _another(seed), first_panel)
    there = exact > 0.0
    sides = (quotes - 0.5 * spread, quotes + 0.5 * spread)
    return tuple(tf.where(there, side, tf.zeros_like(side)) for side in sides)


def _another(seed):
    return seed + (tf.constant(_SEED_STEP, tf.int64) if tf.is_tensor(seed) else _SEED_STEP)
