"""Still pictures of clouds without display or graphics driver: shaded spheres on a white floor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from pointgen.view.camera import Camera
from pointgen.view.clouds import Clouds, as_shapes
from pointgen.view.gallery import Fit, Gallery
from pointgen.view.palette import Palette, colours_of

__all__ = ["draw", "save_png"]


def draw(
    clouds: Clouds,
    *,
    captions: Sequence[str] | None = None,
    columns: int | None = None,
    size: int = 320,
    azimuth: float = 135.0,
    elevation: float = 35.0,
    colors: Palette | None = None,
    fit: Fit = "all",
) -> Image.Image:
    """Return a gallery of the clouds; the same clouds always give the same picture.

    Args:
        clouds: (S, N, 3), one cloud (N, 3), or a sequence of (N_i, 3); y up.
        captions: one for each cloud, drawn below it.
        columns: of the gallery; as square as possible by default.
        size: width and height of a cell without its caption, pixels.
        azimuth: of the camera, degrees around y; 0 looks from +z, 90 from +x. ShapeNet's shapes
            face -z, so the default sees their front.
        elevation: of the camera, degrees above the floor.
        colors: "position", "height", "depth" or "plain"; by default the colours that the clouds
            bring, and "position" for those that bring none.
        fit: "all" shows every cloud at the same scale, so that sizes compare; "each" fills its
            cell.

    Raises:
        ValueError: A cloud is empty or not finite, or an option has no such value.
    """
    shapes = as_shapes(clouds)
    camera = Camera(azimuth, elevation)
    points = [shape.points for shape in shapes]
    gallery = Gallery(points, [camera], captions=captions, columns=columns, size=size, fit=fit)
    colours = [colours_of(shape, colors, camera.axes[2]) for shape in shapes]
    return gallery.picture(points, colours, camera)


def save_png(
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
) -> None:
    """Write the picture that `draw` gives to `path` as PNG, complete or not at all."""
    from pointgen.files import atomic

    picture = draw(
        clouds,
        captions=captions,
        columns=columns,
        size=size,
        azimuth=azimuth,
        elevation=elevation,
        colors=colors,
        fit=fit,
    )
    with atomic(Path(path)) as temporary:
        picture.save(temporary, format="PNG")
