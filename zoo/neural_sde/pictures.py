"""The pictures of a neural SDE's card."""

import types

import numpy as np

from hedgezoo.figures import Picture
from hedgezoo.market_calibration.quote_panel import in_words

_TIMES = 81  # columns of a heat map
_SMILE_PATHS = 2**15


def pictures(model, about, quotes=None, history=None, features=None, paths=2**14, seed=7):
    """What a neural SDE learned: the volatility, its prices, and the memory of its paths.

    A model of a surface shows σ(S, t), its smiles through the quotes and their errors, and the
    slope of σ; with a latent factor also how much the spot leaves open. A model of a history shows
    the autocorrelations of its daily returns beside those of the history.

    Args:
        model: A `NeuralSDE`.
        about: Content of its `metadata.json`; not used.
        quotes: `SurfaceQuotes` to show it beside; by default the model's market, if it is some.
        history: `DailyHistory` to show it beside; by default the model's market, if it is one.
        features: Market features `(f,)`, only of a model with features.
        paths: Number of simulated paths behind each picture.
        seed: Their seed.

    Returns:
        List of `hedgezoo.figures.Picture`; empty for a model with features, if none are given.

    Raises:
        ValueError: If an argument is out of its range.
    """
    from hedgezoo.datasets.daily_history import DailyHistory
    from hedgezoo.datasets.surface_quotes import SurfaceQuotes

    del about
    if quotes is None and isinstance(model.market, SurfaceQuotes):
        quotes = model.market
    if history is None and isinstance(model.market, DailyHistory):
        history = model.market
    if model.feature_names and features is None:
        return []
    if not model.risk_neutral:
        return [memory_picture(model, history, features, seed)]
    found = [heat_map_picture(model, quotes, features, paths, seed)]
    if quotes is not None:
        found += price_pictures(model, quotes, features, seed)
    if model.states > 1:
        found.append(conditional_picture(model, features, paths, seed))
    else:
        found.append(leverage_picture(model, features))
    return found


def heat_map_picture(model, quotes=None, features=None, paths=2**14, seed=7):
    """σ(S, t) where there are paths, with the quotes."""
    from hedgezoo.neural_sde.structure import volatility_map
    from hedgezoo.neural_sde.structure_plots import heat_maps

    last = model.maturities[-1] if quotes is None else float(quotes.expiries[-1])
    times = np.linspace(0.1, 1.0, _TIMES) ** 2 * last
    found = volatility_map(model, times, share=0.05, paths=paths, seed=seed, features=features)
    factor = "" if model.states == 1 else ", with the latent factor at its start"
    return Picture(
        "volatility",
        heat_maps({"": found}, quotes),
        f"The learned volatility σ(S, t){factor}. Only what 95 % of the paths visit is shown: "
        "beyond, no price depends on it.",
    )


def price_pictures(model, quotes, features=None, seed=7):
    """Smiles through the quotes, and the errors of all quotes."""
    from hedgezoo.datasets.surface_quotes import BASIS_POINT
    from hedgezoo.market_calibration.smile_plots import smiles
    from hedgezoo.neural_sde.structure_plots import error_map

    strikes, mask = quotes.strike_grid()
    own = _prices(model, strikes, quotes.expiries, features, seed)
    volatility = np.zeros(mask.shape)
    volatility[mask] = quotes.implied_volatility
    spread = None
    if quotes.spread is not None:
        spread = np.zeros(mask.shape)
        spread[mask] = quotes.spread
    panel = types.SimpleNamespace(
        maturities=quotes.expiries,
        strikes=strikes,
        mask=mask,
        implied_volatility=volatility,
        spread=spread,
    )
    curve = types.SimpleNamespace(
        curve=lambda strikes, maturities: _prices(model, strikes, maturities, features, seed)
    )
    errors = (own[mask] - np.asarray(quotes.implied_volatility)) / BASIS_POINT
    how = "by Dupire's equation" if model.states == 1 else "by simulation"
    return [
        Picture(
            "smiles",
            smiles(panel, {"neural SDE": curve}),
            f"Smiles of the calibrated model, {how}, through the quotes.",
        ),
        Picture(
            "errors",
            error_map(quotes, {"all quotes": errors}),
            f"Errors of the quotes in basis points of implied volatility, {how}.",
        ),
    ]


def leverage_picture(model, features=None):
    """The slope of σ(S, t) in log S."""
    from hedgezoo.neural_sde.structure import leverage
    from hedgezoo.neural_sde.structure_plots import leverage_curves

    times = np.linspace(0.25, 1.0, 16) ** 2 * model.maturities[-1]
    found = leverage(model, times, features)
    return Picture(
        "leverage",
        leverage_curves({"": (found, None)}),
        "Leverage: the slope of the learned σ in log S at the money. Below zero, volatility rises "
        "as the spot falls.",
    )


def conditional_picture(model, features=None, paths=2**14, seed=7):
    """What the spot tells of the volatility, and what the latent factor adds."""
    from hedgezoo.neural_sde.structure import conditional_volatility, explained_by_spot
    from hedgezoo.neural_sde.structure_plots import conditional_volatilities

    last = model.maturities[-1]
    cases = {}
    for share in (0.25, 0.5, 1.0):
        found = conditional_volatility(model, share * last, 24, paths, seed, features)
        r_squared, _ = explained_by_spot(model, share * last, 16, paths, seed, features)
        cases[f"{in_words(share * last)}, R² = {r_squared:.2f}"] = found
    return Picture(
        "conditional_volatility",
        conditional_volatilities(cases),
        "Volatility given the spot: its mean, and ± one standard deviation of what the spot leaves "
        "open. R² is the share that the spot explains; quotes of vanilla options do not tell it.",
    )


def memory_picture(model, history=None, features=None, seed=7, years=10.0, paths=128):
    """Autocorrelations of simulated daily returns beside those of the history."""
    from hedgezoo.neural_sde.structure import clustering, daily_returns, lagged_leverage
    from hedgezoo.neural_sde.structure_plots import autocorrelations

    returns = {"neural SDE": daily_returns(model, years, paths, seed, features)}
    references = ()
    if history is not None:
        returns["history"] = history.returns
        references = ("history",)
    return Picture(
        "memory",
        autocorrelations(
            {name: clustering(each) for name, each in returns.items()},
            {name: lagged_leverage(each) for name, each in returns.items()},
            references,
        ),
        f"Memory of daily returns, {years:g} simulated years: sizes of moves persist, and falls "
        "are followed by larger moves. Bars: two standard errors.",
    )


def _prices(model, strikes, maturities, features, seed):
    """Implied volatilities `(m, n)`: without noise where that is possible."""
    if model.states == 1:
        return model.price_by_pde(strikes, maturities, features).implied_volatility
    return model.price(strikes, maturities, _SMILE_PATHS, seed, features).implied_volatility
