"""The experiments of Imaki et al. (2021): price against cost, and how fast networks learn.

The paper compares its band network, a feed-forward network and the asymptotic (Whalley-Wilmott)
band on a European and a lookback option at risk aversion 1. Here the naked position and the exact
optimum stand beside them, because at this risk aversion they decide what the numbers mean.
"""

import dataclasses
import json
import pathlib

import numpy as np

NAME = "no_transaction_band_paper"
TASKS = ("european", "lookback")
COSTS = tuple(float(cost) for cost in np.exp(np.arange(-10.0, -4.99, 0.25)))  # 21 values
CURVE_COST = float(np.exp(-7.5))  # of the paper's learning curves, 5.5 bp
CURVE_PATHS = 10_000  # per simulation; the paper's code simulates 50 000


def price_against_cost(
    recipe, costs=COSTS, steps=300, batch_size=1024, store=None, verbose=True, seed=1
):
    """Prices of every strategy over a grid of cost rates.

    The optimum is exact (dynamic programming), and so are all prices of the European option; of
    the lookback the strategies' prices are simulated, on the same Sobol paths for all.

    Args:
        recipe: Recipe of the band network at one cost; market and network are taken from it.
        costs: Proportional cost rates.
        steps: Training steps for each network and cost.
        batch_size: Paths per step.
        store: JSON file to which each finished cost is added and from which a killed run resumes.
        verbose: Whether to print a line for each cost.
        seed: Seed of the training paths.

    Returns:
        Dictionary: `zero_cost_price`, and `rows`, one for each cost: `cost` and the price under
        `network`, `feed_forward`, `whalley_wilmott`, `delta`, `naked` and `optimum`.
    """
    from hedgezoo.presets import json_text, write_text

    store = None if store is None else pathlib.Path(store)
    settings = {
        "preset": recipe.name,
        "steps": steps,
        "batch_size": batch_size,
        "seed": seed,
    }
    rows = _resume(store, settings)
    for cost in costs[len(rows) :]:
        row = {"cost": cost, **_prices(recipe, cost, steps, batch_size, seed)}
        rows.append(row)
        if store is not None:
            store.parent.mkdir(parents=True, exist_ok=True)
            write_text(store, json_text({"settings": settings, "rows": rows}))
        if verbose:
            numbers = "  ".join(f"{k} {v:.6f}" for k, v in row.items() if k != "cost")
            print(f"cost {cost:.2e}: {numbers}", flush=True)
    free = _problem(dataclasses.replace(recipe.market, cost=0.0)).price()
    return {**settings, "zero_cost_price": free, "rows": rows}


def _resume(store, settings):
    if store is None or not store.exists():
        return []
    content = json.loads(store.read_text(encoding="utf-8"))
    if content["settings"] != settings:
        raise ValueError(f"{store} holds another run: {content['settings']}, not {settings}")
    return content["rows"]


def _problem(market):
    from hedgezoo.risk_report import exact_hedge

    return exact_hedge(market, risk_aversion=1.0)


def _prices(recipe, cost, steps, batch_size, seed):
    from hedgezoo.datasets.payoffs import European

    market = dataclasses.replace(recipe.market, cost=cost)
    problem = _problem(market)
    strategies = {name: _baseline(market, name) for name in ("naked", "delta", "whalley_wilmott")}
    for name, make in {"network": _band, "feed_forward": _feed_forward}.items():
        strategies[name] = _train(make(recipe, cost), market, steps, batch_size, seed)
    if isinstance(market.payoff, European):
        prices = {
            name: problem.price_of_policy(strategy)
            if name == "feed_forward"
            else problem.price_of(strategy)
            for name, strategy in strategies.items()
        }
    else:
        prices = _simulated(strategies, market)
    return {name: float(price) for name, price in (prices | {"optimum": problem.price()}).items()}


def _simulated(strategies, market, paths=2**18):
    """Prices on common Sobol paths: one dimension more would make the exact ones slow."""
    from hedgezoo.losses import entropic_risk
    from hedgezoo.risk_report import simulate

    judged = dataclasses.replace(market, draws="sobol")
    outcomes = simulate(strategies, judged, paths, seed=99)
    return {name: entropic_risk(outcome.profit, 1.0) for name, outcome in outcomes.items()}


def _baseline(market, name):
    from hedgezoo.risk_report import baseline_strategies

    return baseline_strategies(market, risk_aversion=1.0)[name]


def _band(recipe, cost):
    from hedgezoo.no_transaction_band import NoTransactionBand

    return NoTransactionBand.from_config({**recipe.model().get_config(), "cost": cost})


def _feed_forward(recipe, cost):
    from hedgezoo.deep_hedge import FeedForwardHedge

    terms = recipe.model().get_config()
    names = ("features", "strike", "call", "volatility", "risk_aversion", "maturity")
    return FeedForwardHedge(**{name: terms[name] for name in names}, cost=cost)


def _train(model, market, steps, batch_size, seed):
    from hedgezoo import training
    from hedgezoo.gradient_recipe import decaying_adam
    from hedgezoo.losses import EntropicRisk

    model.build()
    model.compile(decaying_adam(2e-3, steps), loss=EntropicRisk(1.0))
    sampled = dataclasses.replace(market, draws="sobol")
    training.fit(model, sampled, steps_per_epoch=steps, batch_size=batch_size, seed=seed, verbose=0)
    return model


def learning_curves(market, simulations=(300, 1000), every=10, seed=1):
    """How the price falls while the paper's two networks learn as its code trains them.

    Raw features, Adam at 1e-3 without schedule, plain paths, `CURVE_PATHS` in each simulation.
    Both are judged on the same Sobol paths after every `every` simulations.

    Args:
        market: Market and claim; its cost is set to `CURVE_COST`.
        simulations: Numbers of simulations of the band and of the feed-forward network.
        every: Simulations between two points of a curve.
        seed: Seed of the paths and of the initial weights.

    Returns:
        Dictionary `network` and `feed_forward` -> list of `[simulations, price]`, and
        `references`: the price `optimum`, `naked` and `whalley_wilmott` at the same cost.
    """
    import keras

    from hedgezoo import training
    from hedgezoo.deep_hedge import FeedForwardHedge
    from hedgezoo.losses import EntropicRisk, entropic_risk
    from hedgezoo.no_transaction_band import NoTransactionBand

    market = dataclasses.replace(market, cost=CURVE_COST, draws="plain")
    judged = dataclasses.replace(market, draws="sobol").simulate(seed=99, paths=2**15)
    curves = {}
    classes = {"network": NoTransactionBand, "feed_forward": FeedForwardHedge}
    for (name, cls), count in zip(classes.items(), simulations, strict=True):
        model = cls(
            market.features,
            strike=market.payoff.strike,
            cost=CURVE_COST,
            maturity=market.maturity,
            seed=seed,
        )
        model.build()
        model.compile(keras.optimizers.Adam(1e-3), loss=EntropicRisk(1.0))
        curve = curves[name] = []

        def judge(epoch, logs=None, model=model, curve=curve):
            profit = (model(judged[0]) - judged[1]).numpy()
            curve.append([(epoch + 1) * every, entropic_risk(profit, 1.0)])

        training.fit(
            model,
            market,
            epochs=count // every,
            steps_per_epoch=every,
            batch_size=CURVE_PATHS,
            seed=seed,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=judge)],
            verbose=0,
        )
    problem = _problem(market)
    references = {
        "optimum": problem.price(),
        "naked": problem.price_of("naked"),
        "whalley_wilmott": problem.price_of(_baseline(market, "whalley_wilmott")),
    }
    return {**curves, "references": {name: float(price) for name, price in references.items()}}


def reached(curve, tolerance=0.05):
    """First point at which a curve is within a share of its whole fall from its end.

    Args:
        curve: List of `[simulations, price]`.
        tolerance: Share of the fall from the first price to the last.

    Returns:
        Number of simulations.
    """
    first, last = curve[0][1], curve[-1][1]
    return next(count for count, price in curve if price - last <= tolerance * (first - last))


def draw(results, curves, directory):
    """Writes `price_against_cost.png` and `learning_curves.png`.

    Args:
        results: What `price_against_cost` returns.
        curves: What `learning_curves` returns.
        directory: Where to.
    """
    from hedgezoo import plots

    directory = pathlib.Path(directory)
    rows = results["rows"]
    names = ("naked", "whalley_wilmott", "feed_forward", "network", "optimum")
    figure = plots.price_against_cost(
        [row["cost"] for row in rows],
        {name: [row[name] for row in rows] for name in names},
        results["zero_cost_price"],
        scale=1e4,
        unit="bp of the spot",
    )
    plots.save(figure, directory / "price_against_cost.png")
    figure = plots.learning_curves(
        {name: curves[name] for name in ("network", "feed_forward")},
        references=curves["references"],
        xlabel=f"simulations of {CURVE_PATHS:,} paths",
        scale=1e4,
        unit="bp of the spot",
    )
    plots.save(figure, directory / "learning_curves_paper.png")


def run(output, quick=False, seed=0, console=None):
    """Both experiments for both of the paper's options: figures and `numbers.json`.

    Args:
        output: Folder; a folder in it for each option.
        quick: Whether to run them in small: two costs, a few steps, the European option only.
        seed: Seed of paths and initial weights.
        console: Whether progress is printed; None for silence.

    Returns:
        Dictionary option -> `price_against_cost` and `learning_curves`.
    """
    from hedgezoo.experiments.results import results_folder, write_numbers
    from hedgezoo.recipe import recipe

    grid, simulations = {}, {}
    if quick:
        grid = {"costs": COSTS[5:16:10], "steps": 5, "batch_size": 256}
        simulations = {"simulations": (4, 4), "every": 2}
    numbers = {}
    with results_folder(output, experiment=NAME) as folder:
        for task in TASKS[:1] if quick else TASKS:
            plan = recipe(f"no_transaction_band_{task}_paper_v1")
            results = price_against_cost(plan, **grid, verbose=console is not None, seed=seed + 1)
            curves = learning_curves(plan.market, **simulations, seed=seed + 1)
            draw(results, curves, folder / task)
            numbers[task] = {"price_against_cost": results, "learning_curves": curves}
        write_numbers(folder, NAME, numbers)
    return numbers


def report(recipe, model, directory, checkpoint=None):
    """Both experiments for one of the paper's options: entries of `metadata.json`, and figures.

    Args:
        recipe: A recipe of the paper's tasks.
        model: The trained model of the recipe; the experiments train their own.
        directory: Directory of the preset.
        checkpoint: Directory from which a killed run resumes.

    Returns:
        The numbers, under `experiments`; `card_section` says them in words.
    """
    store = None if checkpoint is None else pathlib.Path(checkpoint) / "price_against_cost.json"
    results = price_against_cost(recipe, store=store)
    curves = learning_curves(recipe.market)
    figures = pathlib.Path(directory) / "figures"
    figures.mkdir(exist_ok=True)
    draw(results, curves, figures)
    numbers = {"price_against_cost": results, "learning_curves": curves}
    return {"experiments": {"no_transaction_band_paper": numbers}}


def card_section(price_against_cost, learning_curves):
    """The section of a model card on both experiments, Markdown."""
    results, curves = price_against_cost, learning_curves
    rows, free = results["rows"], results["zero_cost_price"]
    names = ("optimum", "network", "naked", "feed_forward", "whalley_wilmott", "delta")
    lines = [
        "## The paper's experiments",
        "",
        f"Price above the zero-cost price {free:.6f}, in 1e-6 of the spot, over the paper's 21 "
        f"cost rates; each network trained for {results['steps']} steps of "
        f"{results['batch_size']:,} Sobol paths. "
        + (
            "The optimum is exact; the strategies' prices are simulated, on the same Sobol paths."
            if "lookback" in results["preset"]
            else "All prices are exact."
        ),
        "",
        "| cost | " + " | ".join(names) + " |",
        "|---:|" + "---:|" * len(names),
    ]
    for row in rows:
        cells = " | ".join(f"{1e6 * (row[name] - free):.1f}" for name in names)
        lines.append(f"| {row['cost']:.2e} | {cells} |")
    worst = max(rows, key=lambda row: row["network"] / row["optimum"])
    gap = 100 * (worst["network"] / worst["optimum"] - 1)
    idle = [
        row["cost"] for row in rows if row["naked"] - row["optimum"] < 1e-3 * (row["naked"] - free)
    ]
    lines += [
        "",
        f"Largest gap of the network to the exact optimum: {gap:.3f} % of the price, at cost "
        f"{worst['cost']:.2e}.",
        "",
        "![price against cost](figures/price_against_cost.png)",
        "",
    ]
    if idle:
        lines += [
            f"From cost {min(idle):.2e} on, the optimum is (to 0.1 % of the spread) never to "
            "trade: the published task at risk aversion 1 is nearly degenerate.",
            "",
        ]
    band, other = curves["network"], curves["feed_forward"]
    lines += [
        f"Learning at cost {CURVE_COST:.2e}, as the paper's code trains: the band network is "
        f"within 5 % of its whole improvement after {reached(band)} simulations "
        f"({band[-1][1]:.6f} at the end); the feed-forward network is at {other[-1][1]:.6f} after "
        f"{other[-1][0]} simulations. The paper says about 60, and not within 1000.",
        "",
        "![learning curves](figures/learning_curves_paper.png)",
    ]
    return "\n".join(lines)
