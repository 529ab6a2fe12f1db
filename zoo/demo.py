"""What `hedgezoo demo` shows: a sold option, hedged by a network and by what is used today."""

import pathlib

from hedgezoo import plots, presets, tables
from hedgezoo.risk_report import baseline_strategies, compare, exact_hedge

NETWORK = "no_transaction_band_european_v1"
FEED_FORWARD = "feed_forward_european_v1"


def demo(output="demo", paths=2**17, seed=0, console=None):
    """Hedges a sold call with a pretrained network, beside what is used today and the optimum.

    Prints a table with standard errors and writes `band.png`, `profits.png` and
    `learning_curves.png`.

    Args:
        output: Folder for the pictures.
        paths: Simulated paths, the same for every strategy.
        seed: Their seed.
        console: A `rich.console.Console`. Default: standard output.

    Returns:
        List of the pictures' paths.
    """
    from rich.console import Console

    console = console or Console(highlight=False)
    with console.status("loading the pretrained networks"):
        model = presets.load(NETWORK)
        strategies = {"": model}
        if FEED_FORWARD in presets.list_presets():
            strategies["feed_forward"] = presets.load(FEED_FORWARD)
    market, risk_aversion = model.market, model.constants["risk_aversion"]
    with console.status(f"hedging on {paths:,} paths, and exactly"):
        strategies |= baseline_strategies(market, risk_aversion)
        report, outcomes = compare(strategies, market, risk_aversion, paths, seed)
    prices = {
        name: report[f"{name}/exact_price".lstrip("/")]["value"]
        for name in (*strategies, "optimum")
    }
    text_width = min(console.width, 100)
    console.print(_task(market, risk_aversion, paths), width=text_width)
    console.print(tables.comparison(report, spot=market.spot, width=console.width))
    console.print()
    console.print(_conclusion(report, prices, 1e4 / market.spot), width=text_width)
    console.print()

    def picture(name, draw, *arguments, **options):
        with console.status(f"drawing {name}"):
            path = plots.save(draw(*arguments, **options), pathlib.Path(output) / f"{name}.png")
        console.print(f"Wrote {path}", soft_wrap=True)
        return path

    money = {"scale": 1e4 / market.spot, "unit": "bp of the spot"}
    late = max(market.steps // 4, 1) * market.time_step
    return [
        picture(
            "band",
            plots.band,
            model,
            [market.maturity, late],
            references={
                "whalley_wilmott": strategies["whalley_wilmott"],
                "optimum": exact_hedge(market, risk_aversion),
            },
        ),
        picture(
            "profits",
            plots.profit_histograms,
            {name or "network": outcomes[name].profit for name in _panels(strategies)},
            prices={name or "network": price for name, price in prices.items()},
            **money,
        ),
        picture(
            "learning_curves",
            plots.learning_curves,
            _curves(strategies),
            references={name: prices[name] for name in ("delta", "whalley_wilmott", "optimum")},
            xlabel="simulated paths",
            **money,
        ),
    ]


def _panels(strategies):
    """Names from what is used today to the network."""
    wanted = ("naked", "delta", "whalley_wilmott", "feed_forward", "")
    return [name for name in wanted if name in strategies]


def _curves(strategies):
    """Learning curves of the networks against the number of paths they have seen."""
    curves = {}
    for name, preset in {"network": NETWORK, "feed_forward": FEED_FORWARD}.items():
        if name == "network" or name in strategies:
            about = presets.metadata(preset)
            batch_size = about["recipe"]["batch_size"]
            curves[name] = [(batch_size * step, loss) for step, loss in about["training"]["curve"]]
    return curves


def _task(market, risk_aversion, paths):
    """What is hedged, in words."""
    option = "call" if market.payoff.call else "put"
    return (
        f"\nA sold European {option}: spot {market.spot:g}, strike {market.payoff.strike:g}, "
        f"volatility {market.volatility:g}, {market.maturity:g} years, hedged on {market.steps} "
        f"dates at a cost of {1e4 * market.cost:g} bp of the money traded, "
        f"risk aversion {risk_aversion:g}. {paths:,} simulated paths, the same for every row."
    )


def _conclusion(report, prices, basis_points):
    """What the table says, in words."""
    price = {name: basis_points * value for name, value in prices.items()}
    saved, possible = price["delta"] - price[""], price["delta"] - price["optimum"]
    return (
        f"To sell this option a desk needs {price['naked']:.1f} bp if it does not hedge, "
        f"{price['delta']:.2f} bp if it rehedges to the delta on every date, "
        f"{price['whalley_wilmott']:.2f} bp with Whalley and Wilmott's band, "
        f"and {price['']:.2f} bp with the network: {saved:.2f} bp "
        f"({100 * saved / price['delta']:.1f} %) less than with delta, for "
        f"{100 * report['cost']['value'] / report['delta/cost']['value']:.0f} % of its trading "
        f"cost. The best hedge there is would save {possible:.2f} bp; "
        f"the network is {price[''] - price['optimum']:.2f} bp short of it."
    )
