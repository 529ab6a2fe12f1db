import itertools

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.layers import (
    DiscreteLocalVolatility,
    black_scholes_call,
    calls_to_dlv,
    dlv_to_calls,
    dlv_to_density,
    implied_volatility,
)

STRIKES = np.array([0.7, 0.85, 0.95, 1.0, 1.08, 1.2, 1.3])
YEARS = np.array([0.1, 0.25, 0.5])
WIDENING = np.stack([STRIKES, 1 + 1.3 * (STRIKES - 1), 0.02 + 1.5 * (STRIKES - 1) + 0.99])
GRIDS = [
    pytest.param(STRIKES, None, id="common"),
    pytest.param(STRIKES, [0.3, 2.0], id="ghosts"),
    pytest.param(WIDENING, None, id="widening"),
    pytest.param(STRIKES, [[0.6, 1.4], [0.5, 1.5], [0.5, 1.9]], id="widening ghosts"),
]


def volatilities(*batch, maturities=3, strikes=7, seed=0):
    return np.random.default_rng(seed).uniform(0.05, 0.6, (*batch, maturities, strikes))


def nodes_of(strikes, maturities=3, ghosts=None):
    """Rows of nodes with ghosts, from the definition."""
    strikes = np.broadcast_to(strikes, (maturities, np.shape(strikes)[-1]))
    if ghosts is None:
        low = np.maximum(2 * strikes[:, 0] - strikes[:, 1], 0)
        ghosts = np.stack([low, 2 * strikes[:, -1] - strikes[:, -2]], 1)
    ghosts = np.broadcast_to(ghosts, (maturities, 2))
    return np.concatenate([ghosts[:, :1], strikes, ghosts[:, 1:]], 1)


def matrices(sigma, nodes, years):
    """The implicit steps of one surface as dense matrices, ends included."""
    steps = np.diff(years, prepend=0.0)
    found = []
    for row, vol, dt in zip(nodes, sigma, steps, strict=True):
        a = np.eye(len(row))
        for i in range(1, len(row) - 1):
            below, above = row[i] - row[i - 1], row[i + 1] - row[i]
            b = row[i] ** 2 * vol[i - 1] ** 2 * dt / (below + above)
            a[i, i - 1 : i + 2] += b * np.array([-1 / below, 1 / below + 1 / above, -1 / above])
        found.append(a)
    return found


def prices_by_definition(sigma, nodes, years):
    """Dense solves, slice after slice, with interpolation between rows."""
    row = prices = None
    slices = []
    for new, a in zip(nodes, matrices(sigma, nodes, years), strict=True):
        inside = 1 - new if row is None else np.interp(new, row, prices)
        if row is not None:
            inside = np.where(new < row[0], 1 - new, np.where(new > row[-1], 0.0, inside))
        row, prices = new, np.linalg.solve(a, np.maximum(inside, 0.0))
        slices.append(prices)
    return np.array(slices)


def carried(prices, nodes):
    """Prices of the maturity before at the nodes of each maturity, `(..., m, n+2)`."""
    before = np.maximum(1 - nodes[0], 0) + np.zeros_like(prices[..., 0, :])
    rows = [before]
    for j in range(1, len(nodes)):
        flat = prices[..., j - 1, :].reshape(-1, nodes.shape[1])
        moved = [np.interp(nodes[j], nodes[j - 1], surface) for surface in flat]
        outside = (nodes[j] < nodes[j - 1, 0]) | (nodes[j] > nodes[j - 1, -1])
        moved = np.where(outside, np.maximum(1 - nodes[j], 0), moved)
        rows.append(moved.reshape(before.shape))
    return np.stack(rows, -2)


def with_ends(calls, nodes):
    ends = np.maximum(1 - nodes, 0) + np.zeros((*calls.shape[:-1], 1))
    return np.concatenate([ends[..., :1], calls, ends[..., -1:]], -1)


# ---------------------------------------------------------------------------------- the definition


@pytest.mark.parametrize(("strikes", "ghosts"), GRIDS)
def test_prices_and_probabilities_are_those_of_the_definition(strikes, ghosts):
    sigma = volatilities(4)
    nodes = nodes_of(strikes, ghosts=ghosts)
    expected = np.array([prices_by_definition(surface, nodes, YEARS) for surface in sigma])
    calls = dlv_to_calls(sigma, strikes, YEARS, ghosts)
    assert calls.dtype == tf.float64
    np.testing.assert_allclose(calls, expected[..., 1:-1], rtol=0, atol=2e-15)
    density = dlv_to_density(sigma, strikes, YEARS, ghosts).numpy()
    slopes = np.diff(expected) / np.diff(nodes)
    slopes = np.concatenate([slopes[..., :1] * 0 - 1, slopes, slopes[..., :1] * 0], -1)
    np.testing.assert_allclose(density, np.diff(slopes), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("strikes", "ghosts"), GRIDS)
def test_density_is_that_of_a_martingale(strikes, ghosts):
    sigma = volatilities(200, seed=1)
    density = dlv_to_density(sigma, strikes, YEARS, ghosts).numpy()
    nodes = nodes_of(strikes, ghosts=ghosts)
    assert density.min() >= 0
    np.testing.assert_allclose(density.sum(-1), 1, atol=1e-14)
    np.testing.assert_allclose((density * nodes).sum(-1), 1, atol=1e-14)
    payoffs = np.maximum(nodes[:, :, None] - nodes[:, None, 1:-1], 0)
    calls = np.einsum("bji,jik->bjk", density, payoffs)
    np.testing.assert_allclose(dlv_to_calls(sigma, strikes, YEARS, ghosts), calls, atol=1e-14)


def test_each_step_is_a_martingale_kernel():
    sigma, nodes = volatilities(), nodes_of(STRIKES)
    for j, matrix in enumerate(matrices(sigma, nodes, YEARS)):
        kernel = np.linalg.inv(matrix)
        assert kernel.min() > -1e-16
        np.testing.assert_allclose(kernel.sum(1), 1, atol=1e-14)
        np.testing.assert_allclose(kernel @ nodes[j], nodes[j], atol=1e-14)
        density = dlv_to_density(sigma, STRIKES, YEARS).numpy()
        if j:
            np.testing.assert_allclose(density[j - 1] @ kernel, density[j], atol=1e-14)


def test_vega_formula():
    # in the last slice, a change in σ² at one strike moves prices by A⁻¹e times k² dt Γ / 2
    sigma, nodes = volatilities(), nodes_of(STRIKES)
    density = dlv_to_density(sigma, STRIKES, YEARS).numpy()[-1, 1:-1]
    kernel = np.linalg.inv(matrices(sigma, nodes, YEARS)[-1])[1:-1, 1:-1]
    middle = 0.5 * (nodes[0, 2:] - nodes[0, :-2])
    expected = kernel * STRIKES**2 * (YEARS[-1] - YEARS[-2]) / 2 * density / middle
    variance = tf.constant(sigma**2)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(variance)
        last = dlv_to_calls(tf.sqrt(variance), STRIKES, YEARS)[-1]
    jacobian = tape.jacobian(last, variance, experimental_use_pfor=False)[:, -1]
    np.testing.assert_allclose(jacobian, expected, atol=1e-15)
    assert np.min(jacobian) >= 0


def test_flat_volatility_becomes_black_scholes_as_the_grid_is_refined():
    errors = []
    for refinement in (1, 2):
        strikes = np.linspace(0.5, 1.7, 24 * refinement**2 + 1)
        years = np.linspace(0, 0.5, 8 * refinement**2 + 1)[1:]
        sigma = np.full((len(years), len(strikes)), 0.2)
        calls = dlv_to_calls(sigma, strikes, years).numpy()[-1]
        errors.append(np.abs(calls - black_scholes_call(strikes, 0.5, 0.2)).max())
    assert errors[0] > 3 * errors[1]
    assert errors[1] < 4e-4


def test_large_steps_are_not_local_volatility():
    strikes, years = np.array([0.85, 0.9, 0.95, 0.975, 1.0, 1.025, 1.05, 1.1, 1.15]), [20 / 250]
    ghosts = [0.8, 1.2]
    calls = black_scholes_call(strikes, years, 0.2)
    dlv = calls_to_dlv(calls, strikes, years, ghosts).numpy()[0]
    assert dlv[4] > 0.2 > max(dlv[1], dlv[7])
    np.testing.assert_allclose(dlv_to_calls(dlv[None], strikes, years, ghosts), calls, atol=1e-15)


# ------------------------------------------------------------------------------------ round trips


@pytest.mark.parametrize(("strikes", "ghosts"), GRIDS)
def test_round_trips(strikes, ghosts):
    sigma = volatilities(300, seed=2)
    calls = dlv_to_calls(sigma, strikes, YEARS, ghosts).numpy()
    back = calls_to_dlv(calls, strikes, YEARS, ghosts).numpy()
    np.testing.assert_allclose(dlv_to_calls(back, strikes, YEARS, ghosts), calls, atol=1e-13)
    nodes = nodes_of(strikes, ghosts=ghosts)
    density = dlv_to_density(sigma, strikes, YEARS, ghosts).numpy()[..., 1:-1]
    middle = 0.5 * (nodes[:, 2:] - nodes[:, :-2])
    full = with_ends(calls, nodes)
    gained = calls - carried(full, nodes)[..., 1:-1]
    bound = 2 * np.finfo(float).eps * (1 / (middle * density) + 1 / gained)
    informed = bound < 1e-3
    assert informed.mean() > 0.95
    assert (np.abs(back / sigma - 1) <= bound)[informed].all()


def test_zero_and_infinite_volatility():
    sigma = volatilities(4)
    sigma[0], sigma[1], sigma[2, 1, 2] = 0.0, np.inf, np.inf
    calls = dlv_to_calls(sigma, STRIKES, YEARS).numpy()
    intrinsic = np.maximum(1 - STRIKES, 0)
    np.testing.assert_array_equal(calls[0], np.broadcast_to(intrinsic, (3, 7)))
    nodes = nodes_of(STRIKES)[0]
    # nobody stays between the ghosts: the chord
    chord = (1 - nodes[0]) * (nodes[-1] - STRIKES) / (nodes[-1] - nodes[0])
    np.testing.assert_allclose(calls[1], np.broadcast_to(chord, (3, 7)), atol=1e-15)
    assert dlv_to_density(sigma, STRIKES, YEARS).numpy()[2, 1, 3] < 1e-15
    back = calls_to_dlv(calls, STRIKES, YEARS).numpy()
    np.testing.assert_array_equal(back[0], 0)
    assert np.isposinf(back[2, 1, 2])
    np.testing.assert_allclose(dlv_to_calls(back, STRIKES, YEARS), calls, atol=1e-14)
    with tf.GradientTape() as tape:
        vols = tf.constant(sigma)
        tape.watch(vols)
        total = tf.reduce_sum(dlv_to_calls(vols, STRIKES, YEARS))
    assert np.isfinite(tape.gradient(total, vols)).all()


# ---------------------------------------------------------------------- static arbitrage, float32


@pytest.mark.parametrize("widening", [False, True])
def test_random_surfaces_in_float32_have_no_arbitrage(widening):
    rng = np.random.default_rng(7)
    eps = np.finfo("float32").eps
    for _ in range(5):
        m, n = rng.integers(2, 7), rng.integers(3, 16)
        row = np.sort(np.concatenate([[1.0], rng.uniform(0.4, 0.95, n), rng.uniform(1.05, 2, n)]))
        strikes = np.stack([1 + (row - 1) * (1 + 0.1 * j) for j in range(m)]) if widening else row
        strikes = strikes.astype("float32")
        years = np.cumsum(rng.uniform(0.02, 0.5, m)).astype("float32")
        sigma = np.exp(rng.normal(-1.5, 1.0, (1000, m, len(row)))).astype("float32")
        calls = dlv_to_calls(sigma, strikes, years).numpy()
        density = dlv_to_density(sigma, strikes, years).numpy()
        assert calls.dtype == density.dtype == np.float32
        assert density.min() >= 0
        np.testing.assert_allclose(density.sum(-1), 1, atol=20 * eps)
        nodes = nodes_of(strikes.astype(float), m)
        full = with_ends(calls.astype(float), nodes)
        assert (full[..., 1:-1] - carried(full, nodes)[..., 1:-1]).min() >= -2 * eps
        slopes = np.diff(full) / np.diff(nodes)
        rounding = 4 * eps * (1 / np.diff(nodes)[:, 1:] + 1 / np.diff(nodes)[:, :-1])
        assert (np.diff(slopes) >= -rounding).all()
        exact = dlv_to_density(*(x.astype(float) for x in (sigma, strikes, years)))
        np.testing.assert_allclose(density, exact, rtol=1e-4, atol=1e-37)
        # and what was computed in float32 is not refused
        assert np.isfinite(calls_to_dlv(calls, strikes, years)).mean() > 0.9


def test_calendars_are_exactly_monotone_on_a_common_grid():
    sigma = volatilities(2000, seed=3).astype("float32")
    calls = dlv_to_calls(sigma, STRIKES.astype("float32"), YEARS.astype("float32")).numpy()
    assert np.diff(calls, axis=-2).min() >= 0


def test_far_wings_keep_their_relative_precision_in_float32():
    strikes = np.linspace(0.5, 1.5, 41)
    sigma = np.full((1, 41), 0.03)
    exact = dlv_to_calls(sigma, strikes, [0.05]).numpy()
    single = dlv_to_calls(tf.constant(sigma, tf.float32), strikes, [0.05]).numpy()
    upper = strikes > 1.01
    assert exact[0, upper].min() < 1e-20
    np.testing.assert_allclose(single[0, upper], exact[0, upper], rtol=2e-4)


# ---------------------------------------------------------------------------------------- gradients


# no strike on the forward, no two rows with a strike in common: there prices have kinks
SMOOTH = STRIKES + 0.01
SMOOTH_WIDENING = WIDENING * [[1.003], [1.007], [0.996]]


@pytest.mark.parametrize("function", [dlv_to_calls, dlv_to_density])
def test_gradients(gradient_check, function):
    arguments = volatilities(2), SMOOTH, YEARS, np.array([0.4, 1.9])
    gradient_check(tf.function(function), *arguments, step=2e-6, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("function", [dlv_to_calls, dlv_to_density])
def test_gradients_on_widening_grids(gradient_check, function):
    arguments = volatilities(1), SMOOTH_WIDENING, YEARS
    gradient_check(tf.function(function), *arguments, step=2e-6, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("strikes", [STRIKES, WIDENING], ids=["common", "widening"])
@pytest.mark.parametrize("function", [dlv_to_calls, dlv_to_density])
def test_at_a_kink_the_slope_is_the_mean_of_both_sides(gradient_check, function, strikes):
    sigma = volatilities()
    gradient_check(
        tf.function(lambda k: function(sigma, k, YEARS)), strikes, step=1e-7, rtol=1e-5, atol=2e-5
    )


def test_gradient_of_the_inverse(gradient_check):
    strikes, ghosts = STRIKES, np.array([0.4, 1.9])
    calls = dlv_to_calls(np.full((3, 7), 0.3), strikes, YEARS, ghosts).numpy()
    gradient_check(calls_to_dlv, calls, strikes, YEARS, ghosts, step=1e-8, rtol=1e-5, atol=1e-4)


def test_second_derivatives(gradient_check):
    def slopes(sigma, strikes):
        with tf.GradientTape() as tape:
            tape.watch([sigma, strikes])
            total = tf.reduce_sum(tf.sin(7 * dlv_to_calls(sigma, strikes, YEARS)))
        return tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(total, [sigma, strikes])], 0)

    for strikes in (SMOOTH, SMOOTH_WIDENING):
        gradient_check(tf.function(slopes), volatilities(), strikes, rtol=1e-5, atol=1e-6)


def large_surface():
    strikes = np.linspace(0.5, 1.6, 30)
    years = np.linspace(0.1, 2.5, 25)
    return volatilities(2, maturities=25, strikes=30), strikes, years


def test_many_nodes_use_a_loop_with_the_same_numbers():
    sigma, strikes, years = large_surface()
    for grid in (strikes, np.stack([1 + (strikes - 1) * (1 + 0.01 * j) for j in range(25)])):
        nodes = nodes_of(grid, 25)
        expected = [prices_by_definition(surface, nodes, years)[:, 1:-1] for surface in sigma]
        np.testing.assert_allclose(dlv_to_calls(sigma, grid, years), expected, atol=1e-14)
        vols = tf.constant(sigma)
        weights = np.random.default_rng(0).normal(size=sigma.shape)
        with tf.GradientTape() as tape:
            tape.watch(vols)
            total = tf.reduce_sum(weights * dlv_to_calls(vols, grid, years))
        direction = np.random.default_rng(1).normal(size=sigma.shape)
        along = [
            np.sum(weights * dlv_to_calls(sigma + h * direction, grid, years))
            for h in (1e-6, -1e-6)
        ]
        slope = np.sum(direction * tape.gradient(total, vols))
        np.testing.assert_allclose(slope, (along[0] - along[1]) / 2e-6, rtol=1e-7)


@pytest.mark.parametrize("strikes", [STRIKES, WIDENING], ids=["common", "widening"])
def test_compiled_by_xla_or_not_values_and_gradients_are_the_same(strikes):
    sigma = tf.constant(volatilities(5))

    def both(sigma):
        with tf.GradientTape() as tape:
            tape.watch(sigma)
            calls = dlv_to_calls(sigma, strikes, YEARS)
            density = dlv_to_density(sigma, strikes, YEARS)
            total = tf.reduce_sum(tf.square(calls)) + tf.reduce_sum(tf.square(density))
        return calls, density, tape.gradient(total, sigma)

    expected = both(sigma)
    batch = [tf.TensorSpec((None, 3, 7), tf.float64)]
    for function in (tf.function(both, input_signature=batch), tf.function(both, jit_compile=True)):
        for actual, wanted in zip(function(sigma), expected, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-12, atol=1e-15)


def test_any_leading_axes():
    sigma = volatilities(2, 3)
    calls = dlv_to_calls(sigma, STRIKES, YEARS).numpy()
    for index in itertools.product(range(2), range(3)):
        np.testing.assert_allclose(dlv_to_calls(sigma[index], STRIKES, YEARS), calls[index])
    assert dlv_to_calls(sigma[:0], STRIKES, YEARS).shape == (0, 3, 3, 7)
    single = dlv_to_calls([[0.2]], [1.0], [0.5], [0.5, 1.5]).numpy()
    rate = 0.5 * 0.2**2 * 0.5 / 0.5 * (1 / 0.5 + 1 / 0.5)
    np.testing.assert_allclose(single, [[0.25 * rate / (1 + rate)]])


# --------------------------------------------------------------------------------------- the layer


def test_layer(check_layer):
    sigma = volatilities(5)
    layer = DiscreteLocalVolatility(STRIKES, YEARS, ghost_strikes=[0.5, 1.7])
    calls = check_layer(layer, sigma, shape=(5, 3, 7), export=True)
    np.testing.assert_allclose(calls, dlv_to_calls(sigma, STRIKES, YEARS, [0.5, 1.7]), atol=1e-6)
    check_layer(DiscreteLocalVolatility(WIDENING, YEARS), sigma, shape=(5, 3, 7))


def test_methods_of_the_layer():
    layer = DiscreteLocalVolatility(STRIKES, YEARS, dtype="float64")
    sigma = volatilities(2)
    calls = layer(sigma)
    np.testing.assert_allclose(layer.inverse(calls), sigma, rtol=1e-10)
    np.testing.assert_allclose(layer.density(sigma), dlv_to_density(sigma, STRIKES, YEARS))
    np.testing.assert_allclose(layer.puts(sigma), calls - 1 + STRIKES)
    expected = implied_volatility(calls, STRIKES, YEARS)
    np.testing.assert_allclose(layer.implied_volatility(sigma), expected)


@pytest.mark.serving
def test_saved_model_has_values_and_gradients(tmp_path):
    module = tf.Module()
    module.prices = tf.function(
        lambda sigma: dlv_to_calls(sigma, STRIKES, YEARS),
        input_signature=[tf.TensorSpec((None, 3, 7), tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    sigma = tf.constant(volatilities(4), tf.float32)
    slopes = []
    for function in (loaded.prices, module.prices, lambda s: dlv_to_calls(s, STRIKES, YEARS)):
        with tf.GradientTape() as tape:
            tape.watch(sigma)
            total = tf.reduce_sum(tf.square(function(sigma)))
        slopes.append(tape.gradient(total, sigma))
    np.testing.assert_allclose(slopes[0], slopes[2], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(slopes[1], slopes[2], rtol=1e-4, atol=1e-7)


# ------------------------------------------------------------------------------------------ errors


def bad_cell(value):
    sigma = volatilities(2)
    sigma[1, 2, 4] = value
    return sigma


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sigma": bad_cell(-0.1)}, ["`sigma`", "-0.1", "strike 1.08", "maturity 0.5", "(1,)"]),
        ({"sigma": bad_cell(np.nan)}, ["`sigma`", "nan", "strike 1.08", "maturity 0.5"]),
        ({"sigma": np.ones((3, 6))}, ["`sigma`", "(..., 3, 7)", "(3, 6)"]),
        ({"sigma": 0.2}, ["`sigma`", "(..., 3, 7)", "()"]),
        ({"strikes": STRIKES[::-1]}, ["`strikes`", "increasing"]),
        ({"strikes": STRIKES - 0.7}, ["`strikes`", "positive", "0.0"]),
        ({"strikes": STRIKES + 0.4}, ["`strikes`", "forward", "1.1"]),
        ({"strikes": STRIKES * 0.7}, ["`strikes`", "forward", "0.9"]),
        ({"strikes": WIDENING[::-1]}, ["`strikes`", "widen", "row 0", "row 1"]),
        ({"strikes": WIDENING[:2]}, ["`strikes`", "(m, n)", "(2, 7)"]),
        ({"maturities": [0.1, 0.5, 0.5]}, ["`maturities`", "increasing"]),
        ({"maturities": [0.0, 0.1, 0.5]}, ["`maturities`", "positive"]),
        ({"maturities": [[0.1, 0.2, 0.5]]}, ["`maturities`", "(m,)", "(1, 3)"]),
        ({"ghost_strikes": [0.8, 1.6]}, ["`ghost_strikes`", "outside", "0.8"]),
        ({"ghost_strikes": [-0.1, 1.6]}, ["`ghost_strikes`", "not below 0"]),
        ({"ghost_strikes": [0.1, 0.2, 1.6]}, ["`ghost_strikes`", "(2,)", "(3,)"]),
        ({"ghost_strikes": [[0.1, 1.6], [0.2, 1.6], [0.1, 2.0]]}, ["`ghost_strikes`", "widen"]),
    ],
)
def test_errors_name_the_culprit(changes, words):
    arguments = {"sigma": volatilities(2), "strikes": STRIKES, "maturities": YEARS, **changes}
    for function in (dlv_to_calls, dlv_to_density):
        with pytest.raises(ValueError, match="Received") as error:
            function(**arguments)
        for word in words:
            assert word in str(error.value)
    if "sigma" not in changes:
        with pytest.raises(ValueError, match="Received"):
            DiscreteLocalVolatility(**{k: v for k, v in arguments.items() if k != "sigma"})


def test_a_single_strike_needs_ghosts():
    with pytest.raises(ValueError, match="`ghost_strikes` must be given"):
        dlv_to_calls([[0.2]], [1.0], [0.5])


@pytest.mark.parametrize(
    ("cell", "shift", "kind"),
    [((1, 2, 3), 0.05, "butterfly"), ((0, 1, 6), -0.012, "calendar"), ((1, 0, 0), -0.01, "bound")],
)
def test_arbitrage_is_refused_where_it_is(cell, shift, kind):
    calls = dlv_to_calls(np.full((2, 3, 7), 0.25), STRIKES, YEARS).numpy()
    clean = calls_to_dlv(calls, STRIKES, YEARS).numpy()
    calls[cell] += shift
    b, j, i = cell
    with pytest.raises(ValueError, match=kind) as error:
        calls_to_dlv(np.maximum(calls, 0), STRIKES, YEARS)
    if kind != "bound":
        assert f"strike {STRIKES[i]:.6g}, maturity {YEARS[j]:.6g} of surface ({b},)" in str(
            error.value
        )
    found = tf.function(lambda c: calls_to_dlv(c, STRIKES, YEARS))(calls).numpy()
    # the definition, cell by cell
    nodes = nodes_of(STRIKES)
    full = with_ends(calls, nodes)
    butterflies = np.diff(np.diff(full) / np.diff(nodes))
    gained = calls - carried(full, nodes)[..., 1:-1]
    failing = (butterflies < -1e-12) | (gained < -1e-12)
    assert failing[cell]
    np.testing.assert_array_equal(np.isnan(found), failing)
    untouched = np.ones((2, 3), bool)
    untouched[b, j : j + 2] = False
    np.testing.assert_allclose(found[untouched], clean[untouched])


@pytest.mark.parametrize("value", [-0.01, np.nan])
def test_negative_and_missing_prices_are_refused(value):
    calls = dlv_to_calls(volatilities(2), STRIKES, YEARS).numpy()
    calls[1, 2, 6] = value
    with pytest.raises(ValueError, match=r"`calls`.*strike 1.3, maturity 0.5 \(surface \(1,\)\)"):
        calls_to_dlv(calls, STRIKES, YEARS)


def test_ghosts_too_near_are_hinted_at():
    calls = black_scholes_call(STRIKES, YEARS, 0.4)
    with pytest.raises(ValueError, match="`ghost_strikes` further out"):
        calls_to_dlv(calls, STRIKES, YEARS, [0.65, 1.35])
