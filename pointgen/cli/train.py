"""`pointgen train`."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from pointgen.cli.console import say
from pointgen.cli.options import Device

if TYPE_CHECKING:
    from pointgen.config import Experiment

__all__ = ["train"]


def train(
    config: Annotated[Path, typer.Argument(help="TOML file of the experiment.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a key: --set model.code_dim=64. May be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run. Default: runs/NAME.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue bit for bit where the run left off.")
    ] = False,
    init: Annotated[
        Path | None,
        typer.Option(help="Start from the weights of this run, of the same architecture."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Train a model."""
    from pointgen.config import read_config
    from pointgen.training.progress import reporter
    from pointgen.training.start import train as start

    experiment = read_config(config, overrides or ())
    run = out or Path("runs") / config.stem
    result = start(
        experiment,
        run,
        resume=resume,
        init=init,
        device=device,
        reporter=reporter(sys.stderr),
    )
    if not result.main:
        return
    say(f"step {result.step} of {result.total}, {result.seconds:.0f} s, in {result.out}")
    if result.report is not None:
        say(f"report: {result.report}")
    if result.finished:
        say(f"next: {_next(experiment, quote(str(run)))}")
    else:
        say("go on: the same command with --resume")


def _next(experiment: Experiment, run: str) -> str:
    """Return a command that the trained model can do."""
    model = experiment.model
    if model.kind == "cflow" and model.direction == "cloud_to_image":
        return f"pointgen reconstruct {run} CLOUD -o PICTURES"
    if model.image_size is not None:
        return f"pointgen evaluate {run}"
    if model.kind in ("irevnet", "hybrid"):
        return f"pointgen classify {run} CLOUD"
    if model.kind == "interpretation":
        return f"pointgen edit {run} CLOUD --scale {next(iter(model.factors))}=2 -o OUT"
    if model.kind == "irim":
        return f"pointgen {model.tasks[0]} {run} CLOUD -o OUT"
    if model.kind == "pointflow" and model.prior.kind == "none":  # nothing to draw codes from
        return f"pointgen reconstruct {run} INPUT -o OUT"
    return f"pointgen generate {run} -o {run}/samples/new.npy -n 16"
