"""The exact change of measure in Black-Scholes markets with independent steps.

Where the gains of one step depend on that step's return alone, the minimal-entropy problem falls
apart into T copies of one convex problem in D numbers, which quadrature and Newton's method solve
to rounding. It is what a trained `RiskNeutralMeasure` is held against.
"""

import dataclasses
import functools

import numpy as np

_REACH = 12.0  # standard deviations; beyond them the normal law has a mass of 1e-33
_NODES = 96  # Gauss-Legendre points between two kinks


def girsanov_log_density(spot, drift, volatility, time_step):
    """Logarithm of dQ/dP of the Black-Scholes model with continuous trading, on sampled paths.

    `log dQ/dP = −(drift / volatility) W_T − (drift / volatility)² T / 2`, with `W_T` read off the
    path: `volatility W_T = log(S_T / S_0) − (drift − volatility²/2) T`.

    Args:
        spot: Spot prices, `(..., T+1)`.
        drift: Drift of the spot under P, per year.
        volatility: Volatility per square root of a year.
        time_step: Length of a step in years.

    Returns:
        Array `(...)`.

    Example:

    >>> float(girsanov_log_density([1.0, 1.0], drift=0.1, volatility=0.2, time_step=0.5).round(6))
    0.0375

    Reference:
        Buehler, Murray, Pakkanen, Wood, 2021, arXiv:2103.11948, equation (13).
    """
    spot = np.asarray(spot, np.float64)
    horizon = (spot.shape[-1] - 1) * time_step
    moved = np.log(spot[..., -1] / spot[..., 0]) - (drift - volatility**2 / 2) * horizon
    return -drift / volatility**2 * moved - (drift / volatility) ** 2 * horizon / 2


@dataclasses.dataclass(frozen=True)
class BlackScholesMeasure:
    """Minimal-entropy measure of T independent Black-Scholes steps with D instruments.

    In each step `dQ/dP = exp(−a·g(R)) / E[exp(−a·g(R))]`, where R is the simple return of the
    step, g(R) `(D,)` the gains per unit of notional and a the positions that minimise
    `log E[exp(−a·g(R) + cost Σ|a|)]`: the minimal-entropy measure without cost, and with cost the
    one under which all expected gains lie within it.

    Args:
        volatility: Volatility under P, per square root of a year.
        drift: Drift under P, per year.
        steps: Number of steps T.
        time_step: Length of a step in years.
        spot: Whether the spot is traded.
        options: Options of one step: tuples `(kind, strike, price)`, kind `"call"`, `"put"` or
            `"straddle"`, strike and price relative to the spot.
        cost: Cost of trading one unit of notional.

    Example: the drift is removed, and on daily steps that takes almost what theory says it does in
    continuous time, `drift² T / (2 volatility²) = 0.015`.

    >>> exact = BlackScholesMeasure(volatility=0.2, drift=0.1, steps=30, time_step=1 / 250)
    >>> round(exact.relative_entropy, 6), round(exact.effective_sample_share, 4)
    (0.014999, 0.9705)

    Reference:
        Frittelli, "The minimal entropy martingale measure and the valuation problem in incomplete
        markets", 2000; Buehler, Murray, Pakkanen, Wood, 2021, arXiv:2103.11948, section 3.
    """

    volatility: float
    drift: float = 0.0
    steps: int = 30
    time_step: float = 1 / 250
    spot: bool = True
    options: tuple = ()
    cost: float = 0.0

    @classmethod
    def from_market(cls, market):
        """The exact measure of a `BlackScholesMarket` or a `FloatingOptionMarket`.

        Args:
            market: A market with one underlying; options expire after one step. Where positions
                or spot are held for longer than a step, trading is free.

        Raises:
            ValueError: If the steps of the market are not independent problems.
        """
        from hedgezoo.datasets import FloatingOptionMarket

        terms = {name: getattr(market, name) for name in ("steps", "time_step")}
        if not isinstance(market, FloatingOptionMarket):
            if market.instruments != 1 or np.max(market.cost) > 0:
                raise ValueError(
                    "Holding fixed instruments at a cost ties the steps together: the exact "
                    "measure needs one instrument that is traded for free. Received: "
                    f"{market.instruments} instrument(s), cost={market.cost}"
                )
            volatility, drift = (
                float(np.ravel(getattr(market, name))[0]) for name in ("volatility", "drift")
            )
            return cls(volatility, drift, **terms)
        traded = market.instruments
        held = market.cost > 0 and "spot" in traded and market.spot_gain == "horizon"
        if held or (set(traded) - {"spot"} and market.expiry_steps != (1,)):
            raise ValueError(
                "The exact measure needs options of one step, and spot that is sold after a step "
                f"where trading it costs. Received: expiry_steps={market.expiry_steps}, "
                f"spot_gain={market.spot_gain!r}, cost={market.cost}"
            )
        options = tuple(
            (name.split()[0], strike, price)
            for name, strike, price in zip(
                market.instrument_names, _strikes(market), market.option_prices, strict=True
            )
            if name != "spot"
        )
        return cls(
            market.volatility,
            market.drift,
            spot="spot" in traded,
            options=options,
            cost=market.cost,
            **terms,
        )

    @functools.cached_property
    def positions(self):
        """Positions a in each step, units of notional, `(D,)`."""
        returns, mass = self._step
        return _minimise(self._gains(returns), mass, self.cost)

    @property
    def relative_entropy(self):
        """Relative entropy E_Q[log dQ/dP] of whole paths."""
        return float(self.steps * self._mean(self._log_density, risk_neutral=True))

    @property
    def effective_sample_share(self):
        """1 / E_P[(dQ/dP)²] of whole paths: the share of paths that count."""
        return float(self._mean(np.exp(2 * self._log_density)) ** -self.steps)

    @property
    def realised_volatility(self):
        """Root of the annualised mean of squared log returns under Q."""
        squares = np.log1p(self._step[0]) ** 2
        return float(np.sqrt(self._mean(squares, risk_neutral=True) / self.time_step))

    @property
    def expected_gains(self):
        """Expected gain of one unit of notional over a step under Q, `(D,)`."""
        return self._mean(self._gains(self._step[0]).T, risk_neutral=True)

    def girsanov_error(self):
        """E_P[(dQ/dP − Girsanov's density)²] of whole paths: the error due to the steps alone."""
        growth = 1 + self._step[0]
        step = np.stack([np.ones_like(growth), growth], axis=-1)
        other = girsanov_log_density(step, self.drift, self.volatility, self.time_step)
        own = self._log_density
        square, cross, other_square = (
            self._mean(np.exp(x)) ** self.steps for x in (2 * own, own + other, 2 * other)
        )
        return float(square - 2 * cross + other_square)

    def log_density(self, spot):
        """Logarithm of dQ/dP on paths.

        Args:
            spot: Spot prices, `(B, T+1)`.

        Returns:
            Array `(B,)`.
        """
        spot = np.asarray(spot, np.float64)
        if spot.ndim != 2 or spot.shape[1] != self.steps + 1:
            raise ValueError(
                f"`spot` must have shape (B, {self.steps + 1}). Received: shape {spot.shape}"
            )
        tilt = -self._gains(spot[:, 1:] / spot[:, :-1] - 1) @ self.positions
        return tilt.sum(axis=1) - self.steps * self._tilt[1]

    def _gains(self, returns):
        """Gains per unit of notional, `returns.shape + (D,)`."""
        columns = [returns] if self.spot else []
        for kind, strike, price in self.options:
            distance = returns - (strike - 1)
            worth = {
                "call": np.maximum(distance, 0.0),
                "put": np.maximum(-distance, 0.0),
                "straddle": np.abs(distance),
            }
            columns.append(worth[kind] - price)
        return np.stack(columns, axis=-1)

    @functools.cached_property
    def _step(self):
        """Simple returns of a step and their probabilities, exact between the payoffs' kinks."""
        deviation = self.volatility * np.sqrt(self.time_step)
        slope = (self.drift - self.volatility**2 / 2) * self.time_step
        kinks = [(np.log(strike) - slope) / deviation for _, strike, _ in self.options]
        inside = [kink for kink in kinks if abs(kink) < _REACH]
        edges = np.unique([-_REACH, *inside, _REACH])
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        half = np.diff(edges)[:, None] / 2
        normals = ((edges[:-1] + edges[1:])[:, None] / 2 + half * nodes).ravel()
        mass = (half * weights).ravel() * np.exp(-(normals**2) / 2)
        return np.expm1(slope + deviation * normals), mass / mass.sum()

    @functools.cached_property
    def _tilt(self):
        """Logarithm of the density of a step at `_step`, and of the constant that normalises it."""
        returns, mass = self._step
        tilt = -self._gains(returns) @ self.positions
        constant = np.log(mass @ np.exp(tilt))
        return tilt - constant, constant

    @property
    def _log_density(self):
        return self._tilt[0]

    def _mean(self, values, risk_neutral=False):
        mass = self._step[1]
        return values @ (mass * np.exp(self._log_density) if risk_neutral else mass)


def _strikes(market):
    """Relative strike of each instrument of a market, None for the spot."""
    for name in market.instrument_names:
        yield None if name == "spot" else float(name.split()[-1])


def _minimise(gains, mass, cost):
    """Positions that minimise log Σ mass exp(−gains·a + cost Σ|a|)."""
    from scipy import optimize

    count = gains.shape[1]
    scale = np.sqrt(mass @ gains**2)  # so that all instruments weigh alike
    unit = gains / scale
    charge = cost / scale

    def value(split):
        """Value and gradient in what is bought and what is sold."""
        tilt = -unit @ (split[:count] - split[count:])
        top = tilt.max()
        weights = mass * np.exp(tilt - top)
        total = weights.sum()
        slope = -(weights @ unit) / total
        loss = top + np.log(total) + np.tile(charge, 2) @ split
        return loss, np.concatenate([slope + charge, -slope + charge])

    positions = np.zeros(count)
    if cost > 0:  # which instruments are bought, sold and left alone
        found = optimize.minimize(
            value,
            np.zeros(2 * count),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * (2 * count),
            options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 2000},
        )
        positions = found.x[:count] - found.x[count:]
    active = np.abs(positions) > 1e-9 if cost > 0 else np.ones(count, bool)
    for _ in range(100 if active.any() else 0):
        tilt = -unit @ positions
        weights = mass * np.exp(tilt - tilt.max())
        weights /= weights.sum()
        mean = weights @ unit
        slope = (-mean + charge * np.sign(positions))[active]
        curvature = ((unit - mean).T * weights @ (unit - mean))[np.ix_(active, active)]
        step = np.linalg.lstsq(curvature, slope, rcond=1e-10)[0]
        positions[active] -= step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-13:
            break
    return positions / scale
