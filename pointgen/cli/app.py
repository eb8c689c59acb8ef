"""The command line: which verbs there are, and how errors reach a person.

Heavy imports happen inside the verbs, so that `--help` is quick.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, TextIO

import typer

from pointgen.cli.classify import classify
from pointgen.cli.convert import convert
from pointgen.cli.data import data_app
from pointgen.cli.demo import demo
from pointgen.cli.edit import edit
from pointgen.cli.evaluate import evaluate
from pointgen.cli.exchange import export_app, import_app
from pointgen.cli.generate import generate
from pointgen.cli.info import info
from pointgen.cli.interpolate import interpolate
from pointgen.cli.mesh import mesh
from pointgen.cli.probe import probe
from pointgen.cli.reconstruct import reconstruct
from pointgen.cli.restore import complete, denoise, upsample
from pointgen.cli.score import score
from pointgen.cli.together import leave, plain, speaks, stands_by
from pointgen.cli.train import train
from pointgen.cli.view import view

__all__ = ["app", "main"]

app = typer.Typer(
    name="pointgen",
    help="Generate 3D point clouds with invertible models.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    demo, train, generate, reconstruct, interpolate, edit, complete, denoise, upsample, classify,
    probe, score, evaluate, view, mesh, convert, info,
)  # fmt: skip
for verb in VERBS:
    app.command()(verb)
app.add_typer(data_app, name="data")
app.add_typer(import_app, name="import")
app.add_typer(export_app, name="export")


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"pointgen {installed('pointgen')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a person's mistake is one line on stderr and exit status 2."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments  # allowed anywhere, also behind the verb
    arguments = [argument for argument in arguments if argument != "--debug"]
    warnings.showwarning = _show_warning
    try:
        if stands_by(arguments):
            return
        status = app(arguments or ["--help"], standalone_mode=False)
    except typer.BadParameter as error:  # which option, and what it expects
        _fail(error.format_message().replace("Value error, ", ""), 2, debug)
    except typer.TyperException as error:  # an unknown verb or option, a missing argument
        _fail(f"{str(error).rstrip('.')} (see --help)", 2, debug)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130, debug)
    except MemoryError as error:
        _fail(f"not enough memory: {error}", 2, debug)
    except (ValueError, OSError, ArithmeticError, RuntimeError, ImportError) as error:
        _fail(str(error) or type(error).__name__, 2, debug)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int, debug: bool) -> None:
    if debug:
        raise
    if speaks():
        typer.echo("error: " + " ".join(plain(message).split()), err=True)
    leave(status)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning as one line, without the place in the code that only developers need."""
    typer.echo("warning: " + " ".join(str(message).split()), err=True)
