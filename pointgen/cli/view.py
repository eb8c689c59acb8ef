"""`pointgen view`: clouds in a window, as a picture, or as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointgen.cli.console import check_free, say
from pointgen.cli.inputs import Shapes, is_run, read_shapes, torch_device
from pointgen.cli.options import Device, Force, OptionalPoints, Seed
from pointgen.cli.sampling import sample, solved

__all__ = ["view"]


def view(
    inputs: Annotated[
        list[Path], typer.Argument(help="Clouds, meshes, folders of them, or runs (new samples).")
    ],
    png: Annotated[Path | None, typer.Option(help="Write a picture; no display needed.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that works offline.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Show at most so many shapes.")] = 100,
    columns: Annotated[
        int | None, typer.Option(min=1, help="Columns of the picture. Default: nearly square.")
    ] = None,
    points: OptionalPoints = None,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Look at clouds: in an Open3D window, or with --png and --html without a display."""
    from pointgen.view import show
    from pointgen.view.page import save_page
    from pointgen.view.still import save_png

    for path, ending in ((png, ".png"), (html, ".html")):
        if path is not None and path.suffix.lower() != ending:
            raise ValueError(f"{path}: expected a name that ends in {ending}")
        check_free(path, force=force)
    parts = [_shapes(path, points, seed, device) for path in inputs]
    captions = [name for part in parts for name in part.ids]
    clouds = [cloud for part in parts for cloud in part.points]
    if len(clouds) > most:
        say(f"showing {most} of {len(clouds)} shapes; more with --most")
    clouds, captions = clouds[:most], captions[:most]
    if png is not None:
        save_png(png, clouds, captions=captions, columns=columns)
        say(f"picture in {png}")
    if html is not None:
        save_page(html, clouds, title=", ".join(path.name for path in inputs), captions=captions)
        say(f"page in {html}: open it in any browser")
    if png is None and html is None:
        show(clouds, captions=captions)


def _shapes(path: Path, points: int | None, seed: int, device: str) -> Shapes:
    if not is_run(path):
        return read_shapes(path, num_points=points, seed=seed)
    from pointgen.training.checkpoint import load

    model = load(path, device=torch_device(device))
    clouds = sample(model, 16, points or 2048, seed=seed)
    places = solved(clouds)
    return Shapes([f"{path.name} {i}" for i in places], [clouds[i].numpy() for i in places])
