"""One front door for judging: any model of the zoo, by what its family is judged by."""

import dataclasses
import inspect
import os

from hedgezoo.suggestions import did_you_mean

_PATHS = 2**17


def evaluate(model_or_name, paths=None, seed=0, market=None, **options):
    """How good a model is, measured on fresh paths, with standard errors.

    What is measured is a matter of the family: a hedging strategy is judged by its price, beside
    its baselines and the optimum (`hedgezoo.risk_report.risk_report`, with the options
    `risk_aversion`, `baselines` and `exact`); any other model by its own method `evaluate_on`.

    Args:
        model_or_name: A model, or the name or directory of a preset.
        paths: Number of simulated paths N, or of panels of each noise case for a calibrator.
            Default: as many as the model says, `evaluation_paths`, or 131 072.
        seed: Seed of the paths.
        market: Market to judge in; default: the one a pretrained model was made for. Its paths are
            drawn independently, also where it says antithetic or Sobol: standard errors are those
            of independent paths.
        **options: Of the model's family, see there.

    Returns:
        Dictionary `{metric: {"value": float, "stderr": float}}`. Exact values have `stderr` 0.

    Raises:
        ValueError: If there is no such preset, an option is unknown, the market does not suit the
            model or is not known, or `paths` is below 2.

    Example:

    >>> report = evaluate("no_transaction_band_european_v1", paths=4096, exact=False)
    >>> report["price"]["value"] < report["delta/price"]["value"] < report["naked/price"]["value"]
    True
    """
    if paths is not None and int(paths) < 2:
        raise ValueError(f"`paths` must be at least 2. Received: paths={paths}")
    model = model_or_name
    if isinstance(model_or_name, (str, os.PathLike)):
        from hedgezoo.presets import load

        model = load(model_or_name)
    judge = _judge(model)
    _check_options(model, judge, options)
    market = market if market is not None else getattr(model, "market", None)
    paths = int(getattr(model, "evaluation_paths", _PATHS) if paths is None else paths)
    return judge(independent(market), paths, seed, **options)


def independent(market):
    """A market whose paths are drawn independently; None stays None."""
    if getattr(market, "draws", "plain") == "plain":
        return market
    return dataclasses.replace(market, draws="plain")


def _check_options(model, judge, options):
    parameters = inspect.signature(judge).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters][3:]
    for name in options:
        if name not in known:
            raise ValueError(
                f"a {type(model).__name__} is not judged with an option {name!r}; its options: "
                f"{known}.{did_you_mean(name, known)}"
            )


def _judge(model):
    """A function of market, paths, seed and options."""
    if hasattr(model, "evaluate_on"):
        return model.evaluate_on
    if hasattr(model, "positions"):
        from hedgezoo.hedge_model import HedgeModel

        return HedgeModel.evaluate_on.__get__(model)
    raise ValueError(
        "`model_or_name` must be a model with a method `evaluate_on`, as every model of the zoo "
        f"has, or `positions`. Received: {model!r}"
    )
