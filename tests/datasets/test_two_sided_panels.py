"""Panels whose targets hold fresh bid and ask quotes."""

import numpy as np

from hedgezoo.datasets.heston_panels import HestonPanels, MixedPanels, TwoSidedPanels


def test_inputs_and_other_targets_are_those_of_heston_panels():
    options = {"grid": "random", "noise": "inside_15_bp_spread"}
    ours, plain = (kind(**options).simulate(3, 8) for kind in (TwoSidedPanels, HestonPanels))
    assert set(ours[1]) == {*plain[1], "bid", "ask"}
    for mine, other in zip(ours, plain, strict=True):
        for name, tensor in other.items():
            np.testing.assert_array_equal(mine[name], tensor)


def test_fresh_quotes_have_errors_of_their_own():
    inputs, targets = TwoSidedPanels(noise="plus_minus_15_bp", dtype="float64").simulate(4, 256)
    exact = targets["implied_volatility"].numpy()
    bid, ask = targets["bid"].numpy(), targets["ask"].numpy()
    there = exact > 0.0
    np.testing.assert_allclose((ask - bid)[there], 30e-4, rtol=1e-9)
    middle = (0.5 * (bid + ask) - exact)[there]
    assert abs(middle.std() - 8.674e-4) < 1e-5
    seen = there & inputs["mask"].numpy()
    first = (inputs["implied_volatility"].numpy() - exact)[seen]
    second = (0.5 * (bid + ask) - exact)[seen]
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(first))
    # together bid and ask are uniform within 30 bp of the surface, but for half a basis point
    sides = np.concatenate([(bid - exact)[there], (ask - exact)[there]])
    levels = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    np.testing.assert_allclose(np.quantile(sides, levels), 60e-4 * (levels - 0.5), atol=5e-5)


def test_a_panel_is_the_same_in_any_batch():
    panels = MixedPanels(
        [TwoSidedPanels(noise=noise) for noise in ("inside_15_bp_spread", "plus_minus_15_bp")]
    )
    _, whole = panels.simulate(5, 8)
    _, part = panels.simulate(5, 4, 2)
    for name, tensor in whole.items():
        np.testing.assert_array_equal(part[name], tensor[2:6])
    first, second = (part["bid"] for _, part in (p.simulate(5, 4) for p in panels.parts))
    assert np.mean(np.abs(first - second)) > 1e-4
