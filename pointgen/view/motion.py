"""Moving pictures of clouds: turned around once, or on their way from noise, as GIF, WebP or APNG.

Pillow writes them: no encoder of videos has to be installed, and every browser plays them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pointgen.view.camera import Camera
from pointgen.view.clouds import Checked, Clouds, as_shapes, at_time
from pointgen.view.gallery import Fit, Gallery
from pointgen.view.palette import Palette, colours_of

__all__ = ["ENDINGS", "save_motion"]

ENDINGS = (".gif", ".webp", ".apng")
SECONDS_OF_TURN, SECONDS_OF_WAY = 4.0, 2.5
REST = 1.5  # seconds that the finished clouds are shown
EASE = 24  # frames of a way, between which the points move evenly


def save_motion(
    path: Path | str,
    clouds: Clouds,
    *,
    captions: Sequence[str] | None = None,
    columns: int | None = None,
    size: int = 320,
    azimuth: float = 135.0,
    elevation: float = 35.0,
    colors: Palette | None = None,
    fit: Fit = "all",
    frames: int = 36,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write clouds that move: on their way from noise if they bring one, else on a turntable.

    Args:
        path: `*.gif` (256 colours), `*.webp` or `*.apng`.
        clouds: as in `still.draw`.
        captions: as in `still.draw`, and so are columns, size, elevation, colors and fit.
        columns: of the gallery.
        size: of a cell, pixels.
        azimuth: of the camera, degrees; where a turn begins.
        elevation: of the camera, degrees.
        colors: of the points.
        fit: "all" or "each".
        frames: of a turn.
        progress: is told how many frames of how many are drawn.

    Raises:
        ValueError: A cloud cannot be shown, or the ending or an option has no such value.
    """
    from pointgen.files import atomic

    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(ENDINGS)}")
    if frames < 2:
        raise ValueError(f"frames: expected at least 2, got {frames}")
    shapes = as_shapes(clouds)
    on_the_way = any(shape.frames is not None for shape in shapes)
    turn = [Camera(azimuth + 360 * number / frames, elevation) for number in range(frames)]
    cameras = turn[:1] if on_the_way else turn
    gallery = Gallery(
        [shape.points for shape in shapes],
        cameras,
        captions=captions,
        columns=columns,
        size=size,
        fit=fit,
    )
    if on_the_way:
        pictures, total = _way(gallery, shapes, cameras[0], colors), EASE
        durations = [1000 * SECONDS_OF_WAY / EASE] * (EASE - 1) + [1000 * REST]
    else:
        pictures, total = _turn(gallery, shapes, cameras, colors), frames
        durations = [1000 * SECONDS_OF_TURN / frames] * frames
    drawn = []
    for number, picture in enumerate(pictures, start=1):
        drawn.append(picture)
        if progress is not None:
            progress(number, total)
    with atomic(path) as temporary:
        _save(temporary, path.suffix.lower(), drawn, [round(each) for each in durations])


def _turn(
    gallery: Gallery, shapes: list[Checked], cameras: list[Camera], colors: Palette | None
) -> Iterator[Image.Image]:
    points = [shape.points for shape in shapes]
    for camera in cameras:
        yield gallery.picture(
            points, [colours_of(s, colors, camera.axes[2]) for s in shapes], camera
        )


def _way(
    gallery: Gallery, shapes: list[Checked], camera: Camera, colors: Palette | None
) -> Iterator[Image.Image]:
    """Keep the colours of the end all the way, so that one sees where a point comes from."""
    colours = [colours_of(shape, colors, camera.axes[2]) for shape in shapes]
    for time in np.linspace(0, 1, EASE):
        yield gallery.picture([at_time(shape, float(time)) for shape in shapes], colours, camera)


def _save(path: Path, ending: str, pictures: list[Image.Image], durations: list[int]) -> None:
    first, *others = pictures
    options = {"save_all": True, "append_images": others, "duration": durations, "loop": 0}
    match ending:
        case ".gif":
            # one palette for all frames: the white floor must not flicker
            table = pictures[-1].quantize(255, method=Image.Quantize.MEDIANCUT)
            first, *others = (
                each.quantize(palette=table, dither=Image.Dither.NONE) for each in pictures
            )
            first.save(path, format="GIF", **options | {"append_images": others})
        case ".webp":
            first.save(path, format="WEBP", quality=85, **options)
        case _:
            first.save(path, format="PNG", **options)
