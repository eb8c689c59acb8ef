"""Pictures beside the clouds that were made from them, each cloud from a few sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pointgen.view.gallery import caption
from pointgen.view.still import draw

__all__ = ["SIDES", "save_side_by_side", "side_by_side"]

# Azimuth and elevation, degrees, of the views of a shape that faces -z.
SIDES = ((135.0, 35.0), (45.0, 35.0))


def side_by_side(
    pictures: Sequence[np.ndarray],
    clouds: Sequence[Sequence[np.ndarray]],
    *,
    captions: Sequence[str],
    sides: Sequence[tuple[float, float]] = SIDES,
    size: int = 240,
) -> Image.Image:
    """Return one row for each picture: its caption, the picture, and its clouds.

    Args:
        pictures: each (3, H, W), values in [0, 1].
        clouds: for each picture the same number of clouds (N, 3).
        captions: a line above each row.
        sides: azimuth and elevation, degrees, of the views of each cloud.
        size: of a cell, pixels.
    """
    each = len(clouds[0])
    flat = [cloud for some in clouds for cloud in some]
    views = [
        draw(flat, columns=each, size=size, azimuth=azimuth, elevation=elevation, fit="each")
        for azimuth, elevation in sides
    ]
    strip = max(18, size // 10)
    whole = Image.new(
        "RGB", (size * (1 + len(sides) * each), (size + strip) * len(clouds)), "white"
    )
    for row, (picture, text) in enumerate(zip(pictures, captions, strict=True)):
        top = row * (size + strip)
        caption(whole, text, (0, top), (whole.width, strip))
        values = np.round(255 * picture.transpose(1, 2, 0)).astype(np.uint8)
        whole.paste(Image.fromarray(values).resize((size, size)), (0, top + strip))
        for place in range(each):
            box = (place * size, row * size, (place + 1) * size, (row + 1) * size)
            for number, view in enumerate(views):
                column = 1 + place * len(sides) + number
                whole.paste(view.crop(box), (column * size, top + strip))
    return whole


def save_side_by_side(
    path: Path | str,
    pictures: Sequence[np.ndarray],
    clouds: Sequence[Sequence[np.ndarray]],
    *,
    captions: Sequence[str],
    sides: Sequence[tuple[float, float]] = SIDES,
) -> None:
    """Write what `side_by_side` gives to `path` as PNG, complete or not at all."""
    from pointgen.files import atomic

    whole = side_by_side(pictures, clouds, captions=captions, sides=sides)
    with atomic(Path(path)) as temporary:
        whole.save(temporary, format="PNG")
