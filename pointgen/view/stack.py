"""Pictures one below the other, each under a line that says what it shows."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image

from pointgen.view.gallery import caption

__all__ = ["stack"]

STRIP = 30  # pixels of a line


def stack(pictures: Mapping[str, Image.Image]) -> Image.Image:
    """Return the pictures on white, at the left, in order; the keys are their titles."""
    width = max(picture.width for picture in pictures.values())
    height = sum(STRIP + picture.height for picture in pictures.values())
    whole, top = Image.new("RGB", (width, height), "white"), 0
    for title, picture in pictures.items():
        caption(whole, title, (0, top), (width, STRIP))
        whole.paste(picture, (0, top + STRIP))
        top += STRIP + picture.height
    return whole
