"""A picture of surfaces, each in a cell of a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointgen.files import Surface

__all__ = ["save_surfaces"]

SIZE, STRIP = 320, 26  # pixels of a cell, and of the line below it
MOST = 64  # cells


def save_surfaces(path: Path, surfaces: Sequence[Surface], captions: Sequence[str]) -> None:
    """Write a gallery of the first surfaces as PNG, lit by the renderer of `pointgen data render`.

    Every surface fills its cell, seen from where stills of clouds are seen from.
    """
    import numpy as np
    from PIL import Image

    from pointgen.datasets.renderings.shade import framed, render
    from pointgen.files import atomic
    from pointgen.geometry.cameras import ViewCamera
    from pointgen.view.clouds import grid_shape
    from pointgen.view.gallery import caption

    surfaces = surfaces[:MOST]
    rows, columns = grid_shape(len(surfaces))
    whole = Image.new("RGB", (columns * SIZE, rows * (SIZE + STRIP)), "white")
    camera = ViewCamera(azimuth=-45.0, elevation=35.0)
    for place, (surface, text) in enumerate(zip(surfaces, captions, strict=False)):
        corner = (place % columns * SIZE, place // columns * (SIZE + STRIP))
        (picture,) = render(
            framed(surface.vertices), surface.faces, [camera], SIZE, np.random.default_rng(0)
        )
        shown = Image.fromarray(picture)
        whole.paste(shown, corner, mask=shown.getchannel("A"))
        caption(whole, text, (corner[0], corner[1] + SIZE), (SIZE, STRIP))
    with atomic(path) as temporary:
        whole.save(temporary, format="PNG")
