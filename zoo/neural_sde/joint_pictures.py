"""The pictures of a joint model's card: what the hedges leave, and what they do."""

import numpy as np

from hedgezoo.figures import styled

_MATURITY_COLOURS = ("#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9")


def joint_pictures(model, about):
    """Hedge errors option by option, and positions over the spot.

    Args:
        model: A trained `JointNeuralSDEHedge`.
        about: Content of its `metadata.json`.

    Returns:
        List of `hedgezoo.figures.Picture`.
    """
    from hedgezoo.figures import Picture

    seed = about["evaluation"]["seed"]
    return [
        Picture(
            "hedge_errors",
            hedge_errors(model, seed),
            "Standard deviation that the hedge leaves of each option's payoff; dashed: "
            "Black-Scholes deltas at the quoted volatilities.",
        ),
        Picture(
            "positions",
            positions(model),
            "Position in the forward for a call at the money, half-way to the last maturity; "
            "dashed: Black-Scholes.",
        ),
    ]


@styled
def hedge_errors(model, seed=0, paths=2**13):
    """Residual deviation against the strike, a line for each maturity.

    Args:
        model: A `JointNeuralSDEHedge`.
        seed: Of the paths.
        paths: Number of paths.

    Returns:
        `matplotlib.figure.Figure`.
    """
    from hedgezoo.figures import panels
    from hedgezoo.neural_sde.joint_evaluation import hedge_outcomes

    outcomes = hedge_outcomes(model, paths, seed)
    own, reference = outcomes.deviations(), outcomes.black_scholes_deviations()
    quotes = model.quotes
    figure, axes = panels(height=3.0)
    axis = axes[0, 0]
    expiries = quotes.expiries[:: -(-len(quotes.expiries) // len(_MATURITY_COLOURS))]
    for colour, expiry in zip(_MATURITY_COLOURS, expiries, strict=False):
        rows = np.asarray(quotes.maturities) == expiry
        strikes = 100 * np.asarray(quotes.strikes)[rows]
        label = f"{expiry:.3g} years"
        axis.plot(strikes, 100 * own[: len(quotes)][rows], color=colour, label=label)
        axis.plot(strikes, 100 * reference[rows], color=colour, ls="--", lw=0.8)
    axis.set_ylim(0, 100)
    axis.set_xlabel("strike, % of the forward")
    axis.set_ylabel("left of the payoff's standard deviation, %")
    axis.legend(ncols=2)
    return figure


@styled
def positions(model):
    """Position over the spot for a few levels of the latent factor.

    Args:
        model: A `JointNeuralSDEHedge`.

    Returns:
        `matplotlib.figure.Figure`.
    """
    from hedgezoo.figures import panels
    from hedgezoo.layers.black_scholes import european_delta

    quotes = model.quotes
    maturity = quotes.maturities[-1]
    time = 0.5 * maturity
    nearest = np.argmin(np.abs(np.asarray(quotes.strikes) - 1.0) + maturity - quotes.maturities)
    level = quotes.implied_volatility[int(nearest)]
    spot = np.exp(np.linspace(-2.5, 2.5, 121) * level * np.sqrt(time))
    figure, axes = panels(height=2.8)
    axis = axes[0, 0]
    factors = (None,)
    if model.sde.states > 1:
        found = np.asarray(model.sde.simulate(0, 4096, [time])["factor"])[:, 0]
        factors = np.quantile(found, (0.1, 0.5, 0.9))
    names = ("latent factor at its 10 % quantile", "median", "90 % quantile")
    for factor, name, colour in zip(factors, names, _MATURITY_COLOURS, strict=False):
        delta = model.hedge(spot, time, 1.0, maturity, factor)
        label = "learned" if factor is None else name
        axis.plot(100 * spot, np.asarray(delta), color=colour, label=label)
    exact = european_delta(spot, 1.0, maturity - time, level).numpy()
    axis.plot(100 * spot, exact, "k--", lw=0.8, label="Black-Scholes")
    axis.set_xlabel("spot, % of the forward")
    axis.set_ylabel("position")
    axis.legend()
    return figure
