"""Shares of fresh quotes below the quantile surfaces: measured, and corrected."""

import dataclasses

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_integer
from hedgezoo.datasets.heston_panels import HestonPanels
from hedgezoo.datasets.heston_panels.two_sided_panels import two_sided
from hedgezoo.heston_calibrator.recovery_metrics import estimate

_CHUNK = 512  # panels priced at a time
_LEAST_CORRECTION = 1e-3
# moneyness and maturity are looked at in three parts each
STRIKES, YEARS = (0.9, 1.1), (0.5, 1.5)


def calibrate_coverage(model, market, seed, panels):
    """Sets the widths of a quantile head so that its levels are right on held-out panels.

    The distance between neighbouring levels is multiplied by one number for each pair, from the
    level ½ outwards: with y a fresh quote, q the level before and q + w the next, the share of
    quotes below q + g w is the level when g is that quantile of (y - q)/w. The numbers are
    positive, so levels stay in order; they are weights of the head that no optimizer trains.

    Args:
        model: A `HestonCalibrator` with a trained quantile head.
        market: `HestonPanels` with noise, or `MixedPanels` of such.
        seed: Seed of the held-out panels; not that of the training.
        panels: How many of them.

    Returns:
        The corrections, `(q - 1,)`.

    Raises:
        ValueError: If the model has no quantile head, or there are no quotes to compare with.
    """
    head = _head(model)
    head.correction.assign(np.ones(head.correction.shape))
    seen = [_compare(model, *part) for part in _shared_out(market, seed, panels)]
    # quotes of both sides, and the surfaces they are compared with
    sides = np.concatenate([np.ravel(chunk.sides[:, chunk.there]) for chunk in seen])
    surfaces = np.concatenate(
        [np.tile(chunk.surfaces[chunk.there], (2, 1)) for chunk in seen]
    ).astype(np.float64)
    middle = head.levels.index(0.5)
    corrections = np.ones(len(head.levels) - 1)
    for outwards in (1, -1):
        reached = surfaces[:, middle].copy()
        ends = range(middle + 1, len(head.levels)) if outwards > 0 else range(middle - 1, -1, -1)
        for level in ends:
            width = surfaces[:, level] - surfaces[:, level - outwards]
            level_outwards = head.levels[level] if outwards > 0 else 1.0 - head.levels[level]
            # a width of nothing: all quotes above or below
            ratios = (sides - reached) / np.where(width == 0.0, outwards * 1e-12, width)
            correction = max(float(np.quantile(ratios, level_outwards)), _LEAST_CORRECTION)
            corrections[min(level, level - outwards)] = correction
            reached += correction * width
    head.correction.assign(corrections)
    return corrections


def quantile_coverage(model, market, seed, panels, parts=False):
    """Shares of fresh bid and ask quotes of fresh panels below each quantile surface.

    The quotes are not those that the surfaces were calibrated to: the same exact surfaces are
    quoted a second time. Surfaces are exact prices, not first-order ones.

    Args:
        model: A `HestonCalibrator` with a quantile head.
        market: `HestonPanels` with noise, or `MixedPanels` of such.
        seed: Seed of the panels.
        panels: Number of panels.
        parts: Whether to report also by moneyness and by maturity.

    Returns:
        Dictionary `{metric: {"value": float, "stderr": float}}` of `quantile_coverage/<level>` and,
        with parts, `quantile_coverage/<level>/<part>`; standard errors between panels.

    Raises:
        ValueError: If the model has no quantile head, or there are no quotes to compare with.
    """
    head = _head(model)
    seen = [_compare(model, *part) for part in _shared_out(market, seed, panels)]
    report = {}
    for index, level in enumerate(head.levels):
        name = f"quantile_coverage/{level:g}"
        report[name] = _share(seen, index)
        for part, where in _PARTS.items() if parts else ():
            report[f"{name}/{part}"] = _share(seen, index, where)
    return report


# ------------------------------------------------------------------------------------- internals


@dataclasses.dataclass
class _Compared:
    """Fresh quotes of some panels beside their quantile surfaces.

    Args:
        sides: Bid and ask, `(2, B, m, n)`.
        surfaces: Volatilities of the levels, `(B, m, n, q)`.
        there: Where both are, booleans `(B, m, n)`.
        strikes: `(B, m, n)`.
        years: `(B, m, n)`.
    """

    sides: np.ndarray
    surfaces: np.ndarray
    there: np.ndarray
    strikes: np.ndarray
    years: np.ndarray


_PARTS = {
    f"strikes below {STRIKES[0]:g}": lambda x: x.strikes < STRIKES[0],
    f"strikes {STRIKES[0]:g} to {STRIKES[1]:g}": lambda x: (
        (x.strikes >= STRIKES[0]) & (x.strikes <= STRIKES[1])
    ),
    f"strikes above {STRIKES[1]:g}": lambda x: x.strikes > STRIKES[1],
    f"years below {YEARS[0]:g}": lambda x: x.years < YEARS[0],
    f"years {YEARS[0]:g} to {YEARS[1]:g}": lambda x: (x.years >= YEARS[0]) & (x.years <= YEARS[1]),
    f"years above {YEARS[1]:g}": lambda x: x.years > YEARS[1],
}


def _head(model):
    if getattr(model, "quantile_head", None) is None:
        raise ValueError(f"`model` must have a quantile head. Received: {model!r}")
    model.build()
    return model.quantile_head


def _shared_out(market, seed, panels):
    """`(market, seed, first, count)` of chunks; the kinds of mixed panels in equal numbers."""
    check_integer("panels", panels, minimum=1)
    kinds = getattr(market, "parts", (market,))
    for kind in kinds:
        if not isinstance(kind, HestonPanels) or kind.noise.deviation_bp == 0.0:
            raise ValueError(
                "`market` must be HestonPanels with noise, or MixedPanels of such. Received: "
                f"{kind!r}"
            )
    each = -(-panels // len(kinds))
    for number, kind in enumerate(kinds):
        for first in range(0, each, _CHUNK):
            yield kind, seed + number, first, min(_CHUNK, each - first)


def _compare(model, market, seed, first, count):
    inputs, targets = market.simulate(seed, count, first)
    exact = targets["implied_volatility"]
    sides = two_sided(market.noise, exact, seed, first)
    result = model.calibrate(
        *(inputs[name] for name in ("implied_volatility", "strikes", "maturities")),
        inputs["mask"],
        inputs["spread"],
    )
    grid = inputs["strikes"], inputs["maturities"]
    surfaces = np.stack(
        [result.quantile_surface(level, *grid)["implied_volatility"] for level in result.levels], -1
    )
    there = (exact > 0.0).numpy() & np.isfinite(surfaces).all(axis=-1)
    years = tf.broadcast_to(inputs["maturities"][..., tf.newaxis], tf.shape(exact)).numpy()
    return _Compared(
        np.stack([side.numpy() for side in sides]).astype(np.float64),
        surfaces,
        there,
        inputs["strikes"].numpy(),
        years,
    )


def _share(seen, index, where=None):
    """Share of quotes below one of the surfaces, with its standard error between panels."""
    hits, counts = [], []
    for chunk in seen:
        there = chunk.there if where is None else chunk.there & where(chunk)
        below = (chunk.sides < chunk.surfaces[..., index]) & there
        hits.append(0.5 * below.sum(axis=(0, 2, 3)))
        counts.append(there.sum(axis=(1, 2)))
    hits, counts = np.concatenate(hits), np.concatenate(counts)
    value = hits.sum() / counts.sum()
    # of a ratio of sums over panels
    away = hits - value * counts
    return estimate(value, np.sqrt(np.square(away).sum()) / counts.sum())
