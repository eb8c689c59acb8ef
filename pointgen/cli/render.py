"""`pointgen data render`: pictures of any data set of meshes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pointgen.cli.console import print_json, progress, say
from pointgen.cli.options import Force, Json, Seed, Split
from pointgen.cli.pack import data_of

if TYPE_CHECKING:
    from pointgen.datasets import DataConfig
    from pointgen.datasets.renderings.write import RenderResult

__all__ = ["render"]


def render(
    source: Annotated[
        Path,
        typer.Argument(help="A config (TOML: its data section), or a folder of meshes."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the pictures. Default: data.images."),
    ] = None,
    views: Annotated[int, typer.Option(min=1, max=100, help="Pictures of each shape.")] = 24,
    size: Annotated[int, typer.Option(min=1, max=2048, help="Pixels of a side.")] = 137,
    seed: Seed = 0,
    split: Annotated[
        Split | None, typer.Option(help="Only this split. Default: all there are.")
    ] = None,
    on_error: Annotated[
        Literal["raise", "skip"] | None,
        typer.Option(help="Stop at a mesh that cannot be used, or leave it out."),
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Render meshes in the layout of 3D-R2N2; interrupted, the same command goes on."""
    config, images = _source(data_of(source))
    folder = out or images
    if folder is None:
        raise ValueError(f"--out: expected a folder, as {source} names none (data.images)")
    if on_error:
        config = config.model_copy(update={"on_error": on_error})
    from pointgen.datasets.renderings.write import RenderSettings, write_renderings

    begin = time.perf_counter()
    with progress("rendering") as advance:
        result = write_renderings(
            config,
            folder.expanduser(),
            RenderSettings(views, size, seed),
            splits=[split] if split else None,
            force=force,
            progress=advance,
        )
    _report(result, views, time.perf_counter() - begin, json=json)
    if images is None:
        say(f'next: [data] kind = "renderings", images = "{folder}", [data.clouds] the same meshes')
    else:
        say(f"next: pointgen train {source}")


def _source(data: DataConfig) -> tuple[DataConfig, Path | None]:
    """Return where the meshes are, and the folder of pictures if the data name one."""
    from pointgen.datasets import RenderingsConfig

    if isinstance(data, RenderingsConfig):
        return data.clouds.model_copy(update={"on_error": data.on_error}), data.images
    return data, None


def _report(result: RenderResult, views: int, seconds: float, *, json: bool) -> None:
    if json:
        counts = {"rendered": result.rendered, "found": result.found, "views": views}
        rest = {"left_out": list(result.problems), "seconds": round(seconds, 2)}
        print_json({"folder": str(result.images)} | counts | rest)
        return
    if result.found:
        say(f"went on: {result.found} shapes were there already")
    if result.problems:
        say(f"warning: {len(result.problems)} shapes left out; the first: {result.problems[0]}")
    say(
        f"{result.images}: {views} pictures of each of {result.rendered} shapes, "
        f"{seconds:.1f} seconds"
    )
