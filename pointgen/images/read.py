"""Read a picture file into red, green, blue and an alpha that says where the object is.

Background: the object is what the file's own transparency shows. A mask (white is object) hides
what it paints black. A picture with neither may still tell: where nearly all of its border has one
colour, as in product photos, what differs from that colour is the object (see `background`). In all
other pictures every pixel counts as object, and `background_found` says so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointgen.images.background import object_alpha
from pointgen.images.decode import IMAGE_SUFFIXES, decoded, is_image
from pointgen.images.errors import expect
from pointgen.images.framing import visible_box

__all__ = ["IMAGE_SUFFIXES", "background_found", "is_image", "read_image"]


def read_image(path: Path | str, mask: Path | str | None = None) -> np.ndarray:
    """Return the upright picture (H, W, 4), uint8, straight alpha: opaque where the object is.

    Args:
        path: a file in any usual format and mode; of an animation the first frame is taken.
        mask: a picture of the same size, white where the object is. With a file that has its own
            transparency, only what both show stays visible.

    Raises:
        ImageError: A file is missing, empty, damaged, too large or no picture, the mask has
            another size, or nothing is visible. The message starts with the path of that file.
    """
    path = Path(path)
    rgba = decoded(path).copy()
    if mask is not None:
        rgba[..., 3] = _product(rgba[..., 3], _mask(Path(mask), path, rgba.shape[:2]))
    elif not background_found(rgba):
        alpha = object_alpha(rgba[..., :3])
        if alpha is not None:
            rgba[..., 3] = alpha
    shown = path if mask is None else Path(mask)
    expect(visible_box(rgba) is not None, shown, "nothing is visible: all of it is transparent")
    return rgba


def background_found(rgba: np.ndarray) -> bool:
    """Return whether the picture (H, W, 4) knows its background: it is not opaque everywhere."""
    return bool((rgba[..., 3] < 255).any())


def _mask(mask: Path, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return the mask (H, W), uint8; what is transparent in it counts as black."""
    pixels = decoded(mask)
    expect(
        pixels.shape[:2] == shape,
        mask,
        f"expected a mask of {shape[1]} x {shape[0]} pixels as {path} has, "
        f"got {pixels.shape[1]} x {pixels.shape[0]}",
    )
    return _product(pixels[..., :3].max(axis=-1), pixels[..., 3])


def _product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Multiply two uint8 arrays in which 255 stands for one."""
    return ((one.astype(np.uint16) * other + 127) // 255).astype(np.uint8)
