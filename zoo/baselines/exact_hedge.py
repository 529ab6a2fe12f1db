"""The best hedge there is: dynamic programming under proportional cost and exponential utility."""

import functools
import math

import numpy as np

from hedgezoo.baselines.exact_hedge_european import STARTS, EuropeanProblem
from hedgezoo.baselines.exact_hedge_lookback import LookbackProblem
from hedgezoo.baselines.exact_hedge_strategies import as_band_rule, as_policy_rule
from hedgezoo.baselines.exact_hedge_terms import number, terms_of_market

OPTIONS = ("call", "put", "lookback")


class ExactHedge:
    """Optimal hedge of a sold option, and the exact price of any other hedge, without sampling.

    The spot is a geometric Brownian motion seen at `steps` trading dates. The seller holds
    `δ_t` from date t to t + 1, pays `cost · S_t |δ_t − δ_{t−1}|` for trading, starts with
    no position, and need not sell at the horizon what she then holds. She judges the outcome by
    `ρ(gains − liability)` with the entropic risk `ρ(X) = (1/a) log E exp(−a X)`. A price is the
    risk with the claim less the smallest risk without one (which is 0 without drift).

    For this risk measure cash drops out, and the value depends on spot and position alone
    (and on the running maximum for a lookback). Backward in time

    `v_t(S, q) = min over q' of  c S |q' − q| + (1/a) log E exp(a (v_{t+1}(S', q') − q' (S' − S)))`

    is convex in `q'`, so the best hedge moves the position to the nearest point of a band: the
    no-transaction band. `price` is its value and `band` are its edges; `price_of` puts any other
    band in the place of the minimum, which gives the risk of, say, a trained network to six
    digits where a simulation of a million paths gives three.

    Expectations are sums on a grid of log spots, spectrally accurate away from kinks and
    corrected at them; band edges are roots on a spline over positions. The default grid gives the
    price of an ordinary option to about 1e-8 of the spot in a tenth of a second of one core,
    `spot_nodes=2, position_nodes=48` to 1e-7 in a third of that; a lookback, to about 1e-7, takes
    some seconds. A given band is as accurate where its edges are continuous in the spot.

    The mean of `exp(a S_T)` is infinite for a lognormal spot, so strictly no seller of a call may
    ever hold less than one unit. Here a step is cut off at 8 standard deviations or more. While
    `a · spot · volatility² · maturity < 1/e` values do not depend on the cut: they are the plateau
    of all quadratures that end between the bulk of the law and the far point where `exp(a S)` wins
    over the density. For the naked seller of the default option it is 0.0231594 at a = 1, 0.0297566
    at 10, 0.0967624 at 50 and 0.2619996 at 100. Beyond that bound the price of a hedge that leaves
    much risk open is an artefact of the cut. The best hedge leaves little, and its price has a
    plateau as long as `a · spot · volatility · sqrt(time_step)` is below about 30.

    Args:
        volatility: Annual volatility.
        cost: Proportional cost rate c: trading one unit at price S costs `c · S`.
        risk_aversion: Absolute risk aversion a, 1/money.
        strike: Strike, money.
        spot: Spot at the start, money.
        steps: Number of trading dates, the first one at the start.
        time_step: Years from one to the next.
        drift: Drift of the spot per year.
        option: `"call"`, `"put"`, `"lookback"` (fixed strike call on the largest of all
            fixings, that of the start included), or a function from terminal spots `(n,)` to
            payoffs `(n,)`.
        kinks: For an `option` that is a function: the spots at which it has a kink or a jump.
            Between them it must be smooth; one that is left out costs digits.
        spot_nodes: Nodes of the spot grid per standard deviation of one step. Default 4, and 3 for
            a lookback.
        position_nodes: Nodes of the position grid from the claim's smallest delta to its
            largest. Default 96, and 48 for a lookback.
        width: Half-width of the spot grid in standard deviations of the horizon, to which the tail
            is added that an unhedged seller looks at. Default 12, and 8 for a lookback.

    Raises:
        ValueError: If an argument is out of its range, or `option` is unknown.

    Example:

    >>> exact = ExactHedge(volatility=0.2, cost=1e-3, risk_aversion=50.0, steps=20)
    >>> round(exact.price(), 6)
    0.024482
    >>> [round(exact.price_of(band), 6) for band in ("whalley_wilmott", "delta", "naked")]
    [0.024701, 0.024966, 0.096762]
    >>> lower, upper = exact.band([0.95, 1.0, 1.05], step=10)
    >>> print(lower.round(3), upper.round(3))
    [0.056 0.444 0.835] [0.164 0.575 0.938]

    Reference:
        Hodges, Neuberger, "Optimal replication of contingent claims under transaction costs",
        Review of Futures Markets 8 (1989); Davis, Panas, Zariphopoulou, "European option pricing
        with transaction costs", SIAM J. Control Optim. 31 (1993).
    """

    def __init__(
        self,
        volatility=0.2,
        cost=1e-3,
        risk_aversion=50.0,
        strike=1.0,
        spot=1.0,
        steps=20,
        time_step=1 / 250,
        drift=0.0,
        option="call",
        kinks=(),
        spot_nodes=None,
        position_nodes=None,
        width=None,
    ):
        if not callable(option) and option not in OPTIONS:
            raise ValueError(
                f"`option` must be one of {OPTIONS} or a function of the terminal spot. "
                f"Received: option={option!r}"
            )
        lookback = option == "lookback"
        self.option = option
        self.volatility = number("volatility", volatility, above=0)
        self.cost = number("cost", cost, at_least=0)
        if self.cost >= 1:
            raise ValueError(f"`cost` is a rate and must be below 1. Received: cost={cost}")
        self.risk_aversion = number("risk_aversion", risk_aversion, above=0)
        self.strike = number("strike", strike, above=0)
        self.spot = number("spot", spot, above=0)
        self.steps = number("steps", steps, at_least=1, whole=True)
        self.time_step = number("time_step", time_step, above=0)
        self.drift = number("drift", drift)
        self.kinks = tuple(number("kinks", kink, above=0) for kink in np.atleast_1d(kinks))
        if not callable(option):
            self.kinks = (self.strike,)
        spot_nodes = (3 if lookback else 4) if spot_nodes is None else spot_nodes
        self.spot_nodes = number("spot_nodes", spot_nodes, at_least=2, whole=True)
        position_nodes = (48 if lookback else 96) if position_nodes is None else position_nodes
        self.position_nodes = number("position_nodes", position_nodes, at_least=8, whole=True)
        width = (8 if lookback else 12) if width is None else width
        self.width = number("width", width, at_least=6)

    @classmethod
    def from_market(cls, market, risk_aversion, **grid):
        """The exact hedge of a `hedgezoo.datasets.BlackScholesMarket`.

        Args:
            market: A market of one instrument, with a European, binary or fixed strike lookback
                call payoff.
            risk_aversion: Absolute risk aversion, 1/money.
            **grid: `spot_nodes`, `position_nodes` and `width`.

        Returns:
            An `ExactHedge`.

        Raises:
            ValueError: If the market has several instruments or another payoff.
        """
        return cls(risk_aversion=risk_aversion, **terms_of_market(market), **grid)

    def price(self, spot=None):
        """Price under the best hedge, the smallest that the seller may ask for.

        Args:
            spot: Other spots at the start, for an option that is no lookback: any shape, within 4
                standard deviations of the horizon from `self.spot`.

        Returns:
            Money: a float, or an array of the shape of `spot`.

        Raises:
            ValueError: If `spot` is out of range.
        """
        return self._at(spot, self._optimum[0])

    def price_of(self, band, spot=None, **market):
        """Price under the hedge that trades only to the edge of a given band.

        The band may depend on anything but the position. Where `lower > upper` it is the single
        point between them.

        Args:
            band: `"naked"`, `"delta"` or `"whalley_wilmott"` (the last two for calls and puts); or
                `(lower, upper)`, numbers or one number for each step; or a function
                `band(spot, step)`, for a lookback `band(spot, step, maximum)`, to `(lower, upper)`;
                or an object with a method `band(spot, time_to_expiry, **market)`, such as a
                `NoTransactionBand`, or an `ExactHedge` made for another market.
            spot: As in `price`.
            **market: Passed on to the method, before what it would be told by itself: the terms
                `strike`, `volatility`, `cost`, `risk_aversion`, `maximum`, as far as it
                names them in its signature or among its `feature_names`.

        Returns:
            Money: a float, or an array of the shape of `spot`.

        Raises:
            ValueError: If `band` is nothing of that kind, or its values are not finite.
        """
        rule = as_band_rule(self, band, market)
        return self._at(spot, self._problem.solve_band(rule))

    def price_of_policy(self, policy, spot=None, **market):
        """Price under a hedge whose next position depends on the present one in any way.

        As accurate as `price_of` where the policy is smooth, to about 1e-6 where it has kinks.

        Args:
            policy: A function `policy(spot, step, position)`, for a lookback
                `policy(spot, step, position, maximum)`, of arguments that broadcast, to new
                positions; or an object with a method
                `policy(spot, time_to_expiry, position, **market)`, such as a `FeedForwardHedge`.
            spot: As in `price`.
            **market: As in `price_of`.

        Returns:
            Money: a float, or an array of the shape of `spot`.

        Raises:
            ValueError: If `policy` is nothing of that kind, or its values are not finite.
        """
        rule = as_policy_rule(self, policy, market)
        return self._at(spot, self._problem.solve_policy(rule))

    def band(self, spot, step, maximum=None):
        """Edges of the best no-transaction band.

        An edge that no position between the claim's smallest and largest delta can reach may be
        reported nearer than it is: the search ends a quarter of their distance beyond them.

        Args:
            spot: Spots, money, any shape.
            step: Trading date, from 0 to `steps - 1`.
            maximum: For a lookback, the largest fixing so far, `spot` included; broadcasts with
                `spot`.

        Returns:
            `(lower, upper)`, units of the underlying, of the broadcast shape.

        Raises:
            ValueError: If a spot is not positive, `step` is not a trading date, or `maximum` is
                missing, superfluous or below the spot.
        """
        step = number("step", step, at_least=0, whole=True)
        if step >= self.steps:
            raise ValueError(f"`step` must be below steps={self.steps}. Received: step={step}")
        spot = np.asarray(spot, float)
        if not np.all((spot > 0) & np.isfinite(spot)):
            raise ValueError(f"`spot` must be positive. Received: spot={spot}")
        if (maximum is None) == (self.option == "lookback"):
            raise ValueError(
                f"`maximum` is for lookbacks, which need it. Received: maximum={maximum} "
                f"with option={self.option!r}"
            )
        lower, upper = self._optimum[1][step]
        if maximum is None:
            return self._problem.interpolate(np.log(spot), lower, upper)
        spot, maximum = np.broadcast_arrays(spot, np.asarray(maximum, float))
        if not np.all(maximum >= spot):
            raise ValueError(f"`maximum` must not be below `spot`. Received: maximum={maximum}")
        return self._problem.interpolate(spot, maximum, lower, upper)

    def payoff(self, spot):
        """What is owed at terminal spots (for a lookback: at path maxima)."""
        if self.option == "put":
            return np.maximum(self.strike - spot, 0.0)
        if callable(self.option):
            return np.broadcast_to(np.asarray(self.option(spot), float), np.shape(spot))
        return np.maximum(spot - self.strike, 0.0)

    @functools.cached_property
    def _problem(self):
        if self.option == "lookback":
            return LookbackProblem(self)
        return EuropeanProblem(self, self.payoff, self.kinks)

    @functools.cached_property
    def _optimum(self):
        return self._problem.solve()

    @functools.cached_property
    def _without_claim(self):
        """Smallest risk without the claim, as a spline of log spot; None if it is zero."""
        if self.drift == 0:
            return None
        problem = EuropeanProblem(self, np.zeros_like, ())
        return problem.spline(problem.solve()[0])

    def _at(self, spot, owed):
        """Prices at spots, from values on the grid (European) or at the own spot (lookback)."""
        lookback = self.option == "lookback"
        if spot is not None and lookback:
            raise ValueError(f"`spot` cannot be changed for a lookback. Received: spot={spot}")
        spots = np.asarray(self.spot if spot is None else spot, float)
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = np.abs(np.log(spots / self.spot))
        limit = STARTS * self.volatility * math.sqrt(self.steps * self.time_step)
        if not np.all(distance <= limit):
            raise ValueError(
                f"`spot` must lie between {self.spot * math.exp(-limit):g} and "
                f"{self.spot * math.exp(limit):g}. Received: spot={spot}"
            )
        log_spot = np.log(spots)
        price = np.asarray(owed if lookback else self._problem.spline(owed)(log_spot))
        if self._without_claim is not None:
            price = price - self._without_claim(log_spot)
        return float(price) if spot is None else price
