"""The exact optimum against closed forms, brute force, quadrature and simulation."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from hedgezoo.baselines.exact_hedge import ExactHedge

COARSE = {"spot_nodes": 2, "position_nodes": 48}
LOOKBACK = {
    "option": "lookback",
    "strike": 1.03,
    "steps": 6,
    "time_step": 4 / 365,
    "risk_aversion": 10.0,
    "spot_nodes": 2,
    "position_nodes": 24,
    "width": 7,
}


@pytest.fixture(scope="module")
def headline():
    return ExactHedge()


@pytest.fixture(scope="module")
def lookback():
    return ExactHedge(**LOOKBACK)


def delta_band(spot, step, steps=20, width=0.0):
    """Black-Scholes delta of the default call, give or take `width` Whalley-Wilmott widths."""
    deviation = 0.2 * np.sqrt((steps - step) / 250)
    d1 = np.log(spot) / deviation + deviation / 2
    gamma = np.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi) / spot / deviation
    half = width * (1.5 * 1e-3 * gamma**2 * spot / 50) ** (1 / 3)
    return ndtr(d1) - half, ndtr(d1) + half


def simulated_risk(hedge, band, seed, paths=100_000):
    """Entropic risk and its standard error, from antithetic pairs of paths."""
    normal = np.random.default_rng(seed).standard_normal((paths, hedge.steps))
    normal = np.concatenate([normal, -normal])
    mean = (hedge.drift - hedge.volatility**2 / 2) * hedge.time_step
    growth = mean + hedge.volatility * math.sqrt(hedge.time_step) * normal
    spot = hedge.spot * np.exp(np.pad(growth.cumsum(axis=1), ((0, 0), (1, 0))))
    maximum = np.maximum.accumulate(spot, axis=1)
    lookback = hedge.option == "lookback"
    position, gains = np.zeros(len(spot)), np.zeros(len(spot))
    for step in range(hedge.steps):
        state = (spot[:, step], step) + ((maximum[:, step],) if lookback else ())
        moved = np.clip(position, *band(*state))
        gains += moved * (spot[:, step + 1] - spot[:, step])
        gains -= hedge.cost * spot[:, step] * np.abs(moved - position)
        position = moved
    shortfall = hedge.payoff(maximum[:, -1] if lookback else spot[:, -1]) - gains
    top = shortfall.max()
    pairs = np.exp(hedge.risk_aversion * (shortfall - top)).reshape(2, -1).mean(axis=0)
    error = pairs.std() / pairs.mean() / math.sqrt(paths) / hedge.risk_aversion
    return top + math.log(pairs.mean()) / hedge.risk_aversion, error


def held_risk(risk_aversion, position):
    """Entropic risk of selling the default call and holding `position`, by quadrature."""
    deviation = 0.2 * math.sqrt(20 / 250)
    z = np.linspace(-12, 20, 400_001)
    spot = np.exp(deviation * z - deviation**2 / 2)
    f = risk_aversion * (np.maximum(spot - 1, 0) - position * (spot - 1)) - z * z / 2
    total = np.trapezoid(np.exp(f - f.max()), z) / math.sqrt(2 * math.pi)
    return (f.max() + math.log(total)) / risk_aversion


class TestOptimum:
    def test_headline(self, headline):
        # converged in every grid parameter: 0.0244822467(5)
        assert headline.price() == pytest.approx(0.02448224675, abs=2e-9)
        assert ExactHedge(**COARSE).price() == pytest.approx(0.02448224675, abs=5e-8)

    @pytest.mark.parametrize(
        "terms",
        [
            {"volatility": 0.5, "cost": 5e-3, "risk_aversion": 5.0, "strike": 1.1},
            {"volatility": 0.12, "cost": 1e-4, "risk_aversion": 200.0, "strike": 0.98},
            {"option": "put", "drift": 0.1, "steps": 7},
        ],
    )
    def test_refinement(self, terms):
        terms = {"steps": 12, **terms}
        fine = ExactHedge(**terms, spot_nodes=6, position_nodes=160, width=13)
        for grid, tolerance in ((COARSE, 3e-7), ({}, 1e-8)):
            hedge = ExactHedge(**terms, **grid)
            assert hedge.price() == pytest.approx(fine.price(), abs=tolerance)
            assert hedge.price_of("delta") == pytest.approx(fine.price_of("delta"), abs=tolerance)

    @pytest.mark.parametrize("option", ["call", "put"])
    @pytest.mark.parametrize("strike", [1.0, 1.013])
    def test_one_step_against_minimisation(self, option, strike):
        terms = {"volatility": 0.3, "cost": 2e-3, "risk_aversion": 30.0, "strike": strike}
        hedge = ExactHedge(**terms, steps=1, time_step=1 / 50, option=option)
        deviation = 0.3 / math.sqrt(50)
        kink = (math.log(strike) + deviation**2 / 2) / deviation

        def risk(position):
            def integrand(z):
                end = math.exp(deviation * z - deviation**2 / 2)
                owed = hedge.payoff(end) - position * (end - 1)
                return math.exp(30 * owed - z * z / 2) / math.sqrt(2 * math.pi)

            options = {"epsabs": 1e-13, "epsrel": 1e-13}
            total = sum(quad(integrand, *ends, **options)[0] for ends in ((-9, kink), (kink, 9)))
            return math.log(total) / 30

        best = minimize_scalar(
            lambda q: risk(q) + 2e-3 * abs(q), bounds=(-1, 1), options={"xatol": 1e-10}
        )
        assert hedge.price() == pytest.approx(best.fun, abs=1e-10)
        # the first trade, from 0, ends on the nearer edge
        edge = hedge.band(1.0, 0)[0 if option == "call" else 1]
        assert float(edge) == pytest.approx(best.x, abs=2e-6)
        # at both edges the marginal risk is the marginal cost
        for edge, sign in zip(hedge.band(1.0, 0), (-1, 1), strict=True):
            slope = (risk(float(edge) + 1e-4) - risk(float(edge) - 1e-4)) / 2e-4
            assert slope == pytest.approx(sign * 2e-3, abs=2e-7)

    def test_two_steps_against_brute_force(self):
        hedge = ExactHedge(steps=2, time_step=1 / 100, risk_aversion=40.0, cost=3e-3)
        z, weight = np.polynomial.legendre.leggauss(160)
        z, weight = 8.5 * z, 8.5 * weight * np.exp(-((8.5 * z) ** 2) / 2) / math.sqrt(2 * math.pi)
        move = np.exp(0.02 * z - 0.02**2 / 2)
        # the last step, split at the strike of each middle spot
        kink = np.clip((0.02**2 / 2 - np.log(move)) / 0.02, -8.5, 8.5)
        half = np.stack([kink + 8.5, 8.5 - kink], axis=1)[..., None] / 2
        middle = np.stack([kink - 8.5, kink + 8.5], axis=1)[..., None] / 2
        node, node_weight = np.polynomial.legendre.leggauss(48)
        inner = (middle + half * node).reshape(len(z), -1)
        inner_weight = (half * node_weight).reshape(len(z), -1) * np.exp(-(inner**2) / 2)
        end = move[:, None] * np.exp(0.02 * inner - 0.02**2 / 2)
        owed = np.maximum(end - 1, 0)
        candidates = np.linspace(0, 1, 801)
        last = np.empty((len(z), candidates.size))
        for k, position in enumerate(candidates):
            gains = position * (end - move[:, None])
            total = (inner_weight * np.exp(40 * (owed - gains))).sum(axis=1)
            last[:, k] = np.log(total / math.sqrt(2 * math.pi)) / 40
        prices = []
        for first in candidates[300:501:4]:
            trade = 3e-3 * move[:, None] * np.abs(candidates - first)
            risk = (last + trade).min(axis=1) - first * (move - 1)
            prices.append(3e-3 * first + math.log(weight @ np.exp(40 * risk)) / 40)
        # candidates are 1/800 apart, and the minimum over them is too high by a square of that
        assert min(prices) - 3e-8 < hedge.price() < min(prices) + 1e-9

    def test_never_above_another_band(self, headline):
        price = headline.price()
        assert headline.price_of(headline) == pytest.approx(price, abs=2e-9)
        assert headline.price_of(headline.band) == headline.price_of(headline)
        for shift in (-0.05, 0.02, 0.08):
            for widening in (-0.03, 0.0, 0.04):

                def band(spot, step, shift=shift, widening=widening):
                    lower, upper = headline.band(spot, step)
                    return lower + shift - widening, upper + shift + widening

                assert headline.price_of(band) > price + 1e-6

    def test_tiny_changes_cost_their_square(self, headline):
        def risk(shift):
            def band(spot, step):
                lower, upper = headline.band(spot, step)
                return lower + shift, upper + shift

            return headline.price_of(band) - headline.price_of(headline)

        assert risk(0.01) > 0
        assert risk(0.02) / risk(0.01) == pytest.approx(4, rel=0.1)

    def test_monotone_in_cost_and_risk_aversion(self):
        costs = [ExactHedge(cost=c, **COARSE).price() for c in (0, 1e-4, 1e-3, 3e-3)]
        aversions = [ExactHedge(risk_aversion=a, **COARSE).price() for a in (1, 10, 50, 200)]
        assert np.all(np.diff(costs) > 1e-5)
        assert np.all(np.diff(aversions) > 1e-5)

    def test_small_cost(self):
        free = ExactHedge(cost=0.0)
        lower, upper = free.band(np.linspace(0.9, 1.1, 21), 10)
        np.testing.assert_allclose(lower, upper, atol=1e-12)
        # the excess goes to 0; discrete dates make it linear in the end
        excess = [ExactHedge(cost=c).price() - free.price() for c in (1e-5, 1e-6)]
        assert 0 < excess[1] < 0.2 * excess[0] < 4e-6

    def test_small_risk_aversion(self):
        black_scholes = 2 * ndtr(0.1 * math.sqrt(20 / 250)) - 1
        free = ExactHedge(cost=0.0, risk_aversion=1e-3).price()
        assert free == pytest.approx(black_scholes, abs=1e-7)
        # with cost, a seller who does not mind risk does nothing
        idle = ExactHedge(risk_aversion=1e-3)
        assert idle.price() == pytest.approx(idle.price_of("naked"), abs=1e-11)
        lower, upper = idle.band(1.0, 0)
        assert lower < 0
        assert upper > 0

    def test_parity_without_cost(self):
        terms = {"cost": 0.0, "strike": 1.02, "drift": 0.05, "steps": 8}
        call, put = ExactHedge(**terms), ExactHedge(**terms, option="put")
        # one unit more, bought for nothing, turns the put into the call
        assert call.price() - put.price() == pytest.approx(1 - 1.02, abs=1e-9)
        spot = np.array([0.95, 1.0, 1.07])
        np.testing.assert_allclose(call.band(spot, 3)[0], put.band(spot, 3)[0] + 1, atol=1e-6)

    def test_parity_with_cost_is_the_first_trade_at_least(self):
        call, put = ExactHedge(), ExactHedge(option="put")
        # the put's hedge and one unit more, which costs c, hedge the call; and conversely
        assert abs(call.price() - put.price()) <= 1e-3 + 1e-9
        assert call.price() - put.price() != pytest.approx(0, abs=1e-6)

    def test_scaling(self, headline):
        large = ExactHedge(spot=100.0, strike=100.0, risk_aversion=0.5)
        assert large.price() / 100 == pytest.approx(headline.price(), abs=1e-12)
        np.testing.assert_allclose(large.band(95.0, 4), headline.band(0.95, 4), atol=1e-9)

    def test_forward_is_worth_the_spot(self):
        forward = ExactHedge(option=lambda end: end, cost=0.0, drift=0.1, steps=5)
        assert forward.price() == pytest.approx(1.0, abs=1e-9)
        costly = ExactHedge(option=lambda end: end, risk_aversion=1e4, steps=5)
        assert 1.0 < costly.price() <= 1.001 + 1e-9

    def test_drift_without_claim_is_mertons_investment(self):
        nothing = ExactHedge(option=np.zeros_like, drift=0.1, cost=0.0)
        assert nothing.price() == pytest.approx(0.0, abs=1e-12)
        merton = 0.1 / (50 * 0.2**2)
        lower, upper = nothing.band(1.0, 5)
        assert lower == pytest.approx(merton, rel=5e-3)  # exact in continuous time only
        assert upper == pytest.approx(lower, abs=1e-10)

    @pytest.mark.parametrize("risk_aversion", [1000.0, 10_000.0])
    def test_no_overflow(self, risk_aversion):
        # exp(risk_aversion) overflows from 710 on
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            hedge = ExactHedge(risk_aversion=risk_aversion, steps=4)
            price = hedge.price()
            others = [hedge.price_of(band) for band in ("delta", "whalley_wilmott")]
        assert ExactHedge(risk_aversion=500.0, steps=4).price() < price < min(others) < 1

    def test_extreme_risk_aversion(self):
        terms = {"risk_aversion": 1000.0, "steps": 6}
        fine = ExactHedge(**terms, spot_nodes=6, position_nodes=160).price()
        assert ExactHedge(**terms).price() == pytest.approx(fine, rel=1e-4)


class TestGivenHedges:
    @pytest.mark.parametrize(
        ("risk_aversion", "published"), [(1, 0.023159), (10, 0.029757), (50, 0.096762), (100, None)]
    )
    def test_naked_plateau(self, risk_aversion, published):
        price = ExactHedge(risk_aversion=float(risk_aversion)).price_of("naked")
        assert price == pytest.approx(held_risk(risk_aversion, 0.0), abs=1e-10)
        assert published is None or price == pytest.approx(published, abs=6e-7)

    @pytest.mark.parametrize("position", [0.3, 0.4, 1.7, -0.6])
    def test_one_trade(self, headline, position):
        expected = held_risk(50.0, position) + 1e-3 * abs(position)
        assert headline.price_of((position, position)) == pytest.approx(expected, abs=1e-10)
        # any band that the first trade never leaves costs the same
        ends = (position, position + 0.2) if position > 0 else (position - 0.2, position)
        assert headline.price_of(ends) == pytest.approx(expected, abs=1e-10)

    @pytest.mark.parametrize(
        "band",
        [
            delta_band,
            lambda spot, step: delta_band(spot, step, width=1.0),
            lambda spot, step: (0.4 + 0.2 * np.log(spot), 0.7 + 0.2 * np.log(spot)),
            lambda spot, step: delta_band(spot, step, width=-1.0),
        ],
        ids=["delta", "whalley_wilmott", "slow", "crossed"],
    )
    def test_simulation(self, headline, band):
        def uncrossed(spot, step):
            lower, upper = band(spot, step)
            middle = (lower + upper) / 2
            crossed = lower > upper
            return np.where(crossed, middle, lower), np.where(crossed, middle, upper)

        value, error = simulated_risk(headline, uncrossed, seed=11)
        assert error < 3e-4
        assert headline.price_of(band) == pytest.approx(value, abs=4 * error)

    def test_simulation_of_the_optimum(self, headline):
        value, error = simulated_risk(headline, headline.band, seed=12)
        assert error < 5e-5
        assert headline.price() == pytest.approx(value, abs=4 * error)

    def test_published_figures(self, headline):
        # Monte Carlo of another library: 0.024700 +- 8e-6 and 0.024977 +- 6e-6
        assert headline.price_of("whalley_wilmott") == pytest.approx(0.0247013439, abs=5e-9)
        assert headline.price_of("delta") == pytest.approx(0.0249659265, abs=1e-8)

    def test_ways_to_say_the_same_band(self, headline):
        class Network:
            feature_names = ("log_moneyness", "time_to_expiry", "cost")
            asked = None

            def band(self, spot, time_to_expiry, **market):
                Network.asked = market
                step = 20 - round(float(time_to_expiry[0]) * 250)
                return delta_band(spot, step, width=1.0)

        class Plain:
            def band(self, spot, time_to_expiry, volatility, risk_aversion):
                assert (volatility, risk_aversion) == (0.2, 50.0)
                return Network().band(spot, time_to_expiry)

        expected = headline.price_of("whalley_wilmott")
        asked = lambda spot, step: delta_band(spot, step, width=1.0)  # noqa: E731
        for band in (asked, Network(), Plain()):
            assert headline.price_of(band) == pytest.approx(expected, abs=1e-12)
        headline.price_of(Network(), maximum=2.0)
        assert Network.asked == {"strike": 1.0, "cost": 1e-3, "maximum": 2.0}
        steps = np.full(20, 0.4)
        assert headline.price_of((steps, steps)) == headline.price_of((0.4, 0.4))

    def test_keras_models(self, headline):
        from hedgezoo.baselines.naked import Naked
        from hedgezoo.baselines.whalley_wilmott import WhalleyWilmott

        model = WhalleyWilmott(risk_aversion=50.0)
        expected = headline.price_of("whalley_wilmott")
        assert headline.price_of(model) == pytest.approx(expected, abs=1e-8)
        assert headline.price_of(Naked()) == headline.price_of("naked")

    def test_policy_of_a_band(self):
        hedge = ExactHedge(steps=8)

        def clamped(spot, step, position):
            return np.clip(position, *delta_band(spot, step, steps=8, width=1.0))

        class Network:
            def policy(self, spot, time_to_expiry, position, **market):
                assert set(market) == {"strike", "volatility", "cost", "risk_aversion"}
                step = 8 - round(float(time_to_expiry.flat[0]) * 250)
                return clamped(spot, step, position)

        expected = hedge.price_of("whalley_wilmott")
        # nobody told the quadrature where a policy has kinks
        assert hedge.price_of_policy(clamped) == pytest.approx(expected, abs=2e-6)
        assert hedge.price_of_policy(Network()) == hedge.price_of_policy(clamped)

    def test_policy_that_is_no_band(self):
        hedge = ExactHedge(steps=2, time_step=1 / 100, risk_aversion=20.0)

        def halfway(spot, step, position):
            return position + 0.5 * (0.6 - position)

        # positions 0.3 and 0.45 whatever happens
        z, weight = np.polynomial.hermite_e.hermegauss(120)
        weight = weight / weight.sum()
        move = np.exp(0.02 * z - 0.02**2 / 2)
        last = []
        for start in move:
            end = np.linspace(-10, 10, 20_001)
            spot = start * np.exp(0.02 * end - 0.02**2 / 2)
            owed = np.maximum(spot - 1, 0) - 0.45 * (spot - start)
            density = np.exp(20 * owed - end**2 / 2) / math.sqrt(2 * math.pi)
            last.append(math.log(np.trapezoid(density, end)) / 20 + 1e-3 * start * 0.15)
        total = weight @ np.exp(20 * (np.array(last) - 0.3 * (move - 1)))
        expected = 1e-3 * 0.3 + math.log(total) / 20
        assert hedge.price_of_policy(halfway) == pytest.approx(expected, abs=2e-7)

    def test_positions_far_outside(self, headline):
        # a band beyond the claim's deltas: short two units, then long three
        def band(spot, step):
            position = -2.0 if step == 0 else 3.0
            return position, position

        value, error = simulated_risk(headline, band, seed=13)
        assert headline.price_of(band) == pytest.approx(value, abs=5 * error)
        assert headline.price_of(band) > 0.1


class TestOtherClaims:
    def test_callable_is_the_named_option(self, headline):
        same = ExactHedge(option=lambda end: np.maximum(end - 1, 0), kinks=1.0)
        assert same.price() == pytest.approx(headline.price(), abs=1e-12)

    def test_naked_binary(self):
        hedge = ExactHedge(
            option=lambda end: 1.0 * (end > 1.02), kinks=[1.02], risk_aversion=3.0, steps=9
        )
        deviation = 0.2 * math.sqrt(9 / 250)
        paid = ndtr(-math.log(1.02) / deviation - deviation / 2)
        expected = math.log1p(paid * math.expm1(3.0)) / 3
        assert hedge.price_of("naked") == pytest.approx(expected, abs=1e-9)
        assert paid < hedge.price() < expected - 1e-3

    def test_spread_is_cheaper_than_its_legs(self):
        terms = {"steps": 10, "risk_aversion": 20.0}
        spread = ExactHedge(
            option=lambda end: np.clip(end - 0.98, 0, 0.04), kinks=(0.98, 1.02), **terms
        )
        sold = ExactHedge(strike=0.98, **terms).price()
        assert 0 < spread.price() < sold
        value, error = simulated_risk(spread, spread.band, seed=14, paths=40_000)
        assert spread.price() == pytest.approx(value, abs=4 * error)

    def test_other_spots(self, headline):
        spot = np.array([[0.93, 1.0], [1.03, 1.08]])
        for price, own in (
            (headline.price(spot), ExactHedge.price),
            (headline.price_of("delta", spot), lambda hedge: hedge.price_of("delta")),
        ):
            assert price.shape == (2, 2)
            expected = [own(ExactHedge(spot=x)) for x in spot.ravel()]
            np.testing.assert_allclose(price.ravel(), expected, atol=1e-8)

    def test_band_shape(self, headline):
        spot = np.linspace(0.5, 2.0, 60).reshape(3, 20)
        lower, upper = headline.band(spot, 19)
        assert lower.shape == upper.shape == (3, 20)
        assert np.all(lower < upper)
        inner = headline.band(np.linspace(0.9, 1.1, 50), 10)
        assert np.all(np.diff(inner, axis=1) > 0)  # both edges rise with the spot
        delta = delta_band(np.linspace(0.9, 1.1, 50), 10)[0]
        assert np.all((inner[0] < delta) & (delta < inner[1]))

    def test_from_market(self):
        from hedgezoo.datasets import BlackScholesMarket
        from hedgezoo.datasets.payoffs import Binary, European, Lookback

        def hedge(payoff, **terms):
            market = BlackScholesMarket(payoff=payoff, steps=4, volatility=0.3, **terms)
            return ExactHedge.from_market(market, risk_aversion=5.0, **COARSE)

        same = {"steps": 4, "volatility": 0.3, "risk_aversion": 5.0, **COARSE}
        expected = ExactHedge(strike=1.01, option="put", **same).price()
        assert hedge(European(strike=1.01, call=False)).price() == expected
        assert hedge(Lookback(strike=1.02)).option == "lookback"
        paid = ndtr(0.5 * 0.3 * math.sqrt(4 / 250))  # below the strike of a put at the money
        naked = hedge(Binary(strike=1.0, call=False)).price_of("naked")
        assert naked == pytest.approx(math.log1p(paid * math.expm1(5.0)) / 5, abs=1e-9)
        with pytest.raises(ValueError, match="payoff must be"):
            hedge(Lookback(strike=1.0, call=False))
        with pytest.raises(ValueError, match="one instrument"):
            hedge(European(), spot=(1.0, 1.0))


def naked_lookback(strike, steps, deviation, risk_aversion):
    """Entropic risk of the unhedged claim on the maximum, from survival below barriers."""
    length, panels = 12 * deviation * math.sqrt(steps), int(24 * math.sqrt(steps))
    mean = -(deviation**2) / 2
    x, w = np.polynomial.legendre.leggauss(12)

    def composite(first):
        ends = np.linspace(first, length, panels + 1)
        half = np.diff(ends)[:, None] / 2
        return ((ends[:-1] + ends[1:])[:, None] / 2 + half * x).ravel(), (half * w).ravel()

    nodes, weights = composite(0.0)

    def step(distance, survival):
        z = (distance[:, None] - nodes - mean) / deviation
        kernel = np.exp(-z * z / 2) / (deviation * math.sqrt(2 * math.pi))
        return kernel @ (weights * survival) + ndtr((distance - length - mean) / deviation)

    survival = np.ones_like(nodes)  # of the distance below a barrier
    for _ in range(steps - 1):
        survival = step(nodes, survival)
    level, weights_level = composite(math.log(strike))
    reached = 1 - step(level, survival)
    density = risk_aversion * np.exp(risk_aversion * (np.exp(level) - strike) + level)
    return math.log1p(weights_level @ (density * reached)) / risk_aversion


class TestLookback:
    @pytest.mark.parametrize("strike", [1.0, 1.004, 1.03])
    def test_naked(self, strike):
        hedge = ExactHedge(**{**LOOKBACK, "strike": strike, "spot_nodes": 3})
        deviation = 0.2 * math.sqrt(4 / 365)
        expected = naked_lookback(strike, 6, deviation, 10.0)
        assert hedge.price_of("naked") == pytest.approx(expected, abs=1e-7)

    def test_naked_of_the_paper(self):
        terms = {**LOOKBACK, "steps": 28, "time_step": 1 / 365, "risk_aversion": 1.0}
        price = ExactHedge(**terms).price_of("naked")
        assert price == pytest.approx(naked_lookback(1.03, 28, 0.2 / math.sqrt(365), 1.0), abs=2e-7)
        assert price == pytest.approx(0.018377, abs=3e-5)  # Monte Carlo, +- 3e-5

    def test_optimum(self, lookback):
        price = lookback.price()
        assert price < lookback.price_of("naked") - 1e-4
        assert lookback.price_of(lookback) == pytest.approx(price, abs=2e-7)
        fine = ExactHedge(**{**LOOKBACK, "spot_nodes": 3, "position_nodes": 48})
        assert price == pytest.approx(fine.price(), abs=5e-7)
        value, error = simulated_risk(lookback, lookback.band, seed=15)
        assert price == pytest.approx(value, abs=4 * error)

    @pytest.mark.parametrize("strike", [0.97, 1.03])
    def test_band_of_the_maximum(self, strike):
        # looks at the maximum below the strike too
        def band(spot, step, maximum):
            assert np.all(maximum >= spot)
            centre = np.clip(0.5 + 6 * (spot - maximum) + 3 * (maximum - 1), -0.2, 0.9)
            return centre - 0.1, centre + 0.1

        hedge = ExactHedge(**{**LOOKBACK, "strike": strike})
        value, error = simulated_risk(hedge, band, seed=16)
        assert hedge.price_of(band) == pytest.approx(value, abs=4 * error)
        assert hedge.price_of(band) > hedge.price()

        def policy(spot, step, position, maximum):
            return np.clip(position, *band(spot, step, maximum))

        assert hedge.price_of_policy(policy) == pytest.approx(hedge.price_of(band), abs=2e-5)

    def test_strike_below_the_spot_is_cash(self):
        prices = [ExactHedge(**{**LOOKBACK, "strike": k}).price() for k in (0.9, 0.95)]
        assert prices[0] - prices[1] == pytest.approx(0.05, abs=1e-10)

    def test_strike_out_of_reach(self):
        assert ExactHedge(**{**LOOKBACK, "strike": 4.0}).price() == pytest.approx(0, abs=1e-12)

    def test_no_overflow(self):
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            hedge = ExactHedge(**{**LOOKBACK, "risk_aversion": 1000.0, "steps": 3})
            assert 0.02 < hedge.price() < hedge.price_of((0.6, 0.8)) < 1

    def test_one_step_is_a_call(self):
        terms = {"steps": 1, "strike": 1.01, "risk_aversion": 30.0}
        look = ExactHedge(option="lookback", spot_nodes=2, **terms)
        assert look.price() == pytest.approx(ExactHedge(**terms).price(), abs=1e-8)

    def test_network(self, lookback):
        class Network:
            feature_names = ("log_moneyness", "max_log_moneyness", "time_to_expiry")

            def band(self, spot, time_to_expiry, strike, maximum):
                assert strike == 1.03
                assert spot.shape == time_to_expiry.shape == maximum.shape
                return 0.3 * maximum, 0.5 * maximum

        expected = lookback.price_of(lambda spot, step, maximum: (0.3 * maximum, 0.5 * maximum))
        assert lookback.price_of(Network()) == expected


class TestErrors:
    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            ("volatility", 0.0),
            ("volatility", math.nan),
            ("cost", -1e-3),
            ("cost", 1.0),
            ("risk_aversion", 0),
            ("risk_aversion", "high"),
            ("strike", -1.0),
            ("spot", 0.0),
            ("steps", 0),
            ("steps", 2.5),
            ("steps", True),
            ("time_step", math.inf),
            ("drift", math.nan),
            ("option", "straddle"),
            ("kinks", -1.0),
            ("spot_nodes", 1),
            ("position_nodes", 2),
            ("width", 1.0),
        ],
    )
    def test_constructor(self, argument, value):
        option = {"option": np.square} if argument == "kinks" else {}
        with pytest.raises(ValueError, match=rf"`{argument}`.*Received: {argument}="):
            ExactHedge(**{argument: value}, **option)

    @pytest.mark.parametrize("step", [-1, 20, 1.5])
    def test_step(self, headline, step):
        with pytest.raises(ValueError, match="`step`"):
            headline.band(1.0, step)

    def test_state(self, headline, lookback):
        with pytest.raises(ValueError, match=r"`spot`.*Received: spot=-1"):
            headline.band(-1.0, 0)
        with pytest.raises(ValueError, match="`spot` must lie between"):
            headline.price(2.0)
        with pytest.raises(ValueError, match="`maximum`"):
            headline.band(1.0, 0, maximum=1.0)
        with pytest.raises(ValueError, match="`maximum`"):
            lookback.band(1.0, 0)
        with pytest.raises(ValueError, match="`maximum` must not be below"):
            lookback.band(1.0, 0, maximum=0.99)
        with pytest.raises(ValueError, match="`spot` cannot be changed"):
            lookback.price(1.01)

    @pytest.mark.parametrize(
        "band",
        [
            "delat",
            3.0,
            (0.1, 0.2, 0.3),
            (np.zeros(3), np.zeros(3)),
            lambda spot, step: spot,
            lambda spot, step: (np.nan, 1.0),
            lambda spot, step: (np.zeros(2), np.zeros(2)),
        ],
    )
    def test_band(self, headline, band):
        with pytest.raises(ValueError, match="`band`"):
            headline.price_of(band)

    def test_named_bands_of_a_lookback(self, lookback):
        with pytest.raises(ValueError, match="`band` must be one of"):
            lookback.price_of("delta")

    @pytest.mark.parametrize("policy", [0.5, lambda spot, step, position: np.inf])
    def test_policy(self, headline, policy):
        with pytest.raises(ValueError, match="`policy`"):
            headline.price_of_policy(policy)


@pytest.mark.multiprocess
def test_needs_no_tensorflow(run_python):
    output = run_python(
        """
        import sys
        from hedgezoo.baselines.exact_hedge import ExactHedge
        price = ExactHedge(steps=3).price()
        print(price > 0, "tensorflow" in sys.modules, "keras" in sys.modules)
        """
    )
    assert output.split() == ["True", "False", "False"]
