"""Families: what cards, lists and reports say of each, from metadata alone."""

import io
import re

import pytest
from rich.console import Console

from hedgezoo import cards, presets, tables
from hedgezoo.datasets import DailyHistory, HestonPanels, HestonSurfaces, SurfaceQuotes
from hedgezoo.datasets.market import Market
from hedgezoo.families import FAMILIES, family_of, grouped, neural_sde
from hedgezoo.preset_model import PresetModel


def estimate(value, stderr=0.0):
    return {"value": value, "stderr": stderr}


def about(family, metrics, **more):
    return {
        "name": f"a_{family}_v1",
        "family": family,
        "class": "SomeModel",
        "description": "What it does",
        "task": "Do it.",
        "paper": {"authors": "A", "year": 2021, "title": "T", "reference": "R"},
        "licence": "Apache-2.0",
        "parameters": 1234,
        "built_with": {"keras": "3"},
        "evaluation": {"paths": 1000, "seed": 3, "spot": 1.0},
        "metrics": metrics,
        "limits": ["Here and no further."],
        "figures": [
            {"name": "zebra", "caption": "The first picture."},
            {"name": "aardvark", "caption": "The second picture."},
        ],
        "experiments": {},
        **more,
    }


BY_STEPS = {
    "recipe": {
        "module": "hedgezoo.recipes.x",
        "market": "SomeMarket()",
        "steps": 1000,
        "batch_size": 256,
        "learning_rate": 1e-3,
        "seed": 5,
        "linear_start": True,
        "initial_paths": 16384,
        "normalising_paths": 131072,
    },
    "training": {"cpu_seconds": 12.3, "curve": [[1000, -0.01]]},
}
HEDGE = about(
    "hedge",
    {"price": estimate(0.025, 1e-5), "delta/price": estimate(0.026, 1e-5)},
    **BY_STEPS,
)
MEASURE = about(
    "measure",
    {
        "relative_entropy": estimate(0.0153, 2e-4),
        "exact/relative_entropy": estimate(0.014999),
        "effective_sample_share": estimate(0.9703, 1e-3),
        "inside_band/p": estimate(0.25),
        "inside_band/q": estimate(0.9875),
        "largest_weight": estimate(2.5),
        "degenerate": estimate(0.0),
        "gain/q": estimate(-1e-5, 2e-5),
        "gain/q/3/0": estimate(0.123456),
        "a_new_number": estimate(42.0),
        "retrained/p": estimate(0.0123, 1e-4),
        "retrained/q": estimate(0.0002, 1e-4),
    },
    **BY_STEPS,
)
SIMULATOR = about(
    "simulator",
    {
        "lags": estimate(2.0),
        "spectral_radius": estimate(0.99),
        "arbitrage_free_share": estimate(1.0),
        "quantiles/daily_return/0.05/historical": estimate(-0.02, 0.001),
        "quantiles/daily_return/0.05/simulated": estimate(-0.019, 0.0001),
        "quantiles/daily_return/0.5/historical": estimate(0.0, 0.0005),
        "quantiles/daily_return/0.5/simulated": estimate(0.0006, 0.0001),
        "quantiles/daily_return/0.95/historical": estimate(0.02, 0.001),
        "quantiles/daily_return/0.95/simulated": estimate(0.0224, 0.0001),
        "autocorrelation/daily_return/20/historical": estimate(0.01),
        "autocorrelation/daily_return/5/historical": estimate(0.02),
        "residual_ljung_box/log_return": estimate(0.04),
    },
    recipe={"module": "hedgezoo.recipes.y", "history": [["first date", "2009-09-18"]]},
    training={"cpu_seconds": 2.9},
)
CALIBRATOR = about(
    "calibrator",
    {
        "clean/error_to_clean_bp": estimate(0.00123, 2e-5),
        "clean/failures": estimate(0.0),
        "clean/coverage": estimate(0.951, 0.001),
        "clean/pearson/kappa": estimate(1.0),
        "plus_minus_15_bp/error_to_clean_bp": estimate(2.0712, 0.0123),
        "plus_minus_15_bp/error_to_quotes_bp": estimate(8.3512, 0.0111),
        "plus_minus_15_bp/failures": estimate(0.0004, 0.0002),
        "plus_minus_15_bp/coverage": estimate(0.9472, 0.001),
        "plus_minus_15_bp/coverage/rho": estimate(0.9312, 0.0025),
        "plus_minus_15_bp/pearson/kappa": estimate(0.9975, 1e-4),
        "plus_minus_15_bp/pearson/rho": estimate(0.9345, 1e-3),
        "plus_minus_15_bp/pearson/rho_where_xi_above_0.3": estimate(0.91, 1e-3),
        "plus_minus_15_bp/rmse/rho": estimate(0.0831, 1e-3),
        "plus_minus_15_bp/rmse/kappa": estimate(0.1531, 1e-3),
        "my_desk/error_to_clean_bp": estimate(1.5, 0.1),
        "levenberg_marquardt/clean/error_to_clean_bp": estimate(1e-11, 1e-12),
        "levenberg_marquardt/plus_minus_15_bp/error_to_clean_bp": estimate(2.21, 0.03),
        "cpu_milliseconds/batched": estimate(0.3, 0.01),
        "cpu_milliseconds/single": estimate(6.2, 0.1),
        "cpu_milliseconds/levenberg_marquardt": estimate(4.5, 0.1),
    },
    recipe={
        **BY_STEPS["recipe"],
        "market": ["one box, one grid, noise clean", "another box, one grid, noise clean"],
        "judged_on": "one box, one grid",
        "optimizer": "AdamW",
        "base": "another_calibrator_v1",
    },
    training=BY_STEPS["training"],
)
NEURAL_SDE = about(
    "neural_sde",
    {
        "error_bp": estimate(3.214, 0.04),
        "pde_error_bp": estimate(2.5),
        "held_out_error_bp": estimate(4.04),
        "heston_error_bp": estimate(62.0),
        "worst_bp": estimate(14.2),
        "martingale_z": estimate(1.7),
        "missed": estimate(3.0),
        "a_new_number": estimate(42.0),
    },
    recipe={
        "module": "hedgezoo.recipes.z",
        "kind": "quotes",
        "data": "126 quotes of somebody",
        "procedure": "Adam, and then rest.",
        "steps": 1500,
        "seed": 5,
    },
    training={"cpu_seconds": 81.2},
)
ALL = {
    "hedge": HEDGE,
    "measure": MEASURE,
    "simulator": SIMULATOR,
    "calibrator": CALIBRATOR,
    "neural_sde": NEURAL_SDE,
}


def text(table, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def test_every_family_is_tried_here():
    assert ALL.keys() == FAMILIES.keys()


@pytest.mark.parametrize("name", presets.CLASSES)
def test_classes_that_may_be_built_can_be_stored_judged_and_served(name):
    cls = presets._allowed(name, presets.CLASSES, "test")
    assert issubclass(cls, PresetModel)
    assert cls.evaluate_on is not PresetModel.evaluate_on
    assert cls.serving_signatures is not PresetModel.serving_signatures


@pytest.mark.parametrize("name", presets.MARKETS)
def test_markets_that_may_be_built_are_markets(name):
    data = (DailyHistory, HestonPanels, HestonSurfaces, SurfaceQuotes)
    assert issubclass(presets._allowed(name, presets.MARKETS, "test"), (Market, *data))


@pytest.mark.parametrize("name", ALL)
def test_card_has_all_sections_in_order(name):
    card = cards.card_text(ALL[name])
    sections = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert sections == ["Use", "Results", "Training", "Limits", "Source"]
    assert card.index("![The first picture.](figures/zebra.png)") < card.index("aardvark")
    assert f'hedgezoo.load("a_{name}_v1")' in card
    assert "1,000" in card
    assert "seed 3" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    compile(code, name, "exec")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [80, 200])
def test_list_fits_and_shows_every_headline(name, width):
    family = family_of(ALL[name])
    shown = text(tables.presets(family, [ALL[name]], width=width), width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    (line,) = (line for line in shown.splitlines() if f"a_{name}_v1" in line)
    for column in family.headlines:
        assert column.cell(ALL[name]) in line
    bare = text(tables.presets(family, [{**ALL[name], "metrics": {}}], width=80), 80)
    assert bare.count("–") == len(family.headlines)


@pytest.mark.parametrize("name", ALL)
def test_report_fits(name):
    shown = text(family_of(ALL[name]).report(ALL[name]["metrics"], ALL[name], "A title", 80), 80)
    assert shown.splitlines()[0].strip() == "A title"
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown


def test_families_keep_their_order():
    found = grouped([CALIBRATOR, SIMULATOR, MEASURE, {**HEDGE, "name": "b"}, HEDGE])
    assert [family.title for family, _ in found] == [
        "Hedging strategies",
        "Risk-neutral measures",
        "Market simulators",
        "Calibrators",
    ]
    assert found[0][1] == [{**HEDGE, "name": "b"}, HEDGE]
    with pytest.raises(ValueError, match="Unknown family 'crystal_ball'"):
        family_of({"family": "crystal_ball"})


def test_sections_come_from_modules_of_the_library_only():
    with pytest.raises(ValueError, match="Unknown section 'os'"):
        cards.card_text({**HEDGE, "experiments": {"os": {}}})


def test_a_measure_says_how_far_and_on_how_many_paths():
    card = cards.card_text(MEASURE)
    for row in (
        "| relative entropy H(Q given P) | 0.015300 ± 0.000200 |",
        "| the same, exact | 0.014999 |",
        "| effective sample, % of the paths | 97.03 ± 0.10 |",
        "| gains inside the cost band under Q, % of all | 98.8 |",
        "| certainty equivalent of a new policy under Q | 0.000200 ± 0.000100 |",
        "| a new number | 42 |",
    ):
        assert row in card
    assert "0.123456" not in card  # a detail
    assert "16,384" in card
    assert "131,072" in card
    assert "is degenerate" not in card
    cells = [column.cell(MEASURE) for column in family_of(MEASURE).readme_headlines]
    assert cells == ["0.0153", "97.0 %", "25 %", "99 %", "0.01230", "0.00020"]


def test_a_degenerate_measure_says_so():
    metrics = {**MEASURE["metrics"], "degenerate": estimate(1.0)}
    assert "**The change of measure is degenerate**" in cards.card_text(
        {**MEASURE, "metrics": metrics}
    )


def test_a_simulator_stands_beside_its_history():
    card = cards.card_text(SIMULATOR)
    assert "| | 5 % | 50 % | 95 % |" in card
    assert "-0.0200 ± 0.0010 / -0.01900 ± 0.00010" in card
    assert "| | 5 | 20 |" in card  # lags in the order of numbers
    assert "| daily return | 0.02 / – | 0.01 / – |" in card
    assert "| log return | 0.04 | – | – | – |" in card
    assert "first date 2009-09-18" in card
    # 0.0024 of a range of 0.04
    assert family_of(SIMULATOR).headlines[-1].cell(SIMULATOR) == "6.0 %"


def test_a_calibrator_says_how_far_from_truth_and_quotes():
    card = cards.card_text(CALIBRATOR)
    for row in (
        "On 1,000 fresh panels per noise case (seed 3): one box, one grid.",
        "| | exact quotes | ±U[0, 15] bp | my desk |",
        "| error to the exact surface, bp | 0.0012 ± 2e-05 | 2.071 ± 0.012 | 1.50 ± 0.10 |",
        "| error to the quotes, bp | – | 8.351 ± 0.011 | – |",
        "| failures, % of the panels | 0 | 0.040 ± 0.020 | – |",
        "| truth in 95 % intervals, % | 95.10 ± 0.10 | 94.72 ± 0.10 | – |",
        "| kappa: Pearson | 1.0000 | 0.9975 | – |",
        "| rho where xi above 0.3: Pearson | – | 0.9100 | – |",
        "| rho: truth in 95 % intervals, % | – | 93.1 | – |",
        "| error to the exact surface, bp | 1e-11 ± 1e-12 | 2.210 ± 0.030 | – |",
    ):
        assert row in card
    # in the order of the model
    assert card.index("| kappa: RMSE |") < card.index("| rho: RMSE |")
    assert "χ²" not in card  # not measured


def test_a_calibrator_stands_beside_the_claims_of_the_paper():
    card = cards.card_text(CALIBRATOR)
    claims = re.findall(
        r"^\| (.*) \| (.*) \|$", card.split("| claim of the paper")[1], re.MULTILINE
    )
    assert [claim.split()[0] for claim, _ in claims] == ["28", "correlation", "1.8", "100"]
    found = [found for _, found in claims]
    assert found[0] == "0.00123 bp, exact quotes; 2.07 bp, ±U[0, 15] bp"
    assert found[1] == "lowest: 1.0000 (kappa), exact quotes; 0.9345 (rho), ±U[0, 15] bp"
    assert found[2].startswith("6.2 ms")
    assert found[3].startswith("15 times")
    assert "0.30 ms in a batch, 6.2 ms alone, 4.5 ms by Levenberg-Marquardt" in card
    without = {name: m for name, m in CALIBRATOR["metrics"].items() if "milli" not in name}
    assert "ms " not in cards.card_text({**CALIBRATOR, "metrics": without})


def test_a_calibrator_says_what_it_was_trained_on():
    card = cards.card_text(CALIBRATOR)
    assert "Panels, in turn:\n\n- one box, one grid, noise clean\n- another box" in card
    assert "steps of 256 panels" in card
    assert "AdamW from 0.001" in card
    assert "starts from the weights of `another_calibrator_v1`" in card
    recipe = {**CALIBRATOR["recipe"], "market": ["one box"], "base": None}
    card = cards.card_text({**CALIBRATOR, "recipe": recipe})
    assert "Panels: one box." in card
    assert "starts from" not in card


def test_headlines_of_a_calibrator():
    family = family_of(CALIBRATOR)
    assert family.unit == "panels"
    cells = [column.cell(CALIBRATOR) for column in family.readme_headlines]
    assert cells == ["0.0012", "8.35", "2.07", "94.7 %", "0.04 %", "0.30"]


def test_a_neural_sde_says_how_far_from_the_quotes():
    card = cards.card_text(NEURAL_SDE)
    for row in (
        "| error to the quotes, bp | 3.21 ± 0.04 |",
        "| error of the same volatility by Dupire's equation, bp | 2.50 |",
        "| Heston by Levenberg-Marquardt: error, bp | 62.00 |",
        "| a new number | 42 |",
    ):
        assert row in card
    assert "1,500 steps, 81 CPU-seconds" in card
    assert "Adam, and then rest." in card
    assert "Data: 126 quotes of somebody." in card
    cells = [column.cell(NEURAL_SDE) for column in family_of(NEURAL_SDE).readme_headlines]
    assert cells == ["3.21", "2.50", "4.0", "14.2", "62.0", "1.7"]


@pytest.mark.parametrize("kind", neural_sde.USE)
def test_every_kind_of_neural_sde_shows_its_use(kind):
    recipe = {**NEURAL_SDE["recipe"], "kind": kind, "steps": None}
    metrics = {"log_likelihood": estimate(-1.5)}
    card = cards.card_text({**NEURAL_SDE, "recipe": recipe, "metrics": metrics})
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    compile(code, kind, "exec")
    assert neural_sde.SIGNATURES[kind] in card
    assert "basis points" not in card  # none of its numbers is one
    assert "no gradient steps" in card
