"""From a picture of any size to the square that a network sees.

Crop: the window is the square around what is visible (alpha above a tenth), grown by a margin on
each side and centred on the object, so that neither where the object stands in the picture nor how
much empty ground surrounds it matters. Where the window leaves the picture it is transparent.

Background: colours are averaged weighted by their alpha ("premultiplied"), so that the colours
hidden in transparent pixels never show as a fringe, and then laid over one background colour.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

__all__ = ["VISIBLE", "framed", "visible_box"]

VISIBLE = 25  # of 255: fainter pixels are soft shadows and halos, not the object
OVERSAMPLING = 3  # pixels per output pixel that the final filter gets: more do not show

Box = tuple[float, float, float, float]


def framed(
    rgba: np.ndarray,
    size: int,
    *,
    crop: bool = True,
    margin: float = 0.1,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    shift: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Return the picture as a square (3, size, size), float32 in [0, 1], on a plain background.

    Args:
        rgba: (H, W, 4) uint8, straight alpha.
        size: side of the result, pixels.
        crop: the square around what is visible; otherwise around the whole picture, without margin.
        margin: empty space on each side, as a share of the object's larger side.
        background: red, green and blue in [0, 1] behind what is transparent.
        shift: moves the window right and down, in shares of its side; the object moves against it.

    Raises:
        ValueError: An argument has no such value, or nothing is visible where `crop` is asked for.
    """
    _check(rgba, size, margin)
    box = visible_box(rgba) if crop else (0, 0, rgba.shape[1], rgba.shape[0])
    if box is None:
        raise ValueError("rgba: nothing is visible, there is nothing to crop to")
    window = _window(box, margin if crop else 0.0, shift)
    pixels = np.asarray(_resized(rgba, window, size), dtype=np.float32) / 255
    # Premultiplied colours only need the background's own share: Porter and Duff 1984, "over".
    ground = np.asarray(background, dtype=np.float32) * (1 - pixels[..., 3:])
    return np.ascontiguousarray(np.minimum(pixels[..., :3] + ground, 1).transpose(2, 0, 1))


def visible_box(rgba: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom (exclusive) of what is visible, in pixels, or None.

    Args:
        rgba: (H, W, 4) uint8, straight alpha.
    """
    visible = rgba[..., 3] > VISIBLE
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _check(rgba: np.ndarray, size: int, margin: float) -> None:
    if rgba.ndim != 3 or rgba.shape[2] != 4 or rgba.dtype != np.uint8 or not rgba.size:
        raise ValueError(f"rgba: expected (H, W, 4) uint8, got {rgba.shape} {rgba.dtype}")
    if size < 1:
        raise ValueError(f"size: expected at least 1 pixel, got {size}")
    if not (math.isfinite(margin) and margin > -0.5):
        raise ValueError(f"margin: expected a number above -0.5, got {margin}")


def _window(box: Box, margin: float, shift: tuple[float, float]) -> Box:
    """Return the square around a box; it may leave the picture."""
    left, top, right, bottom = box
    half = max(right - left, bottom - top) * (0.5 + margin)
    x = (left + right) / 2 + 2 * half * shift[0]
    y = (top + bottom) / 2 + 2 * half * shift[1]
    return x - half, y - half, x + half, y + half


def _resized(rgba: np.ndarray, window: Box, size: int) -> Image.Image:
    """Return the window in `size` x `size` premultiplied pixels."""
    left, right = _shared(window[0], window[2], rgba.shape[1])
    top, bottom = _shared(window[1], window[3], rgba.shape[0])
    part = Image.fromarray(np.ascontiguousarray(rgba[top:bottom, left:right])).convert("RGBa")
    # What the window and the picture share is made small first: together with its empty sides, a
    # long thin picture would not fit into memory.
    enough = max(1.0, (window[2] - window[0]) / (OVERSAMPLING * max(size, 32)))
    width, height = math.ceil(part.width / enough), math.ceil(part.height / enough)
    across, down = part.width / width, part.height / height
    if enough > 1:
        part = part.resize((width, height), Image.Resampling.BOX)
    inner = (
        *((window[0] - left) / across, (window[1] - top) / down),
        *((window[2] - left) / across, (window[3] - top) / down),
    )
    x, y = math.floor(inner[0]), math.floor(inner[1])
    # Beyond the picture a crop is transparent.
    square = part.crop((x, y, math.ceil(inner[2]), math.ceil(inner[3])))
    # A filter without negative weights: results lie between the colours, nothing rings.
    box = (inner[0] - x, inner[1] - y, inner[2] - x, inner[3] - y)
    return square.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _shared(start: float, stop: float, length: int) -> tuple[int, int]:
    """Return first and last (exclusive) of the pixels that a window and the picture share.

    Where they share none, it is one pixel, which the window then passes over.
    """
    first = min(max(math.floor(start), 0), length - 1)
    return first, max(min(math.ceil(stop), length), first + 1)
