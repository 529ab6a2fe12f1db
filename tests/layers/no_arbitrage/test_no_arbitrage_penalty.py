"""The penalty is zero where there is no arbitrage, positive where there is, and its gradient helps.

Arbitrage-free surfaces come from sources of their own: implicit finite-difference steps solved
densely in NumPy, the Heston characteristic function under a fixed quadrature, and SVI formulas.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import (
    NoArbitragePenalty,
    black_scholes_call,
    durrleman,
    implied_volatility,
    no_arbitrage_parts,
    no_arbitrage_penalty,
)

STRIKES = np.array([0.7, 0.8, 0.88, 0.95, 1.0, 1.04, 1.1, 1.2, 1.35])
YEARS = np.array([0.08, 0.25, 0.5, 1.0])
INPUTS = ("calls", "total_variance", "implied_volatility")


def as_input(calls, strikes, years, on):
    """Call prices as what the penalty is told they are, in the precision of the prices."""
    if on == "calls":
        return calls
    volatility = np.nan_to_num(implied_volatility(calls, strikes, years).numpy())
    return volatility if on == "implied_volatility" else years[:, None] * volatility**2


# ---------------------------------------------------------------- surfaces without arbitrage


def local_volatility_surfaces(sigma, strikes, years, ghosts):
    """Implicit steps C_j - ½ Δt K² σ² C_j'' = C_{j-1}, one dense system per maturity.

    `sigma` (B, m, n), `strikes` (m, n), `ghosts` (m, 2); in the precision of `sigma`.
    """
    dtype = sigma.dtype
    nodes = np.concatenate([ghosts[:, :1], strikes, ghosts[:, 1:]], -1).astype(dtype)
    calls, rows = None, []
    for j, k in enumerate(nodes):
        if calls is None:
            before = np.broadcast_to(np.maximum(1 - k, 0), (len(sigma), k.size))
        else:
            old = nodes[j - 1]
            before = np.stack([np.interp(k, old, row) for row in calls])
            before = np.where((k < old[0]) | (k > old[-1]), np.maximum(1 - k, 0), before)
        h = np.diff(k)
        inner = np.arange(1, k.size - 1)
        step = dtype.type(years[j] - (years[j - 1] if j else 0))
        b = sigma[:, j] ** 2 * k[1:-1] ** 2 * step / (h[:-1] + h[1:])
        system = np.tile(np.eye(k.size, dtype=dtype), (len(sigma), 1, 1))
        system[:, inner, inner - 1] = -b / h[:-1]
        system[:, inner, inner + 1] = -b / h[1:]
        system[:, inner, inner] += b / h[:-1] + b / h[1:]
        calls = np.linalg.solve(system, before.astype(dtype)[..., None])[..., 0]
        rows.append(calls[:, 1:-1])
    return np.stack(rows, 1)


def random_case(rng, own, surfaces=50):
    """Volatilities from dead (zero) to wild, on an irregular grid that may widen with maturity."""
    m, n = rng.integers(1, 6), rng.integers(2, 12)
    half = np.cumsum(rng.uniform(0.01, 0.12, (2, n)), 1)
    row = np.sort(np.concatenate([1 - half[0], 1 + half[1]]))[n // 2 : n // 2 + n]
    widths = np.linspace(0.6, 1, m) if own else np.ones(m)
    strikes = 1 + (row - 1) * widths[:, None]
    ghosts = np.array([row[0] * 0.8, row[-1] + 0.1])
    years = np.cumsum(rng.uniform(0.02, 0.5, m))
    sigma = np.exp(rng.normal(-1.5, 0.9, (surfaces, m, n)))
    sigma *= rng.uniform(size=sigma.shape) > 0.1
    return sigma, strikes, years, ghosts


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("own", [False, True])
def test_zero_on_discrete_local_volatility_surfaces(dtype, own):
    rng = np.random.default_rng([1, own])
    for _ in range(6):
        sigma, strikes, years, ghosts = random_case(rng, own)
        # prices belong to the rounded strikes
        rounded = strikes.astype(dtype).astype(float), np.tile(ghosts, (len(years), 1))
        calls = local_volatility_surfaces(sigma.astype(dtype), rounded[0], years, rounded[1])
        assert calls.dtype == dtype
        grid = strikes if own else strikes[0]
        for on in INPUTS:
            surface = as_input(calls, strikes, years, on).astype(dtype)
            for ghost_strikes in (None, ghosts.astype(dtype)):
                penalty = no_arbitrage_penalty(
                    surface, grid, years, on=on, ghost_strikes=ghost_strikes
                )
                assert penalty.dtype == dtype
                assert penalty.shape == (len(sigma),)
                np.testing.assert_array_equal(penalty, 0)


def heston_calls(parameters, strikes, years):
    """Lewis' integral with a Black-Scholes control variate; error below 1e-12 on this box."""
    kappa, theta, xi, rho, v0 = (p[:, None, None, None] for p in parameters.T)
    t, weights = np.polynomial.legendre.leggauss(256)
    top = np.arcsinh(200.0)
    t, weights = 0.5 * top * (t + 1), 0.5 * top * weights
    u, weights = 8 * np.sinh(t), 8 * np.cosh(t) * weights
    years, x = years[:, None, None], -np.log(strikes)[:, None]
    level = u**2 + 0.25
    beta = kappa - 1j * rho * xi * (u - 0.5j)
    root = np.sqrt(beta**2 + xi**2 * level)
    r = -(xi**2) * level / (beta + root)
    y = np.expm1(-root * years) / (2 * root)
    exponent = kappa * theta / xi**2 * (r * years - 2 * np.log(1 - r * y))
    exponent += v0 * level * y / (1 - r * y)
    variance = theta * years + (v0 - theta) * -np.expm1(-kappa * years) / kappa
    difference = np.exp(exponent) - np.exp(-0.5 * variance * level)
    integral = (weights * np.real(np.exp(1j * u * x) * difference) / level).sum(-1)
    flat = np.sqrt(variance / years)[..., 0]
    base = black_scholes_call(strikes, years[:, 0, 0], flat).numpy()
    return base - np.exp(-0.5 * x[:, 0]) / np.pi * integral


def heston_parameters(surfaces, seed=0):
    low = np.array([0.5, 0.02, 0.1, -0.95, 0.01])
    high = np.array([8.0, 0.5, 1.5, -0.05, 0.4])
    return np.random.default_rng(seed).uniform(low, high, (surfaces, 5))


def test_heston_surfaces_satisfy_the_correct_form_and_violate_the_printed_one():
    # prices published by Alan Lewis: S = 100, r = 1 %, q = 2 %, T = 1, K = 80 to 120
    forward, discount = 100 * np.exp(-0.01), np.exp(-0.01)
    anchor = heston_calls(
        np.array([[4.0, 0.25, 1.0, -0.5, 0.04]]), np.arange(80, 121, 10) / forward, np.ones(1)
    )
    published = [26.774758743998854, 20.933349000596710, 16.070154917028834]
    published += [12.132211516709845, 9.0249134834578356]
    np.testing.assert_allclose(anchor[0, 0] * forward * discount, published, rtol=1e-11)

    strikes, years = np.linspace(0.8, 1.2, 10), np.array([0.1, 0.3, 0.6, 1.2, 2.0])
    calls = np.concatenate(
        [heston_calls(heston_parameters(30, seed), strikes, years) for seed in range(4)]
    )
    for on in INPUTS:
        surface = as_input(calls, strikes, years, on)
        # the quadrature is not exact to the last digit
        correct = no_arbitrage_penalty(surface, strikes, years, on=on, rounding=1e-12)
        np.testing.assert_array_equal(correct, 0)
    parts = no_arbitrage_parts(surface, strikes, years, form="paper", on=on)
    share = {name: float(np.mean(part > 1e-4)) for name, part in parts.items()}
    assert share["monotonicity"] > 0.1
    assert share["convexity"] > 0.01
    assert share["calendar"] == 0


def ssvi(x, theta, rho=-0.6, eta=0.9):
    """Power-law surface of Gatheral and Jacquier, free of arbitrage for eta (1 + |rho|) <= 2."""
    phi = eta / np.sqrt(theta * (1 + theta))
    return theta / 2 * (1 + rho * phi * x + np.sqrt((phi * x + rho) ** 2 + 1 - rho**2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zero_on_flat_and_ssvi_surfaces_with_wide_and_dense_strikes(dtype):
    years = np.array([0.02, 0.1, 0.5, 2.0, 10.0])
    for strikes in (np.geomspace(0.05, 20, 41), np.linspace(0.7, 1.4, 200)):
        flat = np.geomspace(0.03, 1.5, 8)[:, None, None] * np.ones((len(years), len(strikes)))
        smile = ssvi(np.log(strikes), 0.04 * years[:, None])[None]
        for on, surface in (("implied_volatility", flat), ("total_variance", smile)):
            penalty = no_arbitrage_penalty(surface.astype(dtype), strikes, years, on=on)
            np.testing.assert_array_equal(penalty, 0)
    # the expiries may have any strikes of their own, wherever they lie
    own = np.stack([np.linspace(0.9, 1.05, 7), np.linspace(0.5, 1.3, 7), np.linspace(1.1, 2, 7)])
    surface = ssvi(np.log(own), 0.04 * np.array([[0.5], [0.6], [2.0]])).astype(dtype)
    assert float(no_arbitrage_penalty(surface, own, [0.5, 0.6, 2.0])) == 0


# ------------------------------------------------------------------------- surfaces with arbitrage


CLEAN = black_scholes_call(STRIKES, YEARS, 0.25 - 0.1 * np.log(STRIKES)).numpy()


def arbitrage(kind):
    """A smile surface of call prices with one fault."""
    calls = CLEAN.copy()
    if kind == "butterfly":
        calls[2, 5] += 0.01
    elif kind == "calendar":
        calls[1] = calls[2] + 0.002 * calls[2] * (1 - calls[2])
    elif kind == "above the forward":
        calls[3, 0] = 1.05
    elif kind == "below intrinsic value":
        calls[0, 1] = 0.19
    elif kind == "negative":
        calls[0, -1] = -0.001
    elif kind == "rising":
        calls[3, -1] = calls[3, -2] * 1.2
    return calls


FAULTS = {
    "butterfly": "butterfly",
    "calendar": "calendar",
    "above the forward": "butterfly",
    "below intrinsic value": "calendar",
    "negative": "calendar",
    "rising": "butterfly",
}


@functools.cache
def descent(on):
    """One compiled step of Polyak's length, to just below zero."""

    @tf.function
    def improve(surface):
        with tf.GradientTape() as tape:
            tape.watch(surface)
            penalty = no_arbitrage_penalty(surface, STRIKES, YEARS, on=on)
        gradient = tape.gradient(penalty, surface)
        step = (penalty + 1e-5) / tf.reduce_sum(gradient**2)
        return penalty, surface - step * gradient

    return improve


def repair(surface, on):
    """Descent on the penalty until it is zero; returns the surface and the steps taken."""
    surface = tf.constant(surface)
    for step in range(300):
        penalty, improved = descent(on)(surface)
        if penalty == 0:
            return surface, step
        surface = improved
    raise AssertionError(f"penalty still {float(penalty)}")


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_in_prices_are_seen_and_repaired_by_descent(kind):
    calls = arbitrage(kind)
    parts = no_arbitrage_parts(calls, STRIKES, YEARS, on="calls")
    assert parts[FAULTS[kind]] > 1e-5
    repaired, steps = repair(calls, on="calls")
    assert 0 < steps < 300
    # the repair is of the size of the fault, and leaves prices of some law
    assert np.abs(repaired - calls).max() < 1.5 * np.abs(calls - CLEAN).max()
    check = np.concatenate([np.ones((4, 1)), repaired], 1)
    slopes = np.diff(check) / np.diff(np.concatenate([[0.0], STRIKES]))
    assert (np.diff(slopes) > -1e-12).all()
    assert slopes.min() > -1 - 1e-12
    assert slopes.max() < 1e-12
    assert (np.diff(repaired, axis=0) > -1e-12).all()


@pytest.mark.parametrize("on", ["total_variance", "implied_volatility"])
@pytest.mark.parametrize("kind", ["butterfly", "calendar", "rising"])
def test_faults_in_volatilities_are_seen_and_repaired_by_descent(kind, on):
    surface = as_input(arbitrage(kind), STRIKES, YEARS, on)
    repaired, steps = repair(surface, on=on)
    assert 0 < steps < 300
    assert np.abs(repaired - surface).max() < 0.2
    volatility = repaired if on == "implied_volatility" else np.sqrt(repaired / YEARS[:, None])
    calls = black_scholes_call(STRIKES, YEARS, volatility)
    assert float(no_arbitrage_penalty(calls, STRIKES, YEARS, on="calls")) == 0


def test_the_surface_with_the_faults_has_none_of_its_own():
    for on in INPUTS:
        surface = as_input(CLEAN, STRIKES, YEARS, on)
        assert float(no_arbitrage_penalty(surface, STRIKES, YEARS, on=on)) == 0


def test_parts_are_what_they_say():
    calls = arbitrage("butterfly")
    parts = no_arbitrage_parts(calls, STRIKES, YEARS, on="calls", reduction="sum")
    nodes = np.concatenate([[0.0], STRIKES])
    slopes = np.diff(np.concatenate([np.ones((4, 1)), calls], 1)) / np.diff(nodes)
    kinks = np.diff(np.concatenate([-np.ones((4, 1)), slopes, np.zeros((4, 1))], 1))
    assert float(parts["butterfly"]) == pytest.approx(-kinks[kinks < 0].sum(), rel=1e-10)
    calls = arbitrage("calendar")
    parts = no_arbitrage_parts(calls, STRIKES, YEARS, on="calls", reduction="sum")
    lost = np.maximum(-np.diff(calls, axis=0), 0).sum()
    assert float(parts["calendar"]) == pytest.approx(lost, rel=1e-10)
    mean = no_arbitrage_parts(calls, STRIKES, YEARS, on="calls")["calendar"]
    assert float(mean) == pytest.approx(lost / calls.size, rel=1e-10)


def test_prices_and_volatilities_of_one_surface_have_one_penalty():
    calls = arbitrage("butterfly") + 0.002 * (np.arange(4) == 1)[:, None]
    values = [
        float(no_arbitrage_penalty(as_input(calls, STRIKES, YEARS, on), STRIKES, YEARS, on=on))
        for on in INPUTS
    ]
    assert values[0] > 1e-3
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_weights_and_negative_variances():
    surface = np.full((4, 9), 0.04) * YEARS[:, None]
    surface[1, 4] = -0.01
    surface[2, 2] = 0.2
    parts = no_arbitrage_parts(surface, STRIKES, YEARS)
    assert parts["butterfly"] > 0
    assert parts["calendar"] > 0.01 / surface.size
    weights = {"calendar": 3.0, "butterfly": 0.0}
    total = no_arbitrage_penalty(surface, STRIKES, YEARS, weights=weights)
    expected = 3 * float(parts["calendar"]) + float(parts["wings"])
    assert float(total) == pytest.approx(expected, rel=1e-12)
    nothing = dict.fromkeys(parts, 0.0)
    assert float(no_arbitrage_penalty(surface, STRIKES, YEARS, weights=nothing)) == 0


def test_own_strikes_are_compared_at_equal_moneyness():
    years, own = [0.5, 1.0], np.stack([np.linspace(0.8, 1.2, 9), np.linspace(0.7, 1.3, 9)])
    crossing = no_arbitrage_parts([[0.3] * 9, [0.2] * 9], own, years, on="implied_volatility")
    assert crossing["calendar"] > 1e-3
    assert crossing["butterfly"] == 0
    # a skew in K / F: in absolute columns the later row would look cheaper
    skew = 0.4 - 0.3 * np.log(own)
    aligned = no_arbitrage_penalty(skew, own, years, on="implied_volatility")
    assert float(aligned) == 0


def test_ghost_strikes_demand_a_bounded_law():
    calls = black_scholes_call(STRIKES, YEARS, 0.3)
    assert float(no_arbitrage_penalty(calls, STRIKES, YEARS, on="calls")) == 0
    near = no_arbitrage_penalty(calls, STRIKES, YEARS, on="calls", ghost_strikes=(0.69, 1.36))
    assert float(near) > 1e-3
    far = no_arbitrage_penalty(calls, STRIKES, YEARS, on="calls", ghost_strikes=(0.01, 30.0))
    assert float(far) == 0


# ---------------------------------------------------------------------------------- Durrleman's g

# Vogt's smile, the standard example of an SVI slice with butterfly arbitrage
A, B, RHO, M, S = -0.0410, 0.1331, 0.3060, 0.3586, 0.4153


def svi(x):
    return A + B * (RHO * (x - M) + np.sqrt((x - M) ** 2 + S**2))


def analytic_g(x):
    root = np.sqrt((x - M) ** 2 + S**2)
    w, first, second = svi(x), B * (RHO + (x - M) / root), B * S**2 / root**3
    return (1 - x * first / (2 * w)) ** 2 - first**2 / 4 * (1 / w + 0.25) + second / 2


def test_durrleman_tends_to_the_analytic_function():
    errors = []
    for n in (61, 121, 241):
        x = np.linspace(-1.5, 1.5, n)
        g = durrleman(svi(x), np.exp(x)).numpy()
        errors.append(np.abs(g - analytic_g(x[1:-1])).max())
    assert errors[2] < 4e-3
    assert errors[1] / errors[2] > 3.5  # second order
    assert errors[0] / errors[1] > 3.5
    assert g.min() == pytest.approx(analytic_g(x).min(), rel=0.02)
    assert g.min() < -0.03


def test_durrleman_has_the_sign_of_the_butterfly():
    x = np.linspace(-1.5, 1.5, 61)
    g = durrleman(svi(x), np.exp(x)).numpy()
    calls = black_scholes_call(np.exp(x), 1.0, np.sqrt(svi(x))).numpy()
    kinks = np.diff(np.diff(calls) / np.diff(np.exp(x)))
    np.testing.assert_array_equal(g < 0, kinks < 0)
    assert 5 < (g < 0).sum() < 30
    part = no_arbitrage_parts(svi(x)[None], np.exp(x), [1.0], reduction="sum")["butterfly"]
    assert float(part) == pytest.approx(-kinks[kinks < 0].sum(), rel=1e-6)
    # and a flat smile has g = 1 on any grid, into wings without a price
    np.testing.assert_allclose(durrleman(np.full(9, 0.01), STRIKES), 1, rtol=1e-9)


def test_convexity_in_the_strike_is_not_the_condition():
    strikes = np.linspace(0.8, 1.2, 9)
    falling = np.maximum(0.04 - 0.5 * (strikes - 1), 0.025)[None]
    printed = no_arbitrage_penalty(falling, strikes, [1.0], form="paper")
    assert float(printed) < 1e-12
    assert float(no_arbitrage_parts(falling, strikes, [1.0])["butterfly"]) > 1e-3


# ------------------------------------------------------------------------------------------ wings


def test_wings_steeper_than_two_are_seen_in_both_directions():
    strikes = np.exp(np.array([-1.6, -1.2, -0.8, -0.4, 0.0, 0.4, 0.8, 1.2, 1.6]))
    x = np.log(strikes)
    for slope, positive in ((1.0, False), (3.0, True)):
        for wing in (x, -x):
            w = 0.1 + slope * np.maximum(wing - 0.7, 0)
            part = no_arbitrage_parts(w[None], strikes, [1.0], reduction="sum")["wings"]
            # the pair at 0.4, 0.8 rises by only 0.1, the other two at the full slope
            expected = 2 * (slope - 2) if positive else 0
            assert float(part) == pytest.approx(expected, abs=1e-12)


def test_slopes_above_two_are_free_of_arbitrage_near_the_forward():
    # the law with S = 0.2 or 1.8 has slopes of w up to almost 4, and no arbitrage
    strikes = np.linspace(0.25, 1.75, 31)
    calls = 0.5 * (1.8 - strikes)
    w = implied_volatility(calls[None], strikes, [1.0]).numpy() ** 2
    slopes = np.diff(w[0]) / np.diff(np.log(strikes))
    assert np.abs(slopes).max() > 2.6
    assert float(no_arbitrage_penalty(w, strikes, [1.0])) == 0


# ------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("on", INPUTS)
@pytest.mark.parametrize("form", ["correct", "paper"])
def test_gradient_against_differences(form, on, gradient_check):
    strikes, years = np.array([0.6, 0.85, 0.95, 1.05, 1.2, 1.6]), np.array([0.5, 0.6])
    volatility = 0.3 + 0.1 * np.random.default_rng(1).uniform(size=(2, 6))
    volatility[0, [0, -1]] = 1.4  # both wings steeper than 2
    surface = as_input(black_scholes_call(strikes, years, volatility).numpy(), strikes, years, on)
    options = {"form": form, "on": on}
    assert all(part > 0 for part in no_arbitrage_parts(surface, strikes, years, **options).values())
    penalty = tf.function(lambda x: no_arbitrage_penalty(x, strikes, years, **options))
    gradient_check(penalty, surface, step=1e-7, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("on", INPUTS)
@pytest.mark.parametrize("form", ["correct", "paper"])
def test_gradients_are_finite_where_volatility_vanishes(form, on, dtype):
    rng = np.random.default_rng(5)
    tiny = 10.0 ** rng.uniform(-45, 0, (200, 4, 9)) * rng.choice([-1, 0, 1, 1], (200, 4, 9))
    if on == "calls":
        tiny = np.maximum(1 - STRIKES, 0) + tiny
    surface = tf.constant(tiny, dtype)
    with tf.GradientTape() as tape:
        tape.watch(surface)
        penalty = no_arbitrage_penalty(surface, STRIKES, YEARS, form=form, on=on)
    assert np.isfinite(penalty).all()
    assert (penalty.numpy() >= 0).all()
    assert np.isfinite(tape.gradient(penalty, surface)).all()


# ----------------------------------------------------------------------------------- printed form


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_printed_terms_one_by_one(reduction):
    w = np.random.default_rng(2).uniform(0.01, 0.2, (3, 4, 9))
    fold = np.mean if reduction == "mean" else np.sum
    convexity, calendar, monotonicity = [], [], []
    for j in range(4):
        for i in range(9):
            if 0 < i < 8:
                left = (w[:, j, i] - w[:, j, i - 1]) / (STRIKES[i] - STRIKES[i - 1])
                right = (w[:, j, i + 1] - w[:, j, i]) / (STRIKES[i + 1] - STRIKES[i])
                curvature = 2 * (right - left) / (STRIKES[i + 1] - STRIKES[i - 1])
                convexity.append(np.maximum(-curvature, 0))
            if j < 3:
                growth = (w[:, j + 1, i] - w[:, j, i]) / (YEARS[j + 1] - YEARS[j])
                calendar.append(np.maximum(-growth, 0))
            if i < 8 and STRIKES[i] >= 1:
                slope = (w[:, j, i + 1] - w[:, j, i]) / (STRIKES[i + 1] - STRIKES[i])
                monotonicity.append(np.maximum(slope, 0))
    parts = no_arbitrage_parts(w, STRIKES, YEARS, form="paper", reduction=reduction)
    expected = {"convexity": convexity, "calendar": calendar, "monotonicity": monotonicity}
    assert list(parts) == list(expected)
    for name, terms in expected.items():
        np.testing.assert_allclose(parts[name], fold(terms, axis=0), rtol=1e-10)
    total = no_arbitrage_penalty(w, STRIKES, YEARS, form="paper", reduction=reduction)
    np.testing.assert_allclose(total, sum(fold(t, axis=0) for t in expected.values()), rtol=1e-10)


# ------------------------------------------------------------------------------------------ layer


@pytest.mark.parametrize(
    ("on", "options"),
    [
        ("total_variance", {}),
        ("calls", {"ghost_strikes": [0.2, 3.0], "weights": {"wings": 0.5}, "rounding": 1e-6}),
        ("implied_volatility", {"form": "paper", "reduction": "sum"}),
    ],
)
def test_layer(check_layer, on, options):
    surfaces = [as_input(arbitrage(kind), STRIKES, YEARS, on) for kind in ("butterfly", "calendar")]
    layer = NoArbitragePenalty(STRIKES, YEARS, on=on, **options)
    penalty = check_layer(layer, np.stack(surfaces), shape=(2,), export=True, rtol=1e-3)
    assert (penalty > 1e-5).all()
    parts = layer.parts(np.stack(surfaces))
    weighted = sum(options.get("weights", {}).get(name, 1) * p for name, p in parts.items())
    np.testing.assert_allclose(weighted, penalty, rtol=1e-6)


def test_layer_with_own_strikes_and_more_axes(check_layer):
    own = 1 + (STRIKES - 1) * np.array([[0.5], [0.8], [0.8], [1.0]])
    ghosts = np.array([[0.5, 1.6]] * 3 + [[0.4, 1.8]])
    w = np.random.default_rng(3).uniform(0.01, 0.2, (2, 3, 4, 9))
    layer = NoArbitragePenalty(own, YEARS, ghost_strikes=ghosts)
    check_layer(layer, w, shape=(2, 3), jit_compile=True, rtol=1e-4)
    assert NoArbitragePenalty([1.0], [0.5])(tf.constant([[[0.04]], [[-0.1]]])).numpy()[0] == 0


def test_half_precision_is_computed_in_single():
    layer = NoArbitragePenalty(STRIKES, YEARS, dtype="float16", on="implied_volatility")
    flat = tf.fill((1, 4, 9), tf.constant(0.25, tf.float16))
    assert layer(flat).dtype == "float16"
    assert float(layer(flat)[0]) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strikes": [1.1, 1.0]}, "`strikes` must increase"),
        ({"strikes": [0.0, 1.0]}, "`strikes` must be positive"),
        ({"strikes": [[0.9, 1.0]] * 3}, "one row per maturity"),
        ({"strikes": [np.nan, 1.0]}, "`strikes` must be finite"),
        ({"maturities": [1.0, 0.5]}, "`maturities` must increase"),
        ({"maturities": []}, "`maturities` must be a non-empty array"),
        ({"ghost_strikes": [0.95, 1.2]}, "`ghost_strikes` must be non-negative and have all"),
        ({"ghost_strikes": [0.5, 1.2, 1.3]}, "`ghost_strikes` must have shape"),
        ({"ghost_strikes": [[0.5, 1.5], [0.6, 1.5]]}, "must not narrow"),
        ({"form": "printed"}, "`form` must be one of"),
        ({"on": "puts"}, "`on` must be one of"),
        ({"reduction": "max"}, "`reduction` must be one of"),
        ({"rounding": -1.0}, "`rounding` must lie in"),
        ({"weights": {"convexity": 1.0}}, "`weights` must name parts of the correct form"),
        ({"weights": {"wings": -1.0}}, "`weights` must be non-negative"),
        ({"form": "paper", "strikes": [[0.9, 1.0], [0.8, 1.0]]}, "common to all maturities"),
        ({"form": "paper", "ghost_strikes": [0.5, 1.5]}, "`ghost_strikes` have no meaning"),
    ],
)
def test_errors_name_the_culprit(change, words):
    arguments = {"strikes": [0.9, 1.0], "maturities": [0.5, 1.0], **change}
    with pytest.raises(ValueError, match=words) as error:
        NoArbitragePenalty(**arguments)
    assert "Received" in str(error.value)
    with pytest.raises(ValueError, match=words):
        no_arbitrage_penalty(np.zeros((2, 2)), **arguments)


def test_surfaces_of_another_shape_are_refused():
    for shape in ((9, 4), (9,), (2, 4, 8)):
        with pytest.raises(ValueError, match=r"surface.*\(\.\.\., 4, 9\).*Received"):
            no_arbitrage_penalty(np.zeros(shape), STRIKES, YEARS)
    with pytest.raises(ValueError, match="n >= 3"):
        durrleman([0.04, 0.04], [0.9, 1.0])
