"""Terms of an `ExactHedge`: checks of numbers, and what a market says about them."""

import functools
import math
import numbers

import numpy as np


def number(name, value, above=None, at_least=None, whole=False):
    """`value` as a float, or as an int if it must be `whole`; a `ValueError` if out of bounds."""
    kind = numbers.Integral if whole else numbers.Real
    fine = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
    if fine:
        fine = (above is None or value > above) and (at_least is None or value >= at_least)
    if not fine:
        bound = f" above {above}" if above is not None else ""
        bound = f" of at least {at_least}" if at_least is not None else bound
        what = "a whole number" if whole else "a finite number"
        raise ValueError(f"`{name}` must be {what}{bound}. Received: {name}={value!r}")
    return int(value) if whole else float(value)


def terms_of_market(market):
    """Arguments of `ExactHedge` from a `BlackScholesMarket`; see `ExactHedge.from_market`."""
    from hedgezoo.datasets.payoffs import Binary, European, Lookback

    payoff = market.payoff
    strike, kinks = getattr(payoff, "strike", None), ()
    if isinstance(payoff, European):
        option = "call" if payoff.call else "put"
    elif isinstance(payoff, Lookback) and payoff.call and strike is not None:
        option = "lookback"
    elif isinstance(payoff, Binary):
        option = functools.partial(_binary, strike=strike, call=payoff.call)
        kinks = (strike,)
    else:
        raise ValueError(
            "The payoff must be European, Binary, or a Lookback call with a strike. "
            f"Received: market.payoff={payoff!r}"
        )
    terms = {"strike": strike, "steps": market.steps, "option": option, "kinks": kinks}
    for name in ("volatility", "cost", "spot", "time_step", "drift"):
        values = np.ravel(getattr(market, name))
        if values.size != 1:
            raise ValueError(
                "The market must have one instrument. "
                f"Received: market.{name}={getattr(market, name)}"
            )
        terms[name] = values[0]
    return terms


def _binary(spot, strike, call):
    return np.where(spot >= strike, float(call), float(not call))
