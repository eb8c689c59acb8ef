"""`pointgen data pack`: any data set as one HDF5 file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pointgen.cli.console import print_json, progress, say
from pointgen.cli.options import Force, Json, Split

if TYPE_CHECKING:
    from pointgen.datasets import CloudsConfig, DataConfig
    from pointgen.datasets.pack import PackResult

__all__ = ["data_of", "pack"]


def pack(
    source: Annotated[
        Path, typer.Argument(help="A config (TOML: its data section), or the folder or file.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, .h5 or .hdf5.")],
    split: Annotated[
        Split | None, typer.Option(help="Only this split. Default: all there are.")
    ] = None,
    on_error: Annotated[
        Literal["raise", "skip"] | None,
        typer.Option(help="Stop at a shape that cannot be used, or leave it out."),
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Pack a data set into one HDF5 file; interrupted, the same command goes on."""
    from pointgen.datasets import clouds_of
    from pointgen.datasets.pack import pack as write

    config: CloudsConfig = clouds_of(data_of(source))
    if on_error:
        config = config.model_copy(update={"on_error": on_error})
    splits = [split] if split else None
    _report(write(config, out, splits=splits, force=force, bar=progress), json=json)


def data_of(source: Path) -> DataConfig:
    """Return the data set of a config, or of what lies at a path."""
    from pointgen.datasets.detect import detect

    if source.suffix.lower() == ".toml" and source.is_file():
        from pointgen.config import read_config

        return read_config(source).data
    # how many points are drawn is for the training to say: every shape is welcome
    return detect(source).model_copy(update={"num_points": 1})


def _report(result: PackResult, *, json: bool) -> None:
    problems = [problem for split in result.splits.values() for problem in split.problems]
    if json:
        splits = {
            name: {"shapes": s.shapes, "points": s.points, "left_out": list(s.problems)}
            for name, s in result.splits.items()
        }
        size = {"bytes": result.size, "resumed": result.found}
        print_json({"file": str(result.path), "splits": splits} | size)
        return
    if result.found:
        say(f"went on: {result.found} shapes were there already")
    if problems:
        say(f"warning: {len(problems)} shapes left out; the first: {problems[0]}")
    counts = ", ".join(f"{split.shapes} {name}" for name, split in result.splits.items())
    say(f"{result.path}: {counts} shapes, {result.size / 1e6:.1f} MB")
    say(f'next: [data] kind = "hdf5", path = "{result.path}"')
