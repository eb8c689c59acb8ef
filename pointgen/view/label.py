"""Text made of points, for viewers that can only show points."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["label"]

HEIGHT = 28  # of the letters, in points of the text's raster
LINE = 320  # raster points across the full width: about 25 letters at full size


def label(text: str, width: float) -> np.ndarray:
    """Return points (K, 3) that spell one line in the plane z = 0, its upper middle at the origin.

    Args:
        text: the line; an empty one gives no points.
        width: the longest line allowed, in the units of the points; longer text is made smaller.
    """
    text = " ".join(text.split())
    if not text:
        return np.zeros((0, 3))
    font = ImageFont.load_default(size=HEIGHT)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    raster = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(raster).text((1 - left, 1 - top), text, fill=255, font=font)
    row, column = np.nonzero(np.asarray(raster) > 100)
    scale = width / max(LINE, raster.width)
    flat = [column - raster.width / 2, -row.astype(float), np.zeros(len(row))]
    return scale * np.stack(flat, axis=1)
