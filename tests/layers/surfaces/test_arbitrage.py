import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import (
    black_scholes_call,
    calls_to_dlv,
    calls_to_puts,
    dlv_to_calls,
    find_arbitrage,
    puts_to_calls,
    repair_calls,
)

STRIKES = np.array([0.7, 0.85, 0.95, 1.0, 1.08, 1.2, 1.3])
YEARS = np.array([0.1, 0.25, 0.5])
WIDENING = 1 + (STRIKES - 1) * np.array([[1.0], [1.2], [1.5]])
GRIDS = pytest.mark.parametrize("strikes", [STRIKES, WIDENING], ids=["common", "widening"])


def surfaces(*batch, strikes=STRIKES, seed=0):
    sigma = np.random.default_rng(seed).uniform(0.1, 0.5, (*batch, 3, 7))
    return dlv_to_calls(sigma, strikes, YEARS).numpy()


@GRIDS
def test_none_in_what_discrete_local_volatilities_price(strikes):
    calls = surfaces(100, strikes=strikes)
    assert find_arbitrage(calls, strikes, YEARS) == []
    single = dlv_to_calls(tf.fill((50, 3, 7), 0.3), strikes, YEARS)
    assert single.dtype == tf.float32
    assert find_arbitrage(single, strikes, YEARS) == []
    assert find_arbitrage(black_scholes_call(STRIKES, YEARS, 0.2), STRIKES, YEARS, [0.2, 2.5]) == []


def test_kind_place_and_size_of_each():
    calls = surfaces(2, 2)
    chord = calls[0, 1, 1, 2] + (calls[0, 1, 1, 4] - calls[0, 1, 1, 2]) * 0.05 / 0.13
    calls[0, 1, 1, 3] = chord + 0.002
    calls[1, 0, 2, 5] = calls[1, 0, 1, 5] - 0.003
    calls[1, 1, 0, 0] = 0.3 - 0.004
    calls[0, 0, 2, 6] = np.nan
    found = find_arbitrage(calls, STRIKES, YEARS)
    by_cell = {(v.kind, v.batch, v.maturity, v.strike): v.size for v in found}
    assert by_cell[("butterfly", (0, 1), 0.25, 1.0)] == pytest.approx(0.002)
    assert by_cell[("calendar", (1, 0), 0.5, 1.2)] == pytest.approx(0.003)
    assert by_cell[("bound", (1, 1), 0.1, 0.7)] == pytest.approx(0.004)
    assert np.isnan(by_cell[("bound", (0, 0), 0.5, 1.3)])
    text = [str(v) for v in found]
    assert "butterfly at strike 1, maturity 0.25 of surface (0, 1): price off by 0.002" in text
    assert [v.batch for v in found] == sorted(v.batch for v in found)


def test_prices_above_one_and_tolerance():
    calls = surfaces()
    calls[2, 0] = 1.01
    kinds = {(v.kind, v.strike) for v in find_arbitrage(calls, STRIKES, YEARS)}
    assert ("bound", 0.7) in kinds
    noisy = surfaces()
    noisy[1, 4] = noisy[0, 4] - 1e-3
    assert find_arbitrage(noisy, STRIKES, YEARS) != []
    assert find_arbitrage(noisy, STRIKES, YEARS, tolerance=0.03) == []


def test_find_needs_prices_at_hand():
    with pytest.raises(ValueError, match="not symbolic"):
        tf.function(lambda c: find_arbitrage(c, STRIKES, YEARS))(surfaces())


# ------------------------------------------------------------------------------------------ repair


@GRIDS
def test_repaired_surfaces_have_no_arbitrage(strikes):
    calls = surfaces(6, strikes=strikes)
    noisy = calls + 2e-3 * np.random.default_rng(1).normal(size=calls.shape)
    noisy[0] = calls[0]
    repaired = repair_calls(noisy, strikes, YEARS)
    assert len(repaired.violations) > 5
    assert find_arbitrage(repaired.calls, strikes, YEARS) == []
    calls_to_dlv(repaired.calls, strikes, YEARS)
    change = np.abs(repaired.calls - noisy)
    assert repaired.largest_change == change.max() > 0
    assert repaired.total_change == pytest.approx(change.sum())
    np.testing.assert_array_equal(repaired.calls[0], noisy[0])
    # the noise itself is one way back to such a surface
    assert repaired.total_change < np.abs(calls - noisy).sum()
    strike, maturity, (surface,) = repaired.where
    j = list(YEARS).index(maturity)
    i = np.flatnonzero(np.isclose(np.broadcast_to(strikes, (3, 7))[j], strike))[0]
    assert change[surface, j, i] == change.max()
    assert f"{len(repaired.violations)} violations repaired" in str(repaired)


def test_one_price_out_of_line_is_put_back():
    calls = surfaces(seed=3)
    bent = calls.copy()
    bent[1, 3] += 0.05
    repaired = repair_calls(bent, STRIKES, YEARS)
    # only that price has to change, and only as far as its chord or the next maturity
    assert repaired.where == (1.0, 0.25, ())
    others = np.abs(repaired.calls - bent).ravel()
    others = np.delete(others, 7 + 3)
    assert others.max() < 1e-9
    assert 0 < repaired.largest_change <= 0.05 + 1e-9


def test_weights_say_what_may_move():
    bent = surfaces(seed=3)
    bent[1, 3] += 0.02
    weights = np.ones((3, 7))
    weights[1, 3] = 1000.0
    repaired = repair_calls(bent, STRIKES, YEARS, weights=weights)
    assert abs(repaired.calls[1, 3] - bent[1, 3]) < 1e-9
    assert find_arbitrage(repaired.calls, STRIKES, YEARS) == []


def test_margin_leaves_finite_positive_volatilities():
    noisy = surfaces(3) + 2e-3 * np.random.default_rng(1).normal(size=(3, 3, 7))
    margin = 1e-5
    repaired = repair_calls(noisy, STRIKES, YEARS, margin=margin).calls.numpy()
    sigma = calls_to_dlv(repaired, STRIKES, YEARS).numpy()
    assert np.isfinite(sigma).all()
    assert sigma.min() > 0
    assert np.diff(repaired, axis=1).min() > 0.99 * margin
    h = np.diff(STRIKES)
    chord = (repaired[..., :-2] * h[1:] + repaired[..., 2:] * h[:-1]) / (h[1:] + h[:-1])
    assert (chord - repaired[..., 1:-1]).min() > 0.99 * margin


def test_nothing_to_repair():
    calls = surfaces(2).astype("float32")
    repaired = repair_calls(calls, STRIKES, YEARS)
    np.testing.assert_array_equal(repaired.calls, calls)
    assert repaired.calls.dtype == tf.float32
    assert (repaired.where, repaired.largest_change) == (None, 0.0)
    assert str(repaired) == "no arbitrage, nothing changed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calls": np.full((3, 7), np.nan)}, "`calls` must be finite"),
        ({"weights": -1.0}, "`weights` must be positive.*-1.0"),
        ({"weights": np.ones(6)}, r"`weights`.*\(3, 7\).*\(6,\)"),
        ({"margin": -1.0}, "`margin` must not be negative"),
        ({"margin": 0.5}, "`margin` must leave room.*0.5"),
    ],
)
def test_repair_errors_name_the_culprit(changes, message):
    arguments = {"calls": surfaces(), "strikes": STRIKES, "maturities": YEARS, **changes}
    with pytest.raises(ValueError, match=message):
        repair_calls(**arguments)


def test_parity():
    calls = surfaces(2)
    puts = calls_to_puts(calls, STRIKES).numpy()
    np.testing.assert_allclose(puts, calls - 1 + STRIKES, atol=1e-16)
    assert puts.min() >= 0
    np.testing.assert_allclose(puts_to_calls(puts, STRIKES), calls, atol=1e-16)
    for function in (calls_to_puts, puts_to_calls):
        with pytest.raises(ValueError, match=r"\(2, 3, 7\).*\(5,\)"):
            function(calls, np.ones(5))
