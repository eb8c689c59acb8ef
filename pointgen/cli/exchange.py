"""`pointgen import` and `pointgen export`: other projects' weights as runs, and back."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from pointgen.cli.console import check_free, say
from pointgen.cli.demo import quickstart
from pointgen.cli.options import Force, Run, Weights

if TYPE_CHECKING:
    from pointgen.config import Experiment
    from pointgen.models import PointFlowConfig

__all__ = ["export_app", "import_app"]

import_app = typer.Typer()
export_app = typer.Typer()

UNITS = "train_set_mean.npy and train_set_std.npy"


@import_app.callback()
def _import() -> None:
    """Turn weights of other projects into runs."""


@export_app.callback()
def _export() -> None:
    """Turn runs into weights for other projects."""


@import_app.command("pointflow")
def import_pointflow(
    checkpoint: Annotated[Path, typer.Argument(help="The official code's .pt file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run to make.")],
    stats: Annotated[
        Path | None, typer.Option(help=f"Folder of the training's {UNITS}: the units.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Layer type: concatscale or scale, which look like ...squash in a file."),
    ] = None,
    nonlinearity: Annotated[
        str | None,
        typer.Option(help="relu, softplus, elu, square or identity, where it is not tanh."),
    ] = None,
    time_length: Annotated[
        float | None,
        typer.Option(help="T of a model trained with --train_T False. Default: 0.5."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the data in its config.")] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option(help="Category in its config: airplane by default. May be repeated."),
    ] = None,
) -> None:
    """Make a run of official PointFlow weights; no code of the file is run."""
    from pointgen.config import write_config
    from pointgen.files import FileError
    from pointgen.interop import (
        Hints,
        from_official,
        read_checkpoint,
        read_statistics,
        training_steps,
    )
    from pointgen.models.cnf import CnfConfig
    from pointgen.networks import ConcatSquashConfig
    from pointgen.training.checkpoint import save_weights

    _check_new(out)
    units = None if stats is None else read_statistics(stats)
    tensors = read_checkpoint(checkpoint)
    try:
        model = from_official(tensors, Hints(layer, nonlinearity, time_length))
    except ValueError as error:
        raise FileError(checkpoint, str(error)) from error
    per_axis = False
    if units is not None:
        model.set_units(units.mean, units.std)
        per_axis = len(units.std) == 3
    experiment = _published(model.config, root, categories, per_axis=per_axis)
    with _new_folder(out) as folder:
        write_config(experiment.located(), folder / "config.toml")
        save_weights(model, folder / "model.safetensors", step=training_steps(model))
    say(f"{out}: trained for {training_steps(model)} steps")
    points = model.config.points
    if isinstance(points, CnfConfig) and isinstance(field := points.field, ConcatSquashConfig):
        fixed = "" if field.train_end_time else f", --time-length {field.end_time:g}"
        say(f"taken to be --layer {field.layer}, --nonlinearity {field.nonlinearity}{fixed}")
    if units is None:
        say(f"its units are unknown: clouds in and out are standardised (--stats reads {UNITS})")
    if model.config.objective == "matching":
        say("a deterministic encoder before a latent flow: here it is trained by matching only")
    verb, given = ("reconstruct", " INPUT") if model.prior is None else ("generate", "")
    say(f"next: pointgen {verb} {quote(str(out))}{given} -o clouds.npy")


@export_app.command("pointflow")
def export_pointflow(
    run: Run,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .pt file to write.")],
    stats: Annotated[
        Path | None, typer.Option(help=f"Folder to write {UNITS} to: the units.")
    ] = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="The weights alone, as its test.py and demo.py read.")
    ] = False,
    epoch: Annotated[int, typer.Option(min=0, help="Epoch that its train.py goes on from.")] = 0,
    weights: Weights = "model",
    force: Force = False,
) -> None:
    """Write a run as a checkpoint that the official PointFlow code loads."""
    from pointgen.interop import (
        Statistics,
        adam_state,
        official_options,
        statistics_files,
        to_official,
        write_checkpoint,
        write_statistics,
    )
    from pointgen.models.around import pointflow_of
    from pointgen.training.checkpoint import load, read_run

    for path in (out, *(statistics_files(stats) if stats else ())):
        check_free(path, force=force)
    model = pointflow_of(load(run, weights=weights))
    if model is None:
        raise ValueError(f"{run}: expected a PointFlow, or a run with one inside")
    try:
        state, options = to_official(model), official_options(model)
    except ValueError as error:
        raise ValueError(f"{run}: cannot be exported: {error}") from error
    if stats is not None:
        mean, std = model.units.mean, model.units.std
        write_statistics(stats, Statistics(mean, std[:1] if bool((std == std[0]).all()) else std))
    adam = adam_state(model, read_run(run).train.lr)
    write_checkpoint(out, state if bare else {"epoch": epoch, "model": state, "optimizer": adam})
    say(f"{out}: for the official code under {' '.join(options)}")
    if stats is None:
        say(f"the file holds no units: its clouds are standardised (--stats writes {UNITS})")


def _published(
    model: PointFlowConfig, root: Path | None, categories: list[str] | None, *, per_axis: bool
) -> Experiment:
    """Return the published experiment with another model, and data elsewhere."""
    from pointgen.config import Experiment, read_config

    kind = "_ae" if model.prior.kind == "none" else ""
    template = read_config(quickstart().with_name(f"pointflow_airplane{kind}.toml"))
    tree = template.model_dump() | {"model": model.model_dump()}
    tree["data"] |= {"normalize": "per_axis" if per_axis else "global"}
    tree["data"] |= {"root": root} if root else {}
    tree["data"] |= {"categories": tuple(categories)} if categories else {}
    return Experiment.model_validate(tree)


def _check_new(out: Path) -> None:
    """Refuse a folder that holds something: a run is made whole, and never over another."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out}: exists already; choose another --out")


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `out` that becomes it on success and goes on failure."""
    from pointgen.files.errors import writing

    temporary = out.absolute().with_name(f".{uuid.uuid4().hex}")
    with writing(out):
        temporary.mkdir(parents=True)
    try:
        yield temporary
        _check_new(out)  # someone else may have been quicker
        with writing(out):
            if out.is_dir():
                out.rmdir()  # it is empty, and some systems rename over no folder
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
