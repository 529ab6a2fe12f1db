"""The risk of any strategy beside what a desk would use today, with standard errors."""

import dataclasses

import numpy as np

from hedgezoo.evaluation import independent

STATISTICS = ("price", "mean", "std", "cvar_95", "turnover", "cost")
_CHUNK = 2**14  # paths at a time: bounds memory whatever `paths` is


def risk_report(model, market, paths, seed, risk_aversion=None, baselines=True, exact=True):
    """Risk report of a strategy, its baselines and the optimum, on the same simulated paths.

    Per strategy:

    - `price`: entropic risk of gains minus liability, the seller's indifference price in a market
      without drift; money;
    - `mean`, `std`, `cvar_95`: of the outcome, gains minus liability; CVaR is a loss;
    - `turnover`: units bought and sold until the horizon;
    - `cost`: money paid for that;
    - `effective_paths`: how many paths decide the price; where they are fewer than a thousand or
      so, as for a naked position, the simulated price is too low and so is its standard error;
    - `exact_price`: the price without Monte Carlo error, by dynamic programming, where the market
      is Black-Scholes, the claim a European or lookback option and the strategy the model's.

    The model's own metrics have these names; those of the baselines are `"naked/price"` and so on
    for `naked`, `delta` and `whalley_wilmott`, and those of the exact optimum, which no strategy
    can beat, `"optimum/price"` and so on. `"saving/delta"` is how much cheaper the model is than
    that baseline, with the standard error of the paired difference, and
    `"whalley_wilmott/saving/delta"` how much cheaper Whalley-Wilmott is than delta.

    Args:
        model: A strategy: anything with `positions(inputs)`.
        market: Market to judge in. Its paths are drawn independently, also where it says
            antithetic or Sobol.
        paths: Number of simulated paths N.
        seed: Seed of the paths.
        risk_aversion: Risk aversion a of the price, 1/money; default: the market's where it has
            one, else the model's.
        baselines: Whether to include the baselines.
        exact: Whether to include prices by dynamic programming; takes some seconds.

    Returns:
        Dictionary `{metric: {"value": float, "stderr": float}}`. Exact values have `stderr` 0.

    Raises:
        ValueError: If `market` is None.
    """
    if market is None:
        raise ValueError("`market` must be given for a model that does not come from a preset")
    if risk_aversion is None:
        risk_aversion = default_risk_aversion(model, market)
    strategies = {"": model}
    if baselines:
        strategies |= baseline_strategies(market, risk_aversion)
    return compare(strategies, market, risk_aversion, paths, seed, exact)[0]


def compare(strategies, market, risk_aversion, paths=2**17, seed=0, exact=True):
    """Reports on several strategies and the optimum, on the same simulated paths.

    Args:
        strategies: Dictionary name -> model; the first is the one that the others are compared
            with, and its metrics have no prefix if its name is `""`.
        market: Market to judge in.
        risk_aversion: Risk aversion a of the price, 1/money.
        paths: Number of simulated paths N.
        seed: Seed of the paths.
        exact: Whether to include the optimum and prices by dynamic programming.

    Returns:
        The report, as of `risk_report`, and a dictionary name -> `Outcome`.
    """
    market = independent(market)
    problem = exact_hedge(market, risk_aversion) if exact else None
    players = dict(strategies) if problem is None else {**strategies, "optimum": _Optimum(problem)}
    outcomes = simulate(players, market, int(paths), seed)
    report, influences = {}, {}
    for name, outcome in outcomes.items():
        statistics, influences[name] = _statistics(outcome, risk_aversion)
        report |= {_key(name, metric): value for metric, value in statistics.items()}

    def saving(name, reference):
        paired = influences[reference] - influences[name]
        prices = [report[_key(each, "price")]["value"] for each in (reference, name)]
        return _estimate(prices[0] - prices[1], np.std(paired, ddof=1) / np.sqrt(len(paired)))

    first, *others = outcomes
    for name in others:
        report[_key(first, f"saving/{name}")] = saving(first, name)
        if "delta" in outcomes and name != "delta":
            report[_key(name, "saving/delta")] = saving(name, "delta")
    if problem is not None:
        report |= _exact_prices(strategies, problem)
    return report, outcomes


def _key(name, metric):
    return f"{name}/{metric}" if name else metric


def default_risk_aversion(model, market):
    """Risk aversion at which a model is judged in a market, 1/money."""
    of_market = getattr(market, "risk_aversion", None)  # of a conditional market of one contract
    if isinstance(of_market, (int, float)):
        return float(of_market)
    return getattr(model, "constants", {}).get("risk_aversion", 1.0)


def baseline_strategies(market, risk_aversion):
    """Naked, delta and Whalley-Wilmott hedges for the claim of a market, by name.

    Args:
        market: A market whose payoff has a strike, with a single instrument.
        risk_aversion: Risk aversion of the Whalley-Wilmott band, 1/money.

    Returns:
        Dictionary of models.
    """
    from hedgezoo.baselines.delta import DeltaHedge
    from hedgezoo.baselines.naked import Naked
    from hedgezoo.baselines.whalley_wilmott import WhalleyWilmott

    terms = {
        "features": market.features,
        "strike": getattr(market.payoff, "strike", 1.0) or 1.0,
        "call": getattr(market.payoff, "call", True),
        "volatility": getattr(market, "volatility", 0.2),
        "risk_aversion": risk_aversion,
        "maturity": market.maturity,
    }
    if isinstance(market.cost, (int, float)):
        terms["cost"] = float(market.cost)
    return {
        "naked": Naked(**terms),
        "delta": DeltaHedge(**terms),
        "whalley_wilmott": WhalleyWilmott(**terms),
    }


def _single_contract(market):
    """The Black-Scholes market that a conditional one with a single contract is; else None."""
    from hedgezoo.datasets import BlackScholesMarket

    terms = {name: getattr(market, name) for name in ("volatility", "cost", "spot")}
    if market.expiry_steps != market.steps or any(np.ndim(value) for value in terms.values()):
        return None
    if market.unit != "money" or market.centred:  # its simulated prices are no prices of the claim
        return None
    return BlackScholesMarket(
        **terms, steps=market.steps, time_step=market.time_step, payoff=market.payoff
    )


def exact_hedge(market, risk_aversion):
    """The `ExactHedge` of a market, or None where dynamic programming has no answer for it."""
    from hedgezoo.baselines.exact_hedge import ExactHedge
    from hedgezoo.datasets import BlackScholesMarket, ConditionalBlackScholesMarket
    from hedgezoo.datasets.payoffs import European

    if isinstance(market, ConditionalBlackScholesMarket):
        market = _single_contract(market)
    if not isinstance(market, BlackScholesMarket):
        return None
    # the state of a path-dependent claim has one dimension more: 16 nodes keep 1e-7 there
    grid = {} if isinstance(market.payoff, European) else {"position_nodes": 16}
    try:
        return ExactHedge.from_market(market, risk_aversion, **grid)
    except ValueError:  # several instruments, or a claim that depends on the path
        return None


def _exact_prices(strategies, problem):
    """`exact_price` of every strategy that dynamic programming can judge, and of the optimum."""
    report = {"optimum/exact_price": _estimate(problem.price(), 0.0)}
    for name, strategy in strategies.items():
        if hasattr(strategy, "band"):
            price = problem.price_of(strategy)
        elif hasattr(strategy, "policy"):
            price = problem.price_of_policy(strategy)
        else:
            continue
        report[_key(name, "exact_price")] = _estimate(price, 0.0)
    first = _key(next(iter(strategies)), "exact_price")
    if first in report:
        gap = 100.0 * (report[first]["value"] / problem.price() - 1.0)
        report["gap_to_optimum_percent"] = _estimate(gap, 0.0)
    return report


class _Optimum:
    """The band of an `ExactHedge` as a strategy on simulated paths."""

    def __init__(self, problem):
        self.problem = problem

    def positions(self, inputs):
        from hedgezoo.layers.clamp_band import clamp_band

        spots = inputs["price"][:, :-1, 0].numpy()
        maxima = np.maximum.accumulate(spots, axis=1)
        lookback = self.problem.option == "lookback"
        edges = [
            self.problem.band(spots[:, t], t, maximum=maxima[:, t] if lookback else None)
            for t in range(spots.shape[1])
        ]
        lower, upper = np.stack(edges, axis=-1).astype(spots.dtype)[..., None]
        return clamp_band(lower, upper)


@dataclasses.dataclass
class Outcome:
    """What became of a strategy on N paths.

    Args:
        profit: Gains minus liability `(N,)`, money.
        turnover: Units bought and sold `(N,)`.
        cost: Money paid for that `(N,)`.
    """

    profit: np.ndarray
    turnover: np.ndarray
    cost: np.ndarray


def simulate(strategies, market, paths, seed):
    """Outcomes of several strategies on the same paths 0 ... N−1.

    Args:
        strategies: Dictionary name -> model.
        market: A market.
        paths: Number of paths N.
        seed: Their seed.

    Returns:
        Dictionary name -> `Outcome`.
    """
    import tensorflow as tf

    from hedgezoo.layers.trading_gains import trading_gains

    def outcome(strategy, inputs, liability):
        positions = strategy.positions(inputs)
        trades = tf.abs(positions - tf.pad(positions, ((0, 0), (1, 0), (0, 0)))[:, :-1])
        gains = trading_gains(
            positions,
            price=inputs.get("price"),
            unit_gain=inputs.get("unit_gain"),
            cost=inputs["cost"],
        )
        return (
            gains - liability,
            tf.reduce_sum(trades, (1, 2)),
            tf.reduce_sum(trades * inputs["cost"], (1, 2)),
        )

    tabulated = {key: value for key, value in strategies.items() if isinstance(value, _Optimum)}
    models = {key: value for key, value in strategies.items() if key not in tabulated}

    @tf.function
    def chunk(first_path):
        inputs, liability = market.simulate(seed, min(_CHUNK, paths), first_path)
        columns = {name: outcome(model, inputs, liability) for name, model in models.items()}
        return inputs, liability, columns

    # traced once, here: TensorFlow would warn of retracing when reports are made in a loop
    chunk = chunk.get_concrete_function(tf.TensorSpec((), tf.int64))
    parts = {name: [] for name in strategies}
    for first_path in range(0, paths, _CHUNK):
        inputs, liability, columns = chunk(tf.constant(first_path, tf.int64))
        for name, strategy in tabulated.items():
            columns[name] = outcome(strategy, inputs, liability)
        for name, arrays in columns.items():
            parts[name].append([array.numpy().astype(np.float64) for array in arrays])
    return {
        name: Outcome(*(np.concatenate(column)[:paths] for column in zip(*chunks, strict=True)))
        for name, chunks in parts.items()
    }


def _statistics(outcome, risk_aversion):
    """Statistics of one strategy, and the influence of every path on its price."""
    from hedgezoo.losses import cvar, effective_sample_size, entropic_risk, influence

    profit = outcome.profit
    values = {
        "price": entropic_risk(profit, risk_aversion),
        "mean": profit.mean(),
        "std": profit.std(),
        "cvar_95": cvar(profit, 0.95),
        "turnover": outcome.turnover.mean(),
        "cost": outcome.cost.mean(),
    }
    influences = {
        "price": influence(entropic_risk, profit, risk_aversion=risk_aversion),
        "mean": profit - profit.mean(),
        "std": influence("std", profit),
        "cvar_95": influence(cvar, profit, level=0.95),
        "turnover": outcome.turnover - outcome.turnover.mean(),
        "cost": outcome.cost - outcome.cost.mean(),
    }
    root = np.sqrt(len(profit))
    report = {
        key: _estimate(values[key], np.std(influences[key], ddof=1) / root) for key in STATISTICS
    }
    effective = effective_sample_size(profit, risk_aversion)
    return {**report, "effective_paths": _estimate(effective, 0.0)}, influences["price"]


def _estimate(value, stderr):
    return {"value": float(value), "stderr": float(stderr)}
