"""Tables: digits that the errors are worth, rows in order, nothing cut off."""

import io

import pytest
from rich.console import Console

from hedgezoo import tables
from hedgezoo.families import hedge


def text(table, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def estimate(value, stderr=0.0):
    return {"value": value, "stderr": stderr}


REPORT = {
    "price": estimate(0.0244901, 1.23e-5),
    "exact_price": estimate(0.0244855),
    "effective_paths": estimate(120_000.0),
    "saving/delta": estimate(0.00048, 2e-6),
    "delta/price": estimate(0.02497, 2e-5),
    "naked/saving/delta": estimate(-0.0656871, 1.574e-3),
    "std": estimate(0.0053481, 1.2e-5),
    "naked/std": estimate(0.0341541, 1.05e-4),
    "cvar_95": estimate(0.0350310, 5e-5),
    "naked/cvar_95": estimate(0.1222212, 4.3e-4),
    "turnover": estimate(1.2015, 7e-4),
    "cost": estimate(0.0012021, 7e-7),
    "delta/cost": estimate(0.0018926, 1.3e-6),
    "delta/exact_price": estimate(0.024966),
    "naked/price": estimate(0.090670, 1.574e-3),
    "naked/exact_price": estimate(0.0967624),
    "naked/effective_paths": estimate(161.3),
    "optimum/price": estimate(0.0244851, 1.2e-5),
    "optimum/exact_price": estimate(0.0244822),
    "my_desk/price": estimate(0.0251, 3e-5),
}


@pytest.mark.parametrize(
    ("error", "decimals"),
    [(12.0, 0), (2.0, 0), (1.0, 1), (0.3, 1), (0.13, 2), (0.02, 2), (0.011, 3), (0.0, 6)],
)
def test_decimals(error, decimals):
    assert tables.decimals_for(error) == decimals


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_comparison_fits_and_is_whole(width):
    shown = text(tables.comparison(REPORT, title="A title", width=width), width)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in shown
    for cell in ("906.70", "-656.87", "341.54", "1222.2", "1.2015", "18.926", "967.624"):
        assert cell in shown
    assert lines[0].strip() == "A title"
    order = ["no hedge*", "Black-Scholes delta", "my_desk", "band network", "exact optimum"]
    found = [line.strip() for line in lines if line.strip().startswith(tuple(order))]
    assert [line[: len(name)] for line, name in zip(found, order, strict=True)] == order
    network = found[3].split()
    assert "244.90" in network
    assert "244.855" in network
    assert "4.80" in network
    together = "0.12 " in found[3] if width >= 140 else "±0.12" in shown
    assert together
    assert "About 161 extreme paths" in " ".join(shown.split())


def test_comparison_leaves_out_what_is_not_known():
    shown = text(tables.comparison({"price": estimate(1.0, 0.1)}, spot=100.0), 80)
    assert "exact\n" not in shown
    assert "turn" not in shown.split("In basis points")[0]
    assert "extreme paths" not in shown
    assert " 100 " in shown


def test_comparison_names_strategies_as_it_is_told():
    shown = text(
        tables.comparison(REPORT, label="mine", labels={"my_desk": "ours"}, width=200), 200
    )
    assert "mine" in shown
    assert "ours" in shown
    assert "my_desk" not in shown


def test_presets_without_some_numbers():
    about = {
        "name": "a_preset",
        "class": "SomeModel",
        "description": "What it does",
        "evaluation": {"spot": 100.0},
        "metrics": {"price": estimate(2.5, 0.1), "delta/price": estimate(5.0, 0.1)},
    }
    shown = text(tables.presets(hedge.FAMILY, [about], width=200), 200)
    (line,) = (line for line in shown.splitlines() if "a_preset" in line)
    assert line.split() == [
        "a_preset",
        "SomeModel",
        "What",
        "it",
        "does",
        "250.00",
        "–",
        "50.0",
        "%",
    ]
    bare = text(tables.presets(hedge.FAMILY, [{**about, "metrics": {}}], width=80), 80)
    assert bare.count("–") == 3
