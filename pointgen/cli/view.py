"""`pointgen view`: clouds in a window, as a picture, as a moving picture, or as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointgen.cli.console import HTML, check_free, progress, refuse, say
from pointgen.cli.inputs import is_run
from pointgen.cli.looks import Colours, Look, coloured, looked_up
from pointgen.cli.options import Device, Force, OptionalPoints, Seed

if TYPE_CHECKING:
    from pointgen.view.clouds import Shape

__all__ = ["view"]


def view(
    inputs: Annotated[
        list[Path], typer.Argument(help="Clouds, meshes, folders of them, or runs (new samples).")
    ],
    png: Annotated[Path | None, typer.Option(help="Write a picture; no display needed.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that works offline.")] = None,
    gif: Annotated[
        Path | None,
        typer.Option(help="Write a moving picture, .gif .webp or .apng: a turn, or the flow."),
    ] = None,
    color: Annotated[
        Colours | None,
        typer.Option(help="Of the points. Default: their own where the file has some."),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="For --color distance: measured to this.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="For --color density: the run that knows densities.")
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=2, max=100, help="Of runs: watch the flow from noise, so many frames."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="A window for each input, turned as one.")
    ] = False,
    most: Annotated[int, typer.Option("--most", min=1, help="Show at most so many shapes.")] = 100,
    columns: Annotated[
        int | None, typer.Option(min=1, help="Columns of the picture. Default: nearly square.")
    ] = None,
    size: Annotated[int, typer.Option(min=16, max=4096, help="Pixels of each shape.")] = 320,
    azimuth: Annotated[float, typer.Option(help="Of the camera, degrees; 0 from +z.")] = 135.0,
    elevation: Annotated[
        float, typer.Option(min=-90, max=90, help="Of the camera, degrees.")
    ] = 35.0,
    points: OptionalPoints = None,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Look at clouds: in an Open3D window, or with --png, --gif, --html without a display."""
    from pointgen.view.motion import ENDINGS
    from pointgen.view.palette import PALETTES

    written = [path for path in (png, html, gif) if path is not None]
    if compare and (written or len(inputs) < 2):
        raise ValueError("--compare: expected two inputs or more, and no file to write")
    refuse({"--frames": frames is not None and not any(map(is_run, inputs))}, "no input is a run")
    for path, endings in ((png, (".png",)), (html, HTML), (gif, ENDINGS)):
        check_free(path, force=force, endings=endings)
    for option, value, goes in (("to", to, "distance"), ("model", model, "density")):
        if value is not None and color != goes:
            raise ValueError(f"--{option}: expected --color {goes} with it")
    looks = [
        looked_up(path, points=points, seed=seed, device=device, frames=frames) for path in inputs
    ]
    # Of those that are compared, each has a window of its own.
    groups = [[look] for look in looks] if compare else [looks]
    looks = [look for group in groups for look in _fewer(group, most)]
    shapes = coloured(looks, color or "own", to=to, model=model, device=device)
    captions = [look.captions for look in looks]
    colors: Any = color if color in PALETTES else None  # the others come with the shapes
    if compare:
        from pointgen.view.beside import show_beside
        from pointgen.view.window import KEYS

        say(KEYS)
        show_beside(shapes, titles=[path.name for path in inputs], captions=captions, colors=colors)
        return
    drawn = {"columns": columns, "size": size, "azimuth": azimuth, "elevation": elevation}
    flat = [shape for group in shapes for shape in group]
    _show(flat, [name for group in captions for name in group], colors, drawn, (png, html, gif),
          ", ".join(path.name for path in inputs))  # fmt: skip


def _show(
    shapes: list[Shape],
    captions: list[str],
    colors: Any,
    drawn: dict[str, Any],
    targets: tuple[Path | None, Path | None, Path | None],
    title: str,
) -> None:
    """Write the files that are asked for, or open a window."""
    png, html, gif = targets
    if png is not None:
        from pointgen.view.still import save_png

        save_png(png, shapes, captions=captions, colors=colors, **drawn)
        say(f"picture in {png}")
    if gif is not None:
        from pointgen.view.motion import save_motion

        with progress("drawing") as advance:
            save_motion(gif, shapes, captions=captions, colors=colors, progress=advance, **drawn)
        say(f"moving picture in {gif}")
    if html is not None:
        from pointgen.view.page import save_page

        save_page(html, shapes, title=title, captions=captions, colors=colors)
        say(f"page in {html}: open it in any browser")
    if not any(targets):
        from pointgen.view.window import KEYS, show

        say(KEYS)
        show(shapes, captions=captions, colors=colors)


def _fewer(looks: list[Look], most: int) -> list[Look]:
    """Keep the first `most` shapes of all, and say so where some are left out."""
    total = sum(len(look.shapes) for look in looks)
    if total <= most:
        return looks
    say(f"showing {most} of {total} shapes; more with --most")
    kept = []
    for look in looks:
        kept.append(Look(look.captions[:most], look.shapes[:most], look.labels[:most]))
        most -= len(kept[-1].shapes)
    return [look for look in kept if look.shapes]
