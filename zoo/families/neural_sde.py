"""What is said of neural SDEs: how far from the quotes, how sure of it, and what they found."""

from hedgezoo.families.family import Column, Family, number, use_section, versions
from hedgezoo.families.metrics import Line, metric_lines, metric_table


def _memory_lines(name, label):
    """Lines of a correlation at each lag, simulated and of the history."""
    lines = []
    for lag in (1, 5, 20):
        days = "a day" if lag == 1 else f"{lag} days"
        lines += [
            Line(f"{name}_{lag}", f"{label}, {days} apart, long paths", "{:.3f}"),
            Line(f"{name}_{lag}_as_long", "the same, paths as long as the history", "{:.3f}"),
            Line(f"{name}_{lag}_spread", "the same, from one such path to another, ±", "{:.3f}"),
            Line(f"{name}_{lag}_history", "the same, history", "{:.3f}"),
            Line(f"{name}_{lag}_beside", "the same, Gaussian vector autoregression", "{:.3f}"),
        ]
    return lines


LINES = (
    Line("error_bp", "error to the quotes, bp", "{:.2f}"),
    Line("error_core_bp", "the same, where vega is above 0.1 √T", "{:.2f}"),
    Line("worst_bp", "largest error, bp", "{:.1f}"),
    Line("pde_error_bp", "error of the same volatility by Dupire's equation, bp", "{:.2f}"),
    Line("fitted_error_bp", "error to the quotes that it was fitted to, bp", "{:.2f}"),
    Line("held_out_error_bp", "error to the quotes that were held out, bp", "{:.2f}"),
    Line("region_error_bp", "error in the region of liquid quotes, bp", "{:.2f}"),
    Line("heston_error_bp", "Heston by Levenberg-Marquardt: error, bp", "{:.2f}"),
    Line("heston_held_out_error_bp", "the same, to the quotes held out", "{:.2f}"),
    Line("heston_region_error_bp", "the same, fitted to the region", "{:.2f}"),
    Line("standard_error_bp", "standard error of a simulated volatility, bp", "{:.3f}"),
    Line("missed", "quotes missed by more than spread and noise explain", "{:.0f}"),
    Line("martingale_z", "farthest mean of S / F from 1, standard errors", "{:.2f}"),
    Line("arbitrage_free", "quoted surface free of static arbitrage (1: yes)", "{:.0f}"),
    Line("correlation", "correlation of price and factor, learned", "{:.3f}"),
    # hedges
    Line(
        "hedge_deviation", "left of a payoff's standard deviation by the hedge, %", "{:.1f}", 100.0
    ),
    Line("black_scholes_hedge_deviation", "the same by Black-Scholes deltas, %", "{:.1f}", 100.0),
    Line("exotic_hedge_deviation", "the same of the path-dependent option, %", "{:.1f}", 100.0),
    Line("hedge_risk", "share of a payoff's variance that is left", "{:.3f}"),
    Line("variance_reduction", "factor that the hedge takes off a price's variance", "{:.1f}"),
    Line("least_variance_reduction", "the same of the option with the least", "{:.1f}"),
    Line("control_bias_z", "mean gain of a hedge, standard errors (unbiased: about 1)", "{:.2f}"),
    Line("exotic_price", "price of the path-dependent option", "{:.5f}"),
    # surfaces
    Line("error_90_bp", "error of which 90 % of the surfaces stay below, bp", "{:.1f}"),
    Line("error_mean_bp", "mean error of the surfaces, bp", "{:.1f}"),
    Line("noisy_error_bp", "error if the quotes seen have independent errors of 10 bp", "{:.1f}"),
    Line("flat_error_bp", "Black-Scholes at the volatility at the money: error, bp", "{:.0f}"),
    Line("shape_error_bp", "the network without skew, curvature and term structure", "{:.0f}"),
    # history
    *_memory_lines("acf", "autocorrelation of sizes of daily returns"),
    *_memory_lines("leverage", "correlation of a return with the size of one"),
    Line("volatility", "volatility of daily returns, %", "{:.2f}", 100.0),
    Line("volatility_history", "the same, history", "{:.2f}", 100.0),
    Line("excess_kurtosis", "excess kurtosis of daily returns", "{:.1f}"),
    Line("excess_kurtosis_history", "the same, history", "{:.1f}"),
    Line("largest_move", "largest move of a simulated day, %", "{:.1f}", 100.0),
    Line("largest_move_history", "the same, history", "{:.1f}", 100.0),
    Line("log_likelihood", "log-likelihood per day, days that were fitted", "{:.3f}"),
    Line("held_out_log_likelihood", "the same, days that were held out", "{:.3f}"),
    Line("constant_log_likelihood", "the same, constant coefficients", "{:.3f}"),
)
# what the results are of, and on how many of them to judge in an example
JUDGED = {
    "quotes": ("fresh paths", 65536),
    "joint": ("fresh paths", 65536),
    "history": ("paths as long as the history", 64),
    "amortised": ("fresh surfaces, of which errors are medians", 256),
}
USE = {
    "quotes": [
        "calls = model.price([0.9, 1.0, 1.1], maturities=[0.25, 1.0], paths=65536, seed=1)",
        "print(calls.price, calls.standard_error, calls.implied_volatility)",
        "sigma = model.diffusion(spot=[0.9, 1.0, 1.1], time=0.5)  # per √year",
        "paths = model.simulate(seed=1, paths=1000, times=[0.0, 0.5, 1.0])  # spot, volatility",
    ],
    "history": [
        "paths = model.simulate(seed=1, paths=1000, times=[day / 252 for day in range(253)])",
        "today = model.network.factor_of(0.25)  # the volatility index is at 25 %",
        "sigma = model.diffusion(spot=1.0, time=0.0, factor=today)  # per √year",
        "mu = model.drift(spot=1.0, time=0.0, factor=today)  # per year",
    ],
    "amortised": [
        "from hedgezoo.neural_sde import MarketFeatures",
        "",
        "quotes = hedgezoo.datasets.SurfaceQuotes.heston()",
        "features = MarketFeatures(model.feature_names).of(quotes)  # today's level, skew, ...",
        "calls = model.price([0.9, 1.0, 1.1], [0.25, 1.0], paths=65536, features=features)",
    ],
    "joint": [
        "calls = model.sde.price([0.9, 1.0, 1.1], maturities=[0.25, 1.0], paths=65536, seed=1)",
        "position = model.hedge(spot=[0.9, 1.0, 1.1], time=0.25, strike=1.0, maturity=0.5)",
    ],
}
SIGNATURES = {
    "quotes": "the signatures `price`, which is `serving_default` too (strike, maturity and seed "
    "in; price, standard error and implied volatility out), and `coefficients` (spot and time in, "
    "drift and diffusion out)",
    "history": "the signature `coefficients` (spot, time and factor in, drift and diffusion out), "
    "which is `serving_default` too",
    "amortised": "the signatures `price`, which is `serving_default` too (strike, maturity, seed "
    "and features in; price, standard error and implied volatility out), and `coefficients`",
    "joint": "the signatures `price`, which is `serving_default` too, `coefficients` and `hedge`",
}


class NeuralSDEFamily(Family):
    """Neural SDEs.

    A recipe of the family has in its `settings` the `kind` (a key of `USE`), `data` (what it was
    made from, a sentence's end) and `procedure` (how, whole sentences).
    """

    title = "Neural SDEs"
    tags = ("neural-sde", "local-volatility", "calibration", "derivatives", "tensorflow")
    headlines = (
        Column("error,\nbp", number("error_bp", "{:.2f}")),
        Column("by PDE,\nbp", number("pde_error_bp", "{:.2f}")),
        Column("held\nout, bp", number("held_out_error_bp", "{:.1f}")),
        Column("Heston,\nbp", number("heston_error_bp", "{:.1f}")),
    )
    list_note = (
        "root mean square errors to the quotes in bp of volatility: simulated, by Dupire's "
        "equation, on held-out quotes; Heston: the best one's error to the same quotes"
    )
    readme_headlines = (
        *headlines[:3],
        Column("worst quote, bp", number("worst_bp", "{:.1f}")),
        headlines[3],
        Column("martingale, standard errors", number("martingale_z", "{:.1f}")),
    )
    readme_note = (
        "Root mean square errors to the quotes in basis points of volatility: of the model as "
        "simulated, of the same volatility priced by Dupire's equation, on quotes that were held "
        "out, and of the best Heston model. *Martingale* is the farthest that the mean of S / F "
        "is from 1 at a maturity."
    )

    def use(self, about):
        kind = about["recipe"]["kind"]
        count = JUDGED[kind][1]
        code = [*USE[kind], f'report = hedgezoo.evaluate("{about["name"]}", paths={count})']
        return use_section(about, code, SIGNATURES[kind])

    def results(self, about):
        judged = about["evaluation"]
        what = JUDGED[about["recipe"]["kind"]][0]
        words = "Errors are root mean squares in basis points (1e-4) of volatility. "
        if not any(name.endswith("_bp") for name in about["metrics"]):
            words = ""
        return "\n".join(
            [
                "## Results",
                "",
                f"On {judged['paths']:,} {what} (seed {judged['seed']}), ± one standard "
                f"error. {words}".rstrip(),
                "",
                *metric_lines(about["metrics"], LINES),
            ]
        )

    def training(self, about):
        recipe, facts = about["recipe"], about["training"]
        count = recipe.get("steps") or facts.get("steps")
        steps = f"{count:,} steps" if count else "no gradient steps"
        return (
            "## Training\n\n"
            f"`hedgezoo train {about['name']}` (recipe `{recipe['module']}`, seed "
            f"{recipe['seed']}): {steps}, {facts['cpu_seconds']:.0f} CPU-seconds on one core. "
            f"{about['parameters']:,} parameters. {recipe['procedure']}\n\n"
            f"Data: {recipe['data']}.\n\nBuilt with {versions(about)}."
        )

    def report(self, report, about, title, width):
        return metric_table(report, LINES, title, width)


FAMILY = NeuralSDEFamily()
