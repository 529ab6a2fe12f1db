"""What may be handed to `ExactHedge.price_of`, turned into functions on its grid."""

import inspect

import numpy as np


def as_band_rule(hedge, band, market):
    """`rule(spot, step[, maximum]) -> (lower, upper)`, checked, from all that describes a band.

    Args:
        hedge: the `ExactHedge` that asks.
        band: see `ExactHedge.price_of`.
        market: dictionary of further terms for a `band` method.
    """
    if isinstance(band, str):
        ask = _named_band(hedge, band)
    elif isinstance(band, type(hedge)):
        ask = band.band
    elif hasattr(band, "band"):
        ask = _with_terms(hedge, band.band, getattr(band, "feature_names", None), market)
    elif callable(band):
        ask = band
    else:
        ask = _constant_band(hedge, band)

    def rule(spot, step, *maximum):
        answer = ask(spot, step, *maximum)
        try:
            lower, upper = (np.asarray(edge, float) for edge in answer)
        except (TypeError, ValueError):
            raise ValueError(
                f"`band` must give a pair (lower, upper) of numbers. Received: {answer!r}"
            ) from None
        lower, upper = (_of_shape("band", edge, spot.shape) for edge in (lower, upper))
        middle = (lower + upper) / 2
        crossed = lower > upper
        return np.where(crossed, middle, lower), np.where(crossed, middle, upper)

    return rule


def as_policy_rule(hedge, policy, market):
    """`rule(spot, step, position[, maximum]) -> position`, checked; see `as_band_rule`."""
    if hasattr(policy, "policy"):
        ask = _with_terms(hedge, policy.policy, getattr(policy, "feature_names", None), market)
    elif callable(policy):
        ask = policy
    else:
        raise ValueError(
            "`policy` must be a function of (spot, step, position) or have a method `policy`. "
            f"Received: {policy!r}"
        )

    def rule(spot, step, position, *maximum):
        shape = np.broadcast_shapes(*(np.shape(x) for x in (spot, position, *maximum)))
        arguments = [np.broadcast_to(x, shape) for x in (position, *maximum)]
        answer = ask(np.broadcast_to(spot, shape), step, *arguments)
        return _of_shape("policy", np.asarray(answer, float), shape)

    return rule


def _of_shape(name, values, shape):
    try:
        values = np.broadcast_to(values, shape)
    except ValueError:
        raise ValueError(
            f"`{name}` must give values of the shape {shape} that it was asked for. "
            f"Received: shape {values.shape}"
        ) from None
    if not np.isfinite(values).all():
        raise ValueError(f"`{name}` must give finite positions. Received: {values}")
    return values


def _with_terms(hedge, method, features, given):
    """A method of (spot, time to expiry, ..., **market) as a function of (spot, step, ...)."""
    known = {name: getattr(hedge, name) for name in ("strike", "volatility", "cost")}
    known["risk_aversion"] = hedge.risk_aversion
    parameters = inspect.signature(method).parameters
    takes = {parameter.kind for parameter in parameters.values()}
    if inspect.Parameter.VAR_KEYWORD not in takes:
        wanted = set(parameters)
    elif features is None:
        wanted = {*known, "maximum"}
    else:
        # what is no feature is built into a network, and right or wrong it acts on that
        wanted = {"strike", *features}
        wanted |= {"maximum"} if "max_log_moneyness" in features else set()
    terms = {name: value for name, value in known.items() if name in wanted} | given
    lookback = hedge.option == "lookback"

    def ask(spot, step, *rest):
        left = np.full(spot.shape, (hedge.steps - step) * hedge.time_step)
        more = dict(terms)
        if lookback:
            *rest, maximum = rest
            if "maximum" in wanted:
                more["maximum"] = maximum
        return method(spot, left, *rest, **more)

    return ask


def _constant_band(hedge, band):
    try:
        lower, upper = (np.broadcast_to(np.asarray(x, float), (hedge.steps,)) for x in band)
    except (TypeError, ValueError):
        raise ValueError(
            "`band` must be a name, a function, an object with a method `band`, or a pair "
            f"(lower, upper) of numbers or of arrays of shape ({hedge.steps},). "
            f"Received: {band!r}"
        ) from None
    return lambda spot, step, *maximum: (lower[step], upper[step])


def _named_band(hedge, name):
    from scipy.special import ndtr

    if name == "naked":
        return lambda spot, step, *maximum: (0.0, 0.0)
    names = ("naked", "delta", "whalley_wilmott") if hedge.option in ("call", "put") else ("naked",)
    if name not in names:
        raise ValueError(f"`band` must be one of {names} by name. Received: {name!r}")
    bounded = name == "whalley_wilmott"

    def ask(spot, step):
        deviation = hedge.volatility * np.sqrt((hedge.steps - step) * hedge.time_step)
        d1 = np.log(spot / hedge.strike) / deviation + deviation / 2
        delta = ndtr(d1) - (hedge.option == "put")
        gamma = np.exp(-d1 * d1 / 2) / (np.sqrt(2 * np.pi) * spot * deviation)
        width = np.cbrt(1.5 * hedge.cost * gamma**2 * spot / hedge.risk_aversion) * bounded
        return delta - width, delta + width

    return ask
