"""The pictures of a hedging preset's card."""

from hedgezoo import plots
from hedgezoo.figures import Picture
from hedgezoo.styles import STYLES

CAPTIONS = {
    "band": "The band against the spot: inside it, nothing is traded.",
    "profits": "Outcomes, gains minus liability, on the same paths.",
    "learning_curve": "The loss during training.",
}


def hedge_pictures(model, about):
    """The pictures of a hedging preset's card.

    Args:
        model: A trained model that knows its `market`.
        about: Content of its `metadata.json`.

    Returns:
        List of `Picture`: `band`, if the model is one; `profits` beside the baselines, in a market
        of a single contract; and `learning_curve`.
    """
    from hedgezoo.datasets.black_scholes_market import BlackScholesMarket
    from hedgezoo.risk_report import (
        baseline_strategies,
        default_risk_aversion,
        exact_hedge,
        simulate,
    )

    market = model.market
    risk_aversion = default_risk_aversion(model, market)
    problem = exact_hedge(market, risk_aversion)
    own = "network" if hasattr(model, "band") else "feed_forward"
    prices = {
        name or own: metric["value"]
        for name in (*STYLES, "")
        if (metric := about["metrics"].get(f"{name}/exact_price".lstrip("/")))
    }
    plain = isinstance(market, BlackScholesMarket)  # then trained on the price of this contract
    figures = {}
    if own == "network":
        figures["band"] = plots.band(
            model,
            time_to_expiry=[market.maturity, max(market.steps // 4, 1) * market.time_step],
            references={} if problem is None else {"optimum": problem},
            **_contract(model, market),
        )
    if plain or problem is not None:
        players = {**baseline_strategies(market, risk_aversion), own: model}
        outcomes = simulate(players, market, paths=2**16, seed=0)
        figures["profits"] = plots.profit_histograms(
            {name: outcome.profit for name, outcome in outcomes.items()},
            prices=prices,
            compare=own,
            scale=1e4 / market.spot,
            unit="bp of the spot",
        )
    figures["learning_curve"] = _learning_curve(own, about, market, prices if plain else None)
    return [Picture(name, figure, CAPTIONS[name]) for name, figure in figures.items()]


def _learning_curve(own, about, market, prices):
    """The learning curve: in basis points beside prices, if it is of this contract's price."""
    shown = {"unit": "units of the loss"}
    if prices is not None:
        names = ("delta", "whalley_wilmott", "optimum")
        references = {name: prices[name] for name in names if name in prices}
        shown = {"references": references, "scale": 1e4 / market.spot, "unit": "bp of the spot"}
    return plots.learning_curves(
        {own: about["training"]["curve"]},
        xlabel=f"training steps of {about['recipe']['batch_size']:,} fresh paths",
        **shown,
    )


def _contract(model, market):
    """What `model.band` is told of a market: the inputs of the model and the path's maximum."""
    names = [name for name in ("volatility", "cost", "risk_aversion") if hasattr(market, name)]
    inputs = {name: getattr(market, name) for name in names if name in model.feature_names}
    return {**inputs, "maximum": market.spot}
