"""`pointgen data`: built-in shapes as files, and what is made of any data."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from pointgen.cli.check import check
from pointgen.cli.console import progress, say
from pointgen.cli.damage import damage
from pointgen.cli.options import Force, Seed
from pointgen.cli.pack import pack
from pointgen.cli.render import render

__all__ = ["data_app"]

data_app = typer.Typer()
data_app.command()(check)
data_app.command()(damage)
data_app.command()(pack)
data_app.command()(render)


@data_app.callback()
def _data() -> None:
    """Make and examine data sets."""


@data_app.command()
def make(
    categories: Annotated[
        list[str],
        typer.Argument(help="chair, table, airplane, car, lamp, mug, a simple solid, or all."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    size: Annotated[int, typer.Option(min=1, help="Training shapes of each category.")] = 1000,
    val_size: Annotated[int, typer.Option(min=1, help="Validation shapes of each.")] = 100,
    test_size: Annotated[int, typer.Option(min=1, help="Test shapes of each.")] = 100,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Write built-in shapes as meshes, as points in the PC15k layout, and a table of attributes."""
    from pydantic import ValidationError

    from pointgen.datasets.procedural import ProceduralConfig, write_procedural

    try:
        config = ProceduralConfig(
            categories=tuple(categories),
            size=size,
            val_size=val_size,
            test_size=test_size,
            seed=seed,
        )
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
    with progress("writing") as advance:
        write_procedural(config, out, force=force, progress=advance)
    say(f"meshes in {out}, points in {out}/points, attributes in {out}/attributes.csv")
    say(f"next: pointgen view {quote(f'{out}/{categories[0]}/test')} --png shapes.png")
