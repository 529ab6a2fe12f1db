"""The command line, on a shelf of small presets of its own."""

import io
import json
import shutil

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import hedgezoo
from hedgezoo import cli, plots, presets, pretraining
from hedgezoo.cards import card_text
from hedgezoo.datasets import BlackScholesMarket
from hedgezoo.deep_hedge import FeedForwardHedge
from hedgezoo.evaluation import evaluate
from hedgezoo.families.hedge import HedgeFamily
from hedgezoo.hedge_recipe import HedgeRecipe
from hedgezoo.losses import EntropicRisk
from hedgezoo.no_transaction_band import NoTransactionBand

BAND, FEED_FORWARD = "no_transaction_band_european_v1", "feed_forward_european_v1"
MARKET = BlackScholesMarket(steps=4)
TERMS = {"hidden_units": (4,), "risk_aversion": 50.0, "maturity": MARKET.maturity}
MODELS = {
    BAND: lambda: NoTransactionBand(width="whalley_wilmott", **TERMS),
    FEED_FORWARD: lambda: FeedForwardHedge(**TERMS),
}


def small_recipe(name):
    return HedgeRecipe(
        name=name,
        description=f"A small {name}",
        task="Hedge a call.",
        model=MODELS[name],
        loss=lambda: EntropicRisk(50.0),
        train_market=MARKET,
        market=MARKET,
        batch_size=64,
        steps=2,
        learning_rate=1e-3,
        evaluation_paths=1000,
        limits=("It is only for tests.",),
    )


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Presets as training leaves them, without figures and SavedModel."""
    root = tmp_path_factory.mktemp("shelf")
    for name in MODELS:
        recipe = small_recipe(name)
        model = recipe.model()
        model.build()
        model.market = MARKET
        directory = root / name
        directory.mkdir()
        presets.write_preset(model, directory)
        facts = {"curve": [[1, 0.013], [2, 0.012]], "cpu_seconds": 1.0}
        about = pretraining.describe(recipe, model, facts, recipe.evaluate(model))
        presets.write_text(directory / "metadata.json", presets.json_text(about))
        presets.write_text(directory / "README.md", card_text(about))
        presets.update_manifest(root, name)
    return root


@pytest.fixture(autouse=True)
def on_the_shelf(shelf, monkeypatch):
    monkeypatch.setattr(presets, "root", lambda: shelf)


def run(*arguments, status=0, **options):
    result = CliRunner().invoke(cli.app, list(map(str, arguments)), **options)
    assert result.exit_code == status, result.output
    return result


def metric(name, key):
    return presets.metadata(name)["metrics"][key]["value"]


# ---------------------------------------------------------------------------------- list and info


@pytest.mark.parametrize("width", ["80", "200"])
def test_list_shows_every_preset_with_its_numbers(width):
    output = run("list", env={"COLUMNS": width}).stdout
    for name in MODELS:
        line = next(line for line in output.splitlines() if name in line)
        assert f"{1e4 * metric(name, 'exact_price'):.2f}" in line
        assert f"{metric(name, 'gap_to_optimum_percent'):.3f} %" in line
        saving = 1 - metric(name, "exact_price") / metric(name, "delta/exact_price")
        assert f"{100 * saving:.1f} %" in line
    assert output.count("A small") == 2
    assert "NoTransactionBand" in output
    assert max(map(len, output.splitlines())) <= int(width)


def test_list_is_wide_where_there_is_no_terminal(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    (line,) = (line for line in run("list").stdout.splitlines() if BAND in line)
    assert "NoTransactionBand" in line
    assert f"A small {BAND}" in line


def test_info_is_the_card():
    output = run("info", BAND).stdout
    assert presets.card(BAND).endswith(output)
    assert output.startswith(f"# {BAND}")


def test_info_is_rendered_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(cli, "_console", lambda: Console(file=screen, force_terminal=True))
    run("info", BAND)
    assert BAND in screen.getvalue()
    assert "\x1b[" in screen.getvalue()
    assert "## Results" not in screen.getvalue()
    assert "license:" not in screen.getvalue()


def test_version_and_help():
    assert run("--version").stdout.strip() == hedgezoo.__version__
    output = run("--help").stdout
    for command in ("list", "info", "evaluate", "train", "export", "verify", "demo", "experiment"):
        assert command in output


# ----------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "arguments",
    [["info"], ["evaluate"], ["verify"], ["train"], ["export", "somewhere"]],
    ids=lambda arguments: arguments[0],
)
def test_unknown_preset_is_one_line_with_the_closest_names(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command, *rest = arguments
    result = run(command, "no_transaction_band_europen_v1", *rest, status=2)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: Unknown")
    assert "'no_transaction_band_european_v1'" in line
    assert not result.stdout
    assert not any(tmp_path.iterdir())


def test_wrong_values_and_unwritable_folders_are_one_line_too(tmp_path):
    (line,) = run("evaluate", BAND, "--paths", 1, status=2).stderr.splitlines()
    assert line == "Error: `paths` must be at least 2. Received: paths=1"
    (tmp_path / "file").write_text("not a folder")
    (line,) = run("export", BAND, tmp_path / "file", status=2).stderr.splitlines()
    assert line.startswith("Error:")
    assert str(tmp_path / "file") in line


# --------------------------------------------------------------------------------------- evaluate


def test_evaluate_as_json_is_the_report():
    result = run("evaluate", BAND, "--paths", 500, "--seed", 7, "--json")
    assert json.loads(result.stdout) == evaluate(BAND, paths=500, seed=7)


def test_evaluate_prints_the_comparison():
    output = run("evaluate", FEED_FORWARD, "--paths", 500, env={"COLUMNS": "80"}).stdout
    report = evaluate(FEED_FORWARD, paths=500)
    rows = ["no hedge*", "Black-Scholes delta", "Whalley-Wilmott", "this preset", "exact optimum"]
    found = [line for line in output.splitlines() if line.strip().startswith(tuple(rows))]
    assert [line[: len(row) + 1].strip() for line, row in zip(found, rows, strict=True)] == rows
    prefixes = ["naked/", "delta/", "whalley_wilmott/", "", "optimum/"]
    for line, prefix in zip(found, prefixes, strict=True):
        assert f"{1e4 * report[f'{prefix}exact_price']['value']:.3f}" in line
        assert f"{1e4 * report[f'{prefix}price']['value']:.0f}" in line
    assert "500 paths, seed 0" in output
    assert "extreme paths" in output


def test_evaluate_takes_the_options_of_the_family():
    arguments = ("evaluate", BAND, "--paths", 100, "--json")
    given = ("--option", "risk_aversion=5.0", "--option", "baselines=false", "--no-exact")
    report = json.loads(run(*arguments, *given).stdout)
    options = {"risk_aversion": 5.0, "baselines": False, "exact": False}
    assert report == evaluate(BAND, paths=100, **options)
    (line,) = run(*arguments, "--option", "risk_aversio=5", status=2).stderr.splitlines()
    assert "Did you mean 'risk_aversion'" in line
    (line,) = run(*arguments, "--option", "exact", status=2).stderr.splitlines()
    assert line == "Error: `--option` must be NAME=VALUE. Received: 'exact'"


def test_evaluate_on_as_many_as_the_model_says(monkeypatch):
    monkeypatch.setattr(NoTransactionBand, "evaluation_paths", 300)
    monkeypatch.setattr(HedgeFamily, "unit", "journeys")
    output = run("evaluate", BAND, "--no-exact").stdout
    assert f"{BAND}: 300 journeys, seed 0" in output


def test_evaluate_without_exact_prices():
    output = run("evaluate", BAND, "--paths", 500, "--no-exact").stdout
    assert "exact" not in output.split("In basis points")[0]
    assert "optimum" not in output


@pytest.mark.multiprocess
def test_a_fresh_process_prints_json_and_nothing_else(shelf, run_python, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    output = run_python(
        f"""
        import pathlib, sys
        from hedgezoo import cli, presets
        presets.root = lambda: pathlib.Path({str(shelf)!r})
        sys.argv[1:] = ["evaluate", {BAND!r}, "--paths", "100", "--no-exact", "--json"]
        cli.main()
        """
    )
    assert json.loads(output)["price"]["value"] > 0


# ----------------------------------------------------------------------------------------- verify


def test_verify_counts_files():
    assert run("verify").stdout.count("4 files as they should be") == 2
    assert run("verify", "all").stdout == run("verify").stdout
    assert run("verify", BAND).stdout == f"{BAND}: 4 files as they should be\n"


def test_verify_finds_a_damaged_file(shelf, tmp_path, monkeypatch):
    copy = shutil.copytree(shelf, tmp_path / "copy")
    monkeypatch.setattr(presets, "root", lambda: copy)
    weights = copy / BAND / "model.weights.h5"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(bytes(content))
    result = run("verify", status=2)
    assert "model.weights.h5" in result.stderr
    assert BAND in result.stderr
    assert result.stdout == f"{FEED_FORWARD}: 4 files as they should be\n"
    run("verify", FEED_FORWARD)
    (line,) = run("evaluate", BAND, status=2).stderr.splitlines()
    assert "model.weights.h5" in line


# ------------------------------------------------------------------------------- train and export


@pytest.fixture
def built(monkeypatch):
    """Calls of `build_preset`, which is replaced."""
    calls = []

    def build_preset(recipe, root, checkpoint=None, strategy=None, verbose="auto"):
        calls.append((recipe.name, root, checkpoint, strategy))
        return root / recipe.name

    monkeypatch.setattr(pretraining, "build_preset", build_preset)
    return calls


def test_train_hands_on_what_it_is_told(built, tmp_path):
    output = run("train", BAND, "--output", tmp_path, "--checkpoint", tmp_path / "saved").stdout
    assert built == [(BAND, tmp_path, tmp_path / "saved", None)]
    assert str(tmp_path / BAND) in output.replace("\n", "")


def test_train_on_two_devices(built):
    run("train", BAND, "--devices", 2)
    ((_, root, checkpoint, strategy),) = built
    assert strategy.num_replicas_in_sync == 2
    assert (str(root), checkpoint) == ("trained", None)


@pytest.mark.slow
def test_train_writes_a_preset_that_verifies(tmp_path, monkeypatch):
    from hedgezoo import recipe

    monkeypatch.setattr(recipe, "recipe", small_recipe)
    run("train", BAND, "--output", tmp_path)
    monkeypatch.setattr(presets, "root", lambda: tmp_path)
    run("verify", BAND)
    assert "steps of 64" in run("info", BAND).stdout


@pytest.mark.slow
@pytest.mark.serving
def test_export_writes_the_next_version(tmp_path):
    import tensorflow as tf

    output = run("export", BAND, tmp_path / "served").stdout
    assert str(tmp_path / "served" / "1") in output
    assert f"--model_base_path={tmp_path / 'served'}" in output
    served = tf.saved_model.load(str(tmp_path / "served" / "1"))
    step = served.signatures["serving_default"]
    arguments = {
        "features": tf.constant([[0.01, 0.01, 0.2]]),
        "position": tf.constant([[0.2]]),
    }
    expected = presets.load(BAND).step(*arguments.values())
    np.testing.assert_allclose(step(**arguments)["position"], expected["position"], rtol=1e-5)
    (line,) = run("export", BAND, tmp_path / "served", "--version", 1, status=2).stderr.splitlines()
    assert line.startswith("Error:")


# ------------------------------------------------------------------------------------------- demo


def test_demo_prints_the_table_and_writes_the_pictures(tmp_path):
    folder = tmp_path / "demo"
    output = run("demo", "--output", folder, "--paths", 400, env={"COLUMNS": "200"}).stdout
    names = ("band.png", "profits.png", "learning_curves.png")
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for name in names:
        assert (folder / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert str(folder / name) in output
    for row in ("no hedge*", "Black-Scholes delta", "Whalley-Wilmott", "feed-forward", "optimum"):
        assert row in output
    report = evaluate(BAND, paths=400)
    price, delta, naked = (
        1e4 * report[f"{prefix}exact_price"]["value"] for prefix in ("", "delta/", "naked/")
    )
    words = " ".join(output.split())
    assert f"needs {naked:.1f} bp if it does not hedge, {delta:.2f} bp if it rehedges" in words
    assert f"and {price:.2f} bp with the network: {delta - price:.2f} bp" in words


def test_demo_does_without_the_feed_forward_preset(shelf, tmp_path, monkeypatch):
    copy = shutil.copytree(shelf, tmp_path / "copy")
    content = json.loads((copy / "manifest.json").read_text())
    del content["presets"][FEED_FORWARD]
    (copy / "manifest.json").write_text(json.dumps(content))
    monkeypatch.setattr(presets, "root", lambda: copy)
    drawn = {}
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn.setdefault(path.name, figure))
    output = run("demo", "--output", tmp_path / "demo", "--paths", 100).stdout
    assert "feed-forward" not in output
    assert "band network" in output
    assert len(drawn["profits.png"].axes) == 4
    labels = [line.get_label() for line in drawn["learning_curves.png"].axes[0].get_lines()]
    assert labels == ["band network", "Black-Scholes delta", "Whalley-Wilmott", "exact optimum"]
