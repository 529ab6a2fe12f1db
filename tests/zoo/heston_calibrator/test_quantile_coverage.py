"""Coverage of quantile surfaces: measured and corrected where the answer is known."""

import types

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets.heston_panels import HestonPanels, MixedPanels, ParameterBox
from hedgezoo.heston_calibrator.quantile_coverage import calibrate_coverage, quantile_coverage

PARAMETERS = np.array([2.0, 0.06, 0.6, -0.5, 0.05])
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
WIDTHS = np.array([30.0, 4.0, 20.0, 5.0]) * 1e-4  # between neighbouring levels, before correction
# bid and ask are uniform within 30 bp of the surface: quantiles at 60 (level - 1/2) bp
TRUE = 60e-4 * np.diff(LEVELS)


def market(noise="plus_minus_15_bp"):
    """Panels of one and the same surface, as nearly as a box can be narrow."""
    box = ParameterBox(tuple(PARAMETERS), tuple(PARAMETERS + 1e-9))
    return HestonPanels(box, noise=noise)


class KnownBands:
    """Stands for a calibrator: knows the surface, and has bands of given widths around it."""

    def __init__(self):
        one = tf.Variable(np.ones(len(WIDTHS)), dtype="float64")
        self.quantile_head = types.SimpleNamespace(levels=LEVELS, correction=one)
        _, targets = market("clean").simulate(0, 1)
        self.exact = targets["implied_volatility"].numpy()[0].astype(float)

    def build(self):
        """Nothing to build."""

    def calibrate(self, implied_vol, strikes, maturities, mask, spread):
        steps = np.concatenate([[0.0], np.cumsum(self.quantile_head.correction.numpy() * WIDTHS)])
        shifts = dict(zip(LEVELS, steps - steps[2], strict=True))

        def surface(level, strikes, maturities):
            shape = tuple(implied_vol.shape)
            return {"implied_volatility": np.broadcast_to(self.exact + shifts[level], shape)}

        return types.SimpleNamespace(levels=LEVELS, quantile_surface=surface)


def test_corrections_are_those_that_are_known():
    model = KnownBands()
    found = calibrate_coverage(model, market(), seed=1, panels=600)
    np.testing.assert_allclose(found * WIDTHS, TRUE, rtol=0.02)
    np.testing.assert_array_equal(model.quantile_head.correction.numpy(), found)
    again = calibrate_coverage(model, market(), seed=1, panels=600)
    np.testing.assert_allclose(again, found)  # whatever they were before


def test_shares_of_fresh_quotes_are_the_levels_afterwards():
    model = KnownBands()
    before = quantile_coverage(model, market(), seed=2, panels=300)
    # the band from 20 bp below to 20 bp above has 5/6 - 1/6 of what is uniform within 30 bp
    expected = 0.5 + np.array([-34.0, -4.0, 0.0, 20.0, 25.0]) / 60.0
    for level, share in zip(LEVELS, np.maximum(expected, 0.0), strict=True):
        entry = before[f"quantile_coverage/{level:g}"]
        assert entry["value"] == pytest.approx(share, abs=max(5 * entry["stderr"], 2e-3))
    calibrate_coverage(model, market(), seed=3, panels=600)
    after = quantile_coverage(model, market(), seed=4, panels=300, parts=True)
    assert len(after) == 7 * len(LEVELS)
    for level in LEVELS:
        assert after[f"quantile_coverage/{level:g}"]["value"] == pytest.approx(level, abs=0.008)
        for name, entry in after.items():
            if name.startswith(f"quantile_coverage/{level:g}/"):
                assert abs(entry["value"] - level) < 5 * entry["stderr"] + 0.005


def test_standard_errors_are_those_between_panels():
    values = [
        quantile_coverage(KnownBands(), market(), seed, 24)["quantile_coverage/0.75"]
        for seed in range(15)
    ]
    spread = np.std([entry["value"] for entry in values], ddof=1)
    assert np.mean([entry["stderr"] for entry in values]) == pytest.approx(spread, rel=0.6)


def test_kinds_of_mixed_panels_count_alike():
    model = KnownBands()
    mixed = MixedPanels([market(), market("inside_15_bp_spread")])
    shares = quantile_coverage(model, mixed, seed=5, panels=200)
    one, other = (
        quantile_coverage(model, kind, seed, 100)
        for kind, seed in zip(mixed.parts, (5, 6), strict=True)
    )
    for name, entry in shares.items():
        mean = 0.5 * (one[name]["value"] + other[name]["value"])
        assert entry["value"] == pytest.approx(mean, abs=1e-3)


def test_bad_arguments():
    model = KnownBands()
    for use in (calibrate_coverage, quantile_coverage):
        with pytest.raises(ValueError, match="`market` must be HestonPanels with noise"):
            use(model, market("clean"), 0, 10)
        with pytest.raises(ValueError, match="`panels`"):
            use(model, market(), 0, 0)
        with pytest.raises(ValueError, match="`model` must have a quantile head"):
            use(types.SimpleNamespace(quantile_head=None), market(), 0, 10)
