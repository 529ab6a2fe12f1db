"""The command line, `hedgezoo COMMAND`.

What only reads text, such as `list`, `info` and `experiment list`, answers at once; TensorFlow is
loaded by the other commands only.
"""

import contextlib
import json
import os
import pathlib
import sys
import tempfile
from typing import Annotated

import typer
import typer.core
from rich.console import Console

from hedgezoo import presets

_WIDE = 160  # characters across where there is no terminal to fit


class _Commands(typer.core.TyperGroup):
    """Reports what a user can put right as one line, without a traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `hedgezoo list | head` is no mistake
            raise
        except (ValueError, OSError) as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(2) from error


app = typer.Typer(
    name="hedgezoo",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Pretrained models that hedge and price, beside what a desk would use today.",
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="A preset; see `hedgezoo list`.")]


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
):
    if version:
        from hedgezoo import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command("list")
def list_():
    """Show the pretrained models and their headline numbers."""
    from hedgezoo import families, tables

    console = _console()
    entries = [presets.metadata(name) for name in presets.list_presets()]
    for number, (family, members) in enumerate(families.grouped(entries)):
        if number:
            console.print()
        console.print(tables.presets(family, members, width=console.width))


@app.command()
def info(name: _Name):
    """Show the model card of a preset."""
    card = presets.card(name)
    if card.startswith("---\n"):  # the head is for catalogues
        card = card.split("\n---\n", 1)[1].lstrip("\n")
    console = _console()
    if console.is_terminal:
        from rich.markdown import Markdown

        console.print(Markdown(card))
    else:
        typer.echo(card, nl=False)


@app.command()
def evaluate(
    name: _Name,
    paths: Annotated[
        int | None,
        typer.Option(help="Simulated paths, or panels. Default: what suits the preset's family."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the paths.")] = 0,
    exact: Annotated[
        bool | None,
        typer.Option("--exact/--no-exact", help="Of hedges: prices by dynamic programming too."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Any option of the model's family; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, in money.")] = False,
):
    """Judge a preset on fresh paths, by what its family is judged by."""
    about = presets.metadata(name)  # a wrong name is told before anything slow
    options = dict(map(_option, option or ()))
    if exact is not None:
        options["exact"] = exact
    with _working(f"judging {name}"):
        _load_tensorflow()
        from hedgezoo.evaluation import evaluate as judge

        model = presets.load(name)
        paths = model.evaluation_paths if paths is None else paths
        report = judge(model, paths=paths, seed=seed, **options)
    if as_json:
        typer.echo(json.dumps(report, indent=1, sort_keys=True))
        return
    from hedgezoo.families import family_of

    family, console = family_of(about), _console()
    title = f"{name}: {paths:,} {family.unit}, seed {seed}"
    console.print(family.report(report, about, title, console.width))


def _option(text):
    """`NAME=VALUE` as a pair; the value is JSON, or else a string."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"`--option` must be NAME=VALUE. Received: {text!r}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


@app.command()
def train(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The preset to train again.")],
    output: Annotated[
        pathlib.Path, typer.Option(help="Folder in which the preset's own folder is written.")
    ] = pathlib.Path("trained"),
    checkpoint: Annotated[
        pathlib.Path | None,
        typer.Option(help="Folder of checkpoints, from which a killed run resumes."),
    ] = None,
    devices: Annotated[
        int, typer.Option(min=1, help="Replicas: GPUs, or shares of the CPU where there is none.")
    ] = 1,
):
    """Train a preset by its recipe, judge it and write it."""
    with _working("loading TensorFlow"):
        _load_tensorflow()
        from hedgezoo.pretraining import build_preset
        from hedgezoo.recipe import recipe

        plan = recipe(name)
        strategy = _strategy(devices)
    directory = build_preset(plan, output, checkpoint=checkpoint, strategy=strategy)
    typer.echo(f"Wrote {directory}")


@app.command()
def export(
    name: _Name,
    directory: Annotated[
        pathlib.Path, typer.Argument(metavar="DIR", help="Base path that a server polls.")
    ],
    version: Annotated[
        int | None, typer.Option(min=1, help="Version number. Default: the next free one.")
    ] = None,
):
    """Write a preset as a SavedModel for TensorFlow Serving."""
    presets.directory_of(name)
    with _working(f"exporting {name}"):
        _load_tensorflow()
        from hedgezoo import serving

        written = serving.export(name, directory, version=version)
    typer.echo(f"Wrote {written}")
    typer.echo(
        "Serve it:\n  tensorflow_model_server --rest_api_port=8501 "
        f"--model_name={name} --model_base_path={directory.resolve()}"
    )


@app.command()
def calibrate(
    quotes: Annotated[
        pathlib.Path, typer.Argument(metavar="QUOTES.CSV", help="Option quotes, one per line.")
    ],
    model: Annotated[
        str, typer.Option(help="heston, bates, neural-sde, or the name or folder of a preset.")
    ] = "heston",
    method: Annotated[
        str, typer.Option(help="network, or a classical one: levenberg_marquardt, quantlib, ...")
    ] = "network",
    forward: Annotated[float | None, typer.Option(help="Forward, of all maturities.")] = None,
    spot: Annotated[float | None, typer.Option(help="Level of the underlying.")] = None,
    rate: Annotated[float | None, typer.Option(help="Interest rate, 0.02 for 2 %.")] = None,
    dividend: Annotated[float | None, typer.Option(help="Dividend yield.")] = None,
    date: Annotated[str | None, typer.Option(help="Day of the quotes, 2019-01-10.")] = None,
    percent: Annotated[
        bool, typer.Option("--percent", help="Volatilities in the file are in percent.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Levenberg-Marquardt beside it.")
    ] = True,
    output: Annotated[
        pathlib.Path | None, typer.Option(help="Write all to FILE.json, or the fit to FILE.csv.")
    ] = None,
    plot: Annotated[
        pathlib.Path | None, typer.Option(help="Write a picture of the smiles to FILE.png.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    steps: Annotated[
        int | None, typer.Option(help="Training steps of a neural SDE. Default: 600.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of a neural SDE. Default: 0.")] = None,
    held_out: Annotated[
        float | None,
        typer.Option(help="Share of the quotes that a neural SDE must predict. Default: 0.2."),
    ] = None,
    save_to: Annotated[
        pathlib.Path | None, typer.Option(help="Store the neural SDE as a preset in this folder.")
    ] = None,
):
    """Fit a Heston or Bates model, or a neural SDE, to the option quotes in a CSV file."""
    from hedgezoo.market_calibration import calibrate_command, calibration_tables, quote_terms

    terms = {"forward": forward, "spot": spot, "rate": rate, "dividend": dividend}
    training = {"steps": steps, "seed": seed, "held_out": held_out}
    planned = calibrate_command.plan(model, method, **training)
    if output is not None:
        calibrate_command.require_output(output)
    if save_to is not None:
        calibrate_command.require_new_folder(planned, save_to)
    checked = quote_terms.check_quotes(quotes, **terms, date=date, percent=percent)
    shows_progress = planned.training is not None and not as_json  # itself
    with contextlib.nullcontext() if shows_progress else _working(f"calibrating to {quotes}"):
        _load_tensorflow()
        verbose = "auto" if shows_progress else 0
        report = calibrate_command.calibrate_quotes(checked, planned, check, verbose)
    if as_json:
        typer.echo(calibrate_command.json_report(report))
    else:
        calibration_tables.print_report(report, _console())
    if output is not None:
        calibrate_command.write_report(report, output)
        typer.echo(f"Wrote {output}", err=as_json)
    if plot is not None:
        calibrate_command.draw_report(report, plot)
        typer.echo(f"Wrote {plot}", err=as_json)
    if save_to is not None:
        calibrate_command.save_model(report, save_to)
        typer.echo(f"Wrote {save_to}", err=as_json)


@app.command()
def verify(
    name: Annotated[str, typer.Argument(metavar="[NAME|all]", help="A preset, or all.")] = "all",
):
    """Check every file of the presets against the manifest."""
    damaged = 0
    for each in presets.list_presets() if name == "all" else [name]:
        try:
            typer.echo(f"{each}: {presets.verify(each)} files as they should be")
        except ValueError as error:
            damaged += 1
            typer.echo(f"Error: {error}", err=True)
    if damaged:
        raise typer.Exit(2)


@app.command()
def demo(
    output: Annotated[pathlib.Path, typer.Option(help="Folder for the pictures.")] = pathlib.Path(
        "demo"
    ),
    paths: Annotated[int, typer.Option(help="Simulated paths.")] = 2**17,
    seed: Annotated[int, typer.Option(help="Seed of the paths.")] = 0,
):
    """Hedge a sold option with a pretrained network, beside what is used today."""
    console = _console()
    with _working("loading TensorFlow"):
        _load_tensorflow()
        from hedgezoo.demo import demo as show
    show(output, paths=paths, seed=seed, console=console)


@app.command()
def experiment(
    name: Annotated[
        str, typer.Argument(metavar="[NAME|list]", help="An experiment, or list to see them all.")
    ] = "list",
    output: Annotated[
        pathlib.Path | None,
        typer.Option(help="Folder for figures and numbers. Default: experiments/NAME."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="In small, in seconds.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of paths and initial weights.")] = 0,
):
    """Run an experiment of a paper: figures and numbers, written to a folder."""
    from hedgezoo import experiments

    console = _console()
    if name == "list":
        from hedgezoo import tables

        console.print(tables.experiments(experiments.EXPERIMENTS))
        return
    output = experiments.folder_of(name, output)  # a wrong name is told before anything slow
    with _working("loading TensorFlow"):
        _load_tensorflow()
    experiments.run(name, output, quick=quick, seed=seed, console=console)
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        typer.echo(f"Wrote {path}")


def _console():
    """Standard output: as wide as the terminal, or wide where there is none."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=_WIDE)
    return console


@contextlib.contextmanager
def _working(what):
    """A spinner on standard error, which leaves standard output to results."""
    if not sys.stderr.isatty():
        yield
        return
    # a copy of the descriptor: the original is put aside while TensorFlow is loaded
    with (
        open(os.dup(2), "w", encoding="utf-8", errors="replace") as terminal,
        Console(file=terminal).status(what),
    ):
        yield


def _load_tensorflow():
    """Imports TensorFlow without its greetings, unless TF_CPP_MIN_LOG_LEVEL asks for them."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    if not quiet:
        import keras
        import tensorflow

        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with _native_stderr_aside():
        import absl.logging
        import keras  # noqa: F401
        import tensorflow  # noqa: F401
    absl.logging.set_verbosity(absl.logging.ERROR)


@contextlib.contextmanager
def _native_stderr_aside():
    """Keeps what native code writes to standard error, and shows it if an exception follows.

    Some lines of TensorFlow's start heed no log level.
    """
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError):  # no standard error to keep tidy
        yield
        return
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _strategy(devices):
    """One device: None. More: replicas on GPUs, or on shares of the CPU where there is no GPU."""
    if devices == 1:
        return None
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus and len(gpus) < devices:
        raise ValueError(f"--devices {devices}: this machine has {len(gpus)} GPU(s)")
    if not gpus:
        (cpu,) = tf.config.list_physical_devices("CPU")
        if len(tf.config.get_logical_device_configuration(cpu) or ()) < devices:
            shares = [tf.config.LogicalDeviceConfiguration()] * devices
            tf.config.set_logical_device_configuration(cpu, shares)
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy([f"{kind}:{number}" for number in range(devices)])


def main():
    """Entry point of the `hedgezoo` command."""
    app()
